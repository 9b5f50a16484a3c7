"""Who did what: a row for each sign-in, each listen and each change that people make in the web.

Law: rows are added, in the transaction of what they tell of, and never changed. Times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, or_, select

from ctid.db.books import Mark
from ctid.db.session import Engine, instant, read, seconds, write
from ctid.db.tables import audit
from ctid.domain.types import AgentId

#: Fields that changed, each with what it was and what it is; what must not be told (a PIN) as dots.
Changes = Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who writes, from where, and when. A name without ``user_id`` is an agent's at a telephone, or the command line's."""

    at: float
    user_id: int | None = None
    user_name: str | None = None
    agent: AgentId | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One row. ``subject`` is the key of what was heard or changed: a recording, a user's name, an agent's id."""

    id: int
    at: float
    user_name: str | None
    action: str
    subject: str | None
    changes: Changes
    address: str | None


def note(
    connection: Connection,
    action: str,
    subject: str | None,
    by: Actor,
    changes: Changes | None = None,
    *,
    context: Mapping[str, object] | None = None,
) -> None:
    """Add a row, within the caller's transaction. ``context`` is what the subject belonged to at that time, as JSON has it."""
    row = {
        "at": instant(by.at),
        "user_id": by.user_id,
        "user_name": by.user_name,
        "action": action,
        "subject": subject,
        "address": by.address,
        "changes": {name: list(both) for name, both in changes.items()} if changes else None,
        "context": context,
    }
    connection.execute(insert(audit).values(row))


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields of ``after`` that are not as they were."""
    return {name: (before.get(name), value) for name, value in after.items() if before.get(name) != value}


class Audits:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(
        self,
        action: str,
        subject: str | None,
        by: Actor,
        context: Mapping[str, object] | None = None,
        changes: Changes | None = None,
    ) -> None:
        """A row for what writes nothing else, like ``sign_in_refused``, or ``listen`` with the recording as ``subject``."""
        await write(self._engine, lambda connection: note(connection, action, subject, by, changes, context=context))

    async def deeds(
        self,
        *,
        limit: int,
        since: float | None = None,
        until: float | None = None,
        user: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        after: Mark | None = None,
    ) -> list[Deed]:
        """The newest ``limit`` rows in [since, until) that come after the mark, the newest first."""
        query = select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
        if since is not None:
            query = query.where(audit.c.at >= instant(since))
        if until is not None:
            query = query.where(audit.c.at < instant(until))
        for column, wanted in ((audit.c.user_name, user), (audit.c.action, action), (audit.c.subject, subject)):
            if wanted is not None:
                query = query.where(column == wanted)
        if after is not None:
            at = instant(after.at)
            query = query.where(or_(audit.c.at < at, (audit.c.at == at) & (audit.c.id < int(after.id))))
        return await read(
            self._engine,
            lambda connection: [
                Deed(
                    id=row.id,
                    at=seconds(row.at),
                    user_name=row.user_name,
                    action=row.action,
                    subject=row.subject,
                    changes={name: (old, new) for name, (old, new) in (row.changes or {}).items()},
                    address=row.address,
                )
                for row in connection.execute(query)
            ],
        )
