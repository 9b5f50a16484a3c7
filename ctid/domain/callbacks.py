"""Callers who had their place kept: offered, asked for, kept, called back by whoever is free, tried again by rule.

Law: nothing is promised that is not stored, and nobody's phone rings for a callback before the database knows that it does. A
callback stands in the waiting order where its caller stood and is served by the same rules; it is one call: what became of an
attempt nobody saw the end of is not tried again. Who was not to be recorded when they asked is not when they are called back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ctid.domain import events as ev
from ctid.domain import legs, serving, visits
from ctid.domain.actions import KeepCallback, LookUpCaller, NoteDecision, OfferCallback, Originate
from ctid.domain.call import Call, Offer, Phase
from ctid.domain.opening import is_open
from ctid.domain.said import Code, Said, say
from ctid.domain.types import (
    AgentId,
    CallbackRecord,
    CallbackState,
    CallerFile,
    CallId,
    Certainty,
    Decision,
    Direction,
    LegResult,
    Line,
    Via,
)
from ctid.domain.world import World

#: How long the database may take to keep what nobody must be told before it is kept, in seconds.
_KEEP_SECONDS = 3.0
#: How long the customer's phone rings, in seconds.
CUSTOMER_SECONDS = 45.0
#: How often it is looked whether a closed line has opened, or an engaged number is free, in seconds.
_LOOK_AGAIN = 30.0


@dataclass(slots=True, kw_only=True)
class Callback:
    """One open callback; ``kept`` once the database has it. ``decision`` chose the agent of the attempt under way."""

    record: CallbackRecord
    line: Line
    file: CallerFile
    kept: bool = False
    tried: set[AgentId] = field(default_factory=set)
    round_resumes_at: float | None = None
    decision: Decision | None = None
    endpoint: str | None = None  # reserved for the attempt under way, until the call is there

    @property
    def id(self) -> CallId:
        return self.record.id

    @property
    def arrived_at(self) -> float:
        return self.record.arrived_at


# -- offering and asking -----------------------------------------------------------------------------------------------


def offer_later(world: World, call: Call, at: float) -> None:
    """The caller waits: if they may be called back, they are told so after a while."""
    if call.callback is None and not call.callback_offered and _may_ask(world, call):
        after = (call.arrived_at or at) + world.policy.callback_after_seconds
        world.timers.set(("callback_offer", call.id), max(at, after))


def on_offer_due(world: World, call_id: str, _at: float) -> None:
    call = world.calls.get(call_id)
    if call is None or not world.linked:  # held again, once the link is back, they are offered it then
        return
    if call.waiting and call.hold is not None and call.line is not None and _may_ask(world, call):
        call.callback_offered = True
        sound = call.line.callback_sound
        world.do(OfferCallback(call_id=call.id, channel=call.hold.channel, seq=call.hold.seq, sound=sound))


def on_asked(world: World, event: ev.CallbackAsked) -> None:
    """The place is kept: in the database first, and only then the caller is thanked."""
    call = world.call(event.call_id)
    if call is None or not call.waiting or call.callback is not None or not _may_ask(world, call):
        return
    callback = _of_number(world, call.file.number)
    if callback is None:
        callback = _made(world, call, event.at)
        world.callbacks[callback.id] = callback
        _keep(world, callback)
        world.timers.set(("callback_keep", callback.id), event.at + _KEEP_SECONDS)
    elif call.refused and callback.record.consent is None:
        callback.record = replace(callback.record, consent=call.consent)
        _keep(world, callback)
    call.callback = callback.id
    world.touch(call)
    if callback.kept:
        serving.hold(world, call, event.at)


def _may_ask(world: World, call: Call) -> bool:
    """Whether this caller may be called back: the line offers it, the number may be dialled, and there is room."""
    file = call.file
    if call.line is None or not call.line.callback or file.number is None or file.dial_back is None:
        return False
    if world.has_line(file.number) or world.has_line(file.dial_back):
        return False  # ctid would call itself
    return _of_number(world, file.number) is not None or len(world.callbacks) < world.policy.callback_most


def _made(world: World, call: Call, at: float) -> Callback:
    file = call.file
    assert call.line is not None
    assert file.number is not None
    assert file.dial_back is not None
    record = CallbackRecord(
        id=call.id,
        pbx=world.pbx,
        number=file.number,
        dial=file.dial_back,
        called=call.dialled,
        line=call.line_name,
        level=file.level,
        severity=file.severity,
        arrived_at=call.arrived_at if call.arrived_at is not None else at,
        asked_at=at,
        due_at=at,
        consent=call.consent if call.refused else None,
    )
    return Callback(record=record, line=call.line, file=file)


# -- kept, or not ------------------------------------------------------------------------------------------------------


def on_kept(world: World, event: ev.CallbackKept) -> None:
    callback = world.callbacks.get(event.callback.id)
    if callback is None:
        return
    if not callback.kept:
        callback.kept = True
        world.timers.clear(("callback_keep", callback.id))
        world.timers.set(("callback_due", callback.id), callback.record.due_at)
        world.timers.set(("callback_expires", callback.id), _expiry(world, callback))
        for call in _askers(world, callback):
            serving.hold(world, call, event.at)
    elif event.callback == callback.record and callback.decision is not None:
        _start(world, callback, callback.decision, event.at)


def on_keep_late(world: World, callback_id: str, at: float) -> None:
    """The database did not take it in time: nothing is promised, or nobody's phone rings, until it does."""
    callback = world.callbacks.get(callback_id)
    if callback is None:
        return
    if callback.kept:
        _put_back(world, callback, at + _LOOK_AGAIN)
        _rest(world, at + _LOOK_AGAIN)
        return
    _finish(world, callback, CallbackState.DROPPED, at, why="the database did not keep it in time")
    for call in _askers(world, callback):
        call.callback = None
        serving.hold(world, call, at)


