"""What the PBX says over AMI, kept in a file a day, to be rerun under another policy or looked at by others.

Law: the bytes as they came, whole messages only, so that each file can be read by itself; but no secret: PINs that were keyed
in and the dialplan's epoch are blanked. The files are their owner's alone. It asks the PBX for phones' states only, and
moves no call.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path

from ctid.asterisk.client import AmiSettings
from ctid.asterisk.sayable import said
from ctid.asterisk.wire import LONGEST_MESSAGE
from ctid.tls import wrong

_END = b"\r\n\r\n"
_SECRET = re.compile(rb"\r\n(Pin|Epoch): [^\r\n]*")
_PING_EVERY, _DEAD_AFTER = 20.0, 60.0
_REFUSED = b"Message: Authentication failed"


class TapeError(Exception):
    """Nothing can be recorded; one line that says what to do."""


async def record(
    settings: AmiSettings, folder: Path, *, today: Callable[[], date], on_break: Callable[[str], None]
) -> None:
    """Record into ``folder`` until cancelled, a file for each ``today()``; a link that breaks is told and opened again.

    Raises ``TapeError`` where the PBX refuses the user or the folder can't be written to.
    """
    tape = _Tape(folder, today)
    pause = settings.first_retry_seconds
    try:
        while True:
            try:
                await _hear(settings, tape)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                on_break(wrong(error, settings.host, "ami") or str(error) or "the PBX does not answer")
            await asyncio.sleep(pause)
            pause = min(pause * 2, settings.last_retry_seconds)
    finally:
        tape.close()


async def _hear(settings: AmiSettings, tape: _Tape) -> None:
    """One session, from its login to its loss; always ends by raising."""
    async with asyncio.timeout(settings.connect_seconds):
        tls = None if settings.tls is None else settings.tls.context()
        reader, writer = await asyncio.open_connection(settings.host, settings.port, ssl=tls)
    login = (("Action", "Login"), ("Username", settings.username), ("Secret", settings.secret))
    writer.write(said(login))
    pinging = asyncio.create_task(_ping(writer))
    rest = b""
    try:
        while True:
            async with asyncio.timeout(_DEAD_AFTER):
                chunk = await reader.read(1 << 16)
            if not chunk:
                raise OSError("the PBX closed the connection")
            whole, end, rest = (rest + chunk).rpartition(_END)
            if len(rest) > LONGEST_MESSAGE:
                raise OSError("what comes is not AMI")
            if _REFUSED in whole:
                raise TapeError("the PBX refused the user: set [ami] username and secret to those of manager.conf")
            if whole and tape.write(whole + end):
                writer.write(said((("Action", "DeviceStateList"),)))  # who is there as the file begins
    finally:
        pinging.cancel()
        writer.transport.abort()


async def _ping(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while True:
            await asyncio.sleep(_PING_EVERY)
            writer.write(said((("Action", "Ping"),)))
            await writer.drain()


class _Tape:
    def __init__(self, folder: Path, today: Callable[[], date]) -> None:
        self._folder = folder
        self._today = today
        self._day: date | None = None
        self._file: int | None = None

    def write(self, messages: bytes) -> bool:
        """Keep whole messages; tell whether they begin a new file."""
        day = self._today()
        turned = day != self._day
        try:
            if turned:
                self.close()
                path = self._folder / f"{day.isoformat()}.ami"
                self._file, self._day = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), day
            left = _SECRET.sub(rb"\r\n\1: ", messages)
            while left and self._file is not None:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            raise TapeError(
                f"{self._folder}: cannot be written to ({error.strerror}); name a folder of the user who records"
            ) from None
        return turned

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
