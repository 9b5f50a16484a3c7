"""The books come back as they were saved, and nothing others added is lost."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctid.db import session
from ctid.db.calls import Calls, NoSuchCall, SeveralCalls
from ctid.db.session import DatabaseFault
from ctid.db.tables import talks
from ctid.domain.types import (
    CallRecord,
    Candidate,
    Certainty,
    Consent,
    Decision,
    Direction,
    Diversion,
    Gap,
    GapEnd,
    LegRecord,
    LegResult,
    Outcome,
    RecordingRecord,
    RecordingState,
    Rule,
    Skip,
    Talk,
    Via,
)
from tests.db.site import NOON, PBX, add_ticket

WHOLE = CallRecord(
    id="1700000000.1",
    pbx=PBX,
    direction=Direction.INBOUND,
    caller="+8613800138000",
    caller_name="王小明",
    dialled="4008001234",
    line="support",
    contact_id="p1",
    customer_id="c1",
    started_at=NOON + 0.123456,
    answered_at=NOON + 5,
    ended_at=NOON + 65,
    outcome=Outcome.ANSWERED,
    via=Via.CTID,
    ticket_ids=("T1",),
    agent="a",
    callback="1700000000.1",
    consent=Consent.ACCEPTED,
    diversions=(
        Diversion(at=NOON + 3.5, line="sales", reason=Outcome.OVERFLOW, to="line-support"),
        Diversion(at=NOON + 3.75, line="support", reason=None, to="front", by="Bo Ss"),
    ),
    legs=(
        LegRecord(
            id="1700000000.2",
            agent="b",
            party="phone-b",
            offered_at=NOON + 1,
            ended_at=NOON + 4,
            result=LegResult.NO_ANSWER,
        ),
        LegRecord(
            id="1700000000.3",
            agent="a",
            party="phone-a",
            offered_at=NOON + 4,
            answered_at=NOON + 5,
            ended_at=NOON + 65,
            hold_seconds=3.5,
            result=LegResult.ANSWERED,
            certainty=Certainty.ESTIMATED,
            talks=(
                Talk(started_at=NOON + 5, ended_at=NOON + 30),
                Talk(started_at=NOON + 31, ended_at=NOON + 65, customer=False, certainty=Certainty.BACKFILLED),
            ),
        ),
    ),
    recordings=(
        RecordingRecord(
            id="r1",
            path="2026/03/02/r1.wav",
            state=RecordingState.COMPLETE,
            seconds=59.5,
            sha256="ab" * 32,
            ticket_ids=("T1",),
            gaps=(
                Gap(started_at=NOON + 10, until=NOON + 20, ended_at=NOON + 12.5, agent="a", ended=GapEnd.RESUMED),
                Gap(started_at=NOON + 40, until=NOON + 50, by="supervisor", cut=True),
            ),
        ),
    ),
    decisions=(
        Decision(at=NOON + 1, rule=Rule.TICKET_OWNER, chosen="b", owner="b"),
        Decision(
            at=NOON + 4,
            rule=Rule.LEAST_TALK,
            chosen="a",
            owner="b",
            owner_ticket="T0",
            owner_skipped=Skip.TRIED,
            considered=(Candidate(agent="a", talk_seconds=12.25, idle_since=NOON - 9.5),),
            skipped=((Skip.OFFLINE, 3), (Skip.TRIED, 1)),
        ),
    ),
)
BARE = CallRecord(
    id="1700000000.9", pbx=PBX, direction=Direction.INTERNAL, caller=None, dialled=None, line=None, started_at=NOON
)


@pytest.fixture
async def calls(engine) -> Calls:
    await add_ticket(engine, "T1")
    await add_ticket(engine, "T2")
    return Calls(engine)


async def test_a_call_comes_back_as_it_was_saved(calls):
    await calls.save([WHOLE, BARE])
    assert await calls.load() == [BARE, WHOLE]


async def test_of_the_calls_asked_for_by_id_none_is_left_out_however_many_they_are(calls):
    many = [replace(BARE, id=f"1700000000.{number}", started_at=NOON - number) for number in range(450)]
    await calls.save(many)
    assert await calls.some([(PBX, call.id) for call in many] + [(PBX, "none")]) == many[::-1]


async def test_saving_again_changes_nothing_and_the_last_of_a_batch_counts(calls):
    await calls.save([BARE, WHOLE, replace(WHOLE, legs=(), decisions=()), WHOLE])
    await calls.save([WHOLE])
    assert await calls.load() == [BARE, WHOLE]


async def test_a_call_grows_and_legs_that_left_it_are_gone(calls):
    await calls.save([replace(WHOLE, ended_at=None, outcome=None, recordings=())])
    await calls.save([replace(WHOLE, legs=WHOLE.legs[1:], decisions=WHOLE.decisions[:1])])
    saved = await calls.one(WHOLE.id)
    assert (saved.legs, saved.decisions, saved.outcome) == (WHOLE.legs[1:], WHOLE.decisions[:1], Outcome.ANSWERED)


async def test_a_call_under_way_comes_back_as_last_saved_whatever_changed_since(calls):
    first, second = WHOLE.legs
    started = replace(WHOLE, ended_at=None, outcome=None, legs=(), decisions=(), recordings=(), ticket_ids=())
    talking = replace(second, ended_at=None, result=None, talks=(Talk(started_at=NOON + 5),))
    for fields in (
        {},
        {"decisions": WHOLE.decisions[:1]},
        {"decisions": WHOLE.decisions, "legs": (first, talking)},
        {"decisions": WHOLE.decisions, "legs": (first, second)},
        {"decisions": WHOLE.decisions, "legs": (first, second), "ticket_ids": ("T1",), "recordings": WHOLE.recordings},
        {"decisions": WHOLE.decisions, "legs": (second,), "ticket_ids": ("T1",), "recordings": WHOLE.recordings},
        {"decisions": WHOLE.decisions[1:], "ticket_ids": ("T1",), "recordings": WHOLE.recordings},
        {"legs": (first,), "ticket_ids": ("T1",), "recordings": WHOLE.recordings},
    ):
        step = replace(started, **fields)
        await calls.save([step])
        assert await calls.one(WHOLE.id) == step
    await calls.save([WHOLE])
    assert await calls.one(WHOLE.id) == WHOLE


async def test_after_a_save_that_failed_the_next_one_writes_all_of_it(engine, calls):
    under_way = replace(WHOLE, ended_at=None, outcome=None)
    await calls.save([replace(under_way, legs=WHOLE.legs[:1])])
    async with session.writing(engine) as connection:
        await connection.exec_driver_sql("DELETE FROM legs")
        await connection.exec_driver_sql("ALTER TABLE talks RENAME TO away")
    with pytest.raises(DatabaseFault):
        async with session.faults(engine):
            await calls.save([under_way])
    async with session.writing(engine) as connection:
        await connection.exec_driver_sql("ALTER TABLE away RENAME TO talks")
    await calls.save([under_way])
    assert await calls.one(WHOLE.id) == under_way


async def test_one_linkedid_on_two_pbxes_is_two_calls(calls):
    await calls.save([BARE, replace(BARE, pbx="pbx2", caller="110")])
    assert len(await calls.load()) == 2
    with pytest.raises(SeveralCalls, match="pbx2/") as several:
        await calls.one(BARE.id)
    assert {call.pbx for call in several.value.calls} == {BARE.pbx, "pbx2"}
    assert (await calls.one(f"pbx2/{BARE.id}")).caller == "110"
    assert await calls.one(f"{BARE.pbx}/{BARE.id[:-1]}") == BARE
    with pytest.raises(NoSuchCall, match="there is no call pbx3/"):
        await calls.one(f"pbx3/{BARE.id}")


async def test_ticket_links_are_united_and_those_to_unknown_tickets_left_out(calls):
    await calls.save([WHOLE])
    await calls.save([replace(WHOLE, ticket_ids=("T2", "gone"))])
    assert (await calls.one(WHOLE.id)).ticket_ids == ("T1", "T2")
    await calls.save([replace(WHOLE, ticket_ids=())])
    assert (await calls.one(WHOLE.id)).ticket_ids == ("T1", "T2")


async def test_a_measured_recording_stays_measured(calls):
    await calls.save([WHOLE])
    stale = RecordingRecord(id="r1", path="half", state=RecordingState.RECORDING)
    await calls.save([replace(WHOLE, recordings=(stale,))])
    await calls.save([replace(WHOLE, recordings=())])
    assert (await calls.one(WHOLE.id)).recordings == WHOLE.recordings


async def test_a_recording_moves_to_the_call_that_survives_a_merge(calls):
    await calls.save([WHOLE])
    await calls.save([replace(BARE, recordings=WHOLE.recordings)])
    await calls.save([replace(WHOLE, recordings=())])
    assert (await calls.one(BARE.id)).recordings == WHOLE.recordings
    assert (await calls.one(WHOLE.id)).recordings == ()


async def test_lists_take_the_time_from_since_up_to_but_not_including_until(calls):
    await calls.save([replace(BARE, id=f"1.{n}", started_at=NOON + n) for n in range(5)])
    assert [c.id for c in await calls.load(since=NOON + 1, until=NOON + 3)] == ["1.1", "1.2"]
    assert [c.id for c in await calls.load(limit=2)] == ["1.3", "1.4"]


async def test_lists_by_agent_contact_customer_and_ticket(calls):
    await calls.save([WHOLE, BARE])
    for condition in ({"agent": "a"}, {"contact_id": "p1"}, {"customer_id": "c1"}, {"ticket_id": "T1"}):
        assert await calls.load(**condition) == [WHOLE]


async def test_a_long_list_comes_whole(calls):
    many = [replace(BARE, id=f"1.{n:04}", started_at=NOON + n) for n in range(450)]
    await calls.save(many)
    assert await calls.load() == many


async def test_unfinished_calls_are_those_without_an_end(calls):
    under_way = replace(WHOLE, id="2.1", ended_at=None, outcome=None, recordings=())
    await calls.save([WHOLE, under_way])
    assert await calls.unfinished() == [under_way]


async def test_a_call_is_found_by_a_prefix_that_only_it_has(calls):
    await calls.save([WHOLE, BARE])
    assert await calls.one("1700000000.1") == WHOLE
    with pytest.raises(NoSuchCall, match="several calls begin with 17"):
        await calls.one("17")
    with pytest.raises(NoSuchCall, match="there is no call %"):
        await calls.one("%")


async def test_the_talk_of_ended_calls_comes_back_for_the_ledger(calls):
    open_leg = replace(WHOLE.legs[1], talks=(Talk(started_at=NOON + 40),))
    await calls.save([WHOLE, replace(WHOLE, id="2.1", ended_at=None, legs=(open_leg,), recordings=())])
    expected = [("a", "1700000000.3", NOON + 5, NOON + 30)]  # not the colleague's consultation, not the call under way
    assert await calls.talks_since(WHOLE.pbx, NOON + 10) == expected
    assert await calls.talks_since(WHOLE.pbx, NOON + 30) == []
    await calls.save([replace(WHOLE, pbx="north", recordings=())])
    assert await calls.talks_since(WHOLE.pbx, NOON + 10) == expected  # ids are of a PBX: this is another call


async def test_text_no_database_can_hold_does_not_stop_a_save(calls):
    hostile = "a\0b\ud800c'; DROP TABLE calls; --\u202e"
    await calls.save([replace(BARE, caller=hostile, caller_name=hostile), WHOLE])
    assert (await calls.one(BARE.id)).caller == "a\ufffdb\ufffdc'; DROP TABLE calls; --\u202e"


async def test_deleting_a_call_takes_its_books_along(engine, calls):
    await calls.save([WHOLE])
    async with session.writing(engine) as connection:
        await connection.exec_driver_sql("DELETE FROM calls")
        assert (await connection.execute(talks.select())).all() == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(min_value=0, max_value=4e9), hold=st.floats(min_value=0, max_value=1e6), name=st.text(max_size=50))
async def test_times_survive_to_the_microsecond(calls, at, hold, name):
    leg = replace(WHOLE.legs[0], offered_at=at, hold_seconds=hold)
    await calls.save([replace(BARE, started_at=at, caller_name=name, legs=(leg,))])
    saved = await calls.one(BARE.id)
    assert abs(saved.started_at - at) <= 1e-6
    assert abs(saved.legs[0].offered_at - at) <= 1e-6
    assert saved.legs[0].hold_seconds == hold
    assert saved.caller_name == name.replace("\0", "\ufffd")
