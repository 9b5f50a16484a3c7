"""A ticket's page."""

from __future__ import annotations

from itertools import chain

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ctid.db.tickets import NoSuchTicket
from ctid.languages import _
from ctid.web import hearing
from ctid.web.addresses import known
from ctid.web.identity import SignedIn, signed_in
from ctid.web.room import room
from ctid.web.shown import page

LATEST_CALLS = 20

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])


@router.get("/tickets/{ticket_id}")
async def ticket(request: Request, user: SignedIn, ticket_id: str) -> Response:
    """One ticket with its attempts, calls and recordings."""
    of = room(request)
    try:
        story = await of.ticket_desk.story(known(ticket_id, _("There is no such ticket.")))
    except NoSuchTicket:
        raise HTTPException(404, _("There is no such ticket.")) from None
    found = story.ticket
    of_ticket = (await of.calls.load(ticket_id=found.id, limit=LATEST_CALLS))[::-1]
    return page(
        request,
        "ticket.html",
        ticket=found,
        names=await of.names(),
        contact=await of.books.contact(found.contact_id),
        customer=await of.books.customer(found.customer_id),
        attempts=story.attempts,
        calls=of_ticket,
        audible=await hearing.audible(of, user, chain.from_iterable(one.recordings for one in of_ticket)),
    )
