"""A recording in the page: Chromium decodes it, seeks in it, and plays one at a time; by mouse, by keys and without script."""

from __future__ import annotations

import math
import random
import struct
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect
from sqlalchemy import insert

from ctid.db import session
from ctid.db.tables import recordings
from ctid.web import wire
from lab.browser import denied, told_by
from lab.mosquitto import Mosquitto
from lab.process import until
from tests.web.conftest import Web, served
from tests.web.site import PASSWORD

CALL = "/calls/1795000000.7"
SECONDS = 8


def speech(path: Path, seconds: int) -> None:
    """Something like somebody who speaks and pauses."""
    random.seed(7)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        loud = (
            9000 * random.uniform(-1, 1) * max(0.0, math.sin(n / 5000) * math.sin(n / 1700))
            for n in range(8000 * seconds)
        )
        file.writeframes(b"".join(struct.pack("<h", int(sample)) for sample in loud))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def web(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    async with Mosquitto(folder / "broker") as broker, served(folder, broker) as made:
        root = made.room.settings.recordings.root / "2026"
        speech(root / "call-1.wav", SECONDS)
        speech(root / "call-2.wav", SECONDS)
        row = {"pbx": "pbx", "call_id": "1795000000.7", "state": "complete", "seconds": 8.0}
        async with session.writing(made.room.engine) as connection:
            await connection.execute(
                insert(recordings),
                [
                    row | {"id": "pbx-call-2", "path": "2026/call-2.wav"},
                    row | {"id": "pbx-call-3", "path": "2026/call-3.wav"},
                ],
            )
        yield made


async def signed_in(web: Web, context: BrowserContext, name: str = "boss") -> Page:
    page = await context.new_page()
    await page.goto(f"{web.url}/sign-in?next={CALL}")
    await page.locator("input[name=name]").fill(name)
    await page.locator("input[name=password]").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"**{CALL}")
    return page


@pytest_asyncio.fixture(loop_scope="session")
async def page(web: Web, browser: Browser) -> AsyncIterator[Page]:
    """The call's page, before a supervisor; what the browser complains of fails the test."""
    context = await browser.new_context(viewport={"width": 1366, "height": 768}, color_scheme="light")
    context.set_default_timeout(20_000)
    faults: list[str] = []
    context.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    context.on("weberror", lambda error: faults.append(str(error.error)))
    made = await signed_in(web, context)
    yield made
    await context.close()
    assert not [fault for fault in faults if "404" not in fault], faults


def player(page: Page, number: int = 0):
    return page.locator("ctid-player").nth(number)


async def heard(page: Page, number: int = 0) -> dict[str, float]:
    """How the sound stands: its place and length, whether it rests, and how many bytes were decoded of it."""
    return await told_by(
        page,
        f"(() => {{ const a = document.querySelectorAll('audio')[{number}]; return {{at: a.currentTime, length: a.duration,"
        f" paused: a.paused, decoded: a.webkitAudioDecodedByteCount, speed: a.playbackRate, volume: a.volume}}; }})()",
    )


async def until_heard(page: Page, what: str, number: int = 0) -> None:
    """Wait until this holds of the audio ``a``."""
    await told_by(
        page,
        "new Promise((done, fail) => { const began = Date.now(); const look = () => {"
        f" const a = document.querySelectorAll('audio')[{number}]; if ({what}) done(true);"
        f" else if (Date.now() - began > 20000) fail(new Error('never: {what}, at ' + a.currentTime));"
        " else setTimeout(look, 20); }; look(); })",
    )


