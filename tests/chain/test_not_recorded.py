"""What is not recorded: card data, by the desk, by a key, by the clock; and callers who were not told or did not agree."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from lab import tones
from lab.process import until
from lab.sipp import SippAgent, SippCall
from lab.site import Site
from tests.chain.centre import PITCH, Centre, opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

CUSTOMER, OUTSIDE = 440, 1600
PAUSE_SECONDS = 4.0
TOLD, ASKED, BROKEN = "4002", "4003", "4004"
LINES = """
[[lines]]
name = "service"
numbers = ["4001"]
[[lines]]
name = "told"
numbers = ["4002"]
consent = "beep"
[[lines]]
name = "asked"
numbers = ["4003"]
consent = "beep"
consent_mode = "ask"
[[lines]]
name = "broken"
numbers = ["4004"]
consent = "no-such-sound"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    folder = tmp_path_factory.mktemp("site")
    pause = f"pause_seconds = {PAUSE_SECONDS}"
    site = Site(folder=folder, agents=("agent1", "agent2"), recordings=pause, lines=LINES)
    async with opened(site) as centre:
        yield centre


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Centre) -> Centre:
    await running.tidy()
    return running


def gaps(call: dict[str, Any]) -> list[dict[str, Any]]:
    return [gap for recording in call["recordings"] for gap in recording["gaps"]]


async def paused(centre: Centre, caller: str, count: int = 1) -> dict[str, Any]:
    """The caller's newest pause, the ``count``-th of the call, once it is shown to have begun."""

    def look() -> dict[str, Any] | None:
        found = gaps(centre.shown(caller)[-1])
        return found[-1] if len(found) == count and found[-1]["ended_at"] is None else None

    return await until(look, "the recording is paused")


async def resumed(centre: Centre, caller: str, limit: float = 10.0) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = gaps(centre.shown(caller)[-1])
        return found[-1] if found and found[-1]["ended_at"] is not None else None

    return await until(look, "the recording goes on", limit=limit)


def file_of(centre: Centre, call: dict[str, Any]) -> Path:
    [recording] = call["recordings"]
    assert recording["state"] == "complete", "as long as the ledger says"
    found = next(iter(centre.site.asterisk.monitor_dir.rglob(f"{recording['id'].removeprefix('lab-')}.wav")))
    assert isinstance(found, Path)
    return found


def silent_within(file: Path, gap: dict[str, Any], *pitches: int) -> None:
    """No party is heard in the pause, and each before and after it. A twentieth of a second on either side may be either."""
    begins, ends = gap["begins_seconds"], gap["ends_seconds"]
    for pitch in pitches:
        assert tones.seconds_of(file, pitch, since=begins + 0.15, until=ends - 0.15) == 0, f"{pitch} in the pause"
        assert tones.seconds_of(file, pitch, until=begins) > begins / 4, (
            f"{pitch} before it"
        )  # the phone may start late
        assert tones.seconds_of(file, pitch, since=ends) > 0.4, f"{pitch} after it"


async def test_what_is_said_in_a_pause_is_not_in_the_file_and_the_books_say_who_asked_for_it(centre: Centre) -> None:
    caller = "02155640001"
    placed, agent, pop = await centre.comes_in(caller)
    async with placed:
        await centre.talks(agent, pop["call_id"])
        await sound(1)
        assert (await centre.listener.command(agent, "record_pause"))["ok"]
        await paused(centre, caller)
        state = await centre.listener.becomes(agent, "talking")
        assert state["recording_paused_until"] is not None, "the desk counts down to it"
        other = "agent2" if agent == "agent1" else "agent1"
        refused = await centre.listener.command(other, "record_resume")
        assert (refused["ok"], refused["code"]) == (False, "not_recorded"), "who is not in the call has no say in it"
        await sound(1)
        assert (await centre.listener.command(agent, "record_resume"))["ok"]
        await resumed(centre, caller)
        assert not (await centre.listener.command(agent, "record_resume"))["ok"], "there is nothing to resume"
        await sound(1)
        await placed.hang_up()
    [gap] = gaps(call := await centre.in_the_books(caller))
    assert (gap["agent"], gap["ended"], gap["kind"]) == (agent, "resumed", "silence")
    silent_within(file_of(centre, call), gap, CUSTOMER, PITCH[agent])


async def test_a_pause_that_nobody_ends_ends_by_itself(centre: Centre) -> None:
    caller = "02155640002"
    placed, agent, pop = await centre.comes_in(caller)
    async with placed:
        await centre.talks(agent, pop["call_id"])
        await sound(0.5)
        phone = centre.site.phones[agent]
        await phone.press(phone.invites[-1], "*6")
        await paused(centre, caller)
        await resumed(centre, caller)
        await sound(0.7)
        await placed.hang_up()
    [gap] = gaps(call := await centre.in_the_books(caller))
    assert (gap["agent"], gap["ended"]) == (agent, "timer")
    lasted = datetime.fromisoformat(gap["ended_at"]) - datetime.fromisoformat(gap["started_at"])
    assert lasted.total_seconds() == pytest.approx(PAUSE_SECONDS, abs=1)
    silent_within(file_of(centre, call), gap, CUSTOMER, PITCH[agent])


