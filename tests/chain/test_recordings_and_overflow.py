"""Recordings as files and in the books; callers who wait too long, or come when nobody is there."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from lab import tones
from lab.process import until
from lab.sipp import SippAgent
from lab.site import Site
from tests.chain.centre import PITCH, Centre, opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMPATIENT, SPOKEN, CLOSED = "4002", "4003", "4004"


def lines() -> str:
    another_day = (datetime.now(ZoneInfo("Asia/Shanghai")) + timedelta(days=3)).strftime("%a")
    line = '[[lines]]\nname = "{0}"\nnumbers = ["{1}"]\nagents = "all"\n{2}\n'
    return "".join(
        line.format(name, number, more)
        for name, number, more in (
            ("service", "4001", ""),
            ("impatient", IMPATIENT, "longest_wait_seconds = 1"),
            ("spoken", SPOKEN, 'longest_wait_seconds = 1\noverflow = "announcement-beep"'),
            ("closed", CLOSED, f'hours = "{another_day} 10:00-10:01"'),
        )
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    site = Site(folder=tmp_path_factory.mktemp("site"), agents=("agent1", "agent2"), ring_seconds=3, lines=lines())
    async with opened(site) as centre:
        yield centre


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Centre) -> Centre:
    await running.tidy()
    return running


async def file_of(centre: Centre, caller: str) -> Path:
    """The file being recorded for this caller's call, once it is there."""
    [recording] = await until(lambda: centre.shown(caller)[-1]["recordings"], "the call is being recorded")
    name = recording["id"].removeprefix("lab-")

    def look() -> Path | None:
        return next(iter(centre.site.asterisk.monitor_dir.rglob(f"{name}.wav")), None)

    return await until(look, "the file is there")


