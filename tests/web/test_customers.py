"""Customers' and contacts' files: who sees and changes what, and what is typed is never lost."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.web.conftest import Web, form_token
from tests.web.site import HOSTILE, LONG


async def send(client: httpx.AsyncClient, page: str, to: str | None = None, **fields: str) -> httpx.Response:
    """Post to ``to`` (the page itself) with that page's token and version."""
    text = (await client.get(page)).text
    version = re.search(r'name="version" value="(\d+)"', text)
    given = {"form_token": form_token(text)} | ({"version": version[1]} if version else {}) | fields
    return await client.post(to or page, data=given)


CUSTOMER = {"name": "华东精密机械有限公司", "kind": "customer", "address": "上海", "notes": "门卫电话 8001"}


async def test_customers_are_listed_by_level_and_leads_apart_from_them(web: Web) -> None:
    client = await web.signed_in("liwei")
    page = (await client.get("/customers")).text
    assert page.index("华东精密机械有限公司") < page.index("/customers/C2")
    assert "No sales leads" in (await client.get("/customers?kind=lead")).text
    assert (await client.get("/customers?after=rubbish")).status_code == 422
    assert (await web.client().get("/customers")).status_code == 303


async def test_the_list_goes_on_where_the_page_before_ended(web: Web) -> None:
    client = await web.signed_in("boss")
    for number in range(60):
        answer = await send(client, "/customers/new", name=f"Firm {number:02}", kind="customer", level="2", anyway="1")
        assert answer.status_code == 303
    page = (await client.get("/customers")).text
    older = re.search(r'href="(/customers\?after=[^"]+)"', page)
    assert older
    further = (await client.get(older[1])).text
    assert "Firm 48" in page
    assert "Firm 49" not in page
    assert "Firm 49" in further
    assert "/customers/C2" in further


async def test_a_customers_file_shows_people_tickets_and_one_line_of_time(web: Web) -> None:
    client = await web.signed_in("liwei")
    page = (await client.get("/customers/C1")).text
    for shown in (
        "陈小明",
        "138 0013 8000",
        "Level 4",
        "Spindle stops",
        "/calls/pbx/1795000000.7",
        "VIP",
        "/tickets/T12",
    ):
        assert shown in page, shown
    assert "Asked for the drive&#39;s error log" in page
    only = (await client.get("/customers/C1?what=calls")).text
    assert "/calls/pbx/1795000000.7" in only
    assert "Attempt at" not in only
    assert (await client.get("/customers/none")).status_code == 404
    assert (await client.get("/customers/C1?after=rubbish")).status_code == 422


async def test_only_agents_have_buttons_that_dial(web: Web) -> None:
    assert 'data-number="+8613800138000"' in (await (await web.signed_in("liwei")).get("/contacts/P1")).text
    assert "data-number" not in (await (await web.signed_in("boss")).get("/contacts/P1")).text


async def test_an_agent_edits_a_customer_but_not_the_level(web: Web) -> None:
    agent = await web.signed_in("liwei")
    page = (await agent.get("/customers/C1/edit")).text
    assert 'name="level"' not in page
    assert (await send(agent, "/customers/C1/edit", **CUSTOMER)).status_code == 303
    assert await web.rows("SELECT address, level FROM customers WHERE id = 'C1'") == [("上海", 4)]
    refused = await send(agent, "/customers/C1/edit", **CUSTOMER, level="5")
    assert refused.status_code == 403
    boss = await web.signed_in("boss")
    assert (await send(boss, "/customers/C1/edit", **CUSTOMER, level="5")).status_code == 303
    assert await web.rows("SELECT level FROM customers WHERE id = 'C1'") == [(5,)]
    assert ("customer_changed", "C1", "boss") in await web.rows("SELECT action, subject, user_name FROM audit")


async def test_a_form_that_somebody_else_was_faster_than_says_what_changed_and_keeps_what_was_typed(web: Web) -> None:
    one, other = await web.signed_in("liwei"), await web.signed_in("boss")
    old = re.search(r'name="version" value="(\d+)"', (await one.get("/customers/C1/edit")).text)
    assert old
    assert (await send(other, "/customers/C1/edit", **CUSTOMER, level="4")).status_code == 303
    stale = await send(one, "/customers/C1/edit", **CUSTOMER | {"notes": "mine"}, version=old[1])
    assert stale.status_code == 409
    assert "Somebody else has changed this file" in stale.text
    assert "mine</textarea>" in stale.text
    assert "门卫电话 8001" in stale.text
    again = re.search(r'name="version" value="(\d+)"', stale.text)
    assert again
    answer = await send(one, "/customers/C1/edit", **CUSTOMER | {"notes": "mine"}, version=again[1])
    assert answer.status_code == 303


