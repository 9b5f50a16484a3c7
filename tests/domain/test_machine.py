"""Whatever happens in whatever order: a state machine plays callers, agents and a PBX that stalls, refuses and forgets.

Invariants: no agent holds two calls, each call ends once, talk time never shrinks within a day and is cut at midnight, a
caller is served while an allowed agent is idle, and at any moment the indices say what a look at everybody would say.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.acd import Acd
from ctid.domain.call import Phase
from ctid.domain.ledger import day_bounds
from ctid.domain.types import (
    Agent,
    AgentState,
    CallerFile,
    Direction,
    LegResult,
    Line,
    Policy,
)
from tests.domain import naive

AGENTS = ("ann", "bob", "cho", "dan")
OPEN, GATED, OWN, AHEAD = "4001", "4002", "4003", "4004"
LINES = (
    Line(name="open", numbers=(OPEN,), longest_wait_seconds=1e6),
    Line(name="gated", numbers=(GATED,), agents=("ann", "bob"), level_gate=True, longest_wait_seconds=1e6),
    Line(name="own", numbers=(OWN,), agents=("cho",), owner_from_outside=False, longest_wait_seconds=1e6),
    Line(name="ahead", numbers=(AHEAD,), agents=(), level_gate=True, priority=2, longest_wait_seconds=1e6),
)


class CallCentre(RuleBasedStateMachine):
    """The PBX's truth is kept here, apart from the core's: who is held, ringing, in conversation, and for how long."""

    #: 23:40: many runs cross midnight.
    timezone, start = "Asia/Shanghai", 1772466000.0

    def __init__(self) -> None:
        super().__init__()
        self.policy = Policy(timezone=self.timezone, wrap_up_seconds=7, ring_seconds=15, missed_in_a_row=2)
        self.acd = Acd(self.policy, LINES, "lab")
        self.now = self.start
        self.number = 0
        self.held: dict[str, int] = {}  # call -> sequence number, in the dialplan's loop
        self.routes: dict[
            str, tuple[int, str, float]
        ] = {}  # call -> (sequence number, phone) committed, not yet dialled
        self.ringing: dict[str, tuple[str, str]] = {}  # call -> (leg, phone)
        self.talking: dict[str, tuple[str, str, float]] = {}  # call -> (leg, phone, since)
        self.seated: dict[str, str] = {}  # phone -> agent
        self.spans: list[tuple[str, float, float]] = []  # (agent, from, to) of customer talk
        self.signed_in: dict[str, float] = {}  # agent -> since
        self.sessions: list[tuple[str, float, float]] = []  # (agent, from, to), those that are over
        self.asked: list[str] = []
        self.ended: Counter[str] = Counter()
        self.over: set[str] = set()
        self.linked = False
        self.last_talk: dict[str, tuple[float, float]] = {}
        self.roster: dict[str, Agent] = {}

    # -- the world -----------------------------------------------------------------------------------------------------

    def tell(self, event: ev.Event) -> list[act.Action]:
        made = self.acd.handle(event)
        for action in made:
            if isinstance(action, act.Ring):
                phone = action.endpoint
                if self.held.get(action.call_id) == action.seq:  # else the dialplan's fence throws it away
                    self.routes.pop(action.call_id, None)
                    assert not self.in_use(phone), f"{phone} was rung while in use"
                    self.routes[action.call_id] = (action.seq, phone, self.now)
            elif isinstance(action, act.LookUpCaller):
                self.asked.append(action.call_id)
            elif isinstance(action, act.NoteCallEnded):
                self.ended[action.call.id] += 1
        return made

    def in_use(self, phone: str) -> bool:
        live = [p for _, p in self.ringing.values()] + [p for _, p, _ in self.talking.values()]
        return phone in live or phone in {p for _, p, _ in self.routes.values()}

    def say_use(self, phone: str) -> None:
        count = sum(p == phone for _, p in self.ringing.values()) + sum(p == phone for _, p, _ in self.talking.values())
        self.tell(ev.PhoneUsed(at=self.now, endpoint=phone, channels=count))

    @initialize()
    def open_up(self) -> None:
        self.roster_changes("dan", level=1, lines=("own", "ahead"), enabled=True)
        for agent in AGENTS:
            self.tell(ev.PhoneReached(at=self.now, endpoint=agent, reachable=True))
        self.tell(ev.LinkOpened(at=self.now))
        self.linked = True
        for agent in AGENTS[1:]:
            self.sign_in(agent, agent)

    # -- people --------------------------------------------------------------------------------------------------------

    @rule(agent=st.sampled_from(AGENTS), phone=st.sampled_from(AGENTS))
    def sign_in(self, agent: str, phone: str) -> None:
        made = self.tell(ev.SignInAsked(at=self.now, request=ev.Request(agent=agent, id="1"), phone=phone))
        if any(isinstance(a, act.Reply) and a.error is not None for a in made):
            return
        former = self.seated.get(phone)
        if former is not None and former != agent:
            self.leaves(former)
        self.seated = {p: a for p, a in self.seated.items() if a != agent}
        self.seated[phone] = agent
        self.signed_in.setdefault(agent, self.now)

    def leaves(self, agent: str) -> None:
        self.seated = {p: a for p, a in self.seated.items() if a != agent}
        if agent in self.signed_in:
            self.sessions.append((agent, self.signed_in.pop(agent), self.now))

    @rule(agent=st.sampled_from(AGENTS))
    def sign_out(self, agent: str) -> None:
        self.tell(ev.SignOutAsked(at=self.now, request=ev.Request(agent=agent, id="1")))
        self.leaves(agent)

    @rule(
        who=st.sampled_from(AGENTS),
        level=st.integers(1, 3),
        lines=st.sampled_from([(), ("own",), ("ahead", "gated")]),
        enabled=st.sampled_from([True, True, False]),
    )
    def roster_changes(self, who: str, level: int, lines: tuple[str, ...], enabled: bool) -> None:
        if who not in self.roster:
            self.roster = {a: Agent(id=a, name=a, phone=a, level=1 + n % 3) for n, a in enumerate(AGENTS)}
        self.roster[who] = Agent(id=who, name=who, phone=who, level=level, lines=lines, enabled=enabled)
        self.tell(ev.RosterLoaded(at=self.now, agents=tuple(self.roster.values())))
        if not enabled:
            self.leaves(who)

    @rule(agent=st.sampled_from(AGENTS), away=st.booleans())
    def pause(self, agent: str, away: bool) -> None:
        me = ev.Request(agent=agent, id="1")
        self.tell(
            ev.PauseAsked(at=self.now, request=me, reason="tea") if away else ev.ResumeAsked(at=self.now, request=me)
        )

    @rule(phone=st.sampled_from(AGENTS), there=st.sampled_from([True, True, False, None]))
    def reach(self, phone: str, there: bool | None) -> None:
        self.tell(ev.PhoneReached(at=self.now, endpoint=phone, reachable=there))

    # -- callers -------------------------------------------------------------------------------------------------------

    @rule(line=st.sampled_from([OPEN, OPEN, GATED, OWN, AHEAD]))
    def arrive(self, line: str) -> None:
        self.number += 1
        call = f"c{self.number}"
        self.tell(ev.CallStarted(at=self.now, call_id=call, caller="1", dialled=line, endpoint="trunk"))
        self.tell(ev.CallEntered(at=self.now, call_id=call, direction=Direction.INBOUND, dialled=line, leg_id=call))
        self.held[call] = 1
        self.hold(call, None)

    def hold(self, call: str, why: str | None) -> None:
        channel = f"PJSIP/trunk-{call}"
        self.tell(ev.CallerHeld(at=self.now, call_id=call, channel=channel, seq=self.held[call], dialled=None, why=why))

    @precondition(lambda self: self.asked)
    @rule(owner=st.sampled_from([None, *AGENTS, "gone"]), level=st.integers(1, 5), fails=st.booleans())
    def lookup_answers(self, owner: str | None, level: int, fails: bool) -> None:
        call = self.asked.pop(0)
        if fails:
            self.tell(ev.CallerLookupFailed(at=self.now, call_id=call))
        else:
            self.tell(ev.CallerIdentified(at=self.now, call_id=call, file=CallerFile(owner=owner, level=level)))

    @precondition(lambda self: self.routes)
    @rule(data=st.data())
    def phone_rings(self, data: st.DataObject) -> None:
        self.ring(data.draw(st.sampled_from(sorted(self.routes))))

    def ring(self, call: str) -> None:
        _, phone, _ = self.routes.pop(call)
        del self.held[call]
        self.number += 1
        leg = f"{phone}-{self.number}"
        self.ringing[call] = (leg, phone)
        self.say_use(phone)
        self.tell(ev.LegOffered(at=self.now, call_id=call, leg_id=leg, endpoint=phone, party=phone))
        self.tell(ev.LegRang(at=self.now, call_id=call, leg_id=leg))

    @precondition(lambda self: self.routes)
    @rule(data=st.data(), how=st.sampled_from(["refused", "lost", "unreachable"]))
    def route_comes_to_nothing(self, data: st.DataObject, how: str) -> None:
        """The PBX refuses the route, never gets it, or finds the phone gone before it rings."""
        call = data.draw(st.sampled_from(sorted(self.routes)))
        seq, _, _ = self.routes.pop(call)
        if how == "refused":
            self.tell(ev.RouteRefused(at=self.now, call_id=call, seq=seq, reason="No such channel"))
        elif how == "unreachable":
            self.held[call] = seq + 1
            self.hold(call, "CHANUNAVAIL")

    @precondition(lambda self: self.ringing)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        self.pick_up(data.draw(st.sampled_from(sorted(self.ringing))))

    def pick_up(self, call: str) -> None:
        leg, phone = self.ringing.pop(call)
        self.talking[call] = (leg, phone, self.now)
        self.tell(ev.LegAnswered(at=self.now, call_id=call, leg_id=leg))
        self.tell(ev.TalkStarted(at=self.now, call_id=call, leg_id=leg, peers=("trunk",)))

    @precondition(lambda self: self.ringing)
    @rule(data=st.data(), how=st.sampled_from([("NOANSWER", LegResult.NO_ANSWER), ("BUSY", LegResult.BUSY)]))
    def miss(self, data: st.DataObject, how: tuple[str, LegResult]) -> None:
        call = data.draw(st.sampled_from(sorted(self.ringing)))
        leg, phone = self.ringing.pop(call)
        self.tell(ev.LegEnded(at=self.now, call_id=call, leg_id=leg, result=how[1]))
        self.say_use(phone)
        desk = self.acd.world.calls[call]
        seq = desk.hold.seq if desk.hold else 1
        self.held[call] = seq + 1
        self.hold(call, how[0])

    @rule(data=st.data())
    def hang_up(self, data: st.DataObject) -> None:
        live = sorted({*self.held, *self.ringing, *self.talking})
        if not live:
            return
        self.give_up(data.draw(st.sampled_from(live)))

    def give_up(self, call: str) -> None:
        self.held.pop(call, None)
        self.routes.pop(call, None)
        if call in self.ringing:
            leg, phone = self.ringing.pop(call)
            self.tell(ev.LegEnded(at=self.now, call_id=call, leg_id=leg, result=LegResult.CANCELLED))
            self.say_use(phone)
        if call in self.talking:
            self.end_talk(call)
        self.over.add(call)
        self.tell(ev.CallEnded(at=self.now, call_id=call))

    @rule(line=st.sampled_from([OPEN, GATED, OWN]), seconds=st.sampled_from([1, 20, 600]))
    def a_whole_call(self, line: str, seconds: float) -> None:
        """As most days are made of; in ones and twos the steps of it seldom come in this order."""
        self.arrive(line)
        call = f"c{self.number}"
        while self.asked:
            self.lookup_answers(None, 1, fails=True)
        if call in self.routes:
            self.ring(call)
            self.pick_up(call)
            self.wait(seconds)
            self.give_up(call)
            self.wait(20)

    def end_talk(self, call: str) -> None:
        leg, phone, since = self.talking.pop(call)
        agent = self.acd.world.calls[call].legs[leg].agent
        if agent is not None:
            self.spans.append((agent, since, self.now))
        self.tell(ev.TalkStopped(at=self.now, call_id=call, leg_id=leg))
        self.tell(ev.LegEnded(at=self.now, call_id=call, leg_id=leg))
        self.say_use(phone)

    # -- time and the link ---------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.01, 1, 6, 20, 40, 400, 3000]))
    def wait(self, seconds: float) -> None:
        for call in [c for c, (_, _, at) in self.routes.items() if self.now - at > 2]:
            del self.routes[call]  # the command was lost: the dialplan finds a route within a second
        until = self.now + seconds
        while (deadline := self.acd.next_deadline) is not None and deadline <= until and not self.routes:
            self.now = max(self.now, deadline)
            self.tell(ev.TimePassed(at=self.now))
        self.now = min(until, self.now + 1) if self.routes else until  # the dialplan finds a route within a second
        self.tell(ev.TimePassed(at=self.now))

    @precondition(lambda self: self.linked)
    @rule()
    def link_breaks_and_heals(self) -> None:
        """Whoever is held, ringing or in conversation is told again, as a snapshot tells it."""
        self.tell(ev.LinkLost(at=self.now))
        self.routes.clear()
        self.also_there()
        for call in sorted({*self.held, *self.ringing, *self.talking}):
            self.tell(ev.CallStarted(at=self.now, call_id=call, caller="1", endpoint="trunk"))
        legs = {**self.ringing, **{c: (leg, phone) for c, (leg, phone, _) in self.talking.items()}}
        for call, (leg, phone) in legs.items():
            self.say_use(phone)
            self.tell(ev.LegOffered(at=self.now, call_id=call, leg_id=leg, endpoint=phone, party=phone))
            if call in self.talking:
                self.tell(ev.LegAnswered(at=self.now, call_id=call, leg_id=leg))
                self.tell(ev.TalkStarted(at=self.now, call_id=call, leg_id=leg, peers=("trunk",)))
        for agent in AGENTS:
            self.tell(ev.PhoneReached(at=self.now, endpoint=agent, reachable=True))
        for call in self.held:
            self.hold(call, None)
        self.tell(ev.LinkOpened(at=self.now))

    def also_there(self) -> None:
        """What else a snapshot has, for those who play more."""

    # -- what must always hold -----------------------------------------------------------------------------------------

    @invariant()
    def no_agent_holds_two_calls(self) -> None:
        world = self.acd.world
        offered = Counter(c.offer.agent for c in world.calls.values() if c.live and c.offer is not None)
        assert all(count == 1 for count in offered.values()), offered
        for desk in world.desks.values():
            calls = {call_id for call_id, _ in desk.legs.values()}
            if desk.reserved_for is not None:
                calls.add(desk.reserved_for)
            assert len(calls) <= 1, (desk.id, calls)

    @invariant()
    def each_call_ends_once(self) -> None:
        assert all(count == 1 for count in self.ended.values()), self.ended
        assert self.over == set(self.ended), self.over ^ set(self.ended)

    @invariant()
    def talk_is_what_was_spoken_today_and_never_shrinks(self) -> None:
        world = self.acd.world
        midnight, _ = day_bounds(self.now, world.zone)
        for agent in AGENTS:
            mine = [(a, b) for who, a, b in self.spans if who == agent]
            for call, (leg, _, since) in self.talking.items():
                if world.calls[call].legs[leg].agent == agent:
                    mine.append((since, self.now))
            expected = _covered([(max(a, midnight), b) for a, b in mine if b > midnight])
            told = world.ledger.today(agent, self.now)
            assert abs(told - expected) < 1e-6, (agent, told, expected)
            day, before = self.last_talk.get(agent, (midnight, 0.0))
            assert day != midnight or told >= before - 1e-6
            self.last_talk[agent] = (midnight, told)

    @invariant()
    def a_waiting_caller_is_served_while_an_allowed_agent_is_idle(self) -> None:
        world = self.acd.world
        if not world.linked:
            return
        idle = [desk for desk in world.desks.values() if naive.skip(world, desk) is None]
        for call in world.calls.values():
            if call.waiting and call.line is not None:
                able = [
                    d.id
                    for d in idle
                    if naive.serves(d, call.line)
                    and naive.barred(d, call.line, call.file) is None
                    and d.id not in call.tried
                ]
                assert not able, f"{call.id} waits while {able} are idle"

    @invariant()
    def a_look_at_everybody_says_what_the_indices_say(self) -> None:
        naive.agrees(self.acd.world, self.now)

    @invariant()
    def presence_is_the_time_signed_in_today(self) -> None:
        midnight, _ = day_bounds(self.now, self.acd.world.zone)
        for agent in AGENTS:
            mine = [(a, b) for who, a, b in self.sessions if who == agent]
            if agent in self.signed_in:
                mine.append((self.signed_in[agent], self.now))
            expected = _covered([(max(a, midnight), b) for a, b in mine if b > midnight])
            assert abs(self.acd.world.presence.today(agent, self.now) - expected) < 1e-6

    @invariant()
    def a_held_caller_is_waiting_or_offered(self) -> None:
        for call in self.held:
            assert self.acd.world.calls[call].phase in {Phase.HELD, Phase.OFFERED}, self.acd.world.calls[call].phase

    @invariant()
    def states_agree_with_the_phones(self) -> None:
        for phone, agent in self.seated.items():
            state = self.acd.world.desks[agent].state
            if any(p == phone for _, p, _ in self.talking.values()) and agent == self.acd.world.seats.get(phone):
                assert state is not AgentState.IDLE


def _covered(spans: list[tuple[float, float]]) -> float:
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


class NightOfTheClocks(CallCentre):
    """The evening before a day of 25 hours, 23:40 in Berlin."""

    timezone, start = "Europe/Berlin", 1792878000.0


def _runs(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=50,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


TestCallCentre = CallCentre.TestCase
TestCallCentre.settings = _runs(200)
TestNightOfTheClocks = NightOfTheClocks.TestCase
TestNightOfTheClocks.settings = _runs(60)
