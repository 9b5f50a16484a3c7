"""The real application on a real database and a real broker, reached as browsers reach it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from ctid.config import Settings, load
from ctid.db import session
from ctid.mqtt.topics import Message, node_message
from ctid.notify import Notifier
from ctid.web.app import create_app
from ctid.web.room import Room
from ctid.web.serve import _Server, listen
from ctid.web.wire import Door
from lab.mosquitto import Mosquitto
from lab.process import until
from tests.web.site import PASSWORD, Seeded, seed


@dataclass(slots=True, kw_only=True)
class Web:
    """A running web: its address, what is in its database, its inside, and the broker it listens to."""

    url: str
    seeded: Seeded
    app: FastAPI
    room: Room
    broker: Mosquitto
    publisher: aiomqtt.Client
    clients: list[httpx.AsyncClient]
    door: Door

    @property
    def socket_url(self) -> str:
        return self.url.replace("http://", "ws://") + "/live"

    def client(self, **more: object) -> httpx.AsyncClient:
        made = httpx.AsyncClient(base_url=self.url, headers={"origin": self.url}, **more)
        self.clients.append(made)
        return made

    async def signed_in(self, name: str) -> httpx.AsyncClient:
        client = self.client()
        answer = await sign_in(client, name, PASSWORD)
        assert answer.status_code == 303, answer.text
        return client

    async def say(self, message: Message, *, retain: bool = False) -> None:
        """Publish as the daemon does."""
        await self.publisher.publish(message.topic, message.payload, qos=1, retain=retain)

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        async with session.reading(self.room.engine) as connection:
            return [tuple(row) for row in await connection.execute(text(query))]


def form_token(page: str) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
    assert found, page[:500]
    return found[1]


async def sign_in(client: httpx.AsyncClient, name: str, password: str, **more: str) -> httpx.Response:
    token = form_token((await client.get("/sign-in")).text)
    return await client.post("/sign-in", data={"name": name, "password": password, "form_token": token, **more})


def settings(folder: Path, broker: Mosquitto, *lines: str) -> Settings:
    (folder / "sounds").mkdir(exist_ok=True)
    file = folder / "ctid.toml"
    file.write_text(
        f'[state]\ndirectory = "{folder}"\n[database]\nurl = "sqlite:///{folder}/ctid.db"\n[mqtt]\nurl = "{broker.url}"\n'
        f'[recordings]\nroot = "{folder}/sounds"\n[routing]\ntimezone = "Asia/Shanghai"\ncountry = "CN"\n'
        '[web]\nlisten = "127.0.0.1:0"\n' + "\n".join(lines)
    )
    return load(file, {})


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path / "broker") as made:
        yield made


@pytest.fixture
async def web(tmp_path: Path, broker: Mosquitto) -> AsyncIterator[Web]:
    async with served(tmp_path, broker) as made:
        yield made


@asynccontextmanager
async def served(folder: Path, broker: Mosquitto, *lines: str) -> AsyncIterator[Web]:
    """A seeded site below the folder, with these lines more in its file, served until it is left."""
    own = settings(folder, broker, *lines)
    seeded = await seed(own.database.url.get_secret_value(), own.recordings.root)
    app = create_app(own)
    room: Room = app.state.room
    with listen(own.web.listen) as taken:
        server = _Server(app, taken, Notifier({}))
        serving = asyncio.create_task(server.serve([taken]))
        listening = asyncio.create_task(room.subscriber.run())
        protocol = aiomqtt.ProtocolVersion.V5
        async with aiomqtt.Client("127.0.0.1", broker.port, protocol=protocol) as publisher:
            await until(lambda: server.started, "the web serves")
            made = Web(
                url=f"http://127.0.0.1:{taken.getsockname()[1]}",
                seeded=seeded,
                app=app,
                room=room,
                broker=broker,
                publisher=publisher,
                clients=[],
                door=server.door,
            )
            yield made
            for client in made.clients:
                await client.aclose()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        server.end()
        await serving


@pytest.fixture
async def ready(web: Web) -> Web:
    """The web with a daemon that says it is routing."""
    message = node_message("n1", up=True, acting=True, pbx_connected=True, version="1")
    await web.say(message, retain=True)
    await until(web.room.board.routing, "the web hears of the daemon")
    return web
