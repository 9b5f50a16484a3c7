"""A recorded day lived through once more, under any policy: the callers of that day meet the real core.

Law: the core decides, as live; this file plays the world around it (callers, phones, conversations, the PBX's answers) and
nothing else. Discrete events, no chance: the same day under the same policy gives the same calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import heappop, heappush

from ctid.domain import events as ev
from ctid.domain.acd import Acd
from ctid.domain.actions import Action, LookUpCaller, Overflow, Ring, SaveCall
from ctid.domain.types import (
    UNKNOWN_CALLER,
    Agent,
    AgentId,
    CallerFile,
    CallId,
    CallRecord,
    Direction,
    Endpoint,
    LegResult,
    Line,
    Policy,
)

_TRUNK = "trunk"
_WHY = {
    LegResult.NO_ANSWER: "NOANSWER",
    LegResult.BUSY: "BUSY",
    LegResult.REJECTED: "REJECTED",
    LegResult.UNREACHABLE: "CHANUNAVAIL",
    LegResult.FAILED: "CONGESTION",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A caller of the day. ``patience`` is how many seconds they waited before they gave up, ``None`` for who never did."""

    call: CallId
    at: float
    caller: str | None
    dialled: str | None
    talk_seconds: float
    patience: float | None = None
    file: CallerFile = UNKNOWN_CALLER


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """What an agent did with an offer: ``after`` seconds of ringing answered it, or let it end with ``result``."""

    after: float
    result: LegResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """All of a recorded day that is the same under every policy.

    ``staff`` are the sign-ins and pauses, ``others`` the calls that ctid did not route, both as they happened. An agent goes
    through their ``habits`` in order, and begins anew at the end; who has none does as the rest.
    """

    agents: tuple[Agent, ...]
    arrivals: tuple[Arrival, ...]
    staff: tuple[ev.Event, ...]
    others: tuple[ev.Event, ...]
    habits: Mapping[AgentId, tuple[Habit, ...]]
    usual: Habit


def rerun(day: Day, policy: Policy, lines: tuple[Line, ...]) -> list[CallRecord]:
    """The day's routed calls as they would have gone under ``policy`` and ``lines``, in order of arrival.

    Nobody is paused for missed calls: that they came back is not in the recording.
    """
    acd = Acd(replace(policy, missed_in_a_row=0), lines, "rerun")
    return _World(day, acd).lived()


@dataclass(slots=True, kw_only=True)
class _Caller:
    arrival: Arrival
    seq: int = 1
    legs: int = 0
    ringing: tuple[str, Endpoint] | None = None  # the leg, and the phone
    talking: bool = False
    gone: bool = False