async def test_a_new_customer_like_another_is_shown_it_and_made_only_if_wanted(web: Web) -> None:
    client = await web.signed_in("liwei")
    asked = await send(client, "/customers/new", name="华东精密机械 Co., Ltd.", kind="customer")
    assert asked.status_code == 409
    assert 'href="/customers/C1">Use this one' in asked.text
    assert await web.rows("SELECT count(*) FROM customers") == [(2,)]
    made = await send(client, "/customers/new", name="华东精密机械 Co., Ltd.", kind="customer", anyway="1")
    assert made.status_code == 303
    assert await web.rows("SELECT count(*) FROM customers") == [(3,)]


@pytest.mark.parametrize("name", ["", " \x00 ", "😀" * 10_000])
async def test_a_name_that_will_not_do_is_refused_and_still_in_the_form(web: Web, name: str) -> None:
    client = await web.signed_in("boss")
    answer = await send(client, "/customers/new", name=name, kind="customer", level="1", notes="still here")
    assert answer.status_code == 422
    assert "still here</textarea>" in answer.text
    assert "<script>" not in answer.text


async def test_a_person_moves_and_the_new_employer_becomes_a_lead_that_says_where_they_came_from(web: Web) -> None:
    client = await web.signed_in("liwei")
    answer = await send(
        client,
        "/contacts/P1/move",
        left="2026-01-31",
        customer="北方泵业",
        department="生产部",
        title="总监",
        notes="有人接替",
    )
    assert answer.status_code == 303
    page = (await client.get("/contacts/P1")).text
    for shown in ("北方泵业", "华东精密机械有限公司", "总监", "Jan 31, 2026", "Sales lead", "有人接替"):
        assert shown in page, shown
    leads = (await client.get("/customers?kind=lead")).text
    assert "from 华东精密机械有限公司" in leads
    old = (await client.get("/customers/C1")).text
    assert "1 former contact" in old
    assert "/tickets/T12" in old
    assert "/calls/pbx/1795000000.7" in old
    lead = re.search(r'/customers/(C\d+)"><bdi>北方泵业', page)
    assert lead
    there = f"/customers/{lead[1]}"
    assert "came here from" in (await client.get(there)).text
    assert (await send(client, there, f"{there}/won")).status_code == 303
    assert await web.rows(f"SELECT kind FROM customers WHERE id = '{lead[1]}'") == [("customer",)]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"left": "31.1.2026"}, "Write the day as"),
        ({"left": "2099-01-01"}, "Write a day that has been"),
        ({"left": ""}, "This must be filled in"),
        ({"left": "2026-01-31", "customer_id": "none"}, "There is no such customer"),
    ],
)
async def test_a_move_that_cannot_be_is_refused_beside_its_field(web: Web, fields: dict[str, str], said: str) -> None:
    client = await web.signed_in("liwei")
    answer = await send(client, "/contacts/P1/move", notes="typed", **fields)
    assert answer.status_code == 422
    assert said in answer.text
    assert "typed</textarea>" in answer.text


async def test_numbers_are_added_ordered_taken_away_and_said_to_be_shared(web: Web) -> None:
    client = await web.signed_in("liwei")
    to = "/contacts/P3/numbers"
    assert (await send(client, "/contacts/P3", to, number="138 0013 8000")).status_code == 303
    assert (await send(client, "/contacts/P3", to, number="8001")).status_code == 303
    page = (await client.get("/contacts/P3")).text
    assert "Also of" in page
    assert "陈小明" in page
    assert (await send(client, "/contacts/P3", to, first="8001")).status_code == 303
    query = "SELECT number FROM contact_numbers WHERE contact_id = 'P3' ORDER BY position"
    assert await web.rows(query) == [("8001",), ("+8613800138000",)]
    assert (await send(client, "/contacts/P3", to, remove="+8613800138000")).status_code == 303
    assert await web.rows(query) == [("8001",)]
    refused = await send(client, "/contacts/P3", to, number="nobody")
    assert refused.status_code == 422
    assert "That is no telephone number" in refused.text


async def test_a_visit_is_written_down_stands_on_the_customers_tickets_and_one_by_nobody_is_refused(web: Web) -> None:
    client = await web.signed_in("liwei")
    to = "/customers/C1/visits"
    fields = {"kind": "installed", "at": "2026-01-31T16:30"}
    refused = await send(client, "/customers/C1", to, **fields, notes="typed")
    assert refused.status_code == 422
    assert "typed</textarea>" in refused.text
    wrong = await send(client, "/customers/C1", to, **fields, agent="7", ticket_id="T999")
    assert "no such ticket" in wrong.text
    assert (await send(client, "/customers/C1", to, **fields, agent="7", ticket_id="T12")).status_code == 303
    page = (await client.get("/customers/C1")).text
    assert "Installed by" in page
    assert "Jan 31, 2026 16:30" in page
    on_ticket = (await client.get("/tickets/T12")).text
    for text in ("Installed by", "Jan 31, 2026", "for this ticket"):
        assert text in on_ticket, text


