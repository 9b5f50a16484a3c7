"""What the daemon could not write while the database was away is in it afterwards, once, whatever became of the daemon."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ctid.daemon.inbox import Inbox
from ctid.daemon.journal import Journal, set_aside, waiting_bytes
from ctid.daemon.writer import Writer
from ctid.db import migrations, session
from ctid.db.agents import Agents
from ctid.db.callbacks import Callbacks
from ctid.db.calls import Calls
from ctid.db.session import Engine
from ctid.domain.actions import OpenTicket
from ctid.domain.types import (
    AgentState,
    AgentStatus,
    CallRecord,
    Certainty,
    Direction,
    LegRecord,
    LegResult,
    Outcome,
    RecordingRecord,
    RecordingState,
    Talk,
)
from lab.postgres import Postgres
from lab.process import until
from tests.db.site import NOON, PBX, add_agents
from tests.db.test_callbacks import ASKED

LEG = LegRecord(id="l", agent="a", party="p", offered_at=NOON + 1, answered_at=NOON + 3)
CALL = CallRecord(
    id=ASKED.id, pbx=PBX, direction=Direction.INBOUND, caller="1", dialled="4001", line=None, started_at=NOON
)
TALKING = replace(CALL, answered_at=NOON + 3, agent="a", legs=(replace(LEG, talks=(Talk(started_at=NOON + 3),)),))
OVER = replace(
    TALKING,
    ended_at=NOON + 20,
    outcome=Outcome.ANSWERED,
    legs=(
        replace(
            LEG,
            ended_at=NOON + 20,
            result=LegResult.ANSWERED,
            talks=(Talk(started_at=NOON + 3, ended_at=NOON + 20),),
        ),
    ),
    recordings=(RecordingRecord(id="r", path="r.wav", state=RecordingState.COMPLETE, seconds=17.0),),
)
TICKET = OpenTicket(call_id=CALL.id, agent="a", contact_id=None, customer_id=None, caller="1", at=NOON + 3)
STATES = tuple(
    AgentStatus(agent="a", state=state, since=NOON + since, reason=reason, phone="p")
    for state, since, reason in (
        (AgentState.TALKING, 3, None),
        (AgentState.WRAP_UP, 20, None),
        (AgentState.IDLE, 30, None),
        (AgentState.PAUSED, 31, "lunch"),
    )
)
TABLES = ["calls", "legs", "talks", "recordings", "recording_tickets", "call_tickets", "tickets", "ticket_steps"]
TABLES += ["callbacks", "agent_states", "agent_state_changes", "counters"]


class Site:
    """The database, which can be taken away, and a place for the journal."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.file = folder / "journal"

    def writer(self) -> Writer:
        journal = Journal(self.file, pbx=PBX, most=1 << 20)
        return Writer(self.engine, Inbox(), pbx=PBX, now=lambda: NOON + 60, journal=journal)

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[Writer]:
        """A daemon that is killed in the end: nobody waits for its last writes."""
        writer = self.writer()
        await writer.take_up()
        tasks = [asyncio.create_task(work) for work in (writer.run(), writer.keep())]
        try:
            yield writer
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def take_away(self) -> None:
        async with session.writing(self.engine) as connection:
            for table in ("calls", "agent_states", "callbacks"):
                await connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO away_{table}")

    async def bring_back(self) -> None:
        async with session.writing(self.engine) as connection:
            for table in ("calls", "agent_states", "callbacks"):
                await connection.exec_driver_sql(f"ALTER TABLE away_{table} RENAME TO {table}")

    async def put_by(self, records: int) -> None:
        def lines() -> int:
            return self.file.read_bytes().count(b"\n") - 1 if self.file.exists() else 0

        await until(lambda: lines() >= records, "it is on disk")

    async def rows(self) -> dict[str, list[tuple[object, ...]]]:
        async with session.reading(self.engine) as connection:
            return {
                table: sorted(map(tuple, await connection.exec_driver_sql(f"SELECT * FROM {table}")), key=repr)
                for table in TABLES
            }


@pytest.fixture
async def site(engine: Engine, tmp_path: Path) -> Site:
    await add_agents(engine, "a")
    return Site(engine, tmp_path)


def told(writer: Writer) -> None:
    for record in (CALL, TALKING, OVER):
        writer.save_call(record)
    for state in STATES:
        writer.save_agent(state)
    writer.open_ticket(TICKET)
    writer.save_callback(ASKED)


