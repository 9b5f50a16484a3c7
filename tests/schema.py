"""A database with ctid's schema for each test that needs one: a copy of one that was migrated once.

Law: migrating costs a sixth of a second of a core, and there are more than a thousand such tests. That it leads to this very
schema, from any version before, is the matter of the tests on migrations.
"""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from sqlalchemy import make_url

from ctid.db import migrations, session


async def schema(url: str) -> None:
    """Give a database with nothing in it ctid's schema."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        shutil.copyfile(_migrated(), str(parsed.database))
    else:
        await _migrate(url)


async def _migrate(url: str) -> None:
    engine = session.engine(url)
    await migrations.upgrade(engine)
    await engine.dispose()


@cache
def _migrated() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ctid-schema-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with ThreadPoolExecutor(1) as thread:  # a loop may run in this one
        thread.submit(asyncio.run, _migrate(f"sqlite:///{folder}/ctid.db")).result()
    [file] = folder.iterdir()
    return file
