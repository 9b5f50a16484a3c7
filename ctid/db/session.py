"""The way to the database: a URL becomes an engine, and every fault of the place becomes one line.

Law: a transaction that writes says so at its start (``writing``, ``write``): SQLite then takes its lock at once and waits its
turn, where a read that turns into a write would fail. What happens on the telephone is asked and written in one go (``read``,
``write``): a plain function of a connection, which costs one hop between threads however many statements it has. Passwords
are never shown.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]  # ships no types
from sqlalchemy import URL, Connection, Table, create_engine, event, make_url
from sqlalchemy import Engine as SyncEngine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ctid.tls import Tls, wrong

T = TypeVar("T")

BUSY_SECONDS = 10
CONNECT_SECONDS = 5
PRAGMAS = (
    f"busy_timeout = {BUSY_SECONDS * 1000}",
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "foreign_keys = ON",
)
_CERTIFICATES = ("sslrootcert", "sslcert", "sslkey")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
#: What asyncpg throws is of many kinds: of a connection the server has ended in between, the last.
_FAULTS = (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
#: Rows, such as calls, written or read by one statement: their keys stay far below any database's limit of parameters.
CHUNK = 200
#: Units of work that may read a SQLite file at once; writing is one at a time by its nature.
READERS = 2
_REFUSALS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    ValueError,
    OverflowError,
)
EXAMPLES = "sqlite:////var/lib/ctid/ctid.db or postgresql://ctid:PASSWORD@HOST/ctid"


class DatabaseFault(Exception):  # noqa: N818 - a fault to mend, not a bug
    """What is wrong with the database and what to do about it, in one line."""


class Refused(DatabaseFault):
    """The database is there, and does not take what it was told: told again, it would not either."""


class Threads:
    """A SQLite file worked on by plain functions in threads of their own: readers side by side, one writer."""

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(
            url.set(drivername="sqlite+pysqlite"), pool_size=READERS + 1, connect_args={"timeout": BUSY_SECONDS}
        )
        _keep_sqlite(self._engine)
        self._writing = self._engine.execution_options(ctid_writes=True)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="books-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="books-write")

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, _done, self._engine, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, _done, self._writing, work)

    async def close(self) -> None:
        """Return when the work under way is done and the file is let go."""
        for executor in (self._readers, self._writer):
            await asyncio.to_thread(executor.shutdown)
        self._engine.dispose()


class Engine(AsyncEngine):
    """A database as the other rooms hold it; only this one looks inside. ``threads`` is ``None`` for PostgreSQL."""

    def __init__(self, made: AsyncEngine, threads: Threads | None = None, *, tls: Tls | None = None) -> None:
        super().__init__(made.sync_engine)
        self.threads = threads
        self.tls = tls

    async def dispose(self, close: bool = True) -> None:  # noqa: FBT001, FBT002 - as SQLAlchemy has it
        if self.threads is not None:
            await self.threads.close()
        await super().dispose(close)


def engine(url: str, *, session: str | None = None, patience: float | None = None) -> Engine:
    """An engine for the URL; nothing is connected yet. Raises ``DatabaseFault`` for a URL or folder that cannot do.

    ``session`` is the name its connections bear, where the database knows such names. A statement that a server has not
    answered for ``patience`` seconds fails: one that was cut off says nothing, for hours.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        _check_folder(Path(str(parsed.database)))
        made = create_async_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
        _keep_sqlite(made.sync_engine)
        return Engine(made, Threads(parsed))
    tls, parsed = _taken_apart(parsed)
    names = {} if session is None else {"application_name": session}
    connecting = {"timeout": CONNECT_SECONDS, "command_timeout": patience, "server_settings": names}
    made = create_async_engine(parsed, pool_pre_ping=True, connect_args=connecting)
    if tls is not None:

        def secure(_dialect: object, _record: object, _arguments: object, named: dict[str, Any]) -> None:
            named["ssl"] = tls.context()

        event.listen(made.sync_engine, "do_connect", secure)
    return Engine(made, tls=tls)


def connecting(engine: Engine) -> dict[str, Any]:
    """How asyncpg is told to connect to the engine's PostgreSQL, beside the engine."""
    _, options = engine.dialect.create_connect_args(engine.url)
    wanted = {key: options[key] for key in ("host", "port", "user", "password", "database", "ssl") if key in options}
    return wanted if engine.tls is None else {**wanted, "ssl": engine.tls.context()}


