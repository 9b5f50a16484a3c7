"""What customers' and contacts' files have in common: free ids, redirects, what looks alike.

Law: a file is never deleted, but with the person whose it is (``erasure``). One that was merged stays as a redirect to the
living file, in one step (``merged_into``), however many merges there were. Each write has its row in the audit, in the same
transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import BindParameter, Connection, Function, Table, func, select, update

from ctid.db.tables import contacts, counters, customers


class FileKind(StrEnum):
    CUSTOMER = "customer"
    CONTACT = "contact"


TABLES: dict[FileKind, Table] = {FileKind.CUSTOMER: customers, FileKind.CONTACT: contacts}
_LETTERS = {FileKind.CUSTOMER: "C", FileKind.CONTACT: "P"}


class NoSuchFile(LookupError):  # noqa: N818 - it is an answer
    """There is no customer or contact of that id; ``kind`` says which was meant."""

    def __init__(self, kind: FileKind, key: str) -> None:
        super().__init__(f"there is no {kind} {key}")
        self.kind = kind


class StaleFile(Exception):  # noqa: N818 - it is an answer
    """The file was changed by somebody else since the form was made."""


class Why(StrEnum):
    """Why a file looks like another, the surest first."""

    NUMBER = "same_number"
    NAME = "same_name"
    LIKE = "very_like"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A file that may be the same as another; ``customer`` is a contact's, ``detail`` their title and department."""

    kind: FileKind
    id: str
    name: str
    customer: str | None
    detail: str | None
    why: Why


class LooksAlike(Exception):  # noqa: N818 - it is an answer
    """What was to be written looks like files that are there; the person who writes decides."""

    def __init__(self, matches: tuple[Match, ...]) -> None:
        super().__init__(f"{len(matches)} files look like it")
        self.matches = matches


def next_id(connection: Connection, kind: FileKind) -> str:
    """The next free id, ``C1`` or ``P1`` and on; taken by the writing transaction it is asked in."""
    table = TABLES[kind]
    step = update(counters).where(counters.c.name == kind.value).values(value=counters.c.value + 1)
    while True:
        key = f"{_LETTERS[kind]}{connection.execute(step.returning(counters.c.value)).scalar_one()}"
        if connection.execute(select(table.c.id).where(table.c.id == key)).scalar() is None:
            return key


def living_id(table: Table, key: BindParameter[str]) -> Function[str]:
    """The id, or that of the file that took it up, as a statement over another table or this one asks for it."""
    of = table.alias()
    return func.coalesce(select(of.c.merged_into).where(of.c.id == key).scalar_subquery(), key)


def living(connection: Connection, kind: FileKind, key: str) -> str:
    """The id itself, or of the file that took it up; raises ``NoSuchFile``."""
    table = TABLES[kind]
    row = connection.execute(select(table.c.id, table.c.merged_into).where(table.c.id == key)).one_or_none()
    if row is None:
        raise NoSuchFile(kind, key)
    return str(row.merged_into or row.id)


def merged_ids(connection: Connection, kind: FileKind, key: str) -> list[str]:
    """The ids of the files that this one took up, at most 100."""
    table = TABLES[kind]
    return list(
        connection.scalars(select(table.c.id).where(table.c.merged_into == key).order_by(table.c.id).limit(100))
    )
