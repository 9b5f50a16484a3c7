"""A stream of calls as a day brings them, by a seed: whoever calls, waits, gives up, talks, is transferred, or is called.

Law: callers are patient unless their kind says otherwise, and phones end what they answered: so a caller who is still there
when the stream is over was left alone by the call centre.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time

from lab.process import LabError, until
from lab.sipp import SippAgent, SippCall
from lab.site import SERVICE, Site
from lab.stage import over_at

#: Phones that end what they answer; who rings too long for ctid; who is busy; who is on LONG_LINE; who calls out.
ANSWERING = ("agent1", "agent2", "agent3", "agent4")
SLOW, BUSY, LONG, CALLING = "agent5", "agent6", "agent7", "agent8"
AGENTS = (*ANSWERING, SLOW, BUSY, LONG, CALLING)
#: The line of the one conversation that lasts through the whole round.
LONG_LINE = "4002"
CUSTOMER = "13900139000"
#: So long, in seconds, somebody may wait for an answer whatever breaks; who is impatient gives up sooner.
PATIENCE = 20.0
_IMPATIENT = 6.0

LINES = f"""\
[[lines]]
name = "service"
numbers = ["{SERVICE}"]
agents = [{", ".join(f'"{agent}"' for agent in (*ANSWERING, SLOW, BUSY))}]
longest_wait_seconds = 600

