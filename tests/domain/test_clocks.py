"""Clocks that somebody set: what the core does of it once nothing is under way, and phones that ring past their time."""

from __future__ import annotations

import pytest

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.types import AgentState, LegResult, Policy
from tests.domain.desk import Centre, of, rung

HOUR = 3600.0


def set_by(centre: Centre, seconds: float) -> list[act.Action]:
    centre.now += seconds
    return centre.tell(ev.ClockTakenOver(at=centre.now, by=seconds))


@pytest.mark.parametrize("by", [HOUR, -HOUR, 26 * HOUR])
def test_a_clock_that_was_set_changes_neither_who_was_idle_longest_nor_for_how_long(by):
    centre = Centre("ann", "bob", "cat")
    before = {name: centre.now - desk.since for name, desk in centre.acd.world.desks.items()}
    set_by(centre, by)
    assert {name: centre.now - desk.since for name, desk in centre.acd.world.desks.items()} == pytest.approx(before)
    assert rung(centre.arrive("1")) == ["ann"]


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_talk_of_the_day_stands_and_goes_on_counting(by):
    centre = Centre("ann")
    centre.wait(2 * HOUR)  # the morning is far from midnight, both ways
    centre.converse("1", "ann", 60)
    set_by(centre, by)
    assert centre.talked("ann") == 60
    centre.converse("2", "ann", 30)
    assert centre.talked("ann") == 90


def test_what_is_due_stays_as_far_off_as_it_was():
    centre = Centre("ann", policy=Policy(timezone="Asia/Shanghai", wrap_up_seconds=0, cool_down_seconds=10))
    centre.arrive("1")
    leg = centre.rings("1", "ann")
    centre.ends_leg("1", leg, LegResult.UNREACHABLE)
    centre.hangs_up("1")
    set_by(centre, -HOUR)
    assert rung(centre.arrive("2")) == []
    assert rung(centre.wait(11)) == ["ann"]


def test_a_day_entered_again_keeps_its_sums_and_ends_at_its_own_midnight():
    centre = Centre("ann")
    centre.converse("1", "ann", 60)
    centre.wait(15 * HOUR - 30)  # 09:00 and some seconds: past midnight
    assert centre.talked("ann") == 0
    centre.converse("2", "ann", 20)
    set_by(centre, -HOUR)
    assert centre.talked("ann") == 20
    centre.wait(HOUR)
    assert centre.talked("ann") == 0


def test_it_is_quiet_when_nobody_calls_and_nobody_wraps_up():
    centre = Centre("ann", policy=Policy(timezone="UTC", wrap_up_seconds=10))
    assert centre.acd.quiet
    centre.arrive("1")
    assert not centre.acd.quiet
    leg = centre.rings("1", "ann")
    centre.answers("1", leg)
    assert not centre.acd.quiet
    centre.hangs_up("1", leg)
    assert centre.state("ann") is AgentState.WRAP_UP
    assert not centre.acd.quiet
    centre.wait(11)
    assert centre.acd.quiet


def test_a_phone_that_rings_past_its_time_is_let_go_and_the_caller_rings_the_next():
    centre = Centre("ann", "bob", policy=Policy(timezone="UTC", ring_seconds=20))
    assert rung(centre.arrive("1")) == ["ann"]
    leg = centre.rings("1", "ann")
    assert of(act.StopRinging, centre.wait(24)) == []
    [stop] = of(act.StopRinging, centre.wait(2))
    assert (stop.call_id, stop.channel) == ("1", leg)
    centre.ends_leg("1", leg, LegResult.NO_ANSWER)
    assert rung(centre.held("1", 2, "NOANSWER")) == ["bob"]


def test_a_phone_that_rings_on_is_told_again():
    centre = Centre("ann", policy=Policy(timezone="UTC", ring_seconds=20))
    centre.arrive("1")
    centre.rings("1", "ann")
    assert len(of(act.StopRinging, centre.wait(37))) == 3


def test_one_who_answers_in_time_is_left_alone():
    centre = Centre("ann", policy=Policy(timezone="UTC", ring_seconds=20))
    centre.arrive("1")
    centre.answers("1", centre.rings("1", "ann"))
    assert of(act.StopRinging, centre.wait(60)) == []
