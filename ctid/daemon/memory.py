"""What a daemon that stands by has seen happen, so that it can tell the core should it have to act.

Law: it keeps the last minute and a bounded number of events, the oldest go first; and it says how far back it has all of them.
What the PBX's state tells anyhow, or what must be done at once or never, it does not keep.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from math import inf
from typing import Final

from ctid.domain.events import CallerHeld, CodeDialled, Event, LegRang, PhoneReached, PhoneUsed, VoicesChanged

#: Seconds and events that are kept. A holder is taken to be gone after 3 s, and writes what it saw within one.
SECONDS: Final = 60.0
MOST: Final = 100_000
_NOT_KEPT: Final = (CallerHeld, CodeDialled, LegRang, PhoneReached, PhoneUsed, VoicesChanged)
#: Times of the books and of events differ by what the network takes; telling something again changes nothing.
_SLACK: Final = 1.0


class Memory:
    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._whole_since = inf

    def begin(self, at: float) -> None:
        """The PBX's state was read at ``at``: from here on everything is seen, and nothing of before."""
        self._events.clear()
        self._whole_since = at

    def keep(self, event: Event) -> None:
        if isinstance(event, _NOT_KEPT):
            return
        self._events.append(event)
        while len(self._events) > MOST or self._events[0].at < event.at - SECONDS:
            self._whole_since = max(self._whole_since, self._events.popleft().at)

    def lose(self) -> None:
        """The link was lost: what happens until the next ``begin`` is not seen."""
        self._events.clear()
        self._whole_since = inf

    def reaches(self, since: float) -> bool:
        """Whether all that happened from ``since`` on is here."""
        return self._whole_since <= since

    def after(self, since: float) -> list[Event]:
        """What happened from about ``since`` on, in order, as the past it is."""
        return [replace(event, remembered=True) for event in self._events if event.at > since - _SLACK]
