"""``ctid replay``: a recorded stream becomes calls, without PBX, database or configuration."""

import asyncio
import json
import os
import re
from pathlib import Path

import pytest

from ctid.asterisk.wire import LONGEST_MESSAGE
from lab.asterisk import Asterisk
from lab.process import until
from lab.sipp import SippAgent, place_call
from tests.cli.conftest import CTID, Ended, Site, run

CALLER, LINE = "13800138000", "4001"


@pytest.fixture
async def stream(tmp_path: Path) -> bytes:
    """What a real Asterisk sent ctid's user during one call that the fallback queue brought to agent1."""
    async with (
        Asterisk(tmp_path / "pbx", failsafe=("agent1",)) as pbx,
        pbx.tap(tmp_path / "stream.ami") as tap,
        SippAgent(pbx.folder, "agent1", pbx.phones["agent1"]) as phone,
        place_call(pbx, CALLER, LINE) as call,
    ):
        await phone.rings(CALLER)
        await pbx.ami.event("BridgeEnter", CallerIDNum=CALLER)
        await call.hang_up()
        await tap.event("CtidEnd")
        await tap.event("Hangup", CallerIDNum=CALLER)
    return (tmp_path / "stream.ami").read_bytes()


async def test_a_recorded_call_comes_out_as_calls_json_does(stream: bytes, tmp_path: Path) -> None:
    [call] = run("replay", str(tmp_path / "stream.ami")).json
    assert (call["direction"], call["caller"], call["dialled"]) == ("inbound", CALLER, LINE)
    assert (call["outcome"], call["via"], call["agent"]) == ("answered", "failsafe", "agent1")
    assert call["started_at"] <= call["answered_at"] <= call["ended_at"]
    [leg] = [leg for leg in call["legs"] if leg["agent"]]
    assert (leg["agent"], leg["result"], leg["certainty"]) == ("agent1", "answered", "exact")
    assert run("replay", "-", stdin=stream).json == [call]


async def test_a_stream_without_timestamps_has_the_same_calls_without_times(stream: bytes) -> None:
    [timed] = run("replay", "-", stdin=stream).json
    [call] = run("replay", "-", stdin=re.sub(rb"Timestamp: [^\r]*\r\n", b"", stream)).json
    assert (call["started_at"], call["answered_at"], call["ended_at"]) == (None, None, None)
    assert {leg["offered_at"] for leg in call["legs"]} == {None}
    for name in ("id", "direction", "caller", "dialled", "outcome", "agent"):
        assert call[name] == timed[name]


async def test_a_configuration_gives_the_pbx_its_name_and_the_line(stream: bytes, site: Site) -> None:
    (site.folder / "one.ami").write_bytes(stream)
    [call] = site.ctid("replay", str(site.folder / "one.ami"), CTID_AMI__PBX="north").json
    assert (call["pbx"], call["line"]) == ("north", "sales")


@pytest.mark.parametrize(
    "octets", [b"", b"Asterisk Call Manager/11.0.0\r\n", b"\r\n\r\n\r\n", b"not AMI\n\nat all\n\n"]
)
def test_a_stream_with_no_call_has_none_and_says_so(octets: bytes) -> None:
    ended = run("replay", "-", stdin=octets)
    assert ended.json == []
    assert ended.err.startswith("ctid: warning: -: holds no call")


def test_hostile_bytes_are_printed_as_ascii() -> None:
    channel = b"PJSIP/a-1"
    event = (
        b"Event: Newchannel\r\nPrivilege: call,all\r\nTimestamp: 1700000000.5\r\nChannel: %s\r\nChannelState: 0\r\n"
        b"ChannelStateDesc: Down\r\nCallerIDNum: \xff\x1b[31m\r\nCallerIDName: x\r\nConnectedLineNum: <unknown>\r\n"
        b"ConnectedLineName: <unknown>\r\nLanguage: en\r\nAccountCode: \r\nContext: agents\r\nExten: 12\r\nPriority: 1\r\n"
        b"Uniqueid: 1.1\r\nLinkedid: 1.1\r\n\r\n"
    ) % channel
    ended: Ended = run("replay", "-", stdin=event)
    assert ended.status == 0, ended.err
    assert ended.out.isascii()
    assert "\x1b" not in ended.out
    json.loads(ended.out)


@pytest.mark.parametrize("name", ["none.ami", "."])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, name: str) -> None:
    ended = run("replay", str(tmp_path / name))
    assert (ended.status, ended.err.count("\n"), ended.out) == (2, 1, "")


def test_what_is_no_stream_of_messages_is_one_line() -> None:
    ended = run("replay", "-", stdin=b"x" * (LONGEST_MESSAGE + 1))
    assert (ended.status, ended.err.count("\n"), ended.out) == (2, 1, "")


