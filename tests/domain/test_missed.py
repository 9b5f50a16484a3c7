"""Calls nobody answered: what the owner, and whoever takes the next call, is told."""

from __future__ import annotations

from collections.abc import Iterable

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.said import Code
from ctid.domain.types import Agent, CallerFile, Contact, Outcome, Pop, PopState
from ctid.saying import sentence
from tests.domain.desk import Centre, file, last_pop, of
from tests.domain.test_visits import restarted


def said(pop: Pop) -> tuple[str, ...]:
    """The pop's notices as whoever reads English reads them."""
    return tuple(sentence(notice) for notice in pop.notices)


def missed(made: Iterable[act.Action]) -> list[Pop]:
    return [a.pop for a in of(act.ShowPop, made) if any(n.code is Code.MISSED_CALL for n in a.pop.notices)]


def in_vain(centre: Centre, call: str, who: CallerFile | None = None) -> list[act.Action]:
    """A whole call in which the caller gives up waiting."""
    for agent in centre.roster:
        centre.pause(agent.id)
    made = centre.arrive(call, who)
    made += centre.wait(42)
    made += centre.hangs_up(call)
    for agent in centre.roster:
        centre.resume(agent.id)
    return made


def test_the_owner_is_told_of_a_call_nobody_answered_and_the_books_keep_whose_it_was():
    centre = Centre("ann", "bob")
    [pop] = missed(in_vain(centre, "1", file("bob")))
    assert (pop.agent, pop.call_id, pop.state) == ("bob", "1", PopState.ENDED)
    assert said(pop) == ("Missed call: rang at 09:00 for 0:42, nobody answered.",)
    assert pop.file.contact is not None
    assert pop.ticket is not None
    assert (centre.calls["1"].outcome, centre.calls["1"].owner) == (Outcome.ABANDONED, "bob")
    assert not of(act.OpenTicket, centre.log)


def test_an_owner_who_was_rung_in_vain_is_told_too():
    centre = Centre("ann")
    centre.arrive("1", file("ann"))
    leg = centre.rings("1", "ann")
    made = centre.ends_leg("1", leg)
    made += centre.hangs_up("1")
    assert [pop.agent for pop in missed(made)] == ["ann"]


def test_nobody_is_told_where_there_is_no_owner_or_the_owner_has_left_or_the_call_was_answered():
    gone = Agent(id="bob", name="Bob", phone="bob", enabled=False)
    centre = Centre(agents=[Agent(id="ann", name="Ann", phone="ann"), gone])
    assert missed(in_vain(centre, "1", file(None))) == []
    assert missed(in_vain(centre, "2")) == []
    centre.pause("bob")
    made = centre.arrive("3", file("bob"))
    made += centre.hangs_up("3")
    assert missed(made) == []
    assert centre.calls["3"].owner is None
    before = len(centre.log)
    centre.converse("4", "ann", 5, file("ann"))
    assert missed(centre.log[before:]) == []


def test_a_caller_known_only_after_they_gave_up_is_told_of_all_the_same_and_once():
    centre = Centre("ann")
    centre.tell(ev.CallStarted(at=centre.now, call_id="1", caller="138", dialled="4001", endpoint="trunk"))
    centre.held("1", 1)
    assert missed(centre.hangs_up("1")) == []
    known = ev.CallerIdentified(at=centre.now, call_id="1", file=file("ann"))
    assert [pop.agent for pop in missed(centre.tell(known))] == ["ann"]
    assert missed(centre.tell(known)) == []


def test_the_next_pop_says_how_often_the_caller_rang_in_vain_today():
    centre = Centre("ann")
    for number, notice in ((1, "Rang in vain once today."), (2, "Rang in vain 2 times today.")):
        in_vain(centre, f"v{number}", file("ann"))
        centre.arrive(f"a{number}", file("ann"))
        leg = centre.rings(f"a{number}", "ann")
        assert said(last_pop(centre.log)) == (notice,)
        centre.answers(f"a{number}", leg)
        centre.hangs_up(f"a{number}", leg)
    centre.wait(24 * 3600)
    centre.arrive("tomorrow", file("ann"))
    centre.rings("tomorrow", "ann")
    assert said(last_pop(centre.log)) == ()


def test_how_often_outlives_a_restart():
    centre = Centre("ann")
    heir = restarted(centre, down=1)
    heir.tell(
        ev.BooksRestored(at=heir.now, last_seen_at=heir.now, statuses=(), calls=(), talks=(), in_vain=(("c-Wang", 3),))
    )
    heir.tell(ev.LinkOpened(at=heir.now))
    heir.arrive("1", file("ann"))
    heir.rings("1", "ann")
    assert said(last_pop(heir.log)) == ("Rang in vain 3 times today.",)


def test_a_shared_number_and_other_calls_of_the_customer_are_noticed():
    centre = Centre("ann", "bob")
    people = tuple(Contact(id=f"c{n}", name=f"P{n}", customer_id="k1") for n in range(2))
    shared = CallerFile(number="+861", customer_id="k1", matches=people)
    centre.arrive("1", shared)
    centre.rings("1", "ann")
    assert said(last_pop(centre.log)) == ("2 people share this number.",)
    centre.arrive("2", file(None))
    centre.rings("2", "bob")
    assert said(last_pop(centre.log)) == ("1 more call of this customer at this moment.",)
