"""What was promised to a caller comes back as it was kept."""

from dataclasses import replace

import pytest

from ctid.db.callbacks import Callbacks
from ctid.db.calls import Calls
from ctid.domain.types import CallbackRecord, CallbackState, CallRecord, Consent, Direction, Outcome, Via
from tests.db.site import NOON, PBX

ASKED = CallbackRecord(
    id="1700000000.1",
    pbx=PBX,
    number="+8613800138000",
    dial="13800138000",
    called="4008001234",
    line="support",
    level=4,
    severity=2,
    arrived_at=NOON - 60.5,
    asked_at=NOON,
    due_at=NOON,
)


@pytest.fixture
def store(engine) -> Callbacks:
    return Callbacks(engine)


async def test_what_is_owed_is_read_again_whole_and_what_is_over_is_not(store):
    done = replace(ASKED, id="1700000000.2", state=CallbackState.DONE, ended_at=NOON + 9)
    elsewhere = replace(ASKED, pbx="other")
    refused = replace(ASKED, id="1700000000.3", consent=Consent.REFUSED)
    await store.save([ASKED, done, elsewhere, refused])
    assert await store.open(PBX) == (ASKED, refused)


async def test_saving_again_changes_what_changed(store):
    called = replace(ASKED, state=CallbackState.CALLING, rung=1, attempt="callback1-1.1", agent="ann", due_at=NOON + 5)
    failed = replace(called, state=CallbackState.FAILED, tries=3, ended_at=NOON + 99, why="not reached")
    for record in (ASKED, ASKED, called, failed):
        await store.save([record])
    assert await store.load() == (failed,)
    assert await store.load(only_open=True) == await store.load(since=NOON + 1) == ()


async def test_the_calls_made_for_a_callback_are_listed_with_it(engine, store):
    asked = CallRecord(
        id=ASKED.id,
        pbx=PBX,
        direction=Direction.INBOUND,
        caller="1",
        dialled="2",
        line=None,
        started_at=NOON - 60,
        ended_at=NOON,
        outcome=Outcome.OVERFLOW,
        via=Via.CTID,
        callback=ASKED.id,
    )
    made = [replace(asked, id=f"callback{n}-1.1", direction=Direction.OUTBOUND, started_at=NOON + n) for n in (2, 1)]
    await Calls(engine).save([asked, *made])
    assert await store.attempts([(PBX, ASKED.id)]) == {(PBX, ASKED.id): ["callback1-1.1", "callback2-1.1"]}
    assert await store.attempts([]) == {}
