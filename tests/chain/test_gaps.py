"""What happened while ctid did not see it is in the books afterwards: ctid killed, or the link to the PBX cut."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from lab.process import until
from lab.sipp import SipMessage, SippAgent
from tests.chain.centre import CHEN, sound
from tests.chain.wire import Broken, broken_into, resynced, said

pytestmark = pytest.mark.asyncio(loop_scope="module")

CUSTOMER = "13900139000"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broken]:
    async with broken_into(tmp_path_factory.mktemp("site")) as broken:
        yield broken


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Broken) -> Broken:
    await running.tidy()
    return running


async def taken(centre: Broken, caller: str) -> tuple[str, SipMessage]:
    """The agent whose phone is rung for this caller, and the INVITE."""

    def look() -> tuple[str, SipMessage] | None:
        return next(((a, m) for a, p in centre.site.phones.items() for m in p.invites if m.user == caller), None)

    return await until(look, f"a phone rings for {caller}", limit=15)


async def whole(centre: Broken, caller: str) -> dict[str, Any]:
    """The caller's one call in the books: over, with its recording whole, as long as the talk, and on one ticket."""

    async def look() -> dict[str, Any] | None:
        calls = await centre.site.calls(caller)
        if not calls or calls[-1]["outcome"] is None or not calls[-1]["ticket_ids"]:
            return None
        return None if any(r["state"] == "recording" for r in calls[-1]["recordings"]) else calls[-1]

    call = await until(look, f"the call of {caller} is in the books with its ticket", limit=15, every=0.2)
    [recording] = call["recordings"]
    assert (call["outcome"], recording["state"]) == ("answered", "complete")
    assert len(call["ticket_ids"]) == 1
    assert recording["ticket_ids"] == call["ticket_ids"]
    talk = sum(leg["talk_seconds"] for leg in call["legs"] if leg["agent"])
    assert talk == pytest.approx(recording["seconds"], abs=0.6)
    return call


async def talked(centre: Broken) -> dict[str, float]:
    """Each agent's talk today, as published."""
    await centre.all_idle()
    return {agent: (centre.listener.state(agent) or {})["talk_seconds_today"] for agent in centre.agents}


async def test_ctid_killed_over_whole_calls_has_them_in_the_books_once_however_often_it_starts(centre: Broken) -> None:
    site = centre.site
    under_way, agent, pop = await centre.comes_in(CHEN)
    async with under_way:
        await centre.talks(agent, pop["call_id"])
        await sound(1)
        await site.kill_daemon()
        await sound(0.5)
        await under_way.hang_up()
    async with site.call("02155650002") as impatient:
        await impatient.answered()
        await impatient.hang_up()
    async with site.call("02155650001") as transferred:
        first, invite = await taken(centre, "02155650001")
        await sound(1)
        other = next(a for a in centre.agents if a != first)
        known = len(site.phones[other].invites)
        await site.phones[first].transfer(invite, f"sip:{other}@127.0.0.1:{site.asterisk.sip_port}")
        await until(lambda: len(site.phones[other].invites) > known, f"{other} rings")
        await sound(1)
        await transferred.hang_up()
    async with (
        SippAgent(site.folder / "sipp", "customer", site.asterisk.trunk_port, ring=0.2),
        site.call("agent3", "9" + CUSTOMER) as outbound,
    ):
        await outbound.answered()
        await sound(1)
        await outbound.hang_up()

    await site.start_daemon()
    call = await whole(centre, CHEN)
    assert [leg["agent"] for leg in call["legs"]] == [agent]
    assert call["legs"][0]["certainty"] == "backfilled"
    call = await whole(centre, "02155650001")
    assert (call["via"], [leg["agent"] for leg in call["legs"] if leg["talk_seconds"]]) == ("failsafe", [first, other])
    [call] = await site.calls("agent3")
    assert (call["direction"], call["outcome"], call["legs"][-1]["party"]) == ("outbound", "answered", CUSTOMER)
    assert {leg["certainty"] for leg in call["legs"]} == {"backfilled"}

    [call] = await site.calls("02155650002")
    assert (call["outcome"], call["ticket_ids"]) == ("abandoned", [])

    books, ledger = await site.calls(), await talked(centre)
    for _ in range(2):
        await site.kill_daemon()
        await site.start_daemon()
        assert await site.calls() == books
        assert await talked(centre) == pytest.approx(ledger, abs=0.01)


