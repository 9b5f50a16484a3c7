"""What a database still holds of deleted rows is overwritten: old pages, the search index's tombstones, SQLite's log.

Law: outside any transaction, and only after the deleting was committed. It may be repeated at any time. Writers wait meanwhile,
as for any long write; a reader who does not end makes it fail, to be tried again.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from ctid.db.session import BUSY_SECONDS, DatabaseFault, Engine
from ctid.db.tables import contact_words, customer_words, metadata, ticket_words

_WORDS = (ticket_words, contact_words, customer_words)


async def sweep(engine: Engine) -> None:
    """Leave nothing of deleted rows in the database's own files. Raises ``DatabaseFault``, and what ``session.faults`` turns.

    SQLite: the whole file is written anew, which takes as much room again for the time. PostgreSQL: the tables are vacuumed;
    what its own log and backups hold ends with them.
    """
    if engine.dialect.name == "sqlite":
        await asyncio.to_thread(_sweep_file, Path(str(engine.url.database)))
        return
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        # All of ours: what is not touched costs nothing, and no place an erasure reaches is forgotten here.
        for table in metadata.sorted_tables:
            await connection.execute(text(f"VACUUM {table.name}"))


def _sweep_file(file: Path) -> None:
    with closing(sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
        for words in _WORDS:
            name = f"{words.name}_fts"
            connection.execute(f"INSERT INTO {name}({name}) VALUES ('optimize')")  # noqa: S608 - our own table
        connection.execute("VACUUM")
        [busy, _, _] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise DatabaseFault(
                f"{file}: somebody reads in it for long; what was erased is cleaned out at the next try"
            )
