"""AMI's events in any order with any values, as a PBX gone mad would send them, and agents' commands between them.

Law: tracker and core raise nothing, the books stay sound, what they say can be published; and once every channel has
hung up, nothing of what was is kept.
"""

from __future__ import annotations

from collections.abc import Iterator

from ctid.asterisk.messages import WANTED
from ctid.asterisk.tracker import Tracker
from ctid.asterisk.wire import Message
from ctid.domain.events import LinkLost, LinkOpened, TimePassed
from ctid.mqtt.topics import Refusal, command_message, parse_command
from fuzz.books import AGENTS, Books
from fuzz.drawing import Drawn

SAYS = "AMI events of any order and value, with commands between them"
EPOCH = "epoch"
IDS = tuple(f"1.{n}" for n in range(1, 8))
CHANNELS = (
    *("PJSIP/agent1-01", "PJSIP/agent2-02", "PJSIP/agent3-03", "PJSIP/trunk-04", "PJSIP/caller-05"),
    *("Local/100@x-06;1", "Local/100@x-06;2", "Local/agent1@x-07;1", "Local/agent1@x-07;2"),
    *("Message/ast", "Snoop/1.1-01", "SIP/agent1-08", "none"),
)
USER_EVENTS = (
    *("CtidStart", "CtidWait", "CtidOverflow", "CtidCallback", "CtidFailsafe", "CtidEnd", "CtidAgent", "CtidAlone"),
    *("CtidConsent", "CtidPause", "CtidRenewed", "CtidStale", "Other"),
)
EVENTS = tuple(sorted(name.decode() for name in WANTED if name != b"UserEvent"))
WORDS = {
    "ChannelStateDesc": ("Down", "Ring", "Ringing", "Up", "Busy"),
    "DialStatus": ("RINGING", "ANSWER", "NOANSWER", "BUSY", "CANCEL", "CHANUNAVAIL", "PROGRESS"),
    "BridgeUniqueid": ("b1", "b2", "b3"),
    "Cause": ("16", "17", "19", "21", "0", "9" * 30),
    "DialString": ("agent1", "02155667788@trunk", "agent1/sip:agent1@h", "trunk/123", "@", "/"),
    "Device": ("PJSIP/agent1", "PJSIP/agent2", "PJSIP/agent3", "Custom:x"),
    "State": ("NOT_INUSE", "INUSE", "UNAVAILABLE", "UNKNOWN"),
    "Direction": ("inbound", "outbound"),
    "Seq": ("1", "2", "3", "-1", "9" * 400),
    "Did": ("4001", "", "4002"),
    "File": ("2026/11/22/1.1.wav", "", "../../etc/passwd"),
    "Why": ("", "NOANSWER", "BUSY", "FAILSAFE"),
    "Waited": ("0", "5", "9" * 400),
    "To": ("hangup", "number-123", "callback"),
    "Size": ("44", "0"),
    "Command": ("sign_in", "sign_out", "pause", "resume", "x"),
    "Agent": ("agent1", "agent2", "", "nobody"),
    "Pin": ("1234", ""),
    "Renew": ("yes", "no"),
    "Response": ("Failure", "Success"),
    "CallerIDNum": ("13800138000", "agent1", "<unknown>", ""),
    "CallerIDName": ("", "Chen"),
    "Consent": ("announced", "accepted", "refused", "failed", "x"),
    "Exten": ("4001", "s", ""),
    "Application": ("", "Dial", "AppDial", "Queue"),
}
COMMANDS = (
    "sign_in",
    "sign_out",
    "pause",
    "resume",
    "wrap_up_done",
    "wrap_up_extend",
    "show",
    "pickup",
    "dial",
    "transfer",
    "relink",
    "record_pause",
    "record_resume",
)
FIELDS = ("phone", "reason", "seconds", "call_id", "number", "ticket_id", "contact_id", "to", "kind", "new")


def seeds() -> Iterator[bytes]:
    yield bytes(range(256)) * 4
    yield bytes(n * 7 % 256 for n in range(1200))
    yield bytes(n * n % 251 for n in range(1200))
    yield bytes(1500)


