"""Two files made one: what would move is shown first, then all of it moves in one transaction.

Law: nothing is deleted. The file that was taken up stays as a redirect; no redirect leads to another, so there are no circles.
What the living file does not say is taken from the other; what both say is the living one's, notes are kept of both, and
recordings for the longer of the two's days. Calls keep the id they were saved with and stand in the living file's line of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Subquery, Table, delete, func, insert, select, update

from ctid.db import search
from ctid.db.audits import Actor, note
from ctid.db.contacts import keep_posts
from ctid.db.customers import CUSTOMER, customers_alike, keep_pairs
from ctid.db.files import TABLES, FileKind, Match, NoSuchFile, StaleFile, Why
from ctid.db.retention import Kept
from ctid.db.session import Engine, insert_for, instant, read, write
from ctid.db.tables import contact_numbers, contacts, customers, files_apart, posts, site_visits, tickets

LONGEST_NOTES = 10_000
#: Customers whose names are held against all others' on one page of suspects.
LOOKED_AT = 50
SUSPECTS = 50
MOST_SEVERAL = 1000
#: The days that stand for ever: no more can be set.
_LONGEST = 36_500
_FOR_EVER = Kept(days=None, lines={})

_Row = Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two files of a merge: its id, name, version, and what it says (field, text) that the other may not."""

    id: str
    name: str
    version: int
    says: tuple[tuple[str, str], ...]
    moves: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two living files that may be one, the smaller id first."""

    kind: FileKind
    one: Match
    other: Match


class MergeFault(ValueError):  # noqa: N818 - it is an answer
    """These two files cannot be made one: the same file twice, or one that was merged already."""


class Merging:
    """``site`` says how long recordings are kept of customers that have no days of their own."""

    def __init__(self, engine: Engine, site: Kept = _FOR_EVER) -> None:
        self._engine = engine
        self._site = site

    async def preview(self, kind: FileKind, key: str, into: str) -> tuple[Side, Side]:
        """Both files and what each holds; raises ``NoSuchFile`` and ``MergeFault``."""

        def work(connection: Connection) -> tuple[Side, Side]:
            gone, kept = _two(connection, kind, key, into)
            return _side(connection, kind, gone), _side(connection, kind, kept)

        return await read(self._engine, work)

    async def merge(self, kind: FileKind, key: str, into: str, versions: tuple[int, int], by: Actor) -> None:
        """Have ``into`` take up ``key``; ``versions`` are those that were shown of the two, in this order.

        Raises ``NoSuchFile``, ``MergeFault`` and ``StaleFile``.
        """

        def work(connection: Connection) -> None:
            gone, kept = _two(connection, kind, key, into)
            if (gone.version, kept.version) != versions:
                raise StaleFile
            if kind is FileKind.CUSTOMER:
                _move_customer(connection, gone, kept, self._site)
            else:
                _move_contact(connection, gone, kept, by)
            table = TABLES[kind]
            redirected = (table.c.id == key) | (table.c.merged_into == key)
            connection.execute(update(table).where(redirected).values(merged_into=into, version=table.c.version + 1))
            found_by = search.Kind.CUSTOMER if kind is FileKind.CUSTOMER else search.Kind.CONTACT
            search.index(connection, found_by, key, into)
            note(connection, f"{kind}_merged", f"{key} → {into}", by)

        await write(self._engine, work)

    async def keep_apart(self, kind: FileKind, one: str, other: str, by: Actor) -> None:
        """The two are not one: nobody is asked again."""
        smaller, larger = sorted((one, other))

        def work(connection: Connection) -> None:
            row = {
                "kind": kind.value,
                "one": smaller,
                "other": larger,
                "at": instant(by.at),
                "user_name": by.user_name,
            }
            put = insert_for(connection.dialect.name, files_apart).values(row)
            if connection.execute(put.on_conflict_do_nothing()).rowcount:
                note(connection, f"{kind}s_apart", f"{smaller}, {larger}", by)

        await write(self._engine, work)

    async def suspects(self, *, after: str | None = None) -> tuple[list[Pair], str | None]:
        """Pairs that may be one, and from where on to look further: the contacts' pairs come with the first page.

        Contacts: the same number at the same customer, or the same name there. Customers: names the same or very like, of
        those whose ids follow ``after``.
        """
        return await read(self._engine, lambda connection: _suspects(connection, after))


def _two(connection: Connection, kind: FileKind, key: str, into: str) -> tuple[_Row, _Row]:
    if key == into:
        raise MergeFault("a file cannot be merged with itself")
    table = TABLES[kind]
    # Both are held, the smaller id first: of two merges of the same files one waits, and then sees what the other did.
    query = select(table).where(table.c.id.in_((key, into))).order_by(table.c.id).with_for_update()
    rows = {row.id: row for row in connection.execute(query)}
    for one in (key, into):
        if one not in rows:
            raise NoSuchFile(kind, one)
        if rows[one].merged_into is not None:
            raise MergeFault("one of the files was merged already")
    return rows[key], rows[into]


# -- what a file holds -------------------------------------------------------------------------------------------------

_SAID: dict[FileKind, tuple[str, ...]] = {
    FileKind.CUSTOMER: ("kind", "level", "address", "notes"),
    FileKind.CONTACT: ("customer_id", "department", "title", "level", "email", "notes"),
}
_HANGS: dict[FileKind, tuple[tuple[str, Table, str], ...]] = {
    FileKind.CUSTOMER: (
        ("contacts", contacts, "customer_id"),
        ("tickets", tickets, "customer_id"),
        ("posts", posts, "customer_id"),
        ("visits", site_visits, "customer_id"),
    ),
    FileKind.CONTACT: (
        ("numbers", contact_numbers, "contact_id"),
        ("tickets", tickets, "contact_id"),
        ("posts", posts, "contact_id"),
    ),
}


def _side(connection: Connection, kind: FileKind, row: _Row) -> Side:
    said = row._mapping  # noqa: SLF001 - SQLAlchemy's own name for a row as a mapping
    return Side(
        id=row.id,
        name=row.name,
        version=row.version,
        says=tuple((name, str(said[name])) for name in _SAID[kind] if said[name] is not None),
        moves=tuple(
            (
                name,
                connection.execute(
                    select(func.count()).select_from(table).where(table.c[column] == row.id)
                ).scalar_one(),
            )
            for name, table, column in _HANGS[kind]
        ),
    )


def _hang_on(connection: Connection, kind: FileKind, gone: str, kept: str, but: tuple[str, ...] = ()) -> None:
    for name, table, column in _HANGS[kind]:
        if name not in but:
            connection.execute(update(table).where(table.c[column] == gone).values({column: kept}))


def _filled(gone: _Row, kept: _Row, names: tuple[str, ...]) -> dict[str, Any]:
    """What the kept file says after it: its own, else the other's; the notes of both."""
    mine, theirs = kept._mapping, gone._mapping  # noqa: SLF001 - as above
    values = {name: theirs[name] if mine[name] is None else mine[name] for name in names}
    notes = [text for text in (kept.notes, gone.notes) if text]
    return values | {"notes": "\n".join(dict.fromkeys(notes))[:LONGEST_NOTES] or None, "version": kept.version + 1}


