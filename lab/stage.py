"""What the scenes of the recorded streams are played on, and what is known of a call from SIPp's side."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from lab.ami import Message
from lab.asterisk import Asterisk
from lab.process import until
from lab.sipp import Behaviour, SipMessage, SippAgent, SippCall, place_call

CALLER, LINE = "13800138000", "4001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """``seconds`` is how long it was connected with someone, ``hold`` how much of it the party held them (None: not known)."""

    party: str
    result: str
    seconds: float = 0.0
    hold: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a call was. ``agent`` talked last; ``merged_into`` is the position of the call that survived."""

    caller: str | None
    dialled: str
    direction: str
    outcome: str
    via: str
    agent: str | None = None
    merged_into: int | None = None
    legs: list[Leg] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    title: str
    calls: list[Call]


class Stage:
    """One Asterisk with heartbeats as of a living ctid, a hand on AMI in its place, and phones."""

    def __init__(self, pbx: Asterisk, stack: AsyncExitStack) -> None:
        self.pbx = pbx
        self._stack = stack
        self._beats: asyncio.Task[None] | None = None

    async def ctid_lives(self) -> None:
        await self.pbx.ami.beat()
        self._beats = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(1)
            await self.pbx.ami.beat()

    async def quiet(self) -> None:
        """Wait until every channel is gone and all of it was told."""

        async def look() -> bool:
            return "0 active channels" in await self.pbx.cli("core show channels count")

        await until(look, "all calls are over", every=0.1)
        if self._beats is not None:
            self._beats.cancel()

    async def phone(self, name: str, behaviour: Behaviour = "answer", *, ring: float = 0.3) -> SippAgent:
        port = self.pbx.trunk_port if name == "customer" else self.pbx.phones[name]
        return await self._stack.enter_async_context(
            SippAgent(self.pbx.folder / "sipp", name, port, behaviour, ring=ring)
        )

    async def call(
        self, caller: str = CALLER, dialled: str = LINE, digits: tuple[tuple[float, str], ...] = ()
    ) -> SippCall:
        return await self._stack.enter_async_context(place_call(self.pbx, caller, dialled, digits=digits))

    async def held(self, seq: int = 1) -> Message:
        return await self.pbx.ami.event("CtidWait", Seq=str(seq))

    async def send_to(self, agent: str, *, seq: int = 1, seconds: int = 20) -> None:
        waiting = await self.held(seq)
        self.pbx.ami.route(waiting["Channel"], f"lab:{seq}:dial:{agent}:{seconds}")

    async def connected(self, phone: SippAgent, count: int = 1) -> SipMessage:
        """The phone's newest INVITE, once its call is in a conversation."""
        await until(lambda: len(phone.invites) >= count, f"{phone.name} rings")
        invite = phone.invites[-1]
        await until(lambda: answered_at(phone.messages, invite.call_id), f"{phone.name} answers")
        return invite

    async def routed(self, phone: SippAgent, agent: str, seconds: float) -> tuple[SippCall, SipMessage]:
        """A caller comes in, goes to this agent and has talked with them for a while."""
        call = await self.call()
        await self.send_to(agent)
        invite = await self.connected(phone)
        await asyncio.sleep(seconds)
        return call, invite


def answered_at(messages: list[SipMessage], call_id: str) -> float | None:
    """When the first 200 to the first INVITE of this dialog went out or came in."""
    return next(
        (
            m.at
            for m in messages
            if m.call_id == call_id and m.start.startswith("SIP/2.0 200") and m.headers["cseq"].endswith("INVITE")
        ),
        None,
    )


def over_at(messages: list[SipMessage], call_id: str) -> float | None:
    """When this dialog ended, or the PBX took on to transfer it."""
    ends = ("BYE ", "SIP/2.0 202 ")
    return next((m.at for m in messages if m.call_id == call_id and m.start.startswith(ends)), None)


def seconds(phone: SippAgent, number: int = 0) -> float:
    """How long SIP had the phone's call connected: from its 200 to the BYE, or to its transfer."""
    call_id = phone.invites[number].call_id
    began, ended = answered_at(phone.messages, call_id), over_at(phone.messages, call_id)
    assert began is not None, f"{phone.name} did not answer"
    assert ended is not None, f"{phone.name} has no BYE"
    return round(ended - began, 3)


def inbound(outcome: str, *legs: Leg, via: str = "ctid", agent: str | None = None) -> Call:
    talked = [leg.party for leg in legs if leg.result == "answered"]
    return Call(
        caller=CALLER,
        dialled=LINE,
        direction="inbound",
        outcome=outcome,
        via=via,
        agent=agent or (talked[-1] if talked else None),
        legs=list(legs),
    )