@pytest.mark.asyncio(loop_scope="session")
async def test_a_recording_is_decoded_and_sought_in_and_is_one_listen(web: Web, page: Page) -> None:
    before = await web.rows("SELECT count(*) FROM audit WHERE action = 'listen'")
    bar = player(page).locator(".player-bar")
    await expect(bar).to_be_visible()
    await expect(player(page).locator("audio")).to_be_hidden()
    assert before == await web.rows("SELECT count(*) FROM audit WHERE action = 'listen'")  # seen, not heard
    await bar.get_by_role("button", name="Play").click()
    await until_heard(page, "a.currentTime > 0.3 && a.webkitAudioDecodedByteCount > 0")
    assert (await heard(page))["length"] == SECONDS
    box = await bar.get_by_role("slider", name="Position").bounding_box()
    assert box
    await page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    await until_heard(page, "a.currentTime > 5.9 && !a.seeking")
    await until_heard(page, "a.currentTime > 6.3")  # and goes on from there
    await bar.get_by_role("button", name="Pause").click()
    await until_heard(page, "a.paused")
    (count,), (was,) = (*await web.rows("SELECT count(*) FROM audit WHERE action = 'listen'"),), (*before,)
    assert count[0] == was[0] + 1  # type: ignore[operator]


@pytest.mark.asyncio(loop_scope="session")
async def test_it_is_walked_through_by_keys_and_says_where_it_is(page: Page) -> None:
    slider = player(page).get_by_role("slider", name="Position")
    await slider.focus()
    await expect(slider).to_have_attribute("aria-valuetext", "0:00 of 0:08")
    await page.keyboard.press("ArrowRight")
    await expect(slider).to_have_attribute("aria-valuetext", "0:05 of 0:08")
    await page.keyboard.press("End")
    await expect(slider).to_have_attribute("aria-valuenow", "8")
    await page.keyboard.press("Home")
    await expect(slider).to_have_attribute("aria-valuetext", "0:00 of 0:08")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Space")  # plays from where it was put before anything was loaded
    await until_heard(page, "!a.paused && a.currentTime > 5.1")
    await page.keyboard.press("ArrowLeft")
    await until_heard(page, "a.currentTime < 4")
    await page.keyboard.press("Space")
    await until_heard(page, "a.paused")
    await player(page).get_by_role("button", name="5 seconds on").click()
    await until_heard(page, "a.currentTime >= 5")


@pytest.mark.asyncio(loop_scope="session")
async def test_dragging_shows_the_moment_and_seeks_when_let_go(page: Page) -> None:
    slider = player(page).get_by_role("slider", name="Position")
    box = await slider.bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    await page.mouse.move(box["x"] + 2, middle)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] / 2, middle, steps=4)
    await expect(slider).to_have_attribute("aria-valuetext", "0:04 of 0:08")
    assert (await heard(page))["at"] == 0
    await page.mouse.up()
    await until_heard(page, "Math.abs(a.currentTime - 4) < 0.2")


@pytest.mark.asyncio(loop_scope="session")
async def test_one_plays_at_a_time_in_all_tabs(web: Web, page: Page) -> None:
    await player(page).get_by_role("button", name="Play").click()
    await until_heard(page, "!a.paused && a.currentTime > 0")
    await player(page, 1).get_by_role("button", name="Play").click()
    await until_heard(page, "!a.paused && a.currentTime > 0", 1)
    await until_heard(page, "a.paused", 0)
    other = await page.context.new_page()
    await other.goto(web.url + CALL)
    await player(other).get_by_role("button", name="Play").click()
    await until_heard(page, "a.paused", 1)
    await other.close()


@pytest.mark.asyncio(loop_scope="session")
async def test_speed_and_volume_are_those_of_the_last_time(web: Web, page: Page) -> None:
    await player(page).get_by_role("combobox", name="Speed").select_option("1.5")
    await player(page).get_by_role("slider", name="Volume").fill("0.4")
    await until_heard(page, "a.playbackRate === 1.5 && a.volume === 0.4", 1)  # the others follow
    await page.reload()
    await player(page).get_by_role("button", name="Play").click()
    await until_heard(page, "a.playbackRate === 1.5 && a.volume === 0.4 && a.currentTime > 0.2")


@pytest.mark.asyncio(loop_scope="session")
async def test_a_recording_whose_file_is_gone_says_so_in_place(page: Page) -> None:
    lost = player(page, 2)
    await lost.get_by_role("button", name="Play").click()
    await expect(lost.get_by_role("status")).to_contain_text("This recording cannot be played now.")
    await until_heard(page, "a.paused", 2)


