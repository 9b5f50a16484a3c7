"""The link to the PBX lives through what panoramisk alone would not (the defects of 1.4 are named where each is met)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from scripted_pbx import Action, ScriptedPbx, error, message, ok, until
from structlog.testing import capture_logs

from ctid.asterisk.client import AmiDown, AmiError, AmiLink, AmiRefused, AmiSettings, AmiTimeout, LinkState
from ctid.asterisk.wire import Message, UnsendableError
from lab.asterisk import Asterisk
from lab.sipp import place_call


@dataclass
class Seen:
    """What the daemon would see of a link."""

    link: AmiLink = field(init=False)
    messages: list[Message] = field(default_factory=list)
    ups: int = 0
    downs: int = 0
    heard_at: float | None = None  # as the link says when it is down

    def names(self) -> list[str]:
        return [m.name for m in self.messages if m.name != "FullyBooted"]


def settings_of(port: int, **more: object) -> AmiSettings:
    quick = AmiSettings(
        host="127.0.0.1",
        port=port,
        username="ctid",
        secret="s3cret",
        first_retry_seconds=0.02,
        last_retry_seconds=0.1,
    )
    return replace(quick, **more)


@asynccontextmanager
async def linked(
    pbx: ScriptedPbx,
    *,
    on_messages: Callable[[list[Message]], None] | None = None,
    on_up: Callable[[AmiLink], object] | None = None,
    up: bool = True,
    **more: object,
) -> AsyncIterator[Seen]:
    seen = Seen()

    async def opened(link: AmiLink) -> None:
        seen.ups += 1
        if on_up is not None:
            await on_up(link)

    def closed() -> None:
        seen.downs += 1
        seen.heard_at = seen.link.heard_at

    seen.link = AmiLink(
        settings_of(pbx.port, **more),
        on_messages=on_messages or seen.messages.extend,
        on_up=opened,
        on_down=closed,
    )
    running = asyncio.create_task(seen.link.run())
    try:
        if up:
            await until(lambda: seen.link.state is LinkState.UP or running.done())
        yield seen
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


# -- the life of the link ----------------------------------------------------------------------------------------------


async def test_live_events_wait_for_the_resync_and_follow_it_in_order() -> None:
    async with ScriptedPbx() as pbx:
        seen_during: list[list[str]] = []
        pbx.greets += message(Event="Newchannel", Uniqueid="1") + message(Event="Hangup", Uniqueid="1")

        async def resync(link: AmiLink) -> None:
            await link.call("CoreStatus")
            pbx.say(message(Event="Newstate", Uniqueid="2"))
            await until(lambda: link.events["Newstate"])
            seen_during.append(seen_names())

        def seen_names() -> list[str]:
            return [m.name for m in messages]

        messages: list[Message] = []
        async with linked(pbx, on_up=resync, on_messages=messages.extend):
            assert seen_during == [[]]
            assert seen_names() == ["FullyBooted", "Newchannel", "Hangup", "Newstate"]


async def test_a_lost_link_comes_back_and_is_read_anew() -> None:
    async with ScriptedPbx() as pbx, linked(pbx) as seen:
        pbx.drop()
        await until(lambda: seen.ups == 2 and seen.link.state is LinkState.UP)
        assert seen.downs == 1
        assert len(pbx.named("Login")) == 2


async def test_a_pbx_that_closes_the_link_was_there_until_then() -> None:
    async with ScriptedPbx() as pbx, linked(pbx) as seen:
        heard_at, before = seen.link.heard_at, seen.link.pbx_now()
        assert heard_at is not None
        assert heard_at < before
        pbx.drop()
        await until(lambda: seen.downs == 1)
        assert seen.heard_at is not None
        assert before < seen.heard_at < seen.link.pbx_now()


async def test_a_pbx_that_boots_under_a_live_link_is_read_again_without_a_new_login() -> None:
    async with ScriptedPbx() as pbx, linked(pbx) as seen:
        pbx.say(message(Event="FullyBooted") + message(Event="Newchannel"))
        await until(lambda: seen.ups == 2 and seen.names() == ["Newchannel"])
        assert (len(pbx.named("Login")), seen.downs) == (1, 0)


async def test_a_wish_to_read_anew_that_comes_while_the_state_is_read_is_not_lost() -> None:
    async with ScriptedPbx() as pbx:

        async def elected_meanwhile(link: AmiLink) -> None:
            if len(pbx.named("CoreStatus")) == 0:
                await link.call("CoreStatus")
                link.read_anew()
                pbx.say(message(Event="Newchannel"))

        async with linked(pbx, on_up=elected_meanwhile) as seen:
            await until(lambda: seen.ups == 2 and seen.names() == ["Newchannel"])
            assert (len(pbx.named("Login")), seen.downs) == (1, 0)


async def test_a_wrong_secret_is_a_state_of_its_own_and_one_line_in_the_log() -> None:  # defect 11
    async with ScriptedPbx(secret="other") as pbx:
        with capture_logs() as logs:
            async with linked(pbx, up=False, wrong_secret_seconds=0.05) as seen:
                await until(lambda: len(pbx.named("Login")) >= 3)
                assert seen.link.state in (LinkState.WRONG_SECRET, LinkState.CONNECTING)
                assert (seen.ups, seen.downs) == (0, 0)
        told = [line for line in logs if line["log_level"] == "error"]
        assert len(told) == 1
        assert "[ami] username and secret" in told[0]["error"]
        assert "s3cret" not in str(logs)


async def test_a_wrong_secret_is_retried_slowly() -> None:
    async with ScriptedPbx(secret="other") as pbx, linked(pbx, up=False) as seen:
        await until(lambda: seen.link.state is LinkState.WRONG_SECRET)
        assert seen.link.settings.wrong_secret_seconds == 30
        assert pbx.connections == 1


async def test_a_half_open_link_is_found_by_its_unanswered_ping() -> None:  # defect 8
    async with ScriptedPbx() as pbx, linked(pbx, ping_seconds=0.02, dead_seconds=0.1) as seen:
        pbx.silent = True
        await until(lambda: seen.downs == 1)
        pbx.silent = False
        await until(lambda: seen.ups == 2)


async def test_no_connection_is_made_after_the_link_was_stopped_while_it_waited() -> None:  # defect 12
    async with ScriptedPbx() as pbx:
        async with linked(pbx) as seen:
            pbx.drop()
            await until(lambda: seen.link.state is LinkState.DOWN)
        before = pbx.connections
        await asyncio.sleep(0.2)
        assert pbx.connections == before


async def test_a_port_that_speaks_something_else_gets_one_clear_line() -> None:
    async with ScriptedPbx(greeting=b"SSH-2.0-OpenSSH_9.2p1\r\n") as pbx:
        pbx.silent = True
        with capture_logs() as logs:
            async with linked(pbx, up=False, connect_seconds=0.1):
                await until(lambda: any("is [ami] port right?" in line.get("error", "") for line in logs))


async def test_a_peer_that_sends_garbage_without_end_is_left_and_tried_again() -> None:
    async with ScriptedPbx() as pbx, linked(pbx) as seen:
        pbx.say(b"x" * (5 * 1024 * 1024))
        await until(lambda: seen.ups == 2)


async def test_a_missing_right_is_told_with_its_mend_and_costs_no_crash() -> None:
    async with ScriptedPbx() as pbx:
        pbx.script["Status"] = lambda action: error(action, "Permission denied")

        async def resync(link: AmiLink) -> None:
            await link.snapshot()

        with capture_logs() as logs:
            async with linked(pbx, on_up=resync, up=False) as seen:
                await until(lambda: seen.ups == 2)
        assert any("refused Status: Permission denied; add the class" in line.get("error", "") for line in logs)


# -- events ------------------------------------------------------------------------------------------------------------


async def test_a_receiver_that_raises_neither_breaks_the_link_nor_loses_the_next_event() -> None:  # defect 1
    got: list[str] = []

    def receive(messages: list[Message]) -> None:
        for m in messages:
            if m.name == "Newchannel":
                raise RuntimeError("a receiver's fault")
            got.append(m.name)

    async with ScriptedPbx() as pbx, linked(pbx, on_messages=receive) as seen:
        with capture_logs() as logs:
            pbx.say(message(Event="Newchannel"))
            await until(lambda: any(line["event"] == "ami.receiver_failed" for line in logs))
            pbx.say(message(Event="Hangup"))
            await until(lambda: "Hangup" in got)
        assert (seen.downs, pbx.connections) == (0, 1)


async def test_a_name_cut_at_every_byte_arrives_whole() -> None:  # defect 9
    async with ScriptedPbx() as pbx, linked(pbx) as seen:
        await pbx.say_slowly(message(Event="Newchannel", CallerIDName="Müller 王芳"))
        await until(lambda: seen.names() == ["Newchannel"])
        assert seen.messages[-1].get("CallerIDName") == "Müller 王芳"


async def test_events_arrive_in_the_order_they_were_sent() -> None:  # defect 14
    async with ScriptedPbx() as pbx, linked(pbx) as seen:
        pbx.say(b"".join(message(Event="Newstate", N=str(n)) for n in range(500)))
        await until(lambda: len(seen.names()) == 500)
        assert [m.get("N") for m in seen.messages if m.name == "Newstate"] == [str(n) for n in range(500)]


async def test_only_wanted_events_are_delivered_and_the_boot_always() -> None:  # defect 17
    async with ScriptedPbx() as pbx, linked(pbx, wanted=frozenset({b"Hangup"})) as seen:
        pbx.say(
            message(Event="Newexten") + message(Event="OriginateResponse", ActionID="other") + message(Event="Hangup")
        )
        await until(seen.names)
        assert [m.name for m in seen.messages] == ["FullyBooted", "Hangup"]
        assert dict(seen.link.events) == {"FullyBooted": 1, "Hangup": 1}


async def test_the_pbx_s_clock_is_learnt_from_its_pongs_and_the_lag_reckoned_by_it() -> None:
    async with ScriptedPbx() as pbx:
        ours = pbx.clock
        pbx.clock = lambda: ours() + 3600
        async with linked(pbx) as seen:
            assert abs(seen.link.pbx_now() - pbx.clock()) < 1
            pbx.say(message(Event="Hangup", Timestamp=f"{pbx.clock() - 5:.6f}"))
            await until(seen.names)
            assert seen.link.lag is not None
            assert 4 < seen.link.lag < 6


# -- actions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["PlayDTMF", "Atxfer", "Originate", "QueueAdd"])
async def test_the_actions_that_broke_or_hung_panoramisk_are_answered(action: str) -> None:  # defects 2, 3, 5
    texts = {"PlayDTMF": "DTMF successfully queued", "Originate": "Originate successfully queued"}
    async with ScriptedPbx() as pbx:
        pbx.script[action] = lambda a: ok(a, Message=texts.get(action, "Added interface to queue"))
        async with linked(pbx) as seen:
            assert (await seen.link.call(action)).get("Response") == "Success"
            assert seen.downs == 0


async def test_a_list_is_collected_to_its_end_and_its_events_stay_out_of_the_live_ones() -> None:
    def answer(action: Action) -> bytes:
        items = b"".join(message(Event="Status", ActionID=action["ActionID"], Uniqueid=str(n)) for n in range(3))
        end = message(Event="StatusComplete", ActionID=action["ActionID"], EventList="Complete")
        return ok(action, EventList="start") + items + message(Event="Hangup") + end

    async with ScriptedPbx() as pbx:
        pbx.script["Status"] = answer
        async with linked(pbx) as seen:
            assert [m.get("Uniqueid") for m in await seen.link.list("Status")] == ["0", "1", "2"]
            assert seen.names() == ["Hangup"]


async def test_a_refused_list_raises_what_the_pbx_said() -> None:  # defect 4
    async with ScriptedPbx() as pbx:
        pbx.script["QueueStatus"] = lambda a: error(a, "No such queue")
        async with linked(pbx) as seen:
            with pytest.raises(AmiRefused, match="No such queue"):
                await seen.link.list("QueueStatus")


async def test_an_unanswered_action_ends_at_its_deadline_and_its_late_answer_is_no_event() -> None:  # defect 6
    async with ScriptedPbx() as pbx:
        pbx.script["Status"] = lambda _: b""
        async with linked(pbx) as seen:
            with pytest.raises(AmiTimeout, match=r"Status within 0\.05 s"):
                await seen.link.call("Status", deadline=0.05)
            [asked] = pbx.named("Status")
            pbx.say(message(Event="Status", ActionID=asked["ActionID"]) + message(Event="Hangup"))
            await until(seen.names)
            assert seen.names() == ["Hangup"]
            assert not seen.link.protocol.responses


async def test_a_lost_link_fails_what_is_pending_at_once_and_nothing_is_sent_again() -> None:  # defects 6, 7
    async with ScriptedPbx() as pbx:
        pbx.script["BlindTransfer"] = lambda _: b""
        async with linked(pbx) as seen:
            pending = asyncio.create_task(seen.link.call("BlindTransfer", deadline=600))
            await until(lambda: pbx.named("BlindTransfer"))
            pbx.drop()
            with pytest.raises(AmiDown):
                await pending
            await until(lambda: seen.ups == 2 and seen.link.state is LinkState.UP)
            await seen.link.call("CoreStatus")
            assert len(pbx.named("BlindTransfer")) == 1


async def test_an_action_without_a_link_is_refused_at_once() -> None:  # defect 13
    async with ScriptedPbx() as pbx, linked(pbx) as seen:
        pbx.server.close()
        pbx.drop()
        await until(lambda: seen.downs == 1)
        with pytest.raises(AmiDown, match="no link"):
            await seen.link.call("CoreStatus")
        with pytest.raises(AmiDown):
            seen.link.send_now(("Setvar", {}), on_reply=lambda _: None)


@pytest.mark.parametrize("value", ["x\r\nAction: Originate", "x\ny", "x" * 2000])
async def test_a_value_that_would_inject_a_header_is_never_sent(value: str) -> None:  # defect 10
    async with ScriptedPbx() as pbx, linked(pbx) as seen:
        with pytest.raises(UnsendableError):
            await seen.link.call("Setvar", {"Variable": "CTID_X", "Value": value})
        assert not pbx.named("Setvar")
        assert not pbx.named("Originate")
        assert not seen.link.protocol.responses


async def test_pipelined_actions_leave_in_one_write_and_report_once() -> None:
    async with ScriptedPbx() as pbx, linked(pbx) as seen:
        replies: list[AmiError | None] = []
        seen.link.send_now(("Setvar", {"Value": "1"}), ("PlayDTMF", {"Digit": "D"}), on_reply=replies.append)
        await until(lambda: replies)
        assert replies == [None]
        [write] = [data for data in pbx.reads if b"Setvar" in data]
        assert b"PlayDTMF" in write


async def test_of_pipelined_actions_the_first_refusal_is_reported() -> None:
    async with ScriptedPbx() as pbx:
        pbx.script["Setvar"] = lambda a: error(a, "No such channel")
        pbx.script["PlayDTMF"] = lambda a: error(a, "Channel not found")
        async with linked(pbx) as seen:
            replies: list[AmiError | None] = []
            seen.link.send_now(("Setvar", {}), ("PlayDTMF", {}), on_reply=replies.append)
            await until(lambda: replies)
            [refused] = replies
            assert isinstance(refused, AmiRefused)
            assert (refused.action, refused.reason) == ("Setvar", "No such channel")


async def test_panoramisk_s_own_way_of_sending_goes_through_the_fence() -> None:
    async with ScriptedPbx() as pbx, linked(pbx) as seen:
        [response] = await seen.link.send_action({"Action": "CoreStatus"})
        assert response.get("Response") == "Success"
        with pytest.raises(UnsendableError):
            seen.link.send_command("core show channels\r\nAction: Originate")


async def test_the_state_is_asked_for_in_one_write_and_is_of_the_moment_the_pbx_names() -> None:
    async with ScriptedPbx() as pbx, linked(pbx) as seen:

        def listed(*events: bytes, done: str) -> Callable[[Action], bytes]:
            return lambda a: (
                ok(a, EventList="start")
                + b"".join(
                    each.replace(b"ID?", a["ActionID"].encode())
                    for each in (*events, message(Event=done, ActionID="ID?", EventList="Complete"))
                )
            )

        talking = [
            message(
                Event="CoreShowChannel",
                ActionID="ID?",
                Channel=f"PJSIP/{n}",
                Uniqueid=f"1.{n}",
                Linkedid="1.0",
                BridgeId=bridge,
            )
            for n, bridge in enumerate(("b1", "b1", ""))
        ]
        pbx.script["CoreShowChannels"] = listed(*talking, done="CoreShowChannelsComplete")
        pbx.script["Status"] = listed(done="StatusComplete")
        pbx.script["DeviceStateList"] = listed(done="DeviceStateListComplete")
        pbx.clock = lambda: 1000.5
        pbx.reads.clear()
        snapshot = await seen.link.snapshot()
        assert snapshot.at == 1000.5
        assert snapshot.bridges == {"b1": ["1.0", "1.1"]}
        [whole] = [read for read in pbx.reads if b"CoreShowChannels" in read]
        asked = [line for line in whole.split(b"\r\n") if line.startswith(b"Action: ")]
        assert asked[0] == b"Action: Ping"
        assert len(asked) == 5


# -- a real Asterisk ---------------------------------------------------------------------------------------------------


async def test_a_real_asterisk_gives_its_snapshot_its_events_and_its_clock(tmp_path: Path) -> None:
    asterisk = Asterisk(tmp_path)
    async with asterisk:
        seen, snapshots = Seen(), []

        async def resync(link: AmiLink) -> None:
            snapshots.append(await link.snapshot())

        pbx = settings_of(asterisk.ami_port, username=asterisk.ami_username, secret=asterisk.ami_secret)
        seen.link = AmiLink(pbx, on_messages=seen.messages.extend, on_up=resync, on_down=lambda: None)
        await asterisk.ami.beat("e1")
        running = asyncio.create_task(seen.link.run())
        try:
            await until(lambda: seen.link.state is LinkState.UP)
            assert snapshots[0].channels == ()
            await seen.link.call("Setvar", {"Variable": "CTID_EPOCH", "Value": "e1"})
            async with place_call(asterisk, "+4917012345", "100", name="Müller") as call:
                await until(lambda: any(m.get("UserEvent") == "CtidWait" for m in seen.messages))
                entered = next(m for m in seen.messages if m.name == "Newchannel")
                assert entered.get("CallerIDNum") == "+4917012345"
                assert entered.at is not None
                assert abs(entered.at - seen.link.pbx_now()) < 60
                again = await seen.link.snapshot()
                [held] = again.status
                assert held.variables()["CTID_SEQ"] == "1"
                await call.hang_up()
                await until(lambda: "Hangup" in seen.names())
            await asterisk.restart()
            # It may greet before it is fully booted, and is then read twice.
            await until(lambda: len(snapshots) >= 2 and seen.link.state is LinkState.UP, limit=60)
            assert snapshots[-1].channels == ()
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
