"""The supervisors' page of callers who wait: who stands where, what the daemon is asked, what it refused, the audit."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from ctid.mqtt.topics import Message, node_message
from ctid.web.board import Board
from lab.mosquitto import Mosquitto
from lab.process import until
from tests.web.conftest import Web, form_token, served
from tests.web.site import HOSTILE

LINES = '[[lines]]\nname = "service"\nnumbers = ["4001"]\n[[lines]]\nname = "sales"\nnumbers = ["4002"]\n'


@pytest.fixture
async def web(tmp_path: Path, broker: Mosquitto) -> AsyncIterator[Web]:
    async with served(tmp_path, broker, LINES) as made:
        await made.say(node_message("n1", up=True, acting=True, pbx_connected=True, version="1"), retain=True)
        await until(made.room.board.routing, "the web hears of the daemon")
        for call, more in (
            ("1.1", {"level": 5, "contact": "陈洁", "customer": HOSTILE}),
            ("1.2", {"level": 1, "stands_since": "2026-11-22T02:00:09Z"}),
            ("1.3", {"level": 1}),
            ("1.4", {"level": 1, "prioritised": True}),
        ):
            waiting = {"since": f"2026-11-22T02:00:0{call[-1]}Z", "severity": 0, **more}
            told = {"caller": f"1380013800{call[-1]}", "line": "service", "waiting": waiting}
            await made.say(Message(topic=f"ctid/v1/calls/{call}", payload=json.dumps(told).encode()))
        await until(lambda: len(made.room.board.waiting) == 4, "the web hears who waits")
        yield made


@pytest.fixture
async def daemon(web: Web) -> AsyncIterator[list[dict]]:
    """What the daemon was asked, in order; it puts nobody last."""
    asked: list[dict] = []

    async def listen() -> None:
        async for message in web.publisher.messages:
            call, command = message.topic.value.split("/")[3], json.loads(message.payload)
            asked.append({"call": call, **{key: value for key, value in command.items() if key != "id"}})
            no = {"error": "no", "code": "call_not_waiting", "fields": {}} if "end" in command else {"error": None}
            answer = {"id": command["id"], "ok": "code" not in no, **no}
            await web.publisher.publish(f"ctid/v1/calls/{call}/result", json.dumps(answer))

    await web.publisher.subscribe("ctid/v1/calls/+/command")
    listening = asyncio.create_task(listen())
    yield asked
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def put(client: httpx.AsyncClient, *, script: bool = True, **fields: str) -> httpx.Response:
    """As the page does, by htmx or, without script, as a plain form."""
    token = form_token((await client.get("/waiting")).text)
    headers = {"hx-request": "true"} if script else {}
    return await client.post("/waiting", data={**fields, "form_token": token}, headers=headers)


async def test_callers_stand_as_they_are_served_and_those_who_were_placed_are_marked(web: Web) -> None:
    page = (await (await web.signed_in("boss")).get("/waiting")).text
    places = [page.index(f'value="1.{call}"') for call in (4, 1, 3, 2)]
    assert places == sorted(places)
    assert (page.count("put back"), page.count(">first<")) == (1, 1)
    assert "陈洁" in page
    assert HOSTILE not in page
    assert "Waiting" not in (await (await web.signed_in("liwei")).get("/tickets")).text


def test_a_lines_priority_and_a_long_wait_raise_a_caller_here_as_they_do_in_routing() -> None:
    board = Board(priorities={"sales": 3})
    now = time.time()
    for call, line, level, minutes in (("1.1", "service", 3, 0), ("1.2", "sales", 1, 0), ("1.3", "service", 1, 4)):
        since = datetime.fromtimestamp(now - 30 - 60 * minutes, UTC).isoformat()
        told = {"line": line, "waiting": {"since": since, "level": level}}
        board.take(f"ctid/v1/calls/{call}", json.dumps(told).encode(), kept=False)
    assert [caller.id for caller in board.waiting] == ["1.3", "1.2", "1.1"]


async def test_what_is_asked_reaches_the_daemon_with_the_supervisors_name_and_the_audit(
    web: Web, daemon: list[dict]
) -> None:
    boss = await web.signed_in("boss")
    done = await put(boss, first="1.3")
    assert (done.status_code, "13800138003 comes before all who wait." in done.text) == (200, True)
    assert (await put(boss, script=False, move="1.1", line="sales")).headers["location"] == "/waiting"
    refused = await put(boss, last="1.2")
    assert (refused.status_code, "This caller does not wait any more" in refused.text) == (409, True)
    assert daemon == [
        {"call": "1.3", "command": "prioritise", "by": "boss"},
        {"call": "1.1", "command": "move", "line": "sales", "by": "boss"},
        {"call": "1.2", "command": "move", "end": True, "by": "boss"},
    ]
    deeds = await web.rows("SELECT action, subject, user_name FROM audit WHERE action LIKE 'caller%' ORDER BY id")
    assert deeds == [("caller_put_first", "1.3", "boss"), ("caller_moved", "1.1", "boss")]
    assert "Line: service → sales" in (await boss.get("/audit")).text


async def test_nobody_else_and_no_other_page_puts_callers_anywhere(web: Web, daemon: list[dict]) -> None:
    boss, agent = await web.signed_in("boss"), await web.signed_in("liwei")
    token = form_token((await agent.get("/tickets")).text)
    assert (await agent.post("/waiting", data={"first": "1.3", "form_token": token})).status_code == 403
    assert (await boss.post("/waiting", data={"first": "1.3"})).status_code == 403
    assert (await put(boss, first="1.3/../#")).status_code == 404
    assert (await put(boss)).status_code == 422
    assert daemon == []


async def test_without_a_daemon_it_is_said_in_one_line(web: Web) -> None:
    await web.say(node_message("n1", up=False, acting=False, pbx_connected=False, version="1"), retain=True)
    await until(lambda: web.room.board.routing() is None, "the web hears that it is gone")
    answer = await put(await web.signed_in("boss"), first="1.3")
    assert (answer.status_code, "ctid is not routing calls now" in answer.text) == (409, True)
