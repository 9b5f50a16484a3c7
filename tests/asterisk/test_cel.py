"""What AMI did not show is read from CEL: the gap's events only, marked as backfilled."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctid.asterisk import cel
from ctid.domain import events as ev
from ctid.domain.acd import Acd
from ctid.domain.actions import MeasureRecording, OpenTicket, SaveCall, ShowPop
from ctid.domain.types import (
    Agent,
    CallRecord,
    Certainty,
    Direction,
    LegResult,
    Line,
    Outcome,
    Policy,
    RecordingRecord,
    RecordingState,
    Via,
)

BRIDGE = '{""bridge_id"":""b1"",""bridge_technology"":""simple_bridge""}'
CALLER = '"9.1","9.1","PJSIP/caller-1","{peer}","{exten}","{context}","{extra}","13800138000","Wang ""W"" Fang"'
AGENT = '"9.2","9.1","PJSIP/ann-2","","s","agents","{extra}","",""'


def row(
    kind: str, at: float, channel: str, *, exten: str = "s", context: str = "ctid-failsafe", extra: str = ""
) -> str:
    text = channel.replace("{peer}", "").replace("{exten}", exten).replace("{context}", context)
    return f'"{kind}","{at:.6f}",{text.replace("{extra}", extra)}\n'


WHOLE = "".join(
    [
        row("CHAN_START", 1000.0, CALLER, exten="4001", context="ctid-inbound"),
        row("CtidStart", 1000.1, CALLER, extra='{""extra"":""inbound|4001|1970/01/01/9.1.wav""}'),
        row("ANSWER", 1000.2, CALLER),
        row("CtidFailsafe", 1001.0, CALLER, extra='{""extra"":""""}'),
        row("CHAN_START", 1002.0, AGENT),
        row("ANSWER", 1003.0, AGENT),
        row("BRIDGE_ENTER", 1003.1, AGENT, extra=BRIDGE),
        row("BRIDGE_ENTER", 1003.2, CALLER, extra=BRIDGE),
        row("BRIDGE_EXIT", 1013.2, CALLER, extra=BRIDGE),
        row("BRIDGE_EXIT", 1013.2, AGENT, extra=BRIDGE),
        row("HANGUP", 1013.3, AGENT, extra='{""hangupcause"":16}'),
        row("CHAN_END", 1013.3, AGENT),
        row("HANGUP", 1013.4, CALLER, extra='{""hangupcause"":16}'),
        row("CHAN_END", 1013.4, CALLER),
        row("LINKEDID_END", 1013.4, CALLER),
    ]
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ctid.csv"
    path.write_text('"CHAN_START","5","1.1","1.1","PJSIP/x-1","","s","c","","",""\n' + WHOLE)
    return path


def told(
    events: list[ev.Event], before: tuple[ev.Event, ...] = (), *, opened_at: float = 1100
) -> tuple[Acd, list[object]]:
    """The core after the gap was filled and the PBX was read and had nothing any more, and all it had done."""
    acd = Acd(Policy(wrap_up_seconds=0), (Line(name="service", numbers=("4001",)),), "lab")
    made: list[object] = []
    made += acd.handle(ev.RosterLoaded(at=990, agents=(Agent(id="ann", name="Ann", phone="ann"),)))
    made += acd.handle(ev.SignInAsked(at=990, request=ev.Request(agent="ann", id="1"), phone="ann"))
    for event in (*before, *events):
        made += acd.handle(event)
    made += acd.handle(ev.LinkOpened(at=opened_at))
    made += acd.handle(ev.TimePassed(at=opened_at + 1))
    made += acd.handle(ev.CallerLookupFailed(at=opened_at + 2, call_id="9.1"))
    return acd, made


def books(events: list[ev.Event], before: tuple[ev.Event, ...] = ()) -> tuple[CallRecord, list[object]]:
    """The one call's books then."""
    _, made = told(events, before)
    return [a for a in made if isinstance(a, SaveCall) and a.call.id == "9.1"][-1].call, made


def test_a_call_that_came_and_went_while_ctid_was_away_is_in_the_books_as_backfilled(file: Path):
    events = cel.told_as_events(cel.rows(file, 995), 995, 1100)
    assert all(event.certainty is Certainty.BACKFILLED for event in events)
    call, made = books(events)
    [leg] = call.legs
    assert (call.caller, call.caller_name, call.dialled, call.line) == (
        "13800138000",
        'Wang "W" Fang',
        "4001",
        "service",
    )
    assert (call.via, call.outcome, call.agent) == (Via.FAILSAFE, Outcome.ANSWERED, "ann")
    assert leg.talk_seconds == pytest.approx(10)
    assert leg.certainty is Certainty.BACKFILLED
    assert call.recordings[0].path == "1970/01/01/9.1.wav"
    assert any(isinstance(a, OpenTicket) for a in made)
    assert not any(isinstance(a, ShowPop) for a in made), "a screen shows what is, not what was"


