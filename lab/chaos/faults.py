"""What breaks: each fault a small context manager with a name; entered it is there, left it is mended.

Law: a fault touches processes, sockets and files from outside, never ctid's insides. It notes in the scene when the PBX was not
there, for whoever counts.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from functools import partial

from lab.ami import Ami
from lab.chaos.scene import FAULTS, STAGES, Scene, fault
from lab.process import until

__all__ = ["FAULTS"]

#: Between the two actions of one route: made by the wire, for the PBX cannot tell of it.
HALF_SENT = "with a route half-sent"
#: What ctid notes, and goes on without, where its database, or it itself, stands still for more than half a second.
STOOD_STILL = ("the database did not say in time who is calling",)


# -- ctid killed, and stopped ------------------------------------------------------------------------------------------


async def _kill_at(stage: str, scene: Scene) -> AsyncIterator[None]:
    await scene.reaches(stage)
    await scene.site.kill_daemon()
    yield
    await scene.site.start_daemon()


async def _kill_half_sent(scene: Scene) -> AsyncIterator[None]:
    await _halt_a_route(scene)
    await scene.site.kill_daemon()
    await scene.wire.reset()
    await scene.wire.mend()
    yield
    await scene.site.start_daemon()


async def _stop_at(stage: str, scene: Scene) -> AsyncIterator[None]:
    await scene.reaches(stage)
    assert scene.site.daemon is not None
    scene.site.daemon.send(signal.SIGSTOP)
    yield
    scene.site.daemon.send(signal.SIGCONT)


async def _stop_half_sent(scene: Scene) -> AsyncIterator[None]:
    """The doorbell arrives seconds after its route, and after the lease."""
    await _halt_a_route(scene)
    assert scene.site.daemon is not None
    scene.site.daemon.send(signal.SIGSTOP)
    yield
    await scene.wire.mend()
    scene.site.daemon.send(signal.SIGCONT)


async def _halt_a_route(scene: Scene) -> None:
    scene.wire.halt_before(b"Action: PlayDTMF")
    scene.stream.place("unknown")
    await asyncio.wait_for(scene.wire.halted.wait(), 20)


for _stage in STAGES:
    fault(f"ctid killed, a call {_stage}", lasting=(0.3, 6))(partial(_kill_at, _stage))
    fault(f"ctid stopped, a call {_stage}", lasting=(3, 10), may_say=STOOD_STILL)(partial(_stop_at, _stage))
fault(f"ctid killed {HALF_SENT}", lasting=(0.3, 6))(_kill_half_sent)
fault(f"ctid stopped {HALF_SENT}", lasting=(3, 10), may_say=STOOD_STILL)(_stop_half_sent)


# -- the link to the PBX -----------------------------------------------------------------------------------------------


@fault("AMI cut", lasting=(0.5, 8))
async def _ami_cut(scene: Scene) -> AsyncIterator[None]:
    await scene.wire.cut()
    yield
    await scene.wire.mend()


@fault("AMI half-open", lasting=(8, 14))
async def _ami_half_open(scene: Scene) -> AsyncIterator[None]:
    """No packet arrives and no connection ends: neither the old ones nor those that ctid makes meanwhile."""
    scene.wire.stall()
    yield
    await scene.wire.reset()
    await scene.wire.mend()


@fault("AMI slow", lasting=(5, 10))
async def _ami_slow(scene: Scene) -> AsyncIterator[None]:
    scene.wire.slow(1500)
    yield
    await scene.wire.mend()


@fault("AMI flooding", lasting=(5, 10), may_say=("inbox.overrun",))
async def _ami_flooding(scene: Scene) -> AsyncIterator[None]:
    """Another AMI user has the PBX send everybody thousands of events a second that ctid's filter lets through."""
    pbx = scene.site.asterisk
    async with pbx.session() as other:
        task = asyncio.create_task(_flood(other))
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _flood(other: Ami) -> None:
    shouts = [{"Action": "UserEvent", "UserEvent": "Shout", "Words": "x" * 80, "Number": str(n)} for n in range(100)]
    while True:
        other.send(*shouts)
        await other.action("Ping", limit=30)
        other.messages.clear()


# -- the PBX -----------------------------------------------------------------------------------------------------------


@fault("Asterisk killed", lasting=(0.5, 3))
async def _asterisk_killed(scene: Scene) -> AsyncIterator[None]:
    began = time.time()
    await scene.site.asterisk.kill()
    await scene.stream.forsake(began)
    yield
    await scene.site.asterisk.start()
    scene.cuts.append((began, time.time()))


@fault("Asterisk restarted now", lasting=(0.2, 1))
async def _asterisk_restarted(scene: Scene) -> AsyncIterator[None]:
    began = time.time()
    await scene.site.asterisk.restart_itself("now")
    scene.cuts.append((began, time.time()))
    await scene.stream.forsake(began)
    yield


@fault("Asterisk restarted gracefully", lasting=(0.2, 1))
async def _asterisk_restarted_gracefully(scene: Scene) -> AsyncIterator[None]:
    """Calls under way end by themselves, new ones are refused; then it restarts. Nobody may be on hold: who is stays there."""
    stream = scene.stream
    await stream.pause()
    await stream.end_long()
    await until(lambda: not stream.live, "the callers are served", limit=40, every=0.1)
    await scene.reaches("answered")
    began = time.time()
    restarting = asyncio.create_task(scene.site.asterisk.restart_itself("gracefully"))
    await asyncio.sleep(0.3)
    stream.begin()
    died = await restarting
    scene.refusals.append((began, died))
    scene.cuts.append((died, time.time()))
    yield