async def whole(site: Site) -> None:
    """All that ``told`` tells is in the books, once."""
    call = await Calls(site.engine).one(CALL.id)
    assert replace(call, ticket_ids=(), recordings=()) == replace(OVER, recordings=())
    assert (call.ticket_ids, [r.ticket_ids for r in call.recordings]) == (("T1",), [("T1",)])
    assert await Agents(site.engine).statuses(CALL.pbx) == (STATES[-1],)
    assert await Callbacks(site.engine).load() == (ASKED,)
    rows = await site.rows()
    assert {table: len(rows[table]) for table in ("tickets", "ticket_steps", "agent_state_changes", "talks")} == {
        "tickets": 1,
        "ticket_steps": 1,
        "agent_state_changes": len(STATES),
        "talks": 1,
    }


async def test_a_daemon_killed_while_the_database_is_away_leaves_all_of_it_to_the_next_one(site: Site) -> None:
    async with site.daemon() as writer:
        await site.take_away()
        told(writer)
        await site.put_by(7)
    await site.bring_back()
    async with site.daemon() as writer:
        assert not writer.pending
        await whole(site)
    assert waiting_bytes(site.file) == 0


async def test_a_start_whose_database_is_too_slow_for_all_of_it_goes_on_where_it_was(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.daemon() as writer:
        await site.take_away()
        for number in range(450):
            writer.save_call(replace(CALL, id=f"1700000000.{number}"))
        await site.put_by(450)
    await site.bring_back()
    asked: list[int] = []
    save = Calls.save

    async def tiring(store: Calls, records: Iterable[CallRecord]) -> None:
        asked.append(len(list(records)))
        if len(asked) == 2:
            raise session.DatabaseFault("it took too long")
        await save(store, records)

    monkeypatch.setattr(Calls, "save", tiring)
    writer = site.writer()
    with pytest.raises(session.DatabaseFault):
        await writer.take_up()
    assert waiting_bytes(site.file) > 0
    await writer.take_up()
    assert asked == [200, 200, 200, 50]
    assert (writer.pending, waiting_bytes(site.file), len((await site.rows())["calls"])) == (0, 0, 450)


async def test_what_was_written_before_the_daemon_fell_is_not_written_again(site: Site) -> None:
    async with site.daemon() as writer:
        await site.take_away()
        told(writer)
        await site.put_by(7)
    shutil.copy(site.file, site.file.with_name("before"))
    await site.bring_back()
    async with site.daemon():
        before = await site.rows()
    shutil.copy(site.file.with_name("before"), site.file)  # it fell before the journal was emptied
    async with site.daemon():
        assert await site.rows() == before
    await whole(site)


async def test_nothing_newer_is_in_the_database_than_in_a_journal_that_the_next_start_may_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bytes] = []
    save = Calls.save

    async def looked_at(store: Calls, records: Iterable[CallRecord]) -> None:
        kept.append(site.file.read_bytes())
        await save(store, records)

    monkeypatch.setattr(Calls, "save", looked_at)
    writer = site.writer()
    await writer.take_up()
    await site.take_away()
    writer.save_call(TALKING)
    with pytest.raises(session.DatabaseFault):
        await writer._round()
    await writer._put_by()
    writer.save_call(OVER)
    await site.bring_back()
    await writer._round()
    assert [b'"ended_at":%d' % (NOON + 20) in held for held in kept] == [False, True]
    assert (writer.pending, waiting_bytes(site.file)) == (0, 0)


async def test_a_call_that_somebody_saw_end_is_not_made_to_go_on_by_an_older_journal(site: Site) -> None:
    async with site.daemon() as writer:
        await site.take_away()
        writer.save_call(TALKING)
        await site.put_by(1)
    await site.bring_back()
    other = replace(OVER, legs=tuple(replace(leg, certainty=Certainty.BACKFILLED) for leg in OVER.legs), recordings=())
    await Calls(site.engine).save([other])
    async with site.daemon():
        assert await Calls(site.engine).one(CALL.id) == other


async def test_a_start_without_the_database_leaves_the_journal_as_it_is(site: Site) -> None:
    async with site.daemon() as writer:
        await site.take_away()
        told(writer)
        await site.put_by(7)
    held = waiting_bytes(site.file)
    with pytest.raises(session.DatabaseFault):
        await site.writer().take_up()
    assert waiting_bytes(site.file) == held
    await site.bring_back()
    await site.writer().take_up()
    await whole(site)


