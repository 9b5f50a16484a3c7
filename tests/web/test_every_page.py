"""Every page there is, whoever added it: hostile text stays text, the browser is bound, no folder of the disk is told.

The pages are found, not listed: each route that is read, each with the ids there are, and what its links lead to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from html.parser import HTMLParser
from itertools import product
from urllib.parse import quote, urljoin, urlsplit

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import insert, select, update

from ctid.db import session
from ctid.db.tables import (
    Text,
    call_notes,
    contacts,
    customers,
    metadata,
    posts,
    site_visits,
    ticket_steps,
    tickets,
    users,
)
from ctid.db.users import Role, Users
from tests.web.conftest import Web
from tests.web.site import PASSWORD

#: Stands in for every id a route asks for.
IDS = ("1795000000.7", "T12", "P2", "C2", "evil", "1", "pbx-call-1")
#: A route with more than one id is tried with these alone.
FEW = ("pbx", "1795000000.7", "T12", "1")
#: Longer answers a browser on a desk would feel; with 10,000 emoji in every field of every row.
LARGEST_PAGE = 6_000_000
MARKUP = (
    "</textarea></script><hostile-tag onclick=alert(1)>\"><hostile-tag style='x'>'--><img src=hostile onerror=alert(1)>"
)
TEXTS = {
    "markup": MARKUP,
    "templates": "{{ 7 * 191 }}${7*191}<%= 7*191 %>{% for x in (1,) %}",
    "addresses": "javascript:alert(1)//hostile",
    "turned round": "\u202e\u2066drow\u200f\u2028\u2029\ufeff",
    "unstorable": "a\0b\ud800c\udfff\x1b[31m\x07\r\nset-cookie: x=1",
    "long": "😀" * 10_000,
}
#: What forbids a text of any kind, because the site is then another: names to sign in by, files, kinds.
SECRETS = ("2026/call-1", "2026%2Fcall-1", "outside.wav", "link.wav", ".venv", "Traceback")
KEPT = {"users.name", "audit.user_name", "agents.phone", "callbacks.called"}


class Page(HTMLParser):
    """What a browser would make of a page, and what it should not be asked to."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []
        self.links: set[str] = set()
        self._within: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._within = tag if tag in ("script", "style") else None
        if tag in ("style", "hostile-tag", "iframe", "object", "embed", "base") or given.get("src") == "hostile":
            self.wrong.append(f"<{tag}>")
        for name, value in given.items():
            if name == "style" or name.startswith(("on", "hx-on", "hx-vals", "hx-headers", "data-hx-on")):
                self.wrong.append(f"<{tag} {name}>")
            if name in ("href", "src", "action", "formaction", "hx-get", "hx-post", "data-peaks") and not re.match(
                r"(/(?![/\\])|[?#]|mailto:|tel:|https?://|$)", value, re.IGNORECASE
            ):
                self.wrong.append(f"<{tag} {name}={value[:60]}>")
        if tag == "script" and not given.get("src", "").startswith("/static/"):
            self.wrong.append("a script that is not of this site")
        self.links |= {given[name] for name in ("href", "hx-get") if given.get(name, "").startswith(("/", "?"))}

    def handle_data(self, data: str) -> None:
        if self._within is not None and data.strip():
            self.wrong.append(f"inline <{self._within}>")

    def handle_endtag(self, tag: str) -> None:
        self._within = None


def addresses(web: Web) -> list[str]:
    """Every address that can be read, but for files and the feed."""
    found: list[str] = []
    for route in _routes(web.app.routes):
        if "GET" not in (route.methods or ()):
            continue
        names = re.findall(r"{(\w+)(?::\w+)?}", route.path)
        for values in product(IDS if len(names) < 2 else FEW, repeat=len(names)):
            path = route.path
            for name, value in zip(names, values, strict=True):
                path = re.sub(rf"{{{name}(:\w+)?}}", quote(value), path)
            found.append(path)
    return found


