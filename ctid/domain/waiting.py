"""Callers who wait, in the order in which they are served.

Law: the order is that of ``waiting_order``, and nobody is sorted to find it. Callers of one line, level and severity stand
in one row by arrival and age alike, so that only the heads of the rows are compared. It is kept by what is ``watched``, as
the seating is.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from typing import Generic, Protocol, TypeVar

from ctid.domain.call import Call
from ctid.domain.types import AgentId, CallerFile, CallId, Line

#: Level with the line's priority, severity, arrival: the smallest is served first.
Order = tuple[float, float, float]
#: What a prioritised caller's level is raised by: more than levels, lines and waiting can make up for.
PRIORITISED = 10_000


def waiting_order(
    *, level: int, severity: int, priority: int, arrived_at: float, now: float, ageing_seconds: float
) -> Order:
    """Sort key of a waiting caller, the first to be served the smallest.

    Customer level and the line's priority together, then severity of the open ticket, then arrival. Each ``ageing_seconds`` of
    waiting raise level and severity by one, so that nobody starves.
    """
    aged = max(0.0, now - arrived_at) // ageing_seconds
    return -(level + priority + aged), -(severity + aged), arrived_at


@dataclass(slots=True, kw_only=True)
class Row:
    """Waiting callers of one line, level and severity, by arrival."""

    line: Line
    level: int
    severity: int
    prioritised: bool = False
    callers: list[tuple[float, CallId]] = field(default_factory=list)

    def order(self, arrived_at: float, now: float, ageing_seconds: float) -> Order:
        return waiting_order(
            level=self.level,
            severity=self.severity,
            priority=self.line.priority + (PRIORITISED if self.prioritised else 0),
            arrived_at=arrived_at,
            now=now,
            ageing_seconds=ageing_seconds,
        )


class Waits(Protocol):
    """Who waits without being held: a caller who had their place kept."""

    @property
    def id(self) -> CallId: ...
    @property
    def line(self) -> Line: ...
    @property
    def file(self) -> CallerFile: ...
    @property
    def arrived_at(self) -> float: ...


Waiter = TypeVar("Waiter", bound=Waits)
Of_co = TypeVar("Of_co", bound=Call | Waits, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head(Generic[Of_co]):
    """Whose turn it may be: the foremost of a row who has not had theirs, or somebody by themselves."""

    order: Order
    of: Of_co
    row: Row | None = None
    position: int = 0

    def __lt__(self, other: _Head[Call | Waits]) -> bool:
        return (self.order, self.of.id) < (other.order, other.of.id)


class WaitingRoom:
    """Every caller of ``calls`` who is ready to be offered; ``changed`` is where calls note what to look at."""

    def __init__(self, calls: Mapping[CallId, Call], changed: set[CallId]) -> None:
        self._calls, self._changed = calls, changed
        self._rows: dict[tuple[str, int, int, bool], Row] = {}
        self._places: dict[CallId, tuple[Row, tuple[float, CallId], AgentId | None]] = {}
        self._owned: dict[AgentId, set[CallId]] = {}

    def refresh(self) -> None:
        """Look again at the calls whose facts changed."""
        for call_id in self._changed:
            if (place := self._places.pop(call_id, None)) is not None:
                self._leave(*place)
            call = self._calls.get(call_id)
            if call is not None and call.waiting:
                self._enter(call)
        self._changed.clear()

    def __len__(self) -> int:
        return len(self._places)

    def in_order(
        self,
        at: float,
        ageing_seconds: float,
        *,
        served: Callable[[Line, int], bool],
        idle: Collection[AgentId],
        also: Iterable[Waiter],
    ) -> Iterator[Call | Waiter]:
        """The callers whom someone may be free for, the first to be served first, some of them twice; ``also`` among them.

        Those whose line has an idle agent for their level, as ``served`` says when it is their turn, and those whose
        own ticket's owner is ``idle``, who may serve lines not their own. A caller who is offered on the way leaves the
        room when it is next refreshed.
        """
        heads: list[_Head[Call | Waiter]] = [
            self._head(row, 0, at, ageing_seconds) for row in self._rows.values() if served(row.line, row.level)
        ]
        for owner in [owner for owner in min(self._owned, idle, key=len) if owner in self._owned and owner in idle]:
            for call_id in self._owned[owner]:
                row, (arrived_at, _), _ = self._places[call_id]
                order = row.order(arrived_at, at, ageing_seconds)
                heads.append(_Head(order=order, of=self._calls[call_id]))
        for waiter in also:
            row = Row(line=waiter.line, level=waiter.file.level, severity=waiter.file.severity)
            heads.append(_Head(order=row.order(waiter.arrived_at, at, ageing_seconds), of=waiter))
        heapify(heads)
        while heads:
            head = heads[0]
            assert head.of.line is not None
            may_be = served(head.of.line, head.of.file.level)
            if may_be and head.row is not None and head.position + 1 < len(head.row.callers):
                following: _Head[Call | Waiter] = self._head(head.row, head.position + 1, at, ageing_seconds)
                heapreplace(heads, following)
            else:
                heappop(heads)
            if (may_be or head.of.file.owner in idle) and (not isinstance(head.of, Call) or head.of.waiting):
                yield head.of

    def ahead_of(
        self, call: Call, at: float, ageing_seconds: float, *, also: Iterable[Waits]
    ) -> Iterator[tuple[Line, int]]:
        """How many stand before this caller, who is in the room, line by line, some lines twice; ``also`` among them."""
        mine, (arrived_at, _), _ = self._places[call.id]
        order = mine.order(arrived_at, at, ageing_seconds)

        def stands_where(row: Row) -> Callable[[tuple[float, CallId]], Order]:
            return lambda caller: row.order(caller[0], at, ageing_seconds)

        for row in self._rows.values():
            yield row.line, bisect_left(row.callers, order, key=stands_where(row))
        for waiter in also:
            row = Row(line=waiter.line, level=waiter.file.level, severity=waiter.file.severity)
            yield row.line, int(row.order(waiter.arrived_at, at, ageing_seconds) < order)

    def _head(self, row: Row, position: int, at: float, ageing_seconds: float) -> _Head[Call]:
        arrived_at, call_id = row.callers[position]
        order = row.order(arrived_at, at, ageing_seconds)
        return _Head(order=order, of=self._calls[call_id], row=row, position=position)

    def _enter(self, call: Call) -> None:
        assert call.line is not None
        assert call.place_since is not None
        key = call.line.name, call.file.level, call.file.severity, call.prioritised
        row = self._rows.get(key)
        if row is None:
            _, level, severity, prioritised = key
            row = Row(line=call.line, level=level, severity=severity, prioritised=prioritised)
            self._rows[key] = row
        entry, owner = (call.place_since, call.id), call.file.owner
        insort(row.callers, entry)
        if owner is not None:
            self._owned.setdefault(owner, set()).add(call.id)
        self._places[call.id] = row, entry, owner

    def _leave(self, row: Row, entry: tuple[float, CallId], owner: AgentId | None) -> None:
        del row.callers[bisect_left(row.callers, entry)]
        if not row.callers:
            del self._rows[row.line.name, row.level, row.severity, row.prioritised]
        if owner is not None:
            self._owned[owner].discard(entry[1])
            if not self._owned[owner]:
                del self._owned[owner]
