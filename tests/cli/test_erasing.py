"""``ctid erase``: afterwards the person is in no file of the database and in no recording; what is cut off goes on."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from functools import partial

import pytest
from sqlalchemy import update

from ctid.config import load
from ctid.daemon.erasing import Erasing
from ctid.daemon.journal import Journal
from ctid.db import search, session
from ctid.db.audits import Actor
from ctid.db.calls import Calls
from ctid.db.erasure import Erasure, Erasures, Stage
from ctid.db.files import FileKind
from ctid.db.holds import Holds
from ctid.db.merging import Merging
from ctid.db.numbers import normalise
from ctid.db.tables import contacts
from lab.process import until
from tests.cli.conftest import Site
from tests.cli.test_retention import call, files, one_line, states
from tests.db.site import add_contact, add_customer, add_ticket

TRACES = ("安妮甲乙丙", "13800138000", "138 0013 8000", "138-0013-8000", "oolong")


@pytest.fixture
def known(site: Site) -> Site:
    """A person with a ticket, and two recordings of theirs beside one of nobody's."""
    text = site.config.read_text()
    site.config.write_text(text.replace(f'root = "{site.folder}"', f'root = "{site.folder}/monitor"'))
    (site.folder / "monitor").mkdir()
    asyncio.run(_save(site))
    return site


async def _save(site: Site) -> None:
    engine = session.engine(site.url)
    await add_customer(engine, "C1")
    await add_contact(engine, "P1", "138 0013 8000", customer="C1")
    await add_contact(engine, "P2", "13900139000", customer="C1")
    await add_ticket(engine, "T1", customer_id="C1", contact_id="P1", subject="安妮甲乙丙 rang from 138-0013-8000")
    async with session.writing(engine) as connection:
        person = update(contacts).where(contacts.c.id == "P1").values(name="安妮甲乙丙", notes="prefers oolong")
        await connection.execute(person)
        await connection.run_sync(search.index_all)
    mine = {"contact_id": "P1", "customer_id": "C1"}
    other = {"caller": "+8613900139000", "contact_id": "P2"}
    saved = [call("one", 3, **mine), call("two", 2, **mine), call("other", 2, **other)]
    await Calls(engine).save(saved)
    await engine.dispose()
    for record in saved:
        (site.folder / "monitor" / record.recordings[0].path).write_bytes(b"sound")


def holding(site: Site) -> set[str]:
    """The files in the site's folder where the person still stands."""
    return {
        file.name
        for file in site.folder.rglob("*")
        if file.is_file() and any(trace.encode() in file.read_bytes() for trace in TRACES)
    }


