"""The life of a call and its books: pops, tickets, recordings, talk, transfers, restarts."""

from __future__ import annotations

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.said import Code, say
from ctid.domain.types import (
    AgentState,
    Certainty,
    Direction,
    LegResult,
    Outcome,
    Policy,
    PopState,
    RecordingRecord,
    RecordingState,
    Ticket,
    Via,
)
from tests.domain.desk import MORNING, SUPPORT, Centre, file, last_pop, of, pops, rung

TICKET = Ticket(id="T9", subject="s", status="open", severity=2, owner="ann", created_at=MORNING)


def answered(centre: Centre, call: str = "1", agent: str = "ann", who=None) -> str:
    assert rung(centre.arrive(call, who)) == [agent]
    leg = centre.rings(call, agent)
    centre.answers(call, leg)
    return leg


def test_the_pop_shows_when_the_phone_rings_not_when_the_decision_falls():
    centre = Centre("ann", "bob")
    assert pops(centre.arrive("1", file("ann"))) == []
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=1))
    assert pops(centre.tell(ev.LegOffered(at=centre.now, call_id="1", leg_id="a", endpoint="ann", party="ann"))) == []
    made = centre.tell(ev.LegRang(at=centre.now, call_id="1", leg_id="a"))
    assert pops(made) == [("ann", PopState.RINGING)]
    pop = last_pop(made)
    assert pop.file.contact is not None
    assert pop.file.contact.name == "Wang"
    assert pop.ticket is not None
    assert pop.decision is not None
    assert pop.decision.chosen == "ann"
    assert pops(centre.tell(ev.LegRang(at=centre.now, call_id="1", leg_id="a"))) == []


def test_a_phone_that_answers_without_ringing_pops_all_the_same():
    centre = Centre("ann")
    centre.arrive("1")
    centre.tell(ev.LegOffered(at=centre.now, call_id="1", leg_id="a", endpoint="ann", party="ann"))
    made = centre.tell(ev.LegAnswered(at=centre.now, call_id="1", leg_id="a"))
    assert pops(made) == [("ann", PopState.RINGING), ("ann", PopState.ANSWERED)]


def test_a_pop_is_withdrawn_when_the_agent_does_not_answer_and_the_next_ones_screen_pops():
    centre = Centre("ann", "bob")
    centre.arrive("1")
    leg = centre.rings("1", "ann")
    assert pops(centre.ends_leg("1", leg, LegResult.NO_ANSWER)) == [("ann", PopState.WITHDRAWN)]
    assert rung(centre.held("1", 2, "NOANSWER")) == ["bob"]
    centre.rings("1", "bob")
    assert pops(centre.log)[-1] == ("bob", PopState.RINGING)


def test_a_caller_who_gives_up_while_it_rings_is_abandoned_and_the_pop_withdrawn():
    centre = Centre("ann")
    centre.arrive("1")
    leg = centre.rings("1", "ann")
    made = centre.ends_leg("1", leg, LegResult.CANCELLED) + centre.hangs_up("1")
    assert pops(made) == [("ann", PopState.WITHDRAWN)]
    assert centre.calls["1"].outcome is Outcome.ABANDONED
    assert centre.calls["1"].legs[0].result is LegResult.CANCELLED
    assert centre.state("ann") is AgentState.IDLE
    assert centre.acd.world.desks["ann"].missed_in_a_row == 0, "giving up is no miss of the agent's"


def test_a_caller_who_gives_up_waiting_is_abandoned_and_nobody_was_offered_the_call():
    centre = Centre("ann")
    centre.pause("ann")
    centre.arrive("1")
    centre.hangs_up("1")
    assert centre.calls["1"].outcome is Outcome.ABANDONED
    assert centre.calls["1"].legs == ()
    assert rung(centre.resume("ann")) == []


def test_on_the_answer_the_ticket_is_asked_for_once_and_shown_when_it_is_there():
    centre = Centre("ann")
    leg = answered(centre, who=file())
    asked = of(act.OpenTicket, centre.log)
    assert [(a.call_id, a.agent, a.contact_id) for a in asked] == [("1", "ann", "c-Wang")]
    made = centre.tell(ev.TicketLinked(at=centre.now, call_id="1", agent="ann", ticket=TICKET, opened=True))
    assert last_pop(made).state is PopState.ANSWERED
    assert last_pop(made).ticket == TICKET
    centre.hangs_up("1", leg)
    assert centre.calls["1"].ticket_ids == ("T9",)
    assert last_pop(centre.log).state is PopState.ENDED


