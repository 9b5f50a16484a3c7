"""What ctid says to the PBX stands in one table, and nothing else is ever sent."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.asterisk.sayable import ACTIONS, said
from ctid.asterisk.wire import UnsendableError

SOURCE = Path(__file__).parent.parent / "ctid"

#: What callers, agents, customers and neighbours would have a header hold: another header, another call, another program.
HOSTILE = (
    *(
        "x\r\nAction: Originate\r\nApplication: System\r\nData: id",
        "x\nAction: Command",
        "x\r",
        "a\0b",
        "\x1b[31m",
        "\x7f",
    ),
    *("x" * 2000, "\ud800\udfff"),
)
#: And what the dialplan would read as something else.
IN_THE_DIALPLAN = (
    *(
        "${SHELL(id)}",
        "$[1+1]",
        '"',
        "a,b",
        "agent1&agent2",
        "PJSIP/agent1&PJSIP/trunk",
        "a|b",
        "a^b",
        "(x)",
        "a b",
        "\\",
        ";",
    ),
    *("13800138000@trunk", "Local/s@agents", "/.*/", "王芳\u202e", "${CTID_EPOCH}", "<13800138000>", "'", "=x"),
)


def _named(source: str) -> Iterator[str]:
    """The actions a module names: in a call of the link's, in a request, and in a pair of a name and its fields."""
    for node in ast.walk(ast.parse(source)):
        first = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("call", "list"):
            first = node.args[0] if node.args else None
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_Request":
            first = node.args[0]
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
            head, fields = node.elts
            if isinstance(head, ast.Constant) and head.value == "Action":
                first = fields
            elif isinstance(fields, ast.Dict):
                first = head
        for name in (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,):
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value


def test_each_action_that_ctid_names_has_a_row() -> None:
    named = {action for file in SOURCE.rglob("*.py") for action in _named(file.read_text(encoding="utf-8"))}
    lacking = sorted(named - ACTIONS.keys())
    assert not lacking, f"{lacking}: add a row to ctid/asterisk/sayable.py that says what may stand in each header"
    assert len(named) > 15


@pytest.mark.parametrize(("action", "header"), [(action, header) for action in ACTIONS for header in ACTIONS[action]])
@pytest.mark.parametrize("value", HOSTILE)
def test_no_header_of_any_action_takes_a_second_one_or_a_control_sign(action: str, header: str, value: str) -> None:
    with pytest.raises(UnsendableError, match=header):
        said([("Action", action), (header, value)])


#: Free text, which the dialplan never reads: who signs in, and how the site calls its own queue and agents.
FREE = {("Login", "Username"), ("Login", "Secret"), *((name, "Queue") for name in ACTIONS), ("QueueAdd", "MemberName")}
NAMED_BY_THE_PBX = {"Channel", "Interface", "BridgeUniqueid"}


@pytest.mark.parametrize(
    ("action", "header"),
    [
        (a, h)
        for a in ACTIONS
        for h in ACTIONS[a]
        if (a, h) not in FREE and (a == "Originate" or h not in NAMED_BY_THE_PBX)
    ],
)
def test_nothing_that_the_dialplan_would_read_as_something_else_stands_in_a_header(action: str, header: str) -> None:
    for value in IN_THE_DIALPLAN:
        if (header, value) not in {("Value", "13800138000@trunk"), ("ChannelId", "13800138000@trunk")}:
            with pytest.raises(UnsendableError, match=header):
                said([("Action", action), (header, value)])


def test_a_pattern_that_would_mean_many_channels_is_no_channels_name() -> None:
    for value in ("/.*/", "", "agent1", "all", "PJSIP/"):
        with pytest.raises(UnsendableError, match="Channel"):
            said([("Action", "Hangup"), ("Channel", value)])
    for value in ("Local/100@x-00000001;1", "1795361443.3", "pbx-2.north-1795361443.3"):
        assert said([("Action", "Hangup"), ("Channel", value)]).startswith(b"Action: Hangup\r\n")


@pytest.mark.parametrize("action", ["Command", "Originate2", "Redirect", "UpdateConfig", "AGI", "", "setvar"])
def test_an_action_without_a_row_is_not_sent(action: str) -> None:
    with pytest.raises(UnsendableError, match="no row"):
        said([("Action", action)])


def test_a_header_without_a_row_is_not_sent() -> None:
    for header in ("Application", "Data", "Variable2", "action"):
        with pytest.raises(UnsendableError, match="no row"):
            said([("Action", "Originate"), (header, "x")])


def test_a_secret_that_cannot_be_sent_stands_in_no_error() -> None:
    with pytest.raises(UnsendableError) as raised:
        said([("Action", "Login"), ("Secret", "hunter2\nx")])
    assert "hunter2" not in str(raised.value)


@given(st.sampled_from([(a, h) for a in ACTIONS for h in ACTIONS[a]]), st.text())
def test_whatever_a_header_is_given_it_is_sent_as_that_header_or_not_at_all(where: tuple[str, str], value: str) -> None:
    action, header = where
    try:
        sent = said([("Action", action), (header, value), ("ActionID", "action/1")])
    except UnsendableError:
        return
    assert sent.decode() == f"Action: {action}\r\n{header}: {value}\r\nActionID: action/1\r\n\r\n"


@pytest.mark.parametrize("channel", ["1795359705.0", "pbx-1795359705.12", "dial-1795359705123.1"])
@pytest.mark.parametrize("action", ["Setvar", "MixMonitorMute", "BlindTransfer", "Atxfer", "Hangup", "PlayDTMF"])
def test_a_channel_may_be_named_by_its_uniqueid(action: str, channel: str) -> None:
    """Transfers, pauses and what ends them know no other name of it."""
    assert channel.encode() in said([("Action", action), ("Channel", channel)])
