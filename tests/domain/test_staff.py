"""People at phones: feature codes, and whom the fallback queue may ring."""

from __future__ import annotations

from collections.abc import Iterable

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.acd import Acd
from ctid.domain.types import Agent, AgentState, AgentStatus, Direction, Outcome, Policy, Waiting
from tests.domain.desk import MORNING, Centre, file, of
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


def test_a_daemon_that_starts_shows_and_saves_each_agent_once_as_the_books_had_them():
    acd = Acd(Policy(timezone="Asia/Shanghai"), (), "lab")
    agents = tuple(Agent(id=name, name=name, phone=name) for name in ("ann", "bob", "cai"))
    statuses = (
        AgentStatus(agent="ann", state=AgentState.PAUSED, since=MORNING, phone="ann", reason="tea"),
        AgentStatus(agent="bob", state=AgentState.IDLE, since=MORNING, phone="bob"),
    )
    made = acd.handle(
        ev.BooksRestored(
            at=MORNING + 60, last_seen_at=MORNING + 50, statuses=statuses, calls=(), talks=(), agents=agents
        )
    )
    states = [("ann", AgentState.PAUSED), ("bob", AgentState.IDLE), ("cai", AgentState.OFFLINE)]
    assert [(m.status.agent, m.status.state) for m in of(act.ShowAgent, made)] == states
    assert [(m.status.agent, m.status.state) for m in of(act.SaveAgent, made)] == states
    assert acd.world.roster_phones == {"ann", "bob", "cai"}


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


# -- feature codes as calls --------------------------------------------------------------------------------------------


def dials(centre: Centre, phone: str, code: str, call: str = "f1") -> None:
    """A feature code is dialled at a phone, and the PBX answers."""
    centre.tell(ev.CallStarted(at=centre.now, call_id=call, caller=phone, dialled=code, endpoint=phone))
    centre.tell(ev.LegOffered(at=centre.now, call_id=call, leg_id=call, endpoint=phone, party=phone, originator=True))
    centre.tell(ev.LegAnswered(at=centre.now, call_id=call, leg_id=call))


def keys(centre: Centre, phone: str, agent: str, pin: str, *, right: bool, call: str = "f1") -> list[act.Action]:
    made = centre.tell(
        ev.CodeDialled(
            at=centre.now,
            endpoint=phone,
            channel=f"PJSIP/{phone}-1",
            seq=1,
            command="sign_in",
            agent=agent,
            pin=pin,
            call_id=call,
        )
    )
    [check] = of(act.CheckPin, made)
    return centre.tell(ev.PinChecked(at=centre.now, request=check.request, ok=right))


def test_a_feature_code_is_an_internal_call_that_was_answered_also_at_a_phone_where_nobody_sits_yet():
    ann = Agent(id="ann", name="Ann")
    for phone in ("spare", "ann"):
        centre = Centre(agents=[ann])
        dials(centre, phone, "*11")
        assert not of(act.LookUpCaller, centre.log), "no customer calls"
        assert [s.word for s in of(act.Say, keys(centre, phone, "ann", "1234", right=True))] == ["ok"]
        centre.wait(2)
        centre.hangs_up("f1", "f1")
        call = centre.calls["f1"]
        assert (call.direction, call.outcome) == (Direction.INTERNAL, Outcome.ANSWERED)
        assert call.answered_at is not None


def test_whoever_hangs_up_before_keying_anything_made_an_internal_call_too():
    centre = Centre(agents=[Agent(id="ann", name="Ann")])
    dials(centre, "spare", "*11")
    centre.hangs_up("f1", "f1")
    assert (centre.calls["f1"].direction, centre.calls["f1"].outcome) == (Direction.INTERNAL, Outcome.ANSWERED)


def test_an_agent_whose_id_has_letters_signs_in_by_their_code():
    centre = Centre(agents=[Agent(id="ann", name="Ann", code="7001"), Agent(id="bob", name="Bob", code="7002")])
    dials(centre, "spare", "*11")
    assert [s.word for s in of(act.Say, keys(centre, "spare", "7002", "1234", right=True))] == ["ok"]
    assert centre.acd.world.desks["bob"].phone == "spare"
    assert centre.state("ann") is AgentState.OFFLINE


