"""Recordings that nobody could read are read once they are there, and the books, screens and tickets agree."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ctid.config import load
from ctid.daemon import folder
from ctid.daemon.folder import Folder, Rechecked, recheck
from ctid.daemon.inbox import Inbox
from ctid.db import migrations, session
from ctid.db.audits import Actor
from ctid.db.calls import Calls
from ctid.db.retention import Due, keep_erased
from ctid.domain.events import RecordingMeasured
from ctid.domain.types import (
    CallRecord,
    Direction,
    LegRecord,
    LegResult,
    Outcome,
    RecordingRecord,
    RecordingState,
    Talk,
    Via,
)
from tests.asterisk.test_recordings import wav
from tests.db.site import PBX, add_ticket

DAY = 86_400.0


class Site:
    """A database, a recordings folder, and the daemon's task on them."""

    def __init__(self, place: Path) -> None:
        self.root = place / "monitor"
        self.root.mkdir()
        config = place / "ctid.toml"
        config.write_text(f'[state]\ndirectory = "{place}"\n[ami]\npbx = "{PBX}"\n[recordings]\nroot = "{self.root}"\n')
        self.settings = load(config, {})
        self.engine = session.engine(f"sqlite:///{place}/ctid.db")
        self.inbox = Inbox()

    async def save(self, *calls: CallRecord) -> None:
        await Calls(self.engine).save(calls)

    async def states(self) -> dict[str, RecordingRecord]:
        return {one.id: one for call in await Calls(self.engine).load() for one in call.recordings}

    async def look_again(self) -> Rechecked:
        return await recheck(self.engine, PBX, self.settings.recordings)

    def task(self) -> Folder:
        return Folder(self.settings, self.engine, self.inbox, acts=lambda: True, now=time.time)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    await migrations.upgrade(site.engine)
    await add_ticket(site.engine, "T1")
    yield site
    await site.engine.dispose()


def call(key: str, state: RecordingState, *, days_ago: float = 0.1, talk: float = 2.0, **file: object) -> CallRecord:
    """An answered call of so many seconds, on a ticket, whose recording was found in that state."""
    at = time.time() - days_ago * DAY
    recording = RecordingRecord(id=key, path=f"2026/{key}.wav", state=state)
    return CallRecord(
        id=key,
        pbx=PBX,
        direction=Direction.INBOUND,
        caller="+8613800138000",
        dialled="4001",
        line="sales",
        started_at=at,
        ended_at=at + talk,
        answered_at=at,
        outcome=Outcome.ANSWERED,
        via=Via.CTID,
        ticket_ids=("T1",),
        legs=(
            LegRecord(
                id=f"{key}-1",
                agent="agent1",
                party="agent1",
                offered_at=at,
                answered_at=at,
                ended_at=at + talk,
                result=LegResult.ANSWERED,
                talks=(Talk(started_at=at, ended_at=at + talk),),
            ),
        ),
        recordings=(replace(recording, **file),),  # type: ignore[arg-type]
    )


def put(site: Site, key: str, seconds: float = 2.0) -> str:
    """The recording's file is there; its SHA-256."""
    octets = wav(seconds)
    (site.root / "2026").mkdir(exist_ok=True)
    (site.root / "2026" / f"{key}.wav").write_bytes(octets)
    return hashlib.sha256(octets).hexdigest()


async def test_what_was_missing_and_is_there_is_measured_against_its_call_and_keeps_its_ticket(site: Site) -> None:
    await site.save(call("back", RecordingState.MISSING), call("short", RecordingState.MISSING, talk=9.0))
    await site.save(call("gone", RecordingState.MISSING))
    sha256 = put(site, "back")
    put(site, "short")
    assert await site.look_again() == Rechecked(found=2, left=1)
    states = await site.states()
    assert states["back"] == RecordingRecord(
        id="back", path="2026/back.wav", state=RecordingState.COMPLETE, seconds=2.0, sha256=sha256, ticket_ids=("T1",)
    )
    assert (states["short"].state, states["short"].seconds) == (RecordingState.DAMAGED, 2.0)
    assert states["gone"].state is RecordingState.MISSING
    assert await site.look_again() == Rechecked(found=0, left=1)


