"""Customers and leads: the list, a customer's file, and its forms.

Law: a form carries the version it was made on; what was typed is never lost, whether a field will not do, somebody else was
faster, or the name looks like another's. Levels decide who is served first, and are for supervisors to set.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ctid.db.books import Mark
from ctid.db.customers import (
    CUSTOMER,
    LEAD,
    LEVELS,
    Customer,
    CustomerDraft,
    CustomerRow,
    NoSuchTicketHere,
    Place,
    VisitDraft,
)
from ctid.db.files import FileKind, LooksAlike, Match, NoSuchFile, StaleFile
from ctid.db.users import User
from ctid.languages import _, say_later
from ctid.web import cursors
from ctid.web.addresses import ROWS, Text, address, known, path_of
from ctid.web.cursors import BadCursor
from ctid.web.files import NOTES, WHYS, changed_since, line_of_time, open_tickets
from ctid.web.forms import Fields, local_moment
from ctid.web.identity import OwnForm, SignedIn, actor, signed_in
from ctid.web.roles import May, may
from ctid.web.room import room
from ctid.web.shown import page

KINDS = (CUSTOMER, LEAD)
VISITS = ("on_site", "installed")

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])


@router.get("/customers")
async def listed(request: Request, kind: Text = "", after: Text = "") -> Response:
    """Customers, or leads, by level and name."""
    wanted = kind if kind in KINDS else CUSTOMER
    rows = await room(request).customers.listed(kind=wanted, limit=ROWS + 1, after=_place(after) if after else None)
    shown = rows[:ROWS]
    chosen = {} if wanted == CUSTOMER else {"kind": wanted}
    more = address("/customers", chosen | {"after": _written(shown[-1])}) if len(rows) > ROWS else None
    first = address("/customers", chosen) if after else None
    return page(request, "customers.html", customers=shown, wanted=wanted, first=first, older=more)


@router.get("/customers/new")
async def ask_new(request: Request, kind: Text = "") -> Response:
    """An empty form."""
    fields = Fields.showing({"kind": kind if kind in KINDS else CUSTOMER, "level": 1}, room(request).zone)
    return _form(request, fields, None)


@router.post("/customers/new")
async def add(request: Request, user: SignedIn, form: OwnForm) -> Response:
    of = room(request)
    fields = Fields(form, of.zone)
    draft = _draft(user, fields)
    if draft is None:
        return _form(request, fields, None, status=422)
    try:
        made = await of.customers.add(draft, actor(request, user), anyway=fields.ticked("anyway"))
    except LooksAlike as alike:
        return _form(request, fields, None, matches=alike.matches, status=409)
    return RedirectResponse(path_of("customers", made.id), 303)


async def customer_file(request: Request, customer_id: str) -> Customer:
    """The customer of the address; 404 where there is none."""
    none = _("There is no such customer.")
    try:
        return await room(request).customers.one(known(customer_id, none))
    except NoSuchFile:
        raise HTTPException(404, none) from None


OfAddress = Annotated[Customer, Depends(customer_file)]


@router.get("/customers/{customer_id}")
async def one(request: Request, file: OfAddress, what: Text = "", after: Text = "") -> Response:
    """A customer's file; one that was merged leads to the one that took it up."""
    if file.merged_into is not None:
        return RedirectResponse(path_of("customers", file.merged_into), 303)
    return await _shown(request, file, what=what, after=after)


@router.get("/customers/{customer_id}/edit")
async def ask_change(request: Request, file: OfAddress) -> Response:
    if file.merged_into is not None:
        return RedirectResponse(path_of("customers", file.merged_into, "edit"), 303)
    return _form(request, Fields.showing(_values(file), room(request).zone), file)


@router.post("/customers/{customer_id}/edit")
async def change(request: Request, user: SignedIn, file: OfAddress, form: OwnForm) -> Response:
    of = room(request)
    fields = Fields(form, of.zone)
    draft, version = _draft(user, fields), fields.version()
    if draft is None or version is None:
        return _form(request, fields, file, status=422)
    try:
        await of.customers.change(file.id, version, draft, actor(request, user), anyway=fields.ticked("anyway"))
    except StaleFile:
        if file.merged_into is not None:
            return RedirectResponse(path_of("customers", file.merged_into), 303)
        now = await customer_file(request, file.id)
        return _form(request, fields, now, stale=changed_since(fields, _values(now), _LABELS), status=409)
    except LooksAlike as alike:
        return _form(request, fields, file, matches=alike.matches, status=409)
    return RedirectResponse(path_of("customers", file.id), 303)


