"""A call moves to another ticket, or gets its contact, after the fact: live, or ended hours ago.

Law: one transaction; whoever talked in the call, or has its ticket, may: with a ticket goes the right to hear what was said.
Whom it only rang may say who the caller is, and move a call that nobody answered. A contact goes to the call, and to the
ticket that was opened for it where nobody named one there; none takes a call out of a legal hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, or_, select, update

from ctid.db import search
from ctid.db.callers import file_of
from ctid.db.calls import Calls, NoSuchCall
from ctid.db.holds import calls_of_tickets, none_taken_out
from ctid.db.session import Engine, instant, write
from ctid.db.tables import call_tickets, calls, contacts, legs, tickets
from ctid.db.ticket_rows import put_steps
from ctid.db.tickets import lock, opened, person_of, relinked
from ctid.desk.promises import PROMISE_HOURS
from ctid.desk.ticket import CALL_FROM, CALL_TO, Step, StepKind
from ctid.domain.types import AgentId, CallerFile, CallId, CallRecord, Direction, Ticket

#: Merged calls that are followed from one to the next, at most.
_MERGES = 10


class NotTheirCall(Exception):  # noqa: N818 - it is an answer
    """The agent was not in the call, and has none of its tickets."""


class NoSuchContact(LookupError):  # noqa: N818 - it is an answer
    """There is no such contact, or another file took it up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relinked:
    """What the call has now: ``ticket`` if it moved, ``file`` if it got a contact."""

    call: CallRecord
    ticket: Ticket | None
    file: CallerFile | None


class Relinking:
    """``promise_hours`` are the hours a new ticket is promised in, by severity 1 to 5."""

    def __init__(self, engine: Engine, *, promise_hours: Sequence[float] = PROMISE_HOURS) -> None:
        self._engine = engine
        self._calls = Calls(engine)
        self._promise_hours = promise_hours

    async def relink(
        self,
        *,
        pbx: str,
        call_id: CallId,
        agent: AgentId,
        ticket_id: str | None = None,
        new: bool = False,
        contact_id: str | None = None,
        at: float,
    ) -> Relinked:
        """Give the call and its recordings to a ticket (or a ``new`` one) of the agent's choice, and a contact.

        Raises ``NoSuchCall``, ``NotTheirCall``, ``CallUnderHold``, ``NoSuchTicket`` or ``NoSuchContact``, and has then
        changed nothing.
        """

        def work(connection: Connection) -> tuple[CallId, Ticket | None, CallerFile | None]:
            lock(connection)
            call = _call(connection, pbx, call_id)
            if not _may(connection, call, agent, moves=new or ticket_id is not None):
                raise NotTheirCall
            customer_id, file = call.customer_id, None
            if contact_id is not None:
                this = (calls.c.pbx == pbx) & (calls.c.id == call.id)
                its = calls_of_tickets((tickets.c.pbx == pbx) & (tickets.c.call_id == call.id))
                with none_taken_out(connection, or_(this, its)):
                    customer_id = _give_contact(connection, call, contact_id, agent, at)
            ticket = None
            if new:
                outbound = call.direction == Direction.OUTBOUND.value
                made = opened(
                    connection,
                    pbx=pbx,
                    call_id=call.id,
                    agent=agent,
                    contact_id=contact_id or call.contact_id,
                    customer_id=customer_id,
                    caller=call.dialled if outbound else call.caller,
                    at=at,
                    outbound=outbound,
                    promise_hours=self._promise_hours,
                )
                ticket = relinked(connection, pbx=pbx, call_id=call.id, ticket_id=made.id, at=at, agent=agent)
            elif ticket_id is not None:
                ticket = relinked(connection, pbx=pbx, call_id=call.id, ticket_id=ticket_id, at=at, agent=agent)
            if contact_id is not None:
                file = file_of(connection, contact_id, None)
            return call.id, ticket, file

        found, ticket, file = await write(self._engine, work)
        return Relinked(call=await self._calls.one(f"{pbx}/{found}"), ticket=ticket, file=file)


def _call(connection: Connection, pbx: str, call_id: CallId) -> Any:
    """The call's row, or that of the one it was merged into."""
    for _ in range(_MERGES):
        row = connection.execute(select(calls).where(calls.c.pbx == pbx, calls.c.id == call_id)).one_or_none()
        if row is None:
            break
        if row.merged_into is None:
            return row
        call_id = row.merged_into
    raise NoSuchCall(f"there is no call {call_id} of {pbx}")


def _may(connection: Connection, call: Any, agent: AgentId, *, moves: bool) -> bool:
    stays = select(legs.c.id).where(legs.c.pbx == call.pbx, legs.c.call_id == call.id, legs.c.agent == agent)
    if moves and (call.answered_at is not None or call.ended_at is None):
        stays = stays.where(legs.c.answered_at.is_not(None))
    owned = (
        select(tickets.c.id)
        .join(call_tickets, call_tickets.c.ticket_id == tickets.c.id)
        .where(
            call_tickets.c.pbx == call.pbx,
            call_tickets.c.call_id == call.id,
            call_tickets.c.removed_at.is_(None),
            (tickets.c.owner == agent) | (tickets.c.with_agent == agent),
        )
    )
    return call.agent == agent or any(connection.execute(q.limit(1)).one_or_none() for q in (stays, owned))


def _give_contact(connection: Connection, call: Any, contact_id: str, agent: AgentId, at: float) -> str | None:
    """The call is this contact's, and so is the ticket that was opened for it; the contact's customer."""
    there = select(contacts.c.id).where(contacts.c.id == contact_id, contacts.c.merged_into.is_(None))
    person = person_of(connection, contact_id) if connection.execute(there).one_or_none() is not None else None
    if person is None:
        raise NoSuchContact
    connection.execute(
        update(calls)
        .where(calls.c.pbx == call.pbx, calls.c.id == call.id)
        .values(contact_id=contact_id, customer_id=person.customer_id)
    )
    unnamed = select(tickets).where(
        tickets.c.pbx == call.pbx, tickets.c.call_id == call.id, tickets.c.contact_id.is_(None)
    )
    for row in connection.execute(unnamed).all():
        values = {"contact_id": contact_id, "customer_id": person.customer_id}
        if row.department is None:
            values["department"] = person.department
        for beginning in (CALL_FROM, CALL_TO):  # nobody has said yet what it is about
            if row.subject.startswith(beginning):
                values["subject"] = beginning + person.name
        changes = tuple((name, getattr(row, name), value) for name, value in values.items())
        changes = tuple(change for change in changes if change[1] != change[2])
        moved = {**values, "changed_at": instant(at), "version": row.version + 1}
        connection.execute(update(tickets).where(tickets.c.id == row.id).values(**moved))
        step = Step(kind=StepKind.CHANGED, at=at, agent=agent, changes=changes)
        put_steps(connection, row.id, [step], versions=(row.version, row.version + 1))
        search.index(connection, search.Kind.TICKET, row.id)
    customer: str | None = person.customer_id
    return customer
