"""The shape of a recording, and the reader of WAV files beneath it: whatever the bytes are."""

from __future__ import annotations

import io
import math
import struct
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctid.asterisk import riff
from ctid.asterisk.peaks import BUCKETS, peaks
from ctid.asterisk.riff import ALAW, PCM, ULAW

EXTENSIBLE = 0xFFFE


def wav(
    sound: bytes, *, kind: int = PCM, channels: int = 1, bits: int = 16, rate: int = 8000, length: int | None = None
) -> bytes:
    block = channels * bits // 8
    fmt = struct.pack("<HHIIHH", kind, channels, rate, rate * block, block, bits)
    said = len(sound) if length is None else length
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", said) + sound
    return b"RIFF" + struct.pack("<I", len(body)) + body


def drawn(octets: bytes) -> list[list[tuple[int, int]]] | None:
    """Per channel the pairs of lowest and highest."""
    found = peaks(io.BytesIO(octets), len(octets))
    if found is None:
        return None
    return [list(zip(lane[::2], lane[1::2], strict=True)) for lane in found.channels]


def shorts(*samples: int) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def test_each_bucket_has_the_lowest_and_the_highest_of_its_samples() -> None:
    samples = [0] * (BUCKETS * 10)
    samples[5], samples[7], samples[-1] = 32767, -32768, 16384
    lanes = drawn(wav(shorts(*samples)))
    assert lanes is not None
    assert (len(lanes), len(lanes[0])) == (1, BUCKETS)
    assert lanes[0][0] == (-128, 127)
    assert lanes[0][-1] == (0, 64)
    assert set(lanes[0][1:-1]) == {(0, 0)}


def test_a_recording_of_few_samples_has_as_many_buckets() -> None:
    assert drawn(wav(shorts(0, 256, -256))) == [[(0, 0), (1, 1), (-1, -1)]]


def test_two_channels_are_told_apart() -> None:
    assert drawn(wav(shorts(25600, -25600) * 3, channels=2)) == [[(100, 100)] * 3, [(-100, -100)] * 3]


@pytest.mark.parametrize(
    ("kind", "bits", "silence", "loudest", "lowest"),
    [
        (PCM, 8, b"\x80", b"\xff", b"\x00"),
        (PCM, 16, b"\0\0", b"\xff\x7f", b"\0\x80"),
        (PCM, 24, b"\0\0\0", b"\xff\xff\x7f", b"\0\0\x80"),
        (PCM, 32, b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80"),
        (ULAW, 8, b"\xff", b"\x80", b"\x00"),
        (ALAW, 8, b"\xd5", b"\xaa", b"\x2a"),
    ],
)
def test_every_form_that_asterisk_writes_is_drawn_alike(
    kind: int, bits: int, silence: bytes, loudest: bytes, lowest: bytes
) -> None:
    lanes = drawn(wav(silence + loudest + lowest, kind=kind, bits=bits))
    assert lanes is not None
    (low, high), (top, _), (bottom, _) = lanes[0]
    assert low == high == 0
    assert top >= 125
    assert bottom <= -125


def test_g_711_follows_its_table() -> None:
    def levels(kind: int, *values: int) -> list[int]:
        lanes = drawn(wav(bytes(values), kind=kind, bits=8))
        assert lanes is not None
        return [low for low, _ in lanes[0]]

    # 32124, 15996, 7932, 1884 and -15996, as 16 bits without the lower eight.
    assert levels(ULAW, 0x80, 0x90, 0xA0, 0xC0, 0x10) == [125, 62, 30, 7, -63]
    # 32256, 16128, 8064, 2016 and -16128.
    assert levels(ALAW, 0xAA, 0xBA, 0x8A, 0xEA, 0x3A) == [126, 63, 31, 7, -63]


def test_the_extensible_form_says_its_kind_further_in() -> None:
    fmt = struct.pack("<HHIIHH", EXTENSIBLE, 1, 8000, 16000, 2, 16) + struct.pack("<HHIH", 22, 16, 0, PCM) + bytes(14)
    sound = shorts(0, 12800)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(sound)) + sound
    assert drawn(b"RIFF" + struct.pack("<I", len(body)) + body) == [[(0, 0), (50, 50)]]


