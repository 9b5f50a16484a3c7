"""Exactly one call back, whatever is restarted, lost or taken over; and one call per agent, one place per caller."""

from __future__ import annotations

import pytest

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.types import AgentState, CallbackState, Certainty, Direction, Policy
from tests.domain.callbacks import Backing, busy, caller, linked, restarted
from tests.domain.desk import of, rung


def test_a_callback_outlives_a_restart_in_its_place() -> None:
    before = busy("ann")
    before.asked_and_gone("c1")
    after = restarted(before)
    [originate] = of(act.Originate, linked(after))
    assert originate.number == "13800138000"
    assert after.kept["c1"].arrived_at == before.kept["c1"].arrived_at


def test_a_restart_while_the_phone_rings_makes_no_second_call() -> None:
    before = busy("ann")
    before.asked_and_gone("c1")
    call, leg = before.agent_rings(before.frees("ann"))
    after = restarted(before, calls=[before.calls[call]])
    after.tell(ev.CallStarted(at=after.now, call_id=call, caller="ann", endpoint="ann"))
    after.tell(ev.PhoneUsed(at=after.now, endpoint="ann", channels=1))
    after.tell(ev.LegOffered(at=after.now, call_id=call, leg_id=leg, endpoint="ann", party="ann", originator=True))
    after.tell(ev.LegRang(at=after.now, call_id=call, leg_id=leg))
    assert not of(act.Originate, linked(after))
    customer = after.customer_rings(call, leg)
    after.customer_answers(call, leg, customer)
    assert after.kept["c1"].state is CallbackState.DONE
    assert not of(act.Originate, after.log)


def test_a_callback_answered_while_ctid_was_away_is_done() -> None:
    before = busy("ann")
    before.asked_and_gone("c1")
    call, leg = before.agent_rings(before.frees("ann"))
    after = restarted(before, calls=[before.calls[call]])
    backfilled = {"at": after.now, "call_id": call, "certainty": Certainty.BACKFILLED}
    after.tell(ev.LegAnswered(**backfilled, leg_id=leg))  # type: ignore[arg-type]
    after.tell(ev.LegOffered(**backfilled, leg_id="t", endpoint="trunk", party="138"))  # type: ignore[arg-type]
    after.tell(ev.LegAnswered(**backfilled, leg_id="t"))  # type: ignore[arg-type]
    after.tell(ev.CallEnded(**backfilled))  # type: ignore[arg-type]
    assert not of(act.Originate, linked(after) + after.wait(1000))
    assert after.kept["c1"].state is CallbackState.DONE


def test_a_mark_without_a_call_is_called_where_cel_tells_that_there_was_none() -> None:
    before = busy("ann")
    before.asked_and_gone("c1")
    before.frees("ann")
    after = restarted(before)
    made = linked(after) + after.wait(6)
    assert [a.endpoint for a in of(act.Originate, made)] == ["ann"]


def test_where_nothing_tells_how_a_call_ended_there_is_no_second_one() -> None:
    before = busy("ann")
    before.asked_and_gone("c1")
    before.frees("ann")
    after = restarted(before)
    made = linked(after, gap_told=False) + after.wait(1000)
    assert not of(act.Originate, made)
    assert (after.kept["c1"].state, after.kept["c1"].why) == (CallbackState.FAILED, "nobody saw how the call ended")


def test_a_lost_link_leaves_a_callback_under_way_alone() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    call, leg = centre.agent_rings(centre.frees("ann"))
    centre.tell(ev.LinkLost(at=centre.now))
    centre.wait(2)
    centre.tell(ev.CallStarted(at=centre.now, call_id=call, caller="ann", endpoint="ann"))
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=1))
    centre.tell(ev.LegOffered(at=centre.now, call_id=call, leg_id=leg, endpoint="ann", party="ann", originator=True))
    linked(centre, gap_told=False)
    assert centre.kept["c1"].state is CallbackState.CALLING
    assert len(of(act.Originate, centre.log)) == 1


def test_a_link_lost_before_the_pbx_spoke_of_the_call_makes_no_second_one() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    [originate] = of(act.Originate, centre.frees("ann"))
    call, leg = originate.call_id, f"ann-{originate.call_id}"
    centre.tell(ev.LinkLost(at=centre.now))
    centre.wait(60)  # much longer than the phone may ring
    told = {"at": centre.now, "call_id": call}
    centre.tell(ev.CallStarted(**told, caller="ann", endpoint="ann"))  # type: ignore[arg-type]
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=1))
    centre.tell(ev.LegOffered(**told, leg_id=leg, endpoint="ann", party="ann", originator=True))  # type: ignore[arg-type]
    customer = centre.customer_rings(call, leg)
    centre.customer_answers(call, leg, customer)
    linked(centre, gap_told=False)
    assert centre.kept["c1"].state is CallbackState.DONE
    assert centre.state("ann") is AgentState.TALKING
    assert len(of(act.Originate, centre.log)) == 1


# -- one call per agent, one place per caller --------------------------------------------------------------------------


