"""The figures that can't be counted as they happen: recordings without a ticket, and how far memory and books are apart.

Law: they are measured each minute, unless ctid has more to do than it can; what can't be measured keeps its last value.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import NoReturn

import structlog

from ctid import metrics
from ctid.daemon.nightly import Nights
from ctid.daemon.pace import Pace
from ctid.daemon.writer import Writer
from ctid.db import reports
from ctid.db.session import DatabaseFault, Engine, faults
from ctid.domain.acd import Acd
from ctid.domain.types import Shed

log = structlog.get_logger(__name__)

_EVERY = 60.0
_AGAIN = 5.0  # where ctid has more to do than it can
#: How long the database is waited for, in seconds.
_PATIENCE = 30.0


class Gauges:
    """``pbx`` names the PBX whose talk is measured, ``now`` gives its clock."""

    def __init__(
        self,
        database: Engine,
        *,
        pbx: str,
        acd: Acd,
        writer: Writer,
        nights: Nights,
        pace: Pace,
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._pbx = pbx
        self._acd = acd
        self._writer = writer
        self._nights = nights
        self._pace = pace
        self._now = now

    async def run(self) -> NoReturn:
        """Measure, for ever."""
        while True:
            if self._pace.sheds(Shed.GAUGES):
                await asyncio.sleep(_AGAIN)
                continue
            try:
                async with faults(self._database, patience=_PATIENCE):
                    metrics.UNLINKED_RECORDINGS.set(await reports.unlinked_recordings(self._database))
                    if (drift := await self._drift()) is not None:
                        metrics.LEDGER_DRIFT.set(max(drift, self._nights.drift_seconds))
            except DatabaseFault as fault:
                log.warning("gauges.not_read", error=str(fault))
            await asyncio.sleep(_EVERY)

    async def _drift(self) -> float | None:
        """The greatest difference between an agent's talk today in memory and in the database, in seconds.

        ``None`` where the two can't be held against each other, for the database is about to be told. An agent of whom memory
        was told something while the database was read is left out.
        """
        now, zone = self._now(), self._acd.world.zone
        ledger, agents = self._acd.world.ledger, list(self._acd.world.desks)
        waiting, before = self._writer.pending, {agent: ledger.today(agent, now) for agent in agents}
        today = datetime.fromtimestamp(now, zone).date()
        booked = await reports.talked(self._database, self._pbx, on=today, timezone=zone, now=now)
        if waiting or self._writer.pending:
            return None
        still = {agent: talked for agent, talked in before.items() if ledger.today(agent, now) == talked}
        return max((abs(booked.get(agent, 0.0) - talked) for agent, talked in still.items()), default=0.0)
