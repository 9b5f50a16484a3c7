"""The core's questions: each is answered, however many there are."""

import asyncio
from pathlib import Path

from ctid.daemon.answers import Answers
from ctid.daemon.inbox import Inbox
from ctid.db import migrations, session
from ctid.db.callers import Callers
from ctid.domain.actions import LookUpCaller
from ctid.domain.events import CallerIdentified


async def test_all_callers_of_a_long_outage_are_looked_up_though_they_come_at_once(tmp_path: Path) -> None:
    engine = session.engine(f"sqlite:///{tmp_path}/ctid.db")
    await migrations.upgrade(engine)
    inbox, asked = Inbox(), {f"{n}.1" for n in range(1200)}
    async with asyncio.TaskGroup() as tasks:
        answers = Answers(
            engine=engine,
            callers=Callers(engine, country="CN"),
            root=tmp_path,
            inbox=inbox,
            now=lambda: 0.0,
            dial_back=lambda _: None,
            tasks=tasks,
        )
        for call in asked:
            answers.look_up(LookUpCaller(call_id=call, number="13800138000"))
    known = set()
    while len(known) < len(asked):
        answer = await inbox.take()
        assert isinstance(answer, CallerIdentified)
        known.add(answer.call_id)
    await engine.dispose()
    assert known == asked
