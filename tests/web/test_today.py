"""A day in figures, and who may see whose."""

from __future__ import annotations

from tests.web.conftest import Web


async def test_a_supervisor_sees_every_agents_day_as_tables_and_as_figures_for_charts(web: Web) -> None:
    client = await web.signed_in("boss")
    page = (await client.get("/today")).text
    assert "Li Wei" in page
    assert "Wang Wu" in page
    assert 'data-figures="/today/figures?day=' in page
    figures = (await client.get("/today/figures")).json()
    assert len(figures["half_hours"]) == 48
    assert figures["half_hours"][18]["label"] == "09:00"
    # Of the seeded calls one was answered; two gave up, one overflowed; a callback asked for is not lost, one is under way.
    assert sum(one["answered"] for one in figures["half_hours"]) == 1
    assert sum(one["lost"] for one in figures["half_hours"]) == 3
    assert figures["agents"] == [{"name": "Li Wei", "talk_minutes": 0.1}]


async def test_an_agent_sees_their_own_day_alone(web: Web) -> None:
    client = await web.signed_in("liwei")
    page = (await client.get("/today")).text
    assert "My day" in page
    assert "Wang Wu" not in page
    figures = (await client.get("/today/figures")).json()
    assert (
        sum(one["answered"] for one in figures["half_hours"]),
        sum(one["lost"] for one in figures["half_hours"]),
    ) == (1, 0)
    assert [one["name"] for one in figures["agents"]] == ["Li Wei"]


async def test_another_day_is_chosen_and_a_day_that_is_none_is_refused(web: Web) -> None:
    client = await web.signed_in("boss")
    assert "There was none on this day." in (await client.get("/today?day=2001-01-01")).text
    assert "My day" not in (await client.get("/today?day=2001-01-01")).text
    for day in ("yesterday", "2001-13-01", "9999-01-01"):
        assert (await client.get("/today", params={"day": day})).status_code == 400
        assert (await client.get("/today/figures", params={"day": day})).status_code == 400
    part = (await client.get("/today", headers={"hx-request": "true"})).text
    assert "<html" not in part


async def test_the_figures_need_a_sign_in(web: Web) -> None:
    assert (await web.client().get("/today/figures")).status_code == 303


async def test_callbacks_and_calls_are_filtered_by_who(web: Web) -> None:
    client = await web.signed_in("boss")
    page = (await client.get("/callbacks?text=华东")).text
    assert "/calls/pbx/1795000000.5" in page
    assert "/calls/pbx/1795000000.52" not in page
    page = (await client.get("/?customer=C1")).text
    assert "/calls/1795000000.7" in page
    assert "/calls/1795000000.1" not in page
