"""Legal holds on the pages: placed for a reason, seen by supervisors alone, taken out as a list, lifted."""

from __future__ import annotations

from sqlalchemy import insert

from ctid.db import session
from ctid.db.audits import Actor
from ctid.db.retention import Due, keep_erased
from ctid.db.tables import call_tickets
from tests.web.conftest import Web
from tests.web.test_customers import send

KEEPING = "/customers/C1/keeping"


async def test_a_supervisor_holds_a_customer_for_a_reason_and_lifts_it_again(web: Web) -> None:
    boss = await web.signed_in("boss")
    assert "Under legal hold" not in (await boss.get("/customers/C1")).text
    empty = await send(boss, KEEPING, "/customers/C1/hold", reason=" ")
    assert empty.status_code == 422
    assert "This must be filled in." in empty.text
    held = await send(boss, KEEPING, "/customers/C1/hold", reason="court case 7 <b>")
    assert held.headers["location"] == KEEPING
    shown = (await boss.get(KEEPING)).text
    assert "Under legal hold" in shown
    assert "court case 7 &lt;b&gt;" in shown
    assert "Under legal hold" in (await boss.get("/customers/C1")).text
    assert "court case 7 &lt;b&gt;" in (await boss.get("/holds")).text
    listed = (await boss.get("/holds.csv")).text
    assert listed.splitlines()[0].lstrip("\ufeff") == "customer_id,name,reason,by,since"
    assert "C1,华东精密机械有限公司,court case 7 <b>,boss," in listed
    assert (await send(boss, KEEPING, "/customers/C1/hold", lift="1")).status_code == 303
    assert "No customer is under legal hold." in (await boss.get("/holds")).text
    deeds = await web.rows("SELECT action, subject, user_name FROM audit WHERE action LIKE 'hold%' ORDER BY id")
    assert deeds == [("hold_placed", "C1", "boss"), ("hold_lifted", "C1", "boss")]
    assert "Put under legal hold" in (await boss.get("/audit")).text


async def test_an_agent_sees_nothing_of_holds(web: Web) -> None:
    await send(await web.signed_in("boss"), KEEPING, "/customers/C1/hold", reason="court case 7")
    page = (await (await web.signed_in("liwei")).get("/customers/C1")).text
    assert "legal hold" not in page.lower()
    assert "/keeping" not in page


async def test_no_form_of_a_ticket_or_a_contact_takes_calls_out_of_a_hold(web: Web) -> None:
    link = {"pbx": "pbx", "call_id": "1795000000.1", "ticket_id": "T12", "linked_at": session.instant(web.seeded.now)}
    async with session.writing(web.room.engine) as connection:
        await connection.execute(insert(call_tickets).values(link))
    boss = await web.signed_in("boss")
    for customer in ("C1", "C2"):
        await send(boss, f"/customers/{customer}/keeping", f"/customers/{customer}/hold", reason="court case 7")
    where, other = "/tickets/T12/edit", {"contact_id": "", "customer_id": "C2"}
    refused = await send(boss, where, subject="x", severity="3", **other)
    assert refused.status_code == 422
    assert "Calls of this ticket are under legal hold" in refused.text
    assert await web.rows("SELECT contact_id, customer_id FROM tickets WHERE id = 'T12'") == [("P1", "C1")]
    refused = await send(boss, "/contacts/P2/edit", name="x", customer="", customer_id="C1", anyway="1")
    assert refused.status_code == 409
    assert "If the person has moved, say so by “Has moved”" in refused.text
    assert await web.rows("SELECT customer_id FROM contacts WHERE id = 'P2'") == [("C2",)]


async def test_how_long_a_customers_recordings_are_kept_is_set_and_taken_back(web: Web) -> None:
    boss = await web.signed_in("boss")
    assert (await send(boss, KEEPING, "/customers/C1/retention", days="0")).status_code == 422
    assert (await send(boss, KEEPING, "/customers/C1/retention", days="90")).status_code == 303
    assert 'value="90"' in (await boss.get(KEEPING)).text
    assert await web.rows("SELECT retention_days FROM customers WHERE id = 'C1'") == [(90,)]
    assert (await send(boss, KEEPING, "/customers/C1/retention", days="")).status_code == 303
    assert await web.rows("SELECT retention_days FROM customers WHERE id = 'C1'") == [(None,)]


async def test_a_recording_that_was_erased_says_so_and_is_not_played(web: Web) -> None:
    due = Due(pbx="pbx", id="pbx-call-1", call_id="1795000000.7", path="x", started_at=web.seeded.now)
    await keep_erased(web.room.engine, [due], Actor(at=web.seeded.now))
    boss = await web.signed_in("boss")
    answer = await boss.get("/recordings/pbx-call-1/audio")
    assert answer.status_code == 404
    assert "This recording was erased." in answer.text
    page = (await boss.get("/calls/1795000000.7")).text
    assert "The file was deleted on purpose." in page
    assert "<ctid-player" not in page
