"""The link to the PBX, opened, lost and opened again; and the books as the last run left them.

Law: nothing ends because the link did. What is known becomes unconfirmed, the PBX's state and CEL tell it anew, and what
nobody tells of again ended at the last moment anyone saw it.
"""

from __future__ import annotations

from dataclasses import replace

from ctid.domain import events as ev
from ctid.domain import keeping, legs, serving, staff, visits
from ctid.domain.call import Call, Leg
from ctid.domain.types import (
    Certainty,
    Direction,
    PopState,
    RecordingState,
)
from ctid.domain.world import REMEMBERED_SECONDS, SESSION, World

#: How long after a refused route the caller is offered to the next agent, in seconds.
_REFUSED_PAUSE = 0.5


def on_books_restored(world: World, event: ev.BooksRestored) -> None:
    """At start: the agents sit where they sat, and the calls under way wait for the PBX to confirm them."""
    if event.agents is not None:
        staff.on_roster(world, ev.RosterLoaded(at=event.at, agents=event.agents))
    world.lost_at = event.last_seen_at
    of_live_calls = tuple(
        (leg.agent, leg.id, talk.started_at, talk.ended_at)
        for call in event.calls
        if call.ended_at is None
        for leg in call.legs
        for talk in leg.talks
        if leg.agent is not None and talk.customer and talk.ended_at is not None
    )
    world.ledger.restore(event.talks + of_live_calls, event.at)
    world.presence.restore(tuple((agent, SESSION, since, until) for agent, since, until in event.presences), event.at)
    for wait in event.waits:
        world.last_hour.note(wait)
    world.in_vain.restore(event.in_vain, event.at)
    for status in event.statuses:
        staff.restore(world, status, event.at)
        if (desk := world.desks.get(status.agent)) is not None:
            world.touch_desk(desk)
    for record in event.calls:
        call = Call.restored(record, world.changed_calls)
        if call.direction is Direction.INBOUND:  # which may be another line than the one they dialled
            call.line = world.line_by_name.get(call.line_name or "") or world.line_of(call.dialled)
        world.calls[call.id] = call
        if call.merged_into is not None:
            world.merged[call.id] = call.merged_into
        if call.live:
            world.under_way[call.id] = call
            _restore_live(world, call, event.at)
        else:
            _restore_ended(world, call, event.at)


def _restore_live(world: World, call: Call, at: float) -> None:
    for leg in call.legs.values():
        if leg.live and leg.agent is not None:
            # An agent gone from the roster still ends the call they are in.
            world.desk(staff.unlisted(leg.agent), at)
            legs.seat(world, leg, call)
            talk = leg.talking
            if talk is not None and talk.customer:
                world.ledger.began(leg.agent, leg.id, talk.started_at)
    if call.direction is not Direction.INTERNAL:
        _want_ticket_again(call)
        visits.look_up(world, call, at)


def _restore_ended(world: World, call: Call, at: float) -> None:
    """It ended a moment before: what CEL tells of it again is known, what ctid had no time for is done now."""
    world.timers.set(("forget", call.id), at + REMEMBERED_SECONDS)
    for recording in call.recordings.values():
        if recording.state is RecordingState.RECORDING:
            keeping.measure(world, call, recording.path, call.ended_at or at)
    if call.direction is not Direction.INTERNAL and _want_ticket_again(call):
        visits.look_up(world, call, at)


def _want_ticket_again(call: Call) -> bool:
    """Whether the call was answered, and ctid stopped before its ticket was written."""
    if call.entered and call.answered_at is not None and not call.ticket_ids:
        call.ticket_wanted_by = call.agent
    return call.ticket_wanted_by is not None


def on_link_lost(world: World, event: ev.LinkLost) -> None:
    """Nothing ends because the link did: what is known becomes unconfirmed, and nobody is routed."""
    if world.linked or world.lost_at is None:  # what is lost again before it was read has told nothing new
        world.lost_at = event.at
    world.linked = False
    for phone in world.phones.values():
        phone.reachable = None
        phone.channels = 0
    for call in world.calls.values():
        call.confirmed = not call.live
        for leg in call.legs.values():
            leg.confirmed = leg.talk_confirmed = not leg.live


