"""The day's figures per agent, out of the same rows as everything else.

Law: a day is local midnight to local midnight; intervals are cut there, and those still open count up to the ``now`` given.
Talk is customer talk, as in routing. A call is offered, answered or missed on the day its phone was rung.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ctid.db.session import instant, reading, seconds
from ctid.db.tables import agent_state_changes, agents, calls, legs, recording_tickets, recordings, talks, tickets
from ctid.domain.types import AgentId, AgentState, Direction, LegResult, RecordingState, Via

HALF_HOUR = 1800
#: Rows that are reckoned before others have their turn.
_TOGETHER = 1_000
MISSED = (LegResult.NO_ANSWER, LegResult.BUSY, LegResult.REJECTED, LegResult.UNREACHABLE, LegResult.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDay:
    """One agent's day; seconds are of that day only. An offer the caller gave up is neither answered nor missed."""

    agent: AgentId
    name: str
    offered: int = 0
    answered: int = 0
    missed: int = 0
    talk_seconds: float = 0.0
    hold_seconds: float = 0.0
    wrap_up_seconds: float = 0.0
    pause_seconds: float = 0.0
    tickets_opened: int = 0
    tickets_solved: int = 0


async def talked(engine: AsyncEngine, pbx: str, *, on: date, timezone: ZoneInfo, now: float) -> dict[AgentId, float]:
    """Seconds of customer talk on this PBX on the local day ``on``, of those who have any."""
    async with reading(engine) as connection:
        return dict(await _talk(connection, *bounds(on, timezone), now, pbx=pbx))


