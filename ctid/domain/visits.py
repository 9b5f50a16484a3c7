"""The life of a call: what each thing the PBX reports means for the books.

Law: every report is idempotent, so that a snapshot after a reconnect can tell the same facts again; nothing that comes late,
twice or out of order ends a call or loses a second of it.
"""

from __future__ import annotations

from types import MappingProxyType

from ctid.domain import events as ev
from ctid.domain import serving, staff
from ctid.domain.actions import LookUpCaller, MeasureRecording, NoteCallEnded, NoteOddity, OpenTicket
from ctid.domain.agent import Desk
from ctid.domain.call import Call, Hold, Leg, Phase, outcome_of
from ctid.domain.types import (
    AgentState,
    CallerFile,
    Certainty,
    Direction,
    Endpoint,
    LegResult,
    Outcome,
    PopState,
    RecordingRecord,
    RecordingState,
    Talk,
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


#: How long after a refused route the caller is offered to the next agent, in seconds.
_REFUSED_PAUSE = 0.5


def on_call_started(world: World, event: ev.CallStarted) -> None:
    call = world.call(event.call_id)
    if call is not None:
        call.confirmed = call.confirmed or _seen(event)
        call.endpoint = call.endpoint or event.endpoint
        return
    from_agent = world.is_agents_phone(event.endpoint)
    call = Call(
        id=event.call_id,
        pbx=world.pbx,
        direction=Direction.INTERNAL if from_agent else Direction.INBOUND,
        caller=event.caller,
        caller_name=event.caller_name,
        dialled=event.dialled,
        endpoint=event.endpoint,
        started_at=event.at,
        confirmed=_seen(event),
    )
    world.calls[call.id] = call
    if not from_agent:
        # Asked at the first sight of the channel, so that the answer is here when the dialplan asks for a route.
        _look_up(world, call, event.at)
    world.touch(call)


def on_call_entered(world: World, event: ev.CallEntered) -> None:
    call = world.call(event.call_id)
    if call is None:
        return
    if not call.entered:  # told again by a snapshot or a transfer, it stays what it was
        call.direction = event.direction
    call.entered = True
    call.dialled = event.dialled or call.dialled
    call.recording_path = event.recording
    if call.direction is Direction.INBOUND:
        call.line = world.line_of(event.dialled)
        call.line_name = call.line.name or None
        if call.via is Via.DIRECT:  # told again by a snapshot, a call the fallback has stays the fallback's
            call.via = Via.CTID
        call.legs.pop(event.leg_id, None)  # an agent who rings the service number is a caller
    world.touch(call)


def on_caller_held(world: World, event: ev.CallerHeld) -> None:
    call = world.call(event.call_id)
    if call is None or not call.live:
        world.do(NoteOddity(what="a caller is held whose call is not known", call_id=event.call_id))
        return
    call.confirmed = True
    if call.line is None:
        call.line = world.line_of(event.dialled or call.dialled)
        call.line_name = call.line.name or None
    call.direction = Direction.INBOUND
    call.entered = True
    call.via = Via.CTID
    call.outcome = None
    if call.arrived_at is None:
        call.arrived_at = event.at
        world.timers.set(("wait", call.id), event.at + call.line.longest_wait_seconds)
    if call.offer is not None and call.offer.seq < event.seq:
        why = _WHY.get(event.why or "")
        _note_unrung(call, why, event.at)
        serving.release(world, call, why, event.at)
    call.hold = Hold(channel=event.channel, seq=event.seq)
    if call.offer is None:
        world.move(call, Phase.HELD)
        serving.hold(world, call, event.at)
    world.touch(call)


def on_left_to_failsafe(world: World, event: ev.CallLeftToFailsafe) -> None:
    call = world.call(event.call_id)
    if call is None:
        return
    serving.release(world, call, None, event.at)
    call.via = Via.FAILSAFE
    call.outcome = None
    call.hold = None
    world.move(call, Phase.LEFT)
    world.touch(call)


def on_overflowed(world: World, event: ev.CallOverflowed) -> None:
    call = world.call(event.call_id)
    if call is None:
        return
    serving.release(world, call, None, event.at)
    world.timers.clear(("overflow", call.id))
    call.hold = None
    call.outcome = call.outcome or Outcome.OVERFLOW
    world.move(call, Phase.LEFT)
    world.touch(call)


# -- who is calling ----------------------------------------------------------------------------------------------------


def on_identified(world: World, event: ev.CallerIdentified) -> None:
    _caller_known(world, event, event.file)


def on_lookup_failed(world: World, event: ev.CallerLookupFailed) -> None:
    _caller_known(world, event, None)


def on_lookup_late(world: World, call_id: str, at: float) -> None:
    call = world.calls.get(call_id)
    if call is not None and call.file_due:
        world.do(NoteOddity(what="the database did not say in time who is calling", call_id=call_id))
        on_lookup_failed(world, ev.CallerLookupFailed(at=at, call_id=call_id))


def _look_up(world: World, call: Call, at: float) -> None:
    call.file_due = True
    world.timers.set(("lookup", call.id), at + world.policy.lookup_seconds)
    world.do(LookUpCaller(call_id=call.id, number=call.caller))


def _caller_known(world: World, event: ev.CallerIdentified | ev.CallerLookupFailed, file: CallerFile | None) -> None:
    call = world.call(event.call_id)
    if call is None:
        return
    world.timers.clear(("lookup", call.id))
    call.file_due = False
    if file is not None:
        call.file = file
        call.contact_id = file.contact.id if file.contact is not None else None
        call.customer_id = file.customer_id
        for leg in call.legs.values():  # the phone already rings: the screen learns who it is
            if leg.pop is not None and leg.live:
                world.pop(call, leg, leg.pop.state, event.at)
        world.touch(call)
    _want_ticket(world, call, event.at)
    if call.phase is Phase.HELD:
        serving.hold(world, call, event.at)


# -- legs --------------------------------------------------------------------------------------------------------------


def on_leg_offered(world: World, event: ev.LegOffered) -> None:
    call = world.call(event.call_id)
    if call is None or not call.live:
        return
    call.confirmed = call.confirmed or _seen(event)
    leg = call.legs.get(event.leg_id)
    offered = call.offer is not None and call.offer.endpoint == event.endpoint
    agent = world.agent_at(event.endpoint)
    if agent is None and offered and call.offer is not None:
        agent = call.offer.agent  # who left the phone while the call was on its way to it
    if leg is not None:
        leg.confirmed = leg.confirmed or _seen(event)
        leg.endpoint = event.endpoint
        if event.party != event.endpoint:  # a snapshot knows the trunk, not the number that was dialled through it
            leg.party = event.party
        if leg.live and leg.agent is not None:
            _seat(world, leg, call)
        world.touch(call)
        return
    if event.originator and ((call.entered and call.direction is Direction.INBOUND) or agent is None):
        return  # the caller is no leg of their own call, unless they are one of the agents
    if agent is None and world.endpoints_are_agents and not event.originator:
        agent = event.endpoint
        world.desks.setdefault(agent, staff.unlisted(agent, event.at))
    leg = Leg(
        id=event.leg_id,
        agent=agent,
        endpoint=event.endpoint,
        party=event.party,
        offered_at=event.at,
        originator=event.originator,
        offered=offered,
        certainty=event.certainty,
        confirmed=_seen(event),
    )
    call.legs[leg.id] = leg
    if not event.originator and agent is None and call.direction is Direction.INTERNAL:
        call.direction = Direction.OUTBOUND
    if agent is not None:
        _seat(world, leg, call)
    world.touch(call)


def on_leg_rang(world: World, event: ev.LegRang) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is None or leg is None or not leg.live or leg.originator:
        return
    if leg.pop is None and leg.agent is not None and call.direction is Direction.INBOUND:
        world.pop(call, leg, PopState.RINGING, event.at)


def on_leg_answered(world: World, event: ev.LegAnswered) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is None or leg is None or not leg.live or leg.answered_at is not None:
        return
    if _seen(event):
        on_leg_rang(world, ev.LegRang(at=event.at, call_id=event.call_id, leg_id=event.leg_id))
    leg.answered_at = event.at
    if leg.agent is not None:
        _seat(world, leg, call)
    if leg.originator:
        world.touch(call)
        return
    call.answered_at = call.answered_at or event.at
    call.agent = leg.agent or call.agent
    _show_recording(world, call)
    if leg.offered:
        serving.release(world, call, None, event.at)
    world.move(call, Phase.TALKING)
    if leg.agent is not None:
        world.desks[leg.agent].missed_in_a_row = 0
        if call.direction is Direction.INBOUND:
            if _seen(event):  # a screen shows what is, not what was while ctid was away
                world.pop(call, leg, PopState.ANSWERED, event.at)
            if call.entered:
                call.ticket_wanted_by = leg.agent
                _want_ticket(world, call, event.at)
    world.touch(call)


def on_talk_started(world: World, event: ev.TalkStarted) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is None or leg is None or not leg.live:
        return
    customer = _with_customer(world, call, event.peers)
    talk = leg.talking
    if leg.talks and event.at < (talk.started_at if talk else leg.talks[-1].ended_at or 0.0):
        return  # told again by CEL: the books have it
    if talk is not None and talk.customer == customer:
        if leg.agent is not None and customer:  # told again after a restart: the ledger may not know yet
            world.ledger.began(leg.agent, leg.id, talk.started_at)
        return
    if talk is not None:
        leg.close_talk(event.at, Certainty.EXACT)
        _ledger_stop(world, leg, event.at)
    leg.talks.append(Talk(started_at=event.at, customer=customer, certainty=event.certainty))
    if leg.agent is not None:
        call.agent = leg.agent
        if customer:
            world.ledger.began(leg.agent, leg.id, event.at)
        world.touch_desk(world.desks[leg.agent])
    world.touch(call)


def on_talk_stopped(world: World, event: ev.TalkStopped) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is None or leg is None or leg.talking is None or event.at < leg.talking.started_at:
        return
    leg.close_talk(event.at, event.certainty)
    _ledger_stop(world, leg, event.at)
    world.touch(call)


def on_leg_held(world: World, event: ev.LegHeld) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is not None and leg is not None and leg.live and leg.held_since is None:
        leg.held_since = event.at
        world.touch(call)


def on_leg_unheld(world: World, event: ev.LegUnheld) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is not None and leg is not None:
        leg.unhold(event.at)
        world.touch(call)


def on_leg_ended(world: World, event: ev.LegEnded) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is None or leg is None or not leg.live:
        return
    leg.close_talk(event.at, event.certainty)
    _ledger_stop(world, leg, event.at)
    leg.unhold(event.at)
    leg.ended_at = event.at
    leg.certainty = leg.certainty.with_(event.certainty)
    answered = leg.answered_at is not None
    leg.result = LegResult.ANSWERED if answered else event.result or LegResult.CANCELLED
    if leg.agent is not None:
        _unseat(world, leg)
        if leg.pop is not None:
            world.pop(call, leg, PopState.ENDED if answered else PopState.WITHDRAWN, event.at)
    if leg.offered and not answered and call.offer is not None and call.offer.endpoint == leg.endpoint:
        # The dialplan brings the caller back with a new sequence number; until then the offer stands resolved.
        serving.release(world, call, leg.result, event.at)
    world.touch(call)


def on_calls_merged(world: World, event: ev.CallsMerged) -> None:
    """A consultation turned out to be part of the customer's visit: its legs move over, it ends as merged."""
    merged, into = world.call(event.call_id), world.call(event.into)
    if merged is None or into is None or merged is into:
        return
    serving.release(world, merged, None, event.at)
    for leg in merged.legs.values():
        into.legs.setdefault(leg.id, leg)
        if leg.agent is not None and leg.live:
            _seat(world, leg, into)
    merged.legs = {}
    merged.merged_into = into.id
    merged.outcome = Outcome.MERGED
    world.merged[merged.id] = into.id
    _end(world, merged, event.at)
    world.touch(into)


def on_call_ended(world: World, event: ev.CallEnded) -> None:
    call = world.calls.get(event.call_id)
    if call is None or not call.live:
        return
    for leg in call.legs.values():
        if leg.live:
            on_leg_ended(world, ev.LegEnded(at=event.at, call_id=call.id, leg_id=leg.id, certainty=event.certainty))
    serving.release(world, call, None, event.at)
    call.outcome = outcome_of(call)
    for recording in call.recordings.values():
        if recording.state is RecordingState.RECORDING:
            _measure(world, call, recording.path)
    _end(world, call, event.at)


def _end(world: World, call: Call, at: float) -> None:
    call.ended_at = at
    world.move(call, Phase.ENDED)
    for what in ("wait", "round", "owner", "lookup", "overflow"):
        world.timers.clear((what, call.id))
    world.timers.set(("forget", call.id), at + REMEMBERED_SECONDS)
    world.do(NoteCallEnded(call=call.record()))
    world.touch(call)


def on_forgotten(world: World, call_id: str) -> None:
    call = world.calls.pop(call_id, None)
    if call is not None:
        world.merged.pop(call_id, None)


# -- ticket and recording ----------------------------------------------------------------------------------------------


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


def on_recording_closed(world: World, event: ev.RecordingClosed) -> None:
    """The file is closed. A call nobody answered has nothing to keep, and its empty file is none of the books' business."""
    call = world.call(event.call_id)
    if call is None:
        return
    call.recording_path = event.path
    if call.answered_at is not None:
        _show_recording(world, call)
        _measure(world, call, event.path)


def on_recording_measured(world: World, event: ev.RecordingMeasured) -> None:
    call = world.call(event.call_id)
    if call is None:
        return
    call.measuring.discard(event.recording.id)
    call.recordings[event.recording.id] = event.recording
    world.touch(call)


def _show_recording(world: World, call: Call) -> None:
    """From its answer on, a call that came in by ctid's dialplan has a recording, and be it one that turns out missing."""
    if call.entered and call.recording_path is not None:
        recording_id = _recording_id(world, call.recording_path)
        call.recordings.setdefault(
            recording_id,
            RecordingRecord(id=recording_id, path=call.recording_path, state=RecordingState.RECORDING),
        )


def _measure(world: World, call: Call, path: str) -> None:
    recording_id = _recording_id(world, path)
    if recording_id in call.measuring:  # the hangup handler told of it, and the call's end finds it not measured yet
        return
    call.measuring.add(recording_id)
    world.do(
        MeasureRecording(
            call_id=call.id,
            recording_id=recording_id,
            path=path,
            expected_seconds=call.bridged_seconds(),
        )
    )


def _want_ticket(world: World, call: Call, at: float) -> None:
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
            caller=call.file.number or call.caller,
            at=call.answered_at or at,
        )
    )


