"""The core's actions reach the PBX as routes that only the right caller at the right moment takes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from scripted_pbx import ScriptedPbx, error, until
from structlog.testing import capture_logs

from ctid.asterisk.claiming import Claim
from ctid.asterisk.client import AmiLink, AmiSettings, LinkState
from ctid.asterisk.commands import Commands
from ctid.asterisk.wire import Message
from ctid.db.numbers import arrivals
from ctid.domain.actions import Overflow, RenewRecording, Ring, Say
from ctid.domain.events import RouteRefused
from ctid.domain.types import Line
from lab.asterisk import Asterisk
from lab.sipp import SippAgent, place_call

CHANNEL = "PJSIP/trunk-00000001"
RING = Ring(call_id="9.1", channel=CHANNEL, seq=3, endpoint="agent-7_b", seconds=19.2)


class Rig:
    """A link that is up, and the commands on it."""

    def __init__(self, port: int, username: str = "ctid", secret: str = "s3cret") -> None:
        settings = AmiSettings(host="127.0.0.1", port=port, username=username, secret=secret)
        self.messages: list[Message] = []
        self.refused: list[RouteRefused] = []
        self.now = 1000.0
        self.link = AmiLink(settings, on_messages=self.messages.extend, on_up=self._up, on_down=lambda: None)
        self.claim = Claim(self.link, epoch="e1", now=lambda: self.now)
        self.commands = Commands(self.link, epoch="e1", now=lambda: self.now, on_refused=self.refused.append)

    async def _up(self, _: AmiLink) -> None:
        await self.claim.make()

    def event(self, name: str) -> Message | None:
        return next((m for m in self.messages if name in (m.name, m.get("UserEvent"))), None)


@asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[Rig]:
    task = asyncio.create_task(rig.link.run())
    try:
        await until(lambda: rig.link.state is LinkState.UP)
        yield rig
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_an_offer_is_a_commit_and_a_doorbell_in_one_write() -> None:
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        rig.commands.carry_out(RING, decided_at=rig.now)
        await until(lambda: pbx.named("PlayDTMF"))
        route = pbx.named("Setvar")[-1]
        assert (route["Channel"], route["Variable"]) == (CHANNEL, "CTID_ROUTE")
        assert route["Value"] == "e1:3:dial:agent-7_b:20"
        bell = pbx.named("PlayDTMF")[0]
        assert (bell["Channel"], bell["Digit"], bell["Receive"]) == (CHANNEL, "D", "true")
        [write] = [data for data in pbx.reads if b"CTID_ROUTE" in data]
        assert b"PlayDTMF" in write


async def test_a_recording_is_renewed_by_the_doorbell_with_word_of_it_before_and_not_when_it_is_late() -> None:
    renew = RenewRecording(call_id="9.1", channel=CHANNEL)
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        with capture_logs() as logs:
            rig.commands.carry_out(renew, decided_at=rig.now - 4)
            rig.commands.carry_out(renew, decided_at=rig.now)
            await until(lambda: pbx.named("PlayDTMF"))
        [bell] = pbx.named("PlayDTMF")
        assert (bell["Channel"], bell["Digit"], bell["Receive"]) == (CHANNEL, "D", "true")
        [word] = [m for m in pbx.named("Setvar") if "Channel" in m]
        assert (word["Channel"], word["Variable"], word["Value"]) == (CHANNEL, "CTID_VOICES", "yes")
        assert [line["event"] for line in logs] == ["recording.not_renewed"]


@pytest.mark.parametrize(
    ("action", "route"),
    [
        (Overflow(call_id="9.1", channel=CHANNEL, seq=4, to="number-+4930123"), "e1:4:overflow:number-+4930123:"),
        (Say(channel=CHANNEL, seq=1, word="denied"), "e1:1:say:denied:"),
    ],
)
async def test_an_overflow_and_a_word_are_routes_too(action: Overflow | Say, route: str) -> None:
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        rig.commands.carry_out(action, decided_at=rig.now)
        await until(lambda: pbx.named("PlayDTMF"))
        assert pbx.named("Setvar")[-1]["Value"] == route


@pytest.mark.parametrize(
    ("said_by", "gone"),
    [("Setvar", "No such channel"), ("Setvar", "Permission denied"), ("PlayDTMF", "Channel not found")],
)
async def test_a_route_the_pbx_did_not_take_frees_the_agent(said_by: str, gone: str) -> None:
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        pbx.script[said_by] = lambda a: error(a, gone)
        rig.commands.carry_out(RING, decided_at=rig.now)
        await until(lambda: rig.refused)
        [refused] = rig.refused
        assert (refused.call_id, refused.seq) == ("9.1", 3)
        assert gone in refused.reason


async def test_a_doorbell_that_fails_leaves_the_committed_route_alone() -> None:
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        pbx.script["PlayDTMF"] = lambda a: error(a, "Permission denied")
        with capture_logs() as logs:
            rig.commands.carry_out(RING, decided_at=rig.now)
            await until(lambda: any(line["event"] == "route.doorbell_failed" for line in logs))
        assert not rig.refused


async def test_a_route_whose_answer_was_lost_with_the_link_is_neither_refused_nor_sent_again() -> None:
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        pbx.silent = True
        with capture_logs() as logs:
            rig.commands.carry_out(RING, decided_at=rig.now)
            await until(lambda: pbx.named("PlayDTMF"))
            pbx.silent = False
            pbx.drop()
            await until(lambda: any(line["event"] == "route.unanswered" for line in logs))
            await until(lambda: pbx.connections == 2 and rig.link.state is LinkState.UP)
        assert not rig.refused
        assert len(pbx.named("PlayDTMF")) == 1


async def test_a_decision_past_its_deadline_is_dropped_with_a_line_in_the_log() -> None:
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        with capture_logs() as logs:
            rig.commands.carry_out(RING, decided_at=rig.now - 3.5)
        assert "too late" in rig.refused[0].reason
        assert logs[0]["event"] == "route.refused"
        await rig.link.call("CoreStatus")
        assert not pbx.named("PlayDTMF")


async def test_an_offer_without_a_link_is_refused_at_once() -> None:
    rig = Rig(1)
    rig.commands.carry_out(RING, decided_at=rig.now)
    assert "no link" in rig.refused[0].reason


@pytest.mark.parametrize(
    "endpoint", ["agent7&agent8", "agent7:20", "agent 7", "", "agent7\r\nAction: Originate", "a.b"]
)
async def test_an_endpoint_the_dialplan_would_bend_into_another_is_refused(endpoint: str) -> None:
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        ring = Ring(call_id="9.1", channel=CHANNEL, seq=3, endpoint=endpoint, seconds=20)
        rig.commands.carry_out(ring, decided_at=rig.now)
        assert "must be letters" in rig.refused[0].reason
        await rig.link.call("CoreStatus")
        assert not pbx.named("PlayDTMF")


def test_an_epoch_that_would_break_the_route_is_refused() -> None:
    with pytest.raises(ValueError, match="epoch"):
        Claim(Rig(1).link, epoch="a:b", now=lambda: 0.0)


async def test_each_resync_claims_the_pbx_with_epoch_and_heartbeat() -> None:
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        pbx.drop()
        await until(lambda: pbx.connections == 2 and rig.link.state is LinkState.UP)
        claims = [(a["Variable"], a.get("Channel")) for a in pbx.named("Setvar")]
        assert claims == [("CTID_EPOCH", None), ("CTID_HEARTBEAT", None)] * 2


async def test_what_a_line_s_callers_are_told_is_known_to_the_fallback_however_the_trunk_writes_its_number() -> None:
    lines = (
        Line(name="sales", numbers=("+862155640000",), consent="tell-them"),
        Line(name="home", numbers=("02155640001", "4001"), consent="ask-them", consent_asked=True),
        Line(name="silent", numbers=("02155640002",)),
    )
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        claim = Claim(rig.link, epoch="e1", now=lambda: rig.now, lines=lines, arrivals=partial(arrivals, country="CN"))
        await claim.make()
        told = {
            set_["Variable"].removeprefix("CTID_CONSENT_"): set_["Value"]
            for set_ in pbx.named("Setvar")
            if set_["Variable"].startswith("CTID_CONSENT_")
        }
    sales, home = (
        {did for did, word in told.items() if word == wanted} for wanted in ("consent-tell-them", "ask-ask-them")
    )
    assert {"862155640000", "02155640000", "00862155640000"} <= sales
    assert {"862155640001", "02155640001", "4001"} <= home
    assert {did for did, word in told.items() if word == ""} == {did[:-1] + "2" for did in sales}


async def test_a_beat_renews_the_lease_in_the_pbx_s_own_time() -> None:
    async with ScriptedPbx() as pbx:
        pbx.clock = lambda: 5000.5
        async with running(Rig(pbx.port)) as rig:
            rig.claim.beat(rig.now - 1)
            await until(lambda: len(pbx.named("Setvar")) == 3)
            beat = pbx.named("Setvar")[-1]
            assert beat["Variable"] == "CTID_HEARTBEAT"
            assert 4999 <= int(beat["Value"]) <= 5010


async def test_a_core_that_lags_behind_renews_nothing() -> None:
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        with capture_logs() as logs:
            rig.claim.beat(rig.now - 4)
        assert logs[0]["event"] == "beat.dropped"
        await rig.link.call("CoreStatus")
        assert len(pbx.named("Setvar")) == 2  # the claim alone


async def test_a_real_asterisk_rings_the_phone_it_is_told_and_refuses_a_late_route(tmp_path: Path) -> None:
    asterisk = Asterisk(tmp_path)
    async with asterisk, SippAgent(tmp_path / "sipp", "agent2", asterisk.phones["agent2"]) as phone:
        rig = Rig(asterisk.ami_port, asterisk.ami_username, asterisk.ami_secret)
        async with running(rig), place_call(asterisk, "+4917012345", "100") as call:
            await until(lambda: rig.event("CtidWait"))
            held = rig.event("CtidWait")
            assert held is not None
            ring = Ring(
                call_id=held.get("Call") or "", channel=held.get("Channel") or "", seq=1, endpoint="agent2", seconds=20
            )
            late = Ring(call_id=ring.call_id, channel=ring.channel, seq=0, endpoint="agent1", seconds=20)
            rig.commands.carry_out(late, decided_at=rig.now)
            await until(lambda: rig.event("CtidStale"))
            rig.commands.carry_out(ring, decided_at=rig.now)
            await phone.rings("+4917012345")
            await until(lambda: rig.event("BridgeEnter"))
            await call.hang_up()
            await until(lambda: rig.event("CtidEnd"))
            rig.commands.carry_out(ring, decided_at=rig.now)
            await until(lambda: rig.refused)
            assert "No such channel" in rig.refused[0].reason
