"""What happened: the only input of the core.

Law: past tense, typed, complete; each carries the time it happened (``at``, Unix seconds by the PBX's clock where the PBX
reported it). Made by the tracker (``asterisk/``), the doors and the shell; consumed one at a time by ``Acd.handle``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ctid.domain.announcing import Wait
from ctid.domain.said import Said
from ctid.domain.types import (
    Agent,
    AgentId,
    AgentStatus,
    CallbackRecord,
    CallerFile,
    CallId,
    CallRecord,
    Certainty,
    Consent,
    Direction,
    Endpoint,
    Gap,
    LegId,
    LegResult,
    RecordingRecord,
    Ticket,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """``certainty`` is exact for what was seen as it happened, backfilled for what was read afterwards.

    ``remembered`` is what was seen as it happened, but is told afterwards: exact, and yet past.
    """

    at: float
    certainty: Certainty = Certainty.EXACT
    remembered: bool = False

    @property
    def witnessed(self) -> bool:
        """Whether it proves that what it speaks of is there now, not only that it was."""
        return self.certainty is Certainty.EXACT and not self.remembered


# -- the life of a call, from the tracker ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(Event):
    """The first channel of a new call appeared (``Newchannel``). ``endpoint`` is the calling phone or trunk."""

    call_id: CallId
    caller: str | None
    caller_name: str | None = None
    dialled: str | None = None
    endpoint: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEntered(Event):
    """The call came in by ctid's own dialplan (``UserEvent CtidStart``): its direction is certain, it is to be recorded.

    ``recording`` is the file's path below the recordings root; ``leg_id`` the channel that is recorded.
    """

    call_id: CallId
    direction: Direction
    dialled: str | None
    leg_id: LegId
    recording: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerHeld(Event):
    """The dialplan holds the caller and asks for a route (``UserEvent CtidWait``).

    ``channel`` is the held channel's name and ``seq`` the fencing number a route must quote. ``why`` is the ``DIALSTATUS``
    of the try before, REJECTED where its cause says so, ``None`` on the first. ``waited`` is how many seconds ago the caller
    came, by the dialplan's clock.
    """

    call_id: CallId
    channel: str
    seq: int
    dialled: str | None
    why: str | None = None
    waited: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentTold(Event):
    """The caller was told that the call is recorded, or asked whether it may be (``UserEvent CtidConsent``)."""

    call_id: CallId
    consent: Consent


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLeftToFailsafe(Event):
    """The dialplan gave the caller to the fallback queue (``UserEvent CtidFailsafe``)."""

    call_id: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOverflowed(Event):
    """The dialplan carried out an overflow (``UserEvent CtidOverflow``)."""

    call_id: CallId
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackAsked(Event):
    """The held caller pressed 1 after a callback had been offered (``UserEvent CtidCallback``)."""

    call_id: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNotMade(Event):
    """The PBX made no channel of a call it was asked for (``OriginateResponse``), or was not asked at all.

    ``result`` is what that says of the phone, ``None`` where it says nothing.
    """

    call_id: CallId
    result: LegResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegOffered(Event):
    """A party's channel joined the call: a phone was dialled, or an agent's own phone started the call."""

    call_id: CallId
    leg_id: LegId
    endpoint: Endpoint
    party: str
    originator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRang(Event):
    call_id: CallId
    leg_id: LegId


@dataclass(frozen=True, slots=True, kw_only=True)
class LegAnswered(Event):
    call_id: CallId
    leg_id: LegId


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkStarted(Event):
    """The leg's channel is bridged with other parties. ``peers`` are their endpoints, the caller's own included.

    Without peers it has talked before and now has a third party called: a consultation begins with its ringing.
    """

    call_id: CallId
    leg_id: LegId
    peers: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkStopped(Event):
    call_id: CallId
    leg_id: LegId


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicesChanged(Event):
    """The recorded channel hears someone it did not hear before, or someone anew after music; ``channel`` is its name."""

    call_id: CallId
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LegHeld(Event):
    """The party pressed hold (``Hold``): the leg stays bridged, the other side hears music."""

    call_id: CallId
    leg_id: LegId


@dataclass(frozen=True, slots=True, kw_only=True)
class LegUnheld(Event):
    call_id: CallId
    leg_id: LegId


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEnded(Event):
    """The party's channel is gone, or its dial came to nothing; ``result`` is ``None`` for a leg that had been answered."""

    call_id: CallId
    leg_id: LegId
    result: LegResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsMerged(Event):
    """Two calls turned out to be one visit: a consultation ended in the customer's call."""

    call_id: CallId
    into: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Event):
    """The last channel of the call is gone."""

    call_id: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingClosed(Event):
    """The hangup handler stopped the recording (``UserEvent CtidEnd``); ``size`` in bytes, 0 for no file.

    ``bridged_seconds`` is how long the recorded channel was in a bridge, ``None`` when not all of it was seen.
    """

    call_id: CallId
    path: str
    size: int
    bridged_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingMeasured(Event):
    """The file was read: its length, digest and what state it is in by itself (complete, damaged or missing)."""

    call_id: CallId
    recording: RecordingRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseKeyed(Event):
    """An agent pressed the key that pauses the recording, or has it go on (``UserEvent CtidPause``)."""

    call_id: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRenewed(Event):
    """The recording listens anew in the middle of a pause, and hears everything (``UserEvent CtidRenewed``)."""

    call_id: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseFound(Event):
    """Of a recording whether the PBX has it paused, after a time in which nobody looked; ``gap`` is ``None`` where not."""

    call_id: CallId
    gap: Gap | None


