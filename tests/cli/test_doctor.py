"""``ctid doctor`` against real servers: what is wrong is named, each with its mend."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ctid.cli.doctor import _journal, _room
from ctid.cli.findings import Level
from ctid.daemon.journal import Journal
from ctid.domain.types import AgentState, AgentStatus
from lab.asterisk import DIALPLAN, Asterisk
from lab.mosquitto import Mosquitto
from lab.process import until
from lab.small_disk import SmallDisk
from tests.cli.conftest import CTID, Ended, Site

Found = dict[str, tuple[str, str]]

USERS = {"ctid": "the broker's word", "mute": "the broker's word"}
ACL = "user ctid\ntopic readwrite ctid/v1/#\nuser mute\ntopic read ctid/v1/#\n"


@pytest.fixture
async def whole(site: Site, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """Variables that point ctid to a real Asterisk and a real broker."""
    async with (
        Asterisk(tmp_path / "pbx", failsafe=("agent1",)) as pbx,
        Mosquitto(tmp_path / "broker", users=USERS, acl=ACL) as broker,
    ):
        await asyncio.to_thread(
            site.ctid, "import", "agents", site.write("a.csv", "id,name,phone\n7,Ada,agent1\n8,Lei,agent2\n")
        )
        yield {
            "CTID_AMI__PORT": str(pbx.ami_port),
            "CTID_AMI__SECRET": pbx.ami_secret,
            "CTID_MQTT__URL": broker.url,
            "CTID_MQTT__USERNAME": "ctid",
            "CTID_MQTT__PASSWORD": "the broker's word",
            "CTID_RECORDINGS__ROOT": str(pbx.monitor_dir),
        }


async def examined(site: Site, variables: dict[str, str]) -> tuple[Ended, Found]:
    ended = await asyncio.to_thread(site.ctid, "doctor", **variables)
    lines = (line.split(maxsplit=1) for line in ended.out.splitlines())
    return ended, {rest[:14].strip(): (level, rest[15:]) for level, rest in lines}


async def test_a_whole_site_passes_and_what_only_could_be_better_warns(site: Site, whole: dict[str, str]) -> None:
    ended, found = await examined(site, whole)
    assert (ended.status, ended.err) == (0, ""), ended.out
    assert {what for what, (level, _) in found.items() if level != "OK"} == {"ctid run", "CEL"}
    assert found["Asterisk"][1].startswith("version ")


async def test_a_wrong_secret_and_a_wrong_password_of_the_broker_are_told_apart(
    site: Site, whole: dict[str, str]
) -> None:
    ended, found = await examined(
        site, {**whole, "CTID_AMI__SECRET": "not it at all", "CTID_MQTT__PASSWORD": "not it either"}
    )
    assert ended.status == 1
    assert {what for what, (level, _) in found.items() if level == "FAIL"} == {"PBX", "broker"}
    assert "manager.conf" in found["PBX"][1]
    assert "mqtt.password" in found["broker"][1]
    assert "not it" not in ended.out


async def test_a_broker_that_lets_ctid_in_but_not_publish_fails(site: Site, whole: dict[str, str]) -> None:
    ended, found = await examined(site, {**whole, "CTID_MQTT__USERNAME": "mute"})
    assert (ended.status, found["broker"][0]) == (1, "FAIL")
    assert "ACL" in found["broker"][1]


async def test_a_phone_that_the_pbx_does_not_know_is_named_with_its_agent(site: Site, whole: dict[str, str]) -> None:
    await asyncio.to_thread(site.ctid, "import", "agents", site.write("a.csv", "id,name,phone\n9,Eve,nosuch\n"))
    _, found = await examined(site, whole)
    assert found["phones"][0] == "WARN"
    assert "nosuch (9)" in found["phones"][1]


async def test_a_pbx_without_the_dialplan_and_with_too_few_rights_fails(site: Site, tmp_path: Path) -> None:
    pbx = Asterisk(tmp_path / "pbx")
    extensions = pbx.folder / "etc" / "extensions.conf"
    extensions.write_text("[general]\n[ctid-inbound]\nexten => s,1,NoOp()\n")
    manager = pbx.folder / "etc" / "manager.conf"
    async with pbx:
        variables = {"CTID_AMI__PORT": str(pbx.ami_port), "CTID_AMI__SECRET": pbx.ami_secret}
        ended, found = await examined(site, variables)
        assert (ended.status, found["dialplan"][0]) == (1, "FAIL")
        assert "ctid-wait" in found["dialplan"][1]
        assert "ctid-inbound" not in found["dialplan"][1]
    manager.write_text(manager.read_text().replace("write = call,reporting,agent", "write = reporting"))
    async with pbx:
        _, found = await examined(site, variables)
        assert found["fallback"][0] == "FAIL"
        assert "write=agent" in found["fallback"][1]
        assert found["PBX rights"][0] == "FAIL"
        assert "write=call" in found["PBX rights"][1]


async def test_nothing_answers_and_each_is_a_line(site: Site) -> None:
    ended, found = await examined(site, {"CTID_RECORDINGS__ROOT": "/nowhere/at/all"})
    assert (ended.status, ended.err) == (1, "")
    assert {what for what, (level, _) in found.items() if level == "FAIL"} == {"PBX", "broker", "recordings"}


def test_what_waits_for_the_database_and_what_could_not_be_read_of_it_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", pbx="pbx", most=1 << 20)
    journal.read()
    assert [(f.level, f.what) for f in _journal(tmp_path / "journal")] == [(Level.OK, "journal")]
    journal.keep({("agent", 1): AgentStatus(agent="a", state=AgentState.IDLE, since=0.0)})
    (tmp_path / "journal.damaged-1").touch()
    waits, damaged = _journal(tmp_path / "journal")
    assert (waits.level, "wait for the database" in waits.says) == (Level.WARN, True)
    assert (damaged.level, "journal.damaged-1" in damaged.says) == (Level.WARN, True)


async def test_a_daemon_that_acts_is_seen_and_its_own_port_is_no_fault(site: Site, whole: dict[str, str]) -> None:
    log = site.folder / "run.log"
    environment = {**whole, "CTID_METRICS__LISTEN": "127.0.0.1:0"}
    with log.open("wb") as to:
        daemon = await asyncio.create_subprocess_exec(
            *CTID, "run", "--config", str(site.config), env=environment, stderr=to
        )
    try:

        async def acts() -> bool:
            return (await examined(site, whole))[1]["ctid run"][0] == "OK"

        await until(acts, "ctid run acts", limit=20)
    finally:
        daemon.terminate()
        assert await daemon.wait() == 0, log.read_text()


async def test_the_user_that_makes_calls_is_tried_and_may_do_nothing_else(
    site: Site, whole: dict[str, str], tmp_path: Path
) -> None:
    calling = {
        **whole,
        "CTID_LINES": '[{"name": "service", "numbers": ["4001"], "callback": true}]',
        "CTID_ROUTING__COUNTRY": "CN",
    }
    manager = (tmp_path / "pbx" / "etc" / "manager.conf").read_text()
    secret = manager.partition("[ctid-originate]\nsecret = ")[2].partition("\n")[0]
    _, found = await examined(site, {**calling, "CTID_AMI__ORIGINATE_SECRET": secret})
    assert found["callbacks"] == ("OK", "user 'ctid-originate' may make calls, and nothing else")
    _, found = await examined(site, {**calling, "CTID_AMI__ORIGINATE_SECRET": "not it"})
    assert found["callbacks"][0] == "FAIL"
    assert "set [ami] originate_username and originate_secret to those of manager.conf" in found["callbacks"][1]
    mistaken = {"CTID_AMI__ORIGINATE_USERNAME": "ctid", "CTID_AMI__ORIGINATE_SECRET": whole["CTID_AMI__SECRET"]}
    _, found = await examined(site, {**calling, **mistaken})
    assert found["callbacks"] == ("FAIL", "user 'ctid' may not make calls; give it write=originate in manager.conf")


LINE_WITH_MUSIC = '[{"name": "service", "numbers": ["4001"], "music": "waltz"}]'


async def test_each_piece_missing_from_the_pbx_is_one_line_with_its_mend(site: Site, tmp_path: Path) -> None:
    pbx = Asterisk(tmp_path / "pbx")
    etc = pbx.folder / "etc"
    variables = {
        "CTID_AMI__PORT": str(pbx.ami_port),
        "CTID_AMI__SECRET": pbx.ami_secret,
        "CTID_CEL__FILE": str(pbx.cel_file),
        "CTID_CDR__FILE": str(pbx.cdr_file),
        "CTID_LINES": LINE_WITH_MUSIC,
    }
    async with pbx:
        _, found = await examined(site, variables)
        said = {
            what: found[what][0]
            for what in ("dialplan", "events", "features", "transfers", "pauses", "music", "CEL events", "CDR records")
        }
        assert set(said.values()) == {"OK"}, found
        # What a site forgets, and what an upgrade leaves behind. The PBX reads these files anew when asked.
        dialplan = (DIALPLAN / "ctid.conf").read_text().replace("[ctid-version]", "[ctid-elsewhere]")
        (etc / "old.conf").write_text(dialplan)
        extensions = (etc / "extensions.conf").read_text().replace(f"{DIALPLAN}/ctid.conf", "old.conf")
        (etc / "extensions.conf").write_text(extensions)
        (etc / "features.conf").write_text("[general]\n")
        (etc / "musiconhold.conf").write_text("[general]\n")
        (etc / "cel.conf").write_text("[general]\nenable = yes\nevents = CHAN_START,CHAN_END,ANSWER\n")
        (etc / "cdr_custom.conf").write_text("[mappings]\n")
        await pbx.ami.action("Command", Command="dialplan reload")
        ended, found = await examined(site, variables)
        assert ended.status == 1
        assert found["dialplan"] == ("FAIL", found["dialplan"][1])
        assert "older" in found["dialplan"][1]
        for what, mend in {
            "features": "features.conf.sample",
            "transfers": "[featuremap]",
            "pauses": "[applicationmap]",
            "music": "waltz",
            "CEL events": "BRIDGE_ENTER, BRIDGE_EXIT",
            "CDR records": "cdr_custom.conf.sample",
        }.items():
            assert found[what][0] == "WARN", found
            assert mend in found[what][1]
        (etc / "cel.conf").write_text("[general]\n")
        assert "CEL is off" in (await examined(site, variables))[1]["CEL events"][1]


async def test_a_pbx_whose_events_will_have_no_timestamp_fails(site: Site, tmp_path: Path) -> None:
    pbx = Asterisk(tmp_path / "pbx")
    manager = pbx.folder / "etc" / "manager.conf"
    manager.write_text(manager.read_text().replace("timestampevents = yes\n", "", 1))
    async with pbx:
        _, found = await examined(site, {"CTID_AMI__PORT": str(pbx.ami_port), "CTID_AMI__SECRET": pbx.ami_secret})
    assert found["events"] == ("FAIL", found["events"][1])
    assert "timestampevents = yes" in found["events"][1]


def test_a_folder_whose_disk_is_full_is_a_fault_that_says_what_comes_of_it(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", 1 << 20) as disk:
        found = _room("state", disk.folder, "it can be written to", "nothing is written")
    assert found.level is Level.FAIL
    assert found.says == "it can be written to, 0.0 GiB free; make room, or nothing is written"
