"""Files that may be one: the list of suspects, and the merge of two after a look at what would move.

Law: for supervisors. Nothing moves before the page that says what would; what was changed since then is looked at again.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ctid.db.files import FileKind, NoSuchFile, StaleFile
from ctid.db.merging import MergeFault, Side
from ctid.languages import _
from ctid.web.addresses import Text, address, known, path_of
from ctid.web.files import WHYS
from ctid.web.forms import Fields
from ctid.web.identity import OwnForm, SignedIn, actor, allowed
from ctid.web.roles import May
from ctid.web.room import room
from ctid.web.shown import page

router = APIRouter(include_in_schema=False, dependencies=[Depends(allowed(May.MERGE_FILES))])

Files = Literal["customers", "contacts"]
_KINDS = {"customers": FileKind.CUSTOMER, "contacts": FileKind.CONTACT}


@router.get("/duplicates")
async def suspects(request: Request, after: Text = "") -> Response:
    """Pairs of files that may be one."""
    start = known(after, _("There is no such page.")) or None
    pairs, last = await room(request).merging.suspects(after=start)
    older = address("/duplicates", {"after": last}) if last else None
    first = "/duplicates" if start else None
    return page(request, "duplicates.html", pairs=pairs, whys=WHYS, older=older, first=first)


@router.post("/duplicates/apart")
async def apart(request: Request, user: SignedIn, form: OwnForm) -> Response:
    """Two files are not one."""
    fields = Fields(form, room(request).zone)
    kind = fields.choice("kind", tuple(FileKind), required=True)
    one, other = fields.key("one", required=True), fields.key("other", required=True)
    if kind is None or one is None or other is None:
        raise HTTPException(422, _("Two files belong to it."))
    await room(request).merging.keep_apart(FileKind(kind), one, other, actor(request, user))
    return RedirectResponse("/duplicates", 303)


@router.get("/{files}/{key}/merge")
async def ask(request: Request, files: Files, key: str, into: Text = "") -> Response:
    """What would move; without ``into``, which file is to take this one up."""
    if not into:
        name = await _name(request, files, known(key, ""))
        return page(request, "merge.html", files=files, key=known(key, ""), name=name, gone=None, kept=None, said=None)
    gone, kept = await _both(request, files, key, into)
    return page(request, "merge.html", files=files, key=key, gone=gone, kept=kept, said=None)


@router.post("/{files}/{key}/merge")
async def merge(request: Request, user: SignedIn, files: Files, key: str, form: OwnForm) -> Response:
    """Make two files one, as it was shown."""
    fields = Fields(form, room(request).zone)
    into = fields.key("into", required=True) or ""
    versions = fields.version() or 0, fields.version("into_version") or 0
    kind = _KINDS[files]
    try:
        await room(request).merging.merge(kind, known(key, ""), into, versions, actor(request, user))
    except StaleFile:
        gone, kept = await _both(request, files, key, into)
        said = _("Somebody has changed one of the two since. Look again at what would move.")
        return page(request, "merge.html", status=409, files=files, key=key, gone=gone, kept=kept, said=said)
    except (NoSuchFile, MergeFault) as fault:
        raise _refused(fault) from None
    return RedirectResponse(path_of(files, into), 303)


async def _name(request: Request, files: Files, key: str) -> str:
    """What the file is called; raises 404 where there is none."""
    of = room(request)
    try:
        return (await (of.customers.one(key) if files == "customers" else of.contacts.one(key))).name
    except NoSuchFile as fault:
        raise _refused(fault) from None


async def _both(request: Request, files: Files, key: str, into: str) -> tuple[Side, Side]:
    try:
        return await room(request).merging.preview(_KINDS[files], known(key, ""), known(into, ""))
    except (NoSuchFile, MergeFault) as fault:
        raise _refused(fault) from None


def _refused(fault: NoSuchFile | MergeFault) -> HTTPException:
    if isinstance(fault, NoSuchFile):
        return HTTPException(404, _("There is no such file."))
    return HTTPException(422, _("These two cannot be merged: choose two different files that were not merged yet."))
