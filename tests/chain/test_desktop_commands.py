"""What agents ask for from their screens, on the real chain: pick up, call, transfer, and move a call to another ticket."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from lab.process import until
from lab.sipp import SippAgent
from lab.site import Site
from tests.chain.centre import CSV, PITCH, Centre, opened, sound
from tests.chain.test_transfers import Stay, Visit, heard, known, talks_with_agent2
from tests.web.conftest import form_token

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Nobody's number: a call of one who is known would get a ticket of whoever picks them up, who would own the next.
STRANGER = "13800138009"
LINES = """
[[lines]]
name = "service"
numbers = ["4001"]
[[lines]]
name = "sales"
numbers = ["4002"]
agents = ["agent3"]
"""


class Desk(Centre):
    """A centre whose customers have a phone at the trunk."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.customer = SippAgent(site.folder / "sipp", "trunk", site.asterisk.trunk_port, tone=700)

    async def asks(self, agent: str, command: str, **fields: object) -> dict[str, Any]:
        return await self.listener.command(agent, command, **fields)

    async def granted(self, agent: str, command: str, **fields: object) -> None:
        answer = await self.asks(agent, command, **fields)
        assert answer["ok"], answer

    async def refused(self, agent: str, command: str, **fields: object) -> str:
        answer = await self.asks(agent, command, **fields)
        assert not answer["ok"]
        code: str = answer["code"]
        return code

    async def all_pause(self) -> None:
        for agent in self.agents:
            await self.granted(agent, "pause", reason="tea")
            await self.listener.becomes(agent, "paused")

    async def waiting(self, caller: str) -> str:
        """Wait until the caller could be picked up; the call's id."""

        def look() -> str | None:
            calls = self.shown(caller)
            return calls[-1]["id"] if calls and calls[-1]["waiting"] is not None else None

        return await until(look, f"{caller} waits")

    def notes(self, agent: str, call: str) -> list[list[str]]:
        return [[note["code"] for note in pop["notes"]] for pop in self.listener.pops(agent, call)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    site = Site(folder=tmp_path_factory.mktemp("site"), csv=CSV, ring_seconds=4, lines=LINES)
    async with opened(site):
        desk = Desk(site)
        await desk.customer.start()
        yield desk
        await desk.customer.kill()


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Desk) -> Desk:
    await running.site.asterisk.cli("channel request hangup all")  # what a failed test left
    await running.tidy()
    return running


# -- pick up -----------------------------------------------------------------------------------------------------------


async def test_a_waiting_caller_rings_at_who_picks_them_up_and_at_nobody_else(centre: Desk) -> None:
    await centre.all_pause()
    before = centre.invites()
    async with centre.site.call(STRANGER) as placed:
        call = await centre.waiting(STRANGER)
        both = await asyncio.gather(*(centre.asks(a, "pickup", call_id=call) for a in ("agent3", "agent1")))
        [won] = [a for a, answer in zip(("agent3", "agent1"), both, strict=True) if answer["ok"]]
        [lost] = [answer for answer in both if not answer["ok"]]
        assert (lost["code"], lost["fields"]) == ("call_taken", {"agent": won.title()})
        assert await centre.rung(before) == won
        pop = await centre.listener.popped(won, "answered", call)
        assert (pop["decision"]["rule"], pop["decision"]["chosen"]) == ("picked", won)
        await sound(0.4)
        await placed.hang_up()
    ended = await centre.ended(STRANGER)
    assert (ended["id"], ended["agent"], ended["waiting"]) == (call, won, None)
    assert {a: n - before[a] for a, n in centre.invites().items() if n > before[a]} == {won: 1}
    await centre.listener.becomes(won, "paused")
    assert await centre.refused(won, "pickup", call_id=call) == "call_over"


# -- put somewhere -----------------------------------------------------------------------------------------------------


