"""What the daemon does about memory: when Python looks through it, and that what was let go goes back to the machine.

Law: what is new is looked through often and a little at a time. All of memory is not, for with ten minutes of a rush in it that
takes half a second, in which nobody is served: it is done when no call is under way, or else once a day.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

#: How many objects more than before are new before they are looked through (about a millisecond); and how many such times
#: before those that stayed are looked through once more.
_NEW, _TIMES = 5_000, 10
#: So many times that counting alone never has all of memory looked through.
_NEVER: Final = 1_000_000
#: Seconds between two looks through all of memory, where there is a quiet moment, and where there is none.
AGAIN, LATEST = 600.0, 86_400.0
_LOOK_EVERY = 10.0
#: glibc's numbers (mallopt(3)) for the most heaps there are, and from how many bytes on memory is no part of a heap.
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3
#: What is read from a link comes into so much that it is cut to size afterwards: in a heap, each would leave a hole.
_LARGE = 1 << 17


def one_heap() -> None:
    """Have all threads share one heap; called before there is a second thread. Where there is no glibc, nothing is done.

    A heap for each, as glibc has it, keeps the holes of each: after a quarter of an hour of 20 calls a second a dozen
    threads held 65 MiB of which 43 were in use, and ever more.
    """
    with suppress(AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)  # glibc would raise it to the largest there was


def give_back() -> None:
    """Let the machine have whole pages that nothing is in, as glibc does not by itself from the midst of a heap."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def settle() -> None:
    """What is there now stays, and is looked through no more; what comes is looked through as above."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW, _TIMES, _NEVER)


def unsettle() -> None:
    """What stayed may go."""
    gc.unfreeze()


async def collect(quiet: Callable[[], bool]) -> NoReturn:
    """Look through all of memory now and then, for ever, when it is ``quiet``; give back what is free in any case."""
    last = given_back = time.monotonic()
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        if time.monotonic() - given_back >= AGAIN:
            await asyncio.to_thread(give_back)
            given_back = time.monotonic()
        since = time.monotonic() - last
        if since >= LATEST or (since >= AGAIN and quiet()):
            gc.collect()
            last = time.monotonic()
