"""What agents take up by their own choice: a caller who waits, or a number to call.

Law: an agent is free to choose while nothing rings and nobody talks at their phone; the wrap-up ends by it, a pause goes on
afterwards. One agent gets the caller, whoever else pressed in the same moment is told who.
"""

from __future__ import annotations

from ctid.domain import callbacks, serving, staff
from ctid.domain import events as ev
from ctid.domain.actions import LookUpCaller, NoteDecision, Originate
from ctid.domain.agent import Desk
from ctid.domain.call import Call, Offer, Phase
from ctid.domain.routing import barred, least_level
from ctid.domain.said import Code, Said, say
from ctid.domain.types import CallerFile, Decision, Direction, Rule, Skip, Via
from ctid.domain.world import World


def on_pickup(world: World, event: ev.PickupAsked) -> None:
    """The agent takes a caller who waits, whoever owns the ticket and whichever line it is."""
    desk = staff.signed_in(world, event.request)
    if desk is None:
        return
    call = world.call(event.call_id)
    why_not = staff.why_not_free(world, desk) or _why_not_taken(world, desk, call)
    if why_not is None and call is not None:
        staff.end_wrap_up(world, desk)
        owner = world.desks.get(call.file.owner or "")
        decision = Decision(
            at=event.at,
            rule=Rule.PICKED,
            chosen=desk.id,
            owner=owner.id if owner is not None else None,
            owner_ticket=call.file.history[0].id if owner is not None and call.file.history else None,
        )
        serving.offer(world, call, decision)
    staff.answer(world, event.request, why_not)


def _why_not_taken(world: World, desk: Desk, call: Call | None) -> Said | None:
    if call is None or not call.live:
        return say(Code.CALL_OVER)
    taker = call.offer.agent if call.offer is not None else call.agent if call.phase is Phase.TALKING else None
    if taker is not None:
        return say(Code.CALL_TAKEN, agent=staff.name(world, taker))
    if not call.waiting or call.line is None:
        return say(Code.CALL_NOT_WAITING)
    if barred(desk.agent, call.line, call.file) is Skip.LEVEL:
        return say(Code.LEVEL_NEEDED, level=least_level(call.line, call.file.level))
    return None


def on_dial(world: World, event: ev.DialAsked) -> None:
    """The agent calls a number: their own phone rings first, and when they answer the customer is dialled from there."""
    desk = staff.signed_in(world, event.request)
    if desk is None:
        return
    number = world.dialled(event.number)
    why_not = staff.why_not_free(world, desk) or _why_not_called(world, event.number, number)
    if why_not is not None or number is None:
        staff.answer(world, event.request, why_not)
        return
    staff.end_wrap_up(world, desk)
    call = _made(world, desk, event, number)
    until = event.at + world.policy.ring_seconds + world.policy.reservation_slack_seconds
    call.offer = Offer(agent=desk.id, endpoint=call.endpoint, seq=0, until=until)
    call.decisions.append(Decision(at=event.at, rule=Rule.DIALLED, chosen=desk.id))
    desk.reserved_for = world.phone(call.endpoint).reserved_for = call.id
    world.timers.set(("offer", call.id), until)
    world.do(
        Originate(
            call_id=call.id,
            endpoint=call.endpoint,
            number=number,
            caller=None,
            seconds=world.policy.ring_seconds,
            customer_seconds=callbacks.CUSTOMER_SECONDS,
            title="Call",
        )
    )
    world.do(NoteDecision(call_id=call.id, decision=call.decisions[0], asked_at=event.at))
    call.file_due = True
    world.timers.set(("lookup", call.id), event.at + world.policy.lookup_seconds)
    world.do(LookUpCaller(call_id=call.id, number=event.number, contact_id=event.contact_id))
    world.touch(call)
    world.touch_desk(desk)


def _why_not_called(world: World, wanted: str, number: str | None) -> Said | None:
    if not world.policy.originates:
        return say(Code.NO_ORIGINATE)
    if number is None:
        return say(Code.BAD_NUMBER)
    return say(Code.OWN_NUMBER, number=number) if world.has_line(number) or world.has_line(wanted) else None


def _made(world: World, desk: Desk, event: ev.DialAsked, number: str) -> Call:
    """The outbound call, in the world's books before the PBX has a channel of it."""
    world.dials += 1
    assert desk.phone is not None
    # A Uniqueid of ctid's own, and so the id of the call: no two share a millisecond and a count.
    call_id = f"dial-{int(event.at * 1000)}.{world.dials}"
    call = world.calls[call_id] = Call(
        changed=world.changed_calls,
        id=call_id,
        pbx=world.pbx,
        direction=Direction.OUTBOUND,
        caller=None,
        caller_name=None,
        dialled=number,
        endpoint=desk.phone,
        started_at=event.at,
        phase=Phase.OFFERED,
        via=Via.CTID,
        file=CallerFile(number=world.normalise(event.number) or number),
        agent=desk.id,
        asked_by=event.request,
        ticket_wanted=event.ticket_id,
        notices=(say(Code.YOU_CALL),),
        confirmed=False,
    )
    return call


def rings(world: World, call: Call) -> None:
    """The phone of who asked for this call rings: what they asked for is done."""
    if call.asked_by is not None:
        request, call.asked_by = call.asked_by, None
        staff.answer(world, request)


def not_rung(world: World, call: Call) -> None:
    """The call came to nothing before a phone rang."""
    if call.asked_by is not None:
        request, call.asked_by = call.asked_by, None
        staff.answer(world, request, say(Code.PHONE_NOT_RUNG, phone=call.endpoint))
