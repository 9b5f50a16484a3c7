"""One run of the load, from the empty folder to the verdict.

Law: whatever goes wrong on the way, what was seen up to then is counted and told.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from zoneinfo import ZoneInfo

from lab.process import LabError, until
from lab.site import SERVICE, Site
from lab.soak import centre, counting, crowd
from lab.soak.janitor import Janitor
from lab.soak.verdict import Outcome
from lab.soak.watching import Watcher

RING = 0.2
#: Of the calls that are to be hung up at once, so many a second come in before.
BURST_RATE = 25.0
_ZONE = "Asia/Shanghai"  # a `Site`'s
_SPARE = 600.0
_BAD = ("warning", "error", "critical", "not JSON")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``rate`` calls a second of ``talk`` seconds for ``minutes``; then ``burst`` calls are hung up at once (0: none).

    ``one_way``: the agents are silent, which spares Asterisk half of the packets.
    """

    minutes: float = 60
    rate: float = 20
    talk: float = 8
    agents: int = 200
    burst: int = 1000
    one_way: bool = False
    every: float = 10
    web: bool = True


async def run(folder: Path, plan: Plan, machine: Mapping[str, str]) -> Outcome:
    """Everything, in this folder; never raises for what breaks on the way."""
    site = centre.site(folder, agents=plan.agents)
    outcome = Outcome(
        minutes=plan.minutes,
        rate=plan.rate,
        talk=plan.talk,
        agents=plan.agents,
        one_way=plan.one_way,
        machine=machine,
        burst_calls=plan.burst,
    )
    try:
        async with site:
            await _Run(site, plan, outcome).all()
    except (LabError, AssertionError, OSError) as error:
        outcome.broke_off = str(error) or type(error).__name__
    return outcome


