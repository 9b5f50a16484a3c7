"""Who gets the caller, on a real PBX: phones say who was rung, a subscriber what the screens were shown."""

import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from lab.process import until
from lab.sipp import Behaviour, SippAgent
from lab.site import Site
from tests.chain.centre import CHEN, CSV, Centre, opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    more = "round_pause_seconds = 1\ncool_down_seconds = 0\nmissed_in_a_row = 0"
    async with opened(Site(folder=tmp_path_factory.mktemp("site"), csv=CSV, ring_seconds=3, routing=more)) as centre:
        yield centre


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Centre) -> Centre:
    await running.tidy()
    return running


async def test_the_owner_of_the_callers_last_ticket_is_rung(centre: Centre) -> None:
    for _ in range(2):  # also when everybody else has talked less
        placed, agent, pop = await centre.comes_in(CHEN)
        async with placed:
            assert agent == "agent2"
            assert pop["state"] == "ringing"
            assert pop["contact"]["name"] == "Chen Jie"
            assert pop["ticket"]["id"] == "1001"
            await centre.talks(agent, pop["call_id"])
            await sound(0.5)
            await placed.hang_up()
        call = await centre.ended(CHEN)
        assert [d["rule"] for d in call["decisions"]] == ["ticket_owner"]
        assert call["ticket_ids"] == ["1001"]
        await centre.all_idle()


async def test_with_the_owner_in_a_call_the_caller_goes_to_another_at_once(centre: Centre) -> None:
    first, busy, pop = await centre.comes_in(CHEN)
    async with first:
        await centre.talks(busy, pop["call_id"])
        second, agent, other = await centre.comes_in(CHEN)
        async with second:
            assert agent != busy
            assert other["decision"]["owner_skipped"] == "talking"
            await centre.talks(agent, other["call_id"])
            await second.hang_up()
        await first.hang_up()


async def test_callers_nobody_owns_go_to_who_talked_least(centre: Centre) -> None:
    for number in range(4):
        await centre.all_idle()
        least = centre.least_talk()
        call = await centre.one_call(f"0215566{number:04}")
        assert call["agent"] == least
        considered = call["decisions"][0]["considered"]
        assert [c["talk_seconds"] for c in considered] == sorted(c["talk_seconds"] for c in considered)


async def test_a_phone_nobody_answers_gives_the_caller_to_the_next(centre: Centre) -> None:
    for phone in centre.site.phones.values():
        await phone.behave("never")
    placed, first, pop = await centre.comes_in("02155670002")
    async with placed:
        for agent, phone in centre.site.phones.items():
            if agent != first:
                await phone.behave("answer")
        second = await centre.rung(centre.invites(), limit=10)
        await centre.listener.popped(first, "withdrawn", pop["call_id"])
        await centre.talks(second, pop["call_id"])
        await placed.hang_up()
    call = await centre.ended("02155670002")
    assert [(leg["agent"], leg["result"]) for leg in call["legs"]] == [(first, "no_answer"), (second, "answered")]
    assert centre.states(first, call["id"]) == ["ringing", "withdrawn"]
    assert centre.states(second, call["id"]) == ["ringing", "answered", "ended"]
    assert {p["agent"] for p in centre.listener.pops(call=call["id"])} == {first, second}


@pytest.mark.parametrize(
    ("caller", "behaviour", "result"),
    [
        ("02155670005", "busy", "busy"),
        ("02155670015", "reject", "rejected"),
        ("02155670025", "unavailable", "no_answer"),
    ],
)
async def test_a_phone_that_refuses_gives_the_caller_to_the_next_at_once(
    centre: Centre, caller: str, behaviour: Behaviour, result: str
) -> None:
    refusing = centre.least_talk()
    await centre.site.phones[refusing].behave(behaviour)
    before = centre.invites()
    async with centre.site.call(caller) as placed:
        others = [agent for agent in centre.agents if agent != refusing]
        second = await until(
            lambda: next((a for a in others if centre.invites()[a] > before[a]), None), "the next rings"
        )
        assert centre.invites()[refusing] == before[refusing] + 1
        await centre.talks(second, (await centre.waits(caller))["id"])
        await placed.hang_up()
    call = await centre.ended(caller)
    assert [(leg["agent"], leg["result"]) for leg in call["legs"]] == [(refusing, result), (second, "answered")]


async def test_a_caller_who_hangs_up_while_ringing_is_abandoned(centre: Centre) -> None:
    for phone in centre.site.phones.values():
        await phone.behave("never")
    placed, agent, pop = await centre.comes_in("02155670010")
    async with placed:
        await placed.hang_up()
    await centre.listener.popped(agent, "withdrawn", pop["call_id"])
    call = await centre.ended("02155670010")
    assert (call["outcome"], call["ticket_ids"], call["recordings"]) == ("abandoned", [], [])
    assert [leg["result"] for leg in call["legs"]] == ["cancelled"]
    await centre.listener.becomes(agent, "idle")