def _askers(world: World, callback: Callback) -> list[Call]:
    """The held callers who wait to hear that their callback is kept."""
    return [
        call
        for call_id in world.waiting
        if (call := world.calls[call_id]).callback == callback.id and call.direction is Direction.INBOUND
    ]


# -- serving -----------------------------------------------------------------------------------------------------------


def ready(world: World, at: float) -> Iterator[Callback]:
    """The callbacks that are due now: their line is open, and the customer is not on the phone to us this moment."""
    if not world.callbacks:
        return
    due = [callback for callback in world.callbacks.values() if _is_due(callback, at)]
    if not due:
        return
    engaged = {call.file.number for call in world.under_way.values() if call.direction is not Direction.INTERNAL}
    for callback in due:
        if callback.record.number in engaged or not is_open(callback.line, at, world.zone):
            if ("callback_due", callback.id) not in world.timers:  # asked at each event: one look ahead is enough
                world.timers.set(("callback_due", callback.id), at + _LOOK_AGAIN)
            continue
        yield callback


def _is_due(callback: Callback, at: float) -> bool:
    waits = callback.kept and callback.record.state is CallbackState.WAITING
    return waits and callback.line.callback and callback.record.due_at <= at


def offer(world: World, callback: Callback, decision: Decision) -> None:
    """Reserve the agent and mark the callback as being called; the phone rings once that is stored."""
    desk = world.desks[decision.chosen]
    assert desk.phone is not None
    rung = callback.record.rung + 1
    # A Uniqueid of ctid's own, and so the id of the call: no two attempts of one callback share a number.
    attempt = f"callback{rung}-{int(decision.at)}.{callback.id.rpartition('.')[2]}"
    callback.record = replace(
        callback.record, state=CallbackState.CALLING, rung=rung, attempt=attempt, agent=desk.id, due_at=decision.at
    )
    callback.decision, callback.endpoint = decision, desk.phone
    desk.reserved_for = world.phone(desk.phone).reserved_for = attempt
    world.timers.set(("callback_keep", callback.id), decision.at + _KEEP_SECONDS)
    _keep(world, callback)
    world.touch_desk(desk)


