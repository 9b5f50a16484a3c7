"""Why a call went where it went, in sentences: for ``ctid explain``, the call's page and the screen-pop.

Law: pure, and out of the books alone; whoever reads it on a terminal or a page reads the same sentences, in the
language of the moment. Text from outside stays as it came: the reader's side escapes it. A time the stream did not tell
(``nan``) shows as dashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from math import inf, isnan

from ctid.domain.types import (
    END,
    FRONT,
    AgentId,
    CallRecord,
    Candidate,
    Certainty,
    Consent,
    Decision,
    Direction,
    Diversion,
    Gap,
    GapEnd,
    LegRecord,
    LegResult,
    Outcome,
    RecordingRecord,
    RecordingState,
    Rule,
    Skip,
    Via,
)
from ctid.languages import _, listed, say_later, sentences

#: Candidates named in one sentence; the page and the JSON have all that the books hold.
NAMED = 5
#: Seconds within which somebody is rung who is rung at once.
_AT_ONCE = 2.0
#: Seconds by which a phone may be told to have rung before it was decided: the two are stamped on different ways.
_SLACK = 1.0

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
    head = _("Call %(call)s on %(pbx)s, %(day)s") % {
        "call": call.id,
        "pbx": call.pbx,
        "day": _day(call.started_at, timezone),
    }
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
        if decision.chosen in tried and decision.rule is not Rule.PICKED:
            text = sentences((_("Each idle agent had been tried, and a new round began."), text))
            tried.clear()
        tried.add(decision.chosen)
        moments.append(Moment(at=decision.at, kind=Kind.DECISION, text=text, decision=position))
    moments += [Moment(at=leg.offered_at, kind=Kind.DECISION, text=_lost(leg, names)) for leg in _unexplained(call)]
    for leg in call.legs:
        if leg.agent is not None or leg.party != call.caller:
            who = names.get(leg.agent, leg.agent) if leg.agent else leg.party
            moments += _leg(leg, who, transferred=_by_transfer(call, leg))
    end = _end(call, names)
    last = call.ended_at if call.ended_at is not None else max(moment.at for moment in moments)
    moments += [Moment(at=last, kind=Kind.RECORDING, text=_recording(recording)) for recording in call.recordings]
    if call.consent is not None:
        moments.append(Moment(at=call.started_at, kind=Kind.RECORDING, text=consented(call.consent)))
    pauses = [gap for recording in call.recordings for gap in recording.gaps]
    moments += [Moment(at=gap.started_at, kind=Kind.RECORDING, text=paused(gap, names)) for gap in pauses]
    if doubt := _doubt(call):
        moments.append(Moment(at=last, kind=Kind.CALL, text=doubt))
    moments.sort(key=lambda moment: inf if isnan(moment.at) else moment.at)
    return (*moments, end) if end else tuple(moments)


def why(decision: Decision, names: Names) -> str:
    """One decision as sentences."""
    chosen = names.get(decision.chosen, decision.chosen)
    owned = (
        _("ticket %(ticket)s") % {"ticket": decision.owner_ticket}
        if decision.owner_ticket
        else _("the caller's last ticket")
    )
    if decision.rule is Rule.DIALLED:
        return _("%(agent)s had ctid make this call.") % {"agent": chosen}
    if decision.rule is Rule.PICKED:
        return _("%(agent)s picked up this caller, who waited.") % {"agent": chosen}
    if decision.rule is Rule.TICKET_OWNER:
        return _("Rang %(agent)s, who owns %(ticket)s.") % {"agent": chosen, "ticket": owned}
    parts: list[str] = []
    if decision.owner is None:
        parts.append(_("No agent owns a ticket of this caller."))
    else:
        owner = names.get(decision.owner, decision.owner)
        why_not = _(_SKIPPED_ONE.get(decision.owner_skipped, _NOT_RUNG))
        parts.append(
            _("%(owner)s, who owns %(ticket)s, %(why_not)s.") % {"owner": owner, "ticket": owned, "why_not": why_not}
        )
    if decision.considered:
        measure = _(_MEASURE[decision.rule])
        parts.append(_("%(measure)s: %(order)s.") % {"measure": measure, "order": _order(decision.considered, names)})
    parts.append(_("Rang %(agent)s.") % {"agent": chosen})
    if decision.skipped:
        parts.append(_("Passed over: %(skipped)s.") % {"skipped": passed_over(decision)})
    return sentences(parts)


def passed_over(decision: Decision) -> str:
    """How many agents were passed over for which reason, as a list in one line; nothing where none was."""
    return listed(
        _("%(count)s %(reason)s") % {"count": count, "reason": _(_SKIPPED[reason])}
        for reason, count in decision.skipped
    )


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


_SKIPPED: Mapping[Skip, str] = {
    Skip.UNKNOWN: say_later("not in the roster"),
    Skip.DISABLED: say_later("disabled"),
    Skip.OFFLINE: say_later("offline"),
    Skip.PAUSED: say_later("paused"),
    Skip.WRAP_UP: say_later("in wrap-up"),
    Skip.RESERVED: say_later("reserved for another call"),
    Skip.RINGING: say_later("ringing"),
    Skip.TALKING: say_later("talking"),
    Skip.PHONE_BUSY: say_later("with a busy phone"),
    Skip.PHONE_UNREACHABLE: say_later("with an unreachable phone"),
    Skip.PHONE_UNKNOWN: say_later("whose phone's state is unknown"),
    Skip.COOLING_DOWN: say_later("whose phone was just unreachable"),
    Skip.NOT_ON_LINE: say_later("not on this line"),
    Skip.LEVEL: say_later("below the caller's level"),
    Skip.TRIED: say_later("already tried"),
}

_NOT_RUNG = say_later("could not be rung")
_SKIPPED_ONE: Mapping[Skip | None, str] = {
    Skip.UNKNOWN: say_later("is not in the roster"),
    Skip.DISABLED: say_later("is disabled"),
    Skip.OFFLINE: say_later("was offline"),
    Skip.PAUSED: say_later("was paused"),
    Skip.WRAP_UP: say_later("was in wrap-up"),
    Skip.RESERVED: say_later("was reserved for another call"),
    Skip.RINGING: say_later("was ringing for another call"),
    Skip.TALKING: say_later("was talking"),
    Skip.PHONE_BUSY: say_later("had a busy phone"),
    Skip.PHONE_UNREACHABLE: say_later("had an unreachable phone"),
    Skip.PHONE_UNKNOWN: say_later("had a phone whose state was unknown"),
    Skip.COOLING_DOWN: say_later("had a phone that was unreachable a moment before"),
    Skip.NOT_ON_LINE: say_later("does not serve this line"),
    Skip.LEVEL: say_later("is below the caller's level"),
    Skip.TRIED: say_later("had already been tried"),
}

_RESULT: Mapping[LegResult, str] = {
    LegResult.NO_ANSWER: say_later("did not answer"),
    LegResult.BUSY: say_later("was busy"),
    LegResult.REJECTED: say_later("rejected the call"),
    LegResult.UNREACHABLE: say_later("could not be reached"),
    LegResult.CANCELLED: say_later("rang until the call was withdrawn"),
    LegResult.FAILED: say_later("could not be rung"),
}

_RUNG = say_later("was rung")

_RECORDED: Mapping[RecordingState, str] = {
    RecordingState.RECORDING: say_later("Recording under way%(tickets)s."),
    RecordingState.COMPLETE: say_later("Recording kept: %(length)s%(tickets)s."),
    RecordingState.DAMAGED: say_later("The recording is damaged: its length is not that of the talk%(tickets)s."),
    RecordingState.MISSING: say_later("The recording is missing: there is no file%(tickets)s."),
    RecordingState.ERASED: say_later("The recording was erased%(tickets)s."),
}

_UNSURE: Mapping[Certainty, str] = {
    Certainty.EXACT: "",
    Certainty.BACKFILLED: say_later(" (backfilled)"),
    Certainty.ESTIMATED: say_later(" (estimated)"),
}

_MARKS: Mapping[Certainty, str] = {
    Certainty.BACKFILLED: say_later("Backfilled: ctid did not see it; Asterisk's CEL told it afterwards."),
    Certainty.ESTIMATED: say_later("Estimated: nobody told when it ended; the last moment it was seen counts."),
}

_ENDED: Mapping[Outcome, str] = {
    Outcome.ANSWERED: say_later("The call ended: answered."),
    Outcome.ABANDONED: say_later("The caller hung up before anybody answered."),
    Outcome.NO_ANSWER: say_later("The call ended: nobody answered."),
    Outcome.BUSY: say_later("The call ended: busy."),
    Outcome.REJECTED: say_later("The call ended: rejected."),
    Outcome.OVERFLOW: say_later("The call ended: the caller had waited longer than the line lets anyone wait."),
    Outcome.CLOSED: say_later("The line was closed."),
    Outcome.MERGED: say_later("The call was merged into another."),
    Outcome.FAILED: say_later("The call failed."),
}

_VIA: Mapping[Via, str] = {
    Via.FAILSAFE: say_later("The fallback queue took it: ctid was not routing."),
    Via.DIRECT: say_later("It was not routed by ctid."),
}


_MADE: Mapping[Direction, str] = {
    Direction.OUTBOUND: say_later("Outbound call from %(who)s to %(to)s."),
    Direction.INTERNAL: say_later("Internal call from %(who)s to %(to)s."),
}

_MADE_BY: Mapping[Direction, str] = {
    Direction.OUTBOUND: say_later("Outbound call by %(agent)s from %(who)s to %(to)s."),
    Direction.INTERNAL: say_later("Internal call by %(agent)s from %(who)s to %(to)s."),
}

_CALLED_BACK = say_later("%(to)s is called back, as asked for in call %(call)s.")
_CALLED_BACK_BY = say_later("%(to)s is called back by %(agent)s, as asked for in call %(call)s.")

_DIVERTED: Mapping[str, str] = {
    "line": say_later("%(why)s: the caller went on waiting on the line %(name)s."),
    "number": say_later("%(why)s: the caller was sent on to %(name)s."),
    "voicemail": say_later("%(why)s: the caller was sent to the mailbox %(name)s."),
    "announcement": say_later("%(why)s: the caller was played %(name)s."),
}
_LET_GO = say_later("%(why)s: the caller was let go.")

_PLACED: Mapping[str, str] = {
    FRONT: say_later("%(who)s had this caller come before all who waited."),
    END: say_later("%(who)s put this caller behind all who waited, as if they had called just then."),
}
_MOVED = say_later("%(who)s moved this caller from the line %(line)s to the line %(name)s.")

_MEASURE: Mapping[Rule, str] = {
    Rule.LEAST_TALK: say_later("Least talk today"),
    Rule.TALK_SHARE: say_later("Least talk for the time signed in today"),
}


def _order(considered: tuple[Candidate, ...], names: Names) -> str:
    named = [f"{names.get(one.agent, one.agent)} {_measure(one)}" for one in considered[:NAMED]]
    more = len(considered) - NAMED
    said = _(", then ").join(named)
    return _("%(named)s, and %(count)s more") % {"named": said, "count": more} if more > 0 else said


def _measure(one: Candidate) -> str:
    talk = duration(one.talk_seconds)
    return talk if one.talk_share is None else f"{share(one.talk_share)} ({talk})"


def _beginning(call: CallRecord, names: Names) -> str:
    who = call.caller or _("an anonymous caller")
    if call.caller_name and call.caller_name != call.caller:
        who += f" ({call.caller_name})"
    values = {"who": who, "to": call.dialled or _("an unknown number"), "call": call.callback}
    if call.direction is Direction.INBOUND:
        line = call.diversions[0].line if call.diversions else call.line
        if line:
            said = _("Call from %(who)s to %(to)s on the line %(line)s.") % {**values, "line": line}
        else:
            said = _("Call from %(who)s to %(to)s.") % values
        return sentences((said, _(_VIA[call.via]))) if call.via in _VIA else said
    if call.agent:
        said = _CALLED_BACK_BY if call.callback is not None else _MADE_BY[call.direction]
        return _(said) % {**values, "agent": names.get(call.agent, call.agent)}
    return _(_CALLED_BACK if call.callback is not None else _MADE[call.direction]) % values


def _placed(diversion: Diversion) -> str:
    """Where a supervisor put the caller."""
    who = diversion.by or _("A supervisor")
    kind, _separator, name = diversion.to.partition("-")
    said = _(_PLACED.get(kind, _MOVED))
    return said % {"who": who, "line": diversion.line or _("none"), "name": name}


def _diversion(diversion: Diversion) -> str:
    if diversion.reason is None:
        return _placed(diversion)
    closed = diversion.reason is Outcome.CLOSED
    if diversion.line:
        why = _("The line %(line)s was closed") if closed else _("The line %(line)s lets nobody wait longer")
    else:
        why = _("The line was closed") if closed else _("The line lets nobody wait longer")
    kind, _separator, name = diversion.to.partition("-")
    said = _(_DIVERTED.get(kind, _LET_GO))
    return said % {"why": why % {"line": diversion.line}, "name": name}


def _unserved(call: CallRecord) -> str | None:
    """That the caller waited before anybody was rung, where it was longer than a decision takes."""
    if call.direction is not Direction.INBOUND or call.via is not Via.CTID or call.outcome is Outcome.CLOSED:
        return None
    rung = [decision.at for decision in call.decisions] + [leg.offered_at for leg in call.legs if leg.agent is not None]
    until = min(rung) if rung else call.ended_at
    if until is None or not until - call.started_at >= _AT_ONCE:
        return None
    if not rung and call.answered_at is None:
        return _("Nobody could be rung: no agent for this call was free while the caller was there.")
    return _("Nobody could be rung at once: the caller waited %(wait)s for an agent.") % {
        "wait": duration(until - call.started_at)
    }


def _unexplained(call: CallRecord) -> list[LegRecord]:
    """The agents' stays that ctid decided, and of whose decision the books know nothing."""
    if call.direction is not Direction.INBOUND or call.via is not Via.CTID:
        return []
    found: list[LegRecord] = []
    before: dict[AgentId, float] = {}
    for leg in sorted(call.legs, key=lambda leg: leg.offered_at):
        if (
            leg.agent is None
            or leg.certainty is not Certainty.EXACT
            or isnan(leg.offered_at)
            or _by_transfer(call, leg)
        ):
            continue
        since, before[leg.agent] = before.get(leg.agent, -inf), leg.offered_at
        decided = (one.at for one in call.decisions if one.chosen == leg.agent)
        if not any(since < at <= leg.offered_at + _SLACK for at in decided):
            found.append(leg)
    return found