async def test_a_caller_who_hangs_up_while_waiting_is_abandoned(centre: Centre) -> None:
    for agent in centre.agents:
        await centre.listener.command(agent, "pause", reason="meeting")
    before = centre.invites()
    async with centre.site.call("02155670011") as placed:
        await centre.waits("02155670011")
        await placed.hang_up()
    call = await centre.ended("02155670011")
    assert (call["outcome"], call["legs"], call["decisions"]) == ("abandoned", [], [])
    assert centre.invites() == before


async def test_when_all_are_talking_the_caller_waits_for_the_first_to_become_free(centre: Centre) -> None:
    async with AsyncExitStack() as stack:
        talking = []
        for number in range(3):
            placed, agent, pop = await centre.comes_in(f"0215568000{number}")
            await stack.enter_async_context(placed)
            await centre.talks(agent, pop["call_id"])
            talking.append((placed, agent))
        before = centre.invites()
        waiting = await stack.enter_async_context(centre.site.call("02155680009"))
        await centre.waits("02155680009")
        placed, freed = talking[1]
        await placed.hang_up()
        assert await centre.rung(before) == freed
        await until(lambda: (centre.shown("02155680009")[-1]["answered_at"]) is not None, "answered")
        for each in (waiting, talking[0][0], talking[2][0]):
            await each.hang_up()
    call = await centre.ended("02155680009")
    assert (call["agent"], call["outcome"]) == (freed, "answered")


@pytest.mark.parametrize(
    "name",
    [
        "Bob, Seq: 999",
        "Action: Originate",
        "<script>alert(1)</script>",
        "陈杰",
        "Zoë ☎ 🎉",
        "${SHELL(id)}",
        "a;b|c&d'e",
        "x" * 70,
    ],
)
async def test_a_hostile_caller_name_is_harmless(centre: Centre, name: str) -> None:
    call = await centre.comes_in("02155690000", name=name)
    async with call[0]:
        await centre.talks(call[1], call[2]["call_id"])
        await call[0].hang_up()
    ended = await centre.ended("02155690000")
    assert (ended["outcome"], ended["caller"], ended["dialled"]) == ("answered", "02155690000", "4001")
    assert len(ended["decisions"]) == 1


async def test_an_agent_calls_a_customer_and_it_is_in_the_books_and_recorded(centre: Centre) -> None:
    async with (
        SippAgent(centre.site.folder / "sipp", "customer", centre.site.asterisk.trunk_port) as customer,
        centre.site.call("agent1", "902155690009") as placed,
    ):
        await customer.rings()
        await centre.listener.becomes("agent1", "talking")
        await until(lambda: (centre.shown("agent1") or [{}])[-1].get("answered_at"), "answered")
        await sound(1)
        await placed.hang_up()
    call = await centre.ended("agent1")
    assert (call["direction"], call["dialled"], call["outcome"], call["agent"]) == (
        "outbound",
        "02155690009",
        "answered",
        "agent1",
    )
    assert [r["state"] for r in call["recordings"]] == ["complete"]
    legs = {leg["party"]: leg["talk_seconds"] for leg in call["legs"]}
    assert legs.keys() == {"agent1", "02155690009"}
    assert legs["agent1"] > 0.9


async def test_the_books_on_disk_are_what_was_published(centre: Centre) -> None:
    call = await centre.one_call("02155691111", 0.5)
    books = await centre.in_the_books("02155691111")
    for recording in books["recordings"]:
        recording.pop("path")
    assert call.pop("waiting") is None  # of the moment, not of the books
    assert books == call


async def test_the_metrics_count_the_calls(centre: Centre) -> None:
    before = scraped(centre)
    await centre.one_call("02155692222")
    after = scraped(centre)
    answered = 'ctid_calls_total{direction="inbound",outcome="answered"}'
    assert after[answered] == before[answered] + 1
    least = 'ctid_routing_decisions_total{rule="least_talk"}'
    assert after[least] == before[least] + 1
    assert after["ctid_pop_seconds_count"] == before["ctid_pop_seconds_count"] + 1
    assert after['ctid_ami_events_total{event="Hangup"}'] > before['ctid_ami_events_total{event="Hangup"}']
    assert (after["ctid_up"], after["ctid_ami_connected"], after["ctid_calls_waiting"]) == (1, 1, 0)
    complete = 'ctid_recordings_total{state="complete"}'
    assert after[complete] == before[complete] + 1


def scraped(centre: Centre) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{centre.site.metrics_port}/metrics") as page:
        lines = page.read().decode().splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


async def test_ctid_itself_warned_of_nothing(centre: Centre) -> None:
    assert centre.site.daemon is not None
    lines = [json.loads(line) for line in centre.site.daemon.output.read_text().splitlines() if line.startswith("{")]
    # A caller who hangs up at once leaves a file without sound.
    odd = [x for x in lines if x["level"] not in ("info", "debug") and x["event"] != "recording.damaged"]
    assert odd == []
