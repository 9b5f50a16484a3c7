"""Recordings to listen to: who may, where the file is, and a row in the audit for each listen.

Law: who may not hear a recording is told that there is none. The file is the one the books name, below the recordings'
root, reached by no link and no ``..``; where it lies is never said.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path

from fastapi import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse

from ctid.db.recordings import LISTEN, Heard
from ctid.db.users import User
from ctid.domain.types import RecordingRecord, RecordingState
from ctid.languages import _
from ctid.web.roles import May, may
from ctid.web.room import Room, room

_TYPES = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".webm": "audio/webm", ".flac": "audio/flac"}


def may_hear(user: User, heard: Heard) -> bool:
    """Supervisors and administrators all; agents their own calls, and those on tickets they own or that are with them."""
    return may(user, May.HEAR_ALL) or (user.agent_id is not None and user.agent_id in heard.agents)


async def audible(of: Room, user: User, recordings: Iterable[RecordingRecord]) -> frozenset[str]:
    """The ids of those the user may hear: one question, however many a page has."""
    found = await of.recordings.all({recording.id for recording in recordings})
    return frozenset(heard.id for heard in found.values() if may_hear(user, heard))


async def audio(request: Request, user: User, recording_id: str) -> FileResponse:
    """The recording as an answer that knows byte ranges; 404 where there is none for this user."""
    of = room(request)
    heard = await of.recordings.one(recording_id) if recording_id.isprintable() else None
    if heard is None or not may_hear(user, heard):
        raise HTTPException(404, _("There is no such recording."))
    if heard.state is RecordingState.MISSING:
        raise HTTPException(404, _("This recording is missing: there is no file."))
    path = await asyncio.to_thread(confined, of.settings.recordings.root, heard.path)
    if path is None:
        raise HTTPException(404, _("The file of this recording is not where it should be."))
    await _note(of, request, user, heard.id)
    headers = {"cache-control": "private, no-store"}
    return FileResponse(path, media_type=_TYPES.get(path.suffix.lower(), "application/octet-stream"), headers=headers)


def confined(root: Path, name: str) -> Path | None:
    """The regular file of that name below the root, or ``None``: names that climb, links and folders are none."""
    try:
        top = root.resolve(strict=True)
        wanted = top / name
        found = wanted.resolve(strict=True)
        fine = found == wanted and found.is_relative_to(top) and found.is_file() and os.access(found, os.R_OK)
    except (OSError, ValueError, RuntimeError):
        return None
    return found if fine else None


async def _note(of: Room, request: Request, user: User, recording_id: str) -> None:
    first_byte = request.headers.get("range", "bytes=0-").replace(" ", "").partition("=")[2].partition("-")[0]
    if not of.listens.is_new(user.id, recording_id, from_start=first_byte == "0", now=time.monotonic()):
        return
    address = request.client.host if request.client else None
    await of.users.note(LISTEN, at=time.time(), user=user, subject=recording_id, address=address)
