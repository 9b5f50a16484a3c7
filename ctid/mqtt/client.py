"""The aiomqtt door: publishes what the core shows, hands in what people ask for, and keeps trying to reach the broker.

Law: publishing is a sync call that never raises and never waits; the outbox holds what the broker has not taken yet.
Retained states are published anew after each reconnect, old commands are never fetched. Commands come by a connection of
their own, the ear: what floods it delays nothing that is said.
"""

from __future__ import annotations

import asyncio
import math
import random
import socket
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import cache
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from structlog import get_logger

from ctid import __version__, metrics, tls
from ctid.config import Mqtt, Settings
from ctid.domain.events import Event, Request
from ctid.domain.said import Said
from ctid.domain.types import AgentId, AgentStatus, CallId, CallRecord, Pop, PopState, Waiting
from ctid.mqtt import topics
from ctid.mqtt.cancelling import heed_cancellation
from ctid.mqtt.ear import Ear, RefusedError, Sieve
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
_STANDING_BY_SECONDS = 0.05
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


class MqttDoor:
    """The daemon's way to the broker, for its whole life: what it says on one connection, what it is asked on another.

    ``node`` names this daemon in its status topic; ``on_command`` takes each event asked for, at once and without raising.
    While it does not ``act``, this daemon publishes that status alone, and leaves commands to the one that does.
    ``now`` is the PBX's time in Unix seconds, by which pops are dated.
    Raises ``ValueError`` for a node that cannot be part of a topic.
    """

    def __init__(
        self,
        settings: Settings,
        node: str,
        on_command: Callable[[Event], None],
        acts: Callable[[], bool] = lambda: True,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._acts = acts
        self._now = now
        self._node = node
        self._on_command = on_command
        self._web_url = settings.web.url
        self._pop_seconds = settings.routing.ring_seconds + _POP_SLACK_SECONDS
        self._outbox = Outbox()
        self._states: dict[AgentId, AgentStatus] = {}
        self._wake = asyncio.Event()
        self._answers = 0
        self._ear = Ear(
            mqtt=settings.mqtt,
            connect=self._listening,
            agents=lambda: self._states,
            take=self._asked,
            refuse=self._refuse,
            acts=acts,
        )
        self._acting = self._pbx_connected = False
        self._shedding: tuple[str, ...] = ()
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

    def reply_on_call(self, call_id: CallId, request_id: str, error: Said | None) -> None:
        """Answer a command on a call; ``error`` is ``None`` when it was carried out."""
        self._answer(lambda: topics.call_result_message(call_id, request_id, error))

    def publish_node(self, *, acting: bool, pbx_connected: bool) -> None:
        """Publish what this daemon does, retained; the last will takes it back."""
        self._acting, self._pbx_connected = acting, pbx_connected
        self._put(Kind.NODE, self._node, self._status)

    def shed(self, what: tuple[str, ...], *, calls: bool) -> None:
        """Say in this daemon's status ``what`` is left undone; while ``calls`` are, the newest of each waits."""
        self._shedding = what
        self._outbox.hold(frozenset({Kind.CALL}) if calls else frozenset())
        self._put(Kind.NODE, self._node, self._status)
        self._wake.set()

    # -- the life of the connection ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the connection until cancelled, and say goodbye then; raises nothing of MQTT's own."""
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                async with self._speaking() as client:
                    heed_cancellation()
                    try:
                        await self._serve(client)
                    except asyncio.CancelledError:
                        await self._say_goodbye(client)
                        raise
            except (aiomqtt.MqttError, OSError, RefusedError) as error:
                heed_cancellation()
                mend = _mend(error, self._settings.mqtt)
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

    def _speaking(self) -> aiomqtt.Client:
        # The same id each time: the broker then ends a half-open older connection at once. Under a new id that
        # one's last will would come late and declare a living daemon dead.
        will = aiomqtt.Will(self._settings.mqtt.topic(self._will.topic), self._will.payload, qos=1, retain=True)
        return self._client(f"ctid-{self._node}", will=will, max_queued_outgoing_messages=0)

    def _listening(self, sieve: type[Sieve]) -> aiomqtt.Client:
        connecting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho ships none
        # Above the bound on commands, so that one a little too long is still answered, and far below what would hurt.
        connecting.MaximumPacketSize = 4 * topics.LARGEST_COMMAND
        return self._client(
            f"ctid-{self._node}-commands", properties=connecting, max_queued_incoming_messages=1000, queue_type=sieve
        )

    def _client(self, identifier: str, **more: Any) -> aiomqtt.Client:
        mqtt = self._settings.mqtt
        return aiomqtt.Client(
            mqtt.url.host,
            mqtt.url.port,
            username=mqtt.username,
            password=mqtt.password.get_secret_value() if mqtt.password else None,
            identifier=identifier,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=KEEPALIVE,
            timeout=_CONNECT_SECONDS,
            # Without it a pop waits up to 40 ms for the acknowledgement of the message before.
            socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
            tls_context=mqtt.secured.context() if mqtt.secured else None,
            **more,
        )

    def _connected(self) -> None:
        _log.info("MQTT broker connected", broker=str(self._settings.mqtt.url))
        self._said = None
        metrics.MQTT_CONNECTED.set(1)
        self._put(Kind.NODE, self._node, self._status)
        for status in self._states.values():
            self.publish_agent(status)

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Hear and write until a link breaks, which raises, or the daemon stops."""
        hears = asyncio.Event()
        # No TaskGroup: until Python 3.12 a failed one leaves a count in the task's cancelling(), which is read above.
        ways = [
            asyncio.create_task(self._ear.run(hears), name="mqtt_hear"),
            asyncio.create_task(self._write(client, hears), name="mqtt_write"),
            asyncio.create_task(_lasts(client), name="mqtt_lasts"),
        ]
        try:
            ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ways:
                task.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        for task in ended:
            task.result()

    def _asked(self, topic: str, payload: bytes) -> None:
        try:
            asked = topics.parse_command(topic, payload, self._now())
        except Exception:  # noqa: BLE001 - logged with its traceback
            # A fault of ours that anybody can send again: it costs that command, and not the daemon.
            _log.exception("mqtt.command_failed", topic=topic)
            asked = topics.refused(topic, payload, "ctid failed at this command; its log says where")
        if isinstance(asked, Refusal):
            _log.info("MQTT command refused", topic=topic, error=asked.error)
            self._refuse(asked)
        elif asked is not None:
            self._on_command(asked)
        else:
            _log.warning("MQTT command left alone: its topic names no usable id", topic=topic)

    def _refuse(self, refusal: Refusal) -> None:
        self._answer(lambda: topics.refusal_message(refusal))

    async def _write(self, client: aiomqtt.Client, hears: asyncio.Event) -> None:
        await hears.wait()
        self._connected()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._outbox.next_due):
                    await self._wake.wait()
            self._wake.clear()
            await self._drain(client)
            if not self._acts():
                await asyncio.sleep(_STANDING_BY_SECONDS)  # what is due, but not this daemon's to say, stays due

    async def _drain(self, client: aiomqtt.Client, *, early: bool = False) -> None:
        while batch := self._outbox.take(_AT_ONCE, time.monotonic(), early=early, own_only=not self._acts()):
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
            self._settings.mqtt.topic(message.topic),
            message.payload,
            qos=_QOS[item.kind],
            retain=item.kind in _RETAINED,
            properties=properties,
        )
        if item.rang_at is not None:
            metrics.POP_SECONDS.observe(max(0.0, self._now() - item.rang_at))

    async def _say_goodbye(self, client: aiomqtt.Client) -> None:
        """Publish what is left and that this daemon is down: a clean end sends no last will."""
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._drain(client, early=True)
                farewell = self._settings.mqtt.topic(self._will.topic)
                await client.publish(farewell, self._will.payload, qos=1, retain=True)
        except (aiomqtt.MqttError, OSError, TimeoutError) as error:
            _log.warning("MQTT broker left without a goodbye", reason=_reason(error))

    def _status(self) -> Message:
        return topics.node_message(
            self._node,
            up=True,
            acting=self._acting,
            pbx_connected=self._pbx_connected,
            version=__version__,
            shedding=self._shedding,
        )

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


async def _lasts(client: aiomqtt.Client) -> None:
    """While the link does, for nothing is subscribed to; its end raises."""
    async for _ in client.messages:
        pass


@cache  # paho takes longer to make it than to send a message; few seconds differ
def _expiring(seconds: int) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho ships none
    properties.MessageExpiryInterval = seconds
    return properties


def _mend(error: Exception, mqtt: Mqtt) -> str | None:
    if isinstance(error, RefusedError):
        return str(error)
    if (said := tls.wrong(error, mqtt.url.host, "mqtt")) is not None:
        return said
    # What a broker says after TLS 1.3 stands, aiomqtt does not hand on: it waits for the answer that never comes.
    if mqtt.secured is not None and str(error) == "Operation timed out":
        return "the broker takes TLS and then says nothing; where it asks for a certificate, set mqtt.cert_file to one it takes"
    for one in (error, error.__cause__):
        if isinstance(one, aiomqtt.MqttCodeError) and isinstance(one.rc, ReasonCode):
            return _MENDS.get(one.rc.value)
    return None


def _reason(error: Exception) -> str:
    return str(error.__cause__ or error) or type(error).__name__
