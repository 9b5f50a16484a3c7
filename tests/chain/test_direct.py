"""Every call on the PBX is a call, also one that ctid did not route: agents' own calls, their own numbers, groups, queues,
menus, forwarding, pick-up, parking. SIP says what happened; the books, the screens and the accounts must agree."""

import json
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from lab import tones
from lab.process import until
from lab.sipp import Behaviour, SippAgent
from lab.site import Site
from tests.chain.centre import CHEN, CSV, Centre, opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: What the lab's dialplan has beside ctid's: agent1's own number, the group, a queue of the site's, a menu, voicemail.
OWN_NUMBER, GROUP, QUEUE, MENU, VOICEMAIL = "8801", "8810", "8811", "8820", "8821"
#: What agents key: any ringing call, that of agent1, to park, the first place.
PICK_UP, PICK_UP_AGENT1, PARK, FIRST_PLACE = "*8", "*81", "700", "701"


class Bystander:
    """What came to the books since it was made."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._known = set(self._shown())
        self._talked = {agent: centre.listener.state(agent) or {} for agent in centre.agents}

    def _shown(self) -> dict[str, dict[str, Any]]:
        topics = ((heard.topic.split("/"), heard.payload) for heard in self._centre.listener.heard)
        return {topic[3]: payload for topic, payload in topics if topic[2] == "calls" and len(topic) == 4}

    def states(self, agent: str) -> list[str]:
        """The agent's states since then, repeated ones once."""
        topic = f"ctid/v1/agents/{agent}/state"
        began = self._talked[agent]
        told = [h.payload for h in self._centre.listener.heard if h.topic == topic]
        new = told[next((i for i, each in enumerate(told) if each is began), -1) + 1 :]
        return [each["state"] for i, each in enumerate(new) if not i or new[i - 1]["state"] != each["state"]]

    async def calls(self, count: int = 1) -> list[dict[str, Any]]:
        """The calls begun since then, once all have ended and their recordings are measured; the oldest first."""

        def look() -> list[dict[str, Any]] | None:
            new = [call for key, call in self._shown().items() if key not in self._known]
            over = all(c["outcome"] and not any(r["state"] == "recording" for r in c["recordings"]) for c in new)
            return sorted(new, key=lambda c: str(c["started_at"])) if over and len(new) == count else None

        calls = await until(look, f"{count} calls are over", limit=15)
        for agent in self._centre.agents:
            await self._centre.listener.becomes(agent, "idle")
        return calls

    async def call(self) -> dict[str, Any]:
        [call] = await self.calls()
        return call

    def talk(self, agent: str) -> float:
        """By how much the agent's account has grown."""
        now = self._centre.listener.state(agent) or {}
        return float(now["talk_seconds_today"]) - float(self._talked[agent]["talk_seconds_today"])


def gist(call: dict[str, Any]) -> tuple[str, str, str, str | None]:
    return call["direction"], call["via"], call["outcome"], call["agent"]


def legs(call: dict[str, Any]) -> dict[str, str]:
    return {leg["party"]: leg["result"] for leg in call["legs"]}


def leg_of(call: dict[str, Any], party: str) -> dict[str, Any]:
    [leg] = [leg for leg in call["legs"] if leg["party"] == party]
    return leg


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    more = "round_pause_seconds = 1\ncool_down_seconds = 0\nmissed_in_a_row = 0"
    async with opened(Site(folder=tmp_path_factory.mktemp("site"), csv=CSV, ring_seconds=5, routing=more)) as centre:
        yield centre


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Centre) -> Centre:
    await running.tidy()
    return running


@pytest_asyncio.fixture(loop_scope="module")
async def bystander(centre: Centre) -> Bystander:
    return Bystander(centre)


def customer(centre: Centre, behaviour: Behaviour = "answer") -> SippAgent:
    """Whoever an agent calls through the trunk."""
    site = centre.site
    return SippAgent(site.folder / "sipp", "customer", site.asterisk.trunk_port, behaviour, tone=1600)


def address(centre: Centre, extension: str) -> str:
    return f"sip:{extension}@127.0.0.1:{centre.site.asterisk.sip_port}"


async def only_agent1_takes_calls(centre: Centre) -> None:
    for agent in centre.agents[1:]:
        await centre.listener.command(agent, "pause", reason="meeting")


