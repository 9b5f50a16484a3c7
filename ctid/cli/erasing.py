"""``erase``: a person is erased from the books and the recordings, with a report of what was erased.

Law: what was begun and cut off is carried to its end by the next ``erase finish``, which the daemon runs.
"""
# ruff: noqa: PLC0415 - a command imports what it needs

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from ctid.cli.books import whoever_types, with_books
from ctid.cli.faults import Fault
from ctid.cli.lists import AsJson
from ctid.cli.options import ConfigFile, read_settings
from ctid.cli.retention import disk_away, erase_file, refuse_away
from ctid.cli.showing import complain, counted, moment, say, say_json, table

if TYPE_CHECKING:
    from ctid.config import Settings
    from ctid.db.erasure import Erasure, Erasures
    from ctid.db.session import Engine

#: What no erasure reaches, as a report names it.
BEYOND = ("backups", "pbx_cdr_cel_voicemail_logs", "ctid_log", "lists_imported_again", "freed_disk_blocks")
_PIECE, _SHORTEST = 1 << 20, 3
#: Recordings deleted between two looks at the legal holds.
_AT_ONCE = 10
Anyway = Annotated[
    bool,
    typer.Option(
        "--anyway", help="Also where recordings are not found: they are gone indeed. Never against a legal hold."
    ),
]

erase = typer.Typer(help="Erase a person, and read the reports of what was erased.")


@erase.callback()
def person(*, config: ConfigFile = None) -> None:
    """Erase a person, and read the reports of what was erased."""


