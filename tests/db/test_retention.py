"""Which recordings are past their time, and which are not, whatever the clock says and whoever is held."""

from __future__ import annotations

from sqlalchemy import select, update

from ctid.db import session
from ctid.db.audits import Actor
from ctid.db.calls import Calls
from ctid.db.files import FileKind
from ctid.db.holds import Holds
from ctid.db.merging import Merging
from ctid.db.recordings import Recordings
from ctid.db.retention import AT_LEAST, Kept, clock_fault, keep_erased, night
from ctid.db.tables import audit, recordings
from ctid.domain.types import CallRecord, Direction, Outcome, RecordingRecord, RecordingState, Via
from tests.db.site import PBX, add_contact, add_customer, add_ticket

DAY = 86_400.0
NOW = 1_800_000_000.0
BY = Actor(at=NOW, user_name="boss")
SITE = Kept(days=30, lines={})


def call(key: str, days_ago: float, **more: object) -> CallRecord:
    """An answered call with its recording, so many days ago."""
    at = NOW - days_ago * DAY
    values: dict[str, object] = {
        "id": key,
        "pbx": PBX,
        "direction": Direction.INBOUND,
        "caller": "+8613800138000",
        "dialled": "4001",
        "line": "sales",
        "started_at": at,
        "ended_at": at + 60,
        "outcome": Outcome.ANSWERED,
        "via": Via.CTID,
        "recordings": (
            RecordingRecord(id=f"{PBX}-{key}", path=f"{key}.wav", state=RecordingState.COMPLETE, seconds=60.0),
        ),
    }
    return CallRecord(**(values | more))  # type: ignore[arg-type]


async def due(engine, kept: Kept = SITE) -> list[str]:
    return [one.call_id for one in (await night(engine, PBX, NOW, kept)).due]


async def test_recordings_older_than_the_sites_days_are_due_the_oldest_first(engine) -> None:
    await Calls(engine).save([call("young", 29), call("old", 31), call("older", 40), call("live", 50, ended_at=None)])
    found = await night(engine, PBX, NOW, SITE)
    assert [one.path for one in found.due] == ["older.wav", "old.wav"]
    assert (found.left, found.held) == (0, 0)
    assert (await night(engine, "another-pbx", NOW, SITE)).due == ()
    assert await due(engine, Kept(days=None, lines={})) == []


async def test_a_lines_own_days_go_before_the_sites_and_a_customers_before_both(engine) -> None:
    for key in ("C1", "C2", "C3"):
        await add_customer(engine, key)
    await Holds(engine).keep_for("C1", 90, BY)
    await Holds(engine).keep_for("C2", 5, BY)
    await Calls(engine).save(
        [
            call("long", 40, customer_id="C1"),
            call("short", 10, customer_id="C2"),
            call("plain", 40, customer_id="C3"),
            call("of-line", 10, line="service", customer_id="C3"),
            call("no-line", 40, line=None),
        ]
    )
    assert await due(engine, Kept(days=30, lines={"service": 7})) == ["no-line", "plain", "of-line", "short"]
    assert await due(engine, Kept(days=None, lines={})) == ["short"]  # a customer's own days need no other's


async def test_what_hangs_on_a_customer_under_hold_by_any_thread_is_never_due(engine) -> None:
    await add_customer(engine, "C1")
    await add_contact(engine, "P1", customer="C1")
    await add_ticket(engine, "T1", customer_id="C1")
    await Calls(engine).save(
        [
            call("by-customer", 40, customer_id="C1"),
            call("by-contact", 40, contact_id="P1"),
            call("by-ticket", 40, ticket_ids=("T1",)),
            call("free", 40),
        ]
    )
    assert len(await due(engine)) == 4
    await Holds(engine).place("C1", "court case 7", BY)
    found = await night(engine, PBX, NOW, SITE)
    assert ([one.call_id for one in found.due], found.held) == (["free"], 3)
    await Holds(engine).lift("C1", BY)
    assert len(await due(engine)) == 4


