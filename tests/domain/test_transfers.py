"""What a transfer means: whose leg, whose pop, whose talk, which call; and the recording that goes along."""

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.types import Certainty, PopState
from tests.domain.desk import Centre, last_pop, of, pops

CALL = "1.1"


def test_the_recording_listens_anew_when_its_channel_hears_someone_it_did_not_hear_before() -> None:
    centre = Centre("ann")
    centre.arrive(CALL)
    made = centre.tell(ev.VoicesChanged(at=centre.now, call_id=CALL, channel="PJSIP/trunk-1"))
    assert of(act.RenewRecording, made) == [act.RenewRecording(call_id=CALL, channel="PJSIP/trunk-1")]


def test_what_was_heard_while_ctid_was_away_renews_no_recording() -> None:
    centre = Centre("ann")
    centre.arrive(CALL)
    backfilled = Certainty.BACKFILLED
    made = centre.tell(ev.VoicesChanged(at=centre.now, call_id=CALL, channel="PJSIP/trunk-1", certainty=backfilled))
    made += centre.tell(ev.VoicesChanged(at=centre.now, call_id="9.9", channel="PJSIP/trunk-9"))
    assert of(act.RenewRecording, made) == []


def consults(centre: Centre, consultation: str = "2.2") -> tuple[str, str]:
    """ann has a customer, and calls ben from her phone's second line; their legs in that call."""
    centre.arrive(CALL)
    centre.answers(CALL, centre.rings(CALL, "ann"))
    centre.tell(ev.CallStarted(at=centre.now, call_id=consultation, caller="ann", dialled="ben", endpoint="ann"))
    centre.tell(
        ev.LegOffered(
            at=centre.now, call_id=consultation, leg_id=consultation, endpoint="ann", party="ann", originator=True
        )
    )
    leg = centre.rings(consultation, "ben")
    centre.tell(ev.LegAnswered(at=centre.now, call_id=consultation, leg_id=leg))
    return consultation, leg


def test_who_was_consulted_gets_the_customers_screen_when_the_calls_become_one() -> None:
    centre = Centre("ann", "ben")
    consultation, leg = consults(centre)
    made = centre.tell(ev.CallsMerged(at=centre.now, call_id=consultation, into=CALL))
    assert pops(made) == [("ben", PopState.ANSWERED)], "ann has it already"
    assert last_pop(made).call_id == CALL
    assert pops(centre.ends_leg(CALL, leg)) == [("ben", PopState.ENDED)]


def test_a_consultation_counts_from_its_ringing_on() -> None:
    centre = Centre("ann", "ben")
    centre.arrive(CALL)
    leg = centre.rings(CALL, "ann")
    centre.answers(CALL, leg)
    centre.wait(60)
    centre.tell(ev.TalkStopped(at=centre.now, call_id=CALL, leg_id=leg))
    centre.tell(ev.TalkStarted(at=centre.now, call_id=CALL, leg_id=leg, peers=()))
    centre.wait(20)
    centre.tell(ev.TalkStarted(at=centre.now, call_id=CALL, leg_id=leg, peers=("ben",)))
    centre.wait(10)
    centre.hangs_up(CALL, leg)
    assert centre.talked("ann") == 90
