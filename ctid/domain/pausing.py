"""What is said now must not be recorded: pausing a recording while card data is read, and having it go on.

Law: a pause belongs to the call, whoever is in it by then, and ends by a word, by its time, or with the call. It is kept with
the recording. What the PBX has is what counts: it is looked at after a time in which nobody looked. It holds for every file
the call is recorded in; with one in it who did not agree to be recorded, all of them are silent to its end.
"""

from __future__ import annotations

from dataclasses import replace

from ctid.domain import events as ev
from ctid.domain import staff
from ctid.domain.actions import MuteRecording, RenewRecording
from ctid.domain.call import Call
from ctid.domain.said import Code, Said, say
from ctid.domain.spans import within
from ctid.domain.types import AgentId, Gap, GapEnd, LegId
from ctid.domain.world import World

#: When the PBX did not take the end of a pause, it is told again after so many seconds.
_AGAIN = 1.0
#: A pause that the PBX names with another begin than the books, by more than these seconds, is another pause.
_SAME = 2.0


def on_pause(world: World, event: ev.RecordingPauseAsked) -> None:
    found = _asked(world, event.request)
    if found is not None:
        _pause(world, found, event.at, event.request, event.request.agent)


def on_resume(world: World, event: ev.RecordingResumeAsked) -> None:
    found = _asked(world, event.request)
    if found is not None:
        _resume(world, found, event.at, GapEnd.RESUMED, event.request)


def on_key(world: World, event: ev.PauseKeyed) -> None:
    """One key for both: it does what has not been done yet."""
    call = world.call(event.call_id)
    if call is None or _why_not(world, call) is not None:
        return
    if call.paused is not None:
        _resume(world, call, event.at, GapEnd.RESUMED, None)
    else:
        _pause(world, call, event.at, None, _who_talks(call))


def on_muted(world: World, event: ev.RecordingMuted) -> None:
    call = world.call(event.call_id)
    if call is None or not call.live:
        _answer(world, event.request, say(Code.CALL_OVER))
    elif call.silenced:
        if event.error is not None and not event.refused:
            world.timers.set(("pause", call.id), event.at + _AGAIN)
        _answer(world, event.request, say(Code.NOT_RECORDED))
    elif event.error is not None:
        _not_taken(world, call, event)
        _answer(world, event.request, say(Code.NOT_PAUSED, reason=event.error))
    elif event.gap.ended is None:
        _note(world, call, event.gap)
        _answer(world, event.request)
    else:
        if call.paused is not None:
            close(world, call, event.at, event.gap.ended)
            _renew(world, call)
        _answer(world, event.request)


def on_time_up(world: World, call_id: str, at: float) -> None:
    call = world.calls.get(call_id)
    if call is None or not call.live:
        return
    if call.silenced:
        _silence(world, call, at)
    elif call.paused is None:
        return
    elif world.linked and call.recorded is not None:
        _resume(world, call, at, GapEnd.TIMER, None)
    else:
        world.timers.set(("pause", call.id), at + _AGAIN)


def on_renewed(world: World, event: ev.RecordingRenewed) -> None:
    """It was begun anew in the moment the pause was asked for: what is said from here on is muted again."""
    call = world.call(event.call_id)
    if call is not None and (gap := call.paused) is not None and not gap.cut and call.recorded is not None:
        world.do(MuteRecording(call_id=call.id, channels=call.recorded_channels(), gap=gap))


def on_found(world: World, event: ev.PauseFound) -> None:
    """What the PBX, or its CEL, says of the time in which nobody looked."""
    call = world.call(event.call_id)
    if call is None or not call.live or call.silenced or call.refused:
        return
    known, found = call.paused, event.gap
    if found is None:
        if known is not None:
            close(world, call, event.at, GapEnd.RESUMED)
        return
    if known is not None and abs(known.started_at - found.started_at) > _SAME:
        close(world, call, max(found.started_at, known.started_at), GapEnd.RESUMED)
        known = None
    if known is None:
        agent = found.agent or _who_talks(call)
        until = max(found.until, found.started_at + (world.policy.pause_seconds if found.cut else 0.0))
        _note(world, call, replace(found, agent=agent, until=until))
    else:
        world.timers.set(("pause", call.id), known.until)


def recorded(world: World, call: Call, channel: LegId, path: str, at: float) -> None:
    """The dialplan records this channel into that file: the call's own, or another of the same call.

    Such a one belongs to whom an agent asks in mid-call, and begins with sound whatever holds for the call.
    """
    if call.recording_path == path and not call.refused:
        call.recorded = channel
    elif call.recording_path != path and channel not in call.also_recorded:
        call.also_recorded.append(channel)
        if call.refused or call.silenced:
            call.silenced = True
            _silence(world, call, at)
        elif (gap := call.paused) is not None and world.linked:
            world.do(MuteRecording(call_id=call.id, channels=(channel,), gap=gap))


