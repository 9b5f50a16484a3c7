"""Tickets as people write them: each change one transaction, with its steps, refused where the rules or a newer version say so.

Law: the rules are the desk's (``ctid.desk.changes``); here the row is locked, read, changed by them and written with its
steps. A form written on an older version is put together with what others wrote meanwhile, or told what differs; nothing is
overwritten unseen. No other customer or contact takes the ticket's calls out of a legal hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select, update

from ctid.db import search
from ctid.db.holds import CallUnderHold, calls_of_tickets, none_taken_out
from ctid.db.session import Engine, instant, read, write
from ctid.db.tables import agents, ticket_attempts, tickets
from ctid.db.ticket_rows import attempts_of, put_attempts, put_steps, record, steps_of, values
from ctid.db.tickets import NoSuchTicket, firm_of, next_id, person_of
from ctid.desk.changes import (
    DECIDED_BY,
    Change,
    HandOver,
    PassOn,
    Refusal,
    Resolve,
    Try,
    Write,
    carry_out,
    differences,
)
from ctid.desk.merging import before_steps, merge
from ctid.desk.promises import PROMISE_HOURS, first_promise
from ctid.desk.ticket import Actor, Attempt, Step, StepKind, TicketRecord, Written

#: The same attempt sent twice within this time is one: a browser whose answer was lost sends its form again.
AGAIN_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A ticket with its whole history, the oldest first."""

    ticket: TicketRecord
    steps: tuple[Step, ...]
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """Somebody else was faster: the ticket as it is now, what they did, and the fields where the two differ.

    ``steps`` is empty where nobody can tell (an import, a version of long ago). ``written`` is what the later one wants there,
    on top of what others wrote.
    """

    ticket: TicketRecord
    steps: tuple[Step, ...]
    differ: tuple[str, ...]
    written: Written


class TicketDesk:
    """``promise_hours`` are the hours a new ticket is promised in, by severity 1 to 5."""

    def __init__(self, engine: Engine, *, promise_hours: Sequence[float] = PROMISE_HOURS) -> None:
        self._engine = engine
        self._promise_hours = promise_hours

    async def story(self, ticket_id: str) -> Story:
        """The ticket with its history; raises ``NoSuchTicket``."""

        def work(connection: Connection) -> Story:
            ticket = _ticket(connection, ticket_id)
            steps = tuple(step for step, _ in steps_of(connection, ticket_id))
            return Story(ticket=ticket, steps=steps, attempts=tuple(attempts_of(connection, ticket_id)))

        return await read(self._engine, work)

    async def change(
        self, ticket_id: str, changes: Sequence[Change], *, by: Actor, at: float, version: int
    ) -> TicketRecord | Stale | Refusal:
        """Carry out all of the changes, or none; ``version`` is that of the ticket they were decided on.

        Raises ``NoSuchTicket``.
        """

        def work(connection: Connection) -> TicketRecord | Stale | Refusal:
            ticket = _ticket(connection, ticket_id, lock=True)
            fresh = [one for one in changes if not _said_before(connection, ticket_id, one, by, at)]
            reconciled = _reconciled(connection, ticket, fresh, version)
            if isinstance(reconciled, Stale):
                return reconciled
            settled: list[Change] = []
            for one in reconciled:
                fit = _settled(connection, ticket, one)
                if isinstance(fit, Refusal):
                    return fit
                settled.append(fit)
            done = carry_out(ticket, settled, by=by, at=at, promise_hours=self._promise_hours)
            if isinstance(done, Refusal):
                return done
            moved = done.ticket.version != ticket.version
            if moved:
                names = [name for name, _, _ in differences(ticket, done.ticket)]
                row = values(done.ticket, (*names, "version", "changed_at"))
                this = tickets.c.id == ticket_id
                whose = not {"customer_id", "contact_id"}.isdisjoint(names)
                with none_taken_out(connection, calls_of_tickets(this)) if whose else nullcontext():
                    connection.execute(update(tickets).where(this).values(row))
            versions = (ticket.version, done.ticket.version) if moved else None
            put_steps(connection, ticket_id, done.steps, versions=versions)
            put_attempts(connection, ticket_id, done.attempts)
            if moved or done.attempts:
                search.index(connection, search.Kind.TICKET, ticket_id)
            return done.ticket

        try:
            return await write(self._engine, work)
        except CallUnderHold:
            return Refusal.UNDER_HOLD

    async def open(self, written: Written, *, by: Actor, at: float) -> TicketRecord | Refusal:
        """A new ticket without a call, owned by the agent who writes it, if one does."""

        def work(connection: Connection) -> TicketRecord | Refusal:
            if by.agent is None and not by.supervisor:
                return Refusal.NOT_SERVING
            blank = TicketRecord(id="", subject="", created_at=at)
            fit = _settled(connection, blank, Write(written=written))
            if isinstance(fit, Refusal):
                return fit
            assert isinstance(fit, Write)
            ticket = TicketRecord(
                id=next_id(connection),
                created_at=at,
                changed_at=at,
                owner=by.agent,
                opened_by=by.agent,
                promised_at=first_promise(fit.written.severity, at, self._promise_hours),
                **{name: getattr(fit.written, name) for name in fit.only},
            )
            names = ("id", "subject", "created_at", *(name for name, _, _ in differences(blank, ticket)))
            connection.execute(tickets.insert().values(values(ticket, {*names, "changed_at"})))
            opened = Step(kind=StepKind.OPENED, at=at, agent=by.agent, user_name=by.user_name, to_agent=by.agent)
            put_steps(connection, ticket.id, [opened], versions=None)
            search.index(connection, search.Kind.TICKET, ticket.id)
            return ticket

        return await write(self._engine, work)


