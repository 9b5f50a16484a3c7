"""The panoramisk door: one link to one PBX, the only module that knows panoramisk.

Law: one coroutine, ``AmiLink.run``, owns the link from the first connect to the last: connect, log in, resync, live,
lost, wait, again. Live events wait while the state of the PBX is read and follow it in order. Every action ends: by
its answer, by its deadline, or by the loss of the link; nothing is ever sent twice. Whatever a receiver of messages
does, the link lives.

panoramisk 1.4 brings the connection's configuration, the protocol's frame and the actions with their ids; the parts
of it that lose letters, order, answers or the link itself are overridden here, each with the reason beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import structlog
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager

from ctid.asterisk.wire import Framer, Message, UnsendableError, WireError, encode

log = structlog.get_logger(__name__)

#: Asks ``Status`` for what the dialplan keeps on a held caller's channel.
HELD_VARIABLES: Final = "CTID_CALL,CTID_SEQ,CTID_DID,CTID_FILE,CTID_RENEW,CTID_T0,CHANNEL(onhold)"
#: Live events kept while the PBX's state is read; more than this is an overrun, and the link starts anew.
MOST_HELD: Final = 200_000
#: Bytes of unsent actions after which the PBX counts as not reading.
MOST_UNSENT: Final = 1024 * 1024

_WRONG: Final = ("Authentication failed", "Permission denied")
#: However often someone forges, the PBX's state is read again no more often than this, in seconds.
REREAD_SECONDS: Final = 10.0

_BOOTED: Final = "FullyBooted"
_ORIGINATED: Final = "OriginateResponse"


class AmiError(Exception):
    """An action came to nothing; the text says why and, where someone can mend it, how."""


class AmiDown(AmiError):  # noqa: N818 - reads as a state of affairs
    """There is no link, or it was lost before the answer: whether the PBX carried out the action is then not known."""


class AmiTimeout(AmiError):  # noqa: N818 - reads as a state of affairs
    """The PBX did not answer within the action's deadline."""


class AmiRefused(AmiError):  # noqa: N818 - reads as a state of affairs
    """The PBX answered with an error. ``action`` is the name of the action, ``message`` the answer."""

    def __init__(self, action: str, message: Message) -> None:
        self.action = action
        self.message = message
        self.reason = message.get("Message") or message.get("EventList") or "no reason given"
        mend = "; add the class it needs to write= of this user in manager.conf" if self.denied else ""
        super().__init__(f"the PBX refused {action}: {self.reason}{mend}")

    @property
    def denied(self) -> bool:
        """The user lacks the right to this action."""
        return self.reason == "Permission denied"


class WrongSecretError(AmiError):
    """The PBX does not know this user with this secret, or not from this address."""


class LinkState(StrEnum):
    DOWN = "down"
    CONNECTING = "connecting"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - a state
    RESYNCING = "resyncing"
    UP = "up"


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiSettings:
    """Where the PBX is and how patient the link is; all durations in seconds.

    ``wanted`` names the events to parse and deliver, ``None`` for all; FullyBooted always is. ``tls`` is ``None``
    for plain TCP. ``keys`` are those of the configuration that hold user and secret, for whoever must mend them.
    """

    host: str
    port: int = 5038
    username: str
    secret: str = field(repr=False)
    keys: str = "username and secret"
    tls: ssl.SSLContext | None = None
    wanted: frozenset[bytes] | None = None
    connect_seconds: float = 5.0
    ping_seconds: float = 2.0
    dead_seconds: float = 4.0  # a ping unanswered this long
    list_seconds: float = 10.0
    first_retry_seconds: float = 0.25
    last_retry_seconds: float = 30.0
    wrong_secret_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The PBX's state at one moment: ``status`` with the held callers' variables, each bridge with its members."""

    status: tuple[Message, ...]
    channels: tuple[Message, ...]
    bridges: tuple[tuple[Message, tuple[Message, ...]], ...]
    devices: tuple[Message, ...]
    core: Message | None


class _Request(Action):  # type: ignore[misc]
    """One action under way: a panoramisk action with its own end.

    panoramisk's own ``multi`` and ``completed`` raise on PlayDTMF, Atxfer and plain Originate (which tears the link
    down) and never end for QueueAdd, AGI, and a list that is refused.
    """

    def __init__(self, name: str, fields: Mapping[str, str], *, listed: bool = False) -> None:
        super().__init__({"Action": name, **fields})
        self.name = name
        self.listed = listed

    def add_message(self, message: Message) -> None:
        """Take one message that carries this action's id; the future gets all of them when the answer is whole."""
        if self.future.done():
            return
        ending = (message.get("EventList") or "").lower()
        failed = not message.name and message.get("Response") not in ("Success", "Follows", "Goodbye")
        if failed or ending == "cancelled":
            self.future.set_exception(AmiRefused(self.name, message))
        elif not self.listed:
            if not message.name:
                self.future.set_result([message])
        elif message.name and (ending == "complete" or message.name.endswith("Complete")):
            self.future.set_result(self.responses)
        elif message.name:
            self.responses.append(message)


