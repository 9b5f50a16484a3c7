"""What breaks in a call centre, broken on purpose: nobody is lost, and the books are right afterwards."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from lab.process import until
from tests.chain.centre import sound
from tests.chain.wire import Broken, broken_into, resynced, said

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broken]:
    async with broken_into(tmp_path_factory.mktemp("site")) as broken:
        yield broken


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Broken) -> Broken:
    await running.tidy()
    return running


@asynccontextmanager
async def kept_alive(centre: Broken) -> AsyncIterator[None]:
    """The lease goes on without ctid."""

    async def beat() -> None:
        while True:
            now = str(int(time.time()))
            await centre.site.asterisk.ami.action("Setvar", Variable="CTID_HEARTBEAT", Value=now)
            await asyncio.sleep(0.5)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()


async def test_a_restart_in_mid_call_keeps_the_books_exact(centre: Broken) -> None:
    placed, agent, pop = await centre.comes_in("02155640001")
    async with placed:
        await centre.talks(agent, pop["call_id"])
        await sound(1)
        await centre.site.stop_daemon()
        await centre.site.start_daemon()
        await sound(1)
        await placed.hang_up()
    call = await centre.ended("02155640001")
    [leg] = call["legs"]
    assert (leg["result"], leg["certainty"], call["outcome"]) == ("answered", "exact", "answered")
    [recording] = call["recordings"]
    assert recording["state"] == "complete"
    assert leg["talk_seconds"] == pytest.approx(recording["seconds"], abs=0.5)
    state = await centre.listener.becomes(agent, "idle")
    assert state["talk_seconds_today"] == pytest.approx(leg["talk_seconds"], abs=0.01)


async def test_ctid_killed_with_callers_on_hold_loses_none_of_them(centre: Broken) -> None:
    for agent in centre.agents:
        await centre.listener.command(agent, "pause", reason="meeting")
    callers = [f"0215564100{n}" for n in range(5)]
    pbx = centre.site.asterisk.ami
    async with AsyncExitStack() as stack:
        placed = [await stack.enter_async_context(centre.site.call(caller)) for caller in callers]
        for caller in callers:
            await centre.waits(caller)
        known = len(pbx.events("CtidFailsafe"))
        last_beat = float((await pbx.action("Getvar", Variable="CTID_HEARTBEAT"))["Value"])
        await centre.site.kill_daemon()
        await until(lambda: len(pbx.events("CtidFailsafe")) >= known + 5, "all five are with the fallback", limit=10)
        late = [float(e["Timestamp"]) - last_beat for e in pbx.events("CtidFailsafe")[known:]]
        assert all(call.live for call in placed)
        assert max(late) < 3 + 1 + 1 + 2  # lease, tick, whole seconds; the last beat may be one newer
        await centre.site.start_daemon()
        for call in placed:
            await call.hang_up()
    for caller in callers:
        call = await centre.ended(caller)
        assert (call["via"], call["outcome"] in ("abandoned", "answered")) == ("failsafe", True)


async def test_ctid_back_within_the_lease_adopts_and_routes_the_callers_on_hold(centre: Broken) -> None:
    for agent in centre.agents:
        await centre.listener.command(agent, "pause", reason="meeting")
    async with centre.site.call("02155642001") as placed:
        await centre.waits("02155642001")
        await centre.site.stop_daemon()
        async with kept_alive(centre):  # however long Python takes to start on a busy machine
            await centre.site.start_daemon()
        before = centre.invites()
        await centre.listener.command("agent3", "resume")
        assert await centre.rung(before) == "agent3"
        await until(lambda: centre.shown("02155642001")[-1]["answered_at"] is not None, "answered")
        await placed.hang_up()
    call = await centre.ended("02155642001")
    assert (call["via"], call["agent"], call["outcome"]) == ("ctid", "agent3", "answered")


async def test_a_cut_link_to_the_pbx_is_mended_and_the_books_go_on(centre: Broken) -> None:
    first, agent, pop = await centre.comes_in("02155643001")
    async with first:
        await centre.talks(agent, pop["call_id"])
        await sound(0.5)
        times = said(centre, '"pbx.resynced"')
        await centre.wire.cut()
        await until(lambda: said(centre, '"ami.down"'), "ctid sees that the link is gone")
        await centre.wire.mend()
        await resynced(centre, times)
        second, other, pop2 = await centre.comes_in("02155643002")
        async with second:
            assert other != agent
            await centre.talks(other, pop2["call_id"])
            await second.hang_up()
        await first.hang_up()
    call = await centre.ended("02155643001")
    [leg] = call["legs"]
    assert (call["outcome"], leg["agent"], leg["certainty"]) == ("answered", agent, "exact")
    [recording] = call["recordings"]
    assert leg["talk_seconds"] == pytest.approx(recording["seconds"], abs=0.5)


async def test_a_hold_goes_on_being_counted_over_a_cut_link_and_ends_where_it_was_last_seen(centre: Broken) -> None:
    placed, agent, pop = await centre.comes_in("02155643003")
    before = await held(centre, agent)
    phone = centre.site.phones[agent]
    async with placed:
        await centre.talks(agent, pop["call_id"])
        began = time.monotonic()
        await phone.hold(phone.invites[-1])
        await sound(0.5)
        async with outage(centre):
            await sound(0.5)
        await sound(0.5)
        await phone.unhold(phone.invites[-1])
        await phone.hold(phone.invites[-1])
        await sound(0.5)
        async with outage(centre):
            seen = time.monotonic() - began
            await phone.unhold(phone.invites[-1])
            await sound(3)
        await placed.hang_up()
    await centre.ended("02155643003")
    # The first hold lasts 1.5 s at least, an outage in its middle; of the second what a tick had seen, which may be nothing.
    assert 1.4 < await held(centre, agent) - before < seen + 1


async def held(centre: Broken, agent: str) -> float:
    """What the day's report says the agent held callers."""
    rows = json.loads(await centre.site.ctid("report", "day", "--json"))
    return sum(row["hold_seconds"] for row in rows if row["agent"] == agent)