def test_of_a_file_cut_short_what_is_there_is_drawn() -> None:
    octets = wav(shorts(*[25600] * 100))[:-50]
    found = peaks(io.BytesIO(octets), len(octets))
    assert found is not None
    assert (found.seconds, len(found.channels[0])) == (0.009, 2 * 75)


def test_of_a_file_whose_header_was_never_closed_all_is_drawn() -> None:
    octets = wav(shorts(*[25600] * 100), length=0)
    assert len((drawn(octets) or [[]])[0]) == 100


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"RIFF",
        b"not a sound file",
        wav(b""),
        wav(b"\0" * 100, kind=49),  # GSM
        wav(b"\0" * 100, kind=3, bits=32),  # floating point
        wav(b"\0" * 100, channels=0),
        wav(b"\0" * 6000, channels=3000),
        wav(b"\0" * 100, bits=12),
        wav(b"\0" * 100, rate=0),
        b"RIFF\xff\xff\xff\xffWAVE" + b"junk\xff\xff\xff\x7f" * 9,
        b"RIFF\xff\xff\xff\xffWAVE" + b"junk\0\0\0\0" * 100 + wav(b"\0" * 9)[12:],
    ],
)
def test_what_cannot_be_drawn_has_no_peaks(octets: bytes) -> None:
    assert drawn(octets) is None


def test_an_hour_is_read_in_pieces() -> None:
    class Hour(io.RawIOBase):
        """58 MB of sound that are nowhere: what is read is made."""

        head = wav(b"", length=57_600_000)
        at = 0

        def read(self, size: int = -1) -> bytes:
            assert 0 <= size <= 64 * 1024
            given = self.head[self.at : self.at + size] if self.at < len(self.head) else b"\x01\x20" * (size // 2)
            self.at += len(given)
            return given

        def tell(self) -> int:
            return self.at

        def seek(self, at: int, _whence: int = 0) -> int:
            self.at = at
            return at

    tracemalloc.start()
    found = peaks(Hour(), 57_600_044)  # type: ignore[arg-type]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert found.seconds == 3600
    assert set(found.channels[0]) == {32}
    assert most < 2_000_000


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_raise(octets: bytes) -> None:
    for whole in (octets, b"RIFF\0\0\0\0WAVE" + octets, wav(octets)[:-1], wav(b"")[:20] + octets):
        wave = riff.read(io.BytesIO(whole))
        assert isinstance(wave, str) or 0 <= wave.sound_bytes(len(whole)) <= len(whole)
        drawn(whole)


@settings(max_examples=200)
@given(
    kind=st.integers(0, 0xFFFF) | st.sampled_from([PCM, ALAW, ULAW, EXTENSIBLE]),
    channels=st.integers(0, 0xFFFF) | st.integers(0, 3),
    rate=st.integers(0, 0xFFFFFFFF),
    block=st.integers(0, 0xFFFF) | st.integers(0, 8),
    bits=st.integers(0, 0xFFFF) | st.sampled_from([8, 16, 24, 32]),
    length=st.integers(0, 0xFFFFFFFF),
    sound=st.binary(max_size=200),
)
def test_no_header_makes_the_reader_take_more_than_there_is(
    kind: int, channels: int, rate: int, block: int, bits: int, length: int, sound: bytes
) -> None:
    fmt = struct.pack("<HHIIHH", kind, channels, rate, 0, block, bits)
    octets = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + fmt + b"data" + struct.pack("<I", length) + sound
    found = peaks(io.BytesIO(octets), len(octets))
    if found is not None:
        assert all(len(lane) <= 2 * min(BUCKETS, len(sound)) for lane in found.channels)
        assert all(-128 <= value <= 127 for lane in found.channels for value in lane)


@settings(max_examples=100)
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=3000))
def test_the_peaks_are_those_a_look_at_every_sample_finds(samples: list[int]) -> None:
    buckets = min(BUCKETS, len(samples))
    edges = [number * len(samples) // buckets for number in range(buckets + 1)]
    expected = [
        (math.floor(min(part) / 256), math.floor(max(part) / 256))
        for part in (samples[begin:end] for begin, end in pairwise(edges))
    ]
    assert drawn(wav(shorts(*samples))) == [expected]
