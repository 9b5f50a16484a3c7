"""``check`` and ``doctor``: whether the configuration is right, and all it names answers.

Law: every fault at once. Each thing is tried as the daemon would use it, and each line that is not OK says the mend.
"""
# ruff: noqa: PLC0415 - a command imports what it needs

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
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
    from ctid.db.leading import Acting
    from ctid.domain.types import Agent

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
#: Bytes: an hour of one call's WAV is 58 MB.
CLOSE = "run Asterisk with the drop-in systemd/asterisk-ctid.conf, and once: chmod -R o= on that folder"
_LITTLE_SPACE, _NO_SPACE = 2 << 30, 100 << 20
#: Seconds: who acts says so each second, and is taken over after three.
_SILENT = 5.0
#: A certificate that ends sooner should have been renewed.
_RENEW = timedelta(days=14)


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
    from ctid.daemon.links import ami_settings, originate_settings

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
    show(*_folders(settings), *_journal(settings.journal), _cel(settings))
    if settings.cdr.file is not None:
        show(_log_file("CDR", settings.cdr.file, "cdr_custom.conf"))
    show(_port("metrics", settings.metrics.listen, "/metrics", "ctid_up"))
    show(_port("web", settings.web.listen, "/healthz", '"up"', tls=settings.web.cert_file is not None))
    show(*_certificate(settings))
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
    from ctid.db.leading import who_acts
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
        offices = [] if database.threads is not None else [*_offices(await who_acts(database), settings.ami.pbx)]
    except DatabaseFault as fault:
        return [fail("database", str(fault))], ()
    finally:
        await database.dispose()
    found = [ok("database", f"{database.dialect.name} answers, its schema is the newest"), *offices]
    enabled = sum(agent.enabled for agent in roster)
    if not enabled:
        found.append(warn("agents", "there are none; import them: ctid import agents FILE.csv"))
    else:
        found.append(ok("agents", f"{enabled} in the roster"))
    return found, roster


def _offices(acting: Sequence[Acting], pbx: str) -> Iterator[Finding]:
    """Who acts on this PBX by the database, and who stands by."""
    office = next((one for one in acting if one.pbx == pbx), None)
    if office is None or office.released:
        yield warn("office", f"nobody acts on {pbx}; start ctid run")
    elif office.age > _SILENT:
        yield warn(
            "office",
            f"{office.node}, who acts on {pbx}, has been silent for {office.age:.0f} s; look at it, and at its way here",
        )
    else:
        by = f"{office.standby} stands by" if office.standby else "nobody stands by"
        yield ok("office", f"{office.node} acts on {pbx} (term {office.term}), {by}")


async def _broker(settings: Settings) -> Finding:
    from ctid.mqtt.trial import BrokerFault, try_broker

    try:
        await try_broker(settings.mqtt)
    except BrokerFault as fault:
        return fail("broker", f"{settings.mqtt.url}: {fault}")
    return ok("broker", f"{settings.mqtt.url} speaks MQTT 5 and lets ctid publish and subscribe")


def _folders(settings: Settings) -> Iterator[Finding]:
    from ctid.asterisk.recordings import folder_fault

    state, root = settings.state.directory, settings.recordings.root
    if not state.is_dir() or not os.access(state, os.W_OK | os.X_OK):
        yield fail("state", f"{state} is no folder that this user may write to; create it for the user who runs ctid")
    else:
        yield _room("state", state, f"{state} can be written to", "neither the journal nor SQLite can write")
    if not root.is_dir() or not os.access(root, os.R_OK | os.X_OK):
        yield fail(
            "recordings",
            f"{root} is no folder that this user may read; set [recordings] root to Asterisk's monitor folder, and put"
            " the user who runs ctid into its group",
        )
        return
    yield from _kept_close(settings)
    if (fault := folder_fault(root, used=False)) is not None:
        yield fail("recordings", fault)
        return
    yield _room("recordings", root, f"{root} can be read", "the next recordings are cut off")


