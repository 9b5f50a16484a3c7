"""Topics and payloads: domain values to JSON, commands to domain events.

Law: pure. No text from outside becomes part of a topic unless it is an id by ``ID``; every command that cannot be
carried out is answered by one line that says what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from ctid.calljson import call_json, decision_json, iso, seconds
from ctid.config import AGENT_ID
from ctid.domain.events import (
    DialAsked,
    Event,
    MoveAsked,
    PauseAsked,
    PickupAsked,
    PrioritiseAsked,
    RecordingPauseAsked,
    RecordingResumeAsked,
    RelinkAsked,
    Request,
    ResumeAsked,
    ShowAsked,
    SignInAsked,
    SignOutAsked,
    TransferAsked,
    TransferKind,
    WrapUpEndAsked,
    WrapUpExtensionAsked,
)
from ctid.domain.said import Said
from ctid.domain.types import AgentId, AgentStatus, CallId, CallRecord, Contact, Pop, Ticket, Waiting
from ctid.saying import sentence

PREFIX = "ctid/v1"
#: What the door listens to, and nothing else.
_OF_AGENTS, _ON_CALLS = f"{PREFIX}/agents/+/command", f"{PREFIX}/calls/+/command"
COMMANDS = (_OF_AGENTS, _ON_CALLS)
LARGEST_COMMAND = 16 * 1024
LONGEST_ID = 64
LONGEST_REASON = 100
LONGEST_EXTENSION = 3600.0
LONGEST_NUMBER = 64
#: Of a person or a line.
LONGEST_NAME = 100
#: Of a ticket or a contact: the site's own key, as imported.
LONGEST_KEY = 200

#: What may be one level of a topic: no ``+ # /``, no space, no NUL. PBX names in call ids hold the same characters.
ID = AGENT_ID
# The dialplan keeps letters, digits, _ and - of an endpoint and drops the rest.
_ENDPOINT = re.compile(r"[A-Za-z0-9_-]{1,64}")

_CALL_COMMANDS_TO_COME = ("listen", "whisper", "barge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to publish."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A command that stays undone; ``topic`` is where the one who asked waits for the answer."""

    topic: str
    id: str | None
    error: str


# -- out ---------------------------------------------------------------------------------------------------------------


def pop_message(pop: Pop, web_url: str) -> Message:
    """The screen-pop, its tickets linked below ``web_url``. Raises ``ValueError`` for an id that is no topic level."""
    newest = pop.ticket or next(iter(pop.file.history), None)
    return _message(
        f"{PREFIX}/agents/{_level(pop.agent)}/pop",
        {
            "call_id": pop.call_id,
            "state": pop.state.value,
            "caller": pop.caller,
            "dialled": pop.dialled,
            "contact": _contact(pop.file.contact) if pop.file.contact else None,
            "matches": [_contact(contact) for contact in pop.file.matches],
            "ticket": _ticket(newest, web_url) if newest else None,
            "history": [_ticket(ticket, web_url) for ticket in pop.file.history],
            "decision": decision_json(pop.decision) if pop.decision else None,
            "notices": [sentence(notice) for notice in pop.notices],
            "notes": [_said(notice) for notice in pop.notices],
            "at": iso(pop.at),
        },
    )


def agent_message(status: AgentStatus) -> Message:
    """The agent's state, to be retained. Raises ``ValueError`` for an id that is no topic level."""
    return _message(
        f"{PREFIX}/agents/{_level(status.agent)}/state",
        {
            "state": status.state.value,
            "since": iso(status.since),
            "reason": status.reason,
            "talk_seconds_today": seconds(status.talk_seconds_today),
            "call_id": status.call_id,
            "phone": status.phone,
            "wrap_up_until": iso(status.wrap_up_until),
            "consults": status.consults,
            "recording_paused_until": iso(status.paused_until),
        },
    )


def call_message(call: CallRecord, waiting: Waiting | None = None) -> Message:
    """The call as ``calls --json`` has it, and what shows its caller to those who may pick them up.

    Raises ``ValueError`` for an id that is no topic level.
    """
    shown = None
    if waiting is not None:
        shown = {
            "since": iso(waiting.since),
            "level": waiting.level,
            "severity": waiting.severity,
            "contact": waiting.contact,
            "customer": waiting.customer,
            "prioritised": waiting.prioritised,
            "stands_since": iso(waiting.stands_since),
        }
    return _message(f"{PREFIX}/calls/{_level(call.id)}", {**call_json(call), "waiting": shown})


