"""What a line does with a caller who waits, on a real PBX: what they hear, where they are sent, whose number is whose."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from ctid.db.calls import Calls
from ctid.db.session import engine
from ctid.domain.types import CallRecord, Candidate, Decision, Direction, LegRecord, LegResult, Outcome, Rule, Via
from lab import tones
from lab.process import until
from lab.sipp import SippAgent
from lab.site import Site
from tests.chain.centre import CSV, Centre, opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

SILENT, WALTZ = 250, 340  # hertz: the PBX's own music, and that of the line ``waltz``
PATIENCE = "longest_wait_seconds = 1"
LINES = {
    "4001": ("service", ""),
    "4010": ("helped", f'agents = ["agent1"]\n{PATIENCE}\noverflow = "line-helping"'),
    "4011": ("helping", 'agents = ["agent2"]'),
    "4012": ("shut", 'holidays = ["01-01..12-31"]\noverflow = "hangup"\nclosed = "announcement-tt-weasels"'),
    "4013": ("onward", f'{PATIENCE}\noverflow = "number-02155634013"'),
    "4014": ("mailbox", f'{PATIENCE}\noverflow = "voicemail-100"'),
    "4015": ("round-and-round", f'{PATIENCE}\noverflow = "line-and-round"'),
    "4016": ("and-round", f'{PATIENCE}\noverflow = "line-round-and-round"'),
    "4017": ("waltz", 'music = "waltz"'),
    "4018": ("told", "announce_seconds = 10"),
    "+862155630100": ("city", ""),
    "5": ("digit", ""),
}


def lines() -> str:
    line = '[[lines]]\nname = "{0}"\nnumbers = ["{1}"]\n{2}\n'
    return "".join(line.format(name, number, more) for number, (name, more) in LINES.items())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    site = Site(
        folder=tmp_path_factory.mktemp("site"),
        agents=("agent1", "agent2"),
        csv=CSV,
        ring_seconds=3,
        routing="round_pause_seconds = 1\ncool_down_seconds = 20\nmissed_in_a_row = 3",
        lines=lines(),
    )
    async with opened(site) as centre:
        yield centre


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Centre) -> Centre:
    await running.tidy()
    return running


async def nobody_free(centre: Centre) -> None:
    for agent in centre.agents:
        await centre.listener.command(agent, "pause", reason="meeting")
    for agent in centre.agents:
        await centre.listener.becomes(agent, "paused")


async def channel_of(centre: Centre, caller: str) -> str:
    """The caller's channel, once they wait."""
    held = await centre.site.asterisk.ami.event("CtidWait", Uniqueid=(await centre.waits(caller))["id"])
    return held["Channel"]


async def answered(centre: Centre, caller: str) -> None:
    """Wait until somebody has answered this caller, and they talk."""
    await until(lambda: any(call["answered_at"] for call in centre.shown(caller)), f"{caller} is answered", limit=15)
    await sound(0.4)


def ran(centre: Centre, channel: str, application: str) -> list[str]:
    """The arguments with which this channel ran the application, in order."""
    done = centre.site.asterisk.ami.events("Newexten", Channel=channel)
    return [m.get("AppData", "") for m in done if m["Application"].lower() == application.lower()]


def played(centre: Centre, channel: str) -> list[str]:
    """The classes of music this channel was played, in order."""
    return [m["Class"] for m in centre.site.asterisk.ami.events("MusicOnHoldStart", Channel=channel)]


# -- overflow ----------------------------------------------------------------------------------------------------------


async def test_a_caller_goes_on_waiting_on_the_other_line_and_is_served_there(centre: Centre) -> None:
    await centre.listener.command("agent1", "pause", reason="meeting")
    await centre.listener.becomes("agent1", "paused")
    before = centre.invites()
    async with centre.site.call("02155640010", "4010") as placed:
        assert await centre.rung(before) == "agent2"
        await answered(centre, "02155640010")
        await placed.hang_up()
    call = await centre.in_the_books("02155640010")
    assert (call["outcome"], call["line"], call["dialled"], call["agent"]) == ("answered", "helping", "4010", "agent2")
    assert [(d["line"], d["reason"], d["to"]) for d in call["diversions"]] == [("helped", "overflow", "line-helping")]
    told = await centre.site.ctid("explain", call["id"])
    assert "on the line helped" in told
    assert "The line helped lets nobody wait longer: the caller went on waiting on the line helping." in told


