"""Each outcome, way, rule and leg result there is, made by real calls and read from ``ctid calls --json``.

Law: a member of one of these that no case makes fails the last test; so a new one comes with its call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from ctid.domain.types import LegResult, Outcome, Rule, Via
from lab.process import until
from lab.sipp import Behaviour, SippAgent
from lab.site import Site
from tests.chain.centre import CHEN, CSV, Centre, opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICE, IMPATIENT, CLOSED, OWN_NUMBER = "4001", "4002", "4004", "8801"


def lines() -> str:
    another_day = (datetime.now(ZoneInfo("Asia/Shanghai")) + timedelta(days=3)).strftime("%a")
    return f"""
[[lines]]
name = "service"
numbers = ["{SERVICE}"]
agents = "all"
[[lines]]
name = "impatient"
numbers = ["{IMPATIENT}"]
agents = "all"
longest_wait_seconds = 1
[[lines]]
name = "closed"
numbers = ["{CLOSED}"]
agents = "all"
hours = "{another_day} 10:00-10:01"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a scene's call must be in the books; ``number`` is the party by whom it is found there."""

    scene: Callable[[Centre, str], Awaitable[None]]
    number: str
    outcome: Outcome
    via: Via
    results: tuple[LegResult, ...] = ()
    rules: tuple[Rule, ...] = field(default=())


# -- the scenes --------------------------------------------------------------------------------------------------------


async def served(centre: Centre, number: str) -> None:
    await centre.one_call(number)


async def gives_up_while_it_rings(centre: Centre, number: str) -> None:
    for phone in centre.site.phones.values():
        await phone.behave("never")
    placed, _, _ = await centre.comes_in(number)
    async with placed:
        await placed.hang_up()


async def second_agent_answers(centre: Centre, number: str) -> None:
    first = centre.least_talk()
    await centre.site.phones[first].behave("never")
    async with centre.site.call(number) as placed:
        await until(lambda: centre.shown(number) and centre.shown(number)[-1]["answered_at"], "another one answers")
        await placed.hang_up()


async def waits_too_long(centre: Centre, number: str) -> None:
    for agent in centre.agents:
        await centre.listener.command(agent, "pause", reason="meeting")
    async with centre.site.call(number, IMPATIENT) as placed:
        await placed.ended()


async def comes_out_of_hours(centre: Centre, number: str) -> None:
    async with centre.site.call(number, CLOSED) as placed:
        await placed.ended()


async def while_ctid_is_dead(centre: Centre, number: str) -> None:
    before = centre.invites()
    await centre.site.kill_daemon()
    async with centre.site.call(number) as placed:
        await centre.rung(before, limit=15)
        await centre.site.start_daemon()
        await sound(0.5)
        await placed.hang_up()


async def by_another_fairness(centre: Centre, number: str) -> None:
    site = centre.site
    await site.stop_daemon()
    site.config.write_text(site.config.read_text().replace("[routing]", '[routing]\nfairness = "talk_share"'))
    await site.start_daemon()
    await served(centre, number)


def own_number_whose_phone(behaviour: Behaviour) -> Callable[[Centre, str], Awaitable[None]]:
    async def scene(centre: Centre, number: str) -> None:
        await centre.site.phones["agent1"].behave(behaviour)
        async with centre.site.call(number, OWN_NUMBER) as placed:
            if behaviour == "answer":
                await centre.listener.becomes("agent1", "talking")
                await placed.hang_up()
            await placed.ended()

    return scene


def customer_who(behaviour: Behaviour) -> Callable[[Centre, str], Awaitable[None]]:
    async def scene(centre: Centre, number: str) -> None:
        site = centre.site
        async with (
            SippAgent(site.folder / "sipp", "customer", site.asterisk.trunk_port, behaviour),
            site.call("agent1", f"9{number}") as placed,
        ):
            await placed.ended()

    return scene


async def picked_up(centre: Centre, number: str) -> None:
    """``number`` is what the colleague keys: it is their call that is merged into the caller's."""
    for agent in centre.agents[1:]:
        await centre.listener.command(agent, "pause", reason="meeting")
    await centre.site.phones["agent1"].behave("never")
    async with centre.site.call("02155700099") as placed:
        await centre.listener.becomes("agent1", "ringing")
        async with centre.site.call("agent2", number) as picking:
            await until(lambda: centre.shown("02155700099")[-1]["answered_at"], "the colleague has the caller")
            await sound(0.3)
            await placed.hang_up()
            await picking.ended()


async def chosen_from_a_screen(centre: Centre, number: str) -> None:
    for agent in centre.agents:
        await centre.listener.command(agent, "pause", reason="meeting")
    async with centre.site.call(number) as placed:
        call = await centre.waits(number)
        answer = await centre.listener.command("agent2", "pickup", call_id=call["id"])
        assert answer["ok"], answer
        await centre.talks("agent2", call["id"])
        await placed.hang_up()


async def called_by_a_click(centre: Centre, number: str) -> None:
    site = centre.site
    async with SippAgent(site.folder / "sipp", "customer", site.asterisk.trunk_port, talk=0.5):
        answer = await centre.listener.command("agent3", "dial", number=number)
        assert answer["ok"], answer
        await in_the_books(centre, number)


