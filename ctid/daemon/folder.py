"""The recordings folder: whether it is there, how full it is, and what is found in it that was missing.

Law: a disk that is away costs calls nothing: it is asked in a thread, one question at a time, and a recording nobody could
read is looked for again: seconds later, when the folder is back, at the start and each hour. What was found stays found.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import nan

import structlog

from ctid import metrics
from ctid.asterisk.recordings import away, disk_free, exposed, folder_fault, measure, readable
from ctid.asterisk.sealing import keys_of
from ctid.config import Recordings, Settings
from ctid.daemon.inbox import Inbox
from ctid.db.calls import Calls
from ctid.db.session import DatabaseFault, Engine, faults
from ctid.domain.events import RecordingMeasured
from ctid.domain.spans import recorded_seconds
from ctid.domain.types import CallId, RecordingRecord, RecordingState

log = structlog.get_logger(__name__)

#: Seconds between two looks at the folder, and so long it may take to answer one.
_LOOK_EVERY, _PATIENCE = 5.0, 10.0
_RECHECK_EVERY, _SOON = 3600.0, 10.0
#: Of how many seconds the calls are whose recordings are looked for again, and how many at once: those found make room.
LOOKED_FOR_SECONDS, AT_ONCE = 30 * 86_400.0, 1000
_UNREAD = (RecordingState.MISSING, RecordingState.DAMAGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rechecked:
    """How many recordings nobody could read were read now, and how many of those looked for still cannot be."""

    found: int
    left: int


async def recheck(
    engine: Engine, pbx: str, recordings: Recordings, told: Callable[[CallId, RecordingRecord], None] | None = None
) -> Rechecked:
    """Look again for the recordings of this PBX that were missing or could not be opened, and have the books say what is there.

    ``told`` is told of each that was found. Raises ``DatabaseFault``.
    """
    calls, keys, root = Calls(engine), keys_of(recordings.keys), recordings.root
    found = 0
    while True:
        async with faults(engine):
            unread = await calls.unread(pbx, time.time() - LOOKED_FOR_SECONDS, limit=AT_ONCE)
        looked_for = [
            (call, one) for call in unread for one in call.recordings if one.state in _UNREAD and one.sha256 is None
        ]
        before = found
        for call, one in looked_for:
            if not await asyncio.to_thread(readable, root, one.path, keys):
                continue
            recording = await measure(
                root,
                one.path,
                recording_id=one.id,
                expected_seconds=recorded_seconds(call),
                patience=0.0,
                keys=keys,
            )
            if recording.sha256 is None:  # it went away again
                continue
            async with faults(engine):
                await calls.found(pbx, recording)
            found += 1
            if told is not None:
                told(call.id, recording)
        if found == before or len(unread) < AT_ONCE:
            return Rechecked(found=found, left=len(looked_for) - (found - before))


class Folder:
    """``acts`` says whether this daemon is the one that acts; ``now`` gives the PBX's clock in Unix seconds."""

    def __init__(
        self, settings: Settings, database: Engine, inbox: Inbox, *, acts: Callable[[], bool], now: Callable[[], float]
    ) -> None:
        self._recordings = settings.recordings
        self._pbx = settings.ami.pbx
        self._database = database
        self._inbox = inbox
        self._acts = acts
        self._now = now
        self._used = False
        self._fault: str | None = None
        self._due_at = 0.0

    async def run(self) -> None:
        """Look at the folder for ever, and look again for what was not found in it."""
        root = self._recordings.root
        if (open_to_all := await asyncio.to_thread(exposed, root)) is not None:
            log.warning("recordings.exposed", path=str(open_to_all), mend="everybody here may read it; ctid doctor")
        while True:
            await self._look()
            if self._fault is None and self._acts() and time.monotonic() >= self._due_at:
                await self._recheck()
            await asyncio.sleep(_LOOK_EVERY)

    def look_again_soon(self) -> None:
        """A recording could not be read just now: perhaps the folder is away so shortly that nobody sees it."""
        self._due_at = min(self._due_at, time.monotonic() + _SOON)

    async def _look(self) -> None:
        looking = asyncio.ensure_future(asyncio.to_thread(self._seen))
        done, _ = await asyncio.wait({looking}, timeout=_PATIENCE)
        if not done:
            self._note(f"{self._recordings.root} does not answer: look at its disk, or at the server it lies on")
            metrics.RECORDINGS_FREE.set(nan)
        fault, free = await looking
        metrics.RECORDINGS_FREE.set(free)
        self._note(fault)

    def _seen(self) -> tuple[str | None, float]:
        """What is wrong with the folder, and how much room it has, ``nan`` where ctid does not see it."""
        root = self._recordings.root
        fault = folder_fault(root, used=self._used)
        with suppress(OSError):
            self._used = self._used or not away(root)
        try:
            return fault, disk_free(root)
        except OSError:
            return fault, nan

    def _note(self, fault: str | None) -> None:
        before, self._fault = self._fault, fault
        metrics.RECORDINGS_FOLDER.set(fault is None)
        if fault is not None and fault != before:
            log.warning("recordings.away", mend=fault, meanwhile="calls go on; what is missing is looked for again")
        elif fault is None and before is not None:
            self._due_at = 0.0
            log.info("recordings.back", root=str(self._recordings.root))

    async def _recheck(self) -> None:
        self._due_at = time.monotonic() + _RECHECK_EVERY
        try:
            done = await recheck(self._database, self._pbx, self._recordings, self._tell)
            async with faults(self._database):
                self._used = self._used or await Calls(self._database).has_recordings(self._pbx)
        except DatabaseFault as fault:
            self._due_at = 0.0
            log.warning("recordings.not_looked_for", error=str(fault))
            return
        if done.found:
            log.info("recordings.found", found=done.found, left=done.left)

    def _tell(self, call_id: CallId, recording: RecordingRecord) -> None:
        metrics.RECORDINGS_FOUND.inc()
        self._inbox.put(RecordingMeasured(at=self._now(), call_id=call_id, recording=recording))