async def test_a_caller_who_waits_on_another_line_keeps_that_through_a_restart(centre: Centre) -> None:
    await nobody_free(centre)
    async with centre.site.call("02155640011", "4010") as placed:
        await until(lambda: [c for c in centre.shown("02155640011") if c["line"] == "helping"], "the caller moved")
        await centre.site.stop_daemon()
        await centre.site.start_daemon()
        await centre.listener.command("agent1", "resume")
        await centre.listener.becomes("agent1", "idle")
        before = centre.invites()
        await centre.listener.command("agent2", "resume")
        assert await centre.rung(before) == "agent2"
        await answered(centre, "02155640011")
        await placed.hang_up()
    call = await centre.in_the_books("02155640011")
    assert (call["outcome"], call["line"], len(call["diversions"])) == ("answered", "helping", 1)


async def test_a_closed_line_plays_its_announcement_and_nobody_is_rung(centre: Centre) -> None:
    before = centre.invites()
    async with centre.site.call("02155640012", "4012") as placed:
        channel = await channel_of(centre, "02155640012")
        await placed.ended()
    call = await centre.ended("02155640012")
    assert (call["outcome"], call["line"], call["legs"]) == ("closed", "shut", [])
    assert [(d["reason"], d["to"]) for d in call["diversions"]] == [("closed", "announcement-tt-weasels")]
    assert ran(centre, channel, "Playback") == ["tt-weasels"]
    assert centre.invites() == before


async def test_an_outside_number_takes_the_caller_over(centre: Centre) -> None:
    await nobody_free(centre)
    site = centre.site
    async with (
        SippAgent(site.folder / "sipp", "outside", site.asterisk.trunk_port, tone=1600) as outside,
        site.call("02155640013", "4013") as placed,
    ):
        heard = await site.asterisk.listen(await channel_of(centre, "02155640013"), "outside")
        await outside.rings()
        await answered(centre, "02155640013")
        await sound(1)
        await placed.hang_up()
    call = await centre.ended("02155640013")
    assert (call["outcome"], call["agent"], call["ticket_ids"]) == ("overflow", None, [])
    assert [(leg["party"], leg["result"]) for leg in call["legs"]] == [("02155634013", "answered")]
    assert tones.seconds_of(heard, 1600) > 0.5


async def test_an_outside_number_that_is_busy_is_tried_again(centre: Centre) -> None:
    await nobody_free(centre)
    site = centre.site
    async with (
        SippAgent(site.folder / "sipp", "outside", site.asterisk.trunk_port, "busy") as outside,
        site.call("02155640113", "4013") as placed,
    ):
        await until(lambda: len(outside.invites) > 1, "the number is tried again")
        await placed.hang_up()
    call = await centre.ended("02155640113")
    assert {leg["result"] for leg in call["legs"]} == {"busy"}
    assert len(call["diversions"]) == 1


async def test_a_mailbox_keeps_what_the_caller_says(centre: Centre) -> None:
    await nobody_free(centre)
    inbox = centre.site.asterisk.folder / "spool" / "voicemail" / "default" / "100" / "INBOX"
    async with centre.site.call("02155640014", "4014", digits=[(3, "#")]) as placed:
        channel = await channel_of(centre, "02155640014")

        def recorded() -> list[Path]:
            return [f for f in inbox.parent.rglob("*.wav") if f.stat().st_size > 20_000]

        await until(recorded, "the mailbox records", limit=30)
        await placed.hang_up()
    call = await centre.ended("02155640014")
    assert (call["outcome"], call["legs"]) == ("overflow", [])
    assert ran(centre, channel, "VoiceMail") == ["100,u"]
    message = await until(lambda: next(iter(inbox.glob("*.wav")), None), "the message is kept")
    assert tones.seconds_of(message, 440) > 1


