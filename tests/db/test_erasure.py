"""A person is erased: what goes, what stays, who is in the way, and what the report says."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import insert, select
from sqlalchemy.event import listen

from ctid.daemon.inbox import Inbox
from ctid.daemon.journal import Journal
from ctid.daemon.writer import Writer
from ctid.db import search, session
from ctid.db.audits import Actor
from ctid.db.call_notes import CallNotes
from ctid.db.callbacks import Callbacks
from ctid.db.calls import Calls
from ctid.db.erasure import Erasures, FilesLeft, OnThePhone, Stage, UnderHold, Withdrawn
from ctid.db.files import FileKind, NoSuchFile
from ctid.db.holds import Holds
from ctid.db.merging import Merging
from ctid.db.numbers import normalise
from ctid.db.remnants import sweep
from ctid.db.tables import (
    audit,
    contacts,
    customers,
    metadata,
    posts,
    site_visits,
    ticket_attempts,
    ticket_steps,
    tickets,
)
from ctid.domain.actions import OpenTicket
from ctid.domain.types import CallbackRecord, CallbackState, Direction, LegRecord, RecordingState
from tests.db.site import PBX, add_agents, add_contact, add_customer, add_ticket
from tests.db.test_retention import BY, NOW, call

NAME = "Ann Unmistakable"
NUMBER = "+8613800138000"
SHARED = "+862155640000"
#: Nothing of these may be left anywhere.
TRACES = (NAME, "Unmistakable", "13800138000", "138 0013 8000", "ann@example.com", "prefers tea")


@pytest.fixture
async def store(engine) -> Erasures:
    """A site where the person stands wherever a person can."""
    for key in ("C1", "C2"):
        await add_customer(engine, key)
    await add_agents(engine, "7")
    await add_contact(engine, "P1", "138 0013 8000", "021 5564 0000", customer="C1")
    await add_contact(engine, "P2", "021 5564 0000", customer="C1")
    await add_contact(engine, "P3", "13900139000", customer="C2")
    await add_ticket(engine, "T1", contact_id="P1", customer_id="C1", subject=f"{NAME} rang", asked="138-0013-8000!")
    await add_ticket(engine, "T2", customer_id="C1", subject="Printer", confirmed_by=NAME.upper())
    await add_ticket(engine, "T3", customer_id="C2", subject=f"Somebody called {NAME}", next_step="ring 13800138000")
    at = session.instant(NOW)
    async with session.writing(engine) as connection:
        change = contacts.update().where(contacts.c.id == "P1")
        await connection.execute(change.values(name=NAME, email="ann@example.com", notes="prefers tea"))
        await connection.execute(contacts.update().where(contacts.c.id == "P2").values(notes=f"sits by {NAME}"))
        await connection.execute(customers.update().values(notes="ask Ann Unmistakable").where(customers.c.id == "C1"))
        await connection.execute(insert(posts).values(contact_id="P1", customer_id="C1", notes="prefers tea"))
        row = {"ticket_id": "T1", "at": at}
        await connection.execute(
            insert(ticket_attempts).values(row | {"what": f"told {NAME}", "result": "+8613800138000"})
        )
        await connection.execute(
            insert(ticket_steps).values(row | {"kind": "changed", "changes": {"confirmed_by": [None, NAME]}})
        )
        visit = {
            "customer_id": "C1",
            "kind": "on_site",
            "at": at,
            "person": NAME,
            "notes": "let in by ann unmistakable",
        }
        await connection.execute(insert(site_visits).values(visit))
        await connection.run_sync(search.index_all)
    leg = LegRecord(id="L", agent=None, party="13800138000", offered_at=NOW - 40 * 86_400)
    await Calls(engine).save(
        [
            call("known", 40, contact_id="P1", customer_id="C1", caller_name="ANN UNMISTAKABLE", ticket_ids=("T1",)),
            call("by-number", 30, caller="013800138000"),
            call("shared", 30, caller=SHARED, contact_id="P1"),
            call("out", 20, direction=Direction.OUTBOUND, caller="4001", dialled="13800138000", legs=(leg,)),
            call("others", 20, caller=SHARED),
            call("stranger", 20, caller="+8613900139000", contact_id="P3"),
        ]
    )
    await Callbacks(engine).save([callback(CallbackState.DONE)])
    await CallNotes(engine).put(PBX, "known", "Solved", f"{NAME} was glad", BY)
    return Erasures(engine, partial(normalise, country="CN"))


def callback(state: CallbackState) -> CallbackRecord:
    return CallbackRecord(
        id="known",
        pbx=PBX,
        number=NUMBER,
        dial="13800138000",
        called="4001",
        line="sales",
        level=1,
        severity=1,
        arrived_at=NOW - 5e6,
        asked_at=NOW - 5e6,
        due_at=NOW - 5e6,
        state=state,
        ended_at=None if state is CallbackState.WAITING else NOW - 4e6,
    )


async def everything(engine) -> str:
    """All that is in all tables, as one text."""
    said = []
    async with session.reading(engine) as connection:
        for table in metadata.sorted_tables:
            said += [repr(tuple(row)) for row in await connection.execute(select(table))]
    return "\n".join(said)


async def erased(store: Erasures, key: str = "P1"):
    begun = await store.ask(key, BY)
    await store.keep_gone(await store.files(begun, PBX, NOW))
    return await store.erase(begun, NOW)


async def test_after_it_the_person_is_nowhere_in_the_books_and_everybody_else_is(engine, store: Erasures) -> None:
    before = await everything(engine)
    assert [trace for trace in TRACES if trace not in before] == []
    done = await erased(store)
    left = await everything(engine)
    # T3 is another customer's: whose name it is, a person must say; the number is nobody else's.
    assert f"Somebody called {NAME}" in left
    left = left.lower().replace(f"somebody called {NAME}".lower(), "")
    assert [trace for trace in TRACES if trace.lower() in left] == []
    assert "'4001'" in left
    assert SHARED in left  # of the colleague with whom it was shared, and of a caller nobody knew
    assert "+8613900139000" in left
    assert done.stage is Stage.ERASED
    calls = {one.id: one for one in await Calls(engine).load()}
    assert len(calls) == 6
    assert [calls[key].caller for key in ("known", "by-number", "shared", "others")] == [None, None, None, SHARED]
    assert (calls["out"].caller, calls["out"].dialled, calls["out"].legs[0].party) == ("4001", None, "[erased]")
    assert (calls["known"].contact_id, calls["known"].customer_id) == (None, "C1")
    assert {calls[key].recordings[0].state for key in ("known", "by-number", "out")} == {RecordingState.ERASED}
    assert calls["stranger"].recordings[0].state is RecordingState.COMPLETE
    async with session.reading(engine) as connection:
        rows = (await connection.execute(select(tickets).order_by(tickets.c.id))).all()
    assert [(row.subject, row.contact_id) for row in rows][:2] == [("[erased] rang", None), ("Printer", None)]


async def test_the_report_says_what_was_erased_and_where_to_look_and_names_nobody(engine, store: Erasures) -> None:
    done = await erased(store)
    report = done.report
    assert report is not None
    assert report["counts"] | {"texts": 0} == {
        "files": 1,
        "numbers": 2,
        "calls": 4,
        "recordings": 4,
        "tickets": 1,
        "parties": 1,
        "callbacks": 1,
        "texts": 0,
    }
    assert report["calls"] == [f"{PBX}/{key}" for key in ("by-number", "known", "out", "shared")]
    assert report["tickets"] == ["T1"]
    assert report["mentions"] == {"tickets": ["T3"]}
    assert not any(trace.lower() in json.dumps(report).lower() for trace in TRACES)
    await store.end(done, {"beyond": ["backups"]}, NOW + 5)
    kept = await store.one(done.id)
    assert kept is not None
    assert (kept.stage, kept.done_at, kept.asked_by) == (Stage.DONE, NOW + 5, "boss")
    assert await store.unfinished() == []
    assert [one.id for one in await store.all()] == [done.id]


async def test_a_look_beforehand_changes_nothing(engine, store: Erasures) -> None:
    before = await everything(engine)
    assert await store.preview("P1", NOW) == {
        "files": 1,
        "numbers": 2,
        "calls": 4,
        "recordings": 4,
        "tickets": 1,
        "open_tickets": 1,
    }
    assert await everything(engine) == before


async def test_nobody_of_a_customer_under_hold_is_erased_also_where_the_hold_comes_in_between(
    engine, store: Erasures
) -> None:
    begun = await store.ask("P1", BY)
    await Holds(engine).place("C1", "court case 7", BY)
    for refused in (
        store.preview("P1", NOW),
        store.ask("P1", BY),
        store.files(begun, PBX, NOW),
        store.erase(begun, NOW),
    ):
        with pytest.raises(UnderHold, match="customer C1 is under legal hold"):
            await refused
    assert NAME in await everything(engine)
    await Holds(engine).lift("C1", BY)
    assert (await store.ask("P1", BY)).id == begun.id  # the one that was begun


async def test_a_recording_that_anothers_ticket_holds_keeps_the_person(engine, store: Erasures) -> None:
    await Calls(engine).save([call("of-both", 10, contact_id="P1", customer_id="C1", ticket_ids=("T3",))])
    begun = await store.ask("P1", BY)
    await Holds(engine).place("C2", "court case 7", BY)
    for refused in (store.preview("P1", NOW), store.files(begun, PBX, NOW), store.erase(begun, NOW)):
        with pytest.raises(UnderHold, match="a ticket of another customer"):
            await refused


async def test_a_callback_that_a_call_of_theirs_asked_for_by_a_shared_number_is_owed_to_them(
    engine, store: Erasures
) -> None:
    theirs = replace(callback(CallbackState.WAITING), id="shared", number=SHARED, dial="02155640000")
    await Callbacks(engine).save([theirs])
    with pytest.raises(OnThePhone):
        await store.ask("P1", BY)
    await Callbacks(engine).save([replace(theirs, state=CallbackState.DONE, ended_at=NOW - 600)])
    with pytest.raises(OnThePhone):
        await store.ask("P1", BY)  # the daemon may save it once more
    await Callbacks(engine).save([replace(theirs, state=CallbackState.DONE, ended_at=NOW - 1000)])
    await erased(store)
    assert {one.number for one in await Callbacks(engine).load()} == {"[erased]"}


async def test_a_number_goes_from_a_callback_also_where_no_call_is_known_to_be_theirs(engine) -> None:
    await add_customer(engine, "C1")
    await add_contact(engine, "P1", "138 0013 8000", customer="C1")
    await add_contact(engine, "P9", "13900139000", customer="C1")
    await Calls(engine).save([call("known", 40, contact_id="P9", customer_id="C1")])
    await Callbacks(engine).save([callback(CallbackState.DONE)])
    await erased(Erasures(engine, partial(normalise, country="CN")))
    [kept] = await Callbacks(engine).load()
    assert (kept.number, kept.dial) == ("[erased]", "[erased]")


async def test_a_number_that_left_their_file_goes_from_what_was_rung_in_their_calls(engine, store: Erasures) -> None:
    old = LegRecord(id="L", agent=None, party="13300133000", offered_at=NOW - 40 * 86_400)
    ours = LegRecord(id="M", agent="7", party="PJSIP/7", offered_at=NOW - 40 * 86_400)
    out = {"direction": Direction.OUTBOUND, "caller": "4001", "dialled": "13300133000"}
    await Calls(engine).save([call("before", 40, contact_id="P1", legs=(old, ours), **out)])
    await erased(store)
    assert "13300133000" not in await everything(engine)
    assert (await Calls(engine).one("before")).legs[1].party == "PJSIP/7"


async def test_no_record_from_before_brings_anybody_back_out_of_memory_or_of_the_journal(
    engine, store: Erasures, tmp_path
) -> None:
    leg = LegRecord(id="N", agent=None, party="13800138000", offered_at=NOW - 15 * 86_400)
    await Calls(engine).save([call("sent-on", 15, caller="+8613900139000", contact_id="P3", legs=(leg,))])
    late, owed = await Calls(engine).load(), await Callbacks(engine).load()
    out = next(one for one in late if one.id == "out")
    more = replace(out, legs=(*out.legs, replace(leg, id="O", party="13300133000")))
    await erased(store)
    after = sorted((await everything(engine)).splitlines())
    await Calls(engine).save(late)
    await Callbacks(engine).save(owed)
    assert sorted((await everything(engine)).splitlines()) == after

    journal = Journal(tmp_path / "journal", pbx=PBX, most=1 << 20)
    journal.read()
    asked = OpenTicket(call_id="out", agent="7", contact_id="P1", customer_id=None, caller="13800138000", at=NOW)
    waiting = {("call", one.id): one for one in (*late, more)}
    journal.keep({**waiting, ("callback", "known"): owed[0], ("ticket", "out"): asked})
    again = Journal(tmp_path / "journal", pbx=PBX, most=1 << 20)
    await Writer(engine, Inbox(), pbx=PBX, now=lambda: NOW, journal=again).take_up()
    left = (await everything(engine)).lower().replace(f"somebody called {NAME}".lower(), "")
    assert [trace for trace in (*TRACES, "13300133000") if trace.lower() in left] == []
    calls = {one.id: one for one in await Calls(engine).load()}
    assert [leg.party for leg in calls["out"].legs] == ["[erased]", "[erased]"]
    assert calls["sent-on"].caller == "+8613900139000"
    assert "'call from unknown number'" in left


@pytest.mark.parametrize("name", [NAME, "安妮甲乙丙"])
async def test_what_the_audit_and_a_tickets_history_say_of_them_goes_or_is_named(
    engine, store: Erasures, name: str
) -> None:
    async with session.writing(engine) as connection:
        await connection.execute(contacts.update().where(contacts.c.id == "P1").values(name=name))
        step = {"ticket_id": "T3", "at": session.instant(NOW), "kind": "changed", "changes": {"asked": [None, name]}}
        await connection.execute(insert(ticket_steps).values(step))
    for customer in ("C1", "C2"):
        await Holds(engine).place(customer, f"dispute with {name}, 138 0013 8000", BY)
        await Holds(engine).lift(customer, BY)
    done = await erased(store)
    assert done.report is not None
    async with session.reading(engine) as connection:
        rows = (await connection.execute(select(audit.c.id, audit.c.subject, audit.c.changes))).all()
    said = {row.subject: row.changes["legal_hold"] for row in rows if row.changes}
    assert said == {
        "C1": ["dispute with [erased], [erased]", None],
        "C2": [f"dispute with {name}, [erased]", None],
    }
    assert done.report["mentions"]["audit"] == [str(row.id) for row in rows if row.subject == "C2"]
    assert done.report["mentions"]["ticket_steps"] == ["T3"]


async def test_who_is_on_the_telephone_or_to_be_called_back_is_not_erased_yet(engine, store: Erasures) -> None:
    await Callbacks(engine).save([callback(CallbackState.WAITING)])
    with pytest.raises(OnThePhone, match="try again later"):
        await store.ask("P1", BY)
    await Callbacks(engine).save([callback(CallbackState.DONE)])
    await Calls(engine).save([call("live", 0.01, contact_id="P1", ended_at=None)])
    with pytest.raises(OnThePhone):
        await store.ask("P1", BY)
    await Calls(engine).save([call("live", 0.01, contact_id="P1", ended_at=NOW - 600)])
    with pytest.raises(OnThePhone):
        await store.ask("P1", BY)
    assert await store.ask("P1", Actor(at=NOW + 600))


async def test_one_withdrawn_goes_no_further_and_one_carried_out_is_not_withdrawn(engine, store: Erasures) -> None:
    begun = await store.ask("P1", BY)
    await store.withdraw(begun.id, BY)
    before = await everything(engine)
    for step in (store.files(begun, PBX, NOW), store.erase(begun, NOW), store.withdraw(begun.id, BY)):
        with pytest.raises(Withdrawn):  # by a daemon that had begun with it
            await step
    assert await everything(engine) == before
    assert await store.unfinished() == []
    done = await erased(store)
    with pytest.raises(Withdrawn):
        await store.withdraw(done.id, BY)


async def test_recordings_on_another_pbx_wait_for_the_ctid_there(engine, store: Erasures) -> None:
    await Calls(engine).save([call("far", 10, pbx="pbx2", contact_id="P1")])
    begun = await store.ask("P1", BY)
    here = await store.files(begun, PBX, NOW)
    await store.keep_gone(here)
    with pytest.raises(FilesLeft, match="on the PBX pbx2"):
        await store.erase(begun, NOW)
    assert await store.files(begun, PBX, NOW) == []
    await store.keep_gone(await store.files(begun, "pbx2", NOW))
    assert (await store.erase(begun, NOW)).stage is Stage.ERASED


async def test_files_that_were_merged_go_with_the_one_that_took_them_up(engine, store: Erasures) -> None:
    await add_contact(engine, "P9", "13700137000", customer="C1")
    await Merging(engine).merge(FileKind.CONTACT, "P9", "P1", (1, 1), BY)
    await erased(store, "P9")
    async with session.reading(engine) as connection:
        assert set(await connection.scalars(select(contacts.c.id))) == {"P2", "P3"}
    assert "13700137000" not in await everything(engine)
    with pytest.raises(NoSuchFile):
        await store.preview("P9", NOW)


async def test_on_postgresql_every_table_is_swept(engine) -> None:
    said: list[str] = []
    listen(engine.sync_engine, "before_cursor_execute", lambda *told: said.append(told[2]))
    await sweep(engine)
    swept = {line.removeprefix("VACUUM ") for line in said if line.startswith("VACUUM ")}
    assert swept == (set(metadata.tables) if engine.dialect.name == "postgresql" else set())


async def test_the_sweep_may_be_repeated_and_loses_nothing(engine, store: Erasures) -> None:
    before = await everything(engine)
    await sweep(engine)
    await sweep(engine)
    assert await everything(engine) == before
