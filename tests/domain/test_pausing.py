"""Recordings that pause: who may, when they go on, and what is kept of it; the PBX's answers played by hand."""

from __future__ import annotations

import pytest

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.acd import Acd
from ctid.domain.said import Code
from ctid.domain.spans import places
from ctid.domain.types import Consent, Direction, Gap, GapEnd, RecordingState
from tests.domain.desk import SUPPORT, Centre, of
from tests.domain.test_consenting import TOLD, says


def talking() -> tuple[Centre, str]:
    """Ann talks with a customer, recorded on channel 1; her leg."""
    centre = Centre("ann", "bob")
    centre.arrive("1")
    leg = centre.rings("1", "ann")
    centre.answers("1", leg)
    return centre, leg


def pause(centre: Centre, agent: str = "ann") -> list[act.Action]:
    return centre.tell(ev.RecordingPauseAsked(at=centre.now, request=ev.Request(agent=agent, id="p")))


def resume(centre: Centre, agent: str = "ann") -> list[act.Action]:
    return centre.tell(ev.RecordingResumeAsked(at=centre.now, request=ev.Request(agent=agent, id="p")))


def done(centre: Centre, made: list[act.Action], error: str | None = None, *, refused: bool = True) -> list[act.Action]:
    """The PBX answers what it was told; or, with an ``error`` that is no refusal, nobody knows what it did."""
    [mute] = of(act.MuteRecording, made)
    answer = ev.RecordingMuted(
        at=centre.now,
        call_id=mute.call_id,
        gap=mute.gap,
        request=mute.request,
        error=error,
        refused=refused and error is not None,
    )
    return centre.tell(answer)


def code(made: list[act.Action]) -> Code | None:
    [reply] = of(act.Reply, made)
    return reply.error.code if reply.error is not None else None


def gaps(centre: Centre) -> tuple[Gap, ...]:
    return tuple(gap for recording in centre.calls["1"].recordings for gap in recording.gaps)


def until(centre: Centre, agent: str = "ann") -> float | None:
    return centre.acd.world.shown[agent].paused_until


def test_the_agent_in_the_call_pauses_and_resumes_and_it_is_kept_with_the_recording() -> None:
    centre, _ = talking()
    made = pause(centre)
    assert of(act.MuteRecording, made)[0].channels == ("1",), "the customer's channel"
    assert gaps(centre) == (), "not before the PBX has done so"
    began = centre.now
    assert code(done(centre, made)) is None
    assert until(centre) == began + 120
    centre.wait(10)
    assert code(done(centre, resume(centre))) is None
    [gap] = gaps(centre)
    assert (gap.agent, gap.started_at, gap.ended_at, gap.ended) == ("ann", began, began + 10, GapEnd.RESUMED)
    assert until(centre) is None


def test_it_goes_on_by_itself_and_asking_again_lets_the_time_run_anew() -> None:
    centre, _ = talking()
    done(centre, pause(centre))
    centre.wait(100)
    done(centre, pause(centre))
    assert of(act.MuteRecording, centre.wait(119)) == []
    [mute] = of(act.MuteRecording, made := centre.wait(2))
    assert mute.gap.ended is GapEnd.TIMER
    done(centre, made)
    [gap] = gaps(centre)
    assert gap.ended is GapEnd.TIMER


def test_what_the_pbx_did_not_take_is_tried_again_where_it_is_the_end_of_a_pause() -> None:
    centre, _ = talking()
    refused = done(centre, pause(centre), error="no")
    assert code(refused) is Code.NOT_PAUSED
    [undone] = of(act.MuteRecording, refused)
    assert undone.gap.ended is not None, "no word of a pause is left with the channel"
    done(centre, refused, error="no")
    assert gaps(centre) == ()
    done(centre, pause(centre))
    centre.tell(ev.LinkLost(at=centre.now))
    assert code(resume(centre)) is Code.NO_LINK
    assert of(act.MuteRecording, centre.wait(130)) == [], "with the link lost nothing is sent"


def test_a_pause_of_which_nobody_knows_whether_the_pbx_took_it_is_in_the_books_and_ended() -> None:
    """Taken late, it would leave the file silent to its end."""
    centre, _ = talking()
    assert code(done(centre, pause(centre), error="no answer within 3 s", refused=False)) is Code.NOT_PAUSED
    [gap] = gaps(centre)
    assert gap.ended is None
    done(centre, centre.wait(1), error="no answer within 3 s", refused=False)
    done(centre, centre.wait(1))
    assert gaps(centre)[0].ended is GapEnd.TIMER


