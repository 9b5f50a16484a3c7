"""One caller's visit while it lasts: its legs, its offer, its books.

Law: a call moves through ``MOVES``; its record can be taken at any moment and says all that is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from ctid.domain.events import Request
from ctid.domain.said import Said
from ctid.domain.spans import bridged
from ctid.domain.types import (
    END,
    FRONT,
    UNKNOWN_CALLER,
    AgentId,
    CallerFile,
    CallId,
    CallRecord,
    Certainty,
    Consent,
    Decision,
    Direction,
    Diversion,
    Endpoint,
    Gap,
    LegId,
    LegRecord,
    LegResult,
    Line,
    Outcome,
    Pop,
    RecordingRecord,
    Talk,
    Ticket,
    Via,
    Waiting,
)
from ctid.domain.watched import Watched


class Phase(StrEnum):
    """Where the caller is: nowhere yet, held by the dialplan, offered to a phone, in conversation, out of ctid's hands."""

    STARTED = "started"
    HELD = "held"
    OFFERED = "offered"
    TALKING = "talking"
    LEFT = "left"
    ENDED = "ended"


_P = Phase
MOVES = MappingProxyType(
    {
        _P.STARTED: frozenset({_P.HELD, _P.TALKING, _P.LEFT, _P.ENDED}),
        _P.HELD: frozenset({_P.OFFERED, _P.LEFT, _P.TALKING, _P.ENDED}),
        _P.OFFERED: frozenset({_P.HELD, _P.TALKING, _P.LEFT, _P.ENDED}),
        _P.TALKING: frozenset({_P.HELD, _P.LEFT, _P.ENDED}),
        _P.LEFT: frozenset({_P.HELD, _P.TALKING, _P.ENDED}),
        _P.ENDED: frozenset(),
    }
)