def _start(world: World, callback: Callback, decision: Decision, at: float) -> None:
    """The mark is stored: ring the agent's phone."""
    world.timers.clear(("callback_keep", callback.id))
    if not world.linked or not _can_be_rung(world, callback, decision.chosen):
        _put_back(world, callback, at)
        return
    record, endpoint = callback.record, callback.endpoint
    callback.decision = callback.endpoint = None
    assert record.attempt is not None
    assert endpoint is not None
    call = _call(world, callback, at)
    until = at + world.policy.ring_seconds + world.policy.reservation_slack_seconds
    call.offer = Offer(agent=decision.chosen, endpoint=endpoint, seq=0, until=until)
    call.decisions.append(decision)
    world.timers.set(("offer", call.id), until)
    world.do(
        Originate(
            call_id=call.id,
            endpoint=endpoint,
            number=record.dial,
            caller=record.called,
            seconds=world.policy.ring_seconds,
            customer_seconds=CUSTOMER_SECONDS,
            title="Callback",
            consent=record.consent,
        )
    )
    world.do(NoteDecision(call_id=call.id, decision=decision, asked_at=decision.at))
    world.do(LookUpCaller(call_id=call.id, number=record.number))  # their tickets may have changed since they asked
    world.touch(call)


def _can_be_rung(world: World, callback: Callback, agent: AgentId) -> bool:
    """Whether the agent still sits idle at the phone: storing the mark takes long enough to take up a call there, or to go."""
    desk = world.desks[agent]
    free = not desk.legs and desk.pause_reason is None
    return free and desk.phone == callback.endpoint and not world.phone(callback.endpoint or "").channels


def _call(world: World, callback: Callback, at: float) -> Call:
    """The outbound call of the attempt, in the world's books."""
    record, file = callback.record, callback.file
    assert record.attempt is not None
    call = world.calls[record.attempt] = Call(
        changed=world.changed_calls,
        id=record.attempt,
        pbx=world.pbx,
        direction=Direction.OUTBOUND,
        caller=record.called,
        caller_name=None,
        dialled=record.dial,
        endpoint=callback.endpoint or "",
        started_at=at,
        line=callback.line,
        line_name=record.line,
        phase=Phase.OFFERED,
        via=Via.CTID,
        file=file,
        contact_id=file.contact.id if file.contact is not None else None,
        customer_id=file.customer_id,
        agent=record.agent,
        callback=callback.id,
        consent=record.consent,
        confirmed=False,
    )
    call.notices = (_notice(world, callback),)
    return call


def _notice(world: World, callback: Callback) -> Said:
    record = callback.record
    asked = world.local(record.asked_at).strftime("%H:%M")
    if not record.tries:
        return say(Code.CALLBACK, at=asked)
    return say(Code.CALLBACK_AGAIN, at=asked, tried=record.tries + 1, tries=world.policy.callback_tries)


# -- how an attempt went -----------------------------------------------------------------------------------------------


def on_not_made(world: World, event: ev.CallNotMade) -> None:
    """No phone rang. Where a channel was seen its own end tells, and more exactly."""
    call = world.calls.get(event.call_id)
    if call is None or not call.live or not call.made or call.legs:
        return
    legs.note_unrung(call, event.result, event.at)
    serving.release(world, call, event.result, event.at)
    visits.on_call_ended(world, ev.CallEnded(at=event.at, call_id=call.id))
    if event.result is None and call.callback is not None:
        _rest(world, event.at + world.policy.round_pause_seconds)


def _rest(world: World, until: float) -> None:
    """This one could not be called, and so could no other: one after the other they would keep agents from callers."""
    for callback in world.callbacks.values():
        if callback.record.state is CallbackState.WAITING and callback.record.due_at < until:
            callback.record = replace(callback.record, due_at=until)
            world.timers.set(("callback_due", callback.id), until)


