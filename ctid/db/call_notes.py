"""What the agent says a call was: its disposition and a note, beside the books, which the daemon alone writes.

Law: one note a call; the last word counts, and each is in the audit.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from ctid.db.audits import Actor, note
from ctid.db.session import Engine, instant, read, seconds, upsert_all, write
from ctid.db.tables import call_notes, legs
from ctid.domain.types import AgentId, CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNote:
    disposition: str | None
    notes: str | None
    agent: AgentId | None
    at: float


class CallNotes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def of(self, pbx: str, call_id: CallId) -> CallNote | None:
        """What was noted of the call, or ``None``."""

        def work(connection: Connection) -> CallNote | None:
            here = call_notes.c.pbx == pbx, call_notes.c.call_id == call_id
            row = connection.execute(select(call_notes).where(*here)).one_or_none()
            if row is None:
                return None
            return CallNote(disposition=row.disposition, notes=row.notes, agent=row.agent, at=seconds(row.at))

        return await read(self._engine, work)

    async def rung(self, pbx: str, call_id: CallId) -> frozenset[AgentId]:
        """The agents the call was offered to, as far as the books know it yet."""
        query = select(legs.c.agent).where(legs.c.pbx == pbx, legs.c.call_id == call_id, legs.c.agent.is_not(None))
        return await read(self._engine, lambda connection: frozenset(connection.scalars(query)))

    async def put(self, pbx: str, call_id: CallId, disposition: str | None, notes: str | None, by: Actor) -> None:
        def work(connection: Connection) -> None:
            row = {
                "pbx": pbx,
                "call_id": call_id,
                "disposition": disposition,
                "notes": notes,
                "agent": by.agent,
                "at": instant(by.at),
            }
            connection.execute(upsert_all(connection, call_notes), row)
            note(connection, "call_noted", f"{pbx}/{call_id}", by)

        await write(self._engine, work)