class _Run:
    def __init__(self, site: Site, plan: Plan, outcome: Outcome) -> None:
        self._site = site
        self._plan = plan
        self._out = outcome
        self._janitor = Janitor(site)
        self._console = centre.Console(site.asterisk)
        self._gauge = centre.Gauge(site.metrics_port)
        self._began = time.time()

    async def all(self) -> None:
        if self._plan.web:
            await self._site.start_web()
        await centre.sign_in_all(self._site)
        await self._console.open()
        janitor = asyncio.create_task(self._janitor.run())
        try:
            try:
                await self._load()
            finally:
                await self._judge_load()
            if self._plan.burst:
                await self._burst()
        finally:
            janitor.cancel()
            await asyncio.gather(janitor, return_exceptions=True)
            await self._judge_all()
            await self._console.close()

    async def _load(self) -> None:
        plan, site = self._plan, self._site
        calls = round(plan.rate * plan.minutes * 60)
        seconds = calls / plan.rate + _SPARE
        async with self._phones("load", talk=plan.talk, sound=not plan.one_way, seconds=seconds) as (folder, phones):
            callers = crowd.callers(
                folder, "callers", site.asterisk, list(centre.numbers(calls)), SERVICE, per_second=plan.rate, sound=True
            )
            assert site.daemon is not None
            assert phones.process is not None
            assert callers.process is not None
            pids = {"ctid run": site.daemon.pid, "asterisk": site.asterisk.pid, "mosquitto": site.broker.pid}
            pids |= {"sipp phones": phones.process.pid, "sipp callers": callers.process.pid}
            if site.web is not None:
                pids["ctid web"] = site.web.pid
            watcher = Watcher(self._gauge, self._console, pids, plan.every)
            self._out.samples = watcher.samples
            watching = asyncio.create_task(watcher.run())
            try:
                await callers.process.ended(limit=seconds)
                await centre.all_in_the_books(site, calls, limit=60)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                await callers.kill()
                await asyncio.to_thread(self._janitor.sweep)
                self._out.counted = await self._count(phones, callers, since=self._began)

    async def _burst(self) -> None:
        """Many calls, an agent in as many as there are and the others on hold, all hung up in one moment."""
        plan, site = self._plan, self._site
        before = centre.count(site, "SELECT count(*) FROM calls")
        began = time.time()
        async with self._phones("burst", talk=None, sound=True, seconds=_SPARE) as (folder, phones):
            numbers = [f"137{number:08d}" for number in range(plan.burst)]
            callers = crowd.callers(
                folder, "burst", site.asterisk, numbers, SERVICE, per_second=BURST_RATE, sound=False
            )
            talking, waiting = min(plan.agents, plan.burst), max(0, plan.burst - plan.agents)

            async def all_there() -> bool:
                page = await self._gauge.read()
                return page['ctid_agents{state="talking"}'] == talking and page["ctid_calls_waiting"] == waiting

            try:
                await until(
                    all_there, f"{talking} talk and {waiting} wait", limit=plan.burst / BURST_RATE + 180, every=0.5
                )
                await asyncio.sleep(2)  # recordings begin with some sound
                hung_up = time.monotonic()
                await self._console.ask("channel request hangup all")
                await centre.all_in_the_books(site, before + plan.burst, limit=120)
                self._out.burst_seconds = time.monotonic() - hung_up
                assert callers.process is not None
                await callers.process.ended(limit=30)
                await self._settled()
            finally:
                await callers.kill()
                self._out.burst = await self._count(phones, callers, since=began)

    async def _settled(self) -> None:
        async def idle() -> bool:
            page = await self._gauge.read()
            self._out.idle_after = round(page['ctid_agents{state="idle"}'])
            return self._out.idle_after == self._plan.agents

        with contextlib.suppress(LabError):
            await until(idle, "every agent is idle again", limit=30, every=1)

    @contextlib.asynccontextmanager
    async def _phones(
        self, name: str, *, talk: float | None, sound: bool, seconds: float
    ) -> AsyncIterator[tuple[Path, crowd.Crowd]]:
        folder = self._site.folder / name
        port = next(iter(self._site.asterisk.phones.values()))
        phones = await crowd.phones(folder, port, ring=RING, talk=talk, sound=sound, seconds=seconds)
        try:
            yield folder, phones
        finally:
            await phones.kill()

    async def _count(self, phones: crowd.Crowd, callers: crowd.Crowd, *, since: float) -> counting.Count:
        site = self._site

        def held() -> counting.Count:
            return counting.count(
                chain(phones.words(), callers.words()),
                (one for one in counting.booked_in(centre.books(site)) if one.started >= since),
                cel=site.asterisk.cel_file,
                cdr=site.asterisk.cdr_file,
            )

        return await asyncio.to_thread(held)

    async def _judge_load(self) -> None:
        """What ctid, Asterisk and the janitor say of the load itself: what is hung up at once later makes its own noise."""
        out, site = self._out, self._site
        await asyncio.to_thread(self._janitor.sweep)
        out.hashed, out.differing, out.left_over = self._janitor.agreed, self._janitor.differing, self._janitor.left()
        out.metrics = await self._metrics()
        out.log = [_told(one) for one in centre.log_lines(site, *_BAD)]
        out.asterisk = site.asterisk.complaints()

    async def _judge_all(self) -> None:
        out, site = self._out, self._site
        out.metrics_after = await self._metrics()
        said = [_told(one) for one in centre.log_lines(site, *_BAD)][len(out.log) :]
        said += [f"Asterisk: {line.partition(' ')[2]}" for line in site.asterisk.complaints()[len(out.asterisk) :]]
        out.burst_said = Counter(said)
        out.resyncs = sum(told.get("event") == "pbx.resynced" for told in centre.log_lines(site, "info"))
        zone = ZoneInfo(_ZONE)
        day, last = (datetime.fromtimestamp(at, zone).date() for at in (self._began, time.time()))
        while day <= last:
            status, told, wrong = await site.ctid_full("compare", "--json", "--date", day.isoformat())
            if not told:
                out.compared.append(wrong.strip() or f"exit status {status}")
                break
            # The janitor has judged the load's recordings; callers who are hung up at once send no sound to be recorded.
            found = json.loads(told)[0]["differences"]
            out.compared += [one["says"] for one in found if one["what"] != "recording"]
            day += timedelta(days=1)

    async def _metrics(self) -> dict[str, float]:
        try:
            return {k: v for k, v in (await self._gauge.read()).items() if k.startswith(("ctid_", "process_"))}
        except OSError:  # ctid is gone, which the run says
            return {}


def _told(line: Mapping[str, object]) -> str:
    """A line of ctid's log without what differs from call to call."""
    return " ".join(str(line[key]) for key in ("event", "what", "reason", "error") if line.get(key))
