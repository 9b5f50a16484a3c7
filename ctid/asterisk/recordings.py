"""Sound files: whether the recording is there, whole, and as long as the ledger says.

Law: nothing Asterisk says about a file is believed; it is opened and measured. Only files under the recordings root
are opened, whatever the path holds: no way up, no link out, no device. A file is complete when its header and its
bytes agree with each other and with the ledger; a call's missing or damaged file is a fact to be kept, never an
error.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import stat
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

import structlog

from ctid.asterisk import riff
from ctid.domain.types import RecordingRecord, RecordingState

log = structlog.get_logger(__name__)

#: Seconds a file may differ from the ledger.
TOLERANCE: Final = 1.0
#: Seconds to wait for a file that is not there yet, or whose last bytes are still being written.
PATIENCE: Final = 3.0
_LOOK_EVERY: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A sound file as found. ``seconds`` counts the bytes on disk, whatever the header claims.

    ``fault`` says why the file is damaged by itself; ``None`` for a whole one. ``size`` is in bytes.
    """

    size: int
    seconds: float | None
    fault: str | None
    sha256: str | None = None


async def measure(
    root: Path,
    path: str,
    *,
    recording_id: str,
    expected_seconds: float | None,
    tolerance: float = TOLERANCE,
    patience: float = PATIENCE,
) -> RecordingRecord:
    """Measure one closed recording, in a thread.

    ``path`` is relative to ``root``, or absolute below it, as Asterisk tells it; the record's path is relative.
    ``expected_seconds`` is the ledger's bridged time, ``None`` to judge the file by itself. Waits ``patience`` seconds
    at most for a file that is not there or not whole yet. Never raises for what a file or a path may be.
    """
    relative = confined(root, path)
    if relative is None:
        log.warning("recording.outside_root", recording=recording_id, path=path, root=str(root))
        name = PurePosixPath(path).name
        return RecordingRecord(id=recording_id, path=name, state=RecordingState.MISSING)
    file = root / relative
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    sound = await asyncio.to_thread(look, file, root)
    while (sound is None or sound.fault is not None) and loop.time() < until:
        await asyncio.sleep(_LOOK_EVERY)
        sound = await asyncio.to_thread(look, file, root)
    if sound is not None and sound.sha256 is None:
        sound = await asyncio.to_thread(look, file, root, digest=True)
    if sound is None:
        log.warning("recording.missing", recording=recording_id, path=relative)
        return RecordingRecord(id=recording_id, path=relative, state=RecordingState.MISSING)
    fault = sound.fault
    if fault is None and expected_seconds is not None and sound.seconds is not None:
        off = sound.seconds - expected_seconds
        fault = f"{off:+.1f} s against the ledger" if abs(off) > tolerance else None
    if fault is not None:
        log.warning("recording.damaged", recording=recording_id, path=relative, fault=fault)
    return RecordingRecord(
        id=recording_id,
        path=relative,
        state=RecordingState.COMPLETE if fault is None else RecordingState.DAMAGED,
        seconds=sound.seconds,
        sha256=sound.sha256,
    )


def confined(root: Path, path: str) -> str | None:
    """``path`` relative to ``root``; ``None`` when it names nothing below it."""
    if not path or "\0" in path:
        return None
    pure = PurePosixPath(path)
    if pure.is_absolute():
        if not pure.is_relative_to(PurePosixPath(root)):
            return None
        pure = pure.relative_to(PurePosixPath(root))
    return str(pure) if pure.parts and ".." not in pure.parts else None


def look(file: Path, root: Path, *, digest: bool = False) -> Sound | None:
    """Open and judge a file below ``root``; ``None`` when there is none, or a link leads out. Blocks on the disk.

    A whole file's digest is taken at once, that of a damaged one with ``digest``.
    """
    try:
        stream = opened(file, root)
        if stream is None:
            return None
        with stream:
            sound = _judge(stream, os.fstat(stream.fileno()).st_size)
            if sound.fault is not None and not digest:
                return sound
            stream.seek(0)
            return replace(sound, sha256=hashlib.file_digest(stream, "sha256").hexdigest())
    except (FileNotFoundError, NotADirectoryError, RuntimeError):  # RuntimeError: links in a circle
        return None
    except OSError as error:
        return Sound(size=0, seconds=None, fault=f"it cannot be read: {error.strerror}")


def opened(file: Path, root: Path) -> BufferedReader | None:
    """The regular file, to be read and closed; ``None`` for what is none, and for a link that leads out of the root.

    Raises ``OSError`` for a file that is not there or closed to us.
    """
    if not file.resolve(strict=True).is_relative_to(root.resolve(strict=True)):
        return None
    # The last part may not be a link any more, and a pipe may not make us wait.
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")


def disk_free(root: Path) -> int:
    """Bytes a recording may still take on the disk of ``root``. Raises ``OSError`` where there is no such folder."""
    return shutil.disk_usage(root).free


def _judge(stream: BinaryIO, size: int) -> Sound:
    """Set the file's header against its bytes."""
    wave = riff.read(stream)
    if isinstance(wave, str):
        return Sound(size=size, seconds=None, fault=wave)
    if wave.form is None:
        return Sound(size=size, seconds=None, fault="its format is none of PCM, u-law and a-law")
    fault = _fault(size=size, end=wave.end, begin=wave.begin, length=wave.length)
    there = wave.length if fault is None else size - wave.begin
    return Sound(size=size, seconds=round(there / wave.form.bytes_a_second, 3), fault=fault)


def _fault(*, size: int, end: int, begin: int, length: int) -> str | None:
    """Why header and bytes disagree: ``end`` is where RIFF claims to end, ``begin`` and ``length`` are those of data."""
    there = size - begin
    if there == 0:
        return "only a header, no sound"
    if length == 0:
        return "its header was never closed: Asterisk was killed"
    if length > there:
        return f"{length - there} bytes of sound are cut off"
    if end > size:
        return "its header claims more bytes than there are"
    if end < begin + length or size - end > 1:  # an odd length is padded by one byte
        return "its header claims fewer bytes than there are"
    return None
