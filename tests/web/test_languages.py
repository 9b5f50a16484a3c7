"""In which language a page speaks to whom, and how it looks."""

from __future__ import annotations

import json

from websockets.asyncio.client import connect

from ctid.domain.types import AgentState, AgentStatus
from ctid.languages import CHINESE
from ctid.mqtt.topics import agent_message
from lab.process import until
from tests.web.conftest import Web, sign_in

LIKES_CHINESE = {"accept-language": "zh-CN,zh;q=0.9,en;q=0.5"}


async def prefers(web: Web, name: str, language: str | None, theme: str | None = None) -> None:
    user = next(user for user in await web.room.users.all() if user.name == name)
    await web.room.users.set_taste(user.id, language=language, theme=theme)


async def test_a_stranger_is_spoken_to_as_the_browser_asks_and_else_in_english(web: Web) -> None:
    chinese = (await web.client().get("/sign-in", headers=LIKES_CHINESE)).text
    assert '<html lang="zh-Hans"' in chinese
    assert "登录" in chinese
    for headers in ({}, {"accept-language": "fr"}):
        english = (await web.client().get("/sign-in", headers=headers)).text
        assert '<html lang="en"' in english
        assert "登录" not in english


async def test_the_browsers_cookie_counts_more_than_what_it_asks_for_and_an_unknown_one_nothing(web: Web) -> None:
    kept = web.client(cookies={"ctid_language": "en"})
    assert '<html lang="en"' in (await kept.get("/sign-in", headers=LIKES_CHINESE)).text
    false = web.client(cookies={"ctid_language": "../../etc"})
    assert '<html lang="zh-Hans"' in (await false.get("/sign-in", headers=LIKES_CHINESE)).text


async def test_a_users_own_language_counts_more_than_the_browsers(web: Web) -> None:
    await prefers(web, "liwei", CHINESE)
    client = await web.signed_in("liwei")
    page = (await client.get("/", headers={"accept-language": "en"})).text
    assert '<html lang="zh-Hans"' in page
    assert "通话" in page
    await prefers(web, "liwei", "en")
    assert '<html lang="en"' in (await client.get("/", headers=LIKES_CHINESE)).text


async def test_errors_and_refusals_are_told_in_the_readers_language(web: Web) -> None:
    client = web.client()
    client.headers.update(LIKES_CHINESE)
    refused = await sign_in(client, "boss", "not the password")
    assert "用户名或密码错误。" in refused.text
    await prefers(web, "boss", CHINESE)
    missing = await (await web.signed_in("boss")).get("/none", headers={"accept-language": "en"})
    assert missing.status_code == 404
    assert "没有此页面。" in missing.text
    assert "boss" in missing.text  # who has signed in keeps the frame


async def test_a_program_is_answered_in_english_whatever_it_asks_for(web: Web) -> None:
    answer = await web.client().get("/api/v1/none", headers=LIKES_CHINESE)
    assert answer.json() == {"error": "There is no such page."}


async def test_each_screen_hears_of_an_agent_in_its_users_language(ready: Web) -> None:
    await prefers(ready, "liwei", CHINESE)
    await ready.say(agent_message(AgentStatus(agent="7", state=AgentState.IDLE, since=1_795_000_000.0)), retain=True)
    await until(lambda: "7" in ready.room.board.views, "the web hears the state")
    words = []
    for name in ("liwei", "boss"):
        client = await ready.signed_in(name)
        cookie = "; ".join(f"{key}={value}" for key, value in client.cookies.items())
        address = ready.socket_url + "?agent=7"
        async with connect(address, origin=ready.url, additional_headers={"cookie": cookie}) as socket:
            while (told := json.loads(await socket.recv()))["kind"] != "agent":
                pass
            words.append(told["state"]["word"])
    assert words == ["空闲", "Idle"]


async def test_light_and_dark_are_the_systems_unless_somebody_chose(web: Web) -> None:
    assert "data-bs-theme" not in (await web.client().get("/sign-in")).text
    kept = web.client(cookies={"ctid_theme": "dark"})
    assert 'data-bs-theme="dark"' in (await kept.get("/sign-in")).text
    false = web.client(cookies={"ctid_theme": '"><script>'})
    assert "data-bs-theme" not in (await false.get("/sign-in")).text
    await prefers(web, "liwei", None, "light")
    client = await web.signed_in("liwei")
    assert 'data-bs-theme="light"' in (await client.get("/")).text
