"""A real call's recording at rest: sealed once it is over, and both voices are in it for who has the key."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab import tones
from lab.process import until
from lab.site import Site
from tests.chain.centre import PITCH, Centre, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = base64.b64encode(bytes(range(32))).decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def centre(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    folder = tmp_path_factory.mktemp("site")
    site = Site(folder=folder, agents=("agent1",), ring_seconds=3, recordings=f'encrypt = true\nkey = "{KEY}"')
    async with opened(site) as centre:
        yield centre


async def test_a_real_calls_recording_is_sealed_and_both_voices_are_opened_by_the_key(centre: Centre) -> None:
    call = await centre.one_call("02155630001", 2.0)
    [recording] = (await centre.in_the_books("02155630001"))["recordings"]
    plain = centre.site.asterisk.monitor_dir / recording["path"]
    sealed = plain.with_name(f"{plain.name}.sealed")
    await until(lambda: sealed.exists() and not plain.exists(), "the recording is sealed")
    assert b"RIFF" not in sealed.read_bytes()
    out = centre.site.folder / "out.wav"
    await centre.site.ctid("recordings", "decrypt", recording["id"], "-o", str(out))
    assert hashlib.sha256(out.read_bytes()).hexdigest() == recording["sha256"]
    length = tones.seconds(out)
    assert length == pytest.approx(recording["seconds"], abs=0.01)
    assert tones.seconds_of(out, 440) > length - 0.5
    assert tones.seconds_of(out, PITCH[call["agent"]]) > length - 0.5
