"""A core with agents at work, without a PBX, for the parts that measure it alone.

Law: only events go in. The core's one question, who calls, is answered at once, by nobody known.
"""

from __future__ import annotations

from bench.streams import SERVICE, agent
from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.acd import Acd
from ctid.domain.types import Agent, CallerFile, Line, Policy

START = 1_750_000_000.0


def floor(agents: int, *, at: float = START) -> Acd:
    """A core with a link to its PBX and so many agents, all signed in and idle."""
    line = Line(name="service", numbers=(SERVICE,))
    acd = Acd(Policy(wrap_up_seconds=0.0), (line,), "bench")
    ids = [agent(seat) for seat in range(agents)]
    acd.handle(ev.RosterLoaded(at=at, agents=tuple(Agent(id=i, name=i, phone=i) for i in ids)))
    for i in ids:
        acd.handle(ev.PhoneReached(at=at, endpoint=i, reachable=True))
        acd.handle(ev.SignInAsked(at=at, request=ev.Request(agent=i), phone=i))
    acd.handle(ev.LinkOpened(at=at))
    return acd


def handle(acd: Acd, event: ev.Event) -> list[act.Action]:
    """The core's actions on ``event``, and on the answer to its question."""
    actions = acd.handle(event)
    for action in tuple(actions):
        if isinstance(action, act.LookUpCaller):
            file = CallerFile(number=action.number)
            actions += acd.handle(ev.CallerIdentified(at=event.at, call_id=action.call_id, file=file))
    return actions
