"""Agents: the roster the core routes by, their states with a log, their PINs, and the lines of the configuration.

Law: the log has no gaps: a state ends when the next begins. Saving a state again changes nothing. The roster is one for all
PBXs that share the books; where an agent sits, and the lines, are of each PBX for itself.
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

    async def statuses(self, pbx: str) -> tuple[AgentStatus, ...]:
        """The last state saved of each agent on this PBX, by id."""
        query = select(agent_states).where(agent_states.c.pbx == pbx).order_by(agent_states.c.agent)
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
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

    async def presences_since(self, pbx: str, since: float) -> list[tuple[AgentId, float, float]]:
        """When agents were signed in there, of the states that are over and reach past ``since``: (agent, from, until)."""
        log = agent_state_changes
        query = (
            select(log.c.agent, log.c.since, log.c.until)
            .where(log.c.pbx == pbx, log.c.state != AgentState.OFFLINE.value, log.c.until > instant(since))
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

    async def save(self, pbx: str, statuses: Iterable[AgentStatus], *, perhaps_again: bool = False) -> None:
        """Keep the states on this PBX in the order given, and log each change; an agent may come more than once.

        ``perhaps_again``: a try before may have done so already; what the log has is then left alone.
        """
        asked = tuple(statuses)
        if asked:
            await write(self._engine, lambda c: _save(c, pbx, _not_logged(c, pbx, asked) if perhaps_again else asked))

    async def check_pin(self, agent: AgentId, pin: str) -> bool:
        """Whether an enabled agent has that PIN. One who is unknown, disabled or without a PIN is refused as slowly."""
        query = select(agents.c.pin_hash).where(agents.c.id == agent, agents.c.enabled)
        async with reading(self._engine) as connection:
            stored = (await connection.execute(query)).scalar()
        return await secrets.pin_fits(stored, pin)

    async def sync_lines(self, pbx: str, configured: Iterable[Line]) -> None:
        """Make this PBX's lines those of the configuration; a line gone from it stays, marked so, for old calls."""
        async with writing(self._engine) as connection:
            await connection.execute(update(lines).where(lines.c.pbx == pbx).values(configured=False))
            for line in configured:
                row = {"pbx": pbx, "name": line.name, "numbers": list(line.numbers), "configured": True}
                key = [lines.c.pbx, lines.c.name]
                statement = upsert(connection, lines).values(row)
                await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=row))


_PEOPLE = select(agents.c.id, agents.c.name, agents.c.phone, agents.c.code, agents.c.level, agents.c.enabled).order_by(
    agents.c.id
)
_SERVING = select(agent_lines.c.agent_id, agent_lines.c.line).order_by(agent_lines.c.line)
_PRESENT = (
    select(agent_state_changes)
    .where(
        agent_state_changes.c.pbx == bindparam("pbx"),
        agent_state_changes.c.agent.in_(bindparam("agents", expanding=True)),
        agent_state_changes.c.until.is_(None),
    )
    .order_by(agent_state_changes.c.id)
)
_LOGGED = select(
    agent_state_changes.c.agent, agent_state_changes.c.state, agent_state_changes.c.reason, agent_state_changes.c.since
).where(
    agent_state_changes.c.pbx == bindparam("pbx"),
    agent_state_changes.c.agent.in_(bindparam("agents", expanding=True)),
    agent_state_changes.c.since >= bindparam("since"),
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


def _not_logged(connection: Connection, pbx: str, statuses: Sequence[AgentStatus]) -> list[AgentStatus]:
    """Those that the log does not have, and of each agent the present one, of which more may be known now."""
    first = instant(min(status.since for status in statuses))
    theirs = {"pbx": pbx, "agents": list({status.agent for status in statuses})}
    logged = {tuple(row) for row in connection.execute(_LOGGED, {**theirs, "since": first})}
    present = {(row.agent, row.state, row.reason, row.since) for row in connection.execute(_PRESENT, theirs)}
    return [
        s
        for s in statuses
        if (key := (s.agent, s.state.value, s.reason, instant(s.since))) not in logged or key in present
    ]


def _save(connection: Connection, pbx: str, statuses: Sequence[AgentStatus]) -> None:
    if not statuses:
        return
    last = {status.agent: status for status in statuses}
    present: dict[AgentId, dict[str, Any]] = {
        row.agent: {"id": row.id, "state": row.state, "reason": row.reason, "since": row.since}
        for row in connection.execute(_PRESENT, {"pbx": pbx, "agents": list(last)})
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
            "pbx": pbx,
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
    connection.execute(upsert_all(connection, agent_states), [_row(pbx, status) for status in last.values()])


def _row(pbx: str, status: AgentStatus) -> dict[str, Any]:
    return {
        "pbx": pbx,
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
