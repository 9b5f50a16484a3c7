"""Calls that come to their agents by other ways than an offer: called out, picked up, fetched, forwarded, taken by the PBX."""

from __future__ import annotations

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.types import Direction, LegResult, Outcome, PopState
from tests.domain.desk import Centre, file, last_pop, of, pops, rung


def calls_out(centre: Centre, agent: str, number: str) -> list[act.Action]:
    """The agent calls this number through ctid-outbound; the customer's phone is dialled."""
    made = centre.tell(ev.CallStarted(at=centre.now, call_id="o", caller=agent, dialled=f"9{number}", endpoint=agent))
    for leg, endpoint, party, own in (("a", agent, agent, True), ("c", "trunk", number, False)):
        made += centre.tell(
            ev.LegOffered(at=centre.now, call_id="o", leg_id=leg, endpoint=endpoint, party=party, originator=own)
        )
        made += centre.tell(
            ev.CallEntered(
                at=centre.now,
                call_id="o",
                direction=Direction.OUTBOUND,
                dialled=number,
                leg_id=leg,
                recording=None if own else "2026/03/02/c.wav",
            )
        )
    return made


def keys(centre: Centre, agent: str, dialled: str, into: str) -> str:
    """The agent calls this extension, the PBX answers, and joins them to the call ``into``; their leg."""
    leg = f"{agent}-own"
    centre.tell(ev.CallStarted(at=centre.now, call_id=leg, caller=agent, dialled=dialled, endpoint=agent))
    centre.tell(ev.LegOffered(at=centre.now, call_id=leg, leg_id=leg, endpoint=agent, party=agent, originator=True))
    centre.tell(ev.LegAnswered(at=centre.now, call_id=leg, leg_id=leg))
    centre.tell(ev.CallsMerged(at=centre.now, call_id=leg, into=into))
    return leg


def talks(centre: Centre, call: str, leg: str) -> list[act.Action]:
    return centre.tell(ev.TalkStarted(at=centre.now, call_id=call, leg_id=leg, peers=("trunk",)))


def test_of_a_call_an_agent_makes_the_contact_is_whom_they_dialled() -> None:
    centre = Centre("ann")
    asked = of(act.LookUpCaller, calls_out(centre, "ann", "13800138000"))
    assert [question.number for question in asked] == ["13800138000"]
    centre.tell(ev.CallerIdentified(at=centre.now, call_id="o", file=file()))
    assert (centre.calls["o"].contact_id, centre.calls["o"].dialled) == ("c-Wang", "13800138000")


def test_a_call_an_agent_makes_has_its_ticket_when_the_customer_answers() -> None:
    centre = Centre("ann")
    made = calls_out(centre, "ann", "13800138000")
    made += centre.tell(ev.CallerIdentified(at=centre.now, call_id="o", file=file()))
    assert of(act.OpenTicket, made) == []
    made = centre.tell(ev.LegAnswered(at=centre.now, call_id="o", leg_id="c"))
    [ticket] = of(act.OpenTicket, made)
    assert (ticket.agent, ticket.contact_id, ticket.outbound) == ("ann", "c-Wang", True)


def test_who_picks_a_ringing_call_up_has_answered_it() -> None:
    centre = Centre("ann", "bob")
    centre.pause("bob")
    assert rung(centre.arrive("1", file())) == ["ann"]
    rings = centre.rings("1", "ann")
    leg = keys(centre, "bob", "*8", "1")
    centre.ends_leg("1", rings, LegResult.CANCELLED)
    made = talks(centre, "1", leg)
    assert pops(made) == [("bob", PopState.ANSWERED)]
    assert [ticket.agent for ticket in of(act.OpenTicket, made)] == ["bob"]
    assert [recording.path for recording in centre.calls["1"].recordings] == ["2026/03/02/1.wav"]
    centre.wait(7)
    centre.hangs_up("1", leg)
    call = centre.calls["1"]
    assert (call.outcome, call.agent) == (Outcome.ANSWERED, "bob")
    assert [(each.agent, each.result) for each in call.legs] == [("ann", "cancelled"), ("bob", "answered")]
    assert (centre.talked("ann"), centre.talked("bob")) == (0, 7)


def test_the_screen_of_who_fetches_a_parked_caller_pops_with_the_same_ticket() -> None:
    centre = Centre("ann", "bob")
    assert rung(centre.arrive("1", file("ann"))) == ["ann"]
    first = centre.rings("1", "ann")
    centre.answers("1", first)
    centre.ends_leg("1", first)
    before = len(centre.log)
    talks(centre, "1", keys(centre, "bob", "701", "1"))
    made = centre.log[before:]
    assert pops(made) == [("bob", PopState.ANSWERED)]
    ticket = last_pop(made).ticket
    assert ticket is not None
    assert ticket.id == "T1"


def test_an_agents_second_leg_in_the_same_call_pops_nothing() -> None:
    centre = Centre("ann", "bob")
    assert rung(centre.arrive("1", file("ann"))) == ["ann"]
    centre.answers("1", centre.rings("1", "ann"))
    before = len(centre.log)
    talks(centre, "1", keys(centre, "ann", "bob", "1"))
    assert pops(centre.log[before:]) == []


def test_a_call_only_the_pbx_took_is_answered_by_nobody_from_then_on() -> None:
    centre = Centre("ann")
    centre.tell(ev.CallStarted(at=centre.now, call_id="m", caller="13800138000", dialled="8820", endpoint="trunk"))
    centre.wait(2)
    taken = centre.now
    centre.tell(ev.LegAnswered(at=taken, call_id="m", leg_id="m"))
    centre.wait(5)
    centre.tell(ev.CallEnded(at=centre.now, call_id="m"))
    call = centre.calls["m"]
    assert (call.outcome, call.agent, call.answered_at) == (Outcome.ANSWERED, None, taken)


def test_a_call_nobody_took_at_all_has_failed() -> None:
    centre = Centre("ann")
    centre.tell(ev.CallStarted(at=centre.now, call_id="m", caller="13800138000", dialled="8899", endpoint="trunk"))
    centre.tell(ev.CallEnded(at=centre.now, call_id="m"))
    assert (centre.calls["m"].outcome, centre.calls["m"].answered_at) == (Outcome.FAILED, None)


def test_a_phone_that_sent_the_caller_elsewhere_in_vain_counts_as_tried() -> None:
    centre = Centre("ann")
    assert rung(centre.arrive("1")) == ["ann"]
    centre.ends_leg("1", centre.rings("1", "ann"), LegResult.CANCELLED)
    assert rung(centre.held("1", 2, "NOANSWER")) == []
    assert rung(centre.wait(centre.policy.round_pause_seconds + 1)) == ["ann"], "in the next round"


def test_a_call_forwarded_outside_keeps_its_line_and_number() -> None:
    centre = Centre("ann")
    centre.arrive("1")
    centre.tell(
        ev.CallEntered(
            at=centre.now, call_id="1", direction=Direction.OUTBOUND, dialled="10086", leg_id="x", recording=None
        )
    )
    call = centre.calls["1"]
    assert (call.direction, call.line, call.dialled) == (Direction.INBOUND, "support", "4001")