# -- calls agents make -------------------------------------------------------------------------------------------------


async def test_an_outgoing_call_is_recorded_and_hangs_on_the_dialled_contacts_ticket(
    centre: Centre, bystander: Bystander
) -> None:
    async with customer(centre) as theirs, centre.site.call("agent2", f"9{CHEN}") as placed:
        await theirs.rings()
        await centre.listener.becomes("agent2", "talking")
        await sound(1.5)
        await placed.hang_up()
    call = await bystander.call()
    assert gist(call) == ("outbound", "direct", "answered", "agent2")
    assert (call["dialled"], call["contact_id"], call["customer_id"]) == (CHEN, "P1", "C1")
    assert legs(call) == {"agent2": "answered", CHEN: "answered"}
    assert call["ticket_ids"] == ["1001"]
    [recording] = call["recordings"]
    assert (recording["state"], recording["ticket_ids"]) == ("complete", ["1001"])
    talked = leg_of(call, "agent2")["talk_seconds"]
    assert recording["seconds"] == pytest.approx(talked, abs=0.5)
    assert bystander.talk("agent2") == pytest.approx(talked, abs=0.01)
    assert bystander.states("agent2")[-2:] == ["talking", "idle"]


async def test_an_outgoing_call_to_a_contact_whose_ticket_is_a_colleagues_opens_a_new_one(
    centre: Centre, bystander: Bystander
) -> None:
    async with customer(centre), centre.site.call("agent1", f"9{CHEN}") as placed:
        await centre.listener.becomes("agent1", "talking")
        await sound(0.5)
        await placed.hang_up()
    call = await bystander.call()
    [opened_for_it] = call["ticket_ids"]
    assert opened_for_it != "1001"
    assert call["contact_id"] == "P1"
    tickets = await centre.site.ctid("tickets")
    assert re.search(rf"{opened_for_it}\b.*Call to Chen Jie", tickets), tickets


async def test_an_outgoing_call_to_a_stranger_opens_a_ticket(centre: Centre, bystander: Bystander) -> None:
    async with customer(centre), centre.site.call("agent1", "902155600001") as placed:
        await centre.listener.becomes("agent1", "talking")
        await sound(0.5)
        await placed.hang_up()
    call = await bystander.call()
    assert (call["contact_id"], len(call["ticket_ids"])) == (None, 1)


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [("busy", "busy"), ("reject", "rejected"), ("unavailable", "no_answer"), ("failing", "failed")],
)
async def test_a_customer_who_does_not_answer_leaves_no_recording_and_no_ticket(
    centre: Centre, bystander: Bystander, behaviour: Behaviour, outcome: str
) -> None:
    async with customer(centre, behaviour), centre.site.call("agent1", "902155600002") as placed:
        await placed.ended()
    call = await bystander.call()
    assert gist(call) == ("outbound", "direct", outcome, None)
    assert legs(call)["02155600002"] == outcome
    assert (call["recordings"], call["ticket_ids"], call["answered_at"]) == ([], [], None)
    assert bystander.talk("agent1") == 0


async def test_an_agent_who_gives_up_calling_leaves_an_abandoned_call(centre: Centre, bystander: Bystander) -> None:
    async with customer(centre, "never") as theirs, centre.site.call("agent1", "902155600003") as placed:
        await theirs.rings()
        await placed.give_up()
    call = await bystander.call()
    assert gist(call) == ("outbound", "direct", "abandoned", None)
    assert (call["recordings"], call["ticket_ids"]) == ([], [])


async def test_a_call_straight_to_the_trunk_counts_as_talk_but_is_not_recorded(
    centre: Centre, bystander: Bystander
) -> None:
    async with customer(centre), centre.site.call("agent1", "602155600004") as placed:
        await centre.listener.becomes("agent1", "talking")
        await sound(0.5)
        await placed.hang_up()
    call = await bystander.call()
    assert gist(call) == ("outbound", "direct", "answered", "agent1")
    assert legs(call) == {"agent1": "answered", "02155600004": "answered"}
    assert (call["recordings"], call["ticket_ids"]) == ([], [])
    assert bystander.talk("agent1") == pytest.approx(leg_of(call, "agent1")["talk_seconds"], abs=0.01)


