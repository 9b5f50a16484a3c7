"""Tickets as calls need them: the one ticket of an answered call, its links, and lists for people.

Law: opening is idempotent by call, whoever asks at the same time: the counter's row is the lock, taken before the first look.
A link taken away stays as a removed one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, String, Table, bindparam, or_, select, update

from ctid.db import search
from ctid.db.books import Mark, older
from ctid.db.callers import OPEN, ticket, ticket_columns
from ctid.db.files import living_id
from ctid.db.session import Engine, insert_new, instant, reading, write
from ctid.db.tables import (
    agents,
    call_tickets,
    calls,
    contacts,
    counters,
    customers,
    recording_tickets,
    recordings,
    tickets,
)
from ctid.db.ticket_rows import put_steps, record
from ctid.desk.promises import PROMISE_HOURS, first_promise
from ctid.desk.ticket import CALL_FROM, CALL_TO, Step, StepKind, TicketRecord
from ctid.domain.types import AgentId, CallId, Ticket

UNNAMED = "unknown number"
#: Of a ticket of which nobody has said more yet.
FIRST_SEVERITY = 3


class NoSuchTicket(LookupError):  # noqa: N818 - it is an answer
    """One line that names the ticket nobody has."""


class Tickets:
    """``promise_hours`` are the hours a new ticket is promised in, by severity 1 to 5."""

    def __init__(self, engine: Engine, *, promise_hours: Sequence[float] = PROMISE_HOURS) -> None:
        self._engine = engine
        self._first_promise_hours = promise_hours

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
        ticket_id: str | None = None,
    ) -> tuple[Ticket, bool]:
        """The answered call's ticket, linked to it and its recordings, and whether it was opened for it.

        The call's present ticket if it has one; else the one named by ``ticket_id``, if it is there; else the newest open
        ticket of the contact (of the customer, where the number is shared by its contacts) that is the agent's or nobody's,
        which the agent then owns; else a new one.
        Of an ``outbound`` call ``caller`` is who was called.
        """

        def work(connection: Connection) -> tuple[Ticket, bool]:
            lock(connection)
            if (linked := _linked(connection, pbx, call_id)) is not None:
                return linked, False
            known = _named(connection, ticket_id) or _taken_up(connection, agent, contact_id, customer_id, at)
            if known is not None:
                _link(connection, pbx, call_id, known.id, at)
                called = Step(kind=StepKind.CALLED, at=at, agent=_there(connection, agent), changes=_came(pbx, call_id))
                put_steps(connection, known.id, [called], versions=None)
                return known, False
            made = opened(
                connection,
                pbx=pbx,
                call_id=call_id,
                agent=agent,
                contact_id=contact_id,
                customer_id=customer_id,
                caller=None if connection.scalar(_ERASED, {"pbx": pbx, "call_id": call_id}) else caller,
                at=at,
                outbound=outbound,
                promise_hours=self._first_promise_hours,
            )
            _link(connection, pbx, call_id, made.id, at)
            return made, True

        return await write(self._engine, work)

    async def one(self, ticket_id: str) -> TicketRecord:
        """The ticket; raises ``NoSuchTicket``."""
        async with reading(self._engine) as connection:
            row = (await connection.execute(select(tickets).where(tickets.c.id == ticket_id))).one_or_none()
        if row is None:
            raise NoSuchTicket(f"there is no ticket {ticket_id}; see: ctid tickets")
        return record(row)

    async def load(
        self,
        *,
        status: str | None = None,
        owner: AgentId | None = None,
        contact_id: str | None = None,
        customer_id: str | None = None,
        after: Mark | None = None,
        limit: int = 1000,
    ) -> list[TicketRecord]:
        """Tickets that fit every condition given and come ``after`` the mark, the newest first."""
        query = select(tickets).order_by(tickets.c.created_at.desc(), tickets.c.id.desc()).limit(limit)
        conditions = {"status": status, "owner": owner, "contact_id": contact_id, "customer_id": customer_id}
        for column, wanted in conditions.items():
            if wanted is not None:
                query = query.where(tickets.c[column] == wanted)
        if after is not None:
            query = query.where(older(after, tickets.c.created_at, tickets.c.id))
        async with reading(self._engine) as connection:
            return [record(row) for row in await connection.execute(query)]

    async def some(self, keys: Sequence[str]) -> list[TicketRecord]:
        """Those of these tickets that are there, in this order."""
        async with reading(self._engine) as connection:
            rows = await connection.execute(select(tickets).where(tickets.c.id.in_(keys)))
            found = {row.id: record(row) for row in rows}
        return [found[key] for key in keys if key in found]


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
_LINKED_IDS = select(call_tickets.c.ticket_id).where(
    call_tickets.c.pbx == bindparam("pbx"),
    call_tickets.c.call_id == bindparam("call_id"),
    call_tickets.c.removed_at.is_(None),
)
_ERASED = select(calls.c.erased).where(calls.c.pbx == bindparam("pbx"), calls.c.id == bindparam("call_id"))
_PERSON = select(contacts.c.id, contacts.c.name, contacts.c.customer_id, contacts.c.department).where(
    contacts.c.id == living_id(contacts, bindparam("id", type_=String))
)
_FIRM = select(customers.c.id, customers.c.name).where(
    customers.c.id == living_id(customers, bindparam("id", type_=String))
)
_AGENT = select(agents.c.id).where(agents.c.id == bindparam("id"))
_TAKE = (
    update(tickets)
    .where(tickets.c.id == bindparam("key"))
    .values(owner=bindparam("agent"), with_agent=None, changed_at=bindparam("changed"), version=tickets.c.version + 1)
)
_NEW = tickets.insert().returning(*ticket_columns().selected_columns)
_RECORDINGS = select(recordings.c.id).where(
    recordings.c.pbx == bindparam("pbx"), recordings.c.call_id == bindparam("call_id")
)


def _newest_open(whose: ColumnElement[str], files: Table) -> Select[tuple[object, ...]]:
    return (
        ticket_columns()
        .add_columns(tickets.c.version)
        .where(
            whose == living_id(files, bindparam("whose", type_=String)),
            tickets.c.status.in_(OPEN),
            or_(tickets.c.owner == bindparam("agent"), tickets.c.owner.is_(None)),
        )
        .order_by(tickets.c.created_at.desc(), tickets.c.id.desc())
        .limit(1)
    )


_OF_CONTACT = _newest_open(tickets.c.contact_id, contacts)
_OF_CUSTOMER = _newest_open(tickets.c.customer_id, customers)


def next_id(connection: Connection) -> str:
    """The next free ticket id, ``T1``, ``T2`` …; taken by the writing transaction it is asked in."""
    while True:
        number = connection.execute(_STEP).scalar_one()
        if connection.execute(_TAKEN, {"id": f"T{number}"}).scalar() is None:
            return f"T{number}"


def lock(connection: Connection) -> None:
    """Nobody else opens a ticket or moves a call until this transaction ends; taken before its first look."""
    connection.execute(_LOCK)


def relinked(
    connection: Connection, *, pbx: str, call_id: CallId, ticket_id: str, at: float, agent: AgentId | None
) -> Ticket:
    """The ticket that has the call and its recordings now, in place of those that had them; raises ``NoSuchTicket``.

    The history of each ticket that won or lost the call says so, and which ``agent`` asked. The transaction has the lock.
    """
    row = connection.execute(ticket_columns().where(tickets.c.id == ticket_id)).one_or_none()
    if row is None:
        raise NoSuchTicket(f"there is no ticket {ticket_id}; see: ctid tickets")
    before = connection.scalars(_LINKED_IDS, {"pbx": pbx, "call_id": call_id}).all()
    for links, of_call in (
        (call_tickets, (call_tickets.c.pbx == pbx) & (call_tickets.c.call_id == call_id)),
        (recording_tickets, _of_recordings(pbx, call_id)),
    ):
        others = of_call & links.c.removed_at.is_(None) & (links.c.ticket_id != ticket_id)
        connection.execute(update(links).where(others).values(removed_at=instant(at)))
        connection.execute(update(links).where(of_call, links.c.ticket_id == ticket_id).values(removed_at=None))
    _link(connection, pbx, call_id, ticket_id, at)
    asked_by = None if agent is None else _there(connection, agent)
    for one in {*before, ticket_id} if ticket_id not in before or len(before) > 1 else ():
        went = _came(pbx, call_id) if one == ticket_id else (("call_id", f"{pbx}/{call_id}", None),)
        step = Step(kind=StepKind.RELINKED, at=at, agent=asked_by, changes=went)
        put_steps(connection, one, [step], versions=None)
    return ticket(row)


def person_of(connection: Connection, contact_id: str) -> Any:
    """The row with the contact's id, name, customer and department, or ``None``; of the living file, where two were merged."""
    return connection.execute(_PERSON, {"id": contact_id}).one_or_none()


