"""What the pages of customers and contacts share: how a typed customer, a number or a likeness is read and shown.

Law: a typed name of a customer is one that is there if it is chosen from those found, or is the name of exactly one; else it is
a new one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from ctid.db.books import Mark
from ctid.db.contacts import NewCustomer, Number
from ctid.db.customers import CUSTOMER
from ctid.db.files import FileKind, Match, Why
from ctid.db.lists import Asked, Listed, View
from ctid.db.numbers import normalise
from ctid.db.timelines import Moment, TimePlace, What, place_of
from ctid.languages import _, say_later
from ctid.web import cursors
from ctid.web.addresses import ROWS, address, path_of
from ctid.web.cursors import BadCursor
from ctid.web.forms import Fields
from ctid.web.room import Room, room

LONGEST_NUMBER = 100
#: Open tickets that a file shows.
TICKETS = 10
NOTES = 10_000
#: What the line of time can be narrowed to.
ONLY: Mapping[str, tuple[What, ...]] = {"calls": (What.CALL,), "tickets": (What.TICKET, What.ATTEMPT)}

WHYS: Mapping[Why, str] = {
    Why.NUMBER: say_later("the same number"),
    Why.NAME: say_later("the same name"),
    Why.LIKE: say_later("a very similar name"),
}


def customer_field(fields: Fields, *, kind: str = CUSTOMER) -> str | NewCustomer | None:
    """The customer that is chosen (``customer_id``) or typed (``customer``); one that is new is of that kind."""
    chosen, typed = fields.key("customer_id"), fields.text("customer")
    if chosen is not None:
        return chosen
    return None if typed is None else NewCustomer(name=typed, kind=kind)


def number_field(request: Request, fields: Fields, name: str = "number", *, required: bool = False) -> Number | None:
    """A telephone number as people write it."""
    given = fields.text(name, most=LONGEST_NUMBER, required=required)
    if given is None:
        return None
    routing = room(request).settings.routing
    number = normalise(given, routing.country, routing.outside_prefix)
    if number is None or ";" in given or "\uff1b" in given:
        fields.refuse(name, _("That is no telephone number."))
        return None
    return Number(number=number, given=given)


async def open_tickets(of: Room, *, customer_id: str | None = None, contact_id: str | None = None) -> list[Listed]:
    """What of theirs is worked on: the severest first."""
    now = time.time()
    asked = Asked(view=View.ALL, now=now, until=now, customer_id=customer_id, contact_id=contact_id)
    return await of.lists.tickets(asked, limit=TICKETS)


def match_json(match: Match) -> dict[str, Any]:
    return {
        "kind": match.kind.value,
        "id": match.id,
        "name": match.name,
        "customer": match.customer,
        "detail": match.detail,
        "why": match.why.value,
    }


def changed_since(
    fields: Fields, now: Mapping[str, str | float | None], labels: Mapping[str, str]
) -> list[tuple[str, str]]:
    """What a file says now that the typed form does not: the field's label and the present text."""
    said = {name: "" if value is None else str(value) for name, value in now.items()}
    return [
        (_(labels[name]), text)
        for name, text in said.items()
        if name in labels and name in fields.typed and fields.typed[name].replace("\r\n", "\n").strip() != text
    ]


async def line_of_time(request: Request, kind: FileKind, key: str, what: str, after: str) -> dict[str, Any]:
    """What the line of time on a file's page shows; raises ``BadCursor``."""
    wanted = what if what in ONLY else ""
    place = _place(after) if after else None
    only = ONLY.get(wanted, tuple(What))
    rows = await room(request).timelines.of(kind, key, limit=ROWS + 1, after=place, only=only)
    here = path_of(f"{kind}s", key)
    chosen = {"what": wanted} if wanted else {}
    older = address(here, chosen | {"after": _written(rows[ROWS - 1])}) if len(rows) > ROWS else None
    return {
        "moments": rows[:ROWS],
        "line_here": here,
        "line_wanted": wanted,
        "line_first": f"{address(here, chosen)}#time" if after else None,
        "line_older": f"{older}#time" if older else None,
    }


def _written(moment: Moment) -> str:
    place = place_of(moment)
    return cursors.write(Mark(at=place.at, id=f"{place.what} {place.key}"))


def _place(text: str) -> TimePlace:
    mark = cursors.read(text)
    what, _space, key = mark.id.partition(" ")
    if what not in tuple(What) or not key:
        raise BadCursor
    return TimePlace(at=mark.at, what=What(what), key=key)
