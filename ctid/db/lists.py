"""The desk's lists of tickets: mine, with me now, overdue, due today, nobody's, oldest, all; and by customer and category.

Law: reads only, each on an index and bounded by a limit. Wherever tickets stand in a row, the higher severity stands first,
then the higher level of the customer; then what the list is named by: the time promised, age, in a search what is newest. A
page goes on behind the last ticket seen, by what it was sorted by, so that nobody is left out or doubled when others come and
go. Only "oldest" sorts by age alone: that is what it asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, literal, or_, select

from ctid.db.session import Engine, instant, maybe_seconds, read, seconds
from ctid.db.tables import OPEN_TICKETS, agents, contacts, customers, tickets
from ctid.domain.types import AgentId

#: Tickets a tab counts; more are shown as so many and more.
COUNTED = 1_000
STATUSES = ("open", "pending", "resolved", "closed")
ANY = "any"

_WITH = agents.alias("with_agents")


class View(StrEnum):
    MINE = "mine"
    TURN = "turn"  # with me now
    OVERDUE = "overdue"
    TODAY = "today"
    NOBODYS = "nobodys"
    OLDEST = "oldest"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a list is asked for. ``who`` is whose "mine" and "turn" are; the day ends at ``until``; times in Unix seconds.

    ``status``: one of ``STATUSES``, ``ANY``, or ``None`` for what is worked on: open and pending, in one's own lists also the
    resolved ones, which their owner has to close. ``owner`` and the others: ``None`` for no matter which.
    """

    view: View
    now: float
    until: float
    who: AgentId | None = None
    status: str | None = None
    category: str | None = None
    owner: AgentId | None = None
    customer_id: str | None = None
    contact_id: str | None = None
    severity: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A ticket as lists and searches show it."""

    id: str
    subject: str
    status: str
    severity: int
    level: int
    category: str | None
    owner: AgentId | None
    owner_name: str | None
    with_agent: AgentId | None
    with_name: str | None
    contact_id: str | None
    contact: str | None
    customer_id: str | None
    customer: str | None
    created_at: float
    promised_at: float | None
    resolved_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a list goes on: behind a ticket that was sorted by these."""

    severity: int
    level: int
    at: float
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The open tickets of one customer or category; ``key`` is ``None`` for those of none."""

    key: str | None
    name: str | None
    level: int | None
    count: int
    severity: int
    overdue: int
    oldest_at: float


class Lists:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def tickets(self, asked: Asked, *, limit: int, after: Place | None = None) -> list[Listed]:
        """The tickets of the list from there on, in its order."""
        query = _sorted(listed().where(*_conditions(asked)), asked.view, after).limit(limit)
        return await read(self._engine, lambda connection: [listed_from(row) for row in connection.execute(query)])

    async def counts(self, asked: Asked) -> Mapping[View, int]:
        """How many each tab would show without further filters, at most ``COUNTED``; one's own only with ``who``."""
        views = [view for view in View if asked.who is not None or view not in OWN]

        def work(connection: Connection) -> Mapping[View, int]:
            return {view: connection.execute(_count(view, asked)).scalar_one() for view in views}

        return await read(self._engine, work)

    async def by_customer(self, *, now: float, limit: int, skip: int = 0) -> list[Share]:
        """Open tickets by customer: those with the severest first, then by level, then by how many."""
        return await self._shares(tickets.c.customer_id, now, limit, skip)

    async def by_category(self, *, now: float, limit: int, skip: int = 0) -> list[Share]:
        return await self._shares(tickets.c.category, now, limit, skip)

    async def categories(self) -> list[str]:
        """The categories open tickets have, for a filter to choose from."""
        query = select(tickets.c.category).where(OPEN_TICKETS, tickets.c.category.is_not(None)).distinct()
        query = query.order_by(tickets.c.category).limit(200)
        return await read(self._engine, lambda connection: list(connection.scalars(query)))

    async def _shares(self, of: ColumnElement[Any], now: float, limit: int, skip: int) -> list[Share]:
        late = func.sum(func.coalesce(tickets.c.promised_at < instant(now), literal(value=False)).cast(_INTEGER))
        worst, count = func.max(tickets.c.severity), func.count()
        grouped = (
            select(
                of.label("key"),
                count.label("open"),
                worst.label("severity"),
                func.max(tickets.c.level).label("level"),
                late.label("overdue"),
                func.min(tickets.c.created_at).label("oldest_at"),
            )
            .where(OPEN_TICKETS)
            .group_by(of)
            .order_by(worst.desc(), func.max(tickets.c.level).desc(), count.desc(), of)
            .limit(limit)
            .offset(skip)
            .subquery("shares")
        )
        query = select(grouped, customers.c.name).outerjoin(customers, customers.c.id == grouped.c.key)
        order = (grouped.c.severity.desc(), grouped.c.level.desc(), grouped.c.open.desc(), grouped.c.key)
        by_customer = of is tickets.c.customer_id

        def work(connection: Connection) -> list[Share]:
            return [
                Share(
                    key=row.key,
                    name=row.name if by_customer else row.key,
                    level=row.level if by_customer else None,
                    count=row.open,
                    severity=row.severity,
                    overdue=row.overdue,
                    oldest_at=seconds(row.oldest_at),
                )
                for row in connection.execute(query.order_by(*order))
            ]

        return await read(self._engine, work)


