"""A caller's whole visit: begun, held, sent away, known, merged, over.

Law: every report is idempotent, so that a snapshot after a reconnect can tell the same facts again; nothing that comes late,
twice or out of order ends a call.
"""

from __future__ import annotations

from types import MappingProxyType

from ctid.domain import callbacks, choosing, keeping, leaving, legs, missed, pausing, serving, staff, transfers
from ctid.domain import events as ev
from ctid.domain.actions import LookUpCaller, NoteCallEnded, NoteOddity
from ctid.domain.call import Call, Hold, Phase, outcome_of
from ctid.domain.said import Code, say
from ctid.domain.types import (
    AgentId,
    CallerFile,
    Direction,
    GapEnd,
    LegResult,
    Outcome,
    RecordingState,
    Via,
)
from ctid.domain.world import REMEMBERED_SECONDS, World

#: What the dialplan's ``Why`` (a ``DIALSTATUS``) says of the try before.
_WHY = MappingProxyType(
    {
        "REJECTED": LegResult.REJECTED,
        "NOANSWER": LegResult.NO_ANSWER,
        "BUSY": LegResult.BUSY,
        "CONGESTION": LegResult.FAILED,
        "CHANUNAVAIL": LegResult.UNREACHABLE,
        "CANCEL": LegResult.CANCELLED,
    }
)


def on_call_started(world: World, event: ev.CallStarted) -> None:
    call = world.call(event.call_id)
    if call is not None:
        call.confirmed = call.confirmed or event.witnessed
        call.endpoint = call.endpoint or event.endpoint
        return
    # A feature code is dialled at a phone, be it one where nobody sits yet; no service number begins like one.
    from_agent = world.is_agents_phone(event.endpoint) or (event.dialled or "").startswith("*")
    call = Call(
        changed=world.changed_calls,
        id=event.call_id,
        pbx=world.pbx,
        direction=Direction.INTERNAL if from_agent else Direction.INBOUND,
        caller=event.caller,
        caller_name=event.caller_name,
        dialled=event.dialled,
        endpoint=event.endpoint,
        started_at=event.at,
        confirmed=event.witnessed,
    )
    world.calls[call.id] = call
    if not from_agent:
        # Asked at the first sight of the channel, so that the answer is here when the dialplan asks for a route.
        look_up(world, call, event.at)
    world.touch(call)


def on_call_entered(world: World, event: ev.CallEntered) -> None:
    call = world.call(event.call_id)
    if call is None:
        return
    known = call.entered
    if not known:  # told again by a snapshot, or of a transfer through ctid's dialplan, it stays what it was
        call.direction = event.direction
        call.dialled = event.dialled or call.dialled
    call.entered = True
    call.recording_path = call.recording_path or event.recording
    if event.recording is not None:
        pausing.recorded(world, call, event.leg_id, event.recording, event.at)
    if call.direction is Direction.OUTBOUND and not known and not call.made:
        look_up(world, call, event.at)
    if call.direction is event.direction is Direction.INBOUND:
        if call.line is None or event.dialled != call.entered_by:  # told again, they stay on the line they went on to
            _come_to_line(world, call, event.dialled)
        if call.via is Via.DIRECT:  # told again by a snapshot, a call the fallback has stays the fallback's
            call.via = Via.CTID
        own = call.legs.pop(event.leg_id, None)
        if own is not None:  # an agent who rings the service number is a caller
            legs.stop_talk_account(world, own, event.at)
            legs.unseat(world, own)
    world.touch(call)


