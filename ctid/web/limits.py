"""How often a sign-in may fail, per user and per address; how many sockets a user may hold.

Law: kept in memory and bounded; past the bound the longest unseen are forgotten. A success clears the user's count and takes
back its own mark on the address, no more: one good account does not buy guesses at others.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Generator
from contextlib import contextmanager

WINDOW_SECONDS = 300.0
FAILURES_PER_USER = 10
FAILURES_PER_ADDRESS = 50
REMEMBERED = 10_000
#: A tab holds one.
SOCKETS_PER_USER = 32
SOCKETS = 4096


class Failures:
    def __init__(self) -> None:
        self._at: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def wait_seconds(self, user: str, address: str, now: float) -> float:
        """How long this user at this address must wait before another try; 0 when they need not."""
        return max(
            self._wait(("user", user), FAILURES_PER_USER, now),
            self._wait(("address", address), FAILURES_PER_ADDRESS, now),
        )

    def failed(self, user: str, address: str, now: float) -> None:
        for key in (("user", user), ("address", address)):
            self._at[key] = [*self._recent(key, now), now][-FAILURES_PER_ADDRESS:]
            self._at.move_to_end(key)
        while len(self._at) > REMEMBERED:
            self._at.popitem(last=False)

    def succeeded(self, user: str, address: str) -> None:
        """The last try marked by ``failed`` turned out right."""
        self._at.pop(("user", user), None)
        if marks := self._at.get(("address", address)):
            marks.pop()

    def _wait(self, key: tuple[str, str], allowed: int, now: float) -> float:
        recent = self._recent(key, now)
        return recent[-allowed] + WINDOW_SECONDS - now if len(recent) >= allowed else 0.0

    def _recent(self, key: tuple[str, str], now: float) -> list[float]:
        return [at for at in self._at.get(key, ()) if at > now - WINDOW_SECONDS]


class Sockets:
    """The sockets that are open, per user."""

    def __init__(self) -> None:
        self._open: Counter[int] = Counter()

    @contextmanager
    def held(self, user_id: int) -> Generator[bool]:
        """Whether the user may have one more; if so, it is counted within."""
        room = self._open[user_id] < SOCKETS_PER_USER and self._open.total() < SOCKETS
        self._open[user_id] += room
        try:
            yield room
        finally:
            self._open[user_id] -= room
            if not self._open[user_id]:
                del self._open[user_id]
