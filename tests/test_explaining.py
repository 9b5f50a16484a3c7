"""The sentences that say why a call went where it went."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from ctid import explaining
from ctid.domain.types import (
    CallRecord,
    Candidate,
    Certainty,
    Decision,
    Direction,
    Diversion,
    LegRecord,
    LegResult,
    Outcome,
    RecordingRecord,
    RecordingState,
    Rule,
    Skip,
    Talk,
    Via,
)

NAMES = {"7": "Li Wei", "8": "Zhang San", "9": "Wang Wu"}
NAN = float("nan")
ZONE = ZoneInfo("Asia/Shanghai")


def decision(**more: object) -> Decision:
    return replace(Decision(at=1.0, rule=Rule.LEAST_TALK, chosen="7"), **more)


def candidates(count: int) -> tuple[Candidate, ...]:
    return tuple(Candidate(agent=f"a{n}", talk_seconds=60.0 * n, idle_since=0) for n in range(count))


def call(**more: object) -> CallRecord:
    return replace(
        CallRecord(
            id="1.1",
            pbx="pbx",
            direction=Direction.INBOUND,
            caller="+8613800138000",
            dialled="4001",
            line="support",
            started_at=1_795_000_000.0,
            via=Via.CTID,
        ),
        **more,
    )


def texts(record: CallRecord) -> list[str]:
    return [moment.text for moment in explaining.story(record, NAMES)]


def test_the_owner_was_rung_because_they_own_the_ticket() -> None:
    made = decision(rule=Rule.TICKET_OWNER, owner="7")
    assert explaining.why(replace(made, owner_ticket="T12"), NAMES) == "Rang Li Wei, who owns ticket T12."
    assert explaining.why(made, NAMES) == "Rang Li Wei, who owns the caller's last ticket."


def test_an_owner_who_could_not_be_rung_is_named_with_the_reason_and_the_order_of_the_others() -> None:
    made = decision(
        owner="8",
        owner_ticket="T12",
        owner_skipped=Skip.TALKING,
        considered=(
            Candidate(agent="7", talk_seconds=750, idle_since=0),
            Candidate(agent="9", talk_seconds=3723, idle_since=0),
        ),
        skipped=((Skip.OFFLINE, 3), (Skip.PAUSED, 1)),
    )
    assert explaining.why(made, NAMES) == (
        "Zhang San, who owns ticket T12, was talking. Least talk today: Li Wei 12:30, then Wang Wu 1:02:03."
        " Rang Li Wei. Passed over: 3 offline, 1 paused."
    )


def test_a_caller_without_an_owner_goes_by_least_talk() -> None:
    assert explaining.why(decision(considered=candidates(1)), {}) == (
        "No agent owns a ticket of this caller. Least talk today: a0 0:00. Rang 7."
    )


def test_where_the_share_of_talk_decided_it_is_told_with_the_talk() -> None:
    considered = (
        Candidate(agent="7", talk_seconds=750, idle_since=0, talk_share=0.125),
        Candidate(agent="9", talk_seconds=60, idle_since=0, talk_share=0.5),
    )
    assert explaining.why(decision(rule=Rule.TALK_SHARE, considered=considered), NAMES) == (
        "No agent owns a ticket of this caller. Least talk for the time signed in today: Li Wei 12.5 % (12:30),"
        " then Wang Wu 50.0 % (1:00). Rang Li Wei."
    )


def test_many_candidates_are_counted_rather_than_named() -> None:
    assert "a4 4:00, and 15 more." in explaining.why(decision(considered=candidates(20)), {})


@pytest.mark.parametrize("reason", Skip)
def test_each_reason_to_pass_somebody_over_has_words(reason: Skip) -> None:
    said = explaining.why(decision(owner="8", owner_skipped=reason, skipped=((reason, 2),)), NAMES)
    assert reason.value not in said or "_" not in reason.value
    assert "could not be rung" not in said


def test_a_story_runs_from_the_first_ring_to_the_end() -> None:
    at = 1_795_000_000.0
    record = call(
        answered_at=at + 25,
        ended_at=at + 60,
        outcome=Outcome.ANSWERED,
        agent="7",
        decisions=(decision(at=at + 1, rule=Rule.TICKET_OWNER, owner="9", chosen="9"), decision(at=at + 21)),
        legs=(
            LegRecord(id="1", agent=None, party="+8613800138000", offered_at=at),
            LegRecord(id="2", agent="9", party="a9", offered_at=at + 1, ended_at=at + 21, result=LegResult.NO_ANSWER),
            LegRecord(
                id="3",
                agent="7",
                party="a7",
                offered_at=at + 21,
                answered_at=at + 25,
                ended_at=at + 60,
                hold_seconds=5,
                certainty=Certainty.ESTIMATED,
                talks=(Talk(started_at=at + 25, ended_at=at + 60),),
            ),
        ),
        recordings=(RecordingRecord(id="r", path="x", state=RecordingState.COMPLETE, seconds=35, ticket_ids=("T1",)),),
    )
    assert explaining.explain(record, NAMES, ZONE) == [
        "Call 1.1 on pbx, 2026-11-18 (Asia/Shanghai)",
        "19:06:40  Call from +8613800138000 to 4001 on the line support.",
        "19:06:41  Rang Wang Wu, who owns the caller's last ticket.",
        "19:07:01  No agent owns a ticket of this caller. Rang Li Wei.",
        "19:07:01  Wang Wu did not answer (0:20).",
        "19:07:05  Li Wei answered after 0:04.",
        "19:07:40  Li Wei left the call: talked 0:35, 0:05 of it on hold (estimated).",
        "19:07:40  Recording kept: 0:35, on T1.",
        "19:07:40  Estimated: nobody told when it ended; the last moment it was seen counts.",
        "19:07:40  The call ended: answered. The wait was 0:25.",
    ]


@pytest.mark.parametrize("outcome", Outcome)
def test_each_way_to_end_has_words(outcome: Outcome) -> None:
    said = texts(call(ended_at=1_795_000_009.0, outcome=outcome))[-1]
    assert said.endswith(".")
    assert said != "The call ended."


def test_a_call_under_way_has_no_end_and_a_ringing_phone() -> None:
    record = call(legs=(LegRecord(id="2", agent="7", party="a7", offered_at=1_795_000_001.0),))
    assert texts(record)[-1] == "Li Wei's phone is ringing."


def test_a_call_nobody_answered_names_the_owner_who_was_told() -> None:
    record = call(ended_at=1_795_000_009.0, outcome=Outcome.ABANDONED, owner="7")
    assert texts(record)[-1].endswith("Li Wei, who owned the caller's newest ticket, was told of a missed call.")


def test_a_call_the_fallback_took_says_so() -> None:
    assert "fallback queue" in texts(call(via=Via.FAILSAFE))[0]


def test_times_the_stream_did_not_tell_are_dashes() -> None:
    record = call(
        started_at=NAN,
        ended_at=NAN,
        outcome=Outcome.FAILED,
        decisions=(decision(at=NAN, considered=(Candidate(agent="7", talk_seconds=NAN, idle_since=NAN),)),),
        legs=(LegRecord(id="2", agent="7", party="a7", offered_at=NAN, answered_at=NAN, ended_at=NAN),),
    )
    lines = explaining.explain(record, NAMES, ZONE)
    assert lines[0] == "Call 1.1 on pbx, day unknown"
    assert all(line.startswith("--:--:--") for line in lines[1:])
    assert lines[-1].endswith("The call failed.")


def test_who_joins_a_conversation_came_by_transfer_and_who_was_chosen_did_not() -> None:
    at = 1_795_000_000.0

    def leg(agent: str, offered_at: float) -> LegRecord:
        return LegRecord(
            id=agent,
            agent=agent,
            party=agent,
            offered_at=offered_at,
            answered_at=offered_at + 4,
            ended_at=offered_at + 9,
        )

    record = call(
        answered_at=at + 5,
        decisions=(decision(at=at + 1, chosen="7"), decision(at=at + 30, chosen="9")),
        legs=(leg("7", at + 1), leg("8", at + 10), leg("9", at + 30)),
    )
    said = texts(record)
    assert "Li Wei answered after 0:04." in said
    assert "Zhang San answered a transfer or consultation after 0:04." in said
    assert "Wang Wu answered after 0:04." in said


def test_a_new_round_is_told_when_somebody_is_rung_again() -> None:
    said = texts(call(decisions=tuple(decision(at=float(n), chosen=who) for n, who in enumerate("7878"))))
    assert [("new round" in text) for text in said if "Rang" in text] == [False, False, True, False]


def test_a_caller_who_gave_up_has_the_wait_told() -> None:
    said = texts(call(ended_at=1_795_000_035.0, outcome=Outcome.ABANDONED))
    assert said[-1] == "The caller hung up before anybody answered. The wait was 0:35."


@pytest.mark.parametrize("certainty", [Certainty.BACKFILLED, Certainty.ESTIMATED])
def test_what_a_mark_means_is_said(certainty: Certainty) -> None:
    leg = LegRecord(id="2", agent="7", party="a7", offered_at=1.0, answered_at=2.0, ended_at=3.0, certainty=certainty)
    assert any(text.startswith(f"{certainty.value.capitalize()}:") for text in texts(call(legs=(leg,))))


def test_why_a_caller_waited_is_said_before_who_was_rung() -> None:
    at = 1_795_000_000.0
    waited = call(decisions=(decision(at=at + 9),), started_at=at)
    assert texts(waited)[1] == "Nobody could be rung at once: the caller waited 0:09 for an agent."
    in_vain = call(started_at=at, ended_at=at + 40, outcome=Outcome.ABANDONED)
    assert texts(in_vain)[1] == "Nobody could be rung: no agent for this call was free while the caller was there."
    at_once = call(decisions=(decision(at=at + 0.1),), started_at=at)
    assert texts(at_once)[1].startswith("No agent owns")


def test_the_line_is_left_before_somebody_is_rung_for_the_next() -> None:
    at = 1_795_000_000.0
    left = Diversion(at=at, line="night", to="line-service", reason=Outcome.CLOSED)
    told = texts(call(started_at=at, line="service", diversions=(left,), decisions=(decision(at=at),)))
    assert told[1] == "The line night was closed: the caller went on waiting on the line service."
    assert "Rang Li Wei." in told[2]


def rung(agent: str, at: float, answered: float | None = None) -> LegRecord:
    return LegRecord(
        id=f"{agent}-{at}",
        agent=agent,
        party=agent,
        offered_at=at,
        answered_at=answered,
        ended_at=at + 20,
        result=None if answered else LegResult.NO_ANSWER,
    )


def test_a_ring_whose_decision_died_with_its_daemon_is_said_to_have_lost_its_reason() -> None:
    """Killed within a second of deciding: the next one sees the phone ring, and knows nothing of why."""
    began = call().started_at
    legs = (rung("7", began + 0.2), rung("8", began + 21, began + 30), rung("9", began + 40, began + 45))
    record = call(legs=legs, answered_at=began + 30, ended_at=began + 60, outcome=Outcome.ANSWERED)
    lost = "Why {} was rung is not in the books: a ctid that ends within a second of deciding leaves that behind."
    told = texts(replace(record, decisions=(decision(at=began + 21.1, chosen="8"),)))
    assert lost.format("Li Wei") in told
    assert [text for text in told if "not in the books" in text] == [lost.format("Li Wei")]  # 9 came by a transfer
    told = texts(replace(record, decisions=(decision(at=began + 0.1),)))
    assert [text for text in told if "not in the books" in text] == [lost.format("Zhang San")]
    assert not any("Nobody could be rung" in text for text in texts(record))
    again = (rung("7", began + 0.2), rung("7", began + 30))
    told = texts(call(legs=again, decisions=(decision(at=began + 0.1),), ended_at=began + 60))
    assert sum("not in the books" in text for text in told) == 1


def test_what_the_fallback_or_cel_told_has_no_reason_that_could_be_lost() -> None:
    began = call().started_at
    leg = rung("7", began + 1, began + 5)
    for record in (call(legs=(leg,), via=Via.FAILSAFE), call(legs=(replace(leg, certainty=Certainty.BACKFILLED),))):
        assert not any("not in the books" in text for text in texts(replace(record, ended_at=began + 60)))


@pytest.mark.parametrize(
    ("to", "by", "said"),
    [
        ("front", "boss", "boss had this caller come before all who waited."),
        ("end", None, "A supervisor put this caller behind all who waited, as if they had called just then."),
        ("line-night-shift", "100%(x)s", "100%(x)s moved this caller from the line day to the line night-shift."),
    ],
)
def test_where_a_supervisor_put_the_caller_is_said_with_their_name(to: str, by: str | None, said: str) -> None:
    at = 1_795_000_000.0
    placed = Diversion(at=at + 5, line="day", to=to, reason=None, by=by)
    told = texts(call(started_at=at, line="day", diversions=(placed,), decisions=(decision(at=at + 9),)))
    assert told[0].endswith("on the line day.")
    assert said in told
