"""Callbacks as they are kept: what was promised to whom, and what became of it.

Law: saving is idempotent, and brings no number back that was erased; only the acting daemon saves, everyone reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, Select, case, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from ctid.db.session import CHUNK, instant, maybe_instant, maybe_seconds, reading, seconds, upsert, writing
from ctid.db.tables import callbacks, calls
from ctid.desk.scrubbing import GONE
from ctid.domain.types import CallbackRecord, CallbackState, CallId, Consent, Direction


class Callbacks:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def save(self, records: Iterable[CallbackRecord]) -> None:
        """Write the callbacks as they stand now."""
        async with writing(self._engine) as connection:
            for record in records:
                row = _row(record)
                statement = upsert(connection, callbacks).values(row)
                key = [callbacks.c.pbx, callbacks.c.id]
                gone = callbacks.c.number == GONE
                kept = {
                    column.name: case((gone, column), else_=row[column.name])
                    for column in (callbacks.c.number, callbacks.c.dial)
                }
                await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=row | kept))

    async def open(self, pbx: str) -> tuple[CallbackRecord, ...]:
        """What this PBX still owes, in the order it was asked for."""
        return await self._read(
            select(callbacks)
            .where(callbacks.c.pbx == pbx, callbacks.c.ended_at.is_(None))
            .order_by(callbacks.c.asked_at, callbacks.c.id)
        )

    async def load(self, *, since: float | None = None, only_open: bool = False) -> tuple[CallbackRecord, ...]:
        """Callbacks asked for since then (Unix seconds), the oldest first."""
        query = select(callbacks).order_by(callbacks.c.asked_at, callbacks.c.id)
        if since is not None:
            query = query.where(callbacks.c.asked_at >= instant(since))
        if only_open:
            query = query.where(callbacks.c.ended_at.is_(None))
        return await self._read(query)

    async def attempts(self, pbx_and_ids: Iterable[tuple[str, CallId]]) -> dict[tuple[str, CallId], list[CallId]]:
        """The calls made for each of these callbacks, in order."""
        wanted = list(pbx_and_ids)
        made: dict[tuple[str, CallId], list[CallId]] = defaultdict(list)
        async with reading(self._engine) as connection:
            for start in range(0, len(wanted), CHUNK):
                of_these = tuple_(calls.c.pbx, calls.c.callback).in_(wanted[start : start + CHUNK])
                query = (
                    select(calls.c.pbx, calls.c.callback, calls.c.id)
                    .where(of_these, calls.c.direction == Direction.OUTBOUND.value)
                    .order_by(calls.c.started_at, calls.c.id)
                )
                for row in await connection.execute(query):
                    made[row.pbx, row.callback].append(row.id)
        return made

    async def _read(self, query: Select[Any]) -> tuple[CallbackRecord, ...]:
        async with reading(self._engine) as connection:
            return tuple(_record(row) for row in await connection.execute(query))


def _row(record: CallbackRecord) -> dict[str, Any]:
    return {
        "pbx": record.pbx,
        "id": record.id,
        "number": record.number,
        "dial": record.dial,
        "called": record.called,
        "line": record.line,
        "level": record.level,
        "severity": record.severity,
        "arrived_at": instant(record.arrived_at),
        "asked_at": instant(record.asked_at),
        "due_at": instant(record.due_at),
        "state": record.state.value,
        "tries": record.tries,
        "rung": record.rung,
        "attempt": record.attempt,
        "agent": record.agent,
        "ended_at": maybe_instant(record.ended_at),
        "why": record.why,
        "consent": record.consent.value if record.consent is not None else None,
    }


def _record(row: Row[Any]) -> CallbackRecord:
    return CallbackRecord(
        id=row.id,
        pbx=row.pbx,
        number=row.number,
        dial=row.dial,
        called=row.called,
        line=row.line,
        level=row.level,
        severity=row.severity,
        arrived_at=seconds(row.arrived_at),
        asked_at=seconds(row.asked_at),
        due_at=seconds(row.due_at),
        state=CallbackState(row.state),
        tries=row.tries,
        rung=row.rung,
        attempt=row.attempt,
        agent=row.agent,
        ended_at=maybe_seconds(row.ended_at),
        why=row.why,
        consent=Consent(row.consent) if row.consent else None,
    )