async def test_a_supervisor_puts_a_waiting_caller_first_and_another_on_a_line_and_the_story_says_so(
    centre: Desk,
) -> None:
    site = centre.site
    await centre.all_pause()
    await site.start_web()
    await site.user("boss", role="supervisor")
    async with httpx.AsyncClient(base_url=site.web_url, headers={"origin": site.web_url}) as boss:
        token = form_token((await boss.get("/sign-in")).text)
        await boss.post("/sign-in", data={"name": "boss", "password": site.password, "form_token": token})
        async with site.call(STRANGER) as moved, site.call("13800138008") as early, site.call("13800138007") as late:
            calls = [await centre.waiting(caller) for caller in (STRANGER, "13800138008", "13800138007")]
            token = form_token((await boss.get("/waiting")).text)
            for asked in ({"first": calls[2]}, {"move": calls[0], "line": "sales"}):
                assert (await boss.post("/waiting", data={**asked, "form_token": token})).status_code == 303
            for agent, call in (("agent1", calls[2]), ("agent2", calls[1]), ("agent3", calls[0])):
                await centre.granted(agent, "resume")
                await centre.listener.popped(agent, "ringing", call, limit=20)
            for placed in (moved, early, late):
                await placed.hang_up()
        await centre.ended(STRANGER)
    told = await site.ctid("explain", calls[0])
    assert "boss moved this caller from the line service to the line sales." in told
    assert "boss had this caller come before all who waited." in await site.ctid("explain", calls[2])


# -- call --------------------------------------------------------------------------------------------------------------


async def test_who_calls_is_rung_first_then_the_customer_and_the_call_is_on_the_ticket(centre: Desk) -> None:
    await centre.all_pause()
    before, dialled = centre.invites(), len(centre.customer.invites)
    await centre.granted("agent3", "dial", number="138 0013-8001", ticket_id="1001", contact_id="P1")
    assert await centre.rung(before) == "agent3"
    call = await until(
        lambda: next((p["call_id"] for p in centre.listener.pops("agent3") if p["call_id"].startswith("dial-")), None),
        "agent3's screen pops",
    )
    await until(lambda: len(centre.customer.invites) > dialled, "the customer is rung")
    shown = await centre.listener.popped("agent3", "answered", call)
    assert (shown["caller"], shown["contact"]["name"]) == ("+8613800138001", "Chen Jie")
    await until(lambda: _talks(centre, call), "both talk")
    await sound(1.0)
    await centre.customer.hang_up(centre.customer.invites[-1])
    await centre.listener.becomes("agent3", "paused")

    async def booked() -> dict[str, Any] | None:
        found = [one for one in await centre.site.calls() if one["id"] == call and one["outcome"] is not None]
        return found[0] if found and all(r["state"] != "recording" for r in found[0]["recordings"]) else None

    ended = await until(booked, "the call is in the books", every=0.3)
    assert (ended["direction"], ended["outcome"], ended["dialled"]) == ("outbound", "answered", "13800138001")
    assert ended["ticket_ids"] == ["1001"]
    [recording] = ended["recordings"]
    assert (recording["state"], recording["ticket_ids"]) == ("complete", ["1001"])
    assert [d["rule"] for d in ended["decisions"]] == ["dialled"]
    assert await centre.refused("agent3", "dial", number="4001") == "own_number"
    assert await centre.refused("agent3", "dial", number="abc") == "bad_number"


def _talks(centre: Centre, call: str) -> bool:
    newest = [h.payload for h in centre.listener.heard if h.topic == f"ctid/v1/calls/{call}"]
    return bool(newest) and newest[-1]["answered_at"] is not None and bool(newest[-1]["ticket_ids"])


# -- transfer ----------------------------------------------------------------------------------------------------------


async def gives_over(centre: Desk, visit: Visit, second: Stay) -> dict[str, Any]:
    """agent1 has the caller; they talk until the caller hangs up. The books."""
    await visit.stay.over()
    await second.answered()
    await centre.listener.becomes("agent1", "talking")
    await sound(1.0)
    await visit.placed.hang_up()
    await second.over()
    return await visit.books()


async def test_a_blind_transfer_pops_at_the_colleague_while_their_phone_rings(centre: Desk) -> None:
    await centre.site.phones["agent1"].behave("answer", ring=1.0)
    visit, count = await talks_with_agent2(centre), known(centre, "agent1")
    await centre.granted("agent2", "transfer", to="agent1", kind="blind")
    second = await visit.next("agent1", count)
    pop = await centre.listener.popped("agent1", "ringing", visit.call)
    assert second.answered_at is None
    assert (pop["contact"]["name"], pop["ticket"]["id"]) == ("Chen Jie", "1001")
    assert pop["notices"][0] == "Transferred by Agent2."
    call = await gives_over(centre, visit, second)
    assert (call["agent"], call["ticket_ids"]) == ("agent1", ["1001"])
    assert heard(centre, call)[PITCH["agent1"]] > 0.5
    assert centre.states("agent1", visit.call) == ["ringing", "answered", "ended"]


