"""Tracker and core as the daemon has them, and what must be true of them after any stream at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from ctid.asterisk.messages import parse
from ctid.asterisk.tracker import Tracker
from ctid.asterisk.wire import Message
from ctid.domain.acd import Acd
from ctid.domain.actions import Action, LookUpCaller, NoteCallEnded, SaveCall, ShowAgent, ShowCall, ShowPop
from ctid.domain.events import CallerLookupFailed, Event, RosterLoaded, SignInAsked, TimePassed
from ctid.domain.events import Request as Asked
from ctid.domain.types import Agent, CallRecord, Line, Policy
from ctid.mqtt.topics import ID, agent_message, call_message, pop_message

RECORDED: Final = Path(__file__).parent.parent / "tests" / "streams" / "recorded"
AGENTS: Final = ("agent1", "agent2", "agent3")
#: Seconds after which the core has forgotten a call that is over.
FORGOTTEN: Final = 3600.0


def recorded() -> list[bytes]:
    """What a real Asterisk said in each of the recorded scenes."""
    return [path.read_bytes() for path in sorted(RECORDED.glob("*.ami"))]


class Books:
    """A daemon's inside with everybody signed in; what it publishes is made, and sent to nobody."""

    def __init__(self, epoch: str | None = None) -> None:
        line = Line(name="service", numbers=("4001",), longest_wait_seconds=600)
        self.acd = Acd(Policy(wrap_up_seconds=0), (line,), "pbx")
        self.tracker = Tracker()
        self.saved: dict[str, CallRecord] = {}
        self.ended: list[str] = []
        self._epochs = None if epoch is None else frozenset({epoch})
        self._at = 0.0
        self.tell(RosterLoaded(at=0.0, agents=tuple(Agent(id=a, name=a, phone=a) for a in AGENTS)))
        for agent in AGENTS:
            self.tell(SignInAsked(at=0.0, request=Asked(agent=agent, id="1"), phone=agent))

    def hear(self, message: Message) -> None:
        told = parse(message, self._epochs)
        for event in self.tracker.feed(told) if told is not None else ():
            self.tell(event)

    def tell(self, event: Event) -> None:
        self._at = max(self._at, event.at)
        for action in self.acd.handle(event):
            self._take(action, event)

    def forget(self) -> None:
        """Let time pass until nothing that is over is kept."""
        self.tell(TimePassed(at=self._at + FORGOTTEN))

    def _take(self, action: Action, event: Event) -> None:
        match action:
            case SaveCall(call=call):
                self.saved[call.id] = call
            case NoteCallEnded(call=call):
                self.ended.append(call.id)
            case LookUpCaller(call_id=call_id):
                self.tell(CallerLookupFailed(at=event.at, call_id=call_id))
            # Names that Asterisk itself gives (ids, channels) are believed; one that would be another topic stays unpublished.
            case ShowCall(call=call, waiting=waiting) if ID.fullmatch(call.id):
                json.loads(call_message(call, waiting).payload)
            case ShowPop(pop=pop) if ID.fullmatch(pop.call_id):
                json.loads(pop_message(pop, "http://ctid.example").payload)
            case ShowAgent(status=status) if ID.fullmatch(status.call_id or "x") and ID.fullmatch(status.phone or "x"):
                json.loads(agent_message(status).payload)

    def sound(self) -> None:
        """Assert what must be true of the books after any stream."""
        world, tracker = self.acd.world, self.tracker
        assert all(phone.channels >= 0 for phone in world.phones.values())
        assert all(count > 0 for count in tracker._in_use.values())
        assert all(count > 0 for count in tracker._size.values())
        assert sum(tracker._size.values()) == len(tracker._graph.channels)
        for call in self.saved.values():
            assert (call.ended_at is None) == (call.outcome is None)
            for leg in call.legs:
                assert leg.talk_seconds >= 0
                assert leg.hold_seconds >= 0
                assert all(talk.ended_at is None or talk.ended_at >= talk.started_at for talk in leg.talks)
        for agent in world.desks:
            assert world.ledger.today(agent, 2e9) >= 0

    def empty(self) -> None:
        """Assert that nothing of what is over is kept: to be asked when every channel has hung up."""
        tracker, graph = self.tracker, self.tracker._graph
        kept = (graph.channels, graph.bridges, graph.halves, tracker._calls, tracker._alias, tracker._size)
        assert not any(kept), kept
        assert not tracker._entered, tracker._entered
        assert not tracker._in_use, tracker._in_use
