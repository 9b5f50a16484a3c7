"""An agent's broker password in hostile hands, against the shipped mosquitto.conf and ACL: nothing comes of what is tried."""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from ctid.config import load
from ctid.domain.events import Event, PauseAsked, PrioritiseAsked
from ctid.domain.types import AgentState, AgentStatus, CallerFile, CallRecord, Direction, Pop, PopState
from ctid.mqtt.client import MqttDoor
from ctid.mqtt.flood import FLOOD_A_SECOND
from lab.certificates import Authority
from lab.mosquitto import Mosquitto
from lab.process import TOP, LabError, free_port, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Seven is hostile, eight a colleague; the last two could only be made by an administrator who did not think.
USERS = {
    "ctid": "pw-ctid",
    "ctid-web": "pw-web",
    "ctid-supervisor": "pw-boss",
    "7": "pw-7",
    "8": "pw-8",
    "+": "p",
    "#": "p",
}
NODE = "n1"


@dataclass
class Broker:
    """The shipped broker with ctid's own door on it; ``heard`` is what reached the web, which may read everything."""

    plain_port: int
    port: int
    knows: ssl.SSLContext
    door: MqttDoor
    asked: list[Event] = field(default_factory=list)
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    witness: asyncio.Task[None] = field(init=False)

    def client(self, user: str, **more: object) -> aiomqtt.Client:
        """A desktop, as it comes from the network."""
        return aiomqtt.Client(
            "127.0.0.1",
            self.port,
            username=user,
            password=USERS[user],
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=self.knows,
            **more,
        )

    def topics(self) -> list[str]:
        return [topic for topic, _ in self.heard]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    folder = tmp_path_factory.mktemp("broker")
    authority, port = Authority(folder), free_port()
    pair = authority.issue("broker")
    server = Mosquitto(folder / "mosquitto", users=USERS, acl=(TOP / "config/mosquitto.acl").read_text())
    own = folder / "mosquitto" / "mosquitto.conf"
    own.write_text(shipped(own.read_text(), server.port, port, pair.cert, pair.key))
    (folder / "ctid.toml").write_text(f'[mqtt]\nurl = "{server.url}"\nusername = "ctid"\npassword = "pw-ctid"\n')
    asked: list[Event] = []
    async with server:
        door = MqttDoor(load(folder / "ctid.toml", {}), NODE, asked.append)
        made = Broker(
            plain_port=server.port,
            port=port,
            knows=ssl.create_default_context(cafile=authority.file),
            door=door,
            asked=asked,
        )
        running = [asyncio.create_task(door.run())]
        made.witness = asyncio.create_task(web(made))
        await until(lambda: f"ctid/v1/nodes/{NODE}/status" in made.topics(), "the daemon is up")
        yield made
        assert not [task for task in running if task.done()]
        for task in (*running, made.witness):
            task.cancel()
        await asyncio.gather(*running, made.witness, return_exceptions=True)


def shipped(own: str, plain_port: int, port: int, cert: Path, key: Path) -> str:
    """config/mosquitto.conf as a site takes it over, with the lab's ports, paths and user in place of its own."""
    files = {words[0]: words[1] for line in own.splitlines() if (words := line.split())[0].endswith("_file")}
    files |= {"certfile": str(cert), "keyfile": str(key)}

    def adapted(line: str) -> str:
        match line.split():
            case ["#listener" | "listener", "1883", *_]:
                return f"listener {plain_port} 127.0.0.1"
            case ["#listener", *_]:
                return f"listener {port} 127.0.0.1"
            case [word, _] if (name := word.removeprefix("#")) in files:
                return f"{name} {files[name]}"
        return line if line.startswith("# ") else line.removeprefix("#")

    lines = [adapted(line) for line in (TOP / "config/mosquitto.conf").read_text().splitlines()]
    return "\n".join([*lines, *(line for line in own.splitlines() if line.startswith("user "))]) + "\n"


