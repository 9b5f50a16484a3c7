"""Customers and contacts as CSV in the browser: out whole, in after a look, by those who may."""

from __future__ import annotations

import re

import httpx

from ctid.mqtt.topics import Message, node_message
from ctid.web.board import Node
from lab.process import until
from tests.web.conftest import Web, form_token
from tests.web.site import HOSTILE


async def upload(client: httpx.AsyncClient, kind: str, content: bytes, name: str = "list.csv") -> httpx.Response:
    token = form_token((await client.get(f"/{kind}/import")).text)
    return await client.post(f"/{kind}/import", data={"form_token": token}, files={"file": (name, content)})


async def confirm(client: httpx.AsyncClient, kind: str, preview: str) -> httpx.Response:
    key = re.search(r'name="key" value="([^"]+)"', preview)
    assert key, preview[-2000:]
    return await client.post(f"/{kind}/import/confirm", data={"form_token": form_token(preview), "key": key[1]})


async def test_lists_come_out_with_the_columns_an_import_takes_and_no_cell_begins_a_formula(web: Web) -> None:
    assert (await (await web.signed_in("liwei")).get("/contacts.csv")).status_code == 403
    client = boss = await web.signed_in("boss")
    listed = await client.get("/contacts.csv")
    assert listed.headers["content-type"].startswith("text/csv")
    lines = listed.content.decode("utf-8-sig").splitlines()
    assert lines[0] == "id,customer_id,name,department,title,level,numbers,notes"
    assert "P1,C1,陈小明,采购部,经理,,138 0013 8000; 021-61234567," in lines
    assert (await client.get("/customers.csv")).text.lstrip("\ufeff").startswith("id,name,level,notes\r\n")
    await confirm(boss, "customers", (await upload(boss, "customers", b"id,name\nevil,'=1+1\n")).text)
    assert await web.rows("SELECT name FROM customers WHERE id = 'evil'") == [("=1+1",)]
    assert "evil,'=1+1," in (await client.get("/customers.csv")).text
    assert (await web.client().get("/customers.csv")).status_code == 303
    assert ("list_exported", "contacts") in await web.rows("SELECT action, subject FROM audit")


async def test_nothing_of_an_uploaded_list_is_written_before_somebody_says_yes(web: Web) -> None:
    boss = await web.signed_in("boss")
    content = "id,name,level\nC1,华东,5\nC9,新客户,2\nC8,,1\nC7,x,9\n".encode()
    preview = await upload(boss, "customers", content)
    assert preview.status_code == 200
    for shown in ("1 new, 1 known already", "2 bad lines", "name: is empty", "&#39;9&#39; is not a number from 1 to 5"):
        assert shown in preview.text, shown
    assert await web.rows("SELECT count(*) FROM customers") == [(2,)]
    done = await confirm(boss, "customers", preview.text)
    assert "Imported: 1 new, 1 known already." in done.text
    assert await web.rows("SELECT name, level FROM customers WHERE id IN ('C1', 'C9') ORDER BY id") == [
        ("华东", 5),
        ("新客户", 2),
    ]
    assert (await confirm(boss, "customers", preview.text)).status_code == 409  # it was taken
    assert [row for row in await web.rows("SELECT action FROM audit") if row == ("list_imported",)]


async def test_what_was_exported_and_is_imported_again_changes_nothing(web: Web) -> None:
    boss = await web.signed_in("boss")
    everything = "SELECT id, name, level, notes, version FROM customers ORDER BY id"
    before = await web.rows(everything), await web.rows("SELECT contact_id, number, given FROM contact_numbers")
    for kind in ("customers", "contacts"):
        preview = await upload(boss, kind, (await boss.get(f"/{kind}.csv")).content)
        await confirm(boss, kind, preview.text)
    assert before == (
        await web.rows(everything),
        await web.rows("SELECT contact_id, number, given FROM contact_numbers"),
    )


async def test_a_file_that_is_no_list_is_refused_in_a_line(web: Web) -> None:
    boss = await web.signed_in("boss")
    for content, said in (
        (b"PK\x03\x04rubbish", "an Excel or ZIP file"),
        (b"", "is empty"),
        (b"\xff\xff\xff", "neither UTF-8 nor GB18030"),
        (b"a,b\n1,2\n", "the header lacks"),
    ):
        answer = await upload(boss, "customers", content, name=HOSTILE)
        assert answer.status_code == 422
        assert said in answer.text
        assert "<script>alert" not in answer.text
    assert (await upload(boss, "customers", b"x" * (5 << 20))).status_code == 413


async def test_agents_neither_see_nor_send_an_import(web: Web) -> None:
    agent, boss = await web.signed_in("liwei"), await web.signed_in("boss")
    assert (await agent.get("/customers/import")).status_code == 403
    token = form_token((await agent.get("/customers/new")).text)
    file = {"file": ("a.csv", b"id,name\n1,x\n")}
    assert (await agent.post("/customers/import", data={"form_token": token}, files=file)).status_code == 403
    assert (await boss.post("/customers/import", data={"form_token": token}, files=file)).status_code == 403
    preview = await upload(boss, "customers", b"id,name\nC9,x\n")
    key = re.search(r'name="key" value="([^"]+)"', preview.text)
    assert key
    taken = await agent.post("/customers/import/confirm", data={"form_token": token, "key": key[1]})
    assert taken.status_code == 403
    assert await web.rows("SELECT count(*) FROM customers") == [(2,)]


async def test_while_ctid_cannot_keep_pace_whole_lists_wait_and_pages_do_not(ready: Web) -> None:
    boss = await ready.signed_in("boss")
    files = ("/customers.csv", "/contacts.csv", "/tickets.csv", "/audit.csv", "/recordings/r1/peaks")
    before = {file: (await boss.get(file)).status_code for file in files}

    def says(*what: str) -> Message:
        return node_message("n1", up=True, acting=True, pbx_connected=True, version="1", shedding=what)

    await ready.say(says("roster", "gauges", "pages"))
    await until(lambda: "pages" in (ready.room.board.routing() or Node(up=True)).shedding, "the web hears of it")
    for file in files:
        refused = await boss.get(file)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "30"), file
        assert "Not now" in refused.text
    for page in ("/", "/customers", "/tickets"):
        assert (await boss.get(page)).status_code == 200
    await ready.say(says())
    await until(lambda: not (ready.room.board.routing() or Node(up=True)).shedding, "the web hears that it is over")
    assert {file: (await boss.get(file)).status_code for file in files} == before
