"""Part ``takeover``: how long nobody acts when one of two daemons is killed, stopped, frozen or cut off.

Law: a real chain with a caller on hold; counted from the moment the fault is made to the one in which the other's log says that
it has read the PBX's state, from when on it routes. How often the caller passed the fallback queue is counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.figures import Figure
from lab.pair import Node, Pair
from lab.postgres import Postgres
from lab.process import LabError, until
from lab.site import Site

RUNS = 5
_TARGET = "5 s"
#: A standby needs a second to have seen the other in office.
_SETTLED = 1.5
_CALLER = "02155690001"


async def measure(folder: Path, runs: int = RUNS) -> list[Figure]:
    """Seconds from the fault to the first moment the other routes, for each way to fail."""
    async with Postgres(folder / "postgres") as postgres:
        site = Site(folder=folder / "site", database=await postgres.database("ctid"))
        async with Pair(site, Node(site, "east"), Node(site, "west")) as pair, site.call(_CALLER) as caller:
            figures = []
            for name, fault, mend in _FAULTS:
                took = [await _one(pair, fault, mend) for _ in range(runs)]
                figures.append(
                    Figure(
                        part="takeover",
                        name=f"{name}: until the other routes",
                        unit="s",
                        values=tuple(took),
                        target=_TARGET,
                    )
                )
            queued = len(site.asterisk.ami.events("CtidFailsafe"))
            if not caller.live:
                raise LabError("the caller on hold was lost")
            await caller.hang_up()
    name = f"of {len(figures) * runs} take-overs, those in which the caller on hold passed the fallback queue"
    return [*figures, Figure(part="takeover", name=name, unit="times", values=(float(queued),), target="0")]


async def _one(pair: Pair, fault: Callable[[Node], Awaitable[None]], mend: Callable[[Node], Awaitable[None]]) -> float:
    acting = await pair.acting()
    other = pair.other(acting)
    await until(lambda: pair.status(other).get("acting") is False, "the other stands by")
    await asyncio.sleep(_SETTLED)
    before, began = other.count("pbx.resynced"), time.monotonic()
    await fault(acting)
    await until(lambda: other.count("pbx.resynced") > before, "the other routes", limit=20)
    took = time.monotonic() - began
    await mend(acting)
    await until(lambda: pair.status(acting).get("acting") is False, "it stands by in its turn", limit=20)
    return took


async def _kill(node: Node) -> None:
    await node.kill()


async def _stop(node: Node) -> None:
    await node.stop()


async def _start(node: Node) -> None:
    await node.start()


async def _freeze(node: Node) -> None:
    node.freeze()


async def _thaw(node: Node) -> None:
    node.thaw()


async def _cut_off(node: Node) -> None:
    node.ami.stall()
    node.database.stall()


async def _mend(node: Node) -> None:
    await node.ami.mend()
    await node.database.mend()


_FAULTS = (
    ("killed", _kill, _start),
    ("stopped", _stop, _start),
    ("frozen", _freeze, _thaw),
    ("network cut", _cut_off, _mend),
)
