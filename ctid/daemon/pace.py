"""Whether ctid keeps pace with its PBX, and what it leaves undone while it doesn't: the policy of overload.

Law: pure; told at each tick how far behind what is handled lies, it says what to leave undone. Only what somebody can
do without, and what comes right by itself afterwards, is ever left undone; decisions, the books, recordings and agents'
screens never are. The last step is the lease: it is given up when callers would be served too late, and taken back only
when ctid has caught up for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ctid.domain.types import Shed

#: Seconds behind from which each step is taken.
STEPS = (
    (0.5, (Shed.ROSTER, Shed.GAUGES, Shed.PAGES)),
    (1.0, (Shed.CALLS, Shed.ANNOUNCEMENTS)),
)
#: The dialplan's CTID_LEASE: a heartbeat older than this lets the fallback take the callers.
LEASE = 3.0
#: Behind by no more than this is keeping pace.
CALM = 0.25
#: So long it must have kept pace, in seconds, before anything is taken up again; and the lease, before the rest.
CALM_FOR, LEASE_CALM_FOR = 10.0, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """More is left undone than before, or less: ``what`` it is now.

    ``behind`` is in seconds, ``since`` the Unix time of the first step.
    """

    what: tuple[Shed, ...]
    more: bool
    behind: float
    since: float


class Pace:
    """``on_change`` is told of each change, as it happens."""

    def __init__(self, on_change: Callable[[Change], None]) -> None:
        self.behind = 0.0
        self._on_change = on_change
        self._what: tuple[Shed, ...] = ()
        self._before = 0.0
        self._began: float | None = None
        self._calm_since: float | None = None

    @property
    def what(self) -> tuple[Shed, ...]:
        """What is left undone now, in the order in which it was given up."""
        return self._what

    def sheds(self, what: Shed) -> bool:
        """Whether this is left undone now."""
        return what in self._what

    def note(self, behind: float, at: float) -> None:
        """What is handled now happened ``behind`` seconds ago; told about once a second, ``at`` Unix time."""
        # Twice running, for a step: one late second may be a disk's. Not for the lease: it is a fact, not a judgement.
        steady, self._before, self.behind = min(behind, self._before), behind, behind
        if behind > CALM:
            self._calm_since = None
        elif self._calm_since is None or self._calm_since > at:  # a clock set back begins anew
            self._calm_since = at
        calm = at - self._calm_since if self._calm_since is not None else 0.0
        wanted = [what for least, step in STEPS if steady >= least for what in step]
        if behind > LEASE:
            wanted = [what for _, step in STEPS for what in step] + [Shed.LEASE]
        kept = self._what if calm < CALM_FOR else ()
        if Shed.LEASE in kept and calm >= LEASE_CALM_FOR:
            kept = tuple(what for what in kept if what is not Shed.LEASE)
        self._settle(tuple(what for what in Shed if what in kept or what in wanted), behind, at)

    def _settle(self, what: tuple[Shed, ...], behind: float, at: float) -> None:
        before, self._what = self._what, what
        if what == before:
            return
        since = self._began = at if self._began is None else self._began
        if not what:
            self._began = None
        self._on_change(Change(what=what, more=len(what) > len(before), behind=behind, since=since))
