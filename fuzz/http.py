"""The web's every address: any method, query, header, cookie, form, list and socket message, by anybody.

Law: no request ends in an error of ctid's own; no answer is larger than a page may be, tells where anything lies on the
disk, leads off the site, or holds a stranger's markup as markup. The application is the real one, on a real database.
"""

from __future__ import annotations

import asyncio
import atexit
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from ctid.config import load
from ctid.db.users import Role
from ctid.web.app import create_app
from ctid.web.identity import _token
from ctid.web.room import Room
from fuzz.drawing import Drawn

SAYS = "HTTP requests and socket messages, to every address"
ORIGIN: Final = "http://127.0.0.1:8080"
LARGEST_ANSWER: Final = 6_000_000
MARKUP: Final = "</textarea></script><hostile-tag onclick=alert(1)>\"><hostile-tag style='x'>"
METHODS: Final = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "x")
#: Who asks: each role and nobody; and programs with a supervisor's and an agent's token.
PEOPLE: Final = ("admin", "boss", "liwei", "")
PROGRAMS: Final = ("token", "agent token", "")
IDS: Final = (
    *("", "1", "2", "7", "8", "evil", "1795000000.7", "T12", "T3", "P1", "P2", "C1", "C2", "pbx", "pbx-call-1"),
    *("boss", "liwei"),
)
WORDS: Final = (
    *IDS,
    *("open", "closed", "mine", "4", "0", "-1", "9" * 30, "2026-11-22", "2026-11-22T10:00", "0001-01-01"),
    *("9999-12-31T23:59", "agent", "supervisor", "zh-Hans", "dark", "on", "installed", "+8613800138000", "陈小明"),
    *(
        "Spindle",
        "0" * 64,
        "../../etc/passwd",
        MARKUP,
        "\u202e\u2066x",
        "a\0b",
        "{{ 7*191 }}",
        "'; DROP TABLE calls; --",
    ),
    *("%", "_", "\\", '"*"', "=1+1", "😀" * 300, "//evil", "javascript:alert(1)", "MTc5NSBhYmM", "NaN", "inf", "1e999"),
    *("\r\nset-cookie: x=1", "[]", "{}", "null"),
)
HEADERS: Final = (
    *("range", "if-range", "accept-language", "accept", "cookie", "if-modified-since", "if-none-match", "hx-request"),
    *(
        "hx-current-url",
        "referer",
        "content-type",
        "x-forwarded-for",
        "x-form-token",
        "authorization",
        "host",
        "origin",
    ),
)
VALUES: Final = (
    *("bytes=0-", "bytes=-1", "bytes=9-1", "bytes=0-1,3-4", "bytes=99999999999999999999-", "zh-Hans;q=0.5,*;q=x"),
    *("*/*", "true", "ctid_session=x; ctid_form=\xff", "ctid_language=zh-Hans", "Bearer x", "Basic eDp5", "null"),
    *("http://evil.example", "evil.example", "application/json", "multipart/form-data; boundary=b", "text/csv"),
    *("multipart/form-data", "\xff\xfe", "a" * 5000, "Thu, 01 Jan"),
)
_HERE = Path(__file__).parent.parent / "ctid" / "web"


def seeds() -> Iterator[bytes]:
    for route in range(120):
        yield bytes([route % 6, 0, route, *(n * 13 % 251 for n in range(route, route + 60))])
        yield bytes([0, 0, route, 0, 0, 1, 7, 1, 3])


def one(data: bytes) -> None:
    drawn = Drawn(data)
    site = _site()
    site.runner.run(_asked(site, drawn))


