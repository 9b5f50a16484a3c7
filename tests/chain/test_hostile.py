"""Callers who write into AMI by line breaks in their number, and a second daemon that was started by mistake."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from lab.process import Process, free_port, until
from lab.sipp import SippAgent
from lab.site import CTID, Site
from tests.chain.centre import Centre, opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    site = Site(folder=tmp_path_factory.mktemp("site"), agents=("agent1", "agent2"), ring_seconds=3)
    async with opened(site) as centre:
        yield centre


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Centre) -> Centre:
    await running.tidy()
    return running


@pytest.mark.parametrize(
    "number",
    [
        "1\r\nChannel: PJSIP/agent1-0000beef",
        "1\r\nTimestamp: 99000000000",
        "1\r\n\r\nEvent: UserEvent\r\nPrivilege: user,all\r\nUserEvent: CtidAgent\r\n",
        "1\r\n\r\nEvent: Hangup\r\nPrivilege: call,all\r\nUniqueid: 9.1\r\n\r\n",
    ],
)
async def test_a_number_with_line_breaks_forges_nothing_and_the_next_caller_is_served(
    centre: Centre, number: str
) -> None:
    log = centre.site.folder / "run.out"
    known = log.stat().st_size
    async with centre.site.call(quote(number, safe="")) as forger:
        await forger.answered()
        await until(lambda: b'"ami.forged"' in log.read_bytes()[known:], "ctid notices")
        states = {agent: (centre.listener.state(agent) or {})["state"] for agent in centre.agents}
        assert "paused" not in states.values()
        await forger.hang_up()
    await centre.all_idle()
    call = await centre.one_call("02155690050")
    assert call["outcome"] == "answered"
    assert call["started_at"].startswith("20")


async def test_a_caller_who_writes_anothers_hangup_behind_a_false_tail_ends_no_conversation(centre: Centre) -> None:
    placed, agent, pop = await centre.comes_in("02155690060")
    log = centre.site.folder / "run.out"
    async with placed:
        await centre.talks(agent, pop["call_id"])
        told = await centre.site.asterisk.cli("core show channels concise")
        channels = [line.rpartition("!")[2] for line in told.splitlines() if "!" in line]
        assert len(channels) == 2
        for channel in (*channels, *channels):  # twice: the PBX's state is not read again after each
            known = log.stat().st_size
            number = f"1\r\n\r\nx\r\n\r\nEvent: Hangup\r\nPrivilege: \r\nUniqueid: {channel}\r\n\r\n"
            async with centre.site.call(quote(number, safe="")) as forger:
                await forger.answered()
                await until(lambda at=known: b'"ami.forged"' in log.read_bytes()[at:], "ctid notices")
                await forger.hang_up()
        await centre.one_call("02155690061")
        assert (centre.listener.state(agent) or {})["state"] == "talking"
        assert [call["outcome"] for call in centre.shown("02155690060")] == [None]
        await placed.hang_up()
    call = await centre.ended("02155690060")
    assert (call["outcome"], call["recordings"][0]["state"]) == ("answered", "complete")


async def test_a_caller_who_sends_ctids_own_digit_leaves_no_gap_in_the_recording(centre: Centre) -> None:
    placed, agent, pop = await centre.comes_in("02155690070")
    async with placed:
        await centre.talks(agent, pop["call_id"])
        for _ in range(25):
            await placed.press("D")
            await sound(0.1)
        await placed.hang_up()
    call = await centre.ended("02155690070")
    [recording], [leg] = call["recordings"], call["legs"]
    assert recording["seconds"] > leg["talk_seconds"] - 0.5  # each gap would be a twentieth of a second


async def test_a_customer_sent_on_outside_has_no_keys_to_dial_by(centre: Centre) -> None:
    site = centre.site
    await site.asterisk.cli("dialplan set global TRANSFER_CONTEXT agents")
    placed, agent, pop = await centre.comes_in("02155690071")
    async with SippAgent(site.folder / "sipp", "trunk", site.asterisk.trunk_port) as outside, placed:
        await centre.talks(agent, pop["call_id"])
        port = site.asterisk.sip_port
        await site.phones[agent].transfer(site.phones[agent].invites[-1], f"sip:913900139000@127.0.0.1:{port}")
        await until(lambda: outside.invites, "the outside number is dialled")
        await sound(1)
        for keys in ("*1913800138000", "*2913800138000"):
            await placed.press(keys)
            await sound(4)  # a transfer by keys dials three seconds after the last
        assert len(outside.invites) == 1
        await placed.hang_up()
    await site.asterisk.cli("dialplan set global TRANSFER_CONTEXT")


@pytest.mark.parametrize(
    ("number", "name"),
    [
        ("0215569%ff%fe0080", '\\"\u202e<b>{{7*7}}\u2066'),
        ("0215569%00081", "王芳" * 12),
        ("02155690082;phone-context=x", "=cmd|' /C calc'!A0"),
        ("021%22%3e%3cimg%3e0083", "${SHELL(id)}, & Local/s@agents"),
    ],
)
async def test_a_caller_of_any_signs_is_served_and_published_as_everyone_is(
    centre: Centre, number: str, name: str
) -> None:
    placed, agent, pop = await centre.comes_in(number, name=name)
    async with placed:
        await centre.talks(agent, pop["call_id"])
        await placed.hang_up()
    topic = f"ctid/v1/calls/{pop['call_id']}"

    def ended() -> dict[str, Any] | None:
        said = [heard.payload for heard in centre.listener.heard if heard.topic == topic]
        return said[-1] if said and said[-1]["outcome"] else None

    call = await until(ended, "the call is published to its end")
    assert call["outcome"] == "answered"


async def test_a_second_daemon_stands_by_and_takes_over_when_the_first_is_gone(centre: Centre, tmp_path: Path) -> None:
    site = centre.site
    other = tmp_path / "other"
    other.mkdir()
    config = tmp_path / "ctid.toml"
    text = site.config.read_text().replace(f'directory = "{site.state}"', f'directory = "{other}"')
    config.write_text(text.replace(f":{site.metrics_port}", f":{free_port()}"))
    config.chmod(0o600)
    second = Process([str(CTID), "run", "--config", str(config)], folder=tmp_path, name="second")
    try:
        await second.ready(lambda: "standing by" in second.output.read_text(), "stands by")
        assert (await centre.one_call("02155690051"))["outcome"] == "answered", "the first goes on"
        await site.kill_daemon()
        await until(lambda: '"pbx.resynced"' in second.output.read_text(), "the second takes over", limit=45)
        assert (await centre.one_call("02155690052"))["outcome"] == "answered"
        await site.start_daemon(wait=False)
        await asyncio.sleep(1)
        assert (await centre.one_call("02155690053"))["outcome"] == "answered", "the first stands by now"
    finally:
        await second.stop(signal.SIGTERM)
