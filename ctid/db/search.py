"""What tickets, contacts and customers are found by: kept in step with their rows, and asked of each database in its words.

Law: whoever writes a ticket, an attempt, a contact, a number or a customer calls ``index`` with its id in the same
transaction: it reads the row as it then is and keeps its grams, and on the tickets the level they are sorted by. Deleted rows
take theirs along. What finds what is ``ctid.desk.bigrams``'s alone; here is only how SQLite (FTS5) and PostgreSQL (GIN over a
tsvector) are asked for grams. Whatever is looked for, no more than ``MOST`` rows are weighed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from sqlalchemy import BindParameter, Connection, Select, Table, bindparam, func, select, text, update

from ctid.db.numbers import written
from ctid.db.session import insert_for
from ctid.db.tables import (
    contact_numbers,
    contact_words,
    contacts,
    counters,
    customer_words,
    customers,
    ticket_attempts,
    ticket_words,
    tickets,
)
from ctid.desk import bigrams
from ctid.desk.bigrams import Term, Way

#: Of more rows that fit, the last ones that came are weighed.
MOST = 2_000
#: Ids in one statement.
BATCH = 500
_RULE = "grams"  # the counter that says by which rule the grams in the database were made


class Kind(StrEnum):
    TICKET = "ticket"
    CONTACT = "contact"
    CUSTOMER = "customer"


TABLES: Mapping[Kind, Table] = {Kind.TICKET: tickets, Kind.CONTACT: contacts, Kind.CUSTOMER: customers}
WORDS: Mapping[Kind, Table] = {
    Kind.TICKET: ticket_words,
    Kind.CONTACT: contact_words,
    Kind.CUSTOMER: customer_words,
}


def index(connection: Connection, kind: Kind, *ids: str) -> int:
    """Bring what these are found and sorted by in step with their rows; gives how many were out of step.

    To be called in the writing transaction, after the writing: for a ticket also when an attempt was added or it went to
    another contact or customer; for a contact also when its numbers, its level or its customer changed; for a customer also
    when its level did. An id of nobody is left out.
    """
    changed = 0
    for first in range(0, len(ids), BATCH):
        some = ids[first : first + BATCH]
        changed += _keep(connection, kind, _texts(connection, kind, some))
        changed += _weigh(connection, kind, some)
    return changed


def index_all(connection: Connection, told: Callable[[Kind, int, int], None] = lambda _kind, _done, _all: None) -> int:
    """``index`` for every row, the oldest tickets first; gives how many were out of step.

    ``told`` is told of what kind how many are done, of how many.
    """
    changed = 0
    for kind, table in TABLES.items():
        order = (table.c.created_at, table.c.id) if kind is Kind.TICKET else (table.c.id,)
        ids = connection.scalars(select(table.c.id).order_by(*order)).all()
        for first in range(0, len(ids), BATCH):
            some = ids[first : first + BATCH]
            changed += index(connection, kind, *some)
            told(kind, first + len(some), len(ids))
    return changed


def keep_up(connection: Connection) -> None:
    """``index_all`` where the grams were made by another rule than today's, or never."""
    if connection.scalar(select(counters.c.value).where(counters.c.name == _RULE)) == bigrams.RULE:
        return
    index_all(connection)
    put = insert_for(connection.dialect.name, counters).values(name=_RULE, value=bigrams.RULE)
    connection.execute(put.on_conflict_do_update(index_elements=["name"], set_={"value": bigrams.RULE}))


def fits(dialect: str, kind: Kind, terms: Sequence[Term]) -> Select[tuple[str]]:
    """The ids of at most ``MOST`` rows of that kind that have every term, those that came last. ``terms`` must not be empty."""
    words = WORDS[kind].name
    if dialect == "postgresql":
        where = f"array_to_tsvector(string_to_array({words}.grams, ' ')) @@ CAST(:asked AS tsquery)"
        asked = _asked(terms, both=" & ", either=" | ", begins=":*", quote="'")
        rows, newest = words, f"{words}.id"
    else:
        where = f"{words}_fts MATCH :asked"
        asked = _asked(terms, both=" AND ", either=" OR ", begins="*", quote='"')
        # From the index to the rows, and in its own order, backwards: the planner would else sort what it found.
        rows, newest = f"{words}_fts CROSS JOIN {words} ON {words}.id = {words}_fts.rowid", f"{words}_fts.rowid"
    runs = [way.whole for term in terms for way in term.ways if way.together]
    together = "".join(f" AND ' ' || {words}.grams LIKE :run{at}" for at in range(len(runs)))
    values = {f"run{at}": f"% {' '.join(run)}%" for at, run in enumerate(runs)}
    # Only names of our own tables are written into this; what is looked for are bound values.
    found = text(
        f"SELECT {words}.of FROM {rows} WHERE {where}{together} ORDER BY {newest} DESC LIMIT {MOST}"  # noqa: S608
    )
    return select(found.bindparams(asked=asked, **values).columns(WORDS[kind].c.of).subquery("found"))


