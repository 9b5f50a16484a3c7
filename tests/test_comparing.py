"""A day's books beside what the PBX wrote: what agrees is silent, what doesn't is one line that says what to do."""

from __future__ import annotations

import pytest

from ctid.comparing import (
    Billed,
    BookCall,
    BookDay,
    BookLeg,
    CdrDay,
    Comparison,
    PbxDay,
    PbxLeg,
    Span,
    What,
    compare,
)
from ctid.domain.types import Certainty, RecordingState

START, END = 86_400.0, 172_800.0
NOON = 129_600.0


def books(*talks: Span, recording: RecordingState = RecordingState.COMPLETE, certainty: str = "exact") -> BookDay:
    return BookDay(
        calls={"1.1": BookCall(began=NOON, ended=True)},
        legs={"1.2": BookLeg(call="1.1", agent="ann", certainty=Certainty(certainty), talks=talks)},
        recordings=(("1.1", "lab-1.1", "x/1.1.wav", recording),),
    )


def cel(*talks: Span) -> PbxDay:
    day = PbxDay(began={"1.1": NOON}, ended={"1.1"}, recorded={"1.1": "x/1.1.wav"})
    day.legs["1.1"] = PbxLeg(call="1.1", originator=True, talks=list(talks))
    if talks:
        day.legs["1.2"] = PbxLeg(call="1.1", talks=list(talks))
    return day


def cdr(answered: Span | None) -> CdrDay:
    return CdrDay(records=(Billed(call="1.1", channel="1.1", began=NOON, answered=answered),))


def held(booked: BookDay, told: PbxDay | None, billed: CdrDay | None = None) -> Comparison:
    return compare(booked, told, billed, start=START, end=END)


def about(found: Comparison) -> list[What]:
    return [one.what for one in found.differences]


def test_what_agrees_but_for_milliseconds_is_silent_and_still_measured() -> None:
    found = held(books((NOON, NOON + 10)), cel((NOON, NOON + 10.25)), cdr((NOON - 3, NOON + 10)))
    assert (found.differences, found.drift_seconds) == ((), 0.25)
    assert (found.calls, found.cel_calls, found.cdr_calls) == (1, 1, 1)


def test_talk_that_differs_is_told_of_the_call_and_of_the_agent() -> None:
    found = held(books((NOON, NOON + 30)), cel((NOON, NOON + 10)))
    assert about(found) == [What.CALL_TALK, What.AGENT_TALK]
    assert found.drift_seconds == 20.0
    assert {one.seconds for one in found.differences} == {20.0}
    assert "ctid explain 1.1" in found.differences[0].says


def test_estimated_talk_says_why_it_differs() -> None:
    found = held(books((NOON, NOON + 30), certainty="estimated"), cel((NOON, NOON + 10)))
    assert "CEL was not read" in found.differences[0].says


def test_a_call_the_books_lack_is_named_once_though_cel_and_cdr_have_it() -> None:
    found = held(BookDay(calls={}, legs={}, recordings=()), cel((NOON, NOON + 10)), cdr((NOON, NOON + 10)))
    assert about(found).count(What.CALL_MISSING) == 1
    assert found.drift_seconds == 10.0


def test_a_call_only_the_books_have_is_named() -> None:
    found = held(books(), PbxDay())
    assert What.CALL_UNKNOWN in about(found)


def test_an_agents_channel_the_books_lack_counts_as_drift_of_its_call() -> None:
    told = cel((NOON, NOON + 10))
    told.legs["1.3"] = PbxLeg(call="1.1", talks=[(NOON, NOON + 5)])
    assert about(held(books((NOON, NOON + 10)), told)) == [What.CALL_TALK]


def test_a_call_that_is_over_on_the_pbx_and_under_way_in_the_books_is_named() -> None:
    booked = BookDay(calls={"1.1": BookCall(began=NOON, ended=False)}, legs={}, recordings=())
    assert about(held(booked, cel())) == [What.CALL_UNENDED]


@pytest.mark.parametrize("at", [START + 0.2, END - 0.2])
def test_a_call_at_midnight_may_lie_on_either_day(at: float) -> None:
    assert about(held(BookDay(calls={}, legs={}, recordings=()), PbxDay(began={"1.1": at}))) == []


def test_cdr_shows_ringing_and_waiting_too_so_only_more_talk_than_it_has_is_a_difference() -> None:
    assert about(held(books((NOON, NOON + 10)), None, cdr((NOON - 60, NOON + 10)))) == []
    found = held(books((NOON, NOON + 10)), None, cdr((NOON, NOON + 4)))
    assert (about(found), found.drift_seconds) == ([What.CALL_TALK], 6.0)
    found = held(books((NOON, NOON + 10)), None, cdr(None))
    assert "no answered record in CDR" in found.differences[0].says


def test_a_consultation_that_merged_is_billed_to_the_call_that_survived() -> None:
    booked = BookDay(
        calls={
            "1.1": BookCall(began=NOON, ended=True),
            "2.1": BookCall(began=NOON + 5, ended=True, merged_into="1.1"),
        },
        legs={"2.2": BookLeg(call="1.1", agent="bob", certainty=Certainty.EXACT, talks=((NOON + 6, NOON + 20),))},
        recordings=(),
    )
    billed = CdrDay(records=(Billed(call="2.1", channel="2.1", began=NOON + 5, answered=(NOON + 6, NOON + 20)),))
    assert about(held(booked, None, billed)) == []


@pytest.mark.parametrize("state", [RecordingState.MISSING, RecordingState.DAMAGED, RecordingState.RECORDING])
def test_a_recording_that_is_not_whole_is_named_with_its_path(state: RecordingState) -> None:
    found = held(books((NOON, NOON + 10), recording=state), cel((NOON, NOON + 10)))
    assert about(found) == [What.RECORDING]
    assert "x/1.1.wav" in found.differences[0].says


def test_a_call_that_talked_and_has_no_recording_in_the_books_is_named() -> None:
    booked = books((NOON, NOON + 10))
    bare = BookDay(calls=booked.calls, legs=booked.legs, recordings=())
    assert about(held(bare, cel((NOON, NOON + 10)))) == [What.RECORDING]
