"""What a recorded AMI stream tells of a day: the calls as they went, and all that is the same under another policy.

Law: what is not in the stream is not made up but said: agents were there from the first to the last sign of life of their
phone, unless they signed in by feature code; a caller who never gave up would have waited as long as it took.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ctid.asterisk.messages import parse
from ctid.asterisk.replay import handle, messages, phones, staffed
from ctid.asterisk.tracker import Tracker
from ctid.domain import events as ev
from ctid.domain.acd import Acd
from ctid.domain.actions import SaveCall
from ctid.domain.rerun import Arrival, Day, Habit
from ctid.domain.types import (
    Agent,
    AgentId,
    CallId,
    CallRecord,
    Direction,
    Endpoint,
    LegRecord,
    LegResult,
    Line,
    Outcome,
    Policy,
    Via,
)

#: Of a day without a single conversation, or a single answer.
USUAL_TALK, USUAL_ANSWER = 180.0, 5.0
_OF_CALLS = (
    *(ev.CallStarted, ev.CallEntered, ev.CallsMerged, ev.CallEnded, ev.LegOffered, ev.LegRang, ev.LegAnswered),
    *(ev.LegEnded, ev.TalkStarted, ev.TalkStopped, ev.LegHeld, ev.LegUnheld),
)


class NoDayError(Exception):
    """The stream holds nothing that could be rerun; one line that says what it should hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDay:
    """``calls`` are those that came by ctid's dialplan, as they went."""

    day: Day
    calls: tuple[CallRecord, ...]


@dataclass(slots=True)
class _Heard:
    """What was gathered on one way through the stream."""

    began: float = 0.0
    ended: float = 0.0
    calls: dict[CallId, CallRecord] = field(default_factory=dict)
    events: dict[CallId, list[ev.Event]] = field(default_factory=lambda: defaultdict(list))
    signs: dict[Endpoint, tuple[float, float]] = field(default_factory=dict)
    codes: dict[Endpoint, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))


def read(chunks: Iterable[bytes], *, lines: tuple[Line, ...], roster: tuple[Agent, ...] = ()) -> RecordedDay:
    """The day in the stream; agents are those of the ``roster`` by their phones, else each phone is one.

    Raises ``WireError`` for bytes that are no AMI, ``NoDayError`` for a stream without times or without callers.
    """
    heard = _listen(chunks, lines)
    if not heard.began:
        raise NoDayError("the stream has no times: set timestampevents = yes in manager.conf and record again")
    routed = [call for call in heard.calls.values() if _routed(call)]
    if not routed:
        raise NoDayError("the stream holds no caller who came by ctid's dialplan; record a day with: ctid record")
    by_phone = {agent.phone: agent for agent in roster if agent.phone is not None and agent.enabled}
    phones = {leg.agent for call in routed for leg in call.legs if leg.agent is not None} | heard.codes.keys()
    agents = tuple(by_phone.get(phone) or Agent(id=phone, name=phone, phone=phone) for phone in sorted(phones))
    ids = {agent.phone: agent.id for agent in agents if agent.phone is not None}
    calls = tuple(_renamed(call, ids) for call in sorted(routed, key=lambda call: call.started_at))
    answers = [leg.answered_at - leg.offered_at for call in calls for leg in call.legs if leg.answered_at is not None]
    talk = {call.id: sum(leg.talk_seconds for leg in call.legs if leg.agent is not None) for call in calls}
    usual_talk = _median([seconds for seconds in talk.values() if seconds > 0], USUAL_TALK)
    ours = {call.id for call in routed}
    others = [event for call, events in heard.events.items() if call not in ours for event in events]
    day = Day(
        agents=agents,
        arrivals=tuple(_arrival(call, talk[call.id] or usual_talk) for call in calls),
        staff=tuple(_staff(heard, ids)),
        others=tuple(sorted(others, key=lambda event: event.at)),
        habits=_habits(calls),
        usual=Habit(after=_median(answers, USUAL_ANSWER)),
    )
    return RecordedDay(day=day, calls=calls)


def _listen(chunks: Iterable[bytes], lines: tuple[Line, ...]) -> _Heard:
    told = [read for message in messages(chunks) if (read := parse(message)) is not None]
    acd = Acd(Policy(), lines, "recorded")
    for event in staffed(phones(told)):
        acd.handle(event)
    tracker, heard = Tracker(), _Heard()
    for read in told:
        if read.at is not None:
            heard.began, heard.ended = heard.began or read.at, read.at
        for event in tracker.feed(read):
            _hear(heard, event)
            if isinstance(event, ev.CodeDialled | ev.CodeObeyed):
                continue  # its PIN can't be checked: to the recorded day whoever sits at the phone is the phone
            for action in handle(acd, event):
                if isinstance(action, SaveCall):
                    heard.calls[action.call.id] = action.call
    return heard