async def test_a_merge_lifts_no_hold_and_the_calls_of_both_files_are_held(engine) -> None:
    for key in ("C1", "C2"):
        await add_customer(engine, key)
    await Calls(engine).save([call("one", 40, customer_id="C1"), call("two", 40, customer_id="C2")])
    await Holds(engine).place("C1", "court case 7", BY)
    await Merging(engine).merge(FileKind.CUSTOMER, "C1", "C2", (1, 1), BY)
    assert await due(engine) == []
    [hold] = await Holds(engine).all()
    assert (hold.reason, hold.by, hold.since) == ("court case 7", "boss", NOW)
    assert (await Holds(engine).of("C1")).hold == (await Holds(engine).of("C2")).hold


async def test_a_merge_keeps_recordings_for_the_longer_of_the_two_customers_days(engine) -> None:
    for key in ("short", "none", "long", "other", "none too", "long too"):
        await add_customer(engine, key)
    holds = Holds(engine)
    for key, days in {"short": 7, "long": 3650, "other": 30, "long too": 90}.items():
        await holds.keep_for(key, days, BY)
    for gone, kept, days in (("short", "none", None), ("long", "other", 3650), ("none too", "long too", 90)):
        await Merging(engine, SITE).merge(FileKind.CUSTOMER, gone, kept, (1, 1), BY)
        assert (await holds.of(kept)).days == days
    await add_customer(engine, "more")
    await Merging(engine, Kept(days=30, lines={"service": 365})).merge(
        FileKind.CUSTOMER, "more", "long too", (1, 2), BY
    )
    assert (await holds.of("long too")).days == 365, "what came by that line stays as long as it would have"


async def test_placing_and_lifting_a_hold_stand_in_the_audit(engine) -> None:
    await add_customer(engine, "C1")
    holds = Holds(engine)
    await holds.place("C1", "court case 7", BY)
    await holds.place("C1", "court case 8", Actor(at=NOW + 5, user_name="other"))
    assert [(one.reason, one.by, one.since) for one in await holds.all()] == [("court case 8", "boss", NOW)]
    await holds.lift("C1", BY)
    await holds.lift("C1", BY)
    async with session.reading(engine) as connection:
        rows = (await connection.execute(select(audit.c.action, audit.c.changes).order_by(audit.c.id))).all()
    assert [(row.action, row.changes["legal_hold"]) for row in rows] == [
        ("hold_placed", [None, "court case 7"]),
        ("hold_placed", ["court case 7", "court case 8"]),
        ("hold_lifted", ["court case 8", None]),
    ]


async def test_a_night_takes_three_days_worth_at_most_and_says_what_is_left(engine) -> None:
    lately = [call(f"new{n}", n % 30) for n in range(1500)]
    await Calls(engine).save([*lately, *(call(f"old{n:04}", 400 - n / 100) for n in range(400))])
    found = await night(engine, PBX, NOW, SITE)
    assert len(found.due) == 150  # of 50 a day
    assert found.due[0].call_id == "old0000"
    assert found.left == 250
    assert AT_LEAST < 150


async def test_what_is_erased_stays_so_whatever_an_older_record_says(engine) -> None:
    old = call("old", 40)
    await Calls(engine).save([old])
    await keep_erased(engine, (await night(engine, PBX, NOW, SITE)).due, BY)
    assert await due(engine) == []
    await Calls(engine).save([old])
    [kept] = (await Calls(engine).one("old")).recordings
    assert (kept.state, kept.seconds) == (RecordingState.ERASED, 60.0)
    await keep_erased(engine, (), BY)
    async with session.reading(engine) as connection:
        [row] = await connection.execute(select(audit).where(audit.c.action == "recordings_erased"))
    assert row.context == {"recordings": 1}


