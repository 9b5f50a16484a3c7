"""Talk time today: summed once, cut at local midnight, never shrinking within a day."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.domain.ledger import Ledger, day_bounds


def at(zone: str, text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def test_a_conversation_across_midnight_counts_on_each_day_what_was_spoken_that_day():
    ledger = Ledger("Asia/Shanghai", set())
    start, end = at("Asia/Shanghai", "2026-03-02 23:59:00"), at("Asia/Shanghai", "2026-03-03 00:02:00")
    ledger.began("ann", "1", start)
    assert ledger.today("ann", end - 120.001) == pytest.approx(60, abs=0.01)
    assert ledger.today("ann", end) == 120
    ledger.stopped("ann", "1", end)
    assert ledger.today("ann", end) == 120


def test_at_midnight_everybody_starts_from_nothing():
    ledger = Ledger("Asia/Shanghai", set())
    ledger.began("ann", "1", at("Asia/Shanghai", "2026-03-02 10:00:00"))
    ledger.stopped("ann", "1", at("Asia/Shanghai", "2026-03-02 11:00:00"))
    assert ledger.today("ann", at("Asia/Shanghai", "2026-03-02 23:59:59")) == 3600
    assert ledger.today("ann", at("Asia/Shanghai", "2026-03-03 00:00:00")) == 0


@pytest.mark.parametrize(
    ("date", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)], ids=["spring", "autumn", "plain"]
)
def test_a_day_has_as_many_hours_as_the_clocks_give_it(date, hours):
    start, end = day_bounds(at("Europe/Berlin", f"{date} 12:00:00"), ZoneInfo("Europe/Berlin"))
    assert end - start == hours * 3600


def test_two_legs_at_once_count_once():
    ledger = Ledger("UTC", set())
    ledger.began("ann", "1", 1000)
    ledger.began("ann", "2", 1010)
    ledger.stopped("ann", "1", 1020)
    ledger.stopped("ann", "2", 1030)
    assert ledger.today("ann", 2000) == 30


def test_telling_an_interval_twice_changes_nothing():
    ledger = Ledger("UTC", set())
    for _ in range(2):
        ledger.began("ann", "1", 1000)
    for _ in range(2):
        ledger.stopped("ann", "1", 1020)
    assert ledger.today("ann", 2000) == 20


@given(
    st.lists(
        st.tuples(st.integers(0, 86_000), st.integers(0, 300)).map(lambda p: (p[0], min(p[0] + p[1], 86_399))),
        max_size=12,
    )
)
def test_restored_intervals_sum_to_the_seconds_they_cover_together(spans):
    ledger = Ledger("UTC", set())
    day = 20_000 * 86_400
    ledger.restore(tuple(("ann", str(n), day + a, day + b) for n, (a, b) in enumerate(spans)), day + 86_399)
    covered = {second for a, b in spans for second in range(a, b)}
    assert ledger.today("ann", day + 86_399) == len(covered)
