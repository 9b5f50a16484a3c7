"""Who is taken by whom, out of many: the order of agents and callers, line by line, as a look at everybody would have it."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.types import Agent, AgentStatus, Decision, Line, Policy, Rule, Skip
from tests.domain import naive
from tests.domain.desk import MORNING, SUPPORT, Centre, file, of, rung

SHARES = Policy(timezone="Asia/Shanghai", wrap_up_seconds=0, fairness=Rule.TALK_SHARE)
SALES = Line(name="sales", numbers=("4002",), agents=("ann",), owner_from_outside=False)
GATED = Line(name="gated", numbers=("4003",), level_gate=True)
URGENT = Line(name="urgent", numbers=("4004",), priority=3)
LINES = (SUPPORT, SALES, GATED, URGENT)


def decision(made: list[act.Action]) -> Decision:
    return of(act.NoteDecision, made)[-1].decision


# -- many at once --------------------------------------------------------------------------------------------------


callers = st.lists(
    st.tuples(
        st.sampled_from(["4001", "4002", "4003", "4004"]),
        st.sampled_from([None, "ann", "bob", "cho", "gone"]),  # whose ticket it is
        st.integers(1, 5),
        st.integers(0, 2),
        st.sampled_from([0, 1, 70]),  # seconds before the next
        st.sets(st.sampled_from(["ann", "bob"])),  # who was tried already
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=150)
@given(callers, st.sets(st.sampled_from(["ann", "bob", "cho", "dan"])))
def test_all_who_wait_are_served_as_if_each_were_looked_at_in_turn(waiting, away) -> None:
    agents = [Agent(id=a, name=a, phone=a, level=1 + n % 3) for n, a in enumerate(["ann", "bob", "cho", "dan"])]
    centre = Centre(agents=agents, lines=LINES)
    for agent in sorted(away):
        centre.pause(agent)
    centre.tell(ev.LinkLost(at=centre.now))
    for n, (dialled, owner, level, severity, pause, tried) in enumerate(waiting):
        centre.arrive(f"c{n}", file(owner, level=level, severity=severity), dialled=dialled)
        centre.acd.world.calls[f"c{n}"].tried.update(tried)
        centre.wait(pause)
    for agent in agents:
        centre.tell(ev.PhoneReached(at=centre.now, endpoint=agent.id, reachable=True))
    plain = copy.deepcopy(centre.acd.world)
    told = [(a.call_id, a.decision) for a in of(act.NoteDecision, centre.tell(ev.LinkOpened(at=centre.now)))]
    expected = []
    for call_id in naive.order(plain, centre.now):
        call = plain.calls[call_id]
        assert call.line is not None
        made = naive.choice(plain, centre.now, call.line, call.file, call.tried, Rule.LEAST_TALK)
        if isinstance(made, Decision):
            plain.desks[made.chosen].reserved_for = call_id
            expected.append((call_id, made))
    assert told == expected


# -- share of talk -------------------------------------------------------------------------------------------------


def test_by_share_of_talk_a_late_sign_in_does_not_get_every_call() -> None:
    agents = [Agent(id=i, name=i, phone=i) for i in ("ann", "bob")]
    for policy, first in ((SHARES, "ann"), (Policy(timezone="Asia/Shanghai", wrap_up_seconds=0), "bob")):
        centre = Centre(agents=agents, signed_in=False, policy=policy)
        centre.sign_in("ann")
        centre.converse("1", "ann", 100)
        centre.wait(900)  # a tenth of her time
        centre.sign_in("bob")
        centre.pause("ann")
        centre.converse("2", "bob", 60)
        centre.wait(60)  # half of his
        centre.resume("ann")
        made = centre.arrive("3")
        assert rung(made) == [first]
        assert decision(made).rule is policy.fairness


def test_a_decision_by_share_tells_the_share_of_each_candidate() -> None:
    centre = Centre(agents=[Agent(id=i, name=i, phone=i) for i in ("ann", "bob")], signed_in=False, policy=SHARES)
    centre.sign_in("ann")
    centre.sign_in("bob")
    centre.converse("1", "ann", 50)
    centre.wait(150)
    considered = decision(centre.arrive("2")).considered
    assert [(c.agent, c.talk_seconds, c.talk_share) for c in considered] == [("bob", 0, 0.0), ("ann", 50, 0.25)]


def test_the_share_counts_all_of_todays_sessions_and_none_of_yesterdays() -> None:
    centre = Centre("ann", policy=SHARES)
    world = centre.acd.world
    centre.wait(99)
    centre.tell(ev.SignOutAsked(at=centre.now, request=ev.Request(agent="ann", id="1")))
    centre.wait(1000)
    assert world.presence.today("ann", centre.now) == 100
    centre.sign_in("ann")
    centre.wait(50)
    assert world.presence.today("ann", centre.now) == 150
    midnight = MORNING + 15 * 3600
    centre.now = midnight - 1
    centre.wait(31)
    assert world.presence.today("ann", centre.now) == 30


def test_a_restart_knows_how_long_each_agent_was_signed_in_today() -> None:
    agents = [Agent(id=i, name=i, phone=i) for i in ("ann", "bob")]
    centre = Centre(agents=agents, signed_in=False, policy=SHARES)
    known = Centre(agents=agents, signed_in=False, policy=SHARES)
    for one in (centre, known):
        one.wait(3600)
    now = centre.now
    since = {"ann": now - 100, "bob": now - 400}
    centre.tell(
        ev.BooksRestored(
            at=now,
            last_seen_at=now - 5,
            statuses=tuple(
                AgentStatus(agent=a, state="idle", since=since[a], phone=a, signed_in_at=since[a]) for a in since
            ),
            calls=(),
            talks=(("ann", "l1", now - 1000, now - 800),),
            presences=(("ann", now - 1100, now - 700), ("bob", now - 40_000, now - 39_000)),
        )
    )
    assert centre.acd.world.presence.today("ann", now) == 400 + 100
    assert centre.acd.world.presence.today("bob", now) == 400  # the rest was yesterday
    for agent in since:
        centre.tell(ev.PhoneReached(at=now, endpoint=agent, reachable=True))
    considered = decision(centre.arrive("1")).considered
    assert [(c.agent, c.talk_share) for c in considered] == [("bob", 0.0), ("ann", 200 / 500)]


# -- midnight ------------------------------------------------------------------------------------------------------


def test_who_was_idle_since_before_midnight_starts_the_day_with_no_talk() -> None:
    centre = Centre("ann", "bob")
    centre.converse("1", "ann", 60)
    centre.now = MORNING + 15 * 3600 - 10
    centre.arrive("before")
    centre.rings("before", "bob")
    centre.now += 20
    made = centre.arrive("after")
    assert [(c.agent, c.talk_seconds) for c in decision(made).considered] == [("ann", 0)]


# -- phones --------------------------------------------------------------------------------------------------------


def test_a_phone_that_goes_is_rung_for_nobody_whom_the_books_seat_there() -> None:
    centre = Centre(agents=[Agent(id=i, name=i) for i in ("ann", "bob")], signed_in=False)
    both = tuple(AgentStatus(agent=a, state="idle", since=MORNING, phone="desk1") for a in ("ann", "bob"))
    centre.tell(ev.BooksRestored(at=centre.now, last_seen_at=centre.now, statuses=both, calls=(), talks=()))
    centre.tell(ev.PhoneReached(at=centre.now, endpoint="desk1", reachable=True))
    centre.tell(ev.PhoneReached(at=centre.now, endpoint="desk1", reachable=False))
    assert rung(centre.arrive("1")) == []


# -- levels and priority -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "who"), [(1, "low"), (2, "mid"), (3, "top"), (4, "top"), (5, "top")])
def test_a_gated_line_asks_for_the_callers_level_and_the_highest_agents_may_serve_everyone(level, who) -> None:
    agents = [Agent(id=a, name=a, phone=a, level=n) for n, a in enumerate(["low", "mid", "top"], 1)]
    centre = Centre(agents=agents, lines=[GATED])
    made = centre.arrive("1", file(level=level), dialled="4003")
    assert rung(made) == [who]
    below = ["low", "mid", "top"].index(who)
    assert dict(decision(made).skipped).get(Skip.LEVEL, 0) == below


def test_a_lines_priority_raises_whoever_waits_for_it_by_as_many_levels() -> None:
    centre = Centre("ann", lines=LINES)
    centre.pause("ann")
    centre.arrive("important", file(level=3))
    centre.arrive("most", file(level=5))
    centre.arrive("urgent", file(level=1), dialled="4004")
    order = []
    for _ in range(3):
        call = of(act.Ring, centre.resume("ann"))[0].call_id
        order.append(call)
        centre.answers(call, leg := centre.rings(call, "ann"))
        centre.pause("ann")
        centre.hangs_up(call, leg)
    assert order == ["most", "urgent", "important"]


def test_nobody_starves_behind_a_line_of_higher_priority() -> None:
    centre = Centre("ann", lines=LINES)
    centre.pause("ann")
    centre.arrive("patient", file(level=1))
    centre.wait(181)
    centre.arrive("urgent", file(level=1), dialled="4004")
    assert of(act.Ring, centre.resume("ann"))[0].call_id == "patient"


# -- the owner's ticket --------------------------------------------------------------------------------------------


def test_a_decision_names_the_ticket_that_made_the_owner() -> None:
    centre = Centre("ann", "bob")
    made = centre.arrive("1", file("ann"))
    assert (decision(made).rule, decision(made).owner_ticket) == (Rule.TICKET_OWNER, "T1")
    made = centre.arrive("2", file("ann"))
    assert (decision(made).owner_skipped, decision(made).owner_ticket) == (Skip.RESERVED, "T1")
    assert decision(Centre("bob").arrive("3", file("gone"))).owner_ticket is None
    assert centre.calls["1"].decisions[0].owner_ticket == "T1"
