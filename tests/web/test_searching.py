"""Search from every page: what is shown, marked and suggested, and that what was typed stays text."""

from __future__ import annotations

from itertools import product

import pytest

from ctid.db import search, session
from tests.web.conftest import Web
from tests.web.site import HOSTILE


@pytest.fixture
async def indexed(web: Web) -> Web:
    await session.write(web.room.engine, search.index_all)
    return web


async def test_everything_that_fits_is_shown_in_groups_with_the_hit_marked(indexed: Web) -> None:
    client = await indexed.signed_in("liwei")
    page = (await client.get("/search", params={"q": "华东"})).text
    assert "<mark>华东</mark>精密机械有限公司" in page
    assert "/customers/C1" in page
    page = (await client.get("/search", params={"q": "138 0013 8000"})).text
    assert "<mark>138 0013 8000</mark>" in page
    assert "/contacts/P1" in page
    assert "/calls/pbx/1795000000.7" in page
    page = (await client.get("/search", params={"q": "spindle"})).text
    assert "<mark>Spindle</mark> stops after an hour" in page
    assert "/tickets/T12" in page
    assert "error log" in (await client.get("/search", params={"q": "error log"})).text.replace("<mark>", "").replace(
        "</mark>", ""
    )


async def test_suggestions_are_options_each_with_an_id_and_a_way(indexed: Web) -> None:
    client = await indexed.signed_in("liwei")
    part = (await client.get("/search/suggest", params={"q": "陈小"})).text
    assert "<html" not in part
    assert 'role="option" id="suggestion-1"' in part
    assert 'href="/contacts/P1"' in part
    assert "Nothing fits." in (await client.get("/search/suggest", params={"q": "qqqq"})).text
    assert (await client.get("/search/suggest", params={"q": ""})).text.strip() == ""


TYPED = [HOSTILE, "\0", "😀" * 300, "<script>", '"><img src=x onerror=1>', "'" * 50, "a" * 3000]


async def test_what_was_typed_stays_text(indexed: Web) -> None:
    client = await indexed.signed_in("boss")
    for path, typed in product(("/search", "/search/suggest"), TYPED):
        answer = await client.get(path, params={"q": typed})
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text


async def test_a_search_without_a_letter_says_so(indexed: Web) -> None:
    client = await indexed.signed_in("boss")
    assert "What are you looking for?" in (await client.get("/search")).text
    assert "no letter or digit" in (await client.get("/search", params={"q": "😀 !"})).text
    assert "Nothing fits" in (await client.get("/search", params={"q": "龘龘"})).text


async def test_the_search_box_stands_in_the_frame_of_who_has_signed_in(indexed: Web) -> None:
    page = (await (await indexed.signed_in("boss")).get("/")).text
    assert 'role="combobox"' in page
    assert 'aria-controls="suggestions"' in page
    assert 'role="combobox"' not in (await indexed.client().get("/sign-in")).text
    answer = await indexed.client().get("/search?q=x")
    assert answer.status_code == 303


async def test_the_api_searches_as_the_pages_do(indexed: Web) -> None:
    client = indexed.client()
    client.headers["authorization"] = f"Bearer {indexed.seeded.token}"
    assert [one["id"] for one in (await client.get("/api/v1/tickets?q=spindle")).json()["tickets"]] == ["T12"]
    found = (await client.get("/api/v1/contacts", params={"q": "0086 138 0013 8000"})).json()
    assert [one["id"] for one in found["contacts"]] == ["P1"]
    assert found["contacts"][0]["numbers"] == ["+8613800138000", "+862161234567"]
    assert [one["id"] for one in (await client.get("/api/v1/customers?q=精密")).json()["customers"]] == ["C1"]
    assert (await client.get("/api/v1/customers?q=!")).json() == {"customers": [], "next": None}