def _recording_id(world: World, path: str) -> str:
    stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return f"{world.pbx}-{stem}"


# -- the link to the PBX -----------------------------------------------------------------------------------------------


def on_books_restored(world: World, event: ev.BooksRestored) -> None:
    """At start: the agents sit where they sat, and the calls under way wait for the PBX to confirm them."""
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
    for status in event.statuses:
        staff.restore(world, status, event.at)
        if (desk := world.desks.get(status.agent)) is not None:
            world.touch_desk(desk)
    for record in event.calls:
        call = Call.restored(record)
        call.line = world.line_of(call.dialled) if call.direction is Direction.INBOUND else None
        world.calls[call.id] = call
        if not call.live:  # it ended a moment before: what CEL tells of it again is known
            world.timers.set(("forget", call.id), event.at + REMEMBERED_SECONDS)
            continue
        for leg in call.legs.values():
            if leg.live and leg.agent in world.desks:
                _seat(world, leg, call)
                talk = leg.talking
                if talk is not None and talk.customer:
                    world.ledger.began(leg.agent, leg.id, talk.started_at)
        if call.direction is Direction.INBOUND and call.caller is not None:
            _look_up(world, call, event.at)


def on_link_lost(world: World, event: ev.LinkLost) -> None:
    """Nothing ends because the link did: what is known becomes unconfirmed, and nobody is routed."""
    world.linked = False
    world.lost_at = event.at
    for phone in world.phones.values():
        phone.reachable = None
        phone.channels = 0
    for call in world.calls.values():
        call.confirmed = not call.live
        for leg in call.legs.values():
            leg.confirmed = not leg.live