@pytest.mark.parametrize("since", [1003.15, 1004.0, 1013.0])
def test_a_call_under_way_when_the_link_broke_ends_when_cel_says(file: Path, since: float):
    seen = cel.told_as_events(cel.rows(file, 0), 0, since)
    call, _ = books(cel.told_as_events(cel.rows(file, since), since, 1100), tuple(seen))
    [leg] = call.legs
    assert leg.talk_seconds == pytest.approx(10)
    assert call.ended_at == pytest.approx(1013.4)


@pytest.mark.parametrize(
    ("there", "written", "ended"), [("", True, True), ("", False, False), ("9.1 9.2", True, False)]
)
async def test_an_end_that_cel_writes_late_is_waited_for_where_the_pbx_has_the_channel_no_more(
    file: Path, there: str, *, written: bool, ended: bool
) -> None:
    """And not for ever: the PBX may have died under it."""
    file.write_text("".join(WHOLE.splitlines(keepends=True)[:8]))  # noqa: ASYNC240 - a few lines
    readings = 0

    def now() -> float:
        nonlocal readings
        readings += 1
        if written and readings == 2:
            file.write_text(WHOLE)
        return 1014.1

    told = await cel.happened(file, scene=995, since=995, until=1014, there=frozenset(there.split()), now=now)
    assert any(isinstance(event, ev.CallEnded) for event in told) == ended
    assert (readings == 1) == bool(there)


def test_what_ended_while_the_pbx_was_read_ended_when_cel_says_and_nothing_begins_that_the_pbx_had_not_shown(
    file: Path,
):
    read_at, told_at = 1012.0, 1020.0
    later = row("CHAN_START", 1012.5, CALLER.replace("9.1", "9.7"), exten="4001", context="ctid-inbound")
    file.write_text(
        WHOLE.replace(
            row("BRIDGE_EXIT", 1013.2, CALLER, extra=BRIDGE), later + row("BRIDGE_EXIT", 1013.2, CALLER, extra=BRIDGE)
        )
    )
    seen = cel.told_as_events(cel.rows(file, 0), 0, 1005)
    events = cel.told_as_events(cel.rows(file, 1004), 1004, read_at, ends_until=told_at)
    assert not any(isinstance(event, ev.CallStarted) and event.call_id == "9.7" for event in events)
    call, _ = books(events, tuple(seen))
    [leg] = call.legs
    assert (leg.certainty, leg.talk_seconds) == (Certainty.BACKFILLED, pytest.approx(10))
    assert call.ended_at == pytest.approx(1013.4)


def test_who_was_on_hold_when_ctid_died_and_talked_before_it_was_back_has_their_recording(file: Path):
    held = CallRecord(
        id="9.1",
        pbx="lab",
        direction=Direction.INBOUND,
        caller="13800138000",
        dialled="4001",
        line="service",
        started_at=1000,
        via=Via.FAILSAFE,
    )
    restored = ev.BooksRestored(at=1090, last_seen_at=1001.5, calls=(held,), statuses=(), talks=())
    call, made = books(cel.told_as_events(cel.rows(file, 999), 1001.5, 1100), (restored,))
    assert [r.path for r in call.recordings] == ["1970/01/01/9.1.wav"]
    assert any(isinstance(a, MeasureRecording) for a in made)


def test_a_gap_told_twice_counts_once(file: Path):
    events = cel.told_as_events(cel.rows(file, 995), 995, 1100)
    once, _ = books(events)
    twice, _ = books(events + cel.told_as_events(cel.rows(file, 1004), 1002.5, 1100))
    assert twice.legs == once.legs


def test_calls_that_ended_before_the_gap_are_not_told_again(file: Path):
    assert cel.told_as_events(cel.rows(file, 2000), 2000, 3000) == []


def test_what_happens_after_the_snapshot_is_left_to_ami(file: Path):
    assert all(event.at <= 1003.0 for event in cel.told_as_events(cel.rows(file, 995), 995, 1003.0))


@pytest.mark.parametrize(
    "junk", ["\n", '"a"\n', '"CHAN_START","soon",' + '"",' * 8 + '""\n', "\x00\xff\n", '"unended\n']
)
def test_a_row_that_cannot_be_read_costs_no_other(file: Path, junk: str):
    file.write_text(junk + file.read_text() if junk != '"unended\n' else file.read_text() + junk)
    call, _ = books(cel.told_as_events(cel.rows(file, 995), 995, 1100))
    assert call.legs[0].talk_seconds == pytest.approx(10)


