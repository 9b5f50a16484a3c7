"""A recorded AMI stream through tracker and core: no PBX, no database, no clock.

Law: the same code as live. Every phone in the stream counts as its own agent, signed in from the begin; a stream without
``Timestamp`` headers has an order but no times, and its calls get none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import nan

from ctid.asterisk import messages as said
from ctid.asterisk.channels import TECHNOLOGIES, endpoint_of, number_dialled
from ctid.asterisk.messages import WANTED, parse
from ctid.asterisk.tracker import Tracker
from ctid.asterisk.wire import Framer, Message
from ctid.domain.acd import Acd
from ctid.domain.actions import Action, LookUpCaller, SaveCall
from ctid.domain.events import CallerLookupFailed, Event, LegOffered, Request, RosterLoaded, SignInAsked
from ctid.domain.types import Agent, CallId, CallRecord, Decision, LegRecord, Line, Policy, Talk


def replay(
    chunks: Iterable[bytes], *, policy: Policy | None = None, lines: tuple[Line, ...] = (), pbx: str = "pbx"
) -> list[CallRecord]:
    """The calls in the stream ``chunks`` make, the oldest first, as their books stand at its end.

    Raises ``WireError`` for bytes that are no AMI.
    """
    told = [read for message in messages(chunks) if (read := parse(message)) is not None]
    acd = Acd(policy or Policy(), lines, pbx)
    for event in staffed(phones(told)):
        acd.handle(event)
    calls: dict[CallId, CallRecord] = {}
    tracker = Tracker()
    for read in told:
        for event in tracker.feed(read):
            for action in handle(acd, event):
                if isinstance(action, SaveCall):
                    calls[action.call.id] = action.call
    timed = any(read.at is not None for read in told)
    return [call if timed else _untimed(call) for call in calls.values()]


def phones(told: Iterable[said.PbxEvent]) -> list[str]:
    """The endpoints in a stream that are people's phones, not trunks.

    A phone is dialled by its own name or contact; it says its own name as the caller's number; or it calls out by
    ``ctid-outbound`` or keys a feature code. A trunk is dialled with a number, and brings numbers in. Where a Local channel
    leads to no other, someone is behind it.
    """
    found: dict[str, None] = {}
    channels: dict[str, str] = {}
    tracker = Tracker()
    for event in told:
        phone: str | None = None
        match event:
            case said.ChannelSeen(uniqueid=uniqueid, channel=name) if name.startswith(TECHNOLOGIES):
                channels[uniqueid] = name
                if uniqueid == event.linkedid and event.caller == endpoint_of(name):
                    phone = name
            case said.DialBegan(dest_id=uniqueid, dial_string=string) if uniqueid in channels:
                if "/sip" in (string or "") or number_dialled(channels[uniqueid], string or "") is None:
                    phone = channels[uniqueid]
            case said.CallEnteredCtid(uniqueid=uniqueid, outbound=True, file=None) | said.CodeKeyed(uniqueid=uniqueid):
                phone = channels.get(uniqueid)
        if phone is not None:
            found[endpoint_of(phone)] = None
        for offered in tracker.feed(event):
            if isinstance(offered, LegOffered) and not offered.originator and offered.leg_id not in channels:
                found[offered.endpoint] = None
    return list(found)


def staffed(endpoints: Iterable[str]) -> Iterator[Event]:
    """Someone sits at each phone, from the beginning on."""
    agents = tuple(Agent(id=endpoint, name=endpoint, phone=endpoint) for endpoint in endpoints)
    yield RosterLoaded(at=0.0, agents=agents)
    for agent in agents:
        yield SignInAsked(at=0.0, request=Request(agent=agent.id, id="replay"), phone=agent.phone)


def handle(acd: Acd, event: Event) -> Iterator[Action]:
    """The core's actions; its one question is answered as a site without a database would."""
    for action in acd.handle(event):
        yield action
        if isinstance(action, LookUpCaller):
            yield from handle(acd, CallerLookupFailed(at=event.at, call_id=action.call_id))


def messages(chunks: Iterable[bytes]) -> Iterator[Message]:
    """What the stream holds, in order. Raises ``WireError``."""
    framer = Framer(WANTED)
    for chunk in chunks:
        yield from framer.feed(chunk)
    yield from framer.finish()


def _untimed(call: CallRecord) -> CallRecord:
    return replace(
        call,
        started_at=nan,
        answered_at=_unless_none(call.answered_at),
        ended_at=_unless_none(call.ended_at),
        legs=tuple(_untimed_leg(leg) for leg in call.legs),
        decisions=tuple(_untimed_decision(decision) for decision in call.decisions),
        diversions=tuple(replace(diversion, at=nan) for diversion in call.diversions),
    )


def _untimed_leg(leg: LegRecord) -> LegRecord:
    return replace(
        leg,
        offered_at=nan,
        answered_at=_unless_none(leg.answered_at),
        ended_at=_unless_none(leg.ended_at),
        hold_seconds=nan,
        talks=tuple(Talk(started_at=nan, ended_at=nan, customer=talk.customer) for talk in leg.talks),
    )


def _untimed_decision(decision: Decision) -> Decision:
    return replace(decision, at=nan)


def _unless_none(at: float | None) -> float | None:
    return None if at is None else nan
