"""How many commands one sender may send.

Law: pure, and bounded by what one second brings: a flood costs a look at where it comes from, and
two answers and lines of log a second.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import Final

#: Commands taken from one source within one second; a person does not come near it.
MOST_A_SECOND: Final = 20
#: No desktop gone wrong, but a flood: mosquitto holds a thousand for a reader and drops the next of whomever.
FLOOD_A_SECOND: Final = 200


class Verdict(Enum):
    TAKE = "take"
    REFUSE = "refuse"  # the first too many within the second: to be answered
    DROP = "drop"
    UNHEAR = "unhear"  # the sender floods: nothing of theirs is to come this far


class Flood:
    def __init__(self) -> None:
        self._second = 0.0
        self._came: Counter[str] = Counter()

    def judge(self, source: str, now: float) -> Verdict:
        """What is to be done with one more command of ``source`` at ``now``, seconds by any clock that only goes on."""
        if now - self._second >= 1.0:
            self._second = now
            self._came.clear()
        self._came[source] += 1
        came = self._came[source]
        if came >= FLOOD_A_SECOND:
            return Verdict.UNHEAR
        over = came - MOST_A_SECOND
        return Verdict.TAKE if over <= 0 else Verdict.REFUSE if over == 1 else Verdict.DROP