# -- keeping -----------------------------------------------------------------------------------------------------------

_COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    Kind.TICKET: ("id", "subject", "category", "asked", "next_step"),
    Kind.CONTACT: ("id", "name", "department", "title", "email", "notes"),
    Kind.CUSTOMER: ("id", "name", "address", "notes"),
}
_LEVEL = func.coalesce(
    select(contacts.c.level).where(contacts.c.id == tickets.c.contact_id).scalar_subquery(),
    select(customers.c.level).where(customers.c.id == tickets.c.customer_id).scalar_subquery(),
    1,
)
_WHOSE = {Kind.TICKET: tickets.c.id, Kind.CONTACT: tickets.c.contact_id, Kind.CUSTOMER: tickets.c.customer_id}
_IDS: BindParameter[str] = bindparam("ids", expanding=True)
_STATED = {
    kind: select(*(TABLES[kind].c[name] for name in names)).where(TABLES[kind].c.id.in_(_IDS))
    for kind, names in _COLUMNS.items()
}
_WEIGH = {
    kind: update(tickets).where(whose.in_(_IDS), tickets.c.level != _LEVEL).values(level=_LEVEL)
    for kind, whose in _WHOSE.items()
}
_KEPT = {kind: select(words.c.of, words.c.grams).where(words.c.of.in_(_IDS)) for kind, words in WORDS.items()}
_ATTEMPTS = (
    select(ticket_attempts.c.ticket_id, ticket_attempts.c.what, ticket_attempts.c.result)
    .where(ticket_attempts.c.ticket_id.in_(_IDS))
    .order_by(ticket_attempts.c.at, ticket_attempts.c.id)
)
_NUMBERS = (
    select(contact_numbers)
    .where(contact_numbers.c.contact_id.in_(_IDS))
    .order_by(contact_numbers.c.contact_id, contact_numbers.c.position)
)


def _texts(connection: Connection, kind: Kind, ids: Sequence[str]) -> dict[str, list[str | None]]:
    """What each row says, and what hangs on it."""
    texts = {row[0]: list(row) for row in connection.execute(_STATED[kind], {"ids": ids})}
    if kind is Kind.TICKET:
        for row in connection.execute(_ATTEMPTS, {"ids": ids}):
            texts[row.ticket_id] += (row.what, row.result)
    if kind is Kind.CONTACT:
        numbers: dict[str, list[str]] = defaultdict(list)
        for row in connection.execute(_NUMBERS, {"ids": ids}):
            numbers[row.contact_id] += dict.fromkeys((row.given, *written(row.number)))
        for contact, given in numbers.items():
            texts[contact] += given
    return texts


def _keep(connection: Connection, kind: Kind, texts: Mapping[str, Sequence[str | None]]) -> int:
    words = WORDS[kind]
    kept = {row.of: row.grams for row in connection.execute(_KEPT[kind], {"ids": list(texts)})}
    made = {key: bigrams.grams(*said) for key, said in texts.items()}
    new = [{"of": key, "grams": grams} for key, grams in made.items() if kept.get(key) != grams]
    if new:
        put = insert_for(connection.dialect.name, words)
        put = put.on_conflict_do_update(index_elements=[words.c.of], set_={"grams": put.excluded.grams})
        connection.execute(put, new)
    return len(new)


def _weigh(connection: Connection, kind: Kind, ids: Sequence[str]) -> int:
    return connection.execute(_WEIGH[kind], {"ids": ids}).rowcount


# -- asking ------------------------------------------------------------------------------------------------------------


def _asked(terms: Sequence[Term], both: str, either: str, begins: str, quote: str) -> str:
    """The terms in a database's query language; grams hold nothing that means something there."""

    def way(one: Way) -> str:
        grams = [f"{quote}{gram}{quote}" for gram in dict.fromkeys(one.whole)]
        if one.begun is not None:
            grams.append(f"{quote}{one.begun}{quote}{begins}")
        return f"({both.join(grams)})"

    return both.join(f"({either.join(way(one) for one in term.ways)})" for term in terms)
