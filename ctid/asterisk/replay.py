"""A recorded AMI stream through tracker and core: no PBX, no database, no clock.

Law: the same code as live. Every endpoint that is dialled counts as its own agent; a stream without ``Timestamp`` headers has
an order but no times, and its calls get none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import nan

from ctid.asterisk.messages import WANTED, parse
from ctid.asterisk.tracker import Tracker
from ctid.asterisk.wire import Framer, Message
from ctid.domain.acd import Acd
from ctid.domain.actions import Action, LookUpCaller, SaveCall
from ctid.domain.events import CallerLookupFailed, Event
from ctid.domain.types import CallId, CallRecord, Decision, LegRecord, Line, Policy, Talk


def replay(
    chunks: Iterable[bytes], *, policy: Policy | None = None, lines: tuple[Line, ...] = (), pbx: str = "pbx"
) -> list[CallRecord]:
    """The calls in the stream ``chunks`` make, the oldest first, as their books stand at its end.

    Raises ``WireError`` for bytes that are no AMI.
    """
    acd = Acd(policy or Policy(), lines, pbx, endpoints_are_agents=True)
    calls: dict[CallId, CallRecord] = {}
    timed = False
    tracker = Tracker()
    for message in _messages(chunks):
        timed = timed or message.at is not None
        told = parse(message)
        for event in tracker.feed(told) if told is not None else ():
            for action in _handle(acd, event):
                if isinstance(action, SaveCall):
                    calls[action.call.id] = action.call
    return [call if timed else _untimed(call) for call in calls.values()]


def _handle(acd: Acd, event: Event) -> Iterator[Action]:
    """The core's actions; its one question is answered as a site without a database would."""
    for action in acd.handle(event):
        yield action
        if isinstance(action, LookUpCaller):
            yield from _handle(acd, CallerLookupFailed(at=event.at, call_id=action.call_id))


def _messages(chunks: Iterable[bytes]) -> Iterator[Message]:
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
