"""Callers who are told that they are recorded, or asked: when, how often, and what is kept of those who do not want it."""

from __future__ import annotations

import pytest

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.said import Code, say
from ctid.domain.types import Consent, Line, OpenHours
from tests.domain.desk import Centre, file, last_pop, of, rung

TOLD = Line(name="support", numbers=("4001",), consent="recorded")


def says(centre: Centre, consent: Consent, *, seq: int = 2) -> list[act.Action]:
    """The dialplan has played it, and holds the caller anew."""
    made = centre.tell(ev.ConsentTold(at=centre.now, call_id="1", consent=consent))
    return made + centre.held("1", seq)


def test_nobody_rings_before_the_caller_was_told() -> None:
    centre = Centre("ann", lines=[TOLD])
    made = centre.arrive("1")
    [told] = of(act.TellConsent, made)
    assert (told.sound, told.asked, told.seq) == ("recorded", False, 1)
    assert rung(made) == []
    assert rung(centre.wait(10)) == []
    assert rung(says(centre, Consent.ANNOUNCED)) == ["ann"]
    assert centre.calls["1"].consent is Consent.ANNOUNCED


def test_a_caller_is_told_once_while_the_sound_is_played_and_anew_where_it_was_lost() -> None:
    """The digit that wakes the dialplan would count as an answer to the question it asks."""
    centre = Centre("ann", lines=[TOLD])
    centre.tell(ev.CallStarted(at=centre.now, call_id="1", caller="1", dialled="4001", endpoint="trunk"))
    assert len(of(act.TellConsent, centre.held("1", 1))) == 1, "the caller need not be known for it"
    assert of(act.TellConsent, centre.tell(ev.CallerIdentified(at=centre.now, call_id="1", file=file()))) == []
    centre.wait(15)
    assert len(of(act.TellConsent, centre.held("1", 1))) == 1, "the dialplan says that it still waits"
    assert rung(says(centre, Consent.ANNOUNCED)) == ["ann"]


def test_who_waits_for_an_agent_is_not_told_again() -> None:
    centre = Centre("ann", lines=[TOLD])
    centre.pause("ann")
    centre.arrive("1")
    says(centre, Consent.ANNOUNCED)
    made = centre.resume("ann")
    assert rung(made) == ["ann"]
    centre.rings("1", "ann")
    assert of(act.TellConsent, centre.held("1", 3, why="NOANSWER")) == []


@pytest.mark.parametrize("consent", list(Consent))
def test_only_who_heard_it_or_agreed_has_a_recording(consent: Consent) -> None:
    centre = Centre("ann", lines=[TOLD])
    centre.arrive("1")
    assert rung(says(centre, consent)) == ["ann"], "served like everyone else"
    leg = centre.rings("1", "ann")
    assert (say(Code.UNRECORDED) in last_pop(centre.log).notices) is not consent.recorded, "and the agent knows it"
    centre.answers("1", leg)
    centre.wait(5)
    closed = ev.RecordingClosed(at=centre.now, call_id="1", path="2026/03/02/1.wav", size=44, bridged_seconds=5)
    measured = of(act.MeasureRecording, centre.tell(closed))
    centre.hangs_up("1", leg)
    assert bool(centre.calls["1"].recordings) is bool(measured) is consent.recorded


def test_a_caller_who_refused_has_nothing_to_pause() -> None:
    centre = Centre("ann", lines=[TOLD])
    centre.arrive("1")
    says(centre, Consent.REFUSED)
    centre.answers("1", centre.rings("1", "ann"))
    made = centre.tell(ev.RecordingPauseAsked(at=centre.now, request=ev.Request(agent="ann", id="p")))
    assert of(act.MuteRecording, made) == []


def test_a_caller_is_told_before_they_are_sent_on_to_a_number_outside() -> None:
    never = (OpenHours(weekdays=(), opens=0, closes=1),)
    line = Line(name="support", numbers=("4001",), consent="recorded", hours=never, closed="number-10086")
    centre = Centre("ann", lines=[line])
    assert of(act.Overflow, centre.arrive("1")) == []
    assert len(of(act.Overflow, says(centre, Consent.ANNOUNCED))) == 1
