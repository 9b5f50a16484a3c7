"""What the core knows at one moment: agents, phones, calls, the ledger; and what it has decided to have done.

Law: only the functions in the tables of ``acd``, and what they call, change it, each on behalf of one event. A call or an agent
that was touched is saved and shown once, at the end of that event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ctid.domain import agent as agent_states
from ctid.domain import call as call_phases
from ctid.domain.actions import Action, KeepMember, NoteOddity, SaveAgent, SaveCall, ShowAgent, ShowCall, ShowPop
from ctid.domain.agent import Desk, Phone
from ctid.domain.announcing import LastHour
from ctid.domain.call import Call, Leg, Phase
from ctid.domain.events import Request
from ctid.domain.invain import InVain
from ctid.domain.ledger import Ledger
from ctid.domain.said import Code, Said, say
from ctid.domain.seating import Seating
from ctid.domain.timers import Timers
from ctid.domain.types import (
    Agent,
    AgentId,
    AgentState,
    AgentStatus,
    CallId,
    Direction,
    Endpoint,
    Line,
    Policy,
    Pop,
    PopState,
)
from ctid.domain.waiting import WaitingRoom

if TYPE_CHECKING:
    from ctid.domain.callbacks import Callback

#: An ended call stays this long for what comes late: its recording's measure, its ticket.
REMEMBERED_SECONDS = 600.0

#: What ``presence`` calls an agent's signed-in time: there is one at a time.
SESSION = "session"


def as_written(_number: str) -> str | None:
    """What a number means to a site that has no habits of writing them: nothing more than its digits."""
    return None


def as_it_is(number: str) -> str | None:
    """How a trunk without habits dials a number: as it is, if it is digits."""
    return number if number.isascii() and number.isdigit() else None


#: A deadline: what falls due, and for whom.
Deadline = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A customer's call an agent talks in, and their leg of it."""

    call: Call
    leg: Leg


