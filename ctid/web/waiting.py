"""The callers who wait, for supervisors: put first, put last, or moved to another line.

Law: the daemon decides who waits and does it; what it refuses comes back as one line. What it did stands in the audit, and in
the call's own story.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ctid.languages import _
from ctid.web.addresses import plain
from ctid.web.board import Waiting
from ctid.web.identity import OwnForm, SignedIn, actor, allowed
from ctid.web.roles import May
from ctid.web.room import Room, room
from ctid.web.shown import by_htmx, page

LONGEST_NAME = 100

router = APIRouter(include_in_schema=False, dependencies=[Depends(allowed(May.PLACE_CALLERS))])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A caller who waits, and for how many seconds."""

    caller: Waiting
    seconds: float | None

    @property
    def who(self) -> str | None:
        of = self.caller.waiting
        return of.contact or of.customer or self.caller.caller


@router.get("/waiting")
async def listed(request: Request) -> Response:
    """Who waits, in the order in which they are served."""
    return _shown(request)


@router.post("/waiting")
async def place(request: Request, user: SignedIn, form: OwnForm) -> Response:
    """Put the caller of the button that was pressed (``first``, ``last`` or ``move``, whose value is the call) there."""
    of = room(request)
    by = user.name[:LONGEST_NAME]
    asked = next((name for name in ("first", "last", "move") if name in form), None)
    call_id, line = plain(str(form.get(asked or "", ""))), plain(str(form.get("line", "")))[:LONGEST_NAME]
    before = next((one for one in of.board.waiting if one.id == call_id), None)
    if asked is None:
        raise HTTPException(422, _("There is no such command."))
    try:
        match asked:
            case "first":
                refused = await of.asker.ask_of_call(call_id, "prioritise", by=by)
            case "last":
                refused = await of.asker.ask_of_call(call_id, "move", end=True, by=by)
            case _:
                refused = await of.asker.ask_of_call(call_id, "move", line=line, by=by)
    except ValueError:
        raise HTTPException(404, _("There is no such call.")) from None
    if refused is None:
        changes = {"line": (before.line if before else None, line)} if asked == "move" else None
        await of.audits.add(_DEEDS[asked], call_id, actor(request, user), changes=changes)
    if not by_htmx(request) and refused is None:
        return RedirectResponse("/waiting", 303)
    who = Stay(caller=before, seconds=None).who if before else None
    said = refused if refused is not None else _DONE[asked]() % {"who": who or _("The caller"), "line": line}
    return _shown(request, said=said, refused=refused is not None, line=line)


def _shown(request: Request, *, said: str | None = None, refused: bool = False, line: str = "") -> Response:
    of = room(request)
    now = time.time()
    return page(
        request,
        "_waiting.html" if by_htmx(request) else "waiting.html",
        status=409 if refused else 200,
        stays=[Stay(caller=one, seconds=_since(one, now)) for one in of.board.waiting],
        lines=_lines(of),
        line=line,
        said=said,
        refused=refused,
        answers=request.method == "POST" and by_htmx(request),
    )


def _lines(of: Room) -> list[str]:
    return [line.name for line in of.settings.lines]


def _since(one: Waiting, now: float) -> float | None:
    with suppress(ValueError, TypeError):
        return max(0.0, now - datetime.fromisoformat(one.waiting.since or "").timestamp())
    return None


_DEEDS = {"first": "caller_put_first", "last": "caller_put_last", "move": "caller_moved"}
_DONE = {
    "first": lambda: _("%(who)s comes before all who wait."),
    "last": lambda: _("%(who)s waits as if they had called just now."),
    "move": lambda: _("%(who)s waits on the line %(line)s now."),
}
