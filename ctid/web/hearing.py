"""Recordings to listen to: who may, where the file is, its waveform, and a row in the audit for each listen.

Law: who may not hear a recording is told that there is none. The file is the one the books name, below the recordings'
root, reached by no link and no ``..``; where it lies is never said. A waveform is no listen: no word can be read from it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from fastapi import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from structlog import get_logger

from ctid.asterisk.recordings import opened
from ctid.asterisk.sealing import sealed
from ctid.db.recordings import LISTEN, Heard
from ctid.db.users import User
from ctid.domain.types import RecordingRecord, RecordingState
from ctid.languages import _
from ctid.web.identity import actor
from ctid.web.playing import played
from ctid.web.roles import May, may
from ctid.web.room import Room, room
from ctid.web.sounds import media_type
from ctid.web.waveforms import Busy

DOWNLOAD = "download"
_log = get_logger(__name__)

_PRIVATE = {"cache-control": "private, no-store"}


def may_hear(user: User, heard: Heard) -> bool:
    """Supervisors and administrators all; agents their own calls, and those on tickets they own or that are with them."""
    return may(user, May.HEAR_ALL) or (user.agent_id is not None and user.agent_id in heard.agents)


async def audible(of: Room, user: User, recordings: Iterable[RecordingRecord]) -> frozenset[str]:
    """The ids of those the user may hear: one question, however many a page has."""
    found = await of.recordings.all({recording.id for recording in recordings})
    return frozenset(heard.id for heard in found.values() if may_hear(user, heard))


async def audio(request: Request, user: User, recording_id: str, *, download: bool = False) -> Response:
    """The recording as an answer that knows byte ranges; 404 where there is none for this user.

    ``download`` gives it as a file to keep, to those who see all.
    """
    heard, path = await _found(request, user, recording_id)
    if download and not may(user, May.HEAR_ALL):
        raise HTTPException(403, _("Only supervisors keep recordings as files."))
    if request.method != "HEAD":
        await _note(request, user, heard, download=download)
    of = room(request)
    try:
        stream = await asyncio.to_thread(opened, path, of.settings.recordings.root, of.keys)
    except OSError as error:
        _log.error("recording.not_opened", recording=heard.id, error=error.strerror)
        raise HTTPException(503, _("This recording cannot be opened now; tell your administrator.")) from None
    if stream is None:
        raise HTTPException(404, _("The file of this recording is not where it should be."))
    headers = dict(_PRIVATE)
    if download:
        headers["content-disposition"] = f'attachment; filename="{quote(heard.id)}{quote(path.suffix)}"'
    return played(stream, request, media_type(heard.path), headers)


async def waveform(request: Request, user: User, recording_id: str) -> Response:
    """The recording's waveform as JSON, for whom may hear it; one without a drawable sound has no channels."""
    of = room(request)
    heard, path = await _found(request, user, recording_id)
    if heard.state is RecordingState.RECORDING:
        raise HTTPException(404, _("This call is still being recorded."))
    try:
        drawn = await of.waveforms.of(of.settings.recordings.root, path)
    except Busy:
        raise HTTPException(503, _("Try again in a moment."), {"retry-after": "5"}) from None
    return Response(drawn, media_type="application/json", headers=_PRIVATE)


async def _found(request: Request, user: User, recording_id: str) -> tuple[Heard, Path]:
    of = room(request)
    fit = recording_id.isprintable() and len(recording_id) <= 200
    heard = await of.recordings.one(recording_id) if fit else None
    if heard is None or not may_hear(user, heard):
        raise HTTPException(404, _("There is no such recording."))
    if heard.state is RecordingState.MISSING:
        raise HTTPException(404, _("This recording is missing: there is no file."))
    if heard.state is RecordingState.ERASED:
        raise HTTPException(404, _("This recording was erased."))
    path = await asyncio.to_thread(confined, of.settings.recordings.root, heard.path)
    if path is None:
        raise HTTPException(404, _("The file of this recording is not where it should be."))
    return heard, path


def confined(root: Path, name: str) -> Path | None:
    """The regular file of that name below the root, sealed or not, else ``None``: names that climb, links, folders are none."""
    try:
        top = root.resolve(strict=True)
        wanted = top / name
        return wanted if any(_is_file(one, top) for one in (wanted, sealed(wanted))) else None
    except (OSError, ValueError, RuntimeError):
        return None


def _is_file(wanted: Path, top: Path) -> bool:
    found = wanted.resolve()
    return found == wanted and found.is_relative_to(top) and found.is_file() and os.access(found, os.R_OK)


async def _note(request: Request, user: User, heard: Heard, *, download: bool) -> None:
    of = room(request)
    first_byte = request.headers.get("range", "bytes=0-").replace(" ", "").partition("=")[2].partition("-")[0]
    if not download and not of.listens.is_new(user.id, heard.id, from_start=first_byte == "0", now=time.monotonic()):
        return
    context = {"pbx": heard.pbx, "call": heard.call_id, "tickets": list(heard.tickets)}
    await of.audits.add(DOWNLOAD if download else LISTEN, heard.id, actor(request, user), context)