def one(data: bytes) -> None:
    drawn, books, at = Drawn(data[:3000]), Books(EPOCH), 1000.0
    books.tell(LinkOpened(at=at))
    gone: set[str] = set()  # of a channel that has hung up the PBX never gives the id again
    while drawn.left:
        at += drawn.pick((0.0, 0.5, 3.0, 30.0, -2.0, 700.0, 90000.0))
        match drawn.whole(9):
            case 8:
                _command(books, drawn, at)
            case 9:
                if drawn.whole(1):
                    books.tell(TimePassed(at=at))
                else:
                    _resync(books, drawn, at, gone)
            case _:
                message = _message(drawn, at)
                channel = message.headers.get("Uniqueid", "")
                if message.name == "Hangup":
                    gone.add(channel)
                if message.name != "Newchannel" or channel not in gone:
                    books.hear(message)
    books.sound()
    for number, channel in enumerate(list(books.tracker._graph.channels)):
        books.hear(Message("Hangup", {"Uniqueid": channel, "Cause": "16"}, at + number))
    books.sound()
    books.empty()
    books.tell(LinkOpened(at=at + 100))
    books.forget()
    assert not books.acd.world.waiting, books.acd.world.waiting
    assert not books.acd.world.calls, books.acd.world.calls


def _resync(books: Books, drawn: Drawn, at: float, gone: set[str]) -> None:
    """The link breaks and comes back; of the channels some hung up meanwhile, the others are told again."""
    before = list(books.tracker._graph.channels.values())
    books.tell(LinkLost(at=at))
    books.tracker = Tracker()
    for channel in before:
        if drawn.whole(3) == 0:
            gone.add(channel.id)
            continue
        state = "Up" if channel.up else "Ringing"
        headers = {"Channel": channel.name, "Uniqueid": channel.id, "Linkedid": channel.call, "ChannelStateDesc": state}
        books.hear(Message("Newchannel", headers, at))
    books.tell(LinkOpened(at=at))


def _message(drawn: Drawn, at: float) -> Message:
    user = drawn.whole(3) == 0
    headers = {"Channel": drawn.pick(CHANNELS), "Uniqueid": drawn.pick(IDS), "Linkedid": drawn.pick(IDS)}
    headers |= {"DestChannel": drawn.pick(CHANNELS), "DestUniqueid": drawn.pick(IDS)}
    if user:
        headers |= {"UserEvent": drawn.pick(USER_EVENTS), "Epoch": EPOCH}
    name = "UserEvent" if user else drawn.pick(EVENTS)
    for header in _headers(name, headers.get("UserEvent", "")):
        headers[header] = drawn.text(40) if drawn.whole(15) == 0 else drawn.pick(WORDS[header])
    if drawn.whole(20) == 0:
        headers.pop(drawn.pick(tuple(headers)))
    return Message(name, headers, None if drawn.whole(30) == 0 else at)


def _headers(name: str, user_event: str) -> tuple[str, ...]:
    """What the event has beside its channels."""
    return {
        "Newchannel": ("ChannelStateDesc", "CallerIDNum", "CallerIDName", "Exten", "Application"),
        "Newstate": ("ChannelStateDesc",),
        "Hangup": ("Cause",),
        "DialBegin": ("DialString",),
        "DialState": ("DialStatus",),
        "DialEnd": ("DialStatus",),
        "BridgeEnter": ("BridgeUniqueid",),
        "BridgeLeave": ("BridgeUniqueid",),
        "DeviceStateChange": ("Device", "State"),
        "OriginateResponse": ("Response",),
        "CtidStart": ("Direction", "Did", "File", "Renew"),
        "CtidWait": ("Seq", "Did", "Why", "Cause", "Waited"),
        "CtidOverflow": ("To",),
        "CtidEnd": ("File", "Size"),
        "CtidAgent": ("Seq", "Command", "Agent", "Pin"),
        "CtidAlone": ("Command",),
        "CtidConsent": ("Consent",),
    }.get(user_event or name, ())


def _command(books: Books, drawn: Drawn, at: float) -> None:
    fields: dict[str, object] = {}
    for _ in range(drawn.whole(3)):
        fields[drawn.pick(FIELDS)] = drawn.pick(
            (*AGENTS, *IDS, "blind", "attended", "13800138000", 1, 30.5, True, None)
        )
    asked = command_message(drawn.pick(AGENTS), "1", drawn.pick(COMMANDS), fields)
    event = parse_command(asked.topic, asked.payload, at)
    if event is not None and not isinstance(event, Refusal):
        books.tell(event)