async def test_a_pause_outlives_a_transfer_and_the_next_agent_may_end_it(centre: Centre) -> None:
    """The colleague's phone brings a new voice, for which a recording that is not paused begins anew: it must not."""
    caller = "02155640003"
    placed, agent, pop = await centre.comes_in(caller)
    other = "agent2" if agent == "agent1" else "agent1"
    async with placed:
        await centre.talks(agent, pop["call_id"])
        await sound(0.5)
        assert (await centre.listener.command(agent, "record_pause"))["ok"]
        sent = await centre.listener.command(agent, "transfer", kind="blind", to=other)
        assert sent["ok"], sent
        await centre.talks(other, pop["call_id"])
        await sound(1)
        state = await centre.listener.becomes(other, "talking")
        assert state["recording_paused_until"] is not None
        phone = centre.site.phones[other]
        await phone.press(phone.invites[-1], "*6")
        await resumed(centre, caller)
        await sound(1)
        await placed.hang_up()
    [gap] = gaps(call := await centre.in_the_books(caller))
    assert (gap["agent"], gap["ended"]) == (agent, "resumed")
    file = file_of(centre, call)
    silent_within(file, gap, CUSTOMER)
    assert tones.seconds_of(file, PITCH[other], until=gap["ends_seconds"] - 0.15) == 0
    assert tones.seconds_of(file, PITCH[other], since=gap["ends_seconds"]) > 0.4, (
        "who came in the pause is heard after it"
    )


async def test_ctid_killed_in_a_pause_leaves_it_silent_and_ends_it_once_it_is_back(centre: Centre) -> None:
    caller = "02155640004"
    placed, agent, pop = await centre.comes_in(caller)
    async with placed:
        await centre.talks(agent, pop["call_id"])
        await sound(0.5)
        assert (await centre.listener.command(agent, "record_pause"))["ok"]
        await centre.site.kill_daemon()
        await centre.site.start_daemon()
        await paused(centre, caller)
        await resumed(centre, caller)
        await sound(0.7)
        await placed.hang_up()
    [gap] = gaps(call := await centre.in_the_books(caller))
    assert (gap["agent"], gap["ended"]) == (agent, "timer")
    silent_within(file_of(centre, call), gap, CUSTOMER, PITCH[agent])


async def test_with_ctid_dead_the_key_still_pauses_and_the_books_know_it_afterwards(centre: Centre) -> None:
    caller = "02155640005"
    placed, agent, pop = await centre.comes_in(caller)
    phone = centre.site.phones[agent]
    async with placed:
        await centre.talks(agent, pop["call_id"])
        await sound(0.7)
        await centre.booked()
        await centre.site.kill_daemon()
        await sound(4.2)  # until the dialplan counts ctid as dead: it counts whole seconds
        stops = len(centre.site.asterisk.ami.events("MixMonitorStop"))
        await phone.press(phone.invites[-1], "*6")
        await until(lambda: len(centre.site.asterisk.ami.events("MixMonitorStop")) > stops, "the recording stops")
        await sound(1.5)
        await centre.site.start_daemon()
        await paused(centre, caller)
        answer = await centre.listener.command(agent, "record_resume")
        assert answer["ok"], answer
        await resumed(centre, caller)
        await sound(1)
        await placed.hang_up()
    [gap] = gaps(call := await centre.in_the_books(caller))
    assert (gap["agent"], gap["ended"], gap["kind"]) == (agent, "resumed", "cut")
    assert gap["begins_seconds"] == gap["ends_seconds"], "nothing is there, not even silence"
    file = file_of(centre, call)
    [leg] = [leg for leg in call["legs"] if leg["talk_seconds"]]
    assert tones.seconds(file) < leg["talk_seconds"] - 1.4
    assert tones.seconds_of(file, CUSTOMER) > tones.seconds(file) - 0.5


async def answered(centre: Centre, caller: str, placed: SippCall, before: dict[str, int]) -> dict[str, Any]:
    """Somebody takes the call, talks a little, and it ends; the books."""
    agent = await centre.rung(before, limit=20)
    await centre.listener.becomes(agent, "talking")
    await sound(0.7)
    await placed.hang_up()
    return await centre.in_the_books(caller)


def outside(centre: Centre) -> SippAgent:
    """Whoever answers at the trunk."""
    site = centre.site
    return SippAgent(site.folder / "sipp", "outside", site.asterisk.trunk_port, tone=OUTSIDE)


def files(centre: Centre) -> set[Path]:
    """The recordings with sound in them."""
    return {one for one in centre.site.asterisk.monitor_dir.rglob("*.wav") if one.stat().st_size > 1000}