async def test_lines_that_overflow_in_a_circle_let_the_caller_go(centre: Centre) -> None:
    await nobody_free(centre)
    async with centre.site.call("02155640015", "4015") as placed:
        await placed.ended()
    call = await centre.ended("02155640015")
    assert (call["outcome"], call["line"]) == ("overflow", "and-round")
    assert [d["to"] for d in call["diversions"]] == ["line-and-round", "hangup"]


# -- music -------------------------------------------------------------------------------------------------------------


async def test_who_waits_hears_the_lines_own_music_also_while_a_phone_rings_and_on_hold(centre: Centre) -> None:
    await nobody_free(centre)
    site = centre.site
    await site.phones["agent1"].behave("answer", ring=1)
    async with site.call("02155640017", "4017") as placed:
        channel = await channel_of(centre, "02155640017")
        await site.asterisk.ami.event("MusicOnHoldStart", Channel=channel, Class="waltz")
        waiting = await site.asterisk.listen(channel, "waiting")
        await sound(1.5)
        await centre.listener.command("agent1", "resume")
        invite = await site.phones["agent1"].rings("02155640017")
        await answered(centre, "02155640017")
        await site.phones["agent1"].hold(invite)
        await until(lambda: len(played(centre, channel)) == 4, "music for who is on hold")
        await site.phones["agent1"].unhold(invite)
        await sound(0.4)
        await placed.hang_up()
    await centre.ended("02155640017")
    await site.phones["agent1"].behave("answer", ring=0.2)
    assert tones.seconds_of(waiting, WALTZ, amplitude=500) > 2
    assert tones.seconds_of(waiting, SILENT, amplitude=500) == 0
    assert played(centre, channel) == ["default", "waltz", "waltz", "waltz"], "held, told, rung, on hold"


async def test_who_is_routed_at_once_hears_it_while_the_phone_rings(centre: Centre) -> None:
    async with centre.site.call("02155640117", "4017") as placed:
        channel = await channel_of(centre, "02155640117")
        await answered(centre, "02155640117")
        await placed.hang_up()
    assert played(centre, channel) == ["default", "waltz"]
    assert ran(centre, channel, "StartMusicOnHold") == ["default"]


# -- announcements -----------------------------------------------------------------------------------------------------


async def test_an_agent_who_becomes_free_during_an_announcement_is_rung_at_once(centre: Centre) -> None:
    await nobody_free(centre)
    site = centre.site
    async with site.call("02155640018", "4018") as first:
        ahead = await channel_of(centre, "02155640018")
        async with site.call("02155640118", "4018") as second:
            behind = await channel_of(centre, "02155640118")
            heard = await site.asterisk.listen(behind, "announced")
            await until(lambda: ran(centre, behind, "SayNumber") == ["2"], "the place is announced", limit=15)
            assert ran(centre, ahead, "BackGround") == ["queue-youarenext"]
            before = centre.invites()
            for agent in centre.agents:
                await centre.listener.command(agent, "resume")
            await until(lambda: all(centre.invites()[a] > before[a] for a in before), "both phones ring")
            await answered(centre, "02155640118")
            assert ran(centre, behind, "BackGround")[0] == "queue-thereare"
            assert len(ran(centre, behind, "StartMusicOnHold")) == 1, (
                "no music again: the announcement was cut by the route"
            )
            await first.hang_up()
            await second.hang_up()
    call = await centre.ended("02155640118")
    assert (call["outcome"], len(call["decisions"])) == ("answered", 1)
    assert tones.seconds(heard) > 1


async def test_the_wait_is_announced_from_the_last_hour_in_the_books_and_a_digit_cuts_it(centre: Centre) -> None:
    site = centre.site
    await site.stop_daemon()
    database = engine(f"sqlite:///{site.state / 'ctid.db'}")
    await Calls(database).save(waited(100 + 10 * n, ago=600 + n, number=n) for n in range(6))
    await database.dispose()
    await site.start_daemon()
    await nobody_free(centre)
    async with site.call("02155640318", "4018") as placed:
        await centre.waits("02155640318")
        async with site.call("02155640218", "4018", digits=[(11, "5")]) as impatient:
            channel, other = await channel_of(centre, "02155640318"), await channel_of(centre, "02155640218")
            await until(lambda: len(ran(centre, channel, "BackGround")) > 2, "the wait is announced", limit=25)
            # Whole, it is queue-thereare, queue-callswaiting, queue-holdtime, queue-minutes.
            assert len(ran(centre, other, "BackGround")) < 4, "the digit cut it"
            assert len(ran(centre, other, "StartMusicOnHold")) > 1, "and music went on"
            await placed.hang_up()
            await impatient.hang_up()
    assert ran(centre, channel, "BackGround") == ["queue-youarenext", "queue-holdtime", "queue-minutes"]
    assert ran(centre, channel, "SayNumber") == ["3"]


