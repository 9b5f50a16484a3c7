"""Commands from desktops: each becomes an event, or one line that says what to send instead."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.domain.events import (
    DialAsked,
    Event,
    MoveAsked,
    PauseAsked,
    PickupAsked,
    PrioritiseAsked,
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
from ctid.domain.types import AgentState, AgentStatus
from ctid.mqtt import topics
from ctid.mqtt.flood import Flood, Verdict
from ctid.mqtt.topics import Refusal, commands_but, parse_command, refused, source

AGENT = "ctid/v1/agents/7/command"
CALL = "ctid/v1/calls/1.1/command"
ASKED = Request(agent="7", id="a1")


def parsed(command: dict[str, object] | bytes, topic: str = AGENT) -> Event | Refusal | None:
    payload = command if isinstance(command, bytes) else json.dumps({"id": "a1", **command}).encode()
    return parse_command(topic, payload, 5.0)


@pytest.mark.parametrize(
    ("command", "event"),
    [
        ({"command": "sign_in", "phone": "sip_agent-7"}, SignInAsked(at=5.0, request=ASKED, phone="sip_agent-7")),
        ({"command": "sign_in"}, SignInAsked(at=5.0, request=ASKED, phone=None)),
        ({"command": "sign_in", "phone": None}, SignInAsked(at=5.0, request=ASKED, phone=None)),
        ({"command": "sign_out"}, SignOutAsked(at=5.0, request=ASKED)),
        ({"command": "pause", "reason": " 午饭 "}, PauseAsked(at=5.0, request=ASKED, reason="午饭")),
        ({"command": "resume", "more": 1}, ResumeAsked(at=5.0, request=ASKED)),
        ({"command": "wrap_up_done"}, WrapUpEndAsked(at=5.0, request=ASKED)),
        ({"command": "show"}, ShowAsked(at=5.0, request=ASKED)),
        ({"command": "pickup", "call_id": "17.1"}, PickupAsked(at=5.0, request=ASKED, call_id="17.1")),
        (
            {"command": "transfer", "to": "8", "kind": "attended"},
            TransferAsked(at=5.0, request=ASKED, kind=TransferKind.ATTENDED, to="8"),
        ),
        (
            {"command": "transfer", "kind": "cancel"},
            TransferAsked(at=5.0, request=ASKED, kind=TransferKind.CANCEL),
        ),
        (
            {"command": "relink", "call_id": "17.1", "ticket_id": "T1"},
            RelinkAsked(at=5.0, request=ASKED, call_id="17.1", ticket_id="T1"),
        ),
        (
            {"command": "relink", "call_id": "17.1", "new": True, "contact_id": "P1"},
            RelinkAsked(at=5.0, request=ASKED, call_id="17.1", new=True, contact_id="P1"),
        ),
        ({"command": "dial", "number": " 10086 "}, DialAsked(at=5.0, request=ASKED, number="10086")),
        (
            {"command": "dial", "number": "+86 138", "ticket_id": "T1", "contact_id": "客1"},
            DialAsked(at=5.0, request=ASKED, number="+86 138", ticket_id="T1", contact_id="客1"),
        ),
        ({"command": "wrap_up_extend", "seconds": 60}, WrapUpExtensionAsked(at=5.0, request=ASKED, seconds=60.0)),
    ],
)
def test_a_command_of_the_contract_becomes_its_event(command: dict[str, object], event: Event) -> None:
    assert parsed(command) == event


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b'{"id":"\xff"}', "no JSON"),
        (b"[" * 16_000, "no JSON"),
        (b"[]", "no JSON object"),
        (b"x" * (topics.LARGEST_COMMAND + 1), "at most 16384"),
        (b"{}", "id"),
        (b'{"id":7,"command":"resume"}', "id"),
        (b'{"id":"","command":"resume"}', "id"),
        (b'{"id":"a\\nb","command":"resume"}', "id"),
        (b'{"id":"' + b"x" * 65 + b'","command":"resume"}', "id"),
        ({}, "no command"),
        ({"command": 7}, "no command"),
        ({"command": "dance"}, "'dance' is no command"),
        ({"command": "sign_in", "phone": "PJSIP/agent7"}, "endpoint"),
        ({"command": "sign_in", "phone": ""}, "endpoint"),
        ({"command": "sign_in", "phone": "a\r\nb"}, "endpoint"),
        ({"command": "pause"}, "reason"),
        ({"command": "pause", "reason": "  "}, "reason"),
        ({"command": "pause", "reason": "a\nb"}, "reason"),
        ({"command": "pause", "reason": "x" * 101}, "reason"),
        ({"command": "wrap_up_extend"}, "seconds"),
        ({"command": "wrap_up_extend", "seconds": True}, "seconds"),
        ({"command": "wrap_up_extend", "seconds": "60"}, "seconds"),
        ({"command": "wrap_up_extend", "seconds": 0}, "seconds"),
        ({"command": "wrap_up_extend", "seconds": 3601}, "seconds"),
        ({"command": "wrap_up_extend", "seconds": 10**400}, "seconds"),
        (b'{"id":"a1","command":"wrap_up_extend","seconds":NaN}', "no JSON"),
        (b'{"id":"a1","command":"wrap_up_extend","seconds":1e999}', "no JSON"),
        ({"command": "pickup"}, "call_id"),
        ({"command": "pickup", "call_id": "a/b"}, "call_id"),
        ({"command": "pickup", "call_id": 7}, "call_id"),
        ({"command": "transfer", "to": "8"}, "kind"),
        ({"command": "transfer", "to": "8", "kind": "warm"}, "kind"),
        ({"command": "transfer", "to": "8", "kind": ["blind"]}, "kind"),
        ({"command": "transfer", "kind": "blind"}, "colleague"),
        ({"command": "transfer", "to": "a/b", "kind": "blind"}, "to"),
        ({"command": "dial"}, "number"),
        ({"command": "relink", "call_id": "1.1"}, "ticket_id"),
        ({"command": "relink", "call_id": "1.1", "new": 1}, "new"),
        ({"command": "relink", "call_id": "1.1", "new": True, "ticket_id": "T1"}, "one ticket"),
        ({"command": "relink", "ticket_id": "T1"}, "call_id"),
        ({"command": "dial", "number": 110}, "number"),
        ({"command": "dial", "number": "1\n2"}, "number"),
        ({"command": "dial", "number": "1" * 65}, "number"),
        ({"command": "dial", "number": "10086", "ticket_id": ""}, "ticket_id"),
        ({"command": "dial", "number": "10086", "contact_id": ["c"]}, "contact_id"),
    ],
)
def test_anything_else_is_refused_with_one_line_that_says_what_to_send(
    command: dict[str, object] | bytes, hint: str
) -> None:
    refused = parsed(command)
    assert isinstance(refused, Refusal)
    assert refused.topic == "ctid/v1/agents/7/result"
    assert hint in refused.error
    assert refused.error.isprintable()
    assert "; " in refused.error


def test_a_refusal_quotes_the_id_that_was_sent_where_it_is_usable() -> None:
    refused = parsed({"command": "dance"})
    assert isinstance(refused, Refusal)
    assert refused.id == "a1"


def test_a_supervisor_prioritises_on_the_calls_own_topic() -> None:
    asked = parsed({"command": "prioritise"}, CALL)
    assert isinstance(asked, PrioritiseAsked)
    assert (asked.call_id, asked.id) == ("1.1", "a1")
    told = topics.call_result_message("1.1", "a1", None)
    assert (told.topic, json.loads(told.payload)["ok"]) == ("ctid/v1/calls/1.1/result", True)


@pytest.mark.parametrize(("fields", "line"), [({"line": " sales "}, "sales"), ({"end": True}, None)])
def test_a_supervisor_moves_a_caller_to_another_line_or_to_the_end(fields: dict[str, Any], line: str | None) -> None:
    asked = parsed({"command": "move", "by": "boss", **fields}, CALL)
    assert isinstance(asked, MoveAsked)
    assert (asked.call_id, asked.id, asked.line, asked.by) == ("1.1", "a1", line, "boss")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"line": "sales", "end": True},
        {"line": 7},
        {"line": ""},
        {"end": "yes"},
        {"end": False},
        {"end": True, "by": 7},
    ],
)
def test_a_caller_is_moved_to_one_place(fields: dict[str, Any]) -> None:
    refused = parsed({"command": "move", **fields}, CALL)
    assert isinstance(refused, Refusal)
    assert "; send" in refused.error


@pytest.mark.parametrize("name", ["listen", "whisper", "barge"])
def test_commands_on_calls_are_answered_on_the_calls_topic_as_not_served(name: str) -> None:
    refused = parsed({"command": name}, CALL)
    assert isinstance(refused, Refusal)
    assert refused.topic == "ctid/v1/calls/1.1/result"
    assert "not served" in refused.error


@pytest.mark.parametrize("subject", ["", "+", "#", "a b", "$SYS", "x" * 65, "a/b", "a\0b", ".."])
def test_a_topic_without_a_usable_id_is_answered_nowhere(subject: str) -> None:
    assert parsed({"command": "resume"}, f"ctid/v1/agents/{subject}/command") is None


@given(st.text(), st.binary(max_size=200))
def test_no_topic_and_no_payload_breaks_the_parser_or_picks_the_answers_topic(subject: str, payload: bytes) -> None:
    outcome = parse_command(f"ctid/v1/agents/{subject}/command", payload, 1.0)
    if isinstance(outcome, Refusal):
        assert outcome.topic == f"ctid/v1/agents/{subject}/result"
        assert outcome.topic.count("/") == 4
        assert not set("+#\0") & set(outcome.topic)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(["sign_in", "pause", "wrap_up_extend", "pickup", "dial", "transfer", "relink"]),
)
def test_a_command_with_any_values_is_an_event_or_one_line(value: object, name: str) -> None:
    fields = ("phone", "reason", "seconds", "call_id", "number", "ticket_id", "contact_id", "to", "kind", "new")
    outcome = parsed({"command": name, **dict.fromkeys(fields, value)})
    assert outcome is not None
    if isinstance(outcome, Refusal):
        assert "\n" not in outcome.error


def test_an_unknown_time_is_null_and_talk_is_in_milliseconds() -> None:
    status = AgentStatus(
        agent="7", state=AgentState.PAUSED, since=float("nan"), reason="lunch", talk_seconds_today=1.23456
    )
    message = topics.agent_message(status)
    assert message.topic == "ctid/v1/agents/7/state"
    assert json.loads(message.payload) == {
        "state": "paused",
        "since": None,
        "reason": "lunch",
        "talk_seconds_today": 1.235,
        "call_id": None,
        "phone": None,
        "wrap_up_until": None,
        "consults": None,
        "recording_paused_until": None,
    }


def test_a_second_too_full_of_commands_takes_twenty_answers_one_and_drops_the_rest_till_it_is_a_flood() -> None:
    flood = Flood()
    said = [flood.judge("ctid/v1/agents/7/command", 5.0 + n / 1000) for n in range(300)]
    assert said == [Verdict.TAKE] * 20 + [Verdict.REFUSE] + [Verdict.DROP] * 178 + [Verdict.UNHEAR] * 101
    assert flood.judge("ctid/v1/agents/8/command", 5.5) is Verdict.TAKE, "others are not harmed"
    assert flood.judge("ctid/v1/agents/7/command", 6.0) is Verdict.TAKE


def test_who_sends_too_many_is_told_in_one_line() -> None:
    refusal = refused("ctid/v1/agents/7/command", b'{"id": "9", "command": "resume"}', "too many commands")
    assert refusal == Refusal(topic="ctid/v1/agents/7/result", id="9", error="too many commands")
    assert refused("ctid/v1/agents/+/command", b"{}", "too many") is None


def test_who_floods_is_left_out_of_what_is_listened_to_and_nobody_else() -> None:
    seven, calls = source("ctid/v1/agents/7/command"), source("ctid/v1/calls/1.1/command")
    assert calls == source("ctid/v1/calls/1.2/command"), "who commands calls can name any"
    agents = ("7", "8", "not/a/level", "+")
    assert commands_but((), agents) == ("ctid/v1/agents/+/command", "ctid/v1/calls/+/command")
    assert commands_but((seven,), agents) == ("ctid/v1/agents/8/command", "ctid/v1/calls/+/command")
    assert commands_but((calls,), agents) == ("ctid/v1/agents/+/command",)
    assert commands_but((seven, calls), agents) == ("ctid/v1/agents/8/command",)
