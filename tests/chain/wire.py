"""The link between ctid and Asterisk, which tests cut and mend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from lab.process import free_port, until
from lab.site import Site
from tests.chain.centre import CSV, Centre, opened


class Wire:
    """A TCP proxy before Asterisk's AMI that can be cut."""

    def __init__(self, to: int) -> None:
        self.port, self._to = free_port(), to
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Everything through it breaks off, and nothing gets through any more."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while chunk := await source.read(65536):
                sink.write(chunk)
                await sink.drain()
        except OSError:
            pass
        sink.transport.abort()


class Broken(Centre):
    def __init__(self, site: Site, wire: Wire) -> None:
        super().__init__(site)
        self.wire = wire


async def resynced(centre: Broken, times: int) -> None:
    assert centre.site.daemon is not None
    await until(lambda: said(centre, '"pbx.resynced"') > times, "ctid has read the PBX's state anew")


def said(centre: Broken, word: str) -> int:
    assert centre.site.daemon is not None
    return centre.site.daemon.output.read_text(errors="replace").count(word)


@asynccontextmanager
async def broken_into(folder: Path) -> AsyncIterator[Broken]:
    """A centre whose link to the PBX runs through a wire."""
    site = Site(folder=folder, csv=CSV, ring_seconds=3, routing="missed_in_a_row = 0")
    wire = Wire(site.asterisk.ami_port)
    config = site.config.read_text()
    site.config.write_text(config.replace(f"port = {site.asterisk.ami_port}\n", f"port = {wire.port}\n"))
    await wire.mend()
    async with opened(site):
        yield Broken(site, wire)
    await wire.cut()
