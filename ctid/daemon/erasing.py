"""What is to be erased is erased while the daemon runs: at night the recordings past their time, people when asked.

Law: the work is done by ``ctid retention``, ``ctid recordings seal`` and ``ctid erase finish``, processes of their own. The
acting daemon alone starts them: of two on one PBX, one. What failed or has to wait is told and tried again later; a night whose
recordings were erased is done, whatever becomes of the sealing, which nobody waits for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from ctid.config import Settings
from ctid.daemon.child import answered
from ctid.db.erasure import Erasures
from ctid.db.session import DatabaseFault, Engine, faults

log = structlog.get_logger(__name__)

_LOOK_EVERY = 30.0
_RETRY_NIGHT, _RETRY_PEOPLE = 3600.0, 300.0

Work = Callable[[], Awaitable[bool]]


class Erasing:
    """``acts`` says whether this daemon is the one that acts; ``config`` is the file of the settings."""

    def __init__(self, settings: Settings, database: Engine, config: Path | None, acts: Callable[[], bool]) -> None:
        self._config = config
        self._database = database
        self._erasures = Erasures(database, normalise=lambda number: number)  # it only asks whether there are any
        self._acts = acts
        self._at = settings.recordings.retention_at
        self._zone = ZoneInfo(settings.routing.timezone)
        # The day of the last night that was done.
        self._erased, self._sealed = (settings.state.directory / name for name in ("retention", "sealing"))
        self._seals = settings.recordings.encrypt
        self._tried: str | None = None

    async def run(self) -> None:
        """Erase for ever, whatever is due; and seal."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._again((self._night, _RETRY_NIGHT), (self._people, _RETRY_PEOPLE)))
            if self._seals:
                tasks.create_task(self._again((self._seal, _RETRY_NIGHT)))

    async def _again(self, *works: tuple[Work, float]) -> None:
        rests: dict[Work, float] = {}
        while True:
            if self._acts():
                for work, rest in works:
                    if time.monotonic() >= rests.get(work, 0.0) and not await work():
                        rests[work] = time.monotonic() + rest
            await asyncio.sleep(_LOOK_EVERY)

    async def _night(self) -> bool:
        """Erase what is past its time, if tonight's is not done; whether all went well."""
        now = datetime.now(self._zone)
        day = now.date().isoformat()
        if now.time() < self._at:
            return True
        try:
            return _day(self._erased) == day or await self._erase(day)
        finally:
            self._tried = day

    async def _erase(self, day: str) -> bool:
        try:
            [found] = await answered(self._config, "retention", "--json")
            erased, left, held = int(found["erased"]), int(found["left"]), int(found["held"])
        except (ValueError, OSError, KeyError, TypeError) as error:
            log.warning("retention.not_done", error=str(error))
            return False
        with suppress(OSError):
            self._erased.write_text(f"{day}\n", encoding="ascii")
        if left:
            log.warning("retention.behind", erased=erased, left=left, held=held, mend="see: ctid retention --dry-run")
        elif erased or held:
            log.info("retention.done", erased=erased, held=held)
        return True

    async def _seal(self) -> bool:
        """Seal what lies there plain, once tonight's erasing was tried: what was damaged, or came while there was no key."""
        day = self._tried
        if day is None or _day(self._sealed) == day:
            return True
        try:
            [found] = await answered(self._config, "recordings", "seal", "--json")
            done, failed = int(found["sealed"]), int(found["failed"])
        except (ValueError, OSError, KeyError, TypeError) as error:
            log.warning("sealing.not_done", error=str(error))
            return False
        with suppress(OSError):
            self._sealed.write_text(f"{day}\n", encoding="ascii")
        if done or failed:
            log.log(30 if failed else 20, "sealing.done", sealed=done, failed=failed)
        return True

    async def _people(self) -> bool:
        """Carry out the erasures that were asked for; whether none has to wait."""
        try:
            async with faults(self._database):
                if not await self._erasures.unfinished():
                    return True
            told = await answered(self._config, "erase", "finish", "--json")
            waiting = {int(one["id"]): one["waits"] for one in told}
        except (DatabaseFault, ValueError, OSError, KeyError, TypeError) as error:
            log.warning("erasure.not_done", error=str(error))
            return False
        for key, waits in waiting.items():
            if waits is None:
                log.info("erasure.done", erasure=key)
            else:
                log.warning("erasure.waits", erasure=key, mend=str(waits))
        return not any(waiting.values())


def _day(mark: Path) -> str | None:
    try:
        return mark.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
