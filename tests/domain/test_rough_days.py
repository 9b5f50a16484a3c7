"""What seldom happens and must not hurt: odd orders of events, people who leave in mid-call, restarts at the wrong moment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.types import (
    Agent,
    AgentState,
    Certainty,
    Direction,
    LegResult,
    Line,
    OpenHours,
    Outcome,
    Policy,
    PopState,
    RecordingState,
    Ticket,
)
from tests.domain.desk import MORNING, Centre, file, of, pops, rung
from tests.domain.test_visits import answered, restarted

BACK = Certainty.BACKFILLED


def test_an_agent_who_rings_the_service_number_is_a_caller_and_free_again_afterwards():
    centre = Centre("ann", "bob")
    centre.tell(ev.CallStarted(at=centre.now, call_id="1", caller="ann", dialled="4001", endpoint="ann"))
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=1))
    centre.tell(ev.LegOffered(at=centre.now, call_id="1", leg_id="1", endpoint="ann", party="ann", originator=True))
    assert centre.state("ann") is AgentState.RINGING
    centre.tell(ev.CallEntered(at=centre.now, call_id="1", direction=Direction.INBOUND, dialled="4001", leg_id="1"))
    assert rung(centre.held("1", 1)) == ["bob"]
    centre.tell(ev.LegEnded(at=centre.now, call_id="1", leg_id="1"))
    centre.tell(ev.CallEnded(at=centre.now, call_id="1"))
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=0))
    assert centre.state("ann") is AgentState.IDLE
    assert centre.calls["1"].legs == ()


def test_an_agent_to_whom_a_caller_is_on_the_way_may_have_talked_with_another_meanwhile():
    """As ctid hears it, who stood still for seconds in which the fallback queue rang the same phone."""
    centre = Centre("ann", "bob")
    made = centre.arrive("1")
    [agent] = rung(made)
    centre.tell(ev.CallStarted(at=centre.now, call_id="2", caller="2", endpoint="trunk"))
    made = centre.answers("2", centre.rings("2", agent))
    assert centre.state(agent) is AgentState.TALKING
    made += centre.hangs_up("2")
    assert centre.state(agent) is AgentState.RESERVED
    assert of(act.NoteOddity, made) == []


def test_a_caller_given_back_by_an_agent_waits_from_then_on_and_may_meet_the_same_agents_again():
    line = Line(name="support", numbers=("4001",), longest_wait_seconds=60)
    centre = Centre("ann", lines=[line])
    leg = answered(centre)
    centre.wait(700)
    centre.ends_leg("1", leg)
    made = centre.held("1", 2)
    assert of(act.Overflow, made) == []
    assert rung(made) == ["ann"]


@pytest.mark.parametrize("hours", [(), (OpenHours(weekdays=(6,), opens=0, closes=1),)], ids=["waited long", "closed"])
def test_an_overflow_that_is_busy_is_tried_again_after_a_pause_and_at_last_given_up(hours):
    line = Line(name="support", numbers=("4001",), longest_wait_seconds=60, overflow="number-10086", hours=hours)
    centre = Centre("ann", lines=[line])
    centre.pause("ann")
    made = centre.arrive("1") + centre.wait(0 if hours else 61)
    for seq in range(2, 7):
        assert [a.to for a in of(act.Overflow, made)] == ["number-10086"]
        centre.tell(ev.CallOverflowed(at=centre.now, call_id="1", to="number-10086"))
        assert of(act.Overflow, centre.held("1", seq, "BUSY")) == []
        centre.resume("ann")
        assert rung(centre.wait(4)) == [], "nobody is rung meanwhile"
        centre.pause("ann")
        made = centre.wait(1.5)
    assert [a.to for a in of(act.Overflow, made)] == ["hangup"]


def test_an_agent_who_becomes_free_within_the_pause_between_rounds_is_rung_at_once():
    centre = Centre("ann", "bob", policy=Policy(timezone="UTC", wrap_up_seconds=0, missed_in_a_row=0))
    centre.pause("bob")
    assert rung(centre.arrive("1")) == ["ann"]
    leg = centre.rings("1", "ann")
    centre.ends_leg("1", leg, LegResult.NO_ANSWER)
    assert rung(centre.held("1", 2, "NOANSWER")) == []
    centre.wait(1)
    assert rung(centre.resume("bob")) == ["bob"]


def test_callers_no_idle_agent_may_serve_do_not_keep_others_from_theirs():
    lines = [Line(name="a", numbers=("1",), agents=("ann",)), Line(name="b", numbers=("2",), agents=("bob",))]
    centre = Centre("ann", "bob", lines=lines)
    centre.pause("ann")
    for number in range(5):
        assert rung(centre.arrive(f"a{number}", dialled="1")) == []
    assert rung(centre.arrive("b", dialled="2")) == ["bob"]
    assert of(act.Ring, centre.resume("ann"))[0].call_id == "a0"


def test_who_left_the_roster_cannot_sign_in_again():
    centre = Centre("ann", "bob")
    centre.tell(ev.RosterLoaded(at=centre.now, agents=centre.roster[1:]))
    [refused] = of(act.Reply, centre.sign_in("ann"))
    assert refused.error is not None
    centre.tell(ev.RosterLoaded(at=centre.now, agents=centre.roster))
    [granted] = of(act.Reply, centre.sign_in("ann"))
    assert granted.error is None


def test_an_agent_deleted_in_mid_call_still_ends_it_after_a_restart():
    centre = Centre("ann", "bob")
    leg = answered(centre)
    centre.roster = centre.roster[1:]
    heir = restarted(centre, down=3)
    heir.tell(ev.CallStarted(at=heir.now, call_id="1", caller="1", endpoint="trunk"))
    heir.tell(ev.LegOffered(at=heir.now, call_id="1", leg_id=leg, endpoint="ann", party="ann"))
    heir.tell(ev.TalkStarted(at=heir.now, call_id="1", leg_id=leg, peers=("trunk",)))
    heir.tell(ev.LinkOpened(at=heir.now))
    heir.wait(5)
    heir.hangs_up("1", leg)
    assert heir.calls["1"].legs[0].talk_seconds == pytest.approx(8)


def test_a_call_answered_just_before_a_restart_gets_its_ticket_and_its_screen_afterwards():
    centre = Centre("ann")
    leg = answered(centre, who=file())
    heir = restarted(centre, down=2)
    heir.tell(ev.CallStarted(at=heir.now, call_id="1", caller="1", endpoint="trunk"))
    heir.tell(ev.LegOffered(at=heir.now, call_id="1", leg_id=leg, endpoint="ann", party="ann"))
    heir.tell(ev.LegAnswered(at=heir.now, call_id="1", leg_id=leg))
    heir.tell(ev.TalkStarted(at=heir.now, call_id="1", leg_id=leg, peers=("trunk",)))
    made = heir.tell(ev.LinkOpened(at=heir.now))
    assert pops(made) == [("ann", PopState.ANSWERED)]
    made = heir.tell(ev.CallerIdentified(at=heir.now, call_id="1", file=file()))
    assert [a.contact_id for a in of(act.OpenTicket, made)] == ["c-Wang"]
    made = heir.hangs_up("1", leg)
    assert pops(made) == [("ann", PopState.ENDED)]


def test_a_call_that_has_its_ticket_gets_no_second_one_after_a_restart():
    centre = Centre("ann")
    answered(centre, who=file())
    ticket = Ticket(id="T1", subject="s", status="open", severity=1, owner="ann", created_at=MORNING)
    centre.tell(ev.TicketLinked(at=centre.now, call_id="1", agent="ann", ticket=ticket, opened=True))
    heir = restarted(centre, down=2)
    made = heir.tell(ev.LinkOpened(at=heir.now))
    made += heir.tell(ev.CallerIdentified(at=heir.now, call_id="1", file=file()))
    assert of(act.OpenTicket, made) == []


def test_a_recording_ctid_had_no_time_to_read_is_read_after_the_restart():
    centre = Centre("ann")
    centre.hangs_up("1", answered(centre))
    ended = centre.calls["1"]
    assert ended.recordings[0].state is RecordingState.RECORDING
    heir = Centre(agents=centre.roster, signed_in=False)
    made = heir.tell(ev.BooksRestored(at=centre.now, last_seen_at=centre.now, statuses=(), calls=(ended,), talks=()))
    assert [a.path for a in of(act.MeasureRecording, made)] == [ended.recordings[0].path]


def test_a_talk_that_stopped_unseen_while_the_link_was_down_does_not_count_on():
    centre = Centre("ann")
    leg = answered(centre)
    centre.wait(10)
    centre.tell(ev.LinkLost(at=centre.now))
    centre.wait(50)
    centre.tell(ev.LinkLost(at=centre.now))  # again, before anything was read
    centre.wait(50)
    centre.tell(ev.CallStarted(at=centre.now, call_id="1", caller="1", endpoint="trunk"))
    centre.tell(ev.LegOffered(at=centre.now, call_id="1", leg_id=leg, endpoint="ann", party="ann"))
    centre.tell(ev.LinkOpened(at=centre.now))
    centre.wait(50)
    centre.hangs_up("1", leg)
    [record] = centre.calls["1"].legs
    assert record.talk_seconds == 10
    assert record.certainty is Certainty.ESTIMATED
    assert centre.talked("ann") == 10


def test_a_call_read_from_cel_waits_for_the_database_from_when_the_link_opens():
    centre = Centre("ann")
    centre.tell(ev.LinkLost(at=centre.now))
    past = centre.now - 60
    for told in (
        ev.CallStarted(at=past, call_id="1", caller="1", dialled="4001", endpoint="trunk"),
        ev.CallEntered(
            at=past, call_id="1", direction=Direction.INBOUND, dialled="4001", leg_id="1", recording="1.wav"
        ),
        ev.LegOffered(at=past + 1, call_id="1", leg_id="a", endpoint="ann", party="ann"),
        ev.LegAnswered(at=past + 2, call_id="1", leg_id="a"),
    ):
        centre.tell(replace(told, certainty=BACK))
    made = centre.tell(ev.LinkOpened(at=centre.now)) + centre.wait(0.2)
    assert of(act.OpenTicket, made) == []
    made = centre.tell(ev.CallerIdentified(at=centre.now, call_id="1", file=file()))
    assert [a.contact_id for a in of(act.OpenTicket, made)] == ["c-Wang"]


def test_a_caller_of_whom_a_slow_link_tells_seconds_late_is_looked_up_for_as_long_as_any_other():
    centre = Centre("ann", "bob")
    centre.tell(ev.LinkLost(at=centre.now))
    centre.tell(ev.CallStarted(at=centre.now, call_id="1", caller="1", dialled="4001", endpoint="trunk"))
    centre.tell(
        ev.CallEntered(
            at=centre.now, call_id="1", direction=Direction.INBOUND, dialled="4001", leg_id="1", recording="1.wav"
        )
    )
    centre.held("1", 1)
    centre.wait(5)
    made = centre.tell(ev.LinkOpened(at=centre.now - 5, told_at=centre.now)) + centre.wait(0.2)
    assert of(act.NoteOddity, made) == []
    assert of(act.NoteOddity, centre.wait(0.5)) != []


def test_what_comes_late_for_a_call_merged_twice_over_reaches_the_survivor():
    centre = Centre("ann", "bob")
    for call in "abc":
        centre.tell(ev.CallStarted(at=centre.now, call_id=call, caller="1", endpoint="trunk"))
    centre.tell(ev.CallsMerged(at=centre.now, call_id="c", into="b"))
    centre.tell(ev.CallsMerged(at=centre.now, call_id="b", into="a"))
    ticket = Ticket(id="T1", subject="s", status="open", severity=1, owner=None, created_at=MORNING)
    centre.tell(ev.TicketLinked(at=centre.now, call_id="c", agent="ann", ticket=ticket, opened=False))
    assert centre.calls["a"].ticket_ids == ("T1",)
    again = centre.tell(ev.CallsMerged(at=centre.now, call_id="c", into="b"))
    assert of(act.NoteCallEnded, again) == []


def test_a_feature_code_at_a_phone_nobody_owns_is_no_customers_call():
    centre = Centre(agents=[Agent(id="7", name="Seven")], signed_in=False)
    centre.tell(ev.CallStarted(at=centre.now, call_id="1", caller="x", dialled="*11", endpoint="hot1"))
    code = ev.CodeDialled(
        at=centre.now,
        endpoint="hot1",
        channel="PJSIP/hot1-1",
        seq=1,
        command="sign_in",
        agent="7",
        pin="1",
        call_id="1",
    )
    [asked] = of(act.CheckPin, centre.tell(code))
    centre.tell(ev.PinChecked(at=centre.now, request=asked.request, ok=True))
    centre.tell(ev.CallEnded(at=centre.now, call_id="1"))
    assert centre.calls["1"].direction is Direction.INTERNAL
    assert centre.acd.world.desks["7"].phone == "hot1"


def test_a_database_that_cannot_check_a_pin_is_no_wrong_pin():
    centre = Centre("ann", signed_in=False)
    for seq in range(6):
        code = ev.CodeDialled(
            at=centre.now, endpoint="ann", channel="PJSIP/ann-1", seq=seq, command="sign_in", agent="ann", pin="1"
        )
        [asked] = of(act.CheckPin, centre.tell(code))
        said = centre.tell(ev.PinChecked(at=centre.now, request=asked.request, ok=None))
        assert [a.word for a in of(act.Say, said)] == ["denied"]


def test_a_call_sent_away_that_ends_while_the_link_is_down_keeps_its_outcome():
    line = Line(name="support", numbers=("4001",), longest_wait_seconds=60, overflow="announcement-sorry")
    centre = Centre("ann", lines=[line])
    centre.pause("ann")
    centre.arrive("1")
    centre.wait(61)
    centre.tell(ev.CallOverflowed(at=centre.now, call_id="1", to="announcement-sorry"))
    centre.tell(ev.LinkLost(at=centre.now))
    centre.wait(3)
    centre.tell(ev.LinkOpened(at=centre.now))
    assert centre.calls["1"].outcome is Outcome.OVERFLOW


def test_a_phone_that_the_fallback_queue_rang_in_the_same_moment_is_let_go_and_its_agent_is_not_to_blame() -> None:
    centre = Centre("ann", "bob")
    assert rung(centre.arrive("1")) == ["ann"]
    centre.tell(ev.CallStarted(at=centre.now, call_id="q", caller="3", dialled="4001", endpoint="trunk"))
    centre.tell(ev.CallLeftToFailsafe(at=centre.now, call_id="q"))
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=1))
    centre.tell(ev.LegOffered(at=centre.now, call_id="q", leg_id="q1", endpoint="ann", party="ann"))
    made = centre.tell(ev.LegOffered(at=centre.now, call_id="1", leg_id="ann-1", endpoint="ann", party="ann"))
    assert of(act.StopRinging, made) == [act.StopRinging(call_id="1", channel="ann-1")]
    centre.tell(ev.LegEnded(at=centre.now, call_id="1", leg_id="ann-1", result=LegResult.NO_ANSWER))
    assert rung(centre.held("1", 2, "NOANSWER")) == ["bob"]
    assert centre.acd.world.desks["ann"].missed_in_a_row == 0
    assert centre.state("ann") is AgentState.RINGING


def test_a_phone_that_rings_once_is_not_let_go() -> None:
    centre = Centre("ann")
    centre.arrive("1")
    made = centre.tell(ev.LegOffered(at=centre.now, call_id="1", leg_id="ann-1", endpoint="ann", party="ann"))
    assert of(act.StopRinging, made) == []
