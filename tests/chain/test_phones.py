"""Phones that leave and come back, elsewhere or all at once, while callers wait, ring and talk."""

import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.process import free_port, until
from lab.sipp import SippAgent
from lab.site import Site
from lab.wire import Wire
from tests.chain.centre import Centre, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONES = ("desk1", "desk2")


class Floor(Centre):
    """Two phones that register, somebody signed in at each; ctid's link to the PBX runs through a wire."""

    def __init__(self, site: Site, wire: Wire) -> None:
        super().__init__(site)
        self.wire = wire

    async def device(self, phone: str, state: str) -> None:
        def look() -> bool:
            told = self.site.asterisk.ami.events("DeviceStateChange", Device=f"PJSIP/{phone}")
            return bool(told) and told[-1]["State"] == state

        await until(look, f"{phone} is {state}")

    async def here(self, phone: str) -> None:
        await self.site.phones[phone].register(self.site.asterisk, phone)
        await self.device(phone, "NOT_INUSE")

    async def gone(self, phone: str) -> None:
        await self.site.phones[phone].register(self.site.asterisk, phone, seconds=0)
        await self.device(phone, "UNAVAILABLE")

    async def all_here(self) -> None:
        """Every phone answers where it always stood, and everyone is idle."""
        for name, phone in self.site.phones.items():
            await phone.behave("answer")
            await self.here(name)
        await self.all_idle()

    async def answered(self, caller: str, limit: float = 15.0) -> None:
        await until(
            lambda: (self.shown(caller) or [{}])[-1].get("answered_at"), f"{caller} talks with somebody", limit=limit
        )

    def rang(self, phone: str) -> list[str]:
        """Who was offered to this phone, in order."""
        return [invite.user for invite in self.site.phones[phone].invites]

    async def served(self, caller: str, agent: str) -> dict[str, object]:
        """The caller's call when it is over: taken by this agent, as long as its recording."""
        call = await self.ended(caller)
        assert (call["via"], call["outcome"], call["agent"]) == ("ctid", "answered", agent)
        talked = sum(leg["talk_seconds"] for leg in call["legs"])
        [recording] = call["recordings"]
        assert recording["state"] == "complete"
        assert recording["seconds"] == pytest.approx(talked, abs=1)
        return call


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Floor]:
    site = Site(
        folder=tmp_path_factory.mktemp("phones"),
        agents=(),
        registering=PHONES,
        ring_seconds=3,
        routing="missed_in_a_row = 0\nround_pause_seconds = 1",
    )
    wire = Wire(site.asterisk.ami_port)
    config = site.config.read_text()
    site.config.write_text(config.replace(f"port = {site.asterisk.ami_port}\n", f"port = {wire.port}\n"))
    await wire.mend()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(wire.cut)
        await stack.enter_async_context(site)
        floor = Floor(site, wire)
        for name in PHONES:
            await site.phone(name, sign_in=False)
            await floor.here(name)
            await site.sign_in(name)
        yield floor


@pytest_asyncio.fixture(loop_scope="module")
async def floor(running: Floor) -> Floor:
    await running.all_here()
    return running


async def test_callers_wait_while_every_phone_is_gone_and_are_served_in_order_by_the_first_that_is_back(
    floor: Floor,
) -> None:
    callers = ["02155670001", "02155670002", "02155670003"]
    for phone in PHONES:
        await floor.gone(phone)
    before = len(floor.rang("desk2"))
    async with contextlib.AsyncExitStack() as lines:
        placed = []
        for caller in callers:
            placed.append(await lines.enter_async_context(floor.site.call(caller)))
            await floor.waits(caller)
        assert len(floor.rang("desk2")) == before
        await floor.site.phones["desk2"].register(floor.site.asterisk, "desk2")
        for caller, line in zip(callers, placed, strict=True):
            await floor.answered(caller)
            await sound(0.5)
            await line.hang_up()
    assert floor.rang("desk2")[before:] == callers
    for caller in callers:
        await floor.served(caller, "desk2")


async def test_a_phone_that_unregisters_while_it_rings_keeps_no_caller(floor: Floor) -> None:
    await floor.gone("desk2")
    await floor.site.phones["desk1"].behave("never")
    async with floor.site.call("02155670010") as placed:
        await until(lambda: "02155670010" in floor.rang("desk1"), "desk1 rings")
        await floor.site.phones["desk1"].register(floor.site.asterisk, "desk1", seconds=0)
        await floor.here("desk2")
        await floor.answered("02155670010")
        await sound(0.5)
        await placed.hang_up()
    call = await floor.served("02155670010", "desk2")
    legs = call["legs"]
    assert isinstance(legs, list)
    assert [(leg["agent"], leg["result"]) for leg in legs] == [("desk1", "no_answer"), ("desk2", "answered")]


async def test_a_phone_that_unregisters_while_it_talks_talks_on_and_rings_next_where_it_registers_then(
    floor: Floor,
) -> None:
    await floor.gone("desk2")
    async with floor.site.call("02155670020") as placed:
        await floor.answered("02155670020")
        await floor.site.phones["desk1"].register(floor.site.asterisk, "desk1", seconds=0)
        await sound(1.5)
        await placed.hang_up()
    call = await floor.served("02155670020", "desk1")
    [leg] = call["legs"]  # type: ignore[misc]
    assert leg["talk_seconds"] > 1
    async with (
        floor.site.call("02155670021") as waiting,
        SippAgent(floor.site.folder / "sipp", "desk1-elsewhere", free_port()) as elsewhere,
    ):
        await floor.waits("02155670021")
        await elsewhere.register(floor.site.asterisk, "desk1")
        await elsewhere.rings("02155670021")
        await floor.answered("02155670021")
        await sound(0.5)
        await waiting.hang_up()
    await floor.served("02155670021", "desk1")
    assert "02155670021" not in floor.rang("desk1")


async def test_a_phone_that_left_or_came_while_ctid_could_not_hear_is_known_by_the_state_it_reads(floor: Floor) -> None:
    await floor.gone("desk2")
    log = floor.site.folder / "run.out"

    async def unheard(phone: str, *, here: bool) -> None:
        known = log.read_text().count('"pbx.resynced"')
        await floor.wire.cut()
        await (floor.here(phone) if here else floor.gone(phone))
        await floor.wire.mend()
        await until(lambda: log.read_text().count('"pbx.resynced"') > known, "ctid reads the PBX's state")

    await unheard("desk1", here=False)
    before = len(floor.rang("desk1"))
    async with floor.site.call("02155670030") as placed:
        await floor.waits("02155670030")
        await sound(0.5)
        assert len(floor.rang("desk1")) == before
        await unheard("desk1", here=True)
        await floor.answered("02155670030")
        await sound(0.5)
        await placed.hang_up()
    await floor.served("02155670030", "desk1")