def on_caller_held(world: World, event: ev.CallerHeld) -> None:
    call = world.call(event.call_id)
    if call is None or not call.live:
        world.do(NoteOddity(what="a caller is held whose call is not known", call_id=event.call_id))
        return
    call.confirmed = True
    back = call.phase is Phase.TALKING
    if call.line is None or back:
        _come_to_line(world, call, event.dialled)
    call.direction = Direction.INBOUND
    call.entered = True
    call.via = Via.CTID
    overflowed, call.outcome = call.outcome is not None, None
    if call.arrived_at is None or back:  # new, or given back by an agent: waiting begins now
        returns, call.given_to = call.given_to, None
        call.arrived_at = (event.at if returns is None else call.started_at) if back else _arrival(world, call, event)
        call.overflows = 0
        if back:
            call.been_on.clear()
            call.prioritised, call.stands_since = False, None
            call.callback = None  # served: whoever gives them to a line wants them to be answered there
        moved = [d.at for d in call.diversions if call.line_name is not None and d.to == f"line-{call.line_name}"]
        leaving.wait_from(world, call, event.at if back else max([call.arrived_at, *moved]))
        if returns is not None:
            _not_taken(world, call, returns)
    if call.offer is not None and call.offer.seq < event.seq:
        why = _WHY.get(event.why or "")
        legs.note_unrung(call, why, event.at)
        serving.release(world, call, why, event.at)
    if call.hold is not None and call.hold.seq == event.seq:  # told again: they still wait to be told of the recording
        call.consent_told_at = None
    call.hold = Hold(channel=event.channel, seq=event.seq)
    if call.offer is None:
        world.move(call, Phase.HELD)
        if overflowed and event.why is not None:
            serving.overflow_later(world, call, event.at)
        else:
            serving.hold(world, call, event.at)
    world.touch(call)


def _not_taken(world: World, call: Call, colleague: AgentId) -> None:
    """The colleague did not take the caller: others are asked first, and whoever answers knows of it."""
    transfers.over(world, call)
    call.tried.add(colleague)
    call.notices = (*call.notices, say(Code.NOT_TAKEN, agent=staff.name(world, colleague)))


def _come_to_line(world: World, call: Call, dialled: str | None) -> None:
    call.entered_by = dialled
    call.line = world.line_of(dialled or call.dialled)
    call.line_name = call.line.name or None


def _arrival(world: World, call: Call, event: ev.CallerHeld) -> float:
    """When the caller came: now, or by the dialplan's own count if a daemon of before let them wait.

    That count is of whole seconds and may be one too many; the books are exact.
    """
    if event.waited <= 1 and world.linked:
        return event.at
    counted = min(event.at - event.waited + 1, event.at)
    return call.started_at if abs(counted - call.started_at) <= 2 else counted


def on_left_to_failsafe(world: World, event: ev.CallLeftToFailsafe) -> None:
    call = world.call(event.call_id)
    if call is None or not call.live:  # CEL tells again of what is over in the books
        return
    serving.release(world, call, None, event.at)
    call.via = Via.FAILSAFE
    call.outcome = None
    call.hold = None
    world.move(call, Phase.LEFT)
    world.touch(call)


def on_overflowed(world: World, event: ev.CallOverflowed) -> None:
    call = world.call(event.call_id)
    if call is None or not call.live:
        return
    serving.release(world, call, None, event.at)
    world.timers.clear(("overflow", call.id))
    call.overflows += 1
    call.hold = None
    call.outcome = call.outcome or Outcome.OVERFLOW
    world.move(call, Phase.LEFT)
    world.touch(call)


def on_identified(world: World, event: ev.CallerIdentified) -> None:
    _caller_known(world, event, event.file)


def on_lookup_failed(world: World, event: ev.CallerLookupFailed) -> None:
    _caller_known(world, event, None)


def on_lookup_late(world: World, call_id: str, at: float) -> None:
    call = world.calls.get(call_id)
    if call is not None and call.file_due:
        world.do(NoteOddity(what="the database did not say in time who is calling", call_id=call_id))
        on_lookup_failed(world, ev.CallerLookupFailed(at=at, call_id=call_id))


