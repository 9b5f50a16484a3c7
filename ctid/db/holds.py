"""How long a customer's recordings are kept, and legal holds: customers of whom nothing is erased until the hold is lifted.

Law: a hold has a reason, a name and a time, and placing or lifting one stands in the audit. What hangs on a held customer by
any thread is held: the call's own customer, the caller's (now or at an earlier post), and those of the call's tickets. Who
writes those anew does so within ``none_taken_out``: a hold ends by being lifted, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, or_, select, tuple_, union_all, update

from ctid.db.audits import Actor, note
from ctid.db.files import FileKind, living
from ctid.db.session import Engine, instant, read, seconds, write
from ctid.db.tables import call_tickets, calls, contacts, customers, posts, recording_tickets, recordings, tickets
from ctid.domain.types import CallId

_Row = Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A customer under legal hold: why, by whom (``None``: the command line), since when (Unix seconds)."""

    customer_id: str
    customer: str
    reason: str
    by: str | None
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How long a customer's recordings are kept: ``days`` is ``None`` for as long as others'; ``hold`` says whether at all."""

    days: int | None
    hold: Hold | None


class CallUnderHold(Exception):  # noqa: N818 - it is an answer
    """A call would not be under a legal hold any more."""


class Holds:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def all(self) -> list[Hold]:
        """Every customer under hold, the longest held first."""
        query = select(customers).where(customers.c.hold_reason.is_not(None), customers.c.merged_into.is_(None))
        ordered = query.order_by(customers.c.held_since, customers.c.id)
        return await read(
            self._engine,
            lambda connection: [found for row in connection.execute(ordered) if (found := _hold(row)) is not None],
        )

    async def of(self, customer_id: str) -> Keeping:
        """What holds for the customer's recordings; raises ``NoSuchFile``."""

        def work(connection: Connection) -> Keeping:
            here = living(connection, FileKind.CUSTOMER, customer_id)
            row = connection.execute(select(customers).where(customers.c.id == here)).one()
            return Keeping(days=row.retention_days, hold=_hold(row))

        return await read(self._engine, work)

    async def place(self, customer_id: str, reason: str, by: Actor) -> None:
        """Hold the customer; of one that is held already the reason changes. Raises ``NoSuchFile``."""

        def work(connection: Connection) -> None:
            here = living(connection, FileKind.CUSTOMER, customer_id)
            was = connection.scalar(select(customers.c.hold_reason).where(customers.c.id == here))
            values: dict[str, Any] = {"hold_reason": reason}
            if was is None:
                values |= {"held_by": by.user_name, "held_since": instant(by.at)}
            connection.execute(update(customers).where(customers.c.id == here).values(values))
            note(connection, "hold_placed", here, by, {"legal_hold": (was, reason)})

        await write(self._engine, work)

    async def lift(self, customer_id: str, by: Actor) -> None:
        """Hold the customer no longer. Raises ``NoSuchFile``."""

        def work(connection: Connection) -> None:
            here = living(connection, FileKind.CUSTOMER, customer_id)
            was = connection.scalar(select(customers.c.hold_reason).where(customers.c.id == here))
            if was is not None:
                none = {"hold_reason": None, "held_by": None, "held_since": None}
                connection.execute(update(customers).where(customers.c.id == here).values(none))
                note(connection, "hold_lifted", here, by, {"legal_hold": (was, None)})

        await write(self._engine, work)

    async def keep_for(self, customer_id: str, days: int | None, by: Actor) -> None:
        """Keep the customer's recordings for so many days, ``None`` for as long as others'. Raises ``NoSuchFile``."""

        def work(connection: Connection) -> None:
            here = living(connection, FileKind.CUSTOMER, customer_id)
            was = connection.scalar(select(customers.c.retention_days).where(customers.c.id == here))
            if was != days:
                connection.execute(update(customers).where(customers.c.id == here).values(retention_days=days))
                note(connection, "retention_changed", here, by, {"retention_days": (was, days)})

        await write(self._engine, work)


def _hold(row: _Row) -> Hold | None:
    if row.hold_reason is None:
        return None
    return Hold(
        customer_id=row.id, customer=row.name, reason=row.hold_reason, by=row.held_by, since=seconds(row.held_since)
    )


