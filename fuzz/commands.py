"""What anyone may publish where ctid listens: a command's topic and payload, and what the web hears from the broker.

Law: a command is an event, a refusal of one printable line to the sender's own topic, or nothing; the web's board takes
everything, and what it shows of it is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from ctid.domain.events import Event
from ctid.mqtt.topics import PREFIX, Refusal, command_message, parse_command, refusal_message, refused
from ctid.web import views
from ctid.web.board import Board
from fuzz.drawing import Drawn

SAYS = "MQTT topics and payloads, at the daemon's and at the web's door"
COMMANDS: dict[str, dict[str, object]] = {
    "sign_in": {"phone": "agent7"},
    "pause": {"reason": "lunch"},
    "wrap_up_extend": {"seconds": 30},
    "pickup": {"call_id": "1795000000.7"},
    "dial": {"number": "13800138000", "ticket_id": "T12"},
    "transfer": {"kind": "attended", "to": "8"},
    "relink": {"call_id": "1795000000.7", "new": True},
    "resume": {},
}
STATE = {
    "state": "talking",
    "since": "2026-11-22T10:00:00Z",
    "reason": None,
    "talk_seconds_today": 7.5,
    "call_id": "1.7",
}
POP = {
    "call_id": "1.7",
    "state": "ringing",
    "caller": "+8613800138000",
    "dialled": "4001",
    "contact": {"id": "P1", "name": "陈", "level": 4},
    "matches": [{"id": "P2", "name": "Liu", "department": "IT", "title": "Head", "customer": "Lotus"}],
    "ticket": {"id": "T1", "subject": "s", "status": "open", "severity": 3, "owner": "8"},
    "history": [{"id": "T0", "subject": "t"}],
    "decision": {
        "rule": "least_talk",
        "chosen": "7",
        "considered": [{"agent": "7", "talk_seconds": 1.5, "talk_share": 0.2}],
        "skipped": {"talking": 2},
    },
    "notices": ["x"],
    "notes": [{"code": "no_call", "fields": {"call": "1"}}],
    "at": "2026-11-22T10:00:00Z",
}
CALL = {
    "caller": "1",
    "line": "service",
    "waiting": {"since": "2026-11-22T10:00:00Z", "level": 3, "severity": 2, "contact": "c"},
}
NODE = {"up": True, "acting": True, "pbx_connected": True, "version": "1"}
TOPICS = (
    *(
        f"{PREFIX}/agents/7/command",
        f"{PREFIX}/calls/1.7/command",
        f"{PREFIX}/agents/7/state",
        f"{PREFIX}/agents/7/pop",
    ),
    *(f"{PREFIX}/calls/1.7", f"{PREFIX}/nodes/n1/status", f"{PREFIX}/agents/+/command", f"{PREFIX}/agents/../command"),
)


def seeds() -> Iterator[bytes]:
    for command, fields in COMMANDS.items():
        yield b"\x00" + command_message("7", "1", command, fields).payload
    for number, value in ((2, STATE), (3, POP), (4, CALL), (5, NODE)):
        yield bytes([number]) + json.dumps(value).encode()
    yield b"\xff\x10ctid/v1/agents/7/command{}"


def one(data: bytes) -> None:
    drawn = Drawn(data)
    which = drawn.whole(254)
    topic = TOPICS[which % len(TOPICS)] if which < 200 else drawn.text(80)
    payload = data[-drawn.left :] if drawn.left else b""
    asked = parse_command(topic, payload, 1.0)
    for answer in (asked, refused(topic, payload, "too many")):
        if isinstance(answer, Refusal):
            subject = topic.split("/")[3]
            assert answer.topic in (f"{PREFIX}/agents/{subject}/result", f"{PREFIX}/calls/{subject}/result")
            assert not set("+#\0") & set(answer.topic)
            assert answer.error.isprintable(), answer.error
            assert len(answer.error) < 600
            json.loads(refusal_message(answer).payload)
    assert asked is None or isinstance(asked, Refusal | Event)
    _board(topic, payload)


def _board(topic: str, payload: bytes) -> None:
    board = Board()
    for kept in (True, False):
        board.take(topic, payload, kept=kept)
    for agent, view in board.views.items():
        json.loads(views.of_agent(agent, view, {}))
    json.loads(views.of_others(board.views, board.views, {}))
    json.loads(views.of_waiting(board.waiting))
    assert len(board.views) <= 1
