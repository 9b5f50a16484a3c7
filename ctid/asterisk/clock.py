"""The PBX's clock, made steady.

Law: seconds are counted by the monotonic clock, so that whoever sets a clock, here or there, makes no talk longer and throws no
caller out. A clock that was set is noticed by the first event that shows it and told apart from events that come late; what
the PBX says is then read as if nobody had touched it, until ``adopt`` takes its clock over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

#: A difference of more seconds than this is a clock that was set: NTP turns the hands by less, and more slowly.
STEP: Final = 1.5
#: A ping that takes longer was answered while earlier events waited to be read: its half way says nothing of the clock.
_TELLING: Final = 0.5
#: But past so many seconds without one that tells, any is taken.
_LONGEST: Final = 60.0


def since_boot() -> float:
    """Seconds that nobody can set, those in which this machine was suspended included: the PBX's clock went on meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class PbxClock:
    """Unix seconds by the PBX's clock. ``monotonic`` measures seconds, ``wall`` stands in before the PBX was ever asked.

    ``stepped`` is how many seconds its clock was set forward, less those back, since what counts here was last its own;
    ``noticed_at`` when that was last noticed, by ``monotonic``.
    """

    def __init__(self, *, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._ahead: float | None = None  # steady time less monotonic time
        self._told_at: float | None = None  # when a ping last told, monotonic
        self._newest = 0.0  # no event so far was sent later, in steady time
        self.stepped = 0.0
        self.noticed_at: float | None = None

    def now(self) -> float:
        """The steady time: as the PBX's clock would show it, had nobody set it since the last ``adopt``."""
        return self._wall() if self._ahead is None else self._monotonic() + self._ahead

    def shown(self) -> float:
        """What the PBX's clock shows: its EPOCH, which the dialplan compares with."""
        return self.now() + self.stepped

    def steady(self, stamp: float) -> float:
        """The steady time of an event with this ``Timestamp``.

        Events are sent in order: one from the future, or from well before another that came already, shows a clock that was
        set. One that is merely late was sent after its forerunners.
        """
        at = stamp - self.stepped
        if self._ahead is None:
            return at
        now = self.now()
        if at > now + STEP or at < self._newest - STEP:
            self._notice(at - now)
            at = now
        else:
            self._newest = max(self._newest, at)
        return at

    @property
    def ahead(self) -> float | None:
        """Seconds by which the PBX's clock is ahead of ``monotonic``, as it stands; ``None`` before the PBX was asked."""
        return None if self._ahead is None else self._ahead + self.stepped

    def go_on(self, ahead: float) -> None:
        """Before the PBX is asked: count by the clock it had, so far ahead, when another run last knew. It may be set since."""
        self._ahead = ahead

    def answered(self, stamp: float, asked: float, heard: float) -> None:
        """A ping asked and answered at these monotonic times bore this ``Timestamp``: half the way is the error."""
        if self._told_at is not None and heard - asked > _TELLING and heard - self._told_at < _LONGEST:
            return
        self._told_at = heard
        ahead = stamp - (asked + heard) / 2
        if self._ahead is None:
            self._ahead = ahead
            return
        turned = ahead - self._ahead - self.stepped
        if abs(turned) <= STEP + (heard - asked) / 2:
            self._ahead += turned
        else:
            self._notice(turned)

    def adopt(self) -> float:
        """Go by the PBX's clock as it stands from now on; by how many seconds that moved the steady time forward."""
        return self._move(self.stepped)

    def align(self, stepped: float) -> float:
        """Count as another daemon does, by whose steady time the PBX's clock is ``stepped`` seconds ahead.

        By how many seconds that moved the steady time forward; 0 where both count alike, or the PBX was not asked yet.
        """
        jump = self.stepped - stepped
        return 0.0 if self._ahead is None or abs(jump) <= STEP else self._move(jump)

    def _notice(self, by: float) -> None:
        self.stepped += by
        self._newest, self.noticed_at = self.now(), self._monotonic()

    def _move(self, jump: float) -> float:
        self.stepped -= jump
        if self._ahead is not None:
            self._ahead += jump
        self._newest += jump
        return jump
