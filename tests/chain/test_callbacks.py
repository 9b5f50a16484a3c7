"""Press 1 on the real chain: the place is kept, the agent's phone rings, then the customer's, and both talk once."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from lab import tones
from lab.process import until
from lab.sipp import Behaviour, SippAgent, SippCall
from lab.site import Site
from tests.chain.centre import CHEN, CSV, LIU, Centre, opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: The other lines' numbers: one without callbacks.
PLAIN, ASKED = "4005", "4006"
CUSTOMER = 700
LINES = "".join(
    f'[[lines]]\nname = "{name}"\nnumbers = ["{number}"]\nagents = "all"\n{more}\n'
    for name, number, more in (
        ("service", "4001", 'callback = true\ncallback_sound = "beep"'),
        ("plain", PLAIN, ""),
        ("asked", ASKED, 'callback = true\ncallback_sound = "beep"\nconsent = "beep"\nconsent_mode = "ask"'),
    )
)


class Backing(Centre):
    """A centre whose customers have a phone at the trunk."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.customer = SippAgent(site.folder / "sipp", "trunk", site.asterisk.trunk_port, tone=CUSTOMER)

    async def nobody_free(self) -> None:
        for agent in self.agents:
            await self.listener.command(agent, "pause", reason="tea")
            await self.listener.becomes(agent, "paused")

    async def frees(self, agent: str) -> None:
        assert (await self.listener.command(agent, "resume"))["ok"]

    async def callbacks(self, number: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(await self.site.ctid("callbacks", "--json"))
        return [one for one in found if one["number"] == f"+86{number.removeprefix('0')}"]

    async def callback(self, number: str, state: str, limit: float = 20) -> dict[str, Any]:
        """Wait until the newest callback of this number is in this state."""

        async def look() -> dict[str, Any] | None:
            found = await self.callbacks(number)
            return found[-1] if found and found[-1]["state"] == state else None

        return await until(look, f"the callback of {number} is {state}", limit=limit, every=0.3)

    async def made(self, call_id: str, limit: float = 15) -> dict[str, Any]:
        """The books on a call made back, once it has ended and its recording is measured."""

        async def look() -> dict[str, Any] | None:
            [call] = [call for call in await self.site.calls() if call["id"] == call_id]
            under_way = call["outcome"] is None or any(r["state"] == "recording" for r in call["recordings"])
            return None if under_way else call

        return await until(look, f"{call_id} is in the books", limit=limit, every=0.3)

    async def asks(self, number: str) -> SippCall:
        """A caller whom nobody is free for presses 1 until the PBX hangs up; which is the sign that it is kept."""
        placed = self.site.call(number, digits=[(0.6, "1"), (0.6, "1"), (1.0, "1")])
        await placed.answered()
        await placed.ended(20)
        assert placed.hung_up_by_pbx
        return placed

    async def asked(self, number: str) -> dict[str, Any]:
        await self.asks(number)
        return await self.callback(number, "waiting")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Backing]:
    site = Site(
        folder=tmp_path_factory.mktemp("site"),
        agents=("agent1", "agent2"),
        csv=CSV,
        ring_seconds=3,
        lines=LINES,
        routing=(
            "missed_in_a_row = 0\nround_pause_seconds = 1\ncallback_after_seconds = 0\n"
            "callback_retry_seconds = 2\ncallback_tries = 2"
        ),
    )
    async with opened(site):
        yield Backing(site)


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Backing) -> AsyncIterator[Backing]:
    await running.tidy()
    await running.nobody_free()
    await running.customer.behave("answer")
    yield running
    await running.customer.kill()


