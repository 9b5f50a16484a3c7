"""AMI's bytes: the framer, the typed events, the tracker and the core behind it.

Law: no bytes raise anything but ``WireError``, and read the same in any chunks. What is left out of a live stream is
noticed, so that the PBX's state is read again; what follows the PBX's own answer is read as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Iterator

from ctid.asterisk.messages import WANTED
from ctid.asterisk.wire import LONGEST_MESSAGE, Framer, Message
from fuzz.books import Books, recorded

SAYS = "AMI bytes, to the books"
OWN = "action/fuzz/"
BANNER = b"Asterisk Call Manager/11.0.0\r\n"
ANSWER = b"Response: Success\r\nActionID: action/fuzz/1/1\r\nPing: Pong\r\n\r\n"
CALL = (
    b"Event: Newchannel\r\nPrivilege: call,all\r\nTimestamp: 2000000000.5\r\nChannel: PJSIP/caller-ffffff01\r\n"
    b"ChannelStateDesc: Ring\r\nCallerIDNum: 13800138000\r\nCallerIDName: Genuine\r\nExten: 4001\r\nUniqueid: 2000000000.1\r\n"
    b"Linkedid: 2000000000.1\r\n\r\n"
    b"Event: Hangup\r\nPrivilege: call,all\r\nTimestamp: 2000000001.5\r\nChannel: PJSIP/caller-ffffff01\r\n"
    b"Uniqueid: 2000000000.1\r\nLinkedid: 2000000000.1\r\nCause: 16\r\n\r\n"
)


def seeds() -> Iterator[bytes]:
    yield from (b"\x40" + raw[:4000] for raw in recorded())
    cut = b"Event: Newchannel\r\nPrivilege: call,all\r\nChannel: PJSIP/a-1\r\nCallerIDNum: 1\r\n\r\n"
    yield b"\x01" + cut + b"Event: Hangup\r\nPrivilege: \r\n"
    yield b"\xffResponse: Follows\r\nActionID: action/fuzz/2/2\r\nOutput: a\r\nOutput: b\r\n\r\n"


def one(data: bytes) -> None:
    step, octets = 1 + (data[0] if data else 0), BANNER + data[1:]
    trusting = Framer(WANTED)
    whole = trusting.feed(octets)
    pieces = Framer(WANTED)
    assert [m for at in range(0, len(octets), step) for m in pieces.feed(octets[at : at + step])] == whole
    books = Books()
    for message in whole:
        books.hear(message)
    books.sound()
    assert _rest(trusting) <= min(len(octets), LONGEST_MESSAGE)
    _live(octets, step, whole)


def _live(octets: bytes, step: int, whole: list[Message]) -> None:
    """The same bytes on a live link, and the PBX's own behind them."""
    framer = Framer(WANTED, own=OWN)
    read = [m for at in range(0, len(octets), step) for m in framer.feed(octets[at : at + step])]
    assert framer.forged or _told(read) == _told(whole), "something was left out and nobody noticed"
    after = framer.feed(b"\r\n\r\n" + ANSWER + CALL)
    assert [m.get("Uniqueid") for m in after[-2:]] == ["2000000000.1"] * 2, "the PBX is not heard again"
    books = Books("the epoch nobody can guess")
    for message in (*read, *after):
        books.hear(message)
    books.sound()
    assert books.ended[-1:] == ["2000000000.1"] or "2000000000.1" in books.tracker._alias


def _told(messages: list[Message]) -> list[Message]:
    """Without what answers somebody else's action: only a reader of recordings cares for it."""
    return [m for m in messages if not m.name or m.name.encode("utf-8", "surrogateescape") in WANTED]


def _rest(framer: Framer) -> int:
    return len(framer._rest)