[[lines]]
name = "long"
numbers = ["{LONG_LINE}"]
agents = ["{LONG}"]
longest_wait_seconds = 600
"""
_KNOWN = [f"138001{n:05d}" for n in range(100)]
CSV = {
    "customers": "id,name,level,notes\nC1,Huaxin Machine Tools,4,\n",
    "contacts": (
        "id,customer_id,name,department,title,level,numbers,notes\n"
        f"P1,C1,Chen Jie,Maintenance,Head of maintenance,4,{';'.join(_KNOWN)},\n"
    ),
    "tickets": (
        "id,customer_id,contact_id,owner,subject,category,severity,status,created_at,resolved_at\n"
        "1001,C1,P1,agent2,Spindle stops,fault,4,open,2026-03-02 09:30,\n"
    ),
}
#: How often each kind of call comes.
_KINDS = {
    "unknown": 5,
    "owner": 3,
    "anonymous": 1,
    "hangs_up": 2,
    "gives_up": 1,
    "transferred": 2,
    "outbound": 1,
    "internal": 1,
}


class Stream:
    """Calls into one site, ``per_second`` on average, from `begin` to `end`."""

    def __init__(self, site: Site, rng: random.Random, *, per_second: float = 0.9) -> None:
        self._site, self._rng, self._pause = site, rng, 1 / per_second
        self._calls: list[tuple[float, SippCall]] = []
        self._numbers = itertools.count(1)
        self._known = iter(_KNOWN)
        self._placing: asyncio.Task[None] | None = None
        self._transfers: set[asyncio.Task[None]] = set()
        self._customer: SippAgent | None = None
        self.long: SippCall | None = None

    async def open(self) -> None:
        """Everyone at their phones and signed in."""
        site, rng = self._site, self._rng
        for agent in ANSWERING:
            comes = agent in site.registering
            talk = round(rng.uniform(1.5, 3.5), 1)
            phone = await site.phone(agent, ring=rng.uniform(0.2, 0.6), talk=talk, sign_in=not comes)
            if comes:
                await phone.register(site.asterisk, agent)
                await site.sign_in(agent)
        await site.phone(SLOW, ring=site.ring_seconds + 1, talk=2.0)
        await site.phone(BUSY, "busy")
        await site.phone(LONG)
        await site.phone(CALLING, talk=2.0)
        self._customer = SippAgent(site.folder / "sipp", "customer", site.asterisk.trunk_port, ring=0.3)
        await self._customer.start()

    async def talk_long(self) -> None:
        """The conversation that is to last begins (anew); returns when they talk."""
        phone = self._site.phones[LONG]
        known = len(phone.invites)
        self.long = self._site.call(f"0215569{next(self._numbers):04d}", LONG_LINE)
        await until(lambda: len(phone.invites) > known, "the long call rings", limit=20)
        await asyncio.sleep(0.5)

    async def end_long(self) -> None:
        """It is over, or forsaken by its PBX; its phone, which is free, ends from now on what it answers."""
        if self.long is None:
            return
        phone = self._site.phones[LONG]
        if self.long.live:
            with contextlib.suppress(LabError):
                await self.long.hang_up()
                await until(
                    lambda: over_at(phone.messages, phone.invites[-1].call_id), "the long call is over there, too"
                )
        self.long = None
        await phone.behave("answer", talk=2.0)

    def begin(self) -> None:
        self._placing = asyncio.create_task(self._place_all())

    async def pause(self) -> None:
        """Nobody calls any more, until `begin`."""
        if self._placing is not None:
            self._placing.cancel()
            await asyncio.gather(self._placing, return_exceptions=True)
            self._placing = None

    async def end(self, limit: float = 45.0) -> list[str]:
        """Nobody calls any more; whoever called is waited for, ``limit`` seconds at most: who is then still there hangs up.

        Their names are given back.
        """
        await self.pause()
        with contextlib.suppress(LabError):
            await until(lambda: not self.live, "the callers are served", limit=limit, every=0.2)
        await self.end_long()
        await asyncio.gather(*self._transfers, return_exceptions=True)
        stuck = self.live
        await asyncio.gather(*(call.hang_up() for call in stuck), return_exceptions=True)
        return [call.name for call in stuck]

    async def close(self) -> None:
        """Every process of the stream ends, its phones at the desks apart."""
        await self.pause()
        for transfer in self._transfers:
            transfer.cancel()
        calls = [call for _, call in self._calls] + ([self.long] if self.long is not None else [])
        await asyncio.gather(*(call.kill() for call in calls))
        if self._customer is not None:
            await self._customer.kill()

    async def forsake(self, before: float) -> None:
        """The PBX died at that moment: who was in a call then hears nothing any more, and goes."""
        await asyncio.gather(*(call.kill() for at, call in self._calls if at < before))
        if self.long is not None:
            await self.long.kill()
        await self.end_long()

    @property
    def live(self) -> list[SippCall]:
        return [call for _, call in self._calls if call.live]

    async def _place_all(self) -> None:
        kinds, weights = list(_KINDS), list(_KINDS.values())
        while True:
            self.place(self._rng.choices(kinds, weights)[0])
            await asyncio.sleep(self._pause * self._rng.uniform(0.5, 1.5))

    def place(self, kind: str) -> SippCall:
        """One call of this kind, now."""
        number = f"0215560{next(self._numbers):04d}"
        match kind:
            case "owner":
                call = self._site.call(next(self._known, number))
            case "anonymous":
                call = self._site.call("anonymous")
            case "hangs_up":
                call = self._site.call(number, talk=self._rng.uniform(1.5, _IMPATIENT))
            case "gives_up":
                call = self._site.call(number, talk=self._rng.uniform(0.1, 0.6))
            case "outbound":
                call = self._site.call(CALLING, f"9{CUSTOMER}", talk=self._rng.uniform(1.0, 3.0))
            case "internal":
                call = self._site.call(CALLING, self._rng.choice(ANSWERING), talk=self._rng.uniform(1.0, 3.0))
            case _:
                call = self._site.call(number)
        self._calls.append((time.time(), call))
        if kind == "transferred":
            task = asyncio.create_task(self._transfer(number, self._rng.choice(ANSWERING)))
            self._transfers.add(task)
            task.add_done_callback(self._transfers.discard)
        return call

    async def _transfer(self, caller: str, to: str) -> None:
        """Whoever takes this caller's call sends them on after a moment."""

        def taken() -> str | None:
            for agent in ANSWERING:
                for invite in self._site.phones[agent].invites:
                    if invite.user == caller:
                        return agent
            return None

        with contextlib.suppress(LabError):
            agent = await until(taken, f"{caller} rings somewhere", limit=PATIENCE, every=0.1)
            phone = self._site.phones[agent]
            invite = next(m for m in phone.invites if m.user == caller)
            await asyncio.sleep(phone.ring + 0.5)
            target = to if to != agent else next(a for a in ANSWERING if a != agent)
            await phone.transfer(invite, f"sip:{target}@127.0.0.1:{self._site.asterisk.sip_port}")
