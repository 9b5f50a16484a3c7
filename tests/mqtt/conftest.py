"""A broker of its own for each test, and a listener that stands outside ctid."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from ctid.config import Settings, load
from ctid.domain.events import Event
from ctid.mqtt.client import MqttDoor
from lab.mosquitto import Mosquitto
from lab.process import until


@dataclass
class Heard:
    topic: str
    payload: Any
    retained: bool
    expiry: int | None


@dataclass
class Listener:
    """Everything below ctid/v1 that an outsider receives, in order."""

    client: aiomqtt.Client
    heard: list[Heard] = field(default_factory=list)

    def on(self, topic: str) -> list[Heard]:
        return [one for one in self.heard if one.topic == f"ctid/v1/{topic}"]

    async def hears(self, topic: str, wanted: Callable[[Any], bool] = lambda _: True) -> Heard:
        return await until(
            lambda: next((one for one in self.on(topic) if wanted(one.payload)), None), f"a message on {topic}"
        )

    async def says(self, topic: str, payload: object) -> None:
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        await self.client.publish(f"ctid/v1/{topic}", raw, qos=1)


def topic_of_commands(message: aiomqtt.Message) -> bool:
    return str(message.topic).endswith("/command")


def _json(payload: object) -> Any:
    """What it says, ``None`` where that is no JSON: tests send such, too."""
    try:
        return json.loads(payload if isinstance(payload, bytes) else b"")
    except (ValueError, RecursionError):
        return None


@asynccontextmanager
async def listening(port: int, **given: Any) -> AsyncIterator[Listener]:
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, **given) as client:
        listener = Listener(client)

        async def read() -> None:
            async for message in client.messages:
                expiry = getattr(message.properties, "MessageExpiryInterval", None)
                payload = None if topic_of_commands(message) else _json(message.payload)
                listener.heard.append(Heard(str(message.topic), payload, message.retain, expiry))

        await client.subscribe("ctid/v1/#", qos=1)
        reading = asyncio.create_task(read())
        try:
            yield listener
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


@dataclass
class Door:
    door: MqttDoor
    asked: list[Event]
    task: asyncio.Task[None]

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@asynccontextmanager
async def opened(settings: Settings, node: str = "n1", now: Callable[[], float] = time.time) -> AsyncIterator[Door]:
    asked: list[Event] = []
    door = MqttDoor(settings, node, asked.append, now=now)
    running = Door(door, asked, asyncio.create_task(door.run()))
    try:
        yield running
    finally:
        await running.stop()


def settings_for(folder: Path, url: str, **env: str) -> Settings:
    file = folder / "ctid.toml"
    file.write_text('[web]\nurl = "https://desk.example"\n')
    return load(file, {"CTID_MQTT__URL": url, **env})


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
async def listener(broker: Mosquitto) -> AsyncIterator[Listener]:
    async with listening(broker.port) as one:
        yield one


@pytest.fixture
async def door(broker: Mosquitto, tmp_path: Path, listener: Listener) -> AsyncIterator[Door]:
    """A door that is open: its status has been heard."""
    async with opened(settings_for(tmp_path, broker.url)) as running:
        await listener.hears("nodes/n1/status", lambda status: status["up"])
        yield running
