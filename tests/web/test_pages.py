"""What the pages show, and to whom."""

from __future__ import annotations

from dataclasses import replace
from html import escape

import pytest
from sqlalchemy import delete

from ctid.db import session
from ctid.db.books import Mark
from ctid.db.tables import callbacks
from ctid.web import cursors
from tests.web.conftest import Web
from tests.web.site import HOSTILE, LONG


async def test_todays_calls_are_listed_with_who_called_whom_and_what_became_of_it(web: Web) -> None:
    page = (await (await web.signed_in("boss")).get("/")).text
    for shown in ("陈小明", "华东精密机械有限公司", "+8613800138000", "support", "Li Wei", "Answered", "0:12", "0:08"):
        assert shown in page, shown
    assert "Abandoned" in page
    assert "Under way" in page


async def test_calls_are_filtered_by_outcome_agent_and_text(web: Web) -> None:
    client = await web.signed_in("boss")
    for query, there, gone in (
        ("outcome=abandoned", "1795000000.1", "1795000000.7"),
        ("outcome=live", "1795000000.2", "1795000000.7"),
        ("agent=9", "1795000000.7", "1795000000.1"),  # rung, though another answered
        ("text=小明", "1795000000.7", "1795000000.1"),
        ("text=38001", "1795000000.7", "1795000000.3"),
    ):
        page = (await client.get(f"/?{query}")).text
        assert f"/calls/{there}" in page, query
        assert f"/calls/{gone}" not in page, query
    assert "No call fits" in (await client.get("/?text=100%25")).text
    assert "There was none on this day." in (await client.get("/?day=2001-01-01")).text


async def test_the_polled_table_comes_without_the_page_around_it(web: Web) -> None:
    client = await web.signed_in("boss")
    part = (await client.get("/", headers={"hx-request": "true"})).text
    assert "<html" not in part
    assert "陈小明" in part


async def test_a_page_that_polls_after_the_session_ended_is_sent_to_sign_in(web: Web) -> None:
    answer = await web.client().get("/", headers={"hx-request": "true"})
    assert answer.status_code == 204
    assert answer.headers["hx-redirect"] == "/sign-in"


async def test_a_call_tells_its_story_in_words(web: Web) -> None:
    page = (await (await web.signed_in("boss")).get("/calls/1795000000.7")).text
    for sentence in (
        "Zhang San, who owns ticket T12, was talking. Least talk for the time signed in today: Wang Wu 10.0 % (2:00)",
        ", then Li Wei 25.0 % (12:30). Rang Wang Wu. Passed over: 3 offline, 1 paused.",
        '<th scope="col" class="text-end">Of the time signed in</th>',
        '<td class="text-end figures">25.0 %</td>',
        "Zhang San, who owns the caller&#39;s last ticket, was talking. Least talk today: Li Wei 12:30.",
        "Wang Wu did not answer (0:06).",
        "Li Wei answered after 0:04.",
        "Recording kept: 0:08, on T12.",
        "The call ended: answered.",
    ):
        assert sentence in page, sentence
    assert '<audio controls controlslist="nodownload" preload="none" src="/recordings/pbx-call-1/audio"' in page
    assert 'href="/tickets/T12"' in page


async def test_a_ticket_shows_its_attempts_calls_and_recordings(web: Web) -> None:
    client = await web.signed_in("boss")
    page = (await client.get("/tickets/T12")).text
    for shown in (
        "Spindle stops after an hour",
        "Asked for the drive&#39;s error log",
        "/calls/pbx/1795000000.7",
        "<audio",
    ):
        assert shown in page, shown
    listed = (await client.get("/tickets?status=closed")).text
    assert "/tickets/T9" in listed
    assert "/tickets/T12" not in listed


async def test_hostile_names_are_text_on_every_page(web: Web) -> None:
    client = await web.signed_in("boss")
    for path in (
        "/",
        "/calls/1795000000.2",
        "/calls/1795000000.3",
        "/agents",
        "/agents/evil",
        "/callbacks",
        "/tickets",
        "/tickets/T3",
    ):
        answer = await client.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path
    assert escape(HOSTILE, quote=False).replace('"', "&#34;") in (await client.get("/tickets/T3")).text
    assert LONG in (await client.get("/agents/long")).text


async def test_an_agent_sees_their_own_screen_and_nobody_elses(web: Web) -> None:
    agent = await web.signed_in("liwei")
    assert (await agent.get("/agents/7")).status_code == 200
    refused = await agent.get("/agents/8")
    assert refused.status_code == 403
    assert "another agent&#39;s screen" in refused.text
    assert (await agent.get("/agents")).status_code == 403
    boss = await web.signed_in("boss")
    assert (await boss.get("/agents/8")).status_code == 200


async def test_callbacks_are_listed_with_whom_they_are_for_and_what_became_of_them(web: Web) -> None:
    client = await web.signed_in("liwei")
    page = (await client.get("/callbacks")).text
    assert 'aria-current="page">Callbacks</a>' in page
    for shown in (
        "陈小明",
        "华东精密机械有限公司",
        "+862161234567",
        "support",
        "Li Wei",
        "Waiting",
        "Calling",
        "Done",
        "Failed",
    ):
        assert shown in page, shown
    assert 'href="/calls/pbx/1795000000.5"' in page
    assert 'href="/calls/pbx/callback1-1795000000.5"' in page
    assert "<script>alert" not in page
    part = (await client.get("/callbacks", headers={"hx-request": "true"})).text
    assert "<html" not in part
    assert "陈小明" in part