def _hear(heard: _Heard, event: ev.Event) -> None:
    match event:
        case ev.CallsMerged(call_id=call, into=into):
            heard.events[into] += heard.events.pop(call, [])
        case _ if isinstance(event, _OF_CALLS):
            heard.events[event.call_id].append(event)
    match event:
        case ev.CodeDialled(endpoint=phone, command=command) | ev.CodeObeyed(endpoint=phone, command=command):
            heard.codes[phone].append((event.at, command))
        case ev.PhoneUsed(endpoint=phone) | ev.PhoneReached(endpoint=phone, reachable=True):
            first, _ = heard.signs.get(phone, (max(event.at, heard.began), 0.0))
            heard.signs[phone] = first, event.at


def _routed(call: CallRecord) -> bool:
    return call.direction is Direction.INBOUND and call.via is not Via.DIRECT and call.outcome is not Outcome.MERGED


def _renamed(call: CallRecord, ids: Mapping[Endpoint, AgentId]) -> CallRecord:
    """The call with its phones' agents as the roster names them."""
    legs = tuple(replace(leg, agent=ids.get(leg.agent) if leg.agent is not None else None) for leg in call.legs)
    return replace(call, legs=legs, agent=ids.get(call.agent or ""))


def _arrival(call: CallRecord, talk_seconds: float) -> Arrival:
    gave_up = call.outcome is Outcome.ABANDONED and call.ended_at is not None
    return Arrival(
        call=call.id,
        at=call.started_at,
        caller=call.caller,
        dialled=call.dialled,
        talk_seconds=talk_seconds,
        patience=(call.ended_at or 0.0) - call.started_at if gave_up else None,
    )


def _staff(heard: _Heard, ids: Mapping[Endpoint, AgentId]) -> list[ev.Event]:
    """Who came, went and paused when: by feature code, else from the phone's first to its last sign of life."""
    staff: list[ev.Event] = []
    for phone, agent in ids.items():
        request = ev.Request(agent=agent, id="recorded")
        codes = heard.codes.get(phone, [])
        seen, last = heard.signs.get(phone, (heard.began, heard.ended))
        first = max(seen, heard.began)  # a list of states, which a recording begins with, has no times
        moves = [(at, command) for at, command in codes if command in ("sign_in", "sign_out")]
        if not moves:
            staff.append(ev.SignInAsked(at=first, request=request, phone=phone))
            staff.append(ev.SignOutAsked(at=max(last, first), request=request))
        elif moves[0][1] == "sign_out":
            staff.append(ev.SignInAsked(at=heard.began, request=request, phone=phone))
        for at, command in codes:
            match command:
                case "sign_in":
                    staff.append(ev.SignInAsked(at=at, request=request, phone=phone))
                case "sign_out":
                    staff.append(ev.SignOutAsked(at=at, request=request))
                case "pause":
                    staff.append(ev.PauseAsked(at=at, request=request, reason="feature code"))
                case "resume":
                    staff.append(ev.ResumeAsked(at=at, request=request))
    return sorted(staff, key=lambda event: event.at)


def _habits(calls: Iterable[CallRecord]) -> dict[AgentId, tuple[Habit, ...]]:
    """What each agent did with each offer, in order; one that was taken back from them says nothing."""
    legs: dict[AgentId, list[LegRecord]] = defaultdict(list)
    for call in calls:
        for leg in call.legs:
            if leg.agent is not None and leg.result not in (None, LegResult.CANCELLED):
                legs[leg.agent].append(leg)
    return {
        agent: tuple(_habit(leg) for leg in sorted(of_agent, key=lambda leg: leg.offered_at))
        for agent, of_agent in legs.items()
    }


def _habit(leg: LegRecord) -> Habit:
    if leg.answered_at is not None:
        return Habit(after=leg.answered_at - leg.offered_at)
    return Habit(after=(leg.ended_at or leg.offered_at) - leg.offered_at, result=leg.result)


def _median(values: list[float], otherwise: float) -> float:
    return sorted(values)[len(values) // 2] if values else otherwise
