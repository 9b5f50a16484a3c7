"""What a fault may lay hands on, and where faults are known by their names; the stages of a call that a fault waits for.

Law: a fault touches processes, sockets and files from outside, never ctid's insides.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from lab.ami import Message
from lab.chaos.stream import Stream
from lab.pair import Pair
from lab.postgres import Postgres
from lab.process import until
from lab.site import Site
from lab.small_disk import SmallDisk
from lab.wire import Wire

#: What a site has besides: a PostgreSQL as its database; a disk of their own for the recordings, or for ctid's state, where its
#: SQLite file lies, too; phones that register themselves; two daemons, on PostgreSQL, in the place of one.
Need = Literal["postgres", "recordings' disk", "state's disk", "registering", "pair"]


@dataclass(kw_only=True)
class Scene:
    """What a fault may lay hands on.

    ``cuts``: from when until when the PBX was dead; ``refusals``: took no new calls; ``unrecorded``: could not write a
    recording.
    """

    site: Site
    wire: Wire
    stream: Stream
    rng: random.Random
    postgres: Postgres | None = None
    disk: SmallDisk | None = None
    pair: Pair | None = None
    cuts: list[tuple[float, float]] = field(default_factory=list)
    refusals: list[tuple[float, float]] = field(default_factory=list)
    unrecorded: list[tuple[float, float]] = field(default_factory=list)

    async def reaches(self, stage: str) -> None:
        """Wait until the next call reaches this stage, as the PBX tells it; one is placed for it."""
        messages = self.site.asterisk.ami.messages
        known, is_it = len(messages), STAGES[stage]
        self.stream.place("transferred" if stage == "in transfer" else "unknown")
        seen = known

        def look() -> bool:
            nonlocal seen
            new = messages[seen:]
            seen += len(new)
            return any(is_it(message) for message in new)

        await until(look, f"a call is {stage}", limit=20, every=0.001)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """``lasting`` is how many seconds it may last, from and to: shorter it would not be felt.

    ``may_say`` are errors and oddities that may then be in the log.
    ``needs`` is what the site must have for it.
    """

    name: str
    breaks: Callable[[Scene], AbstractAsyncContextManager[None]]
    lasting: tuple[float, float]
    may_say: frozenset[str] = frozenset()
    needs: frozenset[Need] = frozenset()


FAULTS: dict[str, Fault] = {}
_Breaks = Callable[[Scene], AsyncIterator[None]]


def fault(
    name: str,
    *,
    lasting: tuple[float, float],
    may_say: tuple[str, ...] = (),
    needs: tuple[Need, ...] = (),
) -> Callable[[_Breaks], _Breaks]:
    """Register an async generator, breaking before its one ``yield`` and mending after it, as the fault of this name."""

    def register(breaks: _Breaks) -> _Breaks:
        FAULTS[name] = Fault(
            name=name,
            breaks=asynccontextmanager(breaks),
            lasting=lasting,
            may_say=frozenset(may_say),
            needs=frozenset(needs),
        )
        return breaks

    return register


def _is(event: str, start: str = "", **headers: str) -> Callable[[Message], bool]:
    def look(message: Message) -> bool:
        return (
            event in (message.get("Event"), message.get("UserEvent"))
            and message.get("Channel", "").startswith(start)
            and all(message.get(name) == value for name, value in headers.items())
        )

    return look


#: The stages of a call, each by the event that shows it first.
STAGES: dict[str, Callable[[Message], bool]] = {
    "entering": _is("Newchannel", "PJSIP/caller"),
    "looked up": _is("CtidStart"),
    "held": _is("CtidWait"),
    "ringing": _is("Newstate", "PJSIP/agent", ChannelStateDesc="Ringing"),
    "answered": _is("Newstate", "PJSIP/agent", ChannelStateDesc="Up"),
    "in transfer": lambda message: message.get("Event") == "BlindTransfer",
    "at hang-up": _is("BridgeLeave", "PJSIP/caller"),
    "being measured": _is("CtidEnd"),
}