async def web(broker: Broker) -> None:
    async with aiomqtt.Client(
        "127.0.0.1",
        broker.plain_port,
        username="ctid-web",
        password=USERS["ctid-web"],
        protocol=aiomqtt.ProtocolVersion.V5,
    ) as client:
        await client.subscribe("ctid/v1/#", qos=1)
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                broker.heard.append((str(message.topic), message.payload))


def everything_shown(broker: Broker, call: str) -> None:
    """The daemon says something on each topic it has, of the hostile agent and of the colleague."""
    for agent in ("7", "8"):
        broker.door.publish_pop(
            Pop(
                agent=agent,
                call_id=call,
                state=PopState.RINGING,
                at=1.0,
                caller="1",
                dialled="4001",
                file=CallerFile(number="1"),
            )
        )
        broker.door.publish_agent(
            AgentStatus(agent=agent, state=AgentState.IDLE, since=1.0, phone=agent, talk_seconds_today=0.0)
        )
    broker.door.publish_call(
        CallRecord(id=call, pbx="p", direction=Direction.INBOUND, caller="1", dialled="4001", line=None, started_at=1.0)
    )
    broker.door.publish_node(acting=True, pbx_connected=True)


async def answered(broker: Broker, agent: str, mark: str, limit: float = 10) -> None:
    """The agent's own command is heard by the daemon: what was sent before it has been judged, too."""
    async with broker.client(agent) as client:
        await client.publish(f"ctid/v1/agents/{agent}/command", command(mark), qos=1)
        await until(lambda: mark in ids(broker), f"{mark} arrives", limit=limit)


def ids(broker: Broker) -> set[str]:
    """Of the commands that came in."""
    return {event.request.id for event in broker.asked if isinstance(event, PauseAsked)}


def command(mark: str) -> bytes:
    return json.dumps({"id": mark, "command": "pause", "reason": "x"}).encode()


async def test_whatever_an_agent_subscribes_to_they_read_their_own_three_topics(broker: Broker) -> None:
    wanted = (
        "#",
        "+/#",
        "+/+/+/+/+",
        "ctid/v1/#",
        "ctid/v1/agents/+/pop",
        "ctid/v1/agents/8/pop",
        "ctid/v1/agents/8/state",
        "ctid/v1/agents/8/result",
        "ctid/v1/agents/+/command",
        "ctid/v1/calls/#",
        "ctid/v1/nodes/#",
        "$SYS/#",
        "$CONTROL/#",
        "$share/x/#",
        "$share/ctid/ctid/v1/agents/+/command",
        "$share/ctid/ctid/v1/agents/8/pop",
    )
    everything_shown(broker, "before.1")  # states and the node's status are retained
    async with broker.client("7") as hostile, broker.client("8") as colleague:
        for topic in wanted:
            with suppress(aiomqtt.MqttError):
                await hostile.subscribe(topic, qos=1)
        everything_shown(broker, "while.1")
        await colleague.publish("ctid/v1/agents/8/command", command("of-eight"), qos=1)
        await until(lambda: "ctid/v1/calls/while.1" in broker.topics(), "the daemon has spoken")
        broker.door.publish_agent(
            AgentStatus(agent="7", state=AgentState.PAUSED, since=9.0, phone="7", talk_seconds_today=0.0)
        )
        heard = []
        async with asyncio.timeout(10):
            async for message in hostile.messages:
                heard.append(str(message.topic))
                if message.topic.matches("ctid/v1/agents/7/state") and b'"paused"' in bytes(message.payload or b""):
                    break
    assert set(heard) <= {f"ctid/v1/agents/7/{kind}" for kind in ("pop", "state", "result")}
    assert "ctid/v1/agents/7/pop" in heard


