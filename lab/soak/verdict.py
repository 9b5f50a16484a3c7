"""What a load promises, and whether it was kept: the promises, the table, the exit status.

Law: a promise is one line with what was found; nothing is left out of the table because it is bad.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from lab.soak.counting import SECOND, Count, Gap
from lab.soak.watching import Sample, slope

#: MiB an hour that a process may grow over the last three quarters of a run.
FLAT = {"ctid run": 10.0, "ctid web": 10.0}
#: Ended calls are kept ten minutes: in a shorter run memory must still grow.
FLAT_FROM_MINUTES = 20.0
#: Open files and tasks may come and go with the calls under way.
FILES_MORE = 20
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """``kept`` is ``None`` where the run was too short to tell."""

    says: str
    kept: bool | None
    found: str


@dataclass(slots=True, kw_only=True)
class Outcome:
    """All that is known of a run: ``counted`` of the load itself, ``burst`` of the calls hung up at once."""

    minutes: float
    rate: float
    talk: float
    agents: int
    one_way: bool = False
    machine: Mapping[str, str]
    counted: Count | None = None
    burst: Count | None = None
    burst_calls: int = 0
    burst_seconds: float | None = None
    samples: list[Sample] = field(default_factory=list)
    metrics: Mapping[str, float] = field(default_factory=dict)
    metrics_after: Mapping[str, float] = field(default_factory=dict)
    hashed: int = 0
    differing: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    asterisk: list[str] = field(default_factory=list)
    burst_said: Mapping[str, int] = field(default_factory=dict)
    resyncs: int = 0
    idle_after: int = 0
    compared: list[str] = field(default_factory=list)
    broke_off: str | None = None

    def promises(self) -> list[Promise]:
        """Every promise of this run, in the order of the table."""
        made = [Promise(says="the run went to its end", kept=not self.broke_off, found=self.broke_off or "yes")]
        if self.counted is not None:
            made += _of_calls(self.counted, alone=True)
            made.append(self._files(self.counted))
        if self.burst is not None:
            hung_up = _of_calls(self.burst, alone=False, bye=self.burst_seconds)
            made += [_named(f"{self.burst_calls:,} hung up at once", one) for one in hung_up]
            made.append(
                Promise(
                    says=f"{self.burst_calls:,} hung up at once: books right, agents idle, no resync",
                    kept=self.burst_seconds is not None and self.idle_after == self.agents and self.resyncs <= 1,
                    found=f"books after {_shown(self.burst_seconds)} s, {self.idle_after} of {self.agents} idle,"
                    f" {max(0, self.resyncs - 1)} resyncs; said meanwhile: "
                    + (", ".join(f"{count} x {what}" for what, count in self.burst_said.items()) or "nothing"),
                )
            )
            # So many at once are more than the machine bears: the half second a look-up has then is what is given up.
            late = self.burst_said.get(_LATE, 0)
            unhandled = _unhandled(self.metrics_after) - _unhandled(self.metrics) - late
            made.append(
                Promise(
                    says=f"{self.burst_calls:,} hung up at once: no event unhandled",
                    kept=not unhandled,
                    found=f"{unhandled:g}, and {late} callers decided on before the database had said who they are",
                )
            )
        return [*made, *self._of_ctid(), *self._of_memory()]

    def _files(self, counted: Count) -> Promise:
        return Promise(
            says="every file hashed, as it is on the disk, and none left over",
            kept=not self.differing and not self.left_over and not counted.unhashed and self.hashed >= counted.answered,
            found=f"{self.hashed:,} hashed and deleted, {_listed(self.differing)} differ, {_listed(self.left_over)} left;"
            f" {_states(counted.recordings)}",
        )

    def _of_ctid(self) -> Iterator[Promise]:
        yield _zero("no event unhandled (oddities, unknown events)", _unhandled(self.metrics))
        yield Promise(says="no warning in ctid's log", kept=not self.log, found=_listed(self.log))
        yield Promise(says="no warning in Asterisk's log", kept=not self.asterisk, found=_listed(self.asterisk))
        after = self.metrics_after
        yield _zero("no lease missed", after.get("ctid_lease_missed_total", 0))
        yield _zero("nothing given up on its way to the broker", after.get("ctid_mqtt_dropped_total", 0))
        drift = after.get("ctid_ledger_drift_seconds", 0.0)
        yield Promise(
            says="memory and database agree on the day's talk", kept=drift < SECOND, found=f"{drift:.3f} s apart"
        )
        yield Promise(says="`ctid compare` finds no difference", kept=not self.compared, found=_listed(self.compared))

    def _of_memory(self) -> Iterator[Promise]:
        for name, most in FLAT.items():
            grew = slope(self.samples, name)
            if grew is None:
                continue
            yield Promise(
                says=f"memory of {name} flat: at most {most:g} MiB an hour over the last three quarters",
                kept=grew <= most if self.minutes >= FLAT_FROM_MINUTES else None,
                found=f"{grew:+.1f} MiB/h, {self.samples[-1].usage[name].mib:.0f} MiB at the end"
                + ("" if self.minutes >= FLAT_FROM_MINUTES else f" (judged from {FLAT_FROM_MINUTES:g} minutes on)"),
            )
            files = [sample.usage[name].files for sample in self.samples if name in sample.usage]
            half = len(files) // 2
            more = max(files[half:]) - max(files[:half], default=0)
            yield Promise(says=f"open files of {name} flat", kept=more <= FILES_MORE, found=f"{max(files)} at most")

    @property
    def kept(self) -> bool:
        return all(promise.kept is not False for promise in self.promises())

    def as_json(self) -> dict[str, object]:
        return {
            "machine": dict(self.machine),
            "minutes": self.minutes,
            "rate": self.rate,
            "talk": self.talk,
            "agents": self.agents,
            "one_way": self.one_way,
            "kept": self.kept,
            "promises": [asdict(promise) for promise in self.promises()],
            "counted": None if self.counted is None else _counted(self.counted),
            "burst": None if self.burst is None else {**_counted(self.burst), "seconds": self.burst_seconds},
            "metrics": dict(self.metrics),
            "metrics_after": dict(self.metrics_after),
            "samples": [sample.as_json() for sample in self.samples],
        }

    def told(self) -> str:
        """All of it for a reader: how the run went, its figures, its promises."""
        parts = [
            f"{self.rate:g} calls/s of {self.talk:g} s for {self.minutes:g} minutes, {self.agents} agents,"
            f" sound {'from the callers' if self.one_way else 'both ways'}; "
            + ", ".join(f"{name} {value}" for name, value in self.machine.items()),
            _table(_COLUMNS, _rows(self.samples)),
        ]
        if self.counted is not None:
            parts.append(_table(("figure", "found"), list(_figures(self.counted))))
        marks = {True: "kept", False: "BROKEN", None: "not judged"}
        parts.append(_table(("", "promise", "found"), [(marks[p.kept], p.says, p.found) for p in self.promises()]))
        return "\n\n".join(parts)


#: What ctid says where it decided without the database, as it does after half a second.
_LATE = "oddity the database did not say in time who is calling"


def _unhandled(metrics: Mapping[str, float]) -> float:
    return metrics.get("ctid_oddities_total", 0) + metrics.get('ctid_ami_events_total{event="other"}', 0)


def _of_calls(counted: Count, *, alone: bool, bye: float | None = None) -> Iterator[Promise]:
    """``bye``: seconds that hanging all of them up took, where that was done at once; a phone has its BYE within those."""
    yield Promise(
        says="no caller lost",
        kept=not counted.lost and not (alone and counted.given_up),
        found=f"{counted.offered:,} offered, {counted.answered:,} answered, {counted.given_up:,} hung up before,"
        f" {_listed(counted.lost)} lost, {counted.failsafe:,} by the fallback queue"
        + (f", {counted.unbridged:,} hung up while the phone answered" if counted.unbridged else ""),
    )
    yield Promise(
        says="every call in the books, with the agent whose phone it was",
        kept=not counted.unbooked and not counted.wrong_agent,
        found=f"{counted.booked:,} calls, {counted.legs:,} legs; {_listed(counted.unbooked)} not booked,"
        f" {_listed(counted.wrong_agent)} otherwise in the books",
    )
    yield Promise(says="no agent offered two calls", kept=not counted.twice, found=_listed(counted.twice))
    yield Promise(says="every interval exact", kept=not counted.inexact, found=_listed(counted.inexact))
    for name, gap in (("CEL", counted.cel), ("CDR", counted.cdr)):
        yield _gap(f"ledger = {name}, to the second", gap)
    sip = _gap("ledger = SIP, to the second", counted.sip)
    if bye is None:
        yield sip
    else:
        says = "ledger = SIP, but for the seconds in which the PBX sends the BYEs"
        yield Promise(says=says, kept=counted.sip.worst <= bye, found=sip.found)


def _gap(says: str, gap: Gap) -> Promise:
    mean = gap.total / gap.calls * 1000 if gap.calls else 0.0
    return Promise(
        says=says,
        kept=not gap.over,
        found=f"{gap.calls:,} calls, {gap.worst:.3f} s apart at most, {mean:+.1f} ms on average"
        + (f"; {_listed(gap.over)}" if gap.over else ""),
    )


def _zero(says: str, value: float) -> Promise:
    return Promise(says=says, kept=not value, found=f"{value:g}")


def _named(what: str, promise: Promise) -> Promise:
    return Promise(says=f"{what}: {promise.says}", kept=promise.kept, found=promise.found)


def _figures(counted: Count) -> Iterator[tuple[str, str]]:
    waits = sorted(counted.waits)
    yield "calls offered, answered, lost", f"{counted.offered:,}, {counted.answered:,}, {len(counted.lost):,}"
    yield "talk in the books", f"{counted.talk / 3600:,.2f} h"
    yield "ledger beyond CEL, all calls", f"{counted.cel.total:+.3f} s"
    for percent in (50, 99, 100):
        if waits:
            at = waits[max(0, -(-len(waits) * percent // 100) - 1)]
            yield f"caller's INVITE to the agent's answer, p{percent}", f"{at * 1000:,.0f} ms"


_COLUMNS = (
    *("min", "calls", "waiting", "p99 decision ms", "behind s", "AMI lag s", "inbox", "writes", "tasks", "gc"),
    *("ctid CPU", "MiB", "files", "web CPU", "web MiB", "Asterisk CPU", "Asterisk MiB", "SIPp CPU", "deepest", "sheds"),
)


def _rows(samples: Sequence[Sample]) -> list[tuple[str, ...]]:
    """At most some thirty lines, evenly."""
    every = max(1, len(samples) // 30)
    return [_row(sample) for sample in samples[every - 1 :: every]]


def _row(s: Sample) -> tuple[str, ...]:
    def of(name: str, field_: str) -> str:
        if name not in s.usage:
            return "-"
        value = getattr(s.usage[name], field_)
        return f"{value:.0%}" if field_ == "cpu" else f"{value:.0f}"

    sipp = sum(usage.cpu for name, usage in s.usage.items() if name.startswith("sipp"))
    return (
        *(f"{s.after / 60:.1f}", f"{s.calls:,}", str(s.waiting)),
        "-" if s.decision_p99 is None else f"<= {s.decision_p99 * 1000:g}",
        *(f"{s.behind:.2f}", f"{s.ami_lag:.2f}", str(s.inbox), str(s.pending_writes), str(s.tasks), str(s.collections)),
        *(of("ctid run", "cpu"), of("ctid run", "mib"), of("ctid run", "files")),
        *(of("ctid web", "cpu"), of("ctid web", "mib"), of("asterisk", "cpu"), of("asterisk", "mib")),
        *(f"{sipp:.0%}", str(s.deepest), "yes" if s.shedding else "no"),
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    out = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in lines]
    out.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(out)


def _listed(found: Sequence[str]) -> str:
    """How many, and the first of them."""
    return "0" if not found else f"{len(found):,} ({'; '.join(found[:_SHOWN])}{' …' if len(found) > _SHOWN else ''})"


def _states(recordings: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in sorted(recordings.items()))


def _shown(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds:.1f}"


def _counted(counted: Count) -> dict[str, object]:
    told = asdict(counted)
    told["waits"] = len(counted.waits)
    return told