class _Session(AMIProtocol):  # type: ignore[misc]
    """One TCP connection. ``lost`` is ``None`` while it lives, then the reason in words."""

    def __init__(self, link: AmiLink) -> None:
        self.link = link
        self.lost: str | None = None
        self.heard_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.loop = asyncio.get_running_loop()
        self.framer = Framer(self.link.framed, own=self.link.own_ids)
        self.rereads: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        # Not panoramisk's: that decodes each chunk alone, dropping a letter cut in two, and lets a callback's
        # exception close the connection with the rest of the chunk unread.
        self.heard_at = self.loop.time()
        try:
            messages = self.framer.feed(data)
        except WireError as error:
            self.drop(str(error))
            return
        if self.framer.forged:
            self.framer.forged = 0
            self._distrust()
        events = []
        for message in messages:
            action = message.headers.get("ActionID")
            if action is not None:
                request = self.responses.get(action)
                if request is not None:
                    request.add_message(message)
                    continue
                # The answer came after its deadline; but how a call went that another link asked for is news.
                if action.startswith(self.link.own_ids) and message.name != _ORIGINATED:
                    continue
            if not message.name:
                log.warning("ami.stray_response", response=message.get("Response"), message=message.get("Message"))
            elif self.link.wanted is None or message.name in self.link.wanted:
                events.append(message)
        if events:
            self.link.deliver(events)

    def _distrust(self) -> None:
        """Someone wrote into the stream, by line breaks in a number: what was lost with it, the PBX's state tells."""
        log.warning("ami.forged", mend="have the trunk refuse control characters in numbers")
        if self.link.state is LinkState.RESYNCING:
            return  # it is being read; and who stands there with such a number would have it read for ever
        due = self.link.reread_at + REREAD_SECONDS
        if self.loop.time() >= due:
            self._reread()
            return
        if self.rereads is None:
            self.rereads = self.loop.call_at(due, self._reread)
        with contextlib.suppress(AmiDown):
            self.send(
                [_Request("Ping", {})], self.link.settings.dead_seconds
            )  # what follows its answer is believed again

    def _reread(self) -> None:
        if self.lost is None:
            self.link.reread_at = self.loop.time()
            self.drop("a caller's number held line breaks: the PBX's state is read again")

    def send(self, requests: Sequence[_Request], seconds: float) -> None:
        """Write the actions in one go; each ends by itself. Raises ``AmiDown`` or ``UnsendableError``: nothing was sent."""
        if self.lost is not None:
            raise AmiDown(self.lost)
        octets = b"".join(encode(request.items()) for request in requests)
        for request in requests:
            deadline = self.loop.call_later(seconds, self._expire, request, seconds)
            self.responses[request.id] = request
            request.future.add_done_callback(
                lambda _, request=request, deadline=deadline: self._forget(request, deadline)
            )
        self.transport.write(octets)
        if self.transport.get_write_buffer_size() > MOST_UNSENT:
            self.drop("the PBX does not read what it is sent")

    def drop(self, reason: str) -> None:
        """End the connection now, unsent bytes and all."""
        self._end(reason)
        self.transport.abort()

    def close(self) -> None:
        """End the connection after what was already written. Nothing is kept to be sent again, as panoramisk would."""
        self._end("the link was closed")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        said = f" ({exc})" if exc else ""
        self._end(f"the PBX closed the connection{said}")

    def _end(self, reason: str) -> None:
        if self.lost is None:
            self.lost = reason
            for request in list(self.responses.values()):
                if not request.future.done():
                    request.future.set_exception(AmiDown(f"{request.name} has no answer: {reason}"))
            self.link.news.set()

    def _expire(self, request: _Request, seconds: float) -> None:
        if not request.future.done():
            request.future.set_exception(AmiTimeout(f"no answer to {request.name} within {seconds:g} s"))

    def _forget(self, request: _Request, deadline: asyncio.TimerHandle) -> None:
        deadline.cancel()
        self.responses.pop(request.id, None)
        if not request.future.cancelled():
            request.future.exception()  # seen: an answer that nobody awaits any more is no fault of the loop


