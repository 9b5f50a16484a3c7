"""What the pages of customers and contacts share: who acts, and how a typed customer, a number or a likeness is read and shown.

Law: a typed name of a customer is one that is there if it is chosen from those found, or is the name of exactly one; else it is
a new one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from ctid.db.contacts import NewCustomer, Number
from ctid.db.customers import CUSTOMER
from ctid.db.files import Actor, Match, Why
from ctid.db.numbers import normalise
from ctid.db.users import User
from ctid.languages import _, say_later
from ctid.web.forms import Fields
from ctid.web.room import room

LONGEST_NUMBER = 100

WHYS: Mapping[Why, str] = {
    Why.NUMBER: say_later("the same number"),
    Why.NAME: say_later("the same name"),
    Why.LIKE: say_later("a very similar name"),
}


def actor(request: Request, user: User) -> Actor:
    """The user as the one who writes now."""
    address = request.client.host if request.client else None
    return Actor(user_id=user.id, user_name=user.name, agent=user.agent_id, address=address, at=time.time())


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


def match_json(match: Match) -> dict[str, Any]:
    return {
        "kind": match.kind.value,
        "id": match.id,
        "name": match.name,
        "customer": match.customer,
        "detail": match.detail,
        "why": match.why.value,
    }