def firm_of(connection: Connection, customer_id: str) -> Any:
    """The row with the customer's id and name, or ``None``; of the living file, where two were merged."""
    return connection.execute(_FIRM, {"id": customer_id}).one_or_none()


def _linked(connection: Connection, pbx: str, call_id: CallId) -> Ticket | None:
    row = connection.execute(_LINKED, {"pbx": pbx, "call_id": call_id}).one_or_none()
    return None if row is None else ticket(row)


def _there(connection: Connection, agent: AgentId) -> AgentId | None:
    """The agent, if the tables still have them."""
    return connection.execute(_AGENT, {"id": agent}).scalar()


def _came(pbx: str, call_id: CallId) -> tuple[tuple[str, None, str], ...]:
    return (("call_id", None, f"{pbx}/{call_id}"),)


def _named(connection: Connection, ticket_id: str | None) -> Ticket | None:
    if ticket_id is None:
        return None
    row = connection.execute(ticket_columns().where(tickets.c.id == ticket_id)).one_or_none()
    return None if row is None else ticket(row)


def _taken_up(
    connection: Connection, agent: AgentId, contact_id: str | None, customer_id: str | None, at: float
) -> Ticket | None:
    whose = contact_id if contact_id is not None else customer_id
    if whose is None:
        return None
    newest = _OF_CONTACT if contact_id is not None else _OF_CUSTOMER
    row = connection.execute(newest, {"whose": whose, "agent": agent}).one_or_none()
    if row is None:
        return None
    if row.owner is None:
        connection.execute(_TAKE, {"key": row.id, "agent": agent, "changed": instant(at)})
        taken = Step(kind=StepKind.TAKEN, at=at, agent=agent, to_agent=agent, changes=(("owner", None, agent),))
        put_steps(connection, row.id, [taken], versions=(row.version, row.version + 1))
    return replace(ticket(row), owner=agent)


