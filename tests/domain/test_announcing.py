"""What a caller is told of their wait: never a number the last hour does not support."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from ctid.domain.announcing import ENOUGH, HOUR, ExpectedWait, LastHour, Stay, Wait, expected, from_books

NOW = 1772413200.0


def wait(seconds: float, ahead: int = 0, *, ago: float = 60.0) -> Wait:
    return Wait(line="l", answered_at=NOW - ago, seconds=seconds, ahead=ahead)


WAITS = st.lists(
    st.builds(wait, st.floats(0, 3500), st.integers(0, 12), ago=st.floats(0, HOUR - 1)),
    max_size=30,
)


def test_four_of_five_who_stood_there_were_answered_within_what_is_said():
    waits = [wait(seconds) for seconds in (30, 60, 100, 170, 900)]
    assert expected(waits, ahead=0, waited=10) == ExpectedWait(minutes=3)


def test_with_too_few_answered_callers_no_number_is_said():
    assert expected([wait(100)] * (ENOUGH - 1), ahead=0, waited=10) is None


def test_who_stands_further_back_than_the_hour_has_seen_hears_what_they_will_outwait():
    assert expected([wait(290, 1)] * ENOUGH, ahead=4, waited=10) == ExpectedWait(minutes=4, more_than=True)


def test_less_than_a_minute_is_nothing_to_be_more_than():
    assert expected([wait(50, 1)] * ENOUGH, ahead=4, waited=10) is None


def test_who_has_waited_longer_than_the_hour_has_seen_hears_no_number():
    assert expected([wait(100)] * ENOUGH, ahead=0, waited=101) is None


@given(WAITS, st.integers(0, 15), st.floats(0, 4000))
def test_a_number_is_never_said_that_the_last_hour_does_not_support(waits, ahead, waited):
    said = expected(waits, ahead=ahead, waited=waited)
    if said is None:
        return
    assert len(waits) >= ENOUGH
    longest = max(one.seconds for one in waits)
    assert waited <= longest
    if said.more_than:  # so many who stood nearer to the front waited that long
        assert 60 <= said.minutes * 60 <= longest
        assert sum(one.seconds >= said.minutes * 60 for one in waits) >= len(waits) / 5
    else:
        alike = [one.seconds for one in waits if one.ahead >= ahead]
        assert len(alike) >= ENOUGH
        assert said.minutes <= max(1, math.ceil(longest / 60))
        assert sum(seconds <= said.minutes * 60 for seconds in alike) >= 0.8 * len(alike)


@given(WAITS, st.integers(0, 15))
def test_more_waits_of_over_an_hour_ago_change_nothing(waits, ahead):
    one, other = LastHour(), LastHour()
    for old in range(20):
        other.note(wait(3000 + old, 9, ago=HOUR + 20 - old))
    for each in sorted(waits, key=lambda each: each.answered_at):
        one.note(each)
        other.note(each)
    assert expected(one.of("l", NOW), ahead=ahead, waited=1) == expected(other.of("l", NOW), ahead=ahead, waited=1)


def stay(arrived: float, *, offered: float | None = None, answered: float | None = None, ended: float | None = None):
    return Stay(line="l", arrived_at=arrived, offered_at=offered, answered_at=answered, ended_at=ended)


def test_the_books_give_the_waits_back_with_those_who_waited_before_them():
    stays = [
        stay(NOW - 300, offered=NOW - 300, answered=NOW - 295, ended=NOW),  # at once
        stay(NOW - 200, offered=NOW - 100, answered=NOW - 95, ended=NOW - 10),
        stay(NOW - 190, ended=NOW - 150),  # gave up
        stay(NOW - 180, offered=NOW - 60, answered=NOW - 55, ended=NOW - 10),
        stay(NOW - 120, offered=NOW - 30, answered=NOW - 20),
        stay(NOW - 50),  # still waits
        stay(NOW - HOUR - 500, offered=NOW - HOUR - 100, answered=NOW - HOUR - 1, ended=NOW),
    ]
    assert [(w.seconds, w.ahead) for w in from_books(stays, NOW)] == [(105, 0), (125, 2), (100, 2)]