async def test_callbacks_are_filtered_by_their_state(web: Web) -> None:
    client = await web.signed_in("boss")
    for state, there in (("waiting", 5), ("calling", 51), ("done", 52), ("failed", 53)):
        page = (await client.get(f"/callbacks?state={state}")).text
        assert [key for key in (5, 51, 52, 53) if f'/calls/pbx/1795000000.{key}"' in page] == [there]
    assert "No callback is so" in (await client.get("/callbacks?state=expired")).text
    assert "/calls/pbx/1795000000.5" in (await client.get("/callbacks?state=rubbish")).text


async def test_where_nobody_asked_the_list_of_callbacks_says_how_they_could(web: Web) -> None:
    async with session.writing(web.room.engine) as connection:
        await connection.execute(delete(callbacks))
    page = (await (await web.signed_in("boss")).get("/callbacks")).text
    assert "No callbacks yet" in page
    assert "may press 1" in page


async def test_callbacks_need_a_sign_in_and_a_cursor_of_ours(web: Web) -> None:
    assert (await web.client().get("/callbacks")).status_code == 303
    client = await web.signed_in("boss")
    assert (await client.get("/callbacks?after=rubbish")).status_code == 422
    waiting = f"/callbacks?after={cursors.write(Mark(at=web.seeded.now - 50, id='1795000000.51'))}"
    page = (await client.get(waiting)).text
    assert '/calls/pbx/1795000000.5"' in page
    assert "/calls/pbx/1795000000.51" not in page
    assert "Newest" in page


async def test_an_id_that_calls_of_two_pbxes_have_offers_both(web: Web) -> None:
    await web.room.calls.save([replace(web.seeded.call, pbx="north", caller="110", recordings=(), ticket_ids=())])
    client = await web.signed_in("boss")
    answer = await client.get("/calls/1795000000.7")
    assert answer.status_code == 200
    for pbx in ("north", web.seeded.call.pbx):
        assert f'href="/calls/{pbx}/1795000000.7"' in answer.text
    assert "110" in (await client.get("/calls/north/1795000000.7")).text
    assert (await client.get("/calls/south/1795000000.7")).status_code == 404


@pytest.mark.parametrize("path", ["/calls/none", "/calls/1795", "/calls/%00", "/tickets/none", "/agents/none", "/none"])
async def test_what_is_not_there_is_said_so_in_a_page(web: Web, path: str) -> None:
    answer = await (await web.signed_in("boss")).get(path)
    assert answer.status_code == 404
    assert "<h1" in answer.text
    assert "There is no such" in answer.text


@pytest.mark.parametrize("path", ["/?after=rubbish", "/?day=yesterday", "/?after=" + "x" * 999, "/?day=9999-12-31"])
async def test_an_address_that_cannot_be_is_answered_by_a_page(web: Web, path: str) -> None:
    answer = await (await web.signed_in("boss")).get(path)
    assert answer.status_code in (400, 422)
    assert "<h1" in answer.text
    assert "Traceback" not in answer.text


async def test_every_answer_binds_the_browser_and_no_page_needs_a_script_of_its_own(web: Web) -> None:
    client = await web.signed_in("boss")
    for path in ("/", "/calls/1795000000.7", "/agents/7", "/sign-in", "/none", "/healthz", "/static/feed.js"):
        answer = await client.get(path)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert " style=" not in answer.text
        assert "<script>" not in answer.text
        assert " onclick=" not in answer.text


async def test_static_files_are_kept_by_their_version_and_asked_about_without(web: Web) -> None:
    client = web.client()
    assert "immutable" in (await client.get("/static/ctid.css?v=1")).headers["cache-control"]
    assert (await client.get("/static/feed.js")).headers["cache-control"] == "no-cache"
    assert (await client.get("/static/../app.py")).status_code == 404
    assert (await client.get("/static/%2e%2e/app.py")).status_code == 404


async def test_a_body_that_is_too_large_is_refused(web: Web) -> None:
    client = web.client()
    assert (await client.post("/sign-in", content=b"x" * 270_000)).status_code == 413

    async def endless() -> object:
        for _ in range(280):
            yield b"x" * 1000

    assert (await client.post("/sign-in", content=endless())).status_code == 413


async def test_a_failing_page_tells_nothing_about_the_inside(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await web.signed_in("boss")

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(web.room.books, "calls", broken)
    answer = await client.get("/")
    assert answer.status_code == 500
    assert "written to the log" in answer.text
    assert "secret detail" not in answer.text


async def test_without_the_database_each_page_says_so_and_that_calls_go_on(web: Web) -> None:
    client = await web.signed_in("boss")
    async with session.writing(web.room.engine) as connection:
        await connection.exec_driver_sql("ALTER TABLE sessions RENAME TO away")
    for path in ("/", "/tickets", "/desk"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), path
        assert "The database does not answer" in answer.text
        assert "Calls go on, and what happens in them is written once it answers." in answer.text
        assert '<a class="btn btn-primary" href="">Try again</a>' in answer.text
    chinese = await client.get("/", headers={"accept-language": "zh-CN"})
    assert "数据库恢复后补记" in chinese.text
