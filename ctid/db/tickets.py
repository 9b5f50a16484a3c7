"""Tickets as calls need them: the one ticket of an answered call, its links, and lists for people.

Law: opening is idempotent by call, whoever asks at the same time: the counter's row is the lock, taken before the first look.
A link taken away stays as a removed one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Row, false, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ctid.db.callers import OPEN, ticket, ticket_columns
from ctid.db.session import instant, maybe_seconds, reading, seconds, upsert, writing
from ctid.db.tables import (
    agents,
    call_tickets,
    contacts,
    counters,
    customers,
    recording_tickets,
    recordings,
    tickets,
)
from ctid.domain.types import AgentId, CallId, Ticket

UNNAMED = "unknown number"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRecord:
    """A ticket with everything its own row holds; times in Unix seconds."""

    id: str
    subject: str
    status: str
    severity: int
    category: str | None
    owner: AgentId | None
    customer_id: str | None
    contact_id: str | None
    created_at: float
    promised_at: float | None
    resolved_at: float | None
    opened_by: AgentId | None
    resolved_by: AgentId | None
    pbx: str | None
    call_id: CallId | None


class NoSuchTicket(LookupError):  # noqa: N818 - it is an answer
    """One line that names the ticket nobody has."""


class Tickets:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def open_for_call(
        self,
        *,
        pbx: str,
        call_id: CallId,
        agent: AgentId,
        contact_id: str | None,
        customer_id: str | None,
        caller: str | None,
        at: float,
        outbound: bool = False,
    ) -> tuple[Ticket, bool]:
        """The answered call's ticket, linked to it and its recordings, and whether it was opened for it.

        The call's present ticket if it has one; else the newest open ticket of the contact (of the customer, where the number
        is shared by its contacts) that is the agent's or nobody's, which the agent then owns; else a new one.
        Of an ``outbound`` call ``caller`` is who was called.
        """
        async with writing(self._engine) as connection:
            await _lock(connection)
            if (linked := await _linked(connection, pbx, call_id)) is not None:
                return linked, False
            known = await _taken_up(connection, agent, contact_id, customer_id)
            if known is not None:
                await _link(connection, pbx, call_id, known.id, at)
                return known, False
            opened = await _opened(
                connection,
                pbx=pbx,
                call_id=call_id,
                agent=agent,
                contact_id=contact_id,
                customer_id=customer_id,
                caller=caller,
                at=at,
                outbound=outbound,
            )
            await _link(connection, pbx, call_id, opened.id, at)
            return opened, True

    async def relink(self, *, pbx: str, call_id: CallId, ticket_id: str, at: float) -> Ticket:
        """Give the call and its recordings to another ticket, in place of those they had. Raises ``NoSuchTicket``."""
        async with writing(self._engine) as connection:
            await _lock(connection)
            row = (await connection.execute(ticket_columns().where(tickets.c.id == ticket_id))).one_or_none()
            if row is None:
                raise NoSuchTicket(f"there is no ticket {ticket_id}; see: ctid tickets")
            for links, of_call in (
                (call_tickets, (call_tickets.c.pbx == pbx) & (call_tickets.c.call_id == call_id)),
                (recording_tickets, _of_recordings(pbx, call_id)),
            ):
                others = of_call & links.c.removed_at.is_(None) & (links.c.ticket_id != ticket_id)
                await connection.execute(update(links).where(others).values(removed_at=instant(at)))
                await connection.execute(
                    update(links).where(of_call, links.c.ticket_id == ticket_id).values(removed_at=None)
                )
            await _link(connection, pbx, call_id, ticket_id, at)
            return ticket(row)

    async def one(self, ticket_id: str) -> TicketRecord:
        """The ticket; raises ``NoSuchTicket``."""
        async with reading(self._engine) as connection:
            row = (await connection.execute(select(tickets).where(tickets.c.id == ticket_id))).one_or_none()
        if row is None:
            raise NoSuchTicket(f"there is no ticket {ticket_id}; see: ctid tickets")
        return _record(row)

    async def load(
        self,
        *,
        status: str | None = None,
        owner: AgentId | None = None,
        contact_id: str | None = None,
        customer_id: str | None = None,
        limit: int = 1000,
    ) -> list[TicketRecord]:
        """Tickets that fit every condition given, the newest first."""
        query = select(tickets).order_by(tickets.c.created_at.desc(), tickets.c.id.desc()).limit(limit)
        conditions = {"status": status, "owner": owner, "contact_id": contact_id, "customer_id": customer_id}
        for column, wanted in conditions.items():
            if wanted is not None:
                query = query.where(tickets.c[column] == wanted)
        async with reading(self._engine) as connection:
            return [_record(row) for row in await connection.execute(query)]


async def next_id(connection: AsyncConnection) -> str:
    """The next free ticket id, ``T1``, ``T2`` …; taken by the writing transaction it is asked in."""
    while True:
        step = (
            update(counters)
            .where(counters.c.name == "ticket")
            .values(value=counters.c.value + 1)
            .returning(counters.c.value)
        )
        number = (await connection.execute(step)).scalar_one()
        taken = select(tickets.c.id).where(tickets.c.id == f"T{number}")
        if (await connection.execute(taken)).scalar() is None:
            return f"T{number}"


async def _lock(connection: AsyncConnection) -> None:
    await connection.execute(select(counters.c.value).where(counters.c.name == "ticket").with_for_update())


async def _linked(connection: AsyncConnection, pbx: str, call_id: CallId) -> Ticket | None:
    newest = (
        ticket_columns()
        .join(call_tickets, call_tickets.c.ticket_id == tickets.c.id)
        .where(call_tickets.c.pbx == pbx, call_tickets.c.call_id == call_id, call_tickets.c.removed_at.is_(None))
        .order_by(call_tickets.c.linked_at.desc(), tickets.c.id)
        .limit(1)
    )
    row = (await connection.execute(newest)).one_or_none()
    return None if row is None else ticket(row)


async def _taken_up(
    connection: AsyncConnection, agent: AgentId, contact_id: str | None, customer_id: str | None
) -> Ticket | None:
    if contact_id is not None:
        whose: ColumnElement[bool] = tickets.c.contact_id == contact_id
    elif customer_id is not None:
        whose = tickets.c.customer_id == customer_id
    else:
        whose = false()
    newest = (
        ticket_columns()
        .where(whose, tickets.c.status.in_(OPEN), or_(tickets.c.owner == agent, tickets.c.owner.is_(None)))
        .order_by(tickets.c.created_at.desc(), tickets.c.id.desc())
        .limit(1)
    )
    row = (await connection.execute(newest)).one_or_none()
    if row is None:
        return None
    if row.owner is None:
        await connection.execute(update(tickets).where(tickets.c.id == row.id).values(owner=agent))
    return replace(ticket(row), owner=agent)


async def _opened(
    connection: AsyncConnection,
    *,
    pbx: str,
    call_id: CallId,
    agent: AgentId,
    contact_id: str | None,
    customer_id: str | None,
    caller: str | None,
    at: float,
    outbound: bool,
) -> Ticket:
    # The core's ids are a moment old: a contact deleted meanwhile must not cost the call its ticket.
    person = select(contacts.c.name, contacts.c.customer_id).where(contacts.c.id == contact_id)
    contact = (await connection.execute(person)).one_or_none()
    firm = select(customers.c.id, customers.c.name).where(
        customers.c.id == (contact.customer_id if contact else customer_id)
    )
    customer = (await connection.execute(firm)).one_or_none()
    owner = (await connection.execute(select(agents.c.id).where(agents.c.id == agent))).scalar()
    who = contact.name if contact else customer.name if customer else caller or UNNAMED
    new = {
        "id": await next_id(connection),
        "subject": f"Call to {who}" if outbound else f"Call from {who}",
        "owner": owner,
        "contact_id": contact_id if contact else None,
        "customer_id": customer.id if customer else None,
        "created_at": instant(at),
        "opened_by": owner,
        "pbx": pbx,
        "call_id": call_id,
    }
    await connection.execute(insert(tickets).values(new))
    return ticket((await connection.execute(ticket_columns().where(tickets.c.id == new["id"]))).one())


async def _link(connection: AsyncConnection, pbx: str, call_id: CallId, ticket_id: str, at: float) -> None:
    link = {"pbx": pbx, "call_id": call_id, "ticket_id": ticket_id, "linked_at": instant(at)}
    await connection.execute(upsert(connection, call_tickets).values(link).on_conflict_do_nothing())
    ids = select(recordings.c.id).where(recordings.c.pbx == pbx, recordings.c.call_id == call_id)
    for recording_id in (await connection.scalars(ids)).all():
        link = {"pbx": pbx, "recording_id": recording_id, "ticket_id": ticket_id, "linked_at": instant(at)}
        await connection.execute(upsert(connection, recording_tickets).values(link).on_conflict_do_nothing())


def _of_recordings(pbx: str, call_id: CallId) -> ColumnElement[bool]:
    ids = select(recordings.c.id).where(recordings.c.pbx == pbx, recordings.c.call_id == call_id)
    return (recording_tickets.c.pbx == pbx) & recording_tickets.c.recording_id.in_(ids)


def _record(row: Row[tuple[object, ...]]) -> TicketRecord:
    return TicketRecord(
        id=row.id,
        subject=row.subject,
        status=row.status,
        severity=row.severity,
        category=row.category,
        owner=row.owner,
        customer_id=row.customer_id,
        contact_id=row.contact_id,
        created_at=seconds(row.created_at),
        promised_at=maybe_seconds(row.promised_at),
        resolved_at=maybe_seconds(row.resolved_at),
        opened_by=row.opened_by,
        resolved_by=row.resolved_by,
        pbx=row.pbx,
        call_id=row.call_id,
    )