def node_message(
    node: str, *, up: bool, acting: bool, pbx_connected: bool, version: str, shedding: tuple[str, ...] = ()
) -> Message:
    """The daemon's own state, to be retained; with ``up=False`` it is the last will. ``shedding``: what it leaves undone."""
    return _message(
        f"{PREFIX}/nodes/{_level(node)}/status",
        {"up": up, "acting": acting, "pbx_connected": pbx_connected, "version": version, "shedding": shedding},
    )


def result_message(agent: AgentId, request_id: str | None, error: Said | None) -> Message:
    """The answer to an agent's command. Raises ``ValueError`` for an id that is no topic level."""
    answer = {"id": request_id, "ok": error is None, "error": sentence(error) if error is not None else None}
    return _message(_agent_result(agent), answer if error is None else answer | _said(error))


def call_result_message(call: CallId, request_id: str, error: Said | None) -> Message:
    """The answer to a command on a call. Raises ``ValueError`` for an id that is no topic level."""
    answer = {"id": request_id, "ok": error is None, "error": sentence(error) if error is not None else None}
    return _message(_call_result(call), answer if error is None else answer | _said(error))


def call_command_message(call: CallId, request_id: str, command: str, fields: Mapping[str, Any]) -> Message:
    """A command on a call as a supervisor sends it. Raises ``ValueError`` for an id that is no topic level."""
    return _message(f"{PREFIX}/calls/{_level(call)}/command", {**fields, "id": request_id, "command": command})


def command_message(agent: AgentId, request_id: str, command: str, fields: Mapping[str, Any]) -> Message:
    """A command as an agent's desktop sends it. Raises ``ValueError`` for an id that is no topic level."""
    return _message(f"{PREFIX}/agents/{_level(agent)}/command", {**fields, "id": request_id, "command": command})


def refusal_message(refusal: Refusal) -> Message:
    return _message(refusal.topic, {"id": refusal.id, "ok": False, "error": refusal.error})


def _said(said: Said) -> dict[str, Any]:
    """What was said by its code, for those who say it in another language."""
    return {"code": said.code.value, "fields": dict(said.fields)}


def _agent_result(agent: AgentId) -> str:
    return f"{PREFIX}/agents/{_level(agent)}/result"


def _call_result(call: CallId) -> str:
    return f"{PREFIX}/calls/{_level(call)}/result"


def _message(topic: str, payload: Mapping[str, Any]) -> Message:
    return Message(topic=topic, payload=msgspec.json.encode(payload))


def _level(text: str) -> str:
    if not ID.fullmatch(text):
        raise ValueError(f"{text[:LONGEST_ID]!r} cannot be part of an MQTT topic; use letters, digits and . _ @ -")
    return text


def _contact(contact: Contact) -> dict[str, Any]:
    return {
        "id": contact.id,
        "name": contact.name,
        "department": contact.department,
        "title": contact.title,
        "level": contact.level,
        "customer": contact.customer,
    }


def _ticket(ticket: Ticket, web_url: str) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "subject": ticket.subject,
        "status": ticket.status,
        "severity": ticket.severity,
        "owner": ticket.owner,
        "url": f"{web_url}/tickets/{quote(ticket.id, safe='')}",
    }


# -- in ----------------------------------------------------------------------------------------------------------------


class _UnusableError(Exception):
    """Why a command cannot be carried out, as the sender reads it."""


def parse_command(topic: str, payload: bytes, at: float) -> Event | Refusal | None:
    """The event a command asks for, or why it is refused; ``None`` where nobody could be answered.

    ``at`` is when it arrived, in Unix seconds.
    """
    addressed = _addressed(topic)
    if addressed is None:
        return None
    kind, subject, answers = addressed
    asked: Mapping[str, Any] = {}
    try:
        asked = _object(payload)
        request_id = _id(asked)
        if kind == "calls":
            command = _command(asked, _OF_CALL)
            of_call = _OF_CALL.get(command)
            if of_call is None:
                raise _unserved(command, tuple(_OF_CALL), _CALL_COMMANDS_TO_COME)
            return of_call(at, subject, request_id, asked)
        command = _command(asked, _MAKE)
        make = _MAKE.get(command)
        if make is None:
            raise _unserved(command, tuple(_MAKE), ())
        return make(at, Request(agent=subject, id=request_id), asked)
    except _UnusableError as error:
        return Refusal(topic=answers, id=_echo(asked), error=str(error))


