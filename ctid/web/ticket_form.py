"""The ticket as the desktop writes it: one compact form beside the caller, saved whole by one key.

Law: one save is one transaction: what was asked, what was done (an attempt, linked to the call), the promise, the status. The
answer is the form again, saved or with a message beside each field; nothing typed is lost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ctid.db.ticket_writing import Stale
from ctid.db.tickets import NoSuchTicket
from ctid.db.users import User
from ctid.desk.changes import Change, GoOn, Promise, Refusal, Resolve, Try, Wait, Write, why_not
from ctid.desk.promises import quick
from ctid.desk.ticket import Actor, Status, TicketRecord, Written
from ctid.domain.types import CallId
from ctid.languages import _
from ctid.web.addresses import Text, known
from ctid.web.forms import Fields, options
from ctid.web.identity import OwnForm, SignedIn, signed_in
from ctid.web.room import Room, room
from ctid.web.shown import may_see_all, page
from ctid.web.texts import word
from ctid.web.ticket_words import clock_of, cut_names, meanwhile, quick_name, refused, what_is_next

REASON = 500
ONLY = ("asked", "category", "next_step", "severity")
OTHER = "other"
#: Where a refusal belongs, on any form of a ticket; the others stand above it.
BESIDE = {
    Refusal.NO_REASON: "reason",
    Refusal.SAME_AGENT: "to",
    Refusal.NO_SUCH_AGENT: "to",
    Refusal.PROMISED_PAST: "at",
    Refusal.PROMISED_FAR: "at",
    Refusal.NO_SUCH_CONTACT: "contact_id",
    Refusal.NO_SUCH_CUSTOMER: "customer_id",
}
_MOVES: dict[str, type[Wait | GoOn | Resolve]] = {"pending": Wait, "open": GoOn, "resolved": Resolve}

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])


def actor(user: User) -> Actor:
    """The user as the desk's rules see them."""
    return Actor(agent=user.agent_id, user_name=user.name, supervisor=may_see_all(user))


def refuse(fields: Fields, refusal: Refusal) -> str | None:
    """Put the refusal beside the field it is about; where the form has none, the sentence that stands above it."""
    beside = BESIDE.get(refusal, "")
    if beside not in fields.typed:
        return refused(refusal)
    fields.refuse(beside, refused(refusal))
    return None


async def put_together(
    of: Room, fields: Fields, stale: Stale, names: Sequence[str], now: float
) -> tuple[str, list[str]]:
    """Fill the fields of these names with what stands there now; what is said above the form, and what others did."""
    for name in names:
        value = getattr(stale.written, name)
        fields.typed[name] = "" if value is None else str(value)
    fields.typed["version"] = str(stale.ticket.version)
    said = _("Somebody else has changed this ticket. Nothing is saved yet; save again to keep what stands here.")
    return said, await others_did(of, stale, now)


async def others_did(of: Room, stale: Stale, now: float) -> list[str]:
    """A line for each thing that others did since the form was made."""
    return meanwhile(stale.steps, cut_names(await of.names()), clock_of(now, of.zone))


@router.get("/tickets/{ticket_id}/write")
async def show(request: Request, user: SignedIn, ticket_id: str, call: Text = "") -> Response:
    """The form as a fragment; ``call`` is the call whose attempt will be written, ``PBX/CALL`` or the call alone."""
    of = room(request)
    ticket = await _ticket(of, ticket_id)
    return await _form(request, user, ticket, _filled(ticket, of, call))


@router.post("/tickets/{ticket_id}/write")
async def write(request: Request, user: SignedIn, form: OwnForm, ticket_id: str) -> Response:
    """Save all of it, or none."""
    of, now = room(request), time.time()
    ticket = await _ticket(of, ticket_id)
    fields = Fields(form, of.zone, name="ticket")
    version = fields.version()
    changes = _changes(fields, ticket, of, now)
    if not fields.fine or version is None:
        return await _form(request, user, ticket, fields, status=422)
    done = await of.ticket_desk.change(ticket.id, changes, by=actor(user), at=now, version=version)
    if isinstance(done, Refusal):
        return await _form(request, user, ticket, fields, status=422, said=refuse(fields, done))
    if isinstance(done, Stale):
        said, lines = await put_together(of, fields, done, ONLY, now)
        return await _form(request, user, done.ticket, fields, status=409, said=said, lines=lines)
    filled = _filled(done, of, fields.typed.get("call", ""))
    return await _form(request, user, done, filled, saved_at=now, attempt=any(isinstance(one, Try) for one in changes))