def test_a_pause_holds_for_the_file_of_a_call_that_joins_and_ends_in_both() -> None:
    """Ann asks somebody outside by a second call, and connects them with the paused customer."""
    centre, leg = talking()
    done(centre, pause(centre))
    [gap] = gaps(centre)
    centre.tell(ev.LegHeld(at=centre.now, call_id="1", leg_id=leg))
    calls_out(centre)
    made = centre.tell(ev.CallsMerged(at=centre.now, call_id="2", into="1"))
    [mute] = of(act.MuteRecording, made)
    assert (set(mute.channels), mute.gap) == ({"1", "c2"}, gap)
    done(centre, made)
    [mute] = of(act.MuteRecording, made := centre.wait(120))
    assert (set(mute.channels), mute.gap.ended) == ({"1", "c2"}, GapEnd.TIMER)
    done(centre, made)
    assert [gap.ended for gap in gaps(centre)] == [GapEnd.TIMER]


@pytest.mark.parametrize("refused", [False, True])
def test_whom_the_agent_asks_in_a_call_that_is_not_recorded_now_is_not_either(refused: bool) -> None:
    """By keys the agent calls somebody outside within the same call, whose own channel begins to be recorded with sound."""
    centre, _ = talking()
    if refused:
        centre.tell(ev.ConsentTold(at=centre.now, call_id="1", consent=Consent.REFUSED))
    else:
        done(centre, pause(centre))
    file = "2026/03/02/c2.wav"
    entered = ev.CallEntered(
        at=centre.now, call_id="1", direction=Direction.OUTBOUND, dialled="10086", leg_id="c2", recording=file
    )
    [mute] = of(act.MuteRecording, made := centre.tell(entered))
    assert mute.channels == ("c2",)
    done(centre, made)
    assert of(act.MuteRecording, centre.tell(entered)) == [], "told again, nothing is to be done"
    made = resume(centre)
    if refused:
        assert code(made) is Code.NOT_RECORDED
    else:
        assert of(act.MuteRecording, made)[0].channels == ("1", "c2"), "both go on together"


def test_a_pause_of_the_call_that_joins_holds_for_both() -> None:
    centre, leg = talking()
    centre.tell(ev.LegHeld(at=centre.now, call_id="1", leg_id=leg))
    calls_out(centre)
    done(centre, pause(centre))
    made = centre.tell(ev.CallsMerged(at=centre.now, call_id="2", into="1"))
    assert set(of(act.MuteRecording, made)[0].channels) == {"1", "c2"}
    done(centre, made)
    assert gaps(centre)[0].ended is None


def test_a_consultation_with_a_colleague_mutes_nothing_anew() -> None:
    centre, _ = talking()
    done(centre, pause(centre))
    centre.tell(ev.CallStarted(at=centre.now, call_id="2", caller="ann", dialled="bob", endpoint="ann"))
    assert of(act.MuteRecording, centre.tell(ev.CallsMerged(at=centre.now, call_id="2", into="1"))) == []


def test_who_is_not_to_be_recorded_is_not_heard_in_the_file_of_a_call_that_joins() -> None:
    centre = Centre("ann", lines=[TOLD])
    centre.arrive("1")
    says(centre, Consent.REFUSED)
    leg = centre.rings("1", "ann")
    centre.answers("1", leg)
    calls_out(centre)
    made = centre.tell(ev.CallsMerged(at=centre.now, call_id="2", into="1"))
    assert of(act.MuteRecording, made)[0].channels == ("c2",)
    done(centre, made, error="no answer within 3 s", refused=False)
    done(centre, centre.wait(1))
    assert code(resume(centre)) is Code.NOT_RECORDED, "nobody has it sound again"
    assert of(act.MuteRecording, centre.wait(300)) == []
    made = centre.tell(
        ev.RecordingClosed(at=centre.now, call_id="1", path="2026/03/02/c2.wav", size=99, bridged_seconds=10)
    )
    [measure] = of(act.MeasureRecording, made)
    assert measure.call_id == "2", "the file stays that of the call it was begun for"
    assert centre.calls["1"].recordings == ()


def test_a_call_that_one_joins_who_is_not_to_be_recorded_is_silent_to_its_end() -> None:
    centre, _ = talking()
    centre.tell(ev.CallStarted(at=centre.now, call_id="2", caller="1390", dialled="4001", endpoint="trunk"))
    centre.tell(ev.ConsentTold(at=centre.now, call_id="2", consent=Consent.REFUSED))
    made = centre.tell(ev.CallsMerged(at=centre.now, call_id="2", into="1"))
    assert of(act.MuteRecording, made)[0].channels == ("1",)
    done(centre, made)
    assert len(gaps(centre)) == 1, "and the books say so"


