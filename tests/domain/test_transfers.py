"""What a transfer means: whose leg, whose pop, whose talk, which call; and the recording that goes along."""

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.types import Certainty
from tests.domain.desk import Centre, of

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
