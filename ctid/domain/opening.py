"""When a line is open: its weekly hours, its holidays, and the days on which it keeps other hours.

Law: hours are what the clock on the wall shows. A shift belongs to the day on which it begins, however late it ends; so a
holiday closes the shifts that begin on it, and an hour the clocks leave out or tell twice is as open as its name.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from ctid.domain.types import Line

_DAY = 24 * 60
_ALL_DAY = ((0, _DAY),)


def is_open(line: Line, at: float, zone: ZoneInfo) -> bool:
    """Whether the line is open at ``at``; one without hours, but for its holidays and special days, never closes."""
    if not (line.hours or line.holidays or line.special_hours):
        return True
    local = datetime.fromtimestamp(at, zone)
    today, minute = local.date(), local.hour * 60 + local.minute
    return _within(line, today, minute) or _within(line, today - timedelta(days=1), minute + _DAY)


def _within(line: Line, day: date, minute: int) -> bool:
    return any(opens <= minute < closes for opens, closes in _shifts(line, day))


def _shifts(line: Line, day: date) -> tuple[tuple[int, int], ...]:
    """The shifts that begin on ``day``, in minutes after its midnight: special hours first, then holidays, then the week."""
    for special in line.special_hours:
        if special.days.hold(day):
            return special.shifts
    if any(days.hold(day) for days in line.holidays):
        return ()
    if not line.hours:
        return _ALL_DAY
    return tuple((hours.opens, hours.closes) for hours in line.hours if day.weekday() in hours.weekdays)
