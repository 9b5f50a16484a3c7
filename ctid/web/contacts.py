"""Contacts: a person's file, its forms, their numbers, and where they have moved to.

Law: as for customers: a form carries its version, and what was typed is never lost.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ctid.db.contacts import ContactDraft, ContactFile, Move, NothingToLeave, TooManyNumbers
from ctid.db.customers import LEAD
from ctid.db.files import FileKind, LooksAlike, Match, NoSuchFile, StaleFile
from ctid.db.holds import CallUnderHold
from ctid.db.users import User
from ctid.languages import _, say_later
from ctid.web.addresses import Text, known, path_of, plain
from ctid.web.files import (
    NOTES,
    WHYS,
    changed_since,
    customer_field,
    line_of_time,
    number_field,
    open_tickets,
)
from ctid.web.forms import Fields
from ctid.web.identity import OwnForm, SignedIn, actor, signed_in
from ctid.web.roles import May, may
from ctid.web.room import room
from ctid.web.shown import page

_EMAIL_LONGEST = 200

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])


@router.get("/contacts/new")
async def ask_new(request: Request, customer_id: Text = "", number: Text = "") -> Response:
    """An empty form, for somebody at that customer's or with that number."""
    fields = Fields.showing({"customer_id": plain(customer_id), "number": plain(number)}, room(request).zone)
    return await _form(request, fields, None)


@router.post("/contacts/new")
async def add(request: Request, user: SignedIn, form: OwnForm) -> Response:
    fields = Fields(form, room(request).zone)
    draft, number = _draft(user, fields, None), number_field(request, fields)
    if draft is None or not fields.fine:
        return await _form(request, fields, None, status=422)
    numbers = [] if number is None else [number]
    try:
        made = await room(request).contacts.add(draft, numbers, actor(request, user), anyway=fields.ticked("anyway"))
    except LooksAlike as alike:
        return await _form(request, fields, None, matches=alike.matches, status=409)
    except NoSuchFile:
        fields.refuse("customer", _("There is no such customer."))
        return await _form(request, fields, None, status=422)
    return RedirectResponse(path_of("contacts", made.id), 303)


async def contact_file(request: Request, contact_id: str) -> ContactFile:
    """The contact of the address; 404 where there is none."""
    none = _("There is no such contact.")
    try:
        return await room(request).contacts.one(known(contact_id, none))
    except NoSuchFile:
        raise HTTPException(404, none) from None


OfAddress = Annotated[ContactFile, Depends(contact_file)]


@router.get("/contacts/{contact_id}")
async def one(request: Request, file: OfAddress, what: Text = "", after: Text = "") -> Response:
    """A person's file; one that was merged leads to the one that took it up."""
    if file.merged_into is not None:
        return RedirectResponse(path_of("contacts", file.merged_into), 303)
    return await _shown(request, file, what=what, after=after)


@router.get("/contacts/{contact_id}/edit")
async def ask_change(request: Request, file: OfAddress) -> Response:
    if file.merged_into is not None:
        return RedirectResponse(path_of("contacts", file.merged_into, "edit"), 303)
    return await _form(request, Fields.showing(_values(file), room(request).zone), file)


@router.post("/contacts/{contact_id}/edit")
async def change(request: Request, user: SignedIn, file: OfAddress, form: OwnForm) -> Response:
    of = room(request)
    fields = Fields(form, of.zone)
    draft, version = _draft(user, fields, file), fields.version()
    if draft is None or version is None:
        return await _form(request, fields, file, status=422)
    try:
        await of.contacts.change(file.id, version, draft, actor(request, user), anyway=fields.ticked("anyway"))
    except StaleFile:
        if file.merged_into is not None:
            return RedirectResponse(path_of("contacts", file.merged_into), 303)
        now = await contact_file(request, file.id)
        return await _form(request, fields, now, stale=changed_since(fields, _values(now), _LABELS), status=409)
    except LooksAlike as alike:
        return await _form(request, fields, file, matches=alike.matches, status=409)
    except NoSuchFile:
        fields.refuse("customer", _("There is no such customer."))
        return await _form(request, fields, file, status=422)
    except CallUnderHold:
        said = _(
            "Calls of theirs are under legal hold by the customer they are at now. If the person has moved, say so by"
            " “Has moved”; a mistake can be mended once a supervisor has lifted the hold."
        )
        fields.refuse("customer", said)
        return await _form(request, fields, file, status=409)
    return RedirectResponse(path_of("contacts", file.id), 303)


# -- numbers


@router.post("/contacts/{contact_id}/numbers")
async def number(request: Request, user: SignedIn, file: OfAddress, form: OwnForm) -> Response:
    """Add a number (``number``), take one away (``remove``), or put one first (``first``)."""
    contacts, by = room(request).contacts, actor(request, user)
    fields = Fields(form, room(request).zone, name="numbers")
    removed, first = fields.key("remove"), fields.key("first")
    if removed is not None:
        await contacts.remove_number(file.id, removed, by)
    elif first is not None:
        await contacts.put_first(file.id, first, by)
    else:
        added = number_field(request, fields, required=True)
        if added is None:
            return await _shown(request, file, numbers=fields, status=422)
        try:
            await contacts.add_number(file.id, added, by)
        except TooManyNumbers:
            fields.refuse("number", _("This contact has as many numbers as one can have; take one away first."))
            return await _shown(request, file, numbers=fields, status=422)
    return RedirectResponse(f"{path_of('contacts', file.merged_into or file.id)}#numbers", 303)


# -- moving


