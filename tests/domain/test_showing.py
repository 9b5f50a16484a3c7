"""A screen that came late is shown what it did not hear."""

from __future__ import annotations

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.said import Code, say
from ctid.domain.types import PopState
from tests.domain.desk import Centre, file, last_pop, of, pops


def shows(centre: Centre, agent: str = "ann") -> list[act.Action]:
    made = centre.tell(ev.ShowAsked(at=centre.now, request=ev.Request(agent=agent, id="s")))
    [reply] = of(act.Reply, made)
    assert reply.error is None
    return made


def test_the_callers_pop_is_shown_again_as_it_was_while_it_rings_and_while_they_talk() -> None:
    centre = Centre("ann", "bob")
    centre.arrive("1", file("ann"))
    assert pops(shows(centre)) == [], "nobody rings yet"
    leg = centre.rings("1", "ann")
    rang = last_pop(centre.log)
    assert [shown.pop for shown in of(act.ShowPop, shows(centre))] == [rang]
    centre.answers("1", leg)
    answered = last_pop(centre.log)
    assert answered.state is PopState.ANSWERED
    assert [shown.pop for shown in of(act.ShowPop, shows(centre))] == [answered]
    assert pops(shows(centre, "bob")) == []
    centre.hangs_up("1", leg)
    assert pops(shows(centre)) == []


def test_an_agent_nobody_knows_is_told_so() -> None:
    centre = Centre("ann")
    made = centre.tell(ev.ShowAsked(at=centre.now, request=ev.Request(agent="eve", id="s")))
    assert [reply.error for reply in of(act.Reply, made)] == [say(Code.NO_AGENT, agent="eve")]
