"""Agents signing in and out, by MQTT and at the phone; pauses, wrap-up, missed calls; phones that are gone."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.process import until
from lab.site import Site
from tests.chain.centre import Centre, opened

#: An id of digits, as it can be keyed in at a phone.
NUMBERED = {
    "agents": "id,name,phone,level,pin,lines,email\nagent1,One,agent1,2,1001,,\nagent2,Two,agent2,2,1002,,\n"
    "7002,Zhao,,2,4242,,\n"
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    more = "round_pause_seconds = 1\ncool_down_seconds = 0\nmissed_in_a_row = 2"
    folder = tmp_path_factory.mktemp("site")
    async with opened(
        Site(folder=folder, agents=("agent1", "agent2"), ring_seconds=3, wrap_up_seconds=2, routing=more, csv=NUMBERED)
    ) as centre:
        yield centre


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Centre) -> Centre:
    for agent in running.agents:
        state = running.listener.state(agent)
        if state is None or state["phone"] != agent:
            await running.site.sign_in(agent)
    await running.tidy()
    return running


async def keyed(centre: Centre, phone: str, code: str, *digits: str) -> None:
    """Someone at this phone dials a feature code and keys in digits; returns when the PBX has said its word."""
    async with centre.site.call(phone, code, digits=[(0.3, run) for run in digits]) as call:
        await call.ended(limit=25)


async def test_an_agent_signs_in_at_another_phone_and_whoever_sat_there_is_signed_out(centre: Centre) -> None:
    await keyed(centre, "agent1", "*11", "7002#", "4242#")
    assert (await centre.listener.becomes("7002", "idle"))["phone"] == "agent1"
    await centre.listener.becomes("agent1", "offline")


async def test_a_wrong_pin_signs_nobody_in(centre: Centre) -> None:
    known = len(centre.listener.heard)
    await keyed(centre, "agent1", "*11", "7002#", "4243#")
    states = [h for h in centre.listener.heard[known:] if h.topic.endswith("/state")]
    assert all(h.payload["state"] != "offline" for h in states if "/agent1/" in h.topic)
    assert not any(h.payload["state"] == "idle" for h in states if "/7002/" in h.topic)


async def test_signing_in_by_mqtt_moves_the_agent_and_frees_the_phone(centre: Centre) -> None:
    answer = await centre.listener.command("agent1", "sign_in", phone="agent2")
    assert answer == {"id": answer["id"], "ok": True, "error": None}
    assert (await centre.listener.becomes("agent2", "offline"))["phone"] is None
    assert (await centre.listener.becomes("agent1", "idle"))["phone"] == "agent2"
    before = centre.invites()
    async with centre.site.call("02155610001") as placed:
        assert await centre.rung(before) == "agent2"  # the phone; agent1 sits there
        await centre.listener.popped("agent1", "answered")
        await placed.hang_up()
    assert (await centre.ended("02155610001"))["agent"] == "agent1"
    assert centre.listener.pops("agent2", (await centre.ended("02155610001"))["id"]) == []


async def test_codes_at_the_phone_pause_resume_and_sign_out(centre: Centre) -> None:
    await keyed(centre, "agent1", "*13")
    assert (await centre.listener.becomes("agent1", "paused"))["reason"] == "feature code"
    await keyed(centre, "agent1", "*14")
    await centre.listener.becomes("agent1", "idle")
    await keyed(centre, "agent1", "*12")
    await centre.listener.becomes("agent1", "offline")


async def test_wrap_up_follows_a_call_can_be_extended_and_ended(centre: Centre) -> None:
    call = await centre.one_call("02155610002")
    agent = call["agent"]
    await centre.listener.becomes(agent, "wrap_up")
    assert (await centre.listener.command(agent, "wrap_up_extend", seconds=60))["ok"]
    assert (await centre.listener.command(agent, "wrap_up_done"))["ok"]
    await centre.listener.becomes(agent, "idle")
    refused = await centre.listener.command(agent, "wrap_up_extend", seconds=60)
    assert not refused["ok"]
    assert "not in wrap-up" in refused["error"], refused


async def test_wrap_up_ends_by_itself(centre: Centre) -> None:
    agent = (await centre.one_call("02155610003"))["agent"]
    await centre.listener.becomes(agent, "wrap_up")
    await centre.listener.becomes(agent, "idle")


async def test_who_is_paused_is_not_rung_and_gets_the_waiting_caller_on_resuming(centre: Centre) -> None:
    for agent in centre.agents:
        assert (await centre.listener.command(agent, "pause", reason="lunch"))["ok"]
        assert (await centre.listener.becomes(agent, "paused"))["reason"] == "lunch"
    before = centre.invites()
    async with centre.site.call("02155610004") as placed:
        await centre.waits("02155610004")
        assert centre.invites() == before
        await centre.listener.command("agent2", "resume")
        assert await centre.rung(before) == "agent2"
        await until(lambda: centre.shown("02155610004")[-1]["answered_at"] is not None, "answered")
        await placed.hang_up()


async def test_two_missed_calls_in_a_row_pause_the_agent(centre: Centre) -> None:
    await centre.listener.command("agent2", "pause", reason="away")
    await centre.site.phones["agent1"].behave("reject")
    async with centre.site.call("02155610005") as placed:
        assert (await centre.listener.becomes("agent1", "paused"))["reason"] == "missed calls"
        await placed.hang_up()
    call = await centre.ended("02155610005")
    assert [leg["result"] for leg in call["legs"]] == ["rejected", "rejected"]
    assert call["outcome"] == "abandoned"


async def test_a_command_that_makes_no_sense_is_answered_in_one_line(centre: Centre) -> None:
    for command, more in (
        ("dance", {}),
        ("pause", {}),
        ("sign_in", {"phone": "a b"}),
        ("wrap_up_extend", {"seconds": "x"}),
    ):
        answer = await centre.listener.command("agent1", command, **more)
        assert not answer["ok"]
        assert answer["error"]
        assert "\n" not in answer["error"]
    assert not (await centre.listener.command("nobody", "pause", reason="x"))["ok"]


async def test_a_phone_that_is_gone_is_passed_over_and_gets_calls_when_it_is_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    site = Site(folder=tmp_path_factory.mktemp("qualified"), agents=("agent1", "agent2"), ring_seconds=3, qualify=1)
    async with site:
        await site.phone("agent2")
        await site.asterisk.reachable("agent2")
        await site.asterisk.ami.event("ContactStatus", EndpointName="agent1", ContactStatus="Unreachable")
        centre = Centre(site)
        await site.sign_in("agent1")
        call = await centre.one_call("02155610006")
        assert call["agent"] == "agent2"
        assert [leg["agent"] for leg in call["legs"]] == ["agent2"]
        assert call["decisions"][0]["skipped"] == {"phone_unreachable": 1}
        await centre.all_idle()
        await site.phone("agent1", sign_in=False)
        await site.asterisk.reachable("agent1")
        assert (await centre.one_call("02155610007"))["agent"] == "agent1"
