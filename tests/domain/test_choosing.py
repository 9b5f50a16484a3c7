"""Calls that agents take up by their own choice: a caller who waits, a number to call."""

from __future__ import annotations

import pytest

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.call import Phase
from ctid.domain.said import Code, Said, say
from ctid.domain.types import (
    Agent,
    AgentState,
    Direction,
    LegResult,
    Line,
    Outcome,
    Policy,
    PopState,
    Rule,
    Ticket,
)
from tests.domain.desk import Centre, file, last_pop, of, pops, rung
from tests.domain.test_visits import restarted


def pick_up(centre: Centre, agent: str, call: str = "1") -> list[act.Action]:
    return centre.tell(ev.PickupAsked(at=centre.now, request=ev.Request(agent=agent, id="p"), call_id=call))


def why_not(made: list[act.Action]) -> Said | None:
    [reply] = of(act.Reply, made)
    return reply.error


def waiting(*names: str, who: str | None = None, **more: object) -> Centre:
    """Everybody on a pause, and a caller, known as the customer of ``who``, who waits."""
    centre = Centre(*names, **more)
    for name in names:
        centre.pause(name)
    centre.arrive("1", file(who))
    return centre


def test_an_agent_on_a_pause_picks_a_waiting_caller_up_whoever_owns_the_ticket() -> None:
    centre = waiting("ann", "bob", who="bob")
    made = pick_up(centre, "ann")
    assert rung(made) == ["ann"]
    assert why_not(made) is None
    [noted] = of(act.NoteDecision, made)
    assert (noted.decision.rule, noted.decision.chosen, noted.decision.owner) == (Rule.PICKED, "ann", "bob")
    assert centre.state("ann") is AgentState.RESERVED
    leg = centre.rings("1", "ann")
    pop = last_pop(centre.log)
    assert (pop.agent, pop.state, pop.decision) == ("ann", PopState.RINGING, noted.decision)
    centre.answers("1", leg)
    centre.wait(5)
    centre.hangs_up("1", leg)
    assert centre.state("ann") is AgentState.PAUSED, "the pause goes on"
    assert not [a for a in of(act.NoteOddity, centre.log) if "moved" in a.what]


def test_who_picks_up_ends_their_wrap_up_by_it() -> None:
    centre = Centre("ann", "bob", policy=Policy(timezone="Asia/Shanghai", wrap_up_seconds=30))
    centre.pause("bob")
    centre.converse("0", "ann", 5)
    assert centre.state("ann") is AgentState.WRAP_UP
    centre.arrive("1", file())
    assert rung(pick_up(centre, "ann")) == ["ann"]
    leg = centre.rings("1", "ann")
    centre.ends_leg("1", leg, LegResult.NO_ANSWER)
    centre.held("1", 2, why="NOANSWER")
    assert centre.state("ann") is AgentState.IDLE


def test_of_two_who_press_at_once_one_gets_the_caller_and_the_other_is_told_who() -> None:
    centre = waiting("ann", "bob")
    assert why_not(pick_up(centre, "ann")) is None
    made = pick_up(centre, "bob")
    assert rung(made) == []
    assert why_not(made) == say(Code.CALL_TAKEN, agent="Ann")
    centre.answers("1", centre.rings("1", "ann"))
    assert why_not(pick_up(centre, "bob")) == say(Code.CALL_TAKEN, agent="Ann")


def test_a_caller_who_was_not_answered_by_who_picked_them_up_is_served_on() -> None:
    centre = waiting("ann", "bob")
    pick_up(centre, "ann")
    leg = centre.rings("1", "ann")
    centre.ends_leg("1", leg, LegResult.NO_ANSWER)
    centre.held("1", 2, why="NOANSWER")
    assert rung(centre.resume("bob")) == ["bob"]


def test_the_level_gate_holds_for_picking_up_too_and_the_lines_agents_do_not() -> None:
    gated = Line(name="support", numbers=("4001",), agents=("cai",), level_gate=True)
    agents = [Agent(id=n, name=n.title(), phone=n, level=level) for n, level in (("ann", 1), ("bob", 3), ("cai", 3))]
    centre = Centre(agents=agents, lines=(gated,))
    centre.pause("cai")
    centre.arrive("1", file(level=2))
    assert why_not(pick_up(centre, "ann")) == say(Code.LEVEL_NEEDED, level=2)
    assert rung(pick_up(centre, "bob")) == ["bob"]


