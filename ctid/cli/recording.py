"""``record``: what the PBX says, kept in a file a day."""
# ruff: noqa: PLC0415 - a command imports what it needs

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from ctid.cli.faults import Fault
from ctid.cli.options import ConfigFile, read_settings
from ctid.cli.showing import complain


def record(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the files go, one a day.")],
    *,
    config: ConfigFile = None,
) -> None:
    """Record what the PBX says over AMI until Ctrl-C, in a file a day that replay reads.

    It runs beside the daemon and touches no call. The files hold numbers and names, and are their owner's alone.
    """
    settings = read_settings(config, pbx=True)
    from ctid.asterisk import tape
    from ctid.daemon.links import ami_settings

    if not folder.is_dir():
        raise Fault(f"{folder}: is no folder; create it for the user who records")
    zone = ZoneInfo(settings.routing.timezone)
    complain(f"recording into {folder}; Ctrl-C ends it")
    asyncio.run(
        tape.record(
            ami_settings(settings),
            folder,
            today=lambda: datetime.now(zone).date(),
            on_break=lambda reason: complain(f"warning: {reason}; trying again"),
        )
    )
