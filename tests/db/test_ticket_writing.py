"""Tickets as people write them, on both databases: one transaction a change, its steps, stale versions."""

import asyncio
from dataclasses import replace

import pytest

from ctid.db.audits import Actor as AuditActor
from ctid.db.calls import Calls
from ctid.db.files import FileKind
from ctid.db.holds import Holds
from ctid.db.merging import Merging
from ctid.db.ticket_writing import Stale, TicketDesk
from ctid.db.tickets import NoSuchTicket, Tickets
from ctid.desk.changes import HandOver, Promise, Refusal, Resolve, Take, Try, Write
from ctid.desk.ticket import Actor, StepKind, TicketRecord, Written
from tests.db.site import NOON, PBX, add_agents, add_contact, add_customer, add_ticket
from tests.db.test_retention import call, due

A, B = Actor(agent="a", user_name="anna"), Actor(agent="b", user_name="ben")


@pytest.fixture
async def desk(engine) -> TicketDesk:
    await add_agents(engine, "a", "b")
    await add_customer(engine, "c1")
    await add_contact(engine, "p1", customer="c1")
    await add_ticket(engine, "T1", owner="a", contact_id="p1", customer_id="c1")
    return TicketDesk(engine)


def written(ticket: TicketRecord, **fields: object) -> Write:

    return Write(written=replace(ticket.written, **fields))


async def test_each_change_leaves_its_step_and_an_attempt_its_call(desk):
    changes = [Try(what="reset", result="ran", pbx=PBX, call_id="1.1"), HandOver(to="b", reason="ill")]
    after = await desk.change("T1", changes, by=A, at=NOON, version=1)
    assert (after.owner, after.version, after.changed_at) == ("b", 2, NOON)
    story = await desk.story("T1")
    assert story.ticket == after
    assert [step.kind for step in story.steps] == [StepKind.ATTEMPT, StepKind.HANDED_OVER]
    assert (story.steps[1].from_agent, story.steps[1].to_agent, story.steps[1].user_name) == ("a", "b", "anna")
    assert (story.attempts[0].what, story.attempts[0].call_id) == ("reset", "1.1")


async def test_a_change_decided_on_an_older_version_is_told_what_happened_meanwhile(desk):
    await desk.change("T1", [HandOver(to="b", reason="ill")], by=A, at=NOON, version=1)
    stale = await desk.change("T1", [Resolve()], by=A, at=NOON, version=1)
    assert isinstance(stale, Stale)
    assert stale.differ == ("owner",)
    assert stale.steps[0].reason == "ill"
    assert (await desk.story("T1")).ticket.status == "open"


async def test_no_other_customer_or_contact_takes_a_tickets_calls_out_of_a_legal_hold(engine, desk):
    await add_customer(engine, "c2")
    await add_contact(engine, "p2", customer="c2")
    await add_contact(engine, "p3", customer="c1")
    await Calls(engine).save([call("old", 40, ticket_ids=("T1",))])
    await Holds(engine).place("c1", "court", AuditActor(at=NOON))
    assert await due(engine) == []
    ticket = (await desk.story("T1")).ticket
    for fields in ({"contact_id": "p2"}, {"contact_id": "p2", "customer_id": "c2"}):
        changes = [written(ticket, asked="what", **fields)]
        assert await desk.change("T1", changes, by=A, at=NOON, version=1) is Refusal.UNDER_HOLD
    assert (await desk.story("T1")).ticket == ticket
    assert await due(engine) == []
    kept = await desk.change("T1", [written(ticket, contact_id="p3")], by=A, at=NOON, version=1)
    assert kept.contact_id == "p3", "a colleague of the same customer"
    nobody = await desk.change("T1", [written(kept, contact_id=None)], by=A, at=NOON, version=kept.version)
    assert nobody.contact_id is None
    await Holds(engine).lift("c1", AuditActor(at=NOON))
    moved = await desk.change("T1", [written(nobody, customer_id="c2")], by=A, at=NOON, version=nobody.version)
    assert moved.customer_id == "c2"
    assert await due(engine) == ["old"]


