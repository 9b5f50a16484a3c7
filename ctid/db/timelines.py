"""A customer's or a contact's one line of time: calls, tickets, attempts, posts and visits in one order, the newest first.

Law: bounded. Each source is asked for one page on an index, already in order, and the pages are merged; the next page begins
after the last row shown. What files that were merged into this one did is part of its line.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, false, or_, select, tuple_

from ctid.db.files import FileKind, merged_ids
from ctid.db.session import Engine, instant, read, seconds
from ctid.db.tables import (
    agents,
    call_notes,
    calls,
    contacts,
    customers,
    posts,
    site_visits,
    ticket_attempts,
    tickets,
)

LONGEST_TEXT = 300


class What(StrEnum):
    """Kinds of rows, as the line orders those of one moment."""

    CALL = "call"
    ATTEMPT = "attempt"
    TICKET = "ticket"
    VISIT = "visit"
    CAME = "came"
    LEFT = "left"


_ORDER = {what: at for at, what in enumerate(What)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A row of the line. ``id`` is the call's, ticket's or other row's; ``pbx`` a call's.

    ``word`` is a stored word: a call's direction, a visit's kind. ``state``: a call's outcome, a ticket's status.
    """

    what: What
    at: float
    id: str
    pbx: str | None = None
    text: str | None = None
    more: str | None = None
    word: str | None = None
    state: str | None = None
    over: bool = True
    contact: tuple[str, str] | None = None
    customer: tuple[str, str] | None = None
    agent: str | None = None
    ticket: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePlace:
    """Where the line goes on: after the row of this kind and key that was then."""

    at: float
    what: What
    key: str


class Timelines:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def of(
        self,
        kind: FileKind,
        key: str,
        *,
        limit: int,
        after: TimePlace | None = None,
        only: Collection[What] = tuple(What),
    ) -> list[Moment]:
        """The newest ``limit`` rows of these kinds that come after the place."""

        def work(connection: Connection) -> list[Moment]:
            ids = (key, *merged_ids(connection, kind, key))
            page = _Page(kind=kind, ids=ids, limit=limit, after=after)
            lines = [_SOURCES[what](connection, page) for what in What if what in only]
            return list(islice(merge(*lines, key=lambda moment: (-moment.at, _ORDER[moment.what])), limit))

        return await read(self._engine, work)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    kind: FileKind
    ids: tuple[str, ...]
    limit: int
    after: TimePlace | None


def place_of(moment: Moment) -> TimePlace:
    """Where the next page begins that follows this row."""
    key = f"{moment.pbx} {moment.id}" if moment.what is What.CALL else moment.id
    return TimePlace(at=moment.at, what=moment.what, key=key)


def _after(
    after: TimePlace | None, what: What, at: ColumnElement[Any], key: Callable[[str], ColumnElement[bool]]
) -> ColumnElement[bool] | None:
    """Rows of this kind that come after the place; ``key`` says which of its very moment do."""
    if after is None:
        return None
    then = instant(after.at)
    if _ORDER[what] < _ORDER[after.what]:
        return at < then
    if _ORDER[what] > _ORDER[after.what]:
        return at <= then
    return or_(at < then, and_(at == then, key(after.key)))


def _bounded(
    query: Select[Any],
    at: ColumnElement[Any],
    order: Sequence[ColumnElement[Any]],
    beyond: ColumnElement[bool] | None,
    limit: int,
) -> Select[Any]:
    if beyond is not None:
        query = query.where(beyond)
    return query.order_by(at.desc(), *(column.desc() for column in order)).limit(limit)


def _number(column: ColumnElement[int]) -> Callable[[str], ColumnElement[bool]]:
    return lambda key: column < int(key) if key.isascii() and key.isdigit() and len(key) < 18 else false()


def _calls(connection: Connection, page: _Page) -> Iterator[Moment]:
    whose = calls.c.contact_id if page.kind is FileKind.CONTACT else calls.c.customer_id

    def beyond(key: str) -> ColumnElement[bool]:
        pbx, _, call = key.partition(" ")
        return tuple_(calls.c.pbx, calls.c.id) < tuple_(pbx, call)

    query = (
        select(
            calls,
            contacts.c.name.label("contact"),
            agents.c.name.label("agent_name"),
            call_notes.c.disposition,
            call_notes.c.notes,
        )
        .outerjoin(contacts, contacts.c.id == calls.c.contact_id)
        .outerjoin(agents, agents.c.id == calls.c.agent)
        .outerjoin(call_notes, (call_notes.c.pbx == calls.c.pbx) & (call_notes.c.call_id == calls.c.id))
        .where(whose.in_(page.ids))
    )
    where = _after(page.after, What.CALL, calls.c.started_at, beyond)
    for row in connection.execute(_bounded(query, calls.c.started_at, (calls.c.pbx, calls.c.id), where, page.limit)):
        yield Moment(
            what=What.CALL,
            at=seconds(row.started_at),
            id=row.id,
            pbx=row.pbx,
            text=row.disposition,
            more=_cut(row.notes),
            word=row.direction,
            state=row.outcome,
            over=row.ended_at is not None,
            contact=_named(row.contact_id, row.contact),
            agent=row.agent_name or row.agent,
        )