async def test_supervisors_merge_two_files_after_a_look_and_old_links_lead_on(web: Web) -> None:
    boss, agent = await web.signed_in("boss"), await web.signed_in("liwei")
    made = await send(boss, "/contacts/new", name="陈小明", customer_id="C1", number="139 1111 2222", anyway="1")
    new = made.headers["location"].rsplit("/", 1)[1]
    assert f"/contacts/{new}/merge?into=P1" in (await boss.get("/duplicates")).text
    look = f"/contacts/{new}/merge?into=P1"
    assert (await agent.get(look)).status_code == 403
    assert (await agent.get("/duplicates")).status_code == 403
    page = (await boss.get(look)).text
    versions = re.search(r'name="into_version" value="(\d+)"', page)
    assert versions
    stale = await send(boss, look, f"/contacts/{new}/merge", into="P1", into_version="77")
    assert stale.status_code == 409
    merged = await send(boss, look, f"/contacts/{new}/merge", into="P1", into_version=versions[1])
    assert merged.status_code == 303
    for old in (f"/contacts/{new}", f"/contacts/{new}/edit"):
        assert (await boss.get(old)).headers["location"].startswith("/contacts/P1")
    assert "139 1111 2222" in (await boss.get("/contacts/P1")).text
    again = await boss.get(f"/contacts/P1/merge?into={new}")
    assert again.status_code == 422
    assert (await boss.get("/contacts/P1/merge?into=P1")).status_code == 422
    assert "None here" in (await boss.get("/duplicates")).text


async def test_a_merge_asks_by_name_and_not_by_key(web: Web) -> None:
    boss = await web.signed_in("boss")
    assert "陈小明?" in (await boss.get("/contacts/P1/merge")).text
    assert (await boss.get("/contacts/nobody/merge")).status_code == 404


async def test_two_files_that_are_two_are_not_asked_about_again(web: Web) -> None:
    boss = await web.signed_in("boss")
    made = await send(boss, "/customers/new", name="华东精密机械", kind="customer", level="1", anyway="1")
    new = made.headers["location"].rsplit("/", 1)[1]
    assert new in (await boss.get("/duplicates")).text
    kept = await send(boss, "/duplicates", "/duplicates/apart", kind="customer", one="C1", other=new)
    assert kept.status_code == 303
    assert "None here" in (await boss.get("/duplicates")).text


async def test_hostile_and_endless_names_are_text_on_every_page_of_files(web: Web) -> None:
    boss = await web.signed_in("boss")
    for path in (
        "/customers",
        "/customers/C2",
        "/customers/C2/edit",
        "/customers/C2/merge",
        "/customers/C2/merge?into=C1",
        "/contacts/P2",
        "/contacts/P2/edit",
        "/contacts/P2/move",
        "/contacts/P3",
        "/contacts/P3/merge?into=P2",
        "/contacts/new?customer_id=C2&number=%3Cscript%3E",
        "/customers/new",
        "/duplicates",
    ):
        answer = await boss.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path
        assert '<script>"' not in answer.text, path
        assert " style=" not in answer.text, path
    assert LONG[:1000] in (await boss.get("/contacts/P3")).text
    assert "&lt;script&gt;" in (await boss.get("/customers/C2")).text
    assert HOSTILE not in (await boss.get("/customers/C2")).text


@pytest.mark.parametrize(
    "path",
    [
        "/customers/new",
        "/customers/C1/edit",
        "/customers/C1/won",
        "/customers/C1/visits",
        "/customers/C1/merge",
        "/contacts/new",
        "/contacts/P1/edit",
        "/contacts/P1/numbers",
        "/contacts/P1/move",
        "/contacts/P1/merge",
        "/duplicates/apart",
    ],
)
async def test_no_form_is_taken_from_elsewhere_or_from_who_is_not_signed_in(web: Web, path: str) -> None:
    boss = await web.signed_in("boss")
    token = form_token((await boss.get("/customers/new")).text)
    assert (await boss.post(path, data={"name": "x"})).status_code == 403
    other = await boss.post(path, data={"form_token": token}, headers={"origin": "http://evil.example"})
    assert other.status_code == 403
    assert (await web.client().post(path, data={"form_token": token})).headers["location"] == "/sign-in"
