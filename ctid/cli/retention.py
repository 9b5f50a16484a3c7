"""``retention``: recordings past their time are erased, by the daemon each night and by hand."""
# ruff: noqa: PLC0415 - a command imports what it needs

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ctid.cli.books import whoever_types, with_books
from ctid.cli.faults import Fault
from ctid.cli.lists import AsJson
from ctid.cli.options import ConfigFile, read_settings
from ctid.cli.showing import complain, counted, say, say_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctid.config import Settings
    from ctid.db.retention import Due, Night
    from ctid.db.session import Engine

_MEND = "let the user who runs ctid delete there: give ctid's group the right to write, see systemd/asterisk-ctid.conf"


def retention(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be erased, and erase nothing.")] = False,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="Also where the clock and the books' calls are far apart, or files are not found."
        ),
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Erase the recordings that are past their time.

    At most three days' worth in one run, the oldest first; never what is under legal hold.
    """
    settings = read_settings(config)
    os.nice(10)  # deleting is disk work, and calls come first
    done, lost = with_books(settings, lambda engine: run(engine, settings, dry_run=dry_run, anyway=anyway))
    if as_json:
        counts = {"erased": len(done.due), "not_found": lost, "left": done.left, "held": done.held}
        say_json([{**counts, "dry_run": dry_run}])
        return
    if dry_run:
        for due in done.due:
            say(f"{time.strftime('%Y-%m-%d', time.gmtime(due.started_at))} {due.id} {due.path}")
    said = "would be erased" if dry_run else "erased"
    missing = f" ({lost} had no file)" if lost else ""
    say(
        f"{counted(len(done.due), 'recording')} {said}{missing}, {done.left} left for the next runs,"
        f" {done.held} under legal hold"
    )


async def run(engine: Engine, settings: Settings, *, dry_run: bool, anyway: bool) -> tuple[Night, int]:
    """What was, or would be, erased, and of how many of them there was no file.

    Raises ``Fault`` where the clock is not believed, the disk is not there, or a file may not be deleted.
    """
    from ctid.asterisk.recordings import confined
    from ctid.db import retention as books

    now = time.time()
    kept = books.Kept(days=settings.recordings.retention_days, lines=settings.line_retention)
    found = await books.night(engine, settings.ami.pbx, now, kept)
    if dry_run or not found.due:
        return found, 0
    if not anyway and (fault := await books.clock_fault(engine, now)) is not None:
        raise Fault(f"{fault}: nothing is erased; if the clock is right, run: ctid retention --anyway")
    refuse_away(settings.recordings.root)
    if not anyway and await disk_away(engine, settings, found.due):
        raise Fault(
            f"{settings.recordings.root}: recordings that must be there are not found; is their disk mounted? Nothing is"
            " erased; if they are gone indeed, run: ctid retention --anyway"
        )
    done: list[Due] = []
    lost = held = 0
    for first in range(0, len(found.due), books.BATCH):
        erased = []
        try:
            for due in found.due[first : first + books.BATCH]:
                if await books.is_held(engine, due):  # since the run began
                    held += 1
                    continue
                if confined(settings.recordings.root, due.path) is None:
                    complain(f"{due.path}: lies outside {settings.recordings.root}; it stays, and in the books, too")
                    continue
                lost += not erase_file(settings, due.path)
                erased.append(due)
        finally:
            await books.keep_erased(engine, erased, whoever_types())
            done += erased
    return replace(found, due=tuple(done), held=found.held + held), lost


def refuse_away(root: Path) -> None:
    """Raise ``Fault`` where what is not found is not gone."""
    from ctid.asterisk.recordings import away

    try:
        if away(root):
            raise Fault(f"{root}: is empty or not there; is the recordings' disk mounted? Nothing is erased")
    except OSError as error:
        raise Fault(f"{root}: cannot be read ({error.strerror}); ctid doctor says the mend") from None


async def disk_away(engine: Engine, settings: Settings, due: Sequence[Due]) -> bool:
    """Whether files of these are not found, nor most of those that stay: another folder lies at the recordings' place."""
    from ctid.asterisk.recordings import lies
    from ctid.db.retention import Kept, witnesses

    root = settings.recordings.root
    if all(lies(root, one.path) for one in due):
        return False
    kept = Kept(days=settings.recordings.retention_days, lines=settings.line_retention)
    mine = {one.path for one in due}
    others = [path for path in await witnesses(engine, settings.ami.pbx, time.time(), kept) if path not in mine]
    return 2 * sum(lies(root, path) for path in others) < len(others)


def erase_file(settings: Settings, path: str) -> bool:
    """Delete a recording's file; whether there was one. Raises ``Fault`` with the mend where that is refused."""
    from ctid.asterisk.recordings import confined, remove

    root = settings.recordings.root
    if confined(root, path) is None:
        raise Fault(f"{path}: lies outside {root}, where nothing is deleted; see recordings.root in the configuration")
    try:
        return remove(root, path, settings.state.directory)
    except OSError as error:
        raise Fault(f"{root / path}: cannot be deleted ({error.strerror}); {_MEND}") from None
