"""Up to when the PBX was heard and all of that handled; what tells the next run of it, and what CEL knows of the time since.

Law: here the times are those of the PBX's steady clock; what outlives this run, the mark in the state directory and the row
of the office, is as the PBX's clock shows it. A mark never runs ahead of what is written or put by.

Beside the mark stands how far that clock was ahead of the seconds since this host booted: whoever sets it while no daemon runs
makes no talk longer, either.
"""

from __future__ import annotations

import os
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Final

import structlog

from ctid import metrics
from ctid.asterisk import cel
from ctid.asterisk.client import AmiLink, Snapshot
from ctid.asterisk.clock import STEP
from ctid.asterisk.commands import Commands
from ctid.config import Settings
from ctid.daemon.inbox import Inbox
from ctid.daemon.pace import LEASE, Pace
from ctid.daemon.writer import Writer
from ctid.domain.acd import Acd
from ctid.domain.events import ClockTakenOver, Event

log = structlog.get_logger(__name__)

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
#: What the clock is ahead is written down again once it differs by more seconds than this.
_TURNED: Final = 0.1


class Seen:
    """``at`` is the PBX's clock when it was last heard and all of it was handled, ``None`` where nobody knows."""

    def __init__(
        self,
        settings: Settings,
        *,
        link: AmiLink,
        commands: Commands,
        acd: Acd,
        inbox: Inbox,
        writer: Writer,
        pace: Pace,
    ) -> None:
        self._mark = settings.state.directory / "last-seen"
        self._ahead_file = settings.state.directory / "clock"
        self._boot = _text(_BOOT_ID)
        self._ahead: float | None = None  # as the file says
        self._cel = settings.cel.file
        self._link = link
        self._commands = commands
        self._acd = acd
        self._inbox = inbox
        self._writer = writer
        self._pace = pace
        self.at: float | None = None
        self._ticked_at: float | None = None
        self._stepped = 0.0  # by how much the PBX's clock is known to have been set
        self._go_on()

    def _go_on(self) -> None:
        boot, _, ahead = (_text(self._ahead_file) or "").partition(" ")
        with suppress(ValueError):
            if boot and boot == self._boot and isfinite(known := float(ahead)):
                self._link.clock.go_on(known)

    def restore(self, written_until: float | None) -> None:
        """Go on from what the last run left: ``written_until`` as its row says, else the mark."""
        shown = written_until if written_until is not None else _mtime(self._mark)
        self.at = None if shown is None else shown - self._link.clock.stepped

    def lose(self) -> float:
        """The link is gone: when the PBX was last heard, which is when what nobody tells of any more ended.

        Where this process stood still, so that it hears late, that is when it last had handled everything.
        """
        now, ticked_at, self._ticked_at = self._link.pbx_now(), self._ticked_at, None
        if ticked_at is not None and now - ticked_at <= LEASE:
            return self._link.heard_at or now
        return self.at or now

    def written_until(self) -> float | None:
        """Up to when the books are whole, by what the PBX's clock shows; ``None`` before anything was handled."""
        return None if self.at is None else self._writer.all_written_at(self.at) + self._link.clock.stepped

    async def gap(self, snapshot: Snapshot) -> list[Event] | None:
        """What CEL says happened since, up to this state of the PBX; ``None`` where it is not known or not to be read.

        A clock set meanwhile leaves rows of before and after in the file, and nothing to tell them by.
        """
        file, since = self._cel, self.at
        if file is None or since is None:
            return None
        if abs(self._link.clock.stepped - self._stepped) > STEP:
            log.warning("cel.not_read", file=str(file), error="the PBX's clock was set meanwhile")
            return None
        try:
            return await cel.happened(
                file,
                scene=self._scene(),
                since=since - cel.SLACK,
                until=snapshot.at,
                there=snapshot.uniqueids,
                now=self._link.pbx_now,
                stepped=self._link.clock.stepped,
            )
        except OSError as error:
            log.warning("cel.not_read", file=str(file), error=error.strerror)
            return None

    def tick(self, ticked_at: float) -> None:
        """All that came before ``ticked_at`` was handled, and the link is up: leave the mark, mind the clock."""
        self._leave_mark(self._link.pbx_now(), ticked_at)
        self._mind_clock()

    def _scene(self) -> float:
        """Since when CEL is to be read for the calls that were under way when the PBX was last heard."""
        seen = self.at or 0.0
        began = [call.started_at for call in self._acd.world.calls.values() if call.live]
        return max(min([seen, *began]) - 2 * cel.SLACK, seen - cel.LONGEST_CALL)

    def _mind_clock(self) -> None:
        """Somebody set the PBX's clock: no call is made longer by that, and it counts as soon as none is under way."""
        clock = self._link.clock
        if abs(clock.stepped - self._stepped) > STEP:
            by, self._stepped = clock.stepped - self._stepped, clock.stepped
            log.warning(
                "clock.set", seconds=round(by, 1), mend="see why; what is under way is measured as if it had not been"
            )
            if by < 0:  # Asterisk waits for a caller's next key until a moment by the clock, which is further off now
                for channel in self._acd.held():
                    self._commands.wake(channel)
        if clock.stepped and self._inbox.empty and self._acd.quiet:
            by, self._stepped = clock.adopt(), 0.0
            log.info("clock.taken_over", seconds=round(by, 1))
            self._ticked_at = None
            self.at = None if self.at is None else self.at + by
            self._inbox.put(ClockTakenOver(at=clock.now(), by=by))

    def _leave_mark(self, now: float, ticked_at: float) -> None:
        if self._ticked_at is not None and now - self._ticked_at > LEASE:
            metrics.LEASE_MISSED.inc()
            log.warning("lease.missed", seconds=round(now - self._ticked_at, 1))
        self._ticked_at = now
        heard = self._link.heard_at
        if heard is None:
            return
        # What was handled in this second happened so much earlier: what came since waits unread, and is lost with the link.
        heard = self.at = min(heard, ticked_at) - self._pace.behind
        # The next start reads from CEL what came after the mark: what is neither written nor put by must come after it.
        mark = self._writer.all_kept_at(heard) + self._link.clock.stepped
        try:
            self._mark.touch()
            os.utime(self._mark, (mark, mark))
            ahead = self._link.clock.ahead
            if ahead is not None and self._boot and (self._ahead is None or abs(ahead - self._ahead) > _TURNED):
                self._ahead_file.write_text(f"{self._boot} {ahead:.3f}\n")
                self._ahead = ahead
        except OSError as error:
            log.warning("state.not_marked", file=str(self._mark), error=error.strerror)


def _text(file: Path) -> str | None:
    try:
        return file.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _mtime(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None
