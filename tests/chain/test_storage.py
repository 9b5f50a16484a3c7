"""The database fails under real calls: nobody waits for it, and what it could not take is in the books afterwards, once."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ctid.daemon.journal import waiting_bytes
from lab.counting import judge
from lab.evidence import gather, read_metrics
from lab.postgres import Postgres
from lab.process import until
from lab.site import Site
from lab.small_disk import SmallDisk
from tests.chain.centre import CHEN, CSV, Centre, opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

_DISK = 24 << 20


class Stored(Centre):
    """A centre whose database can be taken away: a PostgreSQL, or SQLite on a disk that is full."""

    def __init__(self, site: Site, place: Postgres | SmallDisk) -> None:
        super().__init__(site)
        self.place = place

    @property
    def journal(self) -> Path:
        return self.site.state / "journal"

    async def take_away(self) -> None:
        if isinstance(self.place, Postgres):
            await self.place.kill()
        else:
            self.place.fill()

    async def bring_back(self) -> None:
        if isinstance(self.place, Postgres):
            await self.place.start()
        else:
            self.place.free()

    @contextmanager
    def silenced(self) -> Iterator[None]:
        """Within it the database neither takes nor refuses: a server that was cut off, a file that somebody locks."""
        if isinstance(self.place, Postgres):
            self.place.freeze()
            try:
                yield
            finally:
                self.place.thaw()
            return
        with self.site.database_locked():
            yield

    async def on_disk(self, *words: str) -> None:
        """Wait until the journal names all of these."""

        def look() -> bool:
            held = self.journal.read_bytes()
            return all(word.encode() in held for word in words)

        await until(look, f"the journal names {words}", limit=5)

    async def all_written(self, limit: float = 20) -> None:
        await until(lambda: not waiting_bytes(self.journal), "the journal is in the database", limit=limit)

    async def talks_and_ends(self, caller: str) -> dict[str, Any]:
        """A whole call of a second; what was published of it in the end."""
        return await self.one_call(caller, 1.0)

    async def have_their_tickets(self, *callers: str) -> list[dict[str, Any]]:
        """The books on the one call of each: answered, with one ticket that its whole recording hangs on."""
        found: list[dict[str, Any]] = []

        async def look() -> bool:
            books = await self.site.calls()
            found[:] = [call for caller in callers for call in books if call["caller"] == caller]
            measured = all(r["state"] != "recording" for call in found for r in call["recordings"])
            return measured and all(call["ended_at"] and call["ticket_ids"] for call in found)

        await until(look, f"the calls of {callers} are in the books", limit=20, every=0.2)
        assert [call["caller"] for call in found] == list(callers)
        for call in found:
            assert (call["outcome"], len(call["ticket_ids"])) == ("answered", 1)
            assert [(r["state"], r["ticket_ids"]) for r in call["recordings"]] == [("complete", call["ticket_ids"])]
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["postgresql", "sqlite"])
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stored]:
    folder = tmp_path_factory.mktemp("site")
    async with AsyncExitStack() as stack:
        place: Postgres | SmallDisk
        if request.param == "postgresql":
            place = await stack.enter_async_context(Postgres(folder / "postgres"))
            site = Site(folder=folder, csv=CSV, ring_seconds=3, database=await place.database("ctid"))
        else:
            site = Site(folder=folder, csv=CSV, ring_seconds=3)
            place = stack.enter_context(SmallDisk(site.state, _DISK))
        config = site.config.read_text()
        site.config.write_text(config.replace("[database]\n", "[database]\njournal_mib = 4\n"))
        await stack.enter_async_context(opened(site))
        yield Stored(site, place)


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Stored) -> Stored:
    await running.tidy()
    return running


async def test_ctid_killed_while_the_database_is_away_loses_no_call_no_ticket_and_no_pause(centre: Stored) -> None:
    long, agent, pop = await centre.comes_in(CHEN)
    async with long:
        await centre.talks(agent, pop["call_id"])
        await centre.take_away()
        short = await centre.talks_and_ends("02155680001")
        free = next(one for one in centre.agents if one not in (agent, short["agent"]))
        await centre.listener.command(free, "pause", reason="meeting")
        await sound(0.5)
        await long.hang_up()
        over = await centre.ended(CHEN)
        last, other, pop = await centre.comes_in("02155680002")
        async with last:
            await centre.talks(other, pop["call_id"])
            shas = [call["recordings"][0]["sha256"] for call in (short, over)]
            await centre.on_disk("meeting", *shas, f'ticket {{"call_id":"{short["id"]}"', f'"{pop["call_id"]}"')
            assert read_metrics(centre.site.metrics_port)["ctid_journal_bytes"] > 0
            await centre.site.kill_daemon()
            await sound(0.5)
            await last.hang_up()
    await centre.bring_back()
    await centre.site.start_daemon()
    await centre.all_written()
    first, second, _ = await centre.have_their_tickets(CHEN, "02155680001", "02155680002")
    assert (first["agent"], first["ticket_ids"], first["legs"][0]["certainty"]) == ("agent2", ["1001"], "exact")
    assert second["legs"][0]["certainty"] == "exact"
    roster = {one["id"]: one for one in json.loads(await centre.site.ctid("agents", "--json"))}
    assert (roster[free]["state"], roster[free]["reason"]) == ("paused", "meeting")
    assert (await centre.listener.becomes(free, "paused"))["reason"] == "meeting"


async def test_calls_go_on_while_the_database_is_away_and_are_in_the_books_once_it_is_back(centre: Stored) -> None:
    before = read_metrics(centre.site.metrics_port)["ctid_journal_dropped_total"]
    await centre.take_away()
    call = await centre.talks_and_ends("02155681001")
    await centre.on_disk(call["recordings"][0]["sha256"])
    await centre.bring_back()
    await centre.all_written()
    await centre.have_their_tickets("02155681001")
    metrics = read_metrics(centre.site.metrics_port)
    assert (metrics["ctid_db_pending_writes"], metrics["ctid_journal_bytes"]) == (0, 0)
    assert metrics["ctid_journal_dropped_total"] == before


async def test_a_database_that_says_nothing_delays_no_call(centre: Stored) -> None:
    with centre.silenced():
        call = await centre.talks_and_ends("02155682001")
        await centre.on_disk(call["recordings"][0]["sha256"])
    await centre.all_written()
    await centre.have_their_tickets("02155682001")


async def test_afterwards_every_source_agrees_on_every_call(centre: Stored) -> None:
    evidence = await gather(centre.site)
    odd = [told["what"] for line in evidence.log if (told := json.loads(line))["event"] == "oddity"]
    assert set(odd) <= {"the database did not say in time who is calling"}
    tally = judge(evidence, may_say={"oddity"})
    assert not tally.broken, "\n".join(tally.broken)
    assert (tally.offered, tally.answered, tally.lost) == (5, 5, 0)
