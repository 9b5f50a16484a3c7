"""Calls that agents give to a colleague from their screens: who is rung, what the screens say, and that no caller is lost."""

from __future__ import annotations

import pytest

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.events import TransferKind
from ctid.domain.said import Code, Said, say
from ctid.domain.types import AgentState, LegResult, PopState
from tests.domain.desk import Centre, file, last_pop, of, pops, rung
from tests.domain.test_choosing import CALLS, customer_answers, made_call, phone_rings, why_not

BLIND, ATTENDED, COMPLETE, CANCEL = TransferKind


def talking(*others: str) -> tuple[Centre, str]:
    """Ann talks with Bob's customer, Bob and the ``others`` are idle; her leg."""
    centre = Centre("ann", "bob", *others)
    centre.pause("bob")
    centre.arrive("1", file("bob"))
    leg = centre.rings("1", "ann")
    centre.answers("1", leg)
    centre.resume("bob")
    return centre, leg


def transfer(centre: Centre, kind: TransferKind, to: str | None = "bob", agent: str = "ann") -> list[act.Action]:
    request = ev.Request(agent=agent, id="t")
    return centre.tell(ev.TransferAsked(at=centre.now, request=request, kind=kind, to=to))


def taken(centre: Centre, made: list[act.Action], error: str | None = None) -> list[act.Action]:
    """The PBX answers the command."""
    [asked] = [a for a in made if isinstance(a, act.Transfer | act.EndTransfer)]
    began = isinstance(asked, act.Transfer)
    return centre.tell(
        ev.TransferAnswered(at=centre.now, request=asked.request, call_id=asked.call_id, began=began, error=error)
    )


def test_a_blind_transfer_rings_the_colleague_with_the_caller_on_their_screen() -> None:
    centre, leg = talking()
    made = transfer(centre, BLIND)
    [asked] = of(act.Transfer, made)
    assert (asked.channel, asked.endpoint, asked.attended) == (leg, "bob", False)
    assert why_not(taken(centre, made)) is None
    assert centre.state("bob") is AgentState.RESERVED, "no other caller rings there meanwhile"
    centre.ends_leg("1", leg)
    theirs = centre.rings("1", "bob")
    pop = last_pop(centre.log)
    assert (pop.agent, pop.state, pop.notices[0]) == ("bob", PopState.RINGING, say(Code.TRANSFERRED, agent="Ann"))
    centre.answers("1", theirs)
    assert last_pop(centre.log).notices[0] == say(Code.TRANSFERRED, agent="Ann")
    centre.wait(5)
    centre.hangs_up("1", theirs)
    assert centre.calls["1"].agent == "bob"
    assert (centre.state("ann"), centre.state("bob")) == (AgentState.IDLE, AgentState.IDLE)


@pytest.mark.parametrize("why", ["NOANSWER", "BUSY", "CHANUNAVAIL"])
def test_a_caller_whom_the_colleague_does_not_take_waits_before_those_who_came_later(why: str) -> None:
    centre, leg = talking("cai")
    centre.pause("cai")
    taken(centre, transfer(centre, BLIND))
    centre.pause("bob", "nobody free")
    centre.wait(60)
    centre.arrive("2", file("ann"))  # to Ann, as soon as she is free
    assert centre.acd.world.calls["2"].waiting
    centre.wait(2)
    centre.pause("ann")
    centre.ends_leg("1", leg)
    if why != "CHANUNAVAIL":
        theirs = centre.rings("1", "bob")
        centre.ends_leg("1", theirs, LegResult.NO_ANSWER if why == "NOANSWER" else LegResult.BUSY)
    centre.held("1", 2, why=why)
    assert centre.acd.world.calls["1"].waiting
    assert centre.acd.world.desks["bob"].reserved_for is None
    assert rung(centre.resume("cai")) == ["cai"]
    assert centre.acd.world.calls["1"].offer is not None, "the one who was given over first"
    centre.rings("1", "cai")
    assert say(Code.NOT_TAKEN, agent="Bob") in last_pop(centre.log).notices


def test_the_colleague_who_did_not_take_the_caller_is_not_rung_again_at_once() -> None:
    centre, leg = talking("cai")
    taken(centre, transfer(centre, BLIND))
    centre.ends_leg("1", leg)
    centre.ends_leg("1", centre.rings("1", "bob"), LegResult.NO_ANSWER)
    assert centre.acd.world.desks["bob"].missed_in_a_row == 1
    assert "bob" not in rung(centre.held("1", 2, why="NOANSWER")), "though the ticket is theirs"


def test_a_transfer_the_pbx_refuses_leaves_everybody_where_they_are() -> None:
    centre, _ = talking()
    made = taken(centre, transfer(centre, ATTENDED), "No such channel")
    assert why_not(made) == say(Code.NOT_TRANSFERRED, reason="No such channel")
    assert (centre.state("ann"), centre.state("bob")) == (AgentState.TALKING, AgentState.IDLE)
    assert of(act.Transfer, transfer(centre, BLIND)), "and can be tried again"


def test_a_colleague_whose_phone_never_rings_is_free_again() -> None:
    centre, _ = talking()
    taken(centre, transfer(centre, ATTENDED))
    centre.wait(31)
    assert centre.state("bob") is AgentState.IDLE
    assert centre.acd.world.desks["ann"].consults is None


