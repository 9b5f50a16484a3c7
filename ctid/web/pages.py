"""The pages: calls, a call's story, callbacks.

Law: each reads, and says 404 for what is not there; nothing is written here but the audit of listening.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ctid import explaining
from ctid.db.books import Mark
from ctid.db.calls import NoSuchCall, SeveralCalls
from ctid.db.reports import bounds
from ctid.domain.types import CallbackState, Outcome
from ctid.languages import _
from ctid.web import cursors, hearing
from ctid.web.addresses import ROWS, Text, a_day, address, known, plain
from ctid.web.identity import SignedIn, signed_in
from ctid.web.roles import May, may
from ctid.web.room import room
from ctid.web.shown import by_htmx, page
from ctid.web.sparing import spare

LIVE = "live"
LISTENS = 20

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])


@router.get("/")
async def calls(
    request: Request,
    *,
    day: Text = "",
    outcome: Text = "",
    agent: Text = "",
    customer: Text = "",
    text: Text = "",
    after: Text = "",
) -> Response:
    """A day's calls, the newest first; to htmx only the table."""
    of = room(request)
    on = a_day(day, of.today())
    since, until = bounds(on, of.zone)
    rows = await of.books.calls(
        since=since.timestamp(),
        until=until.timestamp(),
        limit=ROWS + 1,
        outcome=Outcome(outcome) if outcome in tuple(Outcome) else None,
        live=outcome == LIVE,
        agent=plain(agent) or None,
        customer_id=plain(customer) or None,
        text=plain(text.strip()) or None,
        after=cursors.read(after) if after else None,
    )
    shown = rows[:ROWS]
    filters = {"day": day, "outcome": outcome, "agent": agent, "customer": customer, "text": text}
    chosen = {name: value for name, value in filters.items() if value}
    last = Mark(at=shown[-1].started_at, id=shown[-1].id) if len(rows) > ROWS else None
    return page(
        request,
        "_calls.html" if by_htmx(request) else "calls.html",
        calls=shown,
        on=on,
        is_today=on == of.today(),
        filters=filters,
        customer=await of.books.customer(plain(customer) or None),
        filtered=bool(chosen.keys() - {"day"}),
        outcomes=[LIVE, *Outcome],
        names=await of.names(),
        here=address("/", chosen | ({"after": after} if after else {})),
        first=address("/", chosen) if after else None,
        older=address("/", chosen | {"after": cursors.write(last)}) if last else None,
    )


@router.get("/calls/{call_id}")
@router.get("/calls/{pbx}/{call_id}")
async def call(request: Request, user: SignedIn, call_id: str, pbx: str | None = None) -> Response:
    """A call's whole story; where calls of two PBXes have one id, the choice."""
    of = room(request)
    try:
        found = await of.calls.one(known(call_id if pbx is None else f"{pbx}/{call_id}", _("There is no such call.")))
    except SeveralCalls as several:
        if any(one.id != call_id for one in several.calls):
            raise HTTPException(404, _("There is no such call.")) from None
        return page(request, "several.html", calls=several.calls)
    except NoSuchCall:
        raise HTTPException(404, _("There is no such call.")) from None
    if found.id != call_id:
        raise HTTPException(404, _("There is no such call."))
    names = await of.names()
    return page(
        request,
        "call.html",
        call=found,
        names=names,
        story=explaining.story(found, names),
        passed_over=explaining.passed_over,
        contact=await of.books.contact(found.contact_id),
        customer=await of.books.customer(found.customer_id),
        audible=await hearing.audible(of, user, found.recordings),
        listens=await of.recordings.listens([one.id for one in found.recordings], limit=LISTENS + 1)
        if may(user, May.HEAR_ALL)
        else None,
        listens_shown=LISTENS,
        noted=await of.call_notes.of(found.pbx, found.id),
    )


@router.get("/callbacks")
async def callbacks(request: Request, state: Text = "", text: Text = "", after: Text = "") -> Response:
    """Who asked to be called back, the newest first; to htmx only the table."""
    wanted = CallbackState(state) if state in tuple(CallbackState) else None
    looked_for = plain(text.strip())
    rows = await room(request).books.callbacks(
        limit=ROWS + 1, state=wanted, text=looked_for or None, after=cursors.read(after) if after else None
    )
    shown = rows[:ROWS]
    last = Mark(at=shown[-1].asked_at, id=shown[-1].id) if len(rows) > ROWS else None
    chosen = ({"state": wanted.value} if wanted else {}) | ({"text": looked_for} if looked_for else {})
    return page(
        request,
        "_callbacks.html" if by_htmx(request) else "callbacks.html",
        callbacks=shown,
        states=tuple(CallbackState),
        wanted=wanted,
        text=looked_for,
        filtered=bool(chosen),
        here=address("/callbacks", chosen | ({"after": after} if after else {})),
        first=address("/callbacks", chosen) if after else None,
        older=address("/callbacks", chosen | {"after": cursors.write(last)}) if last else None,
    )


@router.api_route("/recordings/{recording_id}/audio", methods=["GET", "HEAD"])
async def recording(request: Request, user: SignedIn, recording_id: str, download: Text = "") -> Response:
    return await hearing.audio(request, user, recording_id, download=bool(download))


@router.get("/recordings/{recording_id}/peaks", dependencies=[Depends(spare)])
async def peaks(request: Request, user: SignedIn, recording_id: str) -> Response:
    return await hearing.waveform(request, user, recording_id)
