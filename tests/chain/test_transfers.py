"""Transfers from the agent's key to the books: legs, talk, pops, one ticket, one recording with everybody's voice in it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from lab import tones
from lab.process import until
from lab.sipp import SipMessage, SippAgent, SippCall
from lab.site import Site
from tests.chain.centre import CHEN, CSV, PITCH, Centre, opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: How far the books may be from what SIP says: keys, prompts and answers take some hundredths each.
NEAR = 0.25
CUSTOMER = 440
#: Seconds of a voice that prove it is in the recording: who talked more than a second leaves this even on a busy machine.
VOICE = 0.5


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    site = Site(folder=tmp_path_factory.mktemp("site"), csv=CSV, ring_seconds=4)
    async with opened(site) as centre:
        yield centre


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Centre) -> Centre:
    await running.site.asterisk.cli("channel request hangup all")  # what a failed test left
    await running.tidy()
    return running


@dataclass(frozen=True, slots=True)
class Stay:
    """One phone's call, as SIP has it."""

    phone: SippAgent
    invite: SipMessage

    @property
    def _messages(self) -> list[SipMessage]:
        return [m for m in self.phone.messages if m.call_id == self.invite.call_id]

    @property
    def answered_at(self) -> float | None:
        return next((m.at for m in self._messages if m.sent and m.start.startswith("SIP/2.0 200")), None)

    @property
    def ended_at(self) -> float | None:
        """The BYE, or that the PBX took the transfer on: the phone's own BYE comes after it."""
        return next((m.at for m in self._messages if m.start.startswith(("BYE ", "SIP/2.0 202"))), None)

    @property
    def seconds(self) -> float:
        assert self.answered_at is not None
        assert self.ended_at is not None
        return self.ended_at - self.answered_at

    async def answered(self) -> "Stay":
        await until(lambda: self.answered_at, f"{self.phone.name} answers")
        return self

    async def over(self) -> "Stay":
        await until(lambda: self.ended_at, f"the call of {self.phone.name} is over")
        return self


class Visit:
    """Chen Jie's call, at the owner of her ticket: agent2."""

    def __init__(self, centre: Centre, placed: SippCall, pop: dict[str, Any], stay: Stay) -> None:
        self.centre, self.placed, self.stay = centre, placed, stay
        self.call: str = pop["call_id"]

    async def next(self, agent: str, known: int) -> Stay:
        """The stay of the agent whose phone had ``known`` calls before."""
        phone = self.centre.site.phones[agent]
        await until(lambda: len(phone.invites) > known, f"{agent}'s phone rings")
        return Stay(phone, phone.invites[-1])

    async def refers(self, to: str, more: str = "") -> None:
        """agent2's phone sends REFER, and hangs up when the PBX says that it is done, as phones do."""
        phone, invite = self.stay.phone, self.stay.invite
        await phone.transfer(invite, self.uri(to) + more)

        def done() -> bool:
            told = (m for m in phone.messages if m.call_id == invite.call_id and m.start.startswith("NOTIFY "))
            return any("terminated" in m.headers["subscription-state"] for m in told)

        await until(done, "the PBX says that the transfer is done")
        await phone.hang_up(invite)

    def uri(self, number: str) -> str:
        return f"sip:{number}@127.0.0.1:{self.centre.site.asterisk.sip_port}"

    async def books(self) -> dict[str, Any]:
        call = await self.centre.in_the_books(CHEN)
        assert call["id"] == self.call
        assert (call["direction"], call["dialled"], call["outcome"]) == ("inbound", "4001", "answered")
        return call


async def talks_with_agent2(centre: Centre, seconds: float = 1.2) -> Visit:
    placed, agent, pop = await centre.comes_in(CHEN)
    assert agent == "agent2"
    phone = centre.site.phones[agent]
    stay = await Stay(phone, phone.invites[-1]).answered()
    await centre.talks(agent, pop["call_id"])
    await sound(seconds)
    return Visit(centre, placed, pop, stay)


