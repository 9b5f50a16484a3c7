"""The door on a real mosquitto, watched by a client that knows nothing of ctid."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from ctid import metrics
from ctid.domain.events import PauseAsked, Request, SignInAsked
from ctid.domain.types import (
    AgentState,
    AgentStatus,
    CallerFile,
    CallRecord,
    Contact,
    Direction,
    Pop,
    PopState,
    Ticket,
)
from ctid.mqtt import client as client_module
from ctid.mqtt import ear as ear_module
from lab.mosquitto import Mosquitto
from lab.process import until
from tests.mqtt.conftest import Door, Listener, listening, opened, settings_for

TICKET = Ticket(id="T 1", subject="打印机", status="open", severity=3, owner="7", created_at=1.0)
CALLER = CallerFile(
    number="+862012345678",
    contact=Contact(id="c1", name="张三", department="IT", title="Dr", level=4, customer_id="k1", customer="ACME"),
    history=(TICKET,),
)


def pop(agent: str = "7", call: str = "1700000000.1", state: PopState = PopState.RINGING) -> Pop:
    return Pop(agent=agent, call_id=call, state=state, at=1_700_000_000.0, caller="1", dialled="4001", file=CALLER)


def status(agent: str, state: AgentState, since: float = 5.0) -> AgentStatus:
    return AgentStatus(agent=agent, state=state, since=since, phone="agent7", talk_seconds_today=12.3456)


def call(call_id: str, line: str | None = None) -> CallRecord:
    return CallRecord(
        id=call_id, pbx="p", direction=Direction.INBOUND, caller="1", dialled="2", line=line, started_at=1.0
    )


async def test_a_pop_reaches_its_agents_topic_with_person_level_and_ticket(door: Door, listener: Listener) -> None:
    door.door.publish_pop(pop())
    heard = await listener.hears("agents/7/pop")
    assert heard.payload["contact"] == {
        "id": "c1",
        "name": "张三",
        "department": "IT",
        "title": "Dr",
        "level": 4,
        "customer": "ACME",
    }
    assert heard.payload["ticket"] == heard.payload["history"][0]
    assert heard.payload["ticket"]["url"] == "https://desk.example/tickets/T%201"
    assert heard.payload["state"] == "ringing"
    assert heard.payload["at"] == "2023-11-14T22:13:20.000Z"
    assert not heard.retained
    assert heard.expiry is not None
    assert 0 < heard.expiry <= 30


async def test_an_agents_state_is_kept_by_the_broker_for_those_who_come_later(door: Door, broker: Mosquitto) -> None:
    door.door.publish_agent(status("7", AgentState.IDLE))
    door.door.publish_agent(status("7", AgentState.PAUSED))
    async with listening(broker.port) as late:
        heard = await late.hears("agents/7/state", lambda state: state["state"] == "paused")
    assert heard.payload["talk_seconds_today"] == 12.346


async def test_a_command_becomes_an_event_and_its_answer_comes_back(door: Door, listener: Listener) -> None:
    await listener.says("agents/7/command", {"id": "a1", "command": "pause", "reason": "lunch"})
    asked = await until(lambda: door.asked[0] if door.asked else None, "the pause is asked for")
    assert isinstance(asked, PauseAsked)
    assert (asked.request, asked.reason) == (Request(agent="7", id="a1"), "lunch")
    door.door.reply(asked.request, None)
    assert (await listener.hears("agents/7/result")).payload == {"id": "a1", "ok": True, "error": None}


async def test_a_malformed_command_gets_one_line_and_asks_for_nothing(door: Door, listener: Listener) -> None:
    await listener.says("agents/7/command", b"{" * 20)
    assert (await listener.hears("agents/7/result")).payload["ok"] is False
    await listener.says("agents/7/command", b"x" * 20_000)
    await listener.hears("agents/7/result", lambda answer: "20000 bytes" in answer["error"])
    assert door.asked == []


async def test_a_command_at_which_ctid_itself_fails_costs_that_command_alone(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    def broken_once() -> float:
        if not failed:
            failed.append("now")
            raise OverflowError("int too large to convert to float")
        return 5.0

    failed: list[str] = []
    async with opened(settings_for(tmp_path, broker.url), now=broken_once) as running:
        await listener.hears("nodes/n1/status", lambda status: status["up"])
        await listener.says("agents/7/command", {"id": "a1", "command": "sign_in"})
        answer = await listener.hears("agents/7/result")
        assert (answer.payload["id"], answer.payload["ok"]) == ("a1", False)
        assert "its log says where" in answer.payload["error"]
        await listener.says("agents/7/command", {"id": "a2", "command": "sign_in"})
        await until(lambda: running.asked, "the next one is heard")


async def test_a_command_the_broker_retained_is_not_carried_out_at_the_next_start(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    await listener.client.publish("ctid/v1/agents/7/command", b'{"id":"old","command":"sign_in"}', qos=1, retain=True)
    async with opened(settings_for(tmp_path, broker.url)) as running:
        await listener.hears("nodes/n1/status")
        await listener.says("agents/7/command", {"id": "new", "command": "sign_in"})
        await until(lambda: bool(running.asked), "the new command arrives")
        assert [event.request.id for event in running.asked if isinstance(event, SignInAsked)] == ["new"]


async def test_ctid_that_dies_is_declared_down_by_the_broker(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    async with wire(broker.port) as cut, opened(settings_for(tmp_path, f"mqtt://127.0.0.1:{cut.port}")):
        await listener.hears("nodes/n1/status", lambda node: node["up"])
        await cut.stop()
        heard = await listener.hears("nodes/n1/status", lambda node: not node["up"])
    assert heard.payload["acting"] is False


async def test_ctid_that_is_stopped_says_goodbye_and_leaves_nothing_unsent(
    door: Door, broker: Mosquitto, listener: Listener
) -> None:
    door.door.publish_node(acting=True, pbx_connected=True)
    await listener.hears("nodes/n1/status", lambda node: node["acting"])
    door.door.publish_call(call("1.9"))
    await door.stop()
    await listener.hears("calls/1.9")
    async with listening(broker.port) as late:
        assert (await late.hears("nodes/n1/status")).payload["up"] is False


async def test_a_half_open_older_connection_does_not_declare_a_living_ctid_down(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    async with wire(broker.port) as way, opened(settings_for(tmp_path, f"mqtt://127.0.0.1:{way.port}")) as running:
        await listener.hears("nodes/n1/status", lambda node: node["up"])
        way.drop_client_side()
        running.door.publish_agent(status("7", AgentState.IDLE))
        await listener.hears("agents/7/state")
        await until(lambda: way.orphans_ended, "the broker ends the older connection")
        await until(lambda: listener.on("nodes/n1/status")[-1].payload["up"], "the newest status is up")


async def test_what_the_core_showed_while_the_broker_was_away_is_published_once_newest(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with opened(settings_for(tmp_path, broker.url)) as running:
        async with listening(broker.port) as before:
            await before.hears("nodes/n1/status")
            running.door.publish_agent(status("8", AgentState.IDLE))
            await before.hears("agents/8/state")
        await broker.kill()
        await until(lambda: metrics.REGISTRY.get_sample_value("ctid_mqtt_connected") == 0, "the loss is seen")
        running.door.publish_pop(pop(state=PopState.RINGING))
        running.door.publish_pop(pop(state=PopState.ANSWERED))
        running.door.publish_pop(pop(call="1.2"))
        running.door.publish_call(call("1.3"))
        running.door.publish_call(call("1.3", line="sales"))
        running.door.publish_agent(status("7", AgentState.RESERVED))
        running.door.publish_agent(status("7", AgentState.TALKING))
        await broker.start()
        async with listening(broker.port) as after:
            await after.hears("nodes/n1/status", lambda node: node["up"])
            await after.hears("agents/8/state", lambda state: state["state"] == "idle")
            await after.hears("agents/7/state", lambda state: state["state"] == "talking")
            running.door.publish_call(call("1.4"))
            await after.hears("calls/1.4")
            assert [one.payload["state"] for one in after.on("agents/7/state")] == ["talking"]


async def test_a_wrong_password_is_one_line_that_names_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_REFUSED_PAUSE", 0.05)
    async with Mosquitto(tmp_path / "closed", users={"ctid": "right-one"}) as closed:
        settings = settings_for(tmp_path, closed.url, CTID_MQTT__USERNAME="ctid", CTID_MQTT__PASSWORD="wrong-one")
        with structlog.testing.capture_logs() as lines:
            async with opened(settings):
                broker_log = tmp_path / "closed" / "mosquitto.out"
                await until(lambda: broker_log.read_text().count("not authorised") >= 2, "it is tried twice")
    said = [line for line in lines if line["event"].startswith("MQTT")]
    assert len(said) == 1
    assert "mqtt.password" in said[0]["event"] or "mqtt.username" in said[0]["event"]
    assert "wrong-one" not in str(lines)


async def test_a_broker_that_is_not_there_is_one_line_and_publishing_goes_on(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with structlog.testing.capture_logs() as lines:
        async with opened(settings_for(tmp_path, f"mqtt://127.0.0.1:{port}")) as running:
            running.door.publish_pop(pop())
            await until(lambda: bool(lines), "the outage is told")
            assert not running.task.done()
    assert "cannot be reached" in lines[0]["event"]


async def test_an_id_that_would_be_another_topic_is_not_published(door: Door, listener: Listener) -> None:
    for agent in ("7/state", "+", "#", "a\0b", "", "x" * 65):
        door.door.publish_pop(pop(agent=agent))
        door.door.publish_agent(status(agent, AgentState.IDLE))
    door.door.publish_call(call("../1"))
    door.door.publish_call(call("1.5"))
    await listener.hears("calls/1.5")
    assert {one.topic for one in listener.heard} == {"ctid/v1/nodes/n1/status", "ctid/v1/calls/1.5"}


# -- a wire between ctid and the broker that can be cut ----------------------------------------------------------------


class Wire:
    """Passes bytes on; can lose the client's side while the broker's side stays open."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._clients: list[asyncio.StreamWriter] = []
        self._brokers: list[asyncio.StreamWriter] = []
        self._orphans = 0
        self.orphans_ended = 0
        self._keep = False

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_broker, to_broker = await asyncio.open_connection("127.0.0.1", self._to)
        self._clients.append(writer)
        self._brokers.append(to_broker)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            except OSError:
                pass

        outward = asyncio.create_task(pump(reader, to_broker))
        await pump(from_broker, writer)
        if writer.is_closing():
            self.orphans_ended += 1
        outward.cancel()
        writer.close()
        to_broker.close()

    def drop_client_side(self) -> None:
        for writer in self._clients:
            writer.transport.abort()
        self._clients.clear()

    async def stop(self) -> None:
        self._server.close()
        for writer in [*self._clients, *self._brokers]:
            writer.transport.abort()