CASES = {
    "least talk": Case(
        scene=served,
        number="02155700001",
        outcome=Outcome.ANSWERED,
        via=Via.CTID,
        results=(LegResult.ANSWERED,),
        rules=(Rule.LEAST_TALK,),
    ),
    "owner": Case(
        scene=served,
        number=CHEN,
        outcome=Outcome.ANSWERED,
        via=Via.CTID,
        results=(LegResult.ANSWERED,),
        rules=(Rule.TICKET_OWNER,),
    ),
    "gives up": Case(
        scene=gives_up_while_it_rings,
        number="02155700002",
        outcome=Outcome.ABANDONED,
        via=Via.CTID,
        results=(LegResult.CANCELLED,),
        rules=(Rule.LEAST_TALK,),
    ),
    "second agent": Case(
        scene=second_agent_answers,
        number="02155700003",
        outcome=Outcome.ANSWERED,
        via=Via.CTID,
        results=(LegResult.NO_ANSWER, LegResult.ANSWERED),
        rules=(Rule.LEAST_TALK, Rule.LEAST_TALK),
    ),
    "overflow": Case(scene=waits_too_long, number="02155700004", outcome=Outcome.OVERFLOW, via=Via.CTID),
    "closed": Case(scene=comes_out_of_hours, number="02155700005", outcome=Outcome.CLOSED, via=Via.CTID),
    "own number": Case(
        scene=own_number_whose_phone("answer"),
        number="02155700006",
        outcome=Outcome.ANSWERED,
        via=Via.DIRECT,
        results=(LegResult.ANSWERED,),
    ),
    "nobody answers": Case(
        scene=own_number_whose_phone("never"),
        number="02155700007",
        outcome=Outcome.NO_ANSWER,
        via=Via.DIRECT,
        results=(LegResult.NO_ANSWER,),
    ),
    "unreachable": Case(
        scene=own_number_whose_phone("gone"),
        number="02155700008",
        outcome=Outcome.FAILED,
        via=Via.DIRECT,
        results=(LegResult.UNREACHABLE,),
    ),
    "customer busy": Case(
        scene=customer_who("busy"),
        number="02155700009",
        outcome=Outcome.BUSY,
        via=Via.DIRECT,
        results=(LegResult.BUSY, LegResult.BUSY),
    ),
    "customer rejects": Case(
        scene=customer_who("reject"),
        number="02155700010",
        outcome=Outcome.REJECTED,
        via=Via.DIRECT,
        results=(LegResult.REJECTED, LegResult.REJECTED),
    ),
    "trunk fails": Case(
        scene=customer_who("failing"),
        number="02155700011",
        outcome=Outcome.FAILED,
        via=Via.DIRECT,
        results=(LegResult.FAILED, LegResult.FAILED),
    ),
    "chosen": Case(
        scene=chosen_from_a_screen,
        number="02155700014",
        outcome=Outcome.ANSWERED,
        via=Via.CTID,
        results=(LegResult.ANSWERED,),
        rules=(Rule.PICKED,),
    ),
    "called": Case(
        scene=called_by_a_click,
        number="02155700015",
        outcome=Outcome.ANSWERED,
        via=Via.CTID,
        results=(LegResult.ANSWERED, LegResult.ANSWERED),
        rules=(Rule.DIALLED,),
    ),
    "pick-up": Case(scene=picked_up, number="*8", outcome=Outcome.MERGED, via=Via.DIRECT),
    "ctid dead": Case(
        scene=while_ctid_is_dead,
        number="02155700012",
        outcome=Outcome.ANSWERED,
        via=Via.FAILSAFE,
        results=(LegResult.ANSWERED,),
    ),
    "talk share": Case(
        scene=by_another_fairness,
        number="02155700013",
        outcome=Outcome.ANSWERED,
        via=Via.CTID,
        results=(LegResult.ANSWERED,),
        rules=(Rule.TALK_SHARE,),
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    site = Site(
        folder=tmp_path_factory.mktemp("site"),
        csv=CSV,
        ring_seconds=3,
        lines=lines(),
        routing="round_pause_seconds = 1\ncool_down_seconds = 0\nmissed_in_a_row = 0",
    )
    async with opened(site) as centre:
        yield centre


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Centre) -> Centre:
    await running.tidy()
    return running


async def in_the_books(centre: Centre, number: str) -> dict[str, Any]:
    """The call from or to this number, once ``ctid calls --json`` says that it is over."""

    async def look() -> dict[str, Any] | None:
        calls = [c for c in await centre.site.calls() if number in (c["caller"], c["dialled"])]
        return calls[-1] if calls and calls[-1]["outcome"] is not None else None

    return await until(look, f"the call of {number} is in the books", limit=20, every=0.2)


@pytest.mark.parametrize("name", CASES)
async def test_what_a_call_became_is_in_the_books(centre: Centre, name: str) -> None:
    case = CASES[name]
    await case.scene(centre, case.number)
    call = await in_the_books(centre, case.number)
    assert (call["outcome"], call["via"]) == (case.outcome, case.via)
    assert tuple(leg["result"] for leg in call["legs"]) == case.results
    assert tuple(decision["rule"] for decision in call["decisions"]) == case.rules


async def test_no_word_of_the_books_is_without_a_call_that_makes_it() -> None:
    assert {case.outcome for case in CASES.values()} == set(Outcome)
    assert {case.via for case in CASES.values()} == set(Via)
    assert {rule for case in CASES.values() for rule in case.rules} == set(Rule)
    assert {result for case in CASES.values() for result in case.results} == set(LegResult)
