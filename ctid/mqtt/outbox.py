"""What waits to be published: the newest of each kind, in order of urgency, never more than a bound.

Law: an agent's pop beats everything. Answers are kept in turn, pops coalesce by agent and call, states by agent, calls
by call; a newer one replaces the older. Past its bound a kind gives up its oldest; states and the node's own status are
bounded by the number of agents and never given up. What has expired is not published; calls wait while ctid does not
keep pace; what is not due yet waits for what may replace it, and no longer than the first of them would have.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import IntEnum

from ctid import metrics
from ctid.mqtt.topics import Message


class Kind(IntEnum):
    """In order of urgency."""

    NODE = 0
    POP = 1
    RESULT = 2
    STATE = 3
    CALL = 4


_BOUNDS = {Kind.POP: 2000, Kind.RESULT: 1000, Kind.CALL: 2000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A message on its way, made when it goes: most calls change again before.

    ``expires_at`` and ``due_at`` are by the clock the outbox is asked with; ``rang_at`` is in Unix seconds.
    """

    kind: Kind
    key: Hashable
    make: Callable[[], Message]
    due_at: float = -math.inf
    expires_at: float | None = None
    rang_at: float | None = None


class Outbox:
    def __init__(self) -> None:
        self._waiting: dict[Kind, OrderedDict[Hashable, Item]] = {kind: OrderedDict() for kind in Kind}
        self._held: frozenset[Kind] = frozenset()
        self._due: dict[tuple[Kind, Hashable], float] = {}  # of those that wait: when the first of their key was due

    def __len__(self) -> int:
        return sum(len(items) for items in self._waiting.values())

    def put(self, item: Item) -> None:
        """Add an item, in the place of an older one with its key."""
        items = self._waiting[item.kind]
        items[item.key] = item
        self._due.setdefault((item.kind, item.key), item.due_at)
        if len(items) > _BOUNDS.get(item.kind, len(items)):
            self._pop(items)
            metrics.MQTT_DROPPED.inc()

    def put_back(self, items: list[Item]) -> None:
        """Return items taken but not published to the front, unless newer ones have come meanwhile."""
        for item in reversed(items):
            waiting = self._waiting[item.kind]
            if item.key not in waiting:
                waiting[item.key] = item
                waiting.move_to_end(item.key, last=False)
            self._due[item.kind, item.key] = -math.inf

    def hold(self, kinds: frozenset[Kind]) -> None:
        """Let these wait until they are held no more: the newest of each key, within the bound."""
        self._held = kinds

    @property
    def next_due(self) -> float | None:
        """When the next item is due; ``None`` when none waits but what is held."""
        waiting = ((kind, items) for kind, items in self._waiting.items() if items and kind not in self._held)
        first = (self._due[kind, next(iter(items))] for kind, items in waiting)
        return min(first, default=None)

    def take(self, most: int, now: float, *, early: bool = False, own_only: bool = False) -> list[Item]:
        """Remove and return up to ``most`` items that are due, the most urgent first, leaving out what expired by ``now``.

        ``early`` takes those not yet due, and those held, too; ``own_only`` leaves what is not about this daemon itself.
        """
        taken: list[Item] = []
        for kind, items in self._waiting.items():
            if own_only and kind is not Kind.NODE:
                break
            if kind in self._held and not early:
                continue
            while items and len(taken) < most and (early or self._due[kind, next(iter(items))] <= now):
                item = self._pop(items)
                if item.expires_at is not None and item.expires_at <= now:
                    metrics.MQTT_DROPPED.inc()
                else:
                    taken.append(item)
        return taken

    def _pop(self, items: OrderedDict[Hashable, Item]) -> Item:
        key, item = items.popitem(last=False)
        del self._due[item.kind, key]
        return item
