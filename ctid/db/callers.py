"""Who is calling: a number becomes all that a screen-pop and the routing want to know.

Law: one hop to the database, at most four short queries in it, each on an index; nothing is written. An unknown number is an
answer, not an error.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Row, Select, String, bindparam, func, select

from ctid.db.files import living_id
from ctid.db.numbers import normalise
from ctid.db.session import Engine, read, seconds
from ctid.db.tables import contact_numbers, contacts, customers, tickets
from ctid.domain.types import CallerFile, Contact, Ticket

HISTORY = 10
MATCHES = 20
OPEN = ("open", "pending")


class Callers:
    """Looks callers up. ``country`` is the site's ISO code, ``outside_prefix`` what its phones dial for an outside line."""

    def __init__(self, engine: Engine, *, country: str | None, outside_prefix: str | None = None) -> None:
        self._engine = engine
        self._country = country
        self._outside_prefix = outside_prefix

    async def identify(self, number: str | None, *, contact_id: str | None = None) -> CallerFile:
        """The caller's file; for anonymous and unknown callers one that holds at most the number.

        With ``contact_id`` it is the file of that contact, whoever has the number, if there is such a contact; of the
        one that took them up, where two were merged.
        """
        normalised = normalise(number, self._country, self._outside_prefix)
        if contact_id is not None:
            return await read(self._engine, lambda connection: file_of(connection, contact_id, normalised))
        if normalised is None:
            return CallerFile()
        return await read(self._engine, lambda connection: _file(connection, normalised))


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


_PERSON: Select[tuple[object, ...]] = select(
    contacts.c.id,
    contacts.c.name,
    contacts.c.department,
    contacts.c.title,
    contacts.c.customer_id,
    func.coalesce(contacts.c.level, customers.c.level, 1).label("level"),
    customers.c.name.label("customer"),
    customers.c.level.label("customer_level"),
)
_PEOPLE = (
    _PERSON.select_from(contact_numbers.join(contacts).outerjoin(customers))
    .where(contact_numbers.c.number == bindparam("number"))
    .order_by(contacts.c.id)
)
_ONE = _PERSON.select_from(contacts.outerjoin(customers)).where(
    contacts.c.id == living_id(contacts, bindparam("id", type_=String))
)


def _newest(whose: ColumnElement[str]) -> Select[tuple[object, ...]]:
    return (
        ticket_columns()
        .where(whose == bindparam("whose"))
        .order_by(tickets.c.created_at.desc(), tickets.c.id.desc())
        .limit(HISTORY)
    )


def _newest_open(whose: ColumnElement[str]) -> Select[int]:
    return (
        select(tickets.c.severity)
        .where(whose == bindparam("whose"), tickets.c.status.in_(OPEN))
        .order_by(tickets.c.created_at.desc(), tickets.c.id.desc())
        .limit(1)
    )


# Made once: making a statement costs more than SQLite takes to answer it.
_OF_CONTACT = _newest(tickets.c.contact_id), _newest_open(tickets.c.contact_id)
_OF_CUSTOMER = _newest(tickets.c.customer_id), _newest_open(tickets.c.customer_id)


def _file(connection: Connection, number: str) -> CallerFile:
    people = connection.execute(_PEOPLE, {"number": number}).all()
    if not people:
        return CallerFile(number=number)
    first = people[0]
    if len(people) == 1:
        return _of_person(connection, first, number)
    matches = tuple(_contact(person) for person in people[:MATCHES])
    if first.customer_id is None or any(person.customer_id != first.customer_id for person in people):
        return CallerFile(number=number, matches=matches)
    history, severity = _tickets(connection, _OF_CUSTOMER, first.customer_id)
    return CallerFile(
        number=number,
        customer_id=first.customer_id,
        matches=matches,
        history=history,
        owner=history[0].owner if history else None,
        level=first.customer_level,
        severity=severity,
    )


def file_of(connection: Connection, contact_id: str, number: str | None) -> CallerFile:
    """The file of a contact who calls, or is called, by this number; of nobody, if there is no such contact."""
    person = connection.execute(_ONE, {"id": contact_id}).one_or_none()
    if person is not None:
        return _of_person(connection, person, number)
    return _file(connection, number) if number is not None else CallerFile()


def _of_person(connection: Connection, person: Row[tuple[object, ...]], number: str | None) -> CallerFile:
    history, severity = _tickets(connection, _OF_CONTACT, person.id)
    if not history and person.customer_id is not None:
        history, severity = _tickets(connection, _OF_CUSTOMER, person.customer_id)
    return CallerFile(
        number=number,
        contact=_contact(person),
        customer_id=person.customer_id,
        history=history,
        owner=history[0].owner if history else None,
        level=person.level,
        severity=severity,
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


def _tickets(
    connection: Connection, of: tuple[Select[tuple[object, ...]], Select[int]], whose: str
) -> tuple[tuple[Ticket, ...], int]:
    """The newest tickets, and the severity of the newest open one, 0 without one."""
    newest, newest_open = of
    history = tuple(ticket(row) for row in connection.execute(newest, {"whose": whose}))
    for known in history:
        if known.status in OPEN:
            return history, known.severity
    if len(history) < HISTORY:
        return history, 0
    return history, connection.execute(newest_open, {"whose": whose}).scalar() or 0