@asynccontextmanager
async def outage(centre: Broken) -> AsyncIterator[None]:
    times, down = said(centre, '"pbx.resynced"'), said(centre, '"ami.down"')
    await centre.wire.cut()
    await until(lambda: said(centre, '"ami.down"') > down, "ctid sees that the link is gone")
    yield
    await centre.wire.mend()
    await resynced(centre, times)


async def test_a_call_that_ends_while_the_link_is_cut_ends_in_the_books(centre: Broken) -> None:
    placed, agent, pop = await centre.comes_in("02155643003")
    async with placed:
        await centre.talks(agent, pop["call_id"])
        await sound(1)
        times = said(centre, '"pbx.resynced"')
        await centre.wire.cut()
        await placed.hang_up()
    await centre.wire.mend()
    await resynced(centre, times)
    call = await centre.ended("02155643003")
    [leg] = call["legs"]
    assert (call["outcome"], leg["result"]) == ("answered", "answered")
    assert leg["certainty"] in ("backfilled", "estimated")
    assert [r["state"] for r in call["recordings"]] == ["complete"]
    await centre.listener.becomes(agent, "idle")


async def test_a_killed_broker_comes_back_with_states_and_pops_go_on(centre: Broken) -> None:
    before = centre.invites()
    await centre.site.broker.kill()
    async with centre.site.call("02155644001") as placed:
        await until(lambda: centre.invites() != before, "a phone rings without a broker")
        await centre.site.broker.start()
        await centre.listener.__aexit__()
        centre.listener.heard.clear()
        await centre.listener.__aenter__()
        for agent in centre.agents:
            await until(lambda agent=agent: centre.listener.state(agent), f"{agent}'s state is retained")
        await placed.hang_up()
    await centre.all_idle()
    call = await centre.one_call("02155644002")
    assert centre.states(call["agent"], call["id"]) == ["ringing", "answered", "ended"]
