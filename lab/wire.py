"""A TCP proxy before a server of this machine: the network between two programs, to be cut, stalled, slowed and mended.

Law: a byte that has been read is sent on in order or, once the wire is cut, never; nothing is made up.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from lab.process import free_port

#: A slow wire sends so many pieces a second.
_PIECES = 20


class Wire:
    """``port`` is where clients connect, ``to`` the server's. It carries nothing before `mend`."""

    def __init__(self, to: int) -> None:
        self.port, self._to = free_port(), to
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._pace: int | None = None
        self._halt_before: bytes | None = None
        self.halted = asyncio.Event()

    async def mend(self) -> None:
        """Take connections, and carry everything as fast as it comes."""
        self._pace = self._halt_before = None
        self.halted.clear()
        self._flows.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Everything through it breaks off (RST), and nothing gets through any more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.reset()

    async def reset(self) -> None:
        """What is connected breaks off (RST); new connections are carried."""
        for writer in self._writers:
            far = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        self._writers.clear()
        self._tasks.clear()

    def stall(self) -> None:
        """Packets vanish and no connection ends: neither side is told anything, new connections get no answer either."""
        self._flows.clear()

    def slow(self, bytes_a_second: int) -> None:
        """What the server says trickles, whatever it says."""
        self._pace = bytes_a_second

    def halt_before(self, word: bytes) -> None:
        """Carry what clients send up to the next ``word`` and stall there; ``halted`` says when."""
        self.halted.clear()
        self._halt_before = word

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for source, sink, asks in ((reader, far_writer, True), (far_reader, writer, False)):
            task = asyncio.create_task(self._pump(source, sink, asks=asks))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, asks: bool) -> None:
        try:
            while True:
                await self._flows.wait()
                chunk = await source.read(65536)
                await self._flows.wait()
                if not chunk:
                    break
                if asks:
                    chunk = await self._up_to_halt(chunk, sink)
                await self._send(chunk, sink, pace=None if asks else self._pace)
        except OSError:
            pass
        sink.transport.abort()
        self._writers.discard(sink)

    async def _up_to_halt(self, chunk: bytes, sink: asyncio.StreamWriter) -> bytes:
        """The rest of a chunk that was halted in, once the wire carries again."""
        word = self._halt_before
        at = -1 if word is None else chunk.find(word)
        if at < 0:
            return chunk
        sink.write(chunk[:at])
        await sink.drain()
        self._halt_before = None
        self._flows.clear()
        self.halted.set()
        await self._flows.wait()
        return chunk[at:]

    async def _send(self, chunk: bytes, sink: asyncio.StreamWriter, *, pace: int | None) -> None:
        piece = len(chunk) if pace is None else max(1, pace // _PIECES)
        while chunk:
            sink.write(chunk[:piece])
            await sink.drain()
            chunk = chunk[piece:]
            if pace is not None and chunk and self._pace is not None:
                await asyncio.sleep(1 / _PIECES)
            elif self._pace is None:
                piece = max(1, len(chunk))
