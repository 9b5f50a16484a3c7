"""A ticket's page: everything about it, what is next, and what may be done with it; a new one without a call.

Law: each action is one row of a table, carried out by the desk's rules in one transaction. What is refused comes back on the
same page with its reason, what was typed, and what others did meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Final

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ctid.db.ticket_writing import Stale, Story
from ctid.db.tickets import NoSuchTicket
from ctid.db.users import User
from ctid.desk.changes import (
    Change,
    Close,
    Confirm,
    FollowUp,
    GoOn,
    HandOver,
    PassOn,
    Promise,
    Refusal,
    Reopen,
    Resolve,
    Take,
    Try,
    Wait,
    Write,
    why_not,
)
from ctid.desk.promises import due
from ctid.desk.ticket import TicketRecord, Written
from ctid.domain.types import AgentId, CallRecord
from ctid.languages import _
from ctid.web import hearing
from ctid.web.addresses import Text, known, path_of
from ctid.web.forms import Fields, local_moment, options
from ctid.web.identity import OwnForm, SignedIn, signed_in
from ctid.web.room import Room, room
from ctid.web.shown import page
from ctid.web.ticket_form import REASON, actor, others_did, put_together, refuse
from ctid.web.ticket_words import (
    Clock,
    clock_of,
    cut_names,
    field_name,
    refused,
    step_name,
    what_is_next,
    with_since,
)

LATEST_CALLS = 50
#: An attempt written down so soon after a call began was made in it, unless somebody says otherwise.
JUST_NOW = 7200.0

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])

_Reader = Callable[[Fields, Mapping[AgentId, str]], list[Change]]


def _hand_over(fields: Fields, names: Mapping[AgentId, str]) -> list[Change]:
    to, reason = fields.choice("to", names, required=True), fields.text("reason", most=REASON, required=True)
    return [HandOver(to=to, reason=reason)] if to and reason else []


def _pass_on(fields: Fields, names: Mapping[AgentId, str]) -> list[Change]:
    to, reason = fields.choice("to", names, required=True), fields.text("reason", most=REASON, required=True)
    return [PassOn(to=to, reason=reason)] if to and reason else []


def _attempt(fields: Fields, _names: Mapping[AgentId, str]) -> list[Change]:
    what, result, call = fields.lines("what", required=True), fields.text("result", most=REASON), fields.key("call")
    if what is None:
        return []
    pbx, _mark, call_id = (call or "").partition("/")
    return [Try(what=what, result=result, pbx=pbx or None, call_id=call_id or None)]


def _promise(fields: Fields, _names: Mapping[AgentId, str]) -> list[Change]:
    at, reason = fields.moment("at", required=True), fields.text("reason", most=REASON)
    return [Promise(at=at, reason=reason)] if at is not None else []


def _wait(fields: Fields, _names: Mapping[AgentId, str]) -> list[Change]:
    return [Wait(reason=fields.text("reason", most=REASON))]


def _resolve(fields: Fields, names: Mapping[AgentId, str]) -> list[Change]:
    what = fields.lines("what")
    tried: list[Change] = [Try(what=what)] if what else []
    return [*tried, Resolve(by=fields.choice("by", names))]


def _follow_up(fields: Fields, _names: Mapping[AgentId, str]) -> list[Change]:
    return [FollowUp(note=fields.text("note", most=REASON))]


def _confirm(fields: Fields, _names: Mapping[AgentId, str]) -> list[Change]:
    person = fields.text("person", required=True)
    confirmed = Confirm(person=person or "", satisfaction=fields.whole("satisfaction", least=1, most=5))
    return [confirmed, Close()] if fields.ticked("close") else [confirmed]


def _reopen(fields: Fields, _names: Mapping[AgentId, str]) -> list[Change]:
    return [Reopen(reason=fields.text("reason", most=REASON, required=True) or "")]


def _close(fields: Fields, _names: Mapping[AgentId, str]) -> list[Change]:
    return [Close(reason=fields.text("reason", most=REASON))]


#: What may be done, as the address names it and in the order the page offers it.
ACTIONS: Final[Mapping[str, tuple[type[Change], _Reader]]] = {
    "take": (Take, lambda _fields, _names: [Take()]),
    "attempt": (Try, _attempt),
    "promise": (Promise, _promise),
    "pass-on": (PassOn, _pass_on),
    "hand-over": (HandOver, _hand_over),
    "wait": (Wait, _wait),
    "go-on": (GoOn, lambda _fields, _names: [GoOn()]),
    "resolve": (Resolve, _resolve),
    "follow-up": (FollowUp, _follow_up),
    "confirm": (Confirm, _confirm),
    "close": (Close, _close),
    "reopen": (Reopen, _reopen),
}


@router.get("/tickets/new")
async def blank(request: Request, user: SignedIn, contact: Text = "", customer: Text = "") -> Response:
    """The form of a new ticket, for this contact or customer if one is named."""
    of = room(request)
    filled = {"severity": "3", "contact_id": contact, "customer_id": customer}
    return await _edit(request, user, None, Fields.showing(filled, of.zone, name="edit"))


@router.post("/tickets/new")
async def new(request: Request, user: SignedIn, form: OwnForm) -> Response:
    of, now = room(request), time.time()
    fields = Fields(form, of.zone, name="edit")
    written = _written(fields, of, None)
    if not fields.fine:
        return await _edit(request, user, None, fields, status=422)
    made = await of.ticket_desk.open(written, by=actor(user), at=now)
    if isinstance(made, Refusal):
        return await _edit(request, user, None, fields, status=422, said=refuse(fields, made))
    return RedirectResponse(f"/tickets/{made.id}", 303)


@router.get("/tickets/{ticket_id}")
async def ticket(request: Request, user: SignedIn, ticket_id: str) -> Response:
    """One ticket, whole."""
    return await _page(request, user, await _story(room(request), ticket_id))


@router.get("/tickets/{ticket_id}/edit")
async def edit(request: Request, user: SignedIn, ticket_id: str) -> Response:
    of = room(request)
    found = (await _story(of, ticket_id)).ticket
    values = {name: getattr(found.written, name) for name in Written.__slots__}
    return await _edit(request, user, found, Fields.showing({**values, "version": found.version}, of.zone, name="edit"))


@router.post("/tickets/{ticket_id}/edit")
async def rewrite(request: Request, user: SignedIn, form: OwnForm, ticket_id: str) -> Response:
    """Put what was typed on the ticket, together with what others wrote meanwhile."""
    of, now = room(request), time.time()
    found = (await _story(of, ticket_id)).ticket
    fields = Fields(form, of.zone, name="edit")
    version = fields.version()
    written = _written(fields, of, found)
    if not fields.fine or version is None:
        return await _edit(request, user, found, fields, status=422)
    done = await of.ticket_desk.change(found.id, [Write(written=written)], by=actor(user), at=now, version=version)
    if isinstance(done, Refusal):
        return await _edit(request, user, found, fields, status=422, said=refuse(fields, done))
    if isinstance(done, Stale):
        said, lines = await put_together(of, fields, done, Written.__slots__, now)
        return await _edit(request, user, done.ticket, fields, status=409, said=said, lines=lines)
    return RedirectResponse(path_of("tickets", found.id), 303)


@router.post("/tickets/{ticket_id}/{action}")
async def act(request: Request, user: SignedIn, form: OwnForm, ticket_id: str, action: str) -> Response:
    """Carry out one of ``ACTIONS``."""
    of, now = room(request), time.time()
    if action not in ACTIONS:
        raise HTTPException(404, _("There is no such page."))
    story = await _story(of, ticket_id)
    fields = Fields(form, of.zone, name=action)
    version = fields.version()
    changes = ACTIONS[action][1](fields, await of.colleagues())
    if not fields.fine or version is None:
        return await _page(request, user, story, fields, status=422)
    done = await of.ticket_desk.change(story.ticket.id, changes, by=actor(user), at=now, version=version)
    if isinstance(done, Refusal):
        return await _page(request, user, story, fields, status=422, said=refuse(fields, done))
    if isinstance(done, Stale):
        lines = await others_did(of, done, now)
        said = _(
            "Somebody else was faster. Nothing is saved yet; look what changed and send it again if it still holds."
        )
        return await _page(request, user, await _story(of, ticket_id), fields, status=409, said=said, lines=lines)
    return RedirectResponse(path_of("tickets", done.id), 303)


async def _story(of: Room, ticket_id: str) -> Story:
    try:
        return await of.ticket_desk.story(known(ticket_id, _("There is no such ticket.")))
    except NoSuchTicket:
        raise HTTPException(404, _("There is no such ticket.")) from None


def _written(fields: Fields, of: Room, now: TicketRecord | None) -> Written:
    categories = [one for one, _said in options(of.settings.desk.categories, now.category if now else None)]
    return Written(
        subject=fields.text("subject", required=True) or "",
        category=fields.choice("category", categories),
        severity=fields.whole("severity", least=1, most=5, required=True) or 3,
        asked=fields.lines("asked"),
        next_step=fields.text("next_step", most=REASON),
        department=fields.text("department"),
        customer_id=fields.key("customer_id"),
        contact_id=fields.key("contact_id"),
    )


async def _edit(
    request: Request,
    user: User,
    ticket: TicketRecord | None,
    fields: Fields,
    *,
    status: int = 200,
    said: str | None = None,
    lines: list[str] | None = None,
) -> Response:
    of = room(request)
    refusal = why_not(Write, ticket or TicketRecord(id="", subject="", created_at=0), actor(user))
    contact, customer = fields.typed.get("contact_id", "").strip(), fields.typed.get("customer_id", "").strip()
    return page(
        request,
        "ticket_edit.html",
        status=status if refusal is None or status != 200 else 403,
        ticket=ticket,
        fields=fields,
        said=said if refusal is None else refused(refusal),
        lines=lines or [],
        writable=refusal is None,
        contact=await of.books.contact(contact) if contact.isprintable() and contact else None,
        customer=await of.books.customer(customer) if customer.isprintable() and customer else None,
        categories=options(of.settings.desk.categories, ticket.category if ticket else None),
    )


async def _page(
    request: Request,
    user: User,
    story: Story,
    fields: Fields | None = None,
    *,
    status: int = 200,
    said: str | None = None,
    lines: list[str] | None = None,
) -> Response:
    of, now, found, by = room(request), time.time(), story.ticket, actor(user)
    names = cut_names(await of.names())
    linked = (await of.calls.load(ticket_id=found.id, limit=LATEST_CALLS))[::-1]
    tried_in = {(one.pbx, one.call_id) for one in story.attempts if one.pbx and one.call_id}
    calls: dict[tuple[str, str], CallRecord] = {(one.pbx, one.id): one for one in linked}
    elsewhere = await of.calls.some((pbx, key) for pbx, key in tried_in if pbx and key and (pbx, key) not in calls)
    calls |= {(one.pbx, one.id): one for one in elsewhere}
    contact = await of.books.contact(found.contact_id)
    offered = [name for name, (change, _reader) in ACTIONS.items() if why_not(change, found, by) is None]
    if fields is not None and fields.name in ACTIONS and fields.name not in offered:
        offered.append(fields.name)  # what was typed stays, though it can be done no more
    filled = _likely(found, contact.name if contact else None, linked, of)

    def likely(action: str) -> Fields:
        return Fields.showing(filled, of.zone, name=action)

    return page(
        request,
        "ticket.html",
        status=status,
        ticket=found,
        story=story,
        names=names,
        contact=contact,
        customer=await of.books.customer(found.customer_id),
        visits=await of.customers.visits(found.customer_id) if found.customer_id else [],
        calls=linked,
        call_of=calls,
        audible=await hearing.audible(of, user, chain.from_iterable(one.recordings for one in calls.values())),
        next=what_is_next(found, story.steps, names, now=now, zone=of.zone, clock=clock_of(now, of.zone)),
        due=due(found, now, of.zone),
        since=with_since(found, story.steps),
        offered=offered,
        writable=why_not(Write, found, by) is None,
        fields={name: fields if fields is not None and fields.name == name else likely(name) for name in offered},
        refused=fields,
        said=said,
        lines=lines or [],
        agents=_agents(cut_names(await of.colleagues())),
        step_name=step_name,
        field_name=field_name,
        shown=_shown(names, clock_of(now, of.zone)),
        call_choices=[(f"{one.pbx}/{one.id}", clock_of(now, of.zone)(one.started_at)) for one in linked],
    )


def _likely(
    ticket: TicketRecord, person: str | None, calls: list[CallRecord], of: Room
) -> dict[str, str | float | None]:
    """What an action's form is filled with."""
    return {
        "at": local_moment(ticket.promised_at, of.zone),
        "person": person,
        "by": ticket.turn,
        "close": "1",
        "call": f"{calls[0].pbx}/{calls[0].id}" if calls and time.time() - calls[0].started_at < JUST_NOW else None,
    }


def _agents(names: Mapping[AgentId, str]) -> list[tuple[str, str]]:
    return sorted(names.items(), key=lambda one: (one[1].casefold(), one[0]))


def _shown(names: Mapping[AgentId, str], clock: Clock) -> Callable[[str, object], str]:
    """How a value of a field is said in the history."""

    def said(name: str, value: object) -> str:
        if value is None or value == "":
            return _("nothing")
        if name.endswith("_at") and isinstance(value, int | float):
            return clock(value)
        if name in ("owner", "with_agent", "resolved_by", "followed_up_by"):
            return names.get(str(value), str(value))
        return str(value)

    return said
