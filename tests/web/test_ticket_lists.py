"""The lists of tickets on the page, and as files."""

from __future__ import annotations

import csv
from io import StringIO

import pytest

from ctid.db import search, session
from ctid.db.tables import tickets
from ctid.web.texts import due, late
from tests.web.conftest import Web
from tests.web.site import HOSTILE


@pytest.fixture
async def desk(web: Web) -> Web:
    now = web.seeded.now
    rows = [
        {"id": "L1", "subject": "Late", "owner": "7", "promised_at": now - 3 * 3600 - 60, "severity": 2},
        {"id": "L2", "subject": "Worse and late", "owner": "8", "promised_at": now - 90_000 * 2, "severity": 5},
        {
            "id": "L3",
            "subject": "=HYPERLINK(1)",
            "owner": "8",
            "category": "+pump",
            "with_agent": "7",
            "customer_id": "C1",
        },
    ]
    async with session.writing(web.room.engine) as connection:
        for row in rows:
            promised = row.pop("promised_at", None)
            at = {"created_at": session.instant(now - 99), "promised_at": promised and session.instant(promised)}
            await connection.execute(tickets.insert().values(**row, **at))
        await connection.run_sync(search.index_all)
    return web


def places(page: str, *ids: str) -> list[int]:
    return [page.index(f'href="/tickets/{one}"') for one in ids]


async def test_an_agents_list_is_their_own_and_the_tabs_count(desk: Web) -> None:
    page = (await (await desk.signed_in("liwei")).get("/tickets")).text
    assert places(page, "T12", "L1") == sorted(places(page, "T12", "L1"))
    assert "/tickets/L2" not in page
    assert 'With me now <span class="ms-1 figures count">3</span>' in page


async def test_what_is_late_is_said_in_words_the_severest_first(desk: Web) -> None:
    page = (await (await desk.signed_in("liwei")).get("/tickets?view=overdue")).text
    assert "3 h late" in page
    assert "2 days late" in page
    assert places(page, "L2", "L1") == sorted(places(page, "L2", "L1"))


async def test_whose_turn_it_is_shows_what_was_passed_on(desk: Web) -> None:
    page = (await (await desk.signed_in("liwei")).get("/tickets?view=turn")).text
    assert "/tickets/L3" in page
    assert "with Li Wei" in page


async def test_a_supervisor_sees_anothers_desk_and_an_agent_does_not(desk: Web) -> None:
    page = (await (await desk.signed_in("boss")).get("/tickets?view=mine&owner=8")).text
    assert "/tickets/L2" in page
    assert "of Zhang San" in page
    answer = await (await desk.signed_in("liwei")).get("/tickets?view=mine&owner=8")
    assert answer.status_code == 403
    assert "Only supervisors see other agents" in answer.text
    assert (await (await desk.signed_in("liwei")).get("/tickets?view=mine&owner=7")).status_code == 200


async def test_filters_combine_and_an_empty_list_says_why(desk: Web) -> None:
    client = await desk.signed_in("boss")
    page = (await client.get("/tickets?view=all&customer=C1&category=%2Bpump")).text
    assert "/tickets/L3" in page
    assert "/tickets/T12" not in page
    assert "No ticket fits" in (await client.get("/tickets?view=all&severity=5&status=closed")).text
    assert "Nothing more is due today" in (await client.get("/tickets?view=today")).text
    assert "/tickets/T9" in (await client.get("/tickets?view=all&status=any")).text


async def test_open_tickets_are_told_by_customer_and_by_category(desk: Web) -> None:
    client = await desk.signed_in("boss")
    page = (await client.get("/tickets?view=customers")).text
    assert '<a href="/tickets?view=all&amp;customer=C1">华东精密机械有限公司</a>' in page
    assert "category=%2Bpump" in (await client.get("/tickets?view=categories")).text


async def test_a_list_goes_on_page_by_page(desk: Web) -> None:
    now = desk.seeded.now
    async with session.writing(desk.room.engine) as connection:
        row = {"subject": "More", "created_at": session.instant(now)}
        await connection.execute(tickets.insert(), [{**row, "id": f"M{n:03}"} for n in range(70)])
    client = await desk.signed_in("boss")
    seen: list[str] = []
    at = "/tickets?view=all"
    while at:
        page = (await client.get(at)).text
        seen += [part.split('"')[0] for part in page.split('href="/tickets/')[1:] if not part.startswith("new")]
        older = page.split("Older</a>")[0].rsplit('href="', 1)[1].split('"')[0] if "Older</a>" in page else ""
        at = older.replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == 70 + 5
    assert (await client.get("/tickets?after=zzz")).status_code == 422


async def test_a_file_holds_the_whole_list_and_no_formula(desk: Web) -> None:
    answer = await (await desk.signed_in("boss")).get("/tickets.csv?view=all&status=any")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="tickets-all-')
    rows = list(csv.DictReader(StringIO(answer.text.removeprefix("\ufeff"))))
    assert len(rows) == 6
    by_id = {row["id"]: row for row in rows}
    assert by_id["L3"]["subject"] == "'=HYPERLINK(1)"
    assert by_id["L3"]["category"] == "'+pump"
    assert by_id["L3"]["customer"] == "华东精密机械有限公司"
    assert by_id["T3"]["subject"] == HOSTILE
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    assert (await (await desk.signed_in("liwei")).get("/tickets.csv?view=mine&owner=8")).status_code == 403


def test_times_are_said_roughly_in_words() -> None:
    assert [late(s) for s in (5, 90, 3600, 100_000, 200_000)] == [
        "1 min late",
        "1 min late",
        "1 h late",
        "27 h late",
        "2 days late",
    ]
    assert [due(s) for s in (600, 7200, 400_000)] == ["in 10 min", "in 2 h", "in 4 days"]
