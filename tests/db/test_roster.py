"""The roster as people keep it: changes are whole, refused where somebody was faster, and written down."""

from dataclasses import replace

import pytest

from ctid.db.agents import Agents
from ctid.db.audits import Actor, Audits
from ctid.db.roster import AgentFile, CodeTaken, IdTaken, NoSuchAgent, Roster, StaleAgent
from tests.db.site import NOON

BOSS = Actor(at=NOON, user_name="boss", address="10.0.0.1")
LI = AgentFile(
    id="7",
    name="Li Wei",
    phone="agent7",
    code="70",
    level=2,
    lines=("sales", "support"),
    email="li@example.com",
    enabled=True,
    has_pin=True,
)


@pytest.fixture
async def roster(engine) -> Roster:
    made = Roster(engine)
    await made.add(LI, pin="4711", by=BOSS)
    return made


async def test_an_agent_who_was_added_is_in_the_roster_the_daemon_reads_and_signs_in_by_the_pin(engine, roster):
    assert await roster.one("7") == LI
    agents = Agents(engine)
    (read,) = await agents.roster()
    assert (read.name, read.phone, read.code, read.level, read.lines) == ("Li Wei", "agent7", "70", 2, LI.lines)
    assert await agents.check_pin("7", "4711")


async def test_a_change_keeps_the_pin_unless_another_is_given_or_it_is_taken_away(engine, roster):
    agents = Agents(engine)
    moved = replace(LI, name="Li Wei (day)", phone=None, lines=("sales",), level=3)
    await roster.change(moved, pin=None, seen=LI.version, by=BOSS)
    assert await roster.one("7") == moved
    assert await agents.check_pin("7", "4711")
    await roster.change(moved, pin="0815", seen=moved.version, by=BOSS)
    assert await agents.check_pin("7", "0815")
    without = replace(moved, has_pin=False)
    await roster.change(without, pin=None, seen=moved.version, by=BOSS)
    assert await roster.one("7") == without
    assert not await agents.check_pin("7", "0815")


async def test_a_change_made_from_an_older_state_is_refused_and_nothing_is_written(roster):
    await roster.change(replace(LI, level=3), pin=None, seen=LI.version, by=BOSS)
    with pytest.raises(StaleAgent):
        await roster.change(replace(LI, name="Other"), pin="1234", seen=LI.version, by=BOSS)
    assert await roster.one("7") == replace(LI, level=3)


async def test_one_code_and_one_id_belong_to_one_agent(roster):
    with pytest.raises(IdTaken):
        await roster.add(LI, pin=None, by=BOSS)
    with pytest.raises(CodeTaken) as taken:
        await roster.add(replace(LI, id="8"), pin=None, by=BOSS)
    assert taken.value.agent == "7"
    with pytest.raises(NoSuchAgent):
        await roster.one("8")
    with pytest.raises(NoSuchAgent):
        await roster.change(replace(LI, id="8", code=None), pin=None, seen="", by=BOSS)


async def test_the_audit_has_each_field_that_changed_and_never_the_pin(engine, roster):
    moved = replace(LI, level=3, lines=(), enabled=False)
    await roster.change(moved, pin="0815", seen=LI.version, by=BOSS)
    await roster.change(moved, pin=None, seen=moved.version, by=BOSS)
    changed, added = await Audits(engine).deeds(limit=10)
    assert (added.action, added.subject, added.user_name, added.address) == ("agent_added", "7", "boss", "10.0.0.1")
    assert changed.action == "agent_changed"
    assert changed.changes == {
        "level": (2, 3),
        "lines": ("sales, support", None),
        "enabled": (True, False),
        "pin": ("••••", "••••"),
    }


async def test_agents_are_listed_by_name_and_those_who_left_last(roster):
    for key, name, enabled in (("1", "Zoe", True), ("2", "Adam", False), ("3", "Bo", True)):
        await roster.add(replace(LI, id=key, name=name, code=None, enabled=enabled), pin=None, by=BOSS)
    assert [file.name for file in await roster.all()] == ["Bo", "Li Wei", "Zoe", "Adam"]