def test_who_is_not_free_or_not_here_picks_nobody_up() -> None:
    centre = waiting("ann", "bob")
    assert why_not(pick_up(centre, "zoe")) == say(Code.NO_AGENT, agent="zoe")
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=1))
    assert why_not(pick_up(centre, "ann")) == say(Code.ON_THE_PHONE)
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=0))
    for reachable in (False, None):
        centre.tell(ev.PhoneReached(at=centre.now, endpoint="ann", reachable=reachable))
        assert why_not(pick_up(centre, "ann")) == say(Code.PHONE_UNREACHABLE, phone="ann")
    centre.tell(ev.PhoneReached(at=centre.now, endpoint="ann", reachable=True))
    centre.arrive("2", file())
    pick_up(centre, "ann")
    assert why_not(pick_up(centre, "ann", "2")) == say(Code.CALLER_COMING)
    centre.tell(ev.SignOutAsked(at=centre.now, request=ev.Request(agent="bob", id="1")))
    assert why_not(pick_up(centre, "bob", "2")) == say(Code.NOT_SIGNED_IN)


def test_who_does_not_wait_is_not_picked_up() -> None:
    centre = waiting("ann")
    assert why_not(pick_up(centre, "ann", "9")) == say(Code.CALL_OVER)
    centre.tell(ev.CallLeftToFailsafe(at=centre.now, call_id="1"))
    assert why_not(pick_up(centre, "ann")) == say(Code.CALL_NOT_WAITING)
    centre.hangs_up("1")
    assert why_not(pick_up(centre, "ann")) == say(Code.CALL_OVER)


def test_without_a_link_nobody_picks_up() -> None:
    centre = waiting("ann")
    centre.tell(ev.LinkLost(at=centre.now))
    assert why_not(pick_up(centre, "ann")) == say(Code.NO_LINK)


# -- calling -----------------------------------------------------------------------------------------------------------

CALLS = Policy(timezone="Asia/Shanghai", wrap_up_seconds=0, originates=True)


def dial(centre: Centre, agent: str = "ann", number: str = "10086", **about: str) -> list[act.Action]:
    request = ev.Request(agent=agent, id="d")
    return centre.tell(ev.DialAsked(at=centre.now, request=request, number=number, **about))


def made_call(centre: Centre, **about: str) -> str:
    [asked] = of(act.Originate, dial(centre, **about))
    return asked.call_id


def phone_rings(centre: Centre, call: str, agent: str = "ann") -> str:
    """What Asterisk says when the phone of an originated call rings; the leg's id."""
    leg = call
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint=agent, channels=1))
    centre.tell(ev.CallStarted(at=centre.now, call_id=call, caller=None, dialled="10086", endpoint=agent))
    centre.tell(ev.LegOffered(at=centre.now, call_id=call, leg_id=leg, endpoint=agent, party=agent, originator=True))
    centre.tell(ev.LegRang(at=centre.now, call_id=call, leg_id=leg))
    return leg


def customer_answers(centre: Centre, call: str, leg: str) -> list[act.Action]:
    entered = {"direction": Direction.OUTBOUND, "dialled": "10086"}
    centre.tell(ev.LegAnswered(at=centre.now, call_id=call, leg_id=leg))
    centre.tell(ev.CallEntered(at=centre.now, call_id=call, leg_id=leg, **entered))
    centre.tell(ev.LegOffered(at=centre.now, call_id=call, leg_id="c", endpoint="trunk", party="10086"))
    centre.tell(ev.CallEntered(at=centre.now, call_id=call, leg_id="c", recording="2026/1.wav", **entered))
    made = centre.tell(ev.LegAnswered(at=centre.now, call_id=call, leg_id="c"))
    centre.tell(ev.TalkStarted(at=centre.now, call_id=call, leg_id=leg, peers=("trunk",)))
    return made


