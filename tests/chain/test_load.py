"""More calls than usual, and more than ctid bears: nothing lost, the books right, and ctid says what it leaves undone."""

from __future__ import annotations

import asyncio
import json
from itertools import chain
from pathlib import Path

from lab.process import slowed, until
from lab.site import SERVICE
from lab.soak import centre, counting, crowd
from lab.soak.running import Plan, run
from tests.chain.wire import Wire


async def test_a_load_and_its_calls_hung_up_at_once_leave_the_books_right(tmp_path: Path) -> None:
    plan = Plan(minutes=0.1, rate=10, talk=1.5, agents=30, burst=200, every=2, web=False)
    outcome = await run(tmp_path, plan, {})
    broken = {
        promise.says: promise.found
        for promise in outcome.promises()
        # How soon the database answers, and what the logs say of it, is the machine's.
        if promise.kept is False and "log" not in promise.says and "unhandled" not in promise.says
    }
    assert not broken, broken
    assert outcome.counted is not None
    assert outcome.counted.offered == 60
    assert outcome.burst is not None
    assert (outcome.burst.offered, outcome.resyncs) == (200, 1)
    assert len(outcome.samples) > 2
    assert json.loads(json.dumps(outcome.as_json()))["promises"]


async def test_above_what_it_bears_ctid_leaves_undone_what_it_may_and_no_caller_and_no_second_is_lost(
    tmp_path: Path,
) -> None:
    site = centre.site(tmp_path, agents=40)
    wire = Wire(site.asterisk.ami_port)
    config = site.config.read_text()
    site.config.write_text(config.replace(f"port = {site.asterisk.ami_port}\n", f"port = {wire.port}\n"))
    await wire.mend()
    gauge = centre.Gauge(site.metrics_port)

    async def shed(what: str) -> bool:
        return (await gauge.read())[f'ctid_shedding{{what="{what}"}}'] == 1

    def status() -> list[str]:
        return [h.payload["shedding"] for h in site.listener.heard if h.topic.endswith("/status")][-1]

    async with site:
        for first in range(0, 40, 10):
            await asyncio.gather(*map(site.sign_in, site.agents[first : first + 10]))
        assert site.daemon is not None
        port = next(iter(site.asterisk.phones.values()))
        phones = await crowd.phones(tmp_path / "sipp", port, ring=0.1, talk=0.5, sound=True, seconds=120)
        numbers = list(centre.numbers(60))
        callers = crowd.callers(
            tmp_path / "sipp", "callers", site.asterisk, numbers, SERVICE, per_second=15, sound=True
        )
        async with slowed(site.daemon, 0.05):
            await until(lambda: shed("roster"), "the first step is taken", limit=30, every=0.5)
            await until(lambda: shed("calls"), "the second step is taken", limit=30, every=0.5)
            await wire.cut()  # with all that was not read yet
            await wire.mend()
        await until(lambda: "calls" in status(), "the status says so")
        assert callers.process is not None
        await callers.process.ended(limit=90)
        await centre.all_in_the_books(site, len(numbers), limit=40)
        await until(lambda: status() == [], "all is taken up again", limit=30)
        for what in ("roster", "calls", "lease"):
            assert not await shed(what)
        told = list(centre.log_lines(site, "warning", "info"))
        await phones.kill()
        await wire.cut()
        words = chain(phones.words(), callers.words())
        found = counting.count(
            words,
            counting.booked_in(centre.books(site)),
            cel=site.asterisk.cel_file,
            cdr=site.asterisk.cdr_file,
        )
    began = [line for line in told if line["event"] == "shedding" and line["level"] == "warning"]
    over = [line for line in told if line["event"] == "shedding.over"]
    assert began[0]["what"][:3] == ["roster", "gauges", "pages"]
    assert len(over) == 1
    assert over[0]["since"] == began[0]["since"]
    assert (found.offered, found.answered, found.lost, found.unbooked, found.wrong_agent) == (60, 60, [], [], [])
    assert (found.cel.over, found.cdr.over, found.unhashed) == ([], [], [])
    assert found.estimated == []
    assert sum(line["event"] == "pbx.resynced" for line in told) > 1
