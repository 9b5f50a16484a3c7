"""Tickets as calls need them: the one ticket of an answered call, its links, and lists for people.

Law: opening is idempotent by call, whoever asks at the same time: the counter's row is the lock, taken before the first look.
A link taken away stays as a removed one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, or_, select, update

from ctid.db import search
from ctid.db.callers import OPEN, ticket, ticket_columns
from ctid.db.session import Engine, insert_new, instant, maybe_seconds, reading, seconds, write
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
    def __init__(self, engine: Engine) -> None:
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

        def work(connection: Connection) -> tuple[Ticket, bool]:
            _lock(connection)
            if (linked := _linked(connection, pbx, call_id)) is not None:
                return linked, False
            known = _taken_up(connection, agent, contact_id, customer_id)
            if known is not None:
                _link(connection, pbx, call_id, known.id, at)
                return known, False
            opened = _opened(
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
            _link(connection, pbx, call_id, opened.id, at)
            return opened, True

        return await write(self._engine, work)

    async def relink(self, *, pbx: str, call_id: CallId, ticket_id: str, at: float) -> Ticket:
        """Give the call and its recordings to another ticket, in place of those they had. Raises ``NoSuchTicket``."""

        def work(connection: Connection) -> Ticket:
            _lock(connection)
            row = connection.execute(ticket_columns().where(tickets.c.id == ticket_id)).one_or_none()
            if row is None:
                raise NoSuchTicket(f"there is no ticket {ticket_id}; see: ctid tickets")
            for links, of_call in (
                (call_tickets, (call_tickets.c.pbx == pbx) & (call_tickets.c.call_id == call_id)),
                (recording_tickets, _of_recordings(pbx, call_id)),
            ):
                others = of_call & links.c.removed_at.is_(None) & (links.c.ticket_id != ticket_id)
                connection.execute(update(links).where(others).values(removed_at=instant(at)))
                connection.execute(update(links).where(of_call, links.c.ticket_id == ticket_id).values(removed_at=None))
            _link(connection, pbx, call_id, ticket_id, at)
            return ticket(row)

        return await write(self._engine, work)

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


# Made once: making a statement costs more than SQLite takes to carry it out.
_LOCK = select(counters.c.value).where(counters.c.name == "ticket").with_for_update()
_STEP = (
    update(counters)
    .where(counters.c.name == "ticket")
    .values(value=counters.c.value + 1)
    .returning(counters.c.value)
)  # fmt: skip
_TAKEN = select(tickets.c.id).where(tickets.c.id == bindparam("id"))
_LINKED = (
    ticket_columns()
    .join(call_tickets, call_tickets.c.ticket_id == tickets.c.id)
    .where(
        call_tickets.c.pbx == bindparam("pbx"),
        call_tickets.c.call_id == bindparam("call_id"),
        call_tickets.c.removed_at.is_(None),
    )
    .order_by(call_tickets.c.linked_at.desc(), tickets.c.id)
    .limit(1)
)
_PERSON = select(contacts.c.name, contacts.c.customer_id).where(contacts.c.id == bindparam("id"))
_FIRM = select(customers.c.id, customers.c.name).where(customers.c.id == bindparam("id"))
_AGENT = select(agents.c.id).where(agents.c.id == bindparam("id"))
_NEW = tickets.insert().returning(*ticket_columns().selected_columns)
_RECORDINGS = select(recordings.c.id).where(
    recordings.c.pbx == bindparam("pbx"), recordings.c.call_id == bindparam("call_id")
)


def _newest_open(whose: ColumnElement[str]) -> Select[tuple[object, ...]]:
    return (
        ticket_columns()
        .where(
            whose == bindparam("whose"),
            tickets.c.status.in_(OPEN),
            or_(tickets.c.owner == bindparam("agent"), tickets.c.owner.is_(None)),
        )
        .order_by(tickets.c.created_at.desc(), tickets.c.id.desc())
        .limit(1)
    )


_OF_CONTACT, _OF_CUSTOMER = _newest_open(tickets.c.contact_id), _newest_open(tickets.c.customer_id)


def next_id(connection: Connection) -> str:
    """The next free ticket id, ``T1``, ``T2`` …; taken by the writing transaction it is asked in."""
    while True:
        number = connection.execute(_STEP).scalar_one()
        if connection.execute(_TAKEN, {"id": f"T{number}"}).scalar() is None:
            return f"T{number}"


def _lock(connection: Connection) -> None:
    connection.execute(_LOCK)


def _linked(connection: Connection, pbx: str, call_id: CallId) -> Ticket | None:
    row = connection.execute(_LINKED, {"pbx": pbx, "call_id": call_id}).one_or_none()
    return None if row is None else ticket(row)


def _taken_up(connection: Connection, agent: AgentId, contact_id: str | None, customer_id: str | None) -> Ticket | None:
    whose = contact_id if contact_id is not None else customer_id
    if whose is None:
        return None
    newest = _OF_CONTACT if contact_id is not None else _OF_CUSTOMER
    row = connection.execute(newest, {"whose": whose, "agent": agent}).one_or_none()
    if row is None:
        return None
    if row.owner is None:
        connection.execute(update(tickets).where(tickets.c.id == row.id).values(owner=agent))
    return replace(ticket(row), owner=agent)


def _opened(
    connection: Connection,
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
    contact = None if contact_id is None else connection.execute(_PERSON, {"id": contact_id}).one_or_none()
    firm = contact.customer_id if contact is not None else customer_id
    customer = None if firm is None else connection.execute(_FIRM, {"id": firm}).one_or_none()
    owner = connection.execute(_AGENT, {"id": agent}).scalar()
    who = contact.name if contact is not None else customer.name if customer is not None else caller or UNNAMED
    new = {
        "id": next_id(connection),
        "subject": f"Call to {who}" if outbound else f"Call from {who}",
        "owner": owner,
        "contact_id": contact_id if contact is not None else None,
        "customer_id": customer.id if customer is not None else None,
        "created_at": instant(at),
        "opened_by": owner,
        "pbx": pbx,
        "call_id": call_id,
    }
    opened = ticket(connection.execute(_NEW, new).one())
    search.index(connection, search.Kind.TICKET, opened.id)
    return opened


def _link(connection: Connection, pbx: str, call_id: CallId, ticket_id: str, at: float) -> None:
    link = {"pbx": pbx, "ticket_id": ticket_id, "linked_at": instant(at)}
    connection.execute(insert_new(connection, call_tickets), {**link, "call_id": call_id})
    ids = connection.scalars(_RECORDINGS, {"pbx": pbx, "call_id": call_id}).all()
    if ids:
        connection.execute(insert_new(connection, recording_tickets), [{**link, "recording_id": one} for one in ids])


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
