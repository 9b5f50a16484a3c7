"""An unknown caller becomes a contact in two fields, in the middle of a call."""

from __future__ import annotations

import httpx
import pytest

from tests.web.conftest import Web, form_token
from tests.web.site import HOSTILE, LONG

JSON = {"accept": "application/json"}
NUMBER = "139 1111 2222"


async def quick(client: httpx.AsyncClient, *, json: bool = True, **fields: str) -> httpx.Response:
    token = form_token((await client.get("/contacts/quick")).text)
    headers = JSON if json else {}
    return await client.post("/contacts/quick", data={"form_token": token, **fields}, headers=headers)


async def test_a_name_and_an_existing_customer_make_the_caller_a_contact_with_their_number(web: Web) -> None:
    client = await web.signed_in("liwei")
    answer = await quick(client, name="王芳", customer_id="C1", number=NUMBER)
    assert answer.status_code == 200
    made = answer.json()["contact"]
    assert made == {"id": made["id"], "name": "王芳", "customer_id": "C1", "customer": "华东精密机械有限公司"}
    query = "SELECT customer_id, number, given FROM contacts JOIN contact_numbers ON contact_id = id WHERE id ="
    assert await web.rows(f"{query} '{made['id']}'") == [("C1", "+8613911112222", NUMBER)]
    assert ("contact_added", made["id"], "liwei") in await web.rows("SELECT action, subject, user_name FROM audit")


async def test_a_customer_that_is_typed_by_its_very_name_is_that_one_and_another_name_makes_a_new_one(web: Web) -> None:
    client = await web.signed_in("liwei")
    same = await quick(client, name="王芳", customer="华东 精密机械 (集团)", number=NUMBER)
    assert same.json()["contact"]["customer_id"] == "C1"
    other = (await quick(client, name="赵强", customer="北方泵业", number="139 1111 3333")).json()["contact"]
    assert other["customer"] == "北方泵业"
    assert await web.rows(f"SELECT name, level FROM customers WHERE id = '{other['customer_id']}'") == [("北方泵业", 1)]
    nobody = (await quick(client, name="孙丽", number="139 1111 4444")).json()["contact"]
    assert nobody["customer_id"] is None


async def test_who_may_be_meant_is_asked_before_a_second_file_is_made_of_them(web: Web) -> None:
    client = await web.signed_in("liwei")
    asked = await quick(client, name="陈晓明", customer_id="C1", number=NUMBER)
    assert asked.status_code == 409
    assert [(match["id"], match["why"]) for match in asked.json()["matches"]] == [("P1", "very_like")]
    shown = await quick(client, json=False, name="陈晓明", customer_id="C1", number=NUMBER)
    assert 'name="contact_id" value="P1"' in shown.text
    assert 'value="陈晓明"' in shown.text
    chosen = await quick(client, name="陈晓明", customer_id="C1", number=NUMBER, contact_id="P1")
    assert chosen.json()["contact"]["id"] == "P1"
    assert ("+8613911112222",) in await web.rows("SELECT number FROM contact_numbers WHERE contact_id = 'P1'")
    anyway = await quick(client, name="陈晓明", customer_id="C1", number=NUMBER, anyway="1")
    assert anyway.json()["contact"]["id"] != "P1"


async def test_a_new_customer_like_one_that_is_there_is_asked_about(web: Web) -> None:
    client = await web.signed_in("liwei")
    asked = await quick(client, name="王芳", customer="华东精密机床", number=NUMBER)
    assert [(match["kind"], match["id"]) for match in asked.json()["matches"]] == [("customer", "C1")]
    assert await web.rows("SELECT count(*) FROM customers") == [(2,)]


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "王芳", "number": "no number"}, "number"),
        ({"name": "王芳", "number": "13911112222;13911113333"}, "number"),
        ({"name": "王芳", "customer_id": "none"}, "customer"),
        ({"contact_id": "none", "number": NUMBER}, "name"),
    ],
)
async def test_what_will_not_do_is_said_beside_its_field_and_nothing_is_written(
    web: Web, fields: dict[str, str], refused: str
) -> None:
    client = await web.signed_in("liwei")
    answer = await quick(client, **fields)
    assert answer.status_code == 422
    assert list(answer.json()["faults"]) == [refused]
    assert await web.rows("SELECT count(*) FROM contacts") == [(3,)]
    page = await quick(client, json=False, **fields)
    assert page.status_code == 422
    assert fields.get("name", "") in page.text


async def test_a_form_of_another_site_or_without_a_sign_in_makes_nobody(web: Web) -> None:
    client = await web.signed_in("liwei")
    token = form_token((await client.get("/contacts/quick")).text)
    fields = {"form_token": token, "name": "王芳"}
    other = await client.post("/contacts/quick", data=fields, headers={"origin": "http://evil.example"})
    assert other.status_code == 403
    assert (await client.post("/contacts/quick", data={"name": "王芳"})).status_code == 403
    assert (await web.client().post("/contacts/quick", data=fields)).status_code == 303
    assert await web.rows("SELECT count(*) FROM contacts") == [(3,)]


async def test_names_are_found_while_they_are_typed(web: Web) -> None:
    client = await web.signed_in("liwei")
    for path, there in (
        ("/customers/suggest?q=精密", 'value="C1"'),
        ("/customers/suggest?customer=华", 'value="C1"'),
        ("/customers/suggest?q=华东精密机械有限公司", 'value="C1" selected'),
        ("/contacts/suggest?q=陈", 'value="P1"'),
        ("/contacts/suggest?q=13800138000", 'value="P1"'),
    ):
        found = (await client.get(path)).text
        assert there in found, path
        assert "<html" not in found
    for nothing in ("", "%00", "%25", "'", LONG[:150], "zzzz"):
        for kind in ("customers", "contacts"):
            answer = await client.get(f"/{kind}/suggest?q={nothing}")
            assert answer.status_code == 200
            assert "(C1)" not in answer.text
    assert (await web.client().get("/contacts/suggest?q=x")).status_code == 303


async def test_hostile_names_are_text_in_what_is_found_and_made(web: Web) -> None:
    client = await web.signed_in("liwei")
    made = await quick(client, json=False, name=HOSTILE, customer=HOSTILE, number=NUMBER)
    assert "data-contact=" in made.text or "Use this one" in made.text
    for text in (made.text, (await client.get("/customers/suggest", params={"q": "script"})).text):
        assert "<script>alert" not in text
