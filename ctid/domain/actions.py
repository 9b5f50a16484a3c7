"""What the core wants done: its only output.

Law: imperative, typed, complete. A door carries each out at once or drops it by its written policy; a question (``LookUp…``,
``Check…``, ``Open…``) is always answered by an event, failure and time-out included.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ctid.domain.announcing import ExpectedWait
from ctid.domain.events import Request
from ctid.domain.said import Said
from ctid.domain.types import (
    AgentId,
    AgentStatus,
    CallbackRecord,
    CallId,
    CallRecord,
    Consent,
    Decision,
    Endpoint,
    Gap,
    Pop,
    Waiting,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    pass


# -- to the PBX --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring(Action):
    """Send the held caller to one phone. Refused by the PBX when ``seq`` is no longer the channel's."""

    call_id: CallId
    channel: str
    seq: int
    endpoint: Endpoint
    seconds: float
    music: str | None = None  # the class to hear meanwhile, and in transfers and holds


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayMusic(Action):
    """Let the held caller hear this class of music from now on."""

    call_id: CallId
    channel: str
    seq: int
    music: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce(Action):
    """Tell the held caller their place, 1 for the next, and the wait to expect, where the last hour supports one.

    ``number`` counts the announcements to this caller: the dialplan plays each once.
    """

    call_id: CallId
    channel: str
    seq: int
    place: int
    wait: ExpectedWait | None
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TellConsent(Action):
    """Play the held caller the sound that says they are recorded, or, ``asked``, whether they may be.

    Answered by ``ConsentTold``.
    """

    call_id: CallId
    channel: str
    seq: int
    sound: str
    asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflow(Action):
    """Send the held caller to the line's overflow; ``to`` is the dialplan's word for it."""

    call_id: CallId
    channel: str
    seq: int
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Say(Action):
    """Answer a feature code at the phone that dialled it: ok, denied or unknown."""

    channel: str
    seq: int
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferCallback(Action):
    """Let the held caller ask by digit 1 to be called back, and play them the sound that says so, if there is one."""

    call_id: CallId
    channel: str
    seq: int
    sound: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Originate(Action):
    """Ring the agent's phone, and when it is answered dial the customer from it.

    ``call_id`` becomes the id of the call; ``caller`` is the number the customer is shown, ``seconds`` how long the phone
    rings and ``customer_seconds`` how long the customer's does; ``title`` stands on the agent's phone. ``consent`` is why the
    call is not recorded, ``None`` where it is. Answered by the call itself, or by ``CallNotMade``.
    """

    call_id: CallId
    endpoint: Endpoint
    number: str
    caller: str | None
    seconds: float
    customer_seconds: float
    title: str
    consent: Consent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Action):
    """Send the customer on from the agent's ``channel`` to a phone, or, ``attended``, ring it for the agent first.

    Answered by ``TransferAnswered``.
    """

    request: Request
    call_id: CallId
    channel: str
    endpoint: Endpoint
    seconds: float
    attended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EndTransfer(Action):
    """Give the customer over (``complete``), or take them back. Answered by ``TransferAnswered``."""

    request: Request
    call_id: CallId
    channel: str
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepMember(Action):
    """Let the fallback queue ring this phone on behalf of whoever sits there, or not ring it when nobody does."""

    endpoint: Endpoint
    agent: AgentId | None
    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat(Action):
    """Renew the lease: sent from inside the routing loop, so that a wedged loop loses it."""

    at: float


# -- to the database ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUpCaller(Action):
    """Answered by ``CallerIdentified`` or ``CallerLookupFailed``.

    With ``contact_id`` it is this contact's file that is wanted, if there is one.
    """

    call_id: CallId
    number: str | None
    contact_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTicket(Action):
    """Find or open the ticket of an answered call; idempotent by call. Answered by ``TicketLinked``, or never.

    Of an ``outbound`` call ``caller`` is the number that was called. ``ticket_id`` is the ticket it is about, if one was named.
    """

    call_id: CallId
    agent: AgentId
    contact_id: str | None
    customer_id: str | None
    caller: str | None
    at: float
    outbound: bool = False
    ticket_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relink(Action):
    """Move the call, whether the core knows it or not, after what was to be saved of it. Answered by ``CallRelinked``."""

    request: Request
    call_id: CallId
    ticket_id: str | None
    new: bool
    contact_id: str | None
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPin(Action):
    """Answered by ``PinChecked``."""

    request: Request
    pin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotePinsStopped(Action):
    """Too many wrong PINs: those of ``whom``, a phone or an agent, are not looked at for a while. The last was of both."""

    at: float
    whom: str
    phone: Endpoint
    agent: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveCall(Action):
    """The newest books on a call; saves of one call coalesce."""

    call: CallRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveAgent(Action):
    """The newest state of an agent, to be kept with the time it began."""

    status: AgentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepCallback(Action):
    """The newest state of a callback; saves of one coalesce. Answered by ``CallbackKept`` once it is stored."""

    callback: CallbackRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRinging(Action):
    """Let go of a phone that rings longer than it was told to; the caller comes back to be held.

    ``channel`` is the phone's Uniqueid.
    """

    call_id: CallId
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewRecording(Action):
    """Have the recording on this channel listen anew, in the same file; it costs it a tenth of a second."""

    call_id: CallId
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MuteRecording(Action):
    """Have these channels' recordings write silence, or sound again where ``gap`` has ended. Answered by ``RecordingMuted``.

    ``channels`` are their Uniqueids.
    """

    call_id: CallId
    channels: tuple[str, ...]
    gap: Gap
    request: Request | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRecording(Action):
    """Read the closed file and answer by ``RecordingMeasured``. ``expected_seconds`` is what the ledger says it holds."""

    call_id: CallId
    recording_id: str
    path: str
    expected_seconds: float


# -- to the screens ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowPop(Action):
    pop: Pop


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowAgent(Action):
    status: AgentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCall(Action):
    """``waiting`` while the caller is held and could be picked up."""

    call: CallRecord
    waiting: Waiting | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Action):
    """The answer to an MQTT command; ``error`` is one sentence that says what to do."""

    request: Request
    error: Said | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyOnCall(Action):
    """The answer to an MQTT command on a call's topic."""

    call_id: CallId
    id: str
    error: Said | None = None


# -- to the log --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteDecision(Action):
    """One routing decision, to be logged and counted."""

    call_id: CallId
    decision: Decision
    asked_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteCallEnded(Action):
    """A call is over, to be logged and counted once."""

    call: CallRecord


class AgentNews(StrEnum):
    SIGNED_IN = "signed_in"  # at a phone, from another one or from home
    SIGNED_OUT = "signed_out"
    PAUSED = "paused"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteAgent(Action):
    """An agent came, moved, went, paused or resumed, to be logged; ``reason`` is that of the pause."""

    agent: AgentId
    news: AgentNews
    phone: Endpoint | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteOddity(Action):
    """Something the state tables do not allow, or that should not be: logged and counted, never fatal."""

    what: str
    call_id: CallId | None = None
    agent: AgentId | None = None
