"""Erases a person from the books, and keeps a report of what was erased that names nobody.

Law: an erasure goes through stages that are kept: asked, then (files gone) erased in one transaction, then done when the
database holds no remnants; one that is cut off goes on from where it was. While one of the person's customers is under legal
hold, or they are on the telephone, nothing is begun. The person's file goes, their numbers go from calls and callbacks, and
their name and numbers from the texts on their tickets and their customers' files. A number others have too is not theirs alone
and stays with those; a name in texts elsewhere may be another's: such places are listed for a person to look at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Row,
    Table,
    Text,
    case,
    cast,
    delete,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from ctid.db import search
from ctid.db.audits import Actor, note
from ctid.db.callers import OPEN
from ctid.db.files import FileKind, NoSuchFile, living, merged_ids
from ctid.db.holds import held_customers, held_recording
from ctid.db.numbers import written
from ctid.db.retention import Due
from ctid.db.session import Engine, instant, maybe_seconds, read, seconds, write
from ctid.db.tables import (
    audit,
    call_notes,
    call_tickets,
    callbacks,
    calls,
    contact_numbers,
    contacts,
    customers,
    erasures,
    files_apart,
    legs,
    posts,
    recordings,
    site_visits,
    ticket_attempts,
    ticket_steps,
    tickets,
)
from ctid.desk.scrubbing import GONE, Scrubber
from ctid.domain.types import Direction, RecordingState

#: The daemon remembers a call that ended for ten minutes, and may save it once more.
REMEMBERED_SECONDS = 900.0
BATCH = 200
#: Places elsewhere that a report names, of each kind.
MENTIONS = 200
#: Digits of a number's end by which rows are found before they are compared.
_END = 6

_Key = tuple[str, str]
_Row = Row[*tuple[Any, ...]]
Normalise = Callable[[str | None], str | None]


class Stage(StrEnum):
    ASKED = "asked"
    ERASED = "erased"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One erasure; ``report`` is ``None`` until the rows are gone. Times in Unix seconds."""

    id: int
    contact_id: str
    asked_at: float
    asked_by: str | None
    stage: Stage
    done_at: float | None
    report: dict[str, Any] | None


class ErasureRefused(Exception):  # noqa: N818 - it is an answer
    """One line that says why the person is not erased now, and what to do."""


class UnderHold(ErasureRefused):
    """A customer of theirs is under legal hold; where ``customer`` is ``None``, recordings are, by another's ticket."""

    def __init__(self, customer: str | None) -> None:
        if customer is None:
            super().__init__(
                "recordings of theirs are under legal hold by a ticket of another customer: they stay until it is lifted"
            )
        else:
            super().__init__(
                f"customer {customer} is under legal hold: nobody of it is erased until a supervisor has lifted it"
            )
        self.customer = customer


class OnThePhone(ErasureRefused):
    """A call of theirs is under way or has just ended, or they are to be called back."""

    def __init__(self) -> None:
        super().__init__(
            "a call of theirs is under way or ended within the last 15 minutes, or a callback is owed to them; try again later"
        )


class Withdrawn(ErasureRefused):
    """The wish was taken back, or is carried out already."""

    def __init__(self) -> None:
        super().__init__(
            "the erasure is not asked for any more: it was withdrawn, or is carried out; see: ctid erase reports"
        )


class FilesLeft(ErasureRefused):
    """Recordings of theirs lie on other PBXs, whose own daemons delete them."""

    def __init__(self, pbxs: Sequence[str]) -> None:
        super().__init__(f"recordings of theirs are on the PBX {', '.join(pbxs)}: the erasure waits for the ctid there")


@dataclass(slots=True, kw_only=True)
class _Person:
    """All that is theirs. ``ids`` are their files, merged ones too; ``own`` the numbers nobody else has."""

    ids: list[str]
    names: list[str]
    emails: list[str]
    numbers: list[str]
    own: list[str]
    given: list[str]
    customers: list[str]
    calls: list[_Key] = field(default_factory=list)

    def scrubber(self) -> Scrubber:
        forms = [form for number in self.own for form in written(number)]
        return Scrubber(self.names, [*forms, *self.given], self.emails)


