"""The same tests on both databases: a fresh SQLite file, or a fresh database of one real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ctid.db import migrations, session
from lab.postgres import Postgres

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path) -> str:
    """The URL of a database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ctid.db"
    server: Postgres = request.getfixturevalue("postgres")
    return asyncio.run(server.database(f"test{next(_numbers)}"))


@pytest.fixture
async def empty(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a database with nothing in it."""
    engine = session.engine(url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def engine(empty: AsyncEngine) -> AsyncEngine:
    """An engine on a database with ctid's schema."""
    await migrations.upgrade(empty)
    return empty
