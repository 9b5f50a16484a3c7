"""How often each caller rang in vain today.

Law: a caller is a contact, or a number where no contact is known; anonymous callers are nobody. A day is the site's, and the
next begins with nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from ctid.domain.call import Call
from ctid.domain.ledger import day_bounds


@dataclass(slots=True)
class InVain:
    zone: ZoneInfo
    _until: float = 0.0
    _times: Counter[str] = field(default_factory=Counter)

    def restore(self, times: Iterable[tuple[str, int]], at: float) -> None:
        """Start from the books of the day that holds ``at``."""
        self._turn(at)
        self._times.update(dict(times))

    def count(self, call: Call, at: float) -> None:
        """This call's caller rang in vain."""
        self._turn(at)
        if (caller := _caller(call)) is not None:
            self._times[caller] += 1

    def times(self, call: Call, at: float) -> int:
        """How often the caller of this call rang in vain before, today."""
        self._turn(at)
        caller = _caller(call)
        return self._times[caller] if caller is not None else 0

    def _turn(self, at: float) -> None:
        if at >= self._until:
            _, self._until = day_bounds(at, self.zone)
            self._times.clear()


def _caller(call: Call) -> str | None:
    return call.contact_id or call.caller
