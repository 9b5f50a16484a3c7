"""What a site may choose, met by real phones: the share of talk instead of its sum, and a line that goes before another."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.site import SERVICE, Site
from tests.chain.centre import Centre, opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

URGENT = "4002"
LINES = "".join(
    f'[[lines]]\nname = "{name}"\nnumbers = ["{number}"]\nagents = "all"\npriority = {priority}\n'
    for name, number, priority in (("service", SERVICE, 0), ("urgent", URGENT, 2))
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def centre(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    folder = tmp_path_factory.mktemp("site")
    site = Site(folder=folder, agents=("agent1", "agent2"), lines=LINES, routing='fairness = "talk_share"')
    async with opened(site) as centre:
        yield centre


async def pauses(centre: Centre, *agents: str) -> None:
    for agent in agents:
        await centre.listener.command(agent, "pause", reason="tea")
        await centre.listener.becomes(agent, "paused")


async def test_by_share_of_talk_a_late_sign_in_is_rung_after_who_talked_more_in_a_longer_day(centre: Centre) -> None:
    assert (await centre.listener.command("agent2", "sign_out"))["ok"]
    await centre.listener.becomes("agent2", "offline")
    assert (await centre.one_call("02155650001", seconds=2))["agent"] == "agent1"
    await sound(5)  # agent1's day grows longer
    await pauses(centre, "agent1")
    await centre.site.sign_in("agent2")
    assert (await centre.one_call("02155650002", seconds=1))["agent"] == "agent2"
    await centre.all_idle()
    placed, agent, _ = await centre.comes_in("02155650003")
    async with placed:
        await placed.answered()
        await placed.hang_up()
    [decision] = (await centre.ended("02155650003"))["decisions"]
    first, second = decision["considered"]
    assert (agent, decision["rule"], first["agent"], second["agent"]) == ("agent1", "talk_share", "agent1", "agent2")
    assert first["talk_seconds"] > second["talk_seconds"]  # by the sum it would have been the other one
    assert first["talk_share"] < second["talk_share"]


async def test_a_caller_of_a_line_with_priority_is_served_before_one_who_came_earlier(centre: Centre) -> None:
    await centre.all_idle()
    await pauses(centre, "agent1", "agent2")
    phone = centre.site.phones["agent1"]
    async with centre.site.call("02155650004") as plain:
        await centre.waits("02155650004")
        async with centre.site.call("02155650005", URGENT) as urgent:
            await centre.waits("02155650005")
            assert (await centre.listener.command("agent1", "resume"))["ok"]
            await phone.rings("02155650005")
            assert "02155650004" not in {invite.user for invite in phone.invites}
            await urgent.hang_up()
        await phone.rings("02155650004")
        await plain.hang_up()
    assert (await centre.ended("02155650005"))["line"] == "urgent"
    assert [one["chosen"] for one in (await centre.ended("02155650004"))["decisions"]] == ["agent1"]
