"""Part ``deciding``: what a decision costs among many agents and many callers, against among few, on a busy day.

Law: only events go in. *A decision* times the one event that makes the core choose (``CallerHeld``), from the call to the
actions with the ``Ring`` in it; *a whole call* times every event from the caller's ring until the agent is idle again, and so
what keeping the indices costs. All is processor time, and of the same calls in every size.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Mapping, Sequence

from bench.figures import Figure, ratios
from bench.floor import START
from bench.streams import agent
from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.acd import Acd
from ctid.domain.types import Agent, AgentState, AgentStatus, CallerFile, Direction, Line, Policy, Rule, Ticket

RUNS = 5
CALLS = 50
AGENTS = (100, 1_000, 10_000)
CALLERS = (10, 100, 1_000)
MORNING = START - 3 * 3600
NUMBERS = ("4001", "4002", "4003", "4004", "4005")


def lines(agents: Sequence[str]) -> tuple[Line, ...]:
    """Two lines for everyone, one of them with a level gate; two for half of the agents each; one for a tenth."""
    of = (None, None, tuple(agents[::2]), tuple(agents[1::2]), tuple(agents[::10]))
    return tuple(
        Line(name=f"line{number}", numbers=(number,), agents=own, level_gate=number == NUMBERS[1])
        for number, own in zip(NUMBERS, of, strict=True)
    )


class Day:
    """A core three hours into its day: of ten agents six are idle, two talk to customers, one is paused, one signed out."""

    def __init__(self, agents: int, fairness: Rule = Rule.LEAST_TALK) -> None:
        self._chance = random.Random(agents)
        self._calls = 0
        self._at = START
        self._agents = [agent(seat) for seat in range(agents)]
        self.acd = Acd(Policy(wrap_up_seconds=0.0, fairness=fairness), lines(self._agents), "bench")
        self._people_sit_down()
        self.last_decision = 0.0
        """Seconds of the newest decision."""
        for number in range(agents // 5):
            self.answered(*self.arrives(NUMBERS[0]))
            if not number:
                self.first_decision = self.last_decision

    def _people_sit_down(self) -> None:
        roster = [Agent(id=name, name=name, phone=name, level=1 + n % 3) for n, name in enumerate(self._agents)]
        self.acd.handle(ev.RosterLoaded(at=START, agents=tuple(roster)))
        statuses = tuple(
            AgentStatus(
                agent=name,
                state=AgentState.PAUSED if n % 10 == 8 else AgentState.IDLE,
                reason="lunch" if n % 10 == 8 else None,
                since=START - self._chance.uniform(0, 1800),
                phone=name,
                signed_in_at=MORNING,
            )
            for n, name in enumerate(self._agents)
            if n % 10 != 9
        )
        talks = tuple((name, name, MORNING, MORNING + self._chance.uniform(0, 5400)) for name in self._agents)
        self.acd.handle(ev.BooksRestored(at=START, last_seen_at=START, statuses=statuses, calls=(), talks=talks))
        for name in self._agents:
            self.acd.handle(ev.PhoneReached(at=START, endpoint=name, reachable=True))
        self.acd.handle(ev.LinkOpened(at=START))

    def arrives(self, number: str) -> tuple[str, str]:
        """The next caller, every third with a ticket of somebody's: the call, and the phone it rings."""
        self._calls += 1
        self._at += 0.05
        call = f"call-{self._calls}"
        owner = self._chance.choice(self._agents) if self._calls % 3 == 0 else None
        ticket = Ticket(id="T1", subject="", status="open", severity=1, owner=owner, created_at=1.0)
        file = CallerFile(owner=owner, level=1 + self._calls % 5, history=(ticket,) if owner else ())
        self._tell(
            ev.CallStarted(at=self._at, call_id=call, caller="1", dialled=number, endpoint="trunk"),
            ev.CallEntered(at=self._at, call_id=call, direction=Direction.INBOUND, dialled=number, leg_id=call),
            ev.CallerIdentified(at=self._at, call_id=call, file=file),
        )
        held = ev.CallerHeld(at=self._at, call_id=call, channel=f"PJSIP/trunk-{call}", seq=1, dialled=number)
        began = time.process_time()
        actions = self.acd.handle(held)
        self.last_decision = time.process_time() - began
        return call, next(action.endpoint for action in actions if isinstance(action, act.Ring))

    def answered(self, call: str, phone: str) -> None:
        at, leg = self._at, f"leg-{call}"
        self._tell(
            ev.PhoneUsed(at=at, endpoint=phone, channels=1),
            ev.LegOffered(at=at, call_id=call, leg_id=leg, endpoint=phone, party=phone),
            ev.LegRang(at=at, call_id=call, leg_id=leg),
            ev.LegAnswered(at=at, call_id=call, leg_id=leg),
            ev.TalkStarted(at=at, call_id=call, leg_id=leg, peers=("trunk",)),
        )

    def hung_up(self, call: str, phone: str) -> None:
        self._at += 0.05
        at, leg = self._at, f"leg-{call}"
        self._tell(
            ev.TalkStopped(at=at, call_id=call, leg_id=leg),
            ev.LegEnded(at=at, call_id=call, leg_id=leg),
            ev.PhoneUsed(at=at, endpoint=phone, channels=0),
            ev.CallEnded(at=at, call_id=call),
        )

    def calls(self, count: int) -> tuple[float, float]:
        """Medians over so many calls, to each line in turn: seconds of a decision, seconds of a whole call."""
        decisions, whole = [], []
        for number in range(count):
            began = time.process_time()
            rung = self.arrives(NUMBERS[number % len(NUMBERS)])
            self.answered(*rung)
            self.hung_up(*rung)
            whole.append(time.process_time() - began)
            decisions.append(self.last_decision)
        return statistics.median(decisions), statistics.median(whole)

    def _tell(self, *events: ev.Event) -> None:
        for event in events:
            self.acd.handle(event)


