"""Whether this daemon acts on its PBX, of several that share a PostgreSQL: one holds the office, the others stand by.

Law: two never act at once. A daemon acts only while it knows, by a clock that nobody sets, that no other can have begun to:

- its office was renewed within ``LEASE`` seconds, and its session in the database still stands; or, the database being away,
- within ``PERMIT`` seconds the PBX said that it obeys this daemon's epoch. That is no more than a respite: as soon as the
  ``LEASE`` is over too, a standby that tells the PBX that it could take over ends it.

And another begins only when neither can be the case any more: when the holder has given up its office, or its session has
ended, or it gave no sign of life for ``SILENT`` seconds and its sessions were ended; and ``SETTLE`` seconds after it had the
PBX obey its own epoch. Whoever finds another in office begins again as a standby, with nothing of what it knew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from ctid.asterisk.claiming import Claim
from ctid.asterisk.client import AmiError, AmiLink, LinkState
from ctid.db.leading import Holder, Office, Ousted, Term
from ctid.db.session import DatabaseFault

log = structlog.get_logger(__name__)

#: Seconds a renewed office is sure, counted from when the renewal was asked for.
LEASE: Final = 2.5
#: Seconds a holder may be silent in the database: more than ``LEASE``, so that it has stopped before it is ousted.
SILENT: Final = 2.75
#: Seconds the PBX's word counts, from when it was asked; and those, more than that, which a new holder lets pass.
PERMIT: Final = 0.6
SETTLE: Final = 0.7
#: Seconds after which a process that slept must first hear what happened meanwhile.
STALL: Final = 0.6
_RENEW_EVERY: Final = 1.0
_STAND_BY_EVERY: Final = 0.5
_POLL: Final = 0.25
_ASK_EVERY: Final = 0.5
_TURN_EVERY: Final = 0.1
#: Seconds the PBX may be silent before a holder hands over to a standby whom it answers.
_CUT_OFF: Final = 2.0
#: A standby is able to take over while PBX and database answered within these seconds.
_PBX_HEARD, _DATABASE_HEARD = 1.0, 1.0
#: Seconds within which holder and standby have both noticed that the PBX's clock was set, and the holder has said so: a sign of
#: life that came so long after this one noticed it tells by what time the books are kept, an earlier one may not.
_NOTICED: Final = 5.0
#: The dialplan's lease: somebody else's heartbeat younger than this means that they act.
_RIVAL_LEASE: Final = 3.0


class Leading:
    """One daemon's part in it, from standby to the end of its office.

    ``predecessor`` is the epoch of this daemon's earlier run; ``written_until`` says up to when, by the PBX's clock, all it saw
    is written; ``on_counted`` is told by how many seconds, to the holder, the PBX's clock is ahead of the steady time;
    ``on_electing`` is told, the lock in hand, after whom it is about to be elected; ``on_elected`` is awaited once, when the
    PBX obeys this daemon: it brings the books, and may raise ``DatabaseFault``.
    """

    def __init__(
        self,
        *,
        office: Office,
        link: AmiLink,
        claim: Claim,
        predecessor: str | None,
        written_until: Callable[[], float | None],
        on_counted: Callable[[float], None],
        on_electing: Callable[[Holder | None], None],
        on_elected: Callable[[Holder | None], Awaitable[None]],
    ) -> None:
        self._office = office
        self._link = link
        self._claim = claim
        self._predecessor = predecessor
        self._written_until = written_until
        self._on_counted = on_counted
        self._on_electing = on_electing
        self._on_elected = on_elected
        self._over = False
        self._leads = False
        self._opens_at: float | None = None
        self._sure_until = self._permit_until = 0.0
        self._turned = clock()
        self._pbx_at = self._database_at = 0.0
        self._steady_from: float | None = 0.0  # when it may vouch for the database; ``None``: it is away
        self._said: str | None = None
        # of a standby: the holder's last sign of life, and since when it is that; whether it was seen in office
        self._sign: tuple[str, int, bool] | None = None
        self._sign_since = 0.0
        self._seen_in_office = False
        self._vouched = False
        self._holder: Holder | None = None

    @property
    def acts(self) -> bool:
        """Whether this daemon may act at this very moment."""
        now = clock()
        if self._over or self._opens_at is None or now < self._opens_at or now - self._turned > STALL:
            return False
        return self._sure(now) or now < self._permit_until

    @property
    def sure(self) -> bool:
        """Whether the office is this daemon's for certain: only then may it have the PBX obey it anew."""
        return not self._over and self._sure(clock())

    @property
    def epochs(self) -> frozenset[str]:
        """Whose words the dialplan quotes: this daemon's and those of who acts, or acted before it."""
        return frozenset({self._claim.epoch} | ({self._holder.epoch} if self._holder is not None else set()))

    async def claim(self) -> None:
        """Have the PBX obey this daemon. Raises ``AmiError``, and ``Ousted`` where its office was over by then.

        One that was stopped just before would have the PBX obey it instead of who was elected meanwhile, and then take the
        PBX's word for a right to act.
        """
        await self._claim.make()
        if not self.sure:
            self._fall("its office was over when it claimed the PBX")

    async def acting(self) -> None:
        """Return when this daemon may act."""
        while not self.acts:  # noqa: ASYNC110 - it is a matter of the clock, too
            await asyncio.sleep(0.02)

    # -- tasks -----------------------------------------------------------------------------------------------------

    async def turn(self) -> None:
        """Note that the loop turns. What the sockets have to say is heard before a timer that is due as well."""
        while True:
            self._turned = clock()
            await asyncio.sleep(_TURN_EVERY)

    async def watch_pbx(self) -> None:
        """Ask the PBX whom it obeys; stand by for it. Raises ``Ousted``."""
        while True:
            asked = clock()
            with suppress(AmiError):
                if self._leads:
                    await self._ask_permit(asked)
                else:
                    await self._vouch(asked)
                self._pbx_at = asked
            hurry = self._pbx_at != asked or (self._leads and not self._sure(clock()))
            await asyncio.sleep(_POLL if hurry else _ASK_EVERY)

    async def _vouch(self, asked: float) -> None:
        steady = self._steady_from is not None and asked >= self._steady_from
        reached = steady and asked - self._database_at < _DATABASE_HEARD
        able = self._link.state is LinkState.UP and reached
        if able or self._vouched:
            await self._claim.vouch(able=able)
            self._vouched = able
        else:
            await self._claim.claimed_by()

    async def _ask_permit(self, asked: float) -> None:
        if not self._sure(asked) and asked >= self._sure_until and await self._claim.relieved():
            self._fall("the database is not reached, and another ctid that reaches it stands by")
        obeyed = await self._claim.claimed_by()
        if obeyed == self._claim.epoch:
            self._permit_until = asked + PERMIT
        elif obeyed is not None and self._opens_at is not None:
            self._fall("another ctid has claimed this PBX")

    async def run(self) -> None:
        """Stand by until elected, then hold the office for as long as it lasts. Raises ``Ousted``."""
        term = await self._stand_by()
        self._leads = True
        before = term.predecessor
        log.info("leading.elected", term=term.number, after=None if before is None else before.node)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._keep(), name="office kept")
                await self._take_over(before)
        except* Ousted as ousted:
            self._fall(str(ousted.exceptions[0]))

    async def step_down(self) -> None:
        """Give the office up, all being written: whoever stands by takes it at once."""
        self._over = True
        if self._leads:
            try:
                await self._office.release(self._written_until(), self._link.clock.stepped)
            except DatabaseFault as fault:
                log.warning("leading.not_released", error=str(fault))
        self._office.close()

    def close(self) -> None:
        self._over = True
        self._office.close()

    # -- standing by -----------------------------------------------------------------------------------------------

    async def _stand_by(self) -> Term:
        told = 0.0
        while True:
            asked = clock()
            try:
                able = self._link.state is LinkState.UP and asked - self._pbx_at < _PBX_HEARD
                if able and asked - told >= _STAND_BY_EVERY:
                    await self._office.stand_by()
                    told = asked
                term = await self._try_office(asked, able=able)
                if term is not None:
                    self._sure_until = asked + LEASE
                    return term
                self._database_at = asked
                if (
                    self._steady_from is None
                ):  # the holder's way back to it may take longer: it is given as long as in silence
                    self._steady_from = clock() + SILENT
                self._said = None
            except DatabaseFault as fault:
                self._sign, self._seen_in_office = None, False  # whatever happened meanwhile was not seen
                self._steady_from = None
                self._say("leading.no_database", fault)
            await asyncio.sleep(_POLL)

    async def _try_office(self, asked: float, *, able: bool) -> Term | None:
        if able and await self._office.lock():
            holder = await self._look(asked)
            if self._may_follow(holder, asked) and not await self._rivalled(holder):
                self._on_electing(holder)
                return await self._office.elect()
            await self._office.unlock()
            return None
        holder = await self._look(asked)
        if able and holder is not None:
            self._seen_in_office = True
            if self._silent(asked):
                log.warning("leading.ousts", node=holder.node, term=holder.term)
                await self._office.oust(holder)
        return None

    async def _look(self, asked: float) -> Holder | None:
        holder = self._holder = await self._office.see()
        sign = None if holder is None else (holder.epoch, holder.beat, holder.released)
        if sign != self._sign:
            self._sign, self._sign_since = sign, asked
        if holder is not None and holder.stepped is not None and holder.epoch != self._predecessor:
            noticed_at = self._link.clock.noticed_at
            if noticed_at is None or self._sign_since - noticed_at >= _NOTICED:
                self._on_counted(holder.stepped)
        return holder

    def _silent(self, asked: float) -> bool:
        return asked - self._sign_since >= SILENT

    def _may_follow(self, holder: Holder | None, asked: float) -> bool:
        """Whether the last holder is gone for certain, now that the lock is free.

        Where its session ended under this one's eyes, the daemon has. Where the database was away, it may be on its way back.
        """
        if holder is None or holder.released or holder.epoch == self._predecessor:
            return True
        return self._seen_in_office or self._silent(asked)

    async def _rivalled(self, holder: Holder | None) -> bool:
        """Whether a ctid acts on the PBX that this database knows nothing of."""
        before = None if holder is None else holder.epoch
        try:
            rival = await self._claim.rival(self._predecessor, before, lease=_RIVAL_LEASE)
        except AmiError:
            return True
        if rival is not None:
            self._say("leading.rival", "another ctid, on another database, acts on this PBX; let both use one")
        return rival is not None

    # -- in office -------------------------------------------------------------------------------------------------

    async def _take_over(self, before: Holder | None) -> None:
        """Have the PBX obey, bring the books, and begin to act."""
        clean = before is None or before.released or before.epoch == self._predecessor
        while True:
            try:
                if self.sure:
                    if not clean:
                        await self._claim.outlast()
                    await self.claim()
                    await self._claim.vouch(able=False)
                    break
            except AmiError as error:
                self._say("leading.not_claimed", error)
            await asyncio.sleep(_POLL)
        claimed_at = clock()
        self._opens_at = claimed_at if clean else claimed_at + SETTLE
        while True:
            try:
                await self._on_elected(before)
            except DatabaseFault as fault:
                self._say("leading.no_books", fault)
                await asyncio.sleep(_POLL)
            else:
                return

    async def _keep(self) -> None:
        """Renew the office; hand it over when the PBX answers another but not this one. Raises ``Ousted``."""
        renewed, resuming = clock(), False
        while True:
            await asyncio.sleep(_POLL)
            asked = clock()
            if asked - renewed < _RENEW_EVERY and self._office.connected:
                continue
            try:
                if resuming or not self._office.connected:
                    resuming = True
                    if not await self._office.resume():
                        continue
                    resuming, relieved = False, False
                else:
                    relieved = await self._office.renew(self._written_until(), self._link.clock.stepped)
            except DatabaseFault as fault:
                resuming = True
                self._say("leading.not_renewed", fault)
                continue
            renewed, self._said = asked, None
            self._sure_until = asked + LEASE
            if relieved and asked - self._pbx_at > _CUT_OFF:
                await self.step_down()
                raise Ousted("the PBX does not answer this ctid, but another")

    def _sure(self, now: float) -> bool:
        return self._office.connected and now < self._sure_until

    def _fall(self, why: str) -> None:
        """Act no more, from this moment on, and let nothing that was not yet sent be sent."""
        self._over = True
        if self._link.protocol is not None:
            self._link.protocol.drop("this ctid stands by now")
        raise Ousted(why)

    def _say(self, what: str, why: object) -> None:
        """One line for each reason, not one for each try."""
        if self._said != f"{what} {why}":
            self._said = f"{what} {why}"
            log.warning(what, error=str(why))


def clock() -> float:
    """Seconds that nobody sets, and that pass while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
