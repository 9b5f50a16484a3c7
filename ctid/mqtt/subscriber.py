"""The web's door: ``ctid web`` hears what the daemon publishes, and says what its people ask the daemon for.

Law: one task; a broker that is away is tried again with back-off and jitter, and what it keeps (retained) comes again
after each connection. What is heard is handed over as it came: whoever takes it judges it. What cannot be said now is not said
later.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from typing import Protocol

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from structlog import get_logger

from ctid import tls
from ctid.config import Mqtt
from ctid.mqtt.cancelling import heed_cancellation
from ctid.mqtt.topics import Message

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 5.0
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
        self._client: aiomqtt.Client | None = None

    @property
    def connected(self) -> bool:
        """Whether the broker has taken the subscription and the link still stands."""
        return self._client is not None

    async def publish(self, message: Message, *, expires: float) -> None:
        """Send a message, once, that nobody is to get after ``expires`` seconds. Raises ``OSError`` where it cannot be sent."""
        if self._client is None:
            raise ConnectionError("there is no link to the broker")
        until = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho ships none
        until.MessageExpiryInterval = math.ceil(expires)
        try:
            # QoS 0: a command that the broker delivered twice would be carried out twice.
            await self._client.publish(self._mqtt.topic(message.topic), message.payload, qos=0, properties=until)
        except aiomqtt.MqttError as error:
            raise ConnectionError(str(error)) from error

    async def run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._listen()
            except (aiomqtt.MqttError, OSError) as error:
                if self._client is not None:
                    pause = FIRST_PAUSE
                said = tls.wrong(error, self._mqtt.url.host, "mqtt") or str(error)
                _log.warning("no MQTT broker", broker=str(self._mqtt.url), error=said, again_in=round(pause, 1))
            finally:
                self._client = None
            heed_cancellation()
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
            tls_context=mqtt.secured.context() if mqtt.secured else None,
            timeout=10,
            keepalive=20,
            max_queued_incoming_messages=QUEUED,
        ) as client:
            await client.subscribe([(mqtt.topic(topic), 1) for topic in self._topics])
            heed_cancellation()
            self._client = client
            _log.info("listening to the MQTT broker", broker=str(mqtt.url))
            async for message in client.messages:
                payload = message.payload
                if isinstance(payload, bytes) and len(payload) <= LARGEST:
                    self._take(mqtt.name(message.topic.value), payload, kept=bool(message.retain))