@dataclass(slots=True)
class World:
    policy: Policy
    lines: tuple[Line, ...]
    pbx: str
    normalise: Callable[[str], str | None] = as_written
    dialled: Callable[[str], str | None] = as_it_is
    dials: int = 0  # calls made because an agent asked for them
    linked: bool = False
    lost_at: float | None = None
    desks: dict[AgentId, Desk] = field(default_factory=dict)
    phones: dict[Endpoint, Phone] = field(default_factory=dict)
    seats: dict[Endpoint, AgentId] = field(default_factory=dict)
    roster_phones: frozenset[Endpoint] = frozenset()
    calls: dict[CallId, Call] = field(default_factory=dict)
    under_way: dict[CallId, Call] = field(default_factory=dict)  # of these, those that were not over when last touched
    waiting: dict[CallId, None] = field(default_factory=dict)
    merged: dict[CallId, CallId] = field(default_factory=dict)
    callbacks: dict[CallId, Callback] = field(default_factory=dict)  # the open ones, by the call that asked
    gap_told: bool = False  # CEL told what happened before the link opened
    pin_checks: dict[Request, Endpoint] = field(default_factory=dict)
    pin_tries: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)  # since when, how many
    pins_stopped: set[tuple[str, str]] = field(default_factory=set)  # whose are not looked at, and it was told
    kept: dict[CallId, None] = field(default_factory=dict)  # held again or anew: they may have to wait
    serve: bool = False  # something changed that may let a waiting caller be served
    out: list[Action] = field(default_factory=list)
    touched_calls: dict[CallId, None] = field(default_factory=dict)
    touched_desks: dict[AgentId, None] = field(default_factory=dict)
    shown: dict[AgentId, AgentStatus] = field(default_factory=dict)
    members: dict[Endpoint, tuple[AgentId, bool]] = field(default_factory=dict)  # of the fallback, as last told
    timers: Timers[Deadline] = field(default_factory=Timers)
    # what ``Watched`` notes: whose facts changed since the indices were last read
    changed_agents: set[AgentId] = field(default_factory=set)
    changed_phones: set[Endpoint] = field(default_factory=set)
    changed_calls: set[CallId] = field(default_factory=set)
    ledger: Ledger = field(init=False)
    presence: Ledger = field(init=False)  # seconds signed in, counted as the ledger counts talk
    in_vain: InVain = field(init=False)
    zone: ZoneInfo = field(init=False)
    _seating: Seating = field(init=False)
    _room: WaitingRoom = field(init=False)
    line_by_number: dict[str, Line] = field(init=False)
    line_by_name: dict[str, Line] = field(init=False)
    last_hour: LastHour = field(default_factory=LastHour)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.policy.timezone, self.changed_agents)
        self.presence = Ledger(self.policy.timezone, self.changed_agents)
        self._room = WaitingRoom(self.calls, self.changed_calls)
        self._seating = Seating(
            lines=self.lines,
            desks=self.desks,
            phones=self.phones,
            ledger=self.ledger,
            presence=self.presence,
            changed_agents=self.changed_agents,
            changed_phones=self.changed_phones,
        )
        self.zone = ZoneInfo(self.policy.timezone)
        self.in_vain = InVain(self.zone)
        numbers = [(number, line) for line in reversed(self.lines) for number in line.numbers]
        self.line_by_number = {meant: line for number, line in numbers if (meant := self.normalise(number)) is not None}
        self.line_by_number |= {_digits(number): line for number, line in numbers}  # what is written goes before
        self.line_by_name = {line.name: line for line in self.lines}

    # -- who and where ---------------------------------------------------------------------------------------------

    def line_of(self, dialled: str | None) -> Line:
        """The line with this number; a number no line claims is served by every agent rather than lost."""
        return (self._line(dialled) if dialled else None) or Line(name="", numbers=())

    def has_line(self, number: str) -> bool:
        """Whether it is the number of a line."""
        return self._line(number) is not None

    def _line(self, number: str) -> Line | None:
        """As it is written, with + or without, else by what the site's habits make of it."""
        return self.line_by_number.get(_digits(number)) or self.line_by_number.get(self.normalise(number) or "")

    def local(self, at: float) -> datetime:
        return datetime.fromtimestamp(at, self.zone)

    def call(self, call_id: CallId) -> Call | None:
        """The call with this id, or the one it was merged into."""
        while call_id in self.merged:
            call_id = self.merged[call_id]
        return self.calls.get(call_id)

    def conversations(self, desk: Desk) -> list[Conversation]:
        """The calls with customers the agent talks in, the newest last; of one who talks in none, those that are on hold."""
        found: dict[CallId, Conversation] = {}
        for leg_id, (call_id, answered) in desk.legs.items():
            call = self.call(call_id)
            leg = call.legs.get(leg_id) if call is not None else None
            if call is None or leg is None or call.direction is Direction.INTERNAL:
                continue
            if answered and leg.live and any(talk.customer for talk in leg.talks):
                found[call.id] = Conversation(call, leg)
        talking = [one for one in found.values() if one.leg.talking is not None and one.leg.held_since is None]
        return talking or list(found.values())

    def agent_at(self, endpoint: Endpoint) -> AgentId | None:
        return self.seats.get(endpoint)

    def is_agents_phone(self, endpoint: Endpoint) -> bool:
        """Whether an agent sits, or by the roster may sit, at this endpoint."""
        return endpoint in self.seats or endpoint in self.roster_phones

    def phone(self, endpoint: Endpoint) -> Phone:
        phone = self.phones.get(endpoint)
        if phone is None:
            phone = self.phones[endpoint] = Phone(changed=self.changed_phones, id=endpoint)
        return phone

    def desk(self, agent: Agent, at: float) -> Desk:
        """The agent's desk, made where there is none."""
        desk = self.desks.get(agent.id)
        if desk is None:
            desk = self.desks[agent.id] = Desk(changed=self.changed_agents, agent=agent, since=at)
        return desk

    def seating(self, at: float) -> Seating:
        """Who is idle, in the order of the rule, as things stand at ``at``."""
        self._seating.refresh(at)
        return self._seating

    def room(self) -> WaitingRoom:
        """Who waits and is ready to be offered, as things stand."""
        self._room.refresh()
        return self._room

    # -- what follows ----------------------------------------------------------------------------------------------

    def do(self, action: Action) -> None:
        self.out.append(action)

    def touch(self, call: Call) -> None:
        self.touched_calls[call.id] = None

    def touch_desk(self, desk: Desk) -> None:
        self.touched_desks[desk.id] = None

    def move(self, call: Call, phase: Phase) -> None:
        """Move the call through the table of phases; a move that is not in it is noted and made all the same."""
        if phase is not call.phase:
            if phase not in call_phases.MOVES[call.phase]:
                self.do(NoteOddity(what=f"call moved from {call.phase} to {phase}", call_id=call.id))
            call.phase = phase
        if phase is Phase.HELD:
            self.waiting[call.id] = None
        else:
            self.waiting.pop(call.id, None)
            if phase in (Phase.TALKING, Phase.ENDED):
                call.hold = None

    def pop(self, call: Call, leg: Leg, state: PopState, at: float) -> None:
        """Show the call on the screen of the leg's agent."""
        if leg.agent is None:
            return
        ticket = call.ticket or (call.file.history[0] if call.file.history else None)
        leg.pop = Pop(
            agent=leg.agent,
            call_id=call.id,
            state=state,
            at=at,
            caller=call.file.number or call.caller,
            dialled=call.dialled,
            file=call.file,
            ticket=ticket,
            decision=call.decisions[-1] if leg.offered and call.decisions else None,
            notices=self._notices(call, at) if leg.notice is None else (leg.notice, *self._notices(call, at)),
        )
        self.do(ShowPop(pop=leg.pop))

    def _notices(self, call: Call, at: float) -> tuple[Said, ...]:
        """What whoever takes this call should know besides who it is."""
        if call.direction is not Direction.INBOUND:
            return call.notices
        notices = list(call.notices)
        if call.refused:
            notices.append(say(Code.UNRECORDED))
        if vain := self.in_vain.times(call, at):
            notices.append(say(Code.IN_VAIN, count=vain))
        if call.file.contact is None and call.file.matches:
            notices.append(say(Code.NUMBER_SHARED, count=len(call.file.matches)))
        if call.customer_id is not None:
            others = sum(
                other.customer_id == call.customer_id and other.live and other.direction is Direction.INBOUND
                for other in self.under_way.values()
                if other is not call
            )
            if others:
                notices.append(say(Code.MORE_CALLS, count=others))
        return tuple(notices)

    def settle(self, at: float) -> list[Action]:
        """All that this event led to, with the books on what it touched; the slate is clean afterwards."""
        phones = [phone for agent_id in self.touched_desks for phone in self._settle_desk(agent_id, at)]
        for phone in phones:
            self._keep_member(phone)
        for call_id in self.touched_calls:
            if (call := self.calls.get(call_id)) is not None:
                if call.live:
                    self.under_way[call_id] = call
                else:
                    self.under_way.pop(call_id, None)
                record = call.record()
                self.do(SaveCall(call=record))
                self.do(ShowCall(call=record, waiting=call.shown_waiting()))
        out, self.out = self.out, []
        self.touched_desks.clear()
        self.touched_calls.clear()
        return out

    def _settle_desk(self, agent_id: AgentId, at: float) -> tuple[Endpoint, ...]:
        """Show and save what has changed; the phones where the agent sits now and sat before, if anything has."""
        desk = self.desks[agent_id]
        state = desk.derived(self.phones.get(desk.phone) if desk.phone is not None else None)
        if state is not desk.state:
            if state not in agent_states.MOVES[desk.state]:
                self.do(NoteOddity(what=f"agent moved from {desk.state} to {state}", agent=agent_id))
            if desk.state is AgentState.OFFLINE:
                self.presence.began(agent_id, SESSION, at)
            elif state is AgentState.OFFLINE:
                self.presence.stopped(agent_id, SESSION, at)
            desk.state, desk.since = state, at
            self.serve = self.serve or state is AgentState.IDLE
        status = desk.status(self.ledger.today(agent_id, at), self._paused_until(desk))
        before = self.shown.get(agent_id)
        if status == before:
            return ()
        self.shown[agent_id] = status
        self.do(ShowAgent(status=status))
        self.do(SaveAgent(status=status))
        return tuple(s.phone for s in (before, status) if s is not None and s.phone is not None)

    def _paused_until(self, desk: Desk) -> float | None:
        """When the recording of the call goes on in which the agent talks; ``None`` while any of several is not paused."""
        gaps = [one.call.paused for one in self.conversations(desk)]
        paused = [gap.until for gap in gaps if gap is not None]
        return min(paused) if paused and len(paused) == len(gaps) else None

    def _keep_member(self, endpoint: Endpoint) -> None:
        """Say whether the fallback queue is to ring this phone from now on, if that has changed."""
        agent = self.seats.get(endpoint)
        member = (agent, self.desks[agent].pause_reason is not None) if agent is not None else None
        if member == self.members.get(endpoint):
            return
        if member is None:
            del self.members[endpoint]
        else:
            self.members[endpoint] = member
        self.do(KeepMember(endpoint=endpoint, agent=agent, paused=member is not None and member[1]))


def _digits(number: str) -> str:
    return number.lstrip("+") or number
