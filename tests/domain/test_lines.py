"""What a line does with a caller who waits: sends them on, plays them music, tells them where they stand."""

from __future__ import annotations

from datetime import date

import pytest

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.announcing import ExpectedWait, Wait
from ctid.domain.types import Agent, Days, Diversion, LegResult, Line, OpenHours, Outcome, Policy
from tests.domain.desk import MORNING, Centre, file, of, rung

NEVER = (OpenHours(weekdays=(6,), opens=0, closes=1),)


def line(name: str = "support", number: str = "4001", **more) -> Line:
    return Line(name=name, numbers=(number,), **more)


def two(**more) -> Centre:
    """Ann serves support alone, Bob sales alone; support overflows to sales after a minute."""
    lines = [
        line(agents=("ann",), overflow="line-sales", longest_wait_seconds=60),
        line("sales", "4002", agents=("bob",), **{"longest_wait_seconds": 100, "overflow": "number-10086", **more}),
    ]
    return Centre("ann", "bob", lines=lines)


def outcome(centre: Centre, call: str) -> tuple[Outcome | None, str | None]:
    centre.hangs_up(call)
    return centre.calls[call].outcome, centre.calls[call].line


# -- another line ------------------------------------------------------------------------------------------------------


def test_past_the_longest_wait_the_caller_goes_on_waiting_on_the_other_line():
    centre = two()
    centre.pause("ann")
    assert rung(centre.arrive("1")) == []
    made = centre.wait(60)
    assert rung(made) == ["bob"]
    assert of(act.Overflow, made) == []
    assert centre.calls["1"].line == "sales"
    gone = Diversion(at=MORNING + 62, line="support", reason=Outcome.OVERFLOW, to="line-sales")
    assert centre.calls["1"].diversions == (gone,)


def test_on_the_other_line_the_place_is_that_of_the_arrival():
    centre = two()
    centre.pause("ann")
    centre.pause("bob")
    centre.arrive("early")
    centre.wait(50)
    centre.arrive("late", dialled="4002")
    centre.wait(20)
    assert rung(centre.resume("bob")) == ["bob"]
    assert [a.call_id for a in of(act.Ring, centre.log)] == ["early"]


def test_the_other_lines_own_longest_wait_counts_from_the_move():
    centre = two()
    centre.pause("ann")
    centre.pause("bob")
    centre.arrive("1")
    assert of(act.Overflow, centre.wait(159)) == []
    assert [a.to for a in of(act.Overflow, centre.wait(2))] == ["number-10086"]
    assert outcome(centre, "1") == (Outcome.OVERFLOW, "sales")


def test_a_closed_line_on_the_way_is_passed_through():
    centre = two(hours=NEVER, closed="voicemail-100")
    centre.pause("ann")
    centre.arrive("1")
    assert [a.to for a in of(act.Overflow, centre.wait(61))] == ["voicemail-100"]
    assert [(d.line, d.reason, d.to) for d in centre.calls["1"].diversions] == [
        ("support", Outcome.OVERFLOW, "line-sales"),
        ("sales", Outcome.CLOSED, "voicemail-100"),
    ]
    assert outcome(centre, "1") == (Outcome.CLOSED, "sales")


def test_a_circle_of_lines_lets_the_caller_wait_once_on_each_and_then_go():
    centre = two(overflow="line-support")
    centre.pause("ann")
    centre.pause("bob")
    centre.arrive("1")
    assert of(act.Overflow, centre.wait(159)) == []
    assert [a.to for a in of(act.Overflow, centre.wait(2))] == ["hangup"]
    assert outcome(centre, "1") == (Outcome.OVERFLOW, "sales")


def test_a_circle_of_closed_lines_ends_at_once():
    lines = [line(hours=NEVER, overflow="line-sales"), line("sales", "4002", hours=NEVER, overflow="line-support")]
    centre = Centre("ann", lines=lines)
    assert [a.to for a in of(act.Overflow, centre.arrive("1"))] == ["hangup"]
    assert outcome(centre, "1") == (Outcome.CLOSED, "sales")