def _lost(leg: LegRecord, names: Names) -> str:
    said = _(
        "Why %(agent)s was rung is not in the books: a ctid that ends within a second of deciding leaves that behind."
    )
    return said % {"agent": names.get(leg.agent, leg.agent) if leg.agent else leg.party}


def _by_transfer(call: CallRecord, leg: LegRecord) -> bool:
    """Whether the leg joined a conversation: offered after the first answer, and not by a decision."""
    if call.answered_at is None or not leg.offered_at > call.answered_at:
        return False
    return not any(d.chosen == leg.agent and call.answered_at < d.at <= leg.offered_at for d in call.decisions)


def _doubt(call: CallRecord) -> str | None:
    """What the marks behind a leg mean, where there are any."""
    marks = {leg.certainty for leg in call.legs} - {Certainty.EXACT}
    return sentences(_(_MARKS[mark]) for mark in (Certainty.BACKFILLED, Certainty.ESTIMATED) if mark in marks) or None


def _leg(leg: LegRecord, who: str, *, transferred: bool = False) -> list[Moment]:
    moments: list[Moment] = []
    unsure = _(_UNSURE[leg.certainty]) if _UNSURE[leg.certainty] else ""
    if leg.answered_at is not None:
        said = (
            _("%(who)s answered a transfer or consultation after %(wait)s.")
            if transferred
            else _("%(who)s answered after %(wait)s.")
        )
        values = {"who": who, "wait": duration(leg.answered_at - leg.offered_at)}
        moments.append(Moment(at=leg.answered_at, kind=Kind.LEG, text=said % values))
    if leg.ended_at is None:
        if leg.answered_at is None:
            text = _("%(who)s's phone is ringing.") % {"who": who}
            moments.append(Moment(at=leg.offered_at, kind=Kind.LEG, text=text))
        return moments
    if leg.answered_at is not None:
        values = {"who": who, "talk": duration(leg.talk_seconds), "hold": duration(leg.hold_seconds), "unsure": unsure}
        if leg.hold_seconds:
            text = _("%(who)s left the call: talked %(talk)s, %(hold)s of it on hold%(unsure)s.") % values
        else:
            text = _("%(who)s left the call: talked %(talk)s%(unsure)s.") % values
    else:
        result = _(_RESULT.get(leg.result, _RUNG)) if leg.result else _(_RUNG)
        values = {"who": who, "result": result, "rang": duration(leg.ended_at - leg.offered_at), "unsure": unsure}
        text = _("%(who)s %(result)s (%(rang)s)%(unsure)s.") % values
    moments.append(Moment(at=leg.ended_at, kind=Kind.LEG, text=text))
    return moments


