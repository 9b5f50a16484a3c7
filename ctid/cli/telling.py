"""``explain``, ``report day`` and ``replay``: what the books, or a recorded stream, say about calls."""
# ruff: noqa: PLC0415 - a command imports what it needs

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO
from zoneinfo import ZoneInfo

import typer

from ctid.cli import whatif
from ctid.cli.books import with_books
from ctid.cli.faults import Fault
from ctid.cli.lists import AsJson
from ctid.cli.options import ConfigFile, read_settings
from ctid.cli.showing import complain, say, say_json, table

if TYPE_CHECKING:
    from ctid.db.reports import AgentDay
    from ctid.db.session import Engine
    from ctid.domain.types import CallRecord

_CHUNK = 1 << 16

report = typer.Typer(help="Figures.")


@report.callback()
def reports(*, config: ConfigFile = None) -> None:
    """Figures of the desk."""


@report.command()
def day(
    *,
    on: Annotated[str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Default: today, local time.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Per agent: calls offered, answered, missed; talk, hold, wrap-up; tickets opened and solved."""
    settings = read_settings(config)
    from ctid.calljson import seconds
    from ctid.db import reports
    from ctid.explaining import duration

    zone, now = ZoneInfo(settings.routing.timezone), time.time()
    try:
        wanted = date.fromisoformat(on) if on else datetime.fromtimestamp(now, zone).date()
    except ValueError:
        raise Fault(f"--date: {on!r} is no day; write it like 2026-11-22") from None

    async def read(engine: Engine) -> list[AgentDay]:
        return await reports.day(engine, on=wanted, timezone=zone, now=now)

    found = with_books(settings, read)
    if as_json:
        say_json(
            {name: seconds(value) if name.endswith("_seconds") else value for name, value in asdict(one).items()}
            for one in found
        )
        return
    say(f"{wanted.isoformat()} ({settings.routing.timezone})")
    table(
        *("agent", "name", "offered", "answered", "missed", "talk", "hold", "wrap-up", "pause", "opened", "solved"),
        rows=[
            (
                *(one.agent, one.name, one.offered, one.answered, one.missed),
                *(duration(one.talk_seconds), duration(one.hold_seconds)),
                *(duration(one.wrap_up_seconds), duration(one.pause_seconds)),
                *(one.tickets_opened, one.tickets_solved),
            )
            for one in found
        ],
    )


def explain(
    call: Annotated[str, typer.Argument(metavar="CALL", help="The call's id, or its beginning.")],
    *,
    config: ConfigFile = None,
) -> None:
    """Tell why a call went where it went."""
    settings = read_settings(config)
    from ctid.db.agents import Agents
    from ctid.db.calls import Calls
    from ctid.explaining import explain as explained

    async def read(engine: Engine) -> tuple[CallRecord, dict[str, str]]:
        return await Calls(engine).one(call), {agent.id: agent.name for agent in await Agents(engine).roster()}

    found, names = with_books(settings, read)
    for line in explained(found, names, ZoneInfo(settings.routing.timezone)):
        say(line)


def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The bytes as the PBX sent them; - reads stdin.")],
    *,
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rerun the day under this file's [routing] and [[lines]], and compare."),
    ] = None,
    agents: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="With --policy: who sits at which phone.")
    ] = None,
    customers: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="With --policy: as ctid import reads it.")
    ] = None,
    contacts: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="With --policy: likewise.")] = None,
    tickets: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="With --policy: who owns which caller.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Print the calls of a recorded AMI stream, as JSON.

    It runs through the same tracker and core as live, without PBX, database or configuration. Lines, figures and the PBX's
    name come from --config where given. With --policy: the day as it went, and rerun under both policies, side by side.
    """
    from ctid.asterisk.replay import replay as replayed
    from ctid.calljson import call_json

    site = read_settings(config) if config else None
    lists = {"agents": agents, "customers": customers, "contacts": contacts, "tickets": tickets}
    given = {name: path for name, path in lists.items() if path is not None}
    if given and policy is None:
        raise Fault(f"--{next(iter(given))}: goes with --policy FILE; leave it out or name a policy")
    with _stream(file) as stream:
        chunks = iter(lambda: stream.read(_CHUNK), b"")
        if policy is not None:
            whatif.show(chunks, policy, site, given, as_json=as_json)
            return
        found = (
            replayed(chunks, policy=site.policy(), lines=site.domain_lines(), pbx=site.ami.pbx)
            if site
            else replayed(chunks)
        )
    if not found:
        complain(f"warning: {file}: holds no call; it should hold what the PBX sent, 'Event: …' lines and all")
    say_json(call_json(call, paths=True) for call in found)


@contextmanager
def _stream(file: Path) -> Iterator[BinaryIO]:
    try:
        with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as stream:
            yield stream
    except OSError as error:
        raise Fault(f"{file}: cannot be read ({error.strerror}); name a recorded AMI stream") from None