def opened(
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
    promise_hours: Sequence[float],
) -> Ticket:
    """A new ticket of the call, not linked to it yet."""
    # The core's ids are as old as the call: a file deleted meanwhile must not cost it its ticket, one that was merged leads on.
    contact = None if contact_id is None else person_of(connection, contact_id)
    firm = contact.customer_id if contact is not None else customer_id
    customer = None if firm is None else firm_of(connection, firm)
    owner = _there(connection, agent)
    who = contact.name if contact is not None else customer.name if customer is not None else caller or UNNAMED
    new = {
        "id": next_id(connection),
        "subject": (CALL_TO if outbound else CALL_FROM) + who,
        "severity": FIRST_SEVERITY,
        "promised_at": instant(first_promise(FIRST_SEVERITY, at, promise_hours)),
        "department": contact.department if contact is not None else None,
        "owner": owner,
        "contact_id": contact.id if contact is not None else None,
        "customer_id": customer.id if customer is not None else None,
        "created_at": instant(at),
        "changed_at": instant(at),
        "opened_by": owner,
        "pbx": pbx,
        "call_id": call_id,
    }
    made = ticket(connection.execute(_NEW, new).one())
    step = Step(kind=StepKind.OPENED, at=at, agent=owner, to_agent=owner, changes=_came(pbx, call_id))
    put_steps(connection, made.id, [step], versions=None)
    search.index(connection, search.Kind.TICKET, made.id)
    return made


def _link(connection: Connection, pbx: str, call_id: CallId, ticket_id: str, at: float) -> None:
    link = {"pbx": pbx, "ticket_id": ticket_id, "linked_at": instant(at)}
    connection.execute(insert_new(connection, call_tickets), {**link, "call_id": call_id})
    ids = connection.scalars(_RECORDINGS, {"pbx": pbx, "call_id": call_id}).all()
    if ids:
        connection.execute(insert_new(connection, recording_tickets), [{**link, "recording_id": one} for one in ids])


def _of_recordings(pbx: str, call_id: CallId) -> ColumnElement[bool]:
    ids = select(recordings.c.id).where(recordings.c.pbx == pbx, recordings.c.call_id == call_id)
    return (recording_tickets.c.pbx == pbx) & recording_tickets.c.recording_id.in_(ids)
