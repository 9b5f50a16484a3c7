"""The fallback queue's members: they follow who is signed in, whoever dies and comes back, and nobody else rings."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.process import until
from lab.site import Site
from tests.chain.centre import Centre, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")

Members = dict[str, tuple[str, bool]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    async with opened(Site(folder=tmp_path_factory.mktemp("site"), ring_seconds=3)) as centre:
        yield centre


@pytest_asyncio.fixture(loop_scope="module")
async def centre(running: Centre) -> Centre:
    """Everyone at their own phone, ctid alive."""
    assert running.site.daemon is not None
    if running.site.daemon.exit_status is not None:
        await running.site.start_daemon()
    for agent in running.agents:
        state = running.listener.state(agent)
        if state is None or state["phone"] != agent:
            await running.site.sign_in(agent)
    await running.tidy()
    await become(running, {f"PJSIP/{agent}": (agent, False) for agent in running.agents})
    return running


async def members(centre: Centre) -> Members:
    """The queue's members as Asterisk has them: interface, then who, and whether paused."""
    ami = centre.site.asterisk.ami
    mark = len(ami.messages)
    await ami.action("QueueStatus", Queue="ctid-failsafe")
    await until(lambda: any(m.get("Event") == "QueueStatusComplete" for m in ami.messages[mark:]), "the queue's status")
    told = [m for m in ami.messages[mark:] if m.get("Event") == "QueueMember"]
    return {m["Location"]: (m["Name"], m["Paused"] == "1") for m in told}


async def become(centre: Centre, wanted: Members, limit: float = 15.0) -> None:
    async def so() -> bool:
        return await members(centre) == wanted

    await until(so, f"the members become {wanted}", limit=limit)


async def rings_alone(centre: Centre, caller: str, agent: str) -> None:
    """A call with ctid dead rings this agent's phone and is talked to there."""
    before = centre.invites()
    async with centre.site.call(caller) as placed:
        assert await centre.rung(before, limit=15) == agent
        await until(lambda: bridged(centre, caller), f"{caller} talks")
        await placed.hang_up()
    assert {a for a, count in centre.invites().items() if count > before[a]} == {agent}


async def dies(centre: Centre) -> None:
    """ctid is killed, what it knows being in the books, and the dialplan takes it for dead."""
    await centre.booked()
    await centre.site.kill_daemon()
    await until(lambda: lease_over(centre), "ctid counts as dead")


def bridged(centre: Centre, caller: str) -> bool:
    return bool(centre.site.asterisk.ami.events("BridgeEnter", CallerIDNum=caller))


async def keyed(centre: Centre, phone: str, code: str) -> str:
    """Someone at this phone dials a code; the last prompt they heard."""
    ami = centre.site.asterisk.ami
    mark = len(ami.messages)
    async with centre.site.call(phone, code) as call:
        await call.ended(limit=25)
    played = [m for m in ami.messages[mark:] if m.get("Event") == "Newexten" and m.get("Application") == "Playback"]
    return played[-1]["AppData"]


async def test_the_members_follow_sign_in_pause_move_and_sign_out(centre: Centre) -> None:
    await centre.listener.command("agent1", "pause", reason="lunch")
    await become(
        centre,
        {"PJSIP/agent1": ("agent1", True), "PJSIP/agent2": ("agent2", False), "PJSIP/agent3": ("agent3", False)},
    )
    await centre.listener.command("agent1", "resume")
    await centre.listener.command("agent1", "sign_in", phone="agent2")  # where agent2 sits
    await become(centre, {"PJSIP/agent2": ("agent1", False), "PJSIP/agent3": ("agent3", False)})
    await centre.listener.command("agent3", "sign_out")
    await become(centre, {"PJSIP/agent2": ("agent1", False)})


async def test_with_ctid_dead_only_who_is_signed_in_and_not_paused_is_rung_and_all_is_put_right_afterwards(
    centre: Centre,
) -> None:
    await centre.listener.command("agent1", "sign_out")
    await centre.listener.command("agent2", "pause", reason="lunch")
    await become(centre, {"PJSIP/agent2": ("agent2", True), "PJSIP/agent3": ("agent3", False)})
    await dies(centre)
    await rings_alone(centre, "02155650001", "agent3")
    await centre.site.asterisk.restart()  # the members outlive it
    await become(centre, {"PJSIP/agent2": ("agent2", True), "PJSIP/agent3": ("agent3", False)})
    await rings_alone(centre, "02155650002", "agent3")
    # Somebody meddled: one too many, one missing, one unpaused.
    ami = centre.site.asterisk.ami
    await ami.action("QueueAdd", Queue="ctid-failsafe", Interface="PJSIP/agent1")
    await ami.action("QueueRemove", Queue="ctid-failsafe", Interface="PJSIP/agent3")
    await ami.action("QueuePause", Queue="ctid-failsafe", Interface="PJSIP/agent2", Paused="false")
    await centre.site.start_daemon()
    await become(centre, {"PJSIP/agent2": ("agent2", True), "PJSIP/agent3": ("agent3", False)})


async def test_after_a_restart_of_the_pbx_the_members_are_there_again(centre: Centre) -> None:
    database = centre.site.asterisk.folder / "lib" / "astdb.sqlite3"
    await centre.site.asterisk.stop()
    database.unlink()
    await centre.site.asterisk.start()
    await become(centre, {f"PJSIP/{agent}": (agent, False) for agent in centre.agents}, limit=60)


async def test_with_ctid_dead_a_phone_joins_and_leaves_by_feature_code(centre: Centre) -> None:
    for agent in centre.agents:
        await centre.listener.command(agent, "sign_out")
    await become(centre, {})
    await dies(centre)
    assert await keyed(centre, "agent2", "*11") == "agent-loginok"
    await rings_alone(centre, "02155650003", "agent2")
    assert await keyed(centre, "agent2", "*13") == "do-not-disturb&activated"
    assert await members(centre) == {"PJSIP/agent2": ("PJSIP/agent2", True)}
    assert await keyed(centre, "agent2", "*14") == "do-not-disturb&de-activated"
    assert await members(centre) == {"PJSIP/agent2": ("PJSIP/agent2", False)}
    assert await keyed(centre, "agent2", "*12") == "agent-loggedoff"
    assert await members(centre) == {}
    assert await keyed(centre, "agent1", "*11") == "agent-loginok"
    await centre.site.start_daemon()
    await become(centre, {})  # nobody gave a PIN: nobody is signed in


async def test_who_signed_out_or_paused_at_the_phone_while_ctid_was_dead_stays_so(centre: Centre) -> None:
    await dies(centre)
    assert await keyed(centre, "agent1", "*12") == "agent-loggedoff"
    assert await keyed(centre, "agent3", "*13") == "do-not-disturb&activated"
    await centre.site.start_daemon()
    await centre.listener.becomes("agent1", "offline")
    assert (await centre.listener.becomes("agent3", "paused"))["reason"] == "feature code"
    await become(centre, {"PJSIP/agent2": ("agent2", False), "PJSIP/agent3": ("agent3", True)})


async def lease_over(centre: Centre) -> bool:
    pbx = centre.site.asterisk
    beat = (await pbx.ami.action("Getvar", Variable="CTID_HEARTBEAT"))["Value"]
    now = (await pbx.ami.action("Getvar", Variable="EPOCH"))["Value"]
    return int(now) - int(beat) > 3
