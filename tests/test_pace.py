"""When ctid does not keep pace: what it leaves undone, in which order, and when it takes it up again."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.daemon.pace import CALM, CALM_FOR, LEASE, LEASE_CALM_FOR, STEPS, Change, Pace
from ctid.domain.types import Shed

FIRST = (Shed.ROSTER, Shed.GAUGES, Shed.PAGES)
SECOND = (*FIRST, Shed.CALLS, Shed.ANNOUNCEMENTS)


class Day:
    """Seconds that go by, each with how far behind ctid is."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.pace = Pace(self.changes.append)
        self.at = 1000.0

    def second(self, *behind: float) -> tuple[Shed, ...]:
        for late in behind:
            self.at += 1
            self.pace.note(late, self.at)
        return self.pace.what


@pytest.fixture
def day() -> Day:
    return Day()


def test_what_nobody_misses_is_given_up_first_and_the_lease_last(day: Day) -> None:
    assert day.second(0.0, 0.4, 0.4) == ()
    assert day.second(0.6, 0.6) == FIRST
    assert day.second(1.2, 1.2) == SECOND
    assert day.second(3.1) == tuple(Shed)
    assert [change.more for change in day.changes] == [True, True, True]
    assert {change.since for change in day.changes} == {day.changes[0].since}


def test_one_late_second_is_no_overload(day: Day) -> None:
    assert day.second(0.0, 2.5, 0.0, 0.9, 0.1) == ()
    assert day.changes == []


def test_callers_who_would_be_served_too_late_are_let_go_at_once(day: Day) -> None:
    assert day.second(0.0, LEASE + 0.1) == tuple(Shed)


def test_the_lease_is_taken_back_only_after_seconds_of_keeping_pace_and_the_rest_later(day: Day) -> None:
    day.second(LEASE + 1)
    assert day.second(*[0.0] * round(LEASE_CALM_FOR)) == tuple(Shed)
    assert day.second(0.0) == SECOND
    assert day.second(*[0.0] * round(CALM_FOR - LEASE_CALM_FOR - 1)) == SECOND
    assert day.second(0.0) == ()
    assert [change.more for change in day.changes] == [True, False, False]


def test_who_is_behind_now_and_then_does_not_flap(day: Day) -> None:
    day.second(0.6, 0.6)
    for _ in range(20):
        assert day.second(0.0, 0.0, 0.0, 0.6, 0.6) == FIRST
    assert len(day.changes) == 1


def test_a_clock_that_is_set_back_keeps_nothing_for_ever(day: Day) -> None:
    day.second(LEASE + 1, 0.0, 0.0)
    day.at -= 3600
    assert day.second(*[0.0] * (round(CALM_FOR) + 1)) == ()


@given(st.lists(st.floats(0, 10), max_size=200))
def test_whatever_happens_only_what_can_be_done_without_is_given_up_and_each_change_is_told_once(
    late: list[float],
) -> None:
    day = Day()
    for behind in late:
        before = day.pace.what
        now = day.second(behind)
        told = {tuple(what for _, step in STEPS[:taken] for what in step) for taken in range(len(STEPS) + 1)}
        assert tuple(what for what in now if what is not Shed.LEASE) in told, "a later step only after an earlier one"
        assert (Shed.LEASE in now) or behind <= LEASE
        assert (now != before) == (bool(day.changes) and day.changes[-1].what == now and now != before)
    shown = [change.what for change in day.changes]
    assert all(a != b for a, b in itertools.pairwise(shown))
    assert day.second(*[CALM] * (round(CALM_FOR) + 1)) == (), "it always comes back"
