"""Legal holds and how long a customer's recordings are kept: for supervisors, on the customer's own page of it and as a list.

Law: a hold says its reason. Placing, changing and lifting one stands in the audit, as does the list that was taken out.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ctid.calljson import iso
from ctid.db.csvfile import MARK, lines
from ctid.db.customers import Customer
from ctid.languages import _
from ctid.web.addresses import path_of
from ctid.web.customers import OfAddress
from ctid.web.forms import Fields
from ctid.web.identity import OwnForm, SignedIn, actor, allowed
from ctid.web.roles import May
from ctid.web.room import room
from ctid.web.shown import page

_LONGEST_DAYS = 36_500

router = APIRouter(include_in_schema=False, dependencies=[Depends(allowed(May.HOLD))])


@router.get("/holds")
async def listed(request: Request) -> Response:
    """Every customer under hold."""
    return page(request, "holds.html", holds=await room(request).holds.all())


@router.get("/holds.csv")
async def as_file(request: Request, user: SignedIn) -> Response:
    """The same as a file for a spreadsheet."""
    of = room(request)
    await of.audits.add("list_exported", "holds", actor(request, user))
    header = ("customer_id", "name", "reason", "by", "since")
    rows = [
        (hold.customer_id, hold.customer, hold.reason, hold.by or "", iso(hold.since) or "")
        for hold in await of.holds.all()
    ]
    headers = {"content-disposition": 'attachment; filename="holds.csv"', "cache-control": "no-store"}
    return Response(MARK + lines([header, *rows]), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/customers/{customer_id}/keeping")
async def ask(request: Request, file: OfAddress) -> Response:
    """What holds for this customer."""
    if file.merged_into is not None:
        return RedirectResponse(path_of("customers", file.merged_into, "keeping"), 303)
    return await _shown(request, file)


@router.post("/customers/{customer_id}/hold")
async def hold(request: Request, user: SignedIn, file: OfAddress, form: OwnForm) -> Response:
    """Hold the customer for a reason, or lift the hold (``lift``)."""
    of = room(request)
    fields = Fields(form, of.zone, name="hold")
    if fields.ticked("lift"):
        await of.holds.lift(file.id, actor(request, user))
    else:
        reason = fields.text("reason", required=True)
        if reason is None:
            return await _shown(request, file, hold=fields, status=422)
        await of.holds.place(file.id, reason, actor(request, user))
    return RedirectResponse(path_of("customers", file.merged_into or file.id, "keeping"), 303)


@router.post("/customers/{customer_id}/retention")
async def retention(request: Request, user: SignedIn, file: OfAddress, form: OwnForm) -> Response:
    """Keep the customer's recordings for so many days; an empty field for as long as others'."""
    of = room(request)
    fields = Fields(form, of.zone, name="retention")
    days = fields.whole("days", least=1, most=_LONGEST_DAYS)
    if "days" not in fields.typed:
        fields.refuse("days", _("This must be filled in."))
    if not fields.fine:
        return await _shown(request, file, retention=fields, status=422)
    await of.holds.keep_for(file.id, days, actor(request, user))
    return RedirectResponse(path_of("customers", file.merged_into or file.id, "keeping"), 303)


async def _shown(
    request: Request, file: Customer, *, hold: Fields | None = None, retention: Fields | None = None, status: int = 200
) -> Response:
    of = room(request)
    keeping = await of.holds.of(file.id)
    reason = keeping.hold.reason if keeping.hold else None
    return page(
        request,
        "keeping.html",
        status=status,
        customer=file,
        keeping=keeping,
        hold=hold or Fields.showing({"reason": reason}, of.zone, name="hold"),
        retention=retention or Fields.showing({"days": keeping.days}, of.zone, name="retention"),
        site_days=of.settings.recordings.retention_days,
    )
