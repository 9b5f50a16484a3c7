"""Recordings at rest are played as if they were not: whole, in pieces, with their waveform; a lost key is said, not shown."""

from __future__ import annotations

import base64
from pathlib import Path

import httpx
import pytest

from ctid.asterisk.sealing import NO_KEYS, keys_of, seal, sealed
from ctid.web.waveforms import Waveforms
from tests.web.conftest import Web

AUDIO = "/recordings/pbx-call-1/audio"
KEYS = keys_of([base64.b64encode(bytes(32)).decode()])


@pytest.fixture
async def file(web: Web) -> Path:
    """The seeded recording, sealed."""
    found = web.room.settings.recordings.root / "2026" / "call-1.wav"
    seal(found, KEYS)
    web.room.keys = KEYS
    web.room.waveforms = Waveforms(web.room.settings.state.directory, KEYS)
    return found


async def test_a_sealed_recording_is_played_whole_and_in_pieces(web: Web, file: Path) -> None:
    client = await web.signed_in("boss")
    sound = web.seeded.sound
    whole = await client.get(AUDIO)
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, sound, "audio/wav")
    last = len(sound) - 1
    for asked, first, end in (("100-199", 100, 199), (f"{65_530}-{65_550}", 65_530, 65_550), ("-10", last - 9, last)):
        piece = await client.get(AUDIO, headers={"range": f"bytes={asked}"})
        assert (piece.status_code, piece.content) == (206, sound[first : end + 1])
        assert piece.headers["content-range"] == f"bytes {first}-{end}/{len(sound)}"
    assert (await client.get(AUDIO, headers={"range": f"bytes={len(sound)}-"})).status_code == 416
    assert (await client.get(AUDIO, headers={"range": "bytes=1-2,5-6"})).content == sound
    old = await client.get(AUDIO, headers={"range": "bytes=0-9", "if-range": '"another"'})
    assert (old.status_code, len(old.content)) == (200, len(sound))
    same = await client.get(AUDIO, headers={"range": "bytes=0-9", "if-range": whole.headers["etag"]})
    assert (same.status_code, same.content) == (206, sound[:10])


async def test_its_waveform_is_that_of_the_plain_sound(web: Web, file: Path) -> None:
    client = await web.signed_in("boss")
    drawn = (await client.get("/recordings/pbx-call-1/peaks")).json()
    assert drawn["seconds"] == 8.0
    assert max(drawn["channels"][0]) > 30
    seen = [one for one in (web.room.settings.state.directory).rglob("*") if one.is_file()]
    assert not [one for one in seen if web.seeded.sound[1000:1100] in one.read_bytes()]  # no sound in any cache


async def test_without_the_key_the_page_says_so_and_gives_nothing(web: Web, file: Path) -> None:
    web.room.keys = NO_KEYS
    client = await web.signed_in("boss")
    answer: httpx.Response = await client.get(AUDIO)
    assert answer.status_code == 503
    assert "cannot be opened now" in answer.text
    assert str(file.parent) not in answer.text
    assert sealed(file).exists()
