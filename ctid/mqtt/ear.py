"""The daemon's ear at the broker: the command topics, on a connection of their own.

Law: nothing is said on it. Mosquitto drops what a connection is too slow for, whatever it is: others' commands, and the
acknowledgements for which all that is said there would wait. Who floods is subscribed to no more for a while, by a connection
made anew, whose queue at the broker is empty: so the broker itself drops what they send, and everybody else is heard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NoReturn

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from structlog import get_logger

from ctid.config import Mqtt
from ctid.domain.types import AgentId
from ctid.mqtt import topics
from ctid.mqtt.cancelling import heed_cancellation
from ctid.mqtt.flood import MOST_A_SECOND, Flood, Verdict
from ctid.mqtt.topics import Refusal

_log = get_logger(__name__)

#: How long who floods is not heard, in seconds.
UNHEARD_SECONDS = 60.0

#: Whether a message gets a place among those that wait to be read.
Heeded = Callable[[aiomqtt.Message], bool]


class RefusedError(Exception):
    """The broker said no, in a way that only a person can mend."""


class Sieve(asyncio.Queue[aiomqtt.Message]):
    """What came and is to be read."""

    heeded: Heeded

    def put_nowait(self, item: aiomqtt.Message) -> None:
        if self.heeded(item):
            super().put_nowait(item)


class Ear:
    """Hands each command to ``take`` by its topic and payload, and to ``refuse`` the answer to one that is too many.

    ``mqtt`` knows what the topics are called at the broker; ``connect`` makes a connection whose messages pass a sieve;
    ``agents`` are those whose states are shown. While this daemon does not ``act``, it hears and does nothing.
    """

    def __init__(
        self,
        *,
        mqtt: Mqtt,
        connect: Callable[[type[Sieve]], aiomqtt.Client],
        agents: Callable[[], Iterable[AgentId]],
        take: Callable[[str, bytes], None],
        refuse: Callable[[Refusal], None],
        acts: Callable[[], bool],
    ) -> None:
        self._mqtt = mqtt
        self._connect = connect
        self._agents = agents
        self._take = take
        self._refuse = refuse
        self._acts = acts
        self._flood = Flood()
        #: Until when, by the monotonic clock, which source of commands is not subscribed to.
        self._unheard: dict[str, float] = {}

    async def run(self, opened: asyncio.Event) -> NoReturn:
        """Listen until the link breaks, which raises as aiomqtt does, or ``RefusedError``; sets ``opened`` once it stands."""
        while True:
            # Before they are queued: one sender's flood would else take the places of all others' commands.
            async with self._connect(type("_Sieve", (Sieve,), {"heeded": staticmethod(self._heeded)})) as client:
                await self._subscribe(client)
                heed_cancellation()
                opened.set()
                await self._read(client)

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        now = time.monotonic()
        self._unheard = {source: until for source, until in self._unheard.items() if until > now}
        # Not the retained ones: a command kept by the broker is an old command.
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        for topic in map(self._mqtt.topic, topics.commands_but(self._unheard, self._agents())):
            for code in await client.subscribe(topic, options=options):
                if isinstance(code, ReasonCode) and code.is_failure:
                    raise RefusedError(f"the broker refuses to subscribe ctid to {topic}; allow it in the broker's ACL")

    async def _read(self, client: aiomqtt.Client) -> None:
        """Until somebody else is to be heard than is."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(min(self._unheard.values(), default=None)):
                async for message in client.messages:
                    topic, payload = self._said(message)
                    if topics.source(topic) in self._unheard:
                        return
                    if self._acts():
                        self._take(topic, payload)

    def _heeded(self, message: aiomqtt.Message) -> bool:
        """Whether the command is one of those a second that its source may send; the first that is not is answered."""
        if not self._acts():
            return False
        topic, payload = self._said(message)
        source = topics.source(topic)
        verdict = self._flood.judge(source, time.monotonic())
        if verdict is Verdict.REFUSE:
            self._too_many(topic, payload, f"send at most {MOST_A_SECOND} a second")
        elif verdict is Verdict.UNHEAR and source not in self._unheard:
            self._unheard[source] = time.monotonic() + UNHEARD_SECONDS
            self._too_many(topic, payload, f"none is heard for {UNHEARD_SECONDS:.0f} s")
            return True  # which wakes the reader
        return verdict is Verdict.TAKE

    def _too_many(self, topic: str, payload: bytes, what_now: str) -> None:
        _log.warning("MQTT commands come too fast and are dropped", topic=topic, so=what_now)
        if (refusal := topics.refused(topic, payload, f"too many commands; {what_now}")) is not None:
            self._refuse(refusal)

    def _said(self, message: aiomqtt.Message) -> tuple[str, bytes]:
        payload = message.payload if isinstance(message.payload, bytes) else b""
        return self._mqtt.name(str(message.topic)), payload
