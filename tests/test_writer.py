"""What the core wants kept reaches the database, behind the calls, and nothing is taken for written before it is."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ctid.daemon.inbox import Inbox
from ctid.daemon.journal import Journal
from ctid.daemon.writer import Writer
from ctid.db import migrations, session
from ctid.db.agents import Agents
from ctid.db.calls import Calls
from ctid.db.session import Engine
from ctid.domain.actions import OpenTicket, Relink
from ctid.domain.events import CallRelinked, Request, TicketLinked
from ctid.domain.said import Code, say
from ctid.domain.types import AgentState, AgentStatus, CallRecord, Direction
from lab.process import until
from tests.db.site import NOON, PBX, add_agents

CALL = CallRecord(
    id="1700000000.1", pbx=PBX, direction=Direction.INBOUND, caller="1", dialled="4001", line=None, started_at=NOON
)
TICKET = OpenTicket(call_id=CALL.id, agent="a", contact_id=None, customer_id=None, caller="1", at=NOON + 5)


class Desk:
    """A writer at work on a database of its own; ``now`` is the PBX's clock."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.inbox, self.now = engine, Inbox(), NOON
        self.journal = Journal(folder / "journal", pbx=PBX, most=1 << 20)
        self.writer = Writer(engine, self.inbox, pbx=PBX, now=lambda: self.now, journal=self.journal)

    async def written(self) -> None:
        await until(lambda: not self.writer.pending, "all of it is written")

    async def without(self, table: str, *, gone: bool) -> None:
        """Take a table away, or bring it back."""
        old, new = (table, "away") if gone else ("away", table)
        async with session.writing(self.engine) as connection:
            await connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    engine = session.engine(f"sqlite:///{tmp_path}/ctid.db")
    await migrations.upgrade(engine)
    await add_agents(engine, "a")
    made = Desk(engine, tmp_path)
    task = asyncio.create_task(made.writer.run())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await engine.dispose()


async def test_a_call_its_agents_state_and_its_ticket_are_written_and_the_ticket_is_told(desk: Desk) -> None:
    talking = AgentStatus(agent="a", state=AgentState.TALKING, since=NOON + 5, call_id=CALL.id)
    desk.writer.save_call(CALL)
    desk.writer.save_agent(talking)
    desk.writer.open_ticket(TICKET)
    await desk.written()
    assert (await Calls(desk.engine).one(CALL.id)).ticket_ids == ("T1",)
    assert await Agents(desk.engine).statuses(PBX) == (talking,)
    told = await desk.inbox.take()
    assert isinstance(told, TicketLinked)
    assert (told.call_id, told.ticket.id, told.opened) == (CALL.id, "T1", True)


async def test_the_mark_stays_while_the_database_is_away_and_nothing_is_lost(desk: Desk) -> None:
    assert desk.writer.all_kept_at(desk.now) == NOON
    await desk.without("calls", gone=True)
    desk.now = NOON + 10
    desk.writer.save_call(CALL)
    with capture_logs() as lines:
        await until(lambda: [line for line in lines if line["event"] == "db.write_failed"], "it is tried in vain")
    assert desk.writer.all_kept_at(NOON + 10) == NOON
    await desk.without("calls", gone=False)
    await desk.written()
    assert desk.writer.all_kept_at(NOON + 11) == NOON + 11
    assert await Calls(desk.engine).one(CALL.id) == CALL


async def test_the_mark_goes_on_under_calls_that_never_pause(desk: Desk) -> None:
    assert desk.writer.all_kept_at(desk.now) == NOON
    async with session.writing(desk.engine):  # the database is locked while the first is written
        desk.now = NOON + 10
        desk.writer.save_call(CALL)
        await until(lambda: not desk.writer._news.is_set(), "it is being written")
        desk.writer.save_call(replace(CALL, id="1700000000.2"))
    await until(lambda: desk.writer.pending == 1, "the first is written")
    assert desk.writer.all_kept_at(NOON + 20) == NOON + 10
    await desk.written()


async def test_the_journal_is_emptied_under_a_call_that_never_stops_changing(desk: Desk) -> None:
    async def change() -> None:
        for second in itertools.count():
            desk.writer.save_call(replace(CALL, ended_at=NOON + second))
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(desk.writer.keep())
        async with session.writing(desk.engine):
            changing = tasks.create_task(change())
            await until(lambda: desk.journal.used, "the database does not take it, the journal does")
        await until(lambda: not desk.journal.used, "the database took it")
        changing.cancel()
        await desk.written()
        keeping.cancel()


async def test_the_journal_is_kept_while_it_knows_more_of_a_call_than_the_database(tmp_path: Path, desk: Desk) -> None:
    def so_far(seconds: int) -> CallRecord:
        return replace(CALL, ended_at=NOON + seconds)

    paced = Desk(desk.engine, tmp_path)  # nobody but this test has it write
    async with session.writing(desk.engine):
        paced.writer.save_call(so_far(1))
        round_ = asyncio.create_task(paced.writer._round())
        await asyncio.sleep(0)
        paced.writer.save_call(so_far(2))
        await paced.writer._put_by()
        paced.writer.save_call(so_far(3))
    await round_
    assert await Calls(desk.engine).one(CALL.id) == so_far(1)
    assert list(Journal(tmp_path / "journal", pbx=PBX, most=1 << 20).read().values()) == [so_far(2)]
    await paced.writer._round()
    assert not paced.journal.used


async def test_the_marks_stay_behind_what_was_heard_where_less_was_heard_than_time_passed(desk: Desk) -> None:
    assert desk.writer.all_kept_at(NOON) == desk.writer.all_written_at(NOON) == NOON
    async with session.writing(desk.engine):  # the database is locked while the first is written
        desk.now = NOON + 30
        desk.writer.save_call(CALL)
        await until(lambda: not desk.writer._news.is_set(), "it is being written")
        desk.writer.save_call(replace(CALL, id="1700000000.2"))
    await until(lambda: desk.writer.pending == 1, "the first is written")
    assert desk.writer.all_kept_at(NOON + 10) == desk.writer.all_written_at(NOON + 10) == NOON + 10
    await desk.written()


async def test_a_wish_to_move_a_call_is_carried_out_after_its_save_or_refused_while_the_database_is_away(
    desk: Desk,
) -> None:
    asked = Relink(
        request=Request(agent="a", id="r"), call_id=CALL.id, ticket_id=None, new=True, contact_id=None, at=NOON + 9
    )
    desk.writer.relink(asked)
    desk.writer.save_call(replace(CALL, agent="a"))
    done = await desk.inbox.take()
    assert isinstance(done, CallRelinked)
    assert (done.error, done.ticket and done.ticket.id, done.call and done.call.ticket_ids) == (None, "T1", ("T1",))
    await desk.without("calls", gone=True)
    desk.writer.relink(asked)
    refused = await desk.inbox.take()
    assert isinstance(refused, CallRelinked)
    assert refused.error == say(Code.NO_DATABASE)
    await desk.without("calls", gone=False)
    await desk.written()
    desk.writer.relink(replace(asked, request=Request(agent="b", id="r")))
    theirs = await desk.inbox.take()
    assert isinstance(theirs, CallRelinked)
    assert theirs.error == say(Code.NOT_YOUR_CALL)
