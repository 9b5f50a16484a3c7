"""The way of a command to the database, also while the daemons run.

Law: a command that reads never makes a database, and never works on a schema it doesn't know; one that changes something bears
the name of whoever typed it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ctid.cli.faults import Fault

if TYPE_CHECKING:
    from ctid.config import Settings
    from ctid.db.audits import Actor
    from ctid.db.session import Engine

T = TypeVar("T")


def missing(database: Engine) -> bool:
    """Whether it is a file that is not there yet, which connecting would make."""
    return database.dialect.name == "sqlite" and not Path(str(database.url.database)).exists()


def with_books(settings: Settings, work: Callable[[Engine], Awaitable[T]]) -> T:
    """What ``work`` gives for the site's database; raises ``DatabaseFault`` or ``Fault`` where it can't be used."""
    from ctid.db import migrations  # noqa: PLC0415 - slow
    from ctid.db.session import engine, faults  # noqa: PLC0415

    async def worked() -> T:
        database = engine(settings.database.url.get_secret_value())
        try:
            if missing(database):
                raise Fault(f"{database.url.database}: there is no database yet; run: ctid db upgrade")
            await migrations.check(database)
            async with faults(database):
                return await work(database)
        finally:
            await database.dispose()

    return asyncio.run(worked())


def whoever_types() -> Actor:
    """Whoever sits at the command line now, for the audit."""
    from ctid.db.audits import Actor  # noqa: PLC0415 - slow

    try:
        name = getuser()
    except (KeyError, OSError):  # a container may know its users by number alone
        name = str(os.getuid())
    return Actor(at=time.time(), user_name=f"command line ({name})")
