"""The live feed: who gets it, what it says first, and that it says the newest."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ctid.calljson import iso
from ctid.db.callers import Callers
from ctid.db.users import Role
from ctid.domain.types import AgentState, AgentStatus, Pop, PopState
from ctid.mqtt.topics import agent_message, node_message, pop_message
from ctid.web import board as board_module
from ctid.web.board import TOPICS, Board, News
from lab.process import until
from tests.web.conftest import Web, form_token
from tests.web.site import HOSTILE, PASSWORD


async def ringing(web: Web, **more: object) -> Pop:
    file = await Callers(web.room.engine, country="CN").identify("13800138000")
    return replace(
        Pop(
            agent="7",
            call_id="1795000000.7",
            state=PopState.RINGING,
            at=web.seeded.now,
            caller="+8613800138000",
            dialled="4001",
            file=file,
            decision=web.seeded.call.decisions[1],
        ),
        **more,
    )


async def shows(web: Web, pop: Pop) -> None:
    await web.say(pop_message(pop, web.url))


def status(state: AgentState, **more: object) -> AgentStatus:
    return AgentStatus(agent="7", state=state, since=1_795_000_000.0, talk_seconds_today=750.0, **more)


async def screen(web: Web, name: str, query: str = "?agent=7", origin: str | None = None) -> ClientConnection:
    client = await web.signed_in(name)
    cookie = "; ".join(f"{key}={value}" for key, value in client.cookies.items())
    return await connect(web.socket_url + query, origin=origin or web.url, additional_headers={"cookie": cookie})


async def heard(socket: ClientConnection, *, state: str | None = None, pop: str | None = None) -> dict:
    """The next view with this state and pop; what comes before it is skipped."""
    async with asyncio.timeout(10):
        while True:
            view = await told_of(socket, "agent")
            has_state = view["state"]["code"] if view["state"] else None
            has_pop = view["pop"]["state"] if view["pop"] else None
            if state in (None, has_state) and pop in (None, has_pop or "none"):
                return view


async def told_of(socket: ClientConnection, kind: str) -> dict:
    """The next message of that kind."""
    async with asyncio.timeout(10):
        while (message := json.loads(await socket.recv()))["kind"] != kind:
            pass
    return message


async def test_a_screen_is_told_the_present_state_first_and_each_change_after(ready: Web) -> None:
    await ready.say(agent_message(status(AgentState.IDLE)), retain=True)
    await until(lambda: "7" in ready.room.board.views, "the web hears the state")
    async with await screen(ready, "liwei") as socket:
        first = await heard(socket)
        assert first["agent"] == "7"
        assert first["name"] == "Li Wei"
        assert first["state"] | {"phone": None} == {
            "code": "idle",
            "word": "Idle",
            "since": iso(1_795_000_000.0),
            "reason": None,
            "talk": "12:30",
            "phone": None,
            "call_id": None,
            "wrap_up_until": None,
            "recording_paused_until": None,
            "consults": None,
        }
        await ready.say(agent_message(status(AgentState.PAUSED, reason=HOSTILE)))
        assert (await heard(socket, state="paused"))["state"]["reason"] == HOSTILE


async def test_the_pop_shows_who_calls_their_tickets_and_why_here(ready: Web) -> None:
    async with await screen(ready, "liwei") as socket:
        await shows(ready, await ringing(ready))
        pop = (await heard(socket, pop="ringing"))["pop"]
    assert pop["contact"] == {
        "id": "P1",
        "name": "陈小明",
        "role": "经理, 采购部",
        "customer": "华东精密机械有限公司",
        "level": {"number": 4, "words": "Level 4, important"},
    }
    assert pop["ticket"] == {
        "id": "T12",
        "subject": "Spindle stops after an hour",
        "status": "Open",
        "severity": {"number": 4, "words": "Severity 4, serious"},
        "owner": "Li Wei",
    }
    assert [ticket["id"] for ticket in pop["history"]] == ["T9", "T3"]
    assert pop["why"].startswith("Zhang San, who owns the caller's last ticket, was talking. Least talk today: Li Wei")


async def test_a_pop_under_way_is_shown_again_after_a_reload_and_gone_once_it_ended(ready: Web) -> None:
    await shows(ready, await ringing(ready))
    await until(lambda: ready.room.board.views.get("7") and ready.room.board.views["7"].pop, "the web hears the pop")
    async with await screen(ready, "liwei") as socket:
        assert (await heard(socket))["pop"]["call_id"] == "1795000000.7"
        await shows(ready, await ringing(ready, state=PopState.ANSWERED))
        assert (await heard(socket, pop="answered"))["pop"]["word"] == "Answered"
        await shows(ready, await ringing(ready, state=PopState.ENDED))
        last = await heard(socket, pop="none")
        assert last["gone"] == {"call_id": "1795000000.7", "state": "ended", "word": "Ended"}
    async with await screen(ready, "liwei") as socket:
        assert (await heard(socket))["pop"] is None


async def test_an_agent_hears_no_more_of_another_than_their_state(ready: Web) -> None:
    for query in ("?agent=8", ""):
        async with await screen(ready, "liwei", query) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 10)
            assert closed.value.rcvd
            assert closed.value.rcvd.code == 4403
    async with await screen(ready, "liwei") as socket:
        await heard(socket)
        await shows(ready, await ringing(ready, agent="8"))
        await ready.say(agent_message(replace(status(AgentState.PAUSED, reason=HOSTILE), agent="8")))
        told = await told_of(socket, "others")
        while told["agents"][0]["code"] != "paused":
            told = await told_of(socket, "others")
        assert told["agents"] == [{"id": "8", "name": "Zhang San", "code": "paused", "word": "Paused"}]
        await ready.say(agent_message(status(AgentState.TALKING)))
        assert (await heard(socket))["agent"] == "7"


async def test_a_supervisor_hears_of_all_agents(ready: Web) -> None:
    async with await screen(ready, "boss", "") as socket:
        for agent in ("7", "8", "9"):
            await ready.say(agent_message(replace(status(AgentState.IDLE), agent=agent)))
        assert {(await heard(socket))["agent"] for _ in range(3)} == {"7", "8", "9"}


async def test_another_site_cannot_open_the_feed_with_our_cookie(web: Web) -> None:
    for origin in ("http://evil.example", "null"):
        with pytest.raises(InvalidStatus) as refused:
            await screen(web, "boss", origin=origin)
        assert refused.value.response.status_code == 403


async def test_without_a_session_the_feed_closes_and_says_so(web: Web) -> None:
    async with connect(web.socket_url + "?agent=7", origin=web.url) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 10)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 4401


async def test_signing_out_closes_the_feed_at_once(web: Web) -> None:
    client = await web.signed_in("liwei")
    cookie = "; ".join(f"{key}={value}" for key, value in client.cookies.items())
    headers = {"cookie": cookie}
    async with connect(web.socket_url + "?agent=7", origin=web.url, additional_headers=headers) as socket:
        await heard(socket)
        await client.post("/sign-out", data={"form_token": form_token((await client.get("/")).text)})
        with pytest.raises(ConnectionClosed) as closed:
            await told_of(socket, "nothing")
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 4401


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("", {"role": "agent", "agent": "9", "version": "supervisor "}, 4403),
        ("/password", {"password": "another password", "again": "another password"}, 4401),
        ("/lock", {"disabled": "1"}, 4401),
        ("/sessions", {}, 4401),
    ],
)
async def test_who_loses_a_role_or_their_session_loses_the_feed_at_once(
    web: Web, path: str, fields: dict[str, str], code: int
) -> None:
    await web.room.users.create("root", PASSWORD, Role.ADMINISTRATOR, at=web.seeded.now)
    root, boss = await web.signed_in("root"), await web.room.users.named("boss")
    async with await screen(web, "boss", query="") as socket:
        await told_of(socket, "link")
        token = form_token((await root.get("/me")).text)
        answer = await root.post(f"/users/{boss.id}{path}", data={"form_token": token, **fields})
        assert answer.status_code == 303, answer.text
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(told_of(socket, "nothing"), 10)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == code


async def test_what_was_changed_past_this_web_ends_the_feed_soon(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctid.web.live.CHECK_SECONDS", 0.02)
    async with await screen(web, "liwei") as socket:
        await heard(socket)
        await web.room.users.change("liwei", role=Role.AGENT, agent_id="9")
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(told_of(socket, "nothing"), 10)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 4403


async def test_a_screen_that_went_away_leaves_nothing_behind(ready: Web) -> None:
    async with await screen(ready, "liwei") as socket:
        await heard(socket)
        assert ready.room.board.watched == 1
    await until(lambda: ready.room.board.watched == 0, "the board forgets the screen")


async def test_what_others_do_is_gathered_and_what_is_ones_own_is_told_at_once() -> None:
    board = Board()
    watch = board.watch(frozenset({"7"}), others=True)
    assert await watch.next() == News(agents=("7",))
    assert await watch.next() == News(waiting=True)
    for agent in ("8", "9", "8"):
        told(board, agent, "state", {"state": "talking"})
    told(board, "7", "pop", {"call_id": "c1", "state": "ringing"})
    assert await watch.next() == News(agents=("7",))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watch.next(), 0.01)
    assert await watch.next() == News(others=("8", "9"))


async def test_the_feed_says_at_once_what_is_wrong(ready: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctid.web.live.LOOK_SECONDS", 0.02)
    async with await screen(ready, "liwei") as socket:
        assert (await told_of(socket, "link"))["trouble"] is None
        await ready.say(node_message("n1", up=False, acting=False, pbx_connected=False, version="1"), retain=True)
        assert (await told_of(socket, "link"))["trouble"].startswith("No ctid daemon is routing")


async def test_the_feed_says_again_and_again_that_it_stands(ready: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctid.web.live.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("ctid.web.live.BEAT_SECONDS", 0.1)
    async with await screen(ready, "liwei") as socket:
        for _ in range(3):
            assert (await told_of(socket, "link"))["trouble"] is None


async def test_the_feed_goes_on_while_the_database_is_away(ready: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctid.web.live.CHECK_SECONDS", 0.02)
    asked = 0

    async def away(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        raise OSError("away")

    async with await screen(ready, "liwei") as socket:
        await heard(socket)
        monkeypatch.setattr(ready.room.users, "by_session", away)
        monkeypatch.setattr(ready.room.agents, "roster", away)
        monkeypatch.setattr("ctid.web.room.NAMES_SECONDS", 0.0)
        await until(lambda: asked > 3, "the session is asked about")
        await shows(ready, await ringing(ready))
        assert (await heard(socket, pop="ringing"))["name"] == "Li Wei"


async def test_the_feed_survives_a_broker_that_goes_away(ready: Web) -> None:
    async with await screen(ready, "liwei") as socket:
        await heard(socket)
        await ready.broker.stop()
        await until(lambda: not ready.room.subscriber.connected, "the web notices")
        assert "MQTT broker cannot be reached" in (await (await ready.signed_in("boss")).get("/")).text
        await ready.broker.start()
        await until(lambda: ready.room.subscriber.connected, "the web is back", limit=20)


def told(board: Board, agent: str, what: str, value: dict, *, kept: bool = False) -> None:
    board.take(f"ctid/v1/agents/{agent}/{what}", json.dumps(value).encode(), kept=kept)


async def test_a_slow_screen_gets_the_newest_view_once_and_never_an_old_pop() -> None:
    board = Board()
    watch = board.watch(None)
    for number in range(1000):
        told(board, "7", "pop", {"call_id": f"c{number}", "state": "ringing"})
    told(board, "7", "pop", {"call_id": "c998", "state": "withdrawn"})  # late, of an older call
    assert await watch.next() == News(agents=("7",))
    assert board.views["7"].pop
    assert board.views["7"].pop.call_id == "c999"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watch.next(), 0.01)


def test_a_pop_whose_end_went_unheard_ends_with_the_state_the_broker_kept() -> None:
    board = Board()
    told(board, "7", "pop", {"call_id": "c1", "state": "answered"})
    told(board, "7", "state", {"state": "talking", "call_id": "c1"}, kept=True)
    assert board.views["7"].pop
    told(board, "7", "state", {"state": "idle"}, kept=True)
    assert board.views["7"].pop is None


def test_a_call_is_unheard_of_until_a_pop_tells_of_it_as_far_as_the_state_does() -> None:
    board = Board()
    assert board.unheard("7") is None
    told(board, "7", "state", {"state": "reserved", "call_id": "c1"})
    assert board.unheard("7") is None, "nobody shows a call before it rings"
    told(board, "7", "state", {"state": "ringing", "call_id": "c1"})
    assert board.unheard("7") == "c1"
    told(board, "7", "pop", {"call_id": "c1", "state": "ringing"})
    assert board.unheard("7") is None
    told(board, "7", "state", {"state": "talking", "call_id": "c1"})
    assert board.unheard("7") == "c1"
    told(board, "7", "pop", {"call_id": "c1", "state": "answered"})
    assert board.unheard("7") is None
    told(board, "7", "pop", {"call_id": "c1", "state": "ended"})
    assert board.unheard("7") is None, "its end is told before the state that follows"


def waits(board: Board, call: str, since: str, level: int = 1, severity: int = 0) -> None:
    """``since`` is a second still to come: nobody has waited long enough to be raised by it."""
    waiting = {"since": f"2126-01-01T00:00:0{since}Z", "level": level, "severity": severity, "contact": "陈洁"}
    board.take(f"ctid/v1/calls/{call}", json.dumps({"caller": "1", "waiting": waiting}).encode(), kept=False)


def answered(board: Board, call: str) -> None:
    board.take(f"ctid/v1/calls/{call}", b'{"waiting": null}', kept=False)


async def test_those_who_wait_stand_by_level_severity_and_arrival_until_their_call_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board_module, "GATHER_SECONDS", 0.0)
    board = Board()
    watch, blind = board.watch(frozenset(), others=True), board.watch(frozenset())
    assert await watch.next() == News(waiting=True)
    for call, since, level, severity in (("a", "2", 1, 0), ("b", "1", 1, 0), ("c", "3", 4, 0), ("d", "4", 4, 5)):
        waits(board, call, since, level, severity)
    assert [one.id for one in board.waiting] == ["d", "c", "b", "a"]
    assert board.waiting[0].waiting.contact == "陈洁"
    assert await watch.next() == News(waiting=True)
    waits(board, "c", "3", 4, 0)  # told again as it was
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watch.next(), 0.01)
    answered(board, "c")
    answered(board, "never heard of")
    assert [one.id for one in board.waiting] == ["d", "b", "a"]
    assert await watch.next() == News(waiting=True)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(blind.next(), 0.01)


def test_a_caller_nothing_was_heard_of_for_long_waits_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board()
    waits(board, "a", "1")
    monkeypatch.setattr(board_module, "SILENT_SECONDS", -1.0)
    assert board.waiting == ()


def test_a_list_of_those_who_wait_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "MOST_WAITING", 2)
    board = Board()
    for call in "abc":
        waits(board, call, call)
    assert len(board.waiting) == 2


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"\xff", b"[]", b"null", b'{"state": "asleep"}', b'{"state": 7}', b"[" * 100_000),
        b'{"waiting": {"severity": ' + b"9" * 400 + b"}}",
        b'{"call_id": "1.7", "state": "withdrawn", "contact": {"id": "P1", "name": "n", "level": 6}}',
    ],
)
def test_what_is_not_ctids_is_dropped(payload: bytes) -> None:
    board = Board()
    for topic in (*(topic.replace("+", "7") for topic in TOPICS), "ctid/v1/agents/../state", "rubbish", ""):
        board.take(topic, payload, kept=False)
    assert board.views == {}
    assert board.nodes == {}
    assert board.waiting == ()
