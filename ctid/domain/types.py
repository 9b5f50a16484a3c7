"""The words of the domain as values: people, lines, and the books kept on calls.

Law: frozen once made; absent is ``None``, never an empty string; times are seconds since the Unix epoch (UTC) as floats,
durations are seconds. Nothing here knows how it is stored, sent or shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from ctid.domain.said import Said

#: The first Linkedid Asterisk gave the call; unique within one PBX.
CallId = str
#: The site's own key of an agent, as imported.
AgentId = str
#: A PBX endpoint without its technology, e.g. ``agent7`` of ``PJSIP/agent7``.
Endpoint = str
#: The Uniqueid of the channel that carries the leg.
LegId = str
#: Of waiting, that raise a caller by one level.
AGEING_SECONDS = 60.0


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class Outcome(StrEnum):
    """How a call ended; a call under way has none."""

    ANSWERED = "answered"
    ABANDONED = "abandoned"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    OVERFLOW = "overflow"
    CLOSED = "closed"
    MERGED = "merged"
    FAILED = "failed"


class Via(StrEnum):
    """Who sent the call to its agents: ctid, the fallback queue, or the PBX's own dialplan."""

    CTID = "ctid"
    FAILSAFE = "failsafe"
    DIRECT = "direct"


class LegResult(StrEnum):
    """What became of one party's leg; a leg under way and unanswered has none."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"  # the caller gave up, or another phone took the call
    FAILED = "failed"


class Certainty(StrEnum):
    """Where an interval comes from: seen over AMI, read from CEL afterwards, or bounded by the last thing seen."""

    EXACT = "exact"
    BACKFILLED = "backfilled"
    ESTIMATED = "estimated"

    def with_(self, other: Certainty) -> Certainty:
        """The certainty of what rests on both: the lesser."""
        order = list(Certainty)
        return max(self, other, key=order.index)


class RecordingState(StrEnum):
    """What became of a recording's file; ``ERASED`` is one that was deleted on purpose, by its age or at a person's wish."""

    RECORDING = "recording"
    COMPLETE = "complete"
    DAMAGED = "damaged"
    MISSING = "missing"
    ERASED = "erased"


class CallbackState(StrEnum):
    """Where a promise to call a caller back stands; the last four are final."""

    WAITING = "waiting"
    CALLING = "calling"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    DROPPED = "dropped"  # the caller was served otherwise, or nothing had been promised yet

    @property
    def final(self) -> bool:
        return self not in (CallbackState.WAITING, CallbackState.CALLING)


class Rule(StrEnum):
    """The rule that chose the agent of an offer."""

    TICKET_OWNER = "ticket_owner"
    LEAST_TALK = "least_talk"
    TALK_SHARE = "talk_share"
    PICKED = "picked"  # the agent took a caller who waited
    DIALLED = "dialled"  # the agent had ctid make the call


class AgentState(StrEnum):
    OFFLINE = "offline"
    IDLE = "idle"
    RESERVED = "reserved"
    RINGING = "ringing"
    TALKING = "talking"
    WRAP_UP = "wrap_up"
    PAUSED = "paused"


class Skip(StrEnum):
    """Why an agent could not be offered a call at the moment of a decision."""

    UNKNOWN = "unknown"  # no such agent in the roster
    DISABLED = "disabled"  # has left, or was switched off
    OFFLINE = "offline"
    PAUSED = "paused"
    WRAP_UP = "wrap_up"
    RESERVED = "reserved"
    RINGING = "ringing"
    TALKING = "talking"
    PHONE_BUSY = "phone_busy"  # a channel on the phone that belongs to no call ctid offered
    PHONE_UNREACHABLE = "phone_unreachable"
    PHONE_UNKNOWN = "phone_unknown"  # no device state seen yet: unknown is not idle
    COOLING_DOWN = "cooling_down"  # the phone was unreachable a moment ago
    NOT_ON_LINE = "not_on_line"
    LEVEL = "level"
    TRIED = "tried"  # already rung in this round


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A person who answers calls, as the roster has them.

    ``code`` is what they key in at a phone in place of an id that has letters. ``lines`` names the lines this agent serves
    besides those whose own configuration names the agent.
    """

    id: AgentId
    name: str
    phone: Endpoint | None = None
    code: str | None = None
    level: int = 1
    lines: tuple[str, ...] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A service number callers dial. ``agents`` is ``None`` when every agent may serve it."""

    name: str
    numbers: tuple[str, ...]
    agents: tuple[AgentId, ...] | None = None
    longest_wait_seconds: float = 600.0
    overflow: str = "hangup"  # line-NAME, or what the dialplan does: hangup, number-…, voicemail-…, announcement-…
    closed: str | None = None  # likewise, where callers go while the line is closed; ``None``: where its overflow goes
    owner_from_outside: bool = True  # an owner who does not serve the line may still get their caller
    level_gate: bool = False  # only agents of at least the caller's level; those of the highest may serve everyone
    callback: bool = False  # a caller who waits may have their place kept and be called back
    callback_sound: str | None = None  # the sound file that tells them so
    consent: str | None = None  # the sound file that tells callers they are recorded, before they wait
    consent_asked: bool = False  # it asks for leave: 1 gives it
    priority: int = 0  # added to the level of whoever waits for this line
    music: str | None = None  # the PBX's class of music on hold; ``None`` leaves the PBX's own
    announce_seconds: float = 0.0  # between two announcements of place and wait; 0 makes none
    hours: tuple[OpenHours, ...] = ()  # none means always open
    holidays: tuple[Days, ...] = ()
    special_hours: tuple[SpecialHours, ...] = ()  # the first that holds a day stands in for its hours


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHours:
    """Open from ``opens`` to ``closes``, minutes after the local midnight at which one of ``weekdays`` (Monday is 0) begins.

    ``closes`` is past 24 hours where the shift ends on the next day.
    """

    weekdays: tuple[int, ...]
    opens: int
    closes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The days from ``first`` to ``last``, both included; ``yearly`` in each year, over its end where ``last`` comes first."""

    first: date
    last: date
    yearly: bool

    def hold(self, day: date) -> bool:
        if not self.yearly:
            return self.first <= day <= self.last
        of, first, last = ((one.month, one.day) for one in (day, self.first, self.last))
        return first <= of <= last if first <= last else of >= first or of <= last


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialHours:
    """Other hours on some days: ``shifts`` from when to when, in minutes after midnight."""

    days: Days
    shifts: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The routing figures a site sets; all durations in seconds."""

    ring_seconds: float = 20.0
    wrap_up_seconds: float = 30.0
    timezone: str = "UTC"
    fairness: Rule = Rule.LEAST_TALK  # which rule chooses for callers without an idle owner
    owner_wait_seconds: float = 0.0
    round_pause_seconds: float = 5.0
    cool_down_seconds: float = 30.0
    ageing_seconds: float = AGEING_SECONDS
    missed_in_a_row: int = 3  # misses in a row that pause an agent; 0 never does
    lookup_seconds: float = 0.5  # how long a decision waits for the database before it goes on without
    callback_after_seconds: float = 10.0  # of waiting before a callback is offered
    callback_retry_seconds: float = 300.0
    callback_tries: int = 3  # of reaching the customer
    callback_expires_seconds: float = 86400.0
    callback_most: int = 100  # open at once
    originates: bool = False  # there is a second AMI user, which may make calls
    pause_seconds: float = 120.0  # after which a paused recording goes on by itself
    reservation_slack_seconds: float = 5.0  # past ring time: the PBX never said what became of the offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person who calls. ``level`` is the customer level, 1 to 5, highest most important."""

    id: str
    name: str
    department: str | None = None
    title: str | None = None
    level: int = 1
    customer_id: str | None = None
    customer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a screen-pop shows of a ticket. ``owner`` is the present owner."""

    id: str
    subject: str
    status: str
    severity: int
    owner: AgentId | None
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerFile:
    """All that is known of a caller before the phone rings.

    ``number`` is in E.164 where it is a public number. ``contact`` is ``None`` for a number that several contacts share:
    of one customer, ``customer_id`` is set; of several, neither, and ``matches`` lists them. ``history`` holds the newest
    tickets, the newest first; ``owner`` is the present owner of the newest. ``level`` orders the waiting (1 for unknown
    callers) and ``severity`` is that of the caller's newest open ticket, 0 without one. ``dial_back`` is how the trunk
    dials the number, ``None`` for one that must not be called back.
    """

    number: str | None = None
    contact: Contact | None = None
    customer_id: str | None = None
    matches: tuple[Contact, ...] = ()
    history: tuple[Ticket, ...] = ()
    owner: AgentId | None = None
    level: int = 1
    severity: int = 0
    dial_back: str | None = None


UNKNOWN_CALLER = CallerFile()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An agent as a decision saw them. ``talk_share`` is talk for each second signed in today, where that decided."""

    agent: AgentId
    talk_seconds: float
    idle_since: float
    talk_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Why one offer went to one agent.

    ``owner_skipped`` says why the owner was not rung, ``None`` when the owner was chosen or there is none;
    ``owner_ticket`` is the ticket whose owner ``owner`` is. ``considered`` holds the first 20 candidates in the order of the
    rule, ``skipped`` counts the others by reason.
    """

    at: float
    rule: Rule
    chosen: AgentId
    owner: AgentId | None = None
    owner_ticket: str | None = None
    owner_skipped: Skip | None = None
    considered: tuple[Candidate, ...] = ()
    skipped: tuple[tuple[Skip, int], ...] = ()


#: Where a supervisor puts callers among those who wait: before all of them, behind them.
FRONT, END = "front", "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diversion:
    """The caller left ``line``, for it was closed or they had waited too long. ``to`` is where they went, as configured.

    Without a ``reason`` it was a supervisor's doing, ``by`` them where their name was told, and ``to`` another line, ``FRONT``
    or ``END``.
    """

    at: float
    line: str | None
    reason: Outcome | None
    to: str
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One bridged interval of a leg; ``ended_at`` is ``None`` while it lasts.

    ``customer`` tells whether a customer was in the conversation: only then it counts towards least talk.
    """

    started_at: float
    ended_at: float | None = None
    customer: bool = True
    certainty: Certainty = Certainty.EXACT


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRecord:
    """One party's stay in a call. ``agent`` is ``None`` for parties that are no agents; ``party`` is the endpoint or number."""

    id: LegId
    agent: AgentId | None
    party: str
    offered_at: float
    answered_at: float | None = None
    ended_at: float | None = None
    hold_seconds: float = 0.0
    result: LegResult | None = None
    talks: tuple[Talk, ...] = ()
    certainty: Certainty = Certainty.EXACT

    @property
    def talk_seconds(self) -> float:
        """Bridged seconds of the intervals that have ended."""
        return sum(t.ended_at - t.started_at for t in self.talks if t.ended_at is not None)


