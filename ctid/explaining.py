"""Why a call went where it went, in sentences: for ``ctid explain``, the call's page and the screen-pop.

Law: pure, and out of the books alone; whoever reads it on a terminal or a page reads the same words. Text from outside
stays as it came: the reader's side escapes it. A time the stream did not tell (``nan``) shows as dashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from math import inf, isnan

from ctid.domain.types import (
    AgentId,
    CallRecord,
    Candidate,
    Certainty,
    Decision,
    Direction,
    Diversion,
    LegRecord,
    LegResult,
    Outcome,
    RecordingRecord,
    RecordingState,
    Rule,
    Skip,
    Via,
)

#: Candidates named in one sentence; the page and the JSON have all that the books hold.
NAMED = 5
#: Seconds within which somebody is rung who is rung at once.
_AT_ONCE = 2.0

Names = Mapping[AgentId, str]


class Kind(StrEnum):
    """What a moment of the story is about."""

    CALL = "call"
    DECISION = "decision"
    LEG = "leg"
    RECORDING = "recording"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of the story. ``decision`` is the decision's place among the call's, where the moment is one."""

    at: float
    kind: Kind
    text: str
    decision: int | None = None


def explain(call: CallRecord, names: Names, timezone: tzinfo) -> list[str]:
    """The call's story, a line each, with local times; ``names`` gives agents their names."""
    head = f"Call {call.id} on {call.pbx}, {_day(call.started_at, timezone)}"
    return [head, *(f"{clock(moment.at, timezone)}  {moment.text}" for moment in story(call, names))]


def story(call: CallRecord, names: Names) -> tuple[Moment, ...]:
    """What happened to the call, in order of time."""
    moments = [Moment(at=call.started_at, kind=Kind.CALL, text=_beginning(call, names))]
    # Before the decisions: of what happened in one moment, the line was left first and somebody rung then.
    moments += [Moment(at=one.at, kind=Kind.CALL, text=_diversion(one)) for one in call.diversions]
    if waited := _unserved(call):
        moments.append(Moment(at=call.started_at, kind=Kind.CALL, text=waited))
    tried: set[AgentId] = set()
    for position, decision in enumerate(call.decisions):
        text = why(decision, names)
        if decision.chosen in tried:
            text = f"Each idle agent had been tried, and a new round began. {text}"
            tried.clear()
        tried.add(decision.chosen)
        moments.append(Moment(at=decision.at, kind=Kind.DECISION, text=text, decision=position))
    for leg in call.legs:
        if leg.agent is not None or leg.party != call.caller:
            who = names.get(leg.agent, leg.agent) if leg.agent else leg.party
            moments += _leg(leg, who, transferred=_by_transfer(call, leg))
    end = _end(call, names)
    last = call.ended_at if call.ended_at is not None else max(moment.at for moment in moments)
    moments += [Moment(at=last, kind=Kind.RECORDING, text=_recording(recording)) for recording in call.recordings]
    if doubt := _doubt(call):
        moments.append(Moment(at=last, kind=Kind.CALL, text=doubt))
    moments.sort(key=lambda moment: inf if isnan(moment.at) else moment.at)
    return (*moments, end) if end else tuple(moments)


def why(decision: Decision, names: Names) -> str:
    """One decision as sentences."""
    chosen = names.get(decision.chosen, decision.chosen)
    owned = f"ticket {decision.owner_ticket}" if decision.owner_ticket else "the caller's last ticket"
    if decision.rule is Rule.TICKET_OWNER:
        return f"Rang {chosen}, who owns {owned}."
    parts: list[str] = []
    if decision.owner is None:
        parts.append("No agent owns a ticket of this caller.")
    else:
        owner = names.get(decision.owner, decision.owner)
        parts.append(f"{owner}, who owns {owned}, {_SKIPPED_ONE.get(decision.owner_skipped, 'could not be rung')}.")
    if decision.considered:
        parts.append(f"{_MEASURE[decision.rule]}: {_order(decision.considered, names)}.")
    parts.append(f"Rang {chosen}.")
    if decision.skipped:
        skipped = ", ".join(f"{count} {SKIPPED[reason]}" for reason, count in decision.skipped)
        parts.append(f"Passed over: {skipped}.")
    return " ".join(parts)


def clock(at: float | None, timezone: tzinfo) -> str:
    """Unix seconds as local ``10:02:03``."""
    if at is None or isnan(at):
        return "--:--:--"
    return datetime.fromtimestamp(at, timezone).strftime("%H:%M:%S")


def duration(seconds: float | None) -> str:
    """Seconds as ``0:07``, ``12:30`` or ``1:02:03``."""
    if seconds is None or isnan(seconds):
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def share(of_one: float) -> str:
    """A part of one as ``12.5 %``."""
    return f"{100 * of_one:.1f} %"


