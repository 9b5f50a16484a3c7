"""One try at the broker, for ``ctid doctor``: whether ctid may come in, hear commands and publish.

Law: leaves nothing behind, and takes a client id of its own: the daemon's would end the daemon's connection.
"""

from __future__ import annotations

import asyncio
import secrets

import aiomqtt
from paho.mqtt.client import Client
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ctid.config import Mqtt
from ctid.mqtt import topics
from ctid.mqtt.client import _mend, _reason

_SECONDS = 5.0
_NOBODY = "doctor"


class BrokerFault(Exception):  # noqa: N818 - a fault to mend
    """What the broker would not do and how to mend it, in one line."""


class _Client(aiomqtt.Client):
    """Keeps what the broker said to a message: aiomqtt takes every answer for a yes."""

    refused: ReasonCode | None = None

    def _on_publish(
        self, client: Client, userdata: object, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        if reason_code.is_failure:
            self.refused = reason_code
        super()._on_publish(client, userdata, mid, reason_code, properties)


async def try_broker(mqtt: Mqtt) -> None:
    """Connect with MQTT 5, subscribe to the command topics, publish an empty message; raises ``BrokerFault``."""
    try:
        async with asyncio.timeout(2 * _SECONDS), _connection(mqtt) as client:
            for topic in map(mqtt.topic, topics.COMMANDS):
                for code in await client.subscribe(topic, qos=1):
                    if isinstance(code, ReasonCode) and code.is_failure:
                        raise BrokerFault(f"the broker refuses to let ctid subscribe to {topic}; allow it in its ACL")
            topic = mqtt.topic(f"{topics.PREFIX}/agents/{_NOBODY}/pop")
            await client.publish(topic, b"", qos=1)
            if client.refused is not None:
                every = mqtt.topic(f"{topics.PREFIX}/#")
                raise BrokerFault(f"the broker refuses to let ctid publish to {topic}; allow {every} in its ACL")
    except (aiomqtt.MqttError, OSError) as error:
        mend = _mend(error, mqtt) or f"cannot be reached ({_reason(error)}); is it running, and mqtt.url right?"
        raise BrokerFault(mend) from None


def _connection(mqtt: Mqtt) -> _Client:
    return _Client(
        mqtt.url.host,
        mqtt.url.port,
        username=mqtt.username,
        password=mqtt.password.get_secret_value() if mqtt.password else None,
        identifier=f"ctid-doctor-{secrets.token_hex(4)}",
        protocol=aiomqtt.ProtocolVersion.V5,
        timeout=_SECONDS,
        tls_context=mqtt.secured.context() if mqtt.secured else None,
    )
