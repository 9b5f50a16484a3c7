"""Whom the PBX obeys: the epoch that routes quote, the lease that a heartbeat renews, and a standby's word that it is there.

Law: a claim is made by whoever may act, or is about to, and by nobody else. The dialplan judges each value by its own clock:
the times here are sent as the PBX's clock shows them. What is past its deadline is not sent.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import structlog

from ctid.asterisk.client import AmiDown, AmiError, AmiLink
from ctid.asterisk.sending import DEADLINE, send, told_nobody
from ctid.asterisk.wire import Message
from ctid.domain.types import Line

log = structlog.get_logger(__name__)

#: How many seconds a standby's word that it could take over counts.
VOUCHED: Final = 2.5
_EPOCH: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
#: What a number has beside letters and digits is left out of the name of the variable that tells of it.
_NAME: Final = re.compile(r"[^A-Za-z0-9]")


class Claim:
    """One daemon's claim to a PBX.

    ``epoch`` names this run of the daemon. ``now`` is the clock of the core's events, Unix seconds. ``lines`` are told to the
    dialplan's fallback as far as it must know them; it looks them up by what the trunk sends, and ``arrivals`` says how that
    may write a line's number.
    """

    def __init__(
        self,
        link: AmiLink,
        *,
        epoch: str,
        now: Callable[[], float],
        lines: Iterable[Line] = (),
        arrivals: Callable[[str], Iterable[str]] = lambda number: (number,),
    ) -> None:
        if not _EPOCH.fullmatch(epoch):
            raise ValueError(f"epoch {epoch!r} must be letters, digits, _ and -")
        self._link = link
        numbers = [(number, _consent(line)) for line in lines for number in line.numbers]
        self._consents = {_name(way): told for number, told in reversed(numbers) for way in arrivals(number)}
        self._consents |= {_name(number): told for number, told in reversed(numbers)}  # what is written goes before
        self._checking: asyncio.Future[Message] | None = None
        self.epoch = epoch
        self._now = now

    async def make(self) -> None:
        """Make this daemon the acting one: older routes die, and the lease begins. Raises ``AmiError``.

        To be called at the end of each resync: a PBX that was started anew has lost both globals.
        """
        for name, value in (("EPOCH", self.epoch), ("HEARTBEAT", self._heartbeat(self._now()))):
            await self._link.call("Setvar", {"Variable": f"CTID_{name}", "Value": value}, standing_by=True)
        consents = ({"Variable": f"CTID_CONSENT_{name}", "Value": told} for name, told in self._consents.items())
        await asyncio.gather(*(self._link.call("Setvar", told, standing_by=True) for told in consents))

    async def vouch(self, *, able: bool) -> None:
        """Say to the dialplan that this daemon stands by and could take over, or no longer could. Raises ``AmiError``."""
        value = self._heartbeat(self._now()) if able else "0"
        await self._link.call("Setvar", {"Variable": "CTID_STANDBY", "Value": value}, deadline=1.0, standing_by=True)

    async def outlast(self) -> None:
        """Tell the dialplan that a late heartbeat of the daemon before may still arrive. Raises ``AmiError``."""
        value = self._heartbeat(self._now())
        await self._link.call("Setvar", {"Variable": "CTID_TAKEN", "Value": value}, standing_by=True)

    async def relieved(self) -> bool:
        """Whether some daemon stands by on this PBX that could take over. Raises ``AmiError``."""
        said = (await self._link.call("Getvar", {"Variable": "CTID_STANDBY"}, deadline=1.0)).get("Value") or ""
        return said.isdecimal() and abs(self._link.clock.shown() - int(said)) <= VOUCHED

    async def claimed_by(self) -> str | None:
        """The epoch the PBX now obeys, ``None`` for one just started. Raises ``AmiError``."""
        return (await self._link.call("Getvar", {"Variable": "CTID_EPOCH"}, deadline=1.0)).get("Value")

    async def rival(self, *predecessors: str | None, lease: float) -> str | None:
        """The epoch of another daemon that acts on this PBX; ``None`` when nobody does, or one of ``predecessors`` did.

        ``lease`` is how many seconds old a heartbeat may be. Raises ``AmiError``.
        """
        epoch = await self.claimed_by()
        if epoch is None or epoch in {self.epoch, *predecessors}:
            return None
        beat = (await self._link.call("Getvar", {"Variable": "CTID_HEARTBEAT"})).get("Value") or ""
        fresh = beat.isdecimal() and abs(self._link.clock.shown() - int(beat)) <= lease
        return epoch if fresh else None

    def renounce(self) -> None:
        """Give the lease up now, without a wait: the dialplan takes this daemon for dead until the next heartbeat."""
        # Where the link is gone it runs out by itself.
        send(self._link, ("Setvar", {"Variable": "CTID_HEARTBEAT", "Value": "0"}), on_reply=told_nobody)

    def check(self) -> None:
        """Give the PBX up when another daemon has claimed it: two must never act. Never waits; called each second."""

        def on_reply(future: asyncio.Future[Message]) -> None:
            if future.cancelled() or future.exception() is not None:
                return  # the link says so itself
            epoch = future.result().get("Value")
            if epoch != self.epoch and self._link.protocol is not None:
                log.error("claim.lost", mend="two daemons of one PBX share one PostgreSQL; this one stands by")
                self._link.protocol.drop("another ctid has claimed this PBX")

        if self._checking is None or self._checking.done():
            self._checking = asyncio.ensure_future(self._link.call("Getvar", {"Variable": "CTID_EPOCH"}))
            self._checking.add_done_callback(on_reply)

    def beat(self, at: float) -> None:
        """Renew the lease as of the core's own time ``at``: a core that lags behind loses it, however promptly it is sent.

        Never raises, never waits.
        """

        def on_reply(error: AmiError | None) -> None:
            if error is not None and not isinstance(error, AmiDown):
                log.warning("beat.failed", error=str(error))

        late = self._now() - at
        if late > DEADLINE:
            log.warning("beat.dropped", late_seconds=round(late, 1))
            return
        beat = {"Variable": "CTID_HEARTBEAT", "Value": self._heartbeat(at)}
        with suppress(AmiDown):  # the link says so itself; a lost lease is what the fallback is for
            self._link.send_now(("Setvar", beat), on_reply=on_reply, deadline=DEADLINE)

    def _heartbeat(self, at: float) -> str:
        """``at``, by the clock of the core's events, in whole seconds as the PBX's ``EPOCH`` counts them.

        Hosts whose clocks differ by more than the lease, or one whose clock was set, would otherwise make ctid count as dead.
        """
        return str(math.floor(at + self._link.clock.shown() - self._now()))


def _name(number: str) -> str:
    return _NAME.sub("", number)[:40]


def _consent(line: Line) -> str:
    return f"{'ask' if line.consent_asked else 'consent'}-{line.consent}" if line.consent is not None else ""
