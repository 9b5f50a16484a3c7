"""Recordings: who may hear them, in which pieces, and what is written down about it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from sqlalchemy import update

from ctid.db import session
from ctid.db.tables import legs, tickets
from ctid.web import waveforms
from ctid.web.hearing import confined
from ctid.web.listens import LISTEN_SECONDS, Listens
from ctid.web.sounds import playable
from ctid.web.waveforms import Waveforms
from tests.web.conftest import Web

AUDIO = "/recordings/pbx-call-1/audio"
PEAKS = "/recordings/pbx-call-1/peaks"
CALL = "/calls/1795000000.7"


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


# -- pieces, and what HTTP allows to ask ---------------------------------------------------------------------------------


async def test_a_piece_is_given_only_of_the_file_the_player_began_with(web: Web) -> None:
    client = await web.signed_in("boss")
    mark = (await client.get(AUDIO)).headers["etag"]
    same = await client.get(AUDIO, headers={"range": "bytes=10-19", "if-range": mark})
    assert (same.status_code, len(same.content)) == (206, 10)
    changed = await client.get(AUDIO, headers={"range": "bytes=10-19", "if-range": '"of another file"'})
    assert (changed.status_code, changed.content) == (200, web.seeded.sound)


async def test_asking_only_for_the_head_of_a_recording_is_no_listen(web: Web) -> None:
    head = await (await web.signed_in("boss")).head(AUDIO)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(web.seeded.sound))
    assert (await (await web.signed_in("zhang")).head(AUDIO)).status_code == 404
    assert await web.rows("SELECT 1 FROM audit WHERE action = 'listen'") == []


@pytest.mark.parametrize("asked", ["bytes=" + ",".join(f"{n}-{n}" for n in range(0, 3000, 2)), "bytes=0-1,5-6"])
async def test_of_many_pieces_at_once_none_is_cut(web: Web, asked: str) -> None:
    answer = await (await web.signed_in("boss")).get(AUDIO, headers={"range": asked})
    assert (answer.status_code, answer.content) == (200, web.seeded.sound)


@pytest.mark.parametrize(
    ("asked", "status"),
    [("bytes=-5", 206), ("bytes=5-2", 400), ("bytes=" + "9" * 4000 + "-", 416), ("lines=1-2", 400), ("bytes", 400)],
)
async def test_a_range_that_makes_no_sense_is_refused_in_a_line(web: Web, asked: str, status: int) -> None:
    answer = await (await web.signed_in("boss")).get(AUDIO, headers={"range": asked})
    assert answer.status_code == status
    assert "Traceback" not in answer.text


# -- what is written down --------------------------------------------------------------------------------------------------


async def test_a_listen_is_kept_with_the_call_and_the_tickets_it_hung_on(web: Web) -> None:
    await (await web.signed_in("liwei")).get(AUDIO)
    ((context,),) = await web.rows("SELECT context FROM audit WHERE action = 'listen'")
    assert json.loads(str(context)) == {"pbx": "pbx", "call": "1795000000.7", "tickets": ["T12"]}


async def test_supervisors_see_on_the_calls_page_who_listened_and_agents_do_not(web: Web) -> None:
    agent, boss = await web.signed_in("liwei"), await web.signed_in("boss")
    assert "Nobody yet." in (await boss.get(CALL)).text
    await agent.get(AUDIO)
    page = (await boss.get(CALL)).text
    assert "Who listened" in page
    assert '<span class="cut">liwei</span>' in page
    assert "Who listened" not in (await agent.get(CALL)).text


async def test_only_supervisors_keep_a_recording_as_a_file_and_that_is_written_down(web: Web) -> None:
    agent, boss = await web.signed_in("liwei"), await web.signed_in("boss")
    kept = await boss.get(AUDIO, params={"download": "1"})
    assert kept.content == web.seeded.sound
    assert kept.headers["content-disposition"] == 'attachment; filename="pbx-call-1.wav"'
    assert "download=1" in (await boss.get(CALL)).text
    assert (await agent.get(AUDIO, params={"download": "1"})).status_code == 403
    assert "download=1" not in (await agent.get(CALL)).text
    assert await web.rows("SELECT user_name FROM audit WHERE action = 'download'") == [("boss",)]


@pytest.mark.parametrize(("token", "status"), [("token", 200), ("agent_token", 404)])
async def test_a_token_hears_what_its_user_hears_and_the_listen_is_written_down(
    web: Web, token: str, status: int
) -> None:
    bearer = {"authorization": f"Bearer {getattr(web.seeded, token)}"}
    assert (await web.client().get("/api/v1" + AUDIO, headers=bearer)).status_code == status
    written = await web.rows("SELECT user_name FROM audit WHERE action = 'listen'")
    assert written == ([("boss",)] if status == 200 else [])


# -- waveforms ---------------------------------------------------------------------------------------------------------------


async def test_a_waveform_is_given_to_whom_may_hear_and_is_no_listen(web: Web) -> None:
    answer = await (await web.signed_in("liwei")).get(PEAKS)
    drawn = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-store")
    assert (drawn["seconds"], len(drawn["channels"]), len(drawn["channels"][0])) == (8.0, 1, 1600)
    assert max(drawn["channels"][0]) == 9000 // 256
    for stranger in (await web.signed_in("zhang"), web.client()):
        assert (await stranger.get(PEAKS)).status_code in (303, 404)
    assert await web.rows("SELECT 1 FROM audit WHERE action = 'listen'") == []


async def test_a_waveform_is_read_once_and_made_anew_where_what_was_kept_is_broken_or_the_file_another(
    web: Web,
) -> None:
    client = await web.signed_in("boss")
    first = (await client.get(PEAKS)).content
    kept = web.room.settings.state.directory / "waveforms"
    (entry,) = [file for file in kept.rglob("*") if file.is_file()]
    sound = web.room.settings.recordings.root / "2026/call-1.wav"
    status = sound.stat()
    sound.write_bytes(bytes(status.st_size))
    os.utime(sound, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (await client.get(PEAKS)).content == first  # not read again
    for broken in (b"", b"x", entry.read_bytes()[:-1], entry.read_bytes() + b"x"):
        entry.write_bytes(broken)
        assert (await client.get(PEAKS)).json() == {"seconds": None, "channels": []}, broken
    sound.write_bytes(web.seeded.sound)
    assert (await client.get(PEAKS)).content == first


async def test_waveforms_take_no_more_room_than_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waveforms, "_IN_A_FOLDER", 2)
    root = tmp_path / "sounds"
    root.mkdir()
    made = Waveforms(tmp_path)
    for number in range(600):
        (root / f"{number}.wav").write_bytes(b"no sound")
        assert await made.of(root, root / f"{number}.wav") == waveforms.NONE
    folders = list((tmp_path / "waveforms").iterdir())
    assert max(len(list(folder.iterdir())) for folder in folders) == 2


async def test_where_nothing_can_be_kept_waveforms_are_made_each_time(tmp_path: Path, web: Web) -> None:
    made = Waveforms(tmp_path / "nowhere")
    root = web.room.settings.recordings.root
    assert b'"seconds":8.0' in await made.of(root, root / "2026/call-1.wav")
    assert not (tmp_path / "nowhere").exists()


async def test_many_who_look_at_once_all_get_the_whole(web: Web) -> None:
    client = await web.signed_in("boss")
    answers = await asyncio.gather(*(client.get(PEAKS) for _ in range(30)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


async def test_past_a_bound_of_waiting_looks_the_next_is_told_to_come_back(web: Web) -> None:
    web.room.waveforms._waiting = waveforms._WAITING
    answer = await (await web.signed_in("boss")).get(PEAKS)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize("name", ["pbx-climbs", "pbx-links", "pbx-missing", "none", "%00", "..%2f..%2fetc%2fpasswd"])
async def test_what_is_no_recording_below_the_root_has_no_waveform(web: Web, name: str) -> None:
    answer = await (await web.signed_in("boss")).get(f"/recordings/{name}/peaks")
    assert answer.status_code == 404
    assert str(web.room.settings.recordings.root) not in answer.text


def test_what_browsers_do_not_play_is_known_by_its_ending_as_asterisk_writes_it() -> None:
    assert playable("2026/1.wav")
    assert not playable("2026/1.WAV")  # GSM
    assert not playable("2026/1.gsm")
