"""A call that moves to another ticket, or gets its contact: the screens show it, whoever decides."""

from __future__ import annotations

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.said import Code, say
from ctid.domain.types import PopState, Ticket
from tests.domain.desk import Centre, file, of

OTHER = Ticket(id="T9", subject="s", status="open", severity=2, owner="ann", created_at=2.0)
ASKED = ev.Request(agent="ann", id="r")


def talking() -> tuple[Centre, str]:
    """Ann talks with a caller whom nobody knows, on ticket T1."""
    centre = Centre("ann", "bob")
    centre.arrive("1")
    leg = centre.rings("1", "ann")
    centre.answers("1", leg)
    opened = Ticket(id="T1", subject="s", status="open", severity=3, owner="ann", created_at=1.0)
    centre.tell(ev.TicketLinked(at=centre.now, call_id="1", agent="ann", ticket=opened, opened=True))
    return centre, leg


def asks(centre: Centre, **more: object) -> list[act.Action]:
    return centre.tell(ev.RelinkAsked(at=centre.now, request=ASKED, call_id="1", **more))


def moved(centre: Centre, **more: object) -> list[act.Action]:
    """What the database says when it has done it."""
    return centre.tell(ev.CallRelinked(at=centre.now, request=ASKED, call_id="1", **more))


def test_the_books_are_asked_and_then_the_screen_and_the_books_have_the_other_ticket() -> None:
    centre, _ = talking()
    made = asks(centre, ticket_id="T9")
    [asked] = of(act.Relink, made)
    assert (asked.call_id, asked.ticket_id, asked.new, asked.contact_id) == ("1", "T9", False, None)
    assert of(act.Reply, made) == []
    made = moved(centre, ticket=OTHER)
    assert [r.error for r in of(act.Reply, made)] == [None]
    [shown] = of(act.ShowPop, made)
    assert (shown.pop.agent, shown.pop.state, shown.pop.ticket) == ("ann", PopState.ANSWERED, OTHER)
    assert centre.calls["1"].ticket_ids == ("T9",)


def test_an_unknown_caller_who_became_a_contact_is_shown_so_and_keeps_the_number() -> None:
    centre, _ = talking()
    number = centre.acd.world.calls["1"].file.number
    made = moved(centre, file=file("ann", level=4))
    [shown] = of(act.ShowPop, made)
    assert shown.pop.file.contact is not None
    assert (shown.pop.file.contact.name, shown.pop.file.level, shown.pop.file.number) == ("Wang", 4, number)
    assert (centre.calls["1"].contact_id, centre.calls["1"].customer_id) == ("c-Wang", "k1")


def test_a_call_that_just_ended_is_shown_anew_to_who_asked() -> None:
    centre, leg = talking()
    centre.hangs_up("1", leg)
    [shown] = of(act.ShowPop, moved(centre, ticket=OTHER))
    assert (shown.pop.state, shown.pop.ticket) == (PopState.ENDED, OTHER)


def test_a_call_the_core_has_forgotten_is_told_by_the_books() -> None:
    centre, leg = talking()
    centre.hangs_up("1", leg)
    record = centre.calls["1"]
    centre.wait(601)
    assert len(of(act.Relink, asks(centre, new=True))) == 1
    made = moved(centre, ticket=OTHER, call=record)
    assert [shown.call for shown in of(act.ShowCall, made)] == [record]
    assert [r.error for r in of(act.Reply, made)] == [None]


def test_what_the_database_refuses_changes_nothing() -> None:
    centre, _ = talking()
    made = moved(centre, error=say(Code.NO_TICKET, ticket="T9"))
    assert [r.error for r in of(act.Reply, made)] == [say(Code.NO_TICKET, ticket="T9")]
    assert of(act.ShowPop, made) == []
    assert centre.calls["1"].ticket_ids == ("T1",)


def test_who_is_no_agent_moves_no_call() -> None:
    centre, _ = talking()
    stranger = ev.Request(agent="zoe", id="r")
    made = centre.tell(ev.RelinkAsked(at=centre.now, request=stranger, call_id="1", new=True))
    assert [r.error for r in of(act.Reply, made)] == [say(Code.NO_AGENT, agent="zoe")]
    assert of(act.Relink, made) == []
