"""An agent gives the customer they talk with to a colleague: at once, or after a word with them.

Law: the colleague is reserved from the command until their phone answers or gives up; a caller whom they do not take waits
again, in the place of one who has waited since the call began. What phones transfer by keys or REFER goes past here.
"""

from __future__ import annotations

from dataclasses import replace

from ctid.domain import events as ev
from ctid.domain import staff
from ctid.domain.actions import EndTransfer, Transfer
from ctid.domain.agent import Desk
from ctid.domain.call import Call, Leg, Transferring
from ctid.domain.said import Code, Said, say
from ctid.domain.types import AgentState, LegResult
from ctid.domain.world import Conversation, World

#: How long the PBX may take from the command to the colleague's ringing phone, in seconds: it speaks a prompt first.
_PROMPT_SECONDS = 5.0
#: How long an agent who is led back to the caller hears the PBX's error tone (its xferfailsound: beeperr, 0.4 s), in seconds.
#: It takes no keys meanwhile, and so no Atxfer, which presses them: one asked for then would be lost without a word.
_TONE_SECONDS = 1.0
_MISSED = frozenset({LegResult.NO_ANSWER, LegResult.BUSY, LegResult.REJECTED})


def on_transfer(world: World, event: ev.TransferAsked) -> None:
    desk = staff.signed_in(world, event.request)
    if desk is None:
        return
    found = next(reversed(world.conversations(desk)), None)
    if event.kind in (ev.TransferKind.COMPLETE, ev.TransferKind.CANCEL):
        _end(world, desk, found, event)
        return
    target = world.desks.get(event.to or "")
    why_not = _why_not(world, desk, found, target, event)
    if why_not is not None or found is None or target is None or target.phone is None:
        staff.answer(world, event.request, why_not)
        return
    call, attended = found.call, event.kind is ev.TransferKind.ATTENDED
    call.transferring = Transferring(
        by=desk.id, to=target.id, leg=found.leg.id, endpoint=target.phone, attended=attended
    )
    target.reserved_for = world.phone(target.phone).reserved_for = call.id
    if attended:
        desk.consults = target.id
    else:
        call.given_to = target.id
    wait = world.policy.ring_seconds + world.policy.reservation_slack_seconds + _PROMPT_SECONDS
    world.timers.set(("transfer", call.id), event.at + wait)
    world.do(
        Transfer(
            request=event.request,
            call_id=call.id,
            channel=found.leg.id,
            endpoint=target.phone,
            seconds=world.policy.ring_seconds,
            attended=attended,
        )
    )
    world.touch_desk(target)
    world.touch_desk(desk)


def _why_not(
    world: World, desk: Desk, found: Conversation | None, target: Desk | None, event: ev.TransferAsked
) -> Said | None:
    if not world.linked:
        return say(Code.NO_LINK)
    if found is None:
        return say(Code.NO_CUSTOMER_CALL)
    if found.call.transferring is not None:
        return say(Code.TRANSFER_UNDER_WAY)
    if target is desk:
        return say(Code.TRANSFER_TO_ONESELF)
    if target is None or not target.agent.enabled:
        return say(Code.NO_AGENT, agent=event.to or "")
    if target.phone is None:
        return say(Code.AGENT_OFFLINE, agent=target.agent.name)
    state = target.derived(None)
    if state is AgentState.PAUSED and event.kind is ev.TransferKind.BLIND:
        return say(Code.AGENT_PAUSED, agent=target.agent.name)
    phone = world.phone(target.phone)
    free = phone.reachable and not phone.channels and phone.reserved_for is None
    if not free or state not in (AgentState.IDLE, AgentState.PAUSED):
        return say(Code.AGENT_BUSY, agent=target.agent.name)
    return None


