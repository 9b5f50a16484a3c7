"""What each user keeps of their own: language, theme, password, sessions and API tokens; and the language of a stranger.

Law: a password is changed by whoever knows the old one, and a wrong one counts as a failed sign-in. A token is shown once.
"""

from __future__ import annotations

import time

from fastapi import APIRouter, HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ctid import languages
from ctid.db.users import (
    LONGEST_PASSWORD,
    SHORTEST_PASSWORD,
    TokenNameTaken,
    User,
    UserFault,
)
from ctid.languages import LANGUAGES, _, ngettext
from ctid.web.addresses import plain
from ctid.web.forms import Fields
from ctid.web.guards import LANGUAGE_COOKIE
from ctid.web.identity import OwnForm, SignedIn, actor, address_of, cookie_name, https, user_of
from ctid.web.room import room
from ctid.web.shown import THEME_COOKIE, THEMES, page
from ctid.web.sign_in import inside

TASTE_SECONDS = 365 * 86400
LONGEST_TOKEN_NAME = 100

router = APIRouter(include_in_schema=False)


@router.post("/language")
async def choose(request: Request, form: OwnForm) -> Response:
    """The language of who reads, signed in or not; back to the page it was chosen on."""
    language = str(form.get("language", ""))
    if language not in LANGUAGES:
        raise HTTPException(422, _("There is no such language."))
    user = await user_of(request)
    if user is not None:
        await room(request).users.set_taste(user.id, language=language, theme=user.theme)
    response = RedirectResponse(inside(str(form.get("next", "/"))), 303)
    _keep(request, response, LANGUAGE_COOKIE, language)
    return response


@router.get("/me")
async def me(request: Request, user: SignedIn) -> Response:
    """The user's own settings."""
    return await _me(request, user)


@router.post("/me")
async def set_taste(request: Request, user: SignedIn, form: OwnForm) -> Response:
    """Language and theme; empty is the browser's and the system's."""
    fields = Fields(form, room(request).zone, name="taste")
    language = fields.choice("language", LANGUAGES)
    theme = fields.choice("theme", THEMES)
    if not fields.fine:
        return await _me(request, user, taste=fields)
    await room(request).users.set_taste(user.id, language=language, theme=theme)
    response = RedirectResponse("/me?done=taste", 303)
    _keep(request, response, LANGUAGE_COOKIE, language)
    _keep(request, response, THEME_COOKIE, theme)
    return response


@router.post("/me/password")
async def set_password(request: Request, user: SignedIn, form: OwnForm) -> Response:
    """A new password for who knows the old one; ends the user's other sessions."""
    of, now = room(request), time.time()
    address = address_of(request) or "unknown"
    fields = Fields(form, of.zone, name="password")
    new = new_password(fields, "new", "again")
    if fields.fine and of.failures.wait_seconds(user.name, address, now) > 0:
        fields.refuse("old", _("Too many wrong passwords. Try again in some minutes."))
    if fields.fine:
        # Counted before the answer is known, as at the sign-in.
        of.failures.failed(user.name, address, now)
        if await of.users.verify(user.name, fields.typed.get("old", "")) is None:
            fields.refuse("old", _("This is not your password."))
    if new is None or not fields.fine:
        return await _me(request, user, password=fields)
    of.failures.succeeded(user.name, address)
    own = request.cookies.get(cookie_name(of))
    await of.users.set_password(user.name, new, keep=own, by=actor(request, user))
    of.sockets.look_again(user.id)
    return RedirectResponse("/me?done=password", 303)


@router.post("/me/sessions")
async def end_session(request: Request, user: SignedIn, form: OwnForm) -> Response:
    """End one of the user's sessions."""
    of = room(request)
    await of.users.end_session(user, plain(str(form.get("key", ""))), by=actor(request, user))
    of.sockets.look_again(user.id)
    return RedirectResponse("/me?done=session", 303)


@router.post("/me/tokens")
async def add_token(request: Request, user: SignedIn, form: OwnForm) -> Response:
    """A new API token, shown this once."""
    of = room(request)
    fields = Fields(form, of.zone, name="token")
    name = fields.text("name", most=LONGEST_TOKEN_NAME, required=True)
    if name is None:
        return await _me(request, user, token=fields)
    try:
        made = await of.users.create_token(user.name, name, at=time.time(), by=actor(request, user))
    except TokenNameTaken:
        fields.refuse("name", _("You have had a token of this name; give it another one."))
        return await _me(request, user, token=fields)
    return await _me(request, user, made=made)


@router.post("/me/tokens/revoke")
async def revoke_token(request: Request, user: SignedIn, form: OwnForm) -> Response:
    """End one of the user's tokens."""
    by = actor(request, user)
    try:
        await room(request).users.revoke_token(user.name, plain(str(form.get("name", ""))), at=by.at, by=by)
    except UserFault:
        raise HTTPException(404, _("There is no such token.")) from None
    return RedirectResponse("/me?done=token", 303)


def new_password(fields: Fields, first: str, second: str) -> str | None:
    """The password typed twice, or ``None`` with what is wrong beside the field."""
    new = fields.typed.get(first, "")
    if not SHORTEST_PASSWORD <= len(new) <= LONGEST_PASSWORD:
        said = ngettext(
            "A password has at least %(least)s character.",
            "A password has at least %(least)s characters.",
            SHORTEST_PASSWORD,
        )
        fields.refuse(first, said % {"least": SHORTEST_PASSWORD})
    elif new != fields.typed.get(second, ""):
        fields.refuse(second, _("The two are not the same."))
    return new if fields.fine else None


async def _me(request: Request, user: User, *, made: str | None = None, **forms: Fields) -> Response:
    of, now = room(request), time.time()
    taste = Fields.showing({"language": user.language, "theme": user.theme}, of.zone, name="taste")
    shown = {
        "taste": taste,
        "password": Fields({}, of.zone, name="password"),
        "token": Fields({}, of.zone, name="token"),
        **forms,
    }
    said = {
        "taste": _("Your settings are saved."),
        "password": _("Your password is changed, and your other sessions are ended."),
        "session": _("The session is ended."),
        "token": _("The token is revoked."),
    }
    status = 200 if all(fields.fine for fields in shown.values()) else 422
    return page(
        request,
        "me.html",
        status=status,
        done=said.get(request.query_params.get("done", "")) if request.method == "GET" else None,
        made=made,
        tongues=languages.LANGUAGES.items(),
        themes=[("light", _("Light")), ("dark", _("Dark"))],
        agent_name=(await of.names()).get(user.agent_id, user.agent_id) if user.agent_id else None,
        sessions=await of.users.sessions(user, at=now, token=request.cookies.get(cookie_name(of))),
        tokens=await of.users.tokens(user),
        **shown,
    )


def _keep(request: Request, response: Response, name: str, value: str | None) -> None:
    """Also in the browser, for the pages before a sign-in."""
    if value is None:
        response.delete_cookie(name, path="/")
    else:
        secure = https(room(request))
        response.set_cookie(name, value, max_age=TASTE_SECONDS, path="/", secure=secure, httponly=True, samesite="lax")
