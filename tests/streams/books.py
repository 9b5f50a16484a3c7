"""The recorded streams, what was known of them, and the ways the tests play them."""

import json
import re
from pathlib import Path
from typing import Any

from ctid.asterisk.messages import WANTED, parse
from ctid.asterisk.replay import replay
from ctid.asterisk.tracker import Tracker
from ctid.asterisk.wire import Framer, Message
from ctid.calljson import call_json
from ctid.domain.acd import Acd
from ctid.domain.actions import Action, LookUpCaller, NoteCallEnded, SaveCall
from ctid.domain.events import CallerLookupFailed, Event, RosterLoaded, SignInAsked
from ctid.domain.events import Request as Asked
from ctid.domain.types import Agent, CallRecord, Policy

FOLDER = Path(__file__).parent / "recorded"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ami"))
AGENTS = ("agent1", "agent2", "agent3")


def stream(name: str) -> bytes:
    return (FOLDER / f"{name}.ami").read_bytes()


def facts(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def messages(raw: bytes) -> list[Message]:
    framer = Framer(WANTED)
    return framer.feed(raw) + framer.finish()


def replayed(*chunks: bytes) -> list[dict[str, Any]]:
    return [call_json(call) for call in replay(chunks)]


def untimed(raw: bytes) -> bytes:
    return re.sub(rb"Timestamp: [^\r]*\r\n", b"", raw)


class Desk:
    """Tracker and core as the daemon has them, with a roster and everyone signed in, and no link to be routed over."""

    def __init__(self) -> None:
        self.acd = Acd(Policy(wrap_up_seconds=0), (), "pbx")
        self.tracker = Tracker()
        self.saved: dict[str, CallRecord] = {}
        self.ended: list[str] = []
        self.happened: list[Event] = []
        self.tell(RosterLoaded(at=0.0, agents=tuple(Agent(id=a, name=a, phone=a) for a in AGENTS)))
        for agent in AGENTS:
            self.tell(SignInAsked(at=0.0, request=Asked(agent=agent, id="1"), phone=agent))

    def tell(self, event: Event) -> None:
        self.happened.append(event)
        for action in self.acd.handle(event):
            self._take(action, event)

    def _take(self, action: Action, event: Event) -> None:
        match action:
            case SaveCall(call=call):
                self.saved[call.id] = call
            case NoteCallEnded(call=call):
                self.ended.append(call.id)
            case LookUpCaller(call_id=call_id):
                self.tell(CallerLookupFailed(at=event.at, call_id=call_id))

    def hear(self, message: Message) -> None:
        told = parse(message)
        for event in self.tracker.feed(told) if told is not None else ():
            self.tell(event)

    def play(self, raw: bytes) -> "Desk":
        for message in messages(raw):
            self.hear(message)
        return self

    @property
    def calls(self) -> list[CallRecord]:
        return list(self.saved.values())