class Erasures:
    """``normalise`` gives a number as ctid compares it, by the site's own habits."""

    def __init__(self, engine: Engine, normalise: Normalise) -> None:
        self._engine = engine
        self._normalise = normalise

    async def preview(self, contact_id: str, now: float) -> dict[str, int]:
        """What would be erased, counted. Raises ``NoSuchFile``, ``ErasureRefused``."""

        def work(connection: Connection) -> dict[str, int]:
            person = _person(connection, contact_id, self._normalise)
            _refuse(connection, person, now)
            theirs = tickets.c.contact_id.in_(person.ids)
            return {
                "files": len(person.ids),
                "numbers": len(person.numbers),
                "calls": len(person.calls),
                "recordings": len(_files(connection, person)),
                "tickets": len(_ids(connection, tickets, theirs)),
                "open_tickets": len(_ids(connection, tickets, theirs, tickets.c.status.in_(OPEN))),
            }

        return await read(self._engine, work)

    async def ask(self, contact_id: str, by: Actor) -> Erasure:
        """Have the person erased by ``ctid erase finish``; of one asked before, that.

        Raises ``NoSuchFile``, ``ErasureRefused``.
        """

        def work(connection: Connection) -> Erasure:
            person = _person(connection, contact_id, self._normalise)
            _refuse(connection, person, by.at)
            begun = select(erasures).where(erasures.c.contact_id.in_(person.ids), erasures.c.stage == Stage.ASKED)
            row = connection.execute(begun).first()
            if row is None:
                values = {
                    "contact_id": person.ids[0],
                    "asked_at": instant(by.at),
                    "asked_by": by.user_name,
                    "stage": Stage.ASKED.value,
                }
                key = connection.execute(insert(erasures).values(values)).inserted_primary_key
                assert key is not None
                note(connection, "erasure_asked", person.ids[0], by)
                row = connection.execute(select(erasures).where(erasures.c.id == key[0])).one()
            return _erasure(row)

        return await write(self._engine, work)

    async def withdraw(self, key: int, by: Actor) -> None:
        """Take the wish back, as long as no row is erased; recordings that are gone stay gone. Raises ``Withdrawn``."""

        def work(connection: Connection) -> None:
            asked = delete(erasures).where(erasures.c.id == key, erasures.c.stage == Stage.ASKED)
            contact_id = connection.execute(asked.returning(erasures.c.contact_id)).scalar()
            if contact_id is None:
                raise Withdrawn
            note(connection, "erasure_withdrawn", contact_id, by)

        await write(self._engine, work)

    async def all(self, *, limit: int = 200) -> list[Erasure]:
        """The newest first."""
        query = select(erasures).order_by(erasures.c.id.desc()).limit(limit)
        return await read(self._engine, lambda connection: [_erasure(row) for row in connection.execute(query)])

    async def one(self, key: int) -> Erasure | None:
        query = select(erasures).where(erasures.c.id == key)
        row = await read(self._engine, lambda connection: connection.execute(query).one_or_none())
        return None if row is None else _erasure(row)

    async def unfinished(self) -> list[Erasure]:
        """Those that are not done, the first asked first."""
        query = select(erasures).where(erasures.c.stage != Stage.DONE.value).order_by(erasures.c.id)
        return await read(self._engine, lambda connection: [_erasure(row) for row in connection.execute(query)])

    async def files(self, of: Erasure, pbx: str, now: float) -> list[Due]:
        """The recordings of theirs on that PBX that are not erased yet. Raises ``NoSuchFile``, ``ErasureRefused``."""

        def work(connection: Connection) -> list[Due]:
            _still_asked(connection, of)
            person = _person(connection, of.contact_id, self._normalise)
            _refuse(connection, person, now)
            return [due for due in _files(connection, person) if due.pbx == pbx]

        return await read(self._engine, work)

    async def erase(self, of: Erasure, now: float) -> Erasure:
        """Erase all rows in one transaction, once no file is left.

        Raises ``NoSuchFile``, ``ErasureRefused``.
        """

        def work(connection: Connection) -> Erasure:
            _still_asked(connection, of)
            person = _person(connection, of.contact_id, self._normalise)
            _refuse(connection, person, now)
            left = _files(connection, person)
            if left:
                raise FilesLeft(sorted({due.pbx for due in left}))
            report = _erase(connection, person, self._normalise)
            changes = {"stage": Stage.ERASED.value, "report": report}
            connection.execute(update(erasures).where(erasures.c.id == of.id).values(changes))
            note(connection, "person_erased", of.contact_id, Actor(at=now, user_name=of.asked_by))
            return _erasure(connection.execute(select(erasures).where(erasures.c.id == of.id)).one())

        return await write(self._engine, work)

    async def keep_gone(self, gone: Sequence[Due]) -> None:
        """Have the books say that these files are erased."""

        def work(connection: Connection) -> None:
            for keys in _cut([(due.pbx, due.id) for due in gone]):
                these = tuple_(recordings.c.pbx, recordings.c.id).in_(keys)
                connection.execute(update(recordings).where(these).values(state=RecordingState.ERASED.value))

        await write(self._engine, work)

    async def end(self, of: Erasure, remains: dict[str, Any], now: float) -> None:
        """The erasure is done; ``remains`` is what the report says of what could not be erased."""

        def work(connection: Connection) -> None:
            changes = {
                "stage": Stage.DONE.value,
                "done_at": instant(now),
                "report": {"counts": {}, **(of.report or {}), "remains": remains},
            }
            connection.execute(update(erasures).where(erasures.c.id == of.id).values(changes))

        await write(self._engine, work)

    async def needles(self, of: Erasure) -> list[str]:
        """What stands for the person in other files: to be asked before the rows go. Raises ``NoSuchFile``."""

        def work(connection: Connection) -> list[str]:
            person = _person(connection, of.contact_id, self._normalise)
            return [*person.names, *person.emails, *person.own, *(form for n in person.own for form in written(n))]

        return await read(self._engine, work)


