"""Callers who wait meet agents who are free.

Law: the first waiting caller whom some idle agent may serve is served first, and *that* caller's rules choose the agent.
An agent is reserved from the decision until the PBX says what became of it.
"""

from __future__ import annotations

from ctid.domain import callbacks, consenting, leaving
from ctid.domain.actions import NoteDecision, Ring, StopRinging
from ctid.domain.call import Call, Offer, Phase
from ctid.domain.routing import choose, least_level
from ctid.domain.staff import missed
from ctid.domain.types import Decision, LegResult, Line, Outcome, Skip
from ctid.domain.world import World

#: The dialplan's word for thanking a caller whose place is kept.
TO_CALLBACK = "callback"
#: The owner may be worth waiting for while one of these keeps them.
_PASSING = frozenset({Skip.RESERVED, Skip.RINGING, Skip.TALKING, Skip.WRAP_UP, Skip.PHONE_BUSY})
#: How long the PBX may take to let go of a phone that rang too long.
_LET_GO_SECONDS = 5.0
_MISSED = frozenset({LegResult.NO_ANSWER, LegResult.BUSY, LegResult.REJECTED})
_COOLED = frozenset({LegResult.BUSY, LegResult.UNREACHABLE, LegResult.FAILED})


def serve(world: World, at: float) -> None:
    """Offer as many waiting callers as there are agents who may take them."""
    world.serve = False
    if not world.linked or not world.seating(at).idle:
        return

    def served(line: Line, level: int) -> bool:
        return world.seating(at).anyone(line, least_level(line, level))

    idle = world.seating(at).idle
    also = callbacks.ready(world, at)
    for call in world.room().in_order(at, world.policy.ageing_seconds, served=served, idle=idle, also=also):
        assert call.line is not None
        choice = choose(
            at=at,
            line=call.line,
            caller=call.file,
            tried=call.tried,
            seating=world.seating(at),
            fairness=world.policy.fairness,
        )
        if isinstance(choice, Decision):
            if not _worth_waiting_for_owner(world, call, choice, at):
                _offer(world, call, choice)
        elif not choice.all_tried or call.round_resumes_at is not None:
            continue
        elif isinstance(call, callbacks.Callback):
            callbacks.pause_round(world, call, at)
        else:
            call.round_resumes_at = at + world.policy.round_pause_seconds
            world.timers.set(("round", call.id), call.round_resumes_at)


def _offer(world: World, waiter: Call | callbacks.Callback, decision: Decision) -> None:
    if isinstance(waiter, callbacks.Callback):
        callbacks.offer(world, waiter, decision)
    else:
        offer(world, waiter, decision)


def offer(world: World, call: Call, decision: Decision) -> None:
    """Reserve the agent and send the caller to their phone."""
    desk = world.desks[decision.chosen]
    assert call.hold is not None
    assert desk.phone is not None
    until = decision.at + world.policy.ring_seconds + world.policy.reservation_slack_seconds
    call.offer = Offer(agent=desk.id, endpoint=desk.phone, seq=call.hold.seq, until=until)
    call.decisions.append(decision)
    desk.reserved_for = world.phone(desk.phone).reserved_for = call.id
    world.timers.set(("offer", call.id), until)
    world.do(
        Ring(
            call_id=call.id,
            channel=call.hold.channel,
            seq=call.hold.seq,
            endpoint=desk.phone,
            seconds=world.policy.ring_seconds,
            music=call.line.music if call.line is not None else None,
        )
    )
    world.do(NoteDecision(call_id=call.id, decision=decision, asked_at=decision.at))
    world.move(call, Phase.OFFERED)
    world.touch(call)
    world.touch_desk(desk)


def hold(world: World, call: Call, at: float) -> None:
    """The caller is held and known: kept by the line they are to be served, else they go where the line sends them."""
    if call.line is None or call.hold is None:
        return
    if call.callback is not None:
        callback = world.callbacks.get(call.callback)
        if callback is None or callback.kept:  # else the database has still to say so
            leaving.send(world, call, Outcome.OVERFLOW, TO_CALLBACK, at)
        return
    if consenting.tell(world, call):
        return
    while (reason := leaving.why(world, call, at)) is not None:
        if not leaving.to_another_line(world, call, reason, at):
            leaving.send_away(world, call, reason, at)
            return
        if consenting.tell(world, call):
            return
    leaving.watch_the_clock(world, call, at)
    world.kept[call.id] = None
    world.serve = True
    callbacks.offer_later(world, call, at)