@erase.command()
def contact(
    contact_id: Annotated[str, typer.Argument(metavar="ID")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be erased, and erase nothing.")] = False,
    anyway: Anyway = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Erase a contact for good.

    Their file with names, numbers and notes; the recordings of their calls; their name and numbers in calls, callbacks and
    texts. It cannot be undone. Refused under legal hold; what cannot be done now is asked for, and goes on by itself.
    """
    settings = read_settings(config)
    from ctid.db.files import NoSuchFile

    async def looked(engine: Engine) -> dict[str, int]:
        return await _store(engine, settings).preview(contact_id, time.time())

    async def erased(engine: Engine) -> Erasure:
        of = _store(engine, settings)
        begun = await of.ask(contact_id, whoever_types())
        await _carry_out(engine, of, settings, begun, anyway=anyway)
        done = await of.one(begun.id)
        assert done is not None
        return done

    try:
        if dry_run:
            counts = with_books(settings, looked)
            if as_json:
                say_json([counts])
            else:
                say(f"would be erased: {_counts(counts)}")
            return
        done = with_books(settings, erased)
    except NoSuchFile:
        raise Fault(f"there is no contact {contact_id}; the id stands on the contact's page") from None
    if as_json:
        say_json([_told(done)])
        return
    report = done.report or {}
    say(f"erasure {done.id}: {done.stage}; {_counts(report.get('counts', {}))}")
    if lost := report.get("remains", {}).get("not_found"):
        say(f"no file was found of {counted(len(lost), 'recording')}: {', '.join(lost)}")
    for what, ids in (report.get("mentions") or {}).items():
        say(f"look at {what} {', '.join(ids)}: the name stands there, of this person or of another who bears it")


@erase.command()
def finish(*, anyway: Anyway = False, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Carry out the erasures that wait.

    Those that were asked for on the pages, and those that were cut off; each that has to wait on says why. The daemon does it
    every few minutes.
    """
    settings = read_settings(config)
    os.nice(10)

    async def finished(engine: Engine) -> list[dict[str, Any]]:
        from ctid.db.erasure import ErasureRefused
        from ctid.db.files import NoSuchFile

        of, told = _store(engine, settings), []
        for erasure in await of.unfinished():
            waits = None
            try:
                await _carry_out(engine, of, settings, erasure, anyway=anyway)
            except NoSuchFile:  # another erasure took the file along: the two were merged after both were asked for
                await of.end(erasure, {"beyond": list(BEYOND), "state_files": None}, time.time())
            except (ErasureRefused, Fault) as error:
                waits = str(error)
            told.append({"id": erasure.id, "contact_id": erasure.contact_id, "waits": waits})
        return told

    told = with_books(settings, finished)
    if as_json:
        say_json(told)
        return
    for one in told:
        if one["waits"]:
            complain(f"erasure {one['id']} waits: {one['waits']}")
    say(f"{sum(one['waits'] is None for one in told)} erased, {sum(one['waits'] is not None for one in told)} wait")


@erase.command()
def withdraw(number: Annotated[int, typer.Argument(metavar="NUMBER")], *, config: ConfigFile = None) -> None:
    """Take back the wish for an erasure that still waits.

    What recordings it deleted already stay deleted.
    """
    settings = read_settings(config)
    with_books(settings, lambda engine: _store(engine, settings).withdraw(number, whoever_types()))
    say(f"erasure {number} is withdrawn")


@erase.command()
def reports(
    number: Annotated[int | None, typer.Argument(metavar="[NUMBER]")] = None,
    *,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """The erasures there were, or one with its whole report as JSON."""
    settings = read_settings(config)
    found = with_books(settings, lambda engine: _store(engine, settings).all(limit=10_000))
    chosen = [one for one in found if number is None or one.id == number]
    if number is not None and not chosen:
        raise Fault(f"there is no erasure {number}; see: ctid erase reports")
    if as_json or number is not None:
        say_json(_told(one) for one in chosen)
        return
    zone = ZoneInfo(settings.routing.timezone)
    table(
        *("number", "contact", "asked", "by", "stage", "done"),
        rows=[
            (one.id, one.contact_id, moment(one.asked_at, zone), one.asked_by, one.stage, moment(one.done_at, zone))
            for one in chosen
        ],
    )


def _store(engine: Engine, settings: Settings) -> Erasures:
    from ctid.db.erasure import Erasures
    from ctid.db.numbers import normalise

    routing = settings.routing
    return Erasures(engine, partial(normalise, country=routing.country, outside_prefix=routing.outside_prefix))


async def _carry_out(engine: Engine, of: Erasures, settings: Settings, erasure: Erasure, *, anyway: bool) -> None:
    """Bring one erasure to its end from whatever stage it is at. Raises ``ErasureRefused``, ``NoSuchFile``, ``Fault``."""
    from ctid.daemon.journal import waiting_bytes
    from ctid.db.erasure import Stage
    from ctid.db.remnants import sweep

    needles, lost = list[str](), list[str]()
    if erasure.stage is Stage.ASKED:
        if waiting_bytes(settings.journal):
            raise Fault(
                f"{settings.journal}: calls of an outage wait there for the database, theirs maybe; try again later"
            )
        needles = await of.needles(erasure)
        # A hold may come at any time: it is asked for again before every few files.
        while due := (await of.files(erasure, settings.ami.pbx, time.time()))[:_AT_ONCE]:
            refuse_away(settings.recordings.root)
            if not anyway and await disk_away(engine, settings, due):
                raise Fault(
                    f"{settings.recordings.root}: recordings of theirs are not found; is their disk mounted? The erasure waits;"
                    " if they are gone indeed, run: ctid erase finish --anyway"
                )
            gone = []
            try:
                for one in due:
                    if not erase_file(settings, one.path):
                        lost.append(one.id)
                    gone.append(one)
            finally:
                await of.keep_gone(gone)
        erasure = await of.erase(erasure, time.time())
    await sweep(engine)
    # After a cut-off nobody knows any more what to look for.
    files = sorted(_holding(settings.state.directory, _databases(engine), needles)) if needles else None
    await of.end(erasure, {"beyond": list(BEYOND), "state_files": files, "not_found": lost}, time.time())


def _databases(engine: Engine) -> set[Path]:
    file = Path(str(engine.url.database)) if engine.dialect.name == "sqlite" else None
    return {file.with_name(f"{file.name}{end}") for end in ("", "-wal", "-shm")} if file else set()


def _holding(folder: Path, but: set[Path], needles: list[str]) -> Iterable[str]:
    """The files below the state directory where the person still stands, such as recorded streams: relative names."""
    wanted = [needle.encode() for needle in needles if len(needle.encode()) > _SHORTEST]
    for file in folder.rglob("*") if wanted else ():
        try:
            if file in but or not file.is_file() or file.is_symlink():
                continue
            with file.open("rb") as stream:
                before = b""
                while piece := stream.read(_PIECE):
                    if any(needle in before + piece for needle in wanted):
                        yield str(file.relative_to(folder))
                        break
                    before = piece[-256:]
        except OSError:  # not ours to read: another's file, or gone meanwhile
            continue


def _told(one: Erasure) -> dict[str, Any]:
    from ctid.calljson import iso

    return {
        "id": one.id,
        "contact_id": one.contact_id,
        "asked_at": iso(one.asked_at),
        "asked_by": one.asked_by,
        "stage": one.stage.value,
        "done_at": iso(one.done_at),
        "report": one.report,
    }


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())
