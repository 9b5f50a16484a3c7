"""Two PBXs, a pair of daemons each, on one PostgreSQL and one broker: the books are shared, the telephones are not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest
import pytest_asyncio

from lab.pair import Node, Pair
from lab.postgres import Postgres
from lab.process import until
from lab.site import Site
from tests.chain.centre import CHEN, CSV, PITCH, Centre, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Branch(Centre):
    """A centre with two daemons, beside another."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair.site)
        self.pair = pair

    async def sit(self, *agents: str) -> None:
        for agent in agents:
            await self.site.phone(agent, tone=PITCH[agent])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Branch, Branch, Postgres]]:
    folder = tmp_path_factory.mktemp("several")
    async with Postgres(folder / "postgres") as postgres, AsyncExitStack() as stack:
        url = await postgres.database("ctid")
        pairs: list[Pair] = []
        for pbx in ("north", "south"):
            beside = pairs[0].site if pairs else None
            site = Site(folder=folder / pbx, csv=CSV, database=url, pbx=pbx, prefix=pbx, beside=beside)
            nodes = [Node(site, f"{pbx}-{name}") for name in ("one", "two")]
            pairs.append(await stack.enter_async_context(Pair(site, *nodes)))
        north, south = map(Branch, pairs)
        await north.sit("agent1")
        await south.sit("agent1", "agent2")
        yield north, south, postgres


async def test_a_holder_killed_on_one_pbx_is_followed_there_and_the_other_pbx_hears_nothing_of_it(
    both: tuple[Branch, Branch, Postgres],
) -> None:
    north, south, postgres = both
    first = await north.pair.acting()
    undisturbed, claims = await south.pair.acting(), south.pair.claims()
    # Chen's ticket is agent2's, who sits at the south alone.
    (up, here, shown_up), (down, there, shown_down) = await asyncio.gather(north.comes_in(CHEN), south.comes_in(CHEN))
    async with up, down, AsyncExitStack() as stack:
        assert (here, there) == ("agent1", "agent2")
        assert shown_up["contact"] == shown_down["contact"]
        assert shown_up["decision"]["owner_skipped"] == "offline"
        assert shown_down["decision"]["rule"] == "ticket_owner"
        await asyncio.gather(north.talks(here, shown_up["call_id"]), south.talks(there, shown_down["call_id"]))
        held = await stack.enter_async_context(north.site.call("02155670001"))
        await north.waits("02155670001")
        await sound(1)
        await first.kill()
        other = await north.pair.acting(but=first)
        assert other is north.pair.other(first)
        placed, agent, pop = await south.comes_in("02155670002")  # while the north has just changed hands
        await stack.enter_async_context(placed)
        await south.talks(agent, pop["call_id"])
        assert agent == "agent1"
        await up.hang_up()
        await until(lambda: north.shown("02155670001")[-1]["answered_at"], "who was held talks")
        await sound(1)
        for one in (held, down, placed):
            await one.hang_up()
    assert (south.pair.claims(), await south.pair.acting()) == (claims, undisturbed)
    for branch, caller, who in ((north, CHEN, "agent1"), (south, CHEN, "agent2"), (south, "02155670002", "agent1")):
        call = await branch.ended(caller)
        assert (call["pbx"], call["agent"], call["legs"][-1]["certainty"]) == (branch.site.pbx, who, "exact")
        assert call["recordings"][0]["state"] == "complete"
    link = await asyncpg.connect(postgres.url("ctid").replace("+asyncpg", ""))
    terms = await link.fetch("SELECT pbx, term, node FROM leaders ORDER BY pbx")
    await link.close()
    assert [tuple(row) for row in terms] == [("north", 2, other.name), ("south", 1, undisturbed.name)]


async def test_an_agent_of_both_pbxs_sits_and_talks_at_each_for_itself_and_the_day_has_both(
    both: tuple[Branch, Branch, Postgres],
) -> None:
    north, south, _ = both
    for branch in both[:2]:
        await branch.all_idle()
    assert (await north.listener.command("agent1", "pause", reason="meeting"))["ok"]
    await north.listener.becomes("agent1", "paused")
    await sound(1)  # for the other PBX to hear of it, if it did
    states = [(b.listener.state("agent1") or {}) for b in (north, south)]
    assert [state["state"] for state in states] == ["paused", "idle"]
    assert north.listener.state("agent2") is None or (north.listener.state("agent2") or {})["state"] == "offline"
    talked = [state["talk_seconds_today"] for state in states]
    assert min(talked) > 0.5
    shown = {agent["id"]: agent for agent in json.loads(await south.site.ctid("agents", "--json"))}
    assert max(talked) - 0.1 < shown["agent1"]["talk_seconds_today"] < sum(talked)  # they talked on both at once: once
    assert shown["agent1"]["state"] == "idle"
    assert not [*north.complaints(), *south.complaints()]
