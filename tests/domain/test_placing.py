"""Callers who wait, as supervisors place them: first, last, on another line; and what the books say of it."""

from __future__ import annotations

import pytest

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.said import Code
from ctid.domain.types import Diversion, Line, OpenHours, Outcome
from tests.domain.desk import Centre, file, of

SUPPORT = Line(name="support", numbers=("4001",), longest_wait_seconds=600)
SALES = Line(name="sales", numbers=("4002",), agents=("bob",), longest_wait_seconds=60, overflow="line-support")
#: Open on Sundays alone, which today is none of.
SUNDAYS = Line(name="sundays", numbers=("4009",), hours=(OpenHours(weekdays=(6,), opens=0, closes=1440),))


def waiting(*calls: str) -> Centre:
    """Ann and Bob pause, and these callers wait on the first line, each a second after the one before."""
    centre = Centre("ann", "bob", lines=[SUPPORT, SALES, SUNDAYS])
    centre.pause("ann")
    centre.pause("bob")
    for call in calls:
        centre.arrive(call)
        centre.wait(1)
    return centre


def order(centre: Centre) -> list[str]:
    """In which order Ann would serve them."""
    room = centre.acd.world.room()
    return [call.id for call in room.in_order(centre.now, 300, served=lambda *_: True, idle=(), also=())]


def first(centre: Centre, call: str) -> Code | None:
    return code(centre.tell(ev.PrioritiseAsked(at=centre.now, call_id=call, id="s", by="boss")))


def last(centre: Centre, call: str) -> Code | None:
    return code(centre.tell(ev.MoveAsked(at=centre.now, call_id=call, id="s", by="boss")))


def to_line(centre: Centre, call: str, line: str) -> Code | None:
    return code(centre.tell(ev.MoveAsked(at=centre.now, call_id=call, id="s", line=line, by="boss")))


def code(made: list[act.Action]) -> Code | None:
    [told] = of(act.ReplyOnCall, made)
    assert told.id == "s"
    return told.error.code if told.error is not None else None


def test_a_prioritised_caller_comes_before_all_who_wait_and_who_come_later() -> None:
    centre = waiting()
    centre.arrive("1", file(level=5, name="Li"))
    centre.arrive("2", file(level=1))
    centre.wait(500)
    assert first(centre, "2") is first(centre, "2") is None
    centre.arrive("3", file(level=5, severity=5, name="Wu"))
    assert order(centre)[0] == "2"
    front = Diversion(at=centre.now, line="support", reason=None, to="front", by="boss")
    assert centre.calls["2"].diversions == (front,), "once, though it was asked for twice"
    assert [ring.call_id for ring in of(act.Ring, centre.resume("ann"))] == ["2"]


def test_who_is_put_last_stands_as_if_they_had_called_just_now_and_their_wait_counts_on() -> None:
    centre = waiting("1", "2")
    assert first(centre, "1") is last(centre, "1") is None
    centre.wait(1)
    centre.arrive("3")
    assert order(centre) == ["2", "1", "3"], "who comes later does not overtake them"
    shown = next(s.waiting for s in reversed(of(act.ShowCall, centre.log)) if s.call.id == "1")
    assert shown is not None
    assert (shown.prioritised, shown.stands_since) == (False, centre.now - 1)
    assert shown.since == centre.now - 3


def test_a_caller_moved_to_another_line_is_served_by_its_agents_by_their_arrival() -> None:
    centre = waiting("1")
    centre.arrive("2", dialled="4002")
    assert to_line(centre, "1", "sales") is None
    assert to_line(centre, "1", "sales") is None, "there already, they stay"
    assert centre.calls["1"].line == "sales"
    moved = Diversion(at=centre.now, line="support", reason=None, to="line-sales", by="boss")
    assert centre.calls["1"].diversions == (moved,)
    assert [ring.call_id for ring in of(act.Ring, centre.resume("bob"))] == ["1"]


def test_the_line_a_caller_is_moved_to_keeps_them_as_long_as_it_keeps_anyone_and_overflows_as_ever() -> None:
    centre = waiting("1")
    centre.wait(300)
    assert to_line(centre, "1", "sales") is None
    centre.wait(59)
    assert centre.calls["1"].line == "sales"
    centre.wait(2)
    went = [(d.to, d.reason) for d in centre.calls["1"].diversions]
    assert went == [("line-sales", None), ("line-support", Outcome.OVERFLOW)]


@pytest.mark.parametrize(("call", "why"), [("9", Code.NO_CALL), ("1", Code.CALL_NOT_WAITING), ("0", Code.CALL_OVER)])
def test_who_does_not_wait_is_put_nowhere(call: str, why: Code) -> None:
    centre = Centre("ann", lines=[SUPPORT, SALES])
    centre.arrive("0")
    centre.hangs_up("0")
    centre.arrive("1")
    centre.answers("1", centre.rings("1", "ann"))
    assert [first(centre, call), last(centre, call), to_line(centre, call, "sales")] == [why] * 3


def test_a_line_that_is_not_there_or_is_closed_takes_nobody() -> None:
    centre = waiting("1")
    assert to_line(centre, "1", "nowhere") is Code.NO_LINE
    assert to_line(centre, "1", "sundays") is Code.LINE_CLOSED
    assert centre.calls["1"].diversions == ()


def test_a_restart_forgets_no_place() -> None:
    centre = waiting("1", "2", "3")
    assert first(centre, "3") is last(centre, "1") is None
    again = Centre("ann", lines=[SUPPORT, SALES])
    again.now = centre.now
    again.pause("ann")
    again.tell(ev.LinkLost(at=again.now))
    calls = tuple(centre.calls[call] for call in ("1", "2", "3"))
    again.tell(ev.BooksRestored(at=again.now, last_seen_at=again.now, statuses=(), calls=calls, talks=()))
    for call in ("1", "2", "3"):
        again.tell(ev.CallStarted(at=again.now, call_id=call, caller=call, dialled="4001", endpoint="trunk"))
        again.tell(ev.CallEntered(at=again.now, call_id=call, direction="inbound", dialled="4001", leg_id=call))
        again.tell(ev.CallerHeld(at=again.now, call_id=call, channel=call, seq=1, dialled="4001", waited=9))
    again.tell(ev.PhoneReached(at=again.now, endpoint="ann", reachable=True))
    again.tell(ev.LinkOpened(at=again.now))
    again.wait(1)
    assert order(again) == ["3", "2", "1"]
