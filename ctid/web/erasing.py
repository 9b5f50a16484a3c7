"""The erasure of a person, for administrators: what would go, the wish itself, and the reports of what went.

Law: nothing is erased before the page that counts it was seen and its box ticked. The web only asks; the daemon carries it out,
for it alone may delete recordings.
"""

from __future__ import annotations

import time

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from ctid.calljson import iso
from ctid.db.contacts import ContactFile
from ctid.db.erasure import Erasure, ErasureRefused, FilesLeft, Stage, UnderHold, Withdrawn
from ctid.db.files import NoSuchFile
from ctid.languages import _
from ctid.web.addresses import path_of
from ctid.web.contacts import OfAddress
from ctid.web.forms import Fields
from ctid.web.identity import OwnForm, SignedIn, actor, allowed
from ctid.web.roles import May
from ctid.web.room import room
from ctid.web.shown import page

_LARGEST = 10**9

router = APIRouter(include_in_schema=False, dependencies=[Depends(allowed(May.ERASE))])


@router.get("/contacts/{contact_id}/erase")
async def ask(request: Request, file: OfAddress) -> Response:
    """What would be erased."""
    if file.merged_into is not None:
        return RedirectResponse(path_of("contacts", file.merged_into, "erase"), 303)
    return await _asked(request, file)


@router.post("/contacts/{contact_id}/erase")
async def erase(request: Request, user: SignedIn, file: OfAddress, form: OwnForm) -> Response:
    """Have the person erased."""
    fields = Fields(form, room(request).zone)
    if not fields.ticked("sure"):
        fields.refuse("sure", _("Tick the box to confirm."))
        return await _asked(request, file, fields=fields, status=422)
    try:
        begun = await room(request).erasures.ask(file.id, actor(request, user))
    except ErasureRefused:
        return await _asked(request, file, status=409)
    return RedirectResponse(path_of("erasures", str(begun.id)), 303)


@router.get("/erasures")
async def listed(request: Request) -> Response:
    """The erasures there were, the newest first."""
    return page(request, "erasures.html", erasures=await room(request).erasures.all())


@router.get("/erasures/{number}")
async def one(request: Request, number: str) -> Response:
    """One, with its report; or why it waits."""
    of, erasure = room(request), await _found(request, number)
    why = None
    if erasure.stage is Stage.ASKED:
        try:
            await of.erasures.preview(erasure.contact_id, time.time())
        except ErasureRefused as refused:
            why = _why(refused)
        except NoSuchFile:  # another erasure took the file along: the next round ends this one
            pass
    return page(request, "erasure.html", erasure=erasure, why=why)


@router.post("/erasures/{number}/withdraw")
async def withdraw(request: Request, user: SignedIn, number: str, _form: OwnForm) -> Response:
    """Take back the wish for one that still waits."""
    erasure = await _found(request, number)
    try:
        await room(request).erasures.withdraw(erasure.id, actor(request, user))
    except Withdrawn:
        raise HTTPException(409, _("This erasure cannot be withdrawn any more.")) from None
    return RedirectResponse(path_of("contacts", erasure.contact_id), 303)


@router.get("/erasures/{number}/report")
async def report(request: Request, number: str) -> Response:
    """Its report as JSON."""
    erasure = await _found(request, number)
    return JSONResponse(
        {
            "id": erasure.id,
            "contact_id": erasure.contact_id,
            "asked_at": iso(erasure.asked_at),
            "asked_by": erasure.asked_by,
            "stage": erasure.stage.value,
            "done_at": iso(erasure.done_at),
            "report": erasure.report,
        },
        headers={"content-disposition": f'attachment; filename="erasure-{erasure.id}.json"'},
    )


async def _found(request: Request, number: str) -> Erasure:
    fit = number.isascii() and number.isdigit() and int(number[:12]) < _LARGEST
    erasure = await room(request).erasures.one(int(number)) if fit else None
    if erasure is None:
        raise HTTPException(404, _("There is no such erasure."))
    return erasure


async def _asked(request: Request, file: ContactFile, *, fields: Fields | None = None, status: int = 200) -> Response:
    of = room(request)
    counts, why = None, None
    try:
        counts = await of.erasures.preview(file.id, time.time())
    except ErasureRefused as refused:
        why = _why(refused)
    return page(
        request,
        "erase.html",
        status=status,
        contact=file,
        counts=counts,
        why=why,
        fields=fields or Fields({}, of.zone),
    )


def _why(refused: ErasureRefused) -> str:
    """Why not now, in the reader's language."""
    match refused:
        case UnderHold(customer=None):
            return _("Recordings of theirs are under legal hold by a ticket of another customer, until it is lifted.")
        case UnderHold():
            said = _(
                "The customer %(customer)s is under legal hold. Nobody of it is erased until a supervisor has lifted it."
            )
            return said % {"customer": refused.customer}
        case FilesLeft():
            return _("Recordings of theirs lie on another PBX; the erasure waits for the ctid there.")
    return _("A call of theirs is under way or has just ended, or they are to be called back. Try again in a while.")