async def test_calls_that_begin_change_hands_and_end_while_the_link_is_cut_are_backfilled(centre: Broken) -> None:
    site, times = centre.site, said(centre, '"pbx.resynced"')
    going, agent, pop = await centre.comes_in("02155651001")
    ending, other, pop2 = await centre.comes_in("02155651002")
    async with going, ending:
        await centre.talks(agent, pop["call_id"])
        await centre.talks(other, pop2["call_id"])
        await sound(1)
        await centre.wire.cut()
        await ending.hang_up()
        third = next(a for a in centre.agents if a not in (agent, other))
        _, invite = await taken(centre, "02155651001")
        known = len(site.phones[third].invites)
        await site.phones[agent].transfer(invite, f"sip:{third}@127.0.0.1:{site.asterisk.sip_port}")
        await until(lambda: len(site.phones[third].invites) > known, f"{third} rings")
        async with site.call("02155651003") as begun:
            helper, _ = await taken(centre, "02155651003")  # the fallback's
            await sound(0.5)
            await centre.wire.mend()
            await resynced(centre, times)
            await sound(0.5)
            await begun.hang_up()
        await going.hang_up()
    call = await whole(centre, "02155651001")
    assert [leg["agent"] for leg in call["legs"] if leg["talk_seconds"]] == [agent, third]
    call = await whole(centre, "02155651002")
    assert (call["via"], call["legs"][0]["certainty"]) == ("ctid", "backfilled")
    call = await whole(centre, "02155651003")
    assert (call["via"], call["agent"]) == ("failsafe", helper)


async def test_who_waited_and_gave_up_while_the_link_was_cut_is_abandoned(centre: Broken) -> None:
    for agent in centre.agents:
        await centre.listener.command(agent, "pause", reason="meeting")
    times = said(centre, '"pbx.resynced"')
    async with centre.site.call("02155652001") as early:
        await centre.waits("02155652001")
        await centre.wire.cut()
        async with centre.site.call("02155652002") as late:
            await late.answered()
            await asyncio.gather(early.hang_up(), late.hang_up())
    await centre.wire.mend()
    await resynced(centre, times)
    for caller in ("02155652001", "02155652002"):
        call = await centre.in_the_books(caller)
        assert (call["outcome"], call["ticket_ids"], call["recordings"]) == ("abandoned", [], [])


async def test_after_all_of_it_the_books_agree_with_cel_and_cdr_and_what_does_not_is_told(centre: Broken) -> None:
    today = str(datetime.now(ZoneInfo("Asia/Shanghai")).date())
    [day] = json.loads(await centre.site.ctid("compare", "--date", today, "--json"))
    assert day["differences"] == []
    assert (day["calls"], day["cel_calls"], day["bad_lines"]) == (day["cel_calls"], day["cdr_calls"], 0)
    assert day["drift_seconds"] < 1

    with closing(sqlite3.connect(centre.site.state / "ctid.db")) as database, database:
        database.execute("UPDATE talks SET ended_at = datetime(ended_at, '+30 seconds') WHERE agent IS NOT NULL")
    status, out, _ = await centre.site.ctid_full("compare", "--date", today)
    assert status == 1
    assert "s of talk in the books" in out


async def test_a_night_that_was_missed_is_made_up_for(centre: Broken) -> None:
    await centre.site.stop_daemon()
    folder = centre.site.state / "compared"
    folder.mkdir()
    long_ago = datetime.now(ZoneInfo("Asia/Shanghai")).date() - timedelta(days=3)
    (folder / f"{long_ago}.json").write_text(
        json.dumps({"day": str(long_ago), "drift_seconds": 0.0, "differences": []})
    )
    await centre.site.start_daemon()
    await until(lambda: len(list(folder.iterdir())) == 2, "the night is kept", limit=20)
    newest, _ = json.loads(await centre.site.ctid("compare", "--nights", "--json"))
    assert newest["day"] > str(long_ago)
    assert newest["differences"] == []