async def test_whatever_an_agent_publishes_their_own_commands_alone_arrive(broker: Broker) -> None:
    forged = [
        *(f"ctid/v1/agents/8/{kind}" for kind in ("pop", "state", "result", "command")),
        *(f"ctid/v1/agents/7/{kind}" for kind in ("pop", "state", "result")),
        "ctid/v1/agents/7",
        "ctid/v1/agents/7/command/more",
        "ctid/v1/agents//command",
        "ctid/v1/agents/8/../7/command",
        "ctid/v1/calls/1.1",
        "ctid/v1/calls/1.1/command",
        "ctid/v1/calls/1.1/result",
        f"ctid/v1/nodes/{NODE}/status",
        "ctid/v1/nodes/other/status",
        "/ctid/v1/agents/8/command",
        "ctid/v1/agents/8/command/",
        "$SYS/broker/version",
        "$CONTROL/dynamic-security/v1",
        "$share/x/ctid/v1/agents/8/command",
    ]
    before = len(broker.heard)
    async with broker.client("7") as hostile:
        for topic in forged:
            for retain in (False, True):
                await hostile.publish(topic, command("forged"), qos=1, retain=retain)
    await answered(broker, "7", "after-forging")
    await until(lambda: any(b"after-forging" in said for _, said in broker.heard), "the web hears it, too")
    assert {topic for topic, said in broker.heard[before:] if b"forged" in said} == set()
    assert "forged" not in ids(broker)
    async with broker.client("8") as late:  # nor was anything kept for those who come later
        await late.subscribe("ctid/v1/agents/8/#", qos=1)
        await answered(broker, "7", "nothing-kept")
        kept = [message.payload for message in await waiting(late)]
    assert not [payload for payload in kept if b"forged" in bytes(payload or b"")]


async def waiting(client: aiomqtt.Client) -> list[aiomqtt.Message]:
    """What has come so far."""
    found = []
    with suppress(TimeoutError):
        while True:
            found.append(await asyncio.wait_for(anext(client.messages), 0.05))
    return found


async def test_a_last_will_says_nothing_its_sender_may_not_say(broker: Broker) -> None:
    for topic in (f"ctid/v1/nodes/{NODE}/status", "ctid/v1/agents/8/state", "ctid/v1/agents/8/command"):
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            async with raw(broker, "7", will=(topic, command("from-the-grave"))) as (_, writer):
                writer.transport.abort()  # without goodbye: the broker is to say the will
    await answered(broker, "8", "after-the-wills")
    await until(lambda: any(b"after-the-wills" in said for _, said in broker.heard), "the web hears it, too")
    assert not [topic for topic, said in broker.heard if b"from-the-grave" in said]


async def test_ctids_client_id_is_not_to_be_had(broker: Broker) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            async with broker.client("7", identifier=f"ctid-{NODE}") as hostile:
                await hostile.publish("ctid/v1/agents/7/command", command("as-ctid"), qos=1)
        await answered(broker, "8", "after-the-take-over")
    assert not [line for line in logs if "took the connection over" in str(line) or "cannot be reached" in str(line)]


@pytest.mark.parametrize("name", ["+", "#"])
async def test_a_user_named_by_a_wildcard_has_no_topic_at_all(broker: Broker, name: str) -> None:
    before = len(broker.heard)
    with suppress(aiomqtt.MqttError):  # or is not let in at all
        async with broker.client(name) as hostile:
            await hostile.subscribe("ctid/v1/#", qos=1)
            await hostile.publish("ctid/v1/agents/8/command", command("by-wildcard"), qos=1)
            everything_shown(broker, f"wild.{ord(name)}")
            await answered(broker, "8", f"after-{ord(name)}")
            assert await waiting(hostile) == []
    assert not [topic for topic, said in broker.heard[before:] if b"by-wildcard" in said]


async def test_a_payload_of_256_megabytes_is_cut_off_at_its_announcement(broker: Broker) -> None:
    async with raw(broker, "7") as (reader, writer):
        writer.write(b"\x30\xff\xff\xff\x7f" + string("ctid/v1/agents/7/command") + b"\x00" + b"x" * 65536)
        with suppress(ConnectionError):
            assert (await asyncio.wait_for(reader.read(), 10))[:1] in (
                b"",
                b"\xe0",
            )  # the end, or DISCONNECT and the end
    await answered(broker, "8", "after-the-giant")


