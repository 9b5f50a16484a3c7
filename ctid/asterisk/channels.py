"""The PBX's channels and bridges as a graph: who can hear whom.

Law: nodes are channels, edges are a shared bridge or the two halves of a Local channel. A conversation is a component with
two parties in it. Keyed by Uniqueid, never by name. Events of different channels come in any order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType

from ctid.asterisk.wire import storable

#: Channels of these technologies carry no party: they play announcements, spy, or hold a place.
_PROPS = frozenset({"Message", "Surrogate", "CBAnn", "CBRec", "Announcer", "Recorder", "Snoop", "ParkAnn", "AsyncGoto"})
#: What phones and trunks are; a Local channel is a wire.
TECHNOLOGIES = ("PJSIP/", "SIP/", "IAX2/")
_NUMBER = re.compile(r"[+*#0-9]+")


@dataclass(slots=True, kw_only=True)
class Channel:
    """One channel. ``call`` is the id of the call it belongs to; ``peers`` the endpoints it talks with, if it talks."""

    id: str
    name: str
    call: str
    endpoint: str
    seen_at: float
    up: bool = False
    bridge: str | None = None
    other_half: str | None = None  # of a Local channel
    wire: bool = False  # its other half was bridged or dialled: it leads there, and stands for nobody
    dialled: bool = False  # it was the destination of a Dial
    dialling: bool = False  # it runs a Dial of its own
    dialled_at: float | None = None
    dial_status: str | None = None
    originator: bool = False
    known: bool = False  # the core was told of its leg
    peers: tuple[str, ...] | None = None
    talked: bool = False  # at some time before
    renews: bool = False  # it is recorded, and its recording can be told to listen anew
    heard: set[str] = field(default_factory=set)  # whom the recording has been told to listen to
    bridged_since: float | None = None
    bridged_seconds: float | None = 0.0  # in any bridge; None when its beginning was not seen

    @property
    def leads(self) -> bool:
        """It is on its way to somewhere: bridged, dialled by someone, or dialling someone."""
        return self.bridge is not None or self.dialled or self.dialling

    @property
    def local(self) -> bool:
        return self.name.startswith("Local/")

    @property
    def prop(self) -> bool:
        return self.name.partition("/")[0] in _PROPS


def endpoint_of(channel_name: str) -> str:
    """``agent7`` of ``PJSIP/agent7-0000002a``, ``100`` of ``Local/100@agents-00000001;1``; a name of no form as it is.

    Storable: the extension in a Local channel's name may be what a caller dialled.
    """
    _, slash, rest = storable(channel_name).partition("/")
    if not slash:
        return storable(channel_name)
    stem = rest.rpartition("-")[0] or rest
    return stem.partition("@")[0] if channel_name.startswith("Local/") else stem


def number_dialled(channel_name: str, dial_string: str) -> str | None:
    """The number that was dialled through an endpoint, ``None`` where the endpoint itself was.

    ``02155667788`` of ``02155667788@trunk`` (PJSIP, SIP), ``trunk/02155667788`` (SIP, IAX2), ``trunk/sip:02155667788@host``
    (PJSIP). A phone may be dialled by its contact, ``agent7/sip:agent7@host``; IAX2 writes ``user:secret@peer``, SIP
    ``user@host``: what has other than a number's characters is no number.
    """
    head, slash, tail = dial_string.partition("/")
    if slash:
        number = tail.partition("/")[0]
        if number.startswith(("sip:", "sips:")):
            number = number.partition(":")[2].partition("@")[0]
    else:
        number, at, _ = head.partition("@")
        if not at or channel_name.startswith("IAX2/"):
            return None
    return number if _NUMBER.fullmatch(number) and number != endpoint_of(channel_name) else None


@dataclass(slots=True)
class Graph:
    channels: dict[str, Channel] = field(default_factory=dict)
    bridges: dict[str, dict[str, None]] = field(default_factory=dict)
    halves: dict[str, str] = field(
        default_factory=dict
    )  # a Local channel's name without its half -> Uniqueid seen first

    def add(self, channel: Channel) -> None:
        self.channels[channel.id] = channel
        if channel.local:
            stem = channel.name.rpartition(";")[0]
            other = self.channels.get(self.halves.setdefault(stem, channel.id))
            if other is not None and other is not channel:
                channel.other_half, other.other_half = other.id, channel.id
                channel.wire, other.wire = channel.wire or other.leads, other.wire or channel.leads

    def remove(self, channel: Channel) -> None:
        self.leave(channel)
        del self.channels[channel.id]
        if channel.local:
            stem = channel.name.rpartition(";")[0]
            other = self.channels.get(channel.other_half or "")
            if other is None:
                self.halves.pop(stem, None)
            else:
                other.other_half = None
                self.halves[stem] = other.id

    def enter(self, channel: Channel, bridge: str) -> None:
        self.leave(channel)
        channel.bridge = bridge
        self.bridges.setdefault(bridge, {})[channel.id] = None
        self.lead(channel)

    def lead(self, channel: Channel) -> None:
        """The channel leads somewhere: what is heard at its other half is no party of its own."""
        if (other := self.half(channel)) is not None:
            other.wire = True

    def leave(self, channel: Channel) -> None:
        members = self.bridges.get(channel.bridge or "")
        if members is not None and channel.bridge is not None:
            members.pop(channel.id, None)
            if not members:
                del self.bridges[channel.bridge]
        channel.bridge = None

    def half(self, channel: Channel) -> Channel | None:
        return self.channels.get(channel.other_half) if channel.other_half is not None else None

    def is_wired(self, channel: Channel) -> bool:
        """Whether its bridge leads elsewhere, through a Local channel."""
        members = self.bridges.get(channel.bridge or "", ())
        return any(uid in self.channels and self.channels[uid].local for uid in members)

    def is_party(self, channel: Channel) -> bool:
        """Whether someone is at this channel's end.

        A Local channel is a wire between two places; only where its other half never led anywhere (no bridge, no dial)
        does it stand for a party itself. Once a wire it stays one: its halves leave their bridges one after the other.
        """
        return not channel.prop and not (channel.local and channel.wire)

    def component(self, start: Channel) -> list[Channel]:
        """Every channel that can hear ``start``, itself included, in no order that matters."""
        found = {start.id: start}
        todo = [start]
        while todo:
            channel = todo.pop()
            ids = list(self.bridges.get(channel.bridge or "", ()))
            if channel.other_half is not None:
                ids.append(channel.other_half)
            for uid in ids:
                if uid not in found and (other := self.channels.get(uid)) is not None:
                    found[uid] = other
                    todo.append(other)
        return list(found.values())


#: Q.850: no such number or route, absent, moved away, out of order.
NOT_THERE = frozenset({1, 2, 3, 20, 22, 27})
#: What a Q.850 cause says of a leg that was never answered, where its dial left no status.
RESULT_BY_CAUSE = MappingProxyType(
    {
        **dict.fromkeys(NOT_THERE, "CHANUNAVAIL"),
        **dict.fromkeys((18, 19), "NOANSWER"),
        **dict.fromkeys((34, 38, 41, 42, 44), "CONGESTION"),
        17: "BUSY",
        21: "REJECTED",
    }
)