def _move_customer(connection: Connection, gone: _Row, kept: _Row, site: Kept) -> None:
    _hang_on(connection, FileKind.CUSTOMER, gone.id, kept.id)
    values = _filled(gone, kept, ("address",))
    values["retention_days"] = _longer(gone.retention_days, kept.retention_days, site)
    values |= _held(gone, kept)
    values["kind"] = CUSTOMER if CUSTOMER in (gone.kind, kept.kind) else kept.kind
    connection.execute(update(customers).where(customers.c.id == kept.id).values(values))
    keep_pairs(connection, [(gone.id, "")])  # it is found no more


def _longer(one: int | None, other: int | None, site: Kept) -> int | None:
    """The days for both, so that of neither anything is erased earlier; ``None`` is as long as the site and its lines say."""
    if one is None or other is None:
        days = other if one is None else one
        rest = [_LONGEST if of is None else of for of in (site.days, *site.lines.values())]
        return None if days is None or days <= min(rest) else max(days, *rest)
    return max(one, other)


def _held(gone: _Row, kept: _Row) -> dict[str, Any]:
    """A hold on either holds both, since the earlier of the two; nobody lifts one by merging."""
    held = sorted((row for row in (gone, kept) if row.hold_reason is not None), key=lambda row: row.held_since)
    if not held:
        return {}
    reasons = "; ".join(dict.fromkeys(row.hold_reason for row in held))[:LONGEST_NOTES]
    return {"hold_reason": reasons, "held_by": held[0].held_by, "held_since": held[0].held_since}


def _move_contact(connection: Connection, gone: _Row, kept: _Row, by: Actor) -> None:
    _move_numbers(connection, gone.id, kept.id)
    values = _filled(gone, kept, ("level", "email"))
    same = None
    if kept.customer_id is None or kept.customer_id == gone.customer_id:
        # One post told twice, or only by the other: what it says of it stands in the living file.
        values |= {"customer_id": gone.customer_id} if kept.customer_id is None else {}
        values |= {"department": kept.department or gone.department, "title": kept.title or gone.title}
        same = _same_post(connection, gone.id, kept.id)
    else:
        present = (posts.c.contact_id == gone.id) & posts.c.until.is_(None)
        connection.execute(update(posts).where(present).values(until=instant(by.at)))
    _hang_on(connection, FileKind.CONTACT, gone.id, kept.id, but=("numbers", "posts"))
    moving = posts.c.contact_id == gone.id
    if same is not None:
        moving &= posts.c.id != same
    connection.execute(update(posts).where(moving).values(contact_id=kept.id))
    connection.execute(update(contacts).where(contacts.c.id == kept.id).values(values))
    keep_posts(connection, [kept.id], instant(by.at))