async def test_two_writers_at_once_lose_nothing(desk):
    ticket = (await desk.story("T1")).ticket
    both = await asyncio.gather(
        desk.change("T1", [written(ticket, asked="what")], by=A, at=NOON, version=1),
        desk.change("T1", [written(ticket, severity=5)], by=B, at=NOON, version=1),
    )
    assert all(isinstance(one, TicketRecord) for one in both)
    now = (await desk.story("T1")).ticket
    assert (now.asked, now.severity, now.version) == ("what", 5, 3)
    clash = await desk.change("T1", [written(ticket, severity=1)], by=A, at=NOON, version=1)
    assert isinstance(clash, Stale)
    assert (clash.differ, clash.written.asked) == (("severity",), "what")


async def test_whom_nobody_knows_is_refused_and_nothing_is_written(desk):
    ticket = (await desk.story("T1")).ticket
    for change in (HandOver(to="x", reason="r"), written(ticket, contact_id="x"), written(ticket, customer_id="x")):
        assert str(await desk.change("T1", [Try(what="w"), change], by=A, at=NOON, version=1)).startswith("no_such")
    assert (await desk.story("T1")).attempts == ()
    with pytest.raises(NoSuchTicket):
        await desk.change("none", [Take()], by=A, at=NOON, version=1)


async def test_a_person_or_customer_who_was_merged_away_is_the_one_that_took_them_up(engine, desk):
    await add_customer(engine, "c2")
    await add_contact(engine, "p2", customer="c2")
    await add_ticket(engine, "T2", owner="a")
    by, merging = AuditActor(at=NOON), Merging(engine)
    await merging.merge(FileKind.CONTACT, "p2", "p1", (1, 1), by)
    await merging.merge(FileKind.CUSTOMER, "c2", "c1", (1, 1), by)
    blank = (await desk.story("T2")).ticket
    of_person = await desk.change("T2", [written(blank, contact_id="p2")], by=A, at=NOON, version=1)
    assert (of_person.contact_id, of_person.customer_id) == ("p1", "c1")
    await add_ticket(engine, "T3", owner="a")
    of_firm = await desk.change("T3", [written(blank, customer_id="c2")], by=A, at=NOON, version=1)
    assert of_firm.customer_id == "c1"


async def test_the_same_attempt_sent_twice_is_one_and_another_one_two(desk):
    for at, what in ((NOON, "reset"), (NOON + 5, "reset"), (NOON + 9, "fan"), (NOON + 900, "reset")):
        await desk.change("T1", [Try(what=what)], by=A, at=at, version=1)
    assert [one.what for one in (await desk.story("T1")).attempts] == ["reset", "fan", "reset"]


async def test_a_ticket_without_a_call_is_promised_and_takes_the_contacts_customer(desk):
    new = Written(
        subject="Quote",
        category=None,
        severity=5,
        asked=None,
        next_step=None,
        department=None,
        customer_id=None,
        contact_id="p1",
    )
    made = await desk.open(new, by=A, at=NOON)
    assert (made.customer_id, made.owner, made.promised_at) == ("c1", "a", NOON + 4 * 3600)
    assert (await desk.story(made.id)).ticket == made
    moved = await desk.change(made.id, [Promise(at=NOON + 60)], by=A, at=NOON, version=1)
    assert moved.promised_at == NOON + 60


async def test_the_call_that_opens_a_ticket_leaves_its_step_and_the_next_one_too(engine, desk):
    store = Tickets(engine)
    whose = {"contact_id": None, "customer_id": None, "caller": "+861"}
    opened, _ = await store.open_for_call(pbx=PBX, call_id="1.1", agent="a", at=NOON, **whose)
    story = await desk.story(opened.id)
    assert [step.kind for step in story.steps] == [StepKind.OPENED]
    assert story.ticket.promised_at == NOON + 24 * 3600
    await add_ticket(engine, "free", at=NOON + 1, contact_id="p1")
    taken = {"contact_id": "p1", "customer_id": "c1", "caller": None}
    await store.open_for_call(pbx=PBX, call_id="1.2", agent="b", at=NOON + 2, **taken)
    story = await desk.story("free")
    assert [step.kind for step in story.steps] == [StepKind.TAKEN, StepKind.CALLED]
    assert (story.ticket.owner, story.ticket.version) == ("b", 2)