# -- phones and the link -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneUsed(Event):
    """How many live channels the endpoint has now, whoever made them."""

    endpoint: Endpoint
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneReached(Event):
    """The PBX can (or cannot) reach the phone; ``None`` when it does not know."""

    endpoint: Endpoint
    reachable: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOpened(Event):
    """The PBX's state was read and turned into events; routing may begin.

    ``gap_told`` is whether what happened since it was last seen was read from CEL; ``told_at`` when all of it was told, which a
    slow link or a long outage puts seconds after ``at``, ``None`` where it was at once.
    """

    gap_told: bool = False
    told_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLost(Event):
    pass


# -- answers to the core's questions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerIdentified(Event):
    call_id: CallId
    file: CallerFile


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerLookupFailed(Event):
    """The database did not say who is calling, or not in time."""

    call_id: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketLinked(Event):
    """The answered call has its ticket: the contact's newest open one, or one that was opened for it."""

    call_id: CallId
    agent: AgentId
    ticket: Ticket
    opened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRefused(Event):
    """The PBX would not take the route with this ``seq``: the caller's channel is gone, or the command was late."""

    call_id: CallId
    seq: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackKept(Event):
    """The database has this state of a callback."""

    callback: CallbackRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class PinChecked(Event):
    """``ok`` is ``None`` when the database did not answer."""

    request: Request
    ok: bool | None


# -- what people ask for -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Who asked, and where the answer goes: an MQTT command has ``id``, a feature code ``channel`` and ``seq``."""

    agent: AgentId
    id: str | None = None
    channel: str | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeDialled(Event):
    """A feature code was dialled at a phone (``UserEvent CtidAgent``).

    ``command`` is one of sign_in, sign_out, pause, resume; ``agent`` and ``pin`` are what was keyed in, if anything.
    """

    endpoint: Endpoint
    channel: str
    seq: int
    command: str
    agent: AgentId | None = None
    pin: str | None = None
    call_id: CallId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeObeyed(Event):
    """While ctid was dead the dialplan did by itself what a feature code asked for: sign_out, pause or resume."""

    endpoint: Endpoint
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInAsked(Event):
    request: Request
    phone: Endpoint | None  # None: the phone of the roster


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOutAsked(Event):
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseAsked(Event):
    request: Request
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeAsked(Event):
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapUpEndAsked(Event):
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapUpExtensionAsked(Event):
    request: Request
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowAsked(Event):
    """A screen that came late wants what it did not hear."""

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupAsked(Event):
    request: Request
    call_id: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class PrioritiseAsked(Event):
    """A supervisor has a caller who waits come before all others.

    ``id`` is that of the command on the call's own topic, ``by`` the supervisor's name, as far as it was told.
    """

    call_id: CallId
    id: str
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAsked(Event):
    """The same has a caller who waits go on waiting on another line; without one, behind all who wait now."""

    call_id: CallId
    id: str
    line: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DialAsked(Event):
    """``number`` as a person wrote it; ``ticket_id`` and ``contact_id`` say what the call is about, if anything."""

    request: Request
    number: str
    ticket_id: str | None = None
    contact_id: str | None = None