def known(centre: Centre, agent: str) -> int:
    return len(centre.site.phones[agent].invites)


def talk(call: dict[str, Any]) -> dict[str, float]:
    """Seconds of talk by party, of the legs that were answered."""
    found: dict[str, float] = {}
    for leg in call["legs"]:
        if leg["result"] == "answered":
            found[leg["party"]] = found.get(leg["party"], 0.0) + leg["talk_seconds"]
    return found


def heard(centre: Centre, call: dict[str, Any]) -> dict[int, float]:
    """Seconds of each party's tone in the call's one recording, which must be whole and hang on the call's one ticket."""
    [recording] = call["recordings"]
    [ticket] = call["ticket_ids"]
    assert recording["state"] == "complete"
    assert recording["ticket_ids"] == [ticket]
    file = centre.site.asterisk.monitor_dir / recording["path"]
    assert recording["seconds"] == pytest.approx(tones.seconds(file), abs=0.01)
    return {hertz: tones.seconds_of(file, hertz) for hertz in (CUSTOMER, *PITCH.values())}


def one_ticket(centre: Centre, call: str, *agents: str) -> None:
    """Each of these screens was shown the same ticket, from its ringing on."""
    shown = {pop["ticket"]["id"] for agent in agents for pop in centre.listener.pops(agent, call)}
    assert shown == {"1001"}
    for agent in agents:
        assert centre.states(agent, call) == ["ringing", "answered", "ended"], agent


def talked_today(centre: Centre) -> dict[str, float]:
    return {a: (centre.listener.state(a) or {})["talk_seconds_today"] for a in centre.agents}


async def given_over(centre: Centre, visit: Visit, second: Stay, before: dict[str, float]) -> None:
    """agent2 gave the caller to agent1, who talks with them until the caller hangs up."""
    await visit.stay.over()
    await centre.listener.becomes("agent2", "idle")
    await centre.listener.becomes("agent1", "talking")
    await sound(1.2)
    await visit.placed.hang_up()
    await second.over()
    await centre.listener.becomes("agent1", "idle")
    call = await visit.books()
    assert call["agent"] == "agent1"
    assert talk(call)["agent2"] == pytest.approx(visit.stay.seconds, abs=NEAR)
    assert talk(call)["agent1"] == pytest.approx(second.seconds, abs=NEAR)
    gained = {agent: seconds - before[agent] for agent, seconds in talked_today(centre).items()}
    assert gained["agent2"] == pytest.approx(visit.stay.seconds, abs=NEAR)
    assert gained["agent1"] == pytest.approx(second.seconds, abs=NEAR)
    one_ticket(centre, visit.call, "agent2", "agent1")
    tone = heard(centre, call)
    assert tone[PITCH["agent2"]] > VOICE
    assert tone[PITCH["agent1"]] > VOICE
    assert tone[CUSTOMER] > 1.8


async def test_a_blind_transfer_by_refer(centre: Centre) -> None:
    before = talked_today(centre)
    visit, count = await talks_with_agent2(centre), known(centre, "agent1")
    await visit.refers("agent1")
    second = await (await visit.next("agent1", count)).answered()
    await given_over(centre, visit, second, before)


async def test_a_blind_transfer_by_feature_code(centre: Centre) -> None:
    before = talked_today(centre)
    visit, count = await talks_with_agent2(centre), known(centre, "agent1")
    await visit.stay.phone.press(visit.stay.invite, "*1")
    await asyncio.sleep(0.3)  # the PBX begins to listen for the number
    await visit.stay.phone.press(visit.stay.invite, "881")
    second = await (await visit.next("agent1", count)).answered()
    await given_over(centre, visit, second, before)


async def consults(centre: Centre, visit: Visit, number: str = "881") -> None:
    """agent2 presses the keys of an attended transfer."""
    await visit.stay.phone.press(visit.stay.invite, "*2")
    await asyncio.sleep(0.3)
    await visit.stay.phone.press(visit.stay.invite, number)