def joined(world: World, merged: Call, into: Call, gap: Gap | None, at: float) -> None:
    """Two calls are one: what must not be recorded of either isn't in the files of both. ``gap`` is the pause of ``merged``."""
    more = [c for c in merged.recorded_channels() if c not in into.also_recorded]
    into.also_recorded += more
    gap = gap if into.paused is None else into.paused if more else None
    if merged.refused or into.refused or merged.silenced or into.silenced:
        into.silenced = True
        if into.recorded is not None and into.paused is None:
            into.gaps.append(Gap(started_at=at, until=at))
        _silence(world, into, at)
    elif gap is not None and (channels := into.recorded_channels()):
        world.do(MuteRecording(call_id=into.id, channels=channels, gap=gap))


def close(world: World, call: Call, at: float, why: GapEnd) -> None:
    """The pause is over, if there is one."""
    gap = call.paused
    if gap is not None:
        call.gaps[-1] = replace(gap, ended_at=max(at, gap.started_at), ended=why)
        world.timers.clear(("pause", call.id))
        _show(world, call)


def missing_seconds(call: Call, at: float) -> float:
    """How much shorter the file is than the conversation, at ``at``, by pauses in which the recording was stopped."""
    legs = [leg.record() for leg in call.legs.values()]
    return sum(
        within(legs, gap.started_at, gap.ended_at if gap.ended_at is not None else at) for gap in call.gaps if gap.cut
    )


# -- within ------------------------------------------------------------------------------------------------------------


def _asked(world: World, request: ev.Request) -> Call | None:
    """The recorded call the agent talks in; who asks in vain is told why."""
    desk = staff.signed_in(world, request)
    if desk is None:
        return None
    found = world.conversations(desk)
    why_not = say(Code.NOT_RECORDED) if not found else _why_not(world, found[0].call)
    if len(found) > 1:  # by which of them the card's number is read, nobody here can tell
        why_not = say(Code.CALLS_AT_ONCE)
    if why_not is not None:
        staff.answer(world, request, why_not)
        return None
    return found[0].call


def _why_not(world: World, call: Call) -> Said | None:
    if not world.linked:
        return say(Code.NO_LINK)
    return say(Code.NOT_RECORDED) if call.recorded is None or call.silenced else None


def _pause(world: World, call: Call, at: float, request: ev.Request | None, agent: AgentId | None) -> None:
    until = at + world.policy.pause_seconds
    gap = Gap(started_at=at, until=until, agent=agent) if call.paused is None else replace(call.paused, until=until)
    world.do(MuteRecording(call_id=call.id, channels=call.recorded_channels(), gap=gap, request=request))


def _silence(world: World, call: Call, at: float) -> None:
    if world.linked and (channels := call.recorded_channels()):
        world.do(MuteRecording(call_id=call.id, channels=channels, gap=Gap(started_at=at, until=at)))


def _not_taken(world: World, call: Call, event: ev.RecordingMuted) -> None:
    """What the PBX refused is unsaid, for the channel's word of it may stand; what it may have done all the same is ended."""
    if event.gap.ended is not None:
        if call.paused is not None:
            world.timers.set(("pause", call.id), event.at + _AGAIN)
    elif call.paused is None and event.refused:
        undone = replace(event.gap, ended_at=event.at, ended=GapEnd.RESUMED)
        world.do(MuteRecording(call_id=call.id, channels=call.recorded_channels(), gap=undone))
    elif call.paused is None:
        _note(world, call, replace(event.gap, until=event.at + _AGAIN))


def _resume(world: World, call: Call, at: float, why: GapEnd, request: ev.Request | None) -> None:
    if call.paused is None:
        _answer(world, request, say(Code.NOT_PAUSED_NOW))
        return
    gap = replace(call.paused, ended_at=at, ended=why)
    world.do(MuteRecording(call_id=call.id, channels=call.recorded_channels(), gap=gap, request=request))


def _note(world: World, call: Call, gap: Gap) -> None:
    if call.paused is not None:
        call.gaps[-1] = replace(call.paused, until=gap.until)
    else:
        call.gaps.append(gap)
    world.timers.set(("pause", call.id), gap.until)
    _show(world, call)


def _renew(world: World, call: Call) -> None:
    """What was not to be begun anew in the pause is now."""
    if call.renewal_due is not None:
        channel, call.renewal_due = call.renewal_due, None
        world.do(RenewRecording(call_id=call.id, channel=channel))


def _show(world: World, call: Call) -> None:
    world.touch(call)
    for leg in call.legs.values():
        if leg.live and leg.agent is not None and leg.agent in world.desks:
            world.touch_desk(world.desks[leg.agent])


def _who_talks(call: Call) -> AgentId | None:
    """The agent who talks in it, the newest of several."""
    talking = [leg.agent for leg in call.legs.values() if leg.live and leg.agent is not None and leg.talking]
    return talking[-1] if talking else call.agent


def _answer(world: World, request: ev.Request | None, error: Said | None = None) -> None:
    if request is not None:
        staff.answer(world, request, error)
