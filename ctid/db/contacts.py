"""Contacts' files, written by people: made, changed, their numbers, and the posts they had over time.

Law: a person's present post stands in ``posts`` without an end and is mirrored in the contact's own row, because who calls must
be known by one look; the two are written together, here and by an import (``keep_posts``). Past posts, and the tickets and
calls of their time, stay with the customer they were at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from ctid.db import search
from ctid.db.audits import Actor, note
from ctid.db.customers import CustomerDraft, add_customer, begins, customer_named, customers_like, refuse_alike
from ctid.db.files import FileKind, Match, NoSuchFile, StaleFile, Why, living, next_id
from ctid.db.holds import calls_of_tickets, none_taken_out
from ctid.db.session import Engine, instant, maybe_seconds, read, write
from ctid.db.tables import calls, contact_numbers, contacts, customers, posts, tickets
from ctid.desk import likeness

#: A customer's people held against a new name.
COLLEAGUES = 1000
MATCHES = 10
SUGGESTED = 12
NUMBERS = 20
PEOPLE = 200
SHARERS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A telephone number: as ctid compares it, and as it was written."""

    number: str
    given: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCustomer:
    """The name of a customer that is to be made with the contact."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactDraft:
    """What a form says of a contact. ``customer`` is an id, a new one to be made, or none; ``level`` is theirs alone."""

    name: str
    customer: str | NewCustomer | None = None
    department: str | None = None
    title: str | None = None
    level: int | None = None
    email: str | None = None
    notes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldNumber:
    """A contact's number, and who else has it (id, name): at most ``SHARERS``."""

    number: str
    given: str
    others: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What a person was, where and when; ``until`` is ``None`` for the present one. Times in Unix seconds."""

    id: int
    customer_id: str | None
    customer: str | None
    customer_kind: str | None
    department: str | None
    title: str | None
    since: float | None
    until: float | None
    notes: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactFile:
    """A contact's file; ``level`` is their own, ``rank`` the one that counts."""

    id: str
    name: str
    customer_id: str | None
    customer: str | None
    customer_kind: str | None
    department: str | None
    title: str | None
    level: int | None
    rank: int
    email: str | None
    notes: str | None
    created_at: float | None
    merged_into: str | None
    version: int
    numbers: tuple[HeldNumber, ...]
    posts: tuple[Post, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Colleague:
    """Somebody at a customer's, or who was: then ``until`` and where they are ``now`` (id, name)."""

    id: str
    name: str
    department: str | None
    title: str | None
    level: int | None
    number: str | None
    given: str | None
    until: float | None = None
    now: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A person leaves a post and, unless nobody knows where to, takes up another. Times in Unix seconds."""

    left_at: float
    customer: str | NewCustomer | None
    department: str | None
    title: str | None
    notes: str | None


class TooManyNumbers(ValueError):  # noqa: N818 - it is an answer
    """A contact has ``NUMBERS`` numbers at most."""


class NothingToLeave(ValueError):  # noqa: N818 - it is an answer
    """The move ends before the post began."""


class Contacts:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def one(self, key: str) -> ContactFile:
        """The file, also one that was merged; raises ``NoSuchFile``."""
        return await read(self._engine, lambda connection: contact_of(connection, key))

    async def add(
        self, draft: ContactDraft, numbers: Sequence[Number], by: Actor, *, anyway: bool = False
    ) -> ContactFile:
        """A new file, with the customer's where a new one is named. Raises ``LooksAlike``, ``NoSuchFile``."""

        def work(connection: Connection) -> ContactFile:
            place = _known_customer(connection, draft.customer, anyway=anyway)
            if not anyway:
                _refuse_alike(connection, draft.name, place, [number.number for number in numbers])
            customer_id = _made(connection, place, by)
            key = next_id(connection, FileKind.CONTACT)
            row = {
                "id": key,
                "customer_id": customer_id,
                "name": draft.name,
                "department": draft.department,
                "title": draft.title,
                "level": draft.level,
                "email": draft.email,
                "notes": draft.notes,
                "created_at": instant(by.at),
            }
            connection.execute(insert(contacts).values(row))
            for number in numbers[:NUMBERS]:
                _give(connection, key, number)
            keep_posts(connection, [key], instant(by.at))
            search.index(connection, search.Kind.CONTACT, key)
            note(connection, "contact_added", key, by)
            return contact_of(connection, key)

        return await write(self._engine, work)

    async def change(
        self, key: str, version: int, draft: ContactDraft, by: Actor, *, anyway: bool = False
    ) -> ContactFile:
        """The file as the form says; what is said of the present post corrects it, nobody has moved.

        Raises ``NoSuchFile``, ``StaleFile``, ``LooksAlike`` for a new name or customer, and ``CallUnderHold`` for a customer by
        which calls would not be under a legal hold any more: a move keeps them there.
        """

        def work(connection: Connection) -> ContactFile:
            before = contact_of(connection, key)
            at = _known_customer(connection, draft.customer, anyway=anyway)
            renamed = likeness.person_key(draft.name) != likeness.person_key(before.name)
            if not anyway and (renamed or at != before.customer_id):
                _refuse_alike(connection, draft.name, at, (), leaving=key)
            customer_id = _made(connection, at, by)
            place = {"customer_id": customer_id, "department": draft.department, "title": draft.title}
            values = place | {
                "name": draft.name,
                "name_key": likeness.person_key(draft.name),
                "level": draft.level,
                "email": draft.email,
                "notes": draft.notes,
                "version": version + 1,
            }
            theirs = select(contacts.c.id).where(or_(contacts.c.id == key, contacts.c.merged_into == key))
            known = or_(calls.c.contact_id.in_(theirs), calls_of_tickets(tickets.c.contact_id.in_(theirs)))
            with none_taken_out(connection, known) if customer_id != before.customer_id else nullcontext():
                _change(connection, key, version, values)
                present = (posts.c.contact_id == key) & posts.c.until.is_(None)
                connection.execute(update(posts).where(present).values(place))
                keep_posts(connection, [key], instant(by.at))
            search.index(connection, search.Kind.CONTACT, key)
            note(connection, "contact_changed", key, by)
            return contact_of(connection, key)

        return await write(self._engine, work)

    async def move(self, key: str, version: int, move: Move, by: Actor, *, anyway: bool = False) -> ContactFile:
        """Close the present post and begin the new one; an employer that was no customer becomes a lead.

        Raises ``NoSuchFile``, ``StaleFile``, ``LooksAlike`` for a new employer's name, ``NothingToLeave``.
        """

        def work(connection: Connection) -> ContactFile:
            before = contact_of(connection, key)
            begun = next((post.since for post in before.posts if post.until is None), None)
            if begun is not None and move.left_at < begun:
                raise NothingToLeave
            at = _known_customer(connection, move.customer, anyway=anyway)
            if not anyway and at is not None:
                _refuse_alike(connection, before.name, at, (), leaving=key)
            customer_id = _made(connection, at, by)
            left = instant(move.left_at)
            keep_posts(connection, [key], left)
            place = {"customer_id": customer_id, "department": move.department, "title": move.title}
            _change(connection, key, version, place | {"version": version + 1})
            present = (posts.c.contact_id == key) & posts.c.until.is_(None)
            connection.execute(update(posts).where(present).values(until=left, notes=move.notes))
            if any(value is not None for value in place.values()):
                connection.execute(insert(posts).values(place | {"contact_id": key, "since": left}))
            search.index(connection, search.Kind.CONTACT, key)
            note(connection, "contact_moved", key, by)
            return contact_of(connection, key)

        return await write(self._engine, work)

    # -- numbers

    async def add_number(self, key: str, number: Number, by: Actor) -> str:
        """Give the living contact a number, also one that others have; the contact's id.

        Raises ``NoSuchFile``, ``TooManyNumbers``.
        """

        def work(connection: Connection) -> str:
            here = living(connection, FileKind.CONTACT, key)
            if _give(connection, here, number):
                search.index(connection, search.Kind.CONTACT, here)
                note(connection, "number_added", here, by)
            return here

        return await write(self._engine, work)

    async def remove_number(self, key: str, number: str, by: Actor) -> None:
        """Take a number away; one that is not there is none the less gone."""

        def work(connection: Connection) -> None:
            its = (contact_numbers.c.contact_id == key) & (contact_numbers.c.number == number)
            if connection.execute(delete(contact_numbers).where(its)).rowcount:
                search.index(connection, search.Kind.CONTACT, key)
                note(connection, "number_removed", key, by)

        await write(self._engine, work)

    async def put_first(self, key: str, number: str, by: Actor) -> None:
        """Have a number be the first of its contact's."""

        def work(connection: Connection) -> None:
            held = _numbers(connection, key)
            if number not in held[1:]:
                return
            for position, one in enumerate([number, *(one for one in held if one != number)]):
                its = (contact_numbers.c.contact_id == key) & (contact_numbers.c.number == one)
                connection.execute(update(contact_numbers).where(its).values(position=position))
            note(connection, "numbers_ordered", key, by)

        await write(self._engine, work)

    # -- found

    async def suggest(self, text: str, number: str | None) -> list[Match]:
        """Contacts whose names begin with the text, and those who have the number, if it is one."""
        return await read(self._engine, lambda connection: _suggested(connection, text, number))

    async def at(self, customer_id: str) -> list[Colleague]:
        """Who is at the customer's now, by name."""
        return await read(self._engine, lambda connection: _present(connection, customer_id))

    async def formerly_at(self, customer_id: str) -> list[Colleague]:
        """Who was there and left, the last to leave first."""
        return await read(self._engine, lambda connection: _former(connection, customer_id))


# -- within a transaction of another store too --------------------------------------------------------------------------


def contact_of(connection: Connection, key: str) -> ContactFile:
    """The file; raises ``NoSuchFile``."""
    query = (
        select(
            contacts,
            customers.c.name.label("customer"),
            customers.c.kind.label("customer_kind"),
            func.coalesce(contacts.c.level, customers.c.level, 1).label("rank"),
        )
        .outerjoin(customers, customers.c.id == contacts.c.customer_id)
        .where(contacts.c.id == key)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NoSuchFile(FileKind.CONTACT, key)
    return ContactFile(
        id=row.id,
        name=row.name,
        customer_id=row.customer_id,
        customer=row.customer,
        customer_kind=row.customer_kind,
        department=row.department,
        title=row.title,
        level=row.level,
        rank=row.rank,
        email=row.email,
        notes=row.notes,
        created_at=maybe_seconds(row.created_at),
        merged_into=row.merged_into,
        version=row.version,
        numbers=_held(connection, key),
        posts=_posts(connection, key),
    )


def keep_posts(connection: Connection, ids: Sequence[str], at: datetime) -> None:
    """Have each contact's present post say what their own row says.

    Another customer than before is a move at that time; another department or title corrects the post they have.
    """
    wanted = connection.execute(
        select(contacts.c.id, contacts.c.customer_id, contacts.c.department, contacts.c.title).where(
            contacts.c.id.in_(ids)
        )
    ).all()
    query = select(posts).where(posts.c.contact_id.in_(ids), posts.c.until.is_(None))
    present = {row.contact_id: row for row in connection.execute(query)}
    for row in wanted:
        place = {"customer_id": row.customer_id, "department": row.department, "title": row.title}
        post = present.get(row.id)
        same = post is not None and post.customer_id == row.customer_id
        if post is not None and same and (post.department, post.title) != (row.department, row.title):
            connection.execute(update(posts).where(posts.c.id == post.id).values(place))
        if post is not None and not same:
            connection.execute(update(posts).where(posts.c.id == post.id).values(until=at))
        if not same and any(value is not None for value in place.values()):
            began = at if post is not None else None
            connection.execute(insert(posts).values(place | {"contact_id": row.id, "since": began}))


def contacts_like(
    connection: Connection,
    name: str,
    customer_id: str | None,
    numbers: Sequence[str],
    *,
    leaving: str | None = None,
) -> list[Match]:
    """Contacts who may be this person: who has one of the numbers, or a name like it at the same customer.

    Without a customer, who has the same name anywhere.
    """
    whys: dict[str, Why] = {}
    if numbers:
        having = select(contact_numbers.c.contact_id).where(contact_numbers.c.number.in_(numbers)).limit(MATCHES)
        whys |= dict.fromkeys(connection.scalars(having), Why.NUMBER)
    key = likeness.person_key(name)
    near = select(contacts.c.id, contacts.c.name).where(contacts.c.merged_into.is_(None))
    if customer_id is None:
        near = near.where(contacts.c.name_key == key, contacts.c.name_key != "").limit(MATCHES)
    else:
        near = near.where(contacts.c.customer_id == customer_id).order_by(contacts.c.id).limit(COLLEAGUES)
    for row in connection.execute(near):
        like = likeness.persons_like(name, row.name)
        if like is not None:
            whys.setdefault(row.id, Why.NAME if like is likeness.Like.SAME else Why.LIKE)
    order = list(Why)
    chosen = sorted((one for one in whys if one != leaving), key=lambda one: (order.index(whys[one]), one))
    return matches_of(connection, {one: whys[one] for one in chosen[:MATCHES]})


def matches_of(connection: Connection, whys: Mapping[str, Why]) -> list[Match]:
    """The living among these contacts, in the order given."""
    query = (
        select(contacts, customers.c.name.label("customer"))
        .outerjoin(customers, customers.c.id == contacts.c.customer_id)
        .where(contacts.c.id.in_(whys), contacts.c.merged_into.is_(None))
    )
    people = {
        row.id: Match(
            kind=FileKind.CONTACT,
            id=row.id,
            name=row.name,
            customer=row.customer,
            detail=", ".join(part for part in (row.title, row.department) if part) or None,
            why=whys[row.id],
        )
        for row in connection.execute(query)
    }
    return [people[one] for one in whys if one in people]


def _suggested(connection: Connection, text: str, number: str | None) -> list[Match]:
    ids: list[str] = []
    if number is not None:
        query = select(contact_numbers.c.contact_id).where(contact_numbers.c.number == number)
        ids += connection.scalars(query.order_by(contact_numbers.c.contact_id).limit(SUGGESTED))
    key = likeness.person_key(text)
    if key:
        named = (
            select(contacts.c.id)
            .where(*begins(contacts.c.name_key, key), contacts.c.merged_into.is_(None))
            .order_by(contacts.c.name_key, contacts.c.id)
            .limit(SUGGESTED)
        )
        ids += connection.scalars(named)
    return matches_of(connection, dict.fromkeys(list(dict.fromkeys(ids))[:SUGGESTED], Why.LIKE))


def _known_customer(
    connection: Connection, wanted: str | NewCustomer | None, *, anyway: bool
) -> str | NewCustomer | None:
    """The customer's living id; of a new name the one customer who has it, unless another is wanted ``anyway``."""
    if isinstance(wanted, str):
        return living(connection, FileKind.CUSTOMER, wanted)
    if wanted is not None and not anyway and (known := customer_named(connection, wanted.name)) is not None:
        return known
    return wanted


def _refuse_alike(
    connection: Connection,
    name: str,
    at: str | NewCustomer | None,
    numbers: Sequence[str],
    *,
    leaving: str | None = None,
) -> None:
    """Raise ``LooksAlike`` for whom the contact, and whom the new customer, may be."""
    here = at if isinstance(at, str) else None
    people = contacts_like(connection, name, here, numbers, leaving=leaving)
    refuse_alike([*people, *(customers_like(connection, at.name) if isinstance(at, NewCustomer) else ())])


def _made(connection: Connection, at: str | NewCustomer | None, by: Actor) -> str | None:
    if isinstance(at, NewCustomer):
        return add_customer(connection, CustomerDraft(name=at.name, kind=at.kind), by, anyway=True)
    return at


def _change(connection: Connection, key: str, version: int, values: Mapping[str, object]) -> None:
    its = (contacts.c.id == key) & (contacts.c.version == version) & contacts.c.merged_into.is_(None)
    if connection.execute(update(contacts).where(its).values(values)).rowcount == 0:
        raise StaleFile


def _give(connection: Connection, key: str, number: Number) -> bool:
    """Whether the contact did not have it yet."""
    held = _numbers(connection, key)
    if number.number in held:
        return False
    if len(held) >= NUMBERS:
        raise TooManyNumbers
    row = {"contact_id": key, "number": number.number, "given": number.given}
    last = select(func.max(contact_numbers.c.position)).where(contact_numbers.c.contact_id == key)
    position = connection.execute(last).scalar()
    connection.execute(insert(contact_numbers).values(row | {"position": 0 if position is None else position + 1}))
    return True


def _numbers(connection: Connection, key: str) -> list[str]:
    query = select(contact_numbers.c.number).where(contact_numbers.c.contact_id == key)
    return list(connection.scalars(query.order_by(contact_numbers.c.position, contact_numbers.c.number)))


def _held(connection: Connection, key: str) -> tuple[HeldNumber, ...]:
    query = select(contact_numbers).where(contact_numbers.c.contact_id == key)
    rows = connection.execute(query.order_by(contact_numbers.c.position, contact_numbers.c.number).limit(200)).all()
    sharing = (
        select(contact_numbers.c.number, contacts.c.id, contacts.c.name)
        .join(contacts, contacts.c.id == contact_numbers.c.contact_id)
        .where(contact_numbers.c.number.in_([row.number for row in rows]), contacts.c.id != key)
        .order_by(contacts.c.id)
        .limit(200)
    )
    others: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for one in connection.execute(sharing):
        others[one.number].append((one.id, one.name))
    return tuple(
        HeldNumber(number=row.number, given=row.given, others=tuple(others[row.number][:SHARERS])) for row in rows
    )


def _posts(connection: Connection, key: str) -> tuple[Post, ...]:
    """The present one first, then the others from the last to the first."""
    query = (
        select(posts, customers.c.name.label("customer"), customers.c.kind.label("customer_kind"))
        .outerjoin(customers, customers.c.id == posts.c.customer_id)
        .where(posts.c.contact_id == key)
        .order_by(posts.c.until.is_not(None), posts.c.until.desc(), posts.c.id.desc())
        .limit(100)
    )
    return tuple(
        Post(
            id=row.id,
            customer_id=row.customer_id,
            customer=row.customer,
            customer_kind=row.customer_kind,
            department=row.department,
            title=row.title,
            since=maybe_seconds(row.since),
            until=maybe_seconds(row.until),
            notes=row.notes,
        )
        for row in connection.execute(query)
    )


def _present(connection: Connection, customer_id: str) -> list[Colleague]:
    query = select(contacts).where(contacts.c.customer_id == customer_id, contacts.c.merged_into.is_(None))
    rows = connection.execute(query.order_by(contacts.c.name_key, contacts.c.id).limit(PEOPLE)).all()
    first = _first_numbers(connection, [row.id for row in rows])
    return [_colleague(row.id, row, first) for row in rows]


def _former(connection: Connection, customer_id: str) -> list[Colleague]:
    now = customers.alias("now")
    query = (
        select(posts, contacts.c.name, contacts.c.level, now.c.id.label("now_id"), now.c.name.label("now"))
        .join(contacts, contacts.c.id == posts.c.contact_id)
        .outerjoin(now, now.c.id == contacts.c.customer_id)
        .where(posts.c.customer_id == customer_id, posts.c.until.is_not(None), contacts.c.merged_into.is_(None))
        .order_by(posts.c.until.desc(), posts.c.id.desc())
        .limit(PEOPLE)
    )
    rows = connection.execute(query).all()
    first = _first_numbers(connection, [row.contact_id for row in rows])
    return [
        replace(
            _colleague(row.contact_id, row, first),
            until=maybe_seconds(row.until),
            now=(row.now_id, row.now) if row.now_id is not None else None,
        )
        for row in rows
    ]


def _colleague(key: str, row: Any, first: Mapping[str, Number]) -> Colleague:
    number = first.get(key)
    return Colleague(
        id=key,
        name=row.name,
        department=row.department,
        title=row.title,
        level=row.level,
        number=number.number if number else None,
        given=number.given if number else None,
    )


def _first_numbers(connection: Connection, ids: Sequence[str]) -> dict[str, Number]:
    query = (
        select(contact_numbers)
        .where(contact_numbers.c.contact_id.in_(ids))
        .order_by(contact_numbers.c.position.desc(), contact_numbers.c.number)
    )
    return {row.contact_id: Number(number=row.number, given=row.given) for row in connection.execute(query)}