def test_an_agent_who_takes_up_the_phone_before_the_mark_is_stored_is_not_rung() -> None:
    centre = busy("ann", database=False)
    centre.asks("c1")
    centre.keep()
    centre.hangs_up("c1")
    centre.frees("ann")
    centre.tell(ev.CallStarted(at=centre.now, call_id="own", caller="ann", dialled="ben", endpoint="ann"))
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=1))
    own = {"at": centre.now, "call_id": "own", "leg_id": "own"}
    centre.tell(ev.LegOffered(**own, endpoint="ann", party="ann", originator=True))  # type: ignore[arg-type]
    assert not of(act.Originate, centre.keep())
    centre.tell(ev.LegEnded(**own))  # type: ignore[arg-type]
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=0))
    centre.tell(ev.CallEnded(at=centre.now, call_id="own"))
    assert [a.endpoint for a in of(act.Originate, centre.keep())] == ["ann"]


def test_an_agent_reserved_for_a_callback_that_another_daemon_took_over_is_free_again() -> None:
    centre = busy("ann", database=False)
    centre.asks("c1")
    centre.keep()
    centre.hangs_up("c1")
    centre.frees("ann")
    centre.tell(ev.CallbacksRestored(at=centre.now, callbacks=()))
    assert centre.state("ann") is AgentState.IDLE


def test_a_customer_called_back_who_is_given_to_a_line_waits_there() -> None:
    centre = busy("ann", "bob")
    centre.asked_and_gone("c1")
    call, leg = centre.agent_rings(centre.frees("ann"))
    customer = centre.customer_rings(call, leg)
    centre.customer_answers(call, leg, customer)
    centre.wait(10)
    centre.pause("ann")
    made = centre.tell(ev.LegEnded(at=centre.now, call_id=call, leg_id=leg))
    made += centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=0))
    made += centre.held(call, 1)
    assert not of(act.Overflow, made)
    assert rung(centre.frees("bob")) == ["bob"]


def test_a_caller_whose_wish_was_not_stored_before_a_restart_goes_on_waiting() -> None:
    before = busy("ann", database=False)
    before.asks("c1")
    after = Backing("ann")
    after.pause("ann")
    after.tell(ev.LinkLost(at=before.now))
    after.now = before.now + 2
    books = (before.calls["c1"],)
    after.tell(ev.BooksRestored(at=after.now, last_seen_at=before.now, statuses=(), calls=books, talks=()))
    after.tell(ev.CallbacksRestored(at=after.now, callbacks=()))
    after.tell(ev.CallerIdentified(at=after.now, call_id="c1", file=caller()))
    made = after.held("c1", 1) + linked(after)
    assert not of(act.Overflow, made)
    assert rung(after.frees("ann")) == ["ann"]


def test_a_customer_whom_an_agent_is_calling_is_not_called_back_meanwhile() -> None:
    centre = busy("ann", "bob")
    centre.asked_and_gone("c1")
    own = {"at": centre.now, "call_id": "own"}
    centre.tell(ev.CallStarted(**own, caller="bob", dialled="13800138000", endpoint="bob"))  # type: ignore[arg-type]
    centre.tell(
        ev.CallEntered(**own, direction=Direction.OUTBOUND, dialled="13800138000", leg_id="own")  # type: ignore[arg-type]
    )
    centre.tell(ev.CallerIdentified(**own, file=caller()))  # type: ignore[arg-type]
    assert not of(act.Originate, centre.frees("ann"))
    assert of(act.Originate, centre.tell(ev.CallEnded(**own)))  # type: ignore[arg-type]


def test_a_call_answered_before_the_customer_asked_does_not_take_the_place_away() -> None:
    centre = busy("ann")
    centre.frees("ann")
    assert rung(centre.arrive("c0", caller())) == ["ann"]
    leg = centre.rings("c0", "ann")
    centre.answers("c0", leg)
    centre.hangs_up("c0", leg)
    centre.pause("ann")
    centre.asked_and_gone("c1")
    centre.tell(ev.CallerIdentified(at=centre.now, call_id="c0", file=caller()))  # late, for its ticket
    assert of(act.Originate, centre.frees("ann"))


def test_a_callback_is_offered_once_the_link_is_back() -> None:
    centre = busy("ann")
    centre.arrive("c1", caller())
    centre.tell(ev.LinkLost(at=centre.now))
    centre.wait(30)
    made = centre.held("c1", 1) + linked(centre)
    assert of(act.OfferCallback, made + centre.wait(2))


def test_a_daemon_that_stands_by_lets_no_place_expire() -> None:
    centre = busy("ann", policy=Policy(callback_expires_seconds=600))
    centre.asked_and_gone("c1")
    centre.tell(ev.LinkLost(at=centre.now))
    assert not of(act.KeepCallback, centre.wait(700))


def test_where_no_calls_can_be_made_the_other_places_rest_too_and_callers_get_the_agent() -> None:
    centre = busy("ann")
    for number in (1, 2, 3):
        centre.asked_and_gone(f"c{number}", caller(number=f"+861380013800{number}"))
    [first] = of(act.Originate, centre.frees("ann"))
    made = centre.tell(ev.CallNotMade(at=centre.now, call_id=first.call_id))
    assert not of(act.Originate, made)
    assert centre.state("ann") is AgentState.IDLE
    assert rung(centre.arrive("held", caller(number="+8613800138009"))) == ["ann"]
    centre.hangs_up("held", centre.rings("held", "ann"))
    assert of(act.Originate, centre.wait(6))


@pytest.mark.parametrize("by", [-3600.0, 3600.0])
def test_who_is_owed_a_call_is_called_as_soon_as_before_when_the_clock_was_set(by: float) -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    centre.now += by
    centre.tell(ev.ClockTakenOver(at=centre.now, by=by))
    assert of(act.Originate, centre.frees("ann"))