async def test_no_disk_is_written_to_while_the_database_takes_what_it_is_told(site: Site) -> None:
    async with site.daemon() as writer:
        stamp = site.file.stat()
        told(writer)
        await until(lambda: not writer.pending, "it is written")
        assert (site.file.stat().st_mtime_ns, waiting_bytes(site.file)) == (stamp.st_mtime_ns, 0)
    await whole(site)


async def test_a_database_that_neither_takes_nor_refuses_is_not_waited_for(site: Site) -> None:
    """SQLite waits ten seconds for a lock, a PostgreSQL that is cut off says nothing at all."""
    async with site.daemon() as writer, session.writing(site.engine) as other:
        if site.engine.threads is None:
            await other.exec_driver_sql("LOCK TABLE calls")
        with capture_logs() as lines:
            told(writer)
            await site.put_by(7)
            assert not [line for line in lines if line["event"] == "db.write_failed"]
        assert writer.all_kept_at(NOON + 60) == NOON + 60
    async with site.daemon():
        await whole(site)


async def test_the_mark_of_the_next_start_stays_where_neither_database_nor_disk_takes_anything(site: Site) -> None:
    async with site.daemon() as writer:
        assert writer.all_kept_at(NOON + 50) == NOON + 50
        await site.take_away()
        site.file.unlink()
        site.file.mkdir()
        with capture_logs() as lines:
            writer.save_call(replace(TALKING, started_at=NOON + 40))
            await until(lambda: "journal.not_written" in [line["event"] for line in lines], "it is tried in vain")
        assert writer.all_kept_at(NOON + 60) == NOON + 40
        site.file.rmdir()
        await site.put_by(1)
        await until(lambda: writer.all_kept_at(NOON + 60) == NOON + 60, "the mark goes on")
        await site.bring_back()


async def test_a_stop_while_the_database_is_away_leaves_what_it_could_not_write_to_the_next_start(site: Site) -> None:
    async with site.daemon() as writer:
        await site.take_away()
        with capture_logs() as lines:
            told(writer)
            await writer.drain(0.01)
        assert [line["in_journal"] for line in lines if line["event"] == "db.not_written"] == [True]
    await site.bring_back()
    async with site.daemon():
        await whole(site)


async def test_a_server_that_falls_silent_for_good_is_given_up_and_written_to_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctid.daemon.writer._PATIENCE", 0.5)
    async with Postgres(tmp_path / "postgres") as server:
        url = await server.database("ctid")
        engine, pages = session.engine(url), session.engine(url, patience=0.5)
        await migrations.upgrade(engine)
        await add_agents(engine, "a")
        await session.ping(pages)
        site = Site(engine, tmp_path)
        async with site.daemon() as writer:
            writer.save_call(CALL)
            await until(lambda: not writer.pending, "it is written")
            server.freeze()
            told(writer)
            with capture_logs() as lines:
                await until(lambda: "db.write_failed" in [line["event"] for line in lines], "it is given up", limit=20)
            assert "no answer within 0.5 s" in next(
                line["error"] for line in lines if line["event"] == "db.write_failed"
            )
            with pytest.raises(session.DatabaseFault, match=r"no answer in time; is the server reachable\?"):
                await session.ping(pages)
            await site.put_by(7)
            server.thaw()
            await until(lambda: not writer.pending, "it is written", limit=20)
            await until(lambda: not waiting_bytes(site.file), "the journal is empty")
        await whole(site)
        await engine.dispose()
        await pages.dispose()


async def test_what_the_database_refuses_holds_up_nothing_else_nor_the_next_start(site: Site) -> None:
    never = replace(CALL, id="1.1", started_at=1e13)
    async with site.daemon() as writer:
        with capture_logs() as lines:
            writer.save_agent(AgentStatus(agent="b", state=AgentState.IDLE, since=1e13))
            writer.save_call(never)
            told(writer)
            await until(lambda: not writer.pending, "the others are written")
        refused = [(line["what"], line["id"]) for line in lines if line["event"] == "db.refused"]
        assert refused == [("call", "1.1"), ("agent", 1)]
        await whole(site)
        [aside] = set_aside(site.file)
        assert b'"id":"1.1"' in aside.read_bytes()
    journal = Journal(site.file, pbx=PBX, most=1 << 20)
    journal.read()
    journal.keep({("call", "1.1"): never, ("call", CALL.id): OVER})
    async with site.daemon():
        await whole(site)
        assert not waiting_bytes(site.file)