class Crowd:
    """A line on which so many wait for one agent, beside another line whose agent has nothing to do."""

    def __init__(self, callers: int) -> None:
        own = {"4001": "ann", "4002": "bob"}
        of = tuple(Line(name=n, numbers=(n,), agents=(who,), longest_wait_seconds=1e6) for n, who in own.items())
        self.acd = Acd(Policy(wrap_up_seconds=0.0), of, "bench")
        self._calls = 0
        self._at = START
        self.acd.handle(ev.RosterLoaded(at=START, agents=tuple(Agent(id=a, name=a, phone=a) for a in own.values())))
        for who in own.values():
            self.acd.handle(ev.PhoneReached(at=START, endpoint=who, reachable=True))
            self.acd.handle(ev.SignInAsked(at=START, request=ev.Request(agent=who), phone=who))
        self.acd.handle(ev.LinkOpened(at=START))
        self._pause("ann")
        for _ in range(callers):
            self._arrives()

    def seconds(self, count: int) -> tuple[float, float]:
        """Medians over so many: an agent who serves nobody who waits is free; one who is waited for takes the first."""
        idle, taken = [], []
        for _ in range(count):
            self._pause("bob")
            idle.append(self._resume("bob")[0])
            took, actions = self._resume("ann")
            taken.append(took)
            ring = next(action for action in actions if isinstance(action, act.Ring))
            self._pause("ann")
            self.acd.handle(ev.CallEnded(at=self._at, call_id=ring.call_id))
            self._arrives()
        return statistics.median(idle), statistics.median(taken)

    def _arrives(self) -> None:
        self._calls += 1
        self._at += 0.1
        call, at, number = f"call-{self._calls}", self._at, "4001"
        file = CallerFile(level=1 + self._calls % 5, severity=self._calls % 6)
        for event in (
            ev.CallStarted(at=at, call_id=call, caller="1", dialled=number, endpoint="trunk"),
            ev.CallEntered(at=at, call_id=call, direction=Direction.INBOUND, dialled=number, leg_id=call),
            ev.CallerIdentified(at=at, call_id=call, file=file),
            ev.CallerHeld(at=at, call_id=call, channel=f"PJSIP/trunk-{call}", seq=1, dialled=number),
        ):
            self.acd.handle(event)

    def _pause(self, who: str) -> None:
        self.acd.handle(ev.PauseAsked(at=self._at, request=ev.Request(agent=who), reason="lunch"))

    def _resume(self, who: str) -> tuple[float, list[act.Action]]:
        event = ev.ResumeAsked(at=self._at, request=ev.Request(agent=who))
        began = time.process_time()
        actions = self.acd.handle(event)
        return time.process_time() - began, actions


def measure() -> list[Figure]:
    first = {agents: [Day(agents).first_decision for _ in range(RUNS)] for agents in AGENTS}
    decisions, whole = _in_turn({agents: Day(agents) for agents in AGENTS})
    shares, _ = _in_turn({agents: Day(agents, Rule.TALK_SHARE) for agents in AGENTS})
    idle, taken = _in_turn({callers: Crowd(callers) for callers in CALLERS})
    return [
        *_figures("the day's first decision", first, "agents", "<= 2"),
        *_figures("a decision", decisions, "agents", "<= 2"),
        *_figures("a whole call, all its events,", whole, "agents", "<= 2"),
        *_figures("a decision by share of talk", shares, "agents"),
        *_figures("an agent is free whom nobody waits for,", idle, "waiting callers"),
        *_figures("a free agent gets a caller,", taken, "waiting callers"),
    ]


def _in_turn(all_of_them: Mapping[int, Day | Crowd]) -> tuple[dict[int, list[float]], dict[int, list[float]]]:
    """Both medians of each, run by run, all sizes in turn; one turn goes unmeasured before."""
    one: dict[int, list[float]] = {size: [] for size in all_of_them}
    other: dict[int, list[float]] = {size: [] for size in all_of_them}
    for run in range(-1, RUNS):
        for size, it in all_of_them.items():
            took = it.calls(CALLS) if isinstance(it, Day) else it.seconds(CALLS)
            if run >= 0:
                one[size].append(took[0])
                other[size].append(took[1])
    return one, other


def _figures(what: str, took: Mapping[int, Sequence[float]], of: str, target: str = "") -> list[Figure]:
    few, *_, many = took
    figures = [
        Figure(part="deciding", name=f"{what} among {size:,} {of}", unit="ms", values=tuple(1000 * s for s in values))
        for size, values in took.items()
    ]
    name = f"{what} among {many:,} / among {few:,}"
    figures.append(
        Figure(part="deciding", name=name, unit="times as long", values=ratios(took[many], took[few]), target=target)
    )
    return figures
