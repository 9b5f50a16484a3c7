"""A call moves to another ticket, or gets its contact, long after: with recordings and histories, and only by who may."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from ctid.db import session
from ctid.db.audits import Actor
from ctid.db.calls import Calls, NoSuchCall
from ctid.db.holds import CallUnderHold, Holds
from ctid.db.relinking import NoSuchContact, NotTheirCall, Relinking
from ctid.db.session import Engine
from ctid.db.tables import recording_tickets, ticket_steps
from ctid.db.tickets import NoSuchTicket, Tickets
from ctid.domain.types import CallRecord, Direction, LegRecord, LegResult, RecordingRecord, RecordingState
from tests.db.site import NOON, PBX, add_agents, add_contact, add_customer, add_ticket

LEG = LegRecord(id="l", agent="a", party="a", offered_at=NOON, answered_at=NOON + 1, ended_at=NOON + 9)


@pytest.fixture
async def desk(engine: Engine) -> Relinking:
    """A call of an unknown number that agent ``a`` answered: T1 was opened for it, and its recording hangs there."""
    await add_agents(engine, "a", "b", "c")
    await add_customer(engine, "c1", level=4)
    await add_contact(engine, "p1", customer="c1")
    recording = RecordingRecord(id="r1", path="r1.wav", state=RecordingState.COMPLETE)
    call = CallRecord(
        id="1.1",
        pbx=PBX,
        direction=Direction.INBOUND,
        caller="777",
        dialled="4001",
        line=None,
        started_at=NOON,
        agent="a",
        legs=(LEG,),
        recordings=(recording,),
    )
    merged = CallRecord(
        id="1.2",
        pbx=PBX,
        direction=Direction.INTERNAL,
        caller=None,
        dialled=None,
        line=None,
        started_at=NOON,
        merged_into="1.1",
    )
    await Calls(engine).save([call, merged])
    await Tickets(engine).open_for_call(
        pbx=PBX, call_id="1.1", agent="a", contact_id=None, customer_id=None, caller="777", at=NOON + 1
    )
    return Relinking(engine)


async def recorded_on(engine: Engine) -> list[str]:
    links = recording_tickets
    async with session.reading(engine) as connection:
        found = await connection.scalars(select(links.c.ticket_id).where(links.c.removed_at.is_(None)))
        return list(found)


async def steps_of(engine: Engine, ticket: str) -> list[str]:
    query = select(ticket_steps.c.kind).where(ticket_steps.c.ticket_id == ticket).order_by(ticket_steps.c.id)
    async with session.reading(engine) as connection:
        return list(await connection.scalars(query))


async def test_a_call_moves_to_another_ticket_with_its_recording_and_both_histories_say_so(engine, desk):
    await add_ticket(engine, "other", owner="b")
    done = await desk.relink(pbx=PBX, call_id="1.1", agent="a", ticket_id="other", at=NOON + 60)
    assert done.ticket is not None
    assert (done.ticket.id, done.call.ticket_ids, done.file) == ("other", ("other",), None)
    assert await recorded_on(engine) == ["other"]
    assert await steps_of(engine, "other") == ["relinked"]
    assert (await steps_of(engine, "T1"))[-1] == "relinked"


async def test_a_call_moves_to_a_new_ticket_of_its_contact(engine, desk):
    done = await desk.relink(pbx=PBX, call_id="1.2", agent="a", new=True, contact_id="p1", at=NOON + 60)
    assert done.ticket is not None
    assert (done.call.id, done.ticket.id, done.ticket.owner) == ("1.1", "T2", "a")
    assert done.ticket.subject == "Call from Contact p1"
    assert await recorded_on(engine) == ["T2"]


async def test_a_caller_who_became_a_contact_is_so_on_the_call_and_on_the_ticket_opened_for_it(engine, desk):
    done = await desk.relink(pbx=PBX, call_id="1.1", agent="a", contact_id="p1", at=NOON + 60)
    assert done.ticket is None
    assert (done.call.contact_id, done.call.customer_id) == ("p1", "c1")
    assert done.file is not None
    assert done.file.contact is not None
    assert (done.file.contact.name, done.file.level, [t.id for t in done.file.history]) == ("Contact p1", 4, ["T1"])
    ticket = await Tickets(engine).one("T1")
    assert (ticket.contact_id, ticket.customer_id, ticket.subject) == ("p1", "c1", "Call from Contact p1")
    assert ticket.version == 2, "a form written before is told what changed"
    assert (await steps_of(engine, "T1"))[-1] == "changed"


async def test_a_ticket_somebody_has_named_keeps_its_name(engine, desk):
    async with session.writing(engine) as connection:
        await connection.exec_driver_sql("UPDATE tickets SET subject = 'Spindle stops' WHERE id = 'T1'")
    await desk.relink(pbx=PBX, call_id="1.1", agent="a", contact_id="p1", at=NOON + 60)
    assert (await Tickets(engine).one("T1")).subject == "Spindle stops"


async def test_no_contact_takes_a_call_out_of_a_legal_hold(engine, desk):
    for customer, contact in (("held", "p2"), ("held", "p3"), ("held too", "p4")):
        if contact != "p3":
            await add_customer(engine, customer)
        await add_contact(engine, contact, customer=customer)
    theirs = replace(await Calls(engine).one("1.1"), id="2.1", contact_id="p2", customer_id="held")
    await Calls(engine).save([replace(theirs, ticket_ids=(), legs=(replace(LEG, id="l2"),), recordings=())])
    for customer in ("held", "held too"):
        await Holds(engine).place(customer, "court", Actor(at=NOON))
    for contact in ("p1", "p4"):
        with pytest.raises(CallUnderHold):
            await desk.relink(pbx=PBX, call_id="2.1", agent="a", contact_id=contact, new=True, at=NOON + 61)
    assert (await Calls(engine).one("2.1")).contact_id == "p2"
    done = await desk.relink(pbx=PBX, call_id="2.1", agent="a", contact_id="p3", at=NOON + 62)
    assert done.call.contact_id == "p3", "a colleague of the same customer"


async def test_nor_the_other_calls_of_the_ticket_that_was_opened_for_it(engine, desk):
    await add_customer(engine, "held")
    await add_contact(engine, "p9")
    await add_ticket(engine, "T9", customer_id="held", pbx=PBX, call_id="1.1")
    call = await Calls(engine).one("1.1")
    await Calls(engine).save([replace(call, id="2.1", ticket_ids=("T9",), legs=(), recordings=())])
    await Holds(engine).place("held", "court", Actor(at=NOON))
    with pytest.raises(CallUnderHold):
        await desk.relink(pbx=PBX, call_id="1.1", agent="a", contact_id="p9", at=NOON + 61)


async def test_the_tickets_owner_may_move_the_call_and_others_may_not(engine, desk):
    await add_ticket(engine, "theirs", owner="b")
    with pytest.raises(NotTheirCall):
        await desk.relink(pbx=PBX, call_id="1.1", agent="b", ticket_id="theirs", at=NOON + 60)
    await desk.relink(pbx=PBX, call_id="1.1", agent="a", ticket_id="theirs", at=NOON + 60)
    await desk.relink(pbx=PBX, call_id="1.1", agent="b", ticket_id="T1", at=NOON + 61)
    assert await recorded_on(engine) == ["T1"]
    with pytest.raises(NotTheirCall):
        await desk.relink(pbx=PBX, call_id="1.1", agent="c", new=True, at=NOON + 62)


async def test_whom_a_call_only_rang_may_say_who_called_and_not_take_what_was_said(engine, desk):
    """With a call's ticket goes the right to hear it: a phone that rang and was not answered gives none."""
    rang = LegRecord(id="r", agent="c", party="c", offered_at=NOON - 9, ended_at=NOON - 1, result=LegResult.NO_ANSWER)
    call = await Calls(engine).one("1.1")
    await Calls(engine).save([replace(call, answered_at=NOON + 1, ended_at=NOON + 9, legs=(rang, LEG))])
    await add_ticket(engine, "own", owner="c")
    for where in ({"new": True}, {"ticket_id": "own"}, {"ticket_id": "own", "contact_id": "p1"}):
        with pytest.raises(NotTheirCall):
            await desk.relink(pbx=PBX, call_id="1.1", agent="c", at=NOON + 60, **where)
    assert await recorded_on(engine) == ["T1"]
    done = await desk.relink(pbx=PBX, call_id="1.1", agent="c", contact_id="p1", at=NOON + 61)
    assert done.call.contact_id == "p1"


