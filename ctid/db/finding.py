"""A search over everything: customers, contacts, tickets and calls that fit what was typed.

Law: one hop to the database, every query in it on an index and bounded. Who is named exactly (an id, a number) stands first,
then what is weightiest (``ctid.db.lists``). What is looked for is text and stays text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, func, or_, select

from ctid.db import search
from ctid.db.lists import NEWEST, Listed, listed, listed_from
from ctid.db.numbers import normalise, written
from ctid.db.search import Kind
from ctid.db.session import Engine, maybe_seconds, read, seconds
from ctid.db.tables import agents, calls, contact_numbers, contacts, customers, ticket_attempts, tickets
from ctid.desk import bigrams
from ctid.desk.bigrams import Term
from ctid.domain.types import CallId, Direction, Outcome

#: People whose calls are shown with them.
PEOPLE = 5
_IDS = re.compile(r"[\w.:/@+-]{1,100}")
_NUMBER = re.compile(r"[+0-9][0-9\s()./\-\u2010-\u2015]{1,40}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCustomer:
    """``said`` is what may hold the hit, in the order it is looked through."""

    id: str
    name: str
    level: int
    kind: str
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundContact:
    id: str
    name: str
    department: str | None
    title: str | None
    level: int
    customer_id: str | None
    customer: str | None
    numbers: tuple[str, ...]
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTicket:
    ticket: Listed
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCall:
    id: CallId
    pbx: str
    started_at: float
    ended_at: float | None
    direction: Direction
    number: str | None
    contact: str | None
    customer: str | None
    agent_name: str | None
    outcome: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What fits, in groups of at most the limit asked for; ``more`` names the groups that would have had more."""

    terms: tuple[Term, ...]
    customers: tuple[FoundCustomer, ...] = ()
    contacts: tuple[FoundContact, ...] = ()
    tickets: tuple[FoundTicket, ...] = ()
    calls: tuple[FoundCall, ...] = ()
    more: frozenset[str] = frozenset()


class Finder:
    """``country`` is the site's ISO code, ``outside_prefix`` what its phones dial for an outside line."""

    def __init__(self, engine: Engine, *, country: str | None, outside_prefix: str | None = None) -> None:
        self._engine = engine
        self._country = country
        self._outside_prefix = outside_prefix

    async def find(self, query: str, *, limit: int) -> Found:
        """What fits the query; nothing where it holds no letter, digit or sign."""
        terms = bigrams.terms(query)
        if not terms:
            return Found(terms=())

        def work(connection: Connection) -> Found:
            people = self._contacts(connection, query, terms, limit + 1)
            groups: dict[str, Sequence[Any]] = {
                "customers": _customers(connection, query, terms, limit + 1),
                "contacts": people,
                "tickets": _tickets(connection, query, terms, limit + 1),
                "calls": self._calls(connection, query, people[:PEOPLE], limit + 1),
            }
            return Found(
                terms=terms,
                more=frozenset(name for name, rows in groups.items() if len(rows) > limit),
                **{name: tuple(rows[:limit]) for name, rows in groups.items()},
            )

        return await read(self._engine, work)

    async def customers(self, query: str, *, limit: int) -> list[FoundCustomer]:
        """The customers alone, as ``find`` orders them."""
        return await self._one(query, lambda connection, terms: _customers(connection, query, terms, limit))

    async def contacts(self, query: str, *, limit: int) -> list[FoundContact]:
        return await self._one(query, lambda connection, terms: self._contacts(connection, query, terms, limit))

    async def tickets(self, query: str, *, limit: int) -> list[FoundTicket]:
        return await self._one(query, lambda connection, terms: _tickets(connection, query, terms, limit))

    async def _one(self, query: str, work: Callable[[Connection, tuple[Term, ...]], list[T]]) -> list[T]:
        terms = bigrams.terms(query)
        return await read(self._engine, lambda connection: work(connection, terms)) if terms else []

    def _contacts(self, connection: Connection, query: str, terms: tuple[Term, ...], limit: int) -> list[FoundContact]:
        number = normalise(query, self._country, self._outside_prefix)
        having = select(contact_numbers.c.contact_id).where(contact_numbers.c.number == number)
        named = _PEOPLE.where(or_(contacts.c.id.in_(_ids(query)), contacts.c.id.in_(having)))
        rows = _first(connection, limit, named, _fitting(connection, Kind.CONTACT, _PEOPLE, terms))
        keys = [row.id for row in rows]
        given: dict[str, list[str]] = {key: [] for key in keys}
        for row in connection.execute(_NUMBERS.where(contact_numbers.c.contact_id.in_(keys))):
            given[row.contact_id].append(row.given)
        return [
            FoundContact(
                id=row.id,
                name=row.name,
                department=row.department,
                title=row.title,
                level=row.rank,
                customer_id=row.customer_id,
                customer=row.customer,
                numbers=tuple(given[row.id]),
                said=_said(row.email, row.notes, row.id),
            )
            for row in rows
        ]

    def _calls(self, connection: Connection, query: str, people: Sequence[FoundContact], limit: int) -> list[FoundCall]:
        """Calls of that id, from or to that number in whatever notation the PBX gave it, and of the people found."""
        whose = [(calls.c.id, key) for key in _ids(query)]
        for number in self._notations(query):
            whose += [(calls.c.caller, number), (calls.c.dialled, number)]
        whose += [(calls.c.contact_id, one.id) for one in people]
        rows: dict[tuple[str, str], Row[Any]] = {}
        for column, value in whose:
            # One by one: each then reads the newest from an index, however many calls a number has.
            newest = _CALLS.where(column == value).order_by(calls.c.started_at.desc()).limit(limit)
            rows |= {(row.pbx, row.id): row for row in connection.execute(newest)}
        exact = set(_ids(query))
        order = sorted(rows.values(), key=lambda row: (row.id not in exact, -seconds(row.started_at), row.id))
        return [_call(row) for row in order[:limit]]

    def _notations(self, query: str) -> Iterable[str]:
        typed = bigrams.fold(query[: bigrams.LONGEST_QUERY]).strip()
        if not _NUMBER.fullmatch(typed):
            return ()
        digits = re.sub(r"\D", "", typed)
        number = normalise(typed, self._country, self._outside_prefix)
        ways = dict.fromkeys((digits, f"+{digits}", *(written(number) if number else ())))
        if number is not None and number.startswith("+"):
            ways |= dict.fromkeys((number[1:], f"00{number[1:]}", f"0{written(number)[-1]}"))
        return ways


