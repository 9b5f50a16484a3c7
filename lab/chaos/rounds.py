"""A round: a site with its stream of calls, faults one after the other, and the count at the end.

Law: whatever a round does wrong, its processes end; the folder of a round that broke a promise is kept.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from lab.chaos.faults import FAULTS
from lab.chaos.scene import Fault, Need, Scene
from lab.chaos.stream import AGENTS, ANSWERING, CSV, LINES, PATIENCE, Stream
from lab.counting import Tally, judge
from lab.evidence import gather
from lab.pair import Node, Pair
from lab.postgres import Postgres
from lab.site import Site
from lab.small_disk import SmallDisk
from lab.wire import Wire

#: Calls run so long, in seconds, before the fault and after it.
_BEFORE, _AFTER = (1.5, 4.0), (2.0, 4.0)
#: Room for a round's recordings, or for ctid's state with its whole journal, where they have a disk of their own.
_DISK = 256 << 20


@asynccontextmanager
async def opened(folder: Path, seed: str, *needs: Need) -> AsyncIterator[Scene]:
    """A site with what is needed, everyone signed in; ctid's link to the PBX runs through a wire."""
    async with AsyncExitStack() as stack:
        postgres = None
        if {"postgres", "pair"} & set(needs):
            postgres = await stack.enter_async_context(Postgres(folder / "postgres"))
        registering = ANSWERING if "registering" in needs else ()
        site = Site(
            folder=folder,
            agents=tuple(agent for agent in AGENTS if agent not in registering),
            registering=registering,
            database=None if postgres is None else await postgres.database("ctid"),
            csv=CSV,
            lines=LINES,
            ring_seconds=3,
            routing="missed_in_a_row = 0\nround_pause_seconds = 1",
        )
        disk = None
        if "recordings' disk" in needs:
            disk = stack.enter_context(SmallDisk(site.asterisk.monitor_dir, _DISK))
        elif "state's disk" in needs:
            disk = stack.enter_context(SmallDisk(site.state, _DISK))
        rng, wire = random.Random(seed), Wire(site.asterisk.ami_port)
        stream = Stream(site, rng)
        stack.push_async_callback(stream.close)
        pair = None
        if "pair" in needs:
            pair = await stack.enter_async_context(Pair(site, Node(site, "east"), Node(site, "west")))
        else:
            config = site.config.read_text()
            site.config.write_text(config.replace(f"port = {site.asterisk.ami_port}\n", f"port = {wire.port}\n"))
            stack.push_async_callback(wire.cut)
            await wire.mend()
            await stack.enter_async_context(site)
        await stream.open()
        yield Scene(site=site, wire=wire, stream=stream, rng=rng, postgres=postgres, disk=disk, pair=pair)


async def play(scene: Scene, faults: Sequence[Fault], *, lasting: float | None = None) -> Tally:
    """Break and mend these, one after the other, under the stream of calls; what it cost, once everyone is served.

    ``lasting`` is how many seconds of each fault's possible duration are used at most: for those in a hurry.
    """
    began, stream, rng = time.time(), scene.stream, scene.rng
    await stream.talk_long()
    stream.begin()
    for one in faults:
        await asyncio.sleep(rng.uniform(*_BEFORE) if lasting is None else 0.5)
        seconds = rng.uniform(*one.lasting)
        async with one.breaks(scene):
            await asyncio.sleep(seconds if lasting is None else max(one.lasting[0], min(seconds, lasting)))
    await asyncio.sleep(rng.uniform(*_AFTER) if lasting is None else 1.0)
    stuck = await stream.end()
    evidence = await gather(
        scene.site,
        cuts=scene.cuts,
        refusals=scene.refusals,
        unrecorded=scene.unrecorded,
        metrics_port=(await scene.pair.acting()).metrics_port if scene.pair is not None else None,
        logs=[node.output for node in scene.pair.nodes] if scene.pair is not None else (),
    )
    tally = judge(
        evidence,
        since=began,
        patience=PATIENCE,
        may_say=frozenset().union(*(one.may_say for one in faults)),
    )
    tally.broken += [f"{name} was still there when the stream was long over" for name in stuck]
    return tally


async def round_of(name: str, seed: str, folder: Path) -> Tally:
    """One round of the fault of this name, on a site of its own."""
    one = FAULTS[name]
    async with opened(folder, f"{seed}/{name}", *one.needs) as scene:
        return await play(scene, [one])
