"""How often a sign-in may fail, per user and per address, and an API token per address; how many sockets a user may hold.

Law: a user is counted under one name however it is written, an address of IPv6 with its whole network, which is one line's.
Kept in memory and bounded; past the bound the longest unseen are forgotten. A success clears the user's count and takes
back its own mark on the address, no more: one good account does not buy guesses at others.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network

WINDOW_SECONDS = 300.0
FAILURES_PER_USER = 10
FAILURES_PER_ADDRESS = 50
#: Wrong API tokens: nobody guesses 256 bits, but a script with an old one asks for ever.
WRONG_TOKENS_PER_ADDRESS = 50
REMEMBERED = 10_000
#: Passwords that are checked or wait for it: two at a time are, each for a tenth of a second.
SIGN_INS = 64
#: A tab holds one.
SOCKETS_PER_USER = 32
SOCKETS = 4096


class Failures:
    def __init__(self) -> None:
        self._at: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def wait_seconds(self, user: str, address: str, now: float) -> float:
        """How long this user at this address must wait before another try; 0 when they need not."""
        of_user, of_address = _keys(user, address)
        return max(self._wait(of_user, FAILURES_PER_USER, now), self._wait(of_address, FAILURES_PER_ADDRESS, now))

    def failed(self, user: str, address: str, now: float) -> None:
        for key in _keys(user, address):
            self._mark(key, now)

    def stopped(self, user: str, address: str, now: float) -> list[str]:
        """Whom the try that has just failed was one too many for: the name, the address, both or neither."""
        of_user, of_address = _keys(user, address)
        both = ((of_user, FAILURES_PER_USER), (of_address, FAILURES_PER_ADDRESS))
        return [key[1] for key, allowed in both if self._wait(key, allowed, now) > 0]

    def user_wait_seconds(self, user: str, now: float) -> float:
        """How long this user must wait wherever they are; 0 when they need not."""
        return self._wait(_keys(user, "")[0], FAILURES_PER_USER, now)

    def forgive(self, user: str) -> None:
        """Somebody has seen that the user's failures were their own."""
        self._at.pop(_keys(user, "")[0], None)

    def token_wait_seconds(self, address: str, now: float) -> float:
        """How long wrong tokens of this address are refused unseen; 0 when they are not."""
        return self._wait(("token", _line(address)), WRONG_TOKENS_PER_ADDRESS, now)

    def token_failed(self, address: str, now: float) -> None:
        self._mark(("token", _line(address)), now)

    def succeeded(self, user: str, address: str) -> None:
        """The last try marked by ``failed`` turned out right."""
        of_user, of_address = _keys(user, address)
        self._at.pop(of_user, None)
        if marks := self._at.get(of_address):
            marks.pop()

    def _mark(self, key: tuple[str, str], now: float) -> None:
        self._at[key] = [*self._recent(key, now), now][-FAILURES_PER_ADDRESS:]
        self._at.move_to_end(key)
        while len(self._at) > REMEMBERED:
            self._at.popitem(last=False)

    def _wait(self, key: tuple[str, str], allowed: int, now: float) -> float:
        recent = self._recent(key, now)
        return recent[-allowed] + WINDOW_SECONDS - now if len(recent) >= allowed else 0.0

    def _recent(self, key: tuple[str, str], now: float) -> list[float]:
        return [at for at in self._at.get(key, ()) if at > now - WINDOW_SECONDS]


def _keys(user: str, address: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """What a try counts for: the name as accounts are looked up by it, and the line it comes from."""
    return ("user", user.strip().lower()), ("address", _line(address))


def _line(address: str) -> str:
    """The address; of IPv6 its /64, of which one computer has as many addresses as it likes."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped or ip_network((found.packed[:8] + bytes(8), 64)))


class Sockets:
    """The sockets that are open, per user; and who is to look again whether they still may be."""

    def __init__(self) -> None:
        self._open: Counter[int] = Counter()
        self._looking: defaultdict[int, set[asyncio.Event]] = defaultdict(set)

    def look_again(self, user_id: int) -> None:
        """Have each socket of the user ask now whether its session stands, and what its user may."""
        for event in self._looking.get(user_id, ()):
            event.set()

    @contextmanager
    def looking(self, user_id: int) -> Generator[asyncio.Event]:
        """Set each time one is to look again."""
        event = asyncio.Event()
        self._looking[user_id].add(event)
        try:
            yield event
        finally:
            self._looking[user_id].discard(event)
            if not self._looking[user_id]:
                del self._looking[user_id]

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
