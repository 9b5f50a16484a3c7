"""What fuzzing found, each as a caller, an agent, an operator or a neighbour would have met it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from ctid.asterisk.messages import CallerWaits, ChannelSeen, parse
from ctid.asterisk.wire import Framer
from ctid.config import ConfigurationFaults, load
from ctid.db import csvfile
from ctid.db.numbers import dialled
from ctid.domain.actions import ShowCall
from ctid.mqtt.topics import call_message
from ctid.web import views
from ctid.web.board import Board
from fuzz.books import Books

NEW = (
    b"Event: Newchannel\r\nPrivilege: call,all\r\nTimestamp: 5.5\r\nChannel: Local/%b@x-1;1\r\nChannelStateDesc: Ring\r\n"
    b"CallerIDNum: %b\r\nCallerIDName: %b\r\nExten: %b\r\nUniqueid: 1.1\r\nLinkedid: 1.1\r\n\r\n"
)


@pytest.mark.parametrize("octets", [b"\xff\xfe", b"\xcd\xf5\xb7\xbc", b"\xed\xa0\x80", b"138\xe4\xbd"])
def test_a_caller_whose_number_or_name_is_no_utf8_is_shown_as_everyone_is(octets: bytes) -> None:
    books, shown = Books(), []
    for message in Framer().feed(NEW % (octets, octets, octets, octets)):
        seen = parse(message)
        assert isinstance(seen, ChannelSeen)
        for event in books.tracker.feed(seen):
            shown += [action for action in books.acd.handle(event) if isinstance(action, ShowCall)]
    assert shown
    told = json.loads(call_message(shown[-1].call).payload)
    assert "\ufffd" in told["caller"]
    assert "\ufffd" in told["dialled"]


def test_what_the_dialplan_says_in_other_bytes_than_utf8_can_be_kept_all_the_same() -> None:
    words = b"Did: \xff\r\nFile: \xff.wav\r\nWhy: \xff\r\nTo: \xff\r\nAgent: \xff\r\nPin: \xff\r\nCommand: pause\r\nSeq: 1\r\n"
    for kind in (b"CtidStart", b"CtidWait", b"CtidOverflow", b"CtidEnd", b"CtidAgent"):
        [message] = Framer().feed(
            b"Event: UserEvent\r\nUserEvent: %b\r\nUniqueid: 1.1\r\nChannel: PJSIP/a-1\r\nDirection: inbound\r\n%b\r\n"
            % (kind, words)
        )
        told = parse(message)
        assert told is not None
        assert "\ufffd" in json.dumps(msgspec.to_builtins(told), ensure_ascii=False)
        msgspec.json.encode(told)


def test_a_wait_longer_than_any_clock_counts_is_no_wait() -> None:
    head = "Event: UserEvent\r\nUserEvent: CtidWait\r\nUniqueid: 1.1\r\nChannel: PJSIP/a-1\r\n"
    [long, much] = Framer().feed(
        f"{head}Seq: 1\r\nWaited: {'9' * 400}\r\n\r\n{head}Seq: {'9' * 400}\r\nWaited: 1\r\n\r\n".encode()
    )
    waits = parse(long)
    assert isinstance(waits, CallerWaits)
    assert waits.waited == 0
    assert parse(much) is None


def test_a_decision_that_is_no_utf8_ends_no_screens_feed() -> None:
    board = Board()
    board.take("ctid/v1/agents/7/pop", b'{"call_id":"1","state":"ringing","decision":{"rule":"\xff"}}', kept=False)
    assert json.loads(views.of_agent("7", board.views["7"], {}))["pop"]["why"] is None


def test_a_number_that_is_too_short_once_it_is_written_at_home_is_not_called() -> None:
    assert dialled("+4940", "DE") is None


def test_a_variable_with_control_signs_in_its_name_is_one_line() -> None:
    with pytest.raises(ConfigurationFaults) as raised:
        load(Path("/dev/null"), {"CTID_LINES__\x1b[31m\n": "x", "CTID_AMI_PORT\n": "1"})
    assert all(fault.isprintable() for fault in raised.value.faults)


def test_what_is_wrong_with_a_quote_beside_a_tab_is_one_line() -> None:
    [(_, reason)] = csvfile.lines_in("a.csv", b'id\tname\n"1"x\t2\n', known=("id", "name"), required=("id",)).broken
    assert reason.isprintable()
