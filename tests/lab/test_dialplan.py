"""The dialplan alone, with a hand on AMI in ctid's place: who gets the caller, and that no caller is lost."""

import asyncio
import time
from pathlib import Path

import pytest

from lab import tones
from lab.ami import Message
from lab.asterisk import Asterisk
from lab.sipp import Behaviour, SippAgent, SippCall, place_call
from tests.lab.conftest import ctid_seems_alive

CALLER, LINE = "13800138000", "4001"


async def sound_of(pbx: Asterisk, end: Message) -> Path:
    path = pbx.recording(end["File"])
    assert path.stat().st_size == int(end["Size"])
    return path


async def test_with_ctid_dead_a_caller_reaches_an_agent_by_the_queue_and_is_recorded(pbx: Asterisk) -> None:
    async with SippAgent(pbx.folder, "agent1", pbx.phones["agent1"]) as phone:
        async with place_call(pbx, CALLER, LINE) as call:
            await phone.rings(CALLER)
            await pbx.ami.event("BridgeEnter", CallerIDNum=CALLER)
            await asyncio.sleep(1.5)  # sound to record
            await call.hang_up()
        end = await pbx.ami.event("CtidEnd")
    assert pbx.ami.events("CtidFailsafe")
    assert not pbx.ami.events("CtidWait")
    sound = await sound_of(pbx, end)
    assert tones.seconds_of(sound, 440) > 1
    assert tones.seconds_of(sound, 1000) > 1
    assert tones.seconds_of(sound, 700) == 0


async def test_a_routed_caller_rings_that_agent_alone_and_only_talk_is_recorded(pbx: Asterisk) -> None:
    async with (
        ctid_seems_alive(pbx),
        SippAgent(pbx.folder, "agent1", pbx.phones["agent1"]) as one,
        SippAgent(pbx.folder, "agent2", pbx.phones["agent2"], ring=1, tone=700) as two,
        place_call(pbx, CALLER, LINE) as call,
    ):
        start = await pbx.ami.event("CtidStart")
        wait = await pbx.ami.event("CtidWait")
        assert (start["Direction"], start["Did"], wait["Why"]) == ("inbound", LINE, "")
        assert wait["Waited"] in ("0", "1")  # whole seconds: one may have turned meanwhile
        pbx.ami.route(wait["Channel"], "lab:1:dial:agent2:20")
        await two.rings(CALLER)
        begun = await pbx.ami.event("BridgeEnter", CallerIDNum=CALLER)
        await asyncio.sleep(1)  # sound to record
        await call.hang_up()
        sound = await sound_of(pbx, await pbx.ami.event("CtidEnd"))
        assert one.invites == []
        ended = await pbx.ami.event("BridgeLeave", CallerIDNum=CALLER)
    assert tones.seconds(sound) == pytest.approx(float(ended["Timestamp"]) - float(begun["Timestamp"]), abs=0.5)
    assert tones.seconds_of(sound, 700) > 0.5
    assert tones.seconds_of(sound, 440) > 0.5


@pytest.mark.parametrize(
    ("behaviour", "why", "cause"),
    [
        ("busy", "BUSY", "17"),
        ("reject", "CHANUNAVAIL", "21"),
        ("unavailable", "NOANSWER", "19"),
        ("never", "NOANSWER", "0"),
    ],
)
async def test_a_caller_whom_an_agent_does_not_take_waits_again_with_the_reason(
    pbx: Asterisk, behaviour: Behaviour, why: str, cause: str
) -> None:
    phone = SippAgent(pbx.folder, "agent1", pbx.phones["agent1"], behaviour)
    async with ctid_seems_alive(pbx), phone, place_call(pbx, CALLER, LINE) as call:
        wait = await pbx.ami.event("CtidWait")
        pbx.ami.route(wait["Channel"], "lab:1:dial:agent1:1")
        again = await pbx.ami.event("CtidWait", Seq="2")
        assert (again["Why"], again["Cause"]) == (why, cause)
        assert call.live
        await call.hang_up()
    await pbx.ami.event("CtidEnd")


async def test_a_phone_that_is_gone_sends_the_caller_back_at_once(tmp_path: Path) -> None:
    async with Asterisk(tmp_path / "pbx", qualify=1) as pbx:
        await pbx.ami.event("ContactStatus", EndpointName="agent1", ContactStatus="Unreachable")
        async with ctid_seems_alive(pbx), place_call(pbx, CALLER, LINE) as call:
            wait = await pbx.ami.event("CtidWait")
            pbx.ami.route(wait["Channel"], "lab:1:dial:agent1:20")
            assert (await pbx.ami.event("CtidWait", Seq="2"))["Why"] == "CHANUNAVAIL"
            await call.hang_up()


