"""Reads the form of WAV files: which sound is in it, where it begins, how much there is.

Law: the header is a claim and is never believed about how much there is; only bytes on the disk count. Whatever the bytes
are, reading them raises nothing, seeks within the file, and takes ``_MOST_CHUNKS`` small reads at most.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

PCM: Final = 1
ALAW: Final = 6
ULAW: Final = 7
_EXTENSIBLE: Final = 0xFFFE
#: No WAV that Asterisk writes has its sound further in.
_MOST_CHUNKS: Final = 64
_LONGEST_FORM: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How one sample after the other lies there. ``kind`` is PCM, ALAW or ULAW; ``block`` is one sample of each channel."""

    kind: int
    channels: int
    rate: int
    block: int
    bits: int

    @property
    def bytes_a_second(self) -> int:
        return self.rate * self.block


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """A WAV file as it says it is: in bytes, ``end`` where it claims to end, ``begin`` and ``length`` those of its sound.

    ``form`` is ``None`` for sound whose bytes do not count time (GSM, MP3), or that makes no sense.
    """

    form: Form | None
    end: int
    begin: int
    length: int

    def sound_bytes(self, size: int) -> int:
        """The bytes of sound that are there, in a file of that size: never more than claimed, unless nothing was.

        A header that was never closed claims none: Asterisk was killed, and its sound is there all the same.
        """
        there = max(0, size - self.begin)
        return min(self.length, there) if self.length else there


def read(stream: BinaryIO) -> Wave | str:
    """The form of the file from its beginning, or why it has none. Raises ``OSError`` only."""
    head = stream.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return "no RIFF/WAVE header"
    end = int.from_bytes(head[4:8], "little") + 8
    form: Form | None = None
    for _ in range(_MOST_CHUNKS):
        chunk = stream.read(8)
        if len(chunk) < 8:
            break
        name, length = struct.unpack("<4sI", chunk)
        begin = stream.tell()
        if name == b"data":
            return Wave(form=form, end=end, begin=begin, length=length)
        if name == b"fmt ":
            form = _form(stream.read(min(length, _LONGEST_FORM)))
        stream.seek(begin + length + length % 2)
    return "no data chunk"


def _form(octets: bytes) -> Form | None:
    if len(octets) < 16:
        return None
    kind, channels, rate, _, block, bits = struct.unpack("<HHIIHH", octets[:16])
    if kind == _EXTENSIBLE and len(octets) >= 26:
        kind = int.from_bytes(octets[24:26], "little")
    right = block == channels * bits // 8 and (kind == PCM or (kind in (ALAW, ULAW) and bits == 8))
    if not right or rate * block == 0:
        return None
    return Form(kind=kind, channels=channels, rate=rate, block=block, bits=bits)
