"""Sound files at rest: sealed with a key, opened again piece by piece.

Law: a sealed file stands beside the name of the plain one, as ``NAME.sealed``. The plain one goes only after the sealed copy
was written to the disk, read back and found to be the same; whatever is cut off before that has lost nothing, and is done anew.
Whoever seals or erases a file has it locked: of two who seal it at once the second finds it done.
Each piece is sealed for its place in its own file, and the header with it: what was changed, cut, or moved within the file or
to another is not opened, nor is a whole file that bears another recording's name. A key is known by its name in the header, so
that keys can change while old ones still open.

The form: a header of 48 bytes (``ctidseal``, version 2, three zero bytes, the piece's size as 4 bytes, the sound's length as 8,
the key's name as 8, the file's own 16 random bytes; big-endian), then each piece as AES-256-GCM has it, with 16 bytes more; no
sound at all is one empty piece. The file's key is HKDF-SHA256 of the key, salted with the file's own bytes, for the name of the
plain file without its folders; a piece's nonce is its number.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import io
import os
import secrets
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

END: Final = ".sealed"
UNFINISHED: Final = ".sealing"
PIECE: Final = 64 * 1024
_MAGIC: Final = b"ctidseal"
_VERSION: Final = 2
_HEADER: Final = struct.Struct(">8sB3sIQ8s16s")
_TAG: Final = 16
_KEY_BYTES: Final = 32
#: What a header may claim of its pieces: nothing a reader has to hold in memory by the megabyte.
_LARGEST_PIECE: Final = 1 << 20


class SealFault(OSError):  # noqa: N818 - a fault to mend
    """One line that says why a recording cannot be sealed or opened, and what to do."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.strerror = said


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of 32 bytes; ``name`` is what headers know it by."""

    secret: bytes
    name: bytes

    def __repr__(self) -> str:
        return f"Key({self.name.hex()})"


class Keys:
    """The site's keys: the first seals, all of them open."""

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        self._keys = {key.name: key for key in keys}
        self.first = keys[0] if keys else None

    def __len__(self) -> int:
        return len(self._keys)

    def named(self, name: bytes) -> Key:
        """The key of a header. Raises ``SealFault``."""
        found = self._keys.get(name)
        if found is None:
            raise SealFault(
                f"it is sealed with the key {name.hex()}, which is not among the site's: put that key back into"
                " [recordings] key_file"
            )
        return found


def keys_of(words: Iterable[str]) -> Keys:
    """The keys of a configuration, which has looked at them: 32 bytes each, in base64."""
    secrets_of = [base64.b64decode(word) for word in words]
    return Keys([Key(secret=one, name=hashlib.sha256(b"ctid key\0" + one).digest()[:8]) for one in secrets_of])


NO_KEYS: Final = Keys()


def sealed(file: Path) -> Path:
    """Where the sealed copy of a sound file stands."""
    return file.with_name(file.name + END)


def seal(file: Path, keys: Keys) -> None:
    """Seal a plain file and delete it; one that is sealed already and plain no more is left alone. Blocks on the disk.

    Raises ``SealFault`` where there is no key or the copy is not the same, and ``OSError``; the plain file is then still there.
    """
    if keys.first is None:
        raise SealFault("there is no key to seal with; set [recordings] key_file")
    copy, unfinished = sealed(file), file.with_name(file.name + UNFINISHED)
    if not file.exists() and copy.exists():
        return
    with file.open("rb") as plain:
        fcntl.flock(plain, fcntl.LOCK_EX)
        before = os.fstat(plain.fileno())
        if not _is(file, before):  # somebody else sealed or erased it before it was locked
            return
        mode = before.st_mode & 0o660
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            os.fchmod(descriptor, mode | 0o600)
            digest = _write(plain, out, file.name, keys.first)
            out.flush()
            os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))
            os.fsync(descriptor)
        if _digest(unfinished, file.name, keys) != digest:
            raise SealFault(f"{file.name}: the sealed copy is not the same when it is read back; look at the disk")
        unfinished.replace(copy)
        _to_disk(copy.parent)
        file.unlink()