def _room(what: str, folder: Path, says: str, otherwise: str) -> Finding:
    from ctid.asterisk.recordings import disk_free

    free = disk_free(folder)
    says = f"{says}, {free / (1 << 30):.1f} GiB free"
    if free < _NO_SPACE:
        return fail(what, f"{says}; make room, or {otherwise}")
    return warn(what, f"{says}; make room soon") if free < _LITTLE_SPACE else ok(what, says)


def _journal(file: Path) -> Iterator[Finding]:
    from ctid.daemon.journal import set_aside, waiting_bytes

    try:
        waiting = waiting_bytes(file)
    except OSError as error:
        yield fail("journal", f"{file} cannot be read ({error.strerror}); let the user who runs ctid read and write it")
        return
    if waiting:
        yield warn(
            "journal",
            f"{file}: {waiting} bytes of calls, tickets and states wait for the database; mend that, and ctid run writes them",
        )
    for aside in set_aside(file):
        yield warn(
            "journal",
            f"{aside} could not be read or written: what it holds may be missing in the books; look at it; delete it once"
            " the books are right",
        )
    if not waiting and not set_aside(file):
        yield ok("journal", "nothing waits for the database")


def _kept_close(settings: Settings) -> Iterator[Finding]:
    """Whether recordings are for ctid's group alone, and whether those to be sealed can be."""
    from ctid.asterisk import sealing
    from ctid.asterisk.recordings import exposed

    root, recordings = settings.recordings.root, settings.recordings
    if (open_to_all := exposed(root)) is not None:
        yield warn("recordings", f"everybody on this machine may read {open_to_all}; {CLOSE}")
    keys = sealing.keys_of(recordings.keys)
    if keys.first is not None:
        try:
            sealing.try_key(keys)
        except OSError as error:
            yield fail("encryption", f"the key does not do: {error.strerror}")
            return
    if recordings.encrypt and not os.access(root, os.W_OK | os.X_OK):
        yield fail("encryption", f"{root} may not be written to by this user; see systemd/asterisk-ctid.conf")
    elif recordings.encrypt and keys.first is not None:
        yield ok(
            "encryption",
            f"recordings are sealed with the key {keys.first.name.hex()}, {counted(len(keys), 'key')} open them",
        )


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


def _certificate(settings: Settings) -> Iterator[Finding]:
    """The web's own, where it has one: whether it can be shown, and for how long."""
    web = settings.web
    if web.cert_file is None:
        return
    from cryptography.x509 import load_pem_x509_certificate

    from ctid.tls import ServerTls, TlsFault

    try:
        ServerTls("web", web.cert_file, web.key_file)
    except TlsFault as fault:
        yield fail("certificate", str(fault))
        return
    left = load_pem_x509_certificate(web.cert_file.read_bytes()).not_valid_after_utc - datetime.now(UTC)
    says = f"{web.cert_file} is good for {counted(left.days, 'more day')}"
    if left < timedelta():
        yield fail("certificate", f"{web.cert_file} has expired; renew it")
    elif left < _RENEW:
        yield warn("certificate", f"{says}; renew it")
    else:
        yield ok("certificate", says)


def _port(what: str, address: Address, path: str, sign: str, *, tls: bool = False) -> Finding:
    """Free, or taken by ctid itself, which serves ``sign`` at ``path``."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with socket.create_server((address.host, address.port), family=family):
            return ok(what, f"{address} is free")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return fail(what, f"cannot listen on {address} ({error.strerror}); set another address")
    # Whether it is ctid is asked, not whether its certificate is right for this address: it is for the one people open.
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    scheme = "https" if tls else "http"
    try:
        with urllib.request.urlopen(f"{scheme}://{address}{path}", timeout=2, context=anyone) as page:  # noqa: S310
            if sign in page.read(1 << 20).decode("utf-8", "replace"):
                return ok(what, f"ctid serves {address}")
    except (OSError, ValueError):
        pass
    return fail(what, f"{address} is taken by another program; stop it or set another address")
