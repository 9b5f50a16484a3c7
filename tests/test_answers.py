"""The core's questions: each is answered, however many there are."""

import asyncio
import wave
from pathlib import Path

from ctid import metrics
from ctid.config import Recordings
from ctid.daemon.answers import Answers
from ctid.daemon.inbox import Inbox
from ctid.db import migrations, session
from ctid.db.callers import Callers
from ctid.domain.actions import LookUpCaller, MeasureRecording
from ctid.domain.events import CallerIdentified


def made(engine: session.Engine, inbox: Inbox, root: Path, tasks: asyncio.TaskGroup) -> Answers:
    return Answers(
        engine=engine,
        callers=Callers(engine, country="CN"),
        recordings=Recordings(root=root),
        inbox=inbox,
        now=lambda: 0.0,
        dial_back=lambda _: None,
        on_unread=lambda: None,
        tasks=tasks,
    )


def counted(state: str) -> float:
    return metrics.REGISTRY.get_sample_value("ctid_recordings_total", {"state": state}) or 0.0


async def test_a_file_without_sound_is_counted_as_damaged_only_where_something_was_said(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "empty.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "NONE"))
    before = {state: counted(state) for state in ("damaged", "empty")}
    inbox = Inbox()
    async with asyncio.TaskGroup() as tasks:
        answers = made(session.engine(f"sqlite:///{tmp_path}/ctid.db"), inbox, tmp_path, tasks)
        for seconds in (0.4, 5.0):
            answers.measure(
                MeasureRecording(call_id="1.1", recording_id="pbx-1", path="empty.wav", expected_seconds=seconds)
            )
    assert {counted(state) - had for state, had in before.items()} == {1}


async def test_all_callers_of_a_long_outage_are_looked_up_though_they_come_at_once(tmp_path: Path) -> None:
    engine = session.engine(f"sqlite:///{tmp_path}/ctid.db")
    await migrations.upgrade(engine)
    inbox, asked = Inbox(), {f"{n}.1" for n in range(1200)}
    async with asyncio.TaskGroup() as tasks:
        answers = made(engine, inbox, tmp_path, tasks)
        for call in asked:
            answers.look_up(LookUpCaller(call_id=call, number="13800138000"))
    known = set()
    while len(known) < len(asked):
        answer = await inbox.take()
        assert isinstance(answer, CallerIdentified)
        known.add(answer.call_id)
    await engine.dispose()
    assert known == asked
