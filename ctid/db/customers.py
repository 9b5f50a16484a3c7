"""Customers' files, written by people: made, changed, and who of ours was on site.

Law: each write is one transaction with one row in the audit; a change names the version it was made on, and an older one is
refused. What is found by its name is found by ``likeness``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, func, insert, or_, select, update

from ctid.db import search
from ctid.db.audits import Actor, note
from ctid.db.files import FileKind, LooksAlike, Match, NoSuchFile, StaleFile, Why, living, next_id
from ctid.db.session import Engine, instant, maybe_seconds, read, seconds, write
from ctid.db.tables import agents, contacts, customer_pairs, customers, posts, site_visits, tickets
from ctid.desk import likeness
from ctid.domain.types import AgentId

CUSTOMER, LEAD = "customer", "lead"
LEVELS = range(1, 6)
#: Names looked at before they are held against each other.
CANDIDATES = 60
MATCHES = 10
SUGGESTED = 12
VISITS = 100
_HIGHEST = "\U0010ffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerDraft:
    """What a form says of a customer; ``level`` is ``None`` where the writer may not set it."""

    name: str
    kind: str = CUSTOMER
    level: int | None = None
    address: str | None = None
    notes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A customer's file; ``created_at`` in Unix seconds, ``None`` for one that was imported."""

    id: str
    name: str
    kind: str
    level: int
    address: str | None
    notes: str | None
    created_at: float | None
    merged_into: str | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRow:
    """A customer as a list shows it; of a lead, who came there and from where."""

    id: str
    name: str
    name_key: str
    level: int
    kind: str
    people: int
    open_tickets: int
    came: str | None
    came_from: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the list by level and name goes on: after this one."""

    level: int
    name_key: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who of ours was there: ``kind`` is ``installed`` or ``on_site``."""

    id: int
    kind: str
    at: float
    agent: AgentId | None
    agent_name: str | None
    person: str | None
    ticket_id: str | None
    notes: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitDraft:
    kind: str
    at: float
    agent: AgentId | None
    person: str | None
    ticket_id: str | None
    notes: str | None


class NoSuchTicketHere(LookupError):  # noqa: N818 - it is an answer
    """The ticket a visit was for is none of this customer's."""