def test_a_call_nobody_answered_opens_no_ticket_and_has_no_recording():
    centre = Centre("ann")
    centre.arrive("1")
    made = centre.tell(ev.RecordingClosed(at=centre.now, call_id="1", path="x/1.wav", size=44))
    made += centre.hangs_up("1")
    assert of(act.OpenTicket, made) == []
    assert of(act.MeasureRecording, made) == []
    assert centre.calls["1"].recordings == ()


def test_the_recording_is_measured_against_the_bridged_seconds_and_hangs_on_the_ticket():
    centre = Centre("ann")
    leg = answered(centre)
    assert centre.calls["1"].recordings[0].state is RecordingState.RECORDING
    centre.tell(ev.TicketLinked(at=centre.now, call_id="1", agent="ann", ticket=TICKET, opened=True))
    centre.wait(42)
    centre.ends_leg("1", leg)
    made = centre.tell(ev.RecordingClosed(at=centre.now, call_id="1", path="2026/03/02/1.wav", size=999))
    assert [(a.path, a.expected_seconds) for a in of(act.MeasureRecording, made)] == [("2026/03/02/1.wav", 42)]
    centre.hangs_up("1")
    done = RecordingRecord(
        id="lab-1", path="2026/03/02/1.wav", state=RecordingState.COMPLETE, seconds=42.0, sha256="ab"
    )
    centre.tell(ev.RecordingMeasured(at=centre.now + 1, call_id="1", recording=done))
    assert centre.calls["1"].recordings[0].state is RecordingState.COMPLETE
    assert centre.calls["1"].recordings[0].ticket_ids == ("T9",)


def test_an_answered_call_whose_file_was_never_closed_has_it_looked_for_when_the_call_ends():
    centre = Centre("ann")
    leg = answered(centre)
    assert [a.path for a in of(act.MeasureRecording, centre.hangs_up("1", leg))] == ["2026/03/02/1.wav"]


def test_hold_stays_within_the_talk_and_is_counted_beside_it():
    centre = Centre("ann")
    leg = answered(centre)
    centre.wait(10)
    centre.tell(ev.LegHeld(at=centre.now, call_id="1", leg_id=leg))
    centre.wait(5)
    centre.tell(ev.LegUnheld(at=centre.now, call_id="1", leg_id=leg))
    centre.wait(10)
    centre.hangs_up("1", leg)
    [record] = centre.calls["1"].legs
    assert (record.talk_seconds, record.hold_seconds) == (25, 5)
    assert centre.talked("ann") == 25


def test_wrap_up_follows_a_conversation_and_ends_by_itself():
    centre = Centre("ann", policy=Policy(timezone="UTC", wrap_up_seconds=30))
    centre.hangs_up("1", answered(centre))
    assert centre.state("ann") is AgentState.WRAP_UP
    centre.arrive("2")
    assert rung(centre.wait(29)) == []
    assert rung(centre.wait(2)) == ["ann"]


def test_wrap_up_can_be_ended_and_extended_but_not_for_ever():
    centre = Centre("ann", policy=Policy(timezone="UTC", wrap_up_seconds=30))
    centre.hangs_up("1", answered(centre))
    me = ev.Request(agent="ann", id="7")
    centre.tell(ev.WrapUpExtensionAsked(at=centre.now, request=me, seconds=1e9))
    centre.wait(3599)
    assert centre.state("ann") is AgentState.WRAP_UP
    centre.tell(ev.WrapUpEndAsked(at=centre.now, request=me))
    assert centre.state("ann") is AgentState.IDLE
    [refused] = of(act.Reply, centre.tell(ev.WrapUpExtensionAsked(at=centre.now, request=me, seconds=10)))
    assert refused.error is not None


def test_a_pause_asked_for_in_a_conversation_begins_after_it():
    centre = Centre("ann")
    leg = answered(centre)
    centre.pause("ann", "lunch")
    assert centre.state("ann") is AgentState.TALKING
    centre.hangs_up("1", leg)
    assert centre.state("ann") is AgentState.PAUSED


