"""The ticket of a call: found or opened once, whoever asks at the same time, and its links."""

import asyncio

import pytest

from ctid.db.audits import Actor
from ctid.db.calls import Calls
from ctid.db.files import FileKind
from ctid.db.merging import Merging
from ctid.db.tickets import Tickets
from ctid.db.users import Role, Users
from ctid.domain.types import CallRecord, Direction, RecordingRecord, RecordingState
from tests.db.site import NOON, PBX, add_agents, add_contact, add_customer, add_ticket


@pytest.fixture
async def desk(engine) -> Tickets:
    await add_agents(engine, "a", "b")
    await add_customer(engine, "c1")
    await add_contact(engine, "p1", customer="c1")
    return Tickets(engine)


async def answer(desk: Tickets, call_id: str = "1.1", agent: str = "a", **known: str | None):
    whose = {"contact_id": "p1", "customer_id": "c1", "caller": "+8613800138000", **known}
    return await desk.open_for_call(pbx=PBX, call_id=call_id, agent=agent, at=NOON, **whose)


def call(call_id: str = "1.1", **fields: object) -> CallRecord:
    whole = {
        "direction": Direction.INBOUND,
        "caller": None,
        "dialled": None,
        "line": None,
        "started_at": NOON,
        **fields,
    }
    return CallRecord(id=call_id, pbx=PBX, **whole)


def recording(key: str = "r1") -> RecordingRecord:
    return RecordingRecord(id=key, path=f"{key}.wav", state=RecordingState.RECORDING)


async def test_a_call_of_a_contact_without_open_ticket_opens_one_of_the_agents(desk):
    ticket, opened = await answer(desk)
    assert opened
    assert (ticket.id, ticket.subject, ticket.owner, ticket.status) == ("T1", "Call from Contact p1", "a", "open")
    record = await desk.one("T1")
    assert (record.contact_id, record.customer_id, record.opened_by, record.call_id) == ("p1", "c1", "a", "1.1")


async def test_the_contacts_newest_open_ticket_is_taken_up(engine, desk):
    await add_ticket(engine, "old", at=NOON - 9, contact_id="p1", owner="a")
    await add_ticket(engine, "new", at=NOON - 5, contact_id="p1", owner="a", status="pending")
    await add_ticket(engine, "done", at=NOON - 1, contact_id="p1", owner="a", status="resolved")
    ticket, opened = await answer(desk)
    assert (ticket.id, opened) == ("new", False)


async def test_a_colleagues_ticket_is_left_alone(engine, desk):
    await add_ticket(engine, "mine", at=NOON - 9, contact_id="p1", owner="a")
    await add_ticket(engine, "theirs", at=NOON - 5, contact_id="p1", owner="b")
    assert (await answer(desk))[0].id == "mine"
    ticket, opened = await answer(desk, "1.2", agent="b")
    assert (ticket.id, opened) == ("theirs", False)


async def test_nobodys_ticket_becomes_the_agents(engine, desk):
    await add_ticket(engine, "free", contact_id="p1")
    ticket, opened = await answer(desk)
    assert (ticket.id, ticket.owner, opened) == ("free", "a", False)
    assert (await desk.one("free")).owner == "a"


async def test_a_shared_number_takes_up_the_customers_ticket(engine, desk):
    await add_ticket(engine, "firm", customer_id="c1", owner="a")
    assert (await answer(desk, contact_id=None))[0].id == "firm"


async def test_an_unknown_caller_gets_a_ticket_of_their_number_and_an_anonymous_one_too(desk):
    known, _ = await answer(desk, contact_id=None, customer_id=None)
    nameless, _ = await answer(desk, "1.2", contact_id=None, customer_id=None, caller=None)
    assert (known.subject, nameless.subject) == ("Call from +8613800138000", "Call from unknown number")
    assert known.id != nameless.id


async def test_running_numbers_pass_over_imported_ones(engine, desk):
    for key in ("T1", "T2", "T4"):
        await add_ticket(engine, key)
    assert [(await answer(desk, f"1.{n}", contact_id=None, customer_id=None))[0].id for n in range(2)] == ["T3", "T5"]