class Customers:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def one(self, key: str) -> Customer:
        """The file, also one that was merged; raises ``NoSuchFile``."""
        return await read(self._engine, lambda connection: customer_of(connection, key))

    async def add(self, draft: CustomerDraft, by: Actor, *, anyway: bool = False) -> Customer:
        """A new file. Raises ``LooksAlike`` where there are such already, unless it is wanted ``anyway``."""

        def work(connection: Connection) -> Customer:
            return customer_of(connection, add_customer(connection, draft, by, anyway=anyway))

        return await write(self._engine, work)

    async def change(
        self, key: str, version: int, draft: CustomerDraft, by: Actor, *, anyway: bool = False
    ) -> Customer:
        """The file as the form says. Raises ``NoSuchFile``, ``StaleFile``, and ``LooksAlike`` for a new name like another's."""

        def work(connection: Connection) -> Customer:
            before = customer_of(connection, key)
            if not anyway and likeness.firm_key(draft.name) != likeness.firm_key(before.name):
                refuse_alike(customers_like(connection, draft.name, leaving=key))
            values = {
                "name": draft.name,
                "name_key": likeness.firm_key(draft.name),
                "kind": draft.kind,
                "level": before.level if draft.level is None else draft.level,
                "address": draft.address,
                "notes": draft.notes,
                "version": version + 1,
            }
            its = (customers.c.id == key) & (customers.c.version == version) & customers.c.merged_into.is_(None)
            if connection.execute(update(customers).where(its).values(values)).rowcount == 0:
                raise StaleFile
            keep_pairs(connection, [(key, draft.name)])
            search.index(connection, search.Kind.CUSTOMER, key)
            note(connection, "customer_changed", key, by)
            return customer_of(connection, key)

        return await write(self._engine, work)

    async def like(self, name: str) -> list[Match]:
        """Files whose names are like this one's."""
        return await read(self._engine, lambda connection: customers_like(connection, name))

    async def suggest(self, text: str) -> list[Match]:
        """Files whose names hold the text, the shortest first."""
        return await read(self._engine, lambda connection: _suggested(connection, text))

    async def listed(self, *, kind: str, limit: int, after: Place | None = None) -> list[CustomerRow]:
        """Customers or leads, the highest level first and by name within it."""
        return await read(self._engine, lambda connection: _listed(connection, kind, limit, after))

    async def came(self, leads: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Of each lead: who came there last, and from which customer (names)."""
        return await read(self._engine, lambda connection: _came(connection, leads))

    async def visits(self, key: str) -> list[Visit]:
        """Who installed and who was on site, the newest first."""
        return await read(self._engine, lambda connection: _visits(connection, key))

    async def add_visit(self, key: str, draft: VisitDraft, by: Actor) -> None:
        """Write down that somebody of ours was there. Raises ``NoSuchFile``, and ``NoSuchTicketHere``."""

        def work(connection: Connection) -> None:
            here = living(connection, FileKind.CUSTOMER, key)
            if draft.ticket_id is not None:
                query = select(tickets.c.id).where(tickets.c.id == draft.ticket_id, tickets.c.customer_id == here)
                if connection.execute(query).scalar() is None:
                    raise NoSuchTicketHere(draft.ticket_id)
            row = {
                "customer_id": here,
                "kind": draft.kind,
                "at": instant(draft.at),
                "agent": draft.agent,
                "person": draft.person,
                "ticket_id": draft.ticket_id,
                "notes": draft.notes,
            }
            connection.execute(insert(site_visits).values(row))
            note(connection, "visit_added", here, by)

        await write(self._engine, work)


# -- within a transaction of another store too --------------------------------------------------------------------------


def customer_of(connection: Connection, key: str) -> Customer:
    """The file; raises ``NoSuchFile``."""
    row = connection.execute(select(customers).where(customers.c.id == key)).one_or_none()
    if row is None:
        raise NoSuchFile(FileKind.CUSTOMER, key)
    return Customer(
        id=row.id,
        name=row.name,
        kind=row.kind,
        level=row.level,
        address=row.address,
        notes=row.notes,
        created_at=maybe_seconds(row.created_at),
        merged_into=row.merged_into,
        version=row.version,
    )


def add_customer(connection: Connection, draft: CustomerDraft, by: Actor, *, anyway: bool) -> str:
    """The new file's id. Raises ``LooksAlike``."""
    if not anyway:
        refuse_alike(customers_like(connection, draft.name))
    key = next_id(connection, FileKind.CUSTOMER)
    row = {
        "id": key,
        "name": draft.name,
        "kind": draft.kind,
        "level": draft.level or 1,
        "address": draft.address,
        "notes": draft.notes,
        "created_at": instant(by.at),
    }
    connection.execute(insert(customers).values(row))
    keep_pairs(connection, [(key, draft.name)])
    search.index(connection, search.Kind.CUSTOMER, key)
    note(connection, "customer_added", key, by)
    return key


def customer_named(connection: Connection, name: str) -> str | None:
    """The one living customer or lead of that name, if there is one and no other."""
    key = likeness.firm_key(name)
    query = select(customers.c.id).where(customers.c.name_key == key, customers.c.merged_into.is_(None)).limit(2)
    found = connection.scalars(query).all() if key else []
    return found[0] if len(found) == 1 else None


def refuse_alike(matches: Sequence[Match]) -> None:
    if matches:
        raise LooksAlike(tuple(matches))


def keep_pairs(connection: Connection, named: Sequence[tuple[str, str]]) -> None:
    """Have each of these customers (id, name) found by its present name."""
    ids = [key for key, _ in named]
    connection.execute(delete(customer_pairs).where(customer_pairs.c.customer_id.in_(ids)))
    new = [
        {"pair": pair, "customer_id": key} for key, name in named for pair in likeness.pairs(likeness.firm_key(name))
    ]
    if new:
        connection.execute(insert(customer_pairs), new)


def customers_like(connection: Connection, name: str, *, leaving: str | None = None) -> list[Match]:
    """The customers and leads whose names are the same or very like, the likest first."""
    found = []
    for row in _sharing(connection, likeness.firm_key(name), CANDIDATES):
        like = None if row.id == leaving else likeness.firms_like(name, row.name)
        if like is not None:
            found.append(_match(row.id, row.name, Why.NAME if like is likeness.Like.SAME else Why.LIKE))
    return sorted(found, key=lambda match: match.why is not Why.NAME)[:MATCHES]


def customers_alike(connection: Connection, named: Mapping[str, str]) -> dict[str, list[Match]]:
    """Of these customers (name by id) those of greater ids that are the same or very like, in one look."""
    mine, theirs = customer_pairs.alias("mine"), customer_pairs.alias("theirs")
    whose, key, shared = mine.c.customer_id.label("whose"), theirs.c.customer_id.label("key"), func.count()
    rank = func.row_number().over(partition_by=mine.c.customer_id, order_by=(shared.desc(), theirs.c.customer_id))
    ranked = (
        select(whose, key, rank.label("rank"))
        .join(theirs, (theirs.c.pair == mine.c.pair) & (theirs.c.customer_id > mine.c.customer_id))
        .where(mine.c.customer_id.in_(named))
        .group_by(mine.c.customer_id, theirs.c.customer_id)
        .subquery()
    )
    query = (
        select(ranked.c.whose, customers.c.id, customers.c.name)
        .join(customers, customers.c.id == ranked.c.key)
        .where(ranked.c.rank <= CANDIDATES, customers.c.merged_into.is_(None))
        .order_by(ranked.c.whose, ranked.c.rank)
    )
    found: dict[str, list[Match]] = {}
    for row in connection.execute(query):
        like = likeness.firms_like(named[row.whose], row.name)
        if like is not None:
            match = _match(row.id, row.name, Why.NAME if like is likeness.Like.SAME else Why.LIKE)
            found.setdefault(row.whose, []).append(match)
    return {key: sorted(some, key=lambda match: match.why is not Why.NAME)[:MATCHES] for key, some in found.items()}


def _sharing(connection: Connection, key: str, limit: int) -> Sequence[Row[Any]]:
    """Living files by how many pairs of letters they share with the key."""
    wanted = likeness.pairs(key)
    if not wanted:
        return []
    shared = func.count().label("shared")
    query = (
        select(customers.c.id, customers.c.name, customers.c.level, customers.c.kind, shared)
        .join(customer_pairs, customer_pairs.c.customer_id == customers.c.id)
        .where(customer_pairs.c.pair.in_(wanted), customers.c.merged_into.is_(None))
        .group_by(customers.c.id)
        .order_by(shared.desc(), func.length(customers.c.name_key), customers.c.id)
        .limit(limit)
    )
    return connection.execute(query).all()


def _suggested(connection: Connection, text: str) -> list[Match]:
    key = likeness.firm_key(text)
    if not key:
        return []
    if len(key) == 1:
        query = (
            select(customers.c.id, customers.c.name)
            .where(*begins(customers.c.name_key, key), customers.c.merged_into.is_(None))
            .order_by(customers.c.name_key, customers.c.id)
            .limit(SUGGESTED)
        )
        return [_match(row.id, row.name, Why.LIKE) for row in connection.execute(query)]
    wanted = likeness.pairs(key)
    # In full the pairs may stand anywhere: who shares all of them holds the text, or nearly.
    rows = [row for row in _sharing(connection, key, CANDIDATES) if row.shared >= max(1, len(wanted) - 1)]
    rows.sort(key=lambda row: (key not in likeness.firm_key(row.name), len(row.name), row.id))
    return [
        _match(row.id, row.name, Why.NAME if likeness.firm_key(row.name) == key else Why.LIKE)
        for row in rows[:SUGGESTED]
    ]


def begins(column: ColumnElement[str], text: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The conditions that a key begins with the text, as an index answers them."""
    return column >= text, column < text + _HIGHEST


def _match(key: str, name: str, why: Why) -> Match:
    return Match(kind=FileKind.CUSTOMER, id=key, name=name, customer=None, detail=None, why=why)


# -- lists -------------------------------------------------------------------------------------------------------------


def _listed(connection: Connection, kind: str, limit: int, after: Place | None) -> list[CustomerRow]:
    rows: list[Row[Any]] = []
    # One short look per level: the index has the names of a level in order, not the levels downwards.
    for level in reversed(LEVELS if after is None else range(1, after.level + 1)):
        query = _of_level(kind, level).limit(limit - len(rows))
        if after is not None and level == after.level:
            key = customers.c.name_key
            query = query.where(or_(key > after.name_key, and_(key == after.name_key, customers.c.id > after.id)))
        rows += connection.execute(query).all()
        if len(rows) >= limit:
            break
    ids = [row.id for row in rows]
    people = _counted(connection, contacts.c.customer_id, ids, contacts.c.merged_into.is_(None))
    asked = _counted(connection, tickets.c.customer_id, ids, tickets.c.status.in_(("open", "pending")))
    came = _came(connection, ids) if kind == LEAD else {}
    return [
        CustomerRow(
            id=row.id,
            name=row.name,
            name_key=row.name_key,
            level=row.level,
            kind=row.kind,
            people=people.get(row.id, 0),
            open_tickets=asked.get(row.id, 0),
            came=came.get(row.id, (None, None))[0],
            came_from=came.get(row.id, (None, None))[1],
        )
        for row in rows
    ]


def _of_level(kind: str, level: int) -> Select[tuple[object, ...]]:
    return (
        select(customers)
        .where(customers.c.kind == kind, customers.c.level == level, customers.c.merged_into.is_(None))
        .order_by(customers.c.name_key, customers.c.id)
    )


def _counted(
    connection: Connection, whose: ColumnElement[str], ids: Sequence[str], which: ColumnElement[bool]
) -> dict[str, int]:
    query = select(whose, func.count()).where(whose.in_(ids), which).group_by(whose)
    return {row[0]: row[1] for row in connection.execute(query)}


def _came(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """For each lead who came there, and from which customer: the newest who did."""
    new, old, firm = posts.alias("new"), posts.alias("old"), customers.alias("firm")
    query = (
        select(new.c.customer_id, contacts.c.name, firm.c.name.label("firm"))
        .join(old, (old.c.contact_id == new.c.contact_id) & old.c.until.is_not(None))
        .join(contacts, contacts.c.id == new.c.contact_id)
        .join(firm, firm.c.id == old.c.customer_id)
        .where(new.c.customer_id.in_(ids), old.c.customer_id != new.c.customer_id)
        .order_by(old.c.until, old.c.id)
        .limit(1000)
    )
    return {row.customer_id: (row.name, row.firm) for row in connection.execute(query)}


def _visits(connection: Connection, key: str) -> list[Visit]:
    query = (
        select(site_visits, agents.c.name.label("agent_name"))
        .outerjoin(agents, agents.c.id == site_visits.c.agent)
        .where(site_visits.c.customer_id == key)
        .order_by(site_visits.c.at.desc(), site_visits.c.id.desc())
        .limit(VISITS)
    )
    return [
        Visit(
            id=row.id,
            kind=row.kind,
            at=seconds(row.at),
            agent=row.agent,
            agent_name=row.agent_name,
            person=row.person,
            ticket_id=row.ticket_id,
            notes=row.notes,
        )
        for row in connection.execute(query)
    ]
