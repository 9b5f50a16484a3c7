"""A real PostgreSQL in a folder: one server for many tests, each with a database of its own.

Law: it never runs as root (it refuses to): started by root it runs as an unprivileged user, and its data, which that
user must reach, then lies in a fresh folder of the system's temporary one, gone after `stop`.
"""

import os
import shutil
import signal
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from lab.certificates import Pair
from lab.process import LabError, Process, answers, free_port, tool, until

NOBODY = 65534
SPEED = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=100", "shared_buffers=64MB")


class Postgres:
    """One server; `database(name)` makes a fresh empty database and gives its URL.

    With `tls`, a certificate and its key, it speaks TLS to whoever asks for it.
    """

    def __init__(self, folder: Path, *, tls: Pair | None = None) -> None:
        self._tls = tls
        self._folder = folder.resolve()
        self._folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._process: Process | None = None
        self._uid = NOBODY if os.getuid() == 0 else None
        self._place = Path(tempfile.mkdtemp(prefix="ctid-postgres-")) if self._uid else self._folder / "postgres"
        if self._uid:
            os.chown(self._place, self._uid, self._uid)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def url(self, name: str = "postgres") -> str:
        """The SQLAlchemy URL of a database."""
        return f"postgresql+asyncpg://ctid@127.0.0.1:{self.port}/{name}"

    async def database(self, name: str, *, like: str = "template1") -> str:
        """Makes a database (letters, digits, _), empty or a copy of another, replacing one of that name; gives its URL."""
        for one in (name, like):
            if not one.isidentifier():
                raise LabError(f"{one!r} cannot be a database's name")
        link = await asyncpg.connect(host="127.0.0.1", port=self.port, user="ctid", database="postgres")
        try:
            await link.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            await link.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
        finally:
            await link.close()
        return self.url(name)

    async def start(self) -> None:
        """Makes the cluster where there is none, starts the server; returns when it accepts connections."""
        data = self._place / "data"
        if not data.exists():
            options = ("-U", "ctid", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
            making = self._program("initdb", [tool("initdb"), "-D", str(data), *options])
            if await making.ended(60) != 0:
                raise LabError(f"initdb failed:\n{making.tail()}")
        settings: tuple[str, ...] = (
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            "unix_socket_directories=",
            *SPEED,
        )
        if self._tls is not None:
            settings += ("ssl=on", f"ssl_cert_file={data}/server.pem", f"ssl_key_file={data}/server.key")
            for source, name in zip(self._tls, ("server.pem", "server.key"), strict=True):
                shutil.copy(source, data / name)
                os.chown(data / name, data.stat().st_uid, data.stat().st_gid)
        argv = [tool("postgres"), "-D", str(data), *(part for each in settings for part in ("-c", each))]
        self._process = self._program("postgres", argv)
        await self._process.ready(lambda: answers(self.port), "listens")
        await until(self._accepts, "PostgreSQL accepts connections")

    async def _accepts(self) -> bool:
        try:
            link = await asyncpg.connect(host="127.0.0.1", port=self.port, user="ctid", database="postgres")
        except asyncpg.CannotConnectNowError:  # still starting, or recovering after `kill`
            return False
        await link.close()
        return True

    def _program(self, name: str, argv: list[str]) -> Process:
        return Process(argv, folder=self._place, name=name, uid=self._uid, gid=self._uid, output=self._folder)

    async def stop(self) -> None:
        """Ends it, clients cut off, and throws the data away."""
        if self._process is not None:
            await self._process.stop(signal.SIGINT)
        shutil.rmtree(self._place, ignore_errors=True)

    def freeze(self) -> None:
        """It takes connections and says nothing any more, as one that the network cut off, until `thaw`."""
        for pid in self._processes():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._processes():
            os.kill(pid, signal.SIGCONT)

    def _processes(self) -> list[int]:
        """The server and those it made, which are groups of their own."""
        assert self._process is not None
        server = self._process.pid
        made = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        return [server, *map(int, made)]

    async def kill(self) -> None:
        """SIGKILL; `start` brings it back with its data."""
        if self._process is not None:
            await self._process.kill()