def consented(consent: Consent) -> str:
    """What came of telling the caller that they are recorded, as one sentence."""
    match consent:
        case Consent.ANNOUNCED:
            return _("The caller was told that the call is recorded.")
        case Consent.ACCEPTED:
            return _("The caller was asked, and agreed to be recorded.")
        case Consent.REFUSED:
            return _("The caller was asked, and is not recorded: they did not agree.")
        case Consent.FAILED:
            return _("The announcement could not be played: the call is not recorded.")


def paused(gap: Gap, names: Names) -> str:
    """For how long a recording was paused, by whom, and how it went on, as one sentence."""
    who = gap.by or (names.get(gap.agent, gap.agent) if gap.agent else None) or _("somebody")
    if gap.ended_at is None:
        return _("The recording is paused by %(name)s.") % {"name": who}
    told = {"length": duration(gap.ended_at - gap.started_at), "name": who}
    match gap.ended:
        case GapEnd.TIMER:
            return _("The recording was paused for %(length)s by %(name)s, and went on by itself.") % told
        case GapEnd.CALL_OVER:
            return _("The recording was paused for %(length)s by %(name)s, until the call was over.") % told
        case _other:
            return _("The recording was paused for %(length)s by %(name)s.") % told


def _recording(recording: RecordingRecord) -> str:
    tickets = _(", on %(tickets)s") % {"tickets": listed(recording.ticket_ids)} if recording.ticket_ids else ""
    values = {"length": duration(recording.seconds), "tickets": tickets}
    return _(_RECORDED[recording.state]) % values


