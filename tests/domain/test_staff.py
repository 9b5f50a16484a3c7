"""People at phones: feature codes, and whom the fallback queue may ring."""

from __future__ import annotations

from collections.abc import Iterable

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.types import AgentState
from tests.domain.desk import Centre, of
from tests.domain.test_visits import restarted


def kept(made: Iterable[act.Action]) -> dict[str, tuple[str | None, bool]]:
    """What the fallback queue is told of each phone, the last word counting."""
    return {m.endpoint: (m.agent, m.paused) for m in of(act.KeepMember, made)}


def test_the_fallback_may_ring_who_is_signed_in_and_not_who_is_paused():
    centre = Centre("ann", "bob")
    assert kept(centre.log) == {"ann": ("ann", False), "bob": ("bob", False)}
    assert kept(centre.pause("ann")) == {"ann": ("ann", True)}
    assert kept(centre.resume("ann")) == {"ann": ("ann", False)}
    signed_out = centre.tell(ev.SignOutAsked(at=centre.now, request=ev.Request(agent="bob", id="1")))
    assert kept(signed_out) == {"bob": (None, False)}


def test_the_fallback_follows_an_agent_who_takes_anothers_phone_whichever_came_first():
    for first, second in (("ann", "bob"), ("bob", "ann")):
        centre = Centre("ann", "bob")
        assert kept(centre.sign_in(first, second)) == {first: (None, False), second: (first, False)}


def test_an_agent_who_leaves_the_roster_leaves_the_fallback():
    centre = Centre("ann", "bob")
    assert kept(centre.tell(ev.RosterLoaded(at=centre.now, agents=centre.roster[:1]))) == {"bob": (None, False)}


def test_after_a_restart_the_fallback_is_told_of_everyone_anew():
    centre = Centre("ann", "bob")
    centre.pause("bob")
    assert kept(restarted(centre, down=4).log) == {"ann": ("ann", False), "bob": ("bob", True)}


def test_a_call_changes_nothing_for_the_fallback():
    centre = Centre("ann")
    before = len(of(act.KeepMember, centre.log))
    centre.converse("1", "ann", 5)
    assert len(of(act.KeepMember, centre.log)) == before


def obeyed(centre: Centre, endpoint: str, command: str, at: float | None = None) -> list[act.Action]:
    return centre.tell(ev.CodeObeyed(at=centre.now if at is None else at, endpoint=endpoint, command=command))


def test_who_signed_out_or_paused_by_feature_code_while_ctid_was_dead_is_so():
    centre = Centre("ann", "bob")
    obeyed(centre, "ann", "sign_out")
    obeyed(centre, "bob", "pause")
    assert (centre.state("ann"), centre.state("bob")) == (AgentState.OFFLINE, AgentState.PAUSED)
    obeyed(centre, "bob", "resume")
    assert centre.state("bob") is AgentState.IDLE


def test_a_code_from_before_the_agent_came_counts_no_more():
    centre = Centre("ann")
    obeyed(centre, "ann", "sign_out", at=centre.now - 60)
    assert centre.state("ann") is AgentState.IDLE


def test_a_sign_in_without_ctid_seats_nobody():
    centre = Centre("ann", signed_in=False)
    obeyed(centre, "ann", "sign_in")
    assert centre.state("ann") is AgentState.OFFLINE