SKIPPED: Mapping[Skip, str] = {
    Skip.UNKNOWN: "not in the roster",
    Skip.DISABLED: "disabled",
    Skip.OFFLINE: "offline",
    Skip.PAUSED: "paused",
    Skip.WRAP_UP: "in wrap-up",
    Skip.RESERVED: "reserved for another call",
    Skip.RINGING: "ringing",
    Skip.TALKING: "talking",
    Skip.PHONE_BUSY: "with a busy phone",
    Skip.PHONE_UNREACHABLE: "with an unreachable phone",
    Skip.PHONE_UNKNOWN: "whose phone's state is unknown",
    Skip.COOLING_DOWN: "whose phone was just unreachable",
    Skip.NOT_ON_LINE: "not on this line",
    Skip.LEVEL: "below the caller's level",
    Skip.TRIED: "already tried",
}

_SKIPPED_ONE: Mapping[Skip | None, str] = {
    Skip.UNKNOWN: "is not in the roster",
    Skip.DISABLED: "is disabled",
    Skip.OFFLINE: "was offline",
    Skip.PAUSED: "was paused",
    Skip.WRAP_UP: "was in wrap-up",
    Skip.RESERVED: "was reserved for another call",
    Skip.RINGING: "was ringing for another call",
    Skip.TALKING: "was talking",
    Skip.PHONE_BUSY: "had a busy phone",
    Skip.PHONE_UNREACHABLE: "had an unreachable phone",
    Skip.PHONE_UNKNOWN: "had a phone whose state was unknown",
    Skip.COOLING_DOWN: "had a phone that was unreachable a moment before",
    Skip.NOT_ON_LINE: "does not serve this line",
    Skip.LEVEL: "is below the caller's level",
    Skip.TRIED: "had already been tried",
}

_RESULT: Mapping[LegResult, str] = {
    LegResult.NO_ANSWER: "did not answer",
    LegResult.BUSY: "was busy",
    LegResult.REJECTED: "rejected the call",
    LegResult.UNREACHABLE: "could not be reached",
    LegResult.CANCELLED: "rang until the call was withdrawn",
    LegResult.FAILED: "could not be rung",
}

_MARKS: Mapping[Certainty, str] = {
    Certainty.BACKFILLED: "Backfilled: ctid did not see it; Asterisk's CEL told it afterwards.",
    Certainty.ESTIMATED: "Estimated: nobody told when it ended; the last moment it was seen counts.",
}

_ENDED: Mapping[Outcome, str] = {
    Outcome.ANSWERED: "The call ended: answered.",
    Outcome.ABANDONED: "The caller hung up before anybody answered.",
    Outcome.NO_ANSWER: "The call ended: nobody answered.",
    Outcome.BUSY: "The call ended: busy.",
    Outcome.REJECTED: "The call ended: rejected.",
    Outcome.OVERFLOW: "The call ended: the caller had waited longer than the line lets anyone wait.",
    Outcome.CLOSED: "The line was closed.",
    Outcome.MERGED: "The call was merged into another.",
    Outcome.FAILED: "The call failed.",
}

_VIA: Mapping[Via, str] = {
    Via.CTID: "",
    Via.FAILSAFE: " The fallback queue took it: ctid was not routing.",
    Via.DIRECT: " It was not routed by ctid.",
}


_MEASURE: Mapping[Rule, str] = {
    Rule.LEAST_TALK: "Least talk today",
    Rule.TALK_SHARE: "Least talk for the time signed in today",
}


def _order(considered: tuple[Candidate, ...], names: Names) -> str:
    named = [f"{names.get(one.agent, one.agent)} {_measure(one)}" for one in considered[:NAMED]]
    more = len(considered) - NAMED
    return ", then ".join(named) + (f", and {more} more" if more > 0 else "")


def _measure(one: Candidate) -> str:
    talk = duration(one.talk_seconds)
    return talk if one.talk_share is None else f"{share(one.talk_share)} ({talk})"


def _beginning(call: CallRecord, names: Names) -> str:
    who = call.caller or "an anonymous caller"
    if call.caller_name and call.caller_name != call.caller:
        who += f" ({call.caller_name})"
    to = call.dialled or "an unknown number"
    if call.direction is Direction.INBOUND:
        dialled = call.diversions[0].line if call.diversions else call.line
        line = f" on the line {dialled}" if dialled else ""
        return f"Call from {who} to {to}{line}.{_VIA[call.via]}"
    agent = f" by {names.get(call.agent, call.agent)}" if call.agent else ""
    if call.callback is not None:
        return f"{to} is called back{agent}, as asked for in call {call.callback}."
    return f"{call.direction.value.capitalize()} call{agent} from {who} to {to}."


