"""Each night the day before is compared with what the PBX itself wrote of it, and the result is kept.

Law: the comparing is done by ``ctid compare``, a process of its own with a low priority, so that reading a day's files costs no
call a millisecond. A night that could not be compared is tried again; one that was missed is made up for.
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from ctid.config import Settings
from ctid.daemon.child import answered

log = structlog.get_logger(__name__)

_LOOK_EVERY = 30.0
_RETRY_AFTER = 3600.0
#: Nights kept, and differences of one night written to the log; the file has all of them.
KEPT, LOGGED = 60, 20


class Nights:
    """The nightly task, and what its nights found; ``config`` is the file of the settings, ``None`` for the usual one."""

    def __init__(self, settings: Settings, config: Path | None) -> None:
        self._config = config
        self._folder = folder(settings.state.directory)
        self._at = settings.cel.compare_at
        self._zone = ZoneInfo(settings.routing.timezone)
        self._wanted = settings.cel.file is not None or settings.cdr.file is not None
        self._first = datetime.now(self._zone).date()  # on a new site the days before are none of the books' business
        newest = next(iter(kept(settings.state.directory)), None)
        self._newest = None if newest is None else date.fromisoformat(newest["day"])
        self.drift_seconds = 0.0 if newest is None else float(newest["drift_seconds"])

    async def run(self) -> None:
        """Compare for ever, a night at a time."""
        while self._wanted:
            day = self._due(datetime.now(self._zone))
            if day is None:
                await asyncio.sleep(_LOOK_EVERY)
            elif not await self._compare(day):
                await asyncio.sleep(_RETRY_AFTER)

    def _due(self, now: datetime) -> date | None:
        """The day to compare now: the newest one that is over and whose time to be compared has come."""
        day = now.date() - timedelta(days=1 if now.time() >= self._at else 2)
        known = self._newest if self._newest is not None else self._first - timedelta(days=1)
        return day if day > known else None

    async def _compare(self, day: date) -> bool:
        began = time.monotonic()
        try:
            [found] = await answered(self._config, "compare", "--date", day.isoformat(), "--json")
            self._keep(day, found)
        except (ValueError, OSError) as error:
            return _not_compared(day, str(error))
        for one in found["differences"][:LOGGED]:
            log.warning("ledger.differs", day=found["day"], call=one["call"], agent=one["agent"], says=one["says"])
        log.log(
            30 if found["differences"] else 20,
            "ledger.compared",
            day=found["day"],
            drift_seconds=found["drift_seconds"],
            differences=len(found["differences"]),
            took_seconds=round(time.monotonic() - began, 1),
        )
        return True

    def _keep(self, day: date, found: dict[str, Any]) -> None:
        self._folder.mkdir(exist_ok=True)
        (self._folder / f"{day.isoformat()}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        for old in sorted(self._folder.glob("????-??-??.json"))[:-KEPT]:
            old.unlink()
        self._newest, self.drift_seconds = day, float(found["drift_seconds"])


def _not_compared(day: date, error: str) -> bool:
    log.warning("ledger.not_compared", day=day.isoformat(), error=error)
    return False


def folder(state: Path) -> Path:
    """Where the nights are kept, one JSON file each."""
    return state / "compared"


def kept(state: Path) -> list[dict[str, Any]]:
    """The nights kept, the newest first; a file that is not whole is left out."""
    found = []
    for file in sorted(folder(state).glob("????-??-??.json"), reverse=True):
        try:
            night = json.loads(file.read_text(encoding="utf-8"))
            date.fromisoformat(night["day"]), float(night["drift_seconds"]), night["differences"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found.append(night)
    return found