def on_link_opened(world: World, event: ev.LinkOpened) -> None:
    """The PBX's state was told: what it no longer has ended meanwhile, at the last moment anyone saw it."""
    world.linked = True
    world.serve = True
    seen = world.lost_at if world.lost_at is not None else event.at
    for call in list(world.calls.values()):
        for leg in call.legs.values():
            if leg.live and (not leg.confirmed or not call.confirmed):
                began = leg.talks[-1].started_at if leg.talks else leg.answered_at or leg.offered_at
                on_leg_ended(
                    world,
                    ev.LegEnded(
                        at=max(seen, began),
                        call_id=call.id,
                        leg_id=leg.id,
                        certainty=Certainty.ESTIMATED,
                    ),
                )
        if call.live and not call.confirmed:
            ended = [leg.ended_at for leg in call.legs.values() if leg.ended_at is not None]
            on_call_ended(
                world,
                ev.CallEnded(at=max([seen, call.started_at, *ended]), call_id=call.id, certainty=Certainty.ESTIMATED),
            )
    for desk in world.desks.values():
        world.touch_desk(desk)


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


# -- within ------------------------------------------------------------------------------------------------------------


def _seen(event: ev.Event) -> bool:
    """Whether the event proves that what it speaks of is there now, not only that it was."""
    return event.certainty is Certainty.EXACT