def release(world: World, call: Call, result: LegResult | None, at: float) -> None:
    """The offer came to nothing: free the agent, remember them as tried in this round, count what the miss means.

    ``result`` is ``None`` when the agent is not to blame (a lost command, a reservation that expired).
    """
    made = call.offer
    if made is None:
        return
    call.offer = None
    world.timers.clear(("offer", call.id))
    phone = world.phone(made.endpoint)
    if phone.reserved_for == call.id:
        phone.reserved_for = None
        world.serve = True
    desk = world.desks.get(made.agent)
    if desk is None:
        return
    if desk.reserved_for == call.id:
        desk.reserved_for = None
    world.touch_desk(desk)
    if result is None:
        return
    call.tried.add(made.agent)  # also of a phone that sent the caller elsewhere: it would do so again
    if result in _MISSED:
        missed(world, desk)
    if result in _COOLED and world.policy.cool_down_seconds > 0:
        phone.cooling = True
        world.timers.set(("cool", made.endpoint), at + world.policy.cool_down_seconds)


def next_round(world: World, call: Call) -> None:
    """Let every agent be tried again."""
    call.tried.clear()
    call.round_resumes_at = None
    world.timers.clear(("round", call.id))
    world.serve = True


def on_round_over(world: World, call_id: str, _at: float) -> None:
    call = world.calls.get(call_id)
    if call is not None:
        next_round(world, call)


def on_cooled_down(world: World, endpoint: str, _at: float) -> None:
    world.phone(endpoint).cooling = False
    world.serve = True


def on_patience_over(world: World, _call_id: str, _at: float) -> None:
    """An owner was waited for long enough."""
    world.serve = True


def overflow_later(world: World, call: Call, at: float) -> None:
    """The overflow itself was busy or away: try it again after a pause, not in a loop."""
    call.overflow_waits = True
    world.timers.set(("overflow_again", call.id), at + world.policy.round_pause_seconds)


def on_overflow_again(world: World, call_id: str, at: float) -> None:
    call = world.calls.get(call_id)
    if call is not None and call.overflow_waits:
        call.overflow_waits = False
        if call.phase is Phase.HELD:
            hold(world, call, at)


def on_wait_over(world: World, call_id: str, at: float) -> None:
    call = world.calls.get(call_id)
    if call is not None and call.phase is Phase.HELD:
        hold(world, call, at)


def on_offer_expired(world: World, call_id: str, at: float) -> None:
    """The PBX never said what became of the offer: the agent is free again, the caller is taken as still held."""
    call = world.calls.get(call_id)
    if call is None or call.phase is not Phase.OFFERED:
        return
    if call.made:
        callbacks.on_unheard(world, call, at)
        return
    rings = [leg for leg in call.legs.values() if leg.offered and leg.answered_at is None and leg.ended_at is None]
    if rings:  # Asterisk counts a ring's time by the clock: set back in between, that would ring for an hour more
        world.timers.set(("offer", call.id), at + _LET_GO_SECONDS)
        for leg in rings:
            world.do(StopRinging(call_id=call.id, channel=leg.id))
        return
    release(world, call, None, at)
    world.move(call, Phase.HELD)
    hold(world, call, at)


def on_overflow_unheard(world: World, call_id: str, at: float) -> None:
    """The PBX never said that it sent the caller away: the command was lost, and the caller still waits."""
    call = world.calls.get(call_id)
    if call is not None and call.phase is Phase.LEFT and call.hold is not None:
        call.outcome = None
        world.move(call, Phase.HELD)
        hold(world, call, at)


def _worth_waiting_for_owner(world: World, call: Call | callbacks.Callback, decision: Decision, at: float) -> bool:
    patience = world.policy.owner_wait_seconds
    if not patience or decision.owner_skipped not in _PASSING or call.arrived_at is None:
        return False
    until = call.arrived_at + patience
    if at >= until:
        return False
    world.timers.set(("owner", call.id), until)
    return True