async def day(engine: AsyncEngine, *, on: date, timezone: ZoneInfo, now: float) -> list[AgentDay]:
    """Each enabled agent's figures of the local day ``on`` on all PBXs, and those of others who have any; by id."""
    start, end = bounds(on, timezone)
    async with reading(engine) as connection:
        names = {row.id: row for row in await connection.execute(select(agents.c.id, agents.c.name, agents.c.enabled))}
        offers = await _offers(connection, start, end)
        talk = await _talk(connection, start, end, now)
        spent = await _spent(connection, start, end, now)
        opened = await _tickets(connection, "opened_by", "created_at", start, end)
        solved = await _tickets(connection, "resolved_by", "resolved_at", start, end)
    active = {*offers, *talk, *(agent for agent, _ in spent), *opened, *solved}
    return [
        AgentDay(
            agent=agent,
            name=names[agent].name if agent in names else agent,
            offered=offers[agent][0],
            answered=offers[agent][1],
            missed=offers[agent][2],
            hold_seconds=offers[agent][3],
            talk_seconds=talk[agent],
            wrap_up_seconds=spent[agent, AgentState.WRAP_UP.value],
            pause_seconds=spent[agent, AgentState.PAUSED.value],
            tickets_opened=opened[agent],
            tickets_solved=solved[agent],
        )
        for agent in sorted(active | {row.id for row in names.values() if row.enabled})
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfHour:
    """Inbound calls that began in it: ``lost`` were answered by nobody. Of one agent: calls their phone was rung for."""

    at: float
    answered: int = 0
    lost: int = 0


async def half_hours(
    engine: AsyncEngine, *, on: date, timezone: ZoneInfo, agent: AgentId | None = None
) -> list[HalfHour]:
    """Each half hour of the local day ``on``, those without calls too; of all calls, or of one agent's offers.

    Without ``agent``, calls of the PBX's own (``via`` direct), callbacks asked for, and calls under way are left out.
    """
    start, end = bounds(on, timezone)
    if agent is None:
        at, done = calls.c.started_at, calls.c.answered_at.is_not(None)
        counted = and_(
            calls.c.direction == Direction.INBOUND.value,
            calls.c.via != Via.DIRECT.value,
            calls.c.ended_at.is_not(None),
            calls.c.merged_into.is_(None),
            or_(calls.c.callback.is_(None), calls.c.answered_at.is_not(None)),
        )
    else:
        at, done = legs.c.offered_at, legs.c.answered_at.is_not(None)
        inbound = (calls.c.pbx == legs.c.pbx) & (calls.c.id == legs.c.call_id)
        counted = and_(
            legs.c.agent == agent,
            or_(legs.c.answered_at.is_not(None), legs.c.result.in_(MISSED)),
            select(calls.c.id).where(inbound, calls.c.direction == Direction.INBOUND.value).exists(),
        )
    answered: dict[int, int] = defaultdict(int)
    lost: dict[int, int] = defaultdict(int)
    begin = seconds(start)
    async with reading(engine) as connection:
        for begun, was_answered in await connection.execute(select(at, done).where(counted, at >= start, at < end)):
            (answered if was_answered else lost)[int((seconds(begun) - begin) // HALF_HOUR)] += 1
    count = round((seconds(end) - begin) / HALF_HOUR)
    return [HalfHour(at=begin + n * HALF_HOUR, answered=answered[n], lost=lost[n]) for n in range(count)]


async def unlinked_recordings(engine: AsyncEngine) -> int:
    """How many recordings that exist hang on no ticket."""
    linked = (
        select(recording_tickets.c.recording_id)
        .where(
            recording_tickets.c.pbx == recordings.c.pbx,
            recording_tickets.c.recording_id == recordings.c.id,
            recording_tickets.c.removed_at.is_(None),
        )
        .exists()
    )
    there = recordings.c.state.in_((RecordingState.COMPLETE.value, RecordingState.DAMAGED.value))
    query = select(func.count()).select_from(recordings).where(there, ~linked)
    async with reading(engine) as connection:
        return (await connection.execute(query)).scalar_one()


def bounds(on: date, timezone: ZoneInfo) -> tuple[datetime, datetime]:
    """The day's first instant and the next day's; 23 to 25 hours apart where clocks are changed."""
    return datetime.combine(on, time(), timezone), datetime.combine(on + timedelta(days=1), time(), timezone)


async def _offers(
    connection: AsyncConnection, start: datetime, end: datetime
) -> dict[AgentId, tuple[int, int, int, float]]:
    """(offered, answered, missed, seconds on hold) of inbound calls, and the hold of all."""
    inbound = calls.c.direction == Direction.INBOUND.value
    query = (
        select(
            legs.c.agent,
            func.sum(case((inbound, 1), else_=0)),
            func.sum(case((and_(inbound, legs.c.answered_at.is_not(None)), 1), else_=0)),
            func.sum(case((and_(inbound, legs.c.answered_at.is_(None), legs.c.result.in_(MISSED)), 1), else_=0)),
            func.sum(legs.c.hold_seconds),
        )
        .join(calls, and_(calls.c.pbx == legs.c.pbx, calls.c.id == legs.c.call_id))
        .where(legs.c.agent.is_not(None), legs.c.offered_at >= start, legs.c.offered_at < end)
        .group_by(legs.c.agent)
    )
    figures: dict[AgentId, tuple[int, int, int, float]] = defaultdict(lambda: (0, 0, 0, 0.0))
    for agent, offered, answered, missed, hold in await connection.execute(query):
        figures[agent] = (int(offered), int(answered), int(missed), float(hold))
    return figures


async def _talk(
    connection: AsyncConnection, start: datetime, end: datetime, now: float, *, pbx: str | None = None
) -> dict[AgentId, float]:
    query = select(talks.c.agent, talks.c.started_at, talks.c.ended_at).where(
        talks.c.agent.is_not(None),
        talks.c.customer,
        talks.c.started_at < end,
        or_(talks.c.ended_at > start, talks.c.ended_at.is_(None)),
    )
    if pbx is not None:
        query = query.where(talks.c.pbx == pbx)
    total: dict[AgentId, float] = defaultdict(float)
    counted: dict[AgentId, float] = {}
    # A busy day's are a hundred thousand, and the daemon asks each minute: never all in memory, nor in one go.
    async with connection.stream(query.order_by(talks.c.started_at)) as conversations:
        async for some in conversations.partitions(_TOGETHER):
            for agent, began, ended in some:
                # As the ledger has it: who is in two conversations at once, transferred to while busy, talks once.
                first, last = _cut(began, ended, start, end, now)
                until = counted.get(agent, first)
                total[agent] += max(0.0, last - max(first, until))
                counted[agent] = max(until, last)
    return total


async def _spent(
    connection: AsyncConnection, start: datetime, end: datetime, now: float
) -> dict[tuple[AgentId, str], float]:
    log = agent_state_changes
    query = select(log.c.agent, log.c.state, log.c.since, log.c.until).where(
        log.c.state.in_((AgentState.WRAP_UP, AgentState.PAUSED)),
        log.c.since < end,
        or_(log.c.until > start, log.c.until.is_(None)),
    )
    total: dict[tuple[AgentId, str], float] = defaultdict(float)
    for agent, state, since, until in await connection.execute(query):
        total[agent, state] += _within(since, until, start, end, now)
    return total


async def _tickets(
    connection: AsyncConnection, who: str, when: str, start: datetime, end: datetime
) -> dict[AgentId, int]:
    """Tickets by the agent who did it; one brought in from elsewhere counts for its owner."""
    agent = func.coalesce(tickets.c[who], tickets.c.owner)
    query = (
        select(agent, func.count())
        .where(agent.is_not(None), tickets.c[when] >= start, tickets.c[when] < end)
        .group_by(agent)
    )
    counts: dict[AgentId, int] = defaultdict(int)
    for row in await connection.execute(query):
        counts[row[0]] = row[1]
    return counts


def _within(began: datetime, ended: datetime | None, start: datetime, end: datetime, now: float) -> float:
    first, last = _cut(began, ended, start, end, now)
    return max(0.0, last - first)


def _cut(began: datetime, ended: datetime | None, start: datetime, end: datetime, now: float) -> tuple[float, float]:
    last = instant(now) if ended is None else ended
    # In UTC: subtracting local times of one zone forgets that clocks were changed between them.
    return max(seconds(began), seconds(start)), min(seconds(last), seconds(end))
