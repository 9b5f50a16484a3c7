"""Bring a database's schema to what this ctid knows, or say in one line why not.

Law: a schema this ctid does not know is never touched. Two processes that upgrade at once take turns.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from ctid.db import search
from ctid.db.session import DatabaseFault, altering, create_file, faults, reading
from ctid.db.tables import metadata

_LOCK = 0x63746964  # "ctid": the key of PostgreSQL's advisory lock


def folder() -> Path:
    """Where the migrations are: ``ctid/sql`` in an installed package, ``sql`` at the top of a source tree."""
    package = Path(__file__).resolve().parent.parent
    for place in (package / "sql", package.parent / "sql"):
        if (place / "env.py").is_file():
            return place
    raise DatabaseFault(f"the migrations are missing beside {package}; install ctid again")


async def upgrade(engine: AsyncEngine, revision: str = "head") -> None:
    """Run every migration the database still lacks. Raises ``DatabaseFault``."""
    await asyncio.to_thread(create_file, engine)
    async with faults(engine), altering(engine) as connection:
        await connection.run_sync(_upgrade, revision)


async def downgrade(engine: AsyncEngine, revision: str = "base") -> None:
    """Undo migrations down to ``revision``; with ``base`` nothing of ctid is left. Raises ``DatabaseFault``."""
    async with faults(engine), altering(engine) as connection:
        await connection.run_sync(_downgrade, revision)


async def check(engine: AsyncEngine) -> None:
    """Return if the schema is exactly the one this ctid needs; raise ``DatabaseFault`` otherwise."""
    async with faults(engine), reading(engine) as connection:
        await connection.run_sync(_check)


def _upgrade(connection: Connection, revision: str) -> None:
    _lock(connection)
    config = _config(connection)
    _refuse_strangers(connection, config)
    command.upgrade(config, revision)
    if _present(connection) == ScriptDirectory.from_config(config).get_current_head():
        search.keep_up(connection)


def _downgrade(connection: Connection, revision: str) -> None:
    _lock(connection)
    config = _config(connection)
    _refuse_strangers(connection, config)
    command.downgrade(config, revision)


def _check(connection: Connection) -> None:
    config = _config(connection)
    _refuse_strangers(connection, config)
    if _present(connection) != ScriptDirectory.from_config(config).get_current_head():
        raise DatabaseFault("the database's schema is older than this ctid; run: ctid db upgrade")


def _lock(connection: Connection) -> None:
    # SQLite needs none: a writing transaction already holds the only lock there is.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _present(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_strangers(connection: Connection, config: Config) -> None:
    present = _present(connection)
    if present is None:
        if set(inspect(connection).get_table_names()) & set(metadata.tables):
            raise DatabaseFault(
                "the database holds tables of ctid's names that ctid did not make; give ctid a database of its own"
            )
        return
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present not in known:
        raise DatabaseFault(
            f"the database's schema {present!r} is unknown to this ctid; run the newer ctid that made it,"
            " or restore a backup from before"
        )