async def test_a_recording_is_complete_holds_both_voices_and_hangs_on_the_ticket(centre: Centre) -> None:
    call = await centre.one_call("02155630001", 2.0)
    books = await centre.in_the_books("02155630001")
    [recording] = books["recordings"]
    file = centre.site.asterisk.monitor_dir / recording["path"]
    assert recording["state"] == "complete"
    assert recording["ticket_ids"] == books["ticket_ids"]
    assert len(recording["ticket_ids"]) == 1
    assert recording["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    length = tones.seconds(file)
    assert recording["seconds"] == pytest.approx(length, abs=0.01)
    assert sum(leg["talk_seconds"] for leg in books["legs"]) == pytest.approx(length, abs=0.5)
    assert tones.seconds_of(file, 440) > length - 0.5
    assert tones.seconds_of(file, PITCH[call["agent"]]) > length - 0.5


async def test_a_recording_that_vanished_is_missing(centre: Centre) -> None:
    placed, agent, pop = await centre.comes_in("02155630002")
    async with placed:
        await centre.talks(agent, pop["call_id"])
        file = await file_of(centre, "02155630002")
        file.unlink()
        await placed.hang_up()
    [recording] = (await centre.ended("02155630002"))["recordings"]
    assert (recording["state"], recording["seconds"], recording["sha256"]) == ("missing", None, None)


async def test_a_recording_with_its_end_cut_off_is_damaged(centre: Centre) -> None:
    placed, agent, pop = await centre.comes_in("02155630003")
    async with placed:
        await centre.talks(agent, pop["call_id"])
        file = await file_of(centre, "02155630003")
        await sound(1.5)
        file.unlink()
        tones_only = b"RIFF" + (36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
        file.write_bytes(tones_only + bytes.fromhex("01000100401f0000803e000002001000") + b"data" + bytes(4))
        await placed.hang_up()
    [recording] = (await centre.ended("02155630003"))["recordings"]
    assert recording["state"] == "damaged"


async def test_the_fallbacks_calls_are_recorded_too(centre: Centre) -> None:
    before = centre.invites()
    await centre.site.kill_daemon()
    async with centre.site.call("02155630004") as placed:
        await centre.rung(before, limit=15)
        await centre.site.start_daemon()
        await sound(1.0)
        await placed.hang_up()
    call = await centre.ended("02155630004")
    assert (call["via"], call["outcome"]) == ("failsafe", "answered")
    assert [r["state"] for r in call["recordings"]] != ["missing"]


@pytest.mark.parametrize("line", [IMPATIENT, SPOKEN])
async def test_who_waits_longer_than_the_line_allows_goes_to_the_overflow(centre: Centre, line: str) -> None:
    for agent in centre.agents:
        await centre.listener.command(agent, "pause", reason="meeting")
    caller = f"0215563{line}"
    async with centre.site.call(caller, line) as placed:
        await placed.ended()
    call = await centre.ended(caller)
    assert (call["outcome"], call["legs"], call["ticket_ids"]) == ("overflow", [], [])
    assert call["line"] == ("impatient" if line == IMPATIENT else "spoken")


async def test_out_of_hours_nobody_is_rung(centre: Centre) -> None:
    before = centre.invites()
    async with centre.site.call("02155630005", CLOSED) as placed:
        await placed.ended()
    call = await centre.ended("02155630005")
    assert (call["outcome"], call["line"], call["legs"]) == ("closed", "closed", [])
    assert centre.invites() == before


async def test_a_number_no_line_has_is_served_all_the_same(centre: Centre) -> None:
    placed, agent, pop = await centre.comes_in("02155630006", "4999")
    async with placed:
        await centre.talks(agent, pop["call_id"])
        await placed.hang_up()
    call = await centre.ended("02155630006")
    assert (call["outcome"], call["line"], call["dialled"]) == ("answered", None, "4999")
    await asyncio.gather(*(centre.listener.becomes(a, "idle") for a in centre.agents))


async def test_a_caller_sent_on_to_an_outside_number_keeps_one_recording_of_it_all(centre: Centre) -> None:
    """The customer's channel passes through ctid's dialplan a second time: the file must not begin anew."""
    site = centre.site
    async with SippAgent(site.folder / "sipp", "outside", site.asterisk.trunk_port, tone=1600) as outside:
        placed, agent, pop = await centre.comes_in("02155690020")
        async with placed:
            await centre.talks(agent, pop["call_id"])
            await sound(2)
            phone = site.phones[agent]
            await phone.transfer(phone.invites[-1], f"sip:902155690021@127.0.0.1:{site.asterisk.sip_port}")
            await outside.rings()
            await sound(2)
            await placed.hang_up()
        call = await centre.in_the_books("02155690020")
    assert (call["direction"], call["dialled"], call["outcome"]) == ("inbound", "4001", "answered")
    assert {leg["party"] for leg in call["legs"]} == {agent, "02155690021"}
    [recording] = call["recordings"]
    assert recording["state"] == "complete"
    file = site.asterisk.monitor_dir / recording["path"]
    assert tones.seconds_of(file, PITCH[agent]) > 1, "what was said before the transfer"
    assert tones.seconds_of(file, 440) > 3, "the customer, before and after"
    assert tones.seconds_of(file, 1600) > 1.3, "the party outside"


async def test_a_caller_sent_on_to_an_outside_number_can_send_nobody_anywhere(centre: Centre) -> None:
    """What agents press in mid-call is theirs alone: a customer's keys would be free calls on the site's bill."""
    site = centre.site
    async with SippAgent(site.folder / "sipp", "keys", site.asterisk.trunk_port, tone=1600) as outside:
        placed, agent, pop = await centre.comes_in("02155690030")
        async with placed:
            await centre.talks(agent, pop["call_id"])
            phone = site.phones[agent]
            await phone.transfer(phone.invites[-1], f"sip:902155690031@127.0.0.1:{site.asterisk.sip_port}")
            await outside.rings()
            await sound(0.5)
            before = len(site.asterisk.ami.events("MusicOnHoldStart"))
            await placed.press("*1")
            await sound(1)
            held = site.asterisk.ami.events("MusicOnHoldStart")[before:]
            await placed.hang_up()
        await centre.in_the_books("02155690030")
    assert [message["Channel"] for message in held] == [], "a transfer by keys puts the other party on hold"


async def test_a_customer_an_agent_called_is_recorded_on_through_a_transfer(centre: Centre) -> None:
    site = centre.site
    async with (
        SippAgent(site.folder / "sipp", "customer", site.asterisk.trunk_port, tone=1600) as customer,
        site.call("agent1", "902155690022", tone=440) as placed,
    ):
        await customer.rings()
        await centre.listener.becomes("agent1", "talking")
        await sound(2)
        channels = [m["Channel"] for m in site.asterisk.ami.events("Newchannel")]
        agents = [channel for channel in channels if channel.startswith("PJSIP/agent1-")]
        await site.asterisk.ami.action("BlindTransfer", Channel=agents[-1], Exten="agent2", Context="agents")
        await site.phones["agent2"].rings()
        await centre.listener.becomes("agent2", "talking")
        await sound(2)
        await customer.hang_up(customer.invites[-1])
        await placed.ended()
    call = await centre.in_the_books("agent1")
    assert call["direction"] == "outbound"
    assert {leg["agent"] for leg in call["legs"]} == {"agent1", "agent2", None}
    [recording] = call["recordings"]
    assert recording["state"] == "complete"
    file = site.asterisk.monitor_dir / recording["path"]
    assert tones.seconds_of(file, 440) > 1, "the agent who called"
    assert tones.seconds_of(file, 1600) > 3, "the customer, with both agents"
    assert tones.seconds_of(file, PITCH["agent2"]) > 1.3, "the agent who was given the call"
