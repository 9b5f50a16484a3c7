"""Who may open what: every address of the application, asked by nobody and by each role.

A new route without a line in ``ANSWERS`` fails here: say who may.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from ctid.db.users import Role
from tests.web.conftest import Web, form_token
from tests.web.site import PASSWORD

OPEN = (200, 200, 200, 200)
#: Nobody is sent to the sign-in; whoever has signed in reads it.
EVERYBODY = (303, 200, 200, 200)
SUPERVISORS = (303, 403, 200, 200)
ADMINISTRATORS = (303, 403, 403, 200)
PROGRAMS = (401, 401, 401, 401)  # by tokens alone; what a token may is tested with the API

#: By path: the path asked, and what nobody, an agent (7), a supervisor and an administrator are answered.
GETS: dict[str, tuple[str, tuple[int, int, int, int]]] = {
    "/healthz": ("/healthz", OPEN),
    "/readyz": ("/readyz", OPEN),
    "/sign-in": ("/sign-in", (200, 303, 303, 303)),
    "/": ("/", EVERYBODY),
    "/calls/{call_id}": ("/calls/1795000000.7", EVERYBODY),
    "/calls/{pbx}/{call_id}": ("/calls/pbx/1795000000.7", EVERYBODY),
    "/callbacks": ("/callbacks", EVERYBODY),
    "/tickets": ("/tickets", EVERYBODY),
    "/tickets/{ticket_id}": ("/tickets/T12", EVERYBODY),
    "/recordings/{recording_id}/audio": ("/recordings/pbx-call-1/audio", EVERYBODY),
    "/agents": ("/agents", SUPERVISORS),
    "/waiting": ("/waiting", SUPERVISORS),
    "/agents/{agent_id}": ("/agents/8", SUPERVISORS),
    "/recordings/{recording_id}/peaks": ("/recordings/pbx-call-1/peaks", EVERYBODY),
    "/contacts/quick": ("/contacts/quick", EVERYBODY),
    "/contacts/suggest": ("/contacts/suggest", EVERYBODY),
    "/customers/suggest": ("/customers/suggest", EVERYBODY),
    "/agents/{agent_id}/home": ("/agents/8/home", SUPERVISORS),
    "/agents/{agent_id}/lists": ("/agents/8/lists", SUPERVISORS),
    "/contacts/new": ("/contacts/new", EVERYBODY),
    "/contacts/{contact_id}": ("/contacts/P1", EVERYBODY),
    "/contacts/{contact_id}/edit": ("/contacts/P1/edit", EVERYBODY),
    "/contacts/{contact_id}/move": ("/contacts/P1/move", EVERYBODY),
    "/contacts/{contact_id}/erase": ("/contacts/P1/erase", ADMINISTRATORS),
    "/erasures": ("/erasures", ADMINISTRATORS),
    "/erasures/{number}": ("/erasures/1", (303, 403, 403, 404)),
    "/erasures/{number}/report": ("/erasures/1/report", (303, 403, 403, 404)),
    "/customers": ("/customers", EVERYBODY),
    "/customers/new": ("/customers/new", EVERYBODY),
    "/customers/{customer_id}": ("/customers/C1", EVERYBODY),
    "/customers/{customer_id}/edit": ("/customers/C1/edit", EVERYBODY),
    "/customers/{customer_id}/keeping": ("/customers/C1/keeping", SUPERVISORS),
    "/holds": ("/holds", SUPERVISORS),
    "/holds.csv": ("/holds.csv", SUPERVISORS),
    "/desk": ("/desk", (303, 200, 303, 303)),
    "/desk/tickets": ("/desk/tickets", (303, 200, 403, 403)),
    "/duplicates": ("/duplicates", SUPERVISORS),
    "/search": ("/search", EVERYBODY),
    "/search/suggest": ("/search/suggest", EVERYBODY),
    "/tickets.csv": ("/tickets.csv", EVERYBODY),
    "/today": ("/today", EVERYBODY),
    "/today/figures": ("/today/figures", EVERYBODY),
    "/{files}/{key}/merge": ("/customers/C1/merge", SUPERVISORS),
    "/calls/{pbx}/{call_id}/disposition": ("/calls/pbx/1795000000.7/disposition", EVERYBODY),
    "/tickets/new": ("/tickets/new", EVERYBODY),
    "/tickets/{ticket_id}/edit": ("/tickets/T12/edit", EVERYBODY),
    "/tickets/{ticket_id}/write": ("/tickets/T12/write", EVERYBODY),
    "/customers.csv": ("/customers.csv", SUPERVISORS),
    "/contacts.csv": ("/contacts.csv", SUPERVISORS),
    "/{kind}/import": ("/customers/import", SUPERVISORS),
    "/me": ("/me", EVERYBODY),
    "/roster": ("/roster", SUPERVISORS),
    "/roster/new": ("/roster/new", SUPERVISORS),
    "/roster/{agent_id}": ("/roster/7", SUPERVISORS),
    "/audit": ("/audit", SUPERVISORS),
    "/audit.csv": ("/audit.csv", SUPERVISORS),
    "/users": ("/users", ADMINISTRATORS),
    "/users/new": ("/users/new", ADMINISTRATORS),
    "/users/{user_id}": ("/users/1", ADMINISTRATORS),
}

#: A form with nothing in it but its token: what each role is answered. 422 and 303 are let in, 403 and 404 are not.
POSTS: dict[str, tuple[str, tuple[int, int, int, int]]] = {
    "/sign-in": ("/sign-in", (401, 401, 401, 401)),
    "/language": ("/language", (422, 422, 422, 422)),
    "/contacts/quick": ("/contacts/quick", (303, 422, 422, 422)),
    "/contacts/new": ("/contacts/new", (303, 422, 422, 422)),
    "/contacts/{contact_id}/edit": ("/contacts/P1/edit", (303, 422, 422, 422)),
    "/contacts/{contact_id}/move": ("/contacts/P1/move", (303, 422, 422, 422)),
    "/contacts/{contact_id}/erase": ("/contacts/P1/erase", (303, 403, 403, 422)),
    "/erasures/{number}/withdraw": ("/erasures/9/withdraw", (303, 403, 403, 404)),
    "/contacts/{contact_id}/numbers": ("/contacts/P1/numbers", (303, 422, 422, 422)),
    "/customers/new": ("/customers/new", (303, 422, 422, 422)),
    "/customers/{customer_id}/edit": ("/customers/C1/edit", (303, 422, 422, 422)),
    "/customers/{customer_id}/visits": ("/customers/C1/visits", (303, 422, 422, 422)),
    "/customers/{customer_id}/hold": ("/customers/C1/hold", (303, 403, 422, 422)),
    "/customers/{customer_id}/retention": ("/customers/C1/retention", (303, 403, 422, 422)),
    "/customers/{customer_id}/won": ("/customers/C1/won", (303, 303, 303, 303)),
    "/waiting": ("/waiting", (303, 403, 422, 422)),
    "/desk/command": ("/desk/command", (303, 422, 403, 403)),
    "/desk/missed": ("/desk/missed", (303, 404, 403, 403)),
    "/duplicates/apart": ("/duplicates/apart", (303, 403, 422, 422)),
    "/{files}/{key}/merge": ("/customers/C1/merge", (303, 403, 404, 404)),
    "/calls/{pbx}/{call_id}/disposition": ("/calls/pbx/1795000000.7/disposition", (303, 422, 422, 422)),
    "/tickets/new": ("/tickets/new", (303, 422, 422, 422)),
    "/tickets/{ticket_id}/edit": ("/tickets/T12/edit", (303, 422, 422, 422)),
    "/tickets/{ticket_id}/write": ("/tickets/T12/write", (303, 422, 422, 422)),
    "/tickets/{ticket_id}/{action}": ("/tickets/T12/take", (303, 422, 422, 422)),
    "/{kind}/import": ("/customers/import", (303, 403, 422, 422)),
    "/{kind}/import/confirm": ("/customers/import/confirm", (303, 403, 409, 409)),
    "/me": ("/me", (303, 303, 303, 303)),
    "/me/password": ("/me/password", (303, 422, 422, 422)),
    "/me/sessions": ("/me/sessions", (303, 303, 303, 303)),
    "/me/tokens": ("/me/tokens", (303, 422, 422, 422)),
    "/me/tokens/revoke": ("/me/tokens/revoke", (303, 404, 404, 404)),
    "/roster/new": ("/roster/new", (303, 403, 422, 422)),
    "/roster/{agent_id}": ("/roster/7", (303, 403, 422, 422)),
    "/users/new": ("/users/new", (303, 403, 403, 422)),
    "/users/{user_id}": ("/users/1", (303, 403, 403, 422)),
    "/users/{user_id}/password": ("/users/1/password", (303, 403, 403, 422)),
    "/users/{user_id}/lock": ("/users/1/lock", (303, 403, 403, 303)),
    "/users/{user_id}/failures": ("/users/1/failures", (303, 403, 403, 303)),
    "/users/{user_id}/sessions": ("/users/1/sessions", (303, 403, 403, 303)),
    "/sign-out": ("/sign-out", (303, 303, 303, 303)),
}


@pytest.fixture
async def readers(ready: Web) -> list[httpx.AsyncClient]:
    """Nobody, an agent, a supervisor, an administrator."""
    await ready.room.users.create("root", PASSWORD, Role.ADMINISTRATOR, at=ready.seeded.now)
    nobody = ready.client()
    await nobody.get("/sign-in")  # for the cookie that a form is bound to
    return [nobody, *[await ready.signed_in(name) for name in ("liwei", "boss", "root")]]


def every(routes: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    """The routes, those of included routers too."""
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif (included := getattr(route, "original_router", None)) is not None:
            yield from every(included.routes)


def paths(web: Web, method: str) -> set[str]:
    return {route.path for route in every(web.app.routes) if method in route.methods}


async def test_every_address_answers_each_role_as_the_table_says(ready: Web, readers: list[httpx.AsyncClient]) -> None:
    assert {path for path in paths(ready, "GET") if not path.startswith("/api/")} == GETS.keys()
    wrong = {
        path: answered
        for path, (asked, wanted) in GETS.items()
        if (answered := tuple([(await reader.get(asked)).status_code for reader in readers])) != wanted
    }
    assert not wrong


async def test_every_address_for_programs_wants_a_token_and_takes_no_cookie(
    ready: Web, readers: list[httpx.AsyncClient]
) -> None:
    asking = {path for path in paths(ready, "GET") if path.startswith("/api/v1/")}
    assert asking
    for path in asking:
        asked = path.replace("{", "").replace("}", "")
        assert tuple([(await reader.get(asked)).status_code for reader in readers]) == PROGRAMS, path


async def test_every_form_answers_each_role_as_the_table_says(ready: Web, readers: list[httpx.AsyncClient]) -> None:
    assert paths(ready, "POST") == POSTS.keys()
    tokens = [form_token((await reader.get("/me", follow_redirects=True)).text) for reader in readers]
    wrong = {}
    for path, (asked, wanted) in POSTS.items():
        answered = [
            (await reader.post(asked, data={"form_token": token})).status_code
            for reader, token in zip(readers, tokens, strict=True)
        ]
        if tuple(answered) != wanted:
            wrong[path] = tuple(answered)
    assert not wrong


async def test_no_form_is_taken_without_its_token_or_from_another_site(
    ready: Web, readers: list[httpx.AsyncClient]
) -> None:
    reader = readers[-1]
    token = form_token((await reader.get("/me")).text)
    for asked, _ in POSTS.values():
        assert (await reader.post(asked, data={})).status_code == 403, asked
        assert (await reader.post(asked, data={"form_token": "0" * 64})).status_code == 403, asked
        for origin in ("http://evil.example", "null", ""):
            answer = await reader.post(asked, data={"form_token": token}, headers={"origin": origin})
            assert answer.status_code == 403, (asked, origin)
    assert (await reader.get("/me")).status_code == 200  # and nothing was done: not even signed out
    other = form_token((await readers[-2].get("/me")).text)
    assert (await reader.post("/sign-out", data={"form_token": other})).status_code == 403  # another's token is none


async def test_only_reading_and_forms_are_there(ready: Web) -> None:
    methods = {method for route in every(ready.app.routes) for method in route.methods}
    assert methods == {"GET", "HEAD", "POST"}