def test_a_call_of_a_long_outage_keeps_its_place_until_ticket_and_recording_are_there(file: Path):
    acd, made = told(cel.told_as_events(cel.rows(file, 995), 995, 1100), opened_at=90_000)
    assert any(isinstance(a, OpenTicket) for a in made)
    assert any(isinstance(a, MeasureRecording) for a in made)
    measured = RecordingRecord(id="lab-9.1", path="1970/01/01/9.1.wav", state=RecordingState.COMPLETE, seconds=10.0)
    saved = [
        a
        for a in acd.handle(ev.RecordingMeasured(at=90_002, call_id="9.1", recording=measured))
        if isinstance(a, SaveCall)
    ]
    assert [r.state for r in saved[-1].call.recordings] == [RecordingState.COMPLETE]


def ring_out(*, caller_gone_at: float) -> str:
    return "".join(
        [
            row("CHAN_START", 1000.0, CALLER, exten="4001", context="ctid-inbound"),
            row("CtidStart", 1000.1, CALLER, extra='{""extra"":""inbound|4001|1970/01/01/9.1.wav""}'),
            row("CHAN_START", 1002.0, AGENT),
            row("HANGUP", 1017.0, AGENT, extra='{""hangupcause"":0}'),
            row("CHAN_END", 1017.0, AGENT),
            row("HANGUP", caller_gone_at, CALLER, extra='{""hangupcause"":16}'),
            row("CHAN_END", caller_gone_at, CALLER),
        ]
    )


def test_a_phone_that_rang_out_in_the_gap_missed_the_call_and_one_let_go_with_the_caller_did_not(file: Path):
    for caller_gone_at, result in ((1040.0, LegResult.NO_ANSWER), (1017.1, LegResult.CANCELLED)):
        file.write_text(ring_out(caller_gone_at=caller_gone_at))
        call, _ = books(cel.told_as_events(cel.rows(file, 995), 995, 1100))
        assert (call.outcome, call.legs[0].result) == (Outcome.ABANDONED, result)


def test_the_scene_is_set_from_the_file_that_was_moved_away_however_often(file: Path):
    text = file.read_text().splitlines(keepends=True)
    file.with_name("ctid.csv.2").write_text("".join(text[:4]))
    file.with_name("ctid.csv.1").write_text("".join(text[4:8]))
    file.write_text("".join(text[8:]))
    call, _ = books(
        cel.told_as_events(cel.rows(file, 990), 1005, 1100), tuple(cel.told_as_events(cel.rows(file, 990), 990, 1005))
    )
    assert call.legs[0].talk_seconds == pytest.approx(10)
    assert call.ended_at == pytest.approx(1013.4)


def test_a_channel_whose_linkedid_was_rewritten_in_the_gap_is_known_from_before(file: Path):
    """A consultation: the colleague's channel is born with the agent's second call and ends in the customer's."""
    second = '"8.1","{linked}","PJSIP/ann-5","","200","agents","{extra}","",""'
    colleague = '"8.2","{linked}","PJSIP/bob-6","","s","agents","{extra}","",""'
    other = BRIDGE.replace("b1", "b2")
    lines = WHOLE.splitlines(keepends=True)
    consultation = [
        row("CHAN_START", 1005.0, second.replace("{linked}", "8.1")),
        row("CHAN_START", 1005.1, colleague.replace("{linked}", "8.1")),
        row("ANSWER", 1006.0, colleague.replace("{linked}", "8.1")),
        row("ANSWER", 1006.0, second.replace("{linked}", "8.1")),
        row("BRIDGE_ENTER", 1006.1, colleague.replace("{linked}", "8.1"), extra=other),
        row("BRIDGE_ENTER", 1006.1, second.replace("{linked}", "8.1"), extra=other),
        row("BRIDGE_EXIT", 1008.0, colleague.replace("{linked}", "8.1"), extra=other),
        row("BRIDGE_EXIT", 1008.0, second.replace("{linked}", "8.1"), extra=other),
        row("BRIDGE_ENTER", 1008.1, colleague.replace("{linked}", "9.1"), extra=BRIDGE),
        row("CHAN_END", 1008.2, second.replace("{linked}", "9.1")),
    ]
    ends = [row("CHAN_END", 1013.4, colleague.replace("{linked}", "9.1"))]
    file.write_text("".join([*lines[:8], *consultation, *lines[8:], *ends]))
    seen = tuple(cel.told_as_events(cel.rows(file, 990), 990, 1007))
    call, _ = books(cel.told_as_events(cel.rows(file, 990), 1007, 1100), seen)
    talks = {party: sum(leg.talk_seconds for leg in call.legs if leg.party == party) for party in ("ann", "bob")}
    assert talks["ann"] == pytest.approx(10 + 1.9, abs=0.2)
    assert talks["bob"] == pytest.approx(1.9 + 5.1, abs=0.2)


def test_a_large_file_is_entered_near_the_time_asked_for(file: Path):
    old = "".join(row("CHAN_START", 1.0 + n / 1000, CALLER) for n in range(20_000))
    file.write_text(old + WHOLE)
    read = list(cel.rows(file, 999.0))
    assert next(r for r in read if r is not None and r.at >= 999.0).at == 1000.0
    assert len(read) < 5_000