async def test_a_caller_is_told_before_anybody_rings_and_then_recorded(centre: Centre) -> None:
    caller = "02155650001"
    before = centre.invites()
    async with centre.site.call(caller, TOLD) as placed:
        call = await answered(centre, caller, placed, before)
    played = centre.site.asterisk.ami.events("Newexten", Application="Playback", AppData="beep")
    assert len(played) == 1
    rang = centre.site.asterisk.ami.events("DialBegin")[-1]
    assert float(played[0]["Timestamp"]) < float(rang["Timestamp"])
    assert call["consent"] == "announced"
    file_of(centre, call)


@pytest.mark.parametrize(("key", "consent"), [("1", "accepted"), ("2", "refused")])
async def test_a_caller_who_is_asked_is_recorded_only_if_they_press_1(centre: Centre, key: str, consent: str) -> None:
    caller = f"0215565001{key}"
    before, kept = centre.invites(), files(centre)
    asked = len(centre.site.asterisk.ami.events("Newexten", Application="Read"))
    async with centre.site.call(caller, ASKED) as placed:
        heard = centre.site.asterisk.ami
        await until(lambda: len(heard.events("Newexten", Application="Read")) > asked, "they are asked")
        await placed.press(key)
        call = await answered(centre, caller, placed, before)
    assert call["consent"] == consent
    assert len(call["recordings"]) == len(files(centre) - kept) == (consent == "accepted")


@pytest.mark.parametrize("way", ["REFER", "*2"])
async def test_whoever_is_given_a_caller_who_refused_is_not_recorded_either(centre: Centre, way: str) -> None:
    """An outside party whom an agent calls is, on their own channel: not where it is for this caller."""
    site, caller = centre.site, f"021556501{len(way)}"
    before, kept = centre.invites(), files(centre)
    asked = len(site.asterisk.ami.events("Newexten", Application="Read"))
    async with outside(centre) as party, site.call(caller, ASKED) as placed:
        await until(lambda: len(site.asterisk.ami.events("Newexten", Application="Read")) > asked, "they are asked")
        await placed.press("2")
        agent = await centre.rung(before, limit=20)
        await centre.listener.becomes(agent, "talking")
        phone = site.phones[agent]
        invite = phone.invites[-1]
        if way == "REFER":
            await phone.transfer(invite, f"sip:902155659999@127.0.0.1:{site.asterisk.sip_port}")
            await party.rings()
        else:
            await phone.press(invite, "*2")
            await sound(0.3)  # the PBX begins to listen for the number
            await phone.press(invite, "902155659999")
            await party.rings()
            await sound(0.7)
        await phone.hang_up(invite)
        await sound(1.2)
        await placed.hang_up()
    call = await centre.in_the_books(caller)
    assert call["legs"][-1]["talk_seconds"] > 1, "they did talk with each other"
    assert (call["consent"], call["recordings"], files(centre) - kept) == ("refused", [], set())


async def test_the_key_pauses_a_call_that_the_agent_made_and_its_time_ends_that_too(centre: Centre) -> None:
    site = centre.site
    async with outside(centre) as party, site.call("agent1", "902155660001", tone=PITCH["agent1"]) as placed:
        invite = await party.rings()
        await centre.listener.becomes("agent1", "talking")
        await sound(0.7)
        await placed.press("*6")
        await paused(centre, "agent1")
        state = await centre.listener.becomes("agent1", "talking")
        assert state["recording_paused_until"] is not None, "the desk counts down to it"
        await resumed(centre, "agent1")
        await sound(0.7)
        await party.hang_up(invite)
        await placed.ended()
    [gap] = gaps(call := await centre.in_the_books("agent1"))
    assert (call["direction"], gap["agent"], gap["ended"], gap["kind"]) == ("outbound", "agent1", "timer", "silence")
    silent_within(file_of(centre, call), gap, OUTSIDE, PITCH["agent1"])


async def test_a_caller_to_whom_it_cannot_be_said_is_served_and_not_recorded(centre: Centre) -> None:
    caller = "02155650021"
    before, kept = centre.invites(), files(centre)
    async with centre.site.call(caller, BROKEN) as placed:
        call = await answered(centre, caller, placed, before)
    assert (call["consent"], call["recordings"], files(centre) - kept) == ("failed", [], set())


async def test_with_ctid_dead_the_fallbacks_callers_are_told_too(centre: Centre) -> None:
    caller = "02155650031"
    before = centre.invites()
    await centre.booked()
    await centre.site.kill_daemon()
    await sound(4.2)  # until the dialplan counts ctid as dead: it counts whole seconds
    async with centre.site.call(caller, TOLD) as placed:
        await centre.rung(before, limit=15)
        await centre.site.start_daemon()
        await sound(0.5)
        await placed.hang_up()
    call = await centre.in_the_books(caller)
    assert (call["via"], call["consent"]) == ("failsafe", "announced")