@contextlib.contextmanager
def undisturbed(file: Path) -> Iterator[None]:
    """While nobody seals this file; waits for who does. One that is not there, or may not be read, nobody seals."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def length(copy: Path) -> int:
    """How long, in bytes, the plain sound of a sealed file was, by its header. Raises ``OSError``."""
    with copy.open("rb") as stream:
        header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise SealFault("it is no sealed recording")
    return int(_HEADER.unpack(header)[4])


def try_key(keys: Keys) -> None:
    """Seal a few bytes with the first key and open them again, in a folder of the moment. Raises ``OSError``."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trial"
        file.write_bytes(b"ctid")
        seal(file, keys)


def open_sealed(stream: BinaryIO, name: str, keys: Keys) -> io.BufferedReader:
    """The plain sound of a sealed file, to be read and sought in; closing it closes ``stream``. Raises ``SealFault``.

    ``name`` is the plain file's, without its folders. What was changed, cut, or is another recording's shows where it is
    read, as ``SealFault`` too.
    """
    return io.BufferedReader(_Opened(stream, name, keys), buffer_size=PIECE)


def _write(plain: BinaryIO, out: BinaryIO, name: str, key: Key) -> bytes:
    """Write all of it; the digest of what was read. Raises ``SealFault`` for a file that changes meanwhile."""
    length = os.fstat(plain.fileno()).st_size
    salt = secrets.token_bytes(16)
    header = _HEADER.pack(_MAGIC, _VERSION, b"\0\0\0", PIECE, length, key.name, salt)
    cipher, digest, number, done = _cipher(key, salt, name), hashlib.sha256(), 0, 0
    out.write(header)
    while piece := plain.read(PIECE):
        digest.update(piece)
        out.write(cipher.encrypt(_nonce(number), piece, header))
        number += 1
        done += len(piece)
    if not number:
        out.write(cipher.encrypt(_nonce(0), b"", header))
    if done != length:
        raise SealFault(f"{plain.name}: it is still being written")
    return digest.digest()


def _digest(file: Path, name: str, keys: Keys) -> bytes:
    with file.open("rb") as stream, open_sealed(stream, name, keys) as sound:
        return hashlib.file_digest(sound, "sha256").digest()


def _is(file: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(file.lstat(), status)
    except FileNotFoundError:
        return False


def _cipher(key: Key, salt: bytes, name: str) -> AESGCM:
    info = b"ctid recording\0" + os.fsencode(name)
    return AESGCM(HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=salt, info=info).derive(key.secret))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Opened(io.RawIOBase):
    """A sealed file as the sound in it."""

    def __init__(self, stream: BinaryIO, of: str, keys: Keys) -> None:
        super().__init__()
        self._stream = stream
        self._header = stream.read(_HEADER.size)
        if len(self._header) < _HEADER.size or not self._header.startswith(_MAGIC):
            raise SealFault("it is no sealed recording")
        _, version, _, self._piece, self._length, name, salt = _HEADER.unpack(self._header)
        if version != _VERSION or not 0 < self._piece <= _LARGEST_PIECE:
            raise SealFault("it was sealed by another version of ctid")
        pieces = max(1, -(-self._length // self._piece))
        if os.fstat(stream.fileno()).st_size != _HEADER.size + self._length + pieces * _TAG:
            raise SealFault("it is not whole: bytes are missing, or there are too many")
        self._cipher = _cipher(keys.named(name), salt, of)
        self._at = 0
        self._held: tuple[int, bytes] = (-1, b"")
        if not self._length:  # nothing will be read of it that would show a forged header
            self._opened(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        if self._at >= self._length:
            return 0
        number, within = divmod(self._at, self._piece)
        found = self._opened(number)[within : within + len(view)]
        view[: len(found)] = found
        self._at += len(found)
        return len(found)

    def _opened(self, number: int) -> bytes:
        if self._held[0] != number:
            self._stream.seek(_HEADER.size + number * (self._piece + _TAG))
            sealed_piece = self._stream.read(min(self._piece, self._length - number * self._piece) + _TAG)
            try:
                self._held = number, self._cipher.decrypt(_nonce(number), sealed_piece, self._header)
            except InvalidTag:
                raise SealFault(
                    "it was changed after it was sealed, or is another recording: take it from a backup"
                ) from None
        return self._held[1]

    def close(self) -> None:
        self._stream.close()
        super().close()
