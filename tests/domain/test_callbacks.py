"""Press 1, and the place is kept: one call when an agent is free, tried again by rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.types import (
    AgentState,
    CallbackRecord,
    CallbackState,
    CallerFile,
    CallRecord,
    Certainty,
    Consent,
    Direction,
    LegResult,
    Line,
    OpenHours,
    Outcome,
    Policy,
    PopState,
    Skip,
    Via,
)
from ctid.saying import sentence
from tests.domain.desk import MORNING, SUPPORT, Centre, file, last_pop, of, pops, rung

LINE = replace(SUPPORT, callback=True, callback_sound="press-1")
NUMBER = "+8613800138000"


def caller(owner: str | None = None, *, number: str = NUMBER, level: int = 1, dial: str | None = "") -> CallerFile:
    back = number.removeprefix("+86") if dial == "" else dial
    return replace(file(owner, level=level), number=number, dial_back=back)


class Backing(Centre):
    """A centre whose line calls back. ``database`` False: what is to be kept stays unkept until ``keep``."""

    def __init__(self, *names: str, line: Line = LINE, policy: Policy | None = None, database: bool = True) -> None:
        self.database = database
        self.unkept: list[CallbackRecord] = []
        self.kept: dict[str, CallbackRecord] = {}
        policy = policy or Policy(timezone="Asia/Shanghai", wrap_up_seconds=0, missed_in_a_row=0)
        super().__init__(*names, lines=(line,), policy=policy)

    def tell(self, event: ev.Event) -> list[act.Action]:
        made = super().tell(event)
        for action in of(act.KeepCallback, made):
            self.unkept.append(action.callback)
        return made + self.keep() if self.database else made

    def keep(self) -> list[act.Action]:
        """The database takes what waits, of each callback the newest."""
        made: list[act.Action] = []
        while self.unkept:
            record = self.unkept.pop(0)
            if all(later.id != record.id for later in self.unkept):
                self.kept[record.id] = record
                made += self.tell(ev.CallbackKept(at=self.now, callback=record))
        return made

    def asks(self, call: str, who: CallerFile | None = None) -> list[act.Action]:
        """A caller arrives, finds nobody, is offered a callback, and presses 1."""
        self.arrive(call, who or caller())
        made = self.wait(self.policy.callback_after_seconds)
        assert of(act.OfferCallback, made), "nothing was offered"
        return self.tell(ev.CallbackAsked(at=self.now, call_id=call))

    def asked_and_gone(self, call: str, who: CallerFile | None = None) -> None:
        self.asks(call, who)
        self.tell(ev.CallOverflowed(at=self.now, call_id=call, to="callback"))
        self.hangs_up(call)

    def frees(self, agent: str) -> list[act.Action]:
        return self.resume(agent)

    # -- the call back -----------------------------------------------------------------------------------------------

    def agent_rings(self, made: Iterable[act.Action]) -> tuple[str, str]:
        """The phone of the one originated call rings; call and leg."""
        [originate] = of(act.Originate, made)
        call, agent = originate.call_id, originate.endpoint
        self.tell(ev.CallStarted(at=self.now, call_id=call, caller=agent, dialled=None, endpoint=agent))
        self.tell(ev.PhoneUsed(at=self.now, endpoint=agent, channels=1))
        leg = f"{agent}-{call}"
        self.tell(ev.LegOffered(at=self.now, call_id=call, leg_id=leg, endpoint=agent, party=agent, originator=True))
        self.tell(ev.LegRang(at=self.now, call_id=call, leg_id=leg))
        return call, leg

    def agent_gone(self, call: str, leg: str, result: LegResult | None = None) -> list[act.Action]:
        agent = leg.partition("-")[0]
        made = self.tell(ev.LegEnded(at=self.now, call_id=call, leg_id=leg, result=result))
        made += self.tell(ev.PhoneUsed(at=self.now, endpoint=agent, channels=0))
        return made + self.tell(ev.CallEnded(at=self.now, call_id=call))

    def customer_rings(self, call: str, leg: str) -> str:
        self.tell(ev.LegAnswered(at=self.now, call_id=call, leg_id=leg))
        entered = ev.CallEntered(
            at=self.now, call_id=call, direction=Direction.OUTBOUND, dialled="13800138000", leg_id=leg
        )
        self.tell(entered)
        customer = f"trunk-{call}"
        self.tell(replace(entered, leg_id=customer, recording=f"2026/03/02/{call}.wav"))
        self.tell(ev.LegOffered(at=self.now, call_id=call, leg_id=customer, endpoint="trunk", party="13800138000"))
        return customer

    def customer_answers(self, call: str, leg: str, customer: str) -> list[act.Action]:
        made = self.tell(ev.LegAnswered(at=self.now, call_id=call, leg_id=customer))
        made += self.tell(ev.TalkStarted(at=self.now, call_id=call, leg_id=customer, peers=(leg.partition("-")[0],)))
        return made + self.tell(ev.TalkStarted(at=self.now, call_id=call, leg_id=leg, peers=("trunk",)))

    def not_reached(self, made: Iterable[act.Action], result: LegResult) -> tuple[str, list[act.Action]]:
        """The agent takes the call, the customer does not."""
        call, leg = self.agent_rings(made)
        customer = self.customer_rings(call, leg)
        after = self.tell(ev.LegEnded(at=self.now, call_id=call, leg_id=customer, result=result))
        return call, after + self.agent_gone(call, leg)


def busy(*names: str, **more: object) -> Backing:
    """Everyone is on a pause."""
    centre = Backing(*names, **more)  # type: ignore[arg-type]
    for name in names:
        centre.pause(name)
    return centre


# -- asking ------------------------------------------------------------------------------------------------------------


def test_a_caller_who_stays_held_is_offered_a_callback_and_one_routed_at_once_is_not() -> None:
    centre = Backing("ann")
    made = centre.arrive("c1", caller())
    assert rung(made) == ["ann"]
    assert not of(act.OfferCallback, centre.wait(20))
    later = busy("ann")
    assert not of(act.OfferCallback, later.arrive("c1", caller()))
    [offer] = of(act.OfferCallback, later.wait(30))
    assert (offer.call_id, offer.seq, offer.sound) == ("c1", 1, "press-1")


@pytest.mark.parametrize(
    ("line", "who"),
    [
        (SUPPORT, caller()),  # the line does not call back
        (LINE, CallerFile()),  # withheld
        (LINE, caller(dial=None)),  # a number that must not be called back
        (LINE, caller(number="+864001")),  # the line's own
    ],
)
def test_who_cannot_be_called_back_is_not_offered_it_and_pressing_1_does_nothing(line: Line, who: CallerFile) -> None:
    centre = busy("ann", line=line)
    centre.arrive("c1", who)
    made = centre.wait(30) + centre.tell(ev.CallbackAsked(at=centre.now, call_id="c1"))
    assert not of(act.OfferCallback, made)
    assert not of(act.KeepCallback, made)
    assert rung(centre.frees("ann")) == ["ann"]


def test_nothing_is_promised_that_is_not_stored() -> None:
    centre = busy("ann", database=False)
    made = centre.asks("c1")
    assert [a.callback.state for a in of(act.KeepCallback, made)] == [CallbackState.WAITING]
    assert not of(act.Overflow, made)
    assert [a.to for a in of(act.Overflow, centre.keep())] == ["callback"]


def test_a_database_that_does_not_answer_leaves_the_caller_where_they_were() -> None:
    centre = busy("ann", database=False)
    centre.asks("c1")
    made = centre.wait(4)
    assert not of(act.Overflow, made)
    assert of(act.KeepCallback, made)[-1].callback.state is CallbackState.DROPPED
    assert rung(centre.frees("ann")) == ["ann"]
    assert centre.keep() == []


def test_the_call_whose_place_is_kept_ends_as_overflow_and_names_the_callback() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    call = centre.calls["c1"]
    assert (call.outcome, call.callback) == (Outcome.OVERFLOW, "c1")


def test_a_thank_you_that_got_lost_is_sent_again() -> None:
    centre = busy("ann")
    assert [a.to for a in of(act.Overflow, centre.asks("c1"))] == ["callback"]
    assert [a.to for a in of(act.Overflow, centre.wait(6))] == ["callback"]


def test_a_caller_who_hangs_up_after_pressing_1_is_called_back_all_the_same() -> None:
    centre = busy("ann")
    centre.asks("c1")
    centre.hangs_up("c1")
    assert centre.calls["c1"].outcome is Outcome.OVERFLOW
    assert of(act.Originate, centre.frees("ann"))


def test_one_number_has_one_callback_and_keeps_its_first_place() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    made = centre.asks("c2")
    assert [a.to for a in of(act.Overflow, made)] == ["callback"]
    assert not of(act.KeepCallback, made)
    centre.hangs_up("c2")
    assert list(centre.kept) == ["c1"]
    assert centre.calls["c2"].callback == "c1"


def test_who_was_not_to_be_recorded_is_not_when_they_are_called_back_whoever_acts_by_then() -> None:
    centre = busy("ann")
    centre.asks("c1")
    centre.tell(ev.CallOverflowed(at=centre.now, call_id="c1", to="callback"))
    centre.hangs_up("c1")
    assert centre.kept["c1"].consent is None
    centre.arrive("c2", caller())
    centre.tell(ev.ConsentTold(at=centre.now, call_id="c2", consent=Consent.REFUSED))
    centre.tell(ev.CallbackAsked(at=centre.now, call_id="c2"))
    assert centre.kept["c1"].consent is Consent.REFUSED, "of one callback each who asked counts"
    after = restarted(centre)
    made = linked(after)
    [asked] = of(act.Originate, made)
    assert asked.consent is Consent.REFUSED
    call, leg = after.agent_rings(made)
    customer = after.customer_rings(call, leg)
    after.customer_answers(call, leg, customer)
    assert (after.calls[call].consent, after.calls[call].recordings) == (Consent.REFUSED, ())


def test_no_more_callbacks_are_open_than_the_site_allows() -> None:
    centre = busy("ann", policy=Policy(callback_most=1))
    centre.asked_and_gone("c1")
    centre.arrive("c2", caller(number="+8613800138002"))
    made = centre.wait(30) + centre.tell(ev.CallbackAsked(at=centre.now, call_id="c2"))
    assert not of(act.OfferCallback, made)
    assert not of(act.KeepCallback, made)


# -- the place ---------------------------------------------------------------------------------------------------------


def test_the_place_is_kept_among_those_who_wait() -> None:
    centre = busy("ann")
    centre.arrive("before", caller(number="+8613800138001"))
    centre.wait(5)
    centre.asked_and_gone("c1")
    centre.arrive("after", caller(number="+8613800138003"))
    centre.wait(20)
    assert rung(centre.frees("ann")) == ["ann"]
    assert centre.calls["before"].decisions
    centre.hangs_up("before", centre.rings("before", "ann"))
    made = [a for a in centre.log if isinstance(a, act.Originate)]
    assert len(made) == 1
    assert not centre.calls["after"].decisions


def test_a_more_important_caller_still_goes_first() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    centre.arrive("vip", caller(number="+8613800138001", level=5))
    assert rung(centre.frees("ann")) == ["ann"]


def test_the_owner_of_the_callers_ticket_calls_back() -> None:
    centre = busy("ann", "bob")
    centre.asked_and_gone("c1", caller("bob"))
    centre.log.clear()
    for name in ("bob", "ann"):
        centre.frees(name)
    assert [a.endpoint for a in of(act.Originate, centre.log)] == ["bob"]


def test_a_free_agent_gets_one_call_be_it_a_caller_or_a_callback() -> None:
    centre = busy("ann")
    for number in range(1, 4):
        centre.asked_and_gone(f"c{number}", caller(number=f"+861380013800{number}"))
    centre.arrive("held", caller(number="+8613800138009"))
    made = centre.frees("ann")
    assert len(of(act.Originate, made)) + len(rung(made)) == 1
    assert centre.state("ann") is AgentState.RESERVED
    assert not of(act.Originate, centre.wait(3))


def test_out_of_hours_nobody_is_called_back() -> None:
    until_ten = (OpenHours(weekdays=(0,), opens=540, closes=600), OpenHours(weekdays=(1,), opens=540, closes=600))
    policy = Policy(timezone="Asia/Shanghai", wrap_up_seconds=0, callback_expires_seconds=172800)
    centre = busy("ann", line=replace(LINE, hours=until_ten), policy=policy)
    assert centre.now == MORNING + 1
    centre.asked_and_gone("c1")
    centre.wait(3600)
    assert not of(act.Originate, centre.frees("ann"))
    assert not of(act.Originate, centre.wait(22 * 3600))
    assert of(act.Originate, centre.wait(3600))


def test_a_callback_nobody_was_free_for_expires() -> None:
    centre = busy("ann", policy=Policy(callback_expires_seconds=600))
    centre.asked_and_gone("c1")
    made = centre.wait(700)
    assert of(act.KeepCallback, made)[-1].callback.state is CallbackState.EXPIRED
    assert not of(act.Originate, centre.frees("ann"))


# -- calling -----------------------------------------------------------------------------------------------------------


def test_no_phone_rings_before_the_database_knows_that_it_does() -> None:
    centre = busy("ann", database=False)
    centre.asks("c1")
    centre.keep()
    centre.hangs_up("c1")
    made = centre.frees("ann")
    [keep] = of(act.KeepCallback, made)
    assert keep.callback.state is CallbackState.CALLING
    assert not of(act.Originate, made)
    [originate] = of(act.Originate, centre.keep())
    assert originate.call_id == keep.callback.attempt
    assert (originate.endpoint, originate.number, originate.caller) == ("ann", "13800138000", "4001")


def test_a_mark_the_database_does_not_take_frees_the_agent_and_nobody_rings() -> None:
    centre = busy("ann", database=False)
    centre.asks("c1")
    centre.keep()
    centre.hangs_up("c1")
    centre.frees("ann")
    made = centre.wait(4)
    assert centre.state("ann") is AgentState.IDLE
    assert not of(act.Originate, made + centre.keep())


def test_callbacks_that_the_database_cannot_mark_do_not_keep_agents_from_callers_one_after_the_other() -> None:
    centre = busy("ann", database=False)
    for n in range(3):
        centre.asks(f"c{n}", caller(number=f"+861380013800{n}"))
        centre.keep()
        centre.hangs_up(f"c{n}")
    centre.frees("ann")
    made = centre.wait(4)
    assert len(of(act.KeepCallback, made)) == 1
    assert not of(act.KeepCallback, centre.wait(20))
    assert rung(centre.arrive("live", caller(number="+8613800138009"))) == ["ann"]


def test_the_agents_screen_shows_whom_they_will_call_back_and_why() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1", caller("ann"))
    call, leg = centre.agent_rings(centre.frees("ann"))
    pop = last_pop(centre.log)
    assert (pop.agent, pop.state, pop.caller, pop.call_id) == ("ann", PopState.RINGING, NUMBER, call)
    assert pop.ticket is not None
    assert pop.decision is not None
    assert sentence(pop.notices[0]).startswith("Callback: asked for at 09:00")
    assert centre.state("ann") is AgentState.RINGING
    centre.customer_rings(call, leg)
    assert last_pop(centre.log).state is PopState.ANSWERED


def test_the_customer_who_answers_is_the_end_of_the_promise_and_the_call_is_in_the_books() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1", caller("ann"))
    call, leg = centre.agent_rings(centre.frees("ann"))
    customer = centre.customer_rings(call, leg)
    made = centre.customer_answers(call, leg, customer)
    [ticket] = of(act.OpenTicket, made)
    assert (ticket.call_id, ticket.agent, ticket.contact_id) == (call, "ann", "c-Wang")
    assert centre.kept["c1"].state is CallbackState.DONE
    centre.wait(30)
    centre.tell(ev.LegEnded(at=centre.now, call_id=call, leg_id=customer))
    centre.agent_gone(call, leg)
    books = centre.calls[call]
    assert (books.direction, books.via, books.outcome) == (Direction.OUTBOUND, Via.CTID, Outcome.ANSWERED)
    assert (books.agent, books.callback, books.caller, books.dialled) == ("ann", "c1", "4001", "13800138000")
    assert [recording.path for recording in books.recordings] == [f"2026/03/02/{call}.wav"]
    assert centre.talked("ann") == pytest.approx(30)
    assert not of(act.Originate, centre.wait(1000))


@pytest.mark.parametrize("result", [LegResult.NO_ANSWER, LegResult.BUSY, LegResult.REJECTED])
def test_an_agent_who_does_not_answer_is_followed_by_the_next(result: LegResult) -> None:
    centre = busy("ann", "bob")
    centre.asked_and_gone("c1")
    call, leg = centre.agent_rings(centre.frees("ann"))
    centre.frees("bob")
    made = centre.agent_gone(call, leg, result)
    assert [a.endpoint for a in of(act.Originate, made)] == ["bob"]
    assert pops(made)[0] == ("ann", PopState.WITHDRAWN)
    assert (centre.calls[call].outcome or "") == result.value
    assert centre.kept["c1"].tries == 0


def test_when_no_agent_took_it_the_next_round_begins_after_a_pause() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    call, leg = centre.agent_rings(centre.frees("ann"))
    assert not of(act.Originate, centre.agent_gone(call, leg, LegResult.NO_ANSWER))
    [again] = of(act.Originate, centre.wait(6))
    assert again.call_id != call


@pytest.mark.parametrize("result", [LegResult.BUSY, LegResult.NO_ANSWER, LegResult.REJECTED, LegResult.FAILED])
def test_a_customer_who_is_not_reached_is_tried_again_by_rule_and_the_agent_is_not_blamed(result: LegResult) -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    made = centre.frees("ann")
    for tries in (1, 2):
        call, _ = centre.not_reached(made, result)
        assert centre.calls[call].outcome == Outcome(result.value)
        assert (centre.kept["c1"].state, centre.kept["c1"].tries) == (CallbackState.WAITING, tries)
        assert centre.state("ann") is AgentState.IDLE
        assert centre.acd.world.desks["ann"].missed_in_a_row == 0
        assert not of(act.Originate, centre.wait(centre.policy.callback_retry_seconds - 1))
        made = centre.wait(2)
    centre.not_reached(made, result)
    assert centre.kept["c1"].state is CallbackState.FAILED
    assert "3 tries" in (centre.kept["c1"].why or "")
    assert not of(act.Originate, centre.wait(1000))


def test_a_phone_the_pbx_cannot_ring_cools_down_and_the_next_agent_is_rung() -> None:
    centre = busy("ann", "bob")
    centre.asked_and_gone("c1")
    [first] = of(act.Originate, centre.frees("ann"))
    centre.frees("bob")
    made = centre.tell(ev.CallNotMade(at=centre.now, call_id=first.call_id, result=LegResult.UNREACHABLE))
    assert [a.endpoint for a in of(act.Originate, made)] == ["bob"]
    [leg] = centre.calls[first.call_id].legs
    assert (leg.agent, leg.result) == ("ann", LegResult.UNREACHABLE)
    assert centre.acd.world.desks["ann"].why_not_idle(centre.acd.world.phone("ann")) is Skip.COOLING_DOWN


def test_a_call_the_pbx_was_not_asked_for_blames_nobody_and_is_tried_after_a_pause() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    [first] = of(act.Originate, centre.frees("ann"))
    made = centre.tell(ev.CallNotMade(at=centre.now, call_id=first.call_id))
    assert not of(act.Originate, made)
    assert centre.state("ann") is AgentState.IDLE
    assert of(act.Originate, centre.wait(6))


def test_a_call_the_pbx_never_speaks_of_again_frees_the_agent() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    centre.frees("ann")
    centre.wait(26)
    assert centre.state("ann") in (AgentState.IDLE, AgentState.RESERVED)
    assert of(act.Originate, centre.log)[0].call_id in centre.calls
    assert centre.calls[of(act.Originate, centre.log)[0].call_id].ended_at is not None


# -- ringing in again --------------------------------------------------------------------------------------------------


def test_a_customer_who_rings_in_again_and_is_answered_is_not_called_back() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    centre.arrive("c2", caller())
    assert rung(centre.frees("ann")) == ["ann"]  # not called while they are on the line
    leg = centre.rings("c2", "ann")
    centre.answers("c2", leg)
    assert (centre.kept["c1"].state, centre.kept["c1"].why) == (CallbackState.DROPPED, "rang in again and was answered")
    centre.hangs_up("c2", leg)
    assert not of(act.Originate, centre.wait(100))


def test_a_customer_who_rings_in_again_in_vain_keeps_the_place() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    centre.arrive("c2", caller())
    centre.hangs_up("c2")
    assert of(act.Originate, centre.frees("ann"))


# -- exactly one call --------------------------------------------------------------------------------------------------


def restarted(before: Backing, *, calls: Iterable[CallRecord] = (), names: tuple[str, ...] = ("ann",)) -> Backing:
    """A new daemon that has read what the database holds, with no link yet."""
    after = Backing(*names)
    after.tell(ev.LinkLost(at=before.now))
    after.now = before.now + 2
    open_ones = tuple(record for record in before.kept.values() if not record.state.final)
    after.tell(ev.BooksRestored(at=after.now, last_seen_at=before.now, statuses=(), calls=tuple(calls), talks=()))
    after.tell(ev.CallbacksRestored(at=after.now, callbacks=open_ones))
    return after


def linked(centre: Backing, *, gap_told: bool = True) -> list[act.Action]:
    made: list[act.Action] = []
    for name in centre.acd.world.desks:
        made += centre.tell(ev.PhoneReached(at=centre.now, endpoint=name, reachable=True))
    return made + centre.tell(ev.LinkOpened(at=centre.now, gap_told=gap_told))


def test_a_callback_outlives_a_restart_in_its_place() -> None:
    before = busy("ann")
    before.asked_and_gone("c1")
    after = restarted(before)
    [originate] = of(act.Originate, linked(after))
    assert originate.number == "13800138000"
    assert after.kept["c1"].arrived_at == before.kept["c1"].arrived_at


def test_a_restart_while_the_phone_rings_makes_no_second_call() -> None:
    before = busy("ann")
    before.asked_and_gone("c1")
    call, leg = before.agent_rings(before.frees("ann"))
    after = restarted(before, calls=[before.calls[call]])
    after.tell(ev.CallStarted(at=after.now, call_id=call, caller="ann", endpoint="ann"))
    after.tell(ev.PhoneUsed(at=after.now, endpoint="ann", channels=1))
    after.tell(ev.LegOffered(at=after.now, call_id=call, leg_id=leg, endpoint="ann", party="ann", originator=True))
    after.tell(ev.LegRang(at=after.now, call_id=call, leg_id=leg))
    assert not of(act.Originate, linked(after))
    customer = after.customer_rings(call, leg)
    after.customer_answers(call, leg, customer)
    assert after.kept["c1"].state is CallbackState.DONE
    assert not of(act.Originate, after.log)


def test_a_callback_answered_while_ctid_was_away_is_done() -> None:
    before = busy("ann")
    before.asked_and_gone("c1")
    call, leg = before.agent_rings(before.frees("ann"))
    after = restarted(before, calls=[before.calls[call]])
    backfilled = {"at": after.now, "call_id": call, "certainty": Certainty.BACKFILLED}
    after.tell(ev.LegAnswered(**backfilled, leg_id=leg))  # type: ignore[arg-type]
    after.tell(ev.LegOffered(**backfilled, leg_id="t", endpoint="trunk", party="138"))  # type: ignore[arg-type]
    after.tell(ev.LegAnswered(**backfilled, leg_id="t"))  # type: ignore[arg-type]
    after.tell(ev.CallEnded(**backfilled))  # type: ignore[arg-type]
    assert not of(act.Originate, linked(after) + after.wait(1000))
    assert after.kept["c1"].state is CallbackState.DONE


def test_a_mark_without_a_call_is_called_where_cel_tells_that_there_was_none() -> None:
    before = busy("ann")
    before.asked_and_gone("c1")
    before.frees("ann")
    after = restarted(before)
    made = linked(after) + after.wait(6)
    assert [a.endpoint for a in of(act.Originate, made)] == ["ann"]


def test_where_nothing_tells_how_a_call_ended_there_is_no_second_one() -> None:
    before = busy("ann")
    before.asked_and_gone("c1")
    before.frees("ann")
    after = restarted(before)
    made = linked(after, gap_told=False) + after.wait(1000)
    assert not of(act.Originate, made)
    assert (after.kept["c1"].state, after.kept["c1"].why) == (CallbackState.FAILED, "nobody saw how the call ended")


def test_a_lost_link_leaves_a_callback_under_way_alone() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    call, leg = centre.agent_rings(centre.frees("ann"))
    centre.tell(ev.LinkLost(at=centre.now))
    centre.wait(2)
    centre.tell(ev.CallStarted(at=centre.now, call_id=call, caller="ann", endpoint="ann"))
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=1))
    centre.tell(ev.LegOffered(at=centre.now, call_id=call, leg_id=leg, endpoint="ann", party="ann", originator=True))
    linked(centre, gap_told=False)
    assert centre.kept["c1"].state is CallbackState.CALLING
    assert len(of(act.Originate, centre.log)) == 1


def test_a_link_lost_before_the_pbx_spoke_of_the_call_makes_no_second_one() -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    [originate] = of(act.Originate, centre.frees("ann"))
    call, leg = originate.call_id, f"ann-{originate.call_id}"
    centre.tell(ev.LinkLost(at=centre.now))
    centre.wait(60)  # much longer than the phone may ring
    told = {"at": centre.now, "call_id": call}
    centre.tell(ev.CallStarted(**told, caller="ann", endpoint="ann"))  # type: ignore[arg-type]
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=1))
    centre.tell(ev.LegOffered(**told, leg_id=leg, endpoint="ann", party="ann", originator=True))  # type: ignore[arg-type]
    customer = centre.customer_rings(call, leg)
    centre.customer_answers(call, leg, customer)
    linked(centre, gap_told=False)
    assert centre.kept["c1"].state is CallbackState.DONE
    assert centre.state("ann") is AgentState.TALKING
    assert len(of(act.Originate, centre.log)) == 1


# -- one call per agent, one place per caller --------------------------------------------------------------------------


def test_an_agent_who_takes_up_the_phone_before_the_mark_is_stored_is_not_rung() -> None:
    centre = busy("ann", database=False)
    centre.asks("c1")
    centre.keep()
    centre.hangs_up("c1")
    centre.frees("ann")
    centre.tell(ev.CallStarted(at=centre.now, call_id="own", caller="ann", dialled="ben", endpoint="ann"))
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=1))
    own = {"at": centre.now, "call_id": "own", "leg_id": "own"}
    centre.tell(ev.LegOffered(**own, endpoint="ann", party="ann", originator=True))  # type: ignore[arg-type]
    assert not of(act.Originate, centre.keep())
    centre.tell(ev.LegEnded(**own))  # type: ignore[arg-type]
    centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=0))
    centre.tell(ev.CallEnded(at=centre.now, call_id="own"))
    assert [a.endpoint for a in of(act.Originate, centre.keep())] == ["ann"]


def test_an_agent_reserved_for_a_callback_that_another_daemon_took_over_is_free_again() -> None:
    centre = busy("ann", database=False)
    centre.asks("c1")
    centre.keep()
    centre.hangs_up("c1")
    centre.frees("ann")
    centre.tell(ev.CallbacksRestored(at=centre.now, callbacks=()))
    assert centre.state("ann") is AgentState.IDLE


def test_a_customer_called_back_who_is_given_to_a_line_waits_there() -> None:
    centre = busy("ann", "bob")
    centre.asked_and_gone("c1")
    call, leg = centre.agent_rings(centre.frees("ann"))
    customer = centre.customer_rings(call, leg)
    centre.customer_answers(call, leg, customer)
    centre.wait(10)
    centre.pause("ann")
    made = centre.tell(ev.LegEnded(at=centre.now, call_id=call, leg_id=leg))
    made += centre.tell(ev.PhoneUsed(at=centre.now, endpoint="ann", channels=0))
    made += centre.held(call, 1)
    assert not of(act.Overflow, made)
    assert rung(centre.frees("bob")) == ["bob"]


def test_a_caller_whose_wish_was_not_stored_before_a_restart_goes_on_waiting() -> None:
    before = busy("ann", database=False)
    before.asks("c1")
    after = Backing("ann")
    after.pause("ann")
    after.tell(ev.LinkLost(at=before.now))
    after.now = before.now + 2
    books = (before.calls["c1"],)
    after.tell(ev.BooksRestored(at=after.now, last_seen_at=before.now, statuses=(), calls=books, talks=()))
    after.tell(ev.CallbacksRestored(at=after.now, callbacks=()))
    after.tell(ev.CallerIdentified(at=after.now, call_id="c1", file=caller()))
    made = after.held("c1", 1) + linked(after)
    assert not of(act.Overflow, made)
    assert rung(after.frees("ann")) == ["ann"]


def test_a_customer_whom_an_agent_is_calling_is_not_called_back_meanwhile() -> None:
    centre = busy("ann", "bob")
    centre.asked_and_gone("c1")
    own = {"at": centre.now, "call_id": "own"}
    centre.tell(ev.CallStarted(**own, caller="bob", dialled="13800138000", endpoint="bob"))  # type: ignore[arg-type]
    centre.tell(
        ev.CallEntered(**own, direction=Direction.OUTBOUND, dialled="13800138000", leg_id="own")  # type: ignore[arg-type]
    )
    centre.tell(ev.CallerIdentified(**own, file=caller()))  # type: ignore[arg-type]
    assert not of(act.Originate, centre.frees("ann"))
    assert of(act.Originate, centre.tell(ev.CallEnded(**own)))  # type: ignore[arg-type]


def test_a_call_answered_before_the_customer_asked_does_not_take_the_place_away() -> None:
    centre = busy("ann")
    centre.frees("ann")
    assert rung(centre.arrive("c0", caller())) == ["ann"]
    leg = centre.rings("c0", "ann")
    centre.answers("c0", leg)
    centre.hangs_up("c0", leg)
    centre.pause("ann")
    centre.asked_and_gone("c1")
    centre.tell(ev.CallerIdentified(at=centre.now, call_id="c0", file=caller()))  # late, for its ticket
    assert of(act.Originate, centre.frees("ann"))


def test_a_callback_is_offered_once_the_link_is_back() -> None:
    centre = busy("ann")
    centre.arrive("c1", caller())
    centre.tell(ev.LinkLost(at=centre.now))
    centre.wait(30)
    made = centre.held("c1", 1) + linked(centre)
    assert of(act.OfferCallback, made + centre.wait(2))


def test_a_daemon_that_stands_by_lets_no_place_expire() -> None:
    centre = busy("ann", policy=Policy(callback_expires_seconds=600))
    centre.asked_and_gone("c1")
    centre.tell(ev.LinkLost(at=centre.now))
    assert not of(act.KeepCallback, centre.wait(700))


def test_where_no_calls_can_be_made_the_other_places_rest_too_and_callers_get_the_agent() -> None:
    centre = busy("ann")
    for number in (1, 2, 3):
        centre.asked_and_gone(f"c{number}", caller(number=f"+861380013800{number}"))
    [first] = of(act.Originate, centre.frees("ann"))
    made = centre.tell(ev.CallNotMade(at=centre.now, call_id=first.call_id))
    assert not of(act.Originate, made)
    assert centre.state("ann") is AgentState.IDLE
    assert rung(centre.arrive("held", caller(number="+8613800138009"))) == ["ann"]
    centre.hangs_up("held", centre.rings("held", "ann"))
    assert of(act.Originate, centre.wait(6))


@pytest.mark.parametrize("by", [-3600.0, 3600.0])
def test_who_is_owed_a_call_is_called_as_soon_as_before_when_the_clock_was_set(by: float) -> None:
    centre = busy("ann")
    centre.asked_and_gone("c1")
    centre.now += by
    centre.tell(ev.ClockTakenOver(at=centre.now, by=by))
    assert of(act.Originate, centre.frees("ann"))