def test_an_id_of_digits_comes_before_anothers_code():
    centre = Centre(agents=[Agent(id="7001", name="Zhao"), Agent(id="ann", name="Ann", code="7001")])
    dials(centre, "spare", "*11")
    keys(centre, "spare", "7001", "1234", right=True)
    assert centre.acd.world.desks["7001"].phone == "spare"
    assert centre.state("ann") is AgentState.OFFLINE


def test_wrong_pins_count_for_the_agent_whether_id_or_code_was_keyed():
    centre = Centre(agents=[Agent(id="ann", name="Ann", code="7001")])
    for number, keyed in enumerate(["ann", "7001"] * 2 + ["ann"]):
        keys(centre, f"phone{number}", keyed, "0000", right=False)
    made = centre.tell(
        ev.CodeDialled(
            at=centre.now, endpoint="other", channel="PJSIP/other-1", seq=1, command="sign_in", agent="7001", pin="1234"
        )
    )
    assert of(act.CheckPin, made) == []
    assert [s.word for s in of(act.Say, made)] == ["denied"]


# -- coming and going, noted -------------------------------------------------------------------------------------------


def test_coming_moving_pausing_resuming_and_going_are_each_noted_once():
    centre = Centre("ann", "bob")
    centre.log.clear()
    centre.sign_in("ann", "ann")  # sits there already
    centre.pause("ann")
    centre.resume("ann")
    centre.resume("ann")
    centre.sign_in("ann", "bob")
    noted = [(n.agent, n.news.value, n.phone, n.reason) for n in of(act.NoteAgent, centre.log)]
    assert noted == [
        ("ann", "paused", "ann", "lunch"),
        ("ann", "resumed", "ann", "lunch"),
        ("bob", "signed_out", "bob", None),
        ("ann", "signed_in", "bob", None),
    ]


def test_a_restart_notes_no_sign_ins():
    assert of(act.NoteAgent, restarted(Centre("ann"), down=4).log) == []


def wrapping(centre: Centre) -> AgentStatus:
    """Ann in wrap-up: the newest state that was shown and saved of her."""
    centre.converse("1", "ann", 5)
    return of(act.SaveAgent, centre.log)[-1].status


def test_an_agents_state_says_when_their_wrap_up_ends_and_says_it_anew_when_it_is_extended():
    centre = Centre("ann", policy=Policy(timezone="Asia/Shanghai", wrap_up_seconds=30))
    status = wrapping(centre)
    assert (status.state, status.wrap_up_until) == (AgentState.WRAP_UP, centre.now + 30)
    made = centre.tell(ev.WrapUpExtensionAsked(at=centre.now, request=ev.Request(agent="ann", id="1"), seconds=60))
    [shown] = of(act.ShowAgent, made)
    assert shown.status.wrap_up_until == centre.now + 90
    shown = of(act.ShowAgent, centre.wait(90))[-1]
    assert (shown.status.state, shown.status.wrap_up_until) == (AgentState.IDLE, None)


def test_an_extended_wrap_up_lasts_as_long_past_a_restart():
    centre = Centre("ann", policy=Policy(timezone="Asia/Shanghai", wrap_up_seconds=30))
    wrapping(centre)
    centre.tell(ev.WrapUpExtensionAsked(at=centre.now, request=ev.Request(agent="ann", id="1"), seconds=60))
    again = restarted(centre, down=4)
    assert again.state("ann") is AgentState.WRAP_UP
    again.wait(84)
    assert again.state("ann") is AgentState.WRAP_UP
    again.wait(4)
    assert again.state("ann") is AgentState.IDLE


def test_who_waits_is_shown_with_their_place_and_name_until_a_phone_rings_for_them():
    centre = Centre("ann")
    centre.pause("ann")
    [*_, shown] = of(act.ShowCall, centre.arrive("1", file(level=3, severity=2)))
    assert shown.waiting == Waiting(since=centre.now, level=3, severity=2, contact="Wang", customer="Acme")
    [*_, shown] = of(act.ShowCall, centre.resume("ann"))
    assert shown.waiting is None
