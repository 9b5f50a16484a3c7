"""People at phones: hot desk by feature code, phones that come, go and die, what makes an agent not idle, missed calls."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ctid.db.audits import Audits
from ctid.db.session import engine
from lab.process import until
from lab.sipp import SippAgent
from lab.site import Site
from tests.chain.centre import CHEN, CSV, Centre, opened, sound

#: Agents with letters in their ids, and the codes they key in; Zhao has no phone of his own.
AGENTS = {
    "agents": "id,name,phone,code,level,pin,lines,email\nagent1,One,agent1,101,2,1001,,\nagent2,Two,agent2,102,2,1002,,\n"
    "agent3,Three,agent3,103,2,1003,,\nmobile,Mo,mobile,104,2,1004,,\nzhao,Zhao,,7002,2,4242,,\n"
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    site = Site(
        folder=tmp_path_factory.mktemp("site"),
        registering=("mobile",),
        rtp_timeout=2,
        ring_seconds=3,
        routing="round_pause_seconds = 1\ncool_down_seconds = 0\nmissed_in_a_row = 0",
        csv={**CSV, **AGENTS},
    )
    async with opened(site) as centre:
        yield centre


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Centre) -> Centre:
    """Agents 1 to 3 at their own phones."""
    for agent in running.site.agents:
        state = running.listener.state(agent)
        if state is None or state["phone"] != agent:
            await running.site.sign_in(agent)
    await running.tidy()
    return running


async def only(centre: Centre, *agents: str) -> None:
    """These agents take calls, everyone else pauses."""
    for agent in centre.agents:
        if agent not in agents:
            await centre.listener.command(agent, "pause", reason="away")
            await centre.listener.becomes(agent, "paused")


async def keyed(centre: Centre, phone: str, code: str, *digits: str) -> str:
    """Someone at this phone dials a feature code and keys in digits; the last prompt they heard."""
    ami = centre.site.asterisk.ami
    async with centre.site.call(phone, code, digits=[(0.3, run) for run in digits]) as call:
        await call.ended(limit=25)
        seen = await ami.event("Newchannel", CallerIDNum=phone, Exten=code)
    played = ami.events("Newexten", Application="Playback", Context="ctid-ask")
    mine = [m["AppData"] for m in played if m["Timestamp"] >= seen["Timestamp"] and m["CallerIDNum"] == phone]
    return mine[-1]


# -- hot desk ----------------------------------------------------------------------------------------------------------


async def test_an_agent_comes_to_a_phone_by_code_and_pin_moves_to_another_and_goes(centre: Centre) -> None:
    assert await keyed(centre, "agent1", "*11", "7002#", "4242#") == "agent-loginok"
    assert (await centre.listener.becomes("zhao", "idle"))["phone"] == "agent1"
    await centre.listener.becomes("agent1", "offline")
    assert await keyed(centre, "agent2", "*11", "7002#", "4242#") == "agent-loginok"
    await until(lambda: (centre.listener.state("zhao") or {})["phone"] == "agent2", "zhao has moved")
    await centre.listener.becomes("agent2", "offline")
    assert await keyed(centre, "agent1", "*11", "101#", "1001#") == "agent-loginok"  # the phone he left is free
    await centre.listener.becomes("agent1", "idle")
    assert await keyed(centre, "agent2", "*13") == "do-not-disturb&activated"
    await centre.listener.becomes("zhao", "paused")
    assert await keyed(centre, "agent2", "*14") == "do-not-disturb&de-activated"
    await centre.listener.becomes("zhao", "idle")
    assert await keyed(centre, "agent2", "*12") == "agent-loggedoff"
    await centre.listener.becomes("zhao", "offline")
    assert await keyed(centre, "agent2", "*13") == "beeperr"  # nobody sits there
    calls = [call for call in await centre.site.calls("agent2") if call["dialled"].startswith("*")]
    assert len(calls) >= 5
    assert {(call["direction"], call["outcome"], call["via"]) for call in calls} == {("internal", "answered", "direct")}
    assert all(call["answered_at"] for call in calls)


async def test_an_agent_signs_in_by_keys_in_the_sound_as_real_phones_send_them(centre: Centre) -> None:
    async with centre.site.call("agent1", "*11", keys_in_sound=True) as call:
        await call.press("7002#")
        await centre.site.asterisk.ami.event("Newexten", Application="Read", AppData="CTID_PIN,agent-pass,16,,2,10")
        await call.press("4242#")
        await call.ended(limit=15)
    assert (await centre.listener.becomes("zhao", "idle"))["phone"] == "agent1"
    assert (await centre.listener.command("zhao", "sign_out"))["ok"]
    await centre.listener.becomes("zhao", "offline")


async def test_a_wrong_pin_is_denied_and_five_of_them_lock_the_phone_for_the_right_one_too(centre: Centre) -> None:
    heard = await asyncio.gather(*(keyed(centre, "agent3", "*11", f"900{n}#", "0000#") for n in range(5)))
    assert set(heard) == {"agent-incorrect"}
    assert await keyed(centre, "agent3", "*11", "103#", "1003#") == "agent-incorrect"
    await centre.listener.becomes("agent3", "idle")  # whoever sits there stays
    database = engine(f"sqlite:///{centre.site.state / 'ctid.db'}")
    try:
        deeds = await Audits(database).deeds(limit=5)
    finally:
        await database.dispose()
    assert [(deed.action, deed.subject, deed.address) for deed in deeds] == [("pins_stopped", "agent3", "agent3")]


# -- what makes an agent not idle --------------------------------------------------------------------------------------


async def test_an_agent_in_a_call_of_their_own_is_not_rung_though_the_phone_has_a_second_line(centre: Centre) -> None:
    await only(centre, "agent1")
    phone = centre.site.phones["agent1"]
    trunk = SippAgent(centre.site.folder / "sipp", "trunk", centre.site.asterisk.trunk_port)
    async with trunk, centre.site.call("agent1", "9013900139001") as own:
        await trunk.rings()
        await centre.listener.becomes("agent1", "talking")
        before = len(phone.invites)
        async with centre.site.call("02155660001") as placed:
            await centre.waits("02155660001")
            await sound(1.5)
            assert len(phone.invites) == before
            await own.hang_up()
            await phone.rings("02155660001")
            await placed.hang_up()
    await centre.ended("02155660001")


async def test_a_second_caller_is_never_offered_to_an_agent_who_talks(centre: Centre) -> None:
    await only(centre, "agent1")
    phone = centre.site.phones["agent1"]
    async with centre.site.call("02155660002") as first, centre.site.call("02155660003") as second:
        await centre.listener.becomes("agent1", "talking")
        await centre.waits("02155660002")
        await centre.waits("02155660003")
        await sound(1.5)
        assert len({m.user for m in phone.invites} & {"02155660002", "02155660003"}) == 1
        talker, waiter = (first, second) if any(m.user == "02155660002" for m in phone.invites) else (second, first)
        await talker.hang_up()
        await until(
            lambda: {"02155660002", "02155660003"} <= {m.user for m in phone.invites}, "the other one is offered now"
        )
        await waiter.hang_up()
    for caller in ("02155660002", "02155660003"):
        assert len((await centre.ended(caller))["decisions"]) == 1


async def test_an_agent_whom_the_fallback_rings_is_not_idle(centre: Centre) -> None:
    await only(centre, "agent1")
    phone = centre.site.phones["agent1"]
    await phone.behave("never")
    await centre.booked()
    await centre.site.kill_daemon()
    async with centre.site.call("02155660004") as stranded:
        await phone.rings("02155660004", limit=20)
        await centre.site.start_daemon()
        await centre.listener.becomes("agent1", "ringing")
        async with centre.site.call("02155660005") as placed:
            await centre.waits("02155660005")
            await sound(1.5)
            assert "02155660005" not in {m.user for m in phone.invites}
            await placed.hang_up()
        await stranded.hang_up()
    assert (await centre.ended("02155660005"))["decisions"] == []
    assert (await centre.ended("02155660004"))["via"] == "failsafe"


# -- phones that come, go and die --------------------------------------------------------------------------------------


async def test_a_phone_gets_calls_while_it_is_registered_and_no_longer(centre: Centre) -> None:
    site = centre.site
    phone = SippAgent(site.folder / "sipp", "mobile", site.asterisk.phones["mobile"])
    await only(centre)
    assert (await centre.listener.command("mobile", "sign_in", phone="mobile"))["ok"]

    async def rung(caller: str) -> None:
        async with site.call(caller) as placed:
            await phone.rings(caller)
            await until(lambda: (centre.shown(caller) or [{}])[-1].get("answered_at"), f"{caller} talks")
            await placed.hang_up()
        assert (await centre.ended(caller))["agent"] == "mobile"
        await centre.listener.becomes("mobile", "idle")

    async def passed_over(caller: str) -> None:
        async with site.call(caller) as placed:
            await centre.waits(caller)
            await sound(1)
            await placed.hang_up()
        assert (await centre.ended(caller))["decisions"] == []
        assert caller not in {m.user for m in phone.invites}

    async def device(state: str) -> None:
        await until(lambda: newest_state(centre, "mobile") == state, f"the phone is {state}")

    async with phone:
        await passed_over("02155660010")
        await phone.register(site.asterisk, "mobile")
        await device("NOT_INUSE")
        await rung("02155660011")
        await phone.register(site.asterisk, "mobile", seconds=0)
        await device("UNAVAILABLE")
        await passed_over("02155660012")
        async with site.call("02155660013") as placed:  # who waits is offered the moment the phone is back
            await centre.waits("02155660013")
            await phone.register(site.asterisk, "mobile", seconds=4)
            await phone.rings("02155660013")
            await placed.hang_up()
        await device("UNAVAILABLE")  # expired
        await passed_over("02155660014")
        await phone.register(site.asterisk, "mobile")
        await device("NOT_INUSE")
        await rung("02155660015")
        await phone.register(site.asterisk, "mobile", seconds=0)
    await centre.listener.command("mobile", "sign_out")


def newest_state(centre: Centre, phone: str) -> str | None:
    told = centre.site.asterisk.ami.events("DeviceStateChange", Device=f"PJSIP/{phone}")
    return told[-1]["State"] if told else None


async def test_a_phone_that_dies_while_it_rings_sends_the_caller_to_the_next(centre: Centre) -> None:
    await only(centre, "agent1", "agent2")
    await centre.site.phones["agent1"].behave("never")
    await centre.site.phones["agent2"].behave("never")
    before = centre.invites()
    async with centre.site.call("02155660020") as placed:
        first = await centre.rung(before)
        await centre.waits("02155660020")
        await centre.site.phones[first].kill()
        other = "agent2" if first == "agent1" else "agent1"
        await centre.site.phones[other].behave("answer")
        await centre.listener.popped(other, "answered", centre.shown("02155660020")[-1]["id"])
        await placed.hang_up()
    call = await centre.ended("02155660020")
    assert [(leg["agent"], leg["result"]) for leg in call["legs"]] == [(first, "no_answer"), (other, "answered")]
    assert call["agent"] == other
    await centre.listener.becomes(first, "idle")


async def test_a_phone_that_dies_in_mid_call_leaves_right_books_and_a_free_agent(centre: Centre) -> None:
    await only(centre, "agent1")
    async with centre.site.call("02155660021") as placed:
        await centre.waits("02155660021")
        await centre.talks("agent1", centre.shown("02155660021")[-1]["id"])
        await sound(1)
        await centre.site.phones["agent1"].kill()
        await placed.ended(limit=15)
    call = await centre.ended("02155660021")
    assert (call["outcome"], call["agent"]) == ("answered", "agent1")
    [leg] = call["legs"]
    assert leg["result"] == "answered"
    assert leg["talk_seconds"] > 1
    assert [recording["state"] for recording in call["recordings"]] == ["complete"]
    await centre.listener.becomes("agent1", "idle")
    await centre.site.phones["agent1"].start()


# -- missed calls ------------------------------------------------------------------------------------------------------


async def test_the_owner_sees_a_missed_call_and_the_next_pop_says_that_the_caller_rang_in_vain(centre: Centre) -> None:
    await only(centre)
    async with centre.site.call(CHEN) as placed:
        await centre.waits(CHEN)
        await placed.hang_up()
    call = await centre.in_the_books(CHEN)
    assert (call["outcome"], call["owner"], call["ticket_ids"], call["agent"]) == ("abandoned", "agent2", [], None)
    pop = await centre.listener.popped("agent2", "ended", call["id"])
    assert pop["contact"]["name"] == "Chen Jie"
    assert pop["ticket"]["id"] == "1001"
    [notice] = pop["notices"]
    assert notice.startswith("Missed call: rang at ")
    assert "Two, who owned the caller's newest ticket, was told of a missed call." in await centre.site.ctid(
        "explain", call["id"]
    )
    await centre.site.stop_daemon()  # how often outlives a restart
    await centre.site.start_daemon()
    await centre.listener.command("agent2", "resume")
    await centre.listener.becomes("agent2", "idle")
    placed, agent, pop = await centre.comes_in(CHEN)
    async with placed:
        assert (agent, pop["notices"]) == ("agent2", ["Rang in vain once today."])
        await centre.talks("agent2", pop["call_id"])
        await placed.hang_up()
    assert (await centre.ended(CHEN))["outcome"] == "answered"
