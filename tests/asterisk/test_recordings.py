"""Recordings are measured, not believed."""

import asyncio
import hashlib
import os
import struct
from pathlib import Path

import pytest

from ctid.asterisk.recordings import disk_free, measure
from ctid.domain.types import RecordingRecord, RecordingState


def wav(seconds: float, *, kind: int = 1, bits: int = 16, rate: int = 8000, extra: bytes = b"") -> bytes:
    sound = b"\x10" * (round(seconds * rate) * bits // 8)
    fmt = struct.pack("<HHIIHH", kind, 1, rate, rate * bits // 8, bits // 8, bits)
    body = (
        b"WAVE" + b"fmt " + struct.pack("<I", len(fmt)) + fmt + extra + b"data" + struct.pack("<I", len(sound)) + sound
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


async def judged(root: Path, octets: bytes, expected: float | None = 2.0) -> RecordingRecord:
    (root / "a.wav").write_bytes(octets)
    return await measure(root, "a.wav", recording_id="r", expected_seconds=expected, patience=0)


@pytest.mark.parametrize(("kind", "bits"), [(1, 16), (1, 8), (6, 8), (7, 8)])
async def test_a_whole_file_of_the_right_length_is_complete(tmp_path: Path, kind: int, bits: int) -> None:
    octets = wav(2.5, kind=kind, bits=bits)
    record = await judged(tmp_path, octets)
    assert (record.state, record.seconds) == (RecordingState.COMPLETE, 2.5)
    assert record.sha256 == hashlib.sha256(octets).hexdigest()
    assert record.path == "a.wav"


async def test_a_chunk_before_the_sound_is_stepped_over(tmp_path: Path) -> None:
    record = await judged(tmp_path, wav(2.0, extra=b"LIST" + struct.pack("<I", 3) + b"abc\0"))
    assert (record.state, record.seconds) == (RecordingState.COMPLETE, 2.0)


@pytest.mark.parametrize("expected", [0.9, 3.1])
async def test_a_length_more_than_a_second_off_the_ledger_is_damaged(tmp_path: Path, expected: float) -> None:
    assert (await judged(tmp_path, wav(2.0), expected)).state is RecordingState.DAMAGED


@pytest.mark.parametrize("expected", [1.0, 3.0, None])
async def test_a_second_off_the_ledger_is_complete(tmp_path: Path, expected: float | None) -> None:
    assert (await judged(tmp_path, wav(2.0), expected)).state is RecordingState.COMPLETE


async def test_a_file_of_a_header_alone_is_damaged_even_where_nothing_was_said(tmp_path: Path) -> None:
    record = await judged(tmp_path, wav(0), 0.0)
    assert (record.state, record.seconds) == (RecordingState.DAMAGED, 0.0)


async def test_the_file_of_a_killed_asterisk_is_damaged_and_its_sound_still_counted(tmp_path: Path) -> None:
    octets = bytearray(wav(2.0))
    octets[4:8] = octets[40:44] = bytes(4)
    record = await judged(tmp_path, bytes(octets))
    assert (record.state, record.seconds) == (RecordingState.DAMAGED, 2.0)


async def test_a_file_cut_short_is_damaged(tmp_path: Path) -> None:
    record = await judged(tmp_path, wav(2.0)[:-8000])
    assert (record.state, record.seconds) == (RecordingState.DAMAGED, 1.5)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"RIFF",
        b"not a sound file at all",
        wav(2.0)[:30],
        wav(2.0, kind=49),
        wav(2.0) + b"x" * 100,
        b"RIFF\xff\xff\xff\xffWAVE" + b"junk\xff\xff\xff\x7f" * 9,
    ],
)
async def test_what_is_no_whole_sound_file_is_damaged(tmp_path: Path, octets: bytes) -> None:
    assert (await judged(tmp_path, octets, None)).state is RecordingState.DAMAGED


async def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    record = await measure(tmp_path, "2026/no.wav", recording_id="r", expected_seconds=1, patience=0)
    assert record == RecordingRecord(id="r", path="2026/no.wav", state=RecordingState.MISSING)


async def test_asterisk_s_absolute_path_below_the_root_becomes_relative(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.wav").write_bytes(wav(1.0))
    record = await measure(tmp_path, str(tmp_path / "d" / "a.wav"), recording_id="r", expected_seconds=1, patience=0)
    assert (record.state, record.path) == (RecordingState.COMPLETE, "d/a.wav")


@pytest.mark.parametrize("path", ["../out.wav", "d/../../out.wav", "/etc/passwd", "", "\0", "link.wav", "dir/out.wav"])
async def test_no_path_leads_out_of_the_root(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "out.wav").write_bytes(wav(1.0))
    (root / "link.wav").symlink_to(tmp_path / "out.wav")
    (root / "dir").symlink_to(tmp_path)
    record = await measure(root, path, recording_id="r", expected_seconds=1, patience=0)
    assert (record.state, record.sha256) == (RecordingState.MISSING, None)


@pytest.mark.parametrize("kind", ["pipe", "folder"])
async def test_what_is_no_file_is_missing_and_blocks_nobody(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "a.wav") if kind == "pipe" else (tmp_path / "a.wav").mkdir()
    record = await measure(tmp_path, "a.wav", recording_id="r", expected_seconds=1, patience=0)
    assert record.state is RecordingState.MISSING


async def test_a_file_that_comes_late_and_is_closed_later_is_waited_for(tmp_path: Path) -> None:
    file, octets = tmp_path / "a.wav", wav(1.0)
    measuring = asyncio.create_task(measure(tmp_path, "a.wav", recording_id="r", expected_seconds=1, patience=5))
    await asyncio.sleep(0)
    file.write_bytes(octets[:4000])
    await asyncio.sleep(0.15)
    file.write_bytes(octets)
    assert (await measuring).state is RecordingState.COMPLETE


def test_the_space_left_for_recordings_is_told(tmp_path: Path) -> None:
    assert disk_free(tmp_path) > 0
    with pytest.raises(OSError, match="nowhere"):
        disk_free(tmp_path / "nowhere")