async def test_a_recorded_day_can_be_replayed_and_holds_no_pin_and_no_secret(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "days"
    folder.mkdir()
    async with Asterisk(tmp_path / "pbx", failsafe=("agent1",)) as pbx:
        variables = {"CTID_AMI__PORT": str(pbx.ami_port), "CTID_AMI__SECRET": pbx.ami_secret}
        child = await asyncio.create_subprocess_exec(
            *CTID, "--config", str(site.config), "record", str(folder), env={**os.environ, **variables}
        )
        try:
            await until(lambda: list(folder.iterdir()), "the recording begins")
            await pbx.ami.action("UserEvent", UserEvent="CtidAgent", Epoch="e-p-o-c-h", Command="sign_in", Pin="4711")
            async with (
                SippAgent(pbx.folder, "agent1", pbx.phones["agent1"]) as phone,
                place_call(pbx, CALLER, LINE) as call,
            ):
                await phone.rings(CALLER)
                await pbx.ami.event("BridgeEnter", CallerIDNum=CALLER)
                await call.hang_up()
            [file] = folder.iterdir()
            await until(lambda: b"Event: Hangup" in file.read_bytes(), "the call's end is recorded")
        finally:
            child.kill()
            await child.wait()
    kept = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"CtidAgent" in kept
    assert not any(secret in kept for secret in (b"4711", b"e-p-o-c-h", pbx.ami_secret.encode()))
    assert kept.endswith(b"\r\n\r\n")
    [replayed] = run("replay", str(file)).json
    assert (replayed["caller"], replayed["outcome"], replayed["agent"]) == (CALLER, "answered", "agent1")


async def test_a_refused_secret_and_a_folder_that_is_not_there_are_one_line(site: Site, tmp_path: Path) -> None:
    ended = site.ctid("record", str(tmp_path / "none"))
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    async with Asterisk(tmp_path / "pbx") as pbx:
        ended = await asyncio.to_thread(site.ctid, "record", str(tmp_path), CTID_AMI__PORT=str(pbx.ami_port))
    assert ended.status == 2
    assert "refused the user" in ended.err


RECORDED = Path(__file__).parents[1] / "streams" / "recorded"


@pytest.fixture
def recorded(site: Site) -> str:
    scenes = ("answered", "no-answer-then-next", "gives-up-waiting")
    (site.folder / "day.ami").write_bytes(b"".join((RECORDED / f"{scene}.ami").read_bytes() for scene in scenes))
    return str(site.folder / "day.ami")


def test_another_policy_is_put_beside_the_day_and_its_own(site: Site, recorded: str) -> None:
    policy = site.write("slow.toml", "[routing]\nwrap_up_seconds = 600\n")
    days = site.ctid("replay", recorded, "--policy", policy, "--json").json
    assert [day["day"] for day in days] == ["recorded", "own_policy", "policy"]
    assert {day["calls"] for day in days} == {3}
    ended = site.ctid("replay", recorded, "--policy", policy, COLUMNS="200")
    assert (ended.status, ended.err) == (0, "")
    assert "slow.toml, rerun" in ended.out
    assert "fairness" in ended.out


def test_lists_name_agents_and_owners(site: Site, recorded: str) -> None:
    policy = site.write("p.toml", '[[lines]]\nname = "s"\nnumbers = ["4001"]\nagents = ["7", "8", "9"]\n')
    stranger = site.ctid("replay", recorded, "--policy", policy, "--json")
    assert "give the list of agents with --agents" in stranger.err
    assert stranger.json[2]["answered"] == 0
    people = site.write("a.csv", "id,name,phone\n7,Ada,agent1\n8,Lei,agent2\n9,Mo,agent3\n")
    known = site.ctid("replay", recorded, "--policy", policy, "--agents", people, "--json")
    assert (known.err, known.json[2]["answered"]) == ("", 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [("[routing]\nring_second = 3\n", "ring_second"), ("[rooting]\n", "rooting"), ("[[lines]]\nname = 1\n", "numbers")],
)
def test_a_policy_with_faults_names_each(site: Site, recorded: str, text: str, says: str) -> None:
    ended = site.ctid("replay", recorded, "--policy", site.write("p.toml", text))
    assert (ended.status, ended.out) == (2, "")
    assert says in ended.err


def test_a_whole_configuration_is_a_policy_too(site: Site, recorded: str) -> None:
    assert site.ctid("replay", recorded, "--policy", str(site.config), "--json").json[1:]


def test_what_cannot_be_rerun_is_one_line(site: Site, recorded: str) -> None:
    policy = site.write("p.toml", "[routing]\n")
    for arguments in (
        ("-", "--policy", policy),
        (recorded, "--agents", policy),
        (recorded, "--policy", "nowhere.toml"),
    ):
        ended = site.ctid("replay", *arguments)
        assert (ended.status, ended.err.count("\n"), ended.out) == (2, 1, ""), ended.err


def test_what_a_policy_leaves_out_is_the_sites_own(site: Site, recorded: str) -> None:
    at_site = {"CTID_ROUTING__WRAP_UP_SECONDS": "0"}
    policy = site.write("wait.toml", "[routing]\nowner_wait_seconds = 20\n")
    told = site.ctid("replay", recorded, "--policy", policy, **at_site).out
    assert "wait.toml differs from the site's own policy in: owner_wait_seconds = 20, not 0.\n" in told
    same = site.write("same.toml", "[routing]\nwrap_up_seconds = 0\n")
    assert "same.toml is the site's own policy." in site.ctid("replay", recorded, "--policy", same, **at_site).out
    _, own, rerun = site.ctid("replay", recorded, "--policy", same, "--json", **at_site).json
    assert {**own, "day": ""} == {**rerun, "day": ""}
