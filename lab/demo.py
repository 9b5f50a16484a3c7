"""``make demo``: a small call centre, real calls, and a check of each from outside.

Law: nothing is believed that ctid says of itself. Which phone got the INVITE is read from SIPp, what a screen was shown from a
subscriber of its own, what was said from the sound in the file, what is in the books from the command line.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lab import tones
from lab.process import LabError, until
from lab.sipp import SippCall
from lab.site import SERVICE, Site

AGENTS = {"agent1": "Li Wei", "agent2": "Wang Fang", "agent3": "Zhang Min"}
#: Who signs in at each agent's desk.
USERS = {"agent1": "liwei", "agent2": "wangfang", "agent3": "zhangmin"}
PITCH = {"agent1": 1000, "agent2": 1200, "agent3": 1400}
CALLER_PITCH = 440
CHEN, LIU, UNKNOWN = "13800138001", "13800138002", "02155667788"
CSV = {
    "customers": "id,name,level,notes\nC1,Huaxin Machine Tools,4,\nC2,Lotus Clinic,2,\n",
    "contacts": (
        "id,customer_id,name,department,title,level,numbers,notes\n"
        f"P1,C1,Chen Jie,Maintenance,Head of maintenance,4,{CHEN};021 5566 1001,\n"
        f"P2,C2,Liu Yang,IT,Administrator,2,{LIU},\n"
    ),
    "tickets": (
        "id,customer_id,contact_id,owner,subject,category,severity,status,created_at,resolved_at\n"
        "1001,C1,P1,agent2,Spindle stops after ten minutes,fault,4,open,2026-03-02 09:30,\n"
        "0900,C1,P1,agent1,Annual inspection,service,1,closed,2025-11-12 14:00,2025-11-13 10:00\n"
        "1002,C2,P2,agent2,Printer prints blank pages,fault,2,open,2026-03-03 11:00,\n"
    ),
    "agents": "id,name,phone,level,pin,lines,email\n"
    + "".join(f"{a},{n},{a},2,{1000 + i},,\n" for i, (a, n) in enumerate(AGENTS.items(), 1)),
}
#: A recording may differ this much from the books, in seconds.
TOLERANCE = 1.0


class Wrong(Exception):  # noqa: N818 - a finding
    """Something that was checked from outside is not as it should be."""


def expect(fact: object, what: str) -> None:
    if not fact:
        raise Wrong(what)


class Demo:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.failed: list[str] = []
        self.number = 0

    # -- what every call is checked for ----------------------------------------------------------------------------

    async def scene(self, title: str, play: Callable[[], Awaitable[list[str]]]) -> None:
        """Play one call and print what was found, or what is wrong."""
        self.number += 1
        print(f"\n{self.number}  {title}", flush=True)
        try:
            for line in await play():
                print(f"   {line}")
            print("   right", flush=True)
        except (Wrong, LabError, AssertionError) as error:
            self.failed.append(title)
            print(f"   WRONG: {error}", flush=True)

    def invites(self) -> dict[str, int]:
        return {agent: len(phone.invites) for agent, phone in self.site.phones.items()}

    async def rung(self, before: dict[str, int], *, limit: float = 10.0) -> str:
        """The agent whose phone, and no other's, got an INVITE since ``before``."""

        def look() -> list[str]:
            return [a for a, n in self.invites().items() if n > before[a]]

        found = await until(look, "a phone gets an INVITE", limit=limit)
        expect(len(found) == 1, f"INVITE at {', '.join(found)}; it should be one phone")
        return found[0]

    def popped(self, call: str, agent: str, *states: str, others: tuple[str, ...] = ()) -> dict[str, Any]:
        """The subscriber received these pops for this agent and none for anyone but ``others``; the first of them."""
        mine = self.site.listener.pops(agent, call)
        seen = list(dict.fromkeys(p["state"] for p in mine))
        expect(seen == list(states), f"{agent}'s screen was shown {seen}, not {list(states)}")
        astray = {p["agent"] for p in self.site.listener.pops(call=call)} - {agent, *others}
        expect(not astray, f"a pop went to {', '.join(sorted(astray))}")
        return mine[0]

    def recorded(self, call: dict[str, Any], agent: str, ticket: str | None = None) -> str:
        """The file is complete, as long as the books say, holds both tones, and hangs on the call's ticket."""
        expect(len(call["recordings"]) == 1, f"{len(call['recordings'])} recordings")
        recording = call["recordings"][0]
        expect(recording["state"] == "complete", f"the recording is {recording['state']}")
        file = self.site.asterisk.monitor_dir / recording["path"]
        length = tones.seconds(file)
        talk = sum(leg["talk_seconds"] for leg in call["legs"])
        expect(abs(length - talk) <= TOLERANCE, f"the file has {length:.1f} s, the books {talk:.1f} s")
        for who, hertz in (("caller", CALLER_PITCH), (agent, PITCH[agent])):
            heard = tones.seconds_of(file, hertz)
            expect(heard >= length - TOLERANCE, f"{who}'s tone is in {heard:.1f} of {length:.1f} s of the file")
        tickets = recording["ticket_ids"]
        expect(len(tickets) == 1, f"the recording hangs on tickets {tickets}")
        expect(ticket in (None, tickets[0]), f"the recording hangs on ticket {tickets[0]}, not {ticket}")
        return f"recording: {length:.1f} s, both parties' tones in it, on ticket {tickets[0]}"

    def why(self, decision: dict[str, Any]) -> str:
        chosen = AGENTS[decision["chosen"]]
        if decision["rule"] == "ticket_owner":
            return f"route: {chosen}, who owns the caller's last ticket"
        talk = ", ".join(f"{AGENTS[c['agent']]} {c['talk_seconds']:.0f} s" for c in decision["considered"])
        owner = decision["owner"]
        passed = f" (owner {AGENTS[owner]} is {decision['owner_skipped']})" if owner else ""
        return f"route: {chosen}, least talk today: {talk}{passed}"

    async def heads_to(self, caller: str) -> tuple[SippCall, str, dict[str, Any]]:
        """Place a call; the call, whose phone rang, and the pop that agent was shown."""
        before, known = self.invites(), len(self.site.listener.pops())
        placed = self.site.call(caller, tone=CALLER_PITCH)
        agent = await self.rung(before)

        def look() -> dict[str, Any] | None:
            return next((p for p in self.site.listener.pops()[known:] if p["agent"] == agent), None)

        pop = await until(look, f"{agent}'s screen pops")
        expect(pop["state"] == "ringing", f"the first pop says {pop['state']}")
        return placed, agent, pop

    async def talk(self, placed: SippCall, agent: str, call: str, seconds: float) -> None:
        await self.site.listener.popped(agent, "answered", call)
        await asyncio.sleep(seconds)
        await placed.hang_up()

    def least_talk(self) -> str:
        """Who should be rung by the states the subscriber saw: least talk, then idle longest."""
        states = {a: self.site.listener.state(a) for a in AGENTS}
        idle = [(s["talk_seconds_today"], s["since"], a) for a, s in states.items() if s and s["state"] == "idle"]
        return min(idle)[2]

    # -- the nine calls --------------------------------------------------------------------------------------------

    async def owner(self) -> list[str]:
        placed, agent, pop = await self.heads_to(CHEN)
        async with placed:
            expect(agent == "agent2", f"{agent} was rung, not the owner agent2")
            contact, ticket = pop["contact"] or {}, pop["ticket"] or {}
            expect(contact.get("name") == "Chen Jie", f"the pop shows {contact}")
            expect(ticket.get("id") == "1001", f"the pop shows ticket {ticket}")
            expect(pop["decision"]["rule"] == "ticket_owner", f"rule {pop['decision']['rule']}")
            await self.talk(placed, agent, pop["call_id"], 3)
        call = await self.site.ended(CHEN)
        self.popped(call["id"], agent, "ringing", "answered", "ended")
        return [
            self.why(call["decisions"][0]),
            f"pop while ringing: {contact['name']}, {contact['title']}, {contact['customer']}, level {contact['level']}",
            f"its ticket: {ticket['id']} {ticket['subject']!r}",
            self.recorded(call, agent, "1001"),
        ]

    async def owner_busy(self) -> list[str]:
        first, busy, pop = await self.heads_to(CHEN)
        async with first:
            await self.site.listener.popped(busy, "answered", pop["call_id"])
            should = self.least_talk()
            second, agent, pop2 = await self.heads_to(LIU)
            async with second:
                expect(agent == should, f"{agent} was rung, not {should}")
                decision = pop2["decision"]
                expect(decision["owner"] == "agent2", f"owner {decision['owner']}")
                expect(decision["owner_skipped"] == "talking", f"owner skipped: {decision['owner_skipped']}")
                await self.talk(second, agent, pop2["call_id"], 3)
            call = await self.site.ended(LIU)
            await first.hang_up()
        await self.site.ended(CHEN)
        expect(call["ticket_ids"] != ["1002"], "a colleague's ticket was taken")
        return [
            self.why(call["decisions"][0]),
            self.recorded(call, agent),
            f"ticket {call['ticket_ids'][0]} opened for {agent}",
        ]

    async def fairness(self) -> list[str]:
        said = []
        for number in ("02155660001", "02155660002"):
            should = self.least_talk()
            placed, agent, pop = await self.heads_to(number)
            async with placed:
                expect(agent == should, f"{agent} was rung, not {should} who talked least")
                await self.talk(placed, agent, pop["call_id"], 2.5)
            call = await self.site.ended(number)
            self.popped(call["id"], agent, "ringing", "answered", "ended")
            said.append(self.why(call["decisions"][0]))
        return [*said, self.recorded(call, agent)]

    async def no_answer(self) -> list[str]:
        lazy = self.least_talk()
        await self.site.phones[lazy].behave("never")
        try:
            placed, agent, pop = await self.heads_to("02155660003")
            async with placed:
                expect(agent == lazy, f"{agent} was rung first, not {lazy}")
                before = self.invites()
                second = await self.rung(before, limit=15)
                await self.site.listener.popped(lazy, "withdrawn", pop["call_id"])
                await self.talk(placed, second, pop["call_id"], 2)
        finally:
            await self.site.phones[lazy].behave("answer")
        call = await self.site.ended("02155660003")
        self.popped(call["id"], lazy, "ringing", "withdrawn", others=(second,))
        self.popped(call["id"], second, "ringing", "answered", "ended", others=(lazy,))
        results = [leg["result"] for leg in call["legs"]]
        expect(results == ["no_answer", "answered"], f"legs {results}")
        return [
            f"{AGENTS[lazy]} did not answer; {AGENTS[second]} did; both pops right",
            *(self.why(d) for d in call["decisions"]),
            self.recorded(call, second),
        ]

    async def abandoned(self) -> list[str]:
        for phone in self.site.phones.values():
            await phone.behave("never")
        try:
            placed, agent, pop = await self.heads_to("02155660004")
            async with placed:
                await asyncio.sleep(1)
                await placed.hang_up()
            await self.site.listener.popped(agent, "withdrawn", pop["call_id"])
        finally:
            for phone in self.site.phones.values():
                await phone.behave("answer")
        call = await self.site.ended("02155660004")
        expect(call["outcome"] == "abandoned", f"outcome {call['outcome']}")
        expect(not call["ticket_ids"] and not call["recordings"], "it has a ticket or a recording")
        self.popped(call["id"], agent, "ringing", "withdrawn")
        await self.site.listener.becomes(agent, "idle")
        return [f"{AGENTS[agent]}'s screen popped and was cleared; outcome abandoned, no ticket, no recording"]

    async def stranger(self) -> list[str]:
        placed, agent, pop = await self.heads_to(UNKNOWN)
        async with placed:
            expect(pop["contact"] is None and pop["ticket"] is None, f"the pop shows {pop['contact']}, {pop['ticket']}")
            await self.talk(placed, agent, pop["call_id"], 2)
        call = await self.site.ended(UNKNOWN)
        self.popped(call["id"], agent, "ringing", "answered", "ended")
        expect(len(call["ticket_ids"]) == 1, f"tickets {call['ticket_ids']}")
        return [f"pop: {pop['caller']}, nobody known", self.why(call["decisions"][0]), self.recorded(call, agent)]

    async def anonymous(self) -> list[str]:
        placed, agent, pop = await self.heads_to("anonymous")
        async with placed:
            expect(pop["caller"] is None, f"the pop shows caller {pop['caller']!r}")
            await self.talk(placed, agent, pop["call_id"], 2)

        async def look() -> dict[str, Any] | None:
            [call] = [c for c in await self.site.calls() if c["id"] == pop["call_id"]]
            return call if call["recordings"] and call["recordings"][0]["state"] != "recording" else None

        call = await until(look, "the call is in the books", every=0.2)
        expect(call["caller"] is None and call["contact_id"] is None, "the books know an anonymous caller")
        return ["pop: number withheld", self.why(call["decisions"][0]), self.recorded(call, agent)]

    async def all_busy(self) -> list[str]:
        """Three talk, a fourth waits; ctid is restarted meanwhile and the books go on."""
        talking: list[tuple[SippCall, str, dict[str, Any]]] = []
        async with contextlib.AsyncExitStack() as stack:
            for number in ("02155660011", "02155660012", "02155660013"):
                placed = await self.heads_to(number)
                await stack.enter_async_context(placed[0])
                await self.site.listener.popped(placed[1], "answered", placed[2]["call_id"])
                talking.append(placed)
            before = self.invites()
            waiting = await stack.enter_async_context(self.site.call("02155660014", tone=CALLER_PITCH))
            await waiting.answered()
            await asyncio.sleep(1)
            started = time.monotonic()
            await self.site.stop_daemon()
            await self.site.start_daemon()
            away = time.monotonic() - started
            await asyncio.sleep(1)
            expect(self.invites() == before, "a phone was rung while all were talking")
            first, freed, _ = talking[1]
            await first.hang_up()
            agent = await self.rung(before)
            expect(agent == freed, f"{agent} was rung, not {freed} who became free")
            pop = await self.site.listener.popped(agent, "answered", await self._call_id("02155660014"))
            await asyncio.sleep(2)
            for live in (waiting, talking[0][0], talking[2][0]):
                await live.hang_up()
        said = []
        for (_, who, _), number in zip(talking, ("02155660011", "02155660012", "02155660013"), strict=True):
            call = await self.site.ended(number)
            expect(call["legs"][0]["certainty"] == "exact", f"talk of {number} is {call['legs'][0]['certainty']}")
            said.append(f"{AGENTS[who]}: {self.recorded(call, who)}")
        call = await self.site.ended("02155660014")
        self.recorded(call, agent)
        return [
            f"ctid was stopped and started in {away:.1f} s with three in conversation and one on hold; the books went on:",
            *said,
            f"the caller on hold went to {AGENTS[agent]}, the first to become free ({pop['caller']})",
        ]

    async def _call_id(self, number: str) -> str:
        calls = await self.site.calls(number)
        return str(calls[-1]["id"])

    async def killed(self) -> list[str]:
        """One talks, the others pause, a caller waits; ctid dies, and the fallback rings the one as soon as they are free."""
        busy, talking, pop = await self.heads_to("02155660019")
        resting = [who for who in AGENTS if who != talking]
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(busy)
            await self.site.listener.popped(talking, "answered", pop["call_id"])
            for who in resting:
                await self.site.listener.command(who, "pause", reason="meeting")
            before = self.invites()
            placed = await stack.enter_async_context(self.site.call("02155660020", tone=CALLER_PITCH))
            await placed.answered()
            await asyncio.sleep(2)
            expect(self.invites() == before, "somebody was rung who talks or pauses")
            await self.site.kill_daemon()
            started = time.monotonic()
            await busy.hang_up()
            agent = await self.rung(before, limit=12)
            expect(agent == talking, f"{agent} was rung, who pauses")
            waited = time.monotonic() - started
            expect(waited <= 7, f"the fallback took {waited:.1f} s")
            await asyncio.sleep(3)
            await self.site.start_daemon()
            await asyncio.sleep(2)
            expect(placed.live, "the conversation did not survive")
            await placed.hang_up()
        call = await self.site.ended("02155660020")
        expect(call["via"] == "failsafe", f"via {call['via']}")
        expect(call["outcome"] == "answered", f"outcome {call['outcome']}")
        expect(call["agent"] == agent, f"the books say {call['agent']}")
        for who in resting:
            await self.site.listener.becomes(who, "paused")
            await self.site.listener.command(who, "resume")
        recording = call["recordings"][0]
        file = self.site.asterisk.monitor_dir / recording["path"]
        heard = [tones.seconds_of(file, hertz) for hertz in (CALLER_PITCH, PITCH[agent])]
        expect(min(heard) > 3, f"tones in the file: {heard}")
        return [
            f"killed with kill -9; {waited:.1f} s later the fallback queue rang {AGENTS[agent]}, the caller was never lost",
            f"started again in mid-call: via failsafe, {recording['seconds']:.1f} s recorded, {recording['state']}",
        ]

    async def ledger(self) -> list[str]:
        """The sum of what the subscriber was told equals the sum of the files, before and after another restart."""
        before = json.loads(await self.site.ctid("report", "day", "--json"))
        await self.site.stop_daemon()
        await self.site.start_daemon()
        after = json.loads(await self.site.ctid("report", "day", "--json"))

        def figures(report: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [{k: v for k, v in row.items() if not k.startswith(("wrap_up", "pause"))} for row in report]

        expect(figures(before) == figures(after), f"the day's figures changed: {before} {after}")
        said = []
        for row in after:
            agent = row["agent"]
            state = await self.site.listener.becomes(agent, "idle")
            told = state["talk_seconds_today"]
            expect(abs(told - row["talk_seconds"]) < 0.5, f"{agent}: state {told}, report {row['talk_seconds']}")
            said.append(
                f"{AGENTS[agent]}: {row['talk_seconds']:.1f} s of talk, {row['answered']} calls answered, "
                f"{row['missed']} missed"
            )
        return said

    async def play(self) -> None:
        await self.scene("Owner: Chen Jie calls, Wang Fang owns the ticket", self.owner)
        await self.scene("Owner busy: Liu Yang's owner is talking", self.owner_busy)
        await self.scene("Least talk: nobody's caller", self.fairness)
        await self.scene("No answer: the next agent", self.no_answer)
        await self.scene("Abandoned: the caller gives up while it rings", self.abandoned)
        await self.scene("Unknown caller", self.stranger)
        await self.scene("Anonymous caller", self.anonymous)
        await self.scene("All busy: wait, ctid restarted midway, the first to become free", self.all_busy)
        await self.scene("ctid killed with a caller on hold", self.killed)
        await self.scene("The day's books, before and after a restart", self.ledger)

    async def trickle(self) -> None:
        """A light stream of calls, until stopped."""
        callers = itertools.cycle((CHEN, LIU, UNKNOWN, "anonymous", "02155660031", "02155660032"))
        while True:
            async with self.site.call(next(callers), tone=CALLER_PITCH, talk=random.uniform(4, 12)) as call:
                with contextlib.suppress(LabError):
                    await call.ended(limit=60)
            await asyncio.sleep(random.uniform(1, 4))


async def people(site: Site) -> None:
    """Someone for each agent's desk, and a supervisor who may look at everything."""
    desks = (site.user(user, agent=agent) for agent, user in USERS.items())
    await asyncio.gather(*desks, site.user("demo", role="supervisor"))


async def main(*, once: bool, folder: Path) -> int:
    """Run the demo in ``folder``; the exit status."""
    started = time.monotonic()
    print("Starting Asterisk, a broker, ctid run and ctid web …", flush=True)
    async with Site(folder=folder, agents=tuple(AGENTS), csv=CSV, ring_seconds=4) as site:
        await asyncio.gather(site.start_web(), people(site))
        for agent in AGENTS:
            await site.phone(agent, tone=PITCH[agent])
        print(f"{await site.asterisk.cli('core show version')}".splitlines()[0].partition(" built")[0])
        print(f"Line {SERVICE}, {len(AGENTS)} agents signed in, {time.monotonic() - started:.1f} s")
        demo = Demo(site)
        await demo.play()
        complaints = site.asterisk.complaints()
        if complaints:
            demo.failed.append("Asterisk complained")
            print("\nAsterisk complained:", *complaints, sep="\n   ")
        verdict = f"{demo.number - len(demo.failed)} right, {len(demo.failed)} wrong: {', '.join(demo.failed)}"
        print(f"\n{verdict if demo.failed else f'All {demo.number} right'}, {time.monotonic() - started:.0f} s")
        if not once:
            print(f"\nLook: {site.web_url}/desk   password {site.password}")
            for agent, user in USERS.items():
                print(f"      sign in as {user}: the desk of {AGENTS[agent]}")
            print("      sign in as demo: a supervisor, who sees all calls, agents and tickets")
            print(f"      .venv/bin/ctid calls --config {site.config}")
            print("A call now and then; end with Ctrl-C.", flush=True)
            with contextlib.suppress(asyncio.CancelledError):
                await demo.trickle()
        return 1 if demo.failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make demo")
    parser.add_argument("--once", action="store_true", help="end after the nine calls")
    parser.add_argument("--keep", action="store_true", help="keep the demo's folder")
    asked = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="ctid-demo-"))
    try:
        status = asyncio.run(main(once=asked.once, folder=place))
    except KeyboardInterrupt:
        status = 0
    except LabError as problem:
        print(f"demo: {problem}", file=sys.stderr)
        status = 1
    finally:
        if asked.keep:
            print(f"Kept: {place}")
        else:
            shutil.rmtree(place, ignore_errors=True)
    sys.exit(status)