async def test_a_late_route_moves_nobody(pbx: Asterisk) -> None:
    async with (
        ctid_seems_alive(pbx),
        SippAgent(pbx.folder, "agent1", pbx.phones["agent1"]) as phone,
        place_call(pbx, CALLER, LINE) as call,
    ):
        wait = await pbx.ami.event("CtidWait")
        for stale in ("lab:0:dial:agent1:20", "lab:2:dial:agent1:20", "other:1:dial:agent1:20", "nonsense"):
            pbx.ami.route(wait["Channel"], stale)
            await pbx.ami.action("Ping")
        await pbx.ami.event("CtidStale")
        pbx.ami.route(wait["Channel"], "lab:1:overflow:hangup:0")
        await call.ended()
        assert (await pbx.ami.event("CtidOverflow"))["To"] == "hangup"
        assert phone.invites == []


async def test_a_route_whose_doorbell_is_lost_is_found(pbx: Asterisk) -> None:
    async with ctid_seems_alive(pbx), place_call(pbx, CALLER, LINE) as call:
        wait = await pbx.ami.event("CtidWait")
        await pbx.ami.action("Setvar", Channel=wait["Channel"], Variable="CTID_ROUTE", Value="lab:1:overflow:hangup:0")
        await call.ended()


@pytest.mark.parametrize("route", ["lab:1:hangup:x:1", "lab:1:wait::", "lab:1:::", "lab:1:overflow:moon-1:1"])
async def test_a_route_that_makes_no_sense_leaves_the_caller_waiting(pbx: Asterisk, route: str) -> None:
    async with ctid_seems_alive(pbx), place_call(pbx, CALLER, LINE) as call:
        wait = await pbx.ami.event("CtidWait")
        pbx.ami.route(wait["Channel"], route)
        again = await pbx.ami.event("CtidWait", Seq="2")
        assert again["Why"].startswith("UNKNOWN")
        assert call.live


async def test_a_caller_who_presses_keys_goes_on_waiting(pbx: Asterisk) -> None:
    async with (
        ctid_seems_alive(pbx),
        SippAgent(pbx.folder, "agent1", pbx.phones["agent1"]) as phone,
        place_call(pbx, CALLER, LINE, digits=[(0.2, "19*#DD")]) as call,
    ):
        wait = await pbx.ami.event("CtidWait")
        await pbx.ami.event("DTMFEnd", limit=15, Digit="#", Direction="Received")
        await pbx.ami.event("DTMFEnd", limit=15, Digit="D", Direction="Received")
        pbx.ami.route(wait["Channel"], "lab:1:dial:agent1:20")
        await phone.rings(CALLER)
        await pbx.ami.event("BridgeEnter", CallerIDNum=CALLER)
        await call.hang_up()
        assert not pbx.ami.events("CtidStale")


@pytest.mark.parametrize("said", ["CTID_STANDBY", "CTID_TAKEN"])
async def test_callers_stay_held_for_eight_seconds_while_a_second_ctid_takes_over(pbx: Asterisk, said: str) -> None:
    """Five seconds after the last heartbeat they wait; ten seconds after it nobody is believed."""
    now = int(time.time())
    await pbx.ami.beat()
    await pbx.ami.action("Setvar", Variable=said, Value=str(now))
    await pbx.ami.action("Setvar", Variable="CTID_HEARTBEAT", Value=str(now - 5))
    async with place_call(pbx, CALLER, LINE) as call:
        await pbx.ami.event("CtidWait")
        assert not pbx.ami.events("CtidFailsafe")
        await pbx.ami.action("Setvar", Variable="CTID_HEARTBEAT", Value=str(now - 10))
        await pbx.ami.event("CtidFailsafe")
        await call.hang_up()


async def test_callers_on_hold_go_to_the_queue_when_ctid_dies(pbx: Asterisk) -> None:
    await pbx.ami.beat()
    async with SippAgent(pbx.folder, "agent1", pbx.phones["agent1"]) as phone, place_call(pbx, CALLER, LINE) as call:
        await pbx.ami.event("CtidWait")
        await pbx.ami.event("CtidFailsafe")
        await phone.rings(CALLER)
        await call.hang_up()
    assert len({message["Call"] for message in pbx.ami.events("UserEvent")}) == 1


