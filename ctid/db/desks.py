"""What stands on an agent's desk: the day's figures, whom to call back, a caller's tickets, the phone they sat at.

Law: bounded and on indices. A missed call is done with once somebody spoke with that caller later, or the agent said so.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, case, exists, func, or_, select

from ctid.db.lists import Listed, listed, listed_from
from ctid.db.session import Engine, instant, reading, seconds, upsert, writing
from ctid.db.tables import agent_state_changes, call_notes, call_tickets, calls, contacts, customers, legs, tickets
from ctid.domain.types import AgentId, CallId, Direction, Via

MOST_MISSED = 100
#: A conversation that began longer before, in seconds, is not looked for.
LONGEST_CALL = 12 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """An agent's calls of a day: answered, and rung in vain."""

    answered: int
    missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A caller who rang in vain: their newest such call, how often since, and how to reach them."""

    pbx: str
    call_id: CallId
    at: float
    times: int
    wait_seconds: float
    number: str | None
    who: str | None
    customer: str | None
    level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsaid:
    """The agent's last call, over, and nobody said yet what it was: which, and who was on the line."""

    pbx: str
    call_id: CallId
    caller: str | None
    dialled: str | None
    contact_id: str | None
    who: str | None
    title: str | None
    department: str | None
    customer: str | None
    ticket_id: str | None
    ticket_subject: str | None


