"""The ticket's page and the desktop's form: who may do what, what is refused and kept, what others did meanwhile."""

from __future__ import annotations

import re
import time

import httpx
from sqlalchemy import update

from ctid.db import session
from ctid.db.tables import agents, tickets
from ctid.desk.changes import Resolve, Take, Try
from ctid.desk.ticket import Actor, TicketRecord
from tests.web.conftest import Web, form_token
from tests.web.site import HOSTILE, LONG

LIWEI = Actor(agent="7", user_name="liwei")


async def ticket(web: Web, key: str = "T12") -> TicketRecord:
    return await web.room.tickets.one(key)


async def send(client: httpx.AsyncClient, path: str, page: str | None = None, **typed: str) -> httpx.Response:
    """Send a form as the page has it: its token, its version, and what is typed."""
    text = (await client.get(page or "/tickets/T12")).text
    version = re.search(r'name="version" value="(\d+)"', text)
    hidden = {"form_token": form_token(text)} | ({"version": version[1]} if version else {})
    return await client.post(path, data=hidden | typed)


async def test_the_page_tells_everything_about_a_ticket_and_what_is_next(ready: Web) -> None:
    page = (await (await ready.signed_in("liwei")).get("/tickets/T12")).text
    for told in ("Spindle stops after an hour", "华东精密机械有限公司", "陈小明", "Li Wei", "No reply is promised."):
        assert told in page, told
    assert 'href="/customers/C1"' in page
    assert 'href="/contacts/P1"' in page
    assert "/recordings/pbx-call-1/audio" in page


