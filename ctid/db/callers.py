"""Who is calling: a number becomes all that a screen-pop and the routing want to know.

Law: at most four short queries, each on an index; nothing is written. An unknown number is an answer, not an error.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ctid.db.numbers import normalise
from ctid.db.session import reading, seconds
from ctid.db.tables import contact_numbers, contacts, customers, tickets
from ctid.domain.types import CallerFile, Contact, Ticket

HISTORY = 10
MATCHES = 20
OPEN = ("open", "pending")


class Callers:
    """Looks callers up. ``country`` is the site's ISO code, ``outside_prefix`` what its phones dial for an outside line."""

    def __init__(self, engine: AsyncEngine, *, country: str | None, outside_prefix: str | None = None) -> None:
        self._engine = engine
        self._country = country
        self._outside_prefix = outside_prefix

    async def identify(self, number: str | None) -> CallerFile:
        """The caller's file; for anonymous and unknown callers one that holds at most the number."""
        normalised = normalise(number, self._country, self._outside_prefix)
        if normalised is None:
            return CallerFile()
        async with reading(self._engine) as connection:
            people = (await connection.execute(_people(normalised))).all()
            if not people:
                return CallerFile(number=normalised)
            if len(people) == 1:
                return await _file_of_one(connection, normalised, people[0])
            matches = tuple(_contact(person) for person in people[:MATCHES])
            customer_id = people[0].customer_id
            if customer_id is None or any(person.customer_id != customer_id for person in people):
                return CallerFile(number=normalised, matches=matches)
            history = await _history(connection, tickets.c.customer_id == customer_id)
            return CallerFile(
                number=normalised,
                customer_id=customer_id,
                matches=matches,
                history=history,
                owner=history[0].owner if history else None,
                level=people[0].customer_level,
                severity=await _severity(connection, tickets.c.customer_id == customer_id, history),
            )


def ticket_columns() -> Select[tuple[object, ...]]:
    """The columns ``ticket`` reads."""
    return select(
        tickets.c.id,
        tickets.c.subject,
        tickets.c.status,
        tickets.c.severity,
        tickets.c.owner,
        tickets.c.created_at,
    )


def ticket(row: Row[tuple[object, ...]]) -> Ticket:
    """A row of ``ticket_columns`` as the domain's value."""
    return Ticket(
        id=row.id,
        subject=row.subject,
        status=row.status,
        severity=row.severity,
        owner=row.owner,
        created_at=seconds(row.created_at),
    )


def _people(number: str) -> Select[tuple[object, ...]]:
    return (
        select(
            contacts.c.id,
            contacts.c.name,
            contacts.c.department,
            contacts.c.title,
            contacts.c.customer_id,
            func.coalesce(contacts.c.level, customers.c.level, 1).label("level"),
            customers.c.name.label("customer"),
            customers.c.level.label("customer_level"),
        )
        .select_from(contact_numbers.join(contacts).outerjoin(customers))
        .where(contact_numbers.c.number == number)
        .order_by(contacts.c.id)
    )


def _contact(row: Row[tuple[object, ...]]) -> Contact:
    return Contact(
        id=row.id,
        name=row.name,
        department=row.department,
        title=row.title,
        level=row.level,
        customer_id=row.customer_id,
        customer=row.customer,
    )


async def _file_of_one(connection: AsyncConnection, number: str, person: Row[tuple[object, ...]]) -> CallerFile:
    whose = tickets.c.contact_id == person.id
    history = await _history(connection, whose)
    if not history and person.customer_id is not None:
        whose = tickets.c.customer_id == person.customer_id
        history = await _history(connection, whose)
    return CallerFile(
        number=number,
        contact=_contact(person),
        customer_id=person.customer_id,
        history=history,
        owner=history[0].owner if history else None,
        level=person.level,
        severity=await _severity(connection, whose, history),
    )


async def _history(connection: AsyncConnection, whose: ColumnElement[bool]) -> tuple[Ticket, ...]:
    newest = tickets.c.created_at.desc(), tickets.c.id.desc()
    rows = await connection.execute(ticket_columns().where(whose).order_by(*newest).limit(HISTORY))
    return tuple(ticket(row) for row in rows)


async def _severity(connection: AsyncConnection, whose: ColumnElement[bool], history: tuple[Ticket, ...]) -> int:
    for known in history:
        if known.status in OPEN:
            return known.severity
    if len(history) < HISTORY:
        return 0
    older = (
        select(tickets.c.severity)
        .where(whose, tickets.c.status.in_(OPEN))
        .order_by(tickets.c.created_at.desc(), tickets.c.id.desc())
        .limit(1)
    )
    return (await connection.execute(older)).scalar() or 0