def _still_asked(connection: Connection, of: Erasure) -> None:
    asked = select(erasures.c.id).where(erasures.c.id == of.id, erasures.c.stage == Stage.ASKED).with_for_update()
    if connection.execute(asked).first() is None:
        raise Withdrawn


def _erasure(row: _Row) -> Erasure:
    return Erasure(
        id=row.id,
        contact_id=row.contact_id,
        asked_at=seconds(row.asked_at),
        asked_by=row.asked_by,
        stage=Stage(row.stage),
        done_at=maybe_seconds(row.done_at),
        report=row.report,
    )


# -- who it is ---------------------------------------------------------------------------------------------------------


def _person(connection: Connection, contact_id: str, normalise: Normalise) -> _Person:
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
    person = _Person(
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


def _calls(connection: Connection, person: _Person, normalise: Normalise) -> list[_Key]:
    """Calls known to be theirs, and those by a number that is theirs alone and nobody else was known to call by."""
    found = {
        (row.pbx, row.id)
        for row in connection.execute(select(calls.c.pbx, calls.c.id).where(calls.c.contact_id.in_(person.ids)))
    }
    like = _ends_like(person.own, calls.c.caller, calls.c.dialled)
    if like is not None:
        query = select(calls.c.pbx, calls.c.id, calls.c.caller, calls.c.dialled)
        for row in connection.execute(query.where(calls.c.contact_id.is_(None), like)):
            if normalise(row.caller) in person.own or normalise(row.dialled) in person.own:
                found.add((row.pbx, row.id))
    return sorted(found)


def _ends_like(numbers: Sequence[str], *columns: ColumnElement[Any]) -> ColumnElement[bool] | None:
    likes = [column.contains(number[-_END:], autoescape=True) for number in numbers for column in columns]
    return or_(*likes) if likes else None


def _files(connection: Connection, person: _Person, *which: ColumnElement[bool]) -> list[Due]:
    found = []
    for keys in _cut(person.calls):
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


def _refuse(connection: Connection, person: _Person, now: float) -> None:
    theirs = set(person.customers)
    recent = False
    for keys in _cut(person.calls):
        these = tuple_(calls.c.pbx, calls.c.id).in_(keys)
        query = select(calls.c.customer_id).where(these, calls.c.customer_id.is_not(None)).distinct()
        theirs |= set(connection.scalars(query))
        fresh = or_(calls.c.ended_at.is_(None), calls.c.ended_at > instant(now - REMEMBERED_SECONDS))
        recent = recent or connection.execute(select(calls.c.id).where(these, fresh).limit(1)).first() is not None
    raised = select(tickets.c.customer_id).where(tickets.c.contact_id.in_(person.ids)).distinct()
    theirs |= {one for one in connection.scalars(raised) if one}
    held = select(customers.c.id).where(customers.c.id.in_(held_customers()), customers.c.id.in_(sorted(theirs)))
    if (customer := connection.scalars(held.limit(1)).first()) is not None:
        raise UnderHold(customer)
    if _files(connection, person, held_recording()):
        raise UnderHold(None)
    # The daemon may save one that ended once more, as it may a call.
    fresh = or_(callbacks.c.ended_at.is_(None), callbacks.c.ended_at > instant(now - REMEMBERED_SECONDS))
    owed = (select(callbacks.c.id).where(fresh, asked).limit(1) for asked in _asked(person))
    if recent or any(connection.execute(query).first() is not None for query in owed):
        raise OnThePhone


def _asked(person: _Person) -> list[ColumnElement[bool]]:
    """Which callbacks are theirs: to a number that is theirs alone, and what their calls asked for by whatever number."""
    by_call = [tuple_(callbacks.c.pbx, callbacks.c.id).in_(keys) for keys in _cut(person.calls)]
    return [callbacks.c.number.in_(person.own), *by_call]


# -- erasing -----------------------------------------------------------------------------------------------------------


def _erase(connection: Connection, person: _Person, normalise: Normalise) -> dict[str, Any]:
    recorded = [key for keys in _cut(person.calls) for key in _recorded(connection, keys)]
    raised = _ids(connection, tickets, tickets.c.contact_id.in_(person.ids))
    numbers = _erase_numbers(connection, person, normalise)
    changed, mentions = _scrub(connection, person)
    apart = files_apart.c.kind == FileKind.CONTACT.value
    either = or_(files_apart.c.one.in_(person.ids), files_apart.c.other.in_(person.ids))
    connection.execute(delete(files_apart).where(apart, either))
    connection.execute(delete(contacts).where(contacts.c.id.in_(person.ids)))
    return {
        "contacts": person.ids,
        "customers": person.customers,
        "calls": [f"{pbx}/{key}" for pbx, key in person.calls],
        "recordings": recorded,
        "tickets": raised,
        "counts": {
            "files": len(person.ids),
            "numbers": len(person.numbers),
            "calls": len(person.calls),
            "recordings": len(recorded),
            "tickets": len(raised),
            **numbers,
            "texts": changed,
        },
        "mentions": mentions,
    }


def _recorded(connection: Connection, keys: Sequence[_Key]) -> list[str]:
    query = select(recordings.c.id).where(tuple_(recordings.c.pbx, recordings.c.call_id).in_(keys))
    return list(connection.scalars(query.order_by(recordings.c.id)))


def _erase_numbers(connection: Connection, person: _Person, normalise: Normalise) -> dict[str, int]:
    """Take the person off their calls, and their own numbers off whatever was rung or owed."""
    for keys in _cut(person.calls):
        these = tuple_(calls.c.pbx, calls.c.id).in_(keys)
        out = calls.c.direction == Direction.OUTBOUND.value
        changes = {
            "contact_id": None,
            "caller_name": None,
            "caller": case((out, calls.c.caller), else_=None),
            "dialled": case((out, None), else_=calls.c.dialled),
            "erased": True,
        }
        connection.execute(update(calls).where(these).values(changes))
    rung = owed = 0
    for keys in _cut(person.calls):
        # Whatever number was rung for them: it may have left their file since.
        others = (tuple_(legs.c.pbx, legs.c.call_id).in_(keys), legs.c.agent.is_(None), legs.c.party != GONE)
        rung += connection.execute(update(legs).where(*others).values(party=GONE)).rowcount
    like = _ends_like(person.own, legs.c.party)
    if like is not None:
        for row in connection.execute(select(legs.c.pbx, legs.c.call_id, legs.c.id, legs.c.party).where(like)).all():
            if normalise(row.party) in person.own:
                its = (legs.c.pbx == row.pbx) & (legs.c.call_id == row.call_id) & (legs.c.id == row.id)
                call = (calls.c.pbx == row.pbx) & (calls.c.id == row.call_id)
                connection.execute(select(calls.c.id).where(call).with_for_update())  # nobody saves it meanwhile
                rung += connection.execute(update(legs).where(its).values(party=GONE)).rowcount
    gone = {"number": GONE, "dial": GONE}
    for asked in _asked(person):
        owed += connection.execute(update(callbacks).where(asked, callbacks.c.number != GONE).values(gone)).rowcount
    return {"parties": rung, "callbacks": owed}


def _scrub(connection: Connection, person: _Person) -> tuple[int, dict[str, list[str]]]:
    """Take name and numbers out of texts; how many rows changed, and where a name stands that may be another's."""
    scrubber, needles = person.scrubber(), [*person.names, *person.emails, *person.given]
    needles += [form for number in person.own for form in written(number)]
    changed, mentions = 0, dict[str, list[str]]()
    touched: dict[Table, set[str]] = {tickets: set(), customers: set(), contacts: set()}
    for place in _places(person):
        likes = [like for column in place.columns for needle in needles for like in _written_in(column, needle)]
        theirs = case((place.theirs, 1), else_=0).label("theirs")
        keys = list(place.table.primary_key.columns)
        query = select(*keys, *place.columns, place.shown.label("shown"), theirs).where(or_(place.theirs, *likes))
        for row in connection.execute(query).all():
            said = row._mapping  # noqa: SLF001 - SQLAlchemy's own name for a row as a mapping
            before = {column.name: said[column] for column in place.columns}
            after = {name: scrubber.value(value, names=bool(row.theirs)) for name, value in before.items()}
            if after != before:
                its = [key == said[key] for key in keys]
                connection.execute(update(place.table).where(*its).values(after))
                changed += 1
                if place.found_by is not None:
                    touched[place.found_by].add(row.shown)
            if not row.theirs and any(scrubber.names_in(str(value)) for value in after.values() if value):
                mentions.setdefault(place.table.name, []).append(str(row.shown))
    for column, of in ((customers.c.name, customers), (contacts.c.name, contacts)):
        bearing = or_(*(column.icontains(name, autoescape=True) for name in person.names))
        others = _ids(connection, of, bearing, of.c.id.not_in(person.ids) if of is contacts else bearing)
        if others:
            mentions.setdefault(of.name, []).extend(others)
    for table, kind in (
        (tickets, search.Kind.TICKET),
        (customers, search.Kind.CUSTOMER),
        (contacts, search.Kind.CONTACT),
    ):
        ids = sorted(touched[table])
        for some in _cut(ids):
            # A form somebody still has open would bring the old text back: it is told that it is too old.
            connection.execute(update(table).where(table.c.id.in_(some)).values(version=table.c.version + 1))
        search.index(connection, kind, *ids)
    return changed, {name: list(dict.fromkeys(ids))[:MENTIONS] for name, ids in mentions.items()}


def _written_in(column: ColumnElement[Any], needle: str) -> list[ColumnElement[bool]]:
    """Whether it stands in the text, or in what the JSON of the column is kept as: with signs that are not ASCII escaped."""
    if not isinstance(column.type, JSON):
        return [column.icontains(needle, autoescape=True)]
    kept = cast(column, Text)
    return [kept.icontains(one, autoescape=True) for one in dict.fromkeys((needle, json.dumps(needle)[1:-1]))]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Texts of a table: ``theirs`` says which rows hang on the person, ``shown`` how a report names a row."""

    table: Table
    columns: tuple[ColumnElement[Any], ...]
    theirs: ColumnElement[bool]
    shown: ColumnElement[Any]
    found_by: Table | None = None


def _places(person: _Person) -> list[_Place]:
    at = person.customers
    by_call = select(call_tickets.c.ticket_id).where(
        tuple_(call_tickets.c.pbx, call_tickets.c.call_id).in_(
            select(calls.c.pbx, calls.c.id).where(calls.c.customer_id.in_(at))
        )
    )
    raised = or_(tickets.c.contact_id.in_(person.ids), tickets.c.customer_id.in_(at), tickets.c.id.in_(by_call))
    of_tickets = select(tickets.c.id).where(raised)
    noted = tuple_(call_notes.c.pbx, call_notes.c.call_id)
    of_customers = select(calls.c.pbx, calls.c.id).where(calls.c.customer_id.in_(at))
    on_tickets = select(call_tickets.c.pbx, call_tickets.c.call_id).where(call_tickets.c.ticket_id.in_(of_tickets))
    own_calls = [noted.in_(keys) for keys in _cut(person.calls)]
    t, a, s, n, v = tickets.c, ticket_attempts.c, ticket_steps.c, call_notes.c, site_visits.c
    return [
        _Place(
            table=tickets,
            columns=(t.subject, t.category, t.asked, t.next_step, t.confirmed_by),
            theirs=raised,
            shown=t.id,
            found_by=tickets,
        ),
        _Place(
            table=ticket_attempts,
            columns=(a.what, a.result),
            theirs=a.ticket_id.in_(of_tickets),
            shown=a.ticket_id,
            found_by=tickets,
        ),
        _Place(
            table=ticket_steps,
            columns=(s.reason, s.changes),
            theirs=s.ticket_id.in_(of_tickets),
            shown=s.ticket_id,
        ),
        _Place(
            table=call_notes,
            columns=(n.disposition, n.notes),
            theirs=or_(noted.in_(of_customers), noted.in_(on_tickets), *own_calls),
            shown=n.call_id,
        ),
        _Place(
            table=customers,
            columns=(customers.c.notes, customers.c.address, customers.c.hold_reason),
            theirs=customers.c.id.in_(at),
            shown=customers.c.id,
            found_by=customers,
        ),
        _Place(
            table=contacts,
            columns=(contacts.c.notes,),
            theirs=contacts.c.customer_id.in_(at) | contacts.c.id.in_(person.ids),
            shown=contacts.c.id,
            found_by=contacts,
        ),
        _Place(
            table=posts,
            columns=(posts.c.notes,),
            theirs=posts.c.customer_id.in_(at) | posts.c.contact_id.in_(person.ids),
            shown=posts.c.contact_id,
        ),
        _Place(
            table=site_visits,
            columns=(v.person, v.notes),
            theirs=v.customer_id.in_(at),
            shown=v.customer_id,
        ),
        _Place(
            table=audit,
            columns=(audit.c.subject, audit.c.changes),
            theirs=audit.c.subject.in_([*person.ids, *at]),
            shown=audit.c.id,
        ),
    ]


def _ids(connection: Connection, of: Table, *where: ColumnElement[bool]) -> list[str]:
    return list(connection.scalars(select(of.c.id).where(*where).order_by(of.c.id)))


def _cut(keys: Sequence[Any]) -> list[Sequence[Any]]:
    return [keys[first : first + BATCH] for first in range(0, len(keys), BATCH)]
