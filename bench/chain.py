"""Parts ``chain`` and ``held``: real calls through a real Asterisk, ctid beside plain Queue() with the same phones.

Law: both ways answer at once, record from the same place in the dialplan, and carry sound from the first packet. Times
are those of SIPp's message logs and of a subscriber of our own to the broker, all on one host and so by one clock. While
Queue() is measured, ctid does not run. Nobody else listens to the PBX's events meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt

from bench.figures import Figure, differences, percentile, ratios
from bench.machine import cpu_seconds, resident_megabytes
from bench.streams import agent
from lab.load import place_calls
from lab.process import LabError, until
from lab.sipp import SipMessage, SippAgent
from lab.site import SERVICE, Site
from lab.soak.centre import at_one_port

AGENTS = 200
SIGN_IN_TOGETHER = 10
RING, TALK = 0.2, 1.0
QUEUE = "4002"
#: Callers the database knows, each with a ticket that an agent owns: of ctid's, every second one.
KNOWN = 2_000
#: Calls a second are held when every one of them rings a phone, all but one in a hundred within this, in milliseconds.
HELD_WITHIN = 250.0
HELD_SECONDS = 6
HELD_STEP = 20
HELD_MOST = 400

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured: so many ``runs`` of ``seconds`` of calls at each of the ``rates`` (calls a second)."""

    rates: tuple[int, ...] = (5, 20, 50)
    runs: int = 3
    seconds: int = 10


class Bench:
    """A site with agents whose phones are one SIPp process, and two numbers: ctid's and Queue()'s."""

    def __init__(self, folder: Path) -> None:
        people = [agent(seat) for seat in range(AGENTS)]
        self.site = Site(folder=folder, agents=people, csv=_known(people))
        self._sipp = self.site.folder / "sipp"
        self._clock = PopClock(self.site.broker.port)
        self._numbers = {
            "ctid": (f"138{n:08d}" for n in itertools.count()),
            "queue": (f"139{n:08d}" for n in itertools.count()),
        }
        self._port = at_one_port(self.site)
        etc = self.site.asterisk.folder / "etc"
        with (etc / "extensions.conf").open("a", encoding="utf-8") as dialplan:
            dialplan.write(_DIALPLAN)
        with (etc / "queues.conf").open("a", encoding="utf-8") as queues:
            queues.write(_QUEUE + "".join(f"member => PJSIP/{name}\n" for name in people))

    async def measure(self, plan: Plan | None, *, held: bool) -> list[Figure]:
        """The figures of the plan, and how many calls a second are ``held``."""
        figures: list[Figure] = []
        async with self.site:
            ready = asyncio.Event()
            clock = asyncio.create_task(self._clock.listen(ready))
            await ready.wait()
            for first in range(0, AGENTS, SIGN_IN_TOGETHER):
                group = self.site.agents[first : first + SIGN_IN_TOGETHER]
                await asyncio.gather(*map(self.site.sign_in, group))
            await self.site.stop_daemon()
            # The lab's own ear hears everything, and would take processor time from both ways.
            await self.site.asterisk.ami.close()
            if plan is not None:
                figures += await self._compare(plan)
            if held:
                most = [await self._most_held(way) for way in ("ctid", "queue")]
                shares = ratios(*(figure.values for figure in most)) if most[1].median else ()
                figures += most
                if shares:
                    figures.append(Figure(part="held", name="ctid / Queue()", unit="times as many", values=shares))
            clock.cancel()
        return figures

    async def _compare(self, plan: Plan) -> list[Figure]:
        loads: dict[tuple[int, str], list[Load]] = {(rate, way): [] for rate in plan.rates for way in ("ctid", "queue")}
        starts, rests, sizes = [], [], []
        for _ in range(plan.runs):
            for rate in plan.rates:
                began = time.perf_counter()
                await self.site.start_daemon()
                starts.append(time.perf_counter() - began)
                rests.append(await self._at_rest())
                loads[rate, "ctid"].append(await self._through_ctid(rate, plan.seconds))
                assert self.site.daemon is not None
                sizes.append(resident_megabytes(self.site.daemon.pid))
                await self.site.stop_daemon()
                loads[rate, "queue"].append(await self._through_queue(rate, plan.seconds))
        return [
            Figure(part="starting", name="ctid run, to routing", unit="s", values=tuple(starts)),
            Figure(part="chain", name="ctid's CPU with nothing to do", unit="ms/s", values=tuple(rests)),
            Figure(part="chain", name="ctid run's memory after the calls", unit="MB resident", values=tuple(sizes)),
            *_told(plan.rates, loads),
        ]

    async def _most_held(self, way: str) -> Figure:
        """Raise the rate until it is held no more."""
        held = 0
        if way == "ctid":
            await self.site.start_daemon()
        for rate in range(HELD_STEP, HELD_MOST + 1, HELD_STEP):
            through = self._through_ctid if way == "ctid" else self._through_queue
            try:
                load = await through(rate, HELD_SECONDS)
            except LabError:  # it did not end, or not all of it is in the books
                break
            if load.unrung or percentile(load.waits, 99) > HELD_WITHIN:
                break
            held = rate
        if way == "ctid":
            await self.site.stop_daemon()
        name = {"ctid": "ctid", "queue": "Queue()"}[way]
        return Figure(part="held", name=f"calls held on this machine, {name}", unit="calls/s", values=(float(held),))

    async def _at_rest(self) -> float:
        """Milliseconds of processor time a second that the daemon takes with everybody idle and nobody calling."""
        assert self.site.daemon is not None
        await asyncio.gather(*(self.site.listener.becomes(name, "idle") for name in self.site.agents))
        began, before = time.perf_counter(), cpu_seconds(self.site.daemon.pid)
        await asyncio.sleep(3.0)
        return (cpu_seconds(self.site.daemon.pid) - before) * 1000 / (time.perf_counter() - began)

    async def _through_ctid(self, rate: int, seconds: int) -> Load:
        numbers = list(itertools.islice(self._numbers["ctid"], rate * seconds))
        daemon = self.site.daemon
        assert daemon is not None
        await asyncio.gather(*(self.site.listener.becomes(name, "idle") for name in self.site.agents))
        before = cpu_seconds(daemon.pid), cpu_seconds(self.site.asterisk.pid)
        async with self._phones() as phones:
            load = place_calls(self.site.asterisk, numbers, SERVICE, per_second=rate, folder=self._sipp)
            await load.ended(limit=seconds * 3 + 10)
            await until(lambda: self._in_the_books(numbers), "every call is in the books", limit=30, every=0.25)
            after = cpu_seconds(daemon.pid), cpu_seconds(self.site.asterisk.pid)
            found, unrung = waits(load.invited, phones.invites)
            pops = lags(phones.messages, self._clock.came, numbers)
        return Load(
            waits=found,
            unrung=unrung,
            pops=pops,
            ctid_cpu=(after[0] - before[0]) * 1000 / len(numbers),
            asterisk_cpu=(after[1] - before[1]) * 1000 / len(numbers),
        )

    def _in_the_books(self, numbers: Sequence[str]) -> bool:
        """Whether all these calls are over in the database, and their recordings measured."""
        books = self.site.state / "ctid.db"
        with closing(sqlite3.connect(f"file:{books}?mode=ro", uri=True)) as connection:
            (over,) = connection.execute(
                "SELECT count(*) FROM calls WHERE ended_at IS NOT NULL AND caller BETWEEN ? AND ? AND NOT EXISTS"
                " (SELECT 1 FROM recordings r WHERE r.pbx = calls.pbx AND r.call_id = calls.id AND r.state = 'recording')",
                (numbers[0], numbers[-1]),
            ).fetchone()
        return int(over) == len(numbers)

    async def _through_queue(self, rate: int, seconds: int) -> Load:
        numbers = list(itertools.islice(self._numbers["queue"], rate * seconds))
        before = cpu_seconds(self.site.asterisk.pid)
        async with self._phones() as phones:
            load = place_calls(self.site.asterisk, numbers, QUEUE, per_second=rate, folder=self._sipp)
            await load.ended(limit=seconds * 3 + 10)
            after = cpu_seconds(self.site.asterisk.pid)
            found, unrung = waits(load.invited, phones.invites)
        return Load(waits=found, unrung=unrung, asterisk_cpu=(after - before) * 1000 / len(numbers))

    def _phones(self) -> SippAgent:
        """All the agents' phones, with a log of their own for each load."""
        return SippAgent(self._sipp, "phones", self._port, ring=RING, talk=TALK)


