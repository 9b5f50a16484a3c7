"""The list of tickets."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from ctid.db.books import Mark
from ctid.web import cursors
from ctid.web.addresses import ROWS, Text, address
from ctid.web.identity import signed_in
from ctid.web.room import room
from ctid.web.shown import page

TICKET_STATES = ("open", "pending", "resolved", "closed")

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])


@router.get("/tickets")
async def tickets(request: Request, status: Text = "", after: Text = "") -> Response:
    """Tickets, the newest first."""
    wanted = status if status in TICKET_STATES else None
    rows = await room(request).books.tickets(
        limit=ROWS + 1, status=wanted, after=cursors.read(after) if after else None
    )
    shown = rows[:ROWS]
    last = Mark(at=shown[-1].created_at, id=shown[-1].id) if len(rows) > ROWS else None
    chosen = {"status": wanted} if wanted else {}
    return page(
        request,
        "tickets.html",
        tickets=shown,
        states=TICKET_STATES,
        wanted=wanted,
        first=address("/tickets", chosen) if after else None,
        older=address("/tickets", chosen | {"after": cursors.write(last)}) if last else None,
    )
