"""Recordings as those who listen need them: where the file is, whose it is, and who has listened.

Law: reads only; what a page needs of all its recordings is one question of three statements, each on an index. The daemon
alone writes recordings; each listen is a row of ``audit``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, or_, select, tuple_

from ctid.db.session import Engine, instant, reading, seconds
from ctid.db.tables import audit, calls, legs, recording_tickets, recordings, tickets
from ctid.domain.types import AgentId, CallId, RecordingState

#: What the audit calls a listen.
LISTEN = "listen"
#: So long after a call nobody measures its recording any more: ctid was away, or the PBX was.
_MEASURED = timedelta(days=1)
#: Of one page; more recordings than these are nobody's to hear there.
MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A recording and whose it is: the agents who talked in its call, and those who have one of its tickets.

    ``tickets`` are those it hangs on. To have a ticket is to own it, or to be the one it is with.
    """

    id: str
    pbx: str
    call_id: CallId
    path: str
    state: RecordingState
    seconds: float | None
    tickets: tuple[str, ...]
    agents: frozenset[AgentId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """One listen: who, when (Unix seconds), to which recording, from which address."""

    at: float
    user: str | None
    recording: str
    address: str | None


def closed(now: float) -> ColumnElement[bool]:
    """Whether a row of ``recordings`` joined to its ``calls`` is of a file that nothing writes any more."""
    measured = recordings.c.state != RecordingState.RECORDING.value
    return and_(calls.c.ended_at.is_not(None), or_(measured, calls.c.ended_at < instant(now) - _MEASURED))


class Recordings:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def one(self, recording_id: str) -> Heard | None:
        """The recording of that id, or ``None``."""
        return (await self.all([recording_id])).get(recording_id)

    async def all(self, recording_ids: Collection[str]) -> dict[str, Heard]:
        """The recordings of these ids that there are, ``MOST`` at most."""
        wanted = list(recording_ids)[:MOST]
        if not wanted:
            return {}
        async with reading(self._engine) as connection:
            query = select(recordings).where(recordings.c.id.in_(wanted)).order_by(recordings.c.pbx.desc())
            rows = {row.id: row for row in await connection.execute(query)}
            if not rows:
                return {}
            talked: dict[tuple[str, str], set[AgentId]] = defaultdict(set)
            talkers = select(legs.c.pbx, legs.c.call_id, legs.c.agent).where(
                tuple_(legs.c.pbx, legs.c.call_id).in_([(row.pbx, row.call_id) for row in rows.values()]),
                legs.c.agent.is_not(None),
                legs.c.answered_at.is_not(None),
            )
            for leg in await connection.execute(talkers):
                talked[leg.pbx, leg.call_id].add(leg.agent)
            hangs: dict[tuple[str, str], set[str]] = defaultdict(set)
            having: dict[tuple[str, str], set[AgentId]] = defaultdict(set)
            of_tickets = (
                select(
                    recording_tickets.c.pbx,
                    recording_tickets.c.recording_id,
                    tickets.c.id,
                    tickets.c.owner,
                    tickets.c.with_agent,
                )
                .join(tickets, tickets.c.id == recording_tickets.c.ticket_id)
                .where(
                    tuple_(recording_tickets.c.pbx, recording_tickets.c.recording_id).in_(
                        [(row.pbx, row.id) for row in rows.values()]
                    ),
                    recording_tickets.c.removed_at.is_(None),
                )
            )
            for row in await connection.execute(of_tickets):
                key = row.pbx, row.recording_id
                hangs[key].add(row.id)
                having[key].update(agent for agent in (row.owner, row.with_agent) if agent is not None)
        return {
            row.id: Heard(
                id=row.id,
                pbx=row.pbx,
                call_id=row.call_id,
                path=row.path,
                state=RecordingState(row.state),
                seconds=row.seconds,
                tickets=tuple(sorted(hangs[row.pbx, row.id])),
                agents=frozenset(talked[row.pbx, row.call_id] | having[row.pbx, row.id]),
            )
            for row in rows.values()
        }

    async def paths(self, pbx: str, now: float) -> list[str]:
        """Where the files of that PBX lie that are there by the books, of calls that are over; ``now`` in Unix seconds."""
        query = (
            select(recordings.c.path)
            .join(calls, (calls.c.pbx == recordings.c.pbx) & (calls.c.id == recordings.c.call_id))
            .where(
                recordings.c.pbx == pbx,
                recordings.c.state.not_in((RecordingState.MISSING.value, RecordingState.ERASED.value)),
                closed(now),
            )
        )
        async with reading(self._engine) as connection:
            return list(await connection.scalars(query))

    async def listens(self, recording_ids: Collection[str], *, limit: int) -> list[Listen]:
        """Who listened to any of these, the newest first."""
        query = (
            select(audit)
            .where(audit.c.subject.in_(list(recording_ids)[:MOST]), audit.c.action == LISTEN)
            .order_by(audit.c.at.desc(), audit.c.id.desc())
            .limit(limit)
        )
        async with reading(self._engine) as connection:
            return [
                Listen(at=seconds(row.at), user=row.user_name, recording=row.subject, address=row.address)
                for row in await connection.execute(query)
            ]