_RANK = func.coalesce(contacts.c.level, customers.c.level, 1)
_CUSTOMERS = (
    select(customers)
    .where(customers.c.merged_into.is_(None))
    .order_by(customers.c.level.desc(), customers.c.name, customers.c.id)
)
_PEOPLE = (
    select(contacts, _RANK.label("rank"), customers.c.name.label("customer"))
    .outerjoin(customers, customers.c.id == contacts.c.customer_id)
    .where(contacts.c.merged_into.is_(None))
    .order_by(_RANK.desc(), contacts.c.name, contacts.c.id)
)
_NUMBERS = select(contact_numbers.c.contact_id, contact_numbers.c.given).order_by(contact_numbers.c.position)
_TICKETS = listed().add_columns(tickets.c.asked, tickets.c.next_step).order_by(*NEWEST)
_ATTEMPTS = select(ticket_attempts.c.ticket_id, ticket_attempts.c.what, ticket_attempts.c.result).order_by(
    ticket_attempts.c.at.desc(), ticket_attempts.c.id.desc()
)
_CALLS = (
    select(
        calls, contacts.c.name.label("contact"), customers.c.name.label("customer"), agents.c.name.label("agent_name")
    )
    .select_from(calls)
    .outerjoin(contacts, contacts.c.id == calls.c.contact_id)
    .outerjoin(customers, customers.c.id == calls.c.customer_id)
    .outerjoin(agents, agents.c.id == calls.c.agent)
)


def _fitting(connection: Connection, kind: Kind, rows: Select[Any], terms: tuple[Term, ...]) -> Select[Any]:
    some = search.fits(connection.dialect.name, kind, terms).subquery("fitting")
    return rows.join(some, some.c.of == search.TABLES[kind].c.id)


def _first(connection: Connection, limit: int, *queries: Select[Any]) -> list[Row[Any]]:
    """The first rows of all the queries together, each row once: who is named exactly, and behind them what fits."""
    rows: dict[str, Row[Any]] = {}
    for query in queries:
        for row in connection.execute(query.limit(limit)):
            rows.setdefault(row.id, row)
    return list(rows.values())[:limit]


def _customers(connection: Connection, query: str, terms: tuple[Term, ...], limit: int) -> list[FoundCustomer]:
    named = _CUSTOMERS.where(customers.c.id.in_(_ids(query)))
    rows = _first(connection, limit, named, _fitting(connection, Kind.CUSTOMER, _CUSTOMERS, terms))
    return [
        FoundCustomer(
            id=row.id, name=row.name, level=row.level, kind=row.kind, said=_said(row.address, row.notes, row.id)
        )
        for row in rows
    ]


def _tickets(connection: Connection, query: str, terms: tuple[Term, ...], limit: int) -> list[FoundTicket]:
    named = _TICKETS.where(tickets.c.id.in_(_ids(query)))
    rows = _first(connection, limit, named, _fitting(connection, Kind.TICKET, _TICKETS, terms))
    tried: dict[str, list[str | None]] = {row.id: [] for row in rows}
    for row in connection.execute(_ATTEMPTS.where(ticket_attempts.c.ticket_id.in_(tried)).limit(limit * 20)):
        tried[row.ticket_id] += (row.what, row.result)
    return [
        FoundTicket(ticket=listed_from(row), said=_said(row.asked, row.next_step, *tried[row.id], row.category))
        for row in rows
    ]


def _ids(query: str) -> list[str]:
    """The ids the query may be: as typed, in capitals, and a bare number as a ticket's."""
    key = query.strip()
    if not _IDS.fullmatch(key):
        return []
    return list(dict.fromkeys((key, key.upper(), *((f"T{key}",) if key.isascii() and key.isdigit() else ()))))


def _said(*texts: str | None) -> tuple[str, ...]:
    return tuple(text for text in texts if text)


def _call(row: Row[Any]) -> FoundCall:
    return FoundCall(
        id=row.id,
        pbx=row.pbx,
        started_at=seconds(row.started_at),
        ended_at=maybe_seconds(row.ended_at),
        direction=Direction(row.direction),
        number=row.dialled if row.direction == Direction.OUTBOUND.value else row.caller,
        contact=row.contact,
        customer=row.customer,
        agent_name=row.agent_name,
        outcome=Outcome(row.outcome) if row.outcome else None,
    )
