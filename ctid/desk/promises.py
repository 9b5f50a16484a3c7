"""When a ticket's reply is promised, and how a promise stands now.

Law: each ticket is promised from the moment it is raised, by its severity. A promise nobody has moved follows the severity; one
that somebody has given stays until it is moved with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from ctid.desk.ticket import TicketRecord

#: Hours by severity 1 to 5, where the site says nothing else; by the clock, nights and holidays included.
PROMISE_HOURS: Final = (72.0, 48.0, 24.0, 8.0, 4.0)
#: Who promises further ahead has mistyped the year.
FURTHEST_SECONDS: Final = 366 * 86400.0
_SAME_SECONDS = 1.0


class Due(StrEnum):
    """How an unsolved ticket's promise stands; ``NONE`` also of those that are solved."""

    NONE = "none"
    OVERDUE = "overdue"
    TODAY = "today"
    LATER = "later"


def first_promise(severity: int, created_at: float, hours: Sequence[float] = PROMISE_HOURS) -> float:
    """What is promised of itself when a ticket of that severity (1 to 5) is raised."""
    return created_at + hours[severity - 1] * 3600


def given(ticket: TicketRecord, hours: Sequence[float]) -> bool:
    """Whether somebody gave the promise that stands; else there is none, or the one of itself."""
    own = first_promise(ticket.severity, ticket.created_at, hours)
    return ticket.promised_at is not None and abs(ticket.promised_at - own) > _SAME_SECONDS


def following(ticket: TicketRecord, severity: int, hours: Sequence[float]) -> float | None:
    """The promise once the ticket has that severity: the new one of itself where nobody has given another."""
    if ticket.promised_at is None or given(ticket, hours):
        return ticket.promised_at
    return first_promise(severity, ticket.created_at, hours)


def due(ticket: TicketRecord, now: float, zone: ZoneInfo) -> Due:
    """How the promise stands; *today* ends at the site's midnight."""
    if not ticket.unsolved or ticket.promised_at is None:
        return Due.NONE
    if ticket.promised_at < now:
        return Due.OVERDUE
    return Due.TODAY if ticket.promised_at < end_of_day(now, zone) else Due.LATER


def kept(ticket: TicketRecord) -> bool | None:
    """Whether it was resolved within the promise; ``None`` where there was none, or it is not resolved yet."""
    if ticket.promised_at is None or ticket.resolved_at is None:
        return None
    return ticket.resolved_at <= ticket.promised_at


def end_of_day(now: float, zone: ZoneInfo) -> float:
    """The next local midnight."""
    today = datetime.fromtimestamp(now, zone).date()
    return datetime.combine(today + timedelta(days=1), datetime.min.time(), zone).timestamp()


def quick(now: float, zone: ZoneInfo) -> tuple[tuple[str, float], ...]:
    """Promises that are made at a stroke, by name: in an hour, in four, today at 18:00, tomorrow noon, in two days.

    What has gone by, or is less than half an hour ahead, is not offered.
    """
    local = datetime.fromtimestamp(now, zone)

    def clock(days: int, hour: int) -> float:
        day = local.date() + timedelta(days=days)
        return datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp()

    offered = (
        ("one_hour", now + 3600),
        ("four_hours", now + 4 * 3600),
        ("today_evening", clock(0, 18)),
        ("tomorrow_noon", clock(1, 12)),
        ("tomorrow_evening", clock(1, 18)),
        ("in_two_days", clock(2, 12)),
    )
    return tuple((name, at) for name, at in offered if at >= now + 1800)