def refused(topic: str, payload: bytes, error: str) -> Refusal | None:
    """The answer to a command that is not looked at; ``None`` where nobody could be answered."""
    addressed = _addressed(topic)
    if addressed is None:
        return None
    try:
        given = _echo(_object(payload))
    except _UnusableError:
        given = None
    return Refusal(topic=addressed[2], id=given, error=error)


def source(topic: str) -> str:
    """Whose commands come by this topic: an agent's by their own, all those on calls by one, for they name any call."""
    return topic if topic.startswith(f"{PREFIX}/agents/") else _ON_CALLS


def commands_but(left: Collection[str], agents: Iterable[AgentId]) -> tuple[str, ...]:
    """What to subscribe to so that all are heard but the sources ``left`` out: ``agents`` by name where one is left out."""
    if not left:
        return COMMANDS
    calls = (_ON_CALLS,) if _ON_CALLS not in left else ()
    if set(left) == {_ON_CALLS}:
        return (_OF_AGENTS,)
    own = (f"{PREFIX}/agents/{agent}/command" for agent in agents if ID.fullmatch(agent))
    return (*(topic for topic in own if topic not in left), *calls)


def _addressed(topic: str) -> tuple[str, str, str] | None:
    """Of a command's topic: agents or calls, whose, and where the answer goes."""
    kind, _, rest = topic.removeprefix(f"{PREFIX}/").partition("/")
    subject, _, tail = rest.partition("/")
    if tail != "command" or kind not in ("agents", "calls") or not ID.fullmatch(subject):
        return None
    return kind, subject, _agent_result(subject) if kind == "agents" else _call_result(subject)


def _object(payload: bytes) -> Mapping[str, Any]:
    if len(payload) > LARGEST_COMMAND:
        raise _UnusableError(f"the command is {len(payload)} bytes long; send at most {LARGEST_COMMAND}")
    try:
        decoded = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _UnusableError('the command is no JSON; send {"id": "1", "command": "sign_in"}') from None
    if not isinstance(decoded, dict):
        raise _UnusableError('the command is no JSON object; send {"id": "1", "command": "sign_in"}')
    return decoded


def _id(asked: Mapping[str, Any]) -> str:
    given = _echo(asked)
    if given is None:
        raise _UnusableError(f"the command has no usable id; send id as text of 1 to {LONGEST_ID} characters")
    return given


def _echo(asked: Mapping[str, Any]) -> str | None:
    given = asked.get("id")
    return given if isinstance(given, str) and 0 < len(given) <= LONGEST_ID and given.isprintable() else None


def _command(asked: Mapping[str, Any], served: Iterable[str]) -> str:
    command = asked.get("command")
    if not isinstance(command, str) or not command:
        raise _UnusableError(f"the message has no command; send command as one of {', '.join(served)}")
    return command


def _unserved(command: str, served: tuple[str, ...], to_come: tuple[str, ...]) -> _UnusableError:
    if command in to_come:
        return _UnusableError(f"{command} is not served by this version of ctid; it knows {', '.join(served)}")
    return _UnusableError(f"{command[:LONGEST_ID]!r} is no command; send one of {', '.join(served)}")


def _sign_in(at: float, request: Request, asked: Mapping[str, Any]) -> Event:
    phone = asked.get("phone")
    if phone is not None and not (isinstance(phone, str) and _ENDPOINT.fullmatch(phone)):
        raise _UnusableError("phone is no endpoint; send its name, such as agent7, of letters, digits, _ and -")
    return SignInAsked(at=at, request=request, phone=phone)


def _pause(at: float, request: Request, asked: Mapping[str, Any]) -> Event:
    reason = asked.get("reason")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise _UnusableError(f"pause needs a reason; send reason as one line of 1 to {LONGEST_REASON} characters")
    return PauseAsked(at=at, request=request, reason=reason.strip())


def _extend(at: float, request: Request, asked: Mapping[str, Any]) -> Event:
    more = asked.get("seconds")
    if isinstance(more, bool) or not isinstance(more, int | float):
        raise _UnusableError("wrap_up_extend needs seconds; send seconds as a number")
    if not 0 < more <= LONGEST_EXTENSION:  # nor is NaN, or a number of more digits than a float holds
        raise _UnusableError(f"seconds is out of range; send more than 0 and at most {LONGEST_EXTENSION:.0f}")
    return WrapUpExtensionAsked(at=at, request=request, seconds=float(more))


