"""``check`` and ``doctor``: whether the configuration is right, and all it names answers.

Law: every fault at once. Each thing is tried as the daemon would use it, and each line that is not OK says the mend.
"""
# ruff: noqa: PLC0415 - a command imports what it needs

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import typer

from ctid.cli.books import missing
from ctid.cli.faults import OWN_FAULT
from ctid.cli.findings import Finding, Level, fail, ok, warn
from ctid.cli.options import ConfigFile, read_settings
from ctid.cli.showing import counted, plain, say

if TYPE_CHECKING:
    from ctid.config import Address, Settings
    from ctid.domain.types import Agent

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
#: Bytes: an hour of one call's WAV is 58 MB.
_LITTLE_SPACE, _NO_SPACE = 2 << 30, 100 << 20


def check(*, config: ConfigFile = None) -> None:
    """Report every fault of the configuration at once.

    Exit status 0 where it is right, 2 where not.
    """
    settings = read_settings(config, pbx=True)
    lines = counted(len(settings.lines), "line")
    say(f"the configuration is right: {lines}, PBX {settings.ami.pbx}, broker {settings.mqtt.url}")


def doctor(*, config: ConfigFile = None) -> None:
    """Try PBX, broker, database, dialplan and folders.

    A line each with the mend; exit status 1 if one fails.
    """
    settings = read_settings(config, pbx=True)
    from ctid import log

    log.setup("error", secrets=settings.secrets)
    failed = asyncio.run(_examine(settings))
    if failed:
        raise typer.Exit(OWN_FAULT)


async def _examine(settings: Settings) -> bool:
    """Show each finding as it comes; whether one of them was a failure."""
    from ctid.cli.pbx_trial import try_originating, try_pbx
    from ctid.daemon.run import ami_settings, originate_settings

    failed = False

    def show(*found: Finding) -> None:
        nonlocal failed
        for finding in found:
            failed = failed or finding.level is Level.FAIL
            _show(finding)

    now = datetime.now(ZoneInfo(settings.routing.timezone))
    show(
        ok(
            "configuration",
            f"right; {counted(len(settings.lines), 'line')}, local time {now:%H:%M} in {settings.routing.timezone}",
        )
    )
    findings, roster = await _database(settings)
    show(*findings)
    show(*await try_pbx(ami_settings(settings), settings, roster))
    if settings.originates:
        show(await try_originating(originate_settings(settings)))
    show(await _broker(settings))
    show(*_folders(settings), _cel(settings))
    if settings.cdr.file is not None:
        show(_log_file("CDR", settings.cdr.file, "cdr_custom.conf"))
    show(_port("metrics", settings.metrics.listen, "/metrics", "ctid_up"))
    show(_port("web", settings.web.listen, "/healthz", '"up"'))
    return failed


def _show(finding: Finding) -> None:
    level = f"{finding.level:<5}"
    if sys.stdout.isatty():
        level = typer.style(level, fg=_COLOURS[finding.level])
    sys.stdout.write(f"{level} {finding.what:<14} {plain(finding.says)}\n")
    sys.stdout.flush()


async def _database(settings: Settings) -> tuple[list[Finding], tuple[Agent, ...]]:
    from ctid.db import migrations
    from ctid.db.agents import Agents
    from ctid.db.session import DatabaseFault, engine, faults

    try:
        database = engine(settings.database.url.get_secret_value())
    except DatabaseFault as fault:
        return [fail("database", str(fault))], ()
    try:
        if missing(database):
            return [warn("database", f"{database.url.database} is not there yet; run: ctid db upgrade")], ()
        await migrations.check(database)
        async with faults(database):
            roster = await Agents(database).roster()
    except DatabaseFault as fault:
        return [fail("database", str(fault))], ()
    finally:
        await database.dispose()
    found = [ok("database", f"{database.dialect.name} answers, its schema is the newest")]
    enabled = sum(agent.enabled for agent in roster)
    if not enabled:
        found.append(warn("agents", "there are none; import them: ctid import agents FILE.csv"))
    else:
        found.append(ok("agents", f"{enabled} in the roster"))
    return found, roster


async def _broker(settings: Settings) -> Finding:
    from ctid.mqtt.trial import BrokerFault, try_broker

    try:
        await try_broker(settings.mqtt)
    except BrokerFault as fault:
        return fail("broker", f"{settings.mqtt.url}: {fault}")
    return ok("broker", f"{settings.mqtt.url} speaks MQTT 5 and lets ctid publish and subscribe")


def _folders(settings: Settings) -> Iterator[Finding]:
    from ctid.asterisk.recordings import disk_free

    state, root = settings.state.directory, settings.recordings.root
    if not state.is_dir() or not os.access(state, os.W_OK | os.X_OK):
        yield fail("state", f"{state} is no folder that this user may write to; create it for the user who runs ctid")
    else:
        yield ok("state", f"{state} can be written to")
    if not root.is_dir() or not os.access(root, os.R_OK | os.X_OK):
        yield fail(
            "recordings",
            f"{root} is no folder that this user may read; set [recordings] root to Asterisk's monitor folder, and put"
            " the user who runs ctid into its group",
        )
        return
    free = disk_free(root)
    says = f"{root} can be read, {free / (1 << 30):.1f} GiB free"
    if free < _NO_SPACE:
        yield fail("recordings", f"{says}; make room, or the next recordings are cut off")
    elif free < _LITTLE_SPACE:
        yield warn("recordings", f"{says}; make room soon")
    else:
        yield ok("recordings", says)


def _cel(settings: Settings) -> Finding:
    file = settings.cel.file
    if file is None:
        return warn(
            "CEL", "is not used: talk while ctid is away is estimated; set [cel] file, see cel_custom.conf.sample"
        )
    return _log_file("CEL", file, "cel_custom.conf")


def _log_file(what: str, file: Path, written_by: str) -> Finding:
    try:
        with file.open("rb"):
            return ok(what, f"{file} can be read")
    except FileNotFoundError:
        return warn(what, f"{file} is not there; Asterisk writes it at the first call, if {written_by} is as shipped")
    except OSError as error:
        return fail(what, f"{file} cannot be read ({error.strerror}); let the user who runs ctid read it")


def _port(what: str, address: Address, path: str, sign: str) -> Finding:
    """Free, or taken by ctid itself, which serves ``sign`` at ``path``."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with socket.create_server((address.host, address.port), family=family):
            return ok(what, f"{address} is free")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return fail(what, f"cannot listen on {address} ({error.strerror}); set another address")
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=2) as page:
            if sign in page.read(1 << 20).decode("utf-8", "replace"):
                return ok(what, f"ctid serves {address}")
    except (OSError, ValueError):
        pass
    return fail(what, f"{address} is taken by another program; stop it or set another address")
