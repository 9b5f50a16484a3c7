"""The roster, the log of states without gaps, PINs, and the lines of the configuration."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from ctid.db import secrets, session
from ctid.db.agents import Agents
from ctid.db.roster import Roster
from ctid.db.tables import agent_lines, agent_state_changes, lines
from ctid.domain.types import Agent, AgentState, AgentStatus, Line
from tests.db.site import NOON, PBX, add_agents


def status(state: AgentState, since: float, **fields: object) -> AgentStatus:
    return AgentStatus(agent="a", state=state, since=since, **fields)


async def log_of(engine) -> list[tuple[str, str | None, float, float | None]]:
    log = agent_state_changes
    async with session.reading(engine) as connection:
        rows = await connection.execute(select(log).order_by(log.c.id))
        return [(r.state, r.reason, session.seconds(r.since) - NOON, session.maybe_seconds(r.until)) for r in rows]


async def test_the_roster_has_everyone_with_their_lines(engine):
    await add_agents(engine, "b", phone="phone-b", level=3)
    await add_agents(engine, "a", enabled=False)
    async with session.writing(engine) as connection:
        await connection.execute(agent_lines.insert(), [{"agent_id": "b", "line": n} for n in ("support", "sales")])
    assert await Agents(engine).roster() == (
        Agent(id="a", name="Agent a", enabled=False),
        Agent(id="b", name="Agent b", phone="phone-b", level=3, lines=("sales", "support")),
    )


async def test_states_come_back_as_saved(engine):
    store = Agents(engine)
    seated = status(
        AgentState.PAUSED,
        NOON,
        phone="p",
        reason="lunch",
        call_id="1.1",
        talk_seconds_today=9.5,
        signed_in_at=NOON - 60,
        wrap_up_until=NOON + 30,
    )
    await store.save(PBX, [status(AgentState.IDLE, NOON - 5), seated])
    assert await store.statuses(PBX) == (seated,)


async def test_an_agent_known_to_two_pbxs_sits_at_each_for_itself(engine):
    store = Agents(engine)
    here, there = status(AgentState.IDLE, NOON, phone="desk-1"), status(AgentState.PAUSED, NOON + 5, phone="desk-9")
    await store.save(PBX, [here])
    await store.save("north", [there])
    assert (await store.statuses(PBX), await store.statuses("north")) == ((here,), (there,))
    assert [until for *_, until in await log_of(engine)] == [None, None]  # neither ended the other
    await store.save(PBX, [status(AgentState.OFFLINE, NOON + 10)])
    assert await store.presences_since(PBX, NOON) == [("a", NOON, NOON + 10)]
    assert await store.presences_since("north", NOON) == []


async def test_the_log_closes_each_state_when_the_next_begins(engine):
    store = Agents(engine)
    await store.save(PBX, [status(AgentState.IDLE, NOON), status(AgentState.PAUSED, NOON + 10, reason="lunch")])
    await store.save(
        PBX, [status(AgentState.PAUSED, NOON + 10, reason="lunch", talk_seconds_today=3)]
    )  # only a figure changed
    await store.save(PBX, [status(AgentState.IDLE, NOON + 30)])
    assert await log_of(engine) == [
        ("idle", None, 0, NOON + 10),
        ("paused", "lunch", 10, NOON + 30),
        ("idle", None, 30, None),
    ]


async def test_a_clock_set_back_never_makes_a_state_end_before_it_began(engine):
    await Agents(engine).save(PBX, [status(AgentState.IDLE, NOON + 10), status(AgentState.PAUSED, NOON)])
    assert await log_of(engine) == [("idle", None, 10, NOON + 10), ("paused", None, 0, None)]


@pytest.mark.parametrize(
    ("agent", "pin", "fits"),
    [("a", "1234", True), ("a", "1235", False), ("a", "", False), ("off", "1234", False), ("none", "1234", False)],
)
async def test_only_an_enabled_agents_own_pin_fits(engine, agent, pin, fits):
    hashed = await secrets.hash_pin("1234")
    await add_agents(engine, "a", pin_hash=hashed)
    await add_agents(engine, "off", pin_hash=hashed, enabled=False)
    await add_agents(engine, "none")
    assert await Agents(engine).check_pin(agent, pin) is fits
    assert not await Agents(engine).check_pin("nobody", "1234")


async def test_presence_is_the_states_that_are_over_and_not_offline_joined(engine):
    store = Agents(engine)
    ann = [(AgentState.IDLE, 0), (AgentState.TALKING, 10), (AgentState.OFFLINE, 50), (AgentState.IDLE, 70)]
    await store.save(PBX, [status(state, NOON + at) for state, at in [*ann, (AgentState.PAUSED, 90)]])
    bob = [(AgentState.IDLE, 0), (AgentState.OFFLINE, 20)]
    await store.save(PBX, [replace(status(state, NOON + at), agent="b") for state, at in bob])
    assert await store.presences_since(PBX, NOON + 30) == [("a", NOON + 10, NOON + 50), ("a", NOON + 70, NOON + 90)]
    assert await store.presences_since(PBX, NOON) == [
        ("a", NOON, NOON + 50),
        ("a", NOON + 70, NOON + 90),
        ("b", NOON, NOON + 20),
    ]


async def test_the_lines_follow_the_configuration_and_those_gone_are_marked(engine):
    store = Agents(engine)
    await store.sync_lines(PBX, [Line(name="support", numbers=("400",)), Line(name="old", numbers=("500",))])
    await store.sync_lines(PBX, [Line(name="support", numbers=("400", "401"))])
    async with session.reading(engine) as connection:
        rows = (await connection.execute(select(lines).order_by(lines.c.name))).all()
    assert [tuple(row[1:]) for row in rows] == [("old", ["500"], False), ("support", ["400", "401"], True)]
    await store.sync_lines("north", [Line(name="support", numbers=("900",)), Line(name="sales", numbers=("901",))])
    assert await Roster(engine).lines() == ["sales", "support"]  # no PBX takes another's lines away
