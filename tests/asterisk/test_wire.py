"""AMI's bytes become messages, whatever their borders."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctid.asterisk.wire import LONGEST_MESSAGE, Framer, Message, UnsendableError, WireError, encode, unescape

BANNER = b"Asterisk Call Manager/11.0.0\r\n"
STREAM = (
    BANNER
    + "Response: Success\r\nActionID: 1\r\nMessage: Authentication accepted\r\n\r\n"
    "Event: Newchannel\r\nTimestamp: 1795307747.519835\r\nCallerIDName: Müller 王芳\r\nAccountCode: \r\n\r\n"
    "Event: VarSet\r\nVariable: X\r\nValue: 1\r\n\r\n"
    "Event: Status\r\nVariable: CTID_CALL=9.1\r\nVariable: CTID_SEQ=2\r\nVariable: CTID_ROUTE=(null)\r\nActionID: 7\r\n\r\n"
    "Event: Hangup\r\nCause: 16\r\n\r\n".encode()
)


def read(octets: bytes, wanted: frozenset[bytes] | None = None, step: int = 0) -> list[Message]:
    framer = Framer(wanted)
    step = step or len(octets) or 1
    return [m for at in range(0, len(octets), step) for m in framer.feed(octets[at : at + step])]


def test_no_letter_is_lost_wherever_the_stream_is_cut_in_two() -> None:
    whole = read(STREAM)
    assert [m.name for m in whole] == ["", "Newchannel", "VarSet", "Status", "Hangup"]
    assert whole[1].get("CallerIDName") == "Müller 王芳"
    for cut in range(1, len(STREAM)):
        framer = Framer()
        assert framer.feed(STREAM[:cut]) + framer.feed(STREAM[cut:]) == whole


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_a_stream_in_tiny_chunks_reads_as_the_whole(step: int) -> None:
    assert read(STREAM, step=step) == read(STREAM)


@settings(max_examples=200)
@given(st.binary(max_size=400), st.integers(1, 50))
def test_garbage_never_raises_and_reads_the_same_in_any_chunks(octets: bytes, step: int) -> None:
    assert read(octets, step=step) == read(octets)


def test_unwanted_events_are_skipped_but_for_those_that_answer_an_action() -> None:
    assert [m.name for m in read(STREAM, frozenset({b"Hangup"}))] == ["", "Status", "Hangup"]


def test_a_missing_header_and_an_empty_one_are_both_none() -> None:
    event = read(STREAM)[1]
    assert event.get("AccountCode") is None
    assert event.get("Nonesuch") is None


def test_repeated_variables_are_all_kept_and_unset_ones_left_out() -> None:
    status = read(STREAM)[3]
    assert status.variables() == {"CTID_CALL": "9.1", "CTID_SEQ": "2"}
    assert status.values("Variable")[2] == "CTID_ROUTE=(null)"


def test_the_last_of_a_repeated_header_counts() -> None:
    [event] = read(b"Event: UserEvent\r\nSeq: 999\r\nSeq: 1\r\n\r\n")
    assert event.get("Seq") == "1"


def test_a_forged_event_header_does_not_rename_the_event() -> None:
    [event] = read(b"Event: UserEvent\r\nCall: 1\r\nEvent: Hangup\r\n\r\n")
    assert event.name == "UserEvent"


@pytest.mark.parametrize("stamp", ["soon", "nan", "inf", "-1", ""])
def test_a_timestamp_that_is_no_time_is_none(stamp: str) -> None:
    [event] = read(f"Event: Hangup\r\nTimestamp: {stamp}\r\n\r\n".encode())
    assert event.at is None


def test_the_timestamp_is_unix_seconds_to_the_microsecond() -> None:
    assert read(STREAM)[1].at == 1795307747.519835


def test_names_are_unescaped_where_asterisk_escapes_them_and_only_there() -> None:
    [event] = read(
        rb"Event: X" + b"\r\n" + rb"DestCallerIDName: a\"b\\c\?\n" + b"\r\n" + rb"AppData: a\"b" + b"\r\n\r\n"
    )
    assert event.get("DestCallerIDName") == 'a"b\\c?\n'
    assert event.get("AppData") == r"a\"b"


def test_an_unknown_escape_stays_as_it_is() -> None:
    assert unescape(r"\q \\") == "\\q \\"


def test_bytes_that_are_no_utf8_are_kept_and_can_be_sent_back() -> None:
    [event] = read(b"Event: X\r\nChannel: SIP/\xff\xfe\r\n\r\n")
    channel = event.get("Channel")
    assert channel is not None
    assert encode([("Channel", channel)]) == b"Channel: SIP/\xff\xfe\r\n\r\n"


def test_a_recording_with_bare_line_feeds_reads_the_same() -> None:
    assert read(STREAM.replace(b"\r\n", b"\n")) == read(STREAM)


def test_a_recording_that_goes_on_over_a_reconnect_is_read_through() -> None:
    assert read(STREAM + STREAM) == read(STREAM) * 2


def test_a_recording_without_an_empty_line_at_its_end_gives_its_last_message() -> None:
    framer = Framer()
    assert framer.feed(b"Event: Hangup\r\nCause: 16\r\n") == []
    assert [m.get("Cause") for m in framer.finish()] == ["16"]


def test_a_line_without_a_colon_costs_only_itself() -> None:
    [event] = read(b"Event: X\r\nno header\r\nA: 1\r\n\r\n")
    assert event.get("A") == "1"


def test_a_peer_that_never_ends_a_message_is_no_ami() -> None:
    with pytest.raises(WireError, match="not AMI"):
        read(b"x" * (LONGEST_MESSAGE + 1), step=65536)


@pytest.mark.parametrize("value", ["a\r\nAction: Originate", "a\nb", "a\rb", "a\0b", "\ud800", "x" * 1100])
def test_what_would_arrive_as_something_else_is_not_sent(value: str) -> None:
    with pytest.raises(UnsendableError, match="'Value'"):
        encode([("Action", "Setvar"), ("Value", value)])


def test_more_headers_than_asterisk_takes_are_not_sent() -> None:
    with pytest.raises(UnsendableError, match="headers"):
        encode([("Variable", "x")] * 200)


# What a caller can write into AMI: Asterisk puts CallerIDNum, ConnectedLineNum and Exten on the wire as they came, and a SIP
# user part may hold %0d%0a. `number` is what stands there instead of a number, 79 bytes at most.
GENUINE = (
    "Event: Newchannel\r\nPrivilege: call,all\r\nTimestamp: 1.5\r\nChannel: PJSIP/caller-1\r\nChannelState: 4\r\n"
    "CallerIDNum: {number}\r\n"
    "CallerIDName: \r\nExten: 4001\r\nUniqueid: 9.1\r\nLinkedid: 9.1\r\n\r\n"
)
AFTER = (
    "Event: Hangup\r\nPrivilege: call,all\r\nChannel: PJSIP/b-2\r\nUniqueid: 9.9\r\nLinkedid: 9.9\r\nCause: 16\r\n\r\n"
)


#: What the ActionIDs of this process begin with, and an answer.
OWN = "action/secret/"
ANSWER = "Response: Success\r\nActionID: action/secret/1/1\r\nPing: Pong\r\n\r\n"
FORGED = "Event: Hangup\r\nPrivilege: \r\nUniqueid: 9.7\r\n\r\n"


@pytest.mark.parametrize(
    "number",
    [
        "1\r\nTimestamp: 99000000000",
        "1\r\nChannel: PJSIP/agent1-0000beef",
        "1\r\nUniqueid: 9.7\r\nLinkedid: 9.7",
        "1\r\n\r\nEvent: Hangup\r\nPrivilege: call,all\r\nUniqueid: 9.7\r\n",
        "1\r\n\r\nEvent: Hangup\r\nUniqueid: 9.7\r\nLinkedid: 9.7\r\nCause: 16\r\n",
        "1\r\n\r\nEvent: UserEvent\r\nPrivilege: user,all\r\nUserEvent: CtidAgent\r\n",
        "1\r\nno header",
        "1\r\n\r\nResponse: Success\r\nActionID: 1\r\n",
        "1\r\n\r\nx\r\n\r\n" + FORGED,
        "1\r\n\r\nLinkedid: \r\n\r\n" + FORGED,
        "1\r\n\r\nResponse: Success\r\nActionID: action/1\r\n\r\n" + FORGED,
        "1\r\n\r\n" + "Event: Hold\r\nPrivilege: \r\n\r\n" * 5 + FORGED,
    ],
)
def test_what_a_caller_writes_into_the_stream_by_line_breaks_is_not_believed(number: str) -> None:
    framer = Framer(own=OWN)
    stream = GENUINE.format(number="13800138000") + GENUINE.format(number=number) + ANSWER + AFTER
    read = [m for m in framer.feed(stream.encode()) if m.get("ActionID") != f"{OWN}1/1"]
    assert framer.forged
    assert read[0].get("CallerIDNum") == "13800138000"
    assert {m.get("Uniqueid") for m in read} <= {"9.1", "9.9"}
    assert all(m.at in {1.5, None} for m in read)
    assert not [m for m in read if m.get("Channel") == "PJSIP/agent1-0000beef" or m.name in {"UserEvent", "Hold"}]
    assert read[-1].get("Uniqueid") == "9.9", "the PBX is heard again"


def test_a_live_stream_without_forgeries_is_read_whole() -> None:
    framer = Framer(own=OWN)
    read = framer.feed((GENUINE.format(number="1") + AFTER).encode() * 3)
    assert len(read) == 6
    assert framer.forged == 0


def test_a_caller_in_the_list_of_a_queue_is_no_forgery() -> None:
    framer = Framer(frozenset({b"Hangup"}), own=OWN)
    entry = (
        f"Event: QueueEntry\r\nActionID: {OWN}1\r\nChannel: PJSIP/a-1\r\nUniqueid: 1.0\r\nCallerIDNum: %s\r\n"
        "CallerIDName: \r\nWait: 7\r\n\r\n"
    )
    [message] = framer.feed(f"Asterisk Call Manager/11.0.0\r\n{entry % 138}".encode())
    assert (message.name, framer.forged) == ("QueueEntry", 0)
    assert framer.feed((entry % f"1\r\n\r\n{FORGED}").encode()) == []


@pytest.mark.parametrize(
    "cut",
    [
        "Event: OriginateResponse\r\nPrivilege: call,all\r\nChannel: PJSIP/a-1\r\nCallerIDNum: {number}\r\nCallerIDName: ",
        "Event: DialBegin\r\nPrivilege: \r\nDestChannel: PJSIP/a\r\nDestExten: {number}\r\nDestUniqueid: 1\r\nDestLinkedid: 1",
    ],
)
def test_a_cut_message_is_known_by_what_should_stand_behind_the_number(cut: str) -> None:
    whole = cut.format(number="138") + "\r\n\r\n"
    framer = Framer(own=OWN)
    assert len(framer.feed(whole.encode())) == 1
    assert framer.feed((cut.format(number=f"1\r\n\r\n{FORGED}") + "\r\n\r\n").encode()) == []


def test_an_answer_that_anyone_else_was_given_ends_no_distrust() -> None:
    framer = Framer(own=OWN)
    framer.feed(GENUINE.format(number=f"1\r\n\r\n{FORGED}").encode())
    assert framer.feed((ANSWER.replace("secret", "guess") + FORGED).encode()) == []
    assert [m.name for m in framer.feed((ANSWER + AFTER).encode())] == ["", "Hangup"]