def listed() -> Select[Any]:
    """The columns ``listed_from`` reads."""
    return (
        select(
            *(tickets.c[name] for name in _COLUMNS),
            contacts.c.name.label("contact"),
            customers.c.name.label("customer"),
            agents.c.name.label("owner_name"),
            _WITH.c.name.label("with_name"),
        )
        .select_from(tickets)
        .outerjoin(contacts, contacts.c.id == tickets.c.contact_id)
        .outerjoin(customers, customers.c.id == tickets.c.customer_id)
        .outerjoin(agents, agents.c.id == tickets.c.owner)
        .outerjoin(_WITH, _WITH.c.id == tickets.c.with_agent)
    )


def listed_from(row: Row[Any]) -> Listed:
    return Listed(
        id=row.id,
        subject=row.subject,
        status=row.status,
        severity=row.severity,
        level=row.level,
        category=row.category,
        owner=row.owner,
        owner_name=row.owner_name,
        with_agent=row.with_agent,
        with_name=row.with_name,
        contact_id=row.contact_id,
        contact=row.contact,
        customer_id=row.customer_id,
        customer=row.customer,
        created_at=seconds(row.created_at),
        promised_at=maybe_seconds(row.promised_at),
        resolved_at=maybe_seconds(row.resolved_at),
    )


def place(ticket: Listed, view: View) -> Place:
    """Where the list goes on behind this ticket."""
    at = ticket.promised_at if view in _BY_PROMISE else ticket.created_at
    return Place(severity=ticket.severity, level=ticket.level, at=at or 0.0, id=ticket.id)


#: The order of a search.
NEWEST = (tickets.c.severity.desc(), tickets.c.level.desc(), tickets.c.created_at.desc(), tickets.c.id)
OWN = frozenset({View.MINE, View.TURN})
_BY_PROMISE = frozenset({View.OVERDUE, View.TODAY})
_INTEGER = tickets.c.severity.type
_COLUMNS = (
    *("id", "subject", "status", "severity", "level", "category", "owner", "with_agent", "contact_id", "customer_id"),
    *("created_at", "promised_at", "resolved_at"),
)


def _conditions(asked: Asked) -> list[ColumnElement[bool]]:
    found = [_of_view(asked.view, asked)]
    if asked.status in STATUSES:
        found.append(tickets.c.status == asked.status)
    elif asked.status != ANY:
        found.append(_worked_on(asked.view))
    for column in ("category", "owner", "customer_id", "contact_id", "severity"):
        wanted = getattr(asked, column)
        if wanted is not None:
            found.append(tickets.c[column] == wanted)
    return found


def _of_view(view: View, asked: Asked) -> ColumnElement[bool]:
    match view:
        case View.MINE:
            return tickets.c.owner == asked.who
        case View.TURN:
            mine = and_(tickets.c.with_agent.is_(None), tickets.c.owner == asked.who)
            return or_(tickets.c.with_agent == asked.who, mine)
        case View.OVERDUE:
            return tickets.c.promised_at < instant(asked.now)
        case View.TODAY:
            return and_(tickets.c.promised_at >= instant(asked.now), tickets.c.promised_at < instant(asked.until))
        case View.NOBODYS:
            return tickets.c.owner.is_(None)
        case View.OLDEST | View.ALL:
            return tickets.c.id.is_not(None)


def _worked_on(view: View) -> ColumnElement[bool]:
    if view in OWN:
        return tickets.c.status.in_(("open", "pending", "resolved"))
    return and_(OPEN_TICKETS)


def _count(view: View, asked: Asked) -> Select[int]:
    some = select(tickets.c.id).where(_of_view(view, asked), _worked_on(view)).limit(COUNTED).subquery()
    return select(func.count()).select_from(some)


def _sorted(query: Select[Any], view: View, after: Place | None) -> Select[Any]:
    if view is View.OLDEST:
        if after is not None:
            query = query.where(_behind(after, tickets.c.created_at))
        return query.order_by(tickets.c.created_at, tickets.c.id)
    at = tickets.c.promised_at if view in _BY_PROMISE else tickets.c.created_at
    if after is not None:
        severity, level = tickets.c.severity, tickets.c.level
        query = query.where(
            severity <= after.severity,  # says nothing new, but is where an index begins
            or_(
                severity < after.severity,
                and_(severity == after.severity, level < after.level),
                and_(severity == after.severity, level == after.level, _behind(after, at)),
            ),
        )
    return query.order_by(tickets.c.severity.desc(), tickets.c.level.desc(), at, tickets.c.id)


def _behind(after: Place, at: ColumnElement[Any]) -> ColumnElement[bool]:
    then = instant(after.at)
    return and_(at >= then, or_(at > then, tickets.c.id > after.id))
