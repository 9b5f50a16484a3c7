"""A day as the PBX wrote it (CEL, CDR) beside the same day in ctid's books, and what differs.

Law: pure; every interval is cut at the day's bounds before it comes here. CEL tells bridges to the microsecond, so the seconds
of talk must agree. CDR tells a record for each pair of caller and phone, ringing and the answered wait before it
included: it can say that a call or its answer is missing, or that the books have more talk than there was, and no more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from ctid.domain.types import AgentId, CallId, Certainty, LegId, RecordingState

#: Seconds of one call's talk that may differ: AMI and CEL give one moment times some milliseconds apart.
CALL_TOLERANCE = 1.0
#: Of one agent's day: so much, and so much for each of the day's conversations.
AGENT_TOLERANCE, PER_TALK_TOLERANCE = 1.0, 0.02

#: (start, end) in Unix seconds.
Span = tuple[float, float]


class What(StrEnum):
    """What a difference is about."""

    CALL_MISSING = "call_missing"  # the PBX had it, the books don't
    CALL_UNKNOWN = "call_unknown"  # the books have it, the PBX didn't
    CALL_UNENDED = "call_unended"
    CALL_TALK = "call_talk"
    AGENT_TALK = "agent_talk"
    RECORDING = "recording"


@dataclass(slots=True, kw_only=True)
class PbxLeg:
    """A channel that talked: whether it began the call, and when it was in conversation."""

    call: CallId
    originator: bool = False
    talks: list[Span] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class PbxDay:
    """What CEL tells of a day. ``began`` holds the calls that began on it, ``recorded`` the file of each that ctid records."""

    began: dict[CallId, float] = field(default_factory=dict)
    ended: set[CallId] = field(default_factory=set)
    merged: dict[CallId, CallId] = field(default_factory=dict)
    recorded: dict[CallId, str] = field(default_factory=dict)
    legs: dict[LegId, PbxLeg] = field(default_factory=dict)
    bad_lines: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """One CDR record: ``answered`` is the time billed to the pair, ``None`` where nobody dialled took the call."""

    call: CallId
    channel: LegId
    began: float
    answered: Span | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CdrDay:
    records: tuple[Billed, ...]
    bad_lines: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLeg:
    call: CallId
    agent: AgentId | None
    certainty: Certainty
    talks: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BookCall:
    began: float
    ended: bool
    merged_into: CallId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookDay:
    """The books: the calls that began on the day or talked on it, their legs, and their recordings (call, id, path, state)."""

    calls: Mapping[CallId, BookCall]
    legs: Mapping[LegId, BookLeg]
    recordings: tuple[tuple[CallId, str, str, RecordingState], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that does not agree; ``says`` is a line that ends in what to do. ``seconds`` is books minus PBX."""

    what: What
    says: str
    call: CallId | None = None
    agent: AgentId | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A day compared. ``drift_seconds`` is the greatest difference of talk found, within tolerance or not."""

    drift_seconds: float
    calls: int
    cel_calls: int | None
    cdr_calls: int | None
    bad_lines: int
    differences: tuple[Difference, ...]


def compare(books: BookDay, cel: PbxDay | None, cdr: CdrDay | None, *, start: float, end: float) -> Comparison:
    """Hold the books against what the PBX wrote of the day from ``start`` to ``end``."""
    found: list[Difference] = []
    drifts = [0.0]

    def within(at: float) -> bool:
        """Not at the day's edge, where AMI's and CEL's times may lie on different sides of midnight."""
        return start + CALL_TOLERANCE <= at < end - CALL_TOLERANCE

    if cel is not None:
        found += _calls_of_cel(books, cel, within)
        found += _talk_of_calls(books, cel, drifts)
        found += _talk_of_agents(books, cel, drifts)
    if cdr is not None:
        found += _calls_of_cdr(books, cdr, drifts, {d.call for d in found}, within)
    found += _recordings(books, cel)
    return Comparison(
        drift_seconds=round(max(drifts), 3),
        calls=sum(start <= call.began < end for call in books.calls.values()),
        cel_calls=None if cel is None else len(cel.began),
        cdr_calls=None if cdr is None else len({record.call for record in cdr.records}),
        bad_lines=(cel.bad_lines if cel else 0) + (cdr.bad_lines if cdr else 0),
        differences=tuple(found),
    )


def comparison_json(day: date, pbx: str, found: Comparison) -> dict[str, Any]:
    """The comparison as ``ctid compare --json`` prints it and the daemon keeps it."""
    return {
        "day": day.isoformat(),
        "pbx": pbx,
        "drift_seconds": found.drift_seconds,
        "calls": found.calls,
        "cel_calls": found.cel_calls,
        "cdr_calls": found.cdr_calls,
        "bad_lines": found.bad_lines,
        "differences": [
            {"what": one.what.value, "call": one.call, "agent": one.agent, "seconds": one.seconds, "says": one.says}
            for one in found.differences
        ],
    }