def _end(call: CallRecord, names: Names) -> Moment | None:
    if call.ended_at is None:
        return None
    said = [_(_ENDED[call.outcome]) if call.outcome else _("The call ended.")]
    if call.direction is Direction.INBOUND and call.via is not Via.DIRECT and not call.merged_into:
        said += _waited(call)
    if call.merged_into:
        said = [_("The call was merged into %(call)s.") % {"call": call.merged_into}]
    elif call.callback is not None and call.direction is Direction.INBOUND and call.outcome is Outcome.OVERFLOW:
        asked = _("The caller asked to be called back and kept their place (%(callback)s in ctid callbacks).")
        said = [asked % {"callback": call.callback}]
    elif call.owner is not None and call.answered_at is None and call.via is not Via.DIRECT and call.callback is None:
        told = _("%(owner)s, who owned the caller's newest ticket, was told of a missed call.")
        said.append(told % {"owner": names.get(call.owner, call.owner)})
    return Moment(at=call.ended_at, kind=Kind.CALL, text=sentences(said))


def _waited(call: CallRecord) -> list[str]:
    until = call.answered_at if call.answered_at is not None else call.ended_at
    if until is None or isnan(until - call.started_at):
        return []
    return [_("The wait was %(wait)s.") % {"wait": duration(until - call.started_at)}]


def _day(at: float, timezone: tzinfo) -> str:
    return _("day unknown") if isnan(at) else f"{datetime.fromtimestamp(at, timezone):%Y-%m-%d} ({timezone})"
