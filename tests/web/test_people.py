"""Users, the roster, one's own settings and the audit: what each page changes, refuses and writes down."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import Connection

from ctid.db.audits import Actor, note
from ctid.db.session import write
from ctid.db.users import Role, User
from tests.web.conftest import Web, form_token, sign_in
from tests.web.site import HOSTILE, PASSWORD


@pytest.fixture
async def root(ready: Web) -> httpx.AsyncClient:
    await ready.room.users.create("root", PASSWORD, Role.ADMINISTRATOR, at=ready.seeded.now)
    return await ready.signed_in("root")


async def send(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    token = form_token((await client.get("/me")).text)
    return await client.post(path, data={"form_token": token, **fields})


async def user(web: Web, name: str) -> User:
    return await web.room.users.named(name)


async def done(web: Web) -> list[tuple[str, str | None, str | None]]:
    """What the audit has of changes: action, by whom, of what, the newest first."""
    deeds = await web.room.audits.deeds(limit=50)
    return [(one.action, one.user_name, one.subject) for one in deeds if not one.action.startswith("sign_in")]


# -- users


async def test_a_user_who_was_added_signs_in_with_the_first_password(ready: Web, root: httpx.AsyncClient) -> None:
    fields = {"name": "Ada", "role": "agent", "agent": "9", "password": "first password", "again": "first password"}
    answer = await send(root, "/users/new", **fields)
    assert answer.status_code == 303
    assert "The user is added." in (await root.get(answer.headers["location"])).text
    assert (await sign_in(ready.client(), "ada", "first password")).status_code == 303
    made = await user(ready, "ada")
    assert (made.role, made.agent_id) == (Role.AGENT, "9")
    assert (await done(ready))[0] == ("user_added", "root", "ada")
    assert ">ada</a>" in (await root.get("/users")).text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "boss"}, "There is a user of this name."),
        ({"name": "two words"}, "one word, without spaces"),
        ({"name": ""}, "This must be filled in."),
        ({"role": "agent"}, "needs the agent whose desk it is"),
        ({"role": "king"}, "Choose one of those offered."),
        ({"agent": "nobody"}, "There is no such agent."),
        ({"password": "short", "again": "short"}, "at least 8 characters"),
        ({"again": "another password"}, "The two are not the same."),
    ],
)
async def test_what_cannot_be_a_user_is_said_beside_the_field(
    ready: Web, root: httpx.AsyncClient, fields: dict[str, str], said: str
) -> None:
    good = {"name": "ada", "role": "supervisor", "password": "first password", "again": "first password"}
    answer = await send(root, "/users/new", **(good | fields))
    assert answer.status_code == 422
    assert said in answer.text
    assert "first password" not in answer.text
    assert "ada" not in [one.name for one in await ready.room.users.all()]


async def test_a_role_is_changed_from_what_the_form_showed_and_from_nothing_else(
    ready: Web, root: httpx.AsyncClient
) -> None:
    boss = await user(ready, "boss")
    stale = await send(root, f"/users/{boss.id}", role="administrator", version="agent 7")
    assert stale.status_code == 422
    assert "Somebody else changed this user meanwhile" in stale.text
    assert (await send(root, f"/users/{boss.id}", role="administrator", version="supervisor ")).status_code == 303
    assert (await user(ready, "boss")).role is Role.ADMINISTRATOR
    assert (await ready.room.audits.deeds(limit=1))[0].changes == {"role": ("supervisor", "administrator")}
    page = (await root.get("/audit?action=user_changed")).text
    assert "Role: Supervisor → Administrator" in page


async def test_nobody_lowers_locks_or_resets_themselves_here(ready: Web, root: httpx.AsyncClient) -> None:
    me = await user(ready, "root")
    for path, fields in (
        ("", {"role": "supervisor", "version": "administrator "}),
        ("/lock", {"disabled": "1"}),
        ("/password", {"password": "another password", "again": "another password"}),
    ):
        assert (await send(root, f"/users/{me.id}{path}", **fields)).status_code == 422, path
    assert await user(ready, "root") == me
    assert (await root.get("/users")).status_code == 200


async def test_a_locked_user_is_out_at_once_and_may_be_let_in_again(ready: Web, root: httpx.AsyncClient) -> None:
    client, key = await ready.signed_in("liwei"), (await user(ready, "liwei")).id
    assert (await send(root, f"/users/{key}/lock", disabled="1")).status_code == 303
    assert (await client.get("/")).status_code == 303
    assert (await sign_in(ready.client(), "liwei", PASSWORD)).status_code == 401
    assert (await send(root, f"/users/{key}/lock", disabled="0")).status_code == 303
    again = await ready.signed_in("liwei")
    assert (await send(root, f"/users/{key}/sessions")).status_code == 303
    assert (await again.get("/")).status_code == 303
    assert [action for action, *_ in await done(ready)][:3] == ["sessions_ended", "user_enabled", "user_disabled"]


async def test_users_that_are_not_there_are_said_so(ready: Web, root: httpx.AsyncClient) -> None:
    for key in ("999", "0", "99999999999999999999"):
        assert (await root.get(f"/users/{key}")).status_code == 404, key


# -- one's own settings


async def test_language_and_theme_are_kept_with_the_user_and_in_the_browser(ready: Web) -> None:
    client = await ready.signed_in("liwei")
    answer = await send(client, "/me", language="zh-Hans", theme="dark")
    assert answer.status_code == 303
    page = (await client.get("/me?done=taste")).text
    assert '<html lang="zh-Hans" data-bs-theme="dark">' in page
    assert "设置已保存。" in page
    await send(client, "/sign-out")
    assert '<html lang="zh-Hans" data-bs-theme="dark">' in (await client.get("/sign-in")).text
    elsewhere = await ready.signed_in("liwei")
    assert '<html lang="zh-Hans" data-bs-theme="dark">' in (await elsewhere.get("/")).text
    assert (await send(elsewhere, "/me", language="tlh", theme="pink")).status_code == 422


async def test_a_stranger_chooses_the_language_and_goes_on_where_they_were(ready: Web) -> None:
    client = ready.client()
    token = form_token((await client.get("/sign-in?next=%2Ftickets")).text)
    fields = {"form_token": token, "language": "zh-Hans", "next": "/sign-in?next=%2Ftickets"}
    answer = await client.post("/language", data=fields)
    assert answer.headers["location"] == "/sign-in?next=%2Ftickets"
    assert "登录" in (await client.get(answer.headers["location"])).text
    away = await client.post("/language", data=fields | {"next": "https://evil.example/"})
    assert away.headers["location"] == "/"
    assert (await client.post("/language", data=fields | {"language": "x"})).status_code == 422


async def test_a_new_password_wants_the_old_one_and_ends_the_other_sessions(ready: Web) -> None:
    here, there = await ready.signed_in("liwei"), await ready.signed_in("liwei")
    new = {"new": "another password", "again": "another password"}
    wrong = await send(here, "/me/password", old="not it at all", **new)
    assert wrong.status_code == 422
    assert "This is not your password." in wrong.text
    assert (await send(here, "/me/password", old=PASSWORD, **new)).status_code == 303
    assert (await here.get("/me")).status_code == 200
    assert (await there.get("/me")).status_code == 303
    assert (await sign_in(ready.client(), "liwei", "another password")).status_code == 303
    assert ("password_changed", "liwei", "liwei") in await done(ready)


async def test_guessing_the_old_password_is_stopped_like_a_sign_in(ready: Web) -> None:
    client = await ready.signed_in("liwei")
    new = {"new": "another password", "again": "another password"}
    said = [(await send(client, "/me/password", old=f"wrong {n}", **new)).text for n in range(11)]
    assert "This is not your password." in said[9]
    assert "Too many wrong passwords." in said[10]
    assert "Too many wrong passwords." in (await send(client, "/me/password", old=PASSWORD, **new)).text


async def test_own_sessions_are_listed_and_ended_and_nobody_elses(ready: Web) -> None:
    here, there = await ready.signed_in("liwei"), await ready.signed_in("liwei")
    other = await ready.signed_in("zhang")
    now = ready.seeded.now
    of = ready.room.users
    (strange,) = await of.sessions(await user(ready, "zhang"), at=now)
    await send(here, "/me/sessions", key=strange.key)
    assert (await other.get("/me")).status_code == 200
    keys = [one.key for one in await of.sessions(await user(ready, "liwei"), at=now)]
    page = (await here.get("/me")).text
    (foreign,) = [key for key in keys if f'value="{key}"' in page]
    await send(here, "/me/sessions", key=foreign)
    assert (await there.get("/me")).status_code == 303
    assert (await here.get("/me")).status_code == 200


async def test_an_own_token_is_shown_once_works_and_is_revoked(ready: Web) -> None:
    client = await ready.signed_in("liwei")
    made = (await send(client, "/me/tokens", name="wall board")).text
    token = made.split('id="made" value="')[1].split('"')[0]
    assert token not in (await client.get("/me")).text
    bearer = {"authorization": f"Bearer {token}"}
    assert (await ready.client().get("/api/v1/agents", headers=bearer)).status_code == 200
    assert (await send(client, "/me/tokens", name="wall board")).status_code == 422
    assert (await send(client, "/me/tokens/revoke", name="test")).status_code == 404  # boss has one of that name
    assert (await send(client, "/me/tokens/revoke", name="wall board")).status_code == 303
    assert (await ready.client().get("/api/v1/agents", headers=bearer)).status_code == 401


# -- the roster

FORM = {"name": "Li Wei", "level": "3", "phone": "PJSIP/desk7", "code": "77", "email": "li@example.com", "enabled": "1"}


async def test_an_agent_is_changed_whole_and_lines_are_those_of_the_configuration(ready: Web) -> None:
    boss = await ready.signed_in("boss")
    before = await ready.room.roster.one("7")
    answer = await send(boss, "/roster/7", version=before.version, pin="4711", **FORM, **{"line-none of ours": "1"})
    assert answer.status_code == 303, answer.text
    now = await ready.room.roster.one("7")
    assert now == replace(before, level=3, phone="desk7", code="77", email="li@example.com", has_pin=True)
    assert await ready.room.agents.check_pin("7", "4711")
    page = (await boss.get("/roster/7")).text
    assert "4711" not in page
    assert "4711" not in (await boss.get("/audit?subject=7")).text


async def test_a_form_that_is_older_than_the_agent_says_what_is_now_and_loses_nothing(ready: Web) -> None:
    boss = await ready.signed_in("boss")
    seen = await ready.room.roster.one("7")
    other = Actor(at=ready.seeded.now, user_name="root")
    await ready.room.roster.change(replace(seen, name="Li Wei (night)"), pin=None, seen=seen.version, by=other)
    answer = await send(boss, "/roster/7", version=seen.version, **(FORM | {"name": "Li Wei (day)"}))
    assert answer.status_code == 409
    assert "Somebody else changed this agent meanwhile" in answer.text
    assert "Li Wei (night)" in answer.text
    assert 'value="Li Wei (day)"' in answer.text
    assert (await ready.room.roster.one("7")).name == "Li Wei (night)"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "This must be filled in."),
        ({"level": "4"}, "whole number from 1 to 3"),
        ({"phone": "a,b"}, "name of an endpoint"),
        ({"code": "12a"}, "1 to 16 digits"),
        ({"pin": "12"}, "4 to 16 digits"),
        ({"email": "nobody"}, "This is no e-mail address."),
        ({"name": "x" * 201}, "Too long by 1 character"),
    ],
)
async def test_what_cannot_be_an_agent_is_said_beside_the_field(ready: Web, fields: dict[str, str], said: str) -> None:
    boss, before = await ready.signed_in("boss"), await ready.room.roster.one("7")
    answer = await send(boss, "/roster/7", version=before.version, **(FORM | fields))
    assert answer.status_code == 422
    assert said in answer.text
    assert await ready.room.roster.one("7") == before


async def test_a_new_agent_has_an_id_and_a_code_of_their_own(ready: Web) -> None:
    boss = await ready.signed_in("boss")
    assert "There is an agent of this id." in (await send(boss, "/roster/new", id="7", **FORM)).text
    assert "Letters, digits and" in (await send(boss, "/roster/new", id="a b", **FORM)).text
    assert (await send(boss, "/roster/new", id="12", **FORM)).status_code == 303
    assert "This is the code of the agent 12." in (await send(boss, "/roster/new", id="13", **FORM)).text
    assert (await done(ready))[0] == ("agent_added", "boss", "12")


# -- the audit


async def test_the_audit_is_filtered_paged_and_taken_along_as_a_file(ready: Web) -> None:
    now, audits = ready.seeded.now, ready.room.audits
    await audits.add("listen", HOSTILE, Actor(at=now, user_name="=cmd()", address="10.0.0.9"))

    def many(connection: Connection) -> None:
        for number in range(560):
            note(connection, "listen", f"r{number}", Actor(at=now - number // 2, user_name="liwei"))

    await write(ready.room.engine, many)
    boss = await ready.signed_in("boss")
    first = (await boss.get("/audit?user=liwei")).text
    assert first.count(">Listened</td>") == 50
    older = first.split('href="/audit?user=liwei&amp;after=')[1].split('"')[0]
    assert (await boss.get(f"/audit?user=liwei&after={older}")).text.count(">Listened</td>") == 50
    assert "Nothing fits" in (await boss.get("/audit?day=2001-01-01")).text
    assert (await boss.get("/audit?subject=r7")).text.count(">Listened</td>") == 1
    assert (await boss.get("/audit?day=never")).status_code == 400
    assert (await boss.get("/audit?after=rubbish")).status_code == 422
    file = await boss.get("/audit.csv?action=listen")
    assert file.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    rows = list(csv.reader(io.StringIO(file.text.removeprefix("\ufeff"))))
    assert sorted(row[3] for row in rows[1:]) == sorted([HOSTILE, *(f"r{number}" for number in range(560))])
    assert ["'=cmd()", "listen", HOSTILE] in [row[1:4] for row in rows]
