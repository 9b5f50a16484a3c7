"""An unknown caller becomes a contact in two fields; names found while they are typed.

Law: in the middle of a call nothing more is asked than must be. Whoever may be meant is shown before a second file is made of
them. To those who ask for JSON the answer is JSON, to others the form or its outcome as a piece of a page.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from ctid.db.contacts import ContactDraft, ContactFile, TooManyNumbers
from ctid.db.files import FileKind, LooksAlike, Match, NoSuchFile
from ctid.db.numbers import normalise
from ctid.languages import _
from ctid.web.addresses import Text, plain
from ctid.web.files import WHYS, customer_field, match_json, number_field
from ctid.web.forms import Fields
from ctid.web.identity import OwnForm, SignedIn, actor, signed_in
from ctid.web.room import room
from ctid.web.shown import page

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])


@router.get("/customers/suggest")
async def suggest_customers(request: Request, q: Text = "", customer: Text = "", customer_id: Text = "") -> Response:
    """Options of a choice: the customers whose names hold what is typed, and that it may be a new one."""
    typed = " ".join(plain(q or customer or customer_id).split())
    found = await room(request).customers.suggest(typed) if typed else []
    return page(request, "_suggested.html", typed=typed, found=found, kind=FileKind.CUSTOMER)


@router.get("/contacts/suggest")
async def suggest_contacts(request: Request, q: Text = "", contact: Text = "", contact_id: Text = "") -> Response:
    """Options of a choice: the contacts whose names begin with what is typed, or who have that number."""
    of = room(request)
    typed = " ".join(plain(q or contact or contact_id).split())
    number = normalise(typed, of.settings.routing.country, of.settings.routing.outside_prefix)
    found = await of.contacts.suggest(typed, number) if typed else []
    return page(request, "_suggested.html", typed=typed, found=found, kind=FileKind.CONTACT)


@router.get("/contacts/quick")
async def ask(request: Request, number: Text = "") -> Response:
    """The empty form for the caller with this number."""
    return _form(request, Fields({"number": plain(number)}, room(request).zone, name="quick"))


@router.post("/contacts/quick")
async def quick(request: Request, user: SignedIn, form: OwnForm) -> Response:
    """Make the contact, or give the number to the one chosen.

    Fields: ``name``; ``customer`` (typed) or ``customer_id`` (chosen), may be empty; ``number``, the caller's, may be empty;
    ``contact_id``: who of the matches it is; ``anyway``: none of them.
    """
    of, by = room(request), actor(request, user)
    fields = Fields(form, of.zone, name="quick")
    number = number_field(request, fields)
    chosen = fields.key("contact_id")
    try:
        if chosen is not None:
            if not fields.fine:
                return _refused(request, fields)
            if number is not None:
                chosen = await of.contacts.add_number(chosen, number, by)
            return _made(request, await of.contacts.one(chosen))
        name = fields.text("name", required=True)
        customer = customer_field(fields)
        if name is None or not fields.fine:
            return _refused(request, fields)
        numbers = [] if number is None else [number]
        draft = ContactDraft(name=name, customer=customer)
        return _made(request, await of.contacts.add(draft, numbers, by, anyway=fields.ticked("anyway")))
    except LooksAlike as alike:
        if _wants_json(request):
            return _json({"matches": [match_json(match) for match in alike.matches]}, 409)
        return _form(request, fields, alike.matches, status=409)
    except NoSuchFile as none:
        gone = _("There is no such customer.") if none.kind is FileKind.CUSTOMER else _("There is no such contact.")
        fields.refuse("customer" if none.kind is FileKind.CUSTOMER else "name", gone)
    except TooManyNumbers:
        fields.refuse("name", _("This contact has as many numbers as one can have; take one away first."))
    return _refused(request, fields)


def _made(request: Request, contact: ContactFile) -> Response:
    if _wants_json(request):
        own = {"id": contact.id, "name": contact.name, "customer_id": contact.customer_id, "customer": contact.customer}
        return _json({"contact": own}, 200)
    return page(request, "_quick_made.html", contact=contact)


def _refused(request: Request, fields: Fields) -> Response:
    return _json({"faults": fields.faults}, 422) if _wants_json(request) else _form(request, fields, status=422)


def _form(request: Request, fields: Fields, matches: tuple[Match, ...] = (), *, status: int = 200) -> Response:
    return page(request, "_quick.html", status=status, fields=fields, matches=matches, whys=WHYS)


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _json(value: dict[str, Any], status: int) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
