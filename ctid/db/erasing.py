"""Takes a person out of the rows, in the transaction of who asks, and reports what was taken out without naming them.

Law: the person's file goes, their numbers go from calls and callbacks, and their name and numbers from the texts on their
tickets and their customers' files. A name in texts elsewhere may be another's: such places are listed for a person to look at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Table, Text, case, cast, delete, or_, select, tuple_, update

from ctid.db import search
from ctid.db.files import FileKind
from ctid.db.tables import (
    audit,
    call_notes,
    call_tickets,
    callbacks,
    calls,
    contacts,
    customers,
    files_apart,
    legs,
    posts,
    recordings,
    site_visits,
    ticket_attempts,
    ticket_steps,
    tickets,
)
from ctid.db.traces import Key, Normalise, Person, callbacks_of, cut, ends_like, ids_of
from ctid.desk.scrubbing import GONE
from ctid.domain.types import Direction

#: Places elsewhere that a report names, of each kind.
MENTIONS = 200


def erase(connection: Connection, person: Person, normalise: Normalise) -> dict[str, Any]:
    """Take them out; the report by ids and counts alone."""
    recorded = [key for keys in cut(person.calls) for key in _recorded(connection, keys)]
    raised = ids_of(connection, tickets, tickets.c.contact_id.in_(person.ids))
    numbers = _erase_numbers(connection, person, normalise)
    changed, mentions = _scrub(connection, person)
    apart = files_apart.c.kind == FileKind.CONTACT.value
    either = or_(files_apart.c.one.in_(person.ids), files_apart.c.other.in_(person.ids))
    connection.execute(delete(files_apart).where(apart, either))
    connection.execute(delete(contacts).where(contacts.c.id.in_(person.ids)))
    return {
        "contacts": person.ids,
        "customers": person.customers,
        "calls": [f"{pbx}/{key}" for pbx, key in person.calls],
        "recordings": recorded,
        "tickets": raised,
        "counts": {
            "files": len(person.ids),
            "numbers": len(person.numbers),
            "calls": len(person.calls),
            "recordings": len(recorded),
            "tickets": len(raised),
            **numbers,
            "texts": changed,
        },
        "mentions": mentions,
    }


def _recorded(connection: Connection, keys: Sequence[Key]) -> list[str]:
    query = select(recordings.c.id).where(tuple_(recordings.c.pbx, recordings.c.call_id).in_(keys))
    return list(connection.scalars(query.order_by(recordings.c.id)))


def _erase_numbers(connection: Connection, person: Person, normalise: Normalise) -> dict[str, int]:
    """Take the person off their calls, and their own numbers off whatever was rung or owed."""
    for keys in cut(person.calls):
        these = tuple_(calls.c.pbx, calls.c.id).in_(keys)
        out = calls.c.direction == Direction.OUTBOUND.value
        changes = {
            "contact_id": None,
            "caller_name": None,
            "caller": case((out, calls.c.caller), else_=None),
            "dialled": case((out, None), else_=calls.c.dialled),
            "erased": True,
        }
        connection.execute(update(calls).where(these).values(changes))
    rung = owed = 0
    for keys in cut(person.calls):
        # Whatever number was rung for them: it may have left their file since.
        others = (tuple_(legs.c.pbx, legs.c.call_id).in_(keys), legs.c.agent.is_(None), legs.c.party != GONE)
        rung += connection.execute(update(legs).where(*others).values(party=GONE)).rowcount
    like = ends_like(person.own, legs.c.party)
    if like is not None:
        for row in connection.execute(select(legs.c.pbx, legs.c.call_id, legs.c.id, legs.c.party).where(like)).all():
            if normalise(row.party) in person.own:
                its = (legs.c.pbx == row.pbx) & (legs.c.call_id == row.call_id) & (legs.c.id == row.id)
                call = (calls.c.pbx == row.pbx) & (calls.c.id == row.call_id)
                connection.execute(select(calls.c.id).where(call).with_for_update())  # nobody saves it meanwhile
                rung += connection.execute(update(legs).where(its).values(party=GONE)).rowcount
    gone = {"number": GONE, "dial": GONE}
    for asked in callbacks_of(person):
        owed += connection.execute(update(callbacks).where(asked, callbacks.c.number != GONE).values(gone)).rowcount
    return {"parties": rung, "callbacks": owed}


def _scrub(connection: Connection, person: Person) -> tuple[int, dict[str, list[str]]]:
    """Take name and numbers out of texts; how many rows changed, and where a name stands that may be another's."""
    scrubber, needles = person.scrubber(), [*person.names, *person.emails, *person.given, *person.forms()]
    changed, mentions = 0, dict[str, list[str]]()
    touched: dict[Table, set[str]] = {tickets: set(), customers: set(), contacts: set()}
    for place in _places(person):
        likes = [like for column in place.columns for needle in needles for like in _written_in(column, needle)]
        theirs = case((place.theirs, 1), else_=0).label("theirs")
        keys = list(place.table.primary_key.columns)
        query = select(*keys, *place.columns, place.shown.label("shown"), theirs).where(or_(place.theirs, *likes))
        for row in connection.execute(query).all():
            said = row._mapping  # noqa: SLF001 - SQLAlchemy's own name for a row as a mapping
            before = {column.name: said[column] for column in place.columns}
            after = {name: scrubber.value(value, names=bool(row.theirs)) for name, value in before.items()}
            if after != before:
                its = [key == said[key] for key in keys]
                connection.execute(update(place.table).where(*its).values(after))
                changed += 1
                if place.found_by is not None:
                    touched[place.found_by].add(row.shown)
            if not row.theirs and any(scrubber.names_in(str(value)) for value in after.values() if value):
                mentions.setdefault(place.table.name, []).append(str(row.shown))
    for column, of in ((customers.c.name, customers), (contacts.c.name, contacts)):
        bearing = or_(*(column.icontains(name, autoescape=True) for name in person.names))
        others = ids_of(connection, of, bearing, of.c.id.not_in(person.ids) if of is contacts else bearing)
        if others:
            mentions.setdefault(of.name, []).extend(others)
    for table, kind in (
        (tickets, search.Kind.TICKET),
        (customers, search.Kind.CUSTOMER),
        (contacts, search.Kind.CONTACT),
    ):
        ids = sorted(touched[table])
        for some in cut(ids):
            # A form somebody still has open would bring the old text back: it is told that it is too old.
            connection.execute(update(table).where(table.c.id.in_(some)).values(version=table.c.version + 1))
        search.index(connection, kind, *ids)
    return changed, {name: list(dict.fromkeys(ids))[:MENTIONS] for name, ids in mentions.items()}


