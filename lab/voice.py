"""A phone's sound without SIPp's: a tone, and keys as real phones send them, named events in its RTP (RFC 4733).

Law: one socket, one source, one count of packets for both, as Asterisk expects of a phone; no root is needed, as SIPp's own
play_dtmf does.
"""

import asyncio
import secrets
import socket
import struct
from pathlib import Path

from lab.process import free_port

#: The payload type that the offer names for telephone-event.
EVENTS = 101
KEYS = "0123456789*#ABCD"
_FRAME = 160  # samples of 20 ms
_PRESSED = 5  # frames that a key is held
_PAUSE = 4  # frames of sound between two keys


class Voice:
    """Plays a raw u-law tone to one address from `port` on, round and round, and presses keys when told to."""

    def __init__(self, tone: Path) -> None:
        self._sound = tone.read_bytes()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port = free_port()
        self._socket.bind(("127.0.0.1", self.port))
        self._socket.setblocking(False)
        self._source = secrets.randbits(32)
        self._packets = secrets.randbits(16)
        self._at = secrets.randbits(31)  # in samples
        self._keys: asyncio.Queue[str] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def speak_to(self, port: int) -> None:
        """Begins to play to this port of 127.0.0.1, once."""
        if self._task is None:
            self._task = asyncio.create_task(self._speak(port), name=f"voice {self.port}")

    async def press(self, digits: str) -> None:
        """Presses one key after the other; returns when the last was let go."""
        for digit in digits:
            self._keys.put_nowait(digit)
        await self._keys.join()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._socket.close()

    async def _speak(self, port: int) -> None:
        running = asyncio.get_running_loop()
        due = running.time()

        async def frame(payload: bytes, *, kind: int = 0, marked: bool = False, at: int | None = None) -> None:
            nonlocal due
            self._send(port, payload, kind=kind, marked=marked, at=self._at if at is None else at)
            self._at += _FRAME
            due += _FRAME / 8000
            await asyncio.sleep(max(0.0, due - running.time()))

        heard = 0
        while True:
            for _ in range(_PAUSE):
                start = heard * _FRAME % len(self._sound)
                await frame((self._sound * 2)[start : start + _FRAME])
                heard += 1
            if self._keys.empty():
                continue
            key, begun = KEYS.index(self._keys.get_nowait()), self._at
            for held in range(1, _PRESSED + 1):
                event = struct.pack("!BBH", key, 10, held * _FRAME)
                await frame(event, kind=EVENTS, marked=held == 1, at=begun)
            for _ in range(3):  # the end is said three times, for one packet may be lost
                self._send(port, struct.pack("!BBH", key, 0x80 | 10, _PRESSED * _FRAME), kind=EVENTS, at=begun)
            self._keys.task_done()

    def _send(self, port: int, payload: bytes, *, kind: int, at: int, marked: bool = False) -> None:
        self._packets = (self._packets + 1) % 2**16
        head = struct.pack("!BBHII", 0x80, marked << 7 | kind, self._packets, at % 2**32, self._source)
        try:
            self._socket.sendto(head + payload, ("127.0.0.1", port))
        except OSError:  # the other side has let its port go
            return
