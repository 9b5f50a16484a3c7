"""The key that pauses a recording, on the dialplan alone: what ctid is told of it, and what happens with ctid dead."""

import asyncio

import pytest

from lab import tones
from lab.ami import Message
from lab.asterisk import Asterisk
from lab.process import until
from lab.sipp import SippAgent, place_call
from tests.lab.conftest import ctid_seems_alive

CALLER, LINE = "13800138000", "4001"


async def test_the_key_tells_ctid_and_is_the_agents_alone(pbx: Asterisk) -> None:
    async with (
        ctid_seems_alive(pbx),
        SippAgent(pbx.folder, "agent1", pbx.phones["agent1"]) as phone,
        place_call(pbx, CALLER, LINE) as call,
    ):
        wait = await pbx.ami.event("CtidWait")
        pbx.ami.route(wait["Channel"], "lab:1:dial:agent1:20")
        await phone.rings(CALLER)
        await pbx.ami.event("BridgeEnter", Uniqueid=wait["Uniqueid"])
        await call.press("*6")
        await phone.press(phone.invites[-1], "*6")
        told = await pbx.ami.event("CtidPause")
        assert (told["Uniqueid"], told["Epoch"]) == (wait["Uniqueid"], "lab")
        assert len(pbx.ami.events("CtidPause")) == 1, "the caller's own keys do nothing"
        await call.hang_up()


async def test_with_ctid_dead_the_key_stops_the_recording_and_goes_on_with_it(pbx: Asterisk) -> None:
    async with (
        SippAgent(pbx.folder, "agent1", pbx.phones["agent1"]) as phone,
        place_call(pbx, CALLER, LINE) as call,
    ):
        await phone.rings(CALLER)
        begun = await pbx.ami.event("BridgeEnter", CallerIDNum=CALLER)
        await asyncio.sleep(1)  # sound to record
        await phone.press(phone.invites[-1], "*6")
        paused = await pbx.ami.event("MixMonitorStop")
        await asyncio.sleep(1.5)  # sound that must not be recorded
        await phone.press(phone.invites[-1], "*6")
        [_, resumed] = await _twice(pbx, "MixMonitorStart")
        await asyncio.sleep(1)  # sound to record
        await call.hang_up()
        end = await pbx.ami.event("CtidEnd")
        ended = await pbx.ami.event("BridgeLeave", CallerIDNum=CALLER)
    file = pbx.recording(end["File"])
    at = [float(event["Timestamp"]) for event in (begun, paused, resumed, ended)]
    assert tones.seconds(file) == pytest.approx(at[1] - at[0] + at[3] - at[2], abs=0.5)
    assert tones.seconds_of(file, 440) > 1.5
    assert tones.seconds_of(file, 1000) > 1.5
    kept = [line for line in pbx.cel_file.read_text().splitlines() if "CtidPause" in line or "CtidResume" in line]
    assert [line.split('"')[1] for line in kept] == ["CtidPause", "CtidResume"]


async def _twice(pbx: Asterisk, name: str) -> list[Message]:
    return await until(lambda: found if len(found := pbx.ami.events(name)) == 2 else None, f"{name} twice")
