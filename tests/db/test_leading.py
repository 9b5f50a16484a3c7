"""The office of who acts: one holds it for each PBX, what an ousted holder writes is refused, a frozen one can be ousted."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from ctid.db import leading, migrations, session
from ctid.db.calls import Calls
from ctid.db.leading import Office, Ousted
from ctid.db.session import DatabaseFault, Engine
from ctid.domain.types import CallRecord, Direction
from lab.postgres import Postgres
from lab.process import until
from tests.db.site import NOON

PBX = "pbx1"


class Daemon:
    """What one daemon has of the database."""

    def __init__(self, url: str, name: str, pbx: str = PBX) -> None:
        self.name, self.pbx = name, pbx
        self.engine: Engine = session.engine(url, session=f"ctid {name}")
        self.office = Office(self.engine, pbx=pbx, node=name, epoch=f"epoch-{name}", session=f"ctid {name}")
        leading.fence(self.engine, pbx=pbx, epoch=f"epoch-{name}")

    async def elected(self) -> leading.Term:
        assert await self.office.lock()
        return await self.office.elect()

    async def resumes(self) -> None:
        """As often as it takes: a connection that was ended may show it only when it is used."""
        while True:
            with suppress(DatabaseFault):
                await self.office.resume()
                return

    async def writes(self, call: str) -> None:
        record = CallRecord(
            id=call, pbx=self.pbx, direction=Direction.INBOUND, caller="1", dialled="4001", line=None, started_at=NOON
        )
        await Calls(self.engine).save([record])

    async def knows(self) -> list[str]:
        return sorted(call.id for call in await Calls(self.engine).load(since=NOON - 1))


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> str:
    async def made() -> str:
        engine = session.engine(await postgres.database("leading"))
        await migrations.upgrade(engine)
        await engine.dispose()
        return postgres.url("leading")

    return asyncio.run(made())


@pytest.fixture
async def two(url: str) -> AsyncIterator[tuple[Daemon, Daemon]]:
    east, west = Daemon(url, "east"), Daemon(url, "west")
    async with west.engine.begin() as connection:
        await connection.exec_driver_sql("TRUNCATE leaders, calls CASCADE")
    yield east, west
    for daemon in (east, west):
        daemon.office.close()
        await daemon.engine.dispose()


async def test_one_holds_the_office_and_the_other_sees_who_and_that_it_lives(two: tuple[Daemon, Daemon]) -> None:
    east, west = two
    assert await west.office.see() is None
    assert (await east.elected()).predecessor is None
    assert not await west.office.lock()
    seen = await west.office.see()
    assert not await east.office.renew(NOON, -3600.0)
    await west.office.stand_by()
    assert await east.office.renew(None)
    now = await west.office.see()
    assert seen is not None
    assert now is not None
    assert (now.node, now.term, now.beat - seen.beat) == ("east", 1, 2)
    assert (seen.stepped, now.written_until, now.stepped) == (None, NOON, -3600.0)
    [acting] = await leading.who_acts(west.engine)
    assert (acting.node, acting.standby, acting.released, acting.age < 60) == ("east", "west", False, True)


async def test_an_office_given_up_is_taken_at_once_with_what_was_written(two: tuple[Daemon, Daemon]) -> None:
    east, west = two
    await east.elected()
    await east.office.release(NOON + 5, 0.0)
    before = (await west.elected()).predecessor
    assert before is not None
    assert (before.node, before.released, before.written_until, before.stepped) == ("east", True, NOON + 5, 0.0)
    with pytest.raises(Ousted, match="west holds the office, term 2"):
        await east.office.resume()


async def test_a_frozen_holder_is_ousted_with_its_lock_and_the_transaction_it_stood_in(
    two: tuple[Daemon, Daemon],
) -> None:
    east, west = two
    await east.elected()
    written = asyncio.Event()
    go_on = asyncio.Event()

    async def write() -> None:
        async with session.faults(east.engine), session.writing(east.engine) as frozen:
            await frozen.exec_driver_sql("DELETE FROM calls")
            written.set()
            await go_on.wait()
            await frozen.exec_driver_sql("DELETE FROM calls")

    writing = asyncio.create_task(write())
    await written.wait()
    holder = await west.office.see()
    assert holder is not None
    await west.office.oust(holder)
    await until(west.office.lock, "the lock is free")
    assert (await west.office.elect()).number == 2
    go_on.set()
    with pytest.raises(DatabaseFault):
        await writing
    with pytest.raises(Ousted, match="west holds the office"):
        await east.resumes()


async def test_what_an_ousted_holder_writes_is_refused_and_what_it_reads_is_not(two: tuple[Daemon, Daemon]) -> None:
    east, west = two
    with pytest.raises(Ousted):
        await east.writes("1.0")
    await east.elected()
    await east.writes("1.1")
    await east.office.release(None)
    await west.elected()
    with pytest.raises(Ousted):
        await east.writes("1.2")
    await west.writes("1.3")
    assert await east.knows() == ["1.1", "1.3"]


async def test_a_holder_whose_connection_broke_goes_on_in_the_same_term(two: tuple[Daemon, Daemon]) -> None:
    east, west = two
    await east.elected()
    east.office.close()
    assert await east.office.resume()
    assert not await west.office.lock()
    holder = await west.office.see()
    assert holder is not None
    assert (holder.node, holder.term) == ("east", 1)


async def test_who_lost_the_lock_with_its_connection_is_not_elected_and_renews_nothing(
    two: tuple[Daemon, Daemon],
) -> None:
    """Between lock and election the PBX is asked, which takes a while: another may have been elected, and act already."""
    east, west = two
    assert await east.office.lock()
    async with west.engine.begin() as connection:
        await connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ctid east leads'"
        )
    assert (await west.elected()).number == 1
    with suppress(DatabaseFault):
        await east.office.see()  # it may have to hear first that its connection ended
    await east.office.see()
    for asked in (east.office.elect, partial(east.office.renew, None)):
        with pytest.raises(DatabaseFault, match="had the lock"):
            await asked()
    assert not await west.office.renew(None)
    holder = await east.office.see()
    assert holder is not None
    assert (holder.node, holder.term) == ("west", 1)


async def test_a_question_given_up_as_its_connection_ends_leaves_no_fault_unheard(two: tuple[Daemon, Daemon]) -> None:
    """Both come at once when a daemon falls: the question has failed, and nobody is there any more to hear of it."""
    east, west = two
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context.get("future")))

    async def waits(connection: AsyncConnection) -> bool:
        stands = (
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'ctid east leads' AND wait_event_type = 'Lock'"
        )
        return (await connection.exec_driver_sql(stands)).first() is not None

    for turns in range(5):
        await east.office.see()
        async with west.engine.begin() as connection:
            await connection.exec_driver_sql("LOCK TABLE leaders IN ACCESS EXCLUSIVE MODE")
            asking = asyncio.create_task(east.office.see())
            await until(partial(waits, connection), "the question waits for its answer")
            east.office.close()
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises((asyncio.CancelledError, DatabaseFault)):
                await asking
    del asking
    gc.collect()
    assert [future for future in unheard if isinstance(future, asyncio.Task)] == []


async def test_each_pbx_has_an_office_of_its_own(two: tuple[Daemon, Daemon], url: str) -> None:
    east, _ = two
    north = Daemon(url, "north", pbx="pbx2")
    await east.elected()
    assert (await north.elected()).number == 1
    await north.writes("2.1")
    await east.writes("1.1")
    assert [(a.pbx, a.node) for a in await leading.who_acts(east.engine)] == [(PBX, "east"), ("pbx2", "north")]
    holder = await east.office.see()
    assert holder is not None
    await east.office.oust(holder)  # ends none of the other's
    await north.office.renew(None)
    await north.writes("2.2")
    north.office.close()
    await north.engine.dispose()