def create_file(engine: AsyncEngine) -> None:
    """Make a SQLite file that is not there yet: written by ctid and ctid-web, who share a group, whatever the umask."""
    if engine.url.get_backend_name() == "sqlite":
        file = Path(str(engine.url.database))
        with suppress(OSError):
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o660))
            file.chmod(0o660)
        _turn_to_wal(file)


def reading(engine: AsyncEngine) -> AbstractAsyncContextManager[AsyncConnection]:
    """A connection within one transaction that only reads."""
    return engine.begin()


def writing(engine: AsyncEngine) -> AbstractAsyncContextManager[AsyncConnection]:
    """A connection within one transaction that may write; committed at the end, rolled back by an exception."""
    return engine.execution_options(ctid_writes=True).begin()


async def read(engine: Engine, work: Callable[[Connection], T]) -> T:
    """What ``work`` makes of a connection within one transaction that only reads. It must not touch what others use.

    SQLite: on a thread, in one hop. PostgreSQL: on the loop, each statement awaited beneath it.
    """
    if engine.threads is not None:
        return await engine.threads.read(work)
    async with reading(engine) as connection:
        return await connection.run_sync(work)


async def write(engine: Engine, work: Callable[[Connection], T]) -> T:
    """As ``read``, within one transaction that may write; committed at the end, rolled back by an exception."""
    if engine.threads is not None:
        return await engine.threads.write(work)
    async with writing(engine) as connection:
        return await connection.run_sync(work)


