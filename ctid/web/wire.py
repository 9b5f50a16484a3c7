"""What a connection may cost before anybody knows who is there: uvicorn's protocols with bounds on heads, times and numbers.

Law: each wait for the other side has an end. A head comes within ``HEAD_SECONDS``, a body within ``BODY_SECONDS``; who does not
read what was sent for ``STALL_SECONDS`` is cut off, and the bytes that wait for them with it. A proxy before it is one
address with many connections: by address nothing is bound but silence.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from typing import Any

from structlog import get_logger
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

HEAD_SECONDS = 15.0
BODY_SECONDS = 30.0
STALL_SECONDS = 60.0
CLOSE_SECONDS = 10.0
LONGEST_ADDRESS = 8 * 1024
LARGEST_HEAD = 24 * 1024
MOST_HEADERS = 100
#: Each desktop holds a socket and, while it loads, up to six more.
MOST_CONNECTIONS = 8192
#: Of one address, before they have asked for anything: a proxy whose browsers all come back at once has many.
MOST_SILENT = 1024

_PLACES = 100  # for files, the database and the broker
_log = get_logger(__name__)


class Door:
    """Who is connected: how many in all, and of each address how many that have asked for nothing yet."""

    def __init__(self) -> None:
        self.inside = 0
        self._silent: Counter[str] = Counter()
        self._full = False
        wanted = MOST_CONNECTIONS + _PLACES
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < wanted:
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self._most = min(MOST_CONNECTIONS, max(1, soft - _PLACES))

    def enter(self, address: str) -> bool:
        """Whether there is room for one more of that address; then it is counted, as silent."""
        full = self.inside >= self._most
        if full and not self._full:
            _log.warning(
                "web.full", connections=self.inside, do="more are refused; raise LimitNOFILE, or see who they are"
            )
        self._full = full
        if full or self._silent[address] >= MOST_SILENT:
            return False
        self.inside += 1
        self._silent[address] += 1
        return True

    def speaks(self, address: str) -> None:
        """A connection that was silent has asked for something."""
        self._silent[address] -= 1
        if self._silent[address] <= 0:
            del self._silent[address]

    def leave(self) -> None:
        self.inside -= 1


class _Stalling(asyncio.Protocol):
    """Cuts off who does not read: the transport says when what was sent piles up, and when it has gone."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _stall: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._flows()

    def _flows(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


class HttpWire(_Stalling, HttpToolsProtocol):
    """HTTP/1.1 with bounds. ``door`` is set by ``with_door``: uvicorn makes each with the same three values."""

    door: Door

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._address = ""
        self._silent = self._counted = False
        self._refused = False
        self._due: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = str(self.client[0]) if self.client else ""
        self._counted = self._silent = self.door.enter(self._address)
        if not self._counted:
            self._refuse(b"503 Service Unavailable", b"There are too many connections.\n")
            return
        self._expect(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        self._flows()
        self._gone()
        if self._counted:
            self._counted = False
            self.door.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head and self._due is None:
            self._expect(HEAD_SECONDS)
        self._head += len(data)
        super().data_received(data)
        # A head that is whole was looked at when it was; of one that is not, only the length is known.
        if self._in_head and self._head > LARGEST_HEAD and not self._refused:
            self._too_large()

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        self._in_head, self._head = False, 0
        if self._refused:
            return
        if len(self.url) > LONGEST_ADDRESS:
            self._refuse(b"414 URI Too Long", b"The address is too long.\n")
            return
        if size > LARGEST_HEAD or len(self.headers) > MOST_HEADERS:
            self._too_large()
            return
        self._gone()
        self._expect(BODY_SECONDS)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._head = True, 0  # what came of a body is no head
        self._expect(None)
        if not self._refused:
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        if self._refused:
            return
        self._expect(None)
        self._flows()
        # The transport goes over with its place: the other protocol gives it back.
        super().handle_websocket_upgrade()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._abort_soon()

    def _expect(self, seconds: float | None) -> None:
        """Have the connection end in so many seconds, unless told otherwise before."""
        if self._due is not None:
            self._due.cancel()
        self._due = None if seconds is None else self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        self._due = None
        if self.flow.read_paused:  # it is we who do not read
            self._expect(BODY_SECONDS)
            return
        begun = not self._in_head and not self.cycle.response_started
        self._refuse(b"408 Request Timeout", b"The request did not come in time.\n", begun=begun)

    def _too_large(self) -> None:
        self._refuse(
            b"431 Request Header Fields Too Large", b"The request's head is too large: clear this site's cookies.\n"
        )

    def _refuse(self, status: bytes, said: bytes, *, begun: bool = False) -> None:
        """Answer and close; ``begun`` where the answer that is due is this request's own."""
        self._refused = True
        self._expect(None)
        if begun or self.cycle is None or self.cycle.response_complete:
            self.transport.write(
                b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
                % (status, len(said), said)
            )
        self.transport.close()
        self._abort_soon()

    def _abort_soon(self) -> None:
        # What is closed is first sent: to who does not read, never.
        self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def _gone(self) -> None:
        if self._silent:
            self._silent = False
            self.door.speaks(self._address)


class SocketWire(_Stalling, WebSocketsSansIOProtocol):
    """A WebSocket that gives its place back, and is cut off where it neither reads nor answers."""

    door: Door

    def connection_lost(self, exc: Exception | None) -> None:
        self._flows()
        self.door.leave()
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


def with_door(door: Door) -> tuple[type[HttpWire], type[SocketWire]]:
    """The two protocols of one server, which share its door."""
    return type("HttpWire", (HttpWire,), {"door": door}), type("SocketWire", (SocketWire,), {"door": door})
