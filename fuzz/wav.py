"""Sound files: the headers of RIFF/WAVE, and the shape of what is in them.

Law: the header is believed about nothing; of a file there is never more sound than bytes, and its shape has as many
pairs as it must.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from ctid.asterisk import recordings, riff
from ctid.asterisk.peaks import BUCKETS, peaks

SAYS = "RIFF/WAVE headers and sound"


def seeds() -> Iterator[bytes]:
    for kind, channels, bits in product((riff.PCM, riff.ALAW, riff.ULAW, 0xFFFE, 3), (1, 2), (8, 16, 24)):
        block = channels * bits // 8
        form = struct.pack("<HHIIHH", kind, channels, 8000, 8000 * block, block, bits)
        if kind == 0xFFFE:
            form += struct.pack("<HHIH", 22, bits, 0, 1) + bytes(14)
        sound = bytes(range(256)) * 4
        chunks = (
            b"fmt "
            + struct.pack("<I", len(form))
            + form
            + b"LIST\x03\0\0\0abc\0"
            + b"data"
            + struct.pack("<I", len(sound))
            + sound
        )
        yield b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


def one(data: bytes) -> None:
    wave = riff.read(io.BytesIO(data))
    if not isinstance(wave, str):
        assert 0 <= wave.sound_bytes(len(data)) <= len(data)
    found = recordings._judge(io.BytesIO(data), len(data))
    assert (found.fault is None) <= (found.seconds is not None)
    assert found.seconds is None or 0 <= found.seconds <= len(data), found
    for size in (len(data), len(data) + 100):
        shape = peaks(io.BytesIO(data), size)
        if shape is not None:
            assert shape.seconds >= 0
            for channel in shape.channels:
                assert 2 <= len(channel) <= 2 * BUCKETS
                assert all(-128 <= low <= high <= 127 for low, high in zip(channel[::2], channel[1::2], strict=True))
    path = data[:60].decode("utf-8", "surrogateescape")
    inside = recordings.confined(_ROOT, path)
    assert inside is None or ((_ROOT / inside).is_relative_to(_ROOT) and ".." not in inside.split("/"))


_ROOT = Path("/var/spool/asterisk/monitor")
