"""One PBX's day out of the books, to be held against what the PBX wrote.

Law: three short queries of what is compared, no more: a day may have a hundred thousand calls. Talk is cut at the day's bounds.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ctid.comparing import BookCall, BookDay, BookLeg, Span
from ctid.db.session import instant, maybe_seconds, reading, seconds
from ctid.db.tables import calls, legs, recordings, talks
from ctid.domain.types import Certainty, RecordingState


async def read(engine: AsyncEngine, pbx: str, start: float, end: float) -> BookDay:
    """The books on the calls of ``pbx`` that began from ``start`` to ``end`` (Unix seconds) or talked in between."""
    since, until = instant(start), instant(end)
    of_leg = and_(talks.c.pbx == legs.c.pbx, talks.c.call_id == legs.c.call_id, talks.c.leg_id == legs.c.id)
    of_call = and_(calls.c.pbx == legs.c.pbx, calls.c.id == legs.c.call_id)
    talked = and_(talks.c.started_at < until, or_(talks.c.ended_at > since, talks.c.ended_at.is_(None)))
    spans = (
        select(
            *(calls.c.id, calls.c.started_at, calls.c.ended_at, calls.c.merged_into),
            *(legs.c.id.label("leg"), legs.c.agent, legs.c.certainty),
            *(talks.c.started_at.label("talked_at"), talks.c.ended_at.label("talked_until")),
        )
        .select_from(talks.join(legs, of_leg).join(calls, of_call))
        .where(calls.c.pbx == pbx, talked)
    )
    begun = select(calls.c.id, calls.c.started_at, calls.c.ended_at, calls.c.merged_into).where(
        calls.c.pbx == pbx, calls.c.started_at >= since, calls.c.started_at < until
    )
    kept = (
        select(recordings.c.call_id, recordings.c.id, recordings.c.path, recordings.c.state)
        .join(calls, and_(calls.c.pbx == recordings.c.pbx, calls.c.id == recordings.c.call_id))
        .where(calls.c.pbx == pbx, calls.c.started_at >= since, calls.c.started_at < until)
        .order_by(recordings.c.id)
    )
    found: dict[str, BookCall] = {}
    whose: dict[str, tuple[str, str | None, Certainty]] = {}
    talk: dict[str, list[Span]] = defaultdict(list)
    async with reading(engine) as connection:
        for call in await connection.execute(begun):
            found[call.id] = _call(call.started_at, call.ended_at, call.merged_into)
        for row in await connection.execute(spans):
            found.setdefault(row.id, _call(row.started_at, row.ended_at, row.merged_into))
            whose[row.leg] = row.id, row.agent, Certainty(row.certainty)
            ended = maybe_seconds(row.talked_until)
            talk[row.leg].append((max(seconds(row.talked_at), start), min(end if ended is None else ended, end)))
        files = [(row.call_id, row.id, row.path, RecordingState(row.state)) for row in await connection.execute(kept)]
    return BookDay(
        calls=found,
        legs={
            leg: BookLeg(call=call, agent=agent, certainty=certainty, talks=tuple(talk[leg]))
            for leg, (call, agent, certainty) in whose.items()
        },
        recordings=tuple(files),
    )


def _call(began: datetime, ended: datetime | None, merged_into: str | None) -> BookCall:
    return BookCall(began=seconds(began), ended=ended is not None, merged_into=merged_into)