async def test_press_1_and_one_agent_rings_then_the_customer_and_they_talk(centre: Backing) -> None:
    kept = await centre.asked(CHEN)
    call = await centre.ended(CHEN)
    assert (call["outcome"], call["callback"], call["legs"]) == ("overflow", call["id"], [])
    rung, dialled = centre.invites(), len(centre.customer.invites)
    await centre.frees("agent2")
    back = await centre.callback(CHEN, "done")
    assert (back["id"], back["tries"], len(back["calls"]), back["agent"]) == (kept["id"], 0, 1, "agent2")
    [made] = back["calls"]
    pop = await centre.listener.popped("agent2", "answered", made)
    assert (pop["caller"], pop["contact"]["name"]) == (f"+86{CHEN}", "Chen Jie")
    assert pop["ticket"]["id"] == "1001"
    assert pop["decision"]["rule"] == "ticket_owner"
    assert pop["notices"][0].startswith("Callback")
    assert centre.states("agent2", made)[:2] == ["ringing", "answered"]
    await sound(2)
    invite = centre.customer.invites[-1]
    assert invite.user == "4001"
    assert f"sip:{CHEN}@" in invite.start
    await centre.customer.hang_up(invite)
    books = await centre.made(made)
    assert centre.invites() == {**rung, "agent2": rung["agent2"] + 1}
    assert len(centre.customer.invites) == dialled + 1
    assert (books["direction"], books["via"], books["outcome"]) == ("outbound", "ctid", "answered")
    assert (books["agent"], books["callback"], books["contact_id"]) == ("agent2", call["id"], "P1")
    assert books["ticket_ids"] == ["1001"]
    [recording] = books["recordings"]
    assert (recording["state"], recording["ticket_ids"]) == ("complete", ["1001"])
    file = centre.site.asterisk.monitor_dir / recording["path"]
    assert tones.seconds_of(file, CUSTOMER) > 1
    assert tones.seconds_of(file, 1200) > 1
    assert f"is called back by Agent2, as asked for in call {call['id']}" in await centre.site.ctid("explain", made)

    assert "asked to be called back and kept their place" in await centre.site.ctid("explain", call["id"])


async def test_press_1_in_the_sound_as_real_phones_send_it_asks_for_a_callback(centre: Backing) -> None:
    async with centre.site.call("02155640011", keys_in_sound=True) as placed:
        await centre.waits("02155640011")
        await sound(0.6)  # the offer begins
        await placed.press("1")
        await placed.ended(20)
        assert placed.hung_up_by_pbx
    kept = await centre.callback("02155640011", "waiting")
    await centre.frees("agent1")
    back = await centre.callback("02155640011", "done")
    assert (back["id"], len(back["calls"])) == (kept["id"], 1)
    await centre.customer.hang_up(centre.customer.invites[-1])
    assert (await centre.made(back["calls"][0]))["outcome"] == "answered"


async def test_who_refused_to_be_recorded_is_not_recorded_when_called_back(centre: Backing) -> None:
    heard, folder = centre.site.asterisk.ami, centre.site.asterisk.monitor_dir
    asked = len(heard.events("Newexten", Application="Read"))
    async with centre.site.call(CHEN, ASKED) as placed:
        await until(lambda: len(heard.events("Newexten", Application="Read")) > asked, "they are asked")
        await placed.press("2")
        await until(lambda: heard.events("UserEvent", UserEvent="CtidConsent"), "they refused")

        async def keeps() -> bool:
            await placed.press("1")
            return any(one["state"] == "waiting" for one in await centre.callbacks(CHEN))

        await until(keeps, "the callback is kept", limit=20, every=0.5)
    await centre.frees("agent2")
    back = await centre.callback(CHEN, "done")
    [made] = back["calls"]
    await sound(1.5)
    await centre.customer.hang_up(centre.customer.invites[-1])
    books = await centre.made(made)
    assert (books["outcome"], books["consent"], books["recordings"]) == ("answered", "refused", [])
    assert [one for one in folder.rglob("*.wav") if one.name.startswith(made) and one.stat().st_size > 1000] == []


async def test_a_waiting_caller_and_a_callback_are_served_in_the_order_they_came(centre: Backing) -> None:
    await centre.asked(LIU)
    async with centre.site.call("02155640009") as later:
        await centre.waits("02155640009")
        before = centre.invites()
        await centre.frees("agent1")
        await centre.callback(LIU, "done")
        assert centre.invites() == {**before, "agent1": before["agent1"] + 1}
        assert not centre.shown("02155640009")[-1]["decisions"]
        await centre.customer.hang_up(centre.customer.invites[-1])
        await until(lambda: centre.invites()["agent1"] == before["agent1"] + 2, "the caller who came later is next")
        await later.hang_up()


async def test_an_agent_who_does_not_answer_is_followed_by_the_next(centre: Backing) -> None:
    await centre.asked("02155640001")
    await centre.site.phones["agent1"].behave("never")
    await centre.frees("agent1")
    await centre.site.phones["agent1"].rings()
    await centre.frees("agent2")
    back = await centre.callback("02155640001", "done")
    assert (back["agent"], len(back["calls"]), back["tries"]) == ("agent2", 2, 0)
    await centre.customer.hang_up(centre.customer.invites[-1])
    missed = await centre.made(back["calls"][0])
    assert (missed["outcome"], [leg["result"] for leg in missed["legs"]]) == ("no_answer", ["no_answer"])


