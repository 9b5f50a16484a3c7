"""What an answered call leaves behind: its ticket and its recording.

Law: each is asked for once, and a recording that should be there and isn't is known as missing.
"""

from __future__ import annotations

from dataclasses import replace

from ctid.domain import events as ev
from ctid.domain import pausing, staff
from ctid.domain.actions import MeasureRecording, OpenTicket, Relink, RenewRecording, ShowCall
from ctid.domain.call import Call
from ctid.domain.types import (
    Direction,
    PopState,
    RecordingRecord,
    RecordingState,
)
from ctid.domain.world import World


def on_ticket_linked(world: World, event: ev.TicketLinked) -> None:
    call = world.call(event.call_id)
    if call is None:
        return
    call.ticket = event.ticket
    if event.ticket.id not in call.ticket_ids:
        call.ticket_ids.append(event.ticket.id)
    for leg in call.legs.values():
        if leg.live and leg.answered_at is not None and leg.pop is not None:
            world.pop(call, leg, PopState.ANSWERED, event.at)
    world.touch(call)


def on_relink(world: World, event: ev.RelinkAsked) -> None:
    """The books decide: they know the call when the core has long forgotten it."""
    if staff.known(world, event.request) is None:
        return
    call = world.call(event.call_id)
    world.do(
        Relink(
            request=event.request,
            call_id=call.id if call is not None else event.call_id,
            ticket_id=event.ticket_id,
            new=event.new,
            contact_id=event.contact_id,
            at=event.at,
        )
    )


def on_relinked(world: World, event: ev.CallRelinked) -> None:
    """What the books have now, the call and the screens that show it have, too."""
    call = world.call(event.call_id)
    if event.error is None and call is not None:
        if event.ticket is not None:
            call.ticket, call.ticket_ids = event.ticket, [event.ticket.id]
        if event.file is not None:
            call.file = replace(event.file, number=call.file.number, dial_back=call.file.dial_back)
            call.contact_id = event.file.contact.id if event.file.contact is not None else None
            call.customer_id = event.file.customer_id
        for leg in call.legs.values():
            if leg.pop is not None and (leg.live or leg.agent == event.request.agent):
                world.pop(call, leg, leg.pop.state, event.at)
        world.touch(call)
    elif event.call is not None:
        world.do(ShowCall(call=event.call))
    staff.answer(world, event.request, event.error)


def on_voices_changed(world: World, event: ev.VoicesChanged) -> None:
    """Some builds of Asterisk leave a new party's voice out of a recording that began before."""
    if not event.witnessed or (call := world.call(event.call_id)) is None or not call.live:
        return
    if call.paused is not None:  # one begun anew would hear everything
        call.renewal_due = event.channel
    else:
        world.do(RenewRecording(call_id=call.id, channel=event.channel))


def on_recording_closed(world: World, event: ev.RecordingClosed) -> None:
    """The file is closed. A call nobody answered has nothing to keep, and its empty file is none of the books' business."""
    call = world.call(event.call_id)
    if call is None:
        return
    call = _whose(world, call, event.path)
    call.recording_path = event.path
    if call.answered_at is not None and _to_be_kept(call):
        show_recording(world, call)
        measure(world, call, event.path, event.at, event.bridged_seconds)


def on_recording_measured(world: World, event: ev.RecordingMeasured) -> None:
    call = world.call(event.call_id)
    if call is None:
        return
    call = _whose(world, call, event.recording.path)
    call.measuring.discard(event.recording.id)
    call.recordings[event.recording.id] = event.recording
    world.touch(call)


def want_ticket(world: World, call: Call, at: float) -> None:
    """Ask for the ticket of an answered call, as soon as it is known who is calling."""
    agent = call.ticket_wanted_by
    if agent is None or call.file_due:
        return
    call.ticket_wanted_by = None
    world.do(
        OpenTicket(
            call_id=call.id,
            agent=agent,
            contact_id=call.contact_id,
            customer_id=call.customer_id,
            caller=call.file.number or call.customers_number,
            at=call.answered_at or at,
            outbound=call.direction is Direction.OUTBOUND,
            ticket_id=call.ticket_wanted,
        )
    )


def show_recording(world: World, call: Call) -> None:
    """From its answer on, a call that came in by ctid's dialplan has a recording, and be it one that turns out missing."""
    if call.entered and call.recording_path is not None and _to_be_kept(call):
        recording_id = _recording_id(world, call.recording_path)
        call.recordings.setdefault(
            recording_id,
            RecordingRecord(id=recording_id, path=call.recording_path, state=RecordingState.RECORDING),
        )


def _to_be_kept(call: Call) -> bool:
    return not call.refused


def _whose(world: World, call: Call, path: str) -> Call:
    """Whose file it is: a call that became part of another keeps its own."""
    parts = [world.calls[part] for part in world.merged if part in world.calls and world.call(part) is call]
    return next((part for part in parts if any(r.path == path for r in part.recordings.values())), call)


def measure(world: World, call: Call, path: str, at: float, bridged_seconds: float | None = None) -> None:
    """Have the file read, closed at ``at``.

    Without ``bridged_seconds`` of the recorded channel itself, the legs' talk says what it holds.
    """
    recording_id = _recording_id(world, path)
    if recording_id in call.measuring:  # the hangup handler told of it, and the call's end finds it not measured yet
        return
    call.measuring.add(recording_id)
    bridged = call.bridged_seconds() if bridged_seconds is None else bridged_seconds
    world.do(
        MeasureRecording(
            call_id=call.id,
            recording_id=recording_id,
            path=path,
            expected_seconds=max(0.0, bridged - pausing.missing_seconds(call, at)),
        )
    )


def _recording_id(world: World, path: str) -> str:
    stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return f"{world.pbx}-{stem}"
