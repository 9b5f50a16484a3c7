"""What a run looks like while it goes on: a sample each few seconds of every process and of ctid's own metrics.

Law: read from /proc, the metrics page and Asterisk's command line; a reading that fails (a process that is busy, or
over) is a gap in the series, never the end of the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.soak.centre import Console, Gauge

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BUCKET = re.compile(r'^ctid_routing_decision_seconds_bucket\{le="(?P<most>[^"]+)"\}$')
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Of one process: ``cpu`` is the part of one core it used since the sample before, ``mib`` its resident memory."""

    cpu: float
    mib: float
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look, ``after`` seconds into the run. ``decision_p99`` is in seconds, of the decisions since the look before.

    ``deepest`` is the greatest depth any of Asterisk's taskprocessors has had, ``behind`` how many seconds the oldest thing in
    ctid's inbox waited.
    """

    after: float
    usage: Mapping[str, Usage]
    decisions: int
    decision_p99: float | None
    calls: int
    waiting: int
    inbox: int
    behind: float
    ami_lag: float
    pending_writes: int
    tasks: int
    collections: int
    shedding: bool
    channels: int | None
    deepest: int | None

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class Watcher:
    """Looks at the processes of ``pids`` by name, each ``every`` seconds, until cancelled; ``samples`` has what was seen."""

    def __init__(self, gauge: Gauge, console: Console, pids: Mapping[str, int], every: float = 10.0) -> None:
        self.samples: list[Sample] = []
        self._gauge = gauge
        self._console = console
        self._pids = dict(pids)
        self._every = every
        self._began = time.monotonic()
        self._at = self._began
        self._cpu = {name: _cpu(pid) for name, pid in self._pids.items()}
        self._buckets: dict[float, float] = {}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            with contextlib.suppress(Exception):  # a gap in the series
                self.samples.append(await self._look())

    async def _look(self) -> Sample:
        page = await self._gauge.read()
        now = time.monotonic()
        passed, self._at = now - self._at, now
        usage = {name: self._usage(name, pid, passed) for name, pid in self._pids.items() if _lives(pid)}
        decisions, p99 = self._decisions(page)
        return Sample(
            after=round(now - self._began, 1),
            usage=usage,
            decisions=decisions,
            decision_p99=p99,
            calls=round(sum(v for k, v in page.items() if k.startswith("ctid_calls_total"))),
            waiting=round(page["ctid_calls_waiting"]),
            inbox=round(page["ctid_inbox_items"]),
            behind=round(page["ctid_loop_lag_seconds"], 3),
            ami_lag=round(page["ctid_ami_lag_seconds"], 3),
            pending_writes=round(page["ctid_db_pending_writes"]),
            tasks=round(page["ctid_tasks"]),
            collections=round(sum(v for k, v in page.items() if k.startswith("python_gc_collections_total"))),
            shedding=any(v for k, v in page.items() if k.startswith("ctid_shedding{")),
            channels=await self._channels(),
            deepest=await self._deepest(),
        )

    def _usage(self, name: str, pid: int, passed: float) -> Usage:
        cpu = _cpu(pid)
        used, self._cpu[name] = cpu - self._cpu.get(name, cpu), cpu
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
        return Usage(
            cpu=round(used / passed, 3),
            mib=round(resident / MEBIBYTE, 1),
            files=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
        )

    def _decisions(self, page: Mapping[str, float]) -> tuple[int, float | None]:
        """How many since the look before, and a bound that all but one in a hundred of them kept."""
        found = {float(hit["most"]): value for name, value in page.items() if (hit := _BUCKET.match(name)) is not None}
        news = {most: value - self._buckets.get(most, 0.0) for most, value in found.items()}
        self._buckets = found
        made = news.get(float("inf"), 0.0)
        if not made:
            return 0, None
        return round(made), next(most for most, value in sorted(news.items()) if value >= made * 0.99)

    async def _channels(self) -> int | None:
        found = re.search(r"(\d+) active channel", await self._console.ask("core show channels count"))
        return int(found[1]) if found else None

    async def _deepest(self) -> int | None:
        told = await self._console.ask("core show taskprocessors")
        rows = (line.split() for line in told.splitlines())
        depths = [int(row[3]) for row in rows if len(row) >= 6 and row[-1].isdigit() and row[3].isdigit()]
        return max(depths, default=None)


def slope(samples: list[Sample], name: str, *, part: float = 0.75) -> float | None:
    """MiB an hour by which a process grew over the last ``part`` of its samples (least squares); ``None`` of too few."""
    seen = [(s.after / 3600, s.usage[name].mib) for s in samples if name in s.usage]
    seen = seen[round(len(seen) * (1 - part)) :]
    if len(seen) < 3:
        return None
    x, y = (sum(column) / len(seen) for column in zip(*seen, strict=True))
    spread = sum((a - x) ** 2 for a, _ in seen)
    return sum((a - x) * (b - y) for a, b in seen) / spread if spread else None


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}/fd").is_dir()


def _cpu(pid: int) -> float:
    """Processor seconds a process has used so far, user and system; 0 for one that is over."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS
