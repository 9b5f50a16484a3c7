"""Sound files: whether the recording is there, whole, and as long as the ledger says.

Law: nothing Asterisk says about a file is believed; it is opened and measured. Only files under the recordings root
are opened, whatever the path holds: no way up, no link out, no device. A file is complete when its header and its
bytes agree with each other and with the ledger; a call's missing or damaged file is a fact to be kept, never an
error.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import stat
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

import structlog

from ctid.asterisk import riff, sealing
from ctid.asterisk.mounts import read_only
from ctid.asterisk.sealing import NO_KEYS, Keys
from ctid.domain.types import RecordingRecord, RecordingState

log = structlog.get_logger(__name__)

#: Seconds a file may differ from the ledger.
TOLERANCE: Final = 1.0
#: Seconds to wait for a file that is not there yet, or whose last bytes are still being written.
PATIENCE: Final = 3.0
_LOOK_EVERY: Final = 0.1
#: The form of kept waveforms.
_DRAWN: Final = b"1"
#: Folders below the root that are looked at: Asterisk makes one for the year, the month and the day.
_DEEPEST: Final = 8


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
    keys: Keys = NO_KEYS,
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
    sound = await asyncio.to_thread(look, file, root, keys)
    while (sound is None or sound.fault is not None) and loop.time() < until:
        await asyncio.sleep(_LOOK_EVERY)
        sound = await asyncio.to_thread(look, file, root, keys)
    if sound is not None and sound.sha256 is None:
        sound = await asyncio.to_thread(look, file, root, keys, digest=True)
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


def look(file: Path, root: Path, keys: Keys = NO_KEYS, *, digest: bool = False) -> Sound | None:
    """Open and judge a file below ``root``; ``None`` when there is none, or a link leads out. Blocks on the disk.

    A whole file's digest is taken at once, that of a damaged one with ``digest``.
    """
    try:
        stream = opened(file, root, keys)
        if stream is None:
            return None
        with stream:
            sound = _judge(stream, size_of(stream))
            if sound.fault is not None and not digest:
                return sound
            stream.seek(0)
            return replace(sound, sha256=hashlib.file_digest(stream, "sha256").hexdigest())
    except (FileNotFoundError, NotADirectoryError, RuntimeError):  # RuntimeError: links in a circle
        return None
    except OSError as error:
        return Sound(size=0, seconds=None, fault=f"it cannot be read: {error.strerror}")


def opened(file: Path, root: Path, keys: Keys = NO_KEYS) -> BufferedReader | None:
    """The sound of a regular file, sealed or not, to be read and closed; ``None`` for what is none, or lies outside the root.

    Raises ``OSError`` for a file that is not there, is closed to us or, sealed, cannot be opened by any of the keys.
    """
    try:
        return _plain(file, root)
    except FileNotFoundError:
        stream = _plain(sealing.sealed(file), root)
    if stream is None:
        return None
    try:
        return sealing.open_sealed(stream, file.name, keys)
    except OSError:
        stream.close()
        raise


def _plain(file: Path, root: Path) -> BufferedReader | None:
    if not file.resolve(strict=True).is_relative_to(root.resolve(strict=True)):
        return None
    # The last part may not be a link any more, and a pipe may not make us wait.
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")


def size_of(stream: BufferedReader) -> int:
    """The bytes of an opened sound; it then stands at its beginning again."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size


def remove(root: Path, path: str, state: Path) -> bool:
    """Delete the recording's file and its waveform below ``state``; whether there was one. ``path`` is as the books have it.

    Nothing outside the root is touched: of a link the link itself goes. Raises ``OSError`` where the folder may not be written.
    """
    relative = confined(root, path)
    if relative is None:
        return False
    try:
        top = root.resolve(strict=True)
        file = top / relative
        if not file.parent.resolve(strict=True).is_relative_to(top):
            return False
    except (FileNotFoundError, NotADirectoryError, RuntimeError):  # RuntimeError: links in a circle
        return False
    there = False
    with sealing.undisturbed(file):
        for one in (file, sealing.sealed(file), file.with_name(file.name + sealing.UNFINISHED)):
            try:
                drawn = drawing(state, file, _plain_size(one), one.lstat())
                one.unlink()
            except FileNotFoundError:
                continue
            drawn.unlink(missing_ok=True)
            there = True
    return there


def lies(root: Path, path: str) -> bool:
    """Whether the recording's file is there, sealed or not; ``path`` is as the books have it."""
    relative = confined(root, path)
    return relative is not None and any(
        os.path.lexists(file) for file in (root / relative, sealing.sealed(root / relative))
    )


def _plain_size(file: Path) -> int:
    if file.suffix == sealing.END and not file.is_symlink():
        with contextlib.suppress(sealing.SealFault):
            return sealing.length(file)
    return file.lstat().st_size


def drawing(state: Path, file: Path, size: int, status: os.stat_result) -> Path:
    """Where below the state directory the waveform of that file is kept: by its name, the plain sound's size, and its time.

    Sealing changes none of them: what was drawn of the plain file is found for the sealed one, to be shown and to be deleted.
    """
    known_by = b"\0".join((_DRAWN, os.fsencode(file), b"%d %d" % (size, status.st_mtime_ns)))
    key = hashlib.sha256(known_by).hexdigest()
    return state / "waveforms" / key[:2] / key[2:]


def away(root: Path) -> bool:
    """Whether there is no recordings folder, or one with nothing in it, as when its disk is not mounted.

    What is not found then is not gone. Raises ``OSError`` for one that may not be read.
    """
    return not root.is_dir() or next(root.iterdir(), None) is None


def readable(root: Path, path: str, keys: Keys = NO_KEYS) -> bool:
    """Whether the recording's file, as the books have its path, can be opened now. Blocks on the disk."""
    relative = confined(root, path)
    try:
        stream = None if relative is None else opened(root / relative, root, keys)
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        return False
    if stream is None:
        return False
    stream.close()
    return True


def folder_fault(root: Path, *, used: bool) -> str | None:
    """Why nothing is recorded or found in that folder now, with what to do; ``None`` where all is well. Blocks on the disk.

    ``used`` is of one that is known to hold recordings: empty, it is a disk that is not mounted.
    """
    try:
        if not root.is_dir():
            return f"{root} is not there: mount its disk, or set [recordings] root to Asterisk's monitor folder"
        closed = read_only(root)
        if (used or closed) and next(root.iterdir(), None) is None:
            return f"{root} is empty: mount its disk"
        if closed:
            return f"{root} is mounted read-only: look at its disk, and mount it to be written to"
    except OSError as error:
        return f"{root} cannot be read ({error.strerror}): ctid doctor says the mend"
    return None


def exposed(root: Path) -> Path | None:
    """The newest folder or file of the recordings that everybody on the machine may read, ``None`` where nobody else may.

    Who may not pass one of the folders on the way reads nothing below it.
    """
    try:
        place = root.resolve(strict=True)
        if not all(parent.stat().st_mode & stat.S_IXOTH for parent in place.parents):
            return None
        for _ in range(_DEEPEST):
            mode = place.stat().st_mode
            if not stat.S_ISDIR(mode):
                return place if mode & stat.S_IROTH else None
            if not mode & stat.S_IXOTH:
                return None
            newest = max(place.iterdir(), key=lambda one: one.lstat().st_mtime, default=None)
            if newest is None or newest.is_symlink():
                return place if mode & stat.S_IROTH else None
            place = newest
    except OSError:
        return None
    return None


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