def _changes(fields: Fields, ticket: TicketRecord, of: Room, now: float) -> list[Change]:
    written = Written(
        subject=ticket.subject,
        category=fields.choice(
            "category", [one for one, _said in options(of.settings.desk.categories, ticket.category)]
        ),
        severity=fields.whole("severity", least=1, most=5, required=True) or ticket.severity,
        asked=fields.lines("asked"),
        next_step=fields.text("next_step", most=REASON),
        department=ticket.department,
        customer_id=ticket.customer_id,
        contact_id=ticket.contact_id,
    )
    changes: list[Change] = [Write(written=written, only=ONLY)]
    done, result = fields.lines("done"), fields.text("result", most=REASON)
    if done is not None:
        pbx, call_id = _call(fields, of)
        changes.append(Try(what=done, result=result, pbx=pbx, call_id=call_id))
    elif result is not None:
        fields.refuse("done", _("Say what was done to come to that result."))
    promised = _promised(fields, of, now)
    if promised is not None:
        changes.append(Promise(at=promised, reason=fields.text("reason", most=REASON)))
    move = fields.choice("status", tuple(_MOVES))
    if move is not None:
        changes.append(_MOVES[move]())
    return changes


def _promised(fields: Fields, of: Room, now: float) -> float | None:
    choice = fields.typed.get("promise", "")
    offered = dict(quick(now, of.zone))
    if choice == OTHER or (not choice and fields.typed.get("at")):
        return fields.moment("at", required=True)
    if choice and choice not in offered:
        fields.refuse("promise", _("Choose one of those offered."))
    return offered.get(choice)


def _call(fields: Fields, of: Room) -> tuple[str | None, CallId | None]:
    """The call the attempt is made in, by PBX and id; a call without its PBX is of this site's."""
    said = fields.key("call")
    if said is None:
        return None, None
    pbx, mark, call_id = said.partition("/")
    return (pbx, call_id) if mark else (of.settings.ami.pbx, said)


def _filled(ticket: TicketRecord, of: Room, call: str) -> Fields:
    values: dict[str, str | float | None] = {name: getattr(ticket, name) for name in ONLY}
    return Fields.showing({**values, "version": ticket.version, "call": call}, of.zone, name="ticket")


async def _ticket(of: Room, ticket_id: str) -> TicketRecord:
    try:
        return await of.tickets.one(known(ticket_id, _("There is no such ticket.")))
    except NoSuchTicket:
        raise HTTPException(404, _("There is no such ticket.")) from None


async def _form(
    request: Request,
    user: User,
    ticket: TicketRecord,
    fields: Fields,
    *,
    status: int = 200,
    said: str | None = None,
    lines: list[str] | None = None,
    saved_at: float | None = None,
    attempt: bool = False,
) -> Response:
    of, now, by = room(request), time.time(), actor(user)
    story = await of.ticket_desk.story(ticket.id)
    names = cut_names(await of.names())
    return page(
        request,
        "_ticket_form.html",
        status=status,
        ticket=ticket,
        fields=fields,
        said=said,
        lines=lines or [],
        saved_at=saved_at,
        attempt_saved=attempt,
        next=what_is_next(ticket, story.steps, names, now=now, zone=of.zone, clock=clock_of(now, of.zone)),
        attempts=story.attempts[-3:][::-1],
        names=names,
        categories=options(of.settings.desk.categories, ticket.category),
        promises=[(name, quick_name(name)) for name, _at in quick(now, of.zone)],
        moves=[(name, word(name)) for name, move in _MOVES.items() if why_not(move, ticket, by) is None],
        why_not=_why_not(ticket, by),
    )


def _why_not(ticket: TicketRecord, by: Actor) -> str | None:
    refusal = why_not(Write, ticket, by)
    if refusal is Refusal.WRONG_STATUS and ticket.status == Status.CLOSED:
        return _("This ticket is closed. Reopen it on its own page to write on it.")
    return None if refusal is None else refused(refusal)
