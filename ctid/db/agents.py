"""Agents: the roster the core routes by, their states with a log, their PINs, and the lines of the configuration.

Law: the log has no gaps: a state ends when the next begins. Saving a state again changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ctid.db import secrets
from ctid.db.session import instant, maybe_instant, maybe_seconds, reading, seconds, upsert, writing
from ctid.db.tables import agent_lines, agent_state_changes, agent_states, agents, lines
from ctid.domain.types import Agent, AgentId, AgentState, AgentStatus, Line


class Agents:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def roster(self) -> tuple[Agent, ...]:
        """Every agent, disabled ones included, by id."""
        async with reading(self._engine) as connection:
            people = (await connection.execute(select(agents).order_by(agents.c.id))).all()
            serving = (await connection.execute(select(agent_lines).order_by(agent_lines.c.line))).all()
        lines_of: dict[AgentId, list[str]] = defaultdict(list)
        for row in serving:
            lines_of[row.agent_id].append(row.line)
        return tuple(
            Agent(
                id=row.id,
                name=row.name,
                phone=row.phone,
                level=row.level,
                lines=tuple(lines_of[row.id]),
                enabled=row.enabled,
            )
            for row in people
        )

    async def statuses(self) -> tuple[AgentStatus, ...]:
        """The last state saved of each agent, by id."""
        async with reading(self._engine) as connection:
            rows = (await connection.execute(select(agent_states).order_by(agent_states.c.agent))).all()
        return tuple(
            AgentStatus(
                agent=row.agent,
                state=AgentState(row.state),
                since=seconds(row.since),
                phone=row.phone,
                reason=row.reason,
                call_id=row.call_id,
                talk_seconds_today=row.talk_seconds_today,
                signed_in_at=maybe_seconds(row.signed_in_at),
            )
            for row in rows
        )

    async def save(self, statuses: Iterable[AgentStatus]) -> None:
        """Keep the states in the order given, and log each change; an agent may come more than once."""
        async with writing(self._engine) as connection:
            for status in statuses:
                await _log(connection, status)
                row = _row(status)
                statement = upsert(connection, agent_states).values(row)
                await connection.execute(
                    statement.on_conflict_do_update(index_elements=[agent_states.c.agent], set_=row)
                )

    async def check_pin(self, agent: AgentId, pin: str) -> bool:
        """Whether an enabled agent has that PIN. One who is unknown, disabled or without a PIN is refused as slowly."""
        query = select(agents.c.pin_hash).where(agents.c.id == agent, agents.c.enabled)
        async with reading(self._engine) as connection:
            stored = (await connection.execute(query)).scalar()
        return await secrets.pin_fits(stored, pin)

    async def set_enabled(self, agent: AgentId, *, enabled: bool) -> bool:
        """Switch an agent on or off; false when there is none of that id."""
        async with writing(self._engine) as connection:
            change = update(agents).where(agents.c.id == agent).values(enabled=enabled).returning(agents.c.id)
            return (await connection.execute(change)).scalar() is not None

    async def sync_lines(self, configured: Iterable[Line]) -> None:
        """Make the table of lines that of the configuration; a line gone from it stays, marked so, for old calls."""
        async with writing(self._engine) as connection:
            await connection.execute(update(lines).values(configured=False))
            for line in configured:
                row = {"name": line.name, "numbers": list(line.numbers), "configured": True}
                statement = upsert(connection, lines).values(row)
                await connection.execute(statement.on_conflict_do_update(index_elements=[lines.c.name], set_=row))


async def _log(connection: AsyncConnection, status: AgentStatus) -> None:
    log = agent_state_changes
    present = select(log).where(log.c.agent == status.agent, log.c.until.is_(None)).order_by(log.c.id.desc()).limit(1)
    last = (await connection.execute(present)).one_or_none()
    since = instant(status.since)
    if last is not None:
        if (last.state, last.reason, last.since) == (status.state.value, status.reason, since):
            return
        ended = max(since, last.since)  # the clock may have been set back
        await connection.execute(update(log).where(log.c.id == last.id).values(until=ended))
    await connection.execute(
        insert(log).values(
            agent=status.agent,
            state=status.state.value,
            reason=status.reason,
            phone=status.phone,
            call_id=status.call_id,
            since=since,
        )
    )


def _row(status: AgentStatus) -> dict[str, Any]:
    return {
        "agent": status.agent,
        "state": status.state.value,
        "since": instant(status.since),
        "phone": status.phone,
        "reason": status.reason,
        "call_id": status.call_id,
        "talk_seconds_today": status.talk_seconds_today,
        "signed_in_at": maybe_instant(status.signed_in_at),
    }