@pytest.mark.parametrize("dialled", ["agent2", "801", "802", "805"], ids=["phone", "local", "optimised", "two locals"])
async def test_a_colleagues_call_shows_in_state_but_not_in_the_account(
    centre: Centre, bystander: Bystander, dialled: str
) -> None:
    async with centre.site.call("agent1", dialled) as placed:
        await centre.listener.becomes("agent2", "talking")
        await centre.listener.becomes("agent1", "talking")
        await sound(0.5)
        await placed.hang_up()
    call = await bystander.call()
    assert gist(call)[:3] == ("internal", "direct", "answered")
    assert legs(call) == {"agent1": "answered", "agent2": "answered"}
    for agent in ("agent1", "agent2"):
        assert leg_of(call, agent)["talk_seconds"] > 0.3
        assert bystander.talk(agent) == 0
        assert bystander.states(agent)[-2:] == ["talking", "idle"]
    assert (call["recordings"], call["ticket_ids"]) == ([], [])


async def test_an_agent_who_calls_the_service_number_is_a_caller_and_not_a_customer(
    centre: Centre, bystander: Bystander
) -> None:
    before = centre.invites()
    async with centre.site.call("agent1", "4001") as placed:
        taker = await centre.rung(before)
        await centre.listener.becomes(taker, "talking")
        await sound(0.5)
        await placed.hang_up()
    call = await bystander.call()
    assert taker != "agent1"
    assert gist(call) == ("inbound", "ctid", "answered", taker)
    assert legs(call) == {taker: "answered"}
    assert bystander.talk(taker) == 0


# -- calls past ctid ---------------------------------------------------------------------------------------------------


async def test_a_call_to_an_agents_own_number_is_a_customers_call_that_ctid_did_not_route(
    centre: Centre, bystander: Bystander
) -> None:
    async with centre.site.call(CHEN, OWN_NUMBER) as placed:
        await centre.listener.becomes("agent1", "talking")
        await sound(0.5)
        await placed.hang_up()
    call = await bystander.call()
    assert centre.states("agent1", call["id"]) == ["ringing", "answered", "ended"]
    assert centre.listener.pops("agent1", call["id"])[-1]["contact"]["name"] == "Chen Jie"
    assert gist(call) == ("inbound", "direct", "answered", "agent1")
    assert (call["dialled"], call["contact_id"], call["line"]) == (OWN_NUMBER, "P1", None)
    assert (call["recordings"], call["ticket_ids"], call["decisions"]) == ([], [], [])
    assert bystander.talk("agent1") == pytest.approx(leg_of(call, "agent1")["talk_seconds"], abs=0.01)


@pytest.mark.parametrize(
    ("behaviour", "outcome", "result"),
    [
        ("busy", "busy", "busy"),
        ("reject", "rejected", "rejected"),
        ("gone", "failed", "unreachable"),
        ("failing", "failed", "failed"),
        ("never", "no_answer", "no_answer"),
    ],
)
async def test_an_agents_own_number_that_nobody_answers_says_why(
    centre: Centre, bystander: Bystander, behaviour: Behaviour, outcome: str, result: str
) -> None:
    await centre.site.phones["agent1"].behave(behaviour)
    async with centre.site.call("02155600005", OWN_NUMBER) as placed:
        await placed.ended()
    call = await bystander.call()
    assert gist(call) == ("inbound", "direct", outcome, None)
    assert legs(call) == {"agent1": result}


async def test_a_caller_who_gives_up_at_an_agents_own_number_is_abandoned(centre: Centre, bystander: Bystander) -> None:
    await centre.site.phones["agent1"].behave("never")
    async with centre.site.call("02155600006", OWN_NUMBER) as placed:
        await centre.listener.becomes("agent1", "ringing")
        await placed.give_up()
    call = await bystander.call()
    assert gist(call) == ("inbound", "direct", "abandoned", None)
    assert legs(call) == {"agent1": "cancelled"}
    assert bystander.states("agent1") == ["ringing", "idle"]


