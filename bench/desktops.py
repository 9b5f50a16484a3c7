"""Part ``desktops``: a caller on an agent's screen, seen by the browser itself, while all the other desks are connected, too.

Law: from the phone's 180 Ringing, by SIPp's message log, to the frame in which Chromium has painted the caller's name, by one
host's clock. Every other agent has a session and a feed of their own; some of them are called meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from playwright.async_api import Page

from bench.chain import PopClock, lags
from bench.figures import Figure, percentile
from bench.machine import cpu_seconds, resident_megabytes
from bench.streams import agent
from ctid.db import session
from ctid.db.users import Users
from lab.browser import Desk, chromium, told_by
from lab.load import place_calls
from lab.process import TOP, Process
from lab.sipp import SipMessage, SippAgent
from lab.site import Site
from lab.soak.centre import at_one_port

DESKS = 500
SIGN_IN_TOGETHER = 10
RING, TALK = 0.2, 0.3
#: The watched desk's line, and that of all the others; calls a second to each.
WATCHED, REST = "4001", "4002"
WATCHED_RATE, REST_RATE = 1.0, 2.0
CALLS = 120
REST_SECONDS = 15.0

#: Notes each name that was painted and when, in milliseconds of the epoch: after the frame that follows the change.
_NOTE = """
(() => {
  const painted = [];
  window.benchPainted = painted;
  const watch = () => {
    const who = document.querySelector('#pop [data-slot="who"]');
    const port = new MessageChannel();
    port.port1.onmessage = (event) => painted.push([event.data, performance.timeOrigin + performance.now()]);
    new MutationObserver(() => {
      const text = who.textContent;
      requestAnimationFrame(() => port.port2.postMessage(text));
    }).observe(who, { childList: true, characterData: true, subtree: true });
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", watch);
  else watch();
})()
"""


class Hall:
    """A site with ``DESKS`` agents; the first of them sits before a browser."""

    def __init__(self, folder: Path) -> None:
        people = [agent(seat) for seat in range(DESKS)]
        self.watched = people[0]
        self._numbers = [f"138{n:08d}" for n in range(CALLS)]
        lines = "\n".join(
            f'[[lines]]\nname = "{number}"\nnumbers = ["{number}"]\nagents = {json.dumps(who)}\n'
            for number, who in ((WATCHED, people[:1]), (REST, people[1:]))
        )
        self.site = Site(folder=folder, agents=people, lines=lines, csv={"contacts": _known(self._numbers)})
        self._port = at_one_port(self.site)
        self._clock = PopClock(self.site.broker.port)

    async def measure(self) -> list[Figure]:
        site = self.site
        async with site:
            ready = asyncio.Event()
            clock = asyncio.create_task(self._clock.listen(ready))
            await ready.wait()
            for first in range(0, DESKS, SIGN_IN_TOGETHER):
                await asyncio.gather(*map(site.sign_in, site.agents[first : first + SIGN_IN_TOGETHER]))
            await site.asterisk.ami.close()  # the lab's own ear hears everything, and takes time from all
            await site.user(self.watched, agent=self.watched)
            seats = await self._sessions()
            await site.start_web()
            assert site.web is not None
            alone = resident_megabytes(site.web.pid)
            async with chromium() as browser, Desk(browser, site, self.watched, at=f"/agents/{self.watched}") as page:
                onlookers = await self._connect(seats)
                try:
                    figures = await self._watch(page, onlookers, alone)
                finally:
                    await onlookers.stop()
            clock.cancel()
        return figures

    async def _sessions(self) -> dict[str, str]:
        """A signed-in session for every agent but the watched: with their own users, who have the watched one's password."""
        books = self.site.state / "ctid.db"
        with closing(sqlite3.connect(books)) as connection, connection:
            connection.executemany(
                "INSERT INTO users (name, password_hash, role, agent_id, disabled, created_at)"
                " SELECT ?, password_hash, role, ?, disabled, created_at FROM users WHERE name = ?",
                [(name, name, self.watched) for name in self.site.agents[1:]],
            )
        engine = session.engine(f"sqlite:///{books}")
        users = Users(engine)
        seats = {
            user.name: await users.open_session(user, at=time.time(), seconds=3600)
            for user in await users.all()
            if user.name != self.watched
        }
        await engine.dispose()
        return seats

    async def _connect(self, seats: Mapping[str, str]) -> Process:
        file = self.site.folder / "seats.json"
        file.write_text(json.dumps({"origin": self.site.web_url, "seats": seats}), encoding="utf-8")
        argv = [sys.executable, "-m", "bench.onlookers", str(file)]
        onlookers = Process(argv, folder=self.site.folder, name="onlookers", env={"PYTHONPATH": str(TOP)})
        await onlookers.ready(lambda: "ready" in onlookers.tail(1000), "all lines stand", limit=60)
        return onlookers

    async def _watch(self, page: Page, onlookers: Process, alone: float) -> list[Figure]:
        assert self.site.web is not None
        web = self.site.web.pid
        await told_by(page, _NOTE)
        await asyncio.sleep(3)
        full = resident_megabytes(web)
        began, before = time.perf_counter(), cpu_seconds(web)
        await asyncio.sleep(REST_SECONDS)
        idle = (cpu_seconds(web) - before) * 1000 / (time.perf_counter() - began)
        before, heard = cpu_seconds(web), _count(onlookers)
        rest = [f"139{n:08d}" for n in range(round(CALLS / WATCHED_RATE * REST_RATE))]
        folder = self.site.folder / "sipp"
        async with SippAgent(folder, "phones", self._port, ring=RING, talk=TALK) as phones:
            loads = [
                place_calls(self.site.asterisk, numbers, line, per_second=rate, folder=folder)
                for numbers, line, rate in ((self._numbers, WATCHED, WATCHED_RATE), (rest, REST, REST_RATE))
            ]
            await asyncio.gather(*(load.ended(limit=CALLS / WATCHED_RATE * 2 + 30) for load in loads))
            messages = phones.messages
        calls = CALLS + len(rest)
        busy = (cpu_seconds(web) - before) * 1000
        await asyncio.sleep(1.5)  # the onlookers tell each second
        came = _count(onlookers) - heard
        painted = await told_by(page, "window.benchPainted")
        shown = paints(messages, painted, self._numbers)
        pops = lags(messages, self._clock.came, self._numbers)

        def line(name: str, unit: str, value: float, target: str = "") -> Figure:
            return Figure(part="desktops", name=name, unit=unit, values=(value,), target=target)

        return [
            line("calls whose name was shown", "calls", len(shown), str(CALLS)),
            line("ringing to shown in Chromium, 499 more desks connected, p50", "ms", percentile(shown, 50), "<= 50"),
            line("ringing to shown in Chromium, 499 more desks connected, p99", "ms", percentile(shown, 99), "<= 150"),
            line("ringing to pop at the broker meanwhile, p50", "ms", percentile(pops, 50)),
            line("ringing to pop at the broker meanwhile, p99", "ms", percentile(pops, 99)),
            line("ctid web's memory, nobody connected", "MB resident", alone),
            line("ctid web's memory per connected desk", "kB resident", (full - alone) * 1000 / DESKS),
            line("ctid web's CPU per connected desk, no calls", "µs/s", idle * 1000 / DESKS),
            line("ctid web's CPU per call, 500 desks connected", "ms", (busy - idle * CALLS / WATCHED_RATE) / calls),
            line("messages to each other desk per call", "messages", came / (DESKS - 1) / calls),
        ]


def paints(
    messages: Sequence[SipMessage], painted: Sequence[tuple[str, float]], numbers: Sequence[str]
) -> tuple[float, ...]:
    """Milliseconds from the phone's first 180 Ringing to the first frame with the caller's name, of each number shown."""
    first: dict[str, float] = {}
    for name, at in painted:
        first.setdefault(name, at / 1000)
    return lags(messages, {number: first[_name(number)] for number in numbers if _name(number) in first}, numbers)


def _count(onlookers: Process) -> int:
    return int(onlookers.tail(1))


def _name(number: str) -> str:
    return f"Caller {number}"


def _known(numbers: Sequence[str]) -> str:
    """A contact for each of the watched desk's callers."""
    rows = (f"P{n},,{_name(n)},Dispatch,,{i % 5 + 1},{n}," for i, n in zip(itertools.count(), numbers))
    return "\n".join(("id,customer_id,name,department,title,level,numbers,notes", *rows)) + "\n"


async def measure(folder: Path) -> list[Figure]:
    return await Hall(folder).measure()
