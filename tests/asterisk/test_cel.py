"""What AMI did not show is read from CEL: the gap's events only, marked as backfilled."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctid.asterisk import cel
from ctid.domain import events as ev
from ctid.domain.acd import Acd
from ctid.domain.actions import OpenTicket, SaveCall, ShowPop
from ctid.domain.types import Agent, CallRecord, Certainty, Line, Outcome, Policy, Via

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


def books(events: list[ev.Event], before: tuple[ev.Event, ...] = ()) -> tuple[CallRecord, list[object]]:
    """The one call's books after the gap was filled and the PBX was read and had nothing any more."""
    acd = Acd(Policy(wrap_up_seconds=0), (Line(name="service", numbers=("4001",)),), "lab")
    made: list[object] = []
    made += acd.handle(ev.RosterLoaded(at=990, agents=(Agent(id="ann", name="Ann", phone="ann"),)))
    made += acd.handle(ev.SignInAsked(at=990, request=ev.Request(agent="ann", id="1"), phone="ann"))
    for event in (*before, *events):
        made += acd.handle(event)
    made += acd.handle(ev.CallerLookupFailed(at=1100, call_id="9.1"))
    made += acd.handle(ev.LinkOpened(at=1100))
    return [a for a in made if isinstance(a, SaveCall) and a.call.id == "9.1"][-1].call, made


def test_a_call_that_came_and_went_while_ctid_was_away_is_in_the_books_as_backfilled(file: Path):
    events = cel.told_as_events(cel.read(file, 995), 995, 1100)
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
    seen = cel.told_as_events(cel.read(file, 0), 0, since)
    call, _ = books(cel.told_as_events(cel.read(file, since), since, 1100), tuple(seen))
    [leg] = call.legs
    assert leg.talk_seconds == pytest.approx(10)
    assert call.ended_at == pytest.approx(1013.4)


def test_a_gap_told_twice_counts_once(file: Path):
    events = cel.told_as_events(cel.read(file, 995), 995, 1100)
    once, _ = books(events)
    twice, _ = books(events + cel.told_as_events(cel.read(file, 1004), 1002.5, 1100))
    assert twice.legs == once.legs


def test_calls_that_ended_before_the_gap_are_not_told_again(file: Path):
    assert {row.linkedid for row in cel.read(file, 995)} == {"9.1"}
    assert cel.told_as_events(cel.read(file, 2000), 2000, 3000) == []


def test_what_happens_after_the_snapshot_is_left_to_ami(file: Path):
    assert all(event.at <= 1003.0 for event in cel.told_as_events(cel.read(file, 995), 995, 1003.0))


@pytest.mark.parametrize(
    "junk", ["\n", '"a"\n', '"CHAN_START","soon",' + '"",' * 8 + '""\n', "\x00\xff\n", '"unended\n']
)
def test_a_row_that_cannot_be_read_costs_no_other(file: Path, junk: str):
    file.write_text(junk + file.read_text() if junk != '"unended\n' else file.read_text() + junk)
    call, _ = books(cel.told_as_events(cel.read(file, 995), 995, 1100))
    assert call.legs[0].talk_seconds == pytest.approx(10)
