"""Recordings: who may hear them, in which pieces, and what is written down about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update

from ctid.db import session
from ctid.db.tables import legs, tickets
from ctid.web.hearing import confined
from ctid.web.listens import LISTEN_SECONDS, Listens
from tests.web.conftest import Web

AUDIO = "/recordings/pbx-call-1/audio"


async def test_a_recording_is_played_whole_and_in_pieces(web: Web) -> None:
    client = await web.signed_in("boss")
    whole = await client.get(AUDIO)
    assert whole.status_code == 200
    assert whole.content == web.seeded.sound
    assert whole.headers["content-type"] == "audio/wav"
    piece = await client.get(AUDIO, headers={"range": "bytes=100-199"})
    assert piece.status_code == 206
    assert piece.content == web.seeded.sound[100:200]
    assert piece.headers["content-range"] == f"bytes 100-199/{len(web.seeded.sound)}"
    assert (await client.get(AUDIO, headers={"range": "bytes=99999999-"})).status_code == 416


async def test_each_listen_is_written_down_with_who_and_what(web: Web) -> None:
    client = await web.signed_in("boss")
    await client.get(AUDIO, headers={"range": "bytes=50-"})  # the first piece, wherever it begins
    await client.get(AUDIO, headers={"range": "bytes=100-"})  # more of the same listen
    await client.get(AUDIO)
    rows = await web.rows("SELECT user_name, subject FROM audit WHERE action = 'listen'")
    assert rows == [("boss", "pbx-call-1")] * 2


async def test_an_agent_hears_their_own_calls_and_those_on_their_tickets_only(web: Web) -> None:
    assert (await (await web.signed_in("liwei")).get(AUDIO)).status_code == 200  # talked in it, owns T12
    other = await (await web.signed_in("zhang")).get(AUDIO)
    assert other.status_code == 404
    assert "There is no such recording." in other.text
    assert (await web.rows("SELECT user_name FROM audit WHERE action = 'listen'")) == [("liwei",)]


async def test_the_owner_of_its_ticket_hears_a_call_somebody_else_took(web: Web) -> None:
    async with session.writing(web.room.engine) as connection:
        await connection.execute(update(tickets).where(tickets.c.id == "T12").values(owner="8"))
    assert (await (await web.signed_in("zhang")).get(AUDIO)).status_code == 200


@pytest.mark.parametrize("name", ["pbx-climbs", "pbx-links", "pbx-missing", "none", "%00", "..%2f..%2fetc%2fpasswd"])
async def test_what_is_no_recording_below_the_root_is_not_found_and_no_path_is_told(web: Web, name: str) -> None:
    answer = await (await web.signed_in("boss")).get(f"/recordings/{name}/audio")
    assert answer.status_code == 404
    assert str(web.room.settings.recordings.root) not in answer.text
    assert ".wav" not in answer.text


async def test_a_stranger_hears_nothing(web: Web) -> None:
    assert (await web.client().get(AUDIO)).status_code == 303
    assert (await web.client().get("/api/v1" + AUDIO)).status_code == 401


def test_only_regular_files_below_the_root_are_files(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub/a.wav").write_bytes(b"a")
    (tmp_path / "b.wav").write_bytes(b"b")
    (root / "out").symlink_to(tmp_path)
    (root / "in").symlink_to(root / "sub")
    assert confined(root, "sub/a.wav") == root.resolve() / "sub/a.wav"
    for name in (
        "sub",
        "",
        ".",
        "../b.wav",
        "sub/../../b.wav",
        "out/b.wav",
        "in/a.wav",
        str(tmp_path / "b.wav"),
        "none",
        "a\0b",
    ):
        assert confined(root, name) is None, name


def test_a_piece_from_the_middle_long_after_is_a_new_listen() -> None:
    listens = Listens()
    assert listens.is_new(1, "r", from_start=True, now=0)
    assert not listens.is_new(1, "r", from_start=False, now=LISTEN_SECONDS - 1)
    assert listens.is_new(2, "r", from_start=False, now=1)
    assert listens.is_new(1, "r", from_start=False, now=LISTEN_SECONDS + 1)


async def test_whom_a_ticket_was_passed_to_hears_its_calls_as_long_as_it_is_with_them(web: Web) -> None:
    async def passed(agent: str | None) -> None:
        async with session.writing(web.room.engine) as connection:
            await connection.execute(update(tickets).where(tickets.c.id == "T12").values(with_agent=agent))

    client = await web.signed_in("zhang")
    await passed("8")
    assert (await client.get(AUDIO)).status_code == 200
    await passed(None)
    assert (await client.get(AUDIO)).status_code == 404


async def test_who_handed_a_ticket_over_hears_no_more_than_their_own_calls(web: Web) -> None:
    async with session.writing(web.room.engine) as connection:
        await connection.execute(update(tickets).where(tickets.c.id == "T12").values(owner="9"))
        await connection.execute(update(legs).where(legs.c.agent == "7").values(agent="9"))
    assert (await (await web.signed_in("liwei")).get(AUDIO)).status_code == 404