def test_talk_between_agents_shows_in_state_but_not_in_the_sum():
    centre = Centre("ann", "bob")
    centre.tell(ev.CallStarted(at=centre.now, call_id="i", caller="ann", dialled="bob", endpoint="ann"))
    for who in ("ann", "bob"):
        centre.tell(
            ev.LegOffered(at=centre.now, call_id="i", leg_id=who, endpoint=who, party=who, originator=who == "ann")
        )
        centre.tell(ev.LegAnswered(at=centre.now, call_id="i", leg_id=who))
    centre.tell(ev.TalkStarted(at=centre.now, call_id="i", leg_id="ann", peers=("bob",)))
    centre.tell(ev.TalkStarted(at=centre.now, call_id="i", leg_id="bob", peers=("ann",)))
    assert centre.state("ann") is AgentState.TALKING
    assert centre.state("bob") is AgentState.TALKING
    centre.wait(60)
    centre.tell(ev.CallEnded(at=centre.now, call_id="i"))
    assert centre.calls["i"].direction is Direction.INTERNAL
    assert centre.calls["i"].outcome is Outcome.ANSWERED
    assert centre.talked("ann") == centre.talked("bob") == 0
    assert centre.state("ann") is AgentState.IDLE


def test_a_call_an_agent_makes_to_a_customer_is_outbound_and_counts():
    centre = Centre("ann")
    centre.tell(ev.CallStarted(at=centre.now, call_id="o", caller="ann", dialled="10086", endpoint="ann"))
    centre.tell(ev.LegOffered(at=centre.now, call_id="o", leg_id="a", endpoint="ann", party="ann", originator=True))
    centre.tell(ev.LegOffered(at=centre.now, call_id="o", leg_id="c", endpoint="trunk", party="10086"))
    for leg in "ca":
        centre.tell(ev.LegAnswered(at=centre.now, call_id="o", leg_id=leg))
    centre.tell(ev.TalkStarted(at=centre.now, call_id="o", leg_id="a", peers=("trunk",)))
    centre.tell(ev.TalkStarted(at=centre.now, call_id="o", leg_id="c", peers=("ann",)))
    centre.wait(30)
    centre.tell(ev.CallEnded(at=centre.now, call_id="o"))
    assert centre.calls["o"].direction is Direction.OUTBOUND
    assert centre.talked("ann") == 30


def test_a_consultation_that_ends_in_the_customers_call_is_merged_and_the_customers_call_survives():
    centre = Centre("ann", "bob")
    leg = answered(centre)
    centre.wait(10)
    centre.tell(ev.CallStarted(at=centre.now, call_id="2", caller="ann", dialled="bob", endpoint="ann"))
    centre.tell(ev.LegOffered(at=centre.now, call_id="2", leg_id="b", endpoint="bob", party="bob"))
    centre.tell(ev.LegAnswered(at=centre.now, call_id="2", leg_id="b"))
    centre.tell(ev.TalkStarted(at=centre.now, call_id="2", leg_id="b", peers=("ann",)))
    centre.wait(5)
    centre.tell(ev.CallsMerged(at=centre.now, call_id="2", into="1"))
    centre.tell(ev.TalkStarted(at=centre.now, call_id="1", leg_id="b", peers=("trunk",)))
    centre.ends_leg("1", leg)
    centre.wait(20)
    centre.hangs_up("1", "b")
    assert centre.calls["2"].outcome is Outcome.MERGED
    assert centre.calls["2"].merged_into == "1"
    assert centre.calls["1"].outcome is Outcome.ANSWERED
    assert centre.calls["1"].agent == "bob"
    assert {leg.agent for leg in centre.calls["1"].legs} == {"ann", "bob"}
    assert centre.talked("ann") == 15
    assert centre.talked("bob") == 20, "consulting is no customer talk until the customer is there"


def test_a_call_the_fallback_answered_is_in_the_books_as_such():
    centre = Centre("ann")
    centre.pause("ann")
    centre.arrive("1")
    centre.tell(ev.CallLeftToFailsafe(at=centre.now, call_id="1"))
    leg = centre.rings("1", "ann")
    assert centre.state("ann") is AgentState.RINGING, "rung by the fallback queue, so not idle"
    centre.answers("1", leg)
    centre.wait(10)
    centre.hangs_up("1", leg)
    assert centre.calls["1"].via is Via.FAILSAFE


def test_what_cel_tells_again_of_a_call_that_is_over_changes_nothing():
    centre = Centre("ann")
    centre.pause("ann")
    centre.arrive("1")
    centre.tell(ev.CallLeftToFailsafe(at=centre.now, call_id="1"))
    leg = centre.rings("1", "ann")
    centre.answers("1", leg)
    centre.wait(10)
    centre.hangs_up("1", leg)
    books = centre.calls["1"]
    made = centre.tell(ev.CallLeftToFailsafe(at=books.started_at, call_id="1"))
    made += centre.tell(ev.CallOverflowed(at=books.started_at, call_id="1", to="hangup"))
    assert made == []
    assert centre.calls["1"] == books
    assert centre.calls["1"].outcome is Outcome.ANSWERED
    assert centre.calls["1"].decisions == ()


