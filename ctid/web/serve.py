"""``ctid web`` as a process: the listening socket, the tasks, and the way it ends.

Law: every task of the web is started on this page. The port is taken before anything else, so that a second ``ctid web``
says so in one line; a first signal ends politely, open screens are told to come back.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial

import uvicorn
from fastapi import FastAPI
from structlog import get_logger

from ctid.config import Address, Settings
from ctid.db import migrations
from ctid.metrics import AddressTakenError
from ctid.notify import Notifier
from ctid.tls import ServerTls, TlsFault
from ctid.web.app import create_app
from ctid.web.room import Room
from ctid.web.wire import HEAD_SECONDS, Door, with_door

GRACE_SECONDS = 5
LARGEST_SOCKET_MESSAGE = 4096
#: So often the files of the certificate are looked at; SIGHUP has it done at once.
LOOK_SECONDS = 60.0

_log = get_logger(__name__)


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ``AddressTakenError``, or ``DatabaseFault`` for a database that cannot do."""
    with listen(settings.web.listen) as taken:
        app = create_app(settings)
        room: Room = app.state.room
        await migrations.check(room.engine)
        web = settings.web
        tls = None if web.cert_file is None else ServerTls("web", web.cert_file, web.key_file)
        server = _Server(app, taken, Notifier(), tls)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.end)
        loop.add_signal_handler(signal.SIGHUP, server.look_again)
        try:
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(room.subscriber.run(), name="web mqtt")
                watchdog = tasks.create_task(server.tell_systemd(), name="web systemd")
                renewing = tasks.create_task(server.renew(), name="web certificate")
                await tasks.create_task(server.serve([taken]), name="web http")
                listening.cancel()
                watchdog.cancel()
                renewing.cancel()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)


@contextmanager
def listen(address: Address) -> Generator[socket.socket]:
    """A socket bound to the address and listening. Raises ``AddressTakenError``."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        taken = socket.create_server((address.host, address.port), family=family, backlog=512)
    except OSError as error:
        # The resolver's own errors have numbers below 0; the others' texts name the address once more.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise AddressTakenError(
            f"web.listen: cannot listen on {address} ({reason}); stop what uses it or set another address"
        ) from None
    with taken:
        yield taken


class _Server(uvicorn.Server):
    """uvicorn that tells systemd, and leaves signals to ``run``: its own way ends the process before the rest is closed."""

    def __init__(self, app: FastAPI, taken: socket.socket, systemd: Notifier, tls: ServerTls | None = None) -> None:
        self.door = Door()
        self._tls = tls
        self._look = asyncio.Event()
        self._http, sockets = with_door(self.door)
        super().__init__(
            uvicorn.Config(
                app,
                http=self._http,
                ws=sockets,
                ws_max_size=LARGEST_SOCKET_MESSAGE,
                access_log=False,
                proxy_headers=False,  # anyone may write them: limits and audit go by the connection's own address
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        host, port = taken.getsockname()[:2]
        self._address = Address(host=host, port=port)
        self._systemd = systemd

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn would listen without a bound on the TLS handshake.
        await super().startup([])
        made = partial(
            self._http,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        for taken in sockets or ():
            tls = None if self._tls is None else self._tls.context
            patience = None if tls is None else HEAD_SECONDS
            self.servers.append(
                await asyncio.get_running_loop().create_server(
                    made, sock=taken, ssl=tls, ssl_handshake_timeout=patience, backlog=self.config.backlog
                )
            )
        _log.info("the web is up", listen=str(self._address), tls=self._tls is not None)
        self._systemd.ready(f"serving on {self._address}")

    def end(self) -> None:
        """Take no more requests, finish those under way, then return from ``serve``."""
        self._systemd.stopping("ending")
        self.should_exit = True

    def look_again(self) -> None:
        """Look now whether the certificate was renewed."""
        self._look.set()

    async def renew(self) -> None:
        """Take up a certificate that was renewed on disk: new connections see it, open ones stay."""
        told: str | None = None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._look.wait()
            self._look.clear()
            try:
                if self._tls is not None and self._tls.look():
                    _log.info("web.certificate_renewed")
                told = None
            except TlsFault as fault:  # half renewed, maybe: said once, tried again
                if str(fault) != told:
                    _log.error("web.certificate_not_taken", error=str(fault))
                told = str(fault)

    async def tell_systemd(self) -> None:
        """Say to systemd's watchdog that the loop still turns."""
        while self._systemd.watchdog_seconds is not None:
            self._systemd.alive()
            await asyncio.sleep(self._systemd.watchdog_seconds)
