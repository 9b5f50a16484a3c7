"""A call centre under test: what happened is asked of SIP, of a subscriber and of the books, never of ctid's insides."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lab.process import until
from lab.sipp import SippCall
from lab.site import SERVICE, Site

PITCH = {"agent1": 1000, "agent2": 1200, "agent3": 1400}
CHEN, LIU = "13800138001", "13800138002"
CSV = {
    "customers": "id,name,level,notes\nC1,Huaxin Machine Tools,4,\nC2,Lotus Clinic,2,\n",
    "contacts": (
        "id,customer_id,name,department,title,level,numbers,notes\n"
        f"P1,C1,Chen Jie,Maintenance,Head of maintenance,4,{CHEN},\n"
        f"P2,C2,Liu Yang,IT,Administrator,2,{LIU},\n"
    ),
    "tickets": (
        "id,customer_id,contact_id,owner,subject,category,severity,status,created_at,resolved_at\n"
        "1001,C1,P1,agent2,Spindle stops,fault,4,open,2026-03-02 09:30,\n"
        "1002,C2,P2,agent3,Printer prints blank pages,fault,2,open,2026-03-03 11:00,\n"
    ),
}


class Centre:
    """A running site with its agents at their phones."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.listener = site.listener

    @property
    def agents(self) -> tuple[str, ...]:
        return tuple(self.site.phones)

    def invites(self) -> dict[str, int]:
        return {agent: len(phone.invites) for agent, phone in self.site.phones.items()}

    async def rung(self, before: dict[str, int], *, limit: float = 10.0) -> str:
        """The one agent whose phone got an INVITE since ``before``."""

        def look() -> list[str]:
            return [agent for agent, count in self.invites().items() if count > before[agent]]

        found = await until(look, "a phone gets an INVITE", limit=limit)
        assert len(found) == 1, found
        return found[0]

    async def comes_in(self, caller: str, dialled: str = SERVICE, **more: Any) -> tuple[SippCall, str, dict[str, Any]]:
        """Place a call; the call, whose phone rang, and the first pop that agent was shown of it."""
        before, known = self.invites(), len(self.listener.pops())
        placed = self.site.call(caller, dialled, **more)

        def look() -> dict[str, Any] | None:
            return next((pop for pop in self.listener.pops()[known:] if pop["agent"] == agent), None)

        try:
            agent = await self.rung(before)
            return placed, agent, await until(look, f"{agent}'s screen pops")
        except BaseException:  # a caller nobody hangs up would talk on into the tests that follow
            await placed.kill()
            raise

    async def talks(self, agent: str, call: str) -> None:
        await self.listener.popped(agent, "answered", call)

    def shown(self, caller: str | None) -> list[dict[str, Any]]:
        """The newest state of each call of this caller, as published, the oldest call first."""
        newest: dict[str, dict[str, Any]] = {}
        for heard in self.listener.heard:
            topic = heard.topic.split("/")
            if topic[2] == "calls" and len(topic) == 4 and heard.payload["caller"] == caller:
                newest[topic[3]] = heard.payload
        return list(newest.values())

    async def waits(self, caller: str) -> dict[str, Any]:
        """Wait until ctid holds this caller, or has held them: their newest call, which is not over."""

        def look() -> dict[str, Any] | None:
            calls = self.shown(caller)
            return calls[-1] if calls and calls[-1]["via"] == "ctid" and calls[-1]["ended_at"] is None else None

        return await until(look, f"{caller} is held")

    async def ended(self, caller: str | None, limit: float = 15.0) -> dict[str, Any]:
        """The caller's newest call, once it has ended and its recording is measured."""

        def look() -> dict[str, Any] | None:
            calls = self.shown(caller)
            if not calls or calls[-1]["outcome"] is None:
                return None
            return None if any(r["state"] == "recording" for r in calls[-1]["recordings"]) else calls[-1]

        return await until(look, f"the call of {caller} has ended", limit=limit)

    async def in_the_books(self, caller: str, limit: float = 20.0) -> dict[str, Any]:
        """The same by ``ctid calls --json``."""
        return await self.site.ended(caller, limit=limit)

    async def one_call(self, caller: str, seconds: float = 0.4) -> dict[str, Any]:
        """A whole ordinary call; its books."""
        placed, agent, pop = await self.comes_in(caller)
        async with placed:
            await self.talks(agent, pop["call_id"])
            await until(lambda: _talking(self.shown(caller)), f"{caller} talks")
            await sound(seconds)
            await placed.hang_up()
        return await self.ended(caller)

    def least_talk(self) -> str:
        """Who should be rung by the published states: the least talk today, then the longest idle."""
        states = {agent: self.listener.state(agent) or {} for agent in self.agents}
        return min(states, key=lambda a: (states[a]["talk_seconds_today"], states[a]["since"], a))

    def states(self, agent: str, call: str) -> list[str]:
        """What the agent's screen was shown of the call, in order."""
        return list(dict.fromkeys(pop["state"] for pop in self.listener.pops(agent, call)))

    async def booked(self) -> None:
        """Wait until the books have every agent as shown: a daemon killed now forgets nobody."""

        async def so() -> bool:
            books = json.loads(await self.site.ctid("agents", "--json"))
            shown = [self.listener.state(agent["id"]) or {"state": "offline", "phone": None} for agent in books]
            return all(
                a["state"] == s["state"] and s["phone"] in (a["phone"], None) for a, s in zip(books, shown, strict=True)
            )

        await until(so, "the books have it", every=0.2)
        await until((self.site.state / "last-seen").exists, "ctid has left its mark")

    async def all_idle(self) -> None:
        for agent in self.agents:
            state = self.listener.state(agent)
            if state is not None and state["state"] in ("paused", "wrap_up"):
                await self.listener.command(agent, "wrap_up_done")
                await self.listener.command(agent, "resume")
            # A SIPp process that was killed in mid-call says no BYE: the PBX ends that call after 30 seconds without sound.
            await self.listener.becomes(agent, "idle", limit=40)

    async def tidy(self) -> None:
        """Every phone answers again and everyone is idle, whatever the test before did."""
        for phone in self.site.phones.values():
            if phone.behaviour != "answer":
                await phone.behave("answer")
        await self.all_idle()

    def complaints(self) -> list[str]:
        """What Asterisk logged against us: endings of SIPp processes that were killed in mid-call are the tests' own.

        So is a name that "must be provided": SIPp never ends a REFER's subscription, and 32 seconds later Asterisk looks for
        its channel. And a sound that is not there is asked for on purpose.
        """
        theirs = ("shutting down", "name must be provided", "no-such-sound")
        return [line for line in self.site.asterisk.complaints() if not any(word in line for word in theirs)]


def _talking(calls: list[dict[str, Any]]) -> bool:
    return bool(calls) and calls[-1]["answered_at"] is not None


async def sound(seconds: float) -> None:
    """Let them talk: sound takes its time."""
    await asyncio.sleep(seconds)


@asynccontextmanager
async def opened(site: Site) -> AsyncIterator[Centre]:
    """Everything up and everyone signed in; afterwards Asterisk must have had nothing to complain of."""
    async with site:
        for agent in site.agents:
            await site.phone(agent, tone=PITCH[agent])
        centre = Centre(site)
        yield centre
        complaints = centre.complaints()
        assert not complaints, "\n".join(complaints)