async def test_a_clock_that_the_books_do_not_bear_out_is_told(engine) -> None:
    assert await clock_fault(engine, NOW) is None  # no calls: nothing is due either
    await Calls(engine).save([call("newest", 0.1), call("before", 5)])
    assert await clock_fault(engine, NOW) is None
    assert await clock_fault(engine, NOW + 3600) is None
    assert await clock_fault(engine, NOW - 3600) is None
    for wrong in (NOW + 365 * DAY, NOW - DAY):
        assert "the newest call in the books is of 2027-01-15" in str(await clock_fault(engine, wrong))
    await Calls(engine).save([call("in-the-wrong-year", -365)])  # calls came in, by the same wrong clock
    assert "but after 2027-01-15 there is none for a month" in str(await clock_fault(engine, NOW + 365 * DAY))


async def test_calls_of_days_by_a_wrong_clock_do_not_bear_it_out_until_somebody_says_so(engine) -> None:
    await Calls(engine).save([call(f"right{n}", n * 10) for n in range(8)])
    wrong = NOW + 365 * DAY
    for days in range(6):
        await Calls(engine).save([call(f"wrong{days}", -365 - days)])
        assert "but after 2027-01-15 there is none for a month" in str(await clock_fault(engine, wrong + days * DAY))
    # By hand, anyway: what it erased is in the audit, and the nights after it need nobody.
    night_of = await night(engine, PBX, wrong + 5 * DAY, SITE)
    await keep_erased(engine, night_of.due[:1], Actor(at=wrong + 5 * DAY))
    assert await clock_fault(engine, wrong + 6 * DAY) is None


async def test_what_is_being_recorded_or_gone_already_is_not_due(engine) -> None:
    await Calls(engine).save([call("old", 40)])
    async with session.writing(engine) as connection:
        await connection.execute(update(recordings).values(state="erased"))
    assert await due(engine) == []
    await Calls(engine).save([call("long", 40, ended_at=NOW - DAY / 2)])
    async with session.writing(engine) as connection:
        await connection.execute(update(recordings).values(state="recording"))
    assert await due(engine) == ["old"], "of the other the file may be measured yet"


async def test_a_recording_that_nobody_ever_measured_is_due_and_sealed_like_others(engine) -> None:
    never = RecordingRecord(id="never", path="never.wav", state=RecordingState.RECORDING)
    await Calls(engine).save([call("old", 40, recordings=(never,))])
    assert await due(engine) == ["old"]
    assert await Recordings(engine).paths(PBX, NOW) == ["never.wav"]
    assert await Recordings(engine).paths(PBX, NOW - 40 * DAY + 3600) == []


async def test_recordings_nobody_could_read_are_named_the_newest_first_and_found_only_once(engine) -> None:
    def unread(key: str, days_ago: float, state: RecordingState = RecordingState.MISSING, **more: object) -> CallRecord:
        return call(key, days_ago, recordings=(RecordingRecord(id=key, path=f"{key}.wav", state=state),), **more)

    store = Calls(engine)
    await store.save([unread("older", 3), unread("newer", 2), unread("closed", 1, RecordingState.DAMAGED)])
    await store.save([unread("live", 1, ended_at=None), unread("old", 9), unread("theirs", 1, pbx="another")])
    await store.save([unread("begun", 1, RecordingState.RECORDING)])
    since = NOW - 5 * DAY
    assert [one.id for one in await store.unread(PBX, since, limit=2)] == ["closed", "newer"]
    assert not await store.has_recordings(PBX)
    read = RecordingRecord(id="newer", path="newer.wav", state=RecordingState.COMPLETE, seconds=60.0, sha256="its own")
    await store.found(PBX, read)
    await store.found(
        PBX, RecordingRecord(id="newer", path="newer.wav", state=RecordingState.DAMAGED, sha256="another")
    )
    assert (await store.one("newer")).recordings == (read,)
    assert [one.id for one in await store.unread(PBX, since, limit=9)] == ["closed", "older"]
    assert await store.has_recordings(PBX)
