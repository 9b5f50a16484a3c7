"""Whose a recording is, asked once for a whole page."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import event, insert, update

from ctid.db import session
from ctid.db.audits import Actor, Audits
from ctid.db.recordings import MOST, Recordings
from ctid.db.tables import recording_tickets, recordings, tickets
from ctid.domain.types import RecordingState
from tests.web.site import seed


@pytest.fixture
async def engine(url: str, tmp_path: Path):
    (tmp_path / "sounds").mkdir()
    await seed(url, tmp_path / "sounds")
    made = session.engine(url)
    yield made
    await made.dispose()


async def test_a_recording_is_of_those_who_talked_and_of_who_has_its_ticket(engine) -> None:
    found = await Recordings(engine).one("pbx-call-1")
    assert found is not None
    assert (found.call_id, found.tickets, found.agents) == (
        "1795000000.7",
        ("T12",),
        {"7"},
    )  # 9 was rung, and did not answer
    async with session.writing(engine) as connection:
        await connection.execute(update(tickets).where(tickets.c.id == "T12").values(owner="8", with_agent="9"))
    found = await Recordings(engine).one("pbx-call-1")
    assert found is not None
    assert found.agents == {"7", "8", "9"}


async def test_a_link_that_was_taken_away_gives_nobody_a_right(engine) -> None:
    async with session.writing(engine) as connection:
        await connection.execute(update(tickets).where(tickets.c.id == "T12").values(owner="8"))
        await connection.execute(update(recording_tickets).values(removed_at=session.instant(1)))
    found = await Recordings(engine).one("pbx-call-1")
    assert found is not None
    assert (found.tickets, found.agents) == ((), {"7"})


async def test_a_page_of_recordings_is_three_statements_however_many_there_are(engine) -> None:
    row = {"pbx": "pbx", "call_id": "1795000000.7", "path": "x.wav", "state": RecordingState.COMPLETE.value}
    async with session.writing(engine) as connection:
        await connection.execute(insert(recordings), [row | {"id": f"r{n}"} for n in range(MOST + 5)])
    said: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    found = await Recordings(engine).all([f"r{n}" for n in range(MOST + 5)])
    assert len(found) == MOST
    assert len([one for one in said if one.startswith("SELECT")]) == 3
    assert await Recordings(engine).all([]) == {}


async def test_who_listened_is_told_the_newest_first(engine) -> None:
    audits = Audits(engine)
    for at, name in ((100.0, "ann"), (200.0, "bob"), (300.0, "cat")):
        await audits.add("listen", "pbx-call-1", Actor(at=at, user_name=name, address="10.0.0.1"))
    await audits.add("listen", "other", Actor(at=250.0, user_name="dan"))
    await audits.add("sign_in", "pbx-call-1", Actor(at=260.0, user_name="eve"))
    told = await Recordings(engine).listens(["pbx-call-1"], limit=2)
    assert [(one.user, one.at) for one in told] == [("cat", 300.0), ("bob", 200.0)]
