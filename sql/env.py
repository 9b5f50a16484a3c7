"""How Alembic reaches the database: over the connection ``ctid.db.migrations`` hands it, or by ``-x url=``."""

from __future__ import annotations

import asyncio
from typing import Literal

from alembic import context
from sqlalchemy import Connection

from ctid.db import session
from ctid.db.tables import Text, UTCDateTime, made_by_hand, metadata


def render(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Write our own types into new migrations as what they are in SQL: migrations outlive the code."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return "sa.String()" if kind == "type" and isinstance(item, Text) else False


def ours(name: str | None, _kind: str, _parents: object) -> bool:
    """Leave alone what is written by hand."""
    return not made_by_hand(name)


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        render_item=render,
        include_name=ours,
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate_by_url(url: str) -> None:
    engine = session.engine(url)
    async with session.altering(engine) as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    asyncio.run(migrate_by_url(context.get_x_argument(as_dictionary=True)["url"]))
