"""The application: routes, guards, and what a person or a program reads when something is wrong.

Law: an error says what to do and nothing about the inside; to ``/api`` it is JSON, to people a page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import quote

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from structlog import get_logger

from ctid import __version__
from ctid.config import Settings
from ctid.db import session
from ctid.db.session import DatabaseFault
from ctid.languages import _, say_later
from ctid.web import (
    api,
    audit,
    contacts,
    customers,
    desktop,
    dispositions,
    erasing,
    health,
    holds,
    lists_csv,
    live,
    me,
    merging,
    pages,
    people,
    quick,
    roster,
    searching,
    sign_in,
    ticket_form,
    ticket_lists,
    tickets,
    today,
    waiting,
)
from ctid.web.cursors import BadCursor
from ctid.web.guards import Addressed, Bounded, Headed, Logged, Spoken
from ctid.web.identity import SignInNeeded, user_of
from ctid.web.room import Room, room, stored
from ctid.web.shown import STATIC, by_htmx, page

_TITLES = {
    400: say_later("That does not work"),
    403: say_later("Not for you"),
    404: say_later("Not here"),
    405: say_later("That does not work"),
    422: say_later("That does not work"),
    503: say_later("Not now"),
}
_FAILED = say_later("Something failed")

_log = get_logger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """The web as an ASGI application. Raises ``DatabaseFault`` for a database URL that cannot do.

    Live states need ``app.state.room.subscriber.run()`` beside it, as ``serve.run`` does.
    """
    made = Room(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await made.close()

    app = FastAPI(
        title="ctid",
        version=__version__,
        description="The calls, agents and tickets of a call centre on Asterisk.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
    )
    app.state.room = made
    for part in (
        sign_in,
        desktop,
        waiting,
        pages,
        quick,
        merging,
        lists_csv,
        holds,
        erasing,
        customers,
        contacts,
        ticket_lists,
        searching,
        today,
        ticket_form,
        tickets,
        dispositions,
        me,
        people,
        roster,
        audit,
        api,
    ):
        app.include_router(part.router, dependencies=[Depends(stored)])
    app.include_router(health.router)
    app.include_router(live.router)
    app.mount("/static", _Static(directory=STATIC), name="static")
    app.add_exception_handler(SignInNeeded, _to_sign_in)
    app.add_exception_handler(HTTPException, _refusal)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(BadCursor, _bad_cursor)
    app.add_exception_handler(DatabaseFault, _no_database)
    app.add_exception_handler(Exception, _failure)
    app.add_middleware(Bounded)
    app.add_middleware(Addressed, url=settings.web.url)
    app.add_middleware(Headed, https=settings.web.url.startswith("https://"))
    app.add_middleware(Logged)
    app.add_middleware(Spoken)
    return app


class _Static(StaticFiles):
    """A file asked for by its version never changes; by its bare name it is asked about each time."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        versioned = scope["query_string"].startswith(b"v=")
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if versioned else "no-cache"
        return response


async def _to_sign_in(request: Request, _error: Exception) -> Response:
    if by_htmx(request):
        return Response(status_code=204, headers={"hx-redirect": "/sign-in"})
    if request.method != "GET":
        return RedirectResponse("/sign-in", 303)
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/sign-in?next={quote(wanted, safe='')}", 303)


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # An address that leads nowhere has asked nobody yet who it is that reads this.
    with suppress(DatabaseFault):
        async with session.faults(room(request).engine):
            await user_of(request)
    said = error.detail if error.detail and error.status_code != 405 else _("There is no such page.")
    if error.status_code == 404 and error.detail == "Not Found":
        said = _("There is no such page.")
    return _say(request, error.status_code, said, dict(error.headers or {}))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])[:200]
    if request.url.path.startswith("/api"):
        return _say(request, 422, f"{where or 'the request'}: {first['msg'][:200]}")
    return _say(request, 422, _("This cannot be the value of: %(field)s.") % {"field": where})


async def _bad_cursor(request: Request, error: Exception) -> Response:
    return _say(request, 422, str(error))


async def _no_database(request: Request, error: Exception) -> Response:
    _log.error("the database does not answer", error=str(error))
    said = _(
        "Calls go on, and what happens in them is written once it answers. Try again in a moment; if it stays so, tell your"
        " administrator."
    )
    return _say(request, 503, said, {"retry-after": "5"}, title=_("The database does not answer"))


async def _failure(request: Request, error: Exception) -> Response:
    _log.error("a page failed", path=request.url.path[:200], exc_info=error)
    return _say(request, 500, _("Something went wrong here; it has been written to the log."))


def _say(
    request: Request, status: int, said: str, headers: dict[str, str] | None = None, *, title: str | None = None
) -> Response:
    response: Response
    title = title or _(_TITLES.get(status, _FAILED))
    if request.url.path.startswith("/api"):
        response = JSONResponse({"error": said}, status)
    else:
        again = status == 503 and request.method == "GET"
        response = page(request, "error.html", status=status, title=title, said=said, again=again)
    response.headers.update(headers or {})
    return response