@pytest.mark.parametrize("dialled", [GROUP, QUEUE])
async def test_of_a_group_that_rings_together_one_answers_and_the_others_are_cancelled(
    centre: Centre, bystander: Bystander, dialled: str
) -> None:
    await centre.site.phones["agent1"].behave("answer", ring=1)
    await centre.site.phones["agent2"].behave("never")
    await centre.site.phones["agent3"].behave("busy")
    async with centre.site.call("02155600007", dialled) as placed:
        await centre.listener.becomes("agent2", "ringing")
        await centre.listener.becomes("agent1", "talking")
        await sound(0.5)
        await placed.hang_up()
    call = await bystander.call()
    assert gist(call) == ("inbound", "direct", "answered", "agent1")
    assert legs(call) == {"agent1": "answered", "agent2": "cancelled", "agent3": "busy"}
    assert [leg["talk_seconds"] > 0 for leg in call["legs"]].count(True) == 1
    assert bystander.states("agent2") == ["ringing", "idle"]
    assert [bystander.talk(agent) > 0 for agent in centre.agents] == [True, False, False]
    await centre.site.phones["agent1"].behave("answer", ring=0.2)


@pytest.mark.parametrize(("dialled", "seconds"), [(MENU, 0.3), (VOICEMAIL, 1.5)])
async def test_a_call_the_pbx_itself_answers_is_answered_by_nobody(
    centre: Centre, bystander: Bystander, dialled: str, seconds: float
) -> None:
    async with centre.site.call("02155600008", dialled) as placed:
        await placed.answered()
        await sound(seconds)
        await placed.hang_up()
    call = await bystander.call()
    assert gist(call) == ("inbound", "direct", "answered", None)
    assert call["started_at"] <= call["answered_at"] <= call["ended_at"]
    assert (call["legs"], call["recordings"], call["ticket_ids"]) == ([], [], [])


# -- forwarded, picked up, parked --------------------------------------------------------------------------------------


async def test_a_phone_that_forwards_gives_the_call_to_who_answers_there(centre: Centre, bystander: Bystander) -> None:
    await only_agent1_takes_calls(centre)
    await centre.site.phones["agent1"].behave("forward", forward_to=address(centre, "agent2"))
    async with centre.site.call("02155600010") as placed:
        await centre.listener.popped("agent2", "ringing")
        await centre.listener.becomes("agent2", "talking")
        await until(lambda: any(c["ticket_ids"] for c in centre.shown("02155600010")), "it has a ticket")
        await placed.hang_up()
        await centre.all_idle()
    call = await bystander.call()
    assert gist(call) == ("inbound", "ctid", "answered", "agent2")
    assert legs(call) == {"agent1": "cancelled", "agent2": "answered"}
    assert [d["chosen"] for d in call["decisions"]] == ["agent1"]
    assert [r["ticket_ids"] for r in call["recordings"]] == [call["ticket_ids"]]
    assert (bystander.talk("agent1"), bystander.talk("agent2") > 0) == (0, True)


async def test_a_phone_that_forwards_to_nobody_is_not_rung_over_and_over(centre: Centre, bystander: Bystander) -> None:
    await only_agent1_takes_calls(centre)
    await centre.site.phones["agent1"].behave("forward", forward_to=address(centre, "agent2"))
    await centre.site.phones["agent2"].behave("busy")
    before = centre.invites()
    async with centre.site.call("02155600011") as placed:
        await until(lambda: centre.invites()["agent2"] >= before["agent2"] + 2, "it was tried in two rounds")
        await placed.hang_up()
        await centre.all_idle()
    call = await bystander.call()
    assert gist(call)[:3] == ("inbound", "ctid", "abandoned")
    times = [d["at"] for d in call["decisions"]]
    seconds = [float(at[17:-1]) + 60 * int(at[14:16]) for at in times]
    assert all((later - earlier) % 3600 >= 1 for earlier, later in pairwise(seconds)), times


async def test_a_phone_that_forwards_outside_leaves_one_recording(centre: Centre, bystander: Bystander) -> None:
    await only_agent1_takes_calls(centre)
    await centre.site.phones["agent1"].behave("forward", forward_to=address(centre, "902155600012"))
    async with customer(centre) as theirs, centre.site.call("02155600013") as placed:
        await theirs.rings()
        await until(lambda: any(c["answered_at"] for c in centre.shown("02155600013")), "it is answered")
        await sound(1)
        await placed.hang_up()
        await centre.all_idle()
        call = await bystander.call()
    assert gist(call) == ("inbound", "ctid", "answered", None)
    assert (call["line"], call["dialled"]) == ("service", "4001")
    assert legs(call) == {"agent1": "cancelled", "02155600012": "answered"}
    [recording] = call["recordings"]
    assert recording["state"] == "complete"