@asynccontextmanager
async def altering(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """As ``writing``, for what changes the schema.

    SQLite changes a table by making it anew, and to drop the old one would set off every foreign key that points to its rows:
    within, none does.
    """
    async with engine.execution_options(ctid_writes=True, ctid_alters=True).connect() as connection:
        try:
            async with connection.begin():
                yield connection
        finally:
            await connection.invalidate()  # the next one heeds foreign keys again


def upsert(connection: Connection | AsyncConnection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that can say ON CONFLICT, for the connection's database."""
    return insert_for(connection.dialect.name, table)


def insert_for(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """The same by the database's name, for statements that are made once."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def upsert_all(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT of whole rows that replaces those of the same key; made once for each table and database."""
    return _upsert_all(connection.dialect.name, table)


def insert_new(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT of rows that leaves those alone whose key is there; made once for each table and database."""
    return _insert_new(connection.dialect.name, table)


@cache
def _insert_new(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    statement = insert_for(dialect, table)
    return statement.on_conflict_do_nothing()


@cache
def _upsert_all(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    statement = insert_for(dialect, table)
    keys = list(table.primary_key.columns)
    changed = {column.name: statement.excluded[column.name] for column in table.columns if column not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


@asynccontextmanager
async def faults(engine: AsyncEngine, *, patience: float | None = None) -> AsyncIterator[None]:
    """Turn whatever the database throws within into a ``DatabaseFault``.

    So is a server that has not answered for ``patience`` seconds: one that was cut off says nothing, for hours. A SQLite file
    has a limit of its own.
    """
    remote = engine.url.get_backend_name() != "sqlite"
    try:
        async with asyncio.timeout(patience if remote else None) as limit:
            yield
    except _FAULTS as error:
        why = _reason(error, engine.url.host or "the server")
        if limit.expired():
            why = f"no answer within {patience:g} s"
        kind = Refused if _refuses(error) else DatabaseFault
        raise kind(f"{_shown(engine.url)}: {why}") from error


async def ping(engine: AsyncEngine) -> None:
    """Return when the database answers; raise ``DatabaseFault`` when it does not."""
    async with faults(engine), reading(engine) as connection:
        await connection.exec_driver_sql("SELECT 1")


def instant(seconds: float) -> datetime:
    """Unix seconds as the tables keep them (to the microsecond)."""
    return datetime.fromtimestamp(seconds, UTC)


def maybe_instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else instant(seconds)


def seconds(at: datetime) -> float:
    return at.timestamp()


def maybe_seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.drivername.partition("+")[0]
    except (ArgumentError, ValueError):
        # Not quoted: a URL that does not parse may still hold a password.
        raise DatabaseFault(f"the database url cannot be read; write it like {EXAMPLES}") from None
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise DatabaseFault("the database url names no file; write it like sqlite:////var/lib/ctid/ctid.db")
        return parsed.set(drivername="sqlite+aiosqlite", query={})
    if backend in ("postgresql", "postgres"):
        if not parsed.database:
            raise DatabaseFault("the database url names no database; write it like " + EXAMPLES.split(" or ")[1])
        query = {("ssl" if key == "sslmode" else key): value for key, value in parsed.query.items()}
        if unknown := sorted(set(query) - {"ssl", "host", "port", *_CERTIFICATES}):
            raise DatabaseFault(f"the database url has an option ctid does not know: {unknown[0]}; leave it out")
        if query.get("ssl", "prefer") not in SSL_MODES:
            raise DatabaseFault(f"the database url's sslmode must be one of {', '.join(SSL_MODES)}")
        if set(query) & set(_CERTIFICATES) and not str(query.get("ssl")).startswith("verify-"):
            raise DatabaseFault(
                "the database url names certificates that nobody would look at; add sslmode=verify-full"
            )
        return parsed.set(drivername="postgresql+asyncpg", query=query)
    raise DatabaseFault(f"the database url begins with {backend!r}, which ctid cannot use; write it like {EXAMPLES}")


def _taken_apart(url: URL) -> tuple[Tls | None, URL]:
    """How the server's certificate is checked, ``None`` where it is not; and the URL without that."""
    mode = str(url.query.get("ssl"))
    if not mode.startswith("verify-"):
        return None, url
    ca_file, cert_file, key_file = (
        Path(str(named)) if (named := url.query.get(key)) else None for key in _CERTIFICATES
    )
    tls = Tls(
        section="database",
        ca_file=ca_file,
        cert_file=cert_file,
        key_file=key_file,
        check_name=mode == "verify-full",
    )
    return tls, url.difference_update_query(("ssl", *_CERTIFICATES))


def _check_folder(file: Path) -> None:
    folder = file.absolute().parent
    if not folder.is_dir():
        raise DatabaseFault(f"{file}: the folder {folder} does not exist; create it for the user who runs ctid")
    if file.is_dir():
        raise DatabaseFault(f"{file}: is a folder; name a file in it, as in {file}/ctid.db")


def _keep_sqlite(engine: SyncEngine) -> None:
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)


def _turn_to_wal(file: Path) -> None:
    """Of several that open a new file at once, SQLite refuses all but one this change, and does not wait as it does else."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            with closing(sqlite3.connect(file, timeout=BUSY_SECONDS)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY and time.monotonic() < deadline:
                time.sleep(0.02)
                continue
        return  # whatever else is wrong with the file, its first use says


def _done(engine: SyncEngine, work: Callable[[Connection], T]) -> T:
    with engine.begin() as connection:
        return work(connection)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own BEGIN comes too late (before the first write); ours is sent by _begin_sqlite.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()  # nobody else will: the pool never saw it, and the driver's thread would live on
        raise
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("ctid_alters", False):
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")  # within a transaction it would do nothing
    writes = options.get("ctid_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _shown(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)


def _refuses(error: BaseException | None) -> bool:
    """Whether the value is at fault, not the place."""
    while error is not None:
        if isinstance(error, _REFUSALS):
            return True
        error = error.orig if isinstance(error, StatementError) and error.orig is not error else error.__cause__
    return False


def _reason(error: BaseException, host: str) -> str:
    if (said := wrong(error, host, "database")) is not None:
        return said
    cause: BaseException = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    while cause.__cause__ is not None and not isinstance(cause, sqlite3.Error):
        cause = cause.__cause__
    text = " ".join(str(cause).split()) or type(cause).__name__
    match cause:
        case asyncpg.InternalClientError():  # the server had ended the session, and the driver stumbled on it
            return "the connection ended while it was used"
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return f"{text}; check user and password in the database url"
        case asyncpg.InvalidCatalogNameError():
            return f"{text}; create it with: createdb"
        case TimeoutError():
            return "no answer in time; is the server reachable?"
        case OSError() if "rejected SSL upgrade" in text:
            return f"{text}; turn on ssl in its postgresql.conf"
        case OSError():
            return f"{text}; is the server running there?"
        case sqlite3.DatabaseError():
            return f"{text}{_mend_of_sqlite(text)}"
        case _:
            return text


def _mend_of_sqlite(text: str) -> str:
    if "unable to open" in text or "readonly" in text:
        return "; may the user who runs ctid write to the file and its folder?"
    if "disk" in text:  # "I/O error" is what SQLite says of a full one, too
        return "; is its disk full, or gone?"
    return "; name another file in the database url" if "not a database" in text else ""