async def test_what_could_not_be_read_is_read_once_it_can_be_and_what_was_read_is_left_alone(site: Site) -> None:
    await site.save(
        call("closed", RecordingState.DAMAGED),
        call("cut", RecordingState.DAMAGED, seconds=1.0, sha256="its own"),
        call("whole", RecordingState.COMPLETE, seconds=5.0, sha256="its own"),
    )
    for key in ("closed", "cut", "whole"):
        put(site, key)
    assert (await site.look_again()).found == 1
    states = await site.states()
    assert states["closed"].state is RecordingState.COMPLETE
    assert (states["cut"].seconds, states["whole"].seconds) == (1.0, 5.0)


async def test_what_is_old_erased_or_of_another_pbx_is_not_looked_for(site: Site) -> None:
    erased = call("erased", RecordingState.MISSING)
    await site.save(call("old", RecordingState.MISSING, days_ago=31), erased)
    await site.save(replace(call("theirs", RecordingState.MISSING), pbx="another"))
    due = Due(pbx=PBX, id="erased", call_id="erased", path="", started_at=erased.started_at)
    await keep_erased(site.engine, [due], Actor(at=time.time(), user_name="boss"))
    for key in ("old", "erased", "theirs"):
        put(site, key)
    assert await site.look_again() == Rechecked(found=0, left=0)


async def test_a_thousand_are_looked_for_at_a_time_until_nothing_more_is_found(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "AT_ONCE", 2)
    for number in range(5):
        await site.save(call(f"c{number}", RecordingState.MISSING, days_ago=0.1 + number))
        put(site, f"c{number}")
    assert await site.look_again() == Rechecked(found=5, left=0)


async def test_a_folder_that_comes_back_is_looked_through_and_whoever_shows_the_call_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(folder, "_LOOK_EVERY", 0.05)
    await site.save(call("first", RecordingState.MISSING), call("back", RecordingState.MISSING))
    put(site, "first")
    task = asyncio.create_task(site.task().run())
    assert await found(site) == ("first", RecordingState.COMPLETE)
    away = site.root.rename(site.root.with_name("away"))
    assert "mount its disk" in await said(capfd, "recordings.away")
    (away / "2026" / "back.wav").write_bytes(wav(2.0))
    away.rename(site.root)
    assert await found(site) == ("back", RecordingState.COMPLETE)
    task.cancel()
    assert (await site.states())["back"].state is RecordingState.COMPLETE


async def test_a_recording_that_could_not_be_read_just_now_is_looked_for_soon(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_LOOK_EVERY", 0.05)
    monkeypatch.setattr(folder, "_SOON", 0.1)
    await site.save(call("first", RecordingState.MISSING), call("late", RecordingState.MISSING))
    put(site, "first")
    watching = site.task()
    task = asyncio.create_task(watching.run())
    assert await found(site) == ("first", RecordingState.COMPLETE)
    put(site, "late")
    watching.look_again_soon()
    assert await found(site) == ("late", RecordingState.COMPLETE)
    task.cancel()


async def found(site: Site) -> tuple[str, RecordingState]:
    """The next recording that the core is told of."""
    told = await asyncio.wait_for(site.inbox.take(), 10)
    assert isinstance(told, RecordingMeasured)
    return told.call_id, told.recording.state


async def said(capfd: pytest.CaptureFixture[str], word: str) -> str:
    """Wait for the one line of the log with this word."""
    heard = ""
    async with asyncio.timeout(10):
        while word not in heard:
            await asyncio.sleep(0.02)
            heard += "".join(capfd.readouterr())
    await asyncio.sleep(0.2)  # it is said once, however often it is looked at
    heard += "".join(capfd.readouterr())
    [line] = [line for line in heard.splitlines() if word in line]
    return line