def waited(seconds: float, *, ago: float, number: int) -> CallRecord:
    """A caller of the line ``told`` who waited that long and was answered so long ago."""
    answered = datetime.now(ZoneInfo("UTC")).timestamp() - ago
    candidate = Candidate(agent="agent1", talk_seconds=0, idle_since=answered - 1)
    return CallRecord(
        id=f"1700000000.{number}",
        pbx="lab",
        direction=Direction.INBOUND,
        caller=f"0215569{number:04}",
        dialled="4018",
        line="told",
        started_at=answered - seconds,
        answered_at=answered,
        ended_at=answered + 10,
        outcome=Outcome.ANSWERED,
        via=Via.CTID,
        agent="agent1",
        legs=(
            LegRecord(
                id=f"1700000000.9{number}",
                agent="agent1",
                party="agent1",
                offered_at=answered - 1,
                answered_at=answered,
                ended_at=answered + 10,
                result=LegResult.ANSWERED,
            ),
        ),
        decisions=(Decision(at=answered - 1, rule=Rule.LEAST_TALK, chosen="agent1", considered=(candidate,)),),
    )


# -- numbers -----------------------------------------------------------------------------------------------------------


async def test_a_number_dialled_in_any_form_is_its_lines_or_everyones(centre: Centre) -> None:
    await nobody_free(centre)
    forms = {
        "+862155630100": "city",
        "862155630100": "city",
        "02155630100": "city",
        "00862155630100": "city",
        "5": "digit",
        "6": None,
        "": None,
        "hotline": None,
        "+8621556301009": None,
    }
    async with AsyncExitStack() as stack:
        calls = []
        for position, (dialled, line) in enumerate(forms.items()):
            caller = f"021556500{position:02}"
            calls.append(await stack.enter_async_context(centre.site.call(caller, dialled)))
            call = await centre.waits(caller)
            assert (call["line"], call["dialled"]) == (line, dialled or None), dialled
        before = centre.invites()
        for agent in centre.agents:
            await centre.listener.command(agent, "resume")
        await until(lambda: all(centre.invites()[a] > before[a] for a in before), "callers are served")
        await sound(1)
        for placed in calls:
            await placed.hang_up()


async def test_any_caller_reaches_the_line_they_dialled(centre: Centre) -> None:
    await nobody_free(centre)
    callers = {
        "anonymous": None,
        "alice": "alice",
        "+8613800138009": "+8613800138009",
        "2%0d%0aAction%3a%20Logoff": "2",
    }
    for caller, shown in callers.items():
        async with centre.site.call(caller, "+862155630100") as placed:
            assert (await centre.waits(shown))["line"] == "city", caller
            await placed.hang_up()


# -- agents who do not take it -----------------------------------------------------------------------------------------


async def test_a_phone_that_was_busy_is_left_alone_for_a_while(centre: Centre) -> None:
    refusing = centre.least_talk()
    await centre.site.phones[refusing].behave("busy")
    for caller in ("02155650002", "02155650003"):
        before = centre.invites()
        async with centre.site.call(caller) as placed:
            await answered(centre, caller)
            await placed.hang_up()
        await centre.ended(caller)
        for agent in centre.agents:
            await centre.listener.becomes(agent, "idle")
    assert centre.invites()[refusing] == before[refusing]
    call = await centre.in_the_books("02155650003")
    assert call["decisions"][0]["skipped"] == {"cooling_down": 1}


async def test_ctids_dialplan_made_asterisk_warn_of_nothing(centre: Centre) -> None:
    assert centre.complaints() == []