@pytest.mark.parametrize("keys", [PICK_UP, PICK_UP_AGENT1])
async def test_a_colleague_who_picks_the_call_up_has_answered_it(
    centre: Centre, bystander: Bystander, keys: str
) -> None:
    await only_agent1_takes_calls(centre)
    await centre.site.phones["agent1"].behave("never")
    async with centre.site.call(CHEN) as placed:
        await centre.listener.becomes("agent1", "ringing")
        async with centre.site.call("agent2", keys, tone=1200) as picking:
            pop = await centre.listener.popped("agent2", "answered", centre.shown(CHEN)[-1]["id"])
            await until(lambda: centre.shown(CHEN)[-1]["ticket_ids"], "it has a ticket")
            await sound(1.2)
            await placed.hang_up()
            await picking.ended()
        await centre.all_idle()
    call, pick = await bystander.calls(2)
    assert pop["contact"]["name"] == "Chen Jie"
    assert gist(call) == ("inbound", "ctid", "answered", "agent2")
    assert legs(call) == {"agent1": "cancelled", "agent2": "answered"}
    assert (pick["direction"], pick["outcome"], pick["merged_into"]) == ("internal", "merged", call["id"])
    assert call["ticket_ids"] == ["1001"]
    books = await centre.in_the_books(CHEN)
    [recording] = books["recordings"]
    file = centre.site.asterisk.monitor_dir / recording["path"]
    assert recording["state"] == "complete"
    assert tones.seconds_of(file, 440) > 0.8
    assert tones.seconds_of(file, 1200) > 0.8, "who picked it up"
    assert (bystander.talk("agent1"), bystander.talk("agent2") > 1) == (0, True)
    assert bystander.states("agent1")[-2:] == ["ringing", "idle"]


async def test_a_call_parked_and_fetched_is_one_call_with_both_agents(centre: Centre, bystander: Bystander) -> None:
    await only_agent1_takes_calls(centre)
    placed, agent, _ = await centre.comes_in(CHEN)
    async with placed:
        await centre.listener.becomes(agent, "talking")
        await sound(0.5)
        phone = centre.site.phones["agent1"]
        await phone.transfer(phone.invites[-1], address(centre, PARK))
        await centre.listener.becomes("agent1", "idle")
        async with centre.site.call("agent2", FIRST_PLACE) as fetching:
            pop = await centre.listener.popped("agent2", "answered", centre.shown(CHEN)[-1]["id"])
            await sound(0.5)
            await placed.hang_up()
            await fetching.ended()
        await centre.all_idle()
    call, fetch = await bystander.calls(2)
    assert pop["ticket"]["id"] == call["ticket_ids"][0]
    assert gist(call) == ("inbound", "ctid", "answered", "agent2")
    assert legs(call) == {"agent1": "answered", "agent2": "answered"}
    assert (fetch["outcome"], fetch["merged_into"]) == ("merged", call["id"])
    assert [r["state"] for r in call["recordings"]] == ["complete"]
    for name in ("agent1", "agent2"):
        assert bystander.talk(name) == pytest.approx(leg_of(call, name)["talk_seconds"], abs=0.01)
        assert bystander.talk(name) > 0.3


async def test_a_parked_caller_who_hangs_up_was_answered_all_the_same(centre: Centre, bystander: Bystander) -> None:
    async with centre.site.call("02155600014", OWN_NUMBER) as placed:
        await centre.listener.becomes("agent1", "talking")
        phone = centre.site.phones["agent1"]
        await phone.transfer(phone.invites[-1], address(centre, PARK))
        await centre.listener.becomes("agent1", "idle")
        await placed.hang_up()
    call = await bystander.call()
    assert gist(call) == ("inbound", "direct", "answered", "agent1")
    assert legs(call) == {"agent1": "answered"}


async def test_ctid_itself_warned_of_nothing(centre: Centre) -> None:
    assert centre.site.daemon is not None
    lines = centre.site.daemon.output.read_text().splitlines()
    said = [json.loads(line) for line in lines if '"level":"warning"' in line or '"level":"error"' in line]
    # Who hangs up at once has said nothing, and that is told.
    assert [line for line in said if line.get("fault") != "only a header, no sound"] == []