def test_a_new_line_is_a_new_round():
    lines = [line(overflow="line-sales", longest_wait_seconds=10), line("sales", "4002")]
    policy = Policy(timezone="Asia/Shanghai", wrap_up_seconds=0, round_pause_seconds=60, missed_in_a_row=0)
    centre = Centre("ann", lines=lines, policy=policy)
    centre.arrive("1")
    leg = centre.rings("1", "ann")
    centre.wait(5)
    centre.ends_leg("1", leg, LegResult.NO_ANSWER)
    assert rung(centre.held("1", 2, "NOANSWER")) == []
    assert rung(centre.wait(6)) == ["ann"]


def test_after_a_restart_a_caller_waits_on_with_their_place_on_the_line_they_had_gone_on_to():
    centre = two()
    centre.pause("ann")
    centre.pause("bob")
    centre.arrive("1")
    centre.wait(70)
    again = two()
    again.now = centre.now
    again.pause("ann")
    again.pause("bob")
    again.tell(ev.LinkLost(at=again.now))
    again.tell(
        ev.BooksRestored(at=again.now, last_seen_at=again.now, statuses=(), calls=(centre.calls["1"],), talks=())
    )
    again.tell(ev.CallStarted(at=again.now, call_id="1", caller="1", dialled="4001", endpoint="trunk"))
    again.tell(ev.CallEntered(at=again.now, call_id="1", direction="inbound", dialled="4001", leg_id="1"))
    again.tell(ev.CallerHeld(at=again.now, call_id="1", channel="c", seq=1, dialled="4001", waited=70))
    again.tell(ev.PhoneReached(at=again.now, endpoint="bob", reachable=True))
    again.tell(ev.LinkOpened(at=again.now))
    again.wait(1)
    assert again.calls["1"].line == "sales"
    again.arrive("2", dialled="4002")
    made = again.resume("bob")
    assert [a.call_id for a in of(act.Ring, made)] == ["1"]


# -- closed ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("closed", "to"), [("announcement-night", "announcement-night"), (None, "number-10086")])
def test_a_closed_line_sends_callers_to_its_own_place_for_it_or_to_its_overflow(closed, to):
    centre = Centre("ann", lines=[line(hours=NEVER, overflow="number-10086", closed=closed)])
    assert [a.to for a in of(act.Overflow, centre.arrive("1"))] == [to]
    assert outcome(centre, "1") == (Outcome.CLOSED, "support")


def test_on_a_holiday_nobody_is_rung():
    today = Days(first=date(2026, 3, 2), last=date(2026, 3, 2), yearly=False)
    centre = Centre("ann", lines=[line(holidays=(today,))])
    made = centre.arrive("1", file("ann"))
    assert rung(made) == []
    assert outcome(centre, "1") == (Outcome.CLOSED, "support")


def test_who_waits_when_the_line_closes_is_sent_away_within_that_minute():
    hours = (OpenHours(weekdays=(0,), opens=0, closes=9 * 60 + 5),)
    centre = Centre("ann", lines=[line(hours=hours, closed="voicemail-1")])
    centre.pause("ann")
    centre.arrive("1")
    assert of(act.Overflow, centre.wait(5 * 60 - 2)) == []
    assert [a.to for a in of(act.Overflow, centre.wait(2))] == ["voicemail-1"]
    assert outcome(centre, "1") == (Outcome.CLOSED, "support")


# -- music -------------------------------------------------------------------------------------------------------------


def test_who_has_to_wait_hears_the_lines_music_once():
    centre = Centre("ann", lines=[line(music="jazz")])
    centre.pause("ann")
    assert [a.music for a in of(act.PlayMusic, centre.arrive("1"))] == ["jazz"]
    assert of(act.PlayMusic, centre.held("1", 1) + centre.wait(30)) == []


def test_who_is_routed_at_once_costs_no_command_more_and_hears_it_in_holds():
    centre = Centre("ann", lines=[line(music="jazz")])
    made = centre.arrive("1")
    assert of(act.PlayMusic, made) == []
    assert [a.music for a in of(act.Ring, made)] == ["jazz"]