async def test_asking_again_gives_the_same_ticket(desk):
    first, _ = await answer(desk)
    assert await answer(desk) == (first, False)
    assert (await answer(desk, agent="b"))[0] == first  # the next party of a transfer opens no second one


async def test_the_same_call_asked_at_once_opens_one_ticket(desk):
    answers = await asyncio.gather(*(answer(desk, contact_id=None, customer_id=None) for _ in range(12)))
    assert len({ticket.id for ticket, _ in answers}) == 1
    assert sum(opened for _, opened in answers) == 1
    assert len(await desk.load()) == 1


async def test_many_calls_answered_at_once_get_a_ticket_each_without_a_gap(desk):
    answers = await asyncio.gather(*(answer(desk, f"1.{n}", contact_id=None, customer_id=None) for n in range(20)))
    assert {ticket.id for ticket, _ in answers} == {f"T{n}" for n in range(1, 21)}


async def test_one_contact_on_two_calls_at_once_is_one_ticket(desk):
    answers = await asyncio.gather(*(answer(desk, f"1.{n}") for n in range(8)))
    assert len({ticket.id for ticket, _ in answers}) == 1


async def test_a_contact_or_agent_deleted_meanwhile_costs_no_ticket(desk):
    ticket, opened = await answer(desk, agent="gone", contact_id="gone", customer_id="gone")
    assert (opened, ticket.owner, ticket.subject) == (True, None, "Call from +8613800138000")


@pytest.mark.parametrize("recording_first", [True, False])
async def test_the_recording_is_linked_whichever_comes_first(engine, desk, recording_first):
    calls = Calls(engine)
    if recording_first:
        await calls.save([call(recordings=(recording(),))])
        await answer(desk)
    else:
        await answer(desk)
        await calls.save([call(recordings=(recording(),))])
    saved = await calls.one("1.1")
    assert saved.ticket_ids == ("T1",)
    assert saved.recordings[0].ticket_ids == ("T1",)


async def test_lists_are_the_newest_first_and_filtered(engine, desk):
    await add_ticket(engine, "x", at=NOON, owner="a")
    await add_ticket(engine, "y", at=NOON + 1, owner="b", status="closed")
    assert [t.id for t in await desk.load()] == ["y", "x"]
    assert [t.id for t in await desk.load(owner="a", status="open")] == ["x"]


async def merge(engine, kind: FileKind, gone: str, kept: str) -> None:
    by = Actor(user_id=1, user_name="boss", agent=None, address=None, at=NOON)
    await Users(engine).create("boss", "a long password", Role.SUPERVISOR, at=NOON)
    await Merging(engine).merge(kind, gone, kept, (1, 1), by)


async def test_a_call_whose_contact_was_merged_while_it_rang_takes_up_the_living_ones_ticket(engine, desk):
    await add_contact(engine, "p2", customer="c1")
    await add_ticket(engine, "theirs", at=NOON - 5, contact_id="p2", owner="a")
    await merge(engine, FileKind.CONTACT, "p1", "p2")
    assert [one.id for one in [(await answer(desk))[0]]] == ["theirs"]


async def test_a_call_whose_contact_and_customer_were_merged_while_it_rang_opens_the_living_ones_ticket(engine, desk):
    await add_contact(engine, "p2", customer="c1")
    await merge(engine, FileKind.CONTACT, "p1", "p2")
    _, opened = await answer(desk)
    assert opened
    record = await desk.one("T1")
    assert (record.contact_id, record.customer_id, record.subject) == ("p2", "c1", "Call from Contact p2")


async def test_a_call_whose_customer_was_merged_while_it_rang_is_the_living_ones(engine, desk):
    await add_customer(engine, "c2")
    await add_ticket(engine, "theirs", at=NOON - 5, customer_id="c2", owner="a")
    await merge(engine, FileKind.CUSTOMER, "c1", "c2")
    taken, opened = await answer(desk, contact_id=None)
    assert (taken.id, opened) == ("theirs", False)
    await answer(desk, "1.2", "b", contact_id=None)
    assert (await desk.one("T1")).customer_id == "c2"