async def test_whatever_a_supervisor_says_commands_on_calls_alone_arrive_and_nothing_is_kept(broker: Broker) -> None:
    asks = json.dumps({"id": "forged", "command": "prioritise", "agent": "8"}).encode()
    forged = [
        *(f"ctid/v1/agents/{agent}/{kind}" for agent in ("7", "8") for kind in ("pop", "state", "result", "command")),
        "ctid/v1/calls/1.1",
        "ctid/v1/calls/1.1/result",
        "ctid/v1/calls/1.1/command/more",
        "ctid/v1/calls/1.1/2/command",
        f"ctid/v1/nodes/{NODE}/status",
        "ctid/v1/nodes/other/status",
        "$SYS/broker/version",
        "$CONTROL/dynamic-security/v1",
    ]
    before, asked = len(broker.heard), len(broker.asked)
    async with broker.client("ctid-supervisor") as hostile:
        for topic in forged:
            for retain in (False, True):
                await hostile.publish(topic, asks, qos=1, retain=retain)
        for call in ("a b", "*", "x" * 65, ""):  # which are no ids
            await hostile.publish(f"ctid/v1/calls/{call}/command", asks, qos=1)
        for said in (
            b"",
            b"[]",
            b"\xff",
            b'{"id": "1"}',
            b"[" * 20_000,
            json.dumps({"id": "1", "command": "hangup"}).encode(),
        ):
            await hostile.publish("ctid/v1/calls/9.9/command", said, qos=1)
        await hostile.publish("ctid/v1/calls/1.1/command", asks.replace(b"forged", b"own"), qos=1, retain=True)
        await until(lambda: len(broker.asked) > asked, "their own right")
    (only,) = broker.asked[asked:]
    assert isinstance(only, PrioritiseAsked)
    assert (only.call_id, only.id) == ("1.1", "own")
    await until(lambda: any(b'"own"' in said for _, said in broker.heard[before:]), "the web hears it, too")
    reached = {topic for topic, said in broker.heard[before:] if b"forged" in said}
    assert {
        topic for topic in reached if not (topic.startswith("ctid/v1/calls/") and topic.endswith("/command"))
    } == set()


async def test_a_supervisor_reads_what_is_ctids_and_not_the_broker(broker: Broker) -> None:
    async with broker.client("ctid-supervisor") as hostile:
        for topic in (
            "#",
            "$SYS/#",
            "$CONTROL/#",
            "ctid/#",
            "ctid/v1/agents/+/pop",
            "$share/x/ctid/v1/agents/+/command",
        ):
            with suppress(aiomqtt.MqttError):
                await hostile.subscribe(topic, qos=1)
        await answered(broker, "8", "not-taken-away")  # by a share of the commands
        everything_shown(broker, "seen.1")
        heard: set[str] = set()
        async with asyncio.timeout(10):
            async for message in hostile.messages:
                heard.add(str(message.topic))
                if message.topic.matches("ctid/v1/calls/seen.1"):
                    break
    assert {topic for topic in heard if not topic.startswith("ctid/v1/")} == set()


