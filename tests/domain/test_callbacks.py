"""Press 1, and the place is kept: one call when an agent is free, tried again by rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.types import (
    AgentState,
    CallbackState,
    CallerFile,
    Consent,
    Direction,
    LegResult,
    Line,
    OpenHours,
    Outcome,
    Policy,
    PopState,
    Skip,
    Via,
)
from ctid.saying import sentence
from tests.domain.callbacks import LINE, NUMBER, Backing, busy, caller, linked, restarted
from tests.domain.desk import MORNING, SUPPORT, last_pop, of, pops, rung

# -- asking ------------------------------------------------------------------------------------------------------------


def test_a_caller_who_stays_held_is_offered_a_callback_and_one_routed_at_once_is_not() -> None:
    centre = Backing("ann")
    made = centre.arrive("c1", caller())
    assert rung(made) == ["ann"]
    assert not of(act.OfferCallback, centre.wait(20))
    later = busy("ann")
    assert not of(act.OfferCallback, later.arrive("c1", caller()))
    [offer] = of(act.OfferCallback, later.wait(30))
    assert (offer.call_id, offer.seq, offer.sound) == ("c1", 1, "press-1")


@pytest.mark.parametrize(
    ("line", "who"),
    [
        (SUPPORT, caller()),  # the line does not call back
        (LINE, CallerFile()),  # withheld
        (LINE, caller(dial=None)),  # a number that must not be called back
        (LINE, caller(number="+864001")),  # the line's own
    ],
)
def test_who_cannot_be_called_back_is_not_offered_it_and_pressing_1_does_nothing(line: Line, who: CallerFile) -> None:
    centre = busy("ann", line=line)
    centre.arrive("c1", who)
    made = centre.wait(30) + centre.tell(ev.CallbackAsked(at=centre.now, call_id="c1"))
    assert not of(act.OfferCallback, made)
    assert not of(act.KeepCallback, made)
    assert rung(centre.frees("ann")) == ["ann"]


def test_nothing_is_promised_that_is_not_stored() -> None:
    centre = busy("ann", database=False)
    made = centre.asks("c1")
    assert [a.callback.state for a in of(act.KeepCallback, made)] == [CallbackState.WAITING]
    assert not of(act.Overflow, made)
    assert [a.to for a in of(act.Overflow, centre.keep())] == ["callback"]


def test_a_database_that_does_not_answer_leaves_the_caller_where_they_were() -> None:
    centre = busy("ann", database=False)
    centre.asks("c1")
    made = centre.wait(4)
    assert not of(act.Overflow, made)
    assert of(act.KeepCallback, made)[-1].callback.state is CallbackState.DROPPED
    assert rung(centre.frees("ann")) == ["ann"]
    assert centre.keep() == []


def test_the_call_whose_place_is_kept_ends_as_overflow_and_names_the_callback() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    call = centre.calls["c1"]
    assert (call.outcome, call.callback) == (Outcome.OVERFLOW, "c1")


def test_a_thank_you_that_got_lost_is_sent_again() -> None:
    centre = busy("ann")
    assert [a.to for a in of(act.Overflow, centre.asks("c1"))] == ["callback"]
    assert [a.to for a in of(act.Overflow, centre.wait(6))] == ["callback"]


def test_a_caller_who_hangs_up_after_pressing_1_is_called_back_all_the_same() -> None:
    centre = busy("ann")
    centre.asks("c1")
    centre.hangs_up("c1")
    assert centre.calls["c1"].outcome is Outcome.OVERFLOW
    assert of(act.Originate, centre.frees("ann"))


def test_one_number_has_one_callback_and_keeps_its_first_place() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    made = centre.asks("c2")
    assert [a.to for a in of(act.Overflow, made)] == ["callback"]
    assert not of(act.KeepCallback, made)
    centre.hangs_up("c2")
    assert list(centre.kept) == ["c1"]
    assert centre.calls["c2"].callback == "c1"


def test_who_was_not_to_be_recorded_is_not_when_they_are_called_back_whoever_acts_by_then() -> None:
    centre = busy("ann")
    centre.asks("c1")
    centre.tell(ev.CallOverflowed(at=centre.now, call_id="c1", to="callback"))
    centre.hangs_up("c1")
    assert centre.kept["c1"].consent is None
    centre.arrive("c2", caller())
    centre.tell(ev.ConsentTold(at=centre.now, call_id="c2", consent=Consent.REFUSED))
    centre.tell(ev.CallbackAsked(at=centre.now, call_id="c2"))
    assert centre.kept["c1"].consent is Consent.REFUSED, "of one callback each who asked counts"
    after = restarted(centre)
    made = linked(after)
    [asked] = of(act.Originate, made)
    assert asked.consent is Consent.REFUSED
    call, leg = after.agent_rings(made)
    customer = after.customer_rings(call, leg)
    after.customer_answers(call, leg, customer)
    assert (after.calls[call].consent, after.calls[call].recordings) == (Consent.REFUSED, ())


def test_no_more_callbacks_are_open_than_the_site_allows() -> None:
    centre = busy("ann", policy=Policy(callback_most=1))
    centre.asked_and_gone("c1")
    centre.arrive("c2", caller(number="+8613800138002"))
    made = centre.wait(30) + centre.tell(ev.CallbackAsked(at=centre.now, call_id="c2"))
    assert not of(act.OfferCallback, made)
    assert not of(act.KeepCallback, made)


# -- the place ---------------------------------------------------------------------------------------------------------


def test_the_place_is_kept_among_those_who_wait() -> None:
    centre = busy("ann")
    centre.arrive("before", caller(number="+8613800138001"))
    centre.wait(5)
    centre.asked_and_gone("c1")
    centre.arrive("after", caller(number="+8613800138003"))
    centre.wait(20)
    assert rung(centre.frees("ann")) == ["ann"]
    assert centre.calls["before"].decisions
    centre.hangs_up("before", centre.rings("before", "ann"))
    made = [a for a in centre.log if isinstance(a, act.Originate)]
    assert len(made) == 1
    assert not centre.calls["after"].decisions


def test_a_more_important_caller_still_goes_first() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    centre.arrive("vip", caller(number="+8613800138001", level=5))
    assert rung(centre.frees("ann")) == ["ann"]


def test_the_owner_of_the_callers_ticket_calls_back() -> None:
    centre = busy("ann", "bob")
    centre.asked_and_gone("c1", caller("bob"))
    centre.log.clear()
    for name in ("bob", "ann"):
        centre.frees(name)
    assert [a.endpoint for a in of(act.Originate, centre.log)] == ["bob"]


def test_a_free_agent_gets_one_call_be_it_a_caller_or_a_callback() -> None:
    centre = busy("ann")
    for number in range(1, 4):
        centre.asked_and_gone(f"c{number}", caller(number=f"+861380013800{number}"))
    centre.arrive("held", caller(number="+8613800138009"))
    made = centre.frees("ann")
    assert len(of(act.Originate, made)) + len(rung(made)) == 1
    assert centre.state("ann") is AgentState.RESERVED
    assert not of(act.Originate, centre.wait(3))


def test_out_of_hours_nobody_is_called_back() -> None:
    until_ten = (OpenHours(weekdays=(0,), opens=540, closes=600), OpenHours(weekdays=(1,), opens=540, closes=600))
    policy = Policy(timezone="Asia/Shanghai", wrap_up_seconds=0, callback_expires_seconds=172800)
    centre = busy("ann", line=replace(LINE, hours=until_ten), policy=policy)
    assert centre.now == MORNING + 1
    centre.asked_and_gone("c1")
    centre.wait(3600)
    assert not of(act.Originate, centre.frees("ann"))
    assert not of(act.Originate, centre.wait(22 * 3600))
    assert of(act.Originate, centre.wait(3600))


def test_a_callback_nobody_was_free_for_expires() -> None:
    centre = busy("ann", policy=Policy(callback_expires_seconds=600))
    centre.asked_and_gone("c1")
    made = centre.wait(700)
    assert of(act.KeepCallback, made)[-1].callback.state is CallbackState.EXPIRED
    assert not of(act.Originate, centre.frees("ann"))


# -- calling -----------------------------------------------------------------------------------------------------------


def test_no_phone_rings_before_the_database_knows_that_it_does() -> None:
    centre = busy("ann", database=False)
    centre.asks("c1")
    centre.keep()
    centre.hangs_up("c1")
    made = centre.frees("ann")
    [keep] = of(act.KeepCallback, made)
    assert keep.callback.state is CallbackState.CALLING
    assert not of(act.Originate, made)
    [originate] = of(act.Originate, centre.keep())
    assert originate.call_id == keep.callback.attempt
    assert (originate.endpoint, originate.number, originate.caller) == ("ann", "13800138000", "4001")


def test_a_mark_the_database_does_not_take_frees_the_agent_and_nobody_rings() -> None:
    centre = busy("ann", database=False)
    centre.asks("c1")
    centre.keep()
    centre.hangs_up("c1")
    centre.frees("ann")
    made = centre.wait(4)
    assert centre.state("ann") is AgentState.IDLE
    assert not of(act.Originate, made + centre.keep())


def test_callbacks_that_the_database_cannot_mark_do_not_keep_agents_from_callers_one_after_the_other() -> None:
    centre = busy("ann", database=False)
    for n in range(3):
        centre.asks(f"c{n}", caller(number=f"+861380013800{n}"))
        centre.keep()
        centre.hangs_up(f"c{n}")
    centre.frees("ann")
    made = centre.wait(4)
    assert len(of(act.KeepCallback, made)) == 1
    assert not of(act.KeepCallback, centre.wait(20))
    assert rung(centre.arrive("live", caller(number="+8613800138009"))) == ["ann"]


def test_the_agents_screen_shows_whom_they_will_call_back_and_why() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1", caller("ann"))
    call, leg = centre.agent_rings(centre.frees("ann"))
    pop = last_pop(centre.log)
    assert (pop.agent, pop.state, pop.caller, pop.call_id) == ("ann", PopState.RINGING, NUMBER, call)
    assert pop.ticket is not None
    assert pop.decision is not None
    assert sentence(pop.notices[0]).startswith("Callback: asked for at 09:00")
    assert centre.state("ann") is AgentState.RINGING
    centre.customer_rings(call, leg)
    assert last_pop(centre.log).state is PopState.ANSWERED


def test_the_customer_who_answers_is_the_end_of_the_promise_and_the_call_is_in_the_books() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1", caller("ann"))
    call, leg = centre.agent_rings(centre.frees("ann"))
    customer = centre.customer_rings(call, leg)
    made = centre.customer_answers(call, leg, customer)
    [ticket] = of(act.OpenTicket, made)
    assert (ticket.call_id, ticket.agent, ticket.contact_id) == (call, "ann", "c-Wang")
    assert centre.kept["c1"].state is CallbackState.DONE
    centre.wait(30)
    centre.tell(ev.LegEnded(at=centre.now, call_id=call, leg_id=customer))
    centre.agent_gone(call, leg)
    books = centre.calls[call]
    assert (books.direction, books.via, books.outcome) == (Direction.OUTBOUND, Via.CTID, Outcome.ANSWERED)
    assert (books.agent, books.callback, books.caller, books.dialled) == ("ann", "c1", "4001", "13800138000")
    assert [recording.path for recording in books.recordings] == [f"2026/03/02/{call}.wav"]
    assert centre.talked("ann") == pytest.approx(30)
    assert not of(act.Originate, centre.wait(1000))


@pytest.mark.parametrize("result", [LegResult.NO_ANSWER, LegResult.BUSY, LegResult.REJECTED])
def test_an_agent_who_does_not_answer_is_followed_by_the_next(result: LegResult) -> None:
    centre = busy("ann", "bob")
    centre.asked_and_gone("c1")
    call, leg = centre.agent_rings(centre.frees("ann"))
    centre.frees("bob")
    made = centre.agent_gone(call, leg, result)
    assert [a.endpoint for a in of(act.Originate, made)] == ["bob"]
    assert pops(made)[0] == ("ann", PopState.WITHDRAWN)
    assert (centre.calls[call].outcome or "") == result.value
    assert centre.kept["c1"].tries == 0


def test_when_no_agent_took_it_the_next_round_begins_after_a_pause() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    call, leg = centre.agent_rings(centre.frees("ann"))
    assert not of(act.Originate, centre.agent_gone(call, leg, LegResult.NO_ANSWER))
    [again] = of(act.Originate, centre.wait(6))
    assert again.call_id != call


@pytest.mark.parametrize("result", [LegResult.BUSY, LegResult.NO_ANSWER, LegResult.REJECTED, LegResult.FAILED])
def test_a_customer_who_is_not_reached_is_tried_again_by_rule_and_the_agent_is_not_blamed(result: LegResult) -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    made = centre.frees("ann")
    for tries in (1, 2):
        call, _ = centre.not_reached(made, result)
        assert centre.calls[call].outcome == Outcome(result.value)
        assert (centre.kept["c1"].state, centre.kept["c1"].tries) == (CallbackState.WAITING, tries)
        assert centre.state("ann") is AgentState.IDLE
        assert centre.acd.world.desks["ann"].missed_in_a_row == 0
        assert not of(act.Originate, centre.wait(centre.policy.callback_retry_seconds - 1))
        made = centre.wait(2)
    centre.not_reached(made, result)
    assert centre.kept["c1"].state is CallbackState.FAILED
    assert "3 tries" in (centre.kept["c1"].why or "")
    assert not of(act.Originate, centre.wait(1000))


def test_a_phone_the_pbx_cannot_ring_cools_down_and_the_next_agent_is_rung() -> None:
    centre = busy("ann", "bob")
    centre.asked_and_gone("c1")
    [first] = of(act.Originate, centre.frees("ann"))
    centre.frees("bob")
    made = centre.tell(ev.CallNotMade(at=centre.now, call_id=first.call_id, result=LegResult.UNREACHABLE))
    assert [a.endpoint for a in of(act.Originate, made)] == ["bob"]
    [leg] = centre.calls[first.call_id].legs
    assert (leg.agent, leg.result) == ("ann", LegResult.UNREACHABLE)
    assert centre.acd.world.desks["ann"].why_not_idle(centre.acd.world.phone("ann")) is Skip.COOLING_DOWN


def test_a_call_the_pbx_was_not_asked_for_blames_nobody_and_is_tried_after_a_pause() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    [first] = of(act.Originate, centre.frees("ann"))
    made = centre.tell(ev.CallNotMade(at=centre.now, call_id=first.call_id))
    assert not of(act.Originate, made)
    assert centre.state("ann") is AgentState.IDLE
    assert of(act.Originate, centre.wait(6))


def test_a_call_the_pbx_never_speaks_of_again_frees_the_agent() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    centre.frees("ann")
    centre.wait(26)
    assert centre.state("ann") in (AgentState.IDLE, AgentState.RESERVED)
    assert of(act.Originate, centre.log)[0].call_id in centre.calls
    assert centre.calls[of(act.Originate, centre.log)[0].call_id].ended_at is not None


# -- ringing in again --------------------------------------------------------------------------------------------------


def test_a_customer_who_rings_in_again_and_is_answered_is_not_called_back() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    centre.arrive("c2", caller())
    assert rung(centre.frees("ann")) == ["ann"]  # not called while they are on the line
    leg = centre.rings("c2", "ann")
    centre.answers("c2", leg)
    assert (centre.kept["c1"].state, centre.kept["c1"].why) == (CallbackState.DROPPED, "rang in again and was answered")
    centre.hangs_up("c2", leg)
    assert not of(act.Originate, centre.wait(100))


def test_a_customer_who_rings_in_again_in_vain_keeps_the_place() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    centre.arrive("c2", caller())
    centre.hangs_up("c2")
    assert of(act.Originate, centre.frees("ann"))