# -- within statements of other stores ----------------------------------------------------------------------------------


def held_customers(by: str | None = None) -> Select[tuple[str]]:
    """The ids of customers under hold, and of those files that a held one took up; with ``by`` of that one's hold alone."""
    holding = customers.alias("holding")
    held = select(holding.c.id).where(holding.c.hold_reason.is_not(None))
    if by is not None:
        held = held.where(holding.c.id == by)
    return select(customers.c.id).where(or_(customers.c.id.in_(held), customers.c.merged_into.in_(held)))


def held_contacts(by: str | None = None) -> Select[tuple[str]]:
    """The ids of the people who are, or were, at a customer under hold, with the files they took up."""
    people = contacts.alias("people")
    there = union_all(
        select(people.c.id).where(people.c.customer_id.in_(held_customers(by))),
        select(posts.c.contact_id).where(posts.c.customer_id.in_(held_customers(by))),
    ).subquery()
    ids = select(there.c.id)
    return select(contacts.c.id).where(or_(contacts.c.id.in_(ids), contacts.c.merged_into.in_(ids)))


def _held_tickets(by: str | None = None) -> Select[tuple[str]]:
    held = or_(tickets.c.customer_id.in_(held_customers(by)), tickets.c.contact_id.in_(held_contacts(by)))
    return select(tickets.c.id).where(held)


def held_call(by: str | None = None) -> ColumnElement[bool]:
    """Whether a row of ``calls`` is held; with ``by`` under that customer's hold."""
    of_tickets = call_tickets.c.ticket_id.in_(_held_tickets(by))
    return or_(
        calls.c.customer_id.is_not(None) & calls.c.customer_id.in_(held_customers(by)),
        calls.c.contact_id.is_not(None) & calls.c.contact_id.in_(held_contacts(by)),
        tuple_(calls.c.pbx, calls.c.id).in_(select(call_tickets.c.pbx, call_tickets.c.call_id).where(of_tickets)),
    )


def held_recording() -> ColumnElement[bool]:
    """Whether a row of ``recordings`` joined to its ``calls`` is held."""
    by_file = select(recording_tickets.c.pbx, recording_tickets.c.recording_id).where(
        recording_tickets.c.ticket_id.in_(_held_tickets())
    )
    return or_(held_call(), tuple_(recordings.c.pbx, recordings.c.id).in_(by_file))


def calls_of_tickets(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a row of ``calls`` is, or was, on one of these tickets."""
    ids = call_tickets.c.ticket_id.in_(select(tickets.c.id).where(which))
    return tuple_(calls.c.pbx, calls.c.id).in_(select(call_tickets.c.pbx, call_tickets.c.call_id).where(ids))


def held_tickets(connection: Connection) -> dict[str, dict[str, str]]:
    """The tickets with calls that are held, each with what holds it: ``customer_id``, ``contact_id`` or both."""
    query = select(tickets.c.id, tickets.c.customer_id, tickets.c.contact_id)
    query = query.where(tickets.c.id.in_(select(call_tickets.c.ticket_id)))
    found: dict[str, dict[str, str]] = {}
    for column, of in ((tickets.c.customer_id, held_customers()), (tickets.c.contact_id, held_contacts())):
        for row in connection.execute(query.where(column.in_(of))):
            found.setdefault(row.id, {})[column.name] = row._mapping[column.name]  # noqa: SLF001 - SQLAlchemy's own name
    return found


@contextmanager
def none_taken_out(connection: Connection, which: ColumnElement[bool]) -> Iterator[None]:
    """While something is written that these calls may be held by.

    Raises ``CallUnderHold`` where one of them is then under a hold less, for the transaction to be rolled back.
    """
    before = _held_by(connection, which)
    yield
    if before and before - _held_by(connection, which):
        raise CallUnderHold


def _held_by(connection: Connection, which: ColumnElement[bool]) -> set[tuple[str, CallId, str]]:
    """Those of these calls that are held, each with the customer by whose hold."""
    holders = connection.scalars(select(customers.c.id).where(customers.c.hold_reason.is_not(None))).all()
    return {
        (row.pbx, row.id, one)
        for one in holders
        for row in connection.execute(select(calls.c.pbx, calls.c.id).where(which, held_call(one)))
    }