@pytest.mark.asyncio(loop_scope="session")
async def test_the_waveform_is_drawn_in_light_and_dark_as_dense_as_the_screen(web: Web, browser: Browser) -> None:
    for scheme, dense in (("light", 1), ("dark", 2)):
        context = await browser.new_context(color_scheme=scheme, device_scale_factor=dense)  # type: ignore[arg-type]
        page = await signed_in(web, context)
        await told_by(
            page,
            "new Promise((done) => { const look = () => document.querySelector('ctid-player').peaks ? done(1)"
            " : setTimeout(look, 20); look(); })",
        )
        width, shown, colours, tall = await told_by(
            page,
            """(() => { const c = document.querySelector('.player-wave canvas');
            const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; const seen = new Set(); let tall = 0;
            for (let x = 0; x < c.width; x++) { let n = 0; for (let y = 0; y < c.height; y++) { const i = 4 * (y * c.width + x);
              if (d[i + 3]) { n++; seen.add([d[i], d[i + 1], d[i + 2]].join()); } } if (n > c.height / 2) tall++; }
            return [c.width, c.clientWidth, seen.size, tall]; })()""",
        )
        assert width == shown * dense
        assert colours >= 2  # the line, and what is still to come
        assert 10 < tall < width / 2  # loud and quiet places
        assert not [found for found in await denied(page) if "player" in found or "audio" in found]
        await context.close()


@pytest.mark.asyncio(loop_scope="session")
async def test_without_script_it_is_the_browsers_own_player(web: Web, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await signed_in(web, context)
    own = page.locator("audio").first
    await expect(own).to_be_visible()
    await expect(own).to_have_attribute("controls", "")
    await expect(page.locator(".player-bar").first).to_be_hidden()
    await context.close()


@pytest.mark.asyncio(loop_scope="session")
async def test_players_nobody_sees_ask_for_nothing(web: Web, browser: Browser) -> None:
    context = await browser.new_context(viewport={"width": 1366, "height": 100})
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = await signed_in(web, context)
    await expect(page.locator("ctid-player .player-bar").first).not_to_have_attribute("hidden", "")
    assert not [url for url in asked if "/recordings/" in url]
    await player(page).scroll_into_view_if_needed()
    await until(lambda: any("/peaks" in url for url in asked), "the waveform is asked for")
    assert not [url for url in asked if url.endswith("/audio")]
    await context.close()


@pytest.mark.asyncio(loop_scope="session")
async def test_a_line_cut_in_mid_recording_is_taken_up_where_it_was(
    web: Web, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "STALL_SECONDS", 0.2)
    long = web.room.settings.recordings.root / "2026/call-2.wav"
    kept = long.read_bytes()
    speech(long, 5)
    sound = long.read_bytes()
    size = 60_000_000
    long.write_bytes(
        sound[:4] + struct.pack("<I", size + 36) + sound[8:40] + struct.pack("<I", size) + sound[44:] * 750
    )
    context = await browser.new_context()
    page = await signed_in(web, context)
    await player(page, 1).get_by_role("button", name="Play").click()
    await until_heard(page, "a.currentTime > 1", 1)
    await page.wait_for_timeout(1000)  # the browser has read ahead what it wants, and the server has let go
    await told_by(page, "document.querySelectorAll('audio')[1].currentTime = 1800; 1")
    await until_heard(page, "a.currentTime > 1800.3 && !a.paused", 1)
    await context.close()
    long.write_bytes(kept)


@pytest.mark.asyncio(loop_scope="session")
async def test_the_browser_refuses_scripts_and_styles_written_into_a_page(web: Web, browser: Browser) -> None:
    context = await browser.new_context()
    page = await signed_in(web, context)
    ran = await told_by(
        page,
        """(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s);
        const b = document.createElement('button'); b.setAttribute('onclick', 'window.ran = 2');
        document.body.append(b); b.click();
        const t = document.createElement('p'); t.innerHTML = '<span style="color: rgb(1, 2, 3)">x</span>';
        document.body.append(t);
        return [window.ran ?? null, getComputedStyle(t.firstChild).color]; })()""",
    )
    assert ran == [None, (await told_by(page, "getComputedStyle(document.body).color"))]
    await context.close()
