"""A database that cannot be used is named in one line, with what to do and without its password."""

import asyncio
import threading

import pytest
from sqlalchemy import select

from ctid.db import migrations, session
from ctid.db.session import DatabaseFault
from ctid.db.tables import customers
from lab.small_disk import SmallDisk

SECRET = "geheim"


async def try_to_reach(url: str) -> None:
    engine = session.engine(url)
    try:
        await session.ping(engine)
    finally:
        await engine.dispose()


async def fault_of(url: str) -> str:
    with pytest.raises(DatabaseFault) as fault:
        await try_to_reach(url)
    text = str(fault.value)
    assert "\n" not in text
    assert SECRET not in text
    return text


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "cannot be read"),
        (f"nonsense {SECRET}", "cannot be read"),
        (f"postgresql://u:{SECRET}@host:port/x", "cannot be read"),
        (f"mysql://u:{SECRET}@host/x", "begins with 'mysql'"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        (f"postgresql://u:{SECRET}@host", "names no database"),
        (f"postgresql://u:{SECRET}@host/x?colour=red", "option ctid does not know: colour"),
        (f"postgresql://u:{SECRET}@host/x?sslmode=sometimes", "sslmode must be one of"),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/x", "is the server running there?"),
        (f"postgresql://u:{SECRET}@host.invalid/x", "is the server running there?"),
        ("sqlite:////nowhere/at/all/ctid.db", "the folder /nowhere/at/all does not exist"),
        ("sqlite:////proc/ctid.db", "may the user who runs ctid write"),
    ],
)
async def test_a_url_that_cannot_do_gets_one_line(url, says):
    assert says in await fault_of(url)


async def test_a_folder_given_as_the_file_gets_one_line(tmp_path):
    assert f"{tmp_path}/ctid.db" in await fault_of(f"sqlite:///{tmp_path}")


async def test_a_file_that_is_no_database_gets_one_line(tmp_path):
    (tmp_path / "x.db").write_text("These are my holiday notes, nothing else. " * 20)
    assert "name another file" in await fault_of(f"sqlite:///{tmp_path}/x.db")


async def test_a_full_disk_gets_one_line(tmp_path):
    with SmallDisk(tmp_path / "disk", 1 << 20) as disk:
        disk.fill()
        engine = session.engine(f"sqlite:///{disk.folder}/ctid.db")
        with pytest.raises(DatabaseFault, match="is its disk full"):
            await migrations.upgrade(engine)


async def test_a_database_that_is_not_there_gets_one_line(postgres):
    assert "createdb" in await fault_of(postgres.url("nope"))


async def test_a_server_that_went_away_is_one_line_and_found_again_when_it_is_back(postgres):
    engine = session.engine(await postgres.database("goes_away"))
    await session.ping(engine)
    await postgres.kill()
    with pytest.raises(DatabaseFault):
        await session.ping(engine)
    await postgres.start()
    await session.ping(engine)
    await engine.dispose()


async def test_an_upgrade_of_an_unreachable_database_is_one_line():
    with pytest.raises(DatabaseFault, match="is the server running there"):
        await migrations.upgrade(session.engine("postgresql://ctid@127.0.0.1:1/ctid"))


async def test_sqlite_writes_ahead_and_keeps_its_foreign_keys(tmp_path):
    engine = session.engine(f"sqlite:///{tmp_path}/ctid.db")
    async with session.reading(engine) as connection:
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() == "wal"
        assert (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar() == 1
        assert (await connection.exec_driver_sql("PRAGMA busy_timeout")).scalar() == 10_000
    await engine.dispose()


async def test_a_unit_of_work_that_fails_leaves_nothing_behind(engine):
    def work(connection):
        connection.execute(customers.insert().values(id="c1", name="Acme"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await session.write(engine, work)
    assert await session.read(engine, lambda connection: connection.execute(select(customers.c.id)).all()) == []
    await session.write(engine, lambda connection: connection.execute(customers.insert().values(id="c1", name="Acme")))
    assert await session.read(engine, lambda connection: connection.execute(select(customers.c.id)).scalar()) == "c1"


async def test_a_caller_is_looked_up_while_the_books_are_written(tmp_path):
    engine = session.engine(f"sqlite:///{tmp_path}/ctid.db")
    await migrations.upgrade(engine)
    under_way, go_on = threading.Event(), threading.Event()

    def slow(connection):
        connection.execute(customers.insert().values(id="c1", name="Acme"))
        under_way.set()
        assert go_on.wait(10)

    writing = asyncio.create_task(session.write(engine, slow))
    await asyncio.to_thread(under_way.wait, 10)
    assert await session.read(engine, lambda connection: connection.execute(select(customers.c.id)).all()) == []
    assert not writing.done()
    go_on.set()
    await writing
    await engine.dispose()