class AmiLink(Manager):  # type: ignore[misc]
    """A link to one PBX that keeps itself alive while ``run`` runs.

    ``on_messages`` gets the wanted events in order; it should only append. ``on_up`` is awaited with the link each
    time the PBX's state must be read: after login, and when the PBX has finished booting under a live link; events
    that arrive meanwhile are delivered after it returns. ``on_down`` is called once for each session whose ``on_up``
    was called.

    For metrics: ``state``, ``events`` (delivered and held, by name), ``lag`` (seconds between the last event's
    Timestamp and its arrival, ``None`` before one).
    """

    def __init__(
        self,
        settings: AmiSettings,
        *,
        on_messages: Callable[[list[Message]], None],
        on_up: Callable[[AmiLink], Awaitable[None]],
        on_down: Callable[[], None],
    ) -> None:
        super().__init__(
            host=settings.host,
            port=settings.port,
            ssl=settings.tls,
            username=settings.username,
            secret=settings.secret,
            encoding="utf-8",
            protocol_factory=lambda: _Session(self),
        )
        self.settings = settings
        self.protocol: _Session | None = None
        self.framed = None if settings.wanted is None else settings.wanted | {_BOOTED.encode()}
        self.wanted = None if self.framed is None else frozenset(name.decode() for name in self.framed)
        self.own_ids = Action.action_id_generator.uid.join(("action/", "/"))
        self.state = LinkState.DOWN
        self.events: Counter[str] = Counter()
        self.lag: float | None = None
        self.news = asyncio.Event()
        self.reread_at = -REREAD_SECONDS
        self._on_messages = on_messages
        self._on_up = on_up
        self._on_down = on_down
        self._held: list[Message] | None = None
        self._greeted = False
        self._booted = False
        self._clock: tuple[float, float] | None = None  # the PBX's Unix time, and the loop's time of the same moment

    # -- life
    # ----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the link until cancelled. Raises only what ``on_up`` or ``on_down`` raise beyond ``AmiError``."""
        loop = asyncio.get_running_loop()
        pause, told = self.settings.first_retry_seconds, False
        while True:
            began = loop.time()
            try:
                await self._live()
            except WrongSecretError as error:
                self.state = LinkState.WRONG_SECRET
                (log.debug if told else log.error)("ami.wrong_secret", error=str(error))
                told, rest = True, self.settings.wrong_secret_seconds
            except (AmiError, OSError) as error:
                if loop.time() - began > self.settings.last_retry_seconds:
                    pause = self.settings.first_retry_seconds
                told, rest = False, pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads reconnects, hides nothing
                pause = min(pause * 2, self.settings.last_retry_seconds)
                log.warning("ami.down", error=str(error) or type(error).__name__, retry_in=round(rest, 2))
            await asyncio.sleep(rest)

    async def connect(self) -> _Session:
        """Open one connection. Raises ``OSError`` in words, TLS included, after ``connect_seconds`` at most."""
        host, port = self.config["host"], self.config["port"]
        try:
            async with asyncio.timeout(self.settings.connect_seconds):
                loop = asyncio.get_running_loop()
                factory, tls = self.config["protocol_factory"], self.config["ssl"]
                _, session = await loop.create_connection(factory, host, port, ssl=tls)
        except TimeoutError as error:
            seconds = self.settings.connect_seconds
            raise TimeoutError(f"no connection to {host}:{port} within {seconds:g} s: is [ami] host right?") from error
        return session  # type: ignore[no-any-return]

    async def _live(self) -> None:
        """One session, from connect to loss; always ends by raising."""
        self.state = LinkState.CONNECTING
        self._held, self._greeted, self._booted = [], False, False
        self.news.clear()
        session = await self.connect()
        self.protocol = session
        opened = False
        try:
            await self._log_in(session)
            await self._ping(session)
            while True:
                self.state = LinkState.RESYNCING
                self._booted = False
                opened = True
                await self._on_up(self)
                if session.lost is None and not self._booted:
                    self._release()
                    await self._watch(session)
                if session.lost is not None:
                    raise AmiDown(session.lost)
        except asyncio.CancelledError:
            session.close()
            raise
        finally:
            self.state = LinkState.DOWN
            self.authenticated = False
            self.protocol = None
            self._held = None
            session.drop("the session is over") if session.lost is None else session.transport.abort()
            if opened:
                self._on_down()

    async def _log_in(self, session: _Session) -> None:
        user, secret = self.config["username"], self.config["secret"]
        login = _Request("Login", {"Username": user, "Secret": secret, "Events": self.config["events"]})
        try:
            session.send([login], self.settings.connect_seconds)
            await login.future
        except UnsendableError as error:
            raise WrongSecretError(f"[ami] {self.settings.keys} cannot be sent: {error}") from error
        except AmiRefused as error:
            if error.reason not in _WRONG:  # shutting down, say
                raise
            raise WrongSecretError(
                f"the PBX refused user {user!r}: {error.reason}; set [ami] {self.settings.keys} to those of"
                " manager.conf, and permit this host there"
            ) from error
        except AmiError as error:
            if session.framer.banner is None:
                where = f"{self.config['host']}:{self.config['port']}"
                raise AmiDown(
                    f"{where} does not greet as Asterisk's AMI does ({error}): is [ami] port right?"
                ) from error
            raise
        self.authenticated = True
        log.info("ami.logged_in", version=session.framer.banner)

    async def _watch(self, session: _Session) -> None:
        """Return when the PBX's state must be read again or the connection is gone; raise for a dead one."""
        self.state = LinkState.UP
        late = 0
        while True:
            try:
                async with asyncio.timeout(self.settings.ping_seconds):
                    await self.news.wait()
            except TimeoutError:
                pass
            self.news.clear()
            if session.lost is not None or self._booted:
                return
            asked = asyncio.get_running_loop().time()
            try:
                await self._ping(session)
                late = 0
            except AmiTimeout:
                # Bytes came, only not the answer: this process slept and has yet to read its way up to it.
                late += 1
                if session.heard_at < asked or late > 1:
                    raise

    async def _ping(self, session: _Session) -> None:
        """Prove that the PBX answers, and learn its clock: half the round trip is the error."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        ping = _Request("Ping", {})
        session.send([ping], self.settings.dead_seconds)
        [pong] = await ping.future
        if pong.at is not None:
            self._clock = pong.at, (asked + loop.time()) / 2

    # -- events
    # --------------------------------------------------------------------------------------------------------

    def deliver(self, events: list[Message]) -> None:
        """Pass live events on, or keep them while the PBX's state is being read."""
        for event in events:
            self.events[event.name] += 1
        at = events[-1].at
        if at is not None:
            self.lag = max(0.0, self.pbx_now() - at)
        if any(event.name == _BOOTED for event in events):
            self._mind_boot(events)
        if self._held is None:
            self._pass_on(events)
        else:
            self._held += events
            if len(self._held) > MOST_HELD and self.protocol is not None:
                self.protocol.drop(f"more than {MOST_HELD} events while the PBX's state was read")
        self._greeted = True

    def _mind_boot(self, events: list[Message]) -> None:
        # The first event after login is Asterisk's greeting. A later one says that the PBX had not loaded everything
        # when its state was read: read it again, and hold what follows.
        if self._greeted or events[0].name != _BOOTED:
            self._booted = True
            if self._held is None:
                self._held = []
            self.news.set()

    def _release(self) -> None:
        held, self._held = self._held, None
        if held:
            self._pass_on(held)

    def _pass_on(self, events: list[Message]) -> None:
        try:
            self._on_messages(events)
        except Exception:
            # An exception that leaves data_received closes the connection: the link outlives a receiver's fault.
            log.exception("ami.receiver_failed", lost_events=len(events))

    def pbx_now(self) -> float:
        """The PBX's clock, Unix seconds: from the last ping's Timestamp, own clock before one.

        Counted on by the monotonic clock, so that a step of this host's clock changes nothing.
        """
        if self._clock is None:
            return time.time()
        at, moment = self._clock
        return at + asyncio.get_running_loop().time() - moment

    @property
    def whole(self) -> bool:
        """Whether no connection was given up, and with it events that will never be told, since the link came up."""
        return self.protocol is not None and self.protocol.lost is None

    @property
    def heard_at(self) -> float | None:
        """When the PBX was last heard, by its clock; ``None`` without a link."""
        if self.protocol is None:
            return None
        return self.pbx_now() - (asyncio.get_running_loop().time() - self.protocol.heard_at)

    # -- actions
    # -------------------------------------------------------------------------------------------------------

    def send_action(
        self,
        action: Mapping[str, str],
        as_list: bool | None = None,  # noqa: FBT001 - the library's signature
        **fields: str,
    ) -> asyncio.Future[Any]:
        """The library's own spelling, fenced; ``call`` and ``list`` are the typed ways. A future of the messages."""
        headers = {**action, **fields}
        request = _Request(headers.pop("Action"), headers, listed=bool(as_list))
        self._open_session().send([request], self.settings.list_seconds if as_list else 3.0)
        return request.future  # type: ignore[no-any-return]

    async def call(self, action: str, fields: Mapping[str, str] | None = None, *, deadline: float = 3.0) -> Message:
        """Send one action and await its response.

        Raises ``AmiRefused``, ``AmiTimeout`` after ``deadline`` seconds, ``AmiDown``, or ``UnsendableError`` before
        sending.
        """
        request = _Request(action, fields or {})
        self._open_session().send([request], deadline)
        [response] = await request.future
        return response  # type: ignore[no-any-return]

    async def list(self, action: str, fields: Mapping[str, str] | None = None) -> tuple[Message, ...]:
        """Send an action that is answered by a list, and await the list's events. Raises as ``call`` does."""
        request = _Request(action, fields or {}, listed=True)
        self._open_session().send([request], self.settings.list_seconds)
        return tuple(await request.future)

    def send_now(
        self,
        *actions: tuple[str, Mapping[str, str]],
        on_reply: Callable[[AmiError | None], None],
        deadline: float = 3.0,
    ) -> None:
        """Send several actions in one TCP write, in order, without waiting.

        ``on_reply`` is called once when all have ended: with ``None``, or with the first one's error that failed.
        Raises ``AmiDown`` without a link and ``UnsendableError``; then nothing was sent and ``on_reply`` is not
        called.
        """
        requests = [_Request(name, fields) for name, fields in actions]
        self._open_session().send(requests, deadline)

        left = len(requests)

        def settle(_: asyncio.Future[Any]) -> None:
            nonlocal left
            left -= 1
            if not left:
                errors = (request.future.exception() for request in requests)
                on_reply(next((error for error in errors if error is not None), None))

        for request in requests:
            request.future.add_done_callback(settle)

    async def snapshot(self) -> Snapshot:
        """Read the PBX's state: to be called from ``on_up``, while live events wait. Raises as ``call`` does."""
        status = await self.list("Status", {"Variables": HELD_VARIABLES})
        channels = await self.list("CoreShowChannels")
        bridges = await self.list("BridgeList")
        members = await asyncio.gather(*(self._members(bridge) for bridge in bridges))
        return Snapshot(
            status=status,
            channels=channels,
            bridges=tuple((b, m) for b, m in zip(bridges, members, strict=True) if m is not None),
            devices=await self.list("DeviceStateList"),
            core=await self.call("CoreStatus"),
        )

    async def _members(self, bridge: Message) -> tuple[Message, ...] | None:
        try:
            return await self.list("BridgeInfo", {"BridgeUniqueid": bridge.get("BridgeUniqueid") or ""})
        except AmiRefused as error:
            if error.denied:
                raise
            return None  # dissolved since the list was made; the held BridgeDestroy tells

    def _open_session(self) -> _Session:
        if self.protocol is None or not self.authenticated:
            raise AmiDown("there is no link to the PBX")
        return self.protocol