@router.post("/customers/{customer_id}/won")
async def won(request: Request, user: SignedIn, file: OfAddress, form: OwnForm) -> Response:  # noqa: ARG001 - checked
    """A lead has become a customer."""
    if file.kind == LEAD and file.merged_into is None:
        draft = replace(_as_draft(file), kind=CUSTOMER)
        try:
            await room(request).customers.change(file.id, file.version, draft, actor(request, user), anyway=True)
        except StaleFile:
            raise HTTPException(409, _("Somebody else has just changed this file. Look at it again.")) from None
    return RedirectResponse(path_of("customers", file.merged_into or file.id), 303)


@router.post("/customers/{customer_id}/visits")
async def add_visit(request: Request, user: SignedIn, file: OfAddress, form: OwnForm) -> Response:
    """Write down that somebody of ours was there."""
    of = room(request)
    fields = Fields(form, of.zone, name="visit")
    kind = fields.choice("kind", VISITS, required=True)
    at = fields.moment("at", required=True)
    names = await of.colleagues()
    agent, person = fields.choice("agent", names), fields.text("person")
    if agent is None and person is None and "agent" not in fields.faults:
        fields.refuse("agent", _("Choose the agent, or write who it was."))
    ticket_id, notes = fields.key("ticket_id"), fields.lines("notes")
    if kind is not None and at is not None and fields.fine:
        draft = VisitDraft(kind=kind, at=at, agent=agent, person=person, ticket_id=ticket_id, notes=notes)
        try:
            await of.customers.add_visit(file.id, draft, actor(request, user))
            return RedirectResponse(f"{path_of('customers', file.merged_into or file.id)}#visits", 303)
        except NoSuchTicketHere:
            fields.refuse("ticket_id", _("This customer has no such ticket."))
    return await _shown(request, file, visit=fields, status=422)


async def _shown(
    request: Request, file: Customer, *, visit: Fields | None = None, status: int = 200, what: str = "", after: str = ""
) -> Response:
    of = room(request)
    at = local_moment(time.time(), of.zone)
    return page(
        request,
        "customer.html",
        status=status,
        customer=file,
        hold=(await of.holds.of(file.id)).hold,
        people=await of.contacts.at(file.id),
        former=await of.contacts.formerly_at(file.id),
        came=(await of.customers.came([file.id])).get(file.id) if file.kind == LEAD else None,
        visits=await of.customers.visits(file.id),
        visit=visit or Fields.showing({"kind": "on_site", "at": at}, of.zone, name="visit"),
        visit_kinds=VISITS,
        names=await of.names(),
        colleagues=await of.colleagues(),
        tickets=await open_tickets(of, customer_id=file.id),
        **await line_of_time(request, FileKind.CUSTOMER, file.id, what, after),
    )


def _form(
    request: Request,
    fields: Fields,
    file: Customer | None,
    *,
    matches: tuple[Match, ...] = (),
    stale: list[tuple[str, str]] | None = None,
    status: int = 200,
) -> Response:
    return page(
        request,
        "customer_form.html",
        status=status,
        fields=fields,
        customer=file,
        matches=matches,
        whys=WHYS,
        stale=stale,
        kinds=KINDS,
    )


def _draft(user: User, fields: Fields) -> CustomerDraft | None:
    """What the form says, or ``None`` where a field will not do. 403 for a level from who may not set it."""
    if "level" in fields.typed and not may(user, May.SET_LEVELS):
        raise HTTPException(403, _("Only supervisors set levels."))
    name = fields.text("name", required=True)
    kind = fields.choice("kind", KINDS, required=True)
    level = fields.whole("level", least=1, most=5, required="level" in fields.typed and may(user, May.SET_LEVELS))
    where, notes = fields.lines("address", most=500), fields.lines("notes", most=NOTES)
    if name is None or kind is None or not fields.fine:
        return None
    return CustomerDraft(name=name, kind=kind, level=level, address=where, notes=notes)


_LABELS = {
    "name": say_later("Name"),
    "kind": say_later("Kind"),
    "level": say_later("Level"),
    "address": say_later("Address"),
    "notes": say_later("Notes"),
}


def _values(file: Customer) -> dict[str, str | float | None]:
    """What the form shows of a file."""
    return {
        "name": file.name,
        "kind": file.kind,
        "level": file.level,
        "address": file.address,
        "notes": file.notes,
    }


def _as_draft(file: Customer) -> CustomerDraft:
    return CustomerDraft(name=file.name, kind=file.kind, level=file.level, address=file.address, notes=file.notes)


def _written(row: CustomerRow) -> str:
    return cursors.write(Mark(at=float(row.level), id=f"{row.name_key} {row.id}"))


def _place(text: str) -> Place:
    mark = cursors.read(text)
    name_key, _space, key = mark.id.partition(" ")
    if not key or mark.at not in LEVELS:
        raise BadCursor
    return Place(level=int(mark.at), name_key=name_key, id=key)
