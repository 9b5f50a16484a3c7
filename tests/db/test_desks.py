"""What stands on an agent's desk: figures, missed calls, the call just over, the caller's tickets, the phone of last time."""

from __future__ import annotations

import pytest
from sqlalchemy import insert

from ctid.db import session
from ctid.db.audits import Actor
from ctid.db.call_notes import CallNotes
from ctid.db.calls import Calls
from ctid.db.desks import Desks, Figures
from ctid.db.relinking import Relinking
from ctid.db.tables import agent_state_changes
from ctid.domain.types import CallRecord, Direction, LegRecord, Via
from tests.db.site import NOON, PBX, add_agents, add_contact, add_customer, add_ticket


def call(key: str, at: float, *, agent: str = "a", answered: bool = True, **more: object) -> CallRecord:
    """A call of contact p1 that rang at the agent and was over after a minute."""
    leg = LegRecord(
        id=f"{key}-leg",
        agent=agent,
        party=agent,
        offered_at=at,
        answered_at=at + 5 if answered else None,
        ended_at=at + 60,
    )
    made: dict[str, object] = {
        "id": key,
        "pbx": PBX,
        "direction": Direction.INBOUND,
        "caller": "777",
        "dialled": "4001",
        "line": None,
        "started_at": at,
        "answered_at": at + 5 if answered else None,
        "ended_at": at + 60,
        "contact_id": "p1",
        "customer_id": "c1",
        "agent": agent if answered else None,
        "owner": "a",
        "via": Via.CTID,
        "legs": (leg,),
    }
    return CallRecord(**{**made, **more})


@pytest.fixture
async def desks(engine) -> Desks:
    await add_agents(engine, "a", "b")
    await add_customer(engine, "c1", level=3)
    await add_contact(engine, "p1", customer="c1")
    return Desks(engine)


async def test_the_days_figures_are_the_calls_that_rang_here(engine, desks):
    await Calls(engine).save(
        [
            call("1", NOON),
            call("2", NOON + 100, answered=False),
            call("3", NOON + 200, agent="b"),
            call("4", NOON - 9e4),
        ]
    )
    assert await desks.figures("a", since=NOON, until=NOON + 3600) == Figures(answered=1, missed=1)
    assert await desks.figures("nobody", since=NOON, until=NOON + 3600) == Figures(answered=0, missed=0)


async def test_a_caller_who_rang_in_vain_is_told_once_until_somebody_spoke_with_them_or_it_is_ticked_off(engine, desks):
    await Calls(engine).save([call("1", NOON, answered=False), call("2", NOON + 100, answered=False)])
    [missed] = await desks.missed("a", since=NOON - 60, limit=10)
    assert (missed.call_id, missed.times, missed.wait_seconds, missed.who, missed.level) == (
        "2",
        2,
        60,
        "Contact p1",
        3,
    )
    assert await desks.missed("b", since=NOON - 60, limit=10) == []
    assert not await desks.done_with("b", pbx=PBX, call_id="2", since=NOON - 60, at=NOON + 300)
    assert await desks.done_with("a", pbx=PBX, call_id="2", since=NOON - 60, at=NOON + 300)
    assert await desks.missed("a", since=NOON - 60, limit=10) == []
    await Calls(engine).save([call("3", NOON + 400, answered=False)])
    assert [one.call_id for one in await desks.missed("a", since=NOON - 60, limit=10)] == ["3"]
    await Calls(engine).save([call("4", NOON + 500, agent="b")])
    assert await desks.missed("a", since=NOON - 60, limit=10) == []


async def test_the_last_conversation_is_unsaid_until_its_disposition_is_said(engine, desks):
    assert await desks.unsaid("a", since=NOON) is None
    await Calls(engine).save([call("1", NOON), call("2", NOON + 100), call("3", NOON + 200, answered=False)])
    await add_ticket(engine, "t1", owner="a")
    await Relinking(engine).relink(pbx=PBX, call_id="2", ticket_id="t1", at=NOON + 150, agent="a")
    over = await desks.unsaid("a", since=NOON)
    assert over is not None
    assert (over.call_id, over.who, over.customer, over.ticket_id) == ("2", "Contact p1", "Customer c1", "t1")
    assert await desks.unsaid("a", since=NOON + 161) is None, "long over"
    assert await desks.unsaid("b", since=NOON) is None
    by = Actor(at=NOON + 200, agent="a")
    await CallNotes(engine).put(PBX, "2", "resolved", None, by)
    assert await desks.unsaid("a", since=NOON) is None, "the one before it is not asked for again"


async def test_what_goes_on_or_was_between_colleagues_is_not_asked_about(engine, desks):
    await Calls(engine).save([call("1", NOON, direction=Direction.INTERNAL)])
    assert await desks.unsaid("a", since=NOON) is None
    leg = LegRecord(id="l", agent="a", party="a", offered_at=NOON + 100, answered_at=NOON + 101, ended_at=None)
    await Calls(engine).save([call("0", NOON - 60), call("2", NOON + 100, ended_at=None, legs=(leg,))])
    assert await desks.unsaid("a", since=NOON - 60) is None


async def test_the_callers_tickets_come_newest_first_and_the_organisations_where_nobody_knows_who_it_was(engine, desks):
    await add_ticket(engine, "old", contact_id="p1", customer_id="c1", at=NOON - 60)
    await add_ticket(engine, "new", contact_id="p1", customer_id="c1", at=NOON)
    await add_ticket(engine, "theirs", customer_id="c1", at=NOON + 60)
    await Calls(engine).save(
        [call("1", NOON), call("2", NOON, contact_id=None), call("3", NOON, contact_id=None, customer_id=None)]
    )
    assert [one.id for one in await desks.of_caller("1", limit=5)] == ["new", "old"]
    assert [one.id for one in await desks.of_caller("2", limit=2)] == ["theirs", "new"]
    assert await desks.of_caller("3", limit=5) == []
    assert await desks.of_caller("none", limit=5) == []


async def test_the_phone_of_last_time_is_the_newest_in_the_log(engine, desks):
    assert await desks.last_phone("a", "pbx1") is None
    rows = [
        {"pbx": "pbx1", "agent": "a", "state": "idle", "phone": phone, "since": session.instant(at)}
        for phone, at in (("desk-1", NOON), ("desk-2", NOON + 60), (None, NOON + 90))
    ]
    async with session.writing(engine) as connection:
        for row in rows:
            await connection.execute(insert(agent_state_changes).values(row))
    assert await desks.last_phone("a", "pbx1") == "desk-2"
