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

    async def refers(self, to: str) -> None:
        """agent2's phone sends REFER, and hangs up when the PBX has taken it on, as phones do."""
        await self.stay.phone.transfer(self.stay.invite, self.uri(to))
        await self.stay.phone.hang_up(self.stay.invite)

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
    assert tone[PITCH["agent2"]] > 0.7
    assert tone[PITCH["agent1"]] > 0.7
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