def on_answered(world: World, call: Call, at: float) -> None:
    """The customer answered: the promise is kept."""
    callback = _attempted(world, call)
    if callback is not None:
        _finish(world, callback, CallbackState.DONE, at)


def on_caller_served(world: World, call: Call, at: float) -> None:
    """The caller rang in again and was answered: nobody calls them back for it."""
    callback = _of_number(world, call.file.number)
    if callback is not None and (call.answered_at or at) >= callback.record.asked_at:
        _finish(world, callback, CallbackState.DROPPED, at, why="rang in again and was answered")


def on_attempt_over(world: World, call: Call, at: float, certainty: Certainty) -> None:
    """The attempt ended and the customer did not answer it: the next agent, another try later, or no more."""
    callback = _attempted(world, call)
    if callback is None:
        return
    callback.tried |= call.tried
    by_agent = [leg for leg in call.legs.values() if leg.agent is not None]
    if call.answered_at is not None:
        _finish(world, callback, CallbackState.DONE, at)
    elif certainty is Certainty.ESTIMATED and not world.gap_told:
        # It may have been answered while nobody saw it: better no call than a second one.
        _finish(world, callback, CallbackState.FAILED, at, why="nobody saw how the call ended")
    elif any(leg.answered_at is not None for leg in by_agent):
        _not_reached(world, callback, call, at)
    elif by_agent and by_agent[-1].agent in call.tried:
        _put_back(world, callback, at)  # to the next agent, at once
    else:
        _put_back(world, callback, at + world.policy.round_pause_seconds)


def _not_reached(world: World, callback: Callback, call: Call, at: float) -> None:
    dialled = [leg for leg in call.legs.values() if leg.agent is None]
    result = dialled[-1].result if dialled else None
    tries = callback.record.tries + 1
    callback.record = replace(callback.record, tries=tries)
    if tries >= world.policy.callback_tries:
        words = (result or LegResult.CANCELLED).value.replace("_", " ")
        _finish(world, callback, CallbackState.FAILED, at, why=f"not reached in {tries} tries, the last: {words}")
    else:
        callback.tried.clear()
        _put_back(world, callback, at + world.policy.callback_retry_seconds)


def _attempted(world: World, call: Call) -> Callback | None:
    """The callback that this call is the attempt under way of."""
    callback = world.callbacks.get(call.callback or "")
    if callback is None or callback.record.attempt != call.id or callback.record.state is not CallbackState.CALLING:
        return None
    return callback


# -- time --------------------------------------------------------------------------------------------------------------


def on_due(world: World, _callback_id: str, _at: float) -> None:
    world.serve = True


def pause_round(world: World, callback: Callback, at: float) -> None:
    """Every agent who is free was tried: begin anew after a pause."""
    callback.round_resumes_at = at + world.policy.round_pause_seconds
    world.timers.set(("callback_round", callback.id), callback.round_resumes_at)


def on_round_over(world: World, callback_id: str, _at: float) -> None:
    callback = world.callbacks.get(callback_id)
    if callback is not None:
        callback.tried.clear()
        callback.round_resumes_at = None
        world.serve = True


def on_expired(world: World, callback_id: str, at: float) -> None:
    callback = world.callbacks.get(callback_id)
    if callback is None:
        return
    # One on its way: see how that ends. Without a link, another daemon may act and know better.
    if callback.record.state is CallbackState.CALLING or not world.linked:
        world.timers.set(("callback_expires", callback.id), at + _LOOK_AGAIN)
    else:
        _finish(world, callback, CallbackState.EXPIRED, at)


def on_unheard(world: World, call: Call, at: float) -> None:
    """The PBX never said what became of the attempt: nobody rings any more, or never did."""
    serving.release(world, call, None, at)
    if not call.legs and world.linked:  # without a link nobody could hear: what the PBX shows once it is back tells
        visits.on_call_ended(world, ev.CallEnded(at=at, call_id=call.id))