def _written_in(column: ColumnElement[Any], needle: str) -> list[ColumnElement[bool]]:
    """Whether it stands in the text, or in what the JSON of the column is kept as: with signs that are not ASCII escaped."""
    if not isinstance(column.type, JSON):
        return [column.icontains(needle, autoescape=True)]
    kept = cast(column, Text)
    return [kept.icontains(one, autoescape=True) for one in dict.fromkeys((needle, json.dumps(needle)[1:-1]))]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Texts of a table: ``theirs`` says which rows hang on the person, ``shown`` how a report names a row."""

    table: Table
    columns: tuple[ColumnElement[Any], ...]
    theirs: ColumnElement[bool]
    shown: ColumnElement[Any]
    found_by: Table | None = None


def _places(person: Person) -> list[_Place]:
    at = person.customers
    by_call = select(call_tickets.c.ticket_id).where(
        tuple_(call_tickets.c.pbx, call_tickets.c.call_id).in_(
            select(calls.c.pbx, calls.c.id).where(calls.c.customer_id.in_(at))
        )
    )
    raised = or_(tickets.c.contact_id.in_(person.ids), tickets.c.customer_id.in_(at), tickets.c.id.in_(by_call))
    of_tickets = select(tickets.c.id).where(raised)
    noted = tuple_(call_notes.c.pbx, call_notes.c.call_id)
    of_customers = select(calls.c.pbx, calls.c.id).where(calls.c.customer_id.in_(at))
    on_tickets = select(call_tickets.c.pbx, call_tickets.c.call_id).where(call_tickets.c.ticket_id.in_(of_tickets))
    own_calls = [noted.in_(keys) for keys in cut(person.calls)]
    t, a, s, n, v = tickets.c, ticket_attempts.c, ticket_steps.c, call_notes.c, site_visits.c
    return [
        _Place(
            table=tickets,
            columns=(t.subject, t.category, t.asked, t.next_step, t.confirmed_by),
            theirs=raised,
            shown=t.id,
            found_by=tickets,
        ),
        _Place(
            table=ticket_attempts,
            columns=(a.what, a.result),
            theirs=a.ticket_id.in_(of_tickets),
            shown=a.ticket_id,
            found_by=tickets,
        ),
        _Place(
            table=ticket_steps,
            columns=(s.reason, s.changes),
            theirs=s.ticket_id.in_(of_tickets),
            shown=s.ticket_id,
        ),
        _Place(
            table=call_notes,
            columns=(n.disposition, n.notes),
            theirs=or_(noted.in_(of_customers), noted.in_(on_tickets), *own_calls),
            shown=n.call_id,
        ),
        _Place(
            table=customers,
            columns=(customers.c.notes, customers.c.address, customers.c.hold_reason),
            theirs=customers.c.id.in_(at),
            shown=customers.c.id,
            found_by=customers,
        ),
        _Place(
            table=contacts,
            columns=(contacts.c.notes,),
            theirs=contacts.c.customer_id.in_(at) | contacts.c.id.in_(person.ids),
            shown=contacts.c.id,
            found_by=contacts,
        ),
        _Place(
            table=posts,
            columns=(posts.c.notes,),
            theirs=posts.c.customer_id.in_(at) | posts.c.contact_id.in_(person.ids),
            shown=posts.c.contact_id,
        ),
        _Place(
            table=site_visits,
            columns=(v.person, v.notes),
            theirs=v.customer_id.in_(at),
            shown=v.customer_id,
        ),
        _Place(
            table=audit,
            columns=(audit.c.subject, audit.c.changes),
            theirs=audit.c.subject.in_([*person.ids, *at]),
            shown=audit.c.id,
        ),
    ]
