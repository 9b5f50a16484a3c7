"""Customers and contacts as CSV, for supervisors: out, and in after a look at what would come of it.

Law: whoever takes all of a site's customers away stands in the audit. Nothing is written before somebody has seen the preview
and said yes. What is imported goes the way of ``ctid import``.
"""

from __future__ import annotations

import time
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ctid.db.csvfile import CsvFault
from ctid.db.exporting import export
from ctid.db.importing import Imported, Kind, Site, import_bytes
from ctid.db.users import User
from ctid.languages import _
from ctid.web.guards import LARGEST_LIST
from ctid.web.identity import OwnForm, OwnUpload, actor, allowed, signed_in
from ctid.web.roles import May
from ctid.web.room import Room, room
from ctid.web.shown import page
from ctid.web.sparing import spare
from ctid.web.uploads import Upload

#: Bad lines that are shown.
SHOWN = 200

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])

Lists = Literal["customers", "contacts"]
Mover = Annotated[User, Depends(allowed(May.MOVE_LISTS))]


@router.get("/customers.csv", dependencies=[Depends(spare)])
async def customers_out(request: Request, user: Mover) -> Response:
    """All customers as a file."""
    return await _out(request, user, "customers")


@router.get("/contacts.csv", dependencies=[Depends(spare)])
async def contacts_out(request: Request, user: Mover) -> Response:
    return await _out(request, user, "contacts")


async def _out(request: Request, user: User, kind: Lists) -> Response:
    of = room(request)
    await of.audits.add("list_exported", kind, actor(request, user))
    headers = {"content-disposition": f'attachment; filename="{kind}.csv"', "cache-control": "no-store"}
    return StreamingResponse(export(of.engine, Kind(kind)), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/{kind}/import")
async def ask(request: Request, _user: Mover, kind: Lists) -> Response:
    return _page(request, kind)


@router.post("/{kind}/import")
async def look(request: Request, user: Mover, kind: Lists, form: OwnUpload) -> Response:
    """What would come of the uploaded file, line by line."""
    of, file = room(request), form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        return _page(request, kind, said=_("Choose a file."), status=422)
    name = "".join(letter for letter in file.filename if letter.isprintable())[:100]
    content = await file.read()
    try:
        seen = await import_bytes(of.engine, Kind(kind), name, content, _site(of), dry=True)
    except CsvFault as fault:
        return _page(request, kind, said=str(fault), status=422)
    kept = Upload(user_id=user.id, kind=Kind(kind), name=name, content=content, at=time.time())
    good = seen.added or seen.updated
    return _page(request, kind, name=name, seen=seen, key=of.uploads.keep(kept) if good else None)


@router.post("/{kind}/import/confirm")
async def bring(request: Request, user: Mover, kind: Lists, form: OwnForm) -> Response:
    """Import the good lines of what was looked at."""
    of, key = room(request), form.get("key")
    kept = of.uploads.take(key if isinstance(key, str) else "", user_id=user.id, kind=Kind(kind), at=time.time())
    if kept is None:
        return _page(request, kind, said=_("The uploaded list is no longer kept; choose the file again."), status=409)
    done = await import_bytes(of.engine, Kind(kind), kept.name, kept.content, _site(of))
    subject = f"{kind}: {done.added} new, {done.updated} known, {len(done.bad)} bad, {kept.name}"
    await of.audits.add("list_imported", subject, actor(request, user))
    return _page(request, kind, name=kept.name, seen=done, done=True)


def _page(
    request: Request,
    kind: str,
    *,
    said: str | None = None,
    name: str = "",
    seen: Imported | None = None,
    key: str | None = None,
    done: bool = False,
    status: int = 200,
) -> Response:
    return page(
        request,
        "import.html",
        status=status,
        kind=kind,
        said=said,
        name=name,
        seen=seen,
        key=key,
        done=done,
        shown=SHOWN,
        largest=LARGEST_LIST >> 20,
    )


def _site(of: Room) -> Site:
    routing = of.settings.routing
    return Site(country=routing.country, timezone=of.zone, outside_prefix=routing.outside_prefix)