def test_a_pause_whose_end_was_refused_ends_a_second_later() -> None:
    centre, _ = talking()
    done(centre, pause(centre))
    done(centre, centre.wait(120), error="busy")
    assert gaps(centre)[0].ended is None
    done(centre, centre.wait(1))
    assert gaps(centre)[0].ended is GapEnd.TIMER


@pytest.mark.parametrize("agent", ["bob", "ann"])
def test_who_is_not_in_a_recorded_call_pauses_nothing(agent: str) -> None:
    centre, leg = talking()
    if agent == "ann":
        centre.hangs_up("1", leg)
    made = pause(centre, agent)
    assert (code(made), of(act.MuteRecording, made)) == (Code.NOT_RECORDED, [])


def calls_out(centre: Centre) -> None:
    """Ann calls another number in a second call, recorded on channel c2, and talks there."""
    at = centre.now
    centre.tell(ev.CallStarted(at=at, call_id="2", caller="ann", dialled="10086", endpoint="ann"))
    centre.tell(
        ev.LegOffered(at=at, call_id="2", leg_id="a2", endpoint="ann", party="ann", originator=True),
    )
    centre.tell(ev.LegOffered(at=at, call_id="2", leg_id="c2", endpoint="trunk", party="10086"))
    centre.tell(
        ev.CallEntered(
            at=at,
            call_id="2",
            direction=Direction.OUTBOUND,
            dialled="10086",
            leg_id="c2",
            recording="2026/03/02/c2.wav",
        )
    )
    for leg, peer in (("c2", "ann"), ("a2", "trunk")):
        centre.tell(ev.LegAnswered(at=at, call_id="2", leg_id=leg))
        centre.tell(ev.TalkStarted(at=at, call_id="2", leg_id=leg, peers=(peer,)))


def test_with_a_call_on_hold_the_one_that_is_talked_in_is_paused() -> None:
    centre, leg = talking()
    centre.tell(ev.LegHeld(at=centre.now, call_id="1", leg_id=leg))
    calls_out(centre)
    [mute] = of(act.MuteRecording, made := pause(centre))
    assert (mute.call_id, mute.channels) == ("2", ("c2",))
    done(centre, made)
    assert until(centre) == centre.now + 120
    centre.tell(ev.LegHeld(at=centre.now, call_id="2", leg_id="a2"))
    centre.tell(ev.LegUnheld(at=centre.now, call_id="1", leg_id=leg))
    assert until(centre) is None, "the screen speaks of the call that is talked in"


def test_who_talks_in_two_calls_at_once_is_told_so_and_neither_is_paused() -> None:
    centre, leg = talking()
    calls_out(centre)
    made = pause(centre)
    assert (code(made), of(act.MuteRecording, made)) == (Code.CALLS_AT_ONCE, [])
    centre.tell(ev.LegEnded(at=centre.now, call_id="2", leg_id="a2"))
    centre.tell(ev.LegHeld(at=centre.now, call_id="1", leg_id=leg))
    assert of(act.MuteRecording, pause(centre))[0].call_id == "1", "a caller on hold may be told beforehand"


def test_nothing_to_resume_is_said() -> None:
    centre, _ = talking()
    assert code(resume(centre)) is Code.NOT_PAUSED_NOW


def test_the_key_does_what_has_not_been_done_yet() -> None:
    centre, _ = talking()
    done(centre, centre.tell(ev.PauseKeyed(at=centre.now, call_id="1")))
    assert gaps(centre)[0].agent == "ann"
    done(centre, centre.tell(ev.PauseKeyed(at=centre.now, call_id="1")))
    assert gaps(centre)[0].ended is GapEnd.RESUMED


def test_a_call_that_ends_in_its_pause_ends_it() -> None:
    centre, leg = talking()
    done(centre, pause(centre))
    centre.wait(5)
    centre.hangs_up("1", leg)
    assert (gaps(centre)[0].ended, gaps(centre)[0].ended_at) == (GapEnd.CALL_OVER, centre.now)
    assert of(act.MuteRecording, centre.wait(200)) == []


def test_a_paused_recording_does_not_listen_anew_before_it_goes_on() -> None:
    """One begun anew hears everything."""
    centre, _ = talking()
    voices = ev.VoicesChanged(at=centre.now, call_id="1", channel="PJSIP/trunk-1")
    assert of(act.RenewRecording, centre.tell(voices))
    done(centre, pause(centre))
    assert of(act.RenewRecording, centre.tell(voices)) == []
    assert of(act.RenewRecording, done(centre, resume(centre))), "what waited is done"