async def test_an_attended_transfer_by_feature_code_completed_by_hanging_up(centre: Centre) -> None:
    before = talked_today(centre)
    visit, count = await talks_with_agent2(centre), known(centre, "agent1")
    await consults(centre, visit)
    second = await (await visit.next("agent1", count)).answered()
    await sound(0.8)
    await visit.stay.phone.hang_up(visit.stay.invite)
    await given_over(centre, visit, second, before)


async def test_a_blonde_transfer_whose_target_answers(centre: Centre) -> None:
    await centre.site.phones["agent1"].behave("answer", ring=1.0)
    before = talked_today(centre)
    visit, count = await talks_with_agent2(centre), known(centre, "agent1")
    await consults(centre, visit)
    second = await visit.next("agent1", count)
    await sound(0.3)
    await visit.stay.phone.hang_up(visit.stay.invite)
    await second.answered()
    await given_over(centre, visit, second, before)


async def test_an_attended_transfer_by_refer_with_replaces_gives_the_colleague_the_ticket(centre: Centre) -> None:
    """The phone makes a second call of its own, which turns out to be part of the customer's."""
    before = talked_today(centre)
    visit, count = await talks_with_agent2(centre), known(centre, "agent1")
    await visit.stay.phone.hold(visit.stay.invite)
    async with centre.site.call("agent2", "agent1", tone=PITCH["agent2"]) as consultation:
        second = await (await visit.next("agent1", count)).answered()
        await sound(0.8)
        await visit.refers("agent1", f"?{await consultation.replaces()}")
        await consultation.ended()
    shown = await centre.listener.popped("agent1", "answered", visit.call)
    assert shown["ticket"]["id"] == "1001"
    await centre.listener.becomes("agent2", "idle")
    with_customer = visit.stay.ended_at or 0.0
    await sound(1.2)
    await visit.placed.hang_up()
    await second.over()
    call = await visit.books()
    [merged] = [c for c in await centre.site.calls("agent2") if c["merged_into"] == visit.call]
    assert (merged["outcome"], merged["direction"], merged["legs"]) == ("merged", "internal", [])
    legs = [(leg["party"], leg["result"]) for leg in call["legs"]]
    assert sorted(legs) == [("agent1", "answered"), ("agent2", "answered"), ("agent2", "answered")]
    assert call["agent"] == "agent1"
    assert talk(call)["agent1"] == pytest.approx(second.seconds, abs=NEAR)
    gained = {agent: seconds - before[agent] for agent, seconds in talked_today(centre).items()}
    assert gained["agent2"] == pytest.approx(visit.stay.seconds, abs=NEAR), "hold is talk, and nothing counts twice"
    assert gained["agent1"] == pytest.approx((second.ended_at or 0.0) - with_customer, abs=NEAR)
    assert centre.states("agent1", visit.call) == ["answered", "ended"]
    tone = heard(centre, call)
    assert min(tone[PITCH["agent1"]], tone[PITCH["agent2"]]) > VOICE
    assert tone[CUSTOMER] > 1.8


async def test_a_consultation_that_is_given_up_leaves_the_caller_with_the_agent(centre: Centre) -> None:
    visit, count = await talks_with_agent2(centre), known(centre, "agent1")
    await consults(centre, visit)
    second = await (await visit.next("agent1", count)).answered()
    await sound(0.8)
    await visit.stay.phone.press(visit.stay.invite, "*1")
    await second.over()
    await centre.listener.becomes("agent1", "idle")
    assert (centre.listener.state("agent2") or {})["state"] == "talking"
    await sound(1.0)
    await visit.placed.hang_up()
    await visit.stay.over()
    call = await visit.books()
    assert call["agent"] == "agent2"
    assert talk(call) == {
        "agent1": pytest.approx(second.seconds, abs=NEAR),
        "agent2": pytest.approx(visit.stay.seconds, abs=NEAR),
    }
    one_ticket(centre, visit.call, "agent2", "agent1")
    tone = heard(centre, call)
    assert tone[PITCH["agent2"]] > 1.5, "before and after"
    assert tone[PITCH["agent1"]] < 0.2, "the customer does not hear what the two say"