async def test_a_caller_speaks_no_words_into_events(pbx: Asterisk) -> None:
    forged = "Bob,Seq: 999\\,Call: 1"
    async with ctid_seems_alive(pbx), place_call(pbx, CALLER, LINE, name=forged) as call:
        wait = await pbx.ami.event("CtidWait")
        assert (wait["Seq"], wait["Call"]) == ("1", wait["Linkedid"])
        await call.hang_up()


@pytest.mark.parametrize("dialled", ["+8610123456", "7", "4001"])
async def test_any_number_can_be_dialled(pbx: Asterisk, dialled: str) -> None:
    async with ctid_seems_alive(pbx), place_call(pbx, "anonymous", dialled, name="Anonymous") as call:
        assert (await pbx.ami.event("CtidWait"))["Did"] == dialled
        await call.hang_up()


async def test_an_agent_calls_a_customer_and_is_recorded_with_ctid_dead(pbx: Asterisk) -> None:
    async with SippAgent(pbx.folder, "customer", pbx.trunk_port, tone=700) as customer:
        async with place_call(pbx, "agent1", "9+8613900139000") as call:
            invite = await customer.rings()
            assert "+8613900139000@" in invite.start
            await pbx.ami.event("BridgeEnter", CallerIDNum="agent1")
            await asyncio.sleep(1)  # sound to record
            await call.hang_up()
        end = await pbx.ami.event("CtidEnd")
    start = await pbx.ami.event("CtidStart")
    assert (start["Direction"], start["Did"]) == ("outbound", "+8613900139000")
    sound = await sound_of(pbx, end)
    assert tones.seconds_of(sound, 700) > 0.5
    assert tones.seconds_of(sound, 440) > 0.5


async def signing_in(pbx: Asterisk) -> tuple[SippCall, Message]:
    call = place_call(pbx, "agent1", "*11", digits=[(0.3, "1001#"), (0.3, "4242#")])
    return call, await pbx.ami.event("CtidAgent", limit=20)


async def test_an_agent_signs_in_with_id_and_pin_from_a_phone(pbx: Asterisk) -> None:
    async with ctid_seems_alive(pbx):
        call, asked = await signing_in(pbx)
        assert (asked["Command"], asked["Agent"], asked["Pin"]) == ("sign_in", "1001", "4242")
        assert asked["Channel"].startswith("PJSIP/agent1-")
        pbx.ami.route(asked["Channel"], "lab:1:say:ok:0")
        await pbx.ami.event("Newexten", Application="Playback", AppData="agent-loginok")
        await call.ended()
        assert call.hung_up_by_pbx


async def test_an_agent_hears_an_error_when_ctid_does_not_answer(pbx: Asterisk) -> None:
    async with ctid_seems_alive(pbx), place_call(pbx, "agent1", "*13") as call:
        assert (await pbx.ami.event("CtidAgent"))["Command"] == "pause"
        await pbx.ami.event("Newexten", Application="Playback", AppData="beeperr")
        await call.ended()


async def test_the_sites_own_globals_stand(tmp_path: Path) -> None:
    async with Asterisk(tmp_path / "pbx", globals_="CTID_LEASE = 7\nSITE = mine") as pbx:
        async with ctid_seems_alive(pbx), place_call(pbx, CALLER, LINE) as call:
            await pbx.ami.event("CtidWait")
            await call.hang_up()
        shown = await pbx.cli("dialplan show globals")
        assert "CTID_LEASE=7" in shown
        assert "SITE=mine" in shown
        assert "CTID_MOH=default" in shown
        assert pbx.complaints() == []


async def test_cel_tells_bridges_with_microseconds(pbx: Asterisk) -> None:
    async with SippAgent(pbx.folder, "agent1", pbx.phones["agent1"]), place_call(pbx, CALLER, LINE) as call:
        await pbx.ami.event("BridgeEnter", CallerIDNum=CALLER)
        await call.hang_up()
    await pbx.ami.event("CtidEnd")
    await pbx.stop()
    lines = [line.split('","') for line in pbx.cel_file.read_text().splitlines()]
    assert {"BRIDGE_ENTER", "BRIDGE_EXIT", "LINKEDID_END"} <= {line[0].strip('"') for line in lines}
    assert all(len(line[1].partition(".")[2]) == 6 for line in lines)
    await pbx.start()