def _same_post(connection: Connection, gone: str, kept: str) -> int | None:
    """The file's present post that the living one tells, too: it stays behind. The one of the two begins as the earlier did."""
    query = select(posts).where(posts.c.contact_id.in_((gone, kept)), posts.c.until.is_(None))
    present = {row.contact_id: row for row in connection.execute(query)}
    if len(present) < 2:
        return None
    begins = [row.since for row in present.values() if row.since is not None]
    change = update(posts).where(posts.c.id == present[kept].id)
    connection.execute(change.values(since=min(begins, default=None)))
    same: int = present[gone].id
    return same


def _move_numbers(connection: Connection, gone: str, kept: str) -> None:
    query = select(contact_numbers).where(contact_numbers.c.contact_id.in_((gone, kept)))
    rows = connection.execute(query.order_by(contact_numbers.c.position, contact_numbers.c.number)).all()
    held = {row.number for row in rows if row.contact_id == kept}
    last = max((row.position for row in rows if row.contact_id == kept), default=-1)
    new = [row for row in rows if row.contact_id == gone and row.number not in held]
    connection.execute(delete(contact_numbers).where(contact_numbers.c.contact_id == gone))
    if new:
        connection.execute(
            insert(contact_numbers),
            [
                {"contact_id": kept, "number": row.number, "given": row.given, "position": last + 1 + at}
                for at, row in enumerate(new)
            ],
        )


# -- suspects ----------------------------------------------------------------------------------------------------------


def _suspects(connection: Connection, after: str | None) -> tuple[list[Pair], str | None]:
    pairs = [] if after is not None else _contacts(connection)
    found, last = _customers(connection, after)
    return pairs + found, last


def _contacts(connection: Connection) -> list[Pair]:
    one, other, here = contacts.alias("one"), contacts.alias("other"), customers.alias("here")
    first, second = contact_numbers.alias("first"), contact_numbers.alias("second")
    several_number = _several(contact_numbers.c.number)
    several_name = _several(contacts.c.name_key, contacts.c.customer_id)
    columns = (
        one.c.id,
        one.c.name,
        other.c.id.label("other_id"),
        other.c.name.label("other_name"),
        here.c.name.label("here"),
    )
    two = (
        one.c.merged_into.is_(None),
        other.c.merged_into.is_(None),
        one.c.id < other.c.id,
        one.c.name_key != "",
        one.c.name_key == other.c.name_key,
        ~select(files_apart.c.one)
        .where(files_apart.c.kind == FileKind.CONTACT, files_apart.c.one == one.c.id, files_apart.c.other == other.c.id)
        .exists(),
    )
    same_number = (
        select(*columns)
        .select_from(several_number)
        .join(first, first.c.number == several_number.c.number)
        .join(second, second.c.number == first.c.number)
        .join(one, one.c.id == first.c.contact_id)
        .join(other, other.c.id == second.c.contact_id)
    )
    same_name = (
        select(*columns)
        .select_from(several_name)
        .join(one, (one.c.name_key == several_name.c.name_key) & (one.c.customer_id == several_name.c.customer_id))
        .join(other, other.c.customer_id == one.c.customer_id)
    )
    found: dict[tuple[str, str], Pair] = {}
    for why, query in ((Why.NUMBER, same_number), (Why.NAME, same_name)):
        whole = query.outerjoin(here, here.c.id == one.c.customer_id).where(*two)
        for row in connection.execute(whole.order_by(one.c.id, other.c.id).limit(SUSPECTS)):
            pair = Pair(
                kind=FileKind.CONTACT,
                one=_match(FileKind.CONTACT, row.id, row.name, row.here, why),
                other=_match(FileKind.CONTACT, row.other_id, row.other_name, row.here, why),
            )
            found.setdefault((row.id, row.other_id), pair)
    return list(found.values())


def _several(*columns: ColumnElement[Any]) -> Subquery:
    """What stands in more than one row, told by an index alone."""
    return select(*columns).group_by(*columns).having(func.count() > 1).limit(MOST_SEVERAL).subquery()


def _match(kind: FileKind, key: str, name: str, customer: str | None, why: Why) -> Match:
    return Match(kind=kind, id=key, name=name, customer=customer, detail=None, why=why)


def _customers(connection: Connection, after: str | None) -> tuple[list[Pair], str | None]:
    query = select(customers.c.id, customers.c.name).where(customers.c.merged_into.is_(None)).order_by(customers.c.id)
    if after is not None:
        query = query.where(customers.c.id > after)
    rows = connection.execute(query.limit(LOOKED_AT)).all()
    alike = customers_alike(connection, {row.id: row.name for row in rows})
    pairs = [
        Pair(kind=FileKind.CUSTOMER, one=_match(FileKind.CUSTOMER, row.id, row.name, None, match.why), other=match)
        for row in rows
        for match in alike.get(row.id, ())
    ]
    apart = {
        (row.one, row.other)
        for row in connection.execute(
            select(files_apart).where(
                files_apart.c.kind == FileKind.CUSTOMER.value, files_apart.c.one.in_([pair.one.id for pair in pairs])
            )
        )
    }
    kept = [pair for pair in pairs if (pair.one.id, pair.other.id) not in apart]
    return kept, rows[-1].id if len(rows) == LOOKED_AT else None