def union(spans: Iterable[Span]) -> float:
    """Seconds that the intervals cover, overlaps once."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _calls_of_cel(books: BookDay, cel: PbxDay, within: Callable[[float], bool]) -> Iterable[Difference]:
    for call, began in cel.began.items():
        if call not in books.calls and within(began):
            yield Difference(
                what=What.CALL_MISSING,
                call=call,
                says=f"call {call} is in CEL and not in the books: was ctid away and CEL not readable at its next start?"
                " Look for cel.not_read in its log, and keep the CEL file",
            )
    for call, booked in books.calls.items():
        if call not in cel.began and within(booked.began):
            yield Difference(
                what=What.CALL_UNKNOWN,
                call=call,
                says=f"call {call} is in the books and not in CEL: does [cel] file name this PBX's file, whole since that day's"
                " beginning (also its .1, .2 …)?",
            )
        if not booked.ended and booked.merged_into is None and call in cel.ended:
            yield Difference(
                what=What.CALL_UNENDED,
                call=call,
                says=f"call {call} has ended and is under way in the books: where ctid_db_pending_writes is 0, restart ctid",
            )


def _talk_of_calls(books: BookDay, cel: PbxDay, drifts: list[float]) -> Iterable[Difference]:
    ours: dict[CallId, list[float]] = defaultdict(lambda: [0.0, 0.0])
    doubtful: set[CallId] = set()
    for leg_id, leg in books.legs.items():
        ours[leg.call][0] += union(leg.talks)
        if leg.certainty is Certainty.ESTIMATED:
            doubtful.add(leg.call)
        if (seen := cel.legs.get(leg_id)) is not None:
            ours[leg.call][1] += union(seen.talks)
    for leg_id, seen in cel.legs.items():
        if leg_id not in books.legs and not seen.originator:
            ours[_survivor(seen.call, cel.merged)][1] += union(seen.talks)
    for call, (booked, told) in ours.items():
        drifts.append(abs(booked - told))
        if abs(booked - told) > CALL_TOLERANCE:
            why = " (estimated: CEL was not read when it ended)" if call in doubtful else ""
            yield Difference(
                what=What.CALL_TALK,
                call=call,
                seconds=round(booked - told, 3),
                says=f"call {call}: {booked:.1f} s of talk in the books{why}, {told:.1f} s in CEL; see: ctid explain {call}",
            )


def _talk_of_agents(books: BookDay, cel: PbxDay, drifts: list[float]) -> Iterable[Difference]:
    booked: dict[AgentId, list[Span]] = defaultdict(list)
    told: dict[AgentId, list[Span]] = defaultdict(list)
    for leg_id, leg in books.legs.items():
        if leg.agent is not None:
            booked[leg.agent] += leg.talks
            if (seen := cel.legs.get(leg_id)) is not None:
                told[leg.agent] += seen.talks
    for agent, spans in booked.items():
        drift = union(spans) - union(told[agent])
        drifts.append(abs(drift))
        if abs(drift) > AGENT_TOLERANCE + PER_TALK_TOLERANCE * len(spans):
            yield Difference(
                what=What.AGENT_TALK,
                agent=agent,
                seconds=round(drift, 3),
                says=f"agent {agent}: {union(spans):.1f} s of talk in the books, {union(told[agent]):.1f} s in CEL;"
                " the calls of this list are the cause: correct the day's report by hand",
            )


def _calls_of_cdr(
    books: BookDay, cdr: CdrDay, drifts: list[float], said: set[CallId | None], within: Callable[[float], bool]
) -> Iterable[Difference]:
    call_of = {leg_id: leg.call for leg_id, leg in books.legs.items()}
    merged = {call: booked.merged_into for call, booked in books.calls.items() if booked.merged_into is not None}
    billed: dict[CallId, list[Span]] = defaultdict(list)
    for record in cdr.records:
        call = next((c for c in (record.call, call_of.get(record.channel)) if c in books.calls), None)
        if call is not None:
            if record.answered is not None:
                billed[_survivor(call, merged)].append(record.answered)
        elif record.call not in said and within(record.began):
            said.add(record.call)
            yield Difference(
                what=What.CALL_MISSING,
                call=record.call,
                says=f"call {record.call} is in CDR and not in the books: was ctid away, and is [cel] file set and readable?",
            )
    talks: dict[CallId, list[Span]] = defaultdict(list)
    for leg in books.legs.values():
        talks[_survivor(leg.call, merged)] += leg.talks
    for call, spans in talks.items():
        more = union(spans) - union(billed[call])
        if more > CALL_TOLERANCE and call not in said:
            drifts.append(more)
            what = "no answered record" if not billed[call] else f"{union(billed[call]):.1f} s with its ringing"
            yield Difference(
                what=What.CALL_TALK,
                call=call,
                seconds=round(more, 3),
                says=f"call {call}: {union(spans):.1f} s of talk in the books, {what} in CDR; see: ctid explain {call}",
            )


def _recordings(books: BookDay, cel: PbxDay | None) -> Iterable[Difference]:
    kept = {path for _, _, path, _ in books.recordings}
    for call, recording, path, state in books.recordings:
        booked = books.calls.get(call)
        over = state in (RecordingState.DAMAGED, RecordingState.MISSING)
        if over or (state is RecordingState.RECORDING and booked is not None and booked.ended):
            is_what = "was never measured" if state is RecordingState.RECORDING else f"is {state.value}"
            yield Difference(
                what=What.RECORDING,
                call=call,
                says=f"recording {recording} of call {call} {is_what}: look for {path} in the recordings folder, and in"
                " Asterisk's log for MixMonitor",
            )
    if cel is None:
        return
    talked = {_survivor(leg.call, cel.merged) for leg in cel.legs.values() if union(leg.talks) > CALL_TOLERANCE}
    for call, path in cel.recorded.items():
        if call in talked and call in books.calls and path not in kept:
            yield Difference(
                what=What.RECORDING,
                call=call,
                says=f"call {call} talked and has no recording in the books: look for {path} in the recordings folder",
            )


def _survivor(call: CallId, merged: Mapping[CallId, CallId]) -> CallId:
    for _ in merged:
        if call not in merged:
            break
        call = merged[call]
    return call