async def test_while_it_rings_a_call_moves_to_nobodys_ticket_and_one_nobody_answered_may_be_moved(engine, desk):
    rings = LegRecord(id="r", agent="c", party="c", offered_at=NOON)
    call = replace(await Calls(engine).one("1.1"), id="2.1", legs=(rings,), recordings=(), ticket_ids=(), agent=None)
    await Calls(engine).save([call])
    with pytest.raises(NotTheirCall):
        await desk.relink(pbx=PBX, call_id="2.1", agent="c", new=True, at=NOON + 1)
    missed = replace(rings, ended_at=NOON + 9, result=LegResult.NO_ANSWER)
    await Calls(engine).save([replace(call, ended_at=NOON + 9, legs=(missed,))])
    done = await desk.relink(pbx=PBX, call_id="2.1", agent="c", new=True, at=NOON + 60)
    assert done.ticket is not None
    assert done.ticket.owner == "c"


async def test_later_saves_do_not_bring_the_old_link_back(engine, desk):
    calls = Calls(engine)
    before = await calls.one("1.1")
    assert before.ticket_ids == ("T1",)
    await add_ticket(engine, "right", contact_id="p1", owner="b")
    for ticket in ("right", "T1"):
        await desk.relink(pbx=PBX, call_id="1.1", agent="a", ticket_id=ticket, at=NOON + 60)
        await calls.save([before])
        saved = await calls.one("1.1")
        assert (saved.ticket_ids, saved.recordings[0].ticket_ids) == ((ticket,), (ticket,))
        answered, opened = await Tickets(engine).open_for_call(
            pbx=PBX, call_id="1.1", agent="a", contact_id="p1", customer_id="c1", caller="777", at=NOON + 70
        )
        assert (answered.id, opened) == (ticket, False)


async def test_what_is_not_there_changes_nothing(engine, desk):
    with pytest.raises(NoSuchCall):
        await desk.relink(pbx=PBX, call_id="9.9", agent="a", new=True, at=NOON)
    with pytest.raises(NoSuchTicket, match="there is no ticket 9; see: ctid tickets"):
        await desk.relink(pbx=PBX, call_id="1.1", agent="a", ticket_id="9", contact_id="p1", at=NOON)
    with pytest.raises(NoSuchContact):
        await desk.relink(pbx=PBX, call_id="1.1", agent="a", new=True, contact_id="9", at=NOON)
    assert (await Calls(engine).one("1.1")).contact_id is None
    assert await recorded_on(engine) == ["T1"]
