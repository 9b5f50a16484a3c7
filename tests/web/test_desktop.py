"""The agent's desktop: whose it is, what it asks of the daemon, what stands on it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import insert, update

from ctid.db import session
from ctid.db.calls import Calls
from ctid.db.tables import agent_state_changes, calls, legs, tickets
from ctid.domain.types import (
    AgentState,
    AgentStatus,
    CallRecord,
    Direction,
    LegRecord,
    LegResult,
    Outcome,
    PopState,
    Via,
)
from ctid.mqtt.topics import agent_message, node_message
from lab.process import until
from tests.web.conftest import Web, form_token
from tests.web.site import HOSTILE
from tests.web.test_live import heard, ringing, screen, shows


@pytest.fixture
async def daemon(ready: Web) -> AsyncIterator[list[dict]]:
    """What the daemon was asked, in order; it says yes, and no with a line to a pause."""
    asked: list[dict] = []

    async def listen() -> None:
        async for message in ready.publisher.messages:
            agent = message.topic.value.split("/")[3]
            command = json.loads(message.payload)
            asked.append({"agent": agent, **command})
            no = command["command"] == "pause"
            answer = {"id": command["id"], "ok": not no, "error": f"not now {HOSTILE}" if no else None}
            await ready.publisher.publish(f"ctid/v1/agents/{agent}/result", json.dumps(answer))

    await ready.publisher.subscribe("ctid/v1/agents/+/command")
    listening = asyncio.create_task(listen())
    yield asked
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def ask(client: httpx.AsyncClient, *, token: str | None = None, **fields: str) -> httpx.Response:
    """As the page asks: the token in a header."""
    token = token if token is not None else form_token((await client.get("/tickets")).text)
    return await client.post("/desk/command", data=fields, headers={"x-form-token": token})


async def test_an_agent_acts_for_their_own_agent_and_reads_what_the_daemon_refused(
    ready: Web, daemon: list[dict]
) -> None:
    client = await ready.signed_in("liwei")
    signed_in = await ask(client, command="sign_in", phone="agent9", agent="8")
    assert (signed_in.status_code, signed_in.json()) == (200, {"error": None})
    paused = await ask(client, command="pause", reason=" lunch ")
    assert (paused.status_code, paused.json()) == (409, {"error": f"not now {HOSTILE}"})
    assert (await ask(client, command="wrap_up_extend")).status_code == 200
    told = [{key: value for key, value in one.items() if key != "id"} for one in daemon]
    assert told == [
        {"agent": "7", "command": "sign_in", "phone": "agent9"},
        {"agent": "7", "command": "pause", "reason": "lunch"},
        {"agent": "7", "command": "wrap_up_extend", "seconds": 30.0},
    ]


async def test_nobody_commands_without_an_agent_a_session_or_our_own_page(ready: Web, daemon: list[dict]) -> None:
    assert (await ask(await ready.signed_in("boss"), command="sign_out")).status_code == 403
    client = await ready.signed_in("liwei")
    assert (await ask(client, token="0" * 64, command="sign_out")).status_code == 403
    token = form_token((await client.get("/tickets")).text)
    elsewhere = {"x-form-token": token, "origin": "http://evil.example"}
    assert (await client.post("/desk/command", data={"command": "sign_out"}, headers=elsewhere)).status_code == 403
    assert (await client.post("/desk/command", data={"command": "sign_out"})).status_code == 403
    nobody = ready.client()
    assert (await nobody.post("/desk/command", data={"command": "sign_out"})).status_code == 303
    assert (await ask(client, token=token, command="record_pause" + HOSTILE)).status_code == 422
    assert daemon == []


async def test_without_a_daemon_a_command_is_refused_by_one_line(web: Web) -> None:
    answer = await ask(await web.signed_in("liwei"), command="resume")
    assert answer.status_code == 409
    assert "not routing" in answer.json()["error"]


async def test_the_desk_is_the_users_own_and_supervisors_look_without_acting(web: Web) -> None:
    own = await web.signed_in("liwei")
    page = (await own.get("/desk")).text
    assert 'data-agent="7"' in page
    assert 'data-command="sign_in"' in page
    assert (await own.get("/agents/8/lists")).status_code == 403
    boss = await web.signed_in("boss")
    assert (await boss.get("/desk")).headers["location"] == "/agents"
    seen = (await boss.get("/agents/7")).text
    assert 'data-agent="7"' in seen
    for act in ("data-command", "/desk/missed", "data-mine"):
        assert act not in seen, act


async def test_the_phone_the_agent_last_sat_at_stands_ready(web: Web) -> None:
    client = await web.signed_in("liwei")
    assert 'value="agent7"' in (await client.get("/desk")).text
    sat = {"pbx": "pbx", "agent": "7", "state": "idle", "phone": "window-3", "since": session.instant(web.seeded.now)}
    async with session.writing(web.room.engine) as connection:
        await connection.execute(insert(agent_state_changes).values(sat))
    page = (await client.get("/desk")).text
    assert 'required value="window-3"' in page
    assert '<option value="agent9">' in page


async def test_a_watched_agents_call_without_a_pop_is_asked_for_once_and_shown(ready: Web, daemon: list[dict]) -> None:
    talking = AgentStatus(agent="7", state=AgentState.TALKING, since=1.0, call_id="1795000000.7")
    await ready.say(agent_message(talking), retain=True)
    await ready.say(agent_message(replace(talking, agent="8", call_id="other")), retain=True)
    await until(lambda: {"7", "8"} <= ready.room.board.views.keys(), "the web hears the states")
    assert daemon == [], "nobody looks"
    async with await screen(ready, "liwei") as first, await screen(ready, "liwei") as second:
        await until(lambda: daemon != [], "the daemon is asked")
        await shows(ready, await ringing(ready, state=PopState.ANSWERED))
        for socket in (first, second):
            assert (await heard(socket, pop="answered"))["pop"]["contact"]["name"] == "陈小明"
    assert [(one["agent"], one["command"]) for one in daemon] == [("7", "show")]


async def test_what_could_not_be_asked_is_asked_again_as_long_as_the_call_lasts(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctid.web.unheard.AGAIN_SECONDS", 0.01)
    talking = AgentStatus(agent="7", state=AgentState.TALKING, since=1.0, call_id="c1")
    await web.say(agent_message(talking), retain=True)
    async with await screen(web, "liwei") as socket:
        await heard(socket, state="talking")
        await web.publisher.subscribe("ctid/v1/agents/+/command")
        await web.say(node_message("n1", up=True, acting=True, pbx_connected=True, version="1"), retain=True)
        async with asyncio.timeout(10):
            async for message in web.publisher.messages:
                if message.topic.value.endswith("/command"):
                    assert json.loads(message.payload)["command"] == "show"
                    break


def call(web: Web, key: str, *, seconds: float, answered: bool = False, **more: object) -> CallRecord:
    began = web.seeded.now + seconds
    leg = LegRecord(
        id=f"{key}-leg", agent="7", party="agent7", offered_at=began, answered_at=began + 1, ended_at=began + 2,
        result=LegResult.ANSWERED,
    )  # fmt: skip
    made: dict[str, object] = {
        "id": key,
        "pbx": "pbx",
        "direction": Direction.INBOUND,
        "caller": "+8613800138000",
        "dialled": "4001",
        "line": "support",
        "contact_id": "P1",
        "customer_id": "C1",
        "started_at": began,
        "answered_at": began + 1 if answered else None,
        "ended_at": began + 2,
        "outcome": Outcome.ANSWERED if answered else Outcome.ABANDONED,
        "agent": "7" if answered else None,
        "legs": (leg,) if answered else (),
        "owner": "8",
        "via": Via.CTID,
    }
    return CallRecord(**{**made, **more})


async def nothing_before(web: Web) -> None:
    """The calls of the seeded site were somebody else's."""
    async with session.writing(web.room.engine) as connection:
        await connection.execute(update(legs).values(agent="9"))


