"""What the books hold, as tables for people and as JSON for machines."""

import asyncio
import stat
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ctid.db import session
from ctid.db.agents import Agents
from ctid.db.calls import Calls
from ctid.db.tables import tickets
from ctid.db.tickets import Tickets
from ctid.domain.types import (
    AgentState,
    AgentStatus,
    CallRecord,
    Decision,
    Direction,
    LegRecord,
    LegResult,
    Outcome,
    RecordingRecord,
    RecordingState,
    Rule,
    Talk,
    Via,
)
from tests.cli.conftest import Site

#: 10:00 in Shanghai.
TEN = datetime(2026, 11, 20, 2, 0, tzinfo=UTC).timestamp()
AGENTS = "id,name,phone,level,pin,lines\n7,Ada,agent1,2,4711,sales\n8,李雷,agent2,1,,\n"


def call(call_id: str, at: float, *, caller: str = "+8613800138000") -> CallRecord:
    return CallRecord(
        id=call_id,
        pbx="pbx",
        direction=Direction.INBOUND,
        caller=caller,
        dialled="4001",
        line="sales",
        started_at=at,
        answered_at=at + 5,
        ended_at=at + 65,
        outcome=Outcome.ANSWERED,
        via=Via.CTID,
        agent="7",
        legs=(
            LegRecord(
                id=f"{call_id}-leg",
                agent="7",
                party="agent1",
                offered_at=at + 1,
                answered_at=at + 5,
                ended_at=at + 65,
                hold_seconds=4.0,
                result=LegResult.ANSWERED,
                talks=(Talk(started_at=at + 5, ended_at=at + 65),),
            ),
        ),
        recordings=(
            RecordingRecord(id=f"{call_id}-r", path=f"2026/{call_id}.wav", state=RecordingState.COMPLETE, seconds=60.0),
        ),
        decisions=(Decision(at=at + 1, rule=Rule.TICKET_OWNER, chosen="7", owner="7"),),
    )


def booked(site: Site, work: Callable[[AsyncEngine], Awaitable[object]]) -> None:
    async def worked() -> None:
        engine = session.engine(site.url)
        await work(engine)
        await engine.dispose()

    asyncio.run(worked())


@pytest.fixture
def busy(site: Site) -> Site:
    """A site with two agents, and two calls of which the first has a ticket."""
    assert site.ctid("import", "agents", site.write("agents.csv", AGENTS)).status == 0

    async def booked_calls(engine: AsyncEngine) -> None:
        await Calls(engine).save([call("1700.1", TEN), call("1700.2", TEN + 3600, caller="[red]x[/red]\x1b[31m")])
        await Tickets(engine).open_for_call(
            pbx="pbx", call_id="1700.1", agent="7", contact_id=None, customer_id=None, caller="+8613800138000", at=TEN
        )
        await Agents(engine).save("pbx", [AgentStatus(agent="7", state=AgentState.PAUSED, since=TEN, reason="lunch")])

    booked(site, booked_calls)
    return site


def test_calls_as_json_are_one_array_with_paths_and_times_in_utc(busy: Site) -> None:
    first, second = busy.ctid("calls", "--json").json
    assert (first["id"], second["id"]) == ("1700.1", "1700.2")
    assert first["started_at"] == "2026-11-20T02:00:00.000Z"
    assert first["recordings"][0]["path"] == "2026/1700.1.wav"
    assert first["recordings"][0]["ticket_ids"] == first["ticket_ids"] == ["T1"]
    assert second["caller"] == "[red]x[/red]\x1b[31m"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["--since", "2026-11-20T10:30"], ["1700.2"]),
        (["--since", "2026-11-20T02:30:00Z"], ["1700.2"]),
        (["--until", "2026-11-20T10:30"], ["1700.1"]),
        (["--since", "2026-11-20", "--until", "2026-11-21"], ["1700.1", "1700.2"]),
        (["--since", "2026-11-20T10:00", "--until", "2026-11-20T10:00"], []),
    ],
)
def test_calls_are_cut_by_when_they_started_in_the_sites_time(busy: Site, asked: list[str], found: list[str]) -> None:
    assert [one["id"] for one in busy.ctid("calls", "--json", *asked).json] == found


def test_a_table_shows_the_sites_time_and_obeys_nothing_a_caller_sends(busy: Site) -> None:
    shown = busy.ctid("calls").out
    assert "2026-11-20 10:00:00" in shown
    assert "[red]x[/red]\\x1b[31m" in shown
    assert "\x1b" not in shown
    assert next(line for line in shown.splitlines() if "1700.1" in line).rstrip().endswith("T1")


def test_a_time_that_is_none_is_refused(site: Site) -> None:
    ended = site.ctid("calls", "--since", "yesterday")
    assert (ended.status, ended.err.count("\n")) == (2, 1)


def test_recordings_are_listed_with_call_path_and_ticket(busy: Site) -> None:
    first, second = busy.ctid("recordings", "--json").json
    assert (first["id"], first["call_id"], first["path"]) == ("1700.1-r", "1700.1", "2026/1700.1.wav")
    assert (first["ticket_ids"], second["ticket_ids"], first["state"]) == (["T1"], [], "complete")
    assert "2026/1700.2.wav" in busy.ctid("recordings").out


