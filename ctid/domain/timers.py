"""Deadlines of the core, kept in order.

Law: a key has one deadline; setting it again moves it. Time comes from the events, never from a clock.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)


class Timers(Generic[_K]):
    """A heap of deadlines with lazy removal."""

    def __init__(self) -> None:
        self._at: dict[_K, float] = {}
        self._heap: list[tuple[float, int, _K]] = []
        self._count = 0

    def set(self, key: _K, at: float) -> None:
        """Let ``key`` fall due at ``at`` (Unix seconds), whatever was set for it before."""
        self._at[key] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))

    def clear(self, key: _K) -> None:
        self._at.pop(key, None)

    def move(self, by: float) -> None:
        """Let everything fall due ``by`` seconds later, as clocks that were set say."""
        for key, at in tuple(self._at.items()):
            self.set(key, at + by)

    def __contains__(self, key: _K) -> bool:
        return key in self._at

    @property
    def next_at(self) -> float | None:
        """When the next deadline falls due."""
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[_K]:
        """The keys that are due at ``now``, each once, the earliest first; they are no longer set."""
        while (at := self.next_at) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            del self._at[key]
            yield key