# -- people --------------------------------------------------------------------------------------------------------


def test_signing_in_elsewhere_moves_the_agent_and_signs_the_former_occupant_out():
    centre = Centre("ann", "bob")
    centre.sign_in("ann", "bob")
    assert centre.state("bob") is AgentState.OFFLINE
    assert rung(centre.arrive("1")) == ["bob"], "ann sits at the phone called bob now"
    assert centre.calls["1"].decisions[0].chosen == "ann"


def test_nobody_sits_down_at_a_phone_in_the_midst_of_anothers_call():
    centre = Centre("ann", "bob")
    leg = answered(centre)
    [refused] = of(act.Reply, centre.sign_in("bob", "ann"))
    assert refused.error == say(Code.PHONE_IN_CALL, phone="ann")
    centre.hangs_up("1", leg)
    [granted] = of(act.Reply, centre.sign_in("bob", "ann"))
    assert granted.error is None


def test_signing_in_at_a_phone_asks_for_the_pin_and_a_wrong_one_is_denied():
    centre = Centre("ann", signed_in=False)

    def dial(seq: int) -> list[act.Action]:
        return centre.tell(
            ev.CodeDialled(
                at=centre.now,
                endpoint="ann",
                channel="PJSIP/ann-1",
                seq=seq,
                command="sign_in",
                agent="ann",
                pin="1234",
            )
        )

    [asked] = of(act.CheckPin, dial(1))
    said = centre.tell(ev.PinChecked(at=centre.now, request=asked.request, ok=False))
    assert [a.word for a in of(act.Say, said)] == ["denied"]
    assert centre.state("ann") is AgentState.OFFLINE
    [asked] = of(act.CheckPin, dial(2))
    said = centre.tell(ev.PinChecked(at=centre.now, request=asked.request, ok=True))
    assert [a.word for a in of(act.Say, said)] == ["ok"]
    assert centre.state("ann") is AgentState.IDLE


def test_after_five_wrong_pins_a_phone_is_locked_for_five_minutes_even_for_the_right_one():
    centre = Centre("ann", signed_in=False)

    def dial(seq: int) -> list[act.Action]:
        code = ev.CodeDialled(
            at=centre.now, endpoint="ann", channel="PJSIP/ann-1", seq=seq, command="sign_in", agent="ann", pin="1"
        )
        return centre.tell(code)

    told: list[act.NotePinsStopped] = []
    for seq in range(5):
        [asked] = of(act.CheckPin, dial(seq))
        assert told == []
        told += of(act.NotePinsStopped, centre.tell(ev.PinChecked(at=centre.now, request=asked.request, ok=False)))
    assert [(stop.whom, stop.phone, stop.agent) for stop in told] == [("ann", "ann", "ann")] * 2, "phone and agent"
    assert of(act.CheckPin, made := dial(6)) == []
    assert of(act.NotePinsStopped, made) == [], "once is enough for the audit"
    assert [a.word for a in of(act.Say, dial(7))] == ["denied"]
    centre.wait(301)
    assert len(of(act.CheckPin, dial(8))) == 1


def test_guessing_pins_is_stopped_whoever_signs_in_between_and_however_many_ask_at_once():
    centre = Centre("ann", "bob", signed_in=False)

    def ask(agent: str, phone: str, seq: int) -> list[act.CheckPin]:
        code = ev.CodeDialled(
            at=centre.now, endpoint=phone, channel=f"PJSIP/{phone}-1", seq=seq, command="sign_in", agent=agent, pin="1"
        )
        return of(act.CheckPin, centre.tell(code))

    asked = 0
    for seq in range(40):  # four guesses, one's own right PIN, four guesses ...
        agent = "bob" if seq % 5 == 4 else "ann"
        for check in ask(agent, "ann", seq):
            asked += agent == "ann"
            centre.tell(ev.PinChecked(at=centre.now, request=check.request, ok=agent == "bob"))
    assert asked == 5
    assert [len(ask("ann", f"forged{seq}", seq)) for seq in range(9)] == [0] * 9, "from other phones neither"
    centre.wait(301)
    assert sum(len(ask("bob", "bob", seq)) for seq in range(300)) == 5, "before the first answer is there"


def test_an_agent_nobody_knows_is_told_what_to_do():
    centre = Centre("ann")
    [reply] = of(act.Reply, centre.sign_in("zoe"))
    assert reply.error == say(Code.NO_AGENT, agent="zoe")


