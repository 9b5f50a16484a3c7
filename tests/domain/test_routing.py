"""Who gets the caller: the rules, as a supervisor reads them."""

from __future__ import annotations

import pytest

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.types import Agent, AgentState, LegResult, Line, OpenHours, Outcome, Policy, Rule, Skip
from tests.domain.desk import SUPPORT, Centre, file, of, rung


def decision(made: list[act.Action]):
    return of(act.NoteDecision, made)[-1].decision


def test_the_idle_owner_of_the_callers_last_ticket_is_rung_even_if_others_talked_less():
    centre = Centre("ann", "bob")
    centre.converse("1", "ann", 60)
    made = centre.arrive("2", file("ann"))
    assert rung(made) == ["ann"]
    assert decision(made).rule is Rule.TICKET_OWNER
    assert decision(made).owner == "ann"


def test_an_owner_who_is_talking_is_passed_over_at_once_and_the_reason_is_kept():
    centre = Centre("ann", "bob", "cho")
    centre.converse("1", "ann", 5)
    centre.converse("2", "bob", 50)
    centre.arrive("3", file("ann"))
    leg = centre.rings("3", "ann")
    centre.answers("3", leg)
    made = centre.arrive("4", file("ann"))
    assert rung(made) == ["cho"]
    assert decision(made).rule is Rule.LEAST_TALK
    assert decision(made).owner == "ann"
    assert decision(made).owner_skipped is Skip.TALKING


def test_among_idle_agents_the_one_who_talked_least_today_is_rung():
    centre = Centre("ann", "bob", "cho")
    centre.converse("1", "ann", 60)
    centre.converse("2", "bob", 20)
    centre.converse("3", "cho", 40)
    made = centre.arrive("4")
    assert rung(made) == ["bob"]
    assert [c.agent for c in decision(made).considered] == ["bob", "cho", "ann"]
    assert [c.talk_seconds for c in decision(made).considered] == [20, 40, 60]


def test_a_tie_goes_to_the_longest_idle_then_to_the_smaller_id():
    centre = Centre("bob", "ann")
    assert rung(centre.arrive("1")) == ["bob"]  # idle one second longer
    same = Centre(agents=[Agent(id=i, name=i, phone=i) for i in ("bob", "ann")], signed_in=False)
    same.sign_in("bob")
    same.sign_in("ann")
    assert rung(same.arrive("1")) == ["ann"]


def test_a_late_sign_in_starts_with_little_talk_and_gets_the_call():
    centre = Centre(agents=[Agent(id=i, name=i, phone=i) for i in ("ann", "bob")], signed_in=False)
    centre.sign_in("ann")
    centre.converse("1", "ann", 10)
    centre.sign_in("bob")
    assert rung(centre.arrive("2")) == ["bob"]


@pytest.mark.parametrize(
    ("reason", "spoil"),
    [
        (Skip.PAUSED, lambda c: c.pause("ann")),
        (Skip.OFFLINE, lambda c: c.tell(ev.SignOutAsked(at=c.now, request=ev.Request(agent="ann", id="1")))),
        (Skip.PHONE_BUSY, lambda c: c.tell(ev.PhoneUsed(at=c.now, endpoint="ann", channels=1))),
        (Skip.PHONE_UNREACHABLE, lambda c: c.tell(ev.PhoneReached(at=c.now, endpoint="ann", reachable=False))),
        (Skip.PHONE_UNKNOWN, lambda c: c.tell(ev.PhoneReached(at=c.now, endpoint="ann", reachable=None))),
    ],
)
def test_an_agent_who_is_not_idle_is_never_rung_and_the_reason_is_counted(reason, spoil):
    centre = Centre("ann", "bob")
    spoil(centre)
    made = centre.arrive("1", file("ann"))
    assert rung(made) == ["bob"]
    assert decision(made).owner_skipped is reason
    assert dict(decision(made).skipped)[reason] == 1


def test_an_owner_outside_the_lines_own_agents_is_rung_unless_the_line_forbids_it():
    agents = [Agent(id="ann", name="Ann", phone="ann"), Agent(id="bob", name="Bob", phone="bob")]
    open_line = Line(name="support", numbers=("4001",), agents=("bob",))
    closed_line = Line(name="support", numbers=("4001",), agents=("bob",), owner_from_outside=False)
    assert rung(Centre(agents=agents, lines=[open_line]).arrive("1", file("ann"))) == ["ann"]
    made = Centre(agents=agents, lines=[closed_line]).arrive("1", file("ann"))
    assert rung(made) == ["bob"]
    assert decision(made).owner_skipped is Skip.NOT_ON_LINE


def test_an_agent_who_is_not_on_the_line_is_never_rung():
    line = Line(name="support", numbers=("4001",), agents=("bob",))
    centre = Centre("ann", "bob", lines=[line])
    centre.pause("bob")
    assert rung(centre.arrive("1")) == []
    assert rung(centre.resume("bob")) == ["bob"]


