"""Agents: the roster the core routes by, their states with a log, their PINs, and the lines of the configuration.

Law: the log has no gaps: a state ends when the next begins. Saving a state again changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from ctid.db import secrets
from ctid.db.session import (
    Engine,
    instant,
    maybe_instant,
    maybe_seconds,
    read,
    reading,
    seconds,
    upsert,
    upsert_all,
    write,
    writing,
)
from ctid.db.tables import agent_lines, agent_state_changes, agent_states, agents, lines
from ctid.domain.types import Agent, AgentId, AgentState, AgentStatus, Line


class Agents:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def roster(self) -> tuple[Agent, ...]:
        """Every agent, disabled ones included, by id."""
        return await read(self._engine, _roster)

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
                wrap_up_until=maybe_seconds(row.wrap_up_until),
            )
            for row in rows
        )

    async def presences_since(self, since: float) -> list[tuple[AgentId, float, float]]:
        """When agents were signed in, of the states that are over and reach past ``since``: (agent, from, until)."""
        log = agent_state_changes
        query = (
            select(log.c.agent, log.c.since, log.c.until)
            .where(log.c.state != AgentState.OFFLINE.value, log.c.until > instant(since))
            .order_by(log.c.agent, log.c.since, log.c.id)
        )
        found: list[tuple[AgentId, float, float]] = []
        async with reading(self._engine) as connection:
            for agent, began, ended in await connection.execute(query):
                if found and found[-1][0] == agent and seconds(began) <= found[-1][2]:
                    began_before = found.pop()
                    found.append((agent, began_before[1], max(began_before[2], seconds(ended))))
                else:
                    found.append((agent, seconds(began), seconds(ended)))
        return found

    async def save(self, statuses: Iterable[AgentStatus]) -> None:
        """Keep the states in the order given, and log each change; an agent may come more than once."""
        asked = tuple(statuses)
        if asked:
            await write(self._engine, lambda connection: _save(connection, asked))

    async def check_pin(self, agent: AgentId, pin: str) -> bool:
        """Whether an enabled agent has that PIN. One who is unknown, disabled or without a PIN is refused as slowly."""
        query = select(agents.c.pin_hash).where(agents.c.id == agent, agents.c.enabled)
        async with reading(self._engine) as connection:
            stored = (await connection.execute(query)).scalar()
        return await secrets.pin_fits(stored, pin)

    async def sync_lines(self, configured: Iterable[Line]) -> None:
        """Make the table of lines that of the configuration; a line gone from it stays, marked so, for old calls."""
        async with writing(self._engine) as connection:
            await connection.execute(update(lines).values(configured=False))
            for line in configured:
                row = {"name": line.name, "numbers": list(line.numbers), "configured": True}
                statement = upsert(connection, lines).values(row)
                await connection.execute(statement.on_conflict_do_update(index_elements=[lines.c.name], set_=row))


_PEOPLE = select(agents.c.id, agents.c.name, agents.c.phone, agents.c.code, agents.c.level, agents.c.enabled).order_by(
    agents.c.id
)
_SERVING = select(agent_lines.c.agent_id, agent_lines.c.line).order_by(agent_lines.c.line)
_PRESENT = (
    select(agent_state_changes)
    .where(
        agent_state_changes.c.agent.in_(bindparam("agents", expanding=True)),
        agent_state_changes.c.until.is_(None),
    )
    .order_by(agent_state_changes.c.id)
)
_CLOSE = update(agent_state_changes).where(agent_state_changes.c.id == bindparam("of")).values(until=bindparam("ended"))
_BEGIN = agent_state_changes.insert()


def _roster(connection: Connection) -> tuple[Agent, ...]:
    lines_of: dict[AgentId, list[str]] = defaultdict(list)
    for agent, line in connection.execute(_SERVING):
        lines_of[agent].append(line)
    return tuple(
        Agent(
            id=id_, name=name, phone=phone, code=code, level=level, lines=tuple(lines_of.get(id_, ())), enabled=enabled
        )
        for id_, name, phone, code, level, enabled in connection.execute(_PEOPLE)
    )


def _save(connection: Connection, statuses: Sequence[AgentStatus]) -> None:
    last = {status.agent: status for status in statuses}
    present: dict[AgentId, dict[str, Any]] = {
        row.agent: {"id": row.id, "state": row.state, "reason": row.reason, "since": row.since}
        for row in connection.execute(_PRESENT, {"agents": list(last)})
    }
    ended: list[dict[str, Any]] = []
    begun: list[dict[str, Any]] = []
    for status in statuses:
        since = instant(status.since)
        before = present.get(status.agent)
        if before is not None:
            if (before["state"], before["reason"], before["since"]) == (status.state.value, status.reason, since):
                continue
            until = max(since, before["since"])  # the clock may have been set back
            if "id" in before:
                ended.append({"of": before["id"], "ended": until})
            else:
                before["until"] = until
        present[status.agent] = {
            "agent": status.agent,
            "state": status.state.value,
            "reason": status.reason,
            "phone": status.phone,
            "call_id": status.call_id,
            "since": since,
            "until": None,
        }
        begun.append(present[status.agent])
    if ended:
        connection.execute(_CLOSE, ended)
    if begun:
        connection.execute(_BEGIN, begun)
    connection.execute(upsert_all(connection, agent_states), [_row(status) for status in last.values()])


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
        "wrap_up_until": maybe_instant(status.wrap_up_until),
    }