@dataclass(slots=True)
class _World:
    day: Day
    acd: Acd
    queue: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    callers: dict[CallId, _Caller] = field(default_factory=dict)
    records: dict[CallId, CallRecord] = field(default_factory=dict)
    owners: dict[str, AgentId] = field(default_factory=dict)
    offers: dict[AgentId, int] = field(default_factory=dict)
    in_use: dict[Endpoint, int] = field(default_factory=dict)
    agent_at: dict[Endpoint, AgentId] = field(default_factory=dict)
    legs_elsewhere: dict[str, Endpoint] = field(default_factory=dict)
    counter: int = 0

    def lived(self) -> list[CallRecord]:
        day = self.day
        self.agent_at = {agent.phone: agent.id for agent in day.agents if agent.phone is not None}
        times = [event.at for event in (*day.staff, *day.others)] + [arrival.at for arrival in day.arrivals]
        begins = min(times, default=0.0) - 1
        self.tell(ev.RosterLoaded(at=begins, agents=day.agents))
        for endpoint in self.agent_at:
            self.tell(ev.PhoneReached(at=begins, endpoint=endpoint, reachable=True))
        self.tell(ev.LinkOpened(at=begins))
        for event in day.staff:
            self.plan(event.at, partial(self.at_its_time, event))
        for event in day.others:
            self.plan(event.at, partial(self.elsewhere, event))
        for arrival in day.arrivals:
            self.plan(arrival.at, partial(self.arrive, arrival))
        while self.queue or self.waiting():
            due = self.acd.next_deadline
            if self.queue and (due is None or self.queue[0][0] < due):
                at, _, happen = heappop(self.queue)
                happen(at)
            elif due is not None:
                self.tell(ev.TimePassed(at=due))
            else:
                break
        return [self.records[a.call] for a in day.arrivals if a.call in self.records]

    def waiting(self) -> bool:
        return any(not caller.gone for caller in self.callers.values())

    def plan(self, at: float, happen: Callable[[float], None]) -> None:
        self.counter += 1
        heappush(self.queue, (at, self.counter, happen))

    def tell(self, event: ev.Event) -> None:
        """Give the core one event, and do what it says."""
        for action in self.acd.handle(event):
            self.obey(action, event.at)

    def obey(self, action: Action, at: float) -> None:
        match action:
            case SaveCall(call=record):
                self.records[record.id] = record
            case LookUpCaller(call_id=call) if call in self.callers:
                self.tell(ev.CallerIdentified(at=at, call_id=call, file=self.file(self.callers[call].arrival)))
            case LookUpCaller(call_id=call):
                self.tell(ev.CallerLookupFailed(at=at, call_id=call))
            case Ring(call_id=call):
                self.plan(at, partial(self.ring, self.callers[call], action))
            case Overflow(call_id=call):
                self.plan(at, partial(self.sent_away, self.callers[call], action))

    def file(self, arrival: Arrival) -> CallerFile:
        """Who is calling; the agent who first answered them that day owns their ticket, unless a ticket says otherwise."""
        learnt = self.owners.get(arrival.caller) if arrival.caller is not None else None
        owner = arrival.file.owner if arrival.file.owner is not None else learnt
        return replace(arrival.file, owner=owner)

    # -- what callers do -------------------------------------------------------------------------------------------

    def arrive(self, arrival: Arrival, at: float) -> None:
        caller = self.callers[arrival.call] = _Caller(arrival=arrival)
        call, dialled = arrival.call, arrival.dialled
        self.tell(ev.CallStarted(at=at, call_id=call, caller=arrival.caller, dialled=dialled, endpoint=_TRUNK))
        self.tell(
            ev.CallEntered(at=at, call_id=call, direction=Direction.INBOUND, dialled=dialled, leg_id=f"{call}-caller")
        )
        self.tell(ev.CallerHeld(at=at, call_id=call, channel=call, seq=caller.seq, dialled=dialled))
        if arrival.patience is not None:
            self.plan(at + arrival.patience, partial(self.give_up, caller))

    def give_up(self, caller: _Caller, at: float) -> None:
        if caller.gone or caller.talking:
            return
        self.stop_ringing(caller, LegResult.CANCELLED, at)
        self.leave(caller, at)

    def sent_away(self, caller: _Caller, action: Overflow, at: float) -> None:
        if not caller.gone and action.seq == caller.seq:
            self.tell(ev.CallOverflowed(at=at, call_id=action.call_id, to=action.to))
            self.leave(caller, at)

    def leave(self, caller: _Caller, at: float) -> None:
        caller.gone = True
        self.tell(ev.CallEnded(at=at, call_id=caller.arrival.call))

    # -- what phones do --------------------------------------------------------------------------------------------

    def ring(self, caller: _Caller, action: Ring, at: float) -> None:
        if caller.gone or action.seq != caller.seq:
            return
        call, endpoint = caller.arrival.call, action.endpoint
        caller.legs += 1
        leg = f"{call}-{caller.legs}"
        caller.ringing = leg, endpoint
        self.use(endpoint, 1, at)
        self.tell(ev.LegOffered(at=at, call_id=call, leg_id=leg, endpoint=endpoint, party=endpoint))
        self.tell(ev.LegRang(at=at, call_id=call, leg_id=leg))
        habit = self.habit(self.agent_at.get(endpoint, endpoint))
        if habit.after >= action.seconds:
            habit = Habit(after=action.seconds, result=LegResult.NO_ANSWER)
        if habit.result is None:
            self.plan(at + habit.after, partial(self.answer, caller, leg, endpoint))
        else:
            self.plan(at + habit.after, partial(self.refuse, caller, leg, habit.result))

    def habit(self, agent: AgentId) -> Habit:
        habits = self.day.habits.get(agent) or (self.day.usual,)
        turn = self.offers[agent] = self.offers.get(agent, -1) + 1
        return habits[turn % len(habits)]

    def answer(self, caller: _Caller, leg: str, endpoint: Endpoint, at: float) -> None:
        if caller.ringing != (leg, endpoint):
            return
        call, number = caller.arrival.call, caller.arrival.caller
        caller.ringing, caller.talking = None, True
        if number is not None:
            self.owners.setdefault(number, self.agent_at.get(endpoint, endpoint))
        self.tell(ev.LegAnswered(at=at, call_id=call, leg_id=leg))
        self.tell(ev.TalkStarted(at=at, call_id=call, leg_id=leg, peers=(_TRUNK,)))
        self.plan(at + caller.arrival.talk_seconds, partial(self.hang_up, caller, leg, endpoint))

    def hang_up(self, caller: _Caller, leg: str, endpoint: Endpoint, at: float) -> None:
        call = caller.arrival.call
        self.tell(ev.TalkStopped(at=at, call_id=call, leg_id=leg))
        self.tell(ev.LegEnded(at=at, call_id=call, leg_id=leg))
        self.leave(caller, at)
        self.use(endpoint, -1, at)

    def refuse(self, caller: _Caller, leg: str, result: LegResult, at: float) -> None:
        if caller.ringing is None or caller.ringing[0] != leg:
            return
        self.stop_ringing(caller, result, at)
        caller.seq += 1
        arrival = caller.arrival
        self.tell(
            ev.CallerHeld(
                at=at,
                call_id=arrival.call,
                channel=arrival.call,
                seq=caller.seq,
                dialled=arrival.dialled,
                why=_WHY.get(result, "NOANSWER"),
            )
        )

    def stop_ringing(self, caller: _Caller, result: LegResult, at: float) -> None:
        if caller.ringing is not None:
            leg, endpoint = caller.ringing
            caller.ringing = None
            self.tell(ev.LegEnded(at=at, call_id=caller.arrival.call, leg_id=leg, result=result))
            self.use(endpoint, -1, at)

    def use(self, endpoint: Endpoint, change: int, at: float) -> None:
        self.in_use[endpoint] = max(0, self.in_use.get(endpoint, 0) + change)
        self.tell(ev.PhoneUsed(at=at, endpoint=endpoint, channels=self.in_use[endpoint]))

    # -- what is as it was -----------------------------------------------------------------------------------------

    def at_its_time(self, event: ev.Event, _at: float) -> None:
        self.tell(event)

    def elsewhere(self, event: ev.Event, _at: float) -> None:
        """A call that ctid did not route happens as it happened, and keeps its phones busy."""
        if isinstance(event, ev.LegOffered) and event.leg_id not in self.legs_elsewhere:
            self.legs_elsewhere[event.leg_id] = event.endpoint
            self.use(event.endpoint, 1, event.at)
        self.tell(event)
        if isinstance(event, ev.LegEnded) and (endpoint := self.legs_elsewhere.pop(event.leg_id, None)) is not None:
            self.use(endpoint, -1, event.at)