def on_restored(world: World, event: ev.CallbacksRestored) -> None:
    """This daemon acts from now on: it knows the callbacks as the database does, whoever acted before."""
    for callback in list(world.callbacks.values()):
        _free(world, callback)
        _forget(world, callback)
    for record in event.calls:
        if record.id not in world.calls:
            world.calls[record.id] = Call.restored(record, world.changed_calls)
    for kept in event.callbacks:
        line = next((line for line in world.lines if line.name == kept.line), None) or world.line_of(kept.called)
        file = CallerFile(number=kept.number, level=kept.level, severity=kept.severity, dial_back=kept.dial)
        callback = world.callbacks[kept.id] = Callback(record=kept, line=line, file=file, kept=True)
        world.timers.set(("callback_due", callback.id), kept.due_at)
        world.timers.set(("callback_expires", callback.id), _expiry(world, callback))
        world.do(LookUpCaller(call_id=kept.id, number=kept.number))
        if kept.state is CallbackState.CALLING:
            _restore_attempt(world, callback, event.at)
    for call in world.under_way.values():
        if call.direction is Direction.INBOUND and call.callback not in world.callbacks:
            call.callback = None  # their wish was not stored: nothing was promised, and they wait on


def _restore_attempt(world: World, callback: Callback, at: float) -> None:
    """The books, the PBX's state or CEL tell how it went; without a trace of it, it was never made."""
    call = world.calls.get(callback.record.attempt or "")
    if call is None:
        _call(world, callback, callback.record.due_at)
    elif not call.live:
        on_attempt_over(world, call, at, Certainty.EXACT)
    elif call.answered_at is not None:
        on_answered(world, call, at)


def identified(world: World, event: ev.CallerIdentified) -> None:
    """Who is to be called back, once more: the owner of their ticket, their level."""
    callback = world.callbacks.get(event.call_id)
    if callback is not None:
        callback.file = event.file


# -- within ------------------------------------------------------------------------------------------------------------


def _of_number(world: World, number: str | None) -> Callback | None:
    return next((c for c in world.callbacks.values() if c.record.number == number), None) if number else None


def _expiry(world: World, callback: Callback) -> float:
    return callback.record.asked_at + world.policy.callback_expires_seconds


def _keep(world: World, callback: Callback) -> None:
    world.do(KeepCallback(callback=callback.record))


def _put_back(world: World, callback: Callback, due_at: float) -> None:
    """The callback stands in its place again from ``due_at`` on."""
    _free(world, callback)
    callback.record = replace(callback.record, state=CallbackState.WAITING, due_at=due_at)
    world.timers.clear(("callback_keep", callback.id))
    world.timers.set(("callback_due", callback.id), due_at)
    world.serve = True
    _keep(world, callback)


def _finish(world: World, callback: Callback, state: CallbackState, at: float, *, why: str | None = None) -> None:
    _free(world, callback)
    callback.record = replace(callback.record, state=state, ended_at=at, why=why)
    _keep(world, callback)
    _forget(world, callback)


def _free(world: World, callback: Callback) -> None:
    """An agent who was reserved for an attempt that was not made is free again."""
    if callback.endpoint is None or callback.record.agent is None:
        return
    phone, desk = world.phone(callback.endpoint), world.desks.get(callback.record.agent)
    if phone.reserved_for == callback.record.attempt:
        phone.reserved_for = None
        world.serve = True
    if desk is not None and desk.reserved_for == callback.record.attempt:
        desk.reserved_for = None
        world.touch_desk(desk)
    callback.endpoint = callback.decision = None


def _forget(world: World, callback: Callback) -> None:
    world.callbacks.pop(callback.id, None)
    for what in ("callback_keep", "callback_due", "callback_round", "callback_expires"):
        world.timers.clear((what, callback.id))
