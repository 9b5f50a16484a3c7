"""Clocks that somebody sets in mid-call, midnight, and the nights on which they change.

Callers stay where they are, and a talk is as long as it was.
"""

import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from lab.clock import Clock
from lab.process import until
from lab.sipp import SippCall
from lab.site import Site
from tests.chain.centre import Centre, opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = 3600.0
BERLIN = ZoneInfo("Europe/Berlin")


class Hands(Centre):
    def __init__(self, site: Site, clock: Clock) -> None:
        super().__init__(site)
        self.clock = clock

    def said(self, word: str) -> int:
        daemon = self.site.daemon
        assert daemon is not None
        return daemon.output.read_text(errors="replace").count(word)

    async def tidy(self) -> None:
        """What a test that failed left is hung up: its clock set back, the PBX would wait for sound for an hour."""
        await self.site.asterisk.cli("channel request hangup all")
        await super().tidy()

    async def serves(self, lines: Mapping[str, SippCall]) -> None:
        """Each caller is answered, in whatever order, has a word, and hangs up."""
        waiting = dict(lines)

        def answered() -> str | None:
            return next((caller for caller in waiting if self.shown(caller)[-1]["answered_at"]), None)

        while waiting:
            caller = await until(answered, f"one of {', '.join(waiting)} is served", limit=30)
            await sound(0.5)
            await waiting.pop(caller).hang_up()

    async def nears(self, moment: float) -> None:
        """Nobody calls, everyone is idle, and the clock is set so that there is time for a call to begin; ctid goes by it."""
        await self.tidy()
        known = self.said('"clock.taken_over"')
        self.clock.set_by(moment - self.clock.now() - 8)
        await until(lambda: self.said('"clock.taken_over"') > known, "ctid goes by the clock as it stands")

    async def talks_past(self, moment: float, caller: str) -> tuple[float, dict[str, Any]]:
        """A call over this moment: when the phone answered by SIP, and the leg of it, which is as long as its recording."""
        placed, agent, pop = await self.comes_in(caller)
        async with placed:
            await self.talks(agent, pop["call_id"])
            phone, ahead = self.site.phones[agent], self.clock.now() - time.time()
            rung = phone.invites[-1].call_id
            began = ahead + next(
                m.at for m in phone.messages if m.call_id == rung and m.start.startswith("SIP/2.0 200")
            )
            assert began < moment
            await until(lambda: self.clock.now() > moment + 1.5, "the moment is past")
            await placed.hang_up()
        await self.ended(caller)
        call = await self.in_the_books(caller)  # a report may be asked for next
        [leg], [recording] = call["legs"], call["recordings"]
        assert leg["talk_seconds"] == pytest.approx(recording["seconds"], abs=1)
        assert recording["state"] == "complete"
        return began, leg

    async def talk(self, day: str) -> float:
        """Everybody's seconds with customers on that day, by the report."""
        rows = json.loads(await self.site.ctid("report", "day", "--date", day, "--json"))
        return sum(row["talk_seconds"] for row in rows)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hands(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hands]:
    """One machine in Berlin that is both PBX and ctid."""
    folder = tmp_path_factory.mktemp("clocks")
    clock = Clock(folder / "clock")
    site = Site(
        folder=folder,
        agents=("agent1", "agent2"),
        ring_seconds=3,
        routing="missed_in_a_row = 0",
        pbx_clock=clock,
        own_clock=clock,
    )
    config = site.config.read_text()
    site.config.write_text(config.replace('timezone = "Asia/Shanghai"', 'timezone = "Europe/Berlin"'))
    async with opened(site):
        yield Hands(site, clock)


