"""A site's own lists from CSV files: customers, contacts, agents and tickets.

Law: the file is read and judged whole before anything is written; a bad line is named by its number and reason and harms no
other. Importing a file again changes nothing; a column that is absent leaves what is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Table, delete, false, or_, select

from ctid.db import cells, search, secrets
from ctid.db.cells import BadCell, Cells
from ctid.db.contacts import keep_posts
from ctid.db.csvfile import CsvLines, Line, lines_in, read_lines
from ctid.db.customers import keep_pairs
from ctid.db.holds import held_tickets
from ctid.db.numbers import normalise
from ctid.db.session import Engine, reading, upsert, write
from ctid.db.tables import agent_lines, agents, contact_numbers, contacts, customers, tickets
from ctid.desk import likeness

BATCH = 500


class Kind(StrEnum):
    CUSTOMERS = "customers"
    CONTACTS = "contacts"
    AGENTS = "agents"
    TICKETS = "tickets"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line that was not imported; ``line`` counts from 1, the header included, as an editor shows it."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of a file. With ``strict`` and bad lines, nothing was written and ``added`` and ``updated`` are 0."""

    added: int
    updated: int
    bad: tuple[BadLine, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a list's cells are read by: the numbers' country and outside-line prefix, and the zone of naive times."""

    country: str | None
    timezone: ZoneInfo
    outside_prefix: str | None = None


@dataclass(slots=True, kw_only=True)
class _Row:
    """One good line: the columns of its table, and the lists that belong to it; ``None`` where the file has no such column."""

    values: dict[str, Any]
    numbers: list[tuple[str, str]] | None = None
    lines: list[str] | None = None
    pin: str | None = None


@dataclass(slots=True, kw_only=True)
class _Known:
    """What is in the database already: ids, the agents' PIN hashes and codes, the contacts' customers.

    ``held_by`` says of tickets with calls under legal hold which columns hold them.
    """

    ids: dict[Kind, set[str]] = field(default_factory=dict)
    pins: dict[str, str | None] = field(default_factory=dict)
    agent_of_code: dict[str, str] = field(default_factory=dict)
    customers_of: dict[str, str | None] = field(default_factory=dict)
    held_by: dict[str, dict[str, str]] = field(default_factory=dict)
    merged: dict[Kind, dict[str, str]] = field(default_factory=lambda: {kind: {} for kind in Kind})


_TABLES: dict[Kind, Table] = {
    Kind.CUSTOMERS: customers,
    Kind.CONTACTS: contacts,
    Kind.AGENTS: agents,
    Kind.TICKETS: tickets,
}
_FOUND_BY = {
    Kind.CUSTOMERS: search.Kind.CUSTOMER,
    Kind.CONTACTS: search.Kind.CONTACT,
    Kind.TICKETS: search.Kind.TICKET,
}
COLUMNS: dict[Kind, tuple[str, ...]] = {
    Kind.CUSTOMERS: ("id", "name", "level", "notes"),
    Kind.CONTACTS: ("id", "customer_id", "name", "department", "title", "level", "numbers", "notes"),
    Kind.AGENTS: ("id", "name", "phone", "code", "level", "pin", "lines", "email"),
    Kind.TICKETS: (
        *("id", "customer_id", "contact_id", "owner", "subject"),
        *("category", "severity", "status", "created_at", "resolved_at"),
    ),
}
_REQUIRED: dict[Kind, tuple[str, ...]] = {
    Kind.CUSTOMERS: ("id", "name"),
    Kind.CONTACTS: ("id", "name"),
    Kind.AGENTS: ("id", "name"),
    Kind.TICKETS: ("id", "subject", "created_at"),
}


async def import_csv(
    engine: Engine,
    kind: Kind,
    file: Path,
    site: Site,
    *,
    strict: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Imported:
    """Import the file's good lines, or with ``strict`` none unless all are good.

    ``progress`` is called, on whatever thread writes, with the lines written and the lines to write. Raises ``CsvFault`` for a
    file that cannot be read as that list at all.
    """
    content = await asyncio.to_thread(read_lines, file, known=COLUMNS[kind], required=_REQUIRED[kind])
    return await _import(engine, kind, content, site, strict=strict, progress=progress)


async def import_bytes(
    engine: Engine, kind: Kind, name: str, content: bytes, site: Site, *, dry: bool = False
) -> Imported:
    """The same of a file's bytes, which messages call ``name``. ``dry``: say what would come of it and write nothing."""
    lines = await asyncio.to_thread(lines_in, name, content, known=COLUMNS[kind], required=_REQUIRED[kind])
    return await _import(engine, kind, lines, site, dry=dry)


async def _import(
    engine: Engine,
    kind: Kind,
    content: CsvLines,
    site: Site,
    *,
    strict: bool = False,
    dry: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Imported:
    known = await _known(engine)
    # On a thread: a long list is seconds of work, and in `ctid web` the screens of a whole site wait for the loop.
    rows, bad, warnings = await asyncio.to_thread(_judge, kind, content, site, known)
    if strict and bad:
        return Imported(added=0, updated=0, bad=bad, warnings=warnings)
    if not dry:
        await _hash_pins(rows, known)
        await _write(engine, kind, rows, strict=strict, progress=progress)
    added = sum(row.values["id"] not in known.ids[kind] for row in rows)
    return Imported(added=added, updated=len(rows) - added, bad=bad, warnings=warnings)


# -- judging -----------------------------------------------------------------------------------------------------------


async def _known(engine: Engine) -> _Known:
    known = _Known()
    async with reading(engine) as connection:
        for kind, table in _TABLES.items():
            known.ids[kind] = set((await connection.scalars(select(table.c.id))).all())
        for row in await connection.execute(select(agents.c.id, agents.c.pin_hash, agents.c.code)):
            known.pins[row.id] = row.pin_hash
            if row.code is not None:
                known.agent_of_code[row.code] = row.id
        for contact in await connection.execute(select(contacts.c.id, contacts.c.customer_id)):
            known.customers_of[contact.id] = contact.customer_id
        known.held_by = await connection.run_sync(held_tickets)
        for kind, table in ((Kind.CUSTOMERS, customers), (Kind.CONTACTS, contacts)):
            taken_up = select(table.c.id, table.c.merged_into).where(table.c.merged_into.is_not(None))
            known.merged[kind] = {row.id: row.merged_into for row in await connection.execute(taken_up)}
    return known


def _judge(
    kind: Kind, content: CsvLines, site: Site, known: _Known
) -> tuple[list[_Row], tuple[BadLine, ...], tuple[str, ...]]:
    """The good lines, the bad ones in their order, and what else is to be said."""
    bad = [BadLine(line=line, reason=reason) for line, reason in content.broken]
    warnings = [f"the column {name!r} is not known and was left out" for name in content.unknown_columns]
    rows: list[_Row] = []
    seen: dict[str, int] = {}
    for line in content.lines:
        try:
            row = _read(kind, line, known, site)
            _check_first(row, line, seen)
        except BadCell as reason:
            bad.append(BadLine(line=line.number, reason=str(reason)))
            continue
        if (into := known.merged[kind].get(row.values["id"])) is None:
            rows.append(row)
        else:
            shown, taken = cells.shown(row.values["id"]), cells.shown(into)
            warnings.append(f"line {line.number}: {shown} was merged into {taken}; the line was left out")
    return rows, tuple(sorted(bad, key=lambda line: line.line)), tuple(warnings)


def _read(kind: Kind, line: Line, known: _Known, site: Site) -> _Row:
    match kind:
        case Kind.CUSTOMERS:
            return _customer(line.cells)
        case Kind.CONTACTS:
            return _contact(line.cells, known, site)
        case Kind.AGENTS:
            return _agent(line.cells, known)
        case Kind.TICKETS:
            return _ticket(line.cells, known, site)


def _check_first(row: _Row, line: Line, seen: dict[str, int]) -> None:
    first = seen.setdefault(row.values["id"], line.number)
    if first != line.number:
        raise BadCell(f"id: {cells.shown(row.values['id'])} was already on line {first}")


def _living(cell: Cells, column: str, known: _Known, kind: Kind, what: str) -> str | None:
    """The key of a row that exists, or of the one that took it up."""
    given = cells.reference(cell, column, known.ids[kind], what)
    return None if given is None else known.merged[kind].get(given, given)


def _customer(cell: Cells) -> _Row:
    name = cells.text(cell, "name", needed=True) or ""
    values: dict[str, Any] = {"id": cells.key(cell, "id"), "name": name, "name_key": likeness.firm_key(name)}
    if "level" in cell:
        values["level"] = cells.whole(cell, "level", 1, 5) or 1
    if "notes" in cell:
        values["notes"] = cells.text(cell, "notes", longest=10_000)
    return _Row(values=values)


def _contact(cell: Cells, known: _Known, site: Site) -> _Row:
    name = cells.text(cell, "name", needed=True) or ""
    values: dict[str, Any] = {"id": cells.key(cell, "id"), "name": name, "name_key": likeness.person_key(name)}
    if "customer_id" in cell:
        values["customer_id"] = _living(cell, "customer_id", known, Kind.CUSTOMERS, "customer")
    for column in ("department", "title"):
        if column in cell:
            values[column] = cells.text(cell, column)
    if "level" in cell:
        values["level"] = cells.whole(cell, "level", 1, 5)
    if "notes" in cell:
        values["notes"] = cells.text(cell, "notes", longest=10_000)
    numbers: list[tuple[str, str]] | None = None
    if "numbers" in cell:
        numbers = []
        for given in cells.several(cell, "numbers"):
            number = normalise(given, site.country, site.outside_prefix)
            if number is None:
                raise BadCell(f"numbers: {cells.shown(given)} is not a telephone number")
            if number not in (known_number for known_number, _ in numbers):
                numbers.append((number, given))
    return _Row(values=values, numbers=numbers)


def _agent(cell: Cells, known: _Known) -> _Row:
    values: dict[str, Any] = {"id": cells.topic_key(cell, "id"), "name": cells.text(cell, "name", needed=True)}
    if "phone" in cell:
        values["phone"] = cells.endpoint(cell, "phone")
    if "code" in cell:
        values["code"] = code = cells.code(cell, "code")
        if code is not None and (other := known.agent_of_code.setdefault(code, values["id"])) != values["id"]:
            raise BadCell(f"code: {code} is the code of agent {cells.shown(other)}; give each agent one of their own")
    if "level" in cell:
        values["level"] = cells.whole(cell, "level", 1, 3) or 1
    if "email" in cell:
        values["email"] = cells.email(cell, "email")
    lines = list(dict.fromkeys(cells.several(cell, "lines"))) if "lines" in cell else None
    return _Row(values=values, lines=lines, pin=cells.pin(cell, "pin") if "pin" in cell else None)


def _ticket(cell: Cells, known: _Known, site: Site) -> _Row:
    values: dict[str, Any] = {
        "id": cells.key(cell, "id"),
        "subject": cells.text(cell, "subject", needed=True, longest=1000),
        **_ticket_times(cell, site.timezone),
    }
    if "customer_id" in cell:
        values["customer_id"] = _living(cell, "customer_id", known, Kind.CUSTOMERS, "customer")
    if "contact_id" in cell:
        values["contact_id"] = _living(cell, "contact_id", known, Kind.CONTACTS, "contact")
        if values.get("customer_id") is None and values["contact_id"] is not None:
            values["customer_id"] = known.customers_of[values["contact_id"]]
    for column, holder in known.held_by.get(values["id"], {}).items():
        if values.get(column, holder) != holder:
            raise BadCell(
                f"{column}: calls of this ticket are under legal hold by {holder}; lift it first, or leave it so"
            )
    if "owner" in cell:
        values["owner"] = cells.reference(cell, "owner", known.ids[Kind.AGENTS], "agent")
    if "category" in cell:
        values["category"] = cells.text(cell, "category")
    if "severity" in cell:
        values["severity"] = cells.whole(cell, "severity", 1, 5) or 3
    if "status" in cell:
        values["status"] = cells.one_of(cell, "status", ("open", "pending", "resolved", "closed")) or "open"
    return _Row(values=values)


def _ticket_times(cell: Cells, timezone: ZoneInfo) -> dict[str, datetime | None]:
    created = cells.instant(cell, "created_at", timezone)
    if created is None:
        raise BadCell("created_at: is empty; the owner of a caller's newest ticket is found by it")
    if "resolved_at" not in cell:
        return {"created_at": created}
    resolved = cells.instant(cell, "resolved_at", timezone)
    if resolved is not None and resolved < created:
        raise BadCell("resolved_at: is before created_at")
    return {"created_at": created, "resolved_at": resolved}


# -- writing -----------------------------------------------------------------------------------------------------------


async def _hash_pins(rows: Iterable[_Row], known: _Known) -> None:
    """Put each PIN's hash into its row; the stored one where the PIN is the same, so that a repeat changes nothing."""
    for row in rows:
        if row.pin is None:
            continue
        stored = known.pins.get(row.values["id"])
        same = stored is not None and await secrets.pin_fits(stored, row.pin)
        row.values["pin_hash"] = stored if same else await secrets.hash_pin(row.pin)


async def _write(
    engine: Engine, kind: Kind, rows: Sequence[_Row], *, strict: bool, progress: Callable[[int, int], None]
) -> None:
    # Short transactions leave the daemon its turn; a strict import is one, so that it is done whole or not at all.
    step = max(len(rows), 1) if strict else BATCH
    for start in range(0, len(rows), step):

        def work(connection: Connection, start: int = start) -> None:
            for first in range(start, min(start + step, len(rows)), BATCH):
                batch = rows[first : first + BATCH]
                _put(connection, _TABLES[kind], [row.values for row in batch])
                _keep_found(connection, kind, batch)
                _put_numbers(connection, [row for row in batch if row.numbers is not None])
                _put_lines(connection, [row for row in batch if row.lines is not None])
                if (found_by := _FOUND_BY.get(kind)) is not None:
                    search.index(connection, found_by, *(row.values["id"] for row in batch))
                progress(first + len(batch), len(rows))

        await write(engine, work)


def _put(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    # Rows of one file may still differ in their columns: a PIN left empty keeps the one stored.
    shapes: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        shapes.setdefault(tuple(row), []).append(row)
    for shape, alike in shapes.items():
        statement = upsert(connection, table)
        changed: dict[str, Any] = {name: statement.excluded[name] for name in shape if name != "id"}
        differs = or_(false(), *(table.c[name].is_distinct_from(told) for name, told in changed.items()))
        if "version" in table.c:  # whoever is writing there on an older one is told
            changed["version"] = table.c.version + 1
        update = statement.on_conflict_do_update(index_elements=[table.c.id], set_=changed, where=differs)
        connection.execute(update, alike)


def _keep_found(connection: Connection, kind: Kind, rows: Sequence[_Row]) -> None:
    """What hangs on the names and posts of these rows."""
    if kind is Kind.CUSTOMERS:
        keep_pairs(connection, [(row.values["id"], row.values["name"]) for row in rows])
    if kind is Kind.CONTACTS:
        keep_posts(connection, [row.values["id"] for row in rows], datetime.now(UTC))


def _put_numbers(connection: Connection, rows: Sequence[_Row]) -> None:
    ids = [row.values["id"] for row in rows]
    connection.execute(delete(contact_numbers).where(contact_numbers.c.contact_id.in_(ids)))
    new = [
        {"contact_id": row.values["id"], "number": number, "given": given, "position": position}
        for row in rows
        for position, (number, given) in enumerate(row.numbers or ())
    ]
    if new:
        connection.execute(contact_numbers.insert(), new)


def _put_lines(connection: Connection, rows: Sequence[_Row]) -> None:
    ids = [row.values["id"] for row in rows]
    connection.execute(delete(agent_lines).where(agent_lines.c.agent_id.in_(ids)))
    new = [{"agent_id": row.values["id"], "line": line} for row in rows for line in row.lines or ()]
    if new:
        connection.execute(agent_lines.insert(), new)