def test_one_that_was_already_beginning_anew_is_muted_again() -> None:
    centre, _ = talking()
    done(centre, pause(centre))
    made = centre.tell(ev.RecordingRenewed(at=centre.now, call_id="1"))
    assert len(of(act.MuteRecording, made)) == 1
    assert of(act.Reply, done(centre, made)) == [], "nobody asked"
    assert len(gaps(centre)) == 1


def restarted(centre: Centre, found: Gap | None) -> Centre:
    """Another run of the daemon, on the same books; the PBX shows the call, and the recording as ``found``."""
    back = Centre("ann", "bob", signed_in=False)
    back.now = centre.now + 3
    back.acd = Acd(back.policy, (SUPPORT,), "lab")
    world = centre.acd.world
    statuses = tuple(world.shown.values())
    restored = ev.BooksRestored(
        at=back.now,
        last_seen_at=centre.now,
        statuses=statuses,
        calls=(centre.calls["1"],),
        talks=(),
        agents=back.roster,
    )
    back.tell(restored)
    back.tell(ev.CallStarted(at=back.now, call_id="1", caller="13800138000", dialled="4001", endpoint="trunk"))
    entered = ev.CallEntered(
        at=back.now,
        call_id="1",
        direction=Direction.INBOUND,
        dialled="4001",
        leg_id="1",
        recording="2026/03/02/1.wav",
    )
    back.tell(entered)
    back.tell(ev.PauseFound(at=back.now, call_id="1", gap=found))
    [leg] = centre.calls["1"].legs
    back.tell(ev.LegOffered(at=back.now, call_id="1", leg_id=leg.id, endpoint="ann", party="ann"))
    back.tell(ev.LegAnswered(at=back.now, call_id="1", leg_id=leg.id))
    back.tell(ev.TalkStarted(at=back.now, call_id="1", leg_id=leg.id, peers=("trunk",)))
    back.tell(ev.LinkOpened(at=back.now))
    return back


def test_a_pause_outlives_a_restart_with_its_time() -> None:
    centre, _ = talking()
    done(centre, pause(centre))
    [gap] = gaps(centre)
    centre.wait(60)
    back = restarted(centre, gap)
    assert until(back) == gap.until
    assert of(act.MuteRecording, back.wait(gap.until - back.now - 1)) == []
    done(back, back.wait(2))
    assert gaps(back)[0].ended is GapEnd.TIMER


def test_a_pause_begun_in_the_last_moment_before_the_restart_is_found_on_the_channel() -> None:
    centre, _ = talking()
    centre.wait(5)
    back = restarted(centre, Gap(started_at=centre.now, until=centre.now + 120, agent="ann"))
    [gap] = gaps(back)
    assert (gap.agent, gap.started_at) == ("ann", centre.now)


def test_a_pause_that_ended_while_nobody_looked_is_over() -> None:
    centre, _ = talking()
    done(centre, pause(centre))
    back = restarted(centre, None)
    [gap] = gaps(back)
    assert (gap.ended, gap.ended_at) == (GapEnd.RESUMED, back.now)
    assert until(back) is None


def test_what_the_dialplan_stopped_alone_has_its_time_and_makes_the_file_shorter() -> None:
    centre, leg = talking()
    centre.wait(10)
    back = restarted(centre, Gap(started_at=centre.now, until=centre.now, cut=True))
    [gap] = gaps(back)
    assert (gap.agent, gap.until) == ("ann", centre.now + 120), "who talks in the call has the key"
    back.wait(7)
    done(back, resume(back))
    back.wait(5)
    made = back.tell(
        ev.RecordingClosed(
            at=back.now, call_id="1", path="2026/03/02/1.wav", size=9, bridged_seconds=back.now - centre.now + 10
        )
    )
    [measure] = of(act.MeasureRecording, made)
    assert measure.expected_seconds == pytest.approx(10 + 5)
    back.hangs_up("1", leg)
    call = back.calls["1"]
    [(_, begins, ends)] = places(call, call.recordings[0])
    assert (begins, ends) == (pytest.approx(10), pytest.approx(10))


def test_the_place_of_a_pause_in_the_file_leaves_out_what_was_not_talk() -> None:
    centre, leg = talking()
    centre.wait(10)
    centre.tell(ev.TalkStopped(at=centre.now, call_id="1", leg_id=leg))
    centre.wait(100)
    centre.tell(ev.TalkStarted(at=centre.now, call_id="1", leg_id=leg, peers=("trunk",)))
    centre.wait(5)
    done(centre, pause(centre))
    centre.wait(7)
    done(centre, resume(centre))
    centre.hangs_up("1", leg)
    call = centre.calls["1"]
    assert call.recordings[0].state is RecordingState.RECORDING
    [(_, begins, ends)] = places(call, call.recordings[0])
    assert (begins, ends) == (pytest.approx(15), pytest.approx(22))
