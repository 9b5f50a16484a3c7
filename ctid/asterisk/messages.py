"""AMI messages as typed values: the one place where headers are read.

Law: past here nothing knows a header's name. A message that lacks what it must have, or is of no use, becomes ``None``.
Each class names the Asterisk event it is made of.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import msgspec

from ctid.asterisk.wire import Message, storable
from ctid.domain.types import Consent

_MOST_DIGITS = 15  # no size, time or count of Asterisk's has more, and every number of fewer is a float, too
#: The value Asterisk writes for a caller whose number or name is not known or withheld.
_NO_VALUE = frozenset({"<unknown>", "<unavailable>", "anonymous", "Anonymous", "unknown", "restricted"})


class PbxEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """``at`` is the ``Timestamp`` header, Unix seconds by the PBX's clock; ``None`` where the stream has none."""

    at: float | None = None


class ChannelSeen(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``Newchannel``, and each channel of a snapshot, which alone tells the ``application`` it runs."""

    channel: str
    uniqueid: str
    linkedid: str
    state: str
    caller: str | None = None
    caller_name: str | None = None
    exten: str | None = None
    application: str | None = None


class ChannelStateChanged(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``Newstate``. ``state`` is ``ChannelStateDesc``: Down, Ring, Ringing, Up, Busy and others."""

    uniqueid: str
    linkedid: str
    state: str


class ChannelHungUp(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``Hangup``. ``cause`` is the Q.850 number."""

    uniqueid: str
    cause: int


class DialBegan(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``DialBegin``. ``caller_id`` is the dialling channel's Uniqueid, ``None`` for an originated one."""

    caller_id: str | None
    dest_id: str
    dial_string: str | None


class DialMoved(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``DialState``. ``status`` is RINGING, PROCEEDING or PROGRESS."""

    dest_id: str
    status: str


class DialEnded(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``DialEnd``. ``status`` is ANSWER, NOANSWER, BUSY, CHANUNAVAIL, CONGESTION, CANCEL, ABORT or another."""

    dest_id: str
    status: str


class BridgeEntered(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``BridgeEnter``."""

    bridge: str
    uniqueid: str


class BridgeLeft(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``BridgeLeave``."""

    bridge: str
    uniqueid: str


class HoldChanged(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``Hold`` and ``Unhold``."""

    uniqueid: str
    held: bool


class DeviceChanged(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``DeviceStateChange``. ``state`` is NOT_INUSE, INUSE, UNAVAILABLE, INVALID, UNKNOWN and others."""

    device: str
    state: str


class CallEnteredCtid(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``UserEvent CtidStart``. With ``renews`` the doorbell makes the channel's recording listen anew in mid-call."""

    uniqueid: str
    outbound: bool
    dialled: str | None
    file: str | None
    renews: bool = False


class CallerWaits(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``UserEvent CtidWait``. ``why`` and ``cause`` are ``DIALSTATUS`` and Q.850 number of the try before."""

    uniqueid: str
    channel: str
    seq: int
    dialled: str | None
    why: str | None
    cause: int = 0
    waited: int = 0  # seconds since the caller came


class CallerOverflowed(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``UserEvent CtidOverflow``."""

    uniqueid: str
    to: str | None


class CallbackPressed(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``UserEvent CtidCallback``."""

    uniqueid: str


class OriginateFailed(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``OriginateResponse`` of a call that came to nothing; ``uniqueid`` is the one that was asked for."""

    uniqueid: str


class CallerInFailsafe(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``UserEvent CtidFailsafe``."""

    uniqueid: str


class VisitEnded(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``UserEvent CtidEnd``. ``file`` is relative to the monitor folder, ``size`` in bytes."""

    uniqueid: str
    file: str | None
    size: int


class ConsentSaid(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``UserEvent CtidConsent``, and ``CTID_CONSENTED`` of a snapshot."""

    uniqueid: str
    consent: Consent


class PauseKeyPressed(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``UserEvent CtidPause``, on the recorded channel."""

    uniqueid: str


class RecordingBegunAnew(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``UserEvent CtidRenewed``: in mid-pause."""

    uniqueid: str


class PauseSeen(PbxEvent, frozen=True, gc=False, kw_only=True):
    """What a recorded channel's ``CTID_PAUSED`` says, or CEL of what the dialplan did alone; not paused without ``since``.

    ``until`` is when it is to go on by itself, ``cut`` that the recording was stopped, not muted.
    """

    uniqueid: str
    since: float | None = None
    until: float | None = None
    agent: str | None = None
    cut: bool = False


class CodeKeyed(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``UserEvent CtidAgent``."""

    uniqueid: str
    channel: str
    seq: int
    command: str
    agent: str | None
    pin: str | None


class CodeObeyed(PbxEvent, frozen=True, gc=False, kw_only=True):
    """``UserEvent CtidAlone``: the dialplan did what a feature code asked for while ctid was dead."""

    channel: str
    command: str


def parse(message: Message, epochs: frozenset[str] | None = None) -> PbxEvent | None:
    """The typed value of an event, ``None`` for one that is of no use or lacks what it must have.

    With ``epochs``, what the dialplan says must quote one of them: secrets of the daemons that act, which no caller knows.
    """
    user_event = message.name == "UserEvent"
    if user_event and epochs is not None and message.get("Epoch") not in epochs:
        return None
    read = _USER_EVENTS.get(message.headers.get("UserEvent", "")) if user_event else _EVENTS.get(message.name)
    if read is None:
        return None
    try:
        return read(message)
    except (KeyError, ValueError):
        return None


def party(value: str | None) -> str | None:
    """A caller's number or name, ``None`` where the PBX has none to give."""
    return None if value is None or value in _NO_VALUE else storable(value)


def channel_seen(message: Message) -> ChannelSeen:
    """Read ``Newchannel``, ``Status`` or ``CoreShowChannel``; raises ``KeyError`` without name or ids."""
    h = message.headers
    return ChannelSeen(
        at=message.at,
        channel=h["Channel"],
        uniqueid=h["Uniqueid"],
        linkedid=h.get("Linkedid") or h["Uniqueid"],
        state=h.get("ChannelStateDesc", ""),
        caller=party(message.get("CallerIDNum")),
        caller_name=party(message.get("CallerIDName")),
        exten=_said(message.get("Exten")),
        application=message.get("Application"),
    )


def _state(m: Message) -> ChannelStateChanged:
    h = m.headers
    return ChannelStateChanged(
        at=m.at, uniqueid=h["Uniqueid"], linkedid=h.get("Linkedid") or h["Uniqueid"], state=h["ChannelStateDesc"]
    )


def _hangup(m: Message) -> ChannelHungUp:
    return ChannelHungUp(at=m.at, uniqueid=m.headers["Uniqueid"], cause=_whole(m.get("Cause")))


def _dial_begin(m: Message) -> DialBegan:
    return DialBegan(
        at=m.at, caller_id=m.get("Uniqueid"), dest_id=m.headers["DestUniqueid"], dial_string=m.get("DialString")
    )


def _dial_state(m: Message) -> DialMoved:
    return DialMoved(at=m.at, dest_id=m.headers["DestUniqueid"], status=m.headers["DialStatus"])


def _dial_end(m: Message) -> DialEnded:
    return DialEnded(at=m.at, dest_id=m.headers["DestUniqueid"], status=m.headers["DialStatus"])


def _bridge_enter(m: Message) -> BridgeEntered:
    return BridgeEntered(at=m.at, bridge=m.headers["BridgeUniqueid"], uniqueid=m.headers["Uniqueid"])


def _bridge_leave(m: Message) -> BridgeLeft:
    return BridgeLeft(at=m.at, bridge=m.headers["BridgeUniqueid"], uniqueid=m.headers["Uniqueid"])


def _hold(m: Message) -> HoldChanged:
    return HoldChanged(at=m.at, uniqueid=m.headers["Uniqueid"], held=m.name == "Hold")


def device_changed(m: Message) -> DeviceChanged:
    """Read ``DeviceStateChange``; raises ``KeyError`` without device or state."""
    return DeviceChanged(at=m.at, device=m.headers["Device"], state=m.headers["State"])


def _ctid_start(m: Message) -> CallEnteredCtid:
    return CallEnteredCtid(
        at=m.at,
        uniqueid=m.headers["Uniqueid"],
        outbound=m.headers["Direction"] == "outbound",
        dialled=_said(m.get("Did")),
        file=_said(m.get("File")),
        renews=m.get("Renew") == "yes",
    )


def _ctid_wait(m: Message) -> CallerWaits:
    return CallerWaits(
        at=m.at,
        uniqueid=m.headers["Uniqueid"],
        channel=m.headers["Channel"],
        seq=_seq(m.headers["Seq"]),
        dialled=_said(m.get("Did")),
        why=_said(m.get("Why")),
        cause=_whole(m.get("Cause")),
        waited=_whole(m.get("Waited")),
    )


def _ctid_overflow(m: Message) -> CallerOverflowed:
    return CallerOverflowed(at=m.at, uniqueid=m.headers["Uniqueid"], to=_said(m.get("To")))


def _ctid_callback(m: Message) -> CallbackPressed:
    return CallbackPressed(at=m.at, uniqueid=m.headers["Uniqueid"])


def _originate_response(m: Message) -> OriginateFailed:
    if m.headers["Response"] != "Failure":
        raise ValueError("the call's own channel tells the rest")
    return OriginateFailed(at=m.at, uniqueid=m.headers["Uniqueid"])


def _ctid_consent(m: Message) -> ConsentSaid:
    return ConsentSaid(at=m.at, uniqueid=m.headers["Uniqueid"], consent=Consent(m.headers["Consent"]))


def _ctid_pause(m: Message) -> PauseKeyPressed:
    return PauseKeyPressed(at=m.at, uniqueid=m.headers["Uniqueid"])


def _ctid_renewed(m: Message) -> RecordingBegunAnew:
    return RecordingBegunAnew(at=m.at, uniqueid=m.headers["Uniqueid"])


def pause_seen(uniqueid: str, told: str | None, stepped: float = 0.0) -> PauseSeen:
    """Read ``CTID_PAUSED`` (``since:until:agent:how``); what is not of that form is no pause.

    Its times are those the PBX's clock shows, ``stepped`` seconds more than the steady ones.
    """
    since, until, agent, how = [*(told or "").split(":"), "", "", "", ""][:4]
    try:
        return PauseSeen(
            uniqueid=uniqueid,
            since=float(since) - stepped,
            until=float(until) - stepped if until else None,
            agent=agent or None,
            cut=how == "cut",
        )
    except ValueError:
        return PauseSeen(uniqueid=uniqueid)


def _ctid_failsafe(m: Message) -> CallerInFailsafe:
    return CallerInFailsafe(at=m.at, uniqueid=m.headers["Uniqueid"])


def _ctid_end(m: Message) -> VisitEnded:
    return VisitEnded(at=m.at, uniqueid=m.headers["Uniqueid"], file=_said(m.get("File")), size=_whole(m.get("Size")))


def _ctid_agent(m: Message) -> CodeKeyed:
    return CodeKeyed(
        at=m.at,
        uniqueid=m.headers["Uniqueid"],
        channel=m.headers["Channel"],
        seq=_seq(m.headers["Seq"]),
        command=m.headers["Command"],
        agent=_said(m.get("Agent")),
        pin=_said(m.get("Pin")),
    )


def _ctid_alone(m: Message) -> CodeObeyed:
    return CodeObeyed(at=m.at, channel=m.headers["Channel"], command=m.headers["Command"])


def _said(value: str | None) -> str | None:
    return None if value is None else storable(value)


def _whole(value: str | None) -> int:
    return int(value) if value is not None and value.isdecimal() and len(value) <= _MOST_DIGITS else 0


def _seq(value: str) -> int:
    if len(value) > _MOST_DIGITS:
        raise ValueError("no number that the dialplan counts to")
    return int(value)


_EVENTS: MappingProxyType[str, Callable[[Message], PbxEvent]] = MappingProxyType(
    {
        "Newchannel": channel_seen,
        "Newstate": _state,
        "Hangup": _hangup,
        "DialBegin": _dial_begin,
        "DialState": _dial_state,
        "DialEnd": _dial_end,
        "BridgeEnter": _bridge_enter,
        "BridgeLeave": _bridge_leave,
        "Hold": _hold,
        "Unhold": _hold,
        "DeviceStateChange": device_changed,
        "OriginateResponse": _originate_response,
    }
)
_USER_EVENTS: MappingProxyType[str, Callable[[Message], PbxEvent]] = MappingProxyType(
    {
        "CtidStart": _ctid_start,
        "CtidWait": _ctid_wait,
        "CtidOverflow": _ctid_overflow,
        "CtidCallback": _ctid_callback,
        "CtidConsent": _ctid_consent,
        "CtidPause": _ctid_pause,
        "CtidRenewed": _ctid_renewed,
        "CtidFailsafe": _ctid_failsafe,
        "CtidEnd": _ctid_end,
        "CtidAgent": _ctid_agent,
        "CtidAlone": _ctid_alone,
    }
)

#: The events to ask of a stream; everything else may be skipped unparsed.
WANTED = frozenset(name.encode() for name in (*_EVENTS, "UserEvent"))