@asynccontextmanager
async def wire(to: int) -> AsyncIterator[Wire]:
    one = Wire(to)
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


async def test_a_flood_of_commands_is_answered_once_and_mostly_dropped(door: Door, listener: Listener) -> None:
    flood = (listener.says("agents/7/command", {"id": str(n), "command": "sign_out"}) for n in range(100))
    await asyncio.gather(*flood)
    refused = await listener.hears("agents/7/result")
    assert (refused.payload["ok"], refused.payload["error"]) == (False, "too many commands; send at most 20 a second")
    assert 20 <= len(door.asked) < 100


async def test_who_flooded_is_heard_again_later_and_colleagues_meanwhile(
    door: Door, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heard(agent: str, mark: str) -> bool:
        return Request(agent=agent, id=mark) in [
            event.request for event in door.asked if isinstance(event, SignInAsked)
        ]

    async def asked(agent: str, mark: str) -> None:
        while not heard(agent, mark):
            await listener.says(f"agents/{agent}/command", {"id": mark, "command": "sign_in"})
            await asyncio.sleep(0.1)

    monkeypatch.setattr(ear_module, "UNHEARD_SECONDS", 3.0)
    for agent in ("7", "8"):
        door.door.publish_agent(status(agent, AgentState.IDLE))
    await asyncio.gather(
        *(listener.says("agents/7/command", {"id": str(n), "command": "sign_out"}) for n in range(250))
    )
    await listener.hears("agents/7/result", lambda said: said["error"] == "too many commands; none is heard for 3 s")
    async with asyncio.timeout(30):
        await asked("8", "meanwhile")
        await asked("7", "later")


async def test_while_calls_are_left_undone_their_newest_waits_and_the_status_says_so(
    door: Door, listener: Listener
) -> None:
    door.door.shed(("roster", "calls"), calls=True)
    await listener.hears("nodes/n1/status", lambda node: node["shedding"] == ["roster", "calls"])
    door.door.publish_call(call("1.9"))
    door.door.publish_agent(status("7", AgentState.IDLE))
    await listener.hears("agents/7/state")
    assert not [heard for heard in listener.heard if heard.topic.endswith("calls/1.9")]
    door.door.shed((), calls=False)
    await listener.hears("calls/1.9")
    await listener.hears("nodes/n1/status", lambda node: node["shedding"] == [])


async def test_how_late_a_pop_was_is_measured_by_the_pbxs_time_whatever_the_clock_here_shows(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    def measured(name: str) -> float:
        return metrics.REGISTRY.get_sample_value(f"ctid_pop_seconds_{name}") or 0.0

    count, seconds = measured("count"), measured("sum")
    async with opened(settings_for(tmp_path, broker.url), now=lambda: pop().at + 2.0) as door:
        door.door.publish_pop(pop())
        await listener.hears("agents/7/pop")
        await until(lambda: measured("count") == count + 1, "the pop is measured")
    assert measured("sum") - seconds == pytest.approx(2.0)
