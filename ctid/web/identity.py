"""Who is asking: the session behind a cookie, and the proof that a form is ours.

Law: a session lives on the server and is known by a cookie no script can read. Every POST shows this site's Origin and a
token made from the cookie it comes with.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, cast

from fastapi import Depends, HTTPException
from starlette.datastructures import FormData
from starlette.requests import HTTPConnection, Request

from ctid.db.audits import Actor
from ctid.db.users import User
from ctid.languages import LANGUAGES, _, speak
from ctid.web.origins import same_origin
from ctid.web.roles import May, may
from ctid.web.room import Room, room

FORM_HEADER = "x-form-token"


class SignInNeeded(Exception):  # noqa: N818 - a step on the way, not an error
    """The page is for those who have signed in."""


async def user_of(connection: HTTPConnection) -> User | None:
    """Whose session the request's cookie opens, asked once per request; from then on, their language is spoken."""
    if not hasattr(connection.state, "user"):
        token = connection.cookies.get(cookie_name(room(connection)))
        user = await room(connection).users.by_session(token, at=time.time()) if token else None
        connection.state.user = user
        if user is not None and user.language in LANGUAGES:
            speak(user.language)
    return known(connection)


def known(connection: HTTPConnection) -> User | None:
    """What ``user_of`` found; ``None`` as well where nobody asked."""
    return cast("User | None", getattr(connection.state, "user", None))


async def signed_in(request: Request) -> User:
    user = await user_of(request)
    if user is None:
        raise SignInNeeded
    return user


SignedIn = Annotated[User, Depends(signed_in)]


def allowed(what: May) -> Callable[[User], Awaitable[User]]:
    """A dependency that lets in those who may, and answers 403 to the others who have signed in."""

    async def who_may(user: SignedIn) -> User:
        if not may(user, what):
            raise HTTPException(403, _("This page is not for your role."))
        return user

    return who_may


def actor(request: Request, user: User) -> Actor:
    """The user as who writes, now and from where they are."""
    return Actor(at=time.time(), user_id=user.id, user_name=user.name, agent=user.agent_id, address=address_of(request))


def address_of(request: Request) -> str | None:
    """Where the request comes from."""
    return request.client.host if request.client else None


def cookie_name(of: Room) -> str:
    # The prefix makes browsers insist on Secure, no Domain and the path / : a neighbour's site cannot plant one.
    return "__Host-ctid_session" if https(of) else "ctid_session"


def form_token(connection: HTTPConnection) -> str | None:
    """What a form of this page must carry; ``None`` without a cookie to bind it to."""
    secret = form_secret(connection)
    return _token(secret) if secret else None


#: The largest form is a customer's file; a body is bounded before it is read (``guards``).
MOST_FIELDS = 200


def own_form(*, files: int = 0) -> Callable[[Request], Awaitable[FormData]]:
    """A dependency: the form, with so many files at most, of a POST that came from our own page; 403 for any other.

    Its token stands in the field ``form_token`` or, where a script sends it, in the header ``x-form-token``.
    """

    async def own(request: Request) -> FormData:
        if not same_origin(request, room(request).settings.web.url):
            raise HTTPException(403, _("This form was sent from another site."))
        form = await request.form(max_files=files, max_fields=MOST_FIELDS)
        secret = form_secret(request)
        given = request.headers.get(FORM_HEADER) or form.get("form_token")
        if (
            secret is None
            or not isinstance(given, str)
            or not hmac.compare_digest(given.encode(), _token(secret).encode())
        ):
            raise HTTPException(403, _("This form is too old. Go back, reload the page and send it again."))
        return form

    return own


OwnForm = Annotated[FormData, Depends(own_form())]
OwnUpload = Annotated[FormData, Depends(own_form(files=1))]


def https(of: Room) -> bool:
    return of.settings.web.url.startswith("https://")


def form_secret(connection: HTTPConnection) -> str | None:
    fresh = cast("str | None", getattr(connection.state, "form_secret", None))
    return fresh or connection.cookies.get(cookie_name(room(connection))) or connection.cookies.get("ctid_form")


def _token(secret: str) -> str:
    return hmac.new(secret.encode("utf-8", "surrogateescape"), b"ctid form", "sha256").hexdigest()
