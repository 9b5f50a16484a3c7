"""A command of ctid's own as a process beside the daemon: heavy work that must cost no call a millisecond.

Law: the child is asked for JSON and believed only where it is JSON. It dies with the one who waits for it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any


async def answered(config: Path | None, *command: str) -> list[dict[str, Any]]:
    """What ``ctid COMMAND`` prints as JSON; ``config`` is the file of the settings, ``None`` for the usual one.

    Raises ``OSError`` where no process can be had, and ``ValueError`` with the child's own last line where it failed.
    """
    named = () if config is None else ("--config", str(config))
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ctid", *named, *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await child.communicate()
    finally:
        if child.returncode is None:  # ctid stops: what is not done is made up for after the next start
            child.kill()
            await child.wait()
    try:
        found = json.loads(out)
    except ValueError as error:
        said = err.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise ValueError(said or str(error)) from None
    if not isinstance(found, list):
        raise ValueError(f"ctid {command[0]} said something else than a list")  # noqa: TRY004 - as the JSON, it is no value
    return found