async def test_a_call_just_over_stands_with_its_form_on_a_desk_that_is_loaded_anew_until_it_is_said_what_it_was(
    web: Web,
) -> None:
    await nothing_before(web)
    client = await web.signed_in("liwei")
    assert 'id="disposition"' not in (await client.get("/desk")).text
    now = time.time() - web.seeded.now
    await Calls(web.room.engine).save([call(web, "over", seconds=now - 60, answered=True, caller=HOSTILE)])
    page = (await client.get("/desk")).text
    for text in (
        'data-past="over"',
        'action="/calls/pbx/over/disposition"',
        "After the call with 陈小明",
        "经理, 采购部",
    ):
        assert text in page, text
    assert "<script>alert" not in page
    assert 'id="disposition"' not in (await (await web.signed_in("boss")).get("/agents/7")).text
    said = {"form_token": form_token(page), "disposition": "Solved", "notes": ""}
    assert (await client.post("/calls/pbx/over/disposition", data=said)).status_code == 200
    assert "data-past" not in (await client.get("/desk")).text


async def test_a_long_wrap_up_keeps_its_call_on_the_desk(web: Web) -> None:
    await nothing_before(web)
    client, ended = await web.signed_in("liwei"), time.time() - 1800
    await Calls(web.room.engine).save([call(web, "long", seconds=ended - web.seeded.now - 2, answered=True)])
    assert "data-past" not in (await client.get("/desk")).text
    await web.say(agent_message(AgentStatus(agent="7", state=AgentState.WRAP_UP, since=ended)))
    await until(lambda: "7" in web.room.board.views, "the web hears the state")
    assert 'data-past="long"' in (await client.get("/desk")).text


