"""Erases a person from the books, and keeps a report of what was erased that names nobody.

Law: an erasure goes through stages that are kept: asked, then (files gone) erased in one transaction, then done when the
database holds no remnants; one that is cut off goes on from where it was. While one of the person's customers is under legal
hold, or they are on the telephone, nothing is begun. What is theirs says ``traces``, how it is taken out ``erasing``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, tuple_, update

from ctid.db.audits import Actor, note
from ctid.db.callers import OPEN
from ctid.db.erasing import erase
from ctid.db.holds import held_customers, held_recording
from ctid.db.retention import Due
from ctid.db.session import Engine, instant, maybe_seconds, read, seconds, write
from ctid.db.tables import callbacks, calls, customers, erasures, recordings, tickets
from ctid.db.traces import Normalise, Person, callbacks_of, cut, files_of, ids_of, person_of
from ctid.domain.types import RecordingState

#: The daemon remembers a call that ended for ten minutes, and may save it once more.
REMEMBERED_SECONDS = 900.0

_Row = Row[*tuple[Any, ...]]


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


class Erasures:
    """``normalise`` gives a number as ctid compares it, by the site's own habits."""

    def __init__(self, engine: Engine, normalise: Normalise) -> None:
        self._engine = engine
        self._normalise = normalise

    async def preview(self, contact_id: str, now: float) -> dict[str, int]:
        """What would be erased, counted. Raises ``NoSuchFile``, ``ErasureRefused``."""

        def work(connection: Connection) -> dict[str, int]:
            person = person_of(connection, contact_id, self._normalise)
            _refuse(connection, person, now)
            theirs = tickets.c.contact_id.in_(person.ids)
            return {
                "files": len(person.ids),
                "numbers": len(person.numbers),
                "calls": len(person.calls),
                "recordings": len(files_of(connection, person)),
                "tickets": len(ids_of(connection, tickets, theirs)),
                "open_tickets": len(ids_of(connection, tickets, theirs, tickets.c.status.in_(OPEN))),
            }

        return await read(self._engine, work)

    async def ask(self, contact_id: str, by: Actor) -> Erasure:
        """Have the person erased by ``ctid erase finish``; of one asked before, that.

        Raises ``NoSuchFile``, ``ErasureRefused``.
        """

        def work(connection: Connection) -> Erasure:
            person = person_of(connection, contact_id, self._normalise)
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
            person = person_of(connection, of.contact_id, self._normalise)
            _refuse(connection, person, now)
            return [due for due in files_of(connection, person) if due.pbx == pbx]

        return await read(self._engine, work)

    async def erase(self, of: Erasure, now: float) -> Erasure:
        """Erase all rows in one transaction, once no file is left.

        Raises ``NoSuchFile``, ``ErasureRefused``.
        """

        def work(connection: Connection) -> Erasure:
            _still_asked(connection, of)
            person = person_of(connection, of.contact_id, self._normalise)
            _refuse(connection, person, now)
            left = files_of(connection, person)
            if left:
                raise FilesLeft(sorted({due.pbx for due in left}))
            report = erase(connection, person, self._normalise)
            changes = {"stage": Stage.ERASED.value, "report": report}
            connection.execute(update(erasures).where(erasures.c.id == of.id).values(changes))
            note(connection, "person_erased", of.contact_id, Actor(at=now, user_name=of.asked_by))
            return _erasure(connection.execute(select(erasures).where(erasures.c.id == of.id)).one())

        return await write(self._engine, work)

    async def keep_gone(self, gone: Sequence[Due]) -> None:
        """Have the books say that these files are erased."""

        def work(connection: Connection) -> None:
            for keys in cut([(due.pbx, due.id) for due in gone]):
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
            person = person_of(connection, of.contact_id, self._normalise)
            return [*person.names, *person.emails, *person.own, *person.forms()]

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


def _refuse(connection: Connection, person: Person, now: float) -> None:
    theirs = set(person.customers)
    recent = False
    for keys in cut(person.calls):
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
    if files_of(connection, person, held_recording()):
        raise UnderHold(None)
    # The daemon may save one that ended once more, as it may a call.
    fresh = or_(callbacks.c.ended_at.is_(None), callbacks.c.ended_at > instant(now - REMEMBERED_SECONDS))
    owed = (select(callbacks.c.id).where(fresh, asked).limit(1) for asked in callbacks_of(person))
    if recent or any(connection.execute(query).first() is not None for query in owed):
        raise OnThePhone