def _diversion(diversion: Diversion) -> str:
    line = f"The line {diversion.line}" if diversion.line else "The line"
    why = "was closed" if diversion.reason is Outcome.CLOSED else "lets nobody wait longer"
    kind, _, name = diversion.to.partition("-")
    match kind:
        case "line":
            return f"{line} {why}: the caller went on waiting on the line {name}."
        case "number":
            return f"{line} {why}: the caller was sent on to {name}."
        case "voicemail":
            return f"{line} {why}: the caller was sent to the mailbox {name}."
        case "announcement":
            return f"{line} {why}: the caller was played {name}."
    return f"{line} {why}: the caller was let go."


def _unserved(call: CallRecord) -> str | None:
    """That the caller waited before anybody was rung, where it was longer than a decision takes."""
    if call.direction is not Direction.INBOUND or call.via is not Via.CTID or call.outcome is Outcome.CLOSED:
        return None
    until = call.decisions[0].at if call.decisions else call.ended_at
    if until is None or not until - call.started_at >= _AT_ONCE:
        return None
    if not call.decisions and call.answered_at is None:
        return "Nobody could be rung: no agent for this call was free while the caller was there."
    return f"Nobody could be rung at once: the caller waited {duration(until - call.started_at)} for an agent."


def _by_transfer(call: CallRecord, leg: LegRecord) -> bool:
    """Whether the leg joined a conversation: offered after the first answer, and not by a decision."""
    if call.answered_at is None or not leg.offered_at > call.answered_at:
        return False
    return not any(d.chosen == leg.agent and call.answered_at < d.at <= leg.offered_at for d in call.decisions)


def _doubt(call: CallRecord) -> str | None:
    """What the marks behind a leg mean, where there are any."""
    marks = {leg.certainty for leg in call.legs} - {Certainty.EXACT}
    said = [_MARKS[mark] for mark in (Certainty.BACKFILLED, Certainty.ESTIMATED) if mark in marks]
    return " ".join(said) or None


def _leg(leg: LegRecord, who: str, *, transferred: bool = False) -> list[Moment]:
    moments: list[Moment] = []
    unsure = "" if leg.certainty.value == "exact" else f" ({leg.certainty.value})"
    if leg.answered_at is not None:
        waited = f" after {duration(leg.answered_at - leg.offered_at)}"
        how = " a transfer or consultation" if transferred else ""
        moments.append(Moment(at=leg.answered_at, kind=Kind.LEG, text=f"{who} answered{how}{waited}."))
    if leg.ended_at is None:
        if leg.answered_at is None:
            moments.append(Moment(at=leg.offered_at, kind=Kind.LEG, text=f"{who}'s phone is ringing."))
        return moments
    if leg.answered_at is not None:
        held = f", {duration(leg.hold_seconds)} of it on hold" if leg.hold_seconds else ""
        text = f"{who} left the call: talked {duration(leg.talk_seconds)}{held}{unsure}."
    else:
        said = _RESULT.get(leg.result, "was rung") if leg.result else "was rung"
        text = f"{who} {said} ({duration(leg.ended_at - leg.offered_at)}){unsure}."
    moments.append(Moment(at=leg.ended_at, kind=Kind.LEG, text=text))
    return moments


def _recording(recording: RecordingRecord) -> str:
    tickets = f", on {', '.join(recording.ticket_ids)}" if recording.ticket_ids else ""
    match recording.state:
        case RecordingState.RECORDING:
            return f"Recording under way{tickets}."
        case RecordingState.COMPLETE:
            return f"Recording kept: {duration(recording.seconds)}{tickets}."
        case RecordingState.DAMAGED:
            return f"The recording is damaged: its length is not that of the talk{tickets}."
        case RecordingState.MISSING:
            return f"The recording is missing: there is no file{tickets}."


def _end(call: CallRecord, names: Names) -> Moment | None:
    if call.ended_at is None:
        return None
    text = _ENDED[call.outcome] if call.outcome else "The call ended."
    if call.direction is Direction.INBOUND and call.via is not Via.DIRECT and not call.merged_into:
        text += _waited(call)
    if call.merged_into:
        text = f"The call was merged into {call.merged_into}."
    elif call.callback is not None and call.direction is Direction.INBOUND and call.outcome is Outcome.OVERFLOW:
        text = f"The caller asked to be called back and kept their place ({call.callback} in ctid callbacks)."
    elif call.owner is not None and call.answered_at is None and call.via is not Via.DIRECT and call.callback is None:
        text += (
            f" {names.get(call.owner, call.owner)}, who owned the caller's newest ticket, was told of a missed call."
        )
    return Moment(at=call.ended_at, kind=Kind.CALL, text=text)


def _waited(call: CallRecord) -> str:
    until = call.answered_at if call.answered_at is not None else call.ended_at
    return (
        "" if until is None or isnan(until - call.started_at) else f" The wait was {duration(until - call.started_at)}."
    )


def _day(at: float, timezone: tzinfo) -> str:
    return "day unknown" if isnan(at) else f"{datetime.fromtimestamp(at, timezone):%Y-%m-%d} ({timezone})"
