"""The REST API: tokens, lists that go on, errors in one line, and answers as described."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from ctid.calljson import call_json, iso
from ctid.desk.changes import Close, Confirm, FollowUp, PassOn, Promise, Resolve, Try, Write
from ctid.desk.ticket import Actor, TicketRecord
from ctid.mqtt.topics import node_message
from ctid.web import api_models as models
from lab.process import until
from tests.web.conftest import Web


def api(web: Web, token: str | None = None) -> httpx.AsyncClient:
    client = web.client()
    client.headers["authorization"] = f"Bearer {token or web.seeded.token}"
    return client


async def test_a_call_is_what_the_command_line_says_without_the_path(web: Web) -> None:
    client = api(web)
    answer = await client.get("/api/v1/calls/1795000000.7")
    assert answer.status_code == 200
    assert answer.json() == call_json(web.seeded.call)
    assert "path" not in answer.json()["recordings"][0]


async def test_an_id_that_calls_of_two_pbxes_have_asks_which(web: Web) -> None:
    await web.room.calls.save([replace(web.seeded.call, pbx="north", recordings=(), ticket_ids=())])
    client = api(web)
    answer = await client.get("/api/v1/calls/1795000000.7")
    assert answer.status_code == 409
    assert "?pbx=" in answer.json()["error"]
    assert (await client.get("/api/v1/calls/1795000000.7", params={"pbx": "north"})).json()["pbx"] == "north"


async def test_lists_go_on_by_their_cursor_until_everything_was_seen_once(web: Web) -> None:
    client = api(web)
    for what, key, count in (("calls", "calls", 7), ("tickets", "tickets", 3), ("contacts", "contacts", 3)):
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            query = {"limit": "1"} | ({"cursor": cursor} if cursor else {})
            page = (await client.get(f"/api/v1/{what}", params=query)).json()
            seen += [one["id"] for one in page[key]]
            cursor = page["next"]
        assert len(seen) == len(set(seen)) == count, what


async def test_calls_are_those_between_two_times(web: Web) -> None:
    client = api(web)
    since = call_json(web.seeded.call)["started_at"]
    page = (await client.get("/api/v1/calls", params={"since": since})).json()
    assert [call["id"] for call in page["calls"]] == ["1795000000.7"]
    page = (await client.get("/api/v1/calls", params={"until": since})).json()
    older = ["callback1-1795000000.5", *(f"1795000000.{n}" for n in (5, 4, 3, 2, 1))]
    assert [call["id"] for call in page["calls"]] == older


async def test_every_answer_is_as_the_description_says(web: Web) -> None:
    client = api(web)
    for path, model in (
        ("calls", models.Calls),
        ("agents", models.Agents),
        ("contacts?number=%2B8613800138000", models.Contacts),
        ("customers", models.Customers),
        ("tickets?status=open&owner=7", models.Tickets),
    ):
        answer = await client.get(f"/api/v1/{path}")
        assert answer.status_code == 200, path
        model.model_validate_json(answer.content)
        assert next(iter(answer.json().values())), path


async def test_the_description_is_open_to_all_and_names_every_route(web: Web) -> None:
    described = (await web.client().get("/api/openapi.json")).json()
    assert set(described["paths"]) == {
        "/api/v1/calls",
        "/api/v1/calls/{call_id}",
        "/api/v1/agents",
        "/api/v1/contacts",
        "/api/v1/customers",
        "/api/v1/tickets",
        "/api/v1/tickets/{ticket_id}",
        "/api/v1/recordings/{recording_id}/audio",
    }
    assert (await web.client().get("/docs")).status_code == 404


async def test_a_request_without_a_good_token_is_refused_in_one_line(web: Web) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic Ym9zczp4"}):
        answer = await web.client().get("/api/v1/calls", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert list(answer.json()) == ["error"]
    signed_in = await web.signed_in("boss")
    assert (await signed_in.get("/api/v1/calls")).status_code == 401  # a cookie is no token
    await web.room.users.revoke_token("boss", "test", at=web.seeded.now)
    assert (await api(web).get("/api/v1/calls")).status_code == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("calls?limit=0", 422),
        ("calls?limit=100000", 422),
        ("calls?since=yesterday", 422),
        ("calls?cursor=rubbish", 422),
        ("calls?cursor=bmFuIHg", 422),
        ("contacts?number=%00", 422),
        ("tickets?status=lost", 422),
        ("calls/none", 404),
        ("calls/%00", 422),
        ("recordings/none/audio", 404),
        ("nothing", 404),
    ],
)
async def test_a_fault_of_the_asker_is_one_line_of_json(web: Web, path: str, status: int) -> None:
    answer = await api(web).get(f"/api/v1/{path}")
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "-62135596800"])
async def test_times_at_the_ends_of_the_calendar_break_nothing(web: Web, since: str) -> None:
    assert (await api(web).get("/api/v1/calls", params={"since": since})).status_code in (200, 422)


async def test_a_token_may_no_more_than_its_user(web: Web) -> None:
    client = api(web, web.seeded.agent_token)  # agent 8's
    listed = (await client.get("/api/v1/agents")).json()["agents"]
    assert [agent["id"] for agent in listed] == ["8"]
    assert (await client.get("/api/v1/recordings/pbx-call-1/audio")).status_code == 404
    piece = await api(web).get("/api/v1/recordings/pbx-call-1/audio", headers={"range": "bytes=0-9"})
    assert piece.status_code == 206
    assert piece.content == web.seeded.sound[:10]


async def test_health_says_up_and_readiness_says_why_not(web: Web) -> None:
    client = web.client()
    assert (await client.get("/healthz")).json() == {"up": True}
    await until(lambda: web.room.subscriber.connected, "the web reaches the broker")
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "reasons": ["daemon: no ctid run is acting"]}
    await web.say(node_message("n1", up=True, acting=True, pbx_connected=False, version="1"))
    await until(web.room.board.routing, "the web hears of the daemon")
    assert (await client.get("/readyz")).json()["reasons"] == ["pbx: the daemon has no link to it"]
    await web.say(node_message("n1", up=True, acting=True, pbx_connected=True, version="1"))
    node = web.room.board.nodes
    await until(lambda: node["n1"].pbx_connected, "the web hears of the link")
    assert (await client.get("/readyz")).status_code == 200
    await web.broker.stop()
    await until(lambda: not web.room.subscriber.connected, "the web notices")
    assert (await client.get("/readyz")).json()["reasons"] == ["broker: not connected, so live states are old"]


async def test_a_ticket_says_whose_turn_it_is_and_everything_that_was_done(web: Web) -> None:
    desk, by, at = web.room.ticket_desk, Actor(agent="7", user_name="liwei"), web.seeded.now
    written = replace((await web.room.tickets.one("T12")).written, asked="Why it stops", next_step="Send a fan")
    steps = [
        Write(written=written),
        Try(what="Cleaned the filter", result="Still hot", pbx="pbx", call_id="1795000000.7"),
        Promise(at=at + 3600, reason="asked for it"),
        PassOn(to="8", reason="Knows the spindle"),
    ]
    assert isinstance(await desk.change("T12", steps, by=by, at=at, version=1), TicketRecord)
    solved = [Resolve(by="8"), FollowUp(note="runs"), Confirm(person="陈小明", satisfaction=4), Close()]
    for later, one in enumerate(solved, start=1):
        now = await web.room.tickets.one("T12")
        assert isinstance(await desk.change("T12", [one], by=by, at=at + later, version=now.version), TicketRecord)
    answer = await api(web).get("/api/v1/tickets/T12")
    models.TicketStory.model_validate_json(answer.content)
    told = answer.json()
    assert told["asked"] == "Why it stops"
    assert told["next_step"] == "Send a fan"
    assert told["promised_at"] == iso(at + 3600)
    assert (told["resolved_by"], told["followed_up_by"], told["confirmed_by"]) == ("8", "7", "陈小明")
    assert [told[name] for name in ("resolved_at", "followed_up_at", "confirmed_at", "closed_at")] == [
        iso(at + later) for later in (1, 2, 3, 4)
    ]
    assert told["satisfaction"] == 4
    attempt = next(one for one in told["attempts"] if one["what"] == "Cleaned the filter")
    assert attempt == {
        "at": iso(at),
        "agent": "7",
        "what": "Cleaned the filter",
        "result": "Still hot",
        "pbx": "pbx",
        "call_id": "1795000000.7",
    }
    passed = next(step for step in told["steps"] if step["kind"] == "passed_on")
    assert (passed["from_agent"], passed["to_agent"], passed["reason"]) == ("7", "8", "Knows the spindle")
    promised = next(step for step in told["steps"] if step["kind"] == "promised")
    assert promised["changes"]["promised_at"] == [None, iso(at + 3600)]
    listed = (await api(web).get("/api/v1/tickets?owner=7")).json()["tickets"]
    assert told.items() >= next(one for one in listed if one["id"] == "T12").items()
    found = (await api(web).get("/api/v1/tickets", params={"q": "spindle"})).json()["tickets"]
    assert found == [next(one for one in listed if one["id"] == "T12")]


async def test_a_ticket_nobody_has_is_not_found_by_the_api(web: Web) -> None:
    for key in ("T999", "😀" * 60):
        answer = await api(web).get(f"/api/v1/tickets/{key}")
        assert answer.status_code == 404
        assert list(answer.json()) == ["error"]