def leave_remnants(site: Site) -> None:
    """What was deleted before, as SQLite leaves it in free pages where nobody has it overwrite them."""
    with closing(sqlite3.connect(site.folder / "ctid.db", isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete = OFF")
        rows = [(f"old{n}", "x", "oolong " * 500) for n in range(20)]
        database.executemany("INSERT INTO contacts (id, name, notes) VALUES (?, ?, ?)", rows)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("DELETE FROM contacts WHERE id LIKE 'old%'")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def store(site: Site, engine: session.Engine) -> Erasures:
    return Erasures(engine, partial(normalise, country="CN"))


async def asked(site: Site) -> Erasure:
    engine = session.engine(site.url)
    erasure = await store(site, engine).ask("P1", Actor(at=time.time(), user_name="root"))
    await engine.dispose()
    return erasure


def test_after_an_erasure_the_person_is_in_no_byte_of_the_database_and_the_recordings_are_gone(known: Site) -> None:
    leave_remnants(known)
    assert "ctid.db" in holding(known)
    looked = known.ctid("erase", "contact", "P1", "--dry-run")
    assert "would be erased: files 1, numbers 1, calls 2, recordings 2, tickets 1, open tickets 1" in looked.out
    assert files(known) == {"one", "two", "other"}
    [done] = known.ctid("erase", "contact", "P1", "--json").json
    assert holding(known) == set()
    assert files(known) == {"other"}
    assert states(known) == {"one": "erased", "two": "erased", "other": "complete"}
    assert (done["stage"], done["report"]["counts"]["recordings"]) == ("done", 2)
    assert done["asked_by"].startswith("command line (")
    assert done["report"]["remains"]["state_files"] == []
    assert "backups" in done["report"]["remains"]["beyond"]
    assert known.ctid("erase", "reports", "1").json == [done]
    with closing(sqlite3.connect(known.folder / "ctid.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    one_line(known.ctid("erase", "contact", "P1"), "there is no contact P1")


def test_a_file_of_the_state_directory_where_the_person_still_stands_is_named_in_the_report(known: Site) -> None:
    (known.folder / "days").mkdir()
    (known.folder / "days" / "2026-11-22.ami").write_bytes(b"x" * (1 << 20) + b"CallerIDNum: 13800138000\r\n")
    [done] = known.ctid("erase", "contact", "P1", "--json").json
    assert done["report"]["remains"]["state_files"] == ["days/2026-11-22.ami"]


def test_an_erasure_cut_off_after_the_files_is_carried_to_its_end(known: Site) -> None:
    asyncio.run(asked(known))
    (known.folder / "monitor" / "one.wav").unlink()
    assert known.ctid("erase", "finish", "--json").json == [{"id": 1, "contact_id": "P1", "waits": None}]
    assert holding(known) == set()
    assert files(known) == {"other"}
    assert known.ctid("erase", "finish", "--json").json == []


def test_an_erasure_that_waits_is_withdrawn_by_its_number_and_only_once(known: Site) -> None:
    asyncio.run(asked(known))
    assert known.ctid("erase", "withdraw", "1").out == "erasure 1 is withdrawn\n"
    assert known.ctid("erase", "finish").out.startswith("0 erased, 0 wait")
    assert files(known) == {"one", "two", "other"}
    one_line(known.ctid("erase", "withdraw", "1"), "it was withdrawn, or is carried out")


def test_an_erasure_cut_off_after_the_rows_is_cleaned_out_by_the_next(known: Site) -> None:
    async def cut_off() -> None:
        engine = session.engine(known.url)
        begun = await asked(known)
        of = store(known, engine)
        await of.keep_gone(await of.files(begun, "pbx", time.time()))
        assert (await of.erase(begun, time.time())).stage is Stage.ERASED
        await engine.dispose()

    asyncio.run(cut_off())
    assert known.ctid("erase", "finish").out.startswith("1 erased, 0 wait")
    assert holding(known) == set()


def test_what_stands_in_the_way_is_one_line_and_nothing_is_touched(known: Site) -> None:
    async def held() -> None:
        engine = session.engine(known.url)
        await Holds(engine).place("C1", "court case 7", Actor(at=time.time()))
        await engine.dispose()

    asyncio.run(asked(known))
    asyncio.run(held())
    one_line(known.ctid("erase", "contact", "P1"), "under legal hold")
    waits = known.ctid("erase", "finish", "--anyway")
    assert waits.out.startswith("0 erased, 1 wait")
    assert "under legal hold" in waits.err
    assert files(known) == {"one", "two", "other"}


def test_a_hold_that_comes_while_recordings_are_deleted_keeps_the_rest(known: Site) -> None:
    more = [call(f"more{n}", 2, contact_id="P1", customer_id="C1") for n in range(20)]

    async def save() -> None:
        engine = session.engine(known.url)
        await Calls(engine).save(more)
        await engine.dispose()

    asyncio.run(save())
    for record in more:
        (known.folder / "monitor" / record.recordings[0].path).write_bytes(b"sound")
    with closing(sqlite3.connect(known.folder / "ctid.db")) as database:
        hold = "UPDATE customers SET hold_reason = 'court case 7', held_since = '2027-01-01 00:00:00' WHERE id = 'C1'"
        database.execute(f"CREATE TRIGGER a AFTER UPDATE ON recordings BEGIN {hold}; END")
    one_line(known.ctid("erase", "contact", "P1"), "under legal hold")
    left = files(known)
    assert 10 < len(left) < 23
    assert {key for key, state in states(known).items() if state != "erased"} == left


def test_recordings_that_are_not_found_keep_the_person_until_somebody_says_that_they_are_gone(known: Site) -> None:
    for key in ("one", "two", "other"):
        (known.folder / "monitor" / f"{key}.wav").unlink()
    (known.folder / "monitor" / "another").mkdir()
    one_line(known.ctid("erase", "contact", "P1"), "run: ctid erase finish --anyway")
    assert set(states(known).values()) == {"complete"}
    assert known.ctid("erase", "finish").out.startswith("0 erased, 1 wait")
    assert known.ctid("erase", "finish", "--anyway").out.startswith("1 erased, 0 wait")
    [report] = known.ctid("erase", "reports", "1").json
    assert sorted(report["report"]["remains"]["not_found"]) == ["one", "two"]
    assert states(known) == {"one": "erased", "two": "erased", "other": "complete"}


def test_calls_that_an_outage_left_in_the_journal_are_waited_for(known: Site) -> None:
    journal = Journal(load(known.config, {}).journal, pbx="pbx", most=1 << 20)
    journal.read()
    late = call("late", 0.5, contact_id="P1")
    journal.keep({("call", late.id): late})
    one_line(known.ctid("erase", "contact", "P1"), "wait there for the database")
    assert files(known) == {"one", "two", "other"}
    journal.clear()
    assert known.ctid("erase", "finish").out.startswith("1 erased, 0 wait")
    assert files(known) == {"other"}


def test_of_two_asked_for_whose_files_were_merged_since_neither_waits_for_ever(known: Site) -> None:
    async def merged() -> None:
        engine = session.engine(known.url)
        for key in ("P1", "P2"):
            await store(known, engine).ask(key, Actor(at=time.time()))
        await Merging(engine).merge(FileKind.CONTACT, "P2", "P1", (1, 1), Actor(at=time.time()))
        await engine.dispose()

    asyncio.run(merged())
    assert known.ctid("erase", "finish").out.startswith("2 erased, 0 wait")
    assert files(known) == set()
    assert known.ctid("erase", "finish", "--json").json == []
    assert [one["stage"] for one in known.ctid("erase", "reports", "--json").json] == ["done", "done"]


async def test_the_daemon_carries_out_what_was_asked_for_on_a_page(known: Site) -> None:
    await asked(known)
    engine = session.engine(known.url)
    erasing = asyncio.create_task(Erasing(load(known.config, {}), engine, known.config, lambda: True).run())

    async def done() -> bool:
        return not await store(known, engine).unfinished()

    await until(done, "the person is erased", limit=30)
    erasing.cancel()
    await asyncio.gather(erasing, return_exceptions=True)
    await engine.dispose()
    assert holding(known) == set()
