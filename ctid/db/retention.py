"""Recordings that are past their time: which they are, and that they are gone.

Law: what is under legal hold is never due, nor what is being recorded; holds are looked at once more before each file. A clock
that stands wrong must not empty the folder: it is held against the books' own calls first, which may have no hole since a run
last erased, and a night takes no more than ``DAYS_A_NIGHT`` days' worth of recordings, the oldest first. Files are deleted
before the books say so: a run that is cut off is made up for by the next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select, tuple_, update

from ctid.db.audits import Actor, note
from ctid.db.holds import held_recording
from ctid.db.recordings import closed
from ctid.db.session import Engine, instant, maybe_seconds, read, seconds, write
from ctid.db.tables import audit, calls, customers, recordings
from ctid.domain.types import CallId, RecordingState

#: Of how many days' recordings a night erases at most; what was left by the nights before is worked off by and by.
DAYS_A_NIGHT = 3
#: However few a day brings.
AT_LEAST = 100
#: The days by which an average day is reckoned.
_LATELY = timedelta(days=30)
#: The newest call is as near to the clock as this, and each call as near to the one before.
_FRESH, _HOLE, _AHEAD = timedelta(days=3), timedelta(days=33), timedelta(hours=2)
#: As many recordings that stay tell whether their disk is there.
WITNESSES = 50
#: What the audit calls a run.
_RUN = "recordings_erased"
BATCH = 200

_own, _living = customers.alias("own"), customers.alias("living")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How many days recordings are kept: ``days`` by the site, ``lines`` by those lines that say so; ``None`` for ever."""

    days: int | None
    lines: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A recording past its time; ``path`` as the books have it, ``started_at`` of its call in Unix seconds."""

    pbx: str
    id: str
    call_id: CallId
    path: str
    started_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What one run may erase, the oldest first; how many more are due, and how many would be but are held."""

    due: tuple[Due, ...]
    left: int
    held: int


async def clock_fault(engine: Engine, now: float) -> str | None:
    """Why the clock is not believed, ``None`` where the books' own calls bear it out or there are none."""

    def work(connection: Connection) -> str | None:
        newest = maybe_seconds(connection.scalar(select(func.max(calls.c.started_at))))
        if newest is None:
            return None
        told = f"the clock says {_day(now)}, and the newest call in the books is of {_day(newest)}"
        if newest > now + _AHEAD.total_seconds() or newest < now - _FRESH.total_seconds():
            return told
        hole = _hole(connection, now)
        return None if hole is None else f"{told}, but after {_day(hole)} there is none for a month"

    return await read(engine, work)


async def witnesses(engine: Engine, pbx: str, now: float, kept: Kept) -> list[str]:
    """Paths of recordings that are within their time and there by the books: if they are not, their disk is away.

    The oldest, as a disk may be away for days of new calls; where all are kept, the newest before the last two days.
    """

    def work(connection: Connection) -> list[str]:
        measured = recordings.c.state.in_((RecordingState.COMPLETE.value, RecordingState.DAMAGED.value))
        query = _joined(recordings.c.path).where(recordings.c.pbx == pbx, measured, closed(now)).limit(WITNESSES)
        past = _past(connection, now, kept)
        if past is not None:
            query = query.where(case((past, 1), else_=0) == 0).order_by(calls.c.started_at)
        else:
            before = instant(now) - timedelta(days=2)
            query = query.where(calls.c.started_at < before).order_by(calls.c.started_at.desc())
        return list(connection.scalars(query))

    return await read(engine, work)


async def is_held(engine: Engine, due: Due) -> bool:
    """Whether the recording is under legal hold by now."""
    this = and_(recordings.c.pbx == due.pbx, recordings.c.id == due.id, held_recording())
    return await read(engine, lambda connection: connection.scalar(_joined(func.count()).where(this)) != 0)


