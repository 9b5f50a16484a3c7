"""Recordings at rest: what is sealed is opened whole or in parts by the right key alone, and no kill loses a second of it."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hashlib
import signal
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctid.asterisk import recordings, sealing
from ctid.asterisk.sealing import NO_KEYS, PIECE, Keys, SealFault, keys_of, open_sealed, seal, sealed
from ctid.config import Recordings
from ctid.daemon.answers import Answers
from ctid.daemon.inbox import Inbox
from ctid.db import session
from ctid.db.callers import Callers
from ctid.domain.actions import MeasureRecording
from ctid.domain.events import RecordingMeasured
from ctid.domain.types import RecordingState
from ctid.web.waveforms import Waveforms

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
SOUND = hashlib.shake_256(b"sound").digest(3 * PIECE + 100)


def keys(*words: str) -> Keys:
    return keys_of(words)


def plain_of(file: Path, of: Keys) -> bytes:
    with sealed(file).open("rb") as stream, open_sealed(stream, file.name, of) as sound:
        return sound.read()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "a.wav"
    made.write_bytes(SOUND)
    made.chmod(0o660)
    return made


@pytest.mark.parametrize("length", [0, 1, PIECE - 1, PIECE, PIECE + 1, len(SOUND)])
def test_what_was_sealed_is_opened_whole_and_lies_nowhere_plain(tmp_path: Path, length: int) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(SOUND[:length])
    seal(file, keys(NEW))
    assert [one.name for one in tmp_path.iterdir()] == ["a.wav.sealed"]
    assert plain_of(file, keys(NEW)) == SOUND[:length]
    assert length < 16 or SOUND[:16] not in sealed(file).read_bytes()
    seal(file, keys(NEW))  # again: there is nothing to do


@settings(max_examples=60)
@given(begin=st.integers(0, len(SOUND) + 10), length=st.integers(0, 2 * PIECE))
def test_any_part_is_opened_without_the_whole(
    tmp_path_factory: pytest.TempPathFactory, begin: int, length: int
) -> None:
    file = _shared(tmp_path_factory)
    with sealed(file).open("rb") as stream, open_sealed(stream, file.name, keys(NEW)) as sound:
        sound.seek(begin)
        assert sound.read(length) == SOUND[begin : begin + length]


_made: list[Path] = []


def _shared(factory: pytest.TempPathFactory) -> Path:
    if not _made:
        file = factory.mktemp("sealed") / "a.wav"
        file.write_bytes(SOUND)
        seal(file, keys(NEW))
        _made.append(file)
    return _made[0]


def test_the_copy_is_for_the_group_alone_as_the_file_was(file: Path) -> None:
    file.chmod(0o666)
    seal(file, keys(NEW))
    assert sealed(file).stat().st_mode & 0o777 == 0o660


def test_every_change_of_a_byte_is_noticed(file: Path) -> None:
    seal(file, keys(NEW))
    copy = sealed(file)
    whole = copy.read_bytes()
    step = PIECE + 16
    first, second = whole[48 : 48 + step], whole[48 + step : 48 + 2 * step]
    changed = {
        "a byte of sound": whole[:100] + bytes([whole[100] ^ 1]) + whole[101:],
        "two pieces changed places": whole[:48] + second + first + whole[48 + 2 * step :],
        "cut at a piece's end": whole[: 48 + step],
        "cut anywhere": whole[:-1],
        "added to": whole + b"x",
        "another length told": whole[:23] + bytes([whole[23] ^ 1]) + whole[24:],
        "the file's own bytes": whole[:40] + bytes([whole[40] ^ 1]) + whole[41:],
        "no header": whole[:20],
        "something else": b"RIFF" + whole[4:],
        "a later version": whole[:8] + b"\x09" + whole[9:],
    }
    for what, octets in changed.items():
        copy.write_bytes(octets)
        with pytest.raises(SealFault):
            assert plain_of(file, keys(NEW)), what
    copy.write_bytes(whole)
    assert plain_of(file, keys(NEW)) == SOUND


def test_a_piece_of_another_file_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    one, other = tmp_path / "one.wav", tmp_path / "other.wav"
    for file in (one, other):
        file.write_bytes(SOUND)
        seal(file, keys(NEW))
    assert sealed(one).read_bytes()[48:] != sealed(other).read_bytes()[48:]
    mixed = sealed(one).read_bytes()[:48] + sealed(other).read_bytes()[48:]
    sealed(one).write_bytes(mixed)
    with pytest.raises(SealFault, match="changed after it was sealed"):
        plain_of(one, keys(NEW))


def test_a_whole_file_under_another_recordings_name_is_not_opened(tmp_path: Path) -> None:
    one, other = tmp_path / "1700000000.1.wav", tmp_path / "1700000000.2.wav"
    for file in (one, other):
        _wav(file)
        seal(file, keys(NEW))
    assert recordings.readable(tmp_path, one.name, keys(NEW))
    exchanged = sealed(one).read_bytes()
    sealed(one).write_bytes(sealed(other).read_bytes())
    sealed(other).write_bytes(exchanged)
    for file in (one, other):
        found = recordings.look(file, tmp_path, keys(NEW))
        assert found is not None
        assert "is another recording" in str(found.fault)


def test_a_header_that_claims_no_sound_is_noticed(file: Path) -> None:
    seal(file, keys(NEW))
    header = bytearray(sealed(file).read_bytes()[:48])
    header[16:24] = bytes(8)
    for forged in (header, header + bytes(16)):
        sealed(file).write_bytes(forged)
        with pytest.raises(SealFault):
            plain_of(file, keys(NEW))


def test_of_two_who_seal_a_recording_at_once_the_second_waits_and_finds_it_done(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sealing._write
    others: list[subprocess.Popen[bytes]] = []

    def and_another_comes(*given: Any) -> bytes:
        if not others:
            program = "import sys; from pathlib import Path; from ctid.asterisk import sealing as s; print(flush=True)"
            program += "; s.seal(Path(sys.argv[1]), s.keys_of([sys.argv[2]]))"
            others.append(subprocess.Popen([sys.executable, "-c", program, str(file), NEW], stdout=subprocess.PIPE))
            assert others[0].stdout is not None
            others[0].stdout.readline()
            waits_for_lock(others[0].pid)
        return before(*given)

    monkeypatch.setattr(sealing, "_write", and_another_comes)
    seal(file, keys(NEW))
    assert others[0].wait(timeout=60) == 0
    assert [one.name for one in file.parent.iterdir()] == ["a.wav.sealed"]
    assert plain_of(file, keys(NEW)) == SOUND


def waits_for_lock(pid: int) -> None:
    """Until the process stands before a lock that another has."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any("->" in line and f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines()):
            return
        time.sleep(0.02)
    raise AssertionError("it waits for no lock")


