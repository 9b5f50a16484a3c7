"""The aiomqtt door: publishes what the core shows, hands in what people ask for, and keeps trying to reach the broker.

Law: publishing is a sync call that never raises and never waits; the outbox holds what the broker has not taken yet.
Retained states are published anew after each reconnect, old commands are never fetched. Only the command topics are read.
"""

from __future__ import annotations

import asyncio
import math
import random
import socket
import ssl
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import cache

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from structlog import get_logger

from ctid import __version__, metrics
from ctid.config import Settings
from ctid.domain.events import Event, Request
from ctid.domain.said import Said
from ctid.domain.types import AgentId, AgentStatus, CallRecord, Pop, PopState, Waiting
from ctid.mqtt import topics
from ctid.mqtt.cancelling import heed_cancellation
from ctid.mqtt.flood import MOST_A_SECOND, Flood, Verdict
from ctid.mqtt.outbox import Item, Kind, Outbox
from ctid.mqtt.topics import Message, Refusal

_log = get_logger(__name__)

#: A broker that does not answer for this long is taken for gone (its keep-alive); in seconds.
KEEPALIVE = 10
_CONNECT_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
_REFUSED_PAUSE = 30.0
_FAREWELL_SECONDS = 2.0
_POP_SLACK_SECONDS = 10.0
#: A call changes some ten times while it is set up, its agent three times: shown this much later, that is once.
_GATHER_SECONDS = 0.05
_RESULT_SECONDS = 60
# aiomqtt warns when more than 10 publishes wait for their acknowledgement.
_AT_ONCE = 10

# QoS 1 where a loss would mislead a person: a screen without its pop, a state that stays wrong, an answer that never
# comes. Twice is harmless: each message says the whole state. A call is said again at its next change and stands in
# the database, so QoS 0 spares the broker half of its traffic.
_QOS = {Kind.NODE: 1, Kind.POP: 1, Kind.RESULT: 1, Kind.STATE: 1, Kind.CALL: 0}
_RETAINED = frozenset({Kind.NODE, Kind.STATE})

# Reason codes that a retry alone will not mend (MQTT 5, 3.2.2.2).
_MENDS = {
    132: "the broker does not speak MQTT 5; use one that does, such as mosquitto 2",
    133: "the broker refuses ctid's client id; allow ids that begin with ctid-",
    134: "the broker refuses the name or password; mend mqtt.username and mqtt.password",
    135: "the broker does not authorise ctid; give mqtt.username and mqtt.password, or allow it in the broker's ACL",
    142: "another ctid of this node's name took the connection over; run one only, or give each its own [mqtt] node",
    138: "the broker has banned ctid; lift the ban there",
}


class _RefusedError(Exception):
    """The broker said no, in a way that only a person can mend."""