def _end(world: World, desk: Desk, found: Conversation | None, event: ev.TransferAsked) -> None:
    under_way = found.call.transferring if found is not None else None
    if found is None or under_way is None or under_way.by != desk.id or not _consulting(under_way):
        staff.answer(world, event.request, say(Code.NO_TRANSFER))
        return
    complete = event.kind is ev.TransferKind.COMPLETE
    world.do(EndTransfer(request=event.request, call_id=found.call.id, channel=found.leg.id, complete=complete))


def on_answer(world: World, event: ev.TransferAnswered) -> None:
    """The PBX took the command, or did not."""
    call = world.call(event.call_id)
    error = say(Code.NOT_TRANSFERRED, reason=event.error) if event.error is not None else None
    if error is not None and event.began and call is not None:
        call.given_to = None
        over(world, call)
    staff.answer(world, event.request, error)


def on_late(world: World, call_id: str, _at: float) -> None:
    """The colleague's phone never rang, or nobody heard what became of it; in a consultation under way nothing is late."""
    call = world.calls.get(call_id)
    if call is None or call.transferring is None:
        return
    to = call.transferring.to
    if not any(leg.live and leg.agent == to for leg in call.legs.values()):
        over(world, call)


# -- what the legs say -------------------------------------------------------------------------------------------------


def offered(world: World, call: Call, leg: Leg) -> None:
    """A phone joined the call: if it is the colleague's, their screen will say who sends the caller."""
    under_way = call.transferring
    if under_way is not None and leg.agent == under_way.to and leg.endpoint == under_way.endpoint:
        code = Code.CONSULTED if under_way.attended else Code.TRANSFERRED
        leg.notice = say(code, agent=staff.name(world, under_way.by))


def answered(world: World, call: Call, leg: Leg) -> None:
    under_way = call.transferring
    call.given_to = None
    if under_way is None or leg.agent != under_way.to:
        return
    _free(world, call, under_way)
    if not under_way.attended:
        over(world, call)


def ended(world: World, call: Call, leg: Leg) -> None:
    under_way = call.transferring
    if under_way is None:
        return
    if leg.id == under_way.leg and _consulting(under_way):
        _left(world, call, under_way)
    elif leg.id == under_way.leg and under_way.given_up:
        over(world, call)
    elif leg.agent == under_way.to:
        if leg.result in _MISSED and (desk := world.desks.get(under_way.to)) is not None:
            staff.missed(world, desk)
        if _consulting(under_way) and leg.ended_at is not None:
            _free(world, call, under_way)
            call.transferring = replace(under_way, given_up=True)
            world.timers.set(("transfer", call.id), leg.ended_at + _TONE_SECONDS)
        else:
            over(world, call)


def _consulting(under_way: Transferring) -> bool:
    return under_way.attended and not under_way.given_up


def _left(world: World, call: Call, under_way: Transferring) -> None:
    """Who consulted has hung up: the colleague has the caller, or will when they answer."""
    theirs = [leg for leg in call.legs.values() if leg.live and leg.agent == under_way.to]
    for leg in theirs:
        leg.notice = say(Code.TRANSFERRED, agent=staff.name(world, under_way.by))
    if any(leg.answered_at is not None for leg in theirs):
        over(world, call)
        return
    if (desk := world.desks.get(under_way.by)) is not None:
        desk.consults = None
    call.transferring = replace(under_way, attended=False)


def over(world: World, call: Call) -> None:
    """Nothing is being transferred any more."""
    under_way, call.transferring = call.transferring, None
    if under_way is None:
        return
    world.timers.clear(("transfer", call.id))
    _free(world, call, under_way)
    if (desk := world.desks.get(under_way.by)) is not None:
        desk.consults = None
        world.touch_desk(desk)


def _free(world: World, call: Call, under_way: Transferring) -> None:
    phone, desk = world.phone(under_way.endpoint), world.desks.get(under_way.to)
    if phone.reserved_for == call.id:
        phone.reserved_for = None
        world.serve = True
    if desk is not None and desk.reserved_for == call.id:
        desk.reserved_for = None
        world.touch_desk(desk)
