"""When a line is open, as the clock on its wall shows it."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.domain.opening import is_open
from ctid.domain.types import Days, Line, OpenHours, SpecialHours

BERLIN = ZoneInfo("Europe/Berlin")
WEEK = (0, 1, 2, 3, 4)


def line(*hours: OpenHours, holidays: tuple[Days, ...] = (), special: tuple[SpecialHours, ...] = ()) -> Line:
    return Line(name="l", numbers=("1",), hours=hours, holidays=holidays, special_hours=special)


def at(text: str, *, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


def days(first: str, last: str | None = None, *, yearly: bool = False) -> Days:
    return Days(first=date.fromisoformat(first), last=date.fromisoformat(last or first), yearly=yearly)


OFFICE = OpenHours(weekdays=WEEK, opens=9 * 60, closes=18 * 60)
NIGHT = OpenHours(weekdays=WEEK, opens=22 * 60, closes=30 * 60)


@pytest.mark.parametrize(
    ("when", "there"),
    [
        ("2026-03-02 08:59", False),
        ("2026-03-02 09:00", True),
        ("2026-03-02 17:59", True),
        ("2026-03-02 18:00", False),
        ("2026-03-01 12:00", False),
    ],
)
def test_a_line_is_open_from_the_first_minute_to_before_the_last(when, there):
    assert is_open(line(OFFICE), at(when), BERLIN) is there


@pytest.mark.parametrize(
    ("when", "there"),
    [
        ("2026-03-02 02:00", False),  # Monday: Sunday has no shift
        ("2026-03-02 23:00", True),
        ("2026-03-03 05:59", True),
        ("2026-03-03 06:00", False),
        ("2026-03-07 05:00", True),  # Saturday: Friday's shift
        ("2026-03-07 23:00", False),
    ],
)
def test_hours_that_cross_midnight_belong_to_the_day_on_which_they_begin(when, there):
    assert is_open(line(NIGHT), at(when), BERLIN) is there


def test_a_holiday_closes_the_shifts_that_begin_on_it_and_no_others():
    night = line(NIGHT, holidays=(days("2026-03-03"),))
    assert is_open(night, at("2026-03-03 05:00"), BERLIN)  # Monday's
    assert not is_open(night, at("2026-03-03 23:00"), BERLIN)
    assert not is_open(night, at("2026-03-04 05:00"), BERLIN)
    assert is_open(night, at("2026-03-04 23:00"), BERLIN)


def test_a_holiday_closes_a_line_without_hours_all_day():
    always = line(holidays=(days("2026-10-01", "2026-10-07"),))
    for when, there in (("09-30 23:59", True), ("10-01 00:00", False), ("10-07 23:59", False), ("10-08 00:00", True)):
        assert is_open(always, at(f"2026-{when}"), BERLIN) is there


def test_a_yearly_holiday_comes_each_year_and_may_run_over_its_end():
    always = line(holidays=(days("2000-12-24", "2000-01-02", yearly=True),))
    for year in (2026, 2027):
        assert is_open(always, at(f"{year}-12-23 12:00"), BERLIN)
        assert not is_open(always, at(f"{year}-12-31 12:00"), BERLIN)
        assert not is_open(always, at(f"{year}-01-02 12:00"), BERLIN)
        assert is_open(always, at(f"{year}-01-03 12:00"), BERLIN)


def test_special_hours_stand_in_for_the_days_hours_and_for_a_holiday():
    special = (SpecialHours(days=days("2026-12-24"), shifts=((9 * 60, 12 * 60),)),)
    office = line(OFFICE, holidays=(days("2000-12-24", yearly=True),), special=special)
    assert is_open(office, at("2026-12-24 09:00"), BERLIN)
    assert not is_open(office, at("2026-12-24 12:00"), BERLIN)
    assert not is_open(office, at("2027-12-24 10:00"), BERLIN)


def test_the_hour_told_twice_is_open_twice_and_the_one_left_out_shuts_nobody_out():
    early = line(OpenHours(weekdays=(6,), opens=2 * 60, closes=3 * 60))
    assert is_open(early, at("2026-10-25 02:30", fold=0), BERLIN)
    assert is_open(early, at("2026-10-25 02:30", fold=1), BERLIN)
    assert is_open(early, at("2026-10-25 02:30", fold=1) - 3600, BERLIN)
    assert not is_open(early, at("2026-03-29 01:59"), BERLIN)
    assert not is_open(early, at("2026-03-29 01:59") + 60, BERLIN)  # it is three o'clock
    through = line(OpenHours(weekdays=(5,), opens=22 * 60, closes=30 * 60))
    begins, ends = at("2026-03-28 22:00"), at("2026-03-29 06:00")
    assert ends - begins == 7 * 3600
    assert is_open(through, begins, BERLIN)
    assert is_open(through, ends - 1, BERLIN)
    assert not is_open(through, ends, BERLIN)


@given(
    st.datetimes(datetime.fromisoformat("2026-01-01"), datetime.fromisoformat("2028-01-01")),
    st.sets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(1, 1440),
)
def test_a_line_is_open_if_and_only_if_a_shift_that_began_today_or_yesterday_lasts(moment, weekdays, opens, lasts):
    hours = OpenHours(weekdays=tuple(weekdays), opens=opens, closes=opens + lasts)
    utc = ZoneInfo("UTC")
    then = moment.replace(tzinfo=utc)
    meant = any(
        then.fromtimestamp(then.timestamp() - back * 86400, utc).weekday() in weekdays
        and opens <= then.hour * 60 + then.minute + back * 1440 < opens + lasts
        for back in (0, 1)
    )
    assert is_open(line(hours), then.timestamp(), utc) is meant
