"""The desk's rules for tickets: who may do what, when, what comes of it, and what a promise is."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.desk.changes import (
    DECIDED_BY,
    RULES,
    By,
    Change,
    Close,
    Confirm,
    Done,
    FollowUp,
    GoOn,
    HandOver,
    PassOn,
    Promise,
    Refusal,
    Reopen,
    Resolve,
    Take,
    Try,
    Wait,
    Write,
    carry_out,
    why_not,
)
from ctid.desk.merging import before_steps, merge
from ctid.desk.promises import Due, due, end_of_day, first_promise, quick
from ctid.desk.ticket import Actor, Status, Step, StepKind, TicketRecord

HOUR = 3600.0
NOW = 1_795_314_000.0  # 2026-11-22 10:20 in Shanghai
ZONE = ZoneInfo("Asia/Shanghai")
LI, ZHANG, NOBODY = (Actor(agent=key, user_name=key) for key in ("li", "zhang", None))
BOSS = Actor(agent=None, user_name="boss", supervisor=True)
TICKET = TicketRecord(id="T1", subject="Spindle", created_at=NOW, owner="li", promised_at=NOW + 24 * HOUR)
CHANGES: tuple[Change, ...] = (
    Take(),
    HandOver(to="zhang", reason="r"),
    PassOn(to="zhang", reason="r"),
    Try(what="w"),
    Write(written=replace(TICKET.written, asked="a")),
    Promise(at=NOW + 2 * HOUR, reason="r"),
    Wait(),
    GoOn(),
    Resolve(),
    FollowUp(),
    Confirm(person="p", satisfaction=5),
    Reopen(reason="r"),
    Close(reason="r"),
)


def after(ticket: TicketRecord, *changes: Change, by: Actor = LI, at: float = NOW + 60) -> Done:
    done = carry_out(ticket, changes, by=by, at=at)
    assert isinstance(done, Done), done
    return done


def refused(ticket: TicketRecord, change: Change, *, by: Actor = LI) -> Refusal:
    done = carry_out(ticket, [change], by=by, at=NOW + 60)
    assert isinstance(done, Refusal), done
    return done


def test_every_change_has_its_row_in_both_tables() -> None:
    assert set(RULES) == set(DECIDED_BY) == {type(one) for one in CHANGES}


@pytest.mark.parametrize("change", [one for one in CHANGES if RULES[type(one)].by is By.OWNER])
def test_closing_and_handing_over_are_the_owners_or_a_supervisors(change: Change) -> None:
    status = next(iter(sorted(RULES[type(change)].of)))
    ticket = replace(TICKET, status=status)
    assert refused(ticket, change, by=ZHANG) is Refusal.NOT_OWNER
    assert refused(replace(ticket, owner=None), change) is Refusal.UNOWNED
    after(ticket, change)
    after(ticket, change, by=BOSS)


def test_anyone_who_serves_may_add_attempts_and_notes_and_nobody_else() -> None:
    for change in (Try(what="w"), Write(written=replace(TICKET.written, asked="a"))):
        after(TICKET, change, by=ZHANG)
        assert refused(TICKET, change, by=NOBODY) is Refusal.NOT_SERVING


def test_a_ticket_nobody_owns_may_be_taken_and_one_somebody_owns_not() -> None:
    assert after(replace(TICKET, owner=None), Take(), by=ZHANG).ticket.owner == "zhang"
    assert refused(TICKET, Take(), by=ZHANG) is Refusal.OWNED
    assert refused(replace(TICKET, owner=None), Take(), by=BOSS) is Refusal.NO_AGENT


def test_handing_over_is_recorded_from_whom_to_whom_and_why() -> None:
    done = after(TICKET, HandOver(to="zhang", reason="ill"))
    step = done.steps[0]
    assert (step.kind, step.from_agent, step.to_agent, step.reason) == (StepKind.HANDED_OVER, "li", "zhang", "ill")
    assert refused(TICKET, HandOver(to="zhang", reason=" ")) is Refusal.NO_REASON
    assert refused(TICKET, HandOver(to="li", reason="r")) is Refusal.SAME_AGENT


def test_whose_turn_it_is_is_not_who_owns_it() -> None:
    passed = after(TICKET, PassOn(to="zhang", reason="look")).ticket
    assert (passed.owner, passed.turn) == ("li", "zhang")
    assert refused(passed, Resolve(), by=ZHANG) is Refusal.NOT_OWNER
    assert after(passed, PassOn(to="li", reason="done"), by=ZHANG).ticket.with_agent is None
    assert refused(TICKET, PassOn(to="wang", reason="r"), by=ZHANG) is Refusal.NOT_YOUR_TURN


def test_a_reopened_ticket_keeps_its_owner_and_its_history_keeps_what_was() -> None:
    closed = after(TICKET, Resolve(), FollowUp(), Confirm(person="Chen", satisfaction=4), Close()).ticket
    done = after(closed, Reopen(reason="again"), by=ZHANG)
    assert (done.ticket.status, done.ticket.owner, done.ticket.confirmed_by) == (Status.OPEN, "li", None)
    assert ("confirmed_by", "Chen", None) in done.steps[0].changes


def test_closing_without_a_solution_needs_a_reason() -> None:
    assert refused(TICKET, Close()) is Refusal.NO_REASON
    assert after(TICKET, Close(reason="wrong number")).ticket.resolved_at is None


def test_a_new_ticket_is_promised_by_its_severity_and_follows_it_until_somebody_promises() -> None:
    assert first_promise(5, NOW) == NOW + 4 * HOUR
    worse = Write(written=replace(TICKET.written, severity=5))
    assert after(TICKET, worse).ticket.promised_at == NOW + 4 * HOUR
    given_one = after(TICKET, Promise(at=NOW + HOUR)).ticket
    assert after(given_one, worse).ticket.promised_at == NOW + HOUR


def test_a_promise_somebody_gave_moves_with_a_reason_and_is_kept() -> None:
    given_one = after(TICKET, Promise(at=NOW + HOUR)).ticket
    assert refused(given_one, Promise(at=NOW + 2 * HOUR)) is Refusal.NO_REASON
    moved = after(given_one, Promise(at=NOW + 2 * HOUR, reason="part is late"))
    assert moved.steps[0].changes == (("promised_at", NOW + HOUR, NOW + 2 * HOUR),)
    assert refused(TICKET, Promise(at=NOW)) is Refusal.PROMISED_PAST


def test_due_today_ends_at_the_sites_midnight() -> None:
    midnight = end_of_day(NOW, ZONE)
    for promised, standing in ((NOW - 1, Due.OVERDUE), (midnight - 1, Due.TODAY), (midnight, Due.LATER)):
        assert due(replace(TICKET, promised_at=promised), NOW, ZONE) is standing
    assert due(replace(TICKET, promised_at=NOW - 1, status=Status.RESOLVED), NOW, ZONE) is Due.NONE


def test_a_call_tickets_subject_becomes_what_was_asked_first() -> None:
    called = replace(TICKET, subject="Call from Chen")
    asked = Write(written=replace(called.written, asked="It stops\nagain"))
    assert after(called, asked).ticket.subject == "It stops"
    assert after(TICKET, Write(written=replace(TICKET.written, asked="x"))).ticket.subject == "Spindle"


def test_all_changes_of_one_save_are_carried_out_or_none() -> None:
    assert carry_out(TICKET, [Try(what="w"), Take()], by=LI, at=NOW) is Refusal.OWNED
    done = after(TICKET, Try(what="w"), Resolve())
    assert (len(done.attempts), len(done.steps), done.ticket.version) == (1, 2, 2)


def test_two_writers_of_different_fields_are_put_together_and_of_one_field_told() -> None:
    base = TICKET.written
    theirs = after(TICKET, Write(written=replace(base, severity=5)), by=ZHANG)
    assert before_steps(theirs.ticket.written, theirs.steps) == base
    merged = merge(base, theirs.ticket.written, replace(base, asked="mine"))
    assert (merged.written.severity, merged.written.asked, merged.differ) == (5, "mine", ())
    assert merge(base, theirs.ticket.written, replace(base, severity=1)).differ == ("severity",)


@given(st.floats(NOW, NOW + 400 * 86400))
def test_each_promise_offered_at_a_stroke_lies_ahead(now: float) -> None:
    assert all(at > now for _name, at in quick(now, ZONE))


@given(st.lists(st.tuples(st.sampled_from(CHANGES), st.sampled_from((LI, ZHANG, BOSS, NOBODY))), max_size=12))
def test_whatever_people_do_the_steps_tell_all_of_it(asked: list[tuple[Change, Actor]]) -> None:
    ticket, steps = TICKET, list[Step]()
    for change, by in asked:
        done = carry_out(ticket, [change], by=by, at=NOW + 60)
        if isinstance(done, Refusal):
            assert done is not Refusal.WRONG_STATUS or ticket.status not in RULES[type(change)].of
            continue
        assert why_not(type(change), ticket, by) is None
        assert done.ticket.version == ticket.version + (done.ticket != ticket)
        steps += done.steps
        ticket = done.ticket
    told: dict[str, object] = {}
    for step in steps:
        for name, was, became in step.changes:
            assert told.get(name, getattr(TICKET, name)) == was
            told[name] = became
    assert all(getattr(ticket, name) == value for name, value in told.items())
    if ticket.status in (Status.OPEN, Status.PENDING):
        assert ticket.resolved_at is None
        assert ticket.closed_at is None