@pytest.mark.parametrize("behaviour", ["never", "busy"])
async def test_a_caller_whom_the_colleague_does_not_take_is_not_lost(centre: Desk, behaviour: Any) -> None:
    await centre.site.phones["agent1"].behave(behaviour)
    await centre.granted("agent3", "pause", reason="tea")
    visit, mine = await talks_with_agent2(centre), known(centre, "agent2")
    await centre.granted("agent2", "transfer", to="agent1", kind="blind")
    again = await (await visit.next("agent2", mine)).answered()
    pop = await centre.listener.popped("agent2", "answered", visit.call)
    assert pop["ticket"]["id"] == "1001"
    assert "not_taken" in centre.notes("agent2", visit.call)[-1]
    await sound(1.2)
    await visit.placed.hang_up()
    await again.over()
    call = await visit.books()
    assert (call["agent"], call["outcome"]) == ("agent2", "answered")
    assert (centre.listener.state("agent1") or {})["state"] == "idle"


async def test_an_attended_transfer_is_completed_from_the_screen(centre: Desk) -> None:
    visit, count = await talks_with_agent2(centre), known(centre, "agent1")
    await centre.granted("agent2", "transfer", to="agent1", kind="attended")
    second = await (await visit.next("agent1", count)).answered()
    await until(lambda: (centre.listener.state("agent2") or {})["consults"] == "agent1", "agent2 consults agent1")
    assert centre.notes("agent1", visit.call)[0][0] == "consulted"
    await sound(1.2)
    await centre.granted("agent2", "transfer", kind="complete")
    call = await gives_over(centre, visit, second)
    assert (call["agent"], call["ticket_ids"]) == ("agent1", ["1001"])
    assert heard(centre, call)[PITCH["agent1"]] > 0.5
    assert (centre.listener.state("agent2") or {})["consults"] is None


async def test_a_consultation_cancelled_from_the_screen_leaves_the_caller_with_the_agent(centre: Desk) -> None:
    visit, count = await talks_with_agent2(centre), known(centre, "agent1")
    await centre.granted("agent1", "pause", reason="tea")
    assert await centre.refused("agent2", "transfer", to="agent1", kind="blind") == "agent_paused"
    await centre.granted("agent2", "transfer", to="agent1", kind="attended")
    second = await (await visit.next("agent1", count)).answered()
    await sound(1.2)
    await centre.granted("agent2", "transfer", kind="cancel")
    await second.over()
    await centre.listener.becomes("agent1", "paused")
    assert (centre.listener.state("agent2") or {})["state"] == "talking"
    assert await centre.refused("agent2", "transfer", kind="cancel") == "no_transfer"
    await sound(1.0)
    await visit.placed.hang_up()
    await visit.stay.over()
    call = await visit.books()
    assert call["agent"] == "agent2"
    assert heard(centre, call)[PITCH["agent2"]] > 1.2


async def test_a_colleague_is_asked_again_as_soon_as_the_agent_is_back_with_the_caller(centre: Desk) -> None:
    visit = await talks_with_agent2(centre)
    for _ in range(3):
        count = known(centre, "agent1")
        await centre.granted("agent2", "transfer", to="agent1", kind="attended")
        asked = await (await visit.next("agent1", count)).answered()
        await centre.granted("agent2", "transfer", kind="cancel")
        await asked.over()
        await until(lambda: (centre.listener.state("agent2") or {})["consults"] is None, "the agent is back")
    await visit.placed.hang_up()
    await visit.stay.over()


# -- relink ------------------------------------------------------------------------------------------------------------


async def test_a_call_moves_with_its_recording_while_it_lasts_and_after_it_ended(centre: Desk) -> None:
    visit = await talks_with_agent2(centre)
    await centre.granted("agent2", "relink", call_id=visit.call, new=True)
    pop = centre.listener.pops("agent2", visit.call)[-1]
    new = pop["ticket"]["id"]
    assert (pop["state"], new != "1001") == ("answered", True)
    assert await centre.refused("agent1", "relink", call_id=visit.call, ticket_id="1001") == "not_your_call"
    await visit.placed.hang_up()
    await visit.stay.over()
    call = await visit.books()
    assert (call["ticket_ids"], call["recordings"][0]["ticket_ids"]) == ([new], [new])
    await centre.granted("agent2", "relink", call_id=visit.call, ticket_id="1002", contact_id="P2")
    moved = await visit.books()
    assert (moved["ticket_ids"], moved["recordings"][0]["ticket_ids"]) == (["1002"], ["1002"])
    assert (moved["contact_id"], moved["customer_id"]) == ("P2", "C2")
    assert centre.listener.pops("agent2", visit.call)[-1]["contact"]["name"] == "Liu Yang"
