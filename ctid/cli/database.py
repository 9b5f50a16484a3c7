"""``db``, ``import`` and ``export``: the schema, and a site's own lists."""
# ruff: noqa: PLC0415 - a command imports what it needs

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

import typer

from ctid.cli.books import with_books
from ctid.cli.faults import USERS_FAULT, Fault
from ctid.cli.options import ConfigFile, read_settings
from ctid.cli.showing import complain, say

if TYPE_CHECKING:
    from ctid.db.importing import Imported
    from ctid.db.session import Engine

db = typer.Typer(help="The database's schema.")


@db.callback()
def schema(*, config: ConfigFile = None) -> None:
    """The database's schema."""


@db.command()
def upgrade(*, config: ConfigFile = None) -> None:
    """Bring the schema to the newest; safe to repeat."""
    settings = read_settings(config)
    from ctid.db import migrations
    from ctid.db.session import engine

    async def upgraded() -> None:
        database = engine(settings.database.url.get_secret_value())
        try:
            await migrations.upgrade(database)
        finally:
            await database.dispose()

    asyncio.run(upgraded())
    say("the database has the newest schema")


@db.command()
def check(*, config: ConfigFile = None) -> None:
    """Tell whether the schema is the one this ctid needs."""

    async def checked(_: Engine) -> None:
        """Reaching the books has checked it."""

    with_books(read_settings(config), checked)
    say("the database has the newest schema")


@db.command()
def reindex(*, config: ConfigFile = None) -> None:
    """Bring what search finds in step with tickets, contacts and customers; safe to repeat, and at any time."""
    settings = read_settings(config)
    from ctid.db import search
    from ctid.db.session import write

    async def reindexed(engine: Engine) -> int:
        with _progress("search") as progress:
            return await write(engine, lambda connection: search.index_all(connection, lambda _, *far: progress(*far)))

    changed = with_books(settings, reindexed)
    say(f"search: {changed} were out of step" if changed else "search: all was in step")


def import_list(
    kind: Annotated[Literal["customers", "contacts", "agents", "tickets"], typer.Argument(metavar="LIST")],
    file: Annotated[Path, typer.Argument(metavar="FILE.csv")],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Import nothing unless every line is good.")] = False,
    config: ConfigFile = None,
) -> None:
    """Import a CSV file of the site; safe to repeat.

    Bad lines are named by number on stderr and the good ones imported: exit status 0. It is 2 where nothing was imported,
    because of --strict or because no line was good.
    """
    settings = read_settings(config)
    from ctid.db.importing import Kind, Site, import_csv

    site = Site(
        country=settings.routing.country,
        timezone=ZoneInfo(settings.routing.timezone),
        outside_prefix=settings.routing.outside_prefix,
    )

    async def imported(engine: Engine) -> Imported:
        with _progress(kind) as progress:
            return await import_csv(engine, Kind(kind), file, site, strict=strict, progress=progress)

    done = with_books(settings, imported)
    for warning in done.warnings:
        complain(f"warning: {file.name}: {warning}")
    for line in done.bad:
        complain(f"{file.name}: line {line.line}: {line.reason}")
    say(f"{kind}: {done.added} added, {done.updated} updated, {len(done.bad)} bad")
    if done.bad and not (done.added or done.updated):
        complain(f"{file.name}: nothing was imported; mend the lines above and run it again")
        raise typer.Exit(USERS_FAULT)


def export_list(
    kind: Annotated[Literal["customers", "contacts"], typer.Argument(metavar="LIST")],
    file: Annotated[Path, typer.Argument(metavar="FILE.csv")],
    *,
    config: ConfigFile = None,
) -> None:
    """Write customers or contacts to a CSV file, as an import takes them.

    The file can be read by you alone (0600); one that is there is replaced when the new one is whole.
    """
    settings = read_settings(config)
    from ctid.db.exporting import export
    from ctid.db.importing import Kind

    unfinished = file.with_name(f"{file.name}.part")

    async def exported(engine: Engine) -> None:
        async for piece in export(engine, Kind(kind)):
            with _writing(file):
                written.write(piece)

    try:
        with _writing(file):
            written = open(unfinished, "wb", opener=lambda path, flags: os.open(path, flags, 0o600))  # noqa: SIM115
        with written:
            with_books(settings, exported)
        with _writing(file):
            unfinished.replace(file)
    finally:
        with _writing(file):
            unfinished.unlink(missing_ok=True)
    say(f"{kind}: written to {file}")


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise Fault(f"{file}: cannot be written: {fault.strerror}") from None


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