def test_an_agent_taken_off_the_roster_is_signed_out():
    centre = Centre("ann", "bob")
    centre.tell(ev.RosterLoaded(at=centre.now, agents=centre.roster[1:]))
    assert centre.state("ann") is AgentState.OFFLINE
    assert rung(centre.arrive("1")) == ["bob"]


# -- restarts and lost links ---------------------------------------------------------------------------------------


def restarted(centre: Centre, *, down: float) -> Centre:
    """The daemon died; a new one reads the books and the PBX ``down`` seconds later."""
    heir = Centre(agents=centre.roster, signed_in=False, policy=centre.policy)
    world = centre.acd.world
    heir.now = centre.now + down
    heir.tell(
        ev.BooksRestored(
            at=heir.now,
            last_seen_at=centre.now,
            statuses=tuple(world.shown.values()),
            calls=tuple(c for c in centre.calls.values() if c.ended_at is None),
            talks=tuple(
                (leg.agent, leg.id, t.started_at, t.ended_at)
                for c in centre.calls.values()
                if c.ended_at is not None
                for leg in c.legs
                for t in leg.talks
                if leg.agent is not None
            ),
        )
    )
    heir.calls.update({k: v for k, v in centre.calls.items() if k not in heir.calls})
    return heir


def test_after_a_restart_in_mid_call_the_same_ledger_goes_on():
    centre = Centre("ann", "bob")
    centre.converse("0", "ann", 7)
    centre.converse("x", "bob", 3)
    leg = answered(centre, "1", "bob")
    centre.wait(10)
    heir = restarted(centre, down=4)
    heir.tell(ev.CallStarted(at=heir.now, call_id="1", caller="1", endpoint="trunk"))
    heir.tell(ev.LegOffered(at=heir.now, call_id="1", leg_id=leg, endpoint="bob", party="bob"))
    heir.tell(ev.LegAnswered(at=heir.now, call_id="1", leg_id=leg))
    heir.tell(ev.TalkStarted(at=heir.now, call_id="1", leg_id=leg, peers=("trunk",)))
    heir.tell(ev.LinkOpened(at=heir.now))
    assert heir.state("ann") is AgentState.IDLE
    assert heir.state("bob") is AgentState.TALKING
    heir.wait(6)
    heir.hangs_up("1", leg)
    assert heir.talked("ann") == 7
    assert heir.talked("bob") == 3 + 20
    [record] = heir.calls["1"].legs
    assert record.talk_seconds == 20
    assert record.certainty is Certainty.EXACT


def test_a_call_that_ended_while_ctid_was_down_ends_at_the_last_moment_seen_and_is_marked_estimated():
    centre = Centre("ann")
    answered(centre)
    centre.wait(10)
    heir = restarted(centre, down=3600)
    heir.tell(ev.LinkOpened(at=heir.now))
    [record] = heir.calls["1"].legs
    assert heir.calls["1"].outcome is Outcome.ANSWERED
    assert record.talk_seconds == 10
    assert record.certainty is Certainty.ESTIMATED
    assert heir.talked("ann") == 10


def test_after_a_lost_link_a_held_caller_is_served_and_nothing_ended_by_itself():
    centre = Centre("ann")
    leg = answered(centre)
    centre.arrive("2")
    centre.tell(ev.LinkLost(at=centre.now))
    centre.wait(2)
    centre.tell(ev.CallStarted(at=centre.now, call_id="2", caller="1", endpoint="trunk"))
    centre.held("2", 1)
    centre.tell(ev.PhoneReached(at=centre.now, endpoint="ann", reachable=True))
    made = centre.tell(ev.LinkOpened(at=centre.now))
    assert centre.calls["1"].outcome is Outcome.ANSWERED, "the PBX no longer has it"
    assert rung(made) == ["ann"]
    assert centre.calls["1"].legs[0].id == leg


def test_a_restart_keeps_wrap_up_and_pause():
    policy = Policy(timezone="UTC", wrap_up_seconds=30)
    centre = Centre("ann", "bob", policy=policy, lines=[SUPPORT])
    centre.pause("bob", "training")
    centre.hangs_up("1", answered(centre))
    centre.wait(10)
    heir = restarted(centre, down=5)
    heir.tell(ev.LinkOpened(at=heir.now))
    assert heir.state("ann") is AgentState.WRAP_UP
    assert heir.state("bob") is AgentState.PAUSED
    assert heir.acd.world.desks["bob"].pause_reason == "training"
    heir.wait(16)
    assert heir.state("ann") is AgentState.IDLE
