"""Who is calling, whose caller it is, who is idle, who waits before whom: rules met by real phones.

Each contact here is called for by one test alone: an answered call opens a ticket, and so changes the next owner.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from lab.process import until
from lab.sipp import SippAgent, SippCall
from lab.site import Site
from tests.chain.centre import Centre, opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICE, SMALL, STRICT, GATED, CLOSED = "4001", "4002", "4003", "4004", "4005"
#: Who calls: the contact, their customer, level, and number.
CONTACTS = {
    "by any form": ("C1", 1, "13800138001"),
    "shared, one": ("C2", 1, "13800138002"),
    "shared, other": ("C2", 1, "13800138002"),
    "of a customer": ("C3", 1, "13800138003"),
    "of another": ("C4", 1, "13800138003"),
    "without tickets": ("C5", 1, "13800138004"),
    "their colleague": ("C5", 1, "13800138005"),
    "newest is closed": ("C4", 1, "13800138006"),
    "owner signed out": ("C4", 1, "13800138007"),
    "owner calls out": ("C4", 1, "13800138008"),
    "owner elsewhere": ("C4", 1, "13800138009"),
    "owner forbidden": ("C4", 1, "13800138010"),
    "out of hours": ("C4", 1, "13800138011"),
    "waited for": ("C4", 1, "13800138012"),
    "level 5": ("C6", 5, "13800138015"),
    "level 2, severe": ("C6", 2, "13800138016"),
    "level 2": ("C6", 2, "13800138017"),
    "level 4": ("C6", 4, "13800138018"),
    "overtakes nobody": ("C6", 1, "13800138019"),
    "gated": ("C6", 4, "13800138020"),
}
#: Of a contact: whose it is, how severe, whether it is open, the day it was opened.
TICKETS = [
    ("by any form", "agent2", 2, "open", 1),
    ("shared, one", "agent1", 2, "open", 1),
    ("shared, other", "agent3", 2, "closed", 2),
    ("of a customer", "agent1", 2, "open", 1),
    ("of another", "agent2", 2, "open", 2),
    ("their colleague", "agent3", 2, "open", 1),
    ("newest is closed", "agent1", 5, "open", 1),
    ("newest is closed", "agent2", 1, "closed", 2),
    ("owner signed out", "agent3", 2, "open", 1),
    ("owner calls out", "agent2", 2, "open", 1),
    ("owner elsewhere", "agent2", 2, "open", 1),
    ("owner forbidden", "agent2", 2, "open", 1),
    ("out of hours", "agent2", 2, "open", 1),
    ("waited for", "agent2", 2, "open", 1),
    ("level 2, severe", "agent1", 5, "open", 1),
    ("level 2", "agent1", 1, "open", 1),
    ("overtakes nobody", "agent3", 2, "open", 1),
]
CSV = {
    "agents": "id,name,phone,level,pin,lines,email\n"
    + "".join(f"agent{n},Agent {n},agent{n},{level},,,\n" for n, level in ((1, 1), (2, 1), (3, 3))),
    "customers": "id,name,level,notes\n" + "".join(f"C{n},Customer {n},1,\n" for n in range(1, 7)),
    "contacts": "id,customer_id,name,department,title,level,numbers,notes\n"
    + "".join(
        f"P{n},{customer},Contact {n},,,{level},{number},\n"
        for n, (customer, level, number) in enumerate(CONTACTS.values())
    ),
    "tickets": "id,customer_id,contact_id,owner,subject,category,severity,status,created_at,resolved_at\n"
    + "".join(
        f"{1000 + n},{CONTACTS[whose][0]},P{list(CONTACTS).index(whose)},{owner},s,fault,{severity},{status},"
        f"2026-03-0{day} 09:00,\n"
        for n, (whose, owner, severity, status, day) in enumerate(TICKETS)
    ),
}


def lines() -> str:
    another_day = (datetime.now(ZoneInfo("Asia/Shanghai")) + timedelta(days=3)).strftime("%a")
    return "".join(
        f'[[lines]]\nname = "{name}"\nnumbers = ["{number}"]\nagents = {agents}\n{more}\n'
        for name, number, agents, more in (
            ("service", SERVICE, '"all"', ""),
            ("small", SMALL, '["agent1"]', ""),
            ("strict", STRICT, '["agent1"]', "owner_from_outside = false"),
            ("gated", GATED, '"all"', "level_gate = true"),
            ("closed", CLOSED, '"all"', f'hours = "{another_day} 10:00-10:01"'),
        )
    )


def number(contact: str) -> str:
    return CONTACTS[contact][2]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    more = "round_pause_seconds = 1\ncool_down_seconds = 0\nmissed_in_a_row = 2"
    site = Site(folder=tmp_path_factory.mktemp("site"), csv=CSV, ring_seconds=3, lines=lines(), routing=more)
    async with opened(site) as centre:
        yield centre


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Centre) -> Centre:
    await running.tidy()
    return running


async def everyone_pauses(centre: Centre) -> None:
    for agent in centre.agents:
        await centre.listener.command(agent, "pause", reason="meeting")


async def talks_with(centre: Centre, caller: str) -> str:
    """Who answers the caller."""

    def look() -> str | None:
        calls = centre.shown(caller)
        return calls[-1]["agent"] if calls and calls[-1]["answered_at"] else None

    return await until(look, f"{caller} is answered")


async def owner_is_rung(centre: Centre, contact: str, dialled: str = SERVICE) -> str:
    placed, agent, pop = await centre.comes_in(number(contact), dialled)
    async with placed:
        assert pop["decision"]["rule"] == "ticket_owner"
        await centre.talks(agent, pop["call_id"])
        await placed.hang_up()
    return agent


# -- who is calling ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["13800138001", "+8613800138001", "008613800138001", "013800138001"])
async def test_a_caller_is_known_however_the_number_is_written(centre: Centre, written: str) -> None:
    placed, agent, pop = await centre.comes_in(written)
    async with placed:
        assert (pop["contact"]["name"], agent) == ("Contact 0", "agent2")
        await centre.talks(agent, pop["call_id"])
        await placed.hang_up()


async def test_of_a_number_shared_within_a_customer_the_customers_newest_ticket_counts(centre: Centre) -> None:
    placed, agent, pop = await centre.comes_in(number("shared, one"))
    async with placed:
        assert (pop["contact"], agent, pop["decision"]["rule"]) == (None, "agent3", "ticket_owner")
        await placed.hang_up()
    call = await centre.ended(number("shared, one"))
    assert (call["contact_id"], call["customer_id"]) == (None, "C2")


async def test_of_a_number_shared_across_customers_nobody_is_owner_and_the_screen_lists_them(centre: Centre) -> None:
    placed, _, pop = await centre.comes_in(number("of another"))
    async with placed:
        assert (pop["contact"], pop["decision"]["rule"], pop["decision"]["owner"]) == (None, "least_talk", None)
        assert sorted(match["name"] for match in pop["matches"]) == ["Contact 3", "Contact 4"]
        await placed.hang_up()
    call = await centre.ended(number("of another"))
    assert (call["contact_id"], call["customer_id"]) == (None, None)


async def test_a_caller_who_withholds_the_number_is_served_as_a_stranger(centre: Centre) -> None:
    placed, agent, pop = await centre.comes_in("anonymous")
    async with placed:
        assert (pop["contact"], pop["matches"], pop["decision"]["owner"]) == (None, [], None)
        await centre.talks(agent, pop["call_id"])
        await placed.hang_up()


# -- the owner ---------------------------------------------------------------------------------------------------------


async def test_for_a_contact_without_tickets_the_customers_newest_counts(centre: Centre) -> None:
    assert await owner_is_rung(centre, "without tickets") == "agent3"


async def test_the_newest_ticket_makes_the_owner_though_it_is_closed(centre: Centre) -> None:
    assert await owner_is_rung(centre, "newest is closed") == "agent2"


async def test_an_owner_who_signed_out_is_passed_over(centre: Centre) -> None:
    await centre.listener.command("agent3", "sign_out")
    placed, agent, pop = await centre.comes_in(number("owner signed out"))
    async with placed:
        assert agent != "agent3"
        assert (pop["decision"]["owner"], pop["decision"]["owner_skipped"]) == ("agent3", "offline")
        await placed.hang_up()
    await centre.site.sign_in("agent3")


async def test_an_owner_in_a_call_of_their_own_is_passed_over_and_not_rung_on_a_second_line(centre: Centre) -> None:
    site = centre.site
    async with (
        SippAgent(site.folder / "sipp", "customer", site.asterisk.trunk_port) as customer,
        site.call("agent2", "902155600001") as outgoing,
    ):
        await customer.rings()
        await centre.listener.becomes("agent2", "talking")
        before = centre.invites()["agent2"]
        placed, agent, pop = await centre.comes_in(number("owner calls out"))
        async with placed:
            assert agent != "agent2"
            assert pop["decision"]["owner_skipped"] == "talking"
            await placed.hang_up()
        await outgoing.hang_up()
    assert centre.invites()["agent2"] == before


async def test_an_idle_owner_is_rung_though_the_line_is_not_theirs(centre: Centre) -> None:
    assert await owner_is_rung(centre, "owner elsewhere", SMALL) == "agent2"


async def test_a_line_may_forbid_owners_from_outside(centre: Centre) -> None:
    placed, agent, pop = await centre.comes_in(number("owner forbidden"), STRICT)
    async with placed:
        assert (agent, pop["decision"]["owner_skipped"]) == ("agent1", "not_on_line")
        await placed.hang_up()


async def test_out_of_hours_not_even_the_owner_is_rung(centre: Centre) -> None:
    before = centre.invites()
    async with centre.site.call(number("out of hours"), CLOSED) as placed:
        await placed.ended()
    call = await centre.ended(number("out of hours"))
    assert (call["outcome"], call["contact_id"] is None, call["legs"]) == ("closed", False, [])
    assert centre.invites() == before


# -- least talk, idle --------------------------------------------------------------------------------------------------


async def test_talk_of_an_agents_own_outgoing_call_counts_for_who_is_next(centre: Centre) -> None:
    site, least = centre.site, centre.least_talk()
    async with (
        SippAgent(site.folder / "sipp", "customer", site.asterisk.trunk_port) as customer,
        site.call(least, "902155600002") as outgoing,
    ):
        await customer.rings()
        most = max((centre.listener.state(a) or {})["talk_seconds_today"] for a in centre.agents)
        await sound(most - (centre.listener.state(least) or {})["talk_seconds_today"] + 1)
        await outgoing.hang_up()
    await centre.all_idle()
    assert (centre.listener.state(least) or {})["talk_seconds_today"] > most
    call = await centre.one_call("02155600003")
    assert call["agent"] != least


async def test_a_phone_in_any_call_is_not_rung_whoever_made_it(centre: Centre) -> None:
    for agent in ("agent2", "agent3"):
        await centre.listener.command(agent, "pause", reason="meeting")
    before = centre.invites()
    async with centre.site.call("agent1", "801") as own:  # to a colleague, on its one line
        await centre.listener.becomes("agent1", "talking")
        async with centre.site.call("02155600004") as placed:
            await centre.waits("02155600004")
            await sound(0.5)
            assert centre.invites()["agent1"] == before["agent1"]
            await placed.hang_up()
        await own.hang_up()


# -- who waits before whom ---------------------------------------------------------------------------------------------


async def served_in_order(centre: Centre, callers: list[str], agent: str) -> list[str]:
    """Let them wait in this order for this agent; in which order they were answered."""
    await everyone_pauses(centre)
    order: list[str] = []
    async with AsyncExitStack() as stack:
        waiting: dict[str, SippCall] = {}
        for caller in callers:
            waiting[caller] = await stack.enter_async_context(centre.site.call(caller))
            await centre.waits(caller)
        await centre.listener.command(agent, "resume")
        while len(order) < len(callers):
            answered = await until(
                lambda: next((c for c in waiting if c not in order and centre.shown(c)[-1]["answered_at"]), None),
                "the next is answered",
            )
            order.append(answered)
            await waiting[answered].hang_up()
    return order


async def test_level_then_severity_then_arrival_decides_who_is_served_first(centre: Centre) -> None:
    by_arrival = [
        "02155600005",
        number("level 2"),
        "02155600006",
        number("level 2, severe"),
        number("level 5"),
    ]
    assert await served_in_order(centre, by_arrival, "agent3") == [
        number("level 5"),
        number("level 2, severe"),
        number("level 2"),
        "02155600005",
        "02155600006",
    ]


async def test_an_owner_becoming_free_serves_who_is_first_and_not_their_own_caller(centre: Centre) -> None:
    callers = [number("overtakes nobody"), number("level 4")]
    assert await served_in_order(centre, callers, "agent3") == [number("level 4"), number("overtakes nobody")]
    assert [centre.shown(caller)[-1]["agent"] for caller in callers] == ["agent3", "agent3"]


async def test_a_gated_line_holds_its_callers_for_agents_of_their_level(centre: Centre) -> None:
    await centre.listener.command("agent3", "pause", reason="meeting")
    before = centre.invites()
    async with centre.site.call(number("gated"), GATED) as placed:
        await centre.waits(number("gated"))
        await sound(0.5)
        assert centre.invites() == before
        await centre.listener.command("agent3", "resume")
        assert await talks_with(centre, number("gated")) == "agent3"
        await placed.hang_up()


# -- rounds ------------------------------------------------------------------------------------------------------------


async def test_in_a_round_everyone_is_tried_once_and_who_misses_too_many_is_paused(centre: Centre) -> None:
    await centre.listener.command("agent3", "pause", reason="meeting")
    for agent in ("agent1", "agent2"):
        await centre.site.phones[agent].behave("never")
    async with centre.site.call("02155600007") as placed:
        for agent in ("agent1", "agent2"):
            paused = await centre.listener.becomes(agent, "paused", limit=25)
            assert paused["reason"] == "missed calls"
        await placed.hang_up()
    call = await centre.ended("02155600007")
    chosen = [decision["chosen"] for decision in call["decisions"]]
    assert sorted(chosen[:2]) == sorted(chosen[2:]) == ["agent1", "agent2"], "twice each, nobody twice in a round"
    assert {leg["result"] for leg in call["legs"]} == {"no_answer"}


async def test_a_phone_that_is_not_there_gives_the_caller_to_the_next(centre: Centre) -> None:
    first = centre.least_talk()
    await centre.site.phones[first].behave("gone")
    async with centre.site.call("02155600008") as placed:
        second = await talks_with(centre, "02155600008")
        await placed.hang_up()
    call = await centre.ended("02155600008")
    assert [(leg["agent"], leg["result"]) for leg in call["legs"]] == [(first, "unreachable"), (second, "answered")]


# -- another policy: the daemon starts anew -----------------------------------------------------------------------------


async def test_a_caller_waits_for_a_busy_owner_as_long_as_the_site_says(centre: Centre) -> None:
    site = centre.site
    await site.stop_daemon()
    site.config.write_text(site.config.read_text().replace("[routing]", "[routing]\nowner_wait_seconds = 60"))
    await site.start_daemon()
    await centre.all_idle()
    first, busy, pop = await centre.comes_in(number("waited for"))
    async with first:
        assert busy == "agent2"
        await centre.talks(busy, pop["call_id"])
        before = centre.invites()
        async with site.call(number("waited for")) as second:
            await until(lambda: len(centre.shown(number("waited for"))) == 2, "the second is there")
            await centre.waits(number("waited for"))
            await sound(0.7)
            assert centre.invites() == before, "two are idle, and not rung"
            await first.hang_up()
            assert await centre.rung(before) == "agent2"
            assert await talks_with(centre, number("waited for")) == "agent2"
            await second.hang_up()