@router.get("/contacts/{contact_id}/move")
async def ask_move(request: Request, file: OfAddress) -> Response:
    if file.merged_into is not None:
        return RedirectResponse(path_of("contacts", file.merged_into, "move"), 303)
    today = room(request).today().isoformat()
    return _move_form(request, Fields.showing({"left": today}, room(request).zone), file)


@router.post("/contacts/{contact_id}/move")
async def move(request: Request, user: SignedIn, file: OfAddress, form: OwnForm) -> Response:
    """They left, and where they are now; an employer that was no customer becomes a lead."""
    of = room(request)
    fields = Fields(form, of.zone)
    left_at = _day(request, fields)
    customer = customer_field(fields, kind=LEAD)
    department, title, notes = fields.text("department"), fields.text("title"), fields.lines("notes")
    version = fields.version()
    if left_at is None or version is None or not fields.fine:
        return _move_form(request, fields, file, status=422)
    told = Move(left_at=left_at, customer=customer, department=department, title=title, notes=notes)
    try:
        await of.contacts.move(file.id, version, told, actor(request, user), anyway=fields.ticked("anyway"))
    except StaleFile:
        if file.merged_into is not None:
            return RedirectResponse(path_of("contacts", file.merged_into), 303)
        return _move_form(request, fields, await contact_file(request, file.id), stale=True, status=409)
    except LooksAlike as alike:
        return _move_form(request, fields, file, matches=alike.matches, status=409)
    except NoSuchFile:
        fields.refuse("customer", _("There is no such customer."))
        return _move_form(request, fields, file, status=422)
    except NothingToLeave:
        fields.refuse("left", _("This is before the present post began."))
        return _move_form(request, fields, file, status=422)
    return RedirectResponse(path_of("contacts", file.id), 303)


def _day(request: Request, fields: Fields) -> float | None:
    """The begin of a day that is not to come, as Unix seconds."""
    said = fields.text("left", required=True)
    if said is None:
        return None
    try:
        day = datetime.strptime(said, "%Y-%m-%d").replace(tzinfo=room(request).zone)
    except ValueError:
        fields.refuse("left", _("Write the day as 2026-01-31."))
        return None
    if not day.year >= 1971 or day.timestamp() > time.time():
        fields.refuse("left", _("Write a day that has been."))
        return None
    return day.timestamp()


async def _shown(
    request: Request,
    file: ContactFile,
    *,
    numbers: Fields | None = None,
    status: int = 200,
    what: str = "",
    after: str = "",
) -> Response:
    of = room(request)
    return page(
        request,
        "contact.html",
        status=status,
        contact=file,
        numbers=numbers or Fields({}, of.zone, name="numbers"),
        names=await of.names(),
        tickets=await open_tickets(of, contact_id=file.id),
        **await line_of_time(request, FileKind.CONTACT, file.id, what, after),
    )


async def _form(
    request: Request,
    fields: Fields,
    file: ContactFile | None,
    *,
    matches: tuple[Match, ...] = (),
    stale: list[tuple[str, str]] | None = None,
    status: int = 200,
) -> Response:
    return page(
        request,
        "contact_form.html",
        status=status,
        fields=fields,
        contact=file,
        chosen=await _chosen(request, fields),
        matches=matches,
        whys=WHYS,
        stale=stale,
    )


def _move_form(
    request: Request,
    fields: Fields,
    file: ContactFile,
    *,
    matches: tuple[Match, ...] = (),
    stale: bool = False,
    status: int = 200,
) -> Response:
    return page(
        request,
        "move.html",
        status=status,
        fields=fields,
        contact=file,
        matches=matches,
        whys=WHYS,
        stale=stale,
        today=room(request).today().isoformat(),
    )


async def _chosen(request: Request, fields: Fields) -> tuple[str, str] | None:
    """The customer a form has chosen, with their name."""
    key = fields.typed.get("customer_id", "")
    if not key or not key.isprintable() or len(key) > 200:
        return None
    try:
        found = await room(request).customers.one(key)
    except NoSuchFile:
        return None
    return found.id, found.name


def _draft(user: User, fields: Fields, file: ContactFile | None) -> ContactDraft | None:
    """What the form says, or ``None`` where a field will not do. 403 for a level from who may not set it."""
    if "level" in fields.typed and not may(user, May.SET_LEVELS):
        raise HTTPException(403, _("Only supervisors set levels."))
    name = fields.text("name", required=True)
    customer = customer_field(fields)
    department, title = fields.text("department"), fields.text("title")
    level = fields.whole("level", least=1, most=5) if "level" in fields.typed else file.level if file else None
    email, notes = fields.text("email", most=_EMAIL_LONGEST), fields.lines("notes", most=NOTES)
    if email is not None and (email.count("@") != 1 or " " in email or email[0] == "@" or email[-1] == "@"):
        fields.refuse("email", _("That is no e-mail address."))
    if name is None or not fields.fine:
        return None
    return ContactDraft(
        name=name, customer=customer, department=department, title=title, level=level, email=email, notes=notes
    )


_LABELS = {
    "name": say_later("Name"),
    "customer_id": say_later("Customer"),
    "department": say_later("Department"),
    "title": say_later("Title"),
    "level": say_later("Level"),
    "email": say_later("E-mail"),
    "notes": say_later("Notes"),
}


def _values(file: ContactFile) -> dict[str, str | float | None]:
    """What the form shows of a file."""
    return {
        "name": file.name,
        "customer_id": file.customer_id,
        "department": file.department,
        "title": file.title,
        "level": file.level,
        "email": file.email,
        "notes": file.notes,
    }