def test_agents_are_listed_with_their_states(busy: Site) -> None:
    ada, lei = busy.ctid("agents", "--json").json
    assert (ada["id"], ada["state"], ada["reason"], ada["since"]) == (
        "7",
        "paused",
        "lunch",
        "2026-11-20T02:00:00.000Z",
    )
    assert (lei["name"], lei["state"], lei["since"]) == ("李雷", "offline", None)
    assert "李雷" in busy.ctid("agents").out


def test_tickets_are_listed_and_chosen_by_status_and_owner(busy: Site) -> None:
    [ticket] = busy.ctid("tickets", "--json").json
    assert (ticket["id"], ticket["owner"], ticket["status"]) == ("T1", "7", "open")
    assert busy.ctid("tickets", "--json", "--status", "closed").json == []
    assert len(busy.ctid("tickets", "--json", "--owner", "7", "--status", "open").json) == 1
    assert "+8613800138000" in busy.ctid("tickets").out


def test_the_day_is_reported_per_agent(busy: Site) -> None:
    ada, lei = busy.ctid("report", "day", "--date", "2026-11-20", "--json").json
    assert {name: ada[name] for name in ("agent", "offered", "answered", "missed", "talk_seconds", "hold_seconds")} == {
        "agent": "7",
        "offered": 2,
        "answered": 2,
        "missed": 0,
        "talk_seconds": 120.0,
        "hold_seconds": 8.0,
    }
    assert (ada["tickets_opened"], ada["tickets_solved"], lei["offered"]) == (1, 0, 0)
    shown = busy.ctid("report", "day", "--date", "2026-11-20").out
    assert "Asia/Shanghai" in shown
    assert "2:00" in shown
    assert busy.ctid("report", "day", "--date", "20 November").status == 2


def test_a_call_is_explained_by_the_beginning_of_its_id(busy: Site) -> None:
    shown = busy.ctid("explain", "1700.1").out
    assert "Rang Ada, who owns" in shown
    assert "10:00:01" in shown
    several = busy.ctid("explain", "1700")
    assert (several.status, several.err.count("\n")) == (2, 1)
    assert busy.ctid("explain", "99").err == "ctid: there is no call 99; see: ctid calls\n"


def test_an_import_names_bad_lines_by_number_and_keeps_the_good(site: Site) -> None:
    file = site.write("agents.csv", AGENTS + "9,Bad,agent 3,1,,\n")
    ended = site.ctid("import", "agents", file)
    assert (ended.status, ended.out) == (0, "agents: 2 added, 0 updated, 1 bad\n")
    assert ended.err.startswith("ctid: agents.csv: line 4: phone: ")
    assert site.ctid("import", "agents", file).out == "agents: 0 added, 2 updated, 1 bad\n"


def test_a_strict_import_with_a_bad_line_imports_nothing(site: Site) -> None:
    ended = site.ctid("import", "agents", "--strict", site.write("agents.csv", AGENTS + "9,Bad,agent 3,1,,\n"))
    assert ended.status == 2
    assert [line.split(": ")[2] for line in ended.err.splitlines()] == [
        "line 4",
        "nothing was imported; mend the lines above and run it again",
    ]
    assert site.ctid("agents", "--json").json == []


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "PK\x03\x04"])
def test_a_file_that_is_no_such_list_is_one_line(site: Site, text: str) -> None:
    ended = site.ctid("import", "agents", site.write("agents.csv", text))
    assert (ended.status, ended.err.count("\n"), ended.out) == (2, 1, "")
    assert site.ctid("import", "agents", "/nowhere.csv").status == 2


def test_what_search_finds_is_brought_in_step_by_a_command(busy: Site) -> None:
    assert busy.ctid("db", "reindex").out == "search: all was in step\n"

    async def by_hand(engine: AsyncEngine) -> None:
        async with session.writing(engine) as connection:
            await connection.execute(tickets.update().values(subject="Written by hand"))

    booked(busy, by_hand)
    assert busy.ctid("db", "reindex").out == "search: 1 were out of step\n"
    assert busy.ctid("db", "reindex").out == "search: all was in step\n"


def test_what_is_exported_and_imported_again_changes_nothing(site: Site) -> None:
    people = "id,name,customer_id,numbers\nP1,陈小明,C1,138 0013 8000; 8001\nP2,=1+1,,\n"
    assert site.ctid("import", "customers", site.write("customers.csv", "id,name,level\nC1,华东精密,4\n")).status == 0
    assert site.ctid("import", "contacts", site.write("contacts.csv", people)).status == 0
    for kind, count in (("customers", 1), ("contacts", 2)):
        out = site.folder / f"{kind}-out.csv"
        for _ in range(2):  # a file that is there is replaced
            assert site.ctid("export", kind, str(out)).out == f"{kind}: written to {out}\n"
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        first = out.read_bytes()
        assert site.ctid("import", kind, str(out)).out == f"{kind}: 0 added, {count} updated, 0 bad\n"
        assert site.ctid("export", kind, str(out)).status == 0
        assert out.read_bytes() == first
    assert "'=1+1" in out.read_text("utf-8-sig")
    ended = site.ctid("export", "contacts", "/nowhere/contacts.csv")
    assert ended.status == 2
    assert "/nowhere/contacts.csv: cannot be written" in ended.err
    assert site.ctid("export", "agents", str(out)).status == 2
