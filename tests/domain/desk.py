"""A small call centre for tests of the core: people and phones by name, seconds counted from a morning in Shanghai.

It plays the PBX towards the core: what it says is what Asterisk says after the action the core asked for. After every event
but seconds in which nothing happened the indices must say what a look at everybody says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.acd import Acd
from ctid.domain.types import (
    Agent,
    AgentState,
    CallerFile,
    CallRecord,
    Contact,
    Direction,
    LegResult,
    Line,
    Policy,
    Pop,
    PopState,
    Ticket,
)
from tests.domain import naive

#: 2026-03-02 09:00 in Shanghai, a Monday.
MORNING = 1772413200.0
SUPPORT = Line(name="support", numbers=("4001",))
A = TypeVar("A", bound=act.Action)


def file(owner: str | None = None, *, level: int = 1, severity: int = 0, name: str = "Wang") -> CallerFile:
    """A known caller whose newest ticket belongs to ``owner``."""
    ticket = Ticket(id="T1", subject="s", status="open", severity=severity or 1, owner=owner, created_at=1.0)
    contact = Contact(id=f"c-{name}", name=name, level=level, customer_id="k1", customer="Acme")
    return CallerFile(
        number="+8613800138000",
        contact=contact,
        customer_id="k1",
        history=(ticket,) if owner else (),
        owner=owner,
        level=level,
        severity=severity,
    )


class Centre:
    """Agents ``names`` at phones of the same name, signed in and idle one second apart, in the order given."""

    def __init__(
        self,
        *names: str,
        policy: Policy | None = None,
        lines: Iterable[Line] = (SUPPORT,),
        agents: Iterable[Agent] | None = None,
        signed_in: bool = True,
    ) -> None:
        self.policy = policy or Policy(timezone="Asia/Shanghai", wrap_up_seconds=0)
        self.acd = Acd(self.policy, tuple(lines), "lab")
        self.now = MORNING
        self.log: list[act.Action] = []
        self.calls: dict[str, CallRecord] = {}
        self.channels = 0
        self.roster = (
            tuple(agents) if agents is not None else tuple(Agent(id=n, name=n.title(), phone=n) for n in names)
        )
        self.tell(ev.RosterLoaded(at=self.now, agents=self.roster))
        self.tell(ev.LinkOpened(at=self.now))
        for agent in self.roster:
            if agent.phone:
                self.tell(ev.PhoneReached(at=self.now, endpoint=agent.phone, reachable=True))
                if signed_in and agent.enabled:
                    self.sign_in(agent.id, agent.phone)
                    self.wait(1)

    def tell(self, event: ev.Event) -> list[act.Action]:
        made = self.acd.handle(event)
        if not isinstance(event, ev.TimePassed) or any(not isinstance(action, act.Beat) for action in made):
            naive.agrees(self.acd.world, event.at)
        self.log += made
        for action in made:
            if isinstance(action, act.SaveCall):
                self.calls[action.call.id] = action.call
        return made

    def wait(self, seconds: float) -> list[act.Action]:
        """Let time pass as the shell does: every second and at each deadline."""
        made: list[act.Action] = []
        until = self.now + seconds
        while self.now < until:
            deadline = self.acd.next_deadline
            step = min(self.now + 1, until)
            self.now = min(step, max(deadline, self.now)) if deadline is not None and deadline > self.now else step
            made += self.tell(ev.TimePassed(at=self.now))
        return made

    # -- people --------------------------------------------------------------------------------------------------------

    def sign_in(self, agent: str, phone: str | None = None) -> list[act.Action]:
        return self.tell(ev.SignInAsked(at=self.now, request=ev.Request(agent=agent, id="1"), phone=phone))

    def pause(self, agent: str, reason: str = "lunch") -> list[act.Action]:
        return self.tell(ev.PauseAsked(at=self.now, request=ev.Request(agent=agent, id="1"), reason=reason))

    def resume(self, agent: str) -> list[act.Action]:
        return self.tell(ev.ResumeAsked(at=self.now, request=ev.Request(agent=agent, id="1")))

    def state(self, agent: str) -> AgentState:
        return self.acd.world.desks[agent].state

    def talked(self, agent: str) -> float:
        return self.acd.world.ledger.today(agent, self.now)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def arrive(self, call: str, who: CallerFile | None = None, *, dialled: str = "4001") -> list[act.Action]:
        """A caller rings the service number, is known as ``who`` and held."""
        made = self.tell(
            ev.CallStarted(at=self.now, call_id=call, caller="13800138000", dialled=dialled, endpoint="trunk")
        )
        made += self.tell(
            ev.CallEntered(
                at=self.now,
                call_id=call,
                direction=Direction.INBOUND,
                dialled=dialled,
                leg_id=call,
                recording=f"2026/03/02/{call}.wav",
            )
        )
        if who is not None:
            made += self.tell(ev.CallerIdentified(at=self.now, call_id=call, file=who))
        else:
            made += self.tell(ev.CallerLookupFailed(at=self.now, call_id=call))
        made += self.held(call, 1)
        return made

    def held(self, call: str, seq: int, why: str | None = None) -> list[act.Action]:
        return self.tell(
            ev.CallerHeld(at=self.now, call_id=call, channel=f"PJSIP/trunk-{call}", seq=seq, dialled="4001", why=why)
        )

    def rings(self, call: str, agent: str) -> str:
        """The agent's phone rings with this call; the leg's id."""
        self.channels += 1
        leg = f"{agent}-{self.channels}"
        self.tell(ev.PhoneUsed(at=self.now, endpoint=agent, channels=1))
        self.tell(ev.LegOffered(at=self.now, call_id=call, leg_id=leg, endpoint=agent, party=agent))
        self.tell(ev.LegRang(at=self.now, call_id=call, leg_id=leg))
        return leg

    def answers(self, call: str, leg: str) -> list[act.Action]:
        made = self.tell(ev.LegAnswered(at=self.now, call_id=call, leg_id=leg))
        return made + self.tell(ev.TalkStarted(at=self.now, call_id=call, leg_id=leg, peers=("trunk",)))

    def ends_leg(self, call: str, leg: str, result: LegResult | None = None) -> list[act.Action]:
        made = self.tell(ev.TalkStopped(at=self.now, call_id=call, leg_id=leg))
        made += self.tell(ev.LegEnded(at=self.now, call_id=call, leg_id=leg, result=result))
        return made + self.tell(ev.PhoneUsed(at=self.now, endpoint=leg.rpartition("-")[0], channels=0))

    def hangs_up(self, call: str, leg: str | None = None) -> list[act.Action]:
        made = self.ends_leg(call, leg) if leg is not None else []
        return made + self.tell(ev.CallEnded(at=self.now, call_id=call))

    def converse(self, call: str, agent: str, seconds: float, who: CallerFile | None = None) -> None:
        """A whole call from its arrival, answered by ``agent``, who must be the one it is routed to."""
        assert rung(self.arrive(call, who)) == [agent]
        leg = self.rings(call, agent)
        self.answers(call, leg)
        self.wait(seconds)
        self.hangs_up(call, leg)


def of(kind: type[A], made: Iterable[act.Action]) -> list[A]:
    return [action for action in made if isinstance(action, kind)]


def rung(made: Iterable[act.Action]) -> list[str]:
    """The phones that the actions ring, in order."""
    return [action.endpoint for action in of(act.Ring, made)]


def pops(made: Iterable[act.Action]) -> list[tuple[str, PopState]]:
    return [(action.pop.agent, action.pop.state) for action in of(act.ShowPop, made)]


def last_pop(made: Iterable[act.Action]) -> Pop:
    return of(act.ShowPop, made)[-1].pop
