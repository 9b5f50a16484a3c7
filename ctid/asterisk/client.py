"""The panoramisk door: one link to one PBX, the only module that knows panoramisk.

Law: one coroutine, ``AmiLink.run``, owns the link from the first connect to the last: connect, log in, resync, live,
lost, wait, again. Live events wait while the state of the PBX is read and follow it in order. Every action ends: by
its answer, by its deadline, or by the loss of the link; nothing is ever sent twice. Whatever a receiver of messages
does, the link lives. What changes anything on the PBX is sent only while this daemon acts; anyone may look.

panoramisk 1.4 brings the connection's configuration, the protocol's frame and the actions with their ids; the parts
of it that lose letters, order, answers or the link itself are overridden here, each with the reason beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
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

from ctid.asterisk.clock import PbxClock, since_boot
from ctid.asterisk.sayable import said
from ctid.asterisk.wire import Framer, Message, UnsendableError, WireError, stamp_of
from ctid.tls import Tls, wrong

log = structlog.get_logger(__name__)

#: Asks ``Status`` for what the dialplan keeps on a held caller's channel.
HELD_VARIABLES: Final = (
    "CTID_CALL,CTID_SEQ,CTID_DID,CTID_FILE,CTID_RENEW,CTID_PAUSED,CTID_CONSENTED,CTID_T0,CHANNEL(onhold)"
)
#: Live events kept while the PBX's state is read; more than this is an overrun, and the link starts anew.
MOST_HELD: Final = 200_000
#: Bytes of unsent actions after which the PBX counts as not reading.
MOST_UNSENT: Final = 1024 * 1024


_WRONG: Final = ("Authentication failed", "Permission denied")
#: However often someone forges, the PBX's state is read again no more often than this, in seconds.
REREAD_SECONDS: Final = 10.0

#: What a daemon that only stands by may ask, too.
_LOOKS: Final = frozenset(
    {
        *("Login", "Ping", "Status", "CoreShowChannels", "DeviceStateList", "CoreStatus"),
        *("Getvar", "QueueStatus", "ShowDialPlan", "CoreSettings"),
    }
)

_BOOTED: Final = "FullyBooted"
_ORIGINATED: Final = "OriginateResponse"


class AmiError(Exception):
    """An action came to nothing; the text says why and, where someone can mend it, how."""


class AmiDown(AmiError):  # noqa: N818 - reads as a state of affairs
    """There is no link, or it was lost before the answer: whether the PBX carried out the action is then not known."""


class AmiNotActing(AmiDown):
    """Nothing was sent: it would have changed something, and this daemon does not act."""


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
    tls: Tls | None = None
    wanted: frozenset[bytes] | None = None
    connect_seconds: float = 5.0
    ping_seconds: float = 2.0
    dead_seconds: float = 4.0  # a ping unanswered this long
    list_seconds: float = 10.0
    first_retry_seconds: float = 0.25
    last_retry_seconds: float = 5.0
    wrong_secret_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The PBX's state at one moment: ``at`` by its own clock (by this host's, where the PBX does not tell it).

    ``channels`` tell the bridge each is in, ``status`` the held callers' variables. ``stepped`` is by how many seconds its
    clock, which the variables go by, was set forward of the steady time that ``at`` goes by.
    """

    at: float
    status: tuple[Message, ...]
    channels: tuple[Message, ...]
    devices: tuple[Message, ...]
    core: Message | None
    stepped: float = 0.0

    @property
    def uniqueids(self) -> frozenset[str]:
        """Of its channels."""
        return frozenset(uniqueid for channel in self.channels if (uniqueid := channel.get("Uniqueid")))

    @property
    def bridges(self) -> dict[str, list[str]]:
        """The Uniqueids of those in each bridge, by its id."""
        found: dict[str, list[str]] = {}
        for channel in self.channels:
            if (bridge := channel.get("BridgeId")) and (uniqueid := channel.get("Uniqueid")):
                found.setdefault(bridge, []).append(uniqueid)
        return found


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
        self.framer = Framer(self.link.framed, own=self.link.own_ids, steady=self.link.clock.steady)
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
        octets = b"".join(said(request.items()) for request in requests)
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
        """End the connection now, unsent bytes and all: those in the kernel's hands too, which it would go on sending."""
        self._end(reason)
        way = self.transport.get_extra_info("socket")
        if way is not None:
            with contextlib.suppress(OSError):
                way.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def close(self) -> None:
        """End the connection after what was already written. Nothing is kept to be sent again, as panoramisk would."""
        self._end("the link was closed")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lost is None and (exc is None or isinstance(exc, ConnectionResetError)):
            self.heard_at = self.loop.time()  # its end is the last that was heard of it
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
    was called. ``acts`` is asked before anything is sent that changes something.

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
        acts: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(
            host=settings.host,
            port=settings.port,
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
        self._acts = acts
        self._held: list[Message] | None = None
        self._greeted = False
        self._booted = False
        self.clock = PbxClock(monotonic=since_boot, wall=time.time)

    # -- life
    # ----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the link until cancelled. Raises only what ``on_up`` or ``on_down`` raise beyond ``AmiError``."""
        loop = asyncio.get_running_loop()
        pause, told, user = self.settings.first_retry_seconds, False, self.settings.username
        while True:
            began = loop.time()
            try:
                await self._live()
            except WrongSecretError as error:
                self.state = LinkState.WRONG_SECRET
                (log.debug if told else log.error)("ami.wrong_secret", user=user, error=str(error))
                told, rest = True, self.settings.wrong_secret_seconds
            except (AmiError, OSError) as error:
                if loop.time() - began > self.settings.last_retry_seconds:
                    pause = self.settings.first_retry_seconds
                told, rest = False, pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads reconnects, hides nothing
                pause = min(pause * 2, self.settings.last_retry_seconds)
                log.warning("ami.down", user=user, error=str(error) or type(error).__name__, retry_in=round(rest, 2))
            await asyncio.sleep(rest)

    async def connect(self) -> _Session:
        """Open one connection, within ``connect_seconds``. Raises ``OSError``, or ``AmiDown`` for what is wrong with TLS."""
        host, port = self.config["host"], self.config["port"]
        try:
            async with asyncio.timeout(self.settings.connect_seconds):
                loop = asyncio.get_running_loop()
                tls = None if self.settings.tls is None else self.settings.tls.context()
                _, session = await loop.create_connection(self.config["protocol_factory"], host, port, ssl=tls)
        except TimeoutError as error:
            seconds = self.settings.connect_seconds
            raise TimeoutError(f"no connection to {host}:{port} within {seconds:g} s: is [ami] host right?") from error
        except OSError as error:
            if (said := wrong(error, host, "ami")) is not None:
                raise AmiDown(said) from error
            raise
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
            session.close() if self._acts() else session.drop("this ctid does not act")
            raise
        finally:
            self.state = LinkState.DOWN
            self.authenticated = False
            self._held = None
            session.drop("the session is over") if session.lost is None else session.transport.abort()
            if opened:
                self._on_down()  # which may ask when the PBX was last heard
            self.protocol = None

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
        log.info("ami.logged_in", user=self.config["username"], version=session.framer.banner)

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
        asked = since_boot()
        ping = _Request("Ping", {})
        session.send([ping], self.settings.dead_seconds)
        [pong] = await ping.future
        if (stamp := stamp_of(pong.headers)) is not None:
            self.clock.answered(stamp, asked, since_boot())

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

    def read_anew(self) -> None:
        """Have ``on_up`` called again under the live link, also one whose ``on_up`` runs; events are held back from now on."""
        if self.state in (LinkState.UP, LinkState.RESYNCING):
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
        """The PBX's time, Unix seconds, made steady: a clock that is set, here or there, changes nothing."""
        return self.clock.now()

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
        self._send([request], self.settings.list_seconds if as_list else 3.0)
        return request.future  # type: ignore[no-any-return]

    async def call(
        self, action: str, fields: Mapping[str, str] | None = None, *, deadline: float = 3.0, standing_by: bool = False
    ) -> Message:
        """Send one action and await its response; ``standing_by`` whether this daemon acts or not.

        Raises ``AmiRefused``, ``AmiTimeout`` after ``deadline`` seconds, ``AmiDown``, or ``UnsendableError`` before
        sending.
        """
        request = _Request(action, fields or {})
        self._send([request], deadline, standing_by=standing_by)
        [response] = await request.future
        return response  # type: ignore[no-any-return]

    async def list(self, action: str, fields: Mapping[str, str] | None = None) -> tuple[Message, ...]:
        """Send an action that is answered by a list, and await the list's events. Raises as ``call`` does."""
        request = _Request(action, fields or {}, listed=True)
        self._send([request], self.settings.list_seconds)
        return tuple(await request.future)

    def send_now(
        self,
        *actions: tuple[str, Mapping[str, str]],
        on_reply: Callable[[AmiError | None], None],
        deadline: float = 3.0,
    ) -> None:
        """Send several actions in one TCP write, in order, without waiting.

        ``on_reply`` is called once when all have ended: with ``None``, or with the first one's error that failed.
        Raises ``AmiDown`` without a link, ``AmiNotActing`` and ``UnsendableError``; then nothing was sent and ``on_reply``
        is not called.
        """
        requests = [_Request(name, fields) for name, fields in actions]
        self._send(requests, deadline)

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
        """Read the PBX's state: to be called from ``on_up``, while live events wait. Raises as ``call`` does.

        All of it is asked for in one write, its clock first: so it is of one moment, and that moment known, however slowly it
        comes. What happens later comes as an event.
        """
        clock, core = _Request("Ping", {}), _Request("CoreStatus", {})
        channels = _Request("CoreShowChannels", {}, listed=True)
        status = _Request("Status", {"Variables": HELD_VARIABLES}, listed=True)
        devices = _Request("DeviceStateList", {}, listed=True)
        asked = (clock, channels, status, devices, core)
        sent_at = self.pbx_now()
        self._send(asked, self.settings.list_seconds)
        [pong], *lists, [state] = await asyncio.gather(*(request.future for request in asked))
        return Snapshot(
            at=sent_at if pong.at is None else pong.at,
            channels=tuple(lists[0]),
            status=tuple(lists[1]),
            devices=tuple(lists[2]),
            core=state,
            stepped=self.clock.stepped,
        )

    def _send(self, requests: Sequence[_Request], deadline: float, *, standing_by: bool = False) -> None:
        if self.protocol is None or not self.authenticated:
            raise AmiDown("there is no link to the PBX")
        if not standing_by and not all(request.name in _LOOKS for request in requests) and not self._acts():
            raise AmiNotActing("this ctid does not act on the PBX now")
        self.protocol.send(requests, deadline)