def _ticket(connection: Connection, ticket_id: str, *, lock: bool = False) -> TicketRecord:
    query = select(tickets).where(tickets.c.id == ticket_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NoSuchTicket(f"there is no ticket {ticket_id}; see: ctid tickets")
    return record(row)


def _said_before(connection: Connection, ticket_id: str, change: Change, by: Actor, at: float) -> bool:
    if not isinstance(change, Try):
        return False
    log = ticket_attempts
    same = select(log.c.id).where(
        log.c.ticket_id == ticket_id,
        log.c.at > instant(at - AGAIN_SECONDS),
        log.c.what == change.what,
        *(
            column.is_(None) if said is None else column == said
            for column, said in (
                (log.c.result, change.result),
                (log.c.call_id, change.call_id),
                (log.c.agent, by.agent),
            )
        ),
    )
    return connection.execute(same.limit(1)).scalar() is not None


def _reconciled(
    connection: Connection, ticket: TicketRecord, changes: Sequence[Change], version: int
) -> Sequence[Change] | Stale:
    """The changes as they are to be carried out on the ticket as it is now."""
    if version == ticket.version:
        return changes
    since = [(step, led) for step, led in steps_of(connection, ticket.id) if led is not None and led[0] >= version]
    told = {led[1] for _, led in since} == set(range(version + 1, ticket.version + 1))
    steps = tuple(step for step, _ in since) if told else ()
    touched = {name for step in steps for name, _, _ in step.changes}
    differ: list[str] = []
    written = ticket.written
    reconciled: list[Change] = []
    for change in changes:
        decided = DECIDED_BY[type(change)]
        differ += sorted(decided & touched if told else decided)
        if not isinstance(change, Write):
            reconciled.append(change)
            continue
        now, mine = ticket.written, change.over(ticket.written)
        merged = merge(before_steps(now, steps), now, mine, change.only)
        differ += merged.differ if told else (name for name in change.only if getattr(mine, name) != getattr(now, name))
        written = merged.written
        reconciled.append(replace(change, written=written))
    if not differ:
        return reconciled
    return Stale(ticket=ticket, steps=steps, differ=tuple(dict.fromkeys(differ)), written=written)


def _settled(connection: Connection, ticket: TicketRecord, change: Change) -> Change | Refusal:
    """The change with what the tables know: that whom it names is there, and whose the contact is."""
    match change:
        case HandOver(to=to) | PassOn(to=to) | Resolve(by=str() as to):
            there = select(agents.c.id).where(agents.c.id == to, agents.c.enabled)
            return Refusal.NO_SUCH_AGENT if connection.execute(there).one_or_none() is None else change
        case Write():
            return _settled_people(connection, ticket, change.over(ticket.written), change)
        case _:
            return change


def _settled_people(connection: Connection, ticket: TicketRecord, mine: Written, change: Write) -> Change | Refusal:
    if mine.contact_id is not None and mine.contact_id != ticket.contact_id:
        person = person_of(connection, mine.contact_id)
        if person is None:
            return Refusal.NO_SUCH_CONTACT
        mine = replace(mine, contact_id=person.id)
        if mine.customer_id == ticket.customer_id:
            mine = replace(mine, customer_id=person.customer_id)
        if mine.department == ticket.department:
            mine = replace(mine, department=person.department)
    if mine.customer_id is not None and mine.customer_id != ticket.customer_id:
        firm = firm_of(connection, mine.customer_id)
        if firm is None:
            return Refusal.NO_SUCH_CUSTOMER
        mine = replace(mine, customer_id=firm.id)
    only = {*change.only, *(("customer_id", "department") if "contact_id" in change.only else ())}
    return replace(change, written=mine, only=tuple(sorted(only)))
