"""The calls ctid makes: asked for once, and said at once where they were not asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from scripted_pbx import ScriptedPbx, error, until

from ctid.asterisk.client import AmiLink, AmiSettings, LinkState
from ctid.asterisk.originating import Originator
from ctid.domain.actions import Originate
from ctid.domain.events import CallNotMade
from ctid.domain.types import Consent

CALL = Originate(
    call_id="callback1-1772413200.7",
    endpoint="agent-7_b",
    number="13800138000",
    caller="4001",
    seconds=19.2,
    customer_seconds=45,
    title="Callback",
)


class Rig:
    def __init__(self, port: int) -> None:
        settings = AmiSettings(host="127.0.0.1", port=port, username="ctid-originate", secret="s3cret")
        self.refused: list[CallNotMade] = []
        self.now = 1000.0
        self.link = AmiLink(settings, on_messages=lambda _: None, on_up=self._up, on_down=lambda: None)
        self.originator = Originator(self.link, now=lambda: self.now, on_refused=self.refused.append)

    async def _up(self, _: AmiLink) -> None:
        pass


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


async def test_a_call_is_asked_for_under_ctids_own_id_and_without_waiting() -> None:
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        rig.originator.carry_out(CALL, decided_at=rig.now)
        await until(lambda: pbx.named("Originate"))
        [asked] = pbx.named("Originate")
        assert (asked["ChannelId"], asked["Channel"], asked["Async"]) == (CALL.call_id, "PJSIP/agent-7_b", "true")
        assert (asked["Context"], asked["Exten"], asked["Timeout"]) == ("ctid-callback", "13800138000", "19200")
        assert asked["Variable"] == "CTID_FROM=4001,CTID_SECONDS=45"
        rig.originator.carry_out(replace(CALL, consent=Consent.REFUSED), decided_at=rig.now)
        await until(lambda: len(pbx.named("Originate")) > 1)
        unrecorded = pbx.named("Originate")[1]["Variable"]
        assert unrecorded == "CTID_FROM=4001,CTID_SECONDS=45,__CTID_CONSENTED=refused"
        assert rig.refused == []


@pytest.mark.parametrize(
    "hostile",
    [
        replace(CALL, number="1380013,n"),
        replace(CALL, number="${SHELL(id)}"),
        replace(CALL, number=""),
        replace(CALL, endpoint="agent7&PJSIP/trunk"),
        replace(CALL, endpoint="agent7\r\nAction: Command"),
    ],
)
async def test_nothing_but_digits_and_names_gets_into_a_call(hostile: Originate) -> None:
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        rig.originator.carry_out(hostile, decided_at=rig.now)
        assert [told.call_id for told in rig.refused] == [CALL.call_id]
        await rig.link.call("Ping")
        assert not pbx.named("Originate")


async def test_the_number_shown_to_the_customer_is_digits_whatever_they_had_dialled() -> None:
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        rig.originator.carry_out(replace(CALL, caller="40,CTID_FILE=x\r\n01"), decided_at=rig.now)
        await until(lambda: pbx.named("Originate"))
        assert pbx.named("Originate")[0]["Variable"] == "CTID_FROM=4001,CTID_SECONDS=45"


async def test_a_call_without_a_link_or_too_late_or_refused_is_said_to_be_none() -> None:
    rig = Rig(1)
    rig.originator.carry_out(CALL, decided_at=rig.now)
    assert [told.call_id for told in rig.refused] == [CALL.call_id]
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        rig.originator.carry_out(CALL, decided_at=rig.now - 4)
        assert len(rig.refused) == 1
        pbx.script["Originate"] = lambda action: error(action, "Permission denied")
        rig.originator.carry_out(CALL, decided_at=rig.now)
        await until(lambda: len(rig.refused) == 2)
        assert rig.refused[-1].result is None
