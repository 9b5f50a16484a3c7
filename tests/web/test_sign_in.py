"""Who gets in, and what keeps others out."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

from ctid.db.users import Role
from ctid.web.limits import (
    FAILURES_PER_ADDRESS,
    FAILURES_PER_USER,
    SIGN_INS,
    WINDOW_SECONDS,
    WRONG_TOKENS_PER_ADDRESS,
    Failures,
)
from tests.web.conftest import Web, form_token, sign_in
from tests.web.site import PASSWORD


async def test_a_page_asks_a_stranger_to_sign_in_and_then_shows_what_was_wanted(web: Web) -> None:
    client = web.client()
    asked = await client.get("/calls/1795000000.7?x=1")
    assert asked.status_code == 303
    assert asked.headers["location"] == "/sign-in?next=%2Fcalls%2F1795000000.7%3Fx%3D1"
    answer = await sign_in(client, "Boss", PASSWORD, next="/calls/1795000000.7")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/calls/1795000000.7"
    assert (await client.get("/calls/1795000000.7")).status_code == 200


async def test_a_wrong_password_and_an_unknown_name_read_the_same(web: Web) -> None:
    client = web.client()
    wrong = await sign_in(client, "boss", "not the password")
    unknown = await sign_in(client, "nobody", "not the password")
    assert wrong.status_code == unknown.status_code == 401
    assert "Name or password is wrong." in wrong.text
    assert "Name or password is wrong." in unknown.text
    assert (await web.rows("SELECT user_name FROM audit WHERE action = 'sign_in_refused' ORDER BY id")) == [
        ("boss",),
        ("nobody",),
    ]


async def test_a_sign_in_never_leads_to_another_site(web: Web) -> None:
    for elsewhere in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        answer = await sign_in(web.client(), "boss", PASSWORD, next=elsewhere)
        assert answer.headers["location"] == "/", elsewhere


async def test_a_form_from_another_site_is_refused(web: Web) -> None:
    client = web.client()
    token = form_token((await client.get("/sign-in")).text)
    data = {"name": "boss", "password": PASSWORD, "form_token": token}
    for origin in ("http://evil.example", "null", ""):
        answer = await client.post("/sign-in", data=data, headers={"origin": origin})
        assert answer.status_code == 403, origin
    del client.headers["origin"]
    assert (await client.post("/sign-in", data=data)).status_code == 403


async def test_a_form_without_its_token_is_refused(web: Web) -> None:
    client = await web.signed_in("boss")
    for data in ({}, {"form_token": "0" * 64}, {"form_token": "é"}):
        assert (await client.post("/sign-out", data=data)).status_code == 403
    assert (await client.get("/")).status_code == 200


async def test_signing_out_ends_the_session_on_the_server(web: Web) -> None:
    client = await web.signed_in("boss")
    kept = dict(client.cookies)
    token = form_token((await client.get("/")).text)
    assert (await client.post("/sign-out", data={"form_token": token})).status_code == 303
    assert (await web.client(cookies=kept).get("/")).status_code == 303


async def test_the_cookie_is_kept_from_scripts_and_other_sites(web: Web) -> None:
    answer = await sign_in(web.client(), "boss", PASSWORD)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie  # the site's own address is http


async def test_too_many_failures_stop_even_the_right_password(web: Web) -> None:
    for _ in range(FAILURES_PER_USER):
        web.room.failures.failed("boss", "10.0.0.1", time.time())
    answer = await sign_in(web.client(), "boss", PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert "Too many failed sign-ins" in answer.text
    assert (await sign_in(web.client(), "liwei", PASSWORD)).status_code == 303


async def test_an_administrator_sees_who_is_stopped_and_lets_them_try_again_and_the_audit_has_both(web: Web) -> None:
    await web.room.users.create("root", PASSWORD, Role.ADMINISTRATOR, at=web.seeded.now)
    stranger, root = web.client(), await web.signed_in("root")
    for _ in range(FAILURES_PER_USER):
        assert (await sign_in(stranger, "liwei", "not the password")).status_code == 401
    assert (await sign_in(stranger, "liwei", PASSWORD)).status_code == 429
    [[number]] = await web.rows("SELECT id FROM users WHERE name = 'liwei'")
    page = await root.get(f"/users/{number}")
    assert "Sign-ins stopped" in page.text
    answer = await root.post(f"/users/{number}/failures", data={"form_token": form_token(page.text)})
    assert answer.status_code == 303
    assert "Sign-ins stopped" not in (await root.get(f"/users/{number}")).text
    assert (await sign_in(web.client(), "liwei", PASSWORD)).status_code == 303
    rows = await web.rows(
        "SELECT action, subject FROM audit WHERE action IN ('sign_in_stopped', 'sign_in_allowed') ORDER BY id"
    )
    assert rows == [("sign_in_stopped", "liwei"), ("sign_in_allowed", "liwei")]


async def test_an_address_that_sends_wrong_tokens_is_told_to_wait_and_a_good_one_is_still_heard(web: Web) -> None:
    program = web.client()
    for number in range(WRONG_TOKENS_PER_ADDRESS):
        answer = await program.get("/api/v1/calls", headers={"authorization": f"Bearer wrong{number}"})
        assert answer.status_code == 401
    answer = await program.get("/api/v1/calls", headers={"authorization": "Bearer wrong"})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    good = await program.get("/api/v1/calls", headers={"authorization": f"Bearer {web.seeded.token}"})
    assert good.status_code == 200
    assert await web.rows("SELECT count(*) FROM audit WHERE action = 'tokens_stopped'") == [(1,)]


async def test_a_name_written_otherwise_buys_no_further_guesses(web: Web) -> None:
    client = web.client()
    spellings = ("boss", " boss", "boss ", "BOSS", "\u3000boss", "bo\x00ss", "\tboss", "boss\n", " Boss", "boss\u2003")
    assert len(spellings) == FAILURES_PER_USER
    for name in spellings:
        assert (await sign_in(client, name, "not the password")).status_code == 401
    assert (await sign_in(client, "boss  ", PASSWORD)).status_code == 429


def test_one_line_of_ipv6_is_one_address() -> None:
    failures = Failures()
    for number in range(FAILURES_PER_ADDRESS):
        failures.failed(f"user{number}", f"2001:db8:1:2::{number:x}", 1000.0)
    assert failures.wait_seconds("boss", "2001:db8:1:2:ffff::1", 1000.0) > 0
    assert failures.wait_seconds("boss", "2001:db8:1:3::1", 1000.0) == 0
    assert failures.wait_seconds("boss", "::ffff:192.0.2.1", 1000.0) == 0


async def test_past_a_bound_of_passwords_that_are_checked_the_next_is_told_to_come_back(web: Web) -> None:
    async with AsyncExitStack() as busy:
        for _ in range(SIGN_INS):
            await busy.enter_async_context(web.room.sign_ins)
        answer = await sign_in(web.client(), "boss", PASSWORD)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
    assert (await sign_in(web.client(), "boss", PASSWORD)).status_code == 303


def test_failures_are_forgotten_after_their_time_and_a_success_clears_the_users() -> None:
    failures = Failures()
    for _ in range(FAILURES_PER_USER):
        failures.failed("boss", "a", 1000.0)
    assert failures.wait_seconds("boss", "b", 1000.0) == WINDOW_SECONDS
    assert failures.wait_seconds("boss", "b", 1000.0 + WINDOW_SECONDS) == 0
    failures.succeeded("boss", "a")
    assert failures.wait_seconds("boss", "b", 1000.0) == 0


def test_an_address_that_tries_many_names_is_stopped_for_all_of_them() -> None:
    failures = Failures()
    for number in range(FAILURES_PER_ADDRESS):
        failures.failed(f"user{number}", "a", 1000.0)
    assert failures.wait_seconds("boss", "a", 1000.0) > 0
    assert failures.wait_seconds("boss", "b", 1000.0) == 0


async def test_a_disabled_user_is_out_at_once(web: Web) -> None:
    client = await web.signed_in("liwei")
    await web.room.users.set_disabled("liwei", disabled=True)
    assert (await client.get("/")).status_code == 303
    assert (await sign_in(web.client(), "liwei", PASSWORD)).status_code == 401
