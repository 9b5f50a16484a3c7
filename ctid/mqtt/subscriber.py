"""The door for those who only listen: ``ctid web`` hears what the daemon publishes and publishes nothing itself.

Law: one task; a broker that is away is tried again with back-off and jitter, and what it keeps (retained) comes again
after each connection. What is heard is handed over as it came: whoever takes it judges it.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Sequence
from typing import Protocol

import aiomqtt
from structlog import get_logger

from ctid.config import Mqtt

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
LARGEST = 256 * 1024
#: Messages aiomqtt may hold for us; past it new ones are lost, and the next that comes of an agent mends their view.
QUEUED = 10_000

_log = get_logger(__name__)


class Take(Protocol):
    """Takes one message: ``kept`` when the broker had retained it from before. Must be quick and must not raise."""

    def __call__(self, topic: str, payload: bytes, *, kept: bool) -> None: ...


class Subscriber:
    """Listens to ``topics`` until cancelled."""

    def __init__(self, mqtt: Mqtt, topics: Sequence[str], take: Take) -> None:
        self._mqtt = mqtt
        self._topics = tuple(topics)
        self._take = take
        self._connected = False

    @property
    def connected(self) -> bool:
        """Whether the broker has taken the subscription and the link still stands."""
        return self._connected

    async def run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._listen()
            except aiomqtt.MqttError as error:
                if self._connected:
                    pause = FIRST_PAUSE
                _log.warning("no MQTT broker", broker=str(self._mqtt.url), error=str(error), again_in=round(pause, 1))
            finally:
                self._connected = False
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _listen(self) -> None:
        mqtt = self._mqtt
        async with aiomqtt.Client(
            mqtt.url.host,
            mqtt.url.port,
            username=mqtt.username,
            password=mqtt.password.get_secret_value() if mqtt.password else None,
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=ssl.create_default_context(cafile=mqtt.ca_file) if mqtt.url.tls else None,
            timeout=10,
            keepalive=20,
            max_queued_incoming_messages=QUEUED,
        ) as client:
            await client.subscribe([(topic, 1) for topic in self._topics])
            self._connected = True
            _log.info("listening to the MQTT broker", broker=str(mqtt.url))
            async for message in client.messages:
                payload = message.payload
                if isinstance(payload, bytes) and len(payload) <= LARGEST:
                    self._take(message.topic.value, payload, kept=bool(message.retain))
