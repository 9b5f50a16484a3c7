"""When a call was in conversation, as spans of time: what its recording holds, and where in it something lies.

Law: pure arithmetic on the books. A recording holds bridged time alone, one piece after the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from ctid.domain.types import CallRecord, Gap, LegRecord, RecordingRecord


def bridged(legs: Iterable[LegRecord], *, now: float | None = None) -> list[tuple[float, float]]:
    """The spans in which any leg was in conversation, in order, none touching another.

    A conversation under way ends at ``now``; without it, it is left out.
    """
    talks = ((t.started_at, t.ended_at if t.ended_at is not None else now) for leg in legs for t in leg.talks)
    out: list[tuple[float, float]] = []
    for start, end in sorted((start, end) for start, end in talks if end is not None):
        if out and start <= out[-1][1]:
            out[-1] = out[-1][0], max(out[-1][1], end)
        else:
            out.append((start, end))
    return out


def within(legs: Iterable[LegRecord], since: float, until: float) -> float:
    """Seconds of conversation between two times; one under way goes on."""
    return sum(max(0.0, min(end, until) - max(start, since)) for start, end in bridged(legs, now=inf))


def recorded_seconds(call: CallRecord) -> float:
    """What the recording of a call that is over must hold, by its books alone: its conversation but what was cut."""
    cuts = [gap for recording in call.recordings for gap in recording.gaps if gap.cut]
    missing = sum(within(call.legs, gap.started_at, gap.ended_at or call.ended_at or gap.until) for gap in cuts)
    return max(0.0, sum(end - start for start, end in bridged(call.legs)) - missing)


def places(call: CallRecord, recording: RecordingRecord) -> list[tuple[Gap, float, float]]:
    """Each pause that is over, with the seconds of the file where it begins and ends: the same where it was cut."""
    out: list[tuple[Gap, float, float]] = []
    missing = 0.0
    for gap in recording.gaps:
        if gap.ended_at is None:
            continue
        begins = within(call.legs, -inf, gap.started_at) - missing
        lasts = within(call.legs, gap.started_at, gap.ended_at)
        missing += lasts if gap.cut else 0.0
        out.append((gap, begins, begins if gap.cut else begins + lasts))
    return out
