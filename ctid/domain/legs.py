"""One party's stay in a call: offered, ringing, answered, talking, on hold, over; and what it means for the agent's desk.

Law: every report is idempotent, so that a snapshot or CEL can tell the same facts again; nothing that comes late, twice or out
of order loses a second of talk.
"""

from __future__ import annotations

from ctid.domain import callbacks, choosing, keeping, lingering, serving, staff, transfers
from ctid.domain import events as ev
from ctid.domain.actions import StopRinging
from ctid.domain.agent import Desk
from ctid.domain.call import Call, Leg, Phase
from ctid.domain.types import (
    AgentId,
    AgentState,
    Certainty,
    Direction,
    Endpoint,
    LegResult,
    PopState,
    Talk,
)
from ctid.domain.world import World


def on_leg_offered(world: World, event: ev.LegOffered) -> None:
    call = world.call(event.call_id)
    if call is None or not call.live:
        return
    call.confirmed = call.confirmed or event.witnessed
    leg = call.legs.get(event.leg_id)
    agent, offered = _whose(world, call, event)
    if leg is not None:
        leg.confirmed = leg.confirmed or event.witnessed
        leg.endpoint = event.endpoint
        # A snapshot knows the trunk, not the number dialled through it. Of an agent the phone is the party, however dialled.
        if event.party != event.endpoint and leg.agent is None:
            leg.party = event.party
        if leg.live and leg.agent is not None:
            seat(world, leg, call)
        world.touch(call)
        return
    if event.originator and ((call.entered and call.direction is Direction.INBOUND) or agent is None):
        return  # the caller is no leg of their own call, unless they are one of the agents
    leg = Leg(
        id=event.leg_id,
        agent=agent,
        endpoint=event.endpoint,
        party=event.party if agent is None else event.endpoint,
        offered_at=event.at,
        originator=event.originator,
        offered=offered,
        certainty=event.certainty,
        confirmed=event.witnessed,
    )
    call.legs[leg.id] = leg
    transfers.offered(world, call, leg)
    if leg.offered:
        choosing.rings(world, call)
    if not event.originator and agent is None and call.direction is Direction.INTERNAL:
        call.direction = Direction.OUTBOUND
    if agent is not None:
        if leg.offered and not leg.originator and world.linked and world.desks[agent].legs:
            _withdraw(world, call, leg, event.at)
        seat(world, leg, call)
    world.touch(call)


def _withdraw(world: World, call: Call, leg: Leg, at: float) -> None:
    """Somebody else, the fallback queue say, rang this phone in the same moment: the agent, not to blame, keeps that call."""
    world.do(StopRinging(call_id=call.id, channel=leg.id))
    serving.release(world, call, None, at)


def _whose(world: World, call: Call, event: ev.LegOffered) -> tuple[AgentId | None, bool]:
    """Whose phone it is, and whether ctid's own offer rings it; also of one who left the phone while it was on its way."""
    agent = world.agent_at(event.endpoint)
    if event.originator and call.made:
        return agent or call.agent, True
    if call.offer is None or call.offer.endpoint != event.endpoint:
        return agent, False
    return agent or call.offer.agent, True


def on_leg_rang(world: World, event: ev.LegRang) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is None or leg is None or not leg.live or (leg.originator and not leg.offered):
        return
    if leg.pop is None and leg.agent is not None and _shown(call, leg):
        world.pop(call, leg, PopState.RINGING, event.at)


def _shown(call: Call, leg: Leg) -> bool:
    """Whether the call is on the screen of who is rung: a customer's, one that ctid made, or one a colleague sends."""
    return call.direction is Direction.INBOUND or leg.originator or leg.notice is not None


def on_leg_answered(world: World, event: ev.LegAnswered) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is not None and (leg is None or leg.originator):
        call.taken_at = call.taken_at or event.at
    if call is None or leg is None or not leg.live or leg.answered_at is not None:
        return
    if event.witnessed:
        on_leg_rang(world, ev.LegRang(at=event.at, call_id=event.call_id, leg_id=event.leg_id))
    leg.answered_at = event.at
    if leg.agent is not None:
        seat(world, leg, call)
    if leg.originator:
        _originator_answered(world, call, leg, event)
        return
    if leg.offered:
        serving.release(world, call, None, event.at)
    transfers.answered(world, call, leg)
    _answered(world, call, leg, event)


def _answered(world: World, call: Call, leg: Leg, event: ev.Event) -> None:
    """Someone took the call: from now on it has a recording, a ticket, and a place on the agent's screen."""
    call.answered_at = call.answered_at or event.at
    call.agent = leg.agent or call.agent
    keeping.show_recording(world, call)
    world.move(call, Phase.TALKING)
    if call.made:
        callbacks.on_answered(world, call, event.at)
    elif call.direction is Direction.INBOUND:
        callbacks.on_caller_served(world, call, event.at)
    if leg.agent is not None:
        world.desks[leg.agent].missed_in_a_row = 0
        lingering.note_answer(world, call, event.at)
        if _shown(call, leg) and event.witnessed:  # a screen shows what is, not what was meanwhile
            world.pop(call, leg, PopState.ANSWERED, event.at)
    if call.entered and (agent := leg.agent or _who_called_out(call)) is not None:
        call.ticket_wanted_by = agent
        keeping.want_ticket(world, call, event.at)
    world.touch(call)