def _known(agents: Sequence[str]) -> dict[str, str]:
    """Contacts for every second of ctid's callers, each with an open ticket, the agents' in turn."""
    contacts = ["id,customer_id,name,department,title,level,numbers,notes"]
    tickets = ["id,customer_id,contact_id,owner,subject,category,severity,status,created_at,resolved_at"]
    for n in range(0, KNOWN, 2):
        contacts.append(f"P{n},,Caller {n},,,{n % 5 + 1},138{n:08d},")
        tickets.append(f"I{n},,P{n},{agents[n // 2 % len(agents)]},It stopped again,fault,3,open,2026-03-02 09:30,")
    return {"contacts": "\n".join(contacts) + "\n", "tickets": "\n".join(tickets) + "\n"}


def _told(rates: Sequence[int], loads: Mapping[tuple[int, str], Sequence[Load]]) -> Iterator[Figure]:
    for rate in rates:
        ctid, queue = loads[rate, "ctid"], loads[rate, "queue"]

        def line(name: str, unit: str, values: Sequence[float], target: str = "", rate: int = rate) -> Figure:
            return Figure(part=f"chain {rate}/s", name=name, unit=unit, values=tuple(values), target=target)

        for percent, most in ((50, 5), (99, 25)):
            ours = [percentile(load.waits, percent) for load in ctid]
            theirs = [percentile(load.waits, percent) for load in queue]
            yield line(f"INVITE to INVITE, ctid, p{percent}", "ms", ours)
            yield line(f"INVITE to INVITE, Queue(), p{percent}", "ms", theirs)
            yield line(f"ctid minus Queue(), p{percent}", "ms", differences(ours, theirs), f"<= {most}")
            yield line(f"ctid / Queue(), p{percent}", "times as long", ratios(ours, theirs))
        for percent in (50, 99):
            yield line(f"ringing to pop, p{percent}", "ms", [percentile(load.pops, percent) for load in ctid])
        yield line("ctid's CPU per call, routed, popped, saved", "ms", [load.ctid_cpu for load in ctid], "<= 15")
        yield line("Asterisk's CPU per call under ctid", "ms", [load.asterisk_cpu for load in ctid])
        yield line("Asterisk's CPU per call under Queue()", "ms", [load.asterisk_cpu for load in queue])
        yield line("calls that rang no phone, ctid", "calls", [load.unrung for load in ctid], "0")
        yield line("calls that rang no phone, Queue()", "calls", [load.unrung for load in queue])


async def measure(folder: Path, plan: Plan | None, *, held: bool) -> list[Figure]:
    """``plan`` is that of part ``chain``, ``None`` to leave it out; ``held`` says whether that part is measured."""
    return await Bench(folder).measure(plan, held=held)
