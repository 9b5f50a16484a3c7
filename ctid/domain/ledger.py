"""How long each agent has talked today.

Law: the ledger counts bridged seconds with a customer, the union of an agent's legs (two at once count once), cut at
local midnight. It is told of each interval by leg, so that telling it twice changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from ctid.domain.types import AgentId, LegId
from ctid.domain.watched import Watched


def day_bounds(at: float, zone: ZoneInfo) -> tuple[float, float]:
    """The local day that holds ``at``: its first second and the next day's (23 to 25 hours apart, as the clocks go)."""
    date = datetime.fromtimestamp(at, zone).date()
    midnight = datetime.combine(date, time.min, zone)
    following = datetime.combine(date + timedelta(days=1), time.min, zone)
    return midnight.timestamp(), following.timestamp()


@dataclass(slots=True)
class _Account(Watched):
    facts: ClassVar = frozenset({"seconds"})

    changed: set[AgentId] = field(repr=False)
    id: AgentId
    seconds: float = 0.0  # of finished conversation today
    open_legs: set[LegId] = field(default_factory=set)
    talking_since: float = 0.0  # when the first of the open legs began
    counted_until: float = 0.0  # no second before this is counted again


class Ledger:
    """Customer talk seconds per agent of one local day."""

    def __init__(self, timezone: str, changed: set[AgentId]) -> None:
        """``timezone`` is an IANA name; raises ``ZoneInfoNotFoundError`` for any other.

        Whose finished seconds changed is noted in ``changed``.
        """
        self._zone = ZoneInfo(timezone)
        self._changed = changed
        self._accounts: dict[AgentId, _Account] = {}
        self._day = (0.0, 0.0)

    def began(self, agent: AgentId, leg: LegId, at: float) -> None:
        """The agent's ``leg`` is in conversation with a customer from ``at``."""
        self.roll(at)
        account = self._account(agent)
        if not account.open_legs:
            account.talking_since = max(at, account.counted_until)
        account.open_legs.add(leg)

    def stopped(self, agent: AgentId, leg: LegId, at: float) -> None:
        """The conversation of ``leg`` paused or ended; unknown legs are none of the ledger's business."""
        self.roll(at)
        account = self._accounts.get(agent)
        if account is None or leg not in account.open_legs:
            return
        account.open_legs.discard(leg)
        if not account.open_legs:
            account.seconds += max(0.0, at - max(account.talking_since, self._day[0]))
            account.counted_until = max(at, account.counted_until)

    def restore(self, intervals: tuple[tuple[AgentId, LegId, float, float], ...], now: float) -> None:
        """Count the finished intervals (agent, leg, start, end) that touch today; for a ledger just made."""
        self.roll(now)
        for agent, leg, start, end in sorted(intervals, key=lambda i: i[2]):
            if end > self._account(agent).counted_until:
                self.began(agent, leg, start)
                self.stopped(agent, leg, end)

    def today(self, agent: AgentId, now: float) -> float:
        """Seconds the agent has talked since local midnight, the conversation under way included."""
        self.roll(now)
        account = self._accounts.get(agent)
        if account is None:
            return 0.0
        if not account.open_legs:
            return account.seconds
        return account.seconds + max(0.0, now - max(account.talking_since, self._day[0]))

    def roll(self, at: float) -> None:
        """Begin the day that holds ``at``, unless it has begun."""
        if at < self._day[1]:  # an event from before midnight that arrives late belongs to a day already closed
            return
        self._day = day_bounds(at, self._zone)
        for account in self._accounts.values():
            account.seconds = 0.0

    def move(self, by: float, at: float) -> None:
        """The clock was set ``by`` seconds forward and shows ``at``; a day that is entered again keeps its sums."""
        for account in self._accounts.values():
            account.talking_since += by
            account.counted_until += by
        if at < self._day[0]:
            self._day = day_bounds(at, self._zone)

    def _account(self, agent: AgentId) -> _Account:
        account = self._accounts.get(agent)
        if account is None:
            account = self._accounts[agent] = _Account(changed=self._changed, id=agent)
        return account
