"""A day rerun under another policy: the same callers, phones and conversations, and the real core between them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ctid.domain import events as ev
from ctid.domain.rerun import Arrival, Day, Habit, rerun
from ctid.domain.types import Agent, CallerFile, CallRecord, LegResult, Line, OpenHours, Outcome, Policy, Rule
from ctid.whatif import figures, jain
from tests.domain.desk import MORNING

SUPPORT = Line(name="support", numbers=("4001",))
ANSWERS = Habit(after=4.0)
PLAIN = Policy(wrap_up_seconds=0)


def caller(number: int, at: float, *, talk: float = 60, patience: float | None = None, who: str = "") -> Arrival:
    return Arrival(
        call=f"{number}.1",
        at=MORNING + at,
        caller=who or f"1380013800{number}",
        dialled="4001",
        talk_seconds=talk,
        patience=patience,
    )


def day(*arrivals: Arrival, agents: str = "ann bob", until: float = 3600, **habits: tuple[Habit, ...]) -> Day:
    names = agents.split()
    staff: list[ev.Event] = []
    for position, name in enumerate(names):
        request = ev.Request(agent=name, id="x")
        staff.append(ev.SignInAsked(at=MORNING - 60 + position, request=request, phone=name))
        staff.append(ev.SignOutAsked(at=MORNING + until, request=request))
    return Day(
        agents=tuple(Agent(id=name, name=name, phone=name) for name in names),
        arrivals=arrivals,
        staff=tuple(staff),
        others=(),
        habits=habits,
        usual=ANSWERS,
    )


def lived(of: Day, policy: Policy = PLAIN, lines: tuple[Line, ...] = (SUPPORT,)) -> list[CallRecord]:
    return rerun(of, policy, lines)


def waits(calls: list[CallRecord]) -> list[float]:
    return [round((call.answered_at or 0) - call.started_at, 1) for call in calls]


def test_callers_are_answered_in_turn_and_talk_as_long_as_they_did() -> None:
    calls = lived(day(caller(1, 0, talk=100), caller(2, 10, talk=50), caller(3, 20, talk=30)))
    assert [call.outcome for call in calls] == [Outcome.ANSWERED] * 3
    assert [call.agent for call in calls] == ["ann", "bob", "bob"]
    assert [sum(leg.talk_seconds for leg in call.legs) for call in calls] == pytest.approx([100, 50, 30])
    assert waits(calls) == [4.0, 4.0, 48.0]


def test_the_same_day_under_the_same_policy_gives_the_same_calls() -> None:
    of = day(*(caller(n, 7.0 * n, talk=20 + n) for n in range(40)))
    assert lived(of) == lived(of)


def test_who_gave_up_gives_up_only_where_nobody_answered_before() -> None:
    of = day(caller(1, 0, talk=100), caller(2, 10, patience=30), caller(3, 15, patience=30), agents="ann")
    first, second, third = lived(of)
    assert (first.outcome, second.outcome, third.outcome) == (
        Outcome.ANSWERED,
        Outcome.ABANDONED,
        Outcome.ABANDONED,
    )
    quick = replace(of, arrivals=(caller(1, 0, talk=5), *of.arrivals[1:]))
    served = lived(quick)[1]
    assert served.outcome is Outcome.ANSWERED
    assert sum(leg.talk_seconds for leg in served.legs) == pytest.approx(60)


def test_a_phone_that_is_not_answered_sends_the_caller_to_the_next_and_rings_as_long_as_the_policy_says() -> None:
    of = day(caller(1, 0), ann=(Habit(after=20, result=LegResult.NO_ANSWER),))
    [call] = lived(of, replace(PLAIN, ring_seconds=10))
    assert [(leg.agent, leg.result) for leg in call.legs] == [
        ("ann", LegResult.NO_ANSWER),
        ("bob", LegResult.ANSWERED),
    ]
    assert waits([call]) == [14.0]


def test_who_answers_later_than_the_policy_rings_misses_the_call() -> None:
    [call] = lived(day(caller(1, 0), ann=(Habit(after=15),)), replace(PLAIN, ring_seconds=10))
    assert call.agent == "bob"


@pytest.mark.parametrize("result", [LegResult.BUSY, LegResult.REJECTED, LegResult.UNREACHABLE])
def test_a_phone_that_refuses_costs_the_caller_no_more_than_it_took(result: LegResult) -> None:
    [call] = lived(day(caller(1, 0), ann=(Habit(after=1, result=result),)))
    assert [leg.result for leg in call.legs] == [result, LegResult.ANSWERED]
    assert waits([call]) == [5.0]


def test_nobody_who_has_left_is_rung_and_a_caller_nobody_takes_is_sent_on_by_the_line() -> None:
    calls = lived(day(caller(1, 100), until=50), lines=(replace(SUPPORT, longest_wait_seconds=60),))
    assert [(call.outcome, call.legs) for call in calls] == [(Outcome.OVERFLOW, ())]
    closed = replace(SUPPORT, hours=(OpenHours(weekdays=(6,), opens=0, closes=60),))
    assert [call.outcome for call in lived(day(caller(1, 0)), lines=(closed,))] == [Outcome.CLOSED]


def test_a_caller_who_comes_again_reaches_who_answered_them_first() -> None:
    again = [caller(n, 300.0 * n, talk=200 if n == 1 else 10, who="13900139000") for n in (1, 2, 3)]
    calls = lived(day(*again))
    assert {call.agent for call in calls} == {"ann"}
    assert [call.decisions[0].rule for call in calls] == [Rule.LEAST_TALK, Rule.TICKET_OWNER, Rule.TICKET_OWNER]
    counted = figures(calls, ["ann", "bob"])
    assert (counted.owner_calls, counted.owner_hits) == (2, 2)


def test_a_ticket_names_the_owner_before_the_day_does() -> None:
    known = replace(caller(1, 0), file=CallerFile(number="+8613800138001", owner="bob"))
    assert lived(day(known))[0].agent == "bob"


def test_calls_that_ctid_did_not_route_happen_as_they_did_and_keep_their_phones_busy() -> None:
    at = MORNING - 10
    own: tuple[ev.Event, ...] = (
        ev.CallStarted(at=at, call_id="o", caller="ann", dialled="02155660000", endpoint="ann"),
        ev.LegOffered(at=at, call_id="o", leg_id="o1", endpoint="ann", party="ann", originator=True),
        ev.LegOffered(at=at, call_id="o", leg_id="o2", endpoint="trunk", party="trunk"),
        ev.LegAnswered(at=at + 1, call_id="o", leg_id="o2"),
        ev.LegEnded(at=at + 70, call_id="o", leg_id="o2"),
        ev.LegEnded(at=at + 70, call_id="o", leg_id="o1"),
        ev.CallEnded(at=at + 70, call_id="o"),
    )
    [call] = lived(replace(day(caller(1, 0), agents="ann"), others=own))
    assert waits([call]) == [64.0]


def test_a_policy_is_seen_in_the_figures() -> None:
    of = day(*(caller(n, 40.0 * n, talk=60) for n in range(1, 9)))
    short, long = (figures(lived(of, replace(PLAIN, wrap_up_seconds=seconds)), ["ann", "bob"]) for seconds in (0, 60))
    assert short.wait_mean < long.wait_mean
    assert (short.answered, long.answered, short.offers) == (8, 8, 8)


def test_fairness_is_one_for_equals_and_one_nth_where_one_has_it_all() -> None:
    assert (jain([5, 5, 5]), jain([9, 0, 0]), jain([]), jain([0, 0])) == (1.0, 0.3333, 1.0, 1.0)


def test_a_day_without_callers_has_figures() -> None:
    assert figures(lived(day()), ["ann"]).calls == 0
