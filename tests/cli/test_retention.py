"""``ctid retention``: what is erased on the disk and in the books, what never is, and what happens when it is cut off."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from ctid.asterisk import recordings
from ctid.asterisk.recordings import away, remove
from ctid.cli import retention
from ctid.config import Settings, load
from ctid.daemon.erasing import Erasing
from ctid.db import session
from ctid.db.calls import Calls
from ctid.domain.types import CallRecord, Direction, Outcome, RecordingRecord, RecordingState, Via
from lab.process import until
from tests.cli.conftest import Ended, Site
from tests.db.site import add_customer

DAY = 86_400.0


@pytest.fixture
def kept(site: Site) -> Site:
    """Recordings of 40, 31 and 2 days ago, kept for 30 days, in a folder of their own."""
    text = site.config.read_text()
    root = site.folder / "monitor"
    text = text.replace(f'root = "{site.folder}"', f'root = "{root}"\nretention_days = 30\nretention_at = "00:00"')
    site.config.write_text(text)
    root.mkdir()
    save(site, {"old": 40, "older-by-a-day": 31, "young": 2})
    return site


def save(site: Site, days_ago: dict[str, float]) -> None:
    async def saved() -> None:
        engine = session.engine(site.url)
        await Calls(engine).save([call(key, days) for key, days in days_ago.items()])
        await engine.dispose()

    asyncio.run(saved())
    for key in days_ago:
        (site.folder / "monitor" / f"{key}.wav").write_bytes(b"sound")


def call(key: str, days_ago: float, **more: object) -> CallRecord:
    at = time.time() - days_ago * DAY
    values: dict[str, object] = {
        "id": key,
        "pbx": "pbx",
        "direction": Direction.INBOUND,
        "caller": "+8613800138000",
        "dialled": "4001",
        "line": "sales",
        "started_at": at,
        "ended_at": at + 60,
        "outcome": Outcome.ANSWERED,
        "via": Via.CTID,
        "recordings": (RecordingRecord(id=key, path=f"{key}.wav", state=RecordingState.COMPLETE, seconds=60.0),),
    }
    return CallRecord(**(values | more))  # type: ignore[arg-type]


def files(site: Site) -> set[str]:
    return {file.stem for file in (site.folder / "monitor").iterdir()}


def states(site: Site) -> dict[str, str]:
    return {row["id"]: row["state"] for row in site.ctid("recordings", "--json").json}


def one_line(ended: Ended, *words: str) -> None:
    assert ended.status == 2, ended.err
    assert ended.err.count("\n") == 1
    for word in words:
        assert word in ended.err


def test_recordings_past_their_time_are_deleted_and_the_books_say_so(kept: Site) -> None:
    looked = kept.ctid("retention", "--dry-run")
    assert "2 recordings would be erased, 0 left for the next runs, 0 under legal hold" in looked.out
    assert "old.wav" in looked.out
    assert files(kept) == {"old", "older-by-a-day", "young"}
    assert kept.ctid("retention", "--json").json == [
        {"erased": 2, "not_found": 0, "left": 0, "held": 0, "dry_run": False}
    ]
    assert files(kept) == {"young"}
    assert states(kept) == {"old": "erased", "older-by-a-day": "erased", "young": "complete"}
    assert kept.ctid("retention").out.startswith("0 recordings erased")


def test_a_run_cut_off_after_the_files_is_made_up_for_by_the_next(kept: Site) -> None:
    for name in ("old", "older-by-a-day"):  # deleted, and killed before the books knew
        (kept.folder / "monitor" / f"{name}.wav").unlink()
    [run] = kept.ctid("retention", "--json").json
    assert (run["erased"], run["not_found"]) == (2, 2)
    assert set(states(kept).values()) == {"erased", "complete"}


def test_a_recordings_disk_that_is_not_mounted_makes_nothing_erased(kept: Site) -> None:
    for file in (kept.folder / "monitor").iterdir():
        file.unlink()
    one_line(kept.ctid("retention"), "is the recordings' disk mounted?")
    assert set(states(kept).values()) == {"complete"}


def test_a_new_recording_below_the_mount_point_does_not_make_the_others_gone(kept: Site) -> None:
    save(kept, {"young-too": 3, "today": 0})
    for name in ("old", "older-by-a-day", "young", "young-too"):
        (kept.folder / "monitor" / f"{name}.wav").unlink()
    one_line(kept.ctid("retention"), "is their disk mounted?", "ctid retention --anyway")
    assert set(states(kept).values()) == {"complete"}
    assert kept.ctid("retention", "--anyway", "--json").json[0]["not_found"] == 2


def test_a_path_outside_the_folder_is_told_and_not_taken_for_erased(kept: Site) -> None:
    outside = kept.folder / "outside.wav"
    outside.write_bytes(b"sound")
    with closing(sqlite3.connect(kept.folder / "ctid.db")) as database:
        database.execute("UPDATE recordings SET path = ? WHERE id = 'old'", (str(outside),))
        database.commit()
    ran = kept.ctid("retention")
    assert f"{outside}: lies outside" in ran.err
    assert "1 recording erased" in ran.out
    assert (states(kept)["old"], outside.exists()) == ("complete", True)


async def test_a_hold_that_is_placed_while_a_run_deletes_keeps_what_is_not_deleted_yet(
    kept: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = session.engine(kept.url)
    await add_customer(engine, "C1")
    await Calls(engine).save([call(key, days, customer_id="C1") for key, days in (("old", 40), ("older-by-a-day", 31))])
    delete = retention.erase_file

    def placed_after(settings: Settings, path: str) -> bool:
        there = delete(settings, path)
        with closing(sqlite3.connect(kept.folder / "ctid.db")) as database:
            database.execute("UPDATE customers SET hold_reason = 'court', held_since = '2026-01-01 00:00:00'")
            database.commit()
        return there

    monkeypatch.setattr(retention, "erase_file", placed_after)
    night, lost = await retention.run(engine, load(kept.config, {}), dry_run=False, anyway=False)
    await engine.dispose()
    assert ([due.id for due in night.due], night.held, lost) == (["old"], 1, 0)
    assert files(kept) == {"older-by-a-day", "young"}


def test_a_clock_a_year_ahead_erases_nothing_until_somebody_says_that_it_is_right(kept: Site) -> None:
    save(kept, {"old": 405, "older-by-a-day": 396, "young": 367})  # as the books look by such a clock
    one_line(kept.ctid("retention"), "the newest call in the books is of", "ctid retention --anyway")
    assert len(files(kept)) == 3
    assert kept.ctid("retention", "--anyway", "--json").json[0]["erased"] == 3


def test_a_file_that_may_not_be_deleted_is_told_with_the_mend_and_stays_in_the_books(kept: Site) -> None:
    # A folder in a file's place: even root cannot unlink it, as others cannot where they may not write.
    (kept.folder / "monitor" / "old.wav").unlink()
    (kept.folder / "monitor" / "old.wav").mkdir()
    one_line(kept.ctid("retention"), "old.wav: cannot be deleted", "systemd/asterisk-ctid.conf")
    assert states(kept)["old"] == "complete"


def test_nothing_outside_the_folder_is_ever_deleted(tmp_path: Path) -> None:
    root = tmp_path / "monitor"
    (root / "2026").mkdir(parents=True)
    outside = tmp_path / "outside.wav"
    outside.write_bytes(b"x")
    (root / "link.wav").symlink_to(outside)
    (root / "way-out").symlink_to(tmp_path)
    for path in ("../outside.wav", str(outside), "way-out/outside.wav", "", "2026/\0.wav", "none/none.wav"):
        assert not remove(root, path, tmp_path)
    assert remove(root, "link.wav", tmp_path)
    assert outside.read_bytes() == b"x"
    assert away(tmp_path / "none")


def test_a_recordings_waveform_goes_with_it(tmp_path: Path) -> None:
    root = tmp_path / "monitor"
    root.mkdir()
    file = root / "a.wav"
    file.write_bytes(b"x")
    drawn = recordings.drawing(tmp_path, file, file.stat().st_size, file.stat())
    drawn.parent.mkdir(parents=True)
    drawn.write_bytes(b"waves")
    assert remove(root, "a.wav", tmp_path)
    assert not drawn.exists()


async def test_the_acting_daemon_erases_once_a_night_and_one_that_stands_by_does_not(kept: Site) -> None:
    mark = kept.folder / "retention"
    async with erasing(kept, acts=False):
        await asyncio.sleep(0.2)
    assert len(files(kept)) == 3
    async with erasing(kept, acts=True):
        await until(mark.exists, "the night is done")
    assert files(kept) == {"young"}
    os.utime(mark, (1, 1))
    async with erasing(kept, acts=True):
        await asyncio.sleep(0.2)
    assert mark.stat().st_mtime == 1  # done for today


async def test_sealing_that_fails_makes_no_second_night_and_nobody_waits_for_it(kept: Site) -> None:
    key, text = kept.folder / "key", kept.config.read_text()
    key.write_text("c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=\n")
    key.chmod(0o600)
    more = f'retention_days = 30\nencrypt = true\nkey_file = "{key}"'
    kept.config.write_text(text.replace("retention_days = 30", more))
    settings = load(kept.config, {})
    kept.config.write_text(text)  # by which no command seals
    async with erasing(kept, acts=True, settings=settings):
        await until((kept.folder / "retention").exists, "the night is done")
    assert not (kept.folder / "sealing").exists()


@asynccontextmanager
async def erasing(site: Site, *, acts: bool, settings: Settings | None = None) -> AsyncIterator[None]:
    engine = session.engine(site.url)
    settings = settings or load(site.config, {})
    task = asyncio.create_task(Erasing(settings, engine, site.config, lambda: acts).run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await engine.dispose()


def test_recordings_that_are_there_again_are_found_by_hand(kept: Site) -> None:
    async def saved() -> None:
        engine = session.engine(kept.url)
        missing = tuple(RecordingRecord(id=k, path=f"{k}.wav", state=RecordingState.MISSING) for k in ("back", "gone"))
        await Calls(engine).save([call("two-files", 1, recordings=missing)])
        await engine.dispose()

    asyncio.run(saved())
    (kept.folder / "monitor" / "back.wav").write_bytes(b"sound")
    assert kept.ctid("recordings", "recheck", "--json").json == [{"found": 1, "left": 1}]
    assert (states(kept)["back"], states(kept)["gone"]) == ("damaged", "missing")
    assert kept.ctid("recordings", "recheck").out == "0 recordings found, 1 are still not there or cannot be read\n"
    shutil.rmtree(kept.folder / "monitor")
    one_line(kept.ctid("recordings", "recheck"), "is not there", "mount its disk")