async def test_what_a_call_was_is_asked_as_soon_as_the_books_have_it_and_nothing_fails_before(web: Web) -> None:
    place = "/calls/pbx/fresh/disposition"
    client = await web.signed_in("liwei")
    assert (await client.get(place)).status_code == 404
    board = web.room.board
    await shows(web, await ringing(web, call_id="fresh", state=PopState.ANSWERED))
    await until(lambda: "7" in board.views and board.views["7"].pop, "the web hears the pop")
    assert (await client.get(place)).status_code == 204
    await shows(web, await ringing(web, call_id="fresh", state=PopState.ENDED))
    await until(lambda: board.views["7"].gone, "the web hears that it ended")
    assert (await client.get(place)).status_code == 204
    assert (await client.get("/calls/elsewhere/fresh/disposition")).status_code == 404
    assert (await (await web.signed_in("zhang")).get(place)).status_code == 404
    now = time.time() - web.seeded.now
    await Calls(web.room.engine).save([call(web, "fresh", seconds=now - 60, answered=True)])
    assert 'id="disposition"' in (await client.get(place)).text


async def missed(web: Web) -> str:
    """The part of the owner's desk that says who rang in vain; empty where nobody did."""
    page = (await (await web.signed_in("zhang")).get("/agents/8/lists")).text
    return page[page.index("Missed calls") : page.index("Latest calls")] if "Missed calls" in page else ""


async def test_a_caller_who_rang_in_vain_stands_once_on_the_owners_desk_until_somebody_spoke_with_them(
    web: Web,
) -> None:
    async with session.writing(web.room.engine) as connection:
        await connection.execute(update(calls).where(calls.c.id == "1795000000.7").values(contact_id=None))
    shown = await missed(web)
    for text in ("陈小明", "waited 0:32", "/calls/pbx/1795000000.4", 'data-number="+8613800138000"'):
        assert text in shown, text
    assert "1795000000.5" not in shown  # they are called back
    page = (await (await web.signed_in("zhang")).get("/desk")).text
    assert page.count("1795000000.4") == 2  # the link and the form, and not again among the latest calls
    await Calls(web.room.engine).save([call(web, "again", seconds=5)])
    shown = await missed(web)
    assert "2\u00d7" in shown
    assert shown.count("陈小明") == 1
    assert "Missed calls" not in (await (await web.signed_in("liwei")).get("/desk")).text
    await Calls(web.room.engine).save([call(web, "spoke", seconds=9, answered=True)])
    assert await missed(web) == ""


async def test_the_owner_ticks_a_missed_call_off_and_nobody_else_does(web: Web) -> None:
    await Calls(web.room.engine).save([call(web, "vain", seconds=5)])
    other = await web.signed_in("liwei")
    fields = {"pbx": "pbx", "call": "vain"}
    token = {"x-form-token": form_token((await other.get("/tickets")).text)}
    assert (await other.post("/desk/missed", data=fields, headers=token)).status_code == 404
    owner = await web.signed_in("zhang")
    token = {"x-form-token": form_token((await owner.get("/tickets")).text)}
    assert (await owner.post("/desk/missed", data={**fields, "call": "none"}, headers=token)).status_code == 404
    assert "vain" in await missed(web)
    done = await owner.post("/desk/missed", data=fields, headers=token)
    assert done.status_code == 200
    assert "Missed calls" not in done.text
    assert await missed(web) == ""


async def test_open_tickets_come_overdue_first_then_by_severity_and_level(web: Web) -> None:
    common = {"owner": "7", "status": "open", "created_at": session.instant(web.seeded.now)}
    more = [
        {**common, "id": "late", "subject": HOSTILE, "severity": 1, "level": 1},
        {**common, "id": "grave", "subject": "Fire", "severity": 5, "level": 1},
        {**common, "id": "graver", "subject": "Fire", "severity": 5, "level": 4},
        {**common, "id": "small", "subject": "Paint", "severity": 1, "level": 1},
        {**common, "id": "smaller", "subject": "Paint", "severity": 1, "level": 1},
    ]
    async with session.writing(web.room.engine) as connection:
        await connection.execute(insert(tickets), more)
        promised = session.instant(web.seeded.now - 60)
        await connection.execute(update(tickets).where(tickets.c.id == "late").values(promised_at=promised))
    page = (await (await web.signed_in("liwei")).get("/agents/7/home")).text
    places = [page.index(f'data-ticket="{key}"') for key in ("late", "graver", "grave", "T12", "small")]
    assert places == sorted(places)
    assert 'data-ticket="smaller"' not in page
    assert "All of them" in page
    assert "<script>alert" not in page


async def test_a_call_can_be_moved_to_a_ticket_of_its_caller_or_one_found_by_words(web: Web) -> None:
    client = await web.signed_in("liwei")
    of_caller = (await client.get("/desk/tickets", params={"call": "1795000000.7"})).json()["tickets"]
    assert [one["id"] for one in of_caller] == ["T12", "T9", "T3"]
    assert of_caller[0] == {
        "id": "T12",
        "subject": "Spindle stops after an hour",
        "detail": "华东精密机械有限公司 · Open · Severity 4, serious · Li Wei",
    }
    assert (await client.get("/desk/tickets", params={"call": "none"})).json() == {"tickets": []}
    found = (await client.get("/desk/tickets", params={"call": "none", "q": "t9"})).json()["tickets"]
    assert [one["id"] for one in found] == ["T9"]
    assert (await (await web.signed_in("boss")).get("/desk/tickets")).status_code == 403