def test_who_goes_on_to_another_line_hears_that_lines_music():
    centre = two(music="waltz")
    centre.pause("ann")
    centre.pause("bob")
    assert of(act.PlayMusic, centre.arrive("1")) == []
    assert [a.music for a in of(act.PlayMusic, centre.wait(61))] == ["waltz"]


# -- announcements -----------------------------------------------------------------------------------------------------


def announcing(*names: str, **more) -> Centre:
    return Centre(*names, lines=[line(announce_seconds=30, **more), line("sales", "4002", **more)])


def test_a_caller_who_waits_is_told_their_place_every_so_often():
    centre = announcing("ann")
    centre.pause("ann")
    centre.arrive("1")
    centre.wait(1)
    centre.arrive("2")
    assert of(act.Announce, centre.wait(28)) == []
    said = of(act.Announce, centre.wait(34))
    assert [(a.call_id, a.place, a.wait, a.number) for a in said] == [
        ("1", 1, None, 1),
        ("2", 2, None, 1),
        ("1", 1, None, 2),
        ("2", 2, None, 2),
    ]


def test_nothing_is_announced_to_who_is_being_rung_or_has_left():
    centre = announcing("ann")
    centre.pause("ann")
    centre.arrive("1")
    centre.wait(20)
    centre.resume("ann")
    centre.rings("1", "ann")
    assert of(act.Announce, centre.wait(19)) == []


def test_the_place_is_that_of_the_true_waiting_order():
    centre = announcing("ann")
    centre.pause("ann")
    centre.arrive("1", file(level=1))
    centre.arrive("2", file(level=5))
    places = {a.call_id: a.place for a in of(act.Announce, centre.wait(31))}
    assert places == {"1": 2, "2": 1}


def test_callers_of_another_line_count_where_the_same_agents_serve_it():
    centre = announcing("ann")
    centre.pause("ann")
    centre.arrive("1", dialled="4002")
    centre.wait(1)
    centre.arrive("2")
    assert [a.place for a in of(act.Announce, centre.wait(31))] == [2]


def test_callers_of_a_line_with_agents_of_its_own_do_not_count():
    lines = [line(agents=("ann",), announce_seconds=30), line("sales", "4002", agents=("bob",))]
    centre = Centre("ann", "bob", lines=lines)
    centre.pause("ann")
    centre.pause("bob")
    centre.arrive("1", dialled="4002")
    centre.wait(1)
    centre.arrive("2")
    assert [a.place for a in of(act.Announce, centre.wait(31))] == [1]


def test_the_wait_is_said_once_enough_callers_had_to_wait_and_were_answered():
    centre = announcing("ann")
    for number in range(5):
        call = f"w{number}"
        centre.pause("ann")
        centre.arrive(call)
        centre.wait(100)
        assert rung(centre.resume("ann")) == ["ann"]
        leg = centre.rings(call, "ann")
        centre.answers(call, leg)
        centre.hangs_up(call, leg)
    assert {a.wait for a in of(act.Announce, centre.log)} == {None}
    centre.pause("ann")
    centre.arrive("1")
    assert [a.wait for a in of(act.Announce, centre.wait(31))] == [ExpectedWait(minutes=2)]


def test_who_was_answered_at_once_tells_nothing_of_waiting():
    centre = announcing("ann")
    for number in range(8):
        centre.converse(f"q{number}", "ann", 5)
    centre.pause("ann")
    centre.arrive("1")
    assert [a.wait for a in of(act.Announce, centre.wait(31))] == [None]


def test_the_last_hour_is_known_after_a_restart():
    centre = Centre(agents=[Agent(id="ann", name="Ann", phone="ann")], lines=[line(announce_seconds=30)])
    waits = tuple(Wait(line="support", answered_at=MORNING - 60 * n, seconds=100, ahead=0) for n in range(9, 0, -1))
    centre.tell(ev.BooksRestored(at=centre.now, last_seen_at=centre.now, statuses=(), calls=(), talks=(), waits=waits))
    centre.pause("ann")
    centre.arrive("1")
    assert [a.wait for a in of(act.Announce, centre.wait(31))] == [ExpectedWait(minutes=2)]
