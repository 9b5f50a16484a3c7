"""One day as Asterisk itself wrote it down: CEL through a tracker of its own, CDR as records.

Law: the files are streamed; a line that can't be read is counted, never fatal. Conversations are cut at the day's bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from pathlib import Path

from ctid.asterisk import cel
from ctid.asterisk.csvlog import cells
from ctid.asterisk.tracker import Tracker
from ctid.comparing import Billed, CdrDay, PbxDay, PbxLeg, Span
from ctid.domain import events as ev

_CDR_COLUMNS = 12
_MEND = "set it to the file that Asterisk writes, and let the user who runs ctid read it"
#: A CDR is written when its call is over: so much later, in seconds, one may still stand in the file.
_WRITTEN_LATER = cel.LONGEST_CALL


class PbxFileError(Exception):
    """A file that Asterisk writes cannot be read; one line that says what to do."""


def from_cel(file: Path, start: float, end: float) -> PbxDay:
    """What CEL tells of the day from ``start`` to ``end`` (Unix seconds). Raises ``PbxFileError``."""
    try:
        return _from_cel(file, start, end)
    except OSError as error:
        raise PbxFileError(f"cel.file: {file} cannot be read ({error.strerror}); {_MEND}") from None


def from_cdr(file: Path, start: float, end: float) -> CdrDay:
    """The CDR records of the day from ``start`` to ``end`` (Unix seconds). Raises ``PbxFileError``."""
    try:
        return _from_cdr(file, start, end)
    except OSError as error:
        raise PbxFileError(f"cdr.file: {file} cannot be read ({error.strerror}); {_MEND}") from None


def _from_cel(file: Path, start: float, end: float) -> PbxDay:
    day, tracker, causes = PbxDay(), Tracker(), dict[str, int]()
    talking: dict[str, float] = {}
    for row in cel.rows(file, start - cel.LONGEST_CALL):
        if row is None:
            day.bad_lines += 1
            continue
        if row.at >= end:
            break
        for told in cel.told_by(row, causes):
            for event in tracker.feed(told):
                _take_call(day, event, start)
                _take_leg(day, talking, event, start)
    for leg_id, since in talking.items():
        day.legs[leg_id].talks.append((max(since, start), end))
    day.legs = {leg_id: leg for leg_id, leg in day.legs.items() if leg.talks}
    return day


def _take_call(day: PbxDay, event: ev.Event, start: float) -> None:
    match event:
        case ev.CallStarted(call_id=call) if event.at >= start:
            day.began[call] = event.at
        case ev.CallEntered(call_id=call, recording=path) if path is not None:
            day.recorded[call] = path
        case ev.ConsentTold(call_id=call, consent=consent) if not consent.recorded:
            day.recorded.pop(call, None)
        case ev.CallsMerged(call_id=call, into=into):
            day.merged[call] = into
            for leg in day.legs.values():
                if leg.call == call:
                    leg.call = into
        case ev.CallEnded(call_id=call):
            day.ended.add(call)


def _take_leg(day: PbxDay, talking: dict[str, float], event: ev.Event, start: float) -> None:
    match event:
        case ev.LegOffered(call_id=call, leg_id=leg_id, originator=originator):
            day.legs.setdefault(leg_id, PbxLeg(call=call, originator=originator))
        case ev.TalkStarted(call_id=call, leg_id=leg_id):
            day.legs.setdefault(leg_id, PbxLeg(call=call))
            talking.setdefault(leg_id, event.at)
        case ev.TalkStopped(leg_id=leg_id) if leg_id in talking:
            since = talking.pop(leg_id)
            if event.at > start:
                day.legs[leg_id].talks.append((max(since, start), event.at))
        case ev.LegEnded(leg_id=leg_id) if leg_id in day.legs and not day.legs[leg_id].talks:
            del day.legs[leg_id]  # nothing to compare, and a day has many


def _from_cdr(file: Path, start: float, end: float) -> CdrDay:
    records: list[Billed] = []
    bad = 0
    # In the order they were written, at the end of each record: the day's first may have begun the day before.
    for row in cells(file, _CDR_COLUMNS, start, time_column=6):
        record = None if row is None else _record(row, start, end)
        if record is None:
            bad += 1
        elif record.began >= end + _WRITTEN_LATER:
            break
        elif record.began < end and (record.began >= start or record.answered is not None):
            records.append(record)
    return CdrDay(records=tuple(records), bad_lines=bad)


def _record(row: list[str], start: float, end: float) -> Billed | None:
    linkedid, uniqueid, _, dialled, began, answer, ended, _, disposition, *_ = row
    try:
        times = tuple(float(cell or 0) for cell in (began, answer, ended))
    except ValueError:
        return None
    if not all(0 <= at < inf for at in times) or not times[0] or not uniqueid:
        return None
    answered = next(_cut(times[1], times[2], start, end), None) if dialled and disposition == "ANSWERED" else None
    return Billed(call=linkedid or uniqueid, channel=uniqueid, began=times[0], answered=answered)


def _cut(began: float, ended: float, start: float, end: float) -> Iterator[Span]:
    if began and min(ended, end) > max(began, start):
        yield max(began, start), min(ended, end)