def _tickets(connection: Connection, page: _Page) -> Iterator[Moment]:
    query = (
        select(tickets, contacts.c.name.label("contact"), agents.c.name.label("agent_name"))
        .outerjoin(contacts, contacts.c.id == tickets.c.contact_id)
        .outerjoin(agents, agents.c.id == tickets.c.owner)
        .where(_of_tickets(page.kind).in_(page.ids))
    )
    where = _after(page.after, What.TICKET, tickets.c.created_at, lambda key: tickets.c.id < key)
    for row in connection.execute(_bounded(query, tickets.c.created_at, (tickets.c.id,), where, page.limit)):
        yield Moment(
            what=What.TICKET,
            at=seconds(row.created_at),
            id=row.id,
            text=row.subject,
            state=row.status,
            contact=_named(row.contact_id, row.contact),
            agent=row.agent_name,
            ticket=row.id,
        )


def _attempts(connection: Connection, page: _Page) -> Iterator[Moment]:
    log = ticket_attempts
    query = (
        select(log, agents.c.name.label("agent_name"))
        .join(tickets, tickets.c.id == log.c.ticket_id)
        .outerjoin(agents, agents.c.id == log.c.agent)
        .where(_of_tickets(page.kind).in_(page.ids))
    )
    where = _after(page.after, What.ATTEMPT, log.c.at, _number(log.c.id))
    for row in connection.execute(_bounded(query, log.c.at, (log.c.id,), where, page.limit)):
        yield Moment(
            what=What.ATTEMPT,
            at=seconds(row.at),
            id=str(row.id),
            text=_cut(row.what),
            more=_cut(row.result),
            agent=row.agent_name,
            ticket=row.ticket_id,
        )


def _visits(connection: Connection, page: _Page) -> Iterator[Moment]:
    query = select(site_visits, agents.c.name.label("agent_name")).outerjoin(agents, agents.c.id == site_visits.c.agent)
    if page.kind is FileKind.CUSTOMER:
        query = query.where(site_visits.c.customer_id.in_(page.ids))
    else:
        query = query.join(tickets, tickets.c.id == site_visits.c.ticket_id).where(tickets.c.contact_id.in_(page.ids))
    where = _after(page.after, What.VISIT, site_visits.c.at, _number(site_visits.c.id))
    for row in connection.execute(_bounded(query, site_visits.c.at, (site_visits.c.id,), where, page.limit)):
        yield Moment(
            what=What.VISIT,
            at=seconds(row.at),
            id=str(row.id),
            text=_cut(row.notes),
            word=row.kind,
            agent=row.agent_name or row.person,
            ticket=row.ticket_id,
        )


def _came(connection: Connection, page: _Page) -> Iterator[Moment]:
    return _posts(connection, page, What.CAME, posts.c.since)


def _left(connection: Connection, page: _Page) -> Iterator[Moment]:
    return _posts(connection, page, What.LEFT, posts.c.until)


def _posts(connection: Connection, page: _Page, what: What, at: ColumnElement[Any]) -> Iterator[Moment]:
    whose = posts.c.contact_id if page.kind is FileKind.CONTACT else posts.c.customer_id
    query = (
        select(posts, at.label("moment"), contacts.c.name.label("contact"), customers.c.name.label("customer"))
        .join(contacts, contacts.c.id == posts.c.contact_id)
        .outerjoin(customers, customers.c.id == posts.c.customer_id)
        .where(whose.in_(page.ids), at.is_not(None), contacts.c.merged_into.is_(None))
    )
    for row in connection.execute(
        _bounded(query, at, (posts.c.id,), _after(page.after, what, at, _number(posts.c.id)), page.limit)
    ):
        yield Moment(
            what=what,
            at=seconds(row.moment),
            id=str(row.id),
            text=", ".join(part for part in (row.title, row.department) if part) or None,
            more=_cut(row.notes) if what is What.LEFT else None,
            contact=_named(row.contact_id, row.contact),
            customer=_named(row.customer_id, row.customer),
        )


_SOURCES: dict[What, Callable[[Connection, _Page], Iterator[Moment]]] = {
    What.CALL: _calls,
    What.ATTEMPT: _attempts,
    What.TICKET: _tickets,
    What.VISIT: _visits,
    What.CAME: _came,
    What.LEFT: _left,
}


def _of_tickets(kind: FileKind) -> ColumnElement[str]:
    return tickets.c.contact_id if kind is FileKind.CONTACT else tickets.c.customer_id


def _named(key: str | None, name: str | None) -> tuple[str, str] | None:
    return None if key is None or name is None else (key, name)


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
