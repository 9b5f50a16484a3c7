"""The recordings' disk away, read-only and full: calls go on, states and tickets are right, and what comes back is found."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from lab.evidence import read_metrics
from lab.process import until
from lab.site import Site
from lab.small_disk import SmallDisk
from tests.chain.centre import PITCH, Centre, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Keeping(Centre):
    def __init__(self, site: Site, disk: SmallDisk) -> None:
        super().__init__(site)
        self.disk = disk

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines of ctid's log with this event, as told so far."""
        whole = (self.site.folder / "run.out").read_text().rpartition("\n")[0]
        told = [json.loads(line) for line in whole.splitlines()]
        return [line for line in told if line["event"] == event]

    async def says(self, event: str, known: int, words: str = "") -> dict[str, Any]:
        """Wait for one line more than ``known`` of them; it has these words."""
        await until(lambda: len(self.said(event)) > known, f"ctid says {event}", limit=20)
        [line] = self.said(event)[known:]
        assert words in json.dumps(line)
        return line

    async def folder_ok(self) -> float:
        return (await asyncio.to_thread(read_metrics, self.site.metrics_port))["ctid_recordings_folder_ok"]

    def file(self, recording: dict[str, Any]) -> bytes:
        [found] = self.site.asterisk.monitor_dir.rglob(recording["id"].removeprefix("lab-") + ".wav")
        return found.read_bytes()

    async def becomes_complete(self, caller: str) -> dict[str, Any]:
        """Screens and books have the caller's recording as complete; the books' word on it."""
        await until(lambda: self.shown(caller)[-1]["recordings"][0]["state"] == "complete", "screens show it", limit=20)

        async def booked() -> dict[str, Any] | None:
            call = (await self.site.calls(caller))[-1]
            return call if call["recordings"][0]["state"] == "complete" else None

        call = await until(booked, "the books have it", limit=20, every=0.2)
        [recording] = call["recordings"]
        assert recording["sha256"] == hashlib.sha256(self.file(recording)).hexdigest()
        assert recording["seconds"] == pytest.approx(sum(leg["talk_seconds"] for leg in call["legs"]), abs=1)
        assert recording["ticket_ids"] == call["ticket_ids"]
        assert len(call["ticket_ids"]) == 1
        return call


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keeping(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Keeping]:
    folder = tmp_path_factory.mktemp("folder")
    with SmallDisk(folder / "asterisk" / "spool" / "monitor", 8 << 20) as disk:
        async with Site(folder=folder, agents=("agent1", "agent2"), ring_seconds=3) as site:
            for agent in site.agents:
                await site.phone(agent, tone=PITCH[agent])
            yield Keeping(site, disk)


async def test_what_was_missing_while_the_disk_was_away_is_found_when_it_is_back(keeping: Keeping) -> None:
    assert (await keeping.one_call("02155640001"))["recordings"][0]["state"] == "complete"
    placed, agent, pop = await keeping.comes_in("02155640002")
    async with placed:
        await keeping.talks(agent, pop["call_id"])
        await sound(1.5)
        keeping.disk.unmount()
        await keeping.says("recordings.away", 0, "mount its disk")
        assert await keeping.folder_ok() == 0
        during = await keeping.one_call("02155640003")  # routed, answered and talked as ever
        await placed.hang_up()
    over = await keeping.ended("02155640002")
    for call in (over, during):
        assert (call["via"], call["outcome"]) == ("ctid", "answered")
        assert [r["state"] for r in call["recordings"]] == ["missing"]
    keeping.disk.mount()
    found = await keeping.says("recordings.found", 0)
    assert (found["found"], found["left"]) == (1, 1)
    assert await keeping.folder_ok() == 1
    await keeping.becomes_complete("02155640002")
    [never] = (await keeping.in_the_books("02155640003"))["recordings"]
    assert (never["state"], len(never["ticket_ids"])) == ("missing", 1)
    assert (await keeping.one_call("02155640004"))["recordings"][0]["state"] == "complete"


async def test_what_came_back_while_ctid_was_not_there_is_found_at_its_start(keeping: Keeping) -> None:
    call = await keeping.one_call("02155640010")
    root = keeping.site.asterisk.monitor_dir
    placed, agent, pop = await keeping.comes_in("02155640011")
    async with placed:
        await keeping.talks(agent, pop["call_id"])
        await sound(1.0)
        name = keeping.shown("02155640011")[-1]["recordings"][0]["id"].removeprefix("lab-") + ".wav"
        [file] = root.rglob(name)
        aside = file.rename(root / "taken-away.wav")
        await placed.hang_up()
    assert (await keeping.ended("02155640011"))["recordings"][0]["state"] == "missing"
    assert call["recordings"][0]["state"] == "complete"
    await keeping.booked()
    await keeping.site.stop_daemon()
    aside.rename(file)
    await keeping.site.start_daemon()
    await keeping.becomes_complete("02155640011")


async def test_of_a_disk_that_went_read_only_it_is_said_what_to_do_and_calls_go_on(keeping: Keeping) -> None:
    away, back = (len(keeping.said(f"recordings.{event}")) for event in ("away", "back"))
    keeping.disk.read_only(True)
    await keeping.says("recordings.away", away, "is mounted read-only: look at its disk")
    call = await keeping.one_call("02155640020", 1.0)
    assert (call["via"], call["outcome"], call["recordings"][0]["state"]) == ("ctid", "answered", "missing")
    keeping.disk.read_only(False)
    await keeping.says("recordings.back", back)
    await keeping.one_call("02155640021", 1.0)
    await keeping.becomes_complete("02155640021")


async def test_on_a_full_disk_calls_go_on_and_what_is_not_whole_is_no_complete_recording(keeping: Keeping) -> None:
    keeping.disk.fill()
    try:
        call = await keeping.one_call("02155640030", 1.5)
    finally:
        keeping.disk.free()
    assert (call["via"], call["outcome"]) == ("ctid", "answered")
    assert call["recordings"][0]["state"] in ("damaged", "missing")
    await keeping.one_call("02155640031", 1.0)
    await keeping.becomes_complete("02155640031")