# -- what ctid works with ----------------------------------------------------------------------------------------------


@fault("broker killed", lasting=(1, 8))
async def _broker_killed(scene: Scene) -> AsyncIterator[None]:
    site = scene.site
    await site.listener.__aexit__()
    await site.broker.kill()
    yield
    await site.broker.start()
    await site.listener.__aenter__()


@fault("recordings' disk away", lasting=(0.5, 10), needs=("recordings' disk",))
async def _recordings_away(scene: Scene) -> AsyncIterator[None]:
    """Who talks then is recorded on; whose file was to be begun has none, and what was not found is found afterwards."""
    assert scene.disk is not None
    began = time.time()
    scene.disk.unmount()
    yield
    scene.disk.mount()
    scene.unrecorded.append((began, time.time()))


@fault("recordings' disk full", lasting=(0.5, 10), needs=("recordings' disk",))
async def _recordings_full(scene: Scene) -> AsyncIterator[None]:
    """Who talks then has a file that is cut, or none."""
    assert scene.disk is not None
    began = time.time()
    scene.disk.fill()
    yield
    scene.disk.free()
    scene.unrecorded.append((began, time.time()))


@fault("database killed", lasting=(1, 10), may_say=STOOD_STILL, needs=("postgres",))
async def _database_killed(scene: Scene) -> AsyncIterator[None]:
    assert scene.postgres is not None
    await scene.postgres.kill()
    yield
    await scene.postgres.start()


@fault("database silent", lasting=(3, 12), may_say=STOOD_STILL, needs=("postgres",))
async def _database_silent(scene: Scene) -> AsyncIterator[None]:
    """It takes connections, and answers nothing."""
    assert scene.postgres is not None
    scene.postgres.freeze()
    yield
    scene.postgres.thaw()


@fault("SQLite locked", lasting=(3, 12), may_say=STOOD_STILL)
async def _sqlite_locked(scene: Scene) -> AsyncIterator[None]:
    with scene.site.database_locked():
        yield


@fault("disk full", lasting=(1, 10), may_say=STOOD_STILL, needs=("state's disk",))
async def _disk_full(scene: Scene) -> AsyncIterator[None]:
    """Neither the SQLite file nor what ctid keeps beside it can grow."""
    assert scene.disk is not None
    scene.disk.fill()
    yield
    scene.disk.free()


@fault("disk full, ctid killed meanwhile", lasting=(2, 6), may_say=STOOD_STILL, needs=("state's disk",))
async def _disk_full_and_killed(scene: Scene) -> AsyncIterator[None]:
    """What waits in the journal outlives its writer."""
    assert scene.disk is not None
    scene.disk.fill()
    await scene.reaches("answered")
    await scene.site.kill_daemon()
    yield
    scene.disk.free()
    await scene.site.start_daemon()


# -- phones ------------------------------------------------------------------------------------------------------------


@fault("phones unregistered", lasting=(1, 10), needs=("registering",))
async def _phones_unregistered(scene: Scene) -> AsyncIterator[None]:
    """Every phone that answers takes back where it is, as a switch without power would have it, and comes back."""
    site = scene.site
    for agent in site.registering:
        await site.phones[agent].register(site.asterisk, agent, seconds=0)
    yield
    for agent in site.registering:
        await site.phones[agent].register(site.asterisk, agent)


# -- two daemons -------------------------------------------------------------------------------------------------------


@fault("the acting of two daemons killed", lasting=(1, 10), needs=("pair",))
async def _acting_killed(scene: Scene) -> AsyncIterator[None]:
    assert scene.pair is not None
    acting = await scene.pair.acting()
    await scene.reaches("ringing")
    await acting.kill()
    yield
    await acting.start()


@fault("the acting of two daemons stopped", lasting=(8, 14), may_say=STOOD_STILL, needs=("pair",))
async def _acting_stopped(scene: Scene) -> AsyncIterator[None]:
    """So long that the other has its office when it goes on."""
    assert scene.pair is not None
    acting = await scene.pair.acting()
    await scene.reaches("held")
    acting.freeze()
    yield
    acting.thaw()


@fault("AMI of the acting of two daemons cut", lasting=(8, 14), needs=("pair",))
async def _acting_cut(scene: Scene) -> AsyncIterator[None]:
    assert scene.pair is not None
    acting = await scene.pair.acting()
    await acting.ami.cut()
    yield
    await acting.ami.mend()


@fault("ctid web killed", lasting=(0.5, 3))
async def _web_killed(scene: Scene) -> AsyncIterator[None]:
    if scene.site.web is None:
        await scene.site.start_web()
    assert scene.site.web is not None
    await scene.site.web.kill()
    yield
    await scene.site.start_web()


@fault("everything restarted", lasting=(0.5, 5), may_say=STOOD_STILL, needs=("postgres",))
async def _everything_restarted(scene: Scene) -> AsyncIterator[None]:
    """ctid, its pages, the broker and the database die at once while two parties talk."""
    site, postgres = scene.site, scene.postgres
    assert postgres is not None
    if site.web is None:
        await site.start_web()
    assert site.web is not None
    await site.listener.__aexit__()
    await asyncio.gather(site.kill_daemon(), site.web.kill(), site.broker.kill(), postgres.kill())
    yield
    await asyncio.gather(site.broker.start(), postgres.start())
    await site.listener.__aenter__()
    await asyncio.gather(site.start_daemon(), site.start_web())
