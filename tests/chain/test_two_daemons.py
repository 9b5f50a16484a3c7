"""Two daemons for one PBX: one acts, the other takes over when it must, and never do two."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime

import pytest
import pytest_asyncio
from sqlalchemy import select

from ctid.db.session import Engine, engine
from ctid.db.tables import agent_states
from lab.clock import Clock
from lab.counting import judge
from lab.evidence import gather
from lab.pair import Node, Pair
from lab.postgres import Postgres
from lab.process import until
from lab.sipp import SippCall
from lab.site import Site
from tests.chain.centre import CSV, PITCH, Centre, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Twins(Centre):
    """A centre with two daemons."""

    def __init__(self, pair: Pair, postgres: Postgres, database: Engine) -> None:
        super().__init__(pair.site)
        self.pair, self.postgres, self.database = pair, postgres, database

    async def whole(self) -> tuple[Node, Node]:
        """Who acts and who stands by, both there."""
        for node in self.pair.nodes:
            if not node.runs:
                await node.start()
        acting = await self.pair.acting()
        await until(lambda: self.pair.status(self.pair.other(acting)).get("acting") is False, "the other stands by")
        await until(self.vouched_for, "the dialplan knows of it")
        return acting, self.pair.other(acting)

    async def vouched_for(self) -> bool:
        """Whether the other says to the PBX that it could take over."""
        said, now = [
            (await self.site.asterisk.ami.action("Getvar", Variable=name)).get("Value", "")
            for name in ("CTID_STANDBY", "EPOCH")
        ]
        return said.isdecimal() and int(now) - int(said) <= 1

    def queued(self) -> int:
        return len(self.site.asterisk.ami.events("CtidFailsafe"))

    async def hold(self, stack: AsyncExitStack, *callers: str) -> dict[str, SippCall]:
        """Have these callers on hold, in this order."""
        placed = {}
        for caller in callers:
            placed[caller] = await stack.enter_async_context(self.site.call(caller))
            await self.waits(caller)
        return placed

    async def pause(self, *agents: str) -> None:
        """Pause them, in the books too: another daemon knows of it by those alone."""
        for agent in agents:
            assert (await self.listener.command(agent, "pause", reason="meeting"))["ok"]

        async def written() -> bool:
            async with self.database.connect() as database:
                paused = await database.scalars(select(agent_states.c.agent).where(agent_states.c.state == "paused"))
                return set(agents) <= set(paused)

        await until(written, "the pauses are in the books")

    async def ask(self, agent: str, command: str) -> None:
        """Send a command whose answer may never come."""
        asking = asyncio.create_task(self.listener.command(agent, command))
        asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.sleep(0)

    async def served_in_order(self, callers: dict[str, SippCall], agent: str = "agent2") -> None:
        """Let one agent serve them: each time, who has waited longest is taken."""
        phone = self.site.phones[agent]
        known = len(phone.invites)
        assert (await self.listener.command(agent, "resume"))["ok"]
        for number, (caller, placed) in enumerate(callers.items()):
            await until(lambda number=number: len(phone.invites) > known + number, f"{agent} is rung again")
            assert phone.invites[known + number].user == caller
            await until(lambda caller=caller: self.shown(caller)[-1]["answered_at"], f"{caller} talks")
            await sound(0.3)
            await placed.hang_up()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Twins]:
    folder = tmp_path_factory.mktemp("two")
    async with Postgres(folder / "postgres") as postgres:
        url = await postgres.database("ctid")
        site = Site(
            folder=folder / "site",
            csv=CSV,
            ring_seconds=5,
            database=url,
            routing="missed_in_a_row = 0",
            pbx_clock=Clock(folder / "clock"),
        )
        async with Pair(site, Node(site, "east"), Node(site, "west")) as pair:
            for agent in site.agents:
                await site.phone(agent, tone=PITCH[agent])
            database = engine(url)
            yield Twins(pair, postgres, database)
            await database.dispose()


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Twins) -> Twins:
    await running.whole()
    await running.tidy()
    return running


async def test_a_killed_daemon_is_followed_and_its_callers_are_served_in_their_order(centre: Twins) -> None:
    first, second = await centre.whole()
    queued = centre.queued()
    await centre.pause("agent2", "agent3")
    placed, agent, pop = await centre.comes_in("02155660001")
    async with placed, AsyncExitStack() as stack:
        await centre.talks(agent, pop["call_id"])
        held = await centre.hold(stack, "02155660002", "02155660003", "02155660004")
        await sound(1)
        await first.kill()
        late = await stack.enter_async_context(centre.site.call("02155660005"))  # while nobody acts
        assert await centre.pair.acting(but=first) is second
        await centre.waits("02155660005")
        await centre.served_in_order({**held, "02155660005": late})
        await placed.hang_up()
    assert centre.queued() == queued
    call = await centre.ended("02155660001")
    [leg] = call["legs"]
    assert (leg["agent"], leg["certainty"]) == (agent, "exact")


async def test_a_daemon_told_to_stop_hands_over_at_once_what_is_held_rings_and_talks(centre: Twins) -> None:
    first, second = await centre.whole()
    queued = centre.queued()
    await centre.site.phones["agent3"].behave("never")
    await centre.pause("agent2", "agent3")
    placed, agent, pop = await centre.comes_in("02155661001")
    async with placed, AsyncExitStack() as stack:
        await centre.talks(agent, pop["call_id"])
        assert (await centre.listener.command("agent3", "resume"))["ok"]
        ringing, rung, _ = await centre.comes_in("02155661002")
        await stack.enter_async_context(ringing)
        held = await centre.hold(stack, "02155661003", "02155661004")
        await first.stop()
        assert await centre.pair.acting(but=first) is second
        await centre.served_in_order(held)
        await ringing.hang_up()
        await placed.hang_up()
    assert (rung, centre.queued()) == ("agent3", queued)
    [leg] = (await centre.ended("02155661001"))["legs"]
    assert (leg["agent"], leg["certainty"]) == (agent, "exact")
    [leg] = (await centre.ended("02155661002"))["legs"]
    assert (leg["agent"], leg["result"], leg["certainty"]) == ("agent3", "cancelled", "exact")


@pytest.mark.parametrize("word", [b"PlayDTMF", b"CTID_ROUTE"], ids=["the doorbell", "the route and the doorbell"])
async def test_a_frozen_daemon_wakes_and_what_it_was_sending_moves_nobody_twice(centre: Twins, word: bytes) -> None:
    """Its route was half on its way; one of the two daemons sends the caller to the agent, and once."""
    first, second = await centre.whole()
    caller, other = f"0215566200{len(word)}", f"0215566201{len(word)}"
    queued, known = centre.queued(), len(centre.site.phones["agent1"].invites)
    await centre.pause("agent1", "agent2", "agent3")
    async with AsyncExitStack() as stack:
        held = await centre.hold(stack, caller, other)
        first.ami.halt_before(word)
        await centre.ask("agent1", "resume")
        await first.ami.halted.wait()
        first.freeze()
        assert await centre.pair.acting(but=first) is second
        await first.ami.mend()  # now comes what was held up
        first.thaw()
        await until(lambda: first.count("leading.ousted") > 0, "it has seen that it acts no more")
        await centre.ask("agent1", "resume")
        for number, (user, placed) in enumerate(held.items()):
            await until(lambda number=number: len(centre.site.phones["agent1"].invites) > known + number, "rung")
            await until(lambda user=user: centre.shown(user)[-1]["answered_at"], f"{user} talks")
            await sound(0.3)
            await placed.hang_up()
    rung = [m.user for m in centre.site.phones["agent1"].invites[known:]]
    assert (rung, centre.queued()) == ([caller, other], queued)


async def test_a_daemon_whose_network_is_cut_gives_way_before_another_acts(centre: Twins) -> None:
    first, second = await centre.whole()
    queued = centre.queued()
    await centre.pause("agent2", "agent3")
    placed, agent, pop = await centre.comes_in("02155663001")
    async with placed, AsyncExitStack() as stack:
        await centre.talks(agent, pop["call_id"])
        held = await centre.hold(stack, "02155663002", "02155663003")
        first.ami.stall()
        first.database.stall()
        assert await centre.pair.acting(but=first) is second
        assert first.metric("ctid_acting") == 0
        await centre.served_in_order(held)
        await placed.hang_up()
        await first.ami.mend()
        await first.database.mend()
    await until(lambda: centre.pair.status(first).get("acting") is False, "the other stands by")
    assert centre.queued() == queued
    assert [leg["certainty"] for leg in (await centre.ended("02155663001"))["legs"]] == ["exact"]


@pytest.mark.parametrize("way", ["ami", "database"])
async def test_a_daemon_cut_from_pbx_or_database_alone_hands_over_to_one_that_is_not(centre: Twins, way: str) -> None:
    first, second = await centre.whole()
    queued = centre.queued()
    await centre.pause("agent1", "agent2", "agent3")
    async with AsyncExitStack() as stack:
        held = await centre.hold(stack, f"0215566400{len(way)}")
        wire = first.ami if way == "ami" else first.database
        stack.push_async_callback(wire.mend)
        await wire.cut()
        assert await centre.pair.acting(but=first) is second
        await until(lambda: first.metric("ctid_acting") == 0, "the other has stood down")
        await centre.served_in_order(held)
    await until(lambda: centre.pair.status(first).get("acting") is False, "the other stands by")
    assert centre.queued() == queued


async def test_what_ends_while_the_only_daemon_left_is_cut_from_the_pbx_is_made_up_for_from_cel(centre: Twins) -> None:
    first, second = await centre.whole()
    await second.kill()
    placed, agent, pop = await centre.comes_in("02155667001")
    async with placed:
        await centre.talks(agent, pop["call_id"])
        await first.ami.cut()
        await sound(0.5)
        await placed.hang_up()
    await first.ami.mend()
    [leg] = (await centre.ended("02155667001"))["legs"]
    assert (leg["agent"], leg["certainty"]) == (agent, "backfilled")


async def test_the_database_started_again_under_both_stops_no_call_and_changes_nothing(centre: Twins) -> None:
    first, _ = await centre.whole()
    claims, queued = centre.pair.claims(), centre.queued()
    await sound(1)  # the lab's database loses what it was told in its last half second
    await centre.postgres.kill()
    placed, agent, pop = await centre.comes_in("02155665001")
    async with placed:
        await centre.talks(agent, pop["call_id"])
        await sound(3)  # the office could not be renewed for longer than it lasts
        await placed.hang_up()
    await first.database.cut()
    await centre.postgres.start()
    await sound(1.5)  # the one that stands by reaches it first
    await first.database.mend()
    assert (await centre.in_the_books("02155665001"))["agent"] == agent
    await centre.whole()
    assert (centre.pair.claims(), centre.queued()) == (claims, queued)
    assert await centre.pair.acting() is first


async def test_of_two_started_at_once_one_acts(centre: Twins) -> None:
    await asyncio.gather(*(node.stop() for node in centre.pair.nodes))
    claims = len(centre.pair.claims())
    await asyncio.gather(*(node.start() for node in centre.pair.nodes))
    first, second = await centre.whole()
    assert centre.pair.claims()[claims:] == [first.name]
    found = await centre.site.ctid("doctor", check=False)
    assert f"{first.name} acts on lab (term " in found
    assert f"{second.name} stands by" in found
    assert (first.metric("ctid_acting"), second.metric("ctid_acting")) == (1, 0)


async def test_at_the_end_every_source_agrees(centre: Twins) -> None:
    """Counted by SIPp, CDR, CEL, books, recordings and logs: nobody is lost, nobody was offered two calls."""
    acting, _ = await centre.whole()
    logs = [node.output for node in centre.pair.nodes]
    tally = judge(await gather(centre.site, metrics_port=acting.metrics_port, logs=logs))
    assert not tally.broken, "\n".join(tally.broken)
    assert tally.lost == 0


async def test_a_daemon_that_stood_by_while_the_clock_was_set_goes_by_it_once_it_acts(centre: Twins) -> None:
    """The one who acted took it over, nobody calling: so does the other, or the books it goes on with would be an hour off."""
    first, second = await centre.whole()
    clock = centre.site.pbx_clock
    assert clock is not None
    clock.set_by(3600)
    await until(lambda: first.count("clock.taken_over") == 1, "the one who acts takes the clock over")
    await until(lambda: second.count("clock.aligned") == 1, "the other does as well", limit=20)
    await first.kill()
    assert await centre.pair.acting(but=first) is second
    call = await centre.one_call("02155667001")
    [leg], [recording] = call["legs"], call["recordings"]
    assert datetime.fromisoformat(call["started_at"]).timestamp() == pytest.approx(clock.now(), abs=60)
    assert leg["talk_seconds"] == pytest.approx(recording["seconds"], abs=1)
    assert second.count("clock.set") == 0
