"""Part ``chain``: real calls through a real Asterisk, ctid beside plain Queue() with the same phones.

Law: both ways answer at once, record from the same place in the dialplan, and carry sound from the first packet. Times
are those of SIPp's message logs and of a subscriber of our own to the broker, all on one host and so by one clock. While
Queue() is measured, ctid does not run.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt

from bench.figures import Figure, differences, percentile, ratios
from bench.machine import cpu_seconds
from bench.streams import agent
from lab.load import place_calls
from lab.process import until
from lab.sipp import SipMessage, SippAgent
from lab.site import SERVICE, Site

RUNS = 3
AGENTS = 40
RATES = (5, 20)
SECONDS = 8
RING, TALK = 0.2, 1.0
QUEUE = "4002"

_DIALPLAN = f"""
[ctid-inbound](+)
exten => {QUEUE},1,Set(CHANNEL(hangup_handler_push)=bench-hangup,s,1)
same => n,MixMonitor(${{STRFTIME(${{EPOCH}},,%Y/%m/%d)}}/${{UNIQUEID}}.wav,bi(CTID_MMID))
same => n,Answer(0,i)
same => n,Queue(bench,ct)
same => n,Hangup()
[bench-hangup]
exten => s,1,StopMixMonitor(${{CTID_MMID}})
same => n,Return()
"""
_QUEUE = """
[bench]
strategy = fewestcalls
musicclass = default
timeout = 5
retry = 1
wrapuptime = 0
ringinuse = no
autofill = yes
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One run of calls. ``waits`` and ``pops`` are in milliseconds; ``unrung`` counts calls that reached no phone.

    ``ctid_cpu`` and ``asterisk_cpu`` are milliseconds of processor time per call, to the books' last line.
    """

    waits: tuple[float, ...]
    unrung: int
    asterisk_cpu: float
    pops: tuple[float, ...] = ()
    ctid_cpu: float = 0.0


@dataclass(slots=True)
class PopClock:
    """A subscriber that notes when each caller's pop came in, in epoch seconds, by the number in the payload."""

    port: int
    came: dict[str, float] = field(default_factory=dict)

    async def listen(self, ready: asyncio.Event) -> None:
        async with aiomqtt.Client("127.0.0.1", self.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe("ctid/v1/agents/+/pop", qos=1)
            ready.set()
            async for message in client.messages:
                now = time.time()
                if isinstance(message.payload, bytes):
                    pop = json.loads(message.payload)
                    if pop["state"] == "ringing":
                        self.came.setdefault(pop["caller"].removeprefix("+86"), now)


def waits(invited: Mapping[str, float], offered: Sequence[SipMessage]) -> tuple[tuple[float, ...], int]:
    """Milliseconds from each caller's INVITE to the first INVITE of theirs at a phone, and how many reached none."""
    first: dict[str, float] = {}
    for invite in offered:
        first.setdefault(invite.user, invite.at)
    found = tuple((first[number] - at) * 1000 for number, at in invited.items() if number in first)
    return found, len(invited) - len(found)


def lags(messages: Sequence[SipMessage], came: Mapping[str, float], numbers: Sequence[str]) -> tuple[float, ...]:
    """Milliseconds from the phone's first 180 Ringing to the pop, of each of these callers whose pop came."""
    rang: dict[str, float] = {}
    for message in messages:
        if message.sent and message.start.startswith("SIP/2.0 180"):
            rang.setdefault(message.user, message.at)
    return tuple((came[n] - rang[n]) * 1000 for n in numbers if n in came and n in rang)


class Bench:
    """A site with forty agents whose phones are one SIPp process, and two numbers: ctid's and Queue()'s."""

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder=folder, agents=[agent(seat) for seat in range(AGENTS)])
        self._sipp = self.site.folder / "sipp"
        self._clock = PopClock(self.site.broker.port)
        self._placed = 0
        etc = self.site.asterisk.folder / "etc"
        self._port = next(iter(self.site.asterisk.phones.values()))
        phones = (etc / "pjsip.conf").read_text(encoding="utf-8")
        for port in self.site.asterisk.phones.values():
            phones = phones.replace(f"@127.0.0.1:{port}\n", f"@127.0.0.1:{self._port}\n")
        (etc / "pjsip.conf").write_text(phones, encoding="utf-8")
        with (etc / "extensions.conf").open("a", encoding="utf-8") as dialplan:
            dialplan.write(_DIALPLAN)
        with (etc / "queues.conf").open("a", encoding="utf-8") as queues:
            queues.write(_QUEUE + "".join(f"member => PJSIP/{name}\n" for name in self.site.agents))

    async def run(self) -> list[Figure]:
        loads: dict[tuple[int, str], list[Load]] = {(rate, way): [] for rate in RATES for way in ("ctid", "queue")}
        starts: list[float] = []
        async with self.site, asyncio.TaskGroup() as tasks:
            ready = asyncio.Event()
            clock = tasks.create_task(self._clock.listen(ready))
            await ready.wait()
            phones = SippAgent(self._sipp, "phones", self._port, ring=RING, talk=TALK)
            self.site.phones["phones"] = phones
            await phones.start()
            for name in self.site.agents:
                await self.site.sign_in(name)
            await self.site.stop_daemon()
            for _ in range(RUNS):
                for rate in RATES:
                    began = time.perf_counter()
                    await self.site.start_daemon()
                    starts.append(time.perf_counter() - began)
                    loads[rate, "ctid"].append(await self._through_ctid(rate, phones))
                    await self.site.stop_daemon()
                    loads[rate, "queue"].append(await self._through_queue(rate, phones))
            clock.cancel()
        return [Figure(part="starting", name="ctid run, to routing", unit="s", values=tuple(starts)), *_told(loads)]

    def _numbers(self, rate: int) -> list[str]:
        first, self._placed = self._placed, self._placed + rate * SECONDS
        return [f"138{n:08d}" for n in range(first, self._placed)]

    async def _through_ctid(self, rate: int, phones: SippAgent) -> Load:
        numbers = self._numbers(rate)
        daemon = self.site.daemon
        assert daemon is not None
        await asyncio.gather(*(self.site.listener.becomes(name, "idle") for name in self.site.agents))
        before = cpu_seconds(daemon.pid), cpu_seconds(self.site.asterisk.pid)
        load = place_calls(self.site.asterisk, numbers, SERVICE, per_second=rate, folder=self._sipp)
        await load.ended(limit=SECONDS * 4)
        await until(lambda: self._in_the_books(numbers), "every call is in the books", limit=30, every=0.5)
        after = cpu_seconds(daemon.pid), cpu_seconds(self.site.asterisk.pid)
        found, unrung = waits(load.invited, phones.invites)
        return Load(
            waits=found,
            unrung=unrung,
            pops=lags(phones.messages, self._clock.came, numbers),
            ctid_cpu=(after[0] - before[0]) * 1000 / len(numbers),
            asterisk_cpu=(after[1] - before[1]) * 1000 / len(numbers),
        )

    async def _in_the_books(self, numbers: Sequence[str]) -> bool:
        of_this_run = set(numbers)
        calls = [call for call in await self.site.calls() if (call["caller"] or "").removeprefix("+86") in of_this_run]
        over = [
            call for call in calls if call["outcome"] and all(r["state"] != "recording" for r in call["recordings"])
        ]
        return len(over) == len(numbers)

    async def _through_queue(self, rate: int, phones: SippAgent) -> Load:
        numbers = self._numbers(rate)
        before = cpu_seconds(self.site.asterisk.pid)
        load = place_calls(self.site.asterisk, numbers, QUEUE, per_second=rate, folder=self._sipp)
        await load.ended(limit=SECONDS * 4)
        after = cpu_seconds(self.site.asterisk.pid)
        found, unrung = waits(load.invited, phones.invites)
        return Load(waits=found, unrung=unrung, asterisk_cpu=(after - before) * 1000 / len(numbers))