def test_who_consults_is_shown_so_and_completes_or_takes_the_caller_back() -> None:
    for kind in (COMPLETE, CANCEL):
        centre, leg = talking()
        taken(centre, transfer(centre, ATTENDED))
        assert of(act.ShowAgent, centre.log)[-1].status.consults == "bob"
        theirs = centre.rings("1", "bob")
        assert last_pop(centre.log).notices[0] == say(Code.CONSULTED, agent="Ann")
        centre.answers("1", theirs)
        made = transfer(centre, kind, None)
        [asked] = of(act.EndTransfer, made)
        assert (asked.channel, asked.complete) == (leg, kind is COMPLETE)
        assert why_not(taken(centre, made)) is None
        centre.ends_leg("1", leg if kind is COMPLETE else theirs)
        centre.wait(1)
        assert centre.acd.world.calls["1"].transferring is None
        assert centre.acd.world.desks["ann"].consults is None
        assert centre.state("bob") is (AgentState.TALKING if kind is COMPLETE else AgentState.IDLE)
        assert why_not(transfer(centre, kind, None)) in (say(Code.NO_TRANSFER), say(Code.NO_CUSTOMER_CALL))


def test_who_is_led_back_to_the_caller_asks_again_once_the_pbx_takes_keys_again() -> None:
    centre, leg = talking()
    taken(centre, transfer(centre, ATTENDED))
    theirs = centre.rings("1", "bob")
    centre.answers("1", theirs)
    taken(centre, transfer(centre, CANCEL, None))
    centre.ends_leg("1", theirs)
    assert centre.state("bob") is AgentState.IDLE, "who was asked is free at once"
    assert why_not(transfer(centre, ATTENDED)) == say(Code.TRANSFER_UNDER_WAY)
    assert why_not(transfer(centre, CANCEL, None)) == say(Code.NO_TRANSFER)
    assert centre.acd.world.desks["ann"].consults == "bob"
    centre.wait(1)
    assert centre.acd.world.desks["ann"].consults is None
    assert of(act.Transfer, transfer(centre, ATTENDED))
    centre.ends_leg("1", centre.rings("1", "bob"), LegResult.NO_ANSWER)
    centre.ends_leg("1", leg)
    assert centre.acd.world.calls["1"].transferring is None
    assert centre.acd.world.desks["ann"].consults is None


def test_who_hangs_up_while_the_colleague_rings_has_given_the_caller_over() -> None:
    centre, leg = talking()
    taken(centre, transfer(centre, ATTENDED))
    theirs = centre.rings("1", "bob")
    centre.ends_leg("1", leg)
    assert centre.acd.world.desks["ann"].consults is None
    centre.answers("1", theirs)
    assert last_pop(centre.log).notices[0] == say(Code.TRANSFERRED, agent="Ann")
    assert centre.acd.world.calls["1"].transferring is None


def test_a_colleague_on_a_pause_can_be_asked_but_gets_nobody_unasked() -> None:
    centre, _ = talking()
    centre.pause("bob")
    assert why_not(transfer(centre, BLIND)) == say(Code.AGENT_PAUSED, agent="Bob")
    assert of(act.Transfer, transfer(centre, ATTENDED))
    assert centre.state("bob") is AgentState.RESERVED
    assert not [a for a in of(act.NoteOddity, centre.log) if "moved" in a.what]


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("ann", say(Code.TRANSFER_TO_ONESELF)),
        ("zoe", say(Code.NO_AGENT, agent="zoe")),
        ("cai", say(Code.AGENT_OFFLINE, agent="Cai")),
        ("dee", say(Code.AGENT_BUSY, agent="Dee")),
    ],
)
def test_nobody_is_given_a_caller_who_cannot_take_one(to: str, why: Said) -> None:
    centre, _ = talking("cai", "dee")
    centre.tell(ev.SignOutAsked(at=centre.now, request=ev.Request(agent="cai", id="1")))
    centre.arrive("2")
    agent = rung(centre.log)[-1]
    centre.answers("2", centre.rings("2", agent))
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="dee", channels=1))
    assert why_not(transfer(centre, BLIND, to)) == why


def test_only_a_customers_call_is_transferred_and_one_at_a_time() -> None:
    centre = Centre("ann", "bob")
    assert why_not(transfer(centre, BLIND)) == say(Code.NO_CUSTOMER_CALL)
    centre, _ = talking("cai")
    transfer(centre, ATTENDED)
    assert why_not(transfer(centre, BLIND, "cai")) == say(Code.TRANSFER_UNDER_WAY)
    assert why_not(transfer(centre, CANCEL, None, agent="cai")) == say(Code.NO_TRANSFER)
    centre.tell(ev.LinkLost(at=centre.now))
    assert why_not(transfer(centre, BLIND, "cai")) == say(Code.NO_LINK)


def test_a_call_the_agent_made_pops_at_the_colleague_too() -> None:
    centre = Centre("ann", "bob", policy=CALLS)
    call = made_call(centre)
    centre.tell(ev.CallerIdentified(at=centre.now, call_id=call, file=file()))
    leg = phone_rings(centre, call)
    customer_answers(centre, call, leg)
    taken(centre, transfer(centre, BLIND))
    centre.ends_leg(call, leg)
    theirs = centre.rings(call, "bob")
    centre.answers(call, theirs)
    assert [shown for shown in pops(centre.log) if shown[0] == "bob"][:2] == [
        ("bob", PopState.RINGING),
        ("bob", PopState.ANSWERED),
    ]


def test_a_caller_who_hangs_up_meanwhile_leaves_nobody_reserved() -> None:
    centre, leg = talking()
    taken(centre, transfer(centre, BLIND))
    centre.hangs_up("1", leg)
    assert (centre.state("ann"), centre.state("bob")) == (AgentState.IDLE, AgentState.IDLE)
    assert centre.acd.world.phone("bob").reserved_for is None
