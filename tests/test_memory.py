"""What a daemon that stands by remembers, and for how long it can be relied on."""

from __future__ import annotations

from ctid.daemon.memory import MOST, SECONDS, Memory
from ctid.domain.events import CallEnded, CallerHeld, CallStarted
from ctid.domain.types import Certainty

NOON = 1_772_452_800.0


def started(at: float) -> CallStarted:
    return CallStarted(at=at, call_id=f"{at}", caller=None, caller_name=None, dialled="4001", endpoint="trunk")


def test_what_was_seen_is_told_as_the_past_and_exact() -> None:
    memory = Memory()
    memory.begin(NOON)
    memory.keep(started(NOON + 1))
    memory.keep(CallerHeld(at=NOON + 2, call_id="1", channel="c", seq=1, dialled=None, why=None, waited=0))
    memory.keep(CallEnded(at=NOON + 9, call_id="1"))
    told = memory.after(NOON + 4)
    assert [event.at for event in told] == [NOON + 9]
    assert [(event.certainty, event.witnessed) for event in told] == [(Certainty.EXACT, False)]
    assert [type(event) for event in memory.after(NOON)] == [CallStarted, CallEnded]  # who is held, the snapshot tells


def test_it_says_how_far_back_it_has_everything() -> None:
    memory = Memory()
    assert not memory.reaches(NOON)
    memory.begin(NOON)
    assert (memory.reaches(NOON - 0.1), memory.reaches(NOON)) == (False, True)
    memory.keep(started(NOON + 1))
    memory.keep(started(NOON + SECONDS + 2))
    assert (memory.reaches(NOON), memory.reaches(NOON + 1)) == (False, True)
    memory.lose()
    assert not memory.reaches(NOON + 100)


def test_a_flood_does_not_fill_it() -> None:
    memory = Memory()
    memory.begin(NOON)
    for number in range(MOST + 10):
        memory.keep(started(NOON + number / 1e6))
    assert len(memory.after(NOON)) == MOST
    assert not memory.reaches(NOON)