async def night(engine: Engine, pbx: str, now: float, kept: Kept) -> Night:
    """What of this PBX's recordings is due at ``now`` (Unix seconds) and may be erased in one run."""

    def work(connection: Connection) -> Night:
        past = _past(connection, now, kept)
        if past is None:
            return Night(due=(), left=0, held=0)
        here = and_(recordings.c.pbx == pbx, recordings.c.state != RecordingState.ERASED.value, closed(now), past)
        held = connection.scalar(_joined(func.count()).where(here, held_recording())) or 0
        free = and_(here, ~held_recording())
        due = connection.scalar(_joined(func.count()).where(free)) or 0
        query = _joined(recordings, calls.c.started_at).where(free).order_by(calls.c.started_at, recordings.c.id)
        rows = connection.execute(query.limit(_most(connection, pbx))).all()
        found = tuple(
            Due(pbx=row.pbx, id=row.id, call_id=row.call_id, path=row.path, started_at=seconds(row.started_at))
            for row in rows
        )
        return Night(due=found, left=due - len(found), held=held)

    return await read(engine, work)


async def keep_erased(engine: Engine, gone: Sequence[Due], by: Actor) -> None:
    """Have the books say that these are erased, and the audit that they were: the days of the oldest and of the newest."""
    if not gone:
        return

    def work(connection: Connection) -> None:
        for first in range(0, len(gone), BATCH):
            keys = [(due.pbx, due.id) for due in gone[first : first + BATCH]]
            these = tuple_(recordings.c.pbx, recordings.c.id).in_(keys)
            connection.execute(update(recordings).where(these).values(state=RecordingState.ERASED.value))
        days = f"{_day(min(due.started_at for due in gone))}..{_day(max(due.started_at for due in gone))}"
        note(connection, _RUN, days, by, context={"recordings": len(gone)})

    await write(engine, work)


def _hole(connection: Connection, now: float) -> float | None:
    """When the books' calls break off for a month, since a run last erased; ``None`` where they do not."""
    ran = select(func.max(audit.c.at)).where(audit.c.action == _RUN, audit.c.at <= instant(now))
    newest = connection.scalar(select(func.max(calls.c.started_at)))
    at = connection.scalar(ran) or connection.scalar(select(func.min(calls.c.started_at)))
    while at is not None and newest is not None and at < newest:
        near = select(func.max(calls.c.started_at)).where(calls.c.started_at > at, calls.c.started_at <= at + _HOLE)
        step = connection.scalar(near)
        if step is None:
            return seconds(at)
        at = step
    return None


def _joined(*columns: Any) -> Select[Any]:
    """Recordings with their calls, and with the living file of the call's customer."""
    return (
        select(*columns)
        .select_from(recordings)
        .join(calls, and_(calls.c.pbx == recordings.c.pbx, calls.c.id == recordings.c.call_id))
        .outerjoin(_own, _own.c.id == calls.c.customer_id)
        .outerjoin(_living, _living.c.id == func.coalesce(_own.c.merged_into, _own.c.id))
    )


def _past(connection: Connection, now: float, kept: Kept) -> ColumnElement[bool] | None:
    """Whether a call of ``_joined`` is past its time: by its customer's days, else its line's, else the site's."""
    own_days = _living.c.retention_days
    line = func.coalesce(calls.c.line, "")

    def before(days: int) -> ColumnElement[bool]:
        return calls.c.started_at < instant(now) - timedelta(days=days)

    several = select(customers.c.retention_days).where(customers.c.retention_days.is_not(None)).distinct()
    rules = [and_(own_days == days, before(days)) for days in connection.scalars(several)]
    rules += [and_(own_days.is_(None), line == name, before(days)) for name, days in kept.lines.items()]
    if kept.days is not None:
        rules.append(and_(own_days.is_(None), line.not_in(list(kept.lines)), before(kept.days)))
    return or_(*rules) if rules else None


def _most(connection: Connection, pbx: str) -> int:
    newest = connection.scalar(select(func.max(calls.c.started_at)).where(calls.c.pbx == pbx))
    if newest is None:
        return AT_LEAST
    lately = connection.scalar(
        select(func.count())
        .select_from(recordings)
        .join(calls, and_(calls.c.pbx == recordings.c.pbx, calls.c.id == recordings.c.call_id))
        .where(recordings.c.pbx == pbx, calls.c.started_at > newest - _LATELY)
    )
    return max(AT_LEAST, math.ceil(DAYS_A_NIGHT * (lately or 0) / _LATELY.days))


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