def _leg(world: World, call_id: str, leg_id: str) -> tuple[Call | None, Leg | None]:
    call = world.call(call_id)
    return call, call.legs.get(leg_id) if call is not None else None


def _with_customer(world: World, call: Call, peers: tuple[Endpoint, ...]) -> bool:
    """Whether talk with these counts as talk with a customer: a consultation within a customer's call does, too (RULES)."""
    if call.direction is Direction.INBOUND and world.is_agents_phone(call.endpoint):
        return any(not world.is_agents_phone(peer) for peer in peers)
    return call.direction is not Direction.INTERNAL


def _seat(world: World, leg: Leg, call: Call) -> None:
    """The agent's desk has this leg; the reservation that led to it has done its work once the phone is in use."""
    desk = world.desks[leg.agent or ""]
    desk.legs[leg.id] = (call.id, leg.answered_at is not None)
    world.touch_desk(desk)


def _unseat(world: World, leg: Leg) -> None:
    desk: Desk | None = world.desks.get(leg.agent or "")
    if desk is None:
        return
    desk.legs.pop(leg.id, None)
    if any(talk.customer for talk in leg.talks) and not desk.legs:
        staff.wrap_up(world, desk, leg.ended_at or 0.0)
    if desk.state is not AgentState.OFFLINE or desk.phone is not None:
        world.touch_desk(desk)


def _ledger_stop(world: World, leg: Leg, at: float) -> None:
    if leg.agent is not None:
        world.ledger.stopped(leg.agent, leg.id, at)
        if (desk := world.desks.get(leg.agent)) is not None:
            world.touch_desk(desk)


def _note_unrung(call: Call, why: LegResult | None, at: float) -> None:
    """An offer that never made a channel (an unreachable phone) is a leg all the same: the caller was sent there."""
    made = call.offer
    if made is None or why is None or any(leg.offered and leg.live for leg in call.legs.values()):
        return
    leg_id = f"{call.id}/{made.seq}"
    call.legs[leg_id] = Leg(
        id=leg_id,
        agent=made.agent,
        endpoint=made.endpoint,
        party=made.endpoint,
        offered_at=at,
        offered=True,
        ended_at=at,
        result=why,
    )