async def test_a_busy_colleague_leaves_the_caller_with_the_agent(centre: Centre) -> None:
    await centre.site.phones["agent1"].behave("busy")
    visit, count = await talks_with_agent2(centre), known(centre, "agent1")
    await consults(centre, visit)
    await visit.next("agent1", count)
    await sound(2.5)  # the PBX tells the agent so, and gives the caller back
    await visit.placed.hang_up()
    await visit.stay.over()
    call = await visit.books()
    assert sorted((leg["party"], leg["result"]) for leg in call["legs"]) == [("agent1", "busy"), ("agent2", "answered")]
    assert talk(call)["agent2"] == pytest.approx(visit.stay.seconds, abs=NEAR)
    assert call["agent"] == "agent2"
    assert heard(centre, call)[PITCH["agent2"]] > 0.9


async def test_a_blonde_transfer_nobody_answers_comes_back_to_the_agent(centre: Centre) -> None:
    await centre.site.phones["agent1"].behave("never")
    visit, count = await talks_with_agent2(centre), known(centre, "agent1")
    await consults(centre, visit)
    await visit.next("agent1", count)
    mine = known(centre, "agent2")
    await visit.stay.phone.hang_up(visit.stay.invite)
    again = await (await visit.next("agent2", mine)).answered()
    await sound(1.2)
    await visit.placed.hang_up()
    await again.over()
    call = await visit.books()
    assert [(leg["party"], leg["result"]) for leg in call["legs"]] == [
        ("agent2", "answered"),
        ("agent1", "cancelled"),  # the PBX took the call back from that phone
        ("agent2", "answered"),
    ]
    assert talk(call)["agent2"] == pytest.approx(visit.stay.seconds + again.seconds, abs=NEAR)
    assert {pop["ticket"]["id"] for pop in centre.listener.pops("agent2", visit.call)} == {"1001"}
    assert heard(centre, call)[PITCH["agent2"]] > 1.4


async def test_three_talk_together_and_the_first_agent_leaves(centre: Centre) -> None:
    before = talked_today(centre)
    visit, count = await talks_with_agent2(centre), known(centre, "agent1")
    await consults(centre, visit)
    second = await (await visit.next("agent1", count)).answered()
    await sound(0.6)
    await visit.stay.phone.press(visit.stay.invite, "*3")
    await sound(1.2)
    await visit.stay.phone.hang_up(visit.stay.invite)
    await given_over(centre, visit, second, before)


async def test_a_caller_sent_back_to_the_service_number_waits_and_is_routed_anew(centre: Centre) -> None:
    visit = await talks_with_agent2(centre)
    await centre.listener.command("agent2", "pause", reason="lunch")
    before = centre.invites()
    await visit.refers("4001")
    agent = await centre.rung(before)
    second = await Stay(centre.site.phones[agent], centre.site.phones[agent].invites[-1]).answered()
    await centre.listener.becomes("agent2", "paused")
    await sound(1.2)
    await visit.placed.hang_up()
    await second.over()
    call = await visit.books()
    assert [decision["chosen"] for decision in call["decisions"]] == ["agent2", agent]
    # The caller may be held again before the BYE of the phone that sent them has arrived.
    assert call["decisions"][1]["owner_skipped"] in ("paused", "talking")
    assert talk(call)["agent2"] == pytest.approx(visit.stay.seconds, abs=NEAR)
    assert talk(call)[agent] == pytest.approx(second.seconds, abs=NEAR)
    one_ticket(centre, visit.call, "agent2", agent)
    assert min(heard(centre, call)[PITCH[each]] for each in ("agent2", agent)) > VOICE


