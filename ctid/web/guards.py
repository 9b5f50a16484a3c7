"""What stands before every request: is it meant for us, headers that bind the browser, a bound on bodies, a line in the log.

Law: pure ASGI, so that streaming and sockets pass untouched. The log has the path, never a query, cookie or token.
"""

from __future__ import annotations

import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog import get_logger

from ctid.languages import ENGLISH, LANGUAGES, preferred, speak
from ctid.web.origins import ours, tell

#: A form of a few thousand characters: one of Chinese is sent as nine.
LARGEST_BODY = 256 * 1024
#: A list of customers or contacts.
LARGEST_LIST = 4 * 1024 * 1024
_LISTS = ("/customers/import", "/contacts/import")
LANGUAGE_COOKIE = "ctid_language"

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: browsers would then send "Origin: null" with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
#: For those who watch the process, who come by any name; there is nothing to be had there.
_WATCHED = ("/healthz", "/readyz")
_QUIET = ("/static/", *_WATCHED)

_log = get_logger(__name__)


class Headed:
    """Sets the security headers; what a page says itself about caching stays, the rest is not kept anywhere."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = dict(_HEADERS)
        if https:
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, headed)


class Addressed:
    """Refuses what is addressed to a name that is not this site's; ``url`` is the address people open."""

    def __init__(self, app: ASGIApp, *, url: str) -> None:
        self._app = app
        self._url = url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in _WATCHED:
            await self._app(scope, receive, send)
            return
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) == 1 and ours(hosts[0], self._url):
            await self._app(scope, receive, send)
            return
        tell(", ".join(hosts), self._url)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before accept: the handshake is refused with 403
        else:
            await _refuse(send, 421, b"This is not the address of this site.\n")


class Bounded:
    """Refuses bodies past ``LARGEST_BODY``, of lists past ``LARGEST_LIST``, as said and as they turn out to be."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        largest = LARGEST_LIST if scope["path"] in _LISTS else LARGEST_BODY
        said = Headers(scope=scope).get("content-length", "")
        if said.isascii() and said.isdigit() and int(said[:20]) > largest:
            await _refuse(send, 413, b"The request is too large.\n")
            return
        body = bytearray()
        more = True
        # Read whole before the page runs: no page takes more than a form or a list, and a refusal must come before any effect.
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > largest:
                await _refuse(send, 413, b"The request is too large.\n")
                return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, replay, send)


class Spoken:
    """Speaks the language of the browser: that of the cookie, else the one it asks for, else English.

    It stays for the rest of the task, as each request has one of its own: a failure is told outside of all that is within.
    Who has signed in is spoken to in their own (``identity.user_of``); programs that ask ``/api`` always in English.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not scope["path"].startswith("/api/"):
            connection = HTTPConnection(scope)
            kept = connection.cookies.get(LANGUAGE_COOKIE)
            asked = kept if kept in LANGUAGES else preferred(connection.headers.get("accept-language", ""))
            speak(asked or ENGLISH)
        await self._app(scope, receive, send)


class Logged:
    """One line per request, once it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 500

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            say = _log.debug if scope["path"].startswith(_QUIET) and status < 500 else _log.info
            say(
                "request",
                method=scope["method"],
                path=scope["path"][:200],
                status=status,
                address=scope["client"][0] if scope["client"] else None,
                milliseconds=round((time.monotonic() - began) * 1000),
            )


async def _refuse(send: Send, status: int, text: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
