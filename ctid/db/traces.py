"""All that the books have of a person: their files, their numbers, their calls, what is recorded of those, what they are owed.

Law: a number that others have too is not theirs alone, and a call is theirs by who it was or by a number that is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, or_, select, tuple_

from ctid.db.files import FileKind, NoSuchFile, living, merged_ids
from ctid.db.numbers import written
from ctid.db.retention import Due
from ctid.db.session import CHUNK, seconds
from ctid.db.tables import callbacks, calls, contact_numbers, contacts, customers, posts, recordings
from ctid.desk.scrubbing import Scrubber
from ctid.domain.types import RecordingState

#: Digits of a number's end by which rows are found before they are compared.
_END = 6

#: A call's pbx and id.
Key = tuple[str, str]
Normalise = Callable[[str | None], str | None]


@dataclass(slots=True, kw_only=True)
class Person:
    """All that is theirs. ``ids`` are their files, merged ones too; ``own`` the numbers nobody else has."""

    ids: list[str]
    names: list[str]
    emails: list[str]
    numbers: list[str]
    own: list[str]
    given: list[str]
    customers: list[str]
    calls: list[Key] = field(default_factory=list)

    def scrubber(self) -> Scrubber:
        return Scrubber(self.names, [*self.forms(), *self.given], self.emails)

    def forms(self) -> list[str]:
        """Every way in which their own numbers are written."""
        return [form for number in self.own for form in written(number)]


def person_of(connection: Connection, contact_id: str, normalise: Normalise) -> Person:
    """Who the contact is, with all files merged into theirs. Raises ``NoSuchFile``."""
    here = living(connection, FileKind.CONTACT, contact_id)
    ids = [here, *merged_ids(connection, FileKind.CONTACT, here)]
    files = connection.execute(select(contacts).where(contacts.c.id.in_(ids))).all()
    if not files:
        raise NoSuchFile(FileKind.CONTACT, contact_id)
    held = connection.execute(select(contact_numbers).where(contact_numbers.c.contact_id.in_(ids))).all()
    numbers = list(dict.fromkeys(row.number for row in held))
    theirs = contact_numbers.c.number.in_(numbers) & contact_numbers.c.contact_id.not_in(ids)
    shared = set(connection.scalars(select(contact_numbers.c.number).where(theirs)))
    at = {row.customer_id for row in files}
    at |= set(connection.scalars(select(posts.c.customer_id).where(posts.c.contact_id.in_(ids))))
    at |= set(connection.scalars(select(customers.c.id).where(customers.c.merged_into.in_([c for c in at if c]))))
    person = Person(
        ids=ids,
        names=list(dict.fromkeys(row.name for row in files)),
        emails=[row.email for row in files if row.email],
        numbers=numbers,
        own=[number for number in numbers if number not in shared],
        given=[row.given for row in held if row.number not in shared],
        customers=sorted(one for one in at if one),
    )
    person.calls = _calls(connection, person, normalise)
    return person


def _calls(connection: Connection, person: Person, normalise: Normalise) -> list[Key]:
    """Calls known to be theirs, and those by a number that is theirs alone and nobody else was known to call by."""
    found = {
        (row.pbx, row.id)
        for row in connection.execute(select(calls.c.pbx, calls.c.id).where(calls.c.contact_id.in_(person.ids)))
    }
    like = ends_like(person.own, calls.c.caller, calls.c.dialled)
    if like is not None:
        query = select(calls.c.pbx, calls.c.id, calls.c.caller, calls.c.dialled)
        for row in connection.execute(query.where(calls.c.contact_id.is_(None), like)):
            if normalise(row.caller) in person.own or normalise(row.dialled) in person.own:
                found.add((row.pbx, row.id))
    return sorted(found)


def ends_like(numbers: Sequence[str], *columns: ColumnElement[Any]) -> ColumnElement[bool] | None:
    """Rows that may have one of the numbers in one of the columns, in whatever form; ``None`` where there are no numbers."""
    likes = [column.contains(number[-_END:], autoescape=True) for number in numbers for column in columns]
    return or_(*likes) if likes else None


def files_of(connection: Connection, person: Person, *which: ColumnElement[bool]) -> list[Due]:
    """Recordings of their calls that are not erased yet, of ``which`` kind."""
    found = []
    for keys in cut(person.calls):
        query = (
            select(recordings, calls.c.started_at)
            .join(calls, (calls.c.pbx == recordings.c.pbx) & (calls.c.id == recordings.c.call_id))
            .where(
                tuple_(recordings.c.pbx, recordings.c.call_id).in_(keys),
                recordings.c.state != RecordingState.ERASED.value,
                *which,
            )
        )
        found += [
            Due(pbx=row.pbx, id=row.id, call_id=row.call_id, path=row.path, started_at=seconds(row.started_at))
            for row in connection.execute(query)
        ]
    return found


def callbacks_of(person: Person) -> list[ColumnElement[bool]]:
    """Which callbacks are theirs: to a number that is theirs alone, and what their calls asked for by whatever number."""
    by_call = [tuple_(callbacks.c.pbx, callbacks.c.id).in_(keys) for keys in cut(person.calls)]
    return [callbacks.c.number.in_(person.own), *by_call]


def ids_of(connection: Connection, of: Table, *where: ColumnElement[bool]) -> list[str]:
    """The ids of the rows, in order."""
    return list(connection.scalars(select(of.c.id).where(*where).order_by(of.c.id)))


def cut(keys: Sequence[Any]) -> list[Sequence[Any]]:
    """The keys in parts that one statement bears."""
    return [keys[first : first + CHUNK] for first in range(0, len(keys), CHUNK)]
