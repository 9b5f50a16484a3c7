"""``ctid compare``: a day's books beside CEL and CDR files, as a command."""

import asyncio
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ctid.db import session
from ctid.db.calls import Calls
from ctid.domain.types import CallRecord, Direction, LegRecord, LegResult, Outcome, Talk, Via
from tests.cli.conftest import Ended, Site

DAY = "2026-11-20"
NOON = datetime(2026, 11, 20, 12, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()
ID = f"{NOON:.0f}.1"
AGENTS = f"{NOON:.0f}.2"


def cel(kind: str, at: float, channel: str, uniqueid: str, extra: str = "") -> str:
    return f'"{kind}","{at:.6f}","{uniqueid}","{ID}","{channel}","","s","c","{extra}","",""\n'


def whole_cel(seconds: float) -> str:
    bridge = '{""bridge_id"":""b""}'
    caller, agent = ("PJSIP/trunk-1", ID), ("PJSIP/agent7-2", AGENTS)
    return "".join(
        [
            cel("CHAN_START", NOON, *caller),
            cel("CHAN_START", NOON + 1, *agent),
            cel("ANSWER", NOON + 2, *caller),
            cel("ANSWER", NOON + 2, *agent),
            cel("BRIDGE_ENTER", NOON + 2, *agent, extra=bridge),
            cel("BRIDGE_ENTER", NOON + 2, *caller, extra=bridge),
            cel("BRIDGE_EXIT", NOON + 2 + seconds, *caller, extra=bridge),
            cel("BRIDGE_EXIT", NOON + 2 + seconds, *agent, extra=bridge),
            cel("CHAN_END", NOON + 2 + seconds, *agent),
            cel("CHAN_END", NOON + 2 + seconds, *caller),
        ]
    )


def whole_cdr(seconds: float, at: float = NOON) -> str:
    times = f'"{at:.6f}","{at + 1:.6f}","{at + 2 + seconds:.6f}","{seconds + 1:.6f}"'
    return f'"{ID}","{ID}","PJSIP/trunk-1","PJSIP/agent7-2",{times},"ANSWERED","Dial","13800138000","4001"\n'


@pytest.fixture
def day(site: Site) -> Site:
    """Books with one call of ten seconds at noon, and CEL and CDR files that say the same."""
    talk = Talk(started_at=NOON + 2, ended_at=NOON + 12)
    leg = LegRecord(
        id=AGENTS,
        agent="7",
        party="agent7",
        offered_at=NOON + 1,
        answered_at=NOON + 2,
        ended_at=NOON + 12,
        result=LegResult.ANSWERED,
        talks=(talk,),
    )
    call = CallRecord(
        id=ID,
        pbx="pbx",
        direction=Direction.INBOUND,
        caller="13800138000",
        dialled="4001",
        line="sales",
        started_at=NOON,
        answered_at=NOON + 2,
        ended_at=NOON + 12,
        outcome=Outcome.ANSWERED,
        via=Via.CTID,
        agent="7",
        legs=(leg,),
    )

    async def saved() -> None:
        engine = session.engine(site.url)
        await Calls(engine).save([call])
        await engine.dispose()

    asyncio.run(saved())
    site.write("cel.csv", whole_cel(10))
    site.write("cdr.csv", whole_cdr(10))
    return site


def compared(site: Site, *more: str) -> Ended:
    files = {"CTID_CEL__FILE": f"{site.folder}/cel.csv", "CTID_CDR__FILE": f"{site.folder}/cdr.csv"}
    return site.ctid("compare", "--date", DAY, *more, **files)


def test_a_day_that_agrees_says_so_in_one_line(day: Site) -> None:
    ended = compared(day)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.count("\n") == 1
    assert "1 call in the books, 1 in CEL, 1 in CDR; 0 differences" in ended.out


def test_each_difference_is_a_line_and_the_status_is_one(day: Site) -> None:
    day.write("cel.csv", whole_cel(70))
    ended = compared(day)
    assert ended.status == 1
    call, agent, _ = ended.out.splitlines()
    assert call == f"call {ID}: 10.0 s of talk in the books, 70.0 s in CEL; see: ctid explain {ID}"
    assert agent.startswith("agent 7: 10.0 s of talk in the books")


def test_as_json_with_the_drift(day: Site) -> None:
    day.write("cel.csv", whole_cel(10.5))
    [found] = compared(day, "--json").json
    assert (found["day"], found["drift_seconds"], found["differences"], found["calls"]) == (DAY, 0.5, [], 1)


def test_lines_that_cannot_be_read_are_counted_and_cost_no_other(day: Site) -> None:
    day.write("cel.csv", 'half a row\n"1","2"\n' + whole_cel(10) + "\x00\n")
    day.write("cdr.csv", whole_cdr(10).replace("ANSWERED", 'ANS"WERED', 1) + whole_cdr(10))
    ended = compared(day)
    assert ended.status == 0, ended.out
    assert "4 lines not readable" in ended.out


def test_the_day_is_cut_at_local_midnight_and_found_in_rotated_files(day: Site) -> None:
    before = whole_cdr(10, NOON - 86_400).replace(ID, "1.1")
    day.write("cdr.csv.1", before + whole_cdr(10))
    day.write("cdr.csv", whole_cdr(10, NOON + 86_400).replace(ID, "2.2"))
    ended = compared(day)
    assert ended.status == 0, ended.out
    assert "1 in CDR" in ended.out


def test_a_conversation_across_midnight_counts_on_each_day_what_was_spoken_that_day(day: Site) -> None:
    day.write("cel.csv", whole_cel(13 * 3600))
    ended = compared(day)
    assert f"call {ID}: 10.0 s of talk in the books, 43198.0 s in CEL" in ended.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("--date", "yesterday"), "is no day"), (("--date", "2999-01-01"), "has not begun"), ((), "there is nothing to")],
)
def test_what_cannot_be_compared_is_one_line(site: Site, arguments: tuple[str, ...], says: str) -> None:
    variables = {"CTID_CEL__FILE": f"{site.folder}/cel.csv"} if arguments else {}
    ended = site.ctid("compare", *arguments, **variables)
    assert (ended.status, ended.err.count("\n"), ended.out) == (2, 1, "")
    assert says in ended.err


def test_a_file_that_is_not_there_names_the_key(day: Site) -> None:
    Path(day.folder, "cdr.csv").unlink()
    ended = compared(day)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "cdr.file" in ended.err


def test_the_last_nights_are_listed_the_newest_first(site: Site) -> None:
    assert site.ctid("compare", "--nights", "--json").json == []
    Path(site.folder, "compared").mkdir()
    for name, drift in (("2026-11-19", 0.1), ("2026-11-20", 7.5)):
        site.write(f"compared/{name}.json", f'{{"day": "{name}", "drift_seconds": {drift}, "differences": []}}')
    site.write("compared/2026-11-21.json", "{")
    assert [night["day"] for night in site.ctid("compare", "--nights", "--json").json] == ["2026-11-20", "2026-11-19"]
    assert "7.5" in site.ctid("compare", "--nights").out
