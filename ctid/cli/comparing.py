"""``compare``: a day of the books beside what Asterisk itself wrote of it."""
# ruff: noqa: PLC0415 - a command imports what it needs

from __future__ import annotations

import os
import time
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from ctid.cli.books import with_books
from ctid.cli.faults import OWN_FAULT, Fault
from ctid.cli.lists import AsJson
from ctid.cli.options import ConfigFile, read_settings
from ctid.cli.showing import counted, say, say_json, table

if TYPE_CHECKING:
    from ctid.comparing import BookDay
    from ctid.config import Settings
    from ctid.db.session import Engine


def compare(
    *,
    on: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Default: yesterday, local time.")
    ] = None,
    nights: Annotated[bool, typer.Option("--nights", help="Show what the last nights found instead.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Compare a day's books with the CEL and CDR that Asterisk wrote.

    One line for each difference, that says what to do. Exit status 0 where there is none, 1 where there is one.
    """
    settings = read_settings(config)
    if nights:
        _show_nights(settings, as_json=as_json)
        return
    zone, now = ZoneInfo(settings.routing.timezone), time.time()
    try:
        day = date.fromisoformat(on) if on else datetime.fromtimestamp(now, zone).date() - timedelta(days=1)
    except ValueError:
        raise Fault(f"--date: {on!r} is no day; write it like 2026-11-22") from None
    found = _compared(settings, day, zone, now)
    if as_json:
        say_json([found])
    else:
        for one in found["differences"]:
            say(one["says"])
        read = ", ".join(
            f"{found[f'{name}_calls']} in {name.upper()}"
            for name in ("cel", "cdr")
            if found[f"{name}_calls"] is not None
        )
        bad = f", {found['bad_lines']} lines not readable" if found["bad_lines"] else ""
        say(
            f"{day.isoformat()} ({settings.routing.timezone}): {counted(found['calls'], 'call')} in the books, {read}{bad};"
            f" {counted(len(found['differences']), 'difference')}, talk differs by {found['drift_seconds']:g} s at most"
        )
    if found["differences"]:
        raise typer.Exit(OWN_FAULT)


def _compared(settings: Settings, day: date, zone: ZoneInfo, now: float) -> dict[str, Any]:
    from ctid import comparing
    from ctid.asterisk import pbx_day
    from ctid.db import daybook
    from ctid.domain.ledger import day_bounds

    if settings.cel.file is None and settings.cdr.file is None:
        raise Fault("cel.file: is not set, nor is cdr.file: there is nothing to compare with; set one of them")
    start, end = day_bounds(datetime(day.year, day.month, day.day, 12, tzinfo=zone).timestamp(), zone)
    if start >= now:
        raise Fault(f"--date: {day.isoformat()} has not begun; name a day that is over, or today")
    end = min(end, now)
    os.nice(10)  # a day's files are much to read, and calls come first

    async def read(engine: Engine) -> BookDay:
        return await daybook.read(engine, settings.ami.pbx, start, end)

    cel = pbx_day.from_cel(settings.cel.file, start, end) if settings.cel.file else None
    cdr = pbx_day.from_cdr(settings.cdr.file, start, end) if settings.cdr.file else None
    books = with_books(settings, read)
    return comparing.comparison_json(day, settings.ami.pbx, comparing.compare(books, cel, cdr, start=start, end=end))


def _show_nights(settings: Settings, *, as_json: bool) -> None:
    from ctid.daemon.nightly import kept

    found = kept(settings.state.directory)
    if as_json:
        say_json(found)
        return
    table(
        *("day", "drift (s)", "calls", "in CEL", "in CDR", "bad lines", "differences"),
        rows=[
            (
                *(night["day"], night["drift_seconds"], night.get("calls"), night.get("cel_calls")),
                *(night.get("cdr_calls"), night.get("bad_lines"), len(night["differences"])),
            )
            for night in found
        ],
    )