def _told(loads: Mapping[tuple[int, str], Sequence[Load]]) -> list[Figure]:
    figures = []
    for rate in RATES:
        ctid, queue = loads[rate, "ctid"], loads[rate, "queue"]

        def line(name: str, unit: str, values: Sequence[float], target: str = "", rate: int = rate) -> Figure:
            return Figure(part=f"chain {rate}/s", name=name, unit=unit, values=tuple(values), target=target)

        for percent in (50, 99):
            ours = [percentile(load.waits, percent) for load in ctid]
            theirs = [percentile(load.waits, percent) for load in queue]
            figures += [
                line(f"INVITE to INVITE, ctid, p{percent}", "ms", ours),
                line(f"INVITE to INVITE, Queue(), p{percent}", "ms", theirs),
                line(f"ctid minus Queue(), p{percent}", "ms", differences(ours, theirs)),
                line(f"ctid / Queue(), p{percent}", "times as long", ratios(ours, theirs)),
            ]
        figures += [
            line(f"ringing to pop, p{percent}", "ms", [percentile(load.pops, percent) for load in ctid])
            for percent in (50, 99)
        ]
        figures += [
            line("ctid's CPU per call, routed, popped, saved", "ms", [load.ctid_cpu for load in ctid]),
            line("Asterisk's CPU per call under ctid", "ms", [load.asterisk_cpu for load in ctid]),
            line("Asterisk's CPU per call under Queue()", "ms", [load.asterisk_cpu for load in queue]),
            line("calls that rang no phone, ctid", "calls", [load.unrung for load in ctid], "0"),
            line("calls that rang no phone, Queue()", "calls", [load.unrung for load in queue]),
        ]
    return figures


async def measure(folder: Path) -> list[Figure]:
    return await Bench(folder).run()