def test_an_agent_who_calls_has_their_own_phone_rung_first_with_the_customer_on_the_screen() -> None:
    centre = Centre("ann", policy=CALLS)
    made = dial(centre, contact_id="c-Wang", ticket_id="T7")
    [asked] = of(act.Originate, made)
    assert (asked.endpoint, asked.number) == ("ann", "10086")
    [look] = of(act.LookUpCaller, made)
    assert (look.number, look.contact_id) == ("10086", "c-Wang")
    assert of(act.Reply, made) == [], "the answer is that the phone rings"
    assert centre.state("ann") is AgentState.RESERVED
    centre.tell(ev.CallerIdentified(at=centre.now, call_id=asked.call_id, file=file("bob")))
    leg = phone_rings(centre, asked.call_id)
    assert [r.error for r in of(act.Reply, centre.log) if r.request.id == "d"] == [None]
    pop = last_pop(centre.log)
    assert (pop.agent, pop.state, pop.caller) == ("ann", PopState.RINGING, "+8613800138000")
    assert pop.notices == (say(Code.YOU_CALL),)
    [wanted] = of(act.OpenTicket, customer_answers(centre, asked.call_id, leg))
    assert (wanted.agent, wanted.ticket_id, wanted.outbound, wanted.contact_id) == ("ann", "T7", True, "c-Wang")
    centre.wait(5)
    centre.ends_leg(asked.call_id, leg)
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=0))
    centre.tell(ev.CallEnded(at=centre.now, call_id=asked.call_id))
    record = centre.calls[asked.call_id]
    assert (record.direction, record.dialled, record.outcome) == (Direction.OUTBOUND, "10086", Outcome.ANSWERED)
    assert [d.rule for d in record.decisions] == [Rule.DIALLED]
    assert centre.talked("ann") == 5
    assert centre.state("ann") is AgentState.IDLE
    assert ("ann", PopState.ENDED) in pops(centre.log)


def test_a_phone_that_does_not_ring_is_said_and_its_agent_is_free_again() -> None:
    for result in (LegResult.UNREACHABLE, None):
        centre = Centre("ann", policy=CALLS)
        call = made_call(centre)
        made = centre.tell(ev.CallNotMade(at=centre.now, call_id=call, result=result))
        assert why_not(made) == say(Code.PHONE_NOT_RUNG, phone="ann")
        assert centre.state("ann") is AgentState.IDLE
        assert centre.acd.world.calls[call].phase is Phase.ENDED


def test_a_phone_the_pbx_never_speaks_of_is_given_up() -> None:
    centre = Centre("ann", policy=CALLS)
    made_call(centre)
    assert why_not(centre.wait(26)) == say(Code.PHONE_NOT_RUNG, phone="ann")
    assert centre.state("ann") is AgentState.IDLE


def test_after_a_restart_in_mid_call_the_screen_of_who_called_has_it_still() -> None:
    centre = Centre("ann", policy=CALLS)
    call = made_call(centre)
    leg = phone_rings(centre, call)
    customer_answers(centre, call, leg)
    again = restarted(centre, down=4)
    again.tell(ev.CallStarted(at=again.now, call_id=call, caller=None, dialled="10086", endpoint="ann"))
    offered = {"endpoint": "ann", "party": "ann", "originator": True}
    again.tell(ev.LegOffered(at=again.now, call_id=call, leg_id=leg, **offered))
    again.tell(ev.LegAnswered(at=again.now, call_id=call, leg_id=leg))
    again.tell(ev.LinkOpened(at=again.now))
    assert ("ann", PopState.ANSWERED) in pops(again.log)


@pytest.mark.parametrize(
    ("number", "why"),
    [("abc", say(Code.BAD_NUMBER)), ("4001", say(Code.OWN_NUMBER, number="4001"))],
)
def test_nonsense_and_the_centres_own_numbers_are_not_called(number: str, why: Said) -> None:
    assert why_not(dial(Centre("ann", policy=CALLS), number=number)) == why


def test_without_a_second_ami_user_it_is_said_which_setting_makes_calls() -> None:
    assert why_not(dial(Centre("ann"))) == say(Code.NO_ORIGINATE)


def test_an_agent_on_the_phone_calls_nobody() -> None:
    centre = Centre("ann", policy=CALLS)
    centre.arrive("1", file())
    centre.answers("1", centre.rings("1", "ann"))
    assert why_not(dial(centre)) == say(Code.ON_THE_PHONE)


def test_the_ticket_named_for_a_call_shows_nothing_before_it_is_answered() -> None:
    centre = Centre("ann", policy=CALLS)
    call = made_call(centre, ticket_id="T7")
    phone_rings(centre, call)
    centre.hangs_up(call, call)
    assert of(act.OpenTicket, centre.log) == []
    ticket = Ticket(id="T7", subject="s", status="open", severity=1, owner="ann", created_at=1.0)
    assert ticket.id not in centre.calls[call].ticket_ids