class Desks:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def figures(self, agent: AgentId, *, since: float, until: float) -> Figures:
        """Of the calls offered to the agent in [since, until)."""
        answered = func.sum(case((legs.c.answered_at.is_not(None), 1), else_=0))
        missed = func.sum(case((and_(legs.c.answered_at.is_(None), legs.c.ended_at.is_not(None)), 1), else_=0))
        mine = (legs.c.agent == agent, legs.c.offered_at >= instant(since), legs.c.offered_at < instant(until))
        async with reading(self._engine) as connection:
            row = (await connection.execute(select(answered, missed).where(*mine))).one()
        return Figures(answered=row[0] or 0, missed=row[1] or 0)

    async def unsaid(self, agent: AgentId, *, since: float) -> Unsaid | None:
        """The agent's last conversation, if it ended since then and its disposition is still to be said."""
        last = (
            select(legs.c.pbx, legs.c.call_id, legs.c.ended_at)
            .join(calls, and_(calls.c.pbx == legs.c.pbx, calls.c.id == legs.c.call_id))
            .where(
                legs.c.agent == agent,
                legs.c.offered_at >= instant(since - LONGEST_CALL),
                legs.c.answered_at.is_not(None),
                calls.c.direction != Direction.INTERNAL.value,
                calls.c.answered_at.is_not(None),
                calls.c.merged_into.is_(None),
            )
            .order_by(legs.c.offered_at.desc(), legs.c.id.desc())
            .limit(1)
            .subquery()
        )
        hangs = and_(
            call_tickets.c.pbx == calls.c.pbx, call_tickets.c.call_id == calls.c.id, call_tickets.c.removed_at.is_(None)
        )
        query = (
            select(
                calls,
                contacts.c.name.label("who"),
                contacts.c.title,
                contacts.c.department,
                customers.c.name.label("customer"),
                tickets.c.id.label("ticket_id"),
                tickets.c.subject.label("ticket_subject"),
            )
            .join(last, and_(calls.c.pbx == last.c.pbx, calls.c.id == last.c.call_id))
            .outerjoin(call_notes, and_(call_notes.c.pbx == calls.c.pbx, call_notes.c.call_id == calls.c.id))
            .outerjoin(contacts, contacts.c.id == calls.c.contact_id)
            .outerjoin(customers, customers.c.id == calls.c.customer_id)
            .outerjoin(call_tickets, hangs)
            .outerjoin(tickets, tickets.c.id == call_tickets.c.ticket_id)
            .where(last.c.ended_at >= instant(since), call_notes.c.disposition.is_(None))
            .order_by(call_tickets.c.ticket_id)
            .limit(1)
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return Unsaid(
            pbx=row.pbx,
            call_id=row.id,
            caller=row.caller,
            dialled=row.dialled,
            contact_id=row.contact_id,
            who=row.who,
            title=row.title,
            department=row.department,
            customer=row.customer,
            ticket_id=row.ticket_id,
            ticket_subject=row.ticket_subject,
        )

    async def missed(self, agent: AgentId, *, since: float, limit: int) -> list[Missed]:
        """Callers whose newest ticket is this agent's, who rang in vain since then; the important first, then the newest."""
        level = func.coalesce(contacts.c.level, customers.c.level, 1)
        later = calls.alias("later")
        spoke = exists().where(
            or_(
                and_(calls.c.contact_id.is_not(None), later.c.contact_id == calls.c.contact_id),
                and_(calls.c.contact_id.is_(None), later.c.customer_id == calls.c.customer_id),
            ),
            later.c.started_at > calls.c.started_at,
            later.c.answered_at.is_not(None),
            later.c.agent.is_not(None),
        )
        done = exists().where(call_notes.c.pbx == calls.c.pbx, call_notes.c.call_id == calls.c.id)
        query = (
            select(calls, contacts.c.name.label("who"), customers.c.name.label("customer"), level.label("rank"))
            .outerjoin(contacts, contacts.c.id == calls.c.contact_id)
            .outerjoin(customers, customers.c.id == calls.c.customer_id)
            .where(
                calls.c.owner == agent,
                calls.c.started_at >= instant(since),
                calls.c.direction == Direction.INBOUND.value,
                calls.c.via != Via.DIRECT.value,
                calls.c.ended_at.is_not(None),
                calls.c.answered_at.is_(None),
                calls.c.callback.is_(None),
                calls.c.merged_into.is_(None),
                ~spoke,
                ~done,
            )
            .order_by(calls.c.started_at.desc(), calls.c.id.desc())
            .limit(MOST_MISSED)
        )
        found: dict[str, Missed] = {}
        async with reading(self._engine) as connection:
            for row in await connection.execute(query):
                key = row.contact_id or row.caller or f"{row.pbx}/{row.id}"
                newest = found.get(key)
                found[key] = Missed(
                    pbx=newest.pbx if newest else row.pbx,
                    call_id=newest.call_id if newest else row.id,
                    at=newest.at if newest else seconds(row.started_at),
                    times=newest.times + 1 if newest else 1,
                    wait_seconds=newest.wait_seconds if newest else seconds(row.ended_at) - seconds(row.started_at),
                    number=newest.number if newest else row.caller,
                    who=row.who,
                    customer=row.customer,
                    level=row.rank,
                )
        return sorted(found.values(), key=lambda one: (-one.level, -one.at))[:limit]

    async def done_with(self, agent: AgentId, *, pbx: str, call_id: CallId, since: float, at: float) -> bool:
        """The agent has seen to a missed call of theirs, and to those of the same caller before it; false for no such call."""
        mine = (calls.c.owner == agent, calls.c.answered_at.is_(None), calls.c.ended_at.is_not(None))
        async with writing(self._engine) as connection:
            query = select(calls).where(calls.c.pbx == pbx, calls.c.id == call_id, *mine)
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return False
            same = calls.c.contact_id == row.contact_id if row.contact_id else calls.c.caller == row.caller
            before = select(calls.c.pbx, calls.c.id).where(
                *mine, same, calls.c.started_at >= instant(since), calls.c.started_at <= row.started_at
            )
            for one in (await connection.execute(before.limit(MOST_MISSED))).all():
                note = {"pbx": one.pbx, "call_id": one.id, "agent": agent, "at": instant(at)}
                await connection.execute(upsert(connection, call_notes).values(note).on_conflict_do_nothing())
        return True

    async def of_caller(self, call_id: CallId, *, limit: int) -> list[Listed]:
        """The tickets of a call's caller, the newest first; of their organisation where nobody knows who it was."""
        caller = select(calls.c.contact_id, calls.c.customer_id).where(calls.c.id == call_id)
        async with reading(self._engine) as connection:
            who = (await connection.execute(caller.order_by(calls.c.started_at.desc()).limit(1))).one_or_none()
            if who is None or (who.contact_id is None and who.customer_id is None):
                return []
            theirs = (
                tickets.c.contact_id == who.contact_id
                if who.contact_id is not None
                else tickets.c.customer_id == who.customer_id
            )
            query = listed().where(theirs).order_by(tickets.c.created_at.desc(), tickets.c.id.desc()).limit(limit)
            return [listed_from(row) for row in await connection.execute(query)]

    async def last_phone(self, agent: AgentId, pbx: str) -> str | None:
        """Where the agent last sat on this PBX."""
        log = agent_state_changes
        query = (
            select(log.c.phone)
            .where(log.c.pbx == pbx, log.c.agent == agent, log.c.phone.is_not(None))
            .order_by(log.c.since.desc(), log.c.id.desc())
            .limit(1)
        )
        async with reading(self._engine) as connection:
            return (await connection.execute(query)).scalar()
