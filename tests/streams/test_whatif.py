"""Recorded streams as days: rerun under their own policy, they come out as they went."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctid.asterisk.recorded_day import NoDayError, read
from ctid.domain.rerun import rerun
from ctid.domain.types import Agent, Line, Policy
from ctid.whatif import figures

RECORDED = Path(__file__).parent / "recorded"
SUPPORT = Line(name="support", numbers=("4001",))
SCENES = ("answered", "busy-then-next", "gives-up-waiting", "hold", "no-answer-then-next", "unavailable-then-next")


def stream(*scenes: str) -> bytes:
    return b"".join((RECORDED / f"{scene}.ami").read_bytes() for scene in scenes)


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_rerun_has_the_calls_the_answers_and_the_talk_it_had(scene: str) -> None:
    found = read([stream(scene)], lines=(SUPPORT,))
    again = rerun(found.day, Policy(ring_seconds=3, wrap_up_seconds=0), (SUPPORT,))
    agents = [agent.id for agent in found.day.agents]
    went, reran = figures(found.calls, agents), figures(again, agents)
    assert (reran.calls, reran.answered, reran.abandoned) == (went.calls, went.answered, went.abandoned)
    assert reran.talk_most == pytest.approx(went.talk_most, abs=0.05)
    assert [call.id for call in again] == [call.id for call in found.calls]


def test_a_roster_names_who_sits_at_which_phone() -> None:
    roster = (Agent(id="7", name="Li Wei", phone="agent1"), Agent(id="8", name="Zhang San", phone="agent2"))
    found = read([stream("answered")], lines=(SUPPORT,), roster=roster)
    assert {agent.id for agent in found.day.agents} <= {"7", "8"}
    assert found.calls[0].agent in ("7", "8")


def test_a_call_the_agent_made_is_there_as_it_was() -> None:
    found = read([stream("answered", "outbound")], lines=(SUPPORT,))
    assert len(found.calls) == 1
    assert found.day.others


@pytest.mark.parametrize("octets", [b"", stream("internal"), b"Event: Newchannel\r\n\r\n"])
def test_a_stream_without_callers_or_times_says_what_it_lacks(octets: bytes) -> None:
    with pytest.raises(NoDayError, match="stream"):
        read([octets], lines=())
