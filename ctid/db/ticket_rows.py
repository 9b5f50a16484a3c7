"""Tickets, their steps and attempts between the tables and the desk's values.

Law: a step and an attempt are added and never changed. A step that changed the ticket's row names the versions it led from and
to, so that a form written on an older one can be told what happened meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from ctid.db.session import instant, maybe_instant, maybe_seconds, seconds
from ctid.db.tables import ticket_attempts, ticket_steps
from ctid.desk.ticket import Attempt, Step, StepKind, TicketRecord

#: Steps and attempts of one ticket that are read at once: the newest.
MOST: Final = 500
VERSION: Final = "version"
_TIMES = (
    "created_at",
    "promised_at",
    "resolved_at",
    "followed_up_at",
    "confirmed_at",
    "closed_at",
    "changed_at",
)


def record(row: Row[Any]) -> TicketRecord:
    """A whole row of ``tickets``."""
    return TicketRecord(
        id=row.id,
        subject=row.subject,
        created_at=seconds(row.created_at),
        status=row.status,
        severity=row.severity,
        category=row.category,
        asked=row.asked,
        next_step=row.next_step,
        department=row.department,
        customer_id=row.customer_id,
        contact_id=row.contact_id,
        owner=row.owner,
        with_agent=row.with_agent,
        promised_at=maybe_seconds(row.promised_at),
        resolved_at=maybe_seconds(row.resolved_at),
        resolved_by=row.resolved_by,
        followed_up_at=maybe_seconds(row.followed_up_at),
        followed_up_by=row.followed_up_by,
        confirmed_at=maybe_seconds(row.confirmed_at),
        confirmed_by=row.confirmed_by,
        satisfaction=row.satisfaction,
        closed_at=maybe_seconds(row.closed_at),
        changed_at=maybe_seconds(row.changed_at),
        opened_by=row.opened_by,
        pbx=row.pbx,
        call_id=row.call_id,
        version=row.version,
    )


def values(ticket: TicketRecord, names: Iterable[str]) -> dict[str, Any]:
    """These fields of the ticket as its row keeps them."""
    return {name: maybe_instant(getattr(ticket, name)) if name in _TIMES else getattr(ticket, name) for name in names}


def put_steps(
    connection: Connection, ticket_id: str, steps: Sequence[Step], *, versions: tuple[int, int] | None
) -> None:
    """Add steps; ``versions`` are those of the ticket's row before and after all of them, ``None`` where it stayed."""
    if steps:
        connection.execute(_PUT_STEP, [_step_row(ticket_id, step, versions) for step in steps])


def put_attempts(connection: Connection, ticket_id: str, attempts: Sequence[Attempt]) -> None:
    if attempts:
        rows = [
            {
                "ticket_id": ticket_id,
                "agent": one.agent,
                "at": instant(one.at),
                "what": one.what,
                "result": one.result,
                "pbx": one.pbx,
                "call_id": one.call_id,
            }
            for one in attempts
        ]
        connection.execute(_PUT_ATTEMPT, rows)


def steps_of(connection: Connection, ticket_id: str, *, most: int = MOST) -> list[tuple[Step, tuple[int, int] | None]]:
    """The newest steps of a ticket, the oldest first, each with the versions it led from and to."""
    log = ticket_steps
    query = select(log).where(log.c.ticket_id == ticket_id).order_by(log.c.at.desc(), log.c.id.desc()).limit(most)
    return [(_step(row), _versions(row)) for row in connection.execute(query)][::-1]


def attempts_of(connection: Connection, ticket_id: str, *, most: int = MOST) -> list[Attempt]:
    """The newest attempts at solving a ticket, the oldest first."""
    log = ticket_attempts
    query = select(log).where(log.c.ticket_id == ticket_id).order_by(log.c.at.desc(), log.c.id.desc()).limit(most)
    return [
        Attempt(at=seconds(row.at), agent=row.agent, what=row.what, result=row.result, pbx=row.pbx, call_id=row.call_id)
        for row in connection.execute(query)
    ][::-1]


# Made once: the daemon writes a step on each answer.
_PUT_STEP = ticket_steps.insert()
_PUT_ATTEMPT = ticket_attempts.insert()


def _step_row(ticket_id: str, step: Step, versions: tuple[int, int] | None) -> dict[str, Any]:
    changes: dict[str, list[Any]] = {name: [before, after] for name, before, after in step.changes}
    if versions is not None:
        changes[VERSION] = list(versions)
    return {
        "ticket_id": ticket_id,
        "at": instant(step.at),
        "kind": step.kind.value,
        "agent": step.agent,
        "user_name": step.user_name,
        "from_agent": step.from_agent,
        "to_agent": step.to_agent,
        "reason": step.reason,
        "changes": changes,
    }


def _step(row: Row[Any]) -> Step:
    return Step(
        kind=StepKind(row.kind),
        at=seconds(row.at),
        agent=row.agent,
        user_name=row.user_name,
        from_agent=row.from_agent,
        to_agent=row.to_agent,
        reason=row.reason,
        changes=tuple((name, *pair) for name, pair in (row.changes or {}).items() if name != VERSION),
    )


def _versions(row: Row[Any]) -> tuple[int, int] | None:
    pair = (row.changes or {}).get(VERSION)
    return None if pair is None else (pair[0], pair[1])