def _routes(routes: Iterable[object]) -> Iterable[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        yield from _routes(getattr(getattr(route, "original_router", None), "routes", ()))


async def hostile(web: Web, text: str) -> None:
    """Put the text wherever the tables take one."""
    async with session.writing(web.room.engine) as connection:
        for table in metadata.sorted_tables:
            fields = {
                column.name: text
                for column in table.columns
                if isinstance(column.type, Text)
                and not column.primary_key
                and not column.unique
                and f"{table.name}.{column.name}" not in KEPT
            }
            if fields:
                await connection.execute(update(table).values(fields))
        since = session.instant(web.seeded.now - 50)
        await connection.execute(update(customers).values(held_since=since))  # there is no hold without a beginning


async def fill(web: Web) -> None:
    """Rows where the site has none, so that their texts are shown, too."""
    at = session.instant(web.seeded.now - 50)
    async with session.writing(web.room.engine) as connection:
        await connection.execute(insert(posts), [{"contact_id": "P1", "customer_id": "C2", "title": "x", "since": at}])
        await connection.execute(
            insert(ticket_steps), [{"ticket_id": t, "at": at, "kind": "changed", "agent": "7"} for t in ("T3", "T12")]
        )
        await connection.execute(
            insert(site_visits), [{"customer_id": "C1", "kind": "installed", "at": at, "person": "x", "notes": "x"}]
        )
        await connection.execute(
            insert(call_notes), [{"pbx": "pbx", "call_id": "1795000000.7", "disposition": "x", "notes": "x", "at": at}]
        )
        await connection.execute(update(tickets).values(customer_id="C2", contact_id="P2"))
        await connection.execute(update(contacts).where(contacts.c.id == "P1").values(email="a@b.example", notes="x"))


async def walked(client: httpx.AsyncClient, first: list[str], *, most: int = 250) -> dict[str, httpx.Response]:
    """The answers of all these addresses and of those their pages link to."""
    answers: dict[str, httpx.Response] = {}
    alike: Counter[str] = Counter()
    ahead = list(dict.fromkeys(first))
    while ahead and len(answers) < most:
        path = ahead.pop(0)
        kind = _kind(path)
        if path in answers or path.startswith("/static/") or (path not in first and alike[kind] >= 3):
            continue
        alike[kind] += 1
        answer = answers[path] = await client.get(path)
        if "html" in answer.headers.get("content-type", ""):
            links = sorted(Page(answer.text).links)
            inside = (urlsplit(urljoin(f"http://site{path}", link)) for link in links[:100])
            ahead += [link.path + (f"?{link.query}" if link.query else "") for link in inside]
    return answers


def _kind(path: str) -> str:
    """What addresses of one page have in common: all but the ids and the question."""
    return re.sub(r"/[^/]*\d[^/]*|/evil", "/…", path.partition("?")[0])


def _fullest(answers: dict[str, httpx.Response]) -> list[str]:
    """Of each kind of page the address that shows most."""
    best: dict[str, str] = {}
    for path, answer in answers.items():
        kept = best.get(_kind(path))
        if answer.status_code == 200 and (kept is None or len(answers[kept].content) < len(answer.content)):
            best[_kind(path)] = path
    return list(best.values())


@pytest.fixture
async def boss(web: Web) -> httpx.AsyncClient:
    """Who may see everything."""
    await Users(web.room.engine).create("admin", PASSWORD, Role.ADMINISTRATOR, at=web.seeded.now)
    await fill(web)
    return await web.signed_in("admin")


async def test_hostile_text_stays_text_on_every_page_and_no_page_grows_past_bounds(
    web: Web, boss: httpx.AsyncClient
) -> None:
    first = addresses(web)
    wrong: list[str] = []
    for kind, text in TEXTS.items():
        await hostile(web, text)
        if kind == "markup":
            answers = await walked(boss, first)
            first = _fullest(answers)
            assert len(first) > 15
        else:
            answers = {path: await boss.get(path) for path in first}
        for path, answer in answers.items():
            if answer.status_code >= 500 and path != "/readyz":
                wrong.append(f"{kind}: {path}: {answer.status_code}")
            if len(answer.content) > LARGEST_PAGE:
                wrong.append(f"{kind}: {path}: {len(answer.content)} bytes")
            if "x=1" in answer.headers.get("set-cookie", ""):
                wrong.append(f"{kind}: {path}: a header")
            if "html" in answer.headers.get("content-type", ""):
                wrong += [f"{kind}: {path}: {what}" for what in Page(answer.text).wrong]
                wrong += [f"{kind}: {path}: ran"] * ("1337" in answer.text)
    assert not wrong, "\n".join(dict.fromkeys(wrong))


async def test_an_agent_meets_the_same_pages_and_none_of_them_fails(web: Web, boss: httpx.AsyncClient) -> None:
    await hostile(web, MARKUP)
    answers = await walked(await web.signed_in("liwei"), addresses(web))
    assert not [path for path, answer in answers.items() if answer.status_code >= 500 and path != "/readyz"]
    shown = {path: answer for path, answer in answers.items() if "html" in answer.headers.get("content-type", "")}
    assert not [path for path, answer in shown.items() if Page(answer.text).wrong]


async def test_no_answer_of_any_address_tells_where_anything_lies_on_the_disk(
    web: Web, boss: httpx.AsyncClient
) -> None:
    folder = str(web.room.settings.state.directory)
    told: list[str] = []
    programs = web.client()
    programs.headers["authorization"] = f"Bearer {web.seeded.token}"
    for client, first in (
        (boss, addresses(web)),
        (await web.signed_in("liwei"), addresses(web)),
        (programs, [path for path in addresses(web) if path.startswith("/api")]),
        (web.client(), addresses(web)),
    ):
        for path, answer in (await walked(client, first)).items():
            everything = answer.text + "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
            told += [f"{path}: {secret}" for secret in (folder, *SECRETS) if secret in everything]
    for method, path in product(
        ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"), ("/", "/recordings/x/audio", "/static/")
    ):
        answer = await boss.request(method, path)
        told += [f"{method} {path}"] * (folder in answer.text or answer.status_code >= 500)
    assert not told, "\n".join(told)


@pytest.mark.parametrize(
    "path",
    [
        "/%00",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/static//etc/passwd",
        "/static/%00",
        "/static/vendor",
        "/calls/%00",
        "/calls/%ff%fe",
        "/tickets/..%2f..%2fetc%2fpasswd",
        "/tickets/" + "x" * 4000,
        "/recordings/%2e%2e%2fx/audio",
        "//evil.example/",
        "/?after=%00",
        "/?day=" + "9" * 2000,
        "/?text=%ed%a0%80",
        "/?" + "&".join(f"a{n}=1" for n in range(1000)),
        "/sign-in?next=//evil.example",
        "/sign-in?next=javascript:alert(1)",
        "/sign-in?next=" + "x" * 5000,
    ],
)
async def test_an_address_that_plays_tricks_gets_a_page_and_nothing_else(
    web: Web, boss: httpx.AsyncClient, path: str
) -> None:
    for client in (boss, web.client()):
        answer = await client.get(path)
        assert answer.status_code < 500
        assert "root:" not in answer.text
        assert '"""' not in answer.text
        assert not re.match(r"(?:https?:)?//|javascript:", answer.headers.get("location", "/"))
        assert len(answer.content) < 200_000


async def test_a_session_somebody_else_chose_is_never_taken_on(web: Web) -> None:
    client = web.client()
    client.cookies.set("ctid_session", "chosen-by-a-stranger")
    page = await client.get("/sign-in")
    token = re.search(r'name="form_token" value="([0-9a-f]+)"', page.text)
    assert token
    await client.post("/sign-in", data={"name": "boss", "password": PASSWORD, "form_token": token[1]})
    kept = [cookie.value for cookie in client.cookies.jar if cookie.name == "ctid_session"]
    assert "chosen-by-a-stranger" not in [value for value in kept if value and len(value) > 30]
    stranger = web.client()
    stranger.cookies.set("ctid_session", "chosen-by-a-stranger")
    assert (await stranger.get("/")).status_code == 303


async def test_no_token_but_the_sessions_own_lets_a_form_through(web: Web, boss: httpx.AsyncClient) -> None:
    other = await web.signed_in("liwei")
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', (await other.get("/")).text)
    assert found
    for token in ("", "0" * 64, found[1], found[1][:-1], "\u202e" * 64):
        sent = await boss.post("/sign-out", data={"form_token": token})
        assert sent.status_code == 403, token
    async with session.reading(web.room.engine) as connection:
        assert (await connection.execute(select(users.c.id).where(users.c.name == "admin"))).scalar() is not None
    assert (await boss.get("/")).status_code == 200