async def test_a_new_ticket_is_begun_from_the_list_and_from_the_files_of_a_person_and_a_customer(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    assert 'href="/tickets/new"' in (await liwei.get("/tickets")).text
    assert 'href="/tickets/new?contact=P1&amp;customer=C1"' in (await liwei.get("/contacts/P1")).text
    assert 'href="/tickets/new?customer=C1"' in (await liwei.get("/customers/C1")).text
    form = (await liwei.get("/tickets/new?contact=P1")).text
    assert 'hx-get="/contacts/suggest"' in form
    assert 'value="P1"' in (await liwei.get("/contacts/suggest?contact_id=陈")).text


async def test_who_took_a_ticket_owns_its_closing_and_a_colleague_is_told_so(ready: Web) -> None:
    zhang = await ready.signed_in("zhang")
    assert "It is solved" not in (await zhang.get("/tickets/T12")).text
    answer = await send(zhang, "/tickets/T12/resolve", page="/tickets/T12")
    assert answer.status_code == 422
    assert "for the ticket&#39;s owner or a supervisor" in answer.text
    assert (await ticket(ready)).status == "open"
    liwei = await ready.signed_in("liwei")
    assert (await send(liwei, "/tickets/T12/resolve", what="Replaced the fan")).status_code == 303
    found = await ticket(ready)
    assert (found.status, found.resolved_by) == ("resolved", "7")
    assert "Replaced the fan" in (await liwei.get("/tickets/T12")).text


async def test_a_ticket_nobody_owns_may_be_taken_once(ready: Web) -> None:
    zhang = await ready.signed_in("zhang")
    assert (await send(zhang, "/tickets/T3/take", page="/tickets/T3")).status_code == 303
    assert (await ticket(ready, "T3")).owner == "8"
    liwei = await ready.signed_in("liwei")
    answer = await send(liwei, "/tickets/T3/take", page="/tickets/T3")
    assert answer.status_code == 422
    assert "Somebody owns this ticket already." in answer.text


async def test_handing_over_needs_a_reason_and_keeps_from_and_to(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    refused = await send(liwei, "/tickets/T12/hand-over", to="8", reason=" ")
    assert refused.status_code == 422
    assert "This must be filled in." in refused.text
    assert 'aria-invalid="true"' in refused.text
    assert (await send(liwei, "/tickets/T12/hand-over", to="8", reason="night shift")).status_code == 303
    page = (await liwei.get("/tickets/T12")).text
    assert "Handed over" in page
    assert "night shift" in page
    assert (await ticket(ready)).owner == "8"


async def test_passing_on_changes_whose_turn_it_is_and_not_the_owner(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    assert (await send(liwei, "/tickets/T12/pass-on", to="9", reason="read the drive's log")).status_code == 303
    found = await ticket(ready)
    assert (found.owner, found.with_agent) == ("7", "9")
    assert "With Wang Wu since" in (await liwei.get("/tickets/T12")).text


async def test_who_opened_the_page_before_somebody_elses_change_is_told_of_it(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    before = (await liwei.get("/tickets/T12")).text
    boss = await ready.signed_in("boss")
    assert (await send(boss, "/tickets/T12/hand-over", to="8", reason="ill")).status_code == 303
    hidden = {"form_token": form_token(before), "version": "1"}
    answer = await liwei.post("/tickets/T12/resolve", data=hidden | {"what": "what I did"})
    assert answer.status_code == 409
    assert "Somebody else was faster." in answer.text
    assert "what I did" in answer.text
    assert (await ticket(ready)).status == "open"


async def test_two_who_write_different_fields_both_find_them_written(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    form = (await liwei.get("/tickets/T12/edit")).text
    boss = await ready.signed_in("boss")
    common = {"subject": "Spindle stops after an hour", "contact_id": "P1", "customer_id": "C1"}
    assert (await send(boss, "/tickets/T12/edit", "/tickets/T12/edit", severity="5", **common)).status_code == 303
    hidden = {"form_token": form_token(form), "version": "1"}
    mine = {**common, "severity": "4", "asked": "It stops"}
    assert (await liwei.post("/tickets/T12/edit", data=hidden | mine)).status_code == 303
    found = await ticket(ready)
    assert (found.severity, found.asked) == (5, "It stops")


async def test_two_who_write_one_field_differently_are_asked_again_and_lose_nothing(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    form = (await liwei.get("/tickets/T12/edit")).text
    boss = await ready.signed_in("boss")
    common = {"contact_id": "P1", "customer_id": "C1", "severity": "4"}
    assert (await send(boss, "/tickets/T12/edit", "/tickets/T12/edit", subject="A", **common)).status_code == 303
    hidden = {"form_token": form_token(form), "version": "1"}
    answer = await liwei.post("/tickets/T12/edit", data=hidden | {**common, "subject": "B", "asked": "long text"})
    assert answer.status_code == 409
    assert "Somebody else has changed this ticket." in answer.text
    assert 'value="B"' in answer.text
    assert "long text" in answer.text
    again = re.search(r'name="version" value="(\d+)"', answer.text)
    assert again
    saved = await liwei.post("/tickets/T12/edit", data=hidden | {**common, "subject": "B", "version": again[1]})
    assert saved.status_code == 303
    assert (await ticket(ready)).subject == "B"


async def test_a_new_ticket_without_a_call_knows_whose_it_is(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    assert "陈小明" in (await liwei.get("/tickets/new?contact=P1")).text
    made = await send(
        liwei, "/tickets/new", "/tickets/new?contact=P1", subject="Wants a quote", severity="2", contact_id="P1"
    )
    assert made.status_code == 303
    found = await ticket(ready, made.headers["location"].removeprefix("/tickets/"))
    assert (found.customer_id, found.department, found.owner) == ("C1", "采购部", "7")
    assert found.promised_at == found.created_at + 48 * 3600
    nobody = await send(liwei, "/tickets/new", "/tickets/new", subject="x", severity="2", contact_id="none")
    assert nobody.status_code == 422
    assert "There is no such contact." in nobody.text


async def test_the_desktop_writes_all_of_a_ticket_at_once_with_the_call_it_was_done_in(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    page = "/tickets/T12/write?call=pbx/1795000000.7"
    answer = await send(
        liwei,
        "/tickets/T12/write",
        page,
        category="Fault",
        severity="5",
        asked="The spindle stops after an hour.",
        done="Reset the drive",
        result="runs again",
        next_step="Send a new fan",
        promise="one_hour",
        status="pending",
        call="pbx/1795000000.7",
    )
    assert answer.status_code == 200
    assert "Saved " in answer.text
    assert "data-saved" in answer.text
    story = await ready.room.ticket_desk.story("T12")
    found, tried = story.ticket, story.attempts[-1]
    assert (found.category, found.severity, found.next_step, found.status) == ("Fault", 5, "Send a new fan", "pending")
    assert abs((found.promised_at or 0) - time.time() - 3600) < 60
    assert (tried.what, tried.result, tried.pbx, tried.call_id) == (
        "Reset the drive",
        "runs again",
        "pbx",
        "1795000000.7",
    )
    assert "/recordings/pbx-call-1/audio" in (await liwei.get("/tickets/T12")).text


async def test_what_the_desktop_refuses_stays_in_the_form(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    answer = await send(
        liwei,
        "/tickets/T12/write",
        "/tickets/T12/write",
        severity="9",
        asked="typed",
        result="it helped",
        next_step="n" * 501,
    )
    assert answer.status_code == 422
    for said in ("from 1 to 5", "Say what was done", "Too long by 1 character", "typed", "it helped", "n" * 501):
        assert said in answer.text, said
    assert (await ticket(ready)).asked is None


async def test_the_same_form_sent_twice_is_one_attempt(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    for _ in range(2):
        assert (
            await send(liwei, "/tickets/T12/write", "/tickets/T12/write", severity="4", done="Reset")
        ).status_code == 200
    tried = [one for one in (await ready.room.ticket_desk.story("T12")).attempts if one.what == "Reset"]
    assert len(tried) == 1


async def test_a_promise_lies_ahead_and_moves_with_a_reason(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    past = await send(liwei, "/tickets/T12/promise", at="2020-01-01T10:00")
    assert past.status_code == 422
    assert "A promise lies ahead" in past.text
    day = time.strftime("%Y-%m-%d", time.localtime(time.time() + 5 * 86400))
    assert (await send(liwei, "/tickets/T12/promise", at=f"{day}T10:00")).status_code == 303
    moved = await send(liwei, "/tickets/T12/promise", at=f"{day}T12:00")
    assert moved.status_code == 422
    assert "Say why" in moved.text
    assert (await send(liwei, "/tickets/T12/promise", at=f"{day}T12:00", reason="part is late")).status_code == 303
    page = (await liwei.get("/tickets/T12")).text
    assert "part is late" in page


async def test_a_resolved_ticket_is_followed_up_confirmed_with_satisfaction_and_closed(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    assert (await send(liwei, "/tickets/T12/resolve", by="9")).status_code == 303
    assert "ask the customer whether it is" in (await liwei.get("/tickets/T12")).text
    zhang = await ready.signed_in("zhang")
    assert (await send(zhang, "/tickets/T12/follow-up", note="runs")).status_code == 303
    typed = {"person": "陈小明", "satisfaction": "5", "close": "1"}
    assert (await send(liwei, "/tickets/T12/confirm", **typed)).status_code == 303
    found = await ticket(ready)
    assert (found.status, found.resolved_by, found.followed_up_by) == ("closed", "9", "8")
    assert (found.confirmed_by, found.satisfaction) == ("陈小明", 5)
    assert "5 of 5" in (await liwei.get("/tickets/T12")).text
    assert (await send(zhang, "/tickets/T12/reopen", reason="stopped again")).status_code == 303
    found = await ticket(ready)
    assert (found.status, found.owner, found.confirmed_at, found.resolved_at) == ("open", "7", None, None)


async def test_hostile_and_endless_text_on_a_ticket_is_shown_as_text(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    typed = {"severity": "4", "asked": HOSTILE, "done": HOSTILE, "next_step": HOSTILE}
    assert (await send(liwei, "/tickets/T12/write", "/tickets/T12/write", **typed)).status_code == 200
    for path in ("/tickets/T12", "/tickets/T12/write", "/tickets/T12/edit", "/tickets/T3"):
        text = (await liwei.get(path)).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;" in text
    refused = await send(liwei, "/tickets/T12/write", "/tickets/T12/write", severity="4", asked=LONG)
    assert refused.status_code == 422
    assert LONG in refused.text
    assert (await send(liwei, "/tickets/T12/hand-over", to="long", reason=HOSTILE)).status_code == 303
    assert "<script>alert" not in (await liwei.get("/tickets/T12")).text


async def test_a_form_without_its_token_or_from_elsewhere_changes_nothing(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    for path in ("/tickets/T12/resolve", "/tickets/T12/write", "/tickets/T12/edit", "/tickets/new"):
        assert (await liwei.post(path, data={"version": "1"})).status_code == 403
        token = form_token((await liwei.get("/tickets/T12")).text)
        elsewhere = {"origin": "https://elsewhere.example"}
        answer = await liwei.post(path, data={"version": "1", "form_token": token}, headers=elsewhere)
        assert answer.status_code == 403
    assert (await ticket(ready)).version == 1


async def test_there_is_no_ticket_and_no_action_of_that_name(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    assert (await liwei.get("/tickets/none")).status_code == 404
    assert (await liwei.get("/tickets/none/write")).status_code == 404
    assert (await send(liwei, "/tickets/T12/delete")).status_code == 404
    assert (await send(liwei, "/tickets/none/take")).status_code == 404


async def test_a_closed_ticket_says_that_it_must_be_reopened(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    assert "Reopen it on its own page" in (await liwei.get("/tickets/T9/write")).text
    answer = await send(liwei, "/tickets/T9/write", "/tickets/T9/write", severity="4", asked="x")
    assert answer.status_code == 422


async def test_the_store_refuses_what_the_page_does_not_offer(ready: Web) -> None:
    done = await ready.room.ticket_desk.change("T9", [Resolve()], by=LIWEI, at=time.time(), version=1)
    assert done == "wrong_status"
    tried = await ready.room.ticket_desk.change("T9", [Try(what="x")], by=LIWEI, at=time.time(), version=1)
    assert isinstance(tried, TicketRecord)
    assert await ready.room.ticket_desk.change("T9", [Take()], by=LIWEI, at=time.time(), version=1) == "wrong_status"


async def test_what_a_call_was_is_said_by_the_agents_it_rang(ready: Web) -> None:
    liwei, zhang = await ready.signed_in("liwei"), await ready.signed_in("zhang")
    place = "/calls/pbx/1795000000.7/disposition"
    assert (await zhang.get(place)).status_code == 403
    boss = await ready.signed_in("boss")
    for nowhere in ("/calls/pbx/9.9/disposition", "/calls/pbx/1795000000/disposition"):
        assert (await boss.get(nowhere)).status_code == 404
        assert (await send(boss, nowhere, place, disposition="Solved")).status_code == 404
    missing = await send(liwei, place, place, disposition="", notes="")
    assert missing.status_code == 422
    made_up = await send(liwei, place, place, disposition="Nonsense", notes="kept")
    assert made_up.status_code == 422
    assert "kept" in made_up.text
    saved = await send(liwei, place, place, disposition="Solved", notes=HOSTILE)
    assert saved.status_code == 200
    assert "Saved " in saved.text
    page = (await liwei.get("/calls/1795000000.7")).text
    assert "Solved" in page
    assert "<script>alert" not in page
    assert await ready.rows("SELECT count(*) FROM audit WHERE action = 'call_noted'") == [(1,)]


async def test_who_left_is_offered_for_nothing(ready: Web) -> None:
    async with session.writing(ready.room.engine) as connection:
        await connection.execute(update(agents).where(agents.c.id == "9").values(enabled=False))
    boss = await ready.signed_in("boss")
    for path in ("/tickets/T12", "/customers/C1"):
        page = (await boss.get(path)).text
        assert '<option value="8"' in page, path
        assert '<option value="9"' not in page, path
    visit = {"kind": "on_site", "at": "2026-01-05T10:00", "agent": "9", "person": "", "ticket_id": "", "notes": ""}
    assert (await send(boss, "/customers/C1/visits", page="/customers/C1", **visit)).status_code == 422
    answer = await send(boss, "/tickets/T12/hand-over", to="9", reason="knows it")
    assert answer.status_code == 422
    assert (await ticket(ready)).owner == "7"


async def test_a_recording_stands_once_on_its_ticket_with_the_attempt_made_in_its_call(ready: Web) -> None:
    liwei = await ready.signed_in("liwei")
    attempt = {"what": "Restarted it", "result": "", "call": "pbx/1795000000.7"}
    for _ in range(2):
        before = (await liwei.get("/tickets/T12")).text
        assert before.count('/recordings/pbx-call-1/audio"') == 1
        answer = await send(liwei, "/tickets/T12/attempt", page="/tickets/T12", **attempt)
        assert answer.status_code == 303
        attempt["what"] = "And once more"
    page = (await liwei.get("/tickets/T12")).text
    assert page.count('/recordings/pbx-call-1/audio"') == 1
    assert page.index("pbx-call-1") < page.index('id="calls"')
    assert "With the attempt made in it" in page


async def test_a_file_shows_its_open_tickets_the_severest_first(ready: Web) -> None:
    now = session.instant(ready.seeded.now)
    async with session.writing(ready.room.engine) as connection:
        for key, severity, status in (("small", 1, "open"), ("worst", 5, "pending"), ("over", 5, "closed")):
            row = {"id": key, "subject": key, "created_at": now, "severity": severity, "status": status}
            await connection.execute(tickets.insert().values(**row, customer_id="C1", contact_id="P1"))
    boss = await ready.signed_in("boss")
    for path in ("/customers/C1", "/contacts/P1"):
        page = (await boss.get(path)).text
        card = page[page.index('id="tickets"') :].partition("</section>")[0]
        assert card.index("/tickets/worst") < card.index("/tickets/T12") < card.index("/tickets/small"), path
        assert "/tickets/over" not in card, path
