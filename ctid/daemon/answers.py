"""Answers the core's questions: who calls, is this the PIN, what is in this file. Tells the audit whom wrong PINs stopped.

Law: each question runs as a task of its own and ends as one event, failure included; look-ups are bounded in number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace

import structlog

from ctid import metrics
from ctid.asterisk.recordings import TOLERANCE, measure
from ctid.asterisk.sealing import keys_of, seal
from ctid.config import Recordings
from ctid.daemon.inbox import Inbox
from ctid.db.agents import Agents
from ctid.db.audits import Actor, Audits
from ctid.db.callers import Callers
from ctid.db.session import DatabaseFault, Engine, faults
from ctid.domain.actions import CheckPin, LookUpCaller, MeasureRecording, NotePinsStopped
from ctid.domain.events import CallerIdentified, CallerLookupFailed, PinChecked, RecordingMeasured
from ctid.domain.types import RecordingRecord, RecordingState

log = structlog.get_logger(__name__)

#: Look-ups under way at once, and those that wait for them: an outage's calls come all at once from CEL.
_MOST, _MOST_LATER = 500, 50_000
#: How long an answer is waited for, in seconds: who calls has long been routed without.
_PATIENCE = 10.0
#: Files read at once: reading is disk work, and calls must not wait for it.
_READERS = 2


class Answers:
    """``now`` gives the PBX's clock in Unix seconds; ``tasks`` takes each question's task.

    ``dial_back`` says how a number is called back, ``None`` of one that must not be; ``on_unread`` is called when a recording
    was not there or could not be read.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        callers: Callers,
        recordings: Recordings,
        inbox: Inbox,
        now: Callable[[], float],
        dial_back: Callable[[str | None], str | None],
        on_unread: Callable[[], None],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._engine = engine
        self._callers = callers
        self._agents = Agents(engine)
        self._audits = Audits(engine)
        self._root = recordings.root
        self._keys = keys_of(recordings.keys)
        self._encrypt = recordings.encrypt
        self._inbox = inbox
        self._now = now
        self._dial_back = dial_back
        self._on_unread = on_unread
        self._tasks = tasks
        self._readers = asyncio.Semaphore(_READERS)
        self._lookups = 0
        self._later: list[LookUpCaller] = []

    def look_up(self, action: LookUpCaller) -> None:
        if self._lookups < _MOST:
            self._lookups += 1
            self._start("lookup", action.call_id, self._look_up(action))
        elif len(self._later) < _MOST_LATER:
            self._later.append(action)
        else:
            self._inbox.put(CallerLookupFailed(at=self._now(), call_id=action.call_id))

    def check_pin(self, action: CheckPin) -> None:
        self._start("pin", action.request.agent, self._check_pin(action))

    def note_pins_stopped(self, action: NotePinsStopped) -> None:
        log.warning("agent.pins_stopped", whom=action.whom, phone=action.phone, agent=action.agent)
        self._start("pins stopped", action.whom, self._note_pins_stopped(action))

    def measure(self, action: MeasureRecording) -> None:
        self._start("measure", action.call_id, self._measure(action))

    def _start(self, what: str, who: str, question: Coroutine[None, None, None]) -> None:
        self._tasks.create_task(question, name=f"{what} {who}")

    async def _look_up(self, action: LookUpCaller) -> None:
        try:
            async with faults(self._engine, patience=_PATIENCE):
                file = await self._callers.identify(action.number, contact_id=action.contact_id)
        except DatabaseFault as fault:
            log.warning("caller.lookup_failed", call=action.call_id, error=str(fault))
            self._inbox.put(CallerLookupFailed(at=self._now(), call_id=action.call_id))
        else:
            file = replace(file, dial_back=self._dial_back(file.number))
            self._inbox.put(CallerIdentified(at=self._now(), call_id=action.call_id, file=file))
        finally:
            self._lookups -= 1
            if self._later:  # the newest first: who calls now can't wait, and the core gives them half a second
                self.look_up(self._later.pop())

    async def _check_pin(self, action: CheckPin) -> None:
        try:
            async with faults(self._engine, patience=_PATIENCE):
                ok: bool | None = await self._agents.check_pin(action.request.agent, action.pin)
        except DatabaseFault as fault:
            log.warning("agent.pin_not_checked", agent=action.request.agent, error=str(fault))
            ok = None
        self._inbox.put(PinChecked(at=self._now(), request=action.request, ok=ok))

    async def _note_pins_stopped(self, action: NotePinsStopped) -> None:
        by = Actor(at=action.at, user_name=action.agent, address=action.phone)
        try:
            async with faults(self._engine, patience=_PATIENCE):
                await self._audits.add("pins_stopped", action.whom, by)
        except DatabaseFault as fault:  # it has just checked the PIN; the log has it all the same
            log.warning("agent.pins_stopped_not_kept", whom=action.whom, error=str(fault))

    async def _measure(self, action: MeasureRecording) -> None:
        async with self._readers:
            recording = await measure(
                self._root,
                action.path,
                recording_id=action.recording_id,
                expected_seconds=action.expected_seconds,
                keys=self._keys,
            )
        metrics.RECORDINGS.labels(state=_counted_as(recording, action.expected_seconds)).inc()
        if recording.sha256 is None:
            self._on_unread()
        self._inbox.put(RecordingMeasured(at=self._now(), call_id=action.call_id, recording=recording))
        # Only what is surely written to its end: the rest is sealed at night.
        if self._encrypt and recording.state is RecordingState.COMPLETE:
            async with self._readers:
                await self._seal(recording)

    async def _seal(self, recording: RecordingRecord) -> None:
        try:
            await asyncio.to_thread(seal, self._root / recording.path, self._keys)
        except OSError as error:
            log.warning("recording.not_sealed", recording=recording.id, error=error.strerror, mend="ctid doctor")


def _counted_as(recording: RecordingRecord, expected_seconds: float) -> str:
    """Its state; ``empty`` where nothing can have been lost, so that who hangs up as they are answered raises no alarm."""
    nothing_lost = recording.state is RecordingState.DAMAGED and not recording.seconds and expected_seconds <= TOLERANCE
    return "empty" if nothing_lost else recording.state.value