@pytest.mark.parametrize(("by", "number"), [(-HOUR, 1), (HOUR, 2)], ids=["back", "forward"])
async def test_a_clock_set_by_an_hour_moves_nobody_and_makes_no_talk_longer(hands, by, number):
    """One talks, one hears a phone ring that nobody takes, one is held: the ring ends in its time, and all are served."""
    await hands.tidy()
    set_before, taken_before = hands.said('"clock.set"'), hands.said('"clock.taken_over"')
    talker, ringer, waiter = (f"135000000{n}{number}" for n in range(3))
    placed, serves, pop = await hands.comes_in(talker)
    [idle] = [agent for agent in hands.agents if agent != serves]
    async with placed:
        await hands.talks(serves, pop["call_id"])
        await hands.site.phones[idle].behave("never")
        ringing, rung, _ = await hands.comes_in(ringer)
        assert rung == idle
        async with ringing, hands.site.call(waiter) as held:
            await hands.waits(waiter)
            before = hands.invites()
            hands.clock.set_by(by)
            await until(lambda: hands.said('"clock.set"') > set_before, "ctid notices that the clock was set")
            assert (
                await hands.rung(before, limit=20) == idle
            )  # for the next caller: Asterisk itself may ring for an hour more
            await placed.hang_up()
            await hands.serves({ringer: ringing, waiter: held})
    for caller in (talker, ringer, waiter):
        call = await hands.ended(caller)
        talked = sum(leg["talk_seconds"] for leg in call["legs"])
        [recording] = call["recordings"]
        assert (call["via"], call["outcome"]) == ("ctid", "answered")
        assert recording["state"] == "complete", (caller, talked, recording)
        assert talked == pytest.approx(recording["seconds"], abs=1)
    await until(lambda: hands.said('"clock.taken_over"') > taken_before, "ctid goes by the clock as it stands")
    await hands.tidy()
    started = (await hands.one_call(f"135000000{3}{number}"))["started_at"]
    assert datetime.fromisoformat(started).timestamp() == pytest.approx(hands.clock.now(), abs=60)


async def test_a_clock_set_while_ctid_was_dead_makes_no_talk_longer_either(hands):
    caller = "13500000061"
    await hands.tidy()
    set_before, taken_before = hands.said('"clock.set"'), hands.said('"clock.taken_over"')
    placed, agent, pop = await hands.comes_in(caller)
    async with placed:
        await hands.talks(agent, pop["call_id"])
        await hands.booked()
        await hands.site.kill_daemon()
        hands.clock.set_by(HOUR)
        await hands.site.start_daemon()
        await until(lambda: hands.said('"clock.set"') > set_before, "ctid notices that the clock was set")
        await placed.hang_up()
    call = await hands.ended(caller)
    [leg], [recording] = call["legs"], call["recordings"]
    assert recording["state"] == "complete"
    assert leg["talk_seconds"] == pytest.approx(recording["seconds"], abs=1)
    await until(lambda: hands.said('"clock.taken_over"') > taken_before, "ctid goes by the clock as it stands")


async def test_a_talk_across_midnight_counts_on_both_days_of_the_site(hands):
    midnight = datetime(2027, 3, 11, tzinfo=BERLIN).timestamp()
    await hands.nears(midnight)
    began, leg = await hands.talks_past(midnight, "13500000041")
    before, after = await hands.talk("2027-03-10"), await hands.talk("2027-03-11")
    assert before == pytest.approx(midnight - began, abs=1)
    assert before + after == pytest.approx(leg["talk_seconds"], abs=0.01)


@pytest.mark.parametrize(
    ("moment", "caller"),
    [
        (datetime(2027, 3, 28, 3, tzinfo=BERLIN), "13500000051"),
        (datetime(2027, 10, 31, 2, fold=1, tzinfo=BERLIN), "13500000052"),
    ],
    ids=["two becomes three", "three becomes two"],
)
async def test_a_talk_while_the_clocks_change_is_as_long_as_it_was(hands, moment, caller):
    change = moment.timestamp()
    offsets = [datetime.fromtimestamp(at, BERLIN).utcoffset() for at in (change - 1, change)]
    assert offsets[0] != offsets[1]
    await hands.nears(change)
    _, leg = await hands.talks_past(change, caller)
    assert await hands.talk(moment.date().isoformat()) == pytest.approx(leg["talk_seconds"], abs=0.01)
