"""Whom the fallback queue rings: the phones where somebody is signed in, paused while they are.

Law: the core says who sits where, and this makes the queue's dynamic members so: what the queue has is read after each resync
and each minute, and only the difference is sent. Members of ``queues.conf`` are the site's own and are left alone. No call
waits for it, and it can lose nobody: while ctid lives, nobody is in that queue.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from ctid.asterisk.client import AmiDown, AmiError, AmiLink, AmiRefused
from ctid.asterisk.wire import UnsendableError
from ctid.domain.actions import KeepMember
from ctid.domain.types import AgentId, Endpoint

log = structlog.get_logger(__name__)

#: How often the queue is read anew, and how long a refusal is left alone, in seconds.
REREAD: Final = 60.0
_QUEUE, _TECHNOLOGY = "ctid-failsafe", "PJSIP"


class NoQueueError(AmiError):
    """The PBX has no such queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member as the queue has it, or should; ``interface`` with its technology. Static ones come from ``queues.conf``."""

    interface: str
    name: str
    paused: bool
    static: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The fallback queue as the dialplan names it, with its members by interface."""

    name: str
    technology: str
    members: dict[str, Member]


async def read_queue(link: AmiLink) -> Queue:
    """Ask the PBX for the fallback queue. Raises ``AmiError``, of it ``NoQueueError``."""
    name = await _global(link, "CTID_QUEUE", _QUEUE)
    told = await link.list("QueueStatus", {"Queue": name})
    if not any(event.name == "QueueParams" for event in told):
        raise NoQueueError(f"there is no queue {name}: callers are lost while ctid is away; add queues.conf.sample")
    members = (
        Member(
            interface=interface,
            name=event.get("Name") or interface,
            paused=event.get("Paused") == "1",
            static=event.get("Membership") != "dynamic",
        )
        for event in told
        if event.name == "QueueMember" and (interface := event.get("Location")) is not None
    )
    technology = await _global(link, "CTID_TECH", _TECHNOLOGY)
    return Queue(name=name, technology=technology, members={member.interface: member for member in members})


async def try_rights(link: AmiLink, queue: Queue) -> None:
    """Whether members may be changed, tried on one that is not there. Raises ``AmiError``."""
    try:
        await link.call("QueueRemove", {"Queue": queue.name, "Interface": "Local/ctid@ctid-doctor"})
    except AmiRefused as error:
        if error.denied:
            raise


class Fallback:
    """Keeps one PBX's fallback queue; ``run`` does the work, everything else only tells it."""

    def __init__(self, link: AmiLink) -> None:
        self._link = link
        self._wanted: dict[Endpoint, tuple[AgentId, bool]] = {}
        self._queue: Queue | None = None  # as read and changed since; None: to be read
        self._open = False
        self._news = asyncio.Event()
        self._said: str | None = None

    def keep(self, action: KeepMember) -> None:
        """The core's word on one phone."""
        if action.agent is None:
            self._wanted.pop(action.endpoint, None)
        else:
            self._wanted[action.endpoint] = action.agent, action.paused
        self._news.set()

    def opened(self) -> None:
        """The PBX's state was read and told: who sits where is known again."""
        self._queue, self._open = None, True
        self._news.set()

    def lost(self) -> None:
        self._open = False

    async def run(self) -> None:
        """Make the queue what it should be, for ever."""
        while True:
            try:
                async with asyncio.timeout(REREAD):
                    await self._news.wait()
            except TimeoutError:
                self._queue = None
            self._news.clear()
            if not self._open:
                continue
            try:
                await self._even()
                self._said = None
            except AmiDown:
                self._queue = None  # the link says so itself; the next resync comes here again
            except (AmiError, UnsendableError) as error:
                self._queue = None
                if str(error) != self._said:  # once for each reason, not once a minute
                    self._said = str(error)
                    log.warning("fallback.not_kept", error=self._said)

    async def _even(self) -> None:
        """Send the difference, and again while what is wanted moves on."""
        read = self._queue is None
        queue = self._queue = self._queue or await read_queue(self._link)
        changed = 0
        while steps := self._differences(queue):
            for interface, member in steps.items():
                await self._change(queue, interface, member)
                changed += 1
        if read and changed:
            log.info("fallback.evened", queue=queue.name, members=len(queue.members), changed=changed)

    def _differences(self, queue: Queue) -> dict[str, Member | None]:
        """What each member that is not as it should be, should be; ``None``: gone."""
        wanted = {
            interface: Member(interface=interface, name=agent, paused=paused)
            for endpoint, (agent, paused) in self._wanted.items()
            if (interface := f"{queue.technology}/{endpoint}")
        }
        static = {interface for interface, member in queue.members.items() if member.static}
        gone: dict[str, Member | None] = dict.fromkeys(queue.members.keys() - wanted.keys() - static)
        return gone | {i: m for i, m in wanted.items() if i not in static and queue.members.get(i) != m}

    async def _change(self, queue: Queue, interface: str, member: Member | None) -> None:
        at = {"Queue": queue.name, "Interface": interface}
        there = queue.members.get(interface)
        if there is not None and (member is None or there.name != member.name):
            await self._link.call("QueueRemove", at)
            there = None
            del queue.members[interface]
        if member is None:
            return
        paused = "true" if member.paused else "false"
        if there is None:
            await self._link.call("QueueAdd", {**at, "MemberName": member.name, "Paused": paused})
        else:
            await self._link.call("QueuePause", {**at, "Paused": paused})
        queue.members[interface] = member


async def _global(link: AmiLink, name: str, default: str) -> str:
    return (await link.call("Getvar", {"Variable": name})).get("Value") or default