def _originator_answered(world: World, call: Call, leg: Leg, event: ev.LegAnswered) -> None:
    """A phone that calls out is not the answer; one that ctid made call back has been taken up by its agent."""
    if leg.offered and leg.agent is not None:
        serving.release(world, call, None, event.at)
        world.desks[leg.agent].missed_in_a_row = 0
        if event.witnessed:
            world.pop(call, leg, PopState.ANSWERED, event.at)
    world.touch(call)


def _who_called_out(call: Call) -> AgentId | None:
    """The agent whose call the customer answered, where an agent called."""
    return next((leg.agent for leg in call.legs.values() if leg.originator), None)


def show_merged(world: World, leg: Leg, into: Call, at: float) -> None:
    """Who was consulted, or fetches a parked caller, has the customer's screen; who consulted has had it all along."""
    theirs = {other.agent for other in into.legs.values() if other.pop is not None and other.live}
    answered = leg.answered_at is not None and into.answered_at is not None  # else it is picked up: see on_talk_started
    if answered and leg.agent not in theirs and into.direction is Direction.INBOUND:
        world.pop(into, leg, PopState.ANSWERED, at)


def on_talk_started(world: World, event: ev.TalkStarted) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is None or leg is None or not leg.live:
        return
    leg.talk_confirmed = leg.talk_confirmed or event.witnessed
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
        stop_talk_account(world, leg, event.at)
    leg.talk_confirmed = event.witnessed
    leg.talks.append(Talk(started_at=event.at, customer=customer, certainty=event.certainty))
    if leg.agent is not None:
        call.agent = leg.agent
        if customer:
            world.ledger.began(leg.agent, leg.id, event.at)
        world.touch_desk(world.desks[leg.agent])
    if (
        not leg.originator and call.answered_at is None
    ):  # picked up by a colleague, whose leg began as a call of its own
        serving.release(world, call, None, event.at)
        _answered(world, call, leg, event)
    world.touch(call)


def on_talk_stopped(world: World, event: ev.TalkStopped) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is None or leg is None or leg.talking is None or event.at < leg.talking.started_at:
        return
    leg.close_talk(event.at, event.certainty)
    stop_talk_account(world, leg, event.at)
    world.touch(call)


def on_leg_held(world: World, event: ev.LegHeld) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is not None and leg is not None and leg.live and leg.held_since is None:
        leg.held_since = event.at
        _touch(world, call, leg)


def on_leg_unheld(world: World, event: ev.LegUnheld) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is not None and leg is not None and leg.held_since is not None:
        # One that ended some time in an outage counts as far as it was seen.
        leg.unhold(event.at if event.witnessed or world.lost_at is None else min(event.at, world.lost_at))
        _touch(world, call, leg)


def _touch(world: World, call: Call, leg: Leg) -> None:
    """Also the screen of its agent, who may talk in another call now."""
    world.touch(call)
    if leg.agent is not None and leg.agent in world.desks:
        world.touch_desk(world.desks[leg.agent])


def on_leg_ended(world: World, event: ev.LegEnded) -> None:
    call, leg = _leg(world, event.call_id, event.leg_id)
    if call is None or leg is None or not leg.live:
        return
    leg.close_talk(event.at, event.certainty)
    stop_talk_account(world, leg, event.at)
    leg.unhold(event.at)
    leg.ended_at = event.at
    leg.certainty = leg.certainty.with_(event.certainty)
    answered = leg.answered_at is not None
    leg.result = LegResult.ANSWERED if answered else event.result or LegResult.CANCELLED
    if leg.agent is not None:
        unseat(world, leg)
        if leg.pop is not None:
            world.pop(call, leg, PopState.ENDED if answered else PopState.WITHDRAWN, event.at)
    transfers.ended(world, call, leg)
    if leg.offered and not answered and call.offer is not None and call.offer.endpoint == leg.endpoint:
        # The dialplan brings the caller back with a new sequence number; until then the offer stands resolved.
        serving.release(world, call, leg.result, event.at)
    world.touch(call)


def note_unrung(call: Call, why: LegResult | None, at: float) -> None:
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


def _leg(world: World, call_id: str, leg_id: str) -> tuple[Call | None, Leg | None]:
    call = world.call(call_id)
    return call, call.legs.get(leg_id) if call is not None else None


def _with_customer(world: World, call: Call, peers: tuple[Endpoint, ...]) -> bool:
    """Whether talk with these counts as talk with a customer: a consultation within a customer's call does, too (RULES)."""
    if call.direction is Direction.INBOUND and world.is_agents_phone(call.endpoint):
        return any(not world.is_agents_phone(peer) for peer in peers)
    return call.direction is not Direction.INTERNAL


def seat(world: World, leg: Leg, call: Call) -> None:
    """The agent's desk has this leg; the reservation that led to it has done its work once the phone is in use."""
    desk = world.desks[leg.agent or ""]
    desk.legs = {**desk.legs, leg.id: (call.id, leg.answered_at is not None)}
    world.touch_desk(desk)


def unseat(world: World, leg: Leg) -> None:
    desk: Desk | None = world.desks.get(leg.agent or "")
    if desk is None:
        return
    desk.legs = {leg_id: call for leg_id, call in desk.legs.items() if leg_id != leg.id}
    if any(talk.customer for talk in leg.talks) and not desk.legs:
        staff.wrap_up(world, desk, leg.ended_at or 0.0)
    if desk.state is not AgentState.OFFLINE or desk.phone is not None:
        world.touch_desk(desk)


def stop_talk_account(world: World, leg: Leg, at: float) -> None:
    if leg.agent is not None:
        world.ledger.stopped(leg.agent, leg.id, at)
        if (desk := world.desks.get(leg.agent)) is not None:
            world.touch_desk(desk)
