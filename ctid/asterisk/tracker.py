"""Follows the PBX's channels and says what they mean for calls.

Law: typed PBX events in, domain events out, in order, with no I/O and no clock. It knows channels, bridges and Local halves;
it does not know who is an agent, nor what a call is worth. A call's id is the first Linkedid seen: when channels of two calls
meet, Asterisk rewrites Linkedids; the call that came through ctid's dialplan survives, of two such the older.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ctid.asterisk import messages as pbx
from ctid.asterisk.channels import NOT_THERE, RESULT_BY_CAUSE, Channel, Graph, endpoint_of, number_dialled
from ctid.domain import events as ev
from ctid.domain.types import CallId, Certainty, Direction, Gap, LegResult

_RESULTS = MappingProxyType(
    {
        "NOANSWER": LegResult.NO_ANSWER,
        "BUSY": LegResult.BUSY,
        "REJECTED": LegResult.REJECTED,
        "CHANUNAVAIL": LegResult.UNREACHABLE,
        "CONGESTION": LegResult.FAILED,
        "CANCEL": LegResult.CANCELLED,
        "ABORT": LegResult.CANCELLED,
    }
)
_USER_BUSY = 17  # Q.850
_CALL_REJECTED = 21  # Q.850; Asterisk's DIALSTATUS calls it BUSY
#: What a channel runs that dials others, and what those run meanwhile.
_DIALS = frozenset({"Dial", "Queue", "FollowMe"})
_DIALLED = frozenset({"AppDial", "AppDial2", "AppQueue"})
_RINGS = frozenset({"RINGING", "PROGRESS"})
#: Device states in which the PBX cannot reach the phone; UNKNOWN is neither.
_UNREACHABLE = frozenset({"UNAVAILABLE", "INVALID"})
_PHONES = frozenset({"PJSIP", "SIP", "IAX2"})


class Tracker:
    """One PBX, from one connection on. After a lost link a new one starts from the snapshot."""

    def __init__(self) -> None:
        self._graph = Graph()
        self._calls: dict[CallId, int] = {}  # live calls in the order they began
        self._born = 0
        self._alias: dict[str, CallId] = {}  # a Linkedid that was rewritten -> the call that survived
        self._entered: set[CallId] = set()  # live calls that came through ctid's dialplan: a customer is in them
        self._size: dict[CallId, int] = {}  # live channels per call
        self._in_use: dict[str, int] = {}  # live channels per endpoint
        self._at = 0.0
        self._on: dict[type[pbx.PbxEvent], Callable[[Any], Iterator[ev.Event]]] = {
            pbx.ChannelSeen: self._on_channel,
            pbx.ChannelStateChanged: self._on_state,
            pbx.ChannelHungUp: self._on_hangup,
            pbx.DialBegan: self._on_dial,
            pbx.DialMoved: self._on_dial_state,
            pbx.DialEnded: self._on_dial_end,
            pbx.BridgeEntered: self._on_enter,
            pbx.BridgeLeft: self._on_leave,
            pbx.HoldChanged: self._on_hold,
            pbx.DeviceChanged: self._on_device,
            pbx.CallEnteredCtid: self._on_start,
            pbx.CallerWaits: self._on_wait,
            pbx.CallerOverflowed: self._on_overflow,
            pbx.CallbackPressed: self._on_callback,
            pbx.OriginateFailed: self._on_originate_failed,
            pbx.CallerInFailsafe: self._on_failsafe,
            pbx.VisitEnded: self._on_visit_ended,
            pbx.ConsentSaid: self._on_consent,
            pbx.PauseKeyPressed: self._on_pause_key,
            pbx.RecordingBegunAnew: self._on_begun_anew,
            pbx.PauseSeen: self._on_pause_seen,
            pbx.CodeKeyed: self._on_code,
            pbx.CodeObeyed: self._on_code_obeyed,
        }

    def feed(self, event: pbx.PbxEvent) -> list[ev.Event]:
        """What ``event`` means. An event without a time happened when the last one with a time did."""
        if event.at is not None:
            self._at = event.at
        return list(self._on[type(event)](event))

    def snapshot(
        self,
        *,
        at: float,
        channels: Iterable[tuple[pbx.ChannelSeen, str | None]],
        bridges: Iterable[tuple[str, Iterable[str]]],
        devices: Iterable[pbx.DeviceChanged],
        dialplan: Mapping[str, Iterable[pbx.PbxEvent]],
        held: Collection[str],
    ) -> list[ev.Event]:
        """All that the PBX has at this moment, told as events; for a tracker just made.

        ``channels`` come with the ``CTID_CALL`` they carry, oldest first; ``bridges`` as id and members; ``dialplan`` is
        what the dialplan said before, by the channel's Uniqueid; ``held`` the channels that hear music because the other side
        pressed hold.
        """
        self._at = at
        out: list[ev.Event] = []
        for seen, call in channels:
            if call is not None and call != seen.linkedid:
                self._alias.setdefault(seen.linkedid, call)
            out += self._on_channel(seen)
            for said in dialplan.get(seen.uniqueid, ()):
                out += self.feed(said)
        inside: list[Channel] = []
        for bridge, members in bridges:
            for channel in filter(None, map(self._graph.channels.get, members)):
                channel.bridged_seconds = None
                self._graph.enter(channel, bridge)
                channel.talked = True  # nobody is bridged before they were answered
                inside.append(channel)
        for channel in inside:  # only now: of a Local channel that joins two bridges both must be known
            out += self._heard(channel)
        for channel in inside:
            out += self._holds(channel, held)
        for device in devices:
            out += self._on_device(device)
        return out

    # -- channels --------------------------------------------------------------------------------------------------

    def _on_channel(self, e: pbx.ChannelSeen) -> Iterator[ev.Event]:
        if e.uniqueid in self._graph.channels:
            return
        call = self._alias.get(e.linkedid, e.linkedid)
        channel = Channel(
            id=e.uniqueid,
            name=e.channel,
            call=call,
            endpoint=endpoint_of(e.channel),
            seen_at=self._at,
            up=e.state == "Up",
            dialling=e.application in _DIALS,
            dialled=e.application in _DIALLED,
        )
        if channel.prop:
            return
        self._graph.add(channel)
        self._size[call] = self._size.get(call, 0) + 1
        if call not in self._calls:
            self._born += 1
            self._calls[call] = self._born
            channel.originator = True
            yield ev.CallStarted(
                at=self._at,
                call_id=call,
                caller=e.caller,
                caller_name=e.caller_name,
                dialled=e.exten if e.exten != "s" else None,
                endpoint=channel.endpoint,
            )
        if not channel.local:
            yield self._use(channel.endpoint, 1)
            yield from self._make_known(channel)
            if e.state == "Ringing":
                yield ev.LegRang(at=self._at, call_id=call, leg_id=channel.id)
            elif channel.up:
                yield ev.LegAnswered(at=self._at, call_id=call, leg_id=channel.id)

    def _on_state(self, e: pbx.ChannelStateChanged) -> Iterator[ev.Event]:
        channel = self._graph.channels.get(e.uniqueid)
        if channel is None:
            return
        if e.state == "Ringing" and channel.known:
            yield ev.LegRang(at=self._at, call_id=channel.call, leg_id=channel.id)
        elif e.state == "Up" and not channel.up:
            channel.up = True
            if channel.known:
                yield ev.LegAnswered(at=self._at, call_id=channel.call, leg_id=channel.id)
            yield from self._heard(channel)

    def _on_hangup(self, e: pbx.ChannelHungUp) -> Iterator[ev.Event]:
        channel = self._graph.channels.get(e.uniqueid)
        if channel is None:
            return
        neighbours = [c for c in self._graph.component(channel) if c is not channel]
        if channel.peers is not None:
            channel.peers = None
            yield ev.TalkStopped(at=self._at, call_id=channel.call, leg_id=channel.id)
        rung_in_vain = channel.dial_status not in {None, "ANSWER"}
        if channel.local and not channel.known and rung_in_vain and self._graph.is_party(channel):
            yield from self._make_known(channel)  # a Local channel that led nowhere else was the phone itself
        if channel.known:
            yield ev.LegEnded(
                at=self._at,
                call_id=channel.call,
                leg_id=channel.id,
                result=None if channel.up else _result(channel.dial_status, e.cause),
            )
        self._graph.remove(channel)
        for other in neighbours:
            yield from self._heard(other)
        if not channel.local:
            yield self._use(channel.endpoint, -1)
        self._size[channel.call] -= 1
        if not self._size[channel.call]:
            del self._size[channel.call], self._calls[channel.call]
            self._entered.discard(channel.call)
            self._alias = {linked: call for linked, call in self._alias.items() if call != channel.call}
            yield ev.CallEnded(at=self._at, call_id=channel.call)

    # -- dialling --------------------------------------------------------------------------------------------------

    def _on_dial(self, e: pbx.DialBegan) -> Iterator[ev.Event]:
        dialler = self._graph.channels.get(e.caller_id or "")
        if dialler is not None:
            dialler.dialling = True
            self._graph.lead(dialler)
        channel = self._graph.channels.get(e.dest_id)
        if channel is None:
            return
        channel.dialled = True
        channel.dialled_at = self._at
        self._graph.lead(channel)
        number = number_dialled(channel.name, e.dial_string or "")
        if number is not None and channel.known:  # a trunk was dialled: the party is the number, not the trunk
            yield self._offered(channel, number)

    def _on_dial_state(self, e: pbx.DialMoved) -> Iterator[ev.Event]:
        channel = self._graph.channels.get(e.dest_id)
        if channel is not None and channel.known and e.status in _RINGS:
            yield ev.LegRang(at=self._at, call_id=channel.call, leg_id=channel.id)

    def _on_dial_end(self, e: pbx.DialEnded) -> Iterator[ev.Event]:
        channel = self._graph.channels.get(e.dest_id)
        if channel is not None:
            channel.dial_status = e.status
        yield from ()

    # -- conversations ---------------------------------------------------------------------------------------------

    def _on_enter(self, e: pbx.BridgeEntered) -> Iterator[ev.Event]:
        channel = self._graph.channels.get(e.uniqueid)
        if channel is None or channel.bridge == e.bridge:
            return
        before = [c for c in self._graph.component(channel) if c is not channel]
        self._graph.enter(channel, e.bridge)
        channel.bridged_since = self._at if channel.bridged_since is None else channel.bridged_since
        yield from self._heard(channel)
        for other in before:
            yield from self._heard(other)

    def _on_leave(self, e: pbx.BridgeLeft) -> Iterator[ev.Event]:
        channel = self._graph.channels.get(e.uniqueid)
        if channel is None or channel.bridge != e.bridge:
            return
        before = self._graph.component(channel)
        self._graph.leave(channel)
        if channel.bridged_seconds is not None and channel.bridged_since is not None:
            channel.bridged_seconds += self._at - channel.bridged_since
        channel.bridged_since = None
        for other in before:
            yield from self._heard(other)

    def _heard(self, channel: Channel) -> Iterator[ev.Event]:
        """Look anew at everyone who can hear ``channel``: who talks with whom, and whether two calls became one."""
        members = self._graph.component(channel)
        parties = [c for c in members if c.up and self._graph.is_party(c) and (c.bridge is not None or not c.local)]
        talking = [c for c in parties if c.bridge is not None]
        if len(talking) > 1:
            yield from self._merge(members)
        for member in members:
            peers: tuple[str, ...] | None = None
            if len(talking) > 1 and member in talking:
                peers = tuple(sorted(other.endpoint for other in talking if other is not member))
                member.talked = True
            elif talking == [member] and not member.local:
                calls_another = member.talked and self._graph.is_wired(member)
                peers = (
                    () if calls_another or member.peers == () else None
                )  # until they leave that bridge, in vain or not
            if peers == member.peers:
                continue
            member.peers = peers
            if peers is None:
                yield ev.TalkStopped(at=self._at, call_id=member.call, leg_id=member.id)
            else:
                if not member.known:
                    yield from self._make_known(member)
                yield ev.TalkStarted(at=self._at, call_id=member.call, leg_id=member.id, peers=peers)
        for recorded in (c for c in talking if c.renews and len(talking) > 1):
            voices = {other.id for other in talking if other is not recorded}
            if not voices <= recorded.heard:
                recorded.heard |= voices
                yield ev.VoicesChanged(at=self._at, call_id=recorded.call, channel=recorded.name)

    def _merge(self, members: list[Channel]) -> Iterator[ev.Event]:
        calls = sorted({c.call for c in members}, key=lambda call: (call not in self._entered, self._calls[call]))
        survivor = calls[0]
        for call in calls[1:]:
            for channel in self._graph.channels.values():
                if channel.call == call:
                    channel.call = survivor
            self._size[survivor] += self._size.pop(call)
            del self._calls[call]
            self._entered.discard(call)
            self._alias[call] = survivor
            for linked, target in self._alias.items():
                if target == call:
                    self._alias[linked] = survivor
            yield ev.CallsMerged(at=self._at, call_id=call, into=survivor)

    # -- what the dialplan says ------------------------------------------------------------------------------------

    def _on_start(self, e: pbx.CallEnteredCtid) -> Iterator[ev.Event]:
        if (channel := self._graph.channels.get(e.uniqueid)) is not None:
            self._entered.add(channel.call)
            self._graph.lead(channel)  # consulted by keys, the service number is a way to an agent, and no party
            channel.renews = channel.renews or (e.renews and e.file is not None)
            yield ev.CallEntered(
                at=self._at,
                call_id=channel.call,
                direction=Direction.OUTBOUND if e.outbound else Direction.INBOUND,
                dialled=e.dialled,
                leg_id=channel.id,
                recording=e.file,
            )

    def _on_wait(self, e: pbx.CallerWaits) -> Iterator[ev.Event]:
        if (channel := self._graph.channels.get(e.uniqueid)) is not None:
            yield ev.CallerHeld(
                at=self._at,
                call_id=channel.call,
                channel=e.channel,
                seq=e.seq,
                dialled=e.dialled,
                why=_exact(e.why, e.cause),
                waited=float(e.waited),
            )

    def _on_overflow(self, e: pbx.CallerOverflowed) -> Iterator[ev.Event]:
        if (channel := self._graph.channels.get(e.uniqueid)) is not None:
            yield ev.CallOverflowed(at=self._at, call_id=channel.call, to=e.to or "hangup")

    def _on_callback(self, e: pbx.CallbackPressed) -> Iterator[ev.Event]:
        if (channel := self._graph.channels.get(e.uniqueid)) is not None:
            yield ev.CallbackAsked(at=self._at, call_id=channel.call)

    def _on_originate_failed(self, e: pbx.OriginateFailed) -> Iterator[ev.Event]:
        """Of a phone that was rung its channel tells more; without one, the PBX could not reach the phone."""
        if e.uniqueid not in self._graph.channels:
            yield ev.CallNotMade(at=self._at, call_id=e.uniqueid, result=LegResult.UNREACHABLE)

    def _on_failsafe(self, e: pbx.CallerInFailsafe) -> Iterator[ev.Event]:
        if (channel := self._graph.channels.get(e.uniqueid)) is not None:
            yield ev.CallLeftToFailsafe(at=self._at, call_id=channel.call)

    def _on_visit_ended(self, e: pbx.VisitEnded) -> Iterator[ev.Event]:
        if (channel := self._graph.channels.get(e.uniqueid)) is not None and e.file is not None:
            yield ev.RecordingClosed(
                at=self._at,
                call_id=channel.call,
                path=e.file,
                size=e.size,
                bridged_seconds=channel.bridged_seconds,
            )

    def _on_consent(self, e: pbx.ConsentSaid) -> Iterator[ev.Event]:
        if (channel := self._graph.channels.get(e.uniqueid)) is not None:
            yield ev.ConsentTold(at=self._at, call_id=channel.call, consent=e.consent)

    def _on_pause_key(self, e: pbx.PauseKeyPressed) -> Iterator[ev.Event]:
        if (channel := self._graph.channels.get(e.uniqueid)) is not None:
            yield ev.PauseKeyed(at=self._at, call_id=channel.call)

    def _on_begun_anew(self, e: pbx.RecordingBegunAnew) -> Iterator[ev.Event]:
        if (channel := self._graph.channels.get(e.uniqueid)) is not None:
            yield ev.RecordingRenewed(at=self._at, call_id=channel.call)

    def _on_pause_seen(self, e: pbx.PauseSeen) -> Iterator[ev.Event]:
        if (channel := self._graph.channels.get(e.uniqueid)) is not None:
            gap = None
            if e.since is not None:
                gap = Gap(started_at=e.since, until=e.until or e.since, agent=e.agent, cut=e.cut)
            yield ev.PauseFound(at=self._at, call_id=channel.call, gap=gap)

    def _on_code(self, e: pbx.CodeKeyed) -> Iterator[ev.Event]:
        yield ev.CodeDialled(
            at=self._at,
            endpoint=endpoint_of(e.channel),
            channel=e.channel,
            seq=e.seq,
            command=e.command,
            agent=e.agent,
            pin=e.pin,
            call_id=channel.call if (channel := self._graph.channels.get(e.uniqueid)) is not None else None,
        )

    def _on_code_obeyed(self, e: pbx.CodeObeyed) -> Iterator[ev.Event]:
        yield ev.CodeObeyed(at=self._at, endpoint=endpoint_of(e.channel), command=e.command)

    def _on_hold(self, e: pbx.HoldChanged) -> Iterator[ev.Event]:
        if (channel := self._graph.channels.get(e.uniqueid)) is not None:
            made = ev.LegHeld if e.held else ev.LegUnheld
            yield made(at=self._at, call_id=channel.call, leg_id=channel.id)
            if not e.held:  # music was heard meanwhile, and a phone may begin its sound anew
                for recorded in (c for c in self._graph.component(channel) if c.renews and c.peers is not None):
                    yield ev.VoicesChanged(at=self._at, call_id=recorded.call, channel=recorded.name)

    def _on_device(self, e: pbx.DeviceChanged) -> Iterator[ev.Event]:
        technology, _, endpoint = e.device.partition("/")
        if technology in _PHONES:
            reachable = None if e.state == "UNKNOWN" else e.state not in _UNREACHABLE
            yield ev.PhoneReached(at=self._at, endpoint=endpoint, reachable=reachable)

    def _holds(self, channel: Channel, held: Collection[str]) -> Iterator[ev.Event]:
        """Whether this party holds the other, of two: among more nobody can say who holds whom."""
        parties = [c for c in self._graph.component(channel) if c.bridge is not None and self._graph.is_party(c)]
        if len(parties) == 2 and channel in parties:
            [other] = [c for c in parties if c is not channel]
            if other.id in held:
                yield ev.LegHeld(at=self._at, call_id=channel.call, leg_id=channel.id)
            elif not any(c.id in held for c in self._graph.channels.values() if c.call == channel.call):
                # Since when, no list tells; one who consults a third holds who is left in another bridge.
                yield ev.LegUnheld(at=self._at, call_id=channel.call, leg_id=channel.id, certainty=Certainty.ESTIMATED)

    # -- within ----------------------------------------------------------------------------------------------------

    def _make_known(self, channel: Channel) -> Iterator[ev.Event]:
        channel.known = True
        yield self._offered(channel, channel.endpoint)
        if channel.local and channel.up:
            yield ev.LegAnswered(at=self._at, call_id=channel.call, leg_id=channel.id)

    def _offered(self, channel: Channel, party: str) -> ev.LegOffered:
        return ev.LegOffered(
            at=channel.dialled_at or channel.seen_at,
            call_id=channel.call,
            leg_id=channel.id,
            endpoint=channel.endpoint,
            party=party,
            originator=channel.originator,
        )

    def _use(self, endpoint: str, change: int) -> ev.PhoneUsed:
        count = self._in_use.get(endpoint, 0) + change
        if count:
            self._in_use[endpoint] = count
        else:
            del self._in_use[endpoint]
        return ev.PhoneUsed(at=self._at, endpoint=endpoint, channels=count)


def _result(dial_status: str | None, cause: int) -> LegResult:
    """What became of an unanswered leg, by its dial's status or, without one, the hangup cause."""
    status = _exact(dial_status, cause) or RESULT_BY_CAUSE.get(cause, "CANCEL")
    return _RESULTS.get(status, LegResult.FAILED)


def _exact(dial_status: str | None, cause: int) -> str | None:
    """A dial's status made exact by the cause: of a phone that refuses Asterisk says NOANSWER or CHANUNAVAIL, too."""
    if cause == _CALL_REJECTED and dial_status in {"NOANSWER", "BUSY", "CHANUNAVAIL", "CONGESTION"}:
        return "REJECTED"
    if cause == _USER_BUSY and dial_status == "NOANSWER":
        return "BUSY"
    if cause in NOT_THERE and dial_status == "NOANSWER":
        return "CHANUNAVAIL"
    return dial_status