class Consent(StrEnum):
    """What came of telling a caller, before anybody talked with them, that the call is recorded."""

    ANNOUNCED = "announced"
    ACCEPTED = "accepted"  # asked, and pressed 1
    REFUSED = "refused"  # asked, and did not
    FAILED = "failed"  # the announcement could not be played

    @property
    def recorded(self) -> bool:
        return self in (Consent.ANNOUNCED, Consent.ACCEPTED)


class GapEnd(StrEnum):
    """Why a paused recording went on."""

    RESUMED = "resumed"  # somebody said so
    TIMER = "timer"
    CALL_OVER = "call_over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something was said that must not be recorded; ``ended_at`` and ``ended`` are ``None`` while it lasts.

    ``until`` is when the recording goes on by itself; ``by`` the person's name who paused it where it was no agent. The file
    has silence there, unless it was ``cut``: stopped and begun anew by the dialplan, so that it is shorter.
    """

    started_at: float
    until: float
    agent: AgentId | None = None
    by: str | None = None
    ended_at: float | None = None
    ended: GapEnd | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRecord:
    """A recording of a call. ``path`` is relative to the recordings root; ``seconds`` is measured, not claimed."""

    id: str
    path: str
    state: RecordingState
    seconds: float | None = None
    sha256: str | None = None
    ticket_ids: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """The books on one call, as saved, published and listed. ``line`` is the one the caller is, or was last, on."""

    id: CallId
    pbx: str
    direction: Direction
    caller: str | None
    dialled: str | None
    line: str | None
    started_at: float
    caller_name: str | None = None
    contact_id: str | None = None
    customer_id: str | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome | None = None
    via: Via = Via.DIRECT
    merged_into: CallId | None = None
    ticket_ids: tuple[str, ...] = ()
    agent: AgentId | None = None
    owner: AgentId | None = None  # of the caller's newest ticket
    legs: tuple[LegRecord, ...] = ()
    recordings: tuple[RecordingRecord, ...] = ()
    decisions: tuple[Decision, ...] = ()
    diversions: tuple[Diversion, ...] = ()
    consent: Consent | None = None  # ``None`` where nobody was told anything
    callback: CallId | None = None  # the call whose caller's place was kept: this one, or the one it calls back for


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRecord:
    """A promise to call a caller back. ``id`` is the call that asked for it.

    ``number`` is in E.164 and has one open callback at most, ``dial`` is how the trunk dials it. ``called`` is the service
    number, ``arrived_at`` the place in the waiting order. ``tries`` counts how often the customer was dialled in vain;
    ``attempt`` is the newest call made for it, to the phone of ``agent``. ``why`` says of a final one what no state says.
    ``consent`` is why the call back is not recorded, ``None`` where it is.
    """

    id: CallId
    pbx: str
    number: str
    dial: str
    called: str | None
    line: str | None
    level: int
    severity: int
    arrived_at: float
    asked_at: float
    due_at: float
    state: CallbackState = CallbackState.WAITING
    tries: int = 0
    rung: int = 0  # agents' phones rung for it
    attempt: CallId | None = None
    agent: AgentId | None = None
    ended_at: float | None = None
    why: str | None = None
    consent: Consent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus:
    """An agent's state as published, stored and reported; ``phone`` is where they sit, ``reason`` that of a pause.

    ``wrap_up_until`` is when their wrap-up ends, ``None`` in any other state; ``consults`` the colleague whom they ask about
    their caller; ``paused_until`` when the recording of their call goes on, ``None`` while it is not paused.
    """

    agent: AgentId
    state: AgentState
    since: float
    phone: Endpoint | None = None
    reason: str | None = None
    call_id: CallId | None = None
    talk_seconds_today: float = 0.0
    signed_in_at: float | None = None
    wrap_up_until: float | None = None
    consults: AgentId | None = None
    paused_until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What those who may pick a caller up should know of who waits, held by ctid, and rings at nobody's phone.

    ``since`` is when they arrived; ``level`` and ``severity`` order them as in ``CallerFile``. A supervisor may have
    had them come before all others (``prioritised``), or stand as if they had come later (``stands_since``).
    """

    since: float
    level: int
    severity: int
    contact: str | None = None
    customer: str | None = None
    prioritised: bool = False
    stands_since: float | None = None


class PopState(StrEnum):
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pop:
    """What one agent's screen shows of one call; ``ringing_at`` is when the PBX said that the phone rings."""

    agent: AgentId
    call_id: CallId
    state: PopState
    at: float
    caller: str | None
    dialled: str | None
    file: CallerFile = field(default=UNKNOWN_CALLER)
    ticket: Ticket | None = None
    decision: Decision | None = None
    notices: tuple[Said, ...] = ()


class Shed(StrEnum):
    """What is left undone while ctid does not keep pace, in the order in which it is given up."""

    ROSTER = "roster"  # agents imported or edited meanwhile come later
    GAUGES = "gauges"  # what is read from the database each minute
    PAGES = "pages"  # ctid web: waveforms and lists as files
    CALLS = "calls"  # topics calls/ID: the newest of each waits
    ANNOUNCEMENTS = "announcements"  # who waits hears music instead
    LEASE = "lease"  # callers go to the fallback queue
