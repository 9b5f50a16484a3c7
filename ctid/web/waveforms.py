"""Waveforms of recordings: made from the file when first looked at, and kept beside the database.

Law: what is kept can be thrown away at any time: it is found by the file's own name, size and time, is checked when it is read,
and is made anew where it is gone, cut or not ours. Nothing waits for room: where the folder cannot be written, each look
reads the recording. Files are read on threads, ``_AT_ONCE`` at a time.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from structlog import get_logger

from ctid.asterisk import recordings
from ctid.asterisk.peaks import peaks
from ctid.asterisk.sealing import NO_KEYS, Keys

#: What has no waveform: sound of another form, a file that is not whole enough.
NONE: Final = b'{"seconds":null,"channels":[]}'

_AT_ONCE: Final = 2
_WAITING: Final = 200
#: In each of 256 folders, so that no more than 51,200 are kept, of some 5 kB each.
_IN_A_FOLDER: Final = 200
_MARK: Final = 16

_log = get_logger(__name__)


class Busy(Exception):  # noqa: N818 - a state of affairs, not a bug
    """More are waiting already than could be told in time."""


class Waveforms:
    """``state`` is the state directory; it is never made here, for another user would then own it. ``keys`` open recordings."""

    def __init__(self, state: Path, keys: Keys = NO_KEYS) -> None:
        self._keys = keys
        self._state = state
        self._reading = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._told = False

    async def of(self, root: Path, path: Path) -> bytes:
        """The waveform of the recording at ``path`` below ``root``, as JSON; ``NONE`` where there is none. Raises ``Busy``.

        It has ``seconds`` and, for each of ``channels``, lowest and highest in turn from -128 to 127.
        """
        if self._waiting >= _WAITING:
            raise Busy
        self._waiting += 1
        try:
            async with self._reading:
                return await asyncio.to_thread(self._look, root, path)
        finally:
            self._waiting -= 1

    def _look(self, root: Path, path: Path) -> bytes:
        try:
            stream = recordings.opened(path, root, self._keys)
            if stream is None:
                return NONE
            with stream:
                status = os.fstat(stream.fileno())
                size = recordings.size_of(stream)
                file = recordings.drawing(self._state, path, size, status)
                kept = _kept(file)
                if kept is not None:
                    return kept
                found = peaks(stream, size)
        except (OSError, RuntimeError):  # RuntimeError: links in a circle
            return NONE
        made = NONE if found is None else msgspec.json.encode({"seconds": found.seconds, "channels": found.channels})
        self._keep(file, made)
        return made

    def _keep(self, file: Path, made: bytes) -> None:
        try:
            (self._state / "waveforms").mkdir(exist_ok=True)
            file.parent.mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".", delete=False) as new:
                new.write(_mark(made) + made)
            # Whole or not there: who reads at the same time never sees half of it.
            Path(new.name).replace(file)
            _thin_out(file.parent)
        except OSError as error:
            if not self._told:
                self._told = True
                _log.warning("waveforms are not kept: each look reads the recording", error=error.strerror)


def _kept(file: Path) -> bytes | None:
    try:
        found = file.read_bytes()
    except OSError:
        return None
    made = found[_MARK:]
    if _mark(made) != found[:_MARK]:
        return None
    with suppress(OSError):
        os.utime(file)  # the longest unseen go first
    return made


def _mark(made: bytes) -> bytes:
    return hashlib.sha256(made).digest()[:_MARK]


def _thin_out(folder: Path) -> None:
    """Others may do the same at the same time: what is gone already is fine."""
    there: list[tuple[float, str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                there.append((entry.stat(follow_symlinks=False).st_mtime, entry.path))
    for _, path in sorted(there)[: max(0, len(there) - _IN_A_FOLDER)]:
        with suppress(OSError):
            Path(path).unlink()