@pytest.mark.parametrize(("behaviour", "outcome"), [("busy", "busy"), ("reject", "rejected")])
async def test_a_customer_who_is_not_reached_is_tried_again_by_rule(
    centre: Backing, behaviour: Behaviour, outcome: str
) -> None:
    number = {"busy": "02155640002", "reject": "02155640003"}[behaviour]
    await centre.asked(number)
    await centre.customer.behave(behaviour)
    await centre.frees("agent1")
    await until(lambda: centre.customer.invites, "the customer is dialled")
    again = await centre.callback(number, "waiting")
    assert again["tries"] == 1
    assert (await centre.made(again["calls"][0]))["outcome"] == outcome
    await centre.listener.becomes("agent1", "idle")
    back = await centre.callback(number, "failed", limit=30)
    assert (back["tries"], len(back["calls"])) == (2, 2)
    assert back["why"].startswith("not reached in 2 tries")


async def test_a_daemon_killed_while_the_agents_phone_rings_makes_one_call(centre: Backing) -> None:
    await centre.asked("02155640004")
    await centre.site.phones["agent1"].behave("answer", ring=2.5)
    before, dialled = centre.invites(), len(centre.customer.invites)
    await centre.frees("agent1")
    assert await centre.rung(before) == "agent1"
    await centre.site.kill_daemon()
    await centre.site.start_daemon()
    back = await centre.callback("02155640004", "done")
    await sound(1)
    await centre.customer.hang_up(centre.customer.invites[-1])
    books = await centre.made(back["calls"][0])
    assert (books["outcome"], len(back["calls"]), len(books["ticket_ids"])) == ("answered", 1, 1)
    await asyncio.sleep(2)  # a second call would be made by now
    assert centre.invites() == {**before, "agent1": before["agent1"] + 1}
    assert len(centre.customer.invites) == dialled + 1
    await centre.site.phones["agent1"].behave("answer", ring=0.2)


async def test_a_conversation_ctid_did_not_see_is_not_had_twice(centre: Backing) -> None:
    await centre.asked("02155640005")
    before, dialled = centre.invites(), len(centre.customer.invites)
    await centre.site.phones["agent1"].behave("answer", ring=1.5)
    await centre.frees("agent1")
    assert await centre.rung(before) == "agent1"
    await centre.site.kill_daemon()
    await until(lambda: len(centre.customer.invites) > dialled, "the customer is dialled")
    await sound(1)
    await centre.customer.hang_up(centre.customer.invites[-1])
    await centre.site.start_daemon()
    back = await centre.callback("02155640005", "done")
    assert len(back["calls"]) == 1
    await asyncio.sleep(2)  # a second call would be made by now
    assert len(centre.customer.invites) == dialled + 1
    await centre.site.phones["agent1"].behave("answer", ring=0.2)


async def test_a_customer_who_rings_in_again_and_is_answered_is_not_called_back(centre: Backing) -> None:
    await centre.asked("02155640006")
    dialled = len(centre.customer.invites)
    async with centre.site.call("02155640006") as again:
        await until(lambda: len(centre.shown("02155640006")) == 2, "they ring in again")
        await centre.waits("02155640006")
        await centre.frees("agent1")
        dropped = await centre.callback("02155640006", "dropped")
        assert dropped["why"] == "rang in again and was answered"
        await again.hang_up()
    await centre.listener.becomes("agent1", "idle")
    assert len(centre.customer.invites) == dialled


@pytest.mark.parametrize(("caller", "line"), [("02155640007", PLAIN), ("anonymous", "4001"), ("+4930123456", "4001")])
async def test_pressing_1_does_nothing_where_no_callback_can_be(centre: Backing, caller: str, line: str) -> None:
    placed = centre.site.call(caller, line, digits=[(1.0, "1"), (0.3, "12*1")])
    async with placed:
        await placed.answered()
        await asyncio.sleep(2.5)  # longer than the offer and all the digits take
        assert placed.live
        assert json.loads(await centre.site.ctid("callbacks", "--json", "--open")) == []
        before = centre.invites()
        await centre.frees("agent1")
        assert await centre.rung(before) == "agent1"
        await placed.hang_up()