class TransferKind(StrEnum):
    """How a caller is given to a colleague; the last two end what ``attended`` began."""

    BLIND = "blind"
    ATTENDED = "attended"
    COMPLETE = "complete"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferAsked(Event):
    """Of the call the agent is in; ``to`` is the colleague."""

    request: Request
    kind: TransferKind
    to: AgentId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferAnswered(Event):
    """The PBX took the command; ``error`` says why not, ``began`` that it was to begin a transfer."""

    request: Request
    call_id: CallId
    began: bool
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingPauseAsked(Event):
    """Of the call the agent is in: what is said now must not be recorded; asked for again, the time runs anew."""

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingResumeAsked(Event):
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingMuted(Event):
    """The PBX has the recording write silence for the pause ``gap``, or, where that has ended, sound again.

    ``error`` says why not; unless the PBX ``refused``, nobody knows whether it did. ``request`` is answered by it, if anybody
    asked.
    """

    call_id: CallId
    gap: Gap
    request: Request | None = None
    error: str | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RelinkAsked(Event):
    """Give the call to ``ticket_id``, or to a ``new`` ticket, and to ``contact_id``: any of them, or both."""

    request: Request
    call_id: CallId
    ticket_id: str | None = None
    new: bool = False
    contact_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRelinked(Event):
    """The database moved the call, or ``error`` says why not.

    ``call`` is what the books have now, ``ticket`` the one it moved to, ``file`` that of the contact it got.
    """

    request: Request
    call_id: CallId
    error: Said | None = None
    call: CallRecord | None = None
    ticket: Ticket | None = None
    file: CallerFile | None = None


# -- books, roster, time -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterLoaded(Event):
    """The agents as the database has them now; agents missing from it are no longer enabled."""

    agents: tuple[Agent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksRestored(Event):
    """At start: who was signed in, the calls not yet ended, and today's talk of calls already ended.

    ``last_seen_at`` is when ctid last was alive: nothing it wrote is newer. ``talks`` holds (agent, leg, started_at,
    ended_at) of customer talk that touches today, ``presences`` likewise (agent, since, until) of states other than offline,
    ``waits`` those of the last hour that were answered, ``in_vain`` how often each caller rang in vain today.
    ``agents`` is the roster where none was told before: together with it, nobody is shown as offline who is not.
    """

    last_seen_at: float
    statuses: tuple[AgentStatus, ...]
    calls: tuple[CallRecord, ...]
    talks: tuple[tuple[AgentId, LegId, float, float], ...]
    presences: tuple[tuple[AgentId, float, float], ...] = ()
    waits: tuple[Wait, ...] = ()
    in_vain: tuple[tuple[str, int], ...] = ()
    agents: tuple[Agent, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbacksRestored(Event):
    """This daemon begins to act: the open callbacks, and the books on the calls being made for them."""

    callbacks: tuple[CallbackRecord, ...]
    calls: tuple[CallRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTakenOver(Event):
    """Nothing was under way, and time now goes on from ``at``: ``by`` seconds more than it would have been, or less.

    Whoever set the PBX's clock did so earlier; until now it was read as if nobody had.
    """

    by: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed(Event):
    """A second, or the core's own deadline, went by."""
