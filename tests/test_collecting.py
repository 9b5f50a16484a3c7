"""Memory is looked through when nobody is on the telephone, and what is free goes back to the machine."""

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctid.daemon import collecting


class Node:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    collecting.settle()
    yield
    collecting.unsettle()
    gc.set_threshold(*thresholds)


def looks() -> list[int]:
    """How often the new, what stayed, and all was looked through."""
    return [generation["collections"] for generation in gc.get_stats()]


def test_a_rush_has_only_what_is_new_looked_through() -> None:
    before = looks()
    rush = [[{}] for _ in range(300_000)]
    new, stayed, everything = (now - then for now, then in zip(looks(), before, strict=True))
    assert len(rush) == 300_000
    assert new > 50
    assert stayed > 5
    assert everything == 0


@pytest.mark.parametrize(("latest", "quiet"), [(86_400.0, True), (0.02, False)], ids=["quiet", "too long ago"])
async def test_what_only_refers_to_itself_goes_when_it_is_quiet_or_was_too_long_ago(
    monkeypatch: pytest.MonkeyPatch, latest: float, quiet: bool
) -> None:
    monkeypatch.setattr(collecting, "AGAIN", 0.02)
    monkeypatch.setattr(collecting, "LATEST", latest)
    monkeypatch.setattr(collecting, "_LOOK_EVERY", 0.01)
    node = Node()
    gone = asyncio.Event()
    weakref.finalize(node, gone.set)
    gc.collect(1)  # it is among what stayed
    del node
    looking = asyncio.create_task(collecting.collect(lambda: quiet))
    await asyncio.wait_for(gone.wait(), 10)
    looking.cancel()


async def test_while_somebody_is_on_the_telephone_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "AGAIN", 0.0)
    monkeypatch.setattr(collecting, "_LOOK_EVERY", 0.001)
    before, asked = looks()[2], asyncio.Event()

    def quiet() -> bool:
        asked.set()
        return False

    looking = asyncio.create_task(collecting.collect(quiet))
    await asked.wait()
    assert looks()[2] == before
    looking.cancel()


SEVERAL_THREADS = """
import ctypes, threading
from ctid.daemon.collecting import one_heap
{first}
together = threading.Barrier(4)
def work():
    held = [bytearray(2000) for _ in range(500)]
    together.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ctypes.CDLL(None).malloc_stats()
"""


def heaps(first: str) -> int:
    program = [sys.executable, "-c", SEVERAL_THREADS.format(first=first)]
    return subprocess.run(program, check=True, capture_output=True, text=True).stderr.count("Arena ")


def test_all_threads_share_one_heap() -> None:
    assert heaps("") > 1
    assert heaps("one_heap()") == 1


def test_what_was_let_go_is_given_back() -> None:
    def held() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    kept = [bytearray(3000) for _ in range(60_000)]
    full = held()
    del kept[:-1]
    collecting.give_back()
    assert full - held() > 20_000, "pages of 4 KiB"
