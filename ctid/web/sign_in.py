"""Sign-in and sign-out.

Law: what fails says the same to everybody, neither name nor reason, and is counted before it is known to have failed.
"""

from __future__ import annotations

import time
from secrets import token_urlsafe

from fastapi import APIRouter
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from structlog import get_logger

from ctid.db.audits import Actor
from ctid.languages import _, ngettext
from ctid.web.addresses import plain
from ctid.web.identity import OwnForm, actor, address_of, cookie_name, form_secret, https, user_of
from ctid.web.limits import WINDOW_SECONDS
from ctid.web.room import Room, room
from ctid.web.shown import page

SESSION_SECONDS = 12 * 3600
LONGEST_FIELD = 1024

_log = get_logger(__name__)
router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
async def ask(request: Request, next: str = "/") -> Response:  # noqa: A002 - the address's own word
    if await user_of(request) is not None:
        return RedirectResponse(inside(next), 303)
    return _sign_in_page(request, next)


@router.post("/sign-in")
async def sign_in(request: Request, form: OwnForm) -> Response:
    of, now = room(request), time.time()
    name, password, after = plain(_field(form, "name")), _field(form, "password"), _field(form, "next")
    address = address_of(request) or "unknown"
    wait = of.failures.wait_seconds(name, address, now)
    if wait > 0:
        minutes = max(1, round(wait / 60))
        said = ngettext(
            "Too many failed sign-ins. Try again in %(minutes)s minute.",
            "Too many failed sign-ins. Try again in %(minutes)s minutes.",
            minutes,
        ) % {"minutes": minutes}
        refusal = _sign_in_page(request, after, said, name, status=429)
        refusal.headers["retry-after"] = str(round(wait) + 1)
        return refusal
    if of.sign_ins.locked():
        said = _("Too much is being asked at this moment; try again.")
        refusal = _sign_in_page(request, after, said, name, status=503)
        refusal.headers["retry-after"] = "5"
        return refusal
    # Counted before the answer is known: tries that are sent at once must not all slip through.
    of.failures.failed(name, address, now)
    async with of.sign_ins:
        user = await of.users.verify(name, password)
    if user is None:
        refused = Actor(at=now, user_name=name[:100], address=address_of(request))
        await of.audits.add("sign_in_refused", None, refused)
        for whom in of.failures.stopped(name, address, now):
            await of.audits.add("sign_in_stopped", whom[:100], refused)
            _log.warning("sign-ins stopped", whom=whom[:100], address=address, seconds=WINDOW_SECONDS)
        return _sign_in_page(request, after, _("Name or password is wrong."), name, status=401)
    of.failures.succeeded(name, address)
    old = request.cookies.get(cookie_name(of))
    if old:
        await of.users.close_session(old)
    token = await of.users.open_session(user, at=now, seconds=SESSION_SECONDS, address=address)
    await of.audits.add("sign_in", None, actor(request, user))
    _log.info("signed in", user=user.name, role=user.role.value)
    response = RedirectResponse(inside(after), 303)
    _set_cookie(response, of, cookie_name(of), token, SESSION_SECONDS)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, form: OwnForm) -> Response:  # noqa: ARG001 - checked by being asked for
    of = room(request)
    user = await user_of(request)
    token = request.cookies.get(cookie_name(of))
    if token:
        await of.users.close_session(token)
    if user is not None:
        await of.audits.add("sign_out", None, actor(request, user))
        of.sockets.look_again(user.id)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(cookie_name(of), path="/", secure=https(of), httponly=True, samesite="lax")
    return response


def _sign_in_page(
    request: Request, after: str, said: str | None = None, name: str = "", *, status: int = 200
) -> Response:
    fresh = None
    if not form_secret(request):
        fresh = request.state.form_secret = token_urlsafe(32)
    response = page(request, "sign_in.html", status=status, next=inside(after), said=said, name=name[:100])
    if fresh:
        _set_cookie(response, room(request), "ctid_form", fresh, None)
    return response


def _set_cookie(response: Response, of: Room, name: str, value: str, seconds: int | None) -> None:
    response.set_cookie(name, value, max_age=seconds, path="/", secure=https(of), httponly=True, samesite="lax")


def _field(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value[:LONGEST_FIELD] if isinstance(value, str) else ""


def inside(address: str) -> str:
    """The address if it is one of our own pages, else the first page: a link must not lead a sign-in elsewhere."""
    fine = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if fine else "/"