def on_link_opened(world: World, event: ev.LinkOpened) -> None:
    """The PBX's state was told: what it no longer has ended meanwhile, at the last moment anyone saw it."""
    world.linked = True
    world.gap_told = event.gap_told
    world.serve = True
    seen = world.lost_at if world.lost_at is not None else event.at
    for call in list(world.calls.values()):
        if call.live and call.file_due:
            world.timers.set(("lookup", call.id), (event.told_at or event.at) + world.policy.lookup_seconds)
        for leg in [leg for leg in call.legs.values() if leg.live]:
            _confirm(world, call, leg, seen, event.at)
        if call.live and not call.confirmed:
            ended = [leg.ended_at for leg in call.legs.values() if leg.ended_at is not None]
            visits.on_call_ended(
                world,
                ev.CallEnded(at=max([seen, call.started_at, *ended]), call_id=call.id, certainty=Certainty.ESTIMATED),
            )
        if not call.live:  # what ended hours ago, as CEL tells, still has its ticket and its recording to come
            world.timers.set(("forget", call.id), event.at + REMEMBERED_SECONDS)
    for desk in world.desks.values():
        world.touch_desk(desk)


def _confirm(world: World, call: Call, leg: Leg, seen: float, at: float) -> None:
    """End what the PBX did not tell of again: the leg, or its conversation; show the rest anew."""
    if not leg.confirmed or not call.confirmed:
        began = leg.talks[-1].started_at if leg.talks else leg.answered_at or leg.offered_at
        gone = ev.LegEnded(at=max(seen, began), call_id=call.id, leg_id=leg.id, certainty=Certainty.ESTIMATED)
        legs.on_leg_ended(world, gone)
        return
    if leg.talking is not None and not leg.talk_confirmed:
        leg.close_talk(seen, Certainty.ESTIMATED)
        legs.stop_talk_account(world, leg, max(seen, leg.talks[-1].started_at))
    if leg.answered_at is not None and leg.pop is None and _pops(call, leg):
        world.pop(call, leg, PopState.ANSWERED, at)  # the screen outlives a restart


def _pops(call: Call, leg: Leg) -> bool:
    return leg.offered if leg.originator else call.direction is Direction.INBOUND


def on_phone_used(world: World, event: ev.PhoneUsed) -> None:
    phone = world.phone(event.endpoint)
    phone.channels = event.channels
    if not event.channels:  # a first channel says nothing yet: its leg does
        world.serve = True
        if (agent := world.agent_at(event.endpoint)) is not None:
            world.touch_desk(world.desks[agent])


def on_phone_reached(world: World, event: ev.PhoneReached) -> None:
    phone = world.phone(event.endpoint)
    phone.reachable = event.reachable
    world.serve = world.serve or bool(event.reachable)


def on_route_refused(world: World, event: ev.RouteRefused) -> None:
    """The PBX certainly did not take the route: the agent is free at once, and the caller goes to the next in a moment.

    Not at once: mostly the caller's channel is gone, and the call's end is on its way.
    """
    call = world.call(event.call_id)
    if call is None or call.offer is None or call.offer.seq != event.seq:
        return
    call.tried.add(call.offer.agent)  # the phone's name may be what was refused
    serving.release(world, call, None, event.at)
    world.timers.set(("offer", call.id), event.at + _REFUSED_PAUSE)


def on_clock_taken_over(world: World, event: ev.ClockTakenOver) -> None:
    """What is due stays as far off as it was; who is idle, owed a call or locked out has been so for as long."""
    world.timers.move(event.by)
    world.ledger.move(event.by, event.at)
    world.presence.move(event.by, event.at)
    for desk in world.desks.values():
        desk.since += event.by
        if desk.signed_in_at is not None:
            desk.signed_in_at += event.by
        world.touch_desk(desk)
    for callback in world.callbacks.values():
        was = callback.record
        callback.record = replace(
            was, arrived_at=was.arrived_at + event.by, asked_at=was.asked_at + event.by, due_at=was.due_at + event.by
        )
    world.pin_tries = {key: (since + event.by, tries) for key, (since, tries) in world.pin_tries.items()}