def test_a_recording_erased_while_somebody_is_about_to_seal_it_is_not_there_sealed_either(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock

    def erased_first(lock: Any, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        assert recordings.remove(tmp_path, "a.wav", tmp_path)
        real(lock, how)

    monkeypatch.setattr(fcntl, "flock", erased_first)
    seal(file, keys(NEW))
    assert list(tmp_path.iterdir()) == []


def test_the_waveform_drawn_before_a_recording_was_sealed_goes_with_it(tmp_path: Path) -> None:
    root, state = tmp_path / "root", tmp_path / "state"
    root.mkdir()
    state.mkdir()
    file = root / "a.wav"
    _wav(file)
    drawn = asyncio.run(Waveforms(state, keys(NEW)).of(root, file))
    seal(file, keys(NEW))
    assert asyncio.run(Waveforms(state, keys(NEW)).of(root, file)) == drawn
    assert len([one for one in state.rglob("*") if one.is_file()]) == 1
    assert recordings.remove(root, "a.wav", state)
    assert [one for one in state.rglob("*") if one.is_file()] == []


def test_keys_change_and_the_old_ones_still_open(file: Path) -> None:
    seal(file, keys(OLD))
    later = file.with_name("b.wav")
    later.write_bytes(SOUND)
    seal(later, keys(NEW, OLD))
    assert plain_of(file, keys(NEW, OLD)) == plain_of(later, keys(NEW, OLD)) == SOUND
    assert plain_of(later, keys(NEW)) == SOUND


@pytest.mark.parametrize("wrong", [NO_KEYS, keys(OLD)])
def test_a_lost_key_is_one_line_that_names_it_and_nothing_is_lost(file: Path, wrong: Keys) -> None:
    seal(file, keys(NEW))
    first = keys(NEW).first
    assert first is not None
    with pytest.raises(SealFault, match=rf"^[^\n]*the key {first.name.hex()}[^\n]*\[recordings\] key_file$"):
        plain_of(file, wrong)
    assert plain_of(file, keys(NEW)) == SOUND
    assert OLD not in repr(keys(OLD).first)


def test_without_a_key_nothing_is_sealed_and_the_file_stays(file: Path) -> None:
    with pytest.raises(SealFault):
        seal(file, NO_KEYS)
    assert file.read_bytes() == SOUND


def test_a_copy_that_reads_back_otherwise_costs_the_plain_file_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "_digest", lambda *_: b"of a failing disk")
    with pytest.raises(SealFault, match="look at the disk"):
        seal(file, keys(NEW))
    assert file.read_bytes() == SOUND
    assert not sealed(file).exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from ctid.asterisk import sealing
where, when, file, key = sys.argv[1:]
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
owner, name = {"write": (sealing, "_write"), "fsync": (os, "fsync"), "digest": (sealing, "_digest"),
               "replace": (Path, "replace"), "to_disk": (sealing, "_to_disk"), "unlink": (Path, "unlink")}[where]
before = getattr(owner, name)
setattr(owner, name, die if when == "before" else lambda *given, **more: (before(*given, **more), die()))
sealing.seal(Path(file), sealing.keys_of([key]))
"""


@pytest.mark.parametrize(
    ("where", "when"),
    [("write", "after"), ("fsync", "after"), ("replace", "before"), ("replace", "after"), ("unlink", "before")],
)
def test_killed_at_any_step_the_recording_is_there_whole_and_is_sealed_by_the_next_try(
    file: Path, where: str, when: str
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, where, when, str(file), NEW], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    found = recordings.opened(file, file.parent, keys(NEW))
    assert found is not None
    with found:
        assert found.read() == SOUND
    seal(file, keys(NEW))
    assert [one.name for one in file.parent.iterdir()] == ["a.wav.sealed"]
    assert plain_of(file, keys(NEW)) == SOUND


def _wav(file: Path, seconds: float = 2.0) -> bytes:
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(b"\x01\x02" * int(8000 * seconds))
    return file.read_bytes()


def test_a_sealed_recording_is_measured_as_the_plain_one_is(tmp_path: Path) -> None:
    sound = _wav(tmp_path / "a.wav")
    plain = recordings.look(tmp_path / "a.wav", tmp_path)
    seal(tmp_path / "a.wav", keys(NEW))
    assert recordings.look(tmp_path / "a.wav", tmp_path, keys(NEW)) == plain
    assert plain is not None
    assert plain.sha256 == hashlib.sha256(sound).hexdigest()
    assert recordings.remove(tmp_path, "a.wav", tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_recording_is_sealed_once_it_was_measured_and_the_books_know_its_plain_sound(tmp_path: Path) -> None:
    digest = hashlib.sha256(_wav(tmp_path / "a.wav")).hexdigest()
    engine = session.engine(f"sqlite:///{tmp_path}/ctid.db")
    inbox = Inbox()
    async with asyncio.TaskGroup() as tasks:
        answers = Answers(
            engine=engine,
            callers=Callers(engine, country="CN"),
            recordings=Recordings(root=tmp_path, encrypt=True, key=NEW),
            inbox=inbox,
            now=lambda: 0.0,
            dial_back=lambda _: None,
            on_unread=lambda: None,
            tasks=tasks,
        )
        answers.measure(MeasureRecording(call_id="1", recording_id="r", path="a.wav", expected_seconds=2.0))
    await engine.dispose()
    answer = await inbox.take()
    assert isinstance(answer, RecordingMeasured)
    assert (answer.recording.state, answer.recording.sha256) == (RecordingState.COMPLETE, digest)
    assert sealed(tmp_path / "a.wav").is_file()
    assert recordings.remove(tmp_path, "a.wav", tmp_path)


@pytest.mark.parametrize(
    ("modes", "open_to_all"),
    [
        ((0o755, 0o755, 0o644), True),
        ((0o755, 0o755, 0o640), False),
        ((0o750, 0o755, 0o644), False),
        ((0o755, 0o750, 0o644), False),
    ],
)
def test_recordings_that_everybody_may_read_are_noticed(modes: tuple[int, int, int], open_to_all: bool) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "monitor"
        day = root / "2026"
        day.mkdir(parents=True)
        file = day / "a.wav"
        file.write_bytes(b"x")
        for place, mode in zip((root, day, file), modes, strict=True):
            place.chmod(mode)
        assert (recordings.exposed(root) == file) is open_to_all
        assert recordings.exposed(root / "none") is None
        Path(folder).chmod(0o700)
        assert recordings.exposed(root) is None  # nobody gets there