def test_levels_gate_only_where_the_line_turns_that_on():
    agents = [Agent(id="ann", name="Ann", phone="ann", level=1), Agent(id="bob", name="Bob", phone="bob", level=3)]
    gated = Line(name="support", numbers=("4001",), level_gate=True)
    assert rung(Centre(agents=agents, lines=[SUPPORT]).arrive("1", file("ann", level=3))) == ["ann"]
    made = Centre(agents=agents, lines=[gated]).arrive("1", file("ann", level=3))
    assert rung(made) == ["bob"]
    assert decision(made).owner is None, "a level-barred owner is no owner"


def test_a_disabled_owner_is_no_owner():
    agents = [Agent(id="ann", name="Ann", phone="ann", enabled=False), Agent(id="bob", name="Bob", phone="bob")]
    made = Centre(agents=agents).arrive("1", file("ann"))
    assert rung(made) == ["bob"]
    assert decision(made).owner is None
    assert decision(made).owner_skipped is Skip.DISABLED


def test_nobody_is_tried_twice_in_a_round_and_the_next_round_starts_five_seconds_later():
    centre = Centre("ann", "bob", policy=Policy(timezone="UTC", wrap_up_seconds=0, missed_in_a_row=0))
    assert rung(centre.arrive("1")) == ["ann"]
    leg = centre.rings("1", "ann")
    centre.ends_leg("1", leg, LegResult.NO_ANSWER)
    assert rung(centre.held("1", 2, "NOANSWER")) == ["bob"]
    leg = centre.rings("1", "bob")
    centre.ends_leg("1", leg, LegResult.NO_ANSWER)
    assert rung(centre.held("1", 3, "NOANSWER")) == []
    assert rung(centre.wait(4.5)) == []
    assert rung(centre.wait(1)) == ["ann"]


def test_an_unreachable_phone_cools_down_and_is_not_rung_again_meanwhile():
    centre = Centre("ann", policy=Policy(timezone="UTC", wrap_up_seconds=0, cool_down_seconds=30))
    assert rung(centre.arrive("1")) == ["ann"]
    assert rung(centre.held("1", 2, "CHANUNAVAIL")) == []
    assert centre.calls["1"].legs[0].result is LegResult.UNREACHABLE
    assert rung(centre.wait(29)) == []
    assert rung(centre.wait(7)) == ["ann"]


def test_three_misses_in_a_row_pause_the_agent_with_the_reason_missed_calls():
    centre = Centre("ann")
    for number, call in enumerate(("1", "2", "3"), 1):
        assert rung(centre.arrive(call)) == ["ann"]
        leg = centre.rings(call, "ann")
        centre.ends_leg(call, leg, LegResult.NO_ANSWER)
        centre.hangs_up(call)
        assert centre.state("ann") is (AgentState.PAUSED if number == 3 else AgentState.IDLE)
    assert centre.acd.world.desks["ann"].pause_reason == "missed calls"


def test_customer_level_then_severity_then_arrival_orders_the_waiting():
    centre = Centre("ann")
    centre.pause("ann")
    centre.arrive("plain")
    centre.arrive("severe", file("x", severity=4))
    centre.arrive("important", file("x", level=5))
    centre.wait(1)
    centre.arrive("later")
    order = []
    for _ in range(4):
        made = centre.resume("ann")
        call = of(act.Ring, made)[0].call_id
        order.append(call)
        leg = centre.rings(call, "ann")
        centre.answers(call, leg)
        centre.pause("ann")
        centre.hangs_up(call, leg)
    assert order == ["important", "severe", "plain", "later"]


def test_waiting_raises_a_caller_so_that_nobody_starves():
    centre = Centre("ann")
    centre.pause("ann")
    centre.arrive("patient")
    centre.wait(250)
    centre.arrive("important", file("x", level=4))
    assert of(act.Ring, centre.resume("ann"))[0].call_id == "patient"


def test_ownership_never_lets_a_caller_overtake():
    centre = Centre("ann")
    centre.pause("ann")
    centre.arrive("first")
    centre.arrive("owned", file("ann"))
    assert of(act.Ring, centre.resume("ann"))[0].call_id == "first"


def test_the_first_caller_whom_the_freed_agent_may_serve_is_taken():
    sales = Line(name="sales", numbers=("4002",), agents=("bob",))
    centre = Centre("ann", lines=[SUPPORT, sales])
    centre.pause("ann")
    centre.arrive("for-sales", dialled="4002")
    centre.arrive("for-support")
    assert of(act.Ring, centre.resume("ann"))[0].call_id == "for-support"


def test_with_owner_wait_set_a_caller_waits_that_long_for_a_busy_owner():
    centre = Centre("ann", "bob", policy=Policy(timezone="UTC", wrap_up_seconds=0, owner_wait_seconds=10))
    assert rung(centre.arrive("1", file("ann"))) == ["ann"]
    leg = centre.rings("1", "ann")
    centre.answers("1", leg)
    assert rung(centre.arrive("2", file("ann"))) == []
    assert rung(centre.wait(9)) == []
    assert rung(centre.wait(2)) == ["bob"]