@dataclass(slots=True, kw_only=True)
class Leg:
    """One party's stay. ``offered`` marks a leg that ctid's own offer made; ``pop`` is what its agent's screen shows."""

    id: LegId
    agent: AgentId | None
    endpoint: Endpoint
    party: str
    offered_at: float
    originator: bool = False
    offered: bool = False
    answered_at: float | None = None
    ended_at: float | None = None
    result: LegResult | None = None
    certainty: Certainty = Certainty.EXACT
    talks: list[Talk] = field(default_factory=list)
    held_since: float | None = None
    hold_seconds: float = 0.0
    pop: Pop | None = None
    notice: Said | None = None  # for this party's screen alone
    confirmed: bool = True  # the PBX showed the channel since the link opened, or it is over
    talk_confirmed: bool = True  # likewise, that it is in conversation

    @classmethod
    def restored(cls, record: LegRecord, *, offered: bool, originator: bool = False) -> Leg:
        """The leg as the books had it; it stays unconfirmed until the PBX shows its channel again."""
        return cls(
            id=record.id,
            agent=record.agent,
            endpoint=record.party,
            party=record.party,
            offered_at=record.offered_at,
            offered=offered,
            originator=originator,
            answered_at=record.answered_at,
            ended_at=record.ended_at,
            result=record.result,
            certainty=record.certainty,
            talks=list(record.talks),
            hold_seconds=record.hold_seconds,
            confirmed=record.ended_at is not None,
            talk_confirmed=record.ended_at is not None,
        )

    @property
    def live(self) -> bool:
        return self.ended_at is None

    @property
    def talking(self) -> Talk | None:
        """The interval under way."""
        return self.talks[-1] if self.talks and self.talks[-1].ended_at is None else None

    def close_talk(self, at: float, certainty: Certainty) -> None:
        """End the interval under way, if any, at ``at`` and no earlier than it began."""
        talk = self.talking
        if talk is not None:
            self.talks[-1] = Talk(
                started_at=talk.started_at,
                ended_at=max(at, talk.started_at),
                customer=talk.customer,
                certainty=talk.certainty.with_(certainty),
            )
            self.certainty = self.certainty.with_(self.talks[-1].certainty)

    def unhold(self, at: float) -> None:
        if self.held_since is not None:
            self.hold_seconds += max(0.0, at - self.held_since)
            self.held_since = None

    def record(self) -> LegRecord:
        return LegRecord(
            id=self.id,
            agent=self.agent,
            party=self.party,
            offered_at=self.offered_at,
            answered_at=self.answered_at,
            ended_at=self.ended_at,
            hold_seconds=self.hold_seconds,
            result=self.result,
            talks=tuple(self.talks),
            certainty=self.certainty,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The caller was sent to this agent's phone with this fencing number; void once ``until`` has passed."""

    agent: AgentId
    endpoint: Endpoint
    seq: int
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferring:
    """An agent sends the caller on to the phone of a colleague, or asks them first; ``leg`` is that of who sends.

    ``given_up``: the colleague who was asked is gone, and the PBX leads the agent back to the caller.
    """

    by: AgentId
    to: AgentId
    leg: LegId
    endpoint: Endpoint
    attended: bool
    given_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The held channel, and the fencing number a route must quote."""

    channel: str
    seq: int


@dataclass(slots=True, kw_only=True)
class Call(Watched):
    facts: ClassVar = frozenset(
        {
            "line",
            "phase",
            "file",
            "file_due",
            "arrived_at",
            "hold",
            "overflow_waits",
            "callback",
            "consent_told_at",
            "prioritised",
            "stands_since",
        }
    )

    changed: set[CallId] = field(repr=False, compare=False)
    id: CallId
    pbx: str
    direction: Direction
    caller: str | None
    caller_name: str | None
    dialled: str | None
    endpoint: Endpoint
    started_at: float
    line: Line | None = None
    line_name: str | None = None
    phase: Phase = Phase.STARTED
    entered: bool = False
    entered_by: str | None = None  # the number dialled when the call last came in
    via: Via = Via.DIRECT
    file: CallerFile = UNKNOWN_CALLER
    file_due: bool = False  # the database was asked and has not answered
    arrived_at: float | None = None
    on_line_since: float | None = None  # arrived there, or come over from another line
    been_on: set[str] = field(default_factory=set)  # lines left, since the arrival
    diversions: list[Diversion] = field(default_factory=list)
    music: str | None = None  # the class the dialplan was told to play
    stood_behind: int | None = None  # so many waited before them when they began to wait on this line
    announces: bool = False  # an announcement is due
    announced: int = 0
    hold: Hold | None = None
    offer: Offer | None = None
    prioritised: bool = False  # by a supervisor, before all who wait
    stands_since: float | None = None  # put at the end by a supervisor, as if they had come then
    tried: set[AgentId] = field(default_factory=set)
    round_resumes_at: float | None = None
    overflows: int = 0  # sent away in vain
    overflow_waits: bool = False  # sent away in vain a moment ago
    ticket: Ticket | None = None
    ticket_ids: list[str] = field(default_factory=list)
    taken_at: float | None = None  # by the PBX itself: a menu, a voicemail box, a queue
    answered_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome | None = None
    merged_into: CallId | None = None
    contact_id: str | None = None
    customer_id: str | None = None
    agent: AgentId | None = None
    owner: AgentId | None = None  # of the caller's newest ticket
    missed: bool = False  # over without an answer, and told
    ticket_wanted: str | None = None  # the ticket the agent said the call is about
    asked_by: Request | None = None  # the agent who asked for this call and has not been answered
    ticket_wanted_by: AgentId | None = None  # answered, but who is calling is not known yet
    recording_path: str | None = None
    recorded: LegId | None = None  # the channel that is recorded
    also_recorded: list[LegId] = field(
        default_factory=list
    )  # into other files: those of calls that became part of this
    silenced: bool = False  # with one in it who did not agree to be recorded
    consent: Consent | None = None
    consent_told_at: int | None = None  # the fencing number with which it is being told
    gaps: list[Gap] = field(default_factory=list)  # in its recording
    renewal_due: str | None = None  # the channel whose recording is to listen anew once it is not paused
    callback: CallId | None = None  # the call whose caller is called back: this one, or the one it is made for
    callback_offered: bool = False
    notices: tuple[Said, ...] = ()  # for the screens of those who take it
    transferring: Transferring | None = None
    given_to: AgentId | None = None  # blindly, and nobody has answered since
    recordings: dict[str, RecordingRecord] = field(default_factory=dict)
    measuring: set[str] = field(default_factory=set)  # recordings whose measure was asked for and is not there
    legs: dict[LegId, Leg] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    confirmed: bool = True

    @classmethod
    def restored(cls, record: CallRecord, changed: set[CallId]) -> Call:
        """A call as the books had it; one under way is unconfirmed until the PBX shows one of its channels again."""
        chosen = {d.chosen for d in record.decisions}
        made = record.direction is Direction.OUTBOUND and bool(record.decisions)
        placed = next((d for d in reversed(record.diversions) if d.to in (FRONT, END)), None)
        return cls(
            changed=changed,
            id=record.id,
            pbx=record.pbx,
            direction=record.direction,
            caller=record.caller,
            caller_name=record.caller_name,
            dialled=record.dialled,
            endpoint="",
            started_at=record.started_at,
            line_name=record.line,
            phase=_restored_phase(record),
            entered_by=record.dialled,
            entered=bool(record.recordings) or record.via is not Via.DIRECT,
            via=record.via,
            ticket_ids=list(record.ticket_ids),
            answered_at=record.answered_at,
            contact_id=record.contact_id,
            customer_id=record.customer_id,
            agent=record.agent,
            owner=record.owner,
            missed=record.ended_at is not None,
            recording_path=next((r.path for r in record.recordings), None),
            recordings={r.id: r for r in record.recordings},
            gaps=[gap for r in record.recordings for gap in r.gaps],
            callback=record.callback,
            consent=record.consent,
            been_on={d.line for d in record.diversions if d.line is not None and d.reason is not None},
            prioritised=placed is not None and placed.to == FRONT,
            stands_since=placed.at if placed is not None and placed.to == END else None,
            diversions=list(record.diversions),
            legs={
                leg.id: Leg.restored(leg, offered=leg.agent in chosen, originator=made and leg.agent in chosen)
                for leg in record.legs
            },
            decisions=list(record.decisions),
            ended_at=record.ended_at,
            outcome=record.outcome,
            merged_into=record.merged_into,
            confirmed=record.ended_at is not None,
        )

    @property
    def live(self) -> bool:
        return self.phase is not Phase.ENDED

    @property
    def customers_number(self) -> str | None:
        """Whose file this call is about: of an outgoing call whom it goes to, else who calls."""
        return self.dialled if self.direction is Direction.OUTBOUND else self.caller

    @property
    def place_since(self) -> float | None:
        """Since when the caller counts as waiting, where their place among those who wait is concerned."""
        return self.stands_since if self.stands_since is not None else self.arrived_at

    @property
    def waiting(self) -> bool:
        """Held, and ready to be offered: who is calling is known, or known to be unknown."""
        return (
            self.phase is Phase.HELD
            and self.hold is not None
            and self.line is not None
            and self.arrived_at is not None
            and not self.file_due
            and not self.overflow_waits
            and self.consent_told_at is None
            and self.callback is None
        )

    def shown_waiting(self) -> Waiting | None:
        """What is shown of a caller who could be picked up; ``None`` of any other."""
        if not self.waiting or self.arrived_at is None:
            return None
        contact = self.file.contact
        return Waiting(
            since=self.arrived_at,
            prioritised=self.prioritised,
            stands_since=self.stands_since,
            level=self.file.level,
            severity=self.file.severity,
            contact=contact.name if contact is not None else None,
            customer=contact.customer if contact is not None else None,
        )

    @property
    def made(self) -> bool:
        """It was made by ctid: an agent's phone first, and from there the customer's. Nobody else is chosen to call out."""
        return self.direction is Direction.OUTBOUND and (self.callback is not None or bool(self.decisions))

    @property
    def paused(self) -> Gap | None:
        """The pause of its recording, while it lasts."""
        return self.gaps[-1] if self.gaps and self.gaps[-1].ended_at is None else None

    @property
    def refused(self) -> bool:
        """Its caller is not to be recorded."""
        return self.consent is not None and not self.consent.recorded

    def recorded_channels(self) -> tuple[LegId, ...]:
        """All that are recorded, as far as they are known to be there."""
        own = () if self.recorded is None else (self.recorded,)
        return tuple(c for c in (*own, *self.also_recorded) if c not in self.legs or self.legs[c].live)

    def bridged_seconds(self) -> float:
        """Seconds in which any leg was in conversation: what a recording of bridged time holds."""
        return sum(end - start for start, end in bridged(leg.record() for leg in self.legs.values()))

    def record(self) -> CallRecord:
        """The books as they stand."""
        tickets = tuple(self.ticket_ids)
        return CallRecord(
            id=self.id,
            pbx=self.pbx,
            direction=self.direction,
            caller=self.caller,
            caller_name=self.caller_name,
            dialled=self.dialled,
            line=self.line_name,
            contact_id=self.contact_id,
            customer_id=self.customer_id,
            started_at=self.started_at,
            answered_at=self.answered_at,
            ended_at=self.ended_at,
            outcome=self.outcome if not self.live else None,
            via=self.via,
            merged_into=self.merged_into,
            ticket_ids=tickets,
            agent=self.agent,
            owner=self.owner,
            legs=tuple(leg.record() for leg in self.legs.values()),
            recordings=tuple(
                RecordingRecord(
                    id=r.id,
                    path=r.path,
                    state=r.state,
                    seconds=r.seconds,
                    sha256=r.sha256,
                    ticket_ids=tickets,
                    gaps=tuple(self.gaps) if r.path == self.recording_path else r.gaps,
                )
                for r in self.recordings.values()
            ),
            decisions=tuple(self.decisions),
            callback=self.callback,
            consent=self.consent,
            diversions=tuple(self.diversions),
        )


def _restored_phase(record: CallRecord) -> Phase:
    if record.ended_at is not None:
        return Phase.ENDED
    return Phase.TALKING if record.answered_at is not None else Phase.STARTED


def outcome_of(call: Call) -> Outcome:
    """How a call that is over ended, from its legs and from where it was when it ended."""
    if call.outcome is not None:
        return call.outcome
    if call.answered_at is not None:
        return Outcome.ANSWERED
    dialled = [leg for leg in call.legs.values() if not leg.originator]
    if call.made:
        return _outcome_of_made(call, dialled)
    if call.via is not Via.DIRECT:
        return Outcome.ABANDONED
    if not dialled:  # a menu, a voicemail box, a feature code: the PBX itself answered
        return Outcome.ANSWERED if call.taken_at is not None else Outcome.FAILED
    return _OUTCOME_BY_RESULT.get(dialled[-1].result or LegResult.CANCELLED, Outcome.FAILED)


def _outcome_of_made(call: Call, dialled: list[Leg]) -> Outcome:
    """The customer's leg says it; where it did not come so far, the agent's."""
    last = (dialled or list(call.legs.values()))[-1:]
    if not last or last[0].answered_at is not None:
        return Outcome.FAILED
    return _OUTCOME_BY_RESULT.get(last[0].result or LegResult.CANCELLED, Outcome.FAILED)


_OUTCOME_BY_RESULT = MappingProxyType(
    {
        LegResult.NO_ANSWER: Outcome.NO_ANSWER,
        LegResult.BUSY: Outcome.BUSY,
        LegResult.REJECTED: Outcome.REJECTED,
        LegResult.CANCELLED: Outcome.ABANDONED,
        LegResult.ANSWERED: Outcome.ANSWERED,
    }
)
