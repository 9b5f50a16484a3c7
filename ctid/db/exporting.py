"""Customers and contacts as CSV, as an import takes them: what is exported and imported again changes nothing.

Law: read in pages on the key, never the whole list at once. Files that were merged are left out. No cell begins a formula.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from ctid.db.csvfile import MARK, lines
from ctid.db.importing import COLUMNS, Kind
from ctid.db.session import Engine, read
from ctid.db.tables import contact_numbers, contacts, customers

BATCH = 500
LISTS = {Kind.CUSTOMERS: customers, Kind.CONTACTS: contacts}

_Row = Row[*tuple[Any, ...]]


async def export(engine: Engine, kind: Kind) -> AsyncIterator[bytes]:
    """The list's lines, the header first, in pieces; ``kind`` is customers or contacts. UTF-8 with a mark, for Excel."""
    yield (MARK + lines([COLUMNS[kind]])).encode()
    after = ""
    while True:
        batch = await read(engine, lambda connection, after=after: _batch(connection, kind, after))  # type: ignore[misc]
        if batch:
            yield lines(batch).encode()
        if len(batch) < BATCH:
            return
        after = batch[-1][0]


def _batch(connection: Connection, kind: Kind, after: str) -> list[list[str]]:
    table = LISTS[kind]
    query = select(table).where(table.c.id > after, table.c.merged_into.is_(None)).order_by(table.c.id).limit(BATCH)
    rows = connection.execute(query).all()
    numbers = _numbers(connection, rows) if kind is Kind.CONTACTS else {}
    return [[_cell(row, name, numbers) for name in COLUMNS[kind]] for row in rows]


def _numbers(connection: Connection, rows: Sequence[_Row]) -> dict[str, list[str]]:
    query = select(contact_numbers).where(contact_numbers.c.contact_id.in_([row.id for row in rows]))
    found: dict[str, list[str]] = defaultdict(list)
    for one in connection.execute(query.order_by(contact_numbers.c.position, contact_numbers.c.number)):
        found[one.contact_id].append(one.given)
    return found


def _cell(row: _Row, name: str, numbers: dict[str, list[str]]) -> str:
    if name == "numbers":
        return "; ".join(numbers.get(row.id, ()))
    value = row._mapping[name]  # noqa: SLF001 - SQLAlchemy's own name for a row as a mapping
    return "" if value is None else str(value)