def test_past_the_longest_wait_the_caller_overflows_as_the_line_says():
    line = Line(name="support", numbers=("4001",), longest_wait_seconds=60, overflow="number-10086")
    centre = Centre("ann", lines=[line])
    centre.pause("ann")
    centre.arrive("1")
    assert of(act.Overflow, centre.wait(59)) == []
    assert [a.to for a in of(act.Overflow, centre.wait(2))] == ["number-10086"]
    centre.tell(ev.CallOverflowed(at=centre.now, call_id="1", to="number-10086"))
    centre.hangs_up("1")
    assert centre.calls["1"].outcome is Outcome.OVERFLOW


def test_outside_opening_hours_nobody_is_rung_not_even_the_owner():
    hours = (OpenHours(weekdays=(0, 1, 2, 3, 4), opens=10 * 60, closes=18 * 60),)
    centre = Centre("ann", lines=[Line(name="support", numbers=("4001",), hours=hours)])  # it is nine o'clock
    made = centre.arrive("1", file("ann"))
    assert rung(made) == []
    assert len(of(act.Overflow, made)) == 1
    centre.tell(ev.CallOverflowed(at=centre.now, call_id="1", to="hangup"))
    centre.hangs_up("1")
    assert centre.calls["1"].outcome is Outcome.CLOSED


def test_an_overflow_the_pbx_never_confirms_is_sent_again():
    line = Line(name="support", numbers=("4001",), longest_wait_seconds=60)
    centre = Centre("ann", lines=[line])
    centre.pause("ann")
    centre.arrive("1")
    assert len(of(act.Overflow, centre.wait(61))) == 1
    assert len(of(act.Overflow, centre.wait(6))) == 1


def test_a_number_no_line_claims_is_served_by_everyone_rather_than_lost():
    centre = Centre("ann")
    assert rung(centre.arrive("1", dialled="999")) == ["ann"]
    assert centre.calls["1"].line is None


def test_a_decision_holds_at_most_twenty_candidates_and_counts_the_rest():
    centre = Centre(*[f"a{n:02}" for n in range(30)])
    made = centre.arrive("1")
    assert len(decision(made).considered) == 20


def test_a_route_the_pbx_refuses_frees_the_agent_at_once():
    centre = Centre("ann")
    centre.arrive("1")
    assert centre.state("ann") is AgentState.RESERVED
    centre.tell(ev.RouteRefused(at=centre.now, call_id="1", seq=1, reason="No such channel"))
    assert centre.state("ann") is AgentState.IDLE


def test_after_a_refused_route_the_caller_goes_to_the_next_agent_not_to_the_same_for_ever():
    centre = Centre("ann", "bob")
    assert rung(centre.arrive("1")) == ["ann"]
    centre.tell(ev.RouteRefused(at=centre.now, call_id="1", seq=1, reason="no such phone"))
    assert rung(centre.wait(1)) == ["bob"]


def test_an_offer_the_pbx_never_speaks_of_expires_and_the_caller_is_offered_again():
    centre = Centre("ann", policy=Policy(timezone="UTC", ring_seconds=20))
    assert rung(centre.arrive("1")) == ["ann"]
    assert rung(centre.wait(24)) == []
    assert rung(centre.wait(2)) == ["ann"]


def test_the_caller_is_not_routed_before_the_database_said_who_it_is():
    centre = Centre("ann", "bob")
    centre.tell(ev.CallStarted(at=centre.now, call_id="1", caller="1", dialled="4001", endpoint="trunk"))
    assert rung(centre.held("1", 1)) == []
    assert rung(centre.tell(ev.CallerIdentified(at=centre.now, call_id="1", file=file("bob")))) == ["bob"]


def test_a_database_that_does_not_answer_costs_the_caller_half_a_second_and_no_more():
    centre = Centre("ann")
    centre.tell(ev.CallStarted(at=centre.now, call_id="1", caller="1", dialled="4001", endpoint="trunk"))
    assert rung(centre.held("1", 1)) == []
    assert rung(centre.wait(0.4)) == []
    assert rung(centre.wait(0.2)) == ["ann"]


def test_nobody_is_routed_while_the_link_to_the_pbx_is_down():
    centre = Centre("ann")
    centre.pause("ann")
    centre.arrive("1")
    centre.tell(ev.LinkLost(at=centre.now))
    assert rung(centre.resume("ann")) == []
    centre.tell(ev.PhoneReached(at=centre.now, endpoint="ann", reachable=True))
    centre.tell(ev.CallStarted(at=centre.now, call_id="1", caller="1", endpoint="trunk"))
    centre.held("1", 1)
    assert rung(centre.tell(ev.LinkOpened(at=centre.now))) == ["ann"]