@pytest.mark.parametrize("way", ["blind", "attended"])
async def test_a_customer_an_agent_called_is_given_to_a_colleague(centre: Centre, way: str) -> None:
    site, customer = centre.site, f"0215569100{len(way)}"
    async with (
        SippAgent(site.folder / "sipp", "customer", site.asterisk.trunk_port, tone=1600) as outside,
        site.call("agent1", f"9{customer}", tone=PITCH["agent1"]) as placed,
    ):
        theirs = await Stay(outside, await outside.rings()).answered()
        count = known(centre, "agent3")
        await sound(1.2)
        if way == "blind":
            await placed.transfer(f"sip:agent3@127.0.0.1:{site.asterisk.sip_port}")
        else:
            await placed.press("*2")
            await asyncio.sleep(0.3)
            await placed.press("883")
        phone = site.phones["agent3"]
        await until(lambda: len(phone.invites) > count, "agent3's phone rings")
        second = await Stay(phone, phone.invites[-1]).answered()
        await placed.hang_up()
        await sound(1.2)
        await outside.hang_up(theirs.invite)
        await second.over()
    call = await centre.in_the_books("agent1")
    assert (call["direction"], call["dialled"], call["outcome"], call["agent"]) == (
        "outbound",
        customer,
        "answered",
        "agent3",
    )
    assert set(talk(call)) == {"agent1", "agent3", customer}
    assert talk(call)["agent3"] == pytest.approx(second.seconds, abs=NEAR)
    [recording] = call["recordings"]
    assert recording["state"] == "complete"
    file = site.asterisk.monitor_dir / recording["path"]
    assert tones.seconds_of(file, 1600) > 1.8
    assert min(tones.seconds_of(file, PITCH[agent]) for agent in ("agent1", "agent3")) > VOICE


async def test_who_consults_the_service_number_is_routed_to_a_colleague_and_gives_the_caller_over(
    centre: Centre,
) -> None:
    visit, before = await talks_with_agent2(centre), centre.invites()
    await consults(centre, visit, "4001")
    agent = await centre.rung(before)
    second = await Stay(centre.site.phones[agent], centre.site.phones[agent].invites[-1]).answered()
    await sound(0.8)
    await visit.stay.phone.hang_up(visit.stay.invite)
    await sound(1.2)
    await visit.placed.hang_up()
    await second.over()
    call = await visit.books()
    assert [leg["party"] for leg in call["legs"]] == ["agent2", agent]
    assert [decision["chosen"] for decision in call["decisions"]] == ["agent2", agent]
    assert talk(call)[agent] == pytest.approx(second.seconds, abs=NEAR)
    one_ticket(centre, visit.call, "agent2", agent)
    assert {r["state"] for r in call["recordings"]} == {"complete"}
    of_caller = next(r for r in call["recordings"] if r["id"].endswith(visit.call))
    file = centre.site.asterisk.monitor_dir / of_caller["path"]
    assert min(tones.seconds_of(file, PITCH[each]) for each in ("agent2", agent)) > VOICE


async def test_an_attended_transfer_to_an_outside_number(centre: Centre) -> None:
    site = centre.site
    async with SippAgent(site.folder / "sipp", "outside", site.asterisk.trunk_port, tone=1600) as outside:
        visit = await talks_with_agent2(centre)
        await consults(centre, visit, "902155699999")
        theirs = await Stay(outside, await outside.rings(limit=15)).answered()
        await sound(0.8)
        await visit.stay.phone.hang_up(visit.stay.invite)
        await sound(1.2)
        await visit.placed.hang_up()
        await theirs.over()
        call = await visit.books()
        assert [leg["party"] for leg in call["legs"]] == ["agent2", "02155699999"]
        assert talk(call) == {
            "agent2": pytest.approx(visit.stay.seconds, abs=NEAR),
            "02155699999": pytest.approx(theirs.seconds, abs=NEAR),
        }
    assert {r["state"] for r in call["recordings"]} == {"complete"}, "the outside party's own channel is recorded, too"
    of_caller = next(r for r in call["recordings"] if r["id"].endswith(visit.call))
    file = site.asterisk.monitor_dir / of_caller["path"]
    assert tones.seconds_of(file, 1600) > VOICE
