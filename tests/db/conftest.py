"""The same tests on both databases: a fresh SQLite file, or a fresh database of one real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ctid.db import session
from lab.postgres import Postgres
from tests.schema import schema

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """The name of a database on it that has ctid's schema, and is to be copied alone."""
    asyncio.run(schema(asyncio.run(postgres.database("migrated"))))
    return "migrated"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """Which database."""
    made: str = request.param
    return made


@pytest.fixture
def url(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with nothing in it."""
    if database == "sqlite":
        return f"sqlite:///{tmp_path}/ctid.db"
    server: Postgres = request.getfixturevalue("postgres")
    return asyncio.run(server.database(f"test{next(_numbers)}"))


@pytest.fixture
async def empty(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a database with nothing in it."""
    async with _opened(url) as engine:
        yield engine


@pytest.fixture
def with_schema(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with ctid's schema."""
    if database == "sqlite":
        url = f"sqlite:///{tmp_path}/ctid.db"
        asyncio.run(schema(url))
        return url
    server: Postgres = request.getfixturevalue("postgres")
    return asyncio.run(server.database(f"test{next(_numbers)}", like=request.getfixturevalue("migrated")))


@pytest.fixture
async def engine(with_schema: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a database with ctid's schema."""
    async with _opened(with_schema) as engine:
        yield engine


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[AsyncEngine]:
    engine = session.engine(url)
    yield engine
    await engine.dispose()
