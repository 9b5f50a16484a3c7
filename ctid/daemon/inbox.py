"""What the core has still to hear, in the order it came.

Law: appending never waits and never fails; only the routing loop takes out. The bound is the PBX's: when its events come faster
than they are handled for so long that ``LIMIT`` batches wait, what waits is thrown away and the PBX's state is read anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from ctid.asterisk.client import Snapshot
from ctid.asterisk.wire import Message
from ctid.domain.events import Event

#: Batches of AMI messages (one per TCP read, up to some hundred events) that may wait.
LIMIT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Resync:
    """The PBX's state at ``at`` by its clock, and what CEL says happened since it was last seen; ``None``: there is no CEL.

    ``seen_at`` is when that was, for who stood by and remembers it.
    """

    at: float
    snapshot: Snapshot
    gap: list[Event] | None
    seen_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """The PBX's state at ``at`` by its clock, for a daemon that stands by."""

    at: float
    snapshot: Snapshot


#: A batch of live messages, the PBX's state after a login, or one event from elsewhere.
Item = list[Message] | Resync | Follow | Event


class Inbox:
    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._news = asyncio.Event()

    def put(self, item: Item) -> None:
        self._items.append(item)
        self._news.set()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def empty(self) -> bool:
        return not self._items

    @property
    def overrun(self) -> bool:
        """Whether more waits than can be caught up with."""
        return len(self._items) > LIMIT

    def drop_messages(self) -> int:
        """Throw the PBX's messages away, everything else stays; return how many batches went."""
        kept = [item for item in self._items if isinstance(item, Event)]
        dropped = len(self._items) - len(kept)
        self._items = deque(kept)
        return dropped

    async def take(self) -> Item:
        """The next item, as soon as there is one."""
        while not self._items:
            self._news.clear()
            await self._news.wait()
        return self._items.popleft()