def _pickup(at: float, request: Request, asked: Mapping[str, Any]) -> Event:
    return PickupAsked(at=at, request=request, call_id=_call_of(asked, "pickup"))


def _dial(at: float, request: Request, asked: Mapping[str, Any]) -> Event:
    number = _text(asked, "number", LONGEST_NUMBER)
    if number is None:
        raise _UnusableError("dial needs a number; send number as text")
    return DialAsked(
        at=at,
        request=request,
        number=number,
        ticket_id=_text(asked, "ticket_id", LONGEST_KEY),
        contact_id=_text(asked, "contact_id", LONGEST_KEY),
    )


def _transfer(at: float, request: Request, asked: Mapping[str, Any]) -> Event:
    kind, to = asked.get("kind"), asked.get("to")
    if kind not in tuple(TransferKind):
        raise _UnusableError(f"transfer needs a kind; send kind as one of {', '.join(TransferKind)}")
    if to is not None and not (isinstance(to, str) and ID.fullmatch(to)):
        raise _UnusableError("to is no agent; send the colleague's id")
    if to is None and kind in (TransferKind.BLIND, TransferKind.ATTENDED):
        raise _UnusableError("transfer needs a colleague; send to as their id")
    return TransferAsked(at=at, request=request, kind=TransferKind(kind), to=to)


def _relink(at: float, request: Request, asked: Mapping[str, Any]) -> Event:
    ticket_id, contact_id = _text(asked, "ticket_id", LONGEST_KEY), _text(asked, "contact_id", LONGEST_KEY)
    new = asked.get("new", False)
    if not isinstance(new, bool) or (new and ticket_id is not None):
        raise _UnusableError("relink goes to one ticket; send ticket_id, or new as true")
    if not new and ticket_id is None and contact_id is None:
        raise _UnusableError("relink needs to know where to; send ticket_id, new as true, or contact_id")
    return RelinkAsked(
        at=at,
        request=request,
        call_id=_call_of(asked, "relink"),
        ticket_id=ticket_id,
        new=new,
        contact_id=contact_id,
    )


def _prioritise(at: float, call_id: CallId, request_id: str, asked: Mapping[str, Any]) -> Event:
    return PrioritiseAsked(at=at, call_id=call_id, id=request_id, by=_text(asked, "by", LONGEST_NAME))


def _move(at: float, call_id: CallId, request_id: str, asked: Mapping[str, Any]) -> Event:
    line, end = _text(asked, "line", LONGEST_NAME), asked.get("end", False)
    if not isinstance(end, bool) or end == (line is not None):
        raise _UnusableError("move goes to one place; send line as the name of a line, or end as true")
    return MoveAsked(at=at, call_id=call_id, id=request_id, line=line, by=_text(asked, "by", LONGEST_NAME))


def _call_of(asked: Mapping[str, Any], command: str) -> CallId:
    call_id = asked.get("call_id")
    if not isinstance(call_id, str) or not ID.fullmatch(call_id):
        raise _UnusableError(f"{command} needs a call; send call_id as the call's id")
    return call_id


def _text(asked: Mapping[str, Any], key: str, longest: int) -> str | None:
    """One line, stripped; ``None`` where it is not given."""
    given = asked.get(key)
    if given is None:
        return None
    if not isinstance(given, str) or not given.strip() or len(given) > longest or not given.isprintable():
        raise _UnusableError(f"{key} is not usable; send it as one line of 1 to {longest} characters, or leave it out")
    return given.strip()


_OF_CALL: dict[str, Callable[[float, CallId, str, Mapping[str, Any]], Event]] = {
    "prioritise": _prioritise,
    "move": _move,
}
_MAKE: dict[str, Callable[[float, Request, Mapping[str, Any]], Event]] = {
    "sign_in": _sign_in,
    "sign_out": lambda at, request, _: SignOutAsked(at=at, request=request),
    "pause": _pause,
    "resume": lambda at, request, _: ResumeAsked(at=at, request=request),
    "wrap_up_done": lambda at, request, _: WrapUpEndAsked(at=at, request=request),
    "wrap_up_extend": _extend,
    "show": lambda at, request, _: ShowAsked(at=at, request=request),
    "pickup": _pickup,
    "dial": _dial,
    "transfer": _transfer,
    "relink": _relink,
    "record_pause": lambda at, request, _: RecordingPauseAsked(at=at, request=request),
    "record_resume": lambda at, request, _: RecordingResumeAsked(at=at, request=request),
}