class MqttDoor:
    """One connection to the broker for the life of the daemon.

    ``node`` names this daemon in its status topic; ``on_command`` takes each event asked for, at once and without raising.
    Raises ``ValueError`` for a node that cannot be part of a topic.
    """

    def __init__(self, settings: Settings, node: str, on_command: Callable[[Event], None]) -> None:
        self._settings = settings
        self._node = node
        self._on_command = on_command
        self._web_url = settings.web.url
        self._pop_seconds = settings.routing.ring_seconds + _POP_SLACK_SECONDS
        self._outbox = Outbox()
        self._states: dict[AgentId, AgentStatus] = {}
        self._wake = asyncio.Event()
        self._answers = 0
        self._flood = Flood()
        self._status = topics.node_message(node, up=True, acting=False, pbx_connected=False, version=__version__)
        self._will = topics.node_message(node, up=False, acting=False, pbx_connected=False, version=__version__)
        self._said: str | None = None

    # -- for the core, never raising -----------------------------------------------------------------------------------

    def publish_pop(self, pop: Pop) -> None:
        """Show a pop on its agent's screen, unless a newer one of the same call is due or it has expired."""
        self._put(
            Kind.POP,
            (pop.agent, pop.call_id),
            lambda: topics.pop_message(pop, self._web_url),
            expires_in=self._pop_seconds,
            rang_at=pop.at if pop.state is PopState.RINGING else None,
        )

    def publish_agent(self, status: AgentStatus) -> None:
        """Publish an agent's state, retained."""
        self._states[status.agent] = status
        self._put(Kind.STATE, status.agent, lambda: topics.agent_message(status), gather=_GATHER_SECONDS)

    def publish_call(self, call: CallRecord, waiting: Waiting | None = None) -> None:
        """Publish the newest books on a call, and whether its caller could be picked up."""
        self._put(Kind.CALL, call.id, lambda: topics.call_message(call, waiting), gather=_GATHER_SECONDS)

    def reply(self, request: Request, error: Said | None) -> None:
        """Answer an MQTT command; ``error`` is ``None`` when it was carried out."""
        self._answer(lambda: topics.result_message(request.agent, request.id, error))

    def publish_node(self, *, acting: bool, pbx_connected: bool) -> None:
        """Publish what this daemon does, retained; the last will takes it back."""
        self._status = topics.node_message(
            self._node, up=True, acting=acting, pbx_connected=pbx_connected, version=__version__
        )
        self._put(Kind.NODE, self._node, lambda: self._status)

    # -- the life of the connection ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the connection until cancelled, and say goodbye then; raises nothing of MQTT's own."""
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                async with self._client() as client:
                    await self._subscribe(client)
                    heed_cancellation()
                    self._connected()
                    try:
                        await self._serve(client)
                    except asyncio.CancelledError:
                        await self._say_goodbye(client)
                        raise
            except (aiomqtt.MqttError, OSError, _RefusedError) as error:
                heed_cancellation()
                mend = _mend(error)
                self._say(mend or f"the broker cannot be reached ({_reason(error)}); ctid keeps trying")
                if mend:
                    pause = _REFUSED_PAUSE
                elif time.monotonic() - began > _LONGEST_PAUSE:
                    pause = _FIRST_PAUSE
            finally:
                metrics.MQTT_CONNECTED.set(0)
            # Jitter, or all clients of a restarted broker come back in the same moment.
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _client(self) -> aiomqtt.Client:
        mqtt = self._settings.mqtt
        connecting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho ships none
        # Above the bound on commands, so that one a little too long is still answered, and far below what would hurt.
        connecting.MaximumPacketSize = 4 * topics.LARGEST_COMMAND
        return aiomqtt.Client(
            mqtt.url.host,
            mqtt.url.port,
            username=mqtt.username,
            password=mqtt.password.get_secret_value() if mqtt.password else None,
            # The same id each time: the broker then ends a half-open older connection at once. Under a new id that
            # one's last will would come late and declare a living daemon dead.
            identifier=f"ctid-{self._node}",
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=KEEPALIVE,
            timeout=_CONNECT_SECONDS,
            # Without it a pop waits up to 40 ms for the acknowledgement of the message before.
            socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
            will=aiomqtt.Will(self._will.topic, self._will.payload, qos=1, retain=True),
            properties=connecting,
            max_queued_incoming_messages=1000,
            max_queued_outgoing_messages=0,
            tls_context=ssl.create_default_context(cafile=mqtt.ca_file) if mqtt.url.tls else None,
        )

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        # Not the retained ones: a command kept by the broker is an old command.
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        for topic in topics.COMMANDS:
            for code in await client.subscribe(topic, options=options):
                if isinstance(code, ReasonCode) and code.is_failure:
                    raise _RefusedError(
                        f"the broker refuses to subscribe ctid to {topic}; allow it in the broker's ACL"
                    )

    def _connected(self) -> None:
        _log.info("MQTT broker connected", broker=str(self._settings.mqtt.url))
        self._said = None
        metrics.MQTT_CONNECTED.set(1)
        self._put(Kind.NODE, self._node, lambda: self._status)
        for status in self._states.values():
            self.publish_agent(status)

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Read and write until the link breaks, which raises, or the daemon stops."""
        # No TaskGroup: until Python 3.12 a failed one leaves a count in the task's cancelling(), which is read above.
        both = [asyncio.create_task(way(client), name=f"mqtt{way.__name__}") for way in (self._read, self._write)]
        try:
            ended, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        for task in ended:
            task.result()

    async def _read(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic, payload = str(message.topic), message.payload if isinstance(message.payload, bytes) else b""
            verdict = self._flood.judge(topic, time.monotonic())
            if verdict is Verdict.DROP:
                continue
            if verdict is Verdict.REFUSE:
                _log.warning("MQTT commands come too fast and are dropped", topic=topic, most_a_second=MOST_A_SECOND)
                asked: Event | Refusal | None = topics.too_many(topic, payload, MOST_A_SECOND)
            else:
                asked = topics.parse_command(topic, payload, time.time())
            if isinstance(asked, Refusal):
                _log.info("MQTT command refused", topic=topic, error=asked.error)
                self._answer(lambda refusal=asked: topics.refusal_message(refusal))  # type: ignore[misc]
            elif asked is not None:
                self._on_command(asked)
            else:
                _log.warning("MQTT command left alone: its topic names no usable id", topic=topic)

    async def _write(self, client: aiomqtt.Client) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._outbox.next_due):
                    await self._wake.wait()
            self._wake.clear()
            await self._drain(client)

    async def _drain(self, client: aiomqtt.Client, *, early: bool = False) -> None:
        while batch := self._outbox.take(_AT_ONCE, time.monotonic(), early=early):
            try:
                outcomes = await asyncio.gather(*(self._send(client, item) for item in batch), return_exceptions=True)
            except asyncio.CancelledError:
                self._outbox.put_back(batch)
                raise
            failed = [(i, o) for i, o in zip(batch, outcomes, strict=True) if isinstance(o, BaseException)]
            self._outbox.put_back([item for item, _ in failed])
            if failed:
                raise failed[0][1]

    async def _send(self, client: aiomqtt.Client, item: Item) -> None:
        try:
            message = item.make()
        except (ValueError, OverflowError, OSError) as error:
            # An id that would be another topic, or a time no calendar has: the others go on without this message.
            metrics.MQTT_DROPPED.inc()
            _log.warning("MQTT message not published", kind=item.kind.name.lower(), error=str(error))
            return
        properties = None
        if item.expires_at is not None:
            properties = _expiring(max(1, math.ceil(item.expires_at - time.monotonic())))
        await client.publish(
            message.topic,
            message.payload,
            qos=_QOS[item.kind],
            retain=item.kind in _RETAINED,
            properties=properties,
        )
        if item.rang_at is not None:
            metrics.POP_SECONDS.observe(max(0.0, time.time() - item.rang_at))

    async def _say_goodbye(self, client: aiomqtt.Client) -> None:
        """Publish what is left and that this daemon is down: a clean end sends no last will."""
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._drain(client, early=True)
                await client.publish(self._will.topic, self._will.payload, qos=1, retain=True)
        except (aiomqtt.MqttError, OSError, TimeoutError) as error:
            _log.warning("MQTT broker left without a goodbye", reason=_reason(error))

    # -- small change --------------------------------------------------------------------------------------------------

    def _answer(self, make: Callable[[], Message]) -> None:
        self._answers += 1
        self._put(Kind.RESULT, self._answers, make, expires_in=_RESULT_SECONDS)

    def _put(
        self,
        kind: Kind,
        key: Hashable,
        make: Callable[[], Message],
        *,
        expires_in: float | None = None,
        rang_at: float | None = None,
        gather: float = -math.inf,
    ) -> None:
        now = time.monotonic()
        expires_at = None if expires_in is None else now + expires_in
        woken_at = self._outbox.next_due
        self._outbox.put(
            Item(kind=kind, key=key, make=make, expires_at=expires_at, rang_at=rang_at, due_at=now + gather)
        )
        if woken_at is None or now + gather < woken_at:
            self._wake.set()

    def _say(self, what: str) -> None:
        """One line per outage and reason, not one per try."""
        if what != self._said:
            self._said = what
            _log.warning(f"MQTT: {what}", broker=str(self._settings.mqtt.url))


@cache  # paho takes longer to make it than to send a message; few seconds differ
def _expiring(seconds: int) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho ships none
    properties.MessageExpiryInterval = seconds
    return properties


def _mend(error: Exception) -> str | None:
    if isinstance(error, _RefusedError):
        return str(error)
    for one in (error, error.__cause__):
        if isinstance(one, aiomqtt.MqttCodeError) and isinstance(one.rc, ReasonCode):
            return _MENDS.get(one.rc.value)
    return None


def _reason(error: Exception) -> str:
    return str(error.__cause__ or error) or type(error).__name__
