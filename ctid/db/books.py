"""What pages and API read across tables: lists with names, contacts and customers.

Law: reads only, bounded by a limit, each on an index; a page goes on from the last row seen, not from a count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, String, and_, cast, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from ctid.db.callbacks import Callbacks
from ctid.db.session import instant, maybe_seconds, reading, seconds
from ctid.db.tables import (
    agents,
    callbacks,
    calls,
    contact_numbers,
    contacts,
    customers,
    legs,
    recordings,
    talks,
)
from ctid.domain.types import AgentId, CallbackState, CallId, Direction, Outcome, RecordingState


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a list of calls, callbacks or tickets goes on: after the one of this id that began then, towards older ones."""

    at: float
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """A call as a list shows it; ``talk_seconds`` are its agents' ended conversations, ``wait_seconds`` until answer or end."""

    id: CallId
    started_at: float
    ended_at: float | None
    direction: Direction
    number: str | None
    caller_name: str | None
    contact: str | None
    customer: str | None
    line: str | None
    agent: AgentId | None
    agent_name: str | None
    outcome: Outcome | None
    wait_seconds: float | None
    talk_seconds: float
    recording: RecordingState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRow:
    """A callback as a list shows it; ``calls`` are those made for it, ``due_at`` is when it is over ``None``."""

    id: CallId
    pbx: str
    number: str
    contact: str | None
    customer: str | None
    line: str | None
    state: CallbackState
    tries: int
    asked_at: float
    due_at: float | None
    ended_at: float | None
    agent: AgentId | None
    agent_name: str | None
    calls: tuple[CallId, ...]
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A contact or customer by name, for the head of a page."""

    id: str
    name: str
    detail: str | None
    level: int | None


class Books:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def calls(
        self,
        *,
        since: float,
        until: float,
        limit: int,
        outcome: Outcome | None = None,
        live: bool = False,
        agent: AgentId | None = None,
        customer_id: str | None = None,
        text: str | None = None,
        after: Mark | None = None,
    ) -> list[CallRow]:
        """Calls that started in [since, until) and fit, the newest first; ``live`` asks for those under way."""
        query = (
            select(
                calls,
                contacts.c.name.label("contact"),
                customers.c.name.label("customer"),
                agents.c.name.label("agent_name"),
            )
            .select_from(calls)
            .outerjoin(contacts, contacts.c.id == calls.c.contact_id)
            .outerjoin(customers, customers.c.id == calls.c.customer_id)
            .outerjoin(agents, agents.c.id == calls.c.agent)
            .where(calls.c.started_at >= instant(since), calls.c.started_at < instant(until))
            .order_by(calls.c.started_at.desc(), calls.c.id.desc())
            .limit(limit)
        )
        if outcome is not None:
            query = query.where(calls.c.outcome == outcome.value)
        if live:
            query = query.where(calls.c.ended_at.is_(None))
        if agent is not None:
            query = query.where(_of_agent(agent))
        if customer_id is not None:
            query = query.where(calls.c.customer_id == customer_id)
        if text is not None:
            query = query.where(_like(text, calls.c.caller, calls.c.caller_name, calls.c.dialled, calls.c.id))
        if after is not None:
            query = query.where(older(after, calls.c.started_at, calls.c.id))
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
            keys = [(row.pbx, row.id) for row in rows]
            talked: dict[tuple[str, str], float] = defaultdict(float)
            spoken = select(talks).where(
                tuple_(talks.c.pbx, talks.c.call_id).in_(keys),
                talks.c.agent.is_not(None),
                talks.c.ended_at.is_not(None),
            )
            for talk in await connection.execute(spoken):
                talked[talk.pbx, talk.call_id] += seconds(talk.ended_at) - seconds(talk.started_at)
            kept = select(recordings).where(tuple_(recordings.c.pbx, recordings.c.call_id).in_(keys))
            states = {(row.pbx, row.call_id): RecordingState(row.state) for row in await connection.execute(kept)}
        return [_call(row, talked[row.pbx, row.id], states.get((row.pbx, row.id))) for row in rows]

    async def callbacks(
        self, *, limit: int, state: CallbackState | None = None, text: str | None = None, after: Mark | None = None
    ) -> list[CallbackRow]:
        """Callbacks that are in this state and whose number, caller or line has the text, the newest first."""
        asked = and_(calls.c.pbx == callbacks.c.pbx, calls.c.id == callbacks.c.id)
        query = (
            select(
                callbacks,
                contacts.c.name.label("contact"),
                customers.c.name.label("customer"),
                agents.c.name.label("agent_name"),
            )
            .select_from(callbacks)
            .outerjoin(calls, asked)
            .outerjoin(contacts, contacts.c.id == calls.c.contact_id)
            .outerjoin(customers, customers.c.id == calls.c.customer_id)
            .outerjoin(agents, agents.c.id == callbacks.c.agent)
            .order_by(callbacks.c.asked_at.desc(), callbacks.c.id.desc())
            .limit(limit)
        )
        if state is not None:
            query = query.where(callbacks.c.state == state.value)
        if text is not None:
            query = query.where(_like(text, callbacks.c.number, callbacks.c.line, callbacks.c.id))
        if after is not None:
            query = query.where(older(after, callbacks.c.asked_at, callbacks.c.id))
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        made = await Callbacks(self._engine).attempts((row.pbx, row.id) for row in rows)
        return [_callback(row, made.get((row.pbx, row.id), [])) for row in rows]

    async def contact(self, contact_id: str | None) -> Person | None:
        """The contact with department and title in one line."""
        if contact_id is None:
            return None
        query = select(contacts, func.coalesce(contacts.c.level, customers.c.level, 1).label("rank"))
        query = query.outerjoin(customers, customers.c.id == contacts.c.customer_id).where(contacts.c.id == contact_id)
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        detail = ", ".join(part for part in (row.title, row.department) if part) or None
        return Person(id=row.id, name=row.name, detail=detail, level=row.rank)

    async def customer(self, customer_id: str | None) -> Person | None:
        if customer_id is None:
            return None
        async with reading(self._engine) as connection:
            row = (await connection.execute(select(customers).where(customers.c.id == customer_id))).one_or_none()
        return None if row is None else Person(id=row.id, name=row.name, detail=None, level=row.level)

    async def contacts(
        self,
        *,
        limit: int,
        after: str | None = None,
        customer_id: str | None = None,
        number: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Contacts by id, or those of ``ids`` in their order, with all their numbers, as the API gives them.

        ``number`` is as ctid writes it (E.164).
        """
        query = select(contacts).order_by(contacts.c.id).limit(limit)
        if ids is not None:
            query = query.where(contacts.c.id.in_(ids))
        if after is not None:
            query = query.where(contacts.c.id > after)
        if customer_id is not None:
            query = query.where(contacts.c.customer_id == customer_id)
        if number is not None:
            having = select(contact_numbers.c.contact_id).where(contact_numbers.c.number == number)
            query = query.where(contacts.c.id.in_(having))
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
            numbers: dict[str, list[str]] = defaultdict(list)
            having = (
                select(contact_numbers)
                .where(contact_numbers.c.contact_id.in_([row.id for row in rows]))
                .order_by(contact_numbers.c.position)
            )
            for row in await connection.execute(having):
                numbers[row.contact_id].append(row.number)
        return [
            {
                "id": row.id,
                "customer_id": row.customer_id,
                "name": row.name,
                "department": row.department,
                "title": row.title,
                "level": row.level,
                "numbers": numbers[row.id],
                "email": row.email,
                "notes": row.notes,
                "merged_into": row.merged_into,
            }
            for row in _as_asked(rows, ids)
        ]

    async def customers(
        self, *, limit: int, after: str | None = None, ids: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Customers by id, or those of ``ids`` in their order, as the API gives them."""
        query = select(customers).order_by(customers.c.id).limit(limit)
        if ids is not None:
            query = query.where(customers.c.id.in_(ids))
        if after is not None:
            query = query.where(customers.c.id > after)
        async with reading(self._engine) as connection:
            return [
                {
                    "id": row.id,
                    "name": row.name,
                    "kind": row.kind,
                    "level": row.level,
                    "address": row.address,
                    "notes": row.notes,
                    "merged_into": row.merged_into,
                }
                for row in _as_asked((await connection.execute(query)).all(), ids)
            ]


def _as_asked(rows: Sequence[Row[Any]], ids: Sequence[str] | None) -> Sequence[Row[Any]]:
    if ids is None:
        return rows
    place = {key: at for at, key in enumerate(ids)}
    return sorted(rows, key=lambda row: place[row.id])


def _of_agent(agent: AgentId) -> ColumnElement[bool]:
    """The agent was rung by the call, whoever talked last, or nobody answered who owns the caller's newest ticket."""
    mine = legs.c.pbx == calls.c.pbx, legs.c.call_id == calls.c.id, legs.c.agent == agent
    missed = and_(calls.c.owner == agent, calls.c.answered_at.is_(None), calls.c.ended_at.is_not(None))
    return or_(calls.c.agent == agent, missed, select(legs.c.id).where(*mine).exists())


def _like(text: str, *columns: ColumnElement[Any]) -> ColumnElement[bool]:
    named = (*columns, contacts.c.name, customers.c.name)
    return or_(*(func.lower(cast(column, String)).contains(text.lower(), autoescape=True) for column in named))


def older(mark: Mark, begun: ColumnElement[Any], key: ColumnElement[Any]) -> ColumnElement[bool]:
    """Rows that a list, the newest first, has behind the mark."""
    at = instant(mark.at)
    return or_(begun < at, and_(begun == at, key < mark.id))


def _call(row: Row[Any], talk_seconds: float, recording: RecordingState | None) -> CallRow:
    started_at, ended_at = seconds(row.started_at), maybe_seconds(row.ended_at)
    waited_until = maybe_seconds(row.answered_at) or ended_at
    return CallRow(
        id=row.id,
        started_at=started_at,
        ended_at=ended_at,
        direction=Direction(row.direction),
        number=row.dialled if row.direction == Direction.OUTBOUND.value else row.caller,
        caller_name=row.caller_name,
        contact=row.contact,
        customer=row.customer,
        line=row.line,
        agent=row.agent,
        agent_name=row.agent_name,
        outcome=Outcome(row.outcome) if row.outcome else None,
        wait_seconds=None if waited_until is None else max(0.0, waited_until - started_at),
        talk_seconds=talk_seconds,
        recording=recording,
    )


def _callback(row: Row[Any], made: list[CallId]) -> CallbackRow:
    state = CallbackState(row.state)
    return CallbackRow(
        id=row.id,
        pbx=row.pbx,
        number=row.number,
        contact=row.contact,
        customer=row.customer,
        line=row.line,
        state=state,
        tries=row.tries,
        asked_at=seconds(row.asked_at),
        due_at=None if state.final else seconds(row.due_at),
        ended_at=maybe_seconds(row.ended_at),
        agent=row.agent,
        agent_name=row.agent_name,
        calls=tuple(made),
        why=row.why,
    )
