"""The books on calls: saved whole, as often as they change, and read back as the same values.

Law: saving is idempotent and takes nothing away that others added: ticket links are united, a closed recording stays
closed. Nor does it bring back what was erased, however old the record is: whose a call was, the numbers rung in it, its
recordings. Only the daemon saves; everyone reads. Of a call under way that this store has saved before, only what changed
since is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select, tuple_, update

from ctid.db.call_rows import stay, whole
from ctid.db.call_writing import save
from ctid.db.session import CHUNK, Engine, instant, reading, seconds, write
from ctid.db.tables import call_tickets, calls, decisions, recordings, talks
from ctid.domain.announcing import Stay
from ctid.domain.types import (
    AgentId,
    CallId,
    CallRecord,
    Direction,
    LegId,
    Outcome,
    RecordingRecord,
    RecordingState,
    Via,
)

#: A call's pbx and id.
_Key = tuple[str, CallId]
#: Recordings that were not there, or could not be opened: of every other the digest is known.
_UNREAD = and_(
    recordings.c.state.in_((RecordingState.MISSING.value, RecordingState.DAMAGED.value)), recordings.c.sha256.is_(None)
)


class NoSuchCall(LookupError):  # noqa: N818 - it is an answer
    """One line that says which call was not found, or which several were."""


class SeveralCalls(NoSuchCall):
    """More than one call is meant; ``calls`` holds the newest of them."""

    def __init__(self, said: str, found: Sequence[CallRecord]) -> None:
        self.calls = tuple(found)
        several = ", ".join(f"{call.pbx}/{call.id}" for call in found)
        super().__init__(f"several calls begin with {said}: {several}; name one of them")


class Calls:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._saved: dict[_Key, CallRecord] = {}  # calls under way, as the books have them by this store's doing

    async def save(self, records: Iterable[CallRecord]) -> None:
        """Write the calls whole, in transactions of at most ``CHUNK``; of one call's records the last counts."""
        newest = list({(record.pbx, record.id): record for record in records}.values())
        for start in range(0, len(newest), CHUNK):
            records_of_chunk = newest[start : start + CHUNK]
            changes = [(record, self._saved.pop((record.pbx, record.id), None)) for record in records_of_chunk]
            # Should it fail, they are forgotten: the next try then writes them whole.
            await write(self._engine, partial(save, changes=changes))
            self._saved.update({(r.pbx, r.id): r for r in records_of_chunk if r.ended_at is None})

    async def load(
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        agent: AgentId | None = None,
        contact_id: str | None = None,
        customer_id: str | None = None,
        ticket_id: str | None = None,
        limit: int | None = None,
    ) -> list[CallRecord]:
        """Calls that started in [since, until) (Unix seconds) and fit, the oldest first; with ``limit`` the newest ones."""
        query = select(calls).order_by(calls.c.started_at.desc(), calls.c.id.desc()).limit(limit)
        if since is not None:
            query = query.where(calls.c.started_at >= instant(since))
        if until is not None:
            query = query.where(calls.c.started_at < instant(until))
        if agent is not None:
            query = query.where(calls.c.agent == agent)
        if contact_id is not None:
            query = query.where(calls.c.contact_id == contact_id)
        if customer_id is not None:
            query = query.where(calls.c.customer_id == customer_id)
        if ticket_id is not None:
            query = query.where(
                select(call_tickets.c.ticket_id)
                .where(
                    call_tickets.c.pbx == calls.c.pbx,
                    call_tickets.c.call_id == calls.c.id,
                    call_tickets.c.ticket_id == ticket_id,
                    call_tickets.c.removed_at.is_(None),
                )
                .exists()
            )
        return (await self._read(query))[::-1]

    async def some(self, keys: Iterable[tuple[str, CallId]]) -> list[CallRecord]:
        """The calls of these PBXes and ids that the books know, the oldest first."""
        wanted = sorted(set(keys))
        found: list[CallRecord] = []
        for start in range(0, len(wanted), CHUNK):
            of_these = tuple_(calls.c.pbx, calls.c.id).in_(wanted[start : start + CHUNK])
            found += await self._read(select(calls).where(of_these))
        return sorted(found, key=lambda call: (call.started_at, call.id))

    async def unfinished(self) -> list[CallRecord]:
        """The calls that have not ended as far as the books know, the oldest first."""
        return await self._read(
            select(calls).where(calls.c.ended_at.is_(None)).order_by(calls.c.started_at, calls.c.id)
        )

    async def one(self, id_or_prefix: str) -> CallRecord:
        """The call of that id, or the only one whose id begins so; ``PBX/ID`` where several PBXes share the books.

        Raises ``SeveralCalls`` and ``NoSuchCall``.
        """
        pbx, named, key = id_or_prefix.rpartition("/")
        query = select(calls).order_by(calls.c.started_at.desc(), calls.c.pbx).limit(5)
        if named:
            query = query.where(calls.c.pbx == pbx)
        found = await self._read(query.where(calls.c.id == key))
        found = found or await self._read(query.where(calls.c.id.startswith(key, autoescape=True)))
        if not found:
            raise NoSuchCall(f"there is no call {id_or_prefix}; see: ctid calls")
        if len(found) > 1:
            raise SeveralCalls(id_or_prefix, found)
        return found[0]

    async def talks_since(self, pbx: str, since: float) -> list[tuple[AgentId, LegId, float, float]]:
        """Customer talk of ended calls there that reaches past ``since``: (agent, leg, started_at, ended_at)."""
        query = (
            select(talks.c.agent, talks.c.leg_id, talks.c.started_at, talks.c.ended_at)
            .join(calls, and_(calls.c.pbx == talks.c.pbx, calls.c.id == talks.c.call_id))
            .where(
                talks.c.pbx == pbx,
                talks.c.ended_at > instant(since),
                talks.c.customer,
                talks.c.agent.is_not(None),
                calls.c.ended_at.is_not(None),
            )
            .order_by(talks.c.started_at)
        )
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [(row.agent, row.leg_id, seconds(row.started_at), seconds(row.ended_at)) for row in rows]

    async def stays(self, pbx: str, since: float) -> list[Stay]:
        """The callers whose calls began at ``since`` or later and came to a line of this PBX while ctid routed."""
        first = (
            select(decisions.c.at)
            .where(decisions.c.pbx == calls.c.pbx, decisions.c.call_id == calls.c.id)
            .order_by(decisions.c.position)
            .limit(1)
            .scalar_subquery()
        )
        query = select(calls, first.label("offered_at")).where(
            calls.c.pbx == pbx,
            calls.c.started_at >= instant(since),
            calls.c.line.is_not(None),
            calls.c.via == Via.CTID.value,
        )
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [stay(row) for row in rows]

    async def in_vain(self, pbx: str, since: float) -> list[tuple[str, int]]:
        """Who rang in vain since then (Unix seconds), and how often: the contact's id, else the number as the PBX gave it."""
        caller = func.coalesce(calls.c.contact_id, calls.c.caller)
        query = (
            select(caller, func.count())
            .where(
                calls.c.pbx == pbx,
                calls.c.started_at >= instant(since),
                calls.c.direction == Direction.INBOUND.value,
                calls.c.via != Via.DIRECT.value,
                calls.c.answered_at.is_(None),
                calls.c.ended_at.is_not(None),
                calls.c.outcome != Outcome.MERGED.value,
                calls.c.callback.is_(None),
                caller.is_not(None),
            )
            .group_by(caller)
        )
        async with reading(self._engine) as connection:
            return [(row[0], row[1]) for row in await connection.execute(query)]

    async def unread(self, pbx: str, since: float, *, limit: int) -> list[CallRecord]:
        """Calls that are over and began since then (Unix seconds) with a recording nobody could read, the newest first."""
        nobody_read = (
            select(recordings.c.id)
            .where(recordings.c.pbx == calls.c.pbx, recordings.c.call_id == calls.c.id, _UNREAD)
            .exists()
        )
        query = (
            select(calls)
            .where(calls.c.pbx == pbx, calls.c.started_at >= instant(since), calls.c.ended_at.is_not(None), nobody_read)
            .order_by(calls.c.started_at.desc(), calls.c.id.desc())
            .limit(limit)
        )
        return await self._read(query)

    async def has_recordings(self, pbx: str) -> bool:
        """Whether any file of that PBX has ever been measured that is to be there still."""
        there = (
            recordings.c.pbx == pbx,
            recordings.c.sha256.is_not(None),
            recordings.c.state != RecordingState.ERASED.value,
        )
        async with reading(self._engine) as connection:
            return await connection.scalar(select(recordings.c.id).where(*there).limit(1)) is not None

    async def found(self, pbx: str, recording: RecordingRecord) -> None:
        """What a file says that nobody could read before; of one that was read or erased meanwhile nothing changes."""

        def work(connection: Connection) -> None:
            connection.execute(
                update(recordings)
                .where(recordings.c.pbx == pbx, recordings.c.id == recording.id, _UNREAD)
                .values(state=recording.state.value, seconds=recording.seconds, sha256=recording.sha256)
            )

        await write(self._engine, work)

    async def _read(self, query: Select[Any]) -> list[CallRecord]:
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
            read: list[CallRecord] = []
            for start in range(0, len(rows), CHUNK):
                read += await whole(connection, rows[start : start + CHUNK])
            return read
