"""What the agent says a call was, after it: a small form for the desktop and the call's page.

Law: for the agents the call rang, and supervisors. Written as often as they like; nothing typed is lost.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ctid.db.call_notes import CallNote
from ctid.db.calls import NoSuchCall, SeveralCalls
from ctid.db.users import User
from ctid.languages import _
from ctid.web.addresses import known
from ctid.web.forms import LINES, Fields, options
from ctid.web.identity import OwnForm, SignedIn, actor, signed_in
from ctid.web.room import Room, room
from ctid.web.shown import may_see_all, page

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])


async def may_note(of: Room, user: User, pbx: str, call_id: str) -> bool:
    """Whether the user says what this call was."""
    if may_see_all(user):
        return True
    return user.agent_id is not None and user.agent_id in await of.call_notes.rung(pbx, call_id)


@router.get("/calls/{pbx}/{call_id}/disposition")
async def ask(request: Request, user: SignedIn, pbx: str, call_id: str) -> Response:
    """The form as a fragment; nothing yet (204) of a call on the user's screen that the books do not have so far."""
    of = room(request)
    try:
        await _allowed(of, user, pbx, call_id)
    except HTTPException:
        if pbx == of.settings.ami.pbx and user.agent_id is not None and of.board.showed(user.agent_id, call_id):
            return Response(status_code=204)
        raise
    return page(request, "_disposition.html", **await asked(of, pbx, call_id))


async def asked(of: Room, pbx: str, call_id: str) -> dict[str, Any]:
    """What the form shows: what was noted so far, and what can be chosen."""
    noted = await of.call_notes.of(pbx, call_id)
    filled = {"disposition": noted.disposition if noted else None, "notes": noted.notes if noted else None}
    return _shown(of, pbx, call_id, Fields.showing(filled, of.zone, name="disposition"), noted)


@router.post("/calls/{pbx}/{call_id}/disposition")
async def write(request: Request, user: SignedIn, form: OwnForm, pbx: str, call_id: str) -> Response:
    """Keep it; the form again, saved or with what is wrong."""
    of = room(request)
    await _allowed(of, user, pbx, call_id)
    noted = await of.call_notes.of(pbx, call_id)
    fields = Fields(form, of.zone, name="disposition")
    offered = [one for one, _said in options(of.settings.desk.dispositions, noted.disposition if noted else None)]
    disposition = fields.choice("disposition", offered, required=True)
    notes = fields.lines("notes", most=LINES)
    if not fields.fine:
        return _form(request, pbx, call_id, fields, noted, status=422)
    by = actor(request, user)
    await of.call_notes.put(pbx, call_id, disposition, notes, by)
    return _form(request, pbx, call_id, fields, noted, saved_at=by.at)


async def _allowed(of: Room, user: User, pbx: str, call_id: str) -> None:
    no_such = _("There is no such call.")
    try:
        found = await of.calls.one(known(f"{pbx}/{call_id}", no_such))
    except (NoSuchCall, SeveralCalls):
        raise HTTPException(404, no_such) from None
    if found.id != call_id:  # the beginning of another's
        raise HTTPException(404, no_such)
    if not await may_note(of, user, pbx, call_id):
        raise HTTPException(403, _("That is for the agents this call rang."))


def _form(
    request: Request,
    pbx: str,
    call_id: str,
    fields: Fields,
    noted: CallNote | None,
    *,
    status: int = 200,
    saved_at: float | None = None,
) -> Response:
    values = _shown(room(request), pbx, call_id, fields, noted, saved_at=saved_at)
    return page(request, "_disposition.html", status=status, **values)


def _shown(
    of: Room, pbx: str, call_id: str, fields: Fields, noted: CallNote | None, *, saved_at: float | None = None
) -> dict[str, Any]:
    return {
        "pbx": pbx,
        "call_id": call_id,
        "fields": fields,
        "dispositions": options(of.settings.desk.dispositions, noted.disposition if noted else None),
        "saved_at": saved_at,
    }