def look_up(world: World, call: Call, at: float) -> None:
    call.file_due = True
    if world.linked:  # read from CEL or restored, it is looked up while the link opens: patience begins there
        world.timers.set(("lookup", call.id), at + world.policy.lookup_seconds)
    world.do(LookUpCaller(call_id=call.id, number=call.customers_number))


def _caller_known(world: World, event: ev.CallerIdentified | ev.CallerLookupFailed, file: CallerFile | None) -> None:
    if isinstance(event, ev.CallerIdentified):
        callbacks.identified(world, event)
    call = world.call(event.call_id)
    if call is None:
        return
    world.timers.clear(("lookup", call.id))
    call.file_due = False
    if file is not None:
        call.file = file
        call.contact_id = file.contact.id if file.contact is not None else None
        call.customer_id = file.customer_id
        if call.direction is Direction.INBOUND:
            call.owner = missed.owner_of(world, call)
        for leg in call.legs.values():  # the phone already rings: the screen learns who it is
            if leg.pop is not None and leg.live:
                world.pop(call, leg, leg.pop.state, event.at)
        world.touch(call)
        if call.answered_at is not None and call.direction is Direction.INBOUND:
            callbacks.on_caller_served(world, call, event.at)
    keeping.want_ticket(world, call, event.at)
    missed.note(world, call, event.at)
    if call.phase is Phase.HELD:
        serving.hold(world, call, event.at)


def on_calls_merged(world: World, event: ev.CallsMerged) -> None:
    """A consultation turned out to be part of the customer's visit: its legs move over, it ends as merged."""
    merged, into = world.call(event.call_id), world.call(event.into)
    if merged is None or into is None or merged is into or not merged.live:
        return
    serving.release(world, merged, None, event.at)
    for leg in merged.legs.values():
        leg.originator = False
        into.legs.setdefault(leg.id, leg)
        if leg.agent is not None and leg.live:
            legs.seat(world, leg, into)
            legs.show_merged(world, leg, into, event.at)
    merged.legs = {}
    merged.merged_into = into.id
    merged.outcome = Outcome.MERGED
    world.merged[merged.id] = into.id
    paused = merged.paused
    _end(world, merged, event.at)
    pausing.joined(world, merged, into, paused, event.at)
    callbacks.on_attempt_over(world, merged, event.at, event.certainty)
    world.touch(into)


def on_call_ended(world: World, event: ev.CallEnded) -> None:
    call = world.calls.get(event.call_id)
    if call is None or not call.live:
        return
    for leg in call.legs.values():
        if leg.live:
            legs.on_leg_ended(
                world, ev.LegEnded(at=event.at, call_id=call.id, leg_id=leg.id, certainty=event.certainty)
            )
    serving.release(world, call, None, event.at)
    call.outcome = outcome_of(call)
    if call.outcome is Outcome.ANSWERED and call.answered_at is None:
        call.answered_at = call.taken_at
    for recording in call.recordings.values():
        if recording.state is RecordingState.RECORDING:
            keeping.measure(world, call, recording.path, event.at)
    _end(world, call, event.at)
    missed.note(world, call, event.at)
    if call.made:
        callbacks.on_attempt_over(world, call, event.at, event.certainty)


def _end(world: World, call: Call, at: float) -> None:
    call.ended_at = at
    pausing.close(world, call, at, GapEnd.CALL_OVER)
    choosing.not_rung(world, call)
    transfers.over(world, call)
    world.move(call, Phase.ENDED)
    world.serve = world.serve or bool(world.callbacks)  # a customer who is to be called back may have been on this call
    for what in ("wait", "round", "owner", "lookup", "overflow", "closing", "announce", "callback_offer"):
        world.timers.clear((what, call.id))
    world.timers.set(("forget", call.id), at + REMEMBERED_SECONDS)
    world.do(NoteCallEnded(call=call.record()))
    world.touch(call)


def on_forgotten(world: World, call_id: str, _at: float) -> None:
    call = world.calls.pop(call_id, None)
    if call is not None:
        world.merged.pop(call_id, None)
