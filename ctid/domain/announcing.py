"""What a caller who waits is told: their place, and the wait to expect, if the last hour supports one.

Law: no number without its data. A wait is said only if enough callers who stood no nearer to the front had to wait on that
line and were answered within the last hour; it is one within which four of five of them were. Who stands further back than
that hour has seen is told what they will outwait; who has waited longer than it has seen is told their place alone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

#: So many answered callers make a number.
ENOUGH = 5
#: The share of them who were answered within the wait that is said.
SHARE = 0.8
HOUR = 3600.0
#: Waits kept per line: more than any line answers in an hour.
MOST = 2000
#: Who was given to an agent within this many seconds did not have to wait.
AT_ONCE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One caller who had to wait on a line and was answered. ``ahead`` is how many waited before them when they began to."""

    line: str
    answered_at: float
    seconds: float
    ahead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedWait:
    """Whole minutes, 1 at least; ``more_than`` when all that is known is that it will be more."""

    minutes: int
    more_than: bool = False


@dataclass(slots=True)
class LastHour:
    """The waits of each line that ended by an answer within the last hour."""

    _waits: dict[str, deque[Wait]] = field(default_factory=dict)

    def note(self, wait: Wait) -> None:
        """Take the wait in; they come in the order of their answers."""
        self._waits.setdefault(wait.line, deque(maxlen=MOST)).append(wait)

    def of(self, line: str, at: float) -> Sequence[Wait]:
        """Those of the hour before ``at``."""
        waits = self._waits.get(line)
        if waits is None:
            return ()
        while waits and waits[0].answered_at <= at - HOUR:
            waits.popleft()
        return waits


def expected(waits: Iterable[Wait], *, ahead: int, waited: float) -> ExpectedWait | None:
    """The wait that a caller with ``ahead`` before them may expect from now on, who has waited ``waited`` seconds already.

    ``waits`` are the line's of the last hour.
    """
    all_of_them = sorted(waits, key=lambda wait: wait.seconds)
    alike = [wait for wait in all_of_them if wait.ahead >= ahead]
    if len(all_of_them) < ENOUGH or waited > all_of_them[-1].seconds:
        return None
    if len(alike) >= ENOUGH:
        return ExpectedWait(minutes=max(1, math.ceil(_share(alike) / 60)))
    minutes = math.floor(_share(all_of_them) / 60)
    return ExpectedWait(minutes=minutes, more_than=True) if minutes else None


def _share(waits: Sequence[Wait]) -> float:
    """The seconds within which ``SHARE`` of the waits, which are in order, ended by an answer."""
    return waits[math.ceil(SHARE * len(waits)) - 1].seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A caller's time on a line as the books have it. ``offered_at`` is the first offer there; what never came is ``None``."""

    line: str
    arrived_at: float
    offered_at: float | None
    answered_at: float | None
    ended_at: float | None


def from_books(stays: Iterable[Stay], now: float) -> list[Wait]:
    """The waits of the last hour, as they would have been noted by a daemon that saw them."""
    waiting: dict[str, list[float]] = {}  # until when those who came before wait, line by line
    waits: list[Wait] = []
    for stay in sorted(stays, key=lambda stay: stay.arrived_at):
        if stay.offered_at is not None and stay.offered_at - stay.arrived_at <= AT_ONCE:
            continue
        before = waiting.setdefault(stay.line, [])
        ahead = sum(until > stay.arrived_at for until in before)
        until = stay.answered_at if stay.answered_at is not None else stay.ended_at
        before.append(math.inf if until is None else until)
        if stay.answered_at is not None and stay.answered_at > now - HOUR:
            seconds = max(0.0, stay.answered_at - stay.arrived_at)
            waits.append(Wait(line=stay.line, answered_at=stay.answered_at, seconds=seconds, ahead=ahead))
    return sorted(waits, key=lambda wait: wait.answered_at)
