"""The erasure of a person on the pages: counted first, asked for by administrators alone, told with ids and no names."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from ctid.db import session
from ctid.db.tables import callbacks, calls, erasures
from ctid.db.users import Role
from tests.web.conftest import Web
from tests.web.site import PASSWORD
from tests.web.test_customers import send

ERASE = "/contacts/P1/erase"


@pytest.fixture
async def root(web: Web):
    """An administrator; nobody is on the telephone."""
    await web.room.users.create("root", PASSWORD, Role.ADMINISTRATOR, at=web.seeded.now)
    before = session.instant(web.seeded.now - 86_400)
    async with session.writing(web.room.engine) as connection:
        await connection.execute(update(calls).values(ended_at=before))
        await connection.execute(update(callbacks).values(ended_at=before))
    return await web.signed_in("root")


async def test_an_administrator_sees_the_counts_ticks_the_box_and_follows_the_report(web: Web, root) -> None:
    assert ERASE in (await root.get("/contacts/P1")).text
    shown = (await root.get(ERASE)).text
    assert '<dt>Recordings</dt><dd class="figures">1</dd>' in shown
    assert "Tickets of this person are open." in shown
    unsure = await send(root, ERASE)
    assert unsure.status_code == 422
    assert "Tick the box to confirm." in unsure.text
    asked = await send(root, ERASE, sure="1")
    assert asked.headers["location"] == "/erasures/1"
    under_way = (await root.get("/erasures/1")).text
    assert "Under way" in under_way
    assert "It waits." not in under_way
    await send(root, "/customers/C1/keeping", "/customers/C1/hold", reason="court case 7")
    assert "It waits. The customer C1 is under legal hold." in (await root.get("/erasures/1")).text
    await send(root, "/customers/C1/keeping", "/customers/C1/hold", lift="1")
    [erasure] = await web.room.erasures.unfinished()
    await web.room.erasures.keep_gone(await web.room.erasures.files(erasure, "pbx", web.seeded.now))
    done = await web.room.erasures.erase(erasure, web.seeded.now)
    await web.room.erasures.end(
        done, {"beyond": ["backups", "new"], "state_files": ["days/x.ami"], "not_found": ["pbx-lost"]}, web.seeded.now
    )
    page = (await root.get("/erasures/1")).text
    for said in (
        "pbx/1795000000.7",
        "pbx-call-1",
        "Backups of database and recordings",
        "days/x.ami",
        "T12",
        "pbx-lost",
    ):
        assert said in page, said
    assert "陈小明" not in page
    assert (await root.get("/contacts/P1")).status_code == 404
    assert (await root.get("/erasures/1/report")).json()["report"]["counts"]["recordings"] == 1
    assert "/erasures/1" in (await root.get("/erasures")).text
    for wrong in ("x", "99", "9" * 30, "-1", "\u0661"):
        assert (await root.get(f"/erasures/{wrong}")).status_code == 404
    deeds = await web.rows(
        "SELECT action, user_name FROM audit WHERE subject = 'P1' AND action LIKE '%eras%' ORDER BY id"
    )
    assert deeds == [("erasure_asked", "root"), ("person_erased", "root")]


async def test_a_legal_hold_and_a_call_stand_in_the_way_and_are_said(web: Web, root) -> None:
    await send(root, "/customers/C1/keeping", "/customers/C1/hold", reason="court case 7")
    held = await send(root, ERASE, sure="1")
    assert held.status_code == 409
    assert "The customer C1 is under legal hold." in held.text
    assert "Erase this person for good" not in held.text
    await send(root, "/customers/C1/keeping", "/customers/C1/hold", lift="1")
    async with session.writing(web.room.engine) as connection:
        await connection.execute(update(calls).where(calls.c.contact_id == "P1").values(ended_at=None))
    assert "A call of theirs is under way" in (await root.get(ERASE)).text


async def test_a_wish_that_waits_is_withdrawn_and_the_person_stays(web: Web, root) -> None:
    await send(root, ERASE, sure="1")
    page = "/erasures/1"
    assert "Withdraw" in (await root.get(page)).text
    taken_back = await send(root, page, f"{page}/withdraw")
    assert taken_back.headers["location"] == "/contacts/P1"
    assert (await root.get("/contacts/P1")).status_code == 200
    deeds = await web.rows(
        "SELECT action, user_name FROM audit WHERE subject = 'P1' AND action LIKE 'eras%' ORDER BY id"
    )
    assert deeds == [("erasure_asked", "root"), ("erasure_withdrawn", "root")]


async def test_what_is_erased_already_is_not_withdrawn(web: Web, root) -> None:
    await send(root, ERASE, sure="1")
    [asked] = await web.room.erasures.unfinished()
    await web.room.erasures.keep_gone(await web.room.erasures.files(asked, "pbx", web.seeded.now))
    await web.room.erasures.erase(asked, web.seeded.now)
    assert "Withdraw" not in (await root.get("/erasures/1")).text
    late = await send(root, "/contacts/P2", "/erasures/1/withdraw")
    assert late.status_code == 409
    assert "cannot be withdrawn any more" in late.text


async def test_a_report_reads_in_the_readers_language_and_one_without_a_count_is_shown(web: Web, root) -> None:
    user = next(user for user in await web.room.users.all() if user.name == "root")
    await web.room.users.set_taste(user.id, language="zh-Hans", theme=None)
    await send(root, ERASE, sure="1")
    [erasure] = await web.room.erasures.unfinished()
    await web.room.erasures.end(erasure, {"beyond": ["backups"], "state_files": None}, web.seeded.now)
    assert "数据库" in (await root.get("/erasures/1")).text
    report = {"counts": {}, "mentions": {"ticket_steps": ["T12"], "audit": ["7"]}}
    async with session.writing(web.room.engine) as connection:
        await connection.execute(update(erasures).values(report=report))
    page = (await root.get("/erasures/1")).text
    assert "<li>工单历史: T12</li>" in page
    assert "<li>审计: 7</li>" in page


async def test_nobody_else_is_even_shown_the_way(web: Web) -> None:
    for name in ("boss", "liwei"):
        reader = await web.signed_in(name)
        assert "/erase" not in (await reader.get("/contacts/P1")).text