async def test_who_floods_is_heard_no_more_and_colleagues_and_their_screens_as_ever(broker: Broker) -> None:
    broker.witness.cancel()  # in life another process: here it would read the flood at the daemon's cost
    everything_shown(broker, "before.2")  # the daemon knows its agents
    before = taken_of(broker, "7")
    topic, payload = string("ctid/v1/agents/7/command"), command("flood") + b" " * 700
    packet = b"\x30" + length(len(topic) + 1 + len(payload)) + topic + b"\x00" + payload
    async with (
        web_hearing(broker, "ctid/v1/agents/7/result") as told,
        raw(broker, "7") as (reader, writer),
    ):
        flooding = [asyncio.create_task(poured(writer, packet)), asyncio.create_task(drained(reader))]
        await until(lambda: any(b"none is heard for 60 s" in answer for answer in told), "it is told", limit=30)
        async with broker.client("8") as colleague:
            await colleague.subscribe("ctid/v1/agents/8/pop", qos=1)
            # While the ear listens anew it hears nobody, for a moment: who has no answer asks again.
            await asked_until_heard(broker, colleague, "first")
            for number in range(10):
                await colleague.publish("ctid/v1/agents/8/command", command(f"amid-{number}"), qos=1)
            wanted = {f"amid-{number}" for number in range(10)}
            await until(lambda: wanted <= ids(broker), "each arrives", limit=30)
            everything_shown(broker, "amid.2")
            async with asyncio.timeout(30):
                shown = await anext(colleague.messages)
        assert b'"amid.2"' in bytes(shown.payload or b"")
        assert not any(task.done() for task in flooding), "it still floods"
        for task in flooding:
            task.cancel()
        await asyncio.gather(*flooding, return_exceptions=True)
    assert taken_of(broker, "7") - before <= FLOOD_A_SECOND


@asynccontextmanager
async def web_hearing(broker: Broker, topic: str) -> AsyncIterator[list[bytes]]:
    """What is said on the topic meanwhile."""
    told: list[bytes] = []
    user = "ctid-web"
    async with aiomqtt.Client(
        "127.0.0.1", broker.plain_port, username=user, password=USERS[user], protocol=aiomqtt.ProtocolVersion.V5
    ) as client:

        async def hear() -> None:
            async for message in client.messages:
                told.append(bytes(message.payload or b""))  # noqa: PERF401 - as they come

        await client.subscribe(topic, qos=1)
        hearing = asyncio.create_task(hear())
        yield told
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


async def asked_until_heard(broker: Broker, client: aiomqtt.Client, mark: str) -> None:
    async with asyncio.timeout(30):
        while mark not in ids(broker):
            await client.publish("ctid/v1/agents/8/command", command(mark), qos=1)
            with suppress(LabError):
                await until(lambda: mark in ids(broker), f"{mark} arrives", limit=0.5)


def taken_of(broker: Broker, agent: str) -> int:
    return len([event for event in broker.asked if isinstance(event, PauseAsked) and event.request.agent == agent])


async def poured(writer: asyncio.StreamWriter, packet: bytes) -> None:
    """Without end."""
    while True:
        writer.write(packet * 100)
        await writer.drain()
        await asyncio.sleep(0)  # a flooder shares no processor with ctid's loop, but this one does


async def drained(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


@asynccontextmanager
async def raw(
    broker: Broker, user: str, will: tuple[str, bytes] | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection of who writes the protocol by hand, signed in; `will` is a topic and what is to be said there, retained."""
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port, ssl=broker.knows)
    flags = b"\xc2" if will is None else b"\xee"
    last = b"" if will is None else b"\x00" + string(will[0]) + struct.pack("!H", len(will[1])) + will[1]
    body = (
        string("MQTT") + b"\x05" + flags + b"\x00\x3c\x00" + string("any") + last + string(user) + string(USERS[user])
    )
    writer.write(b"\x10" + length(len(body)) + body)
    try:
        kind, size = await reader.readexactly(2)
        answer = await reader.readexactly(size)
        assert (kind, answer[1]) == (0x20, 0), answer
        yield reader, writer
    finally:
        writer.transport.abort()


def string(text: str) -> bytes:
    return struct.pack("!H", len(text)) + text.encode()


def length(number: int) -> bytes:
    """As MQTT writes it, seven bits a byte."""
    octets = bytearray()
    while True:
        number, low = divmod(number, 128)
        octets.append(low | (0x80 if number else 0))
        if not number:
            return bytes(octets)