class _Site:
    """A seeded site, its addresses, and who is signed in there."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="ctid-fuzz-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        file = self.folder / "ctid.toml"
        file.write_text(
            f'[state]\ndirectory = "{self.folder}"\n[database]\nurl = "sqlite:///{self.folder}/ctid.db"\n'
            f'[mqtt]\nurl = "mqtt://127.0.0.1:1"\n[recordings]\nroot = "{self.folder}/sounds"\n'
            '[routing]\ntimezone = "Asia/Shanghai"\ncountry = "CN"\n[web]\nlisten = "127.0.0.1:8080"\n'
        )
        (self.folder / "sounds").mkdir()
        settings = load(file, {})
        url = settings.database.url.get_secret_value()
        seeded = self.runner.run(import_module("tests.web.site").seed(url, settings.recordings.root))
        self.tokens = {"token": seeded.token, "agent token": seeded.agent_token}
        self.app = create_app(settings)
        self.room: Room = self.app.state.room
        self.runner.run(self.room.users.create("admin", "a long password", Role.ADMINISTRATOR, at=time.time()))
        self.routes = [route for route in _routes(self.app.routes) if "{path" not in route.path]
        self.sessions: dict[str, str] = {}

    async def session(self, name: str) -> str:
        """The cookie of who has signed in; anew where a request before has ended it."""
        known = self.sessions.get(name)
        if known is None or await self.room.users.by_session(known, at=time.time()) is None:
            for user in await self.room.users.all():
                if user.name == name:
                    known = await self.room.users.open_session(user, at=time.time(), seconds=9e4)
                    self.sessions[name] = known
        return known or "none"


@cache
def _site() -> _Site:
    return _Site()


@cache
def _fields(module: str) -> tuple[str, ...]:
    """The names in the forms of the pages that a module of the web serves: whatever it reads by a name, and more."""
    source = (_HERE / f"{module.rpartition('.')[2]}.py").read_text(encoding="utf-8")
    return ("version", "next", *sorted(set(re.findall(r'"([a-z_]{2,20})"', source))))


def _asked_for(dependant: Dependant) -> Iterator[str]:
    """What an address may be asked with."""
    yield from (one.alias for one in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _asked_for(inner)


def _routes(routes: Iterable[object]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        yield from _routes(getattr(getattr(route, "original_router", None), "routes", ()))


async def _asked(site: _Site, drawn: Drawn) -> None:
    who = ""
    if drawn.whole(30) == 29:
        await _socket(site, drawn, drawn.pick(PEOPLE))
        return
    route = site.routes[drawn.whole(len(site.routes) - 1)]
    who = drawn.pick(PROGRAMS if route.path.startswith("/api") else PEOPLE)
    method = drawn.pick(METHODS) if drawn.whole(15) == 15 else drawn.pick(sorted(route.methods or METHODS))
    path = re.sub(r"{[^}]*}", lambda _: quote(_key(drawn).encode("utf-8", "surrogateescape"), safe=""), route.path)
    names = tuple(_asked_for(route.dependant))
    query = "&".join(f"{drawn.pick((*names, 'x'))}={_quoted(drawn)}" for _ in range(drawn.whole(3)))
    headers, body = await _headers(site, drawn, who), b""
    if method not in ("GET", "HEAD"):
        kind, body = _body(drawn, _fields(route.endpoint.__module__), headers[b"x-form-token"])
        headers.setdefault(b"content-type", kind)
    status, answered, sent = await _answer(site, method, path, query.encode(), headers, body)
    shown = f"{who} {method} {path}?{query} {body[:300]!r}"
    assert status < 500 or (status == 503 and path == "/readyz") or _away(sent), f"{status}: {shown}"
    assert len(sent) <= LARGEST_ANSWER, f"{len(sent)} bytes: {shown}"
    assert str(site.folder).encode() not in sent, shown
    assert b"<hostile-tag" not in sent or b"html" not in answered.get(b"content-type", b""), shown
    assert b"Traceback" not in sent, shown
    leads = answered.get(b"location", b"/").removeprefix(ORIGIN.encode())
    assert not re.match(rb"(?:https?:)?//|javascript:", leads), (answered, shown)
    assert b"x=1" not in answered.get(b"set-cookie", b""), shown
    for name, value in answered.items():
        assert not {10, 13, 0} & {*name, *value}, (name, value, shown)


def _away(sent: bytes) -> bool:
    """Whether a page says that the daemon it must ask does not answer, for there is none."""
    return b"ctid run" in sent or b"routing" in sent


def _key(drawn: Drawn) -> str:
    return drawn.pick(IDS) if drawn.whole(3) else _word(drawn)


def _word(drawn: Drawn) -> str:
    return drawn.text(60) if drawn.whole(7) == 7 else drawn.pick(WORDS)


def _quoted(drawn: Drawn) -> str:
    return quote_plus(_word(drawn).encode("utf-8", "surrogateescape"))


async def _headers(site: _Site, drawn: Drawn, who: str) -> dict[bytes, bytes]:
    headers = {b"host": b"127.0.0.1:8080", b"origin": ORIGIN.encode(), b"x-form-token": b""}
    if who in site.tokens:
        headers[b"authorization"] = b"Bearer " + site.tokens[who].encode()
    elif who:
        session = await site.session(who)
        headers[b"cookie"] = b"ctid_session=" + session.encode()
        headers[b"x-form-token"] = _token(session).encode()
    for _ in range(max(0, drawn.whole(5) - 3)):
        headers[drawn.pick(HEADERS).encode()] = drawn.pick(VALUES).encode("latin-1")
    return headers


def _body(drawn: Drawn, names: tuple[str, ...], token: bytes) -> tuple[bytes, bytes]:
    """A form, mostly; or a list in a form, JSON, or anything at all."""
    fields = [(drawn.pick(names), _word(drawn)) for _ in range(drawn.whole(8))]
    match drawn.whole(7):
        case 6:
            parts = "".join(f'--b\r\ncontent-disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields)
            file = drawn.octets(300) or b"id,name\nC9,x\n"
            head = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
            whole = parts.encode("utf-8", "surrogateescape") + head + file + b"\r\n--b--\r\n"
            return b"multipart/form-data; boundary=b", whole
        case 7:
            return b"application/octet-stream", drawn.octets(400)
    said = "&".join(f"{name}={quote_plus(value.encode('utf-8', 'surrogateescape'))}" for name, value in fields)
    return b"application/x-www-form-urlencoded", f"{said}&form_token={token.decode('latin-1')}".encode()


async def _answer(
    site: _Site, method: str, path: str, query: bytes, headers: dict[bytes, bytes], body: bytes
) -> tuple[int, dict[bytes, bytes], bytes]:
    given, status, answered, sent = False, 0, dict[bytes, bytes](), bytearray()

    async def receive() -> dict[str, Any]:
        nonlocal given
        if given:
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            answered.update(message["headers"])
        else:
            sent.extend(message.get("body", b""))

    await site.app(_scope("http", path, query, headers, method=method), receive, send)
    return status, answered, bytes(sent)


async def _socket(site: _Site, drawn: Drawn, who: str) -> None:
    """A screen's feed that hears what it does not listen to, and goes."""
    said: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    for _ in range(drawn.whole(4)):
        what: dict[str, Any] = {"text": _word(drawn)} if drawn.whole(1) else {"bytes": drawn.octets(50)}
        said.append({"type": "websocket.receive", **what})
    said.append({"type": "websocket.disconnect", "code": 1001})
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return said.pop(0) if len(said) > 1 else said[0]

    async def send(message: Any) -> None:
        sent.append(message)

    headers = await _headers(site, drawn, who)
    query = f"agent={_quoted(drawn)}".encode() if drawn.whole(3) else b""
    await site.app(_scope("websocket", "/live", query, headers), receive, send)
    assert not who or sent, "a socket was not answered"


def _scope(kind: str, path: str, query: bytes, headers: dict[bytes, bytes], **more: str) -> dict[str, Any]:
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": unquote(path, errors="replace"),
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(name, value) for name, value in headers.items() if value],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8080),
        **more,
    }
