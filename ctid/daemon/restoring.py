"""What the core is told first: the books as the last run, or another daemon, left them.

Law: it reads, and changes nothing but the lines of the configuration; what it makes of the books is an event.
"""

from __future__ import annotations

from ctid.config import Settings
from ctid.db.agents import Agents
from ctid.db.callbacks import Callbacks
from ctid.db.calls import Calls
from ctid.db.session import Engine, faults
from ctid.domain.announcing import HOUR, from_books
from ctid.domain.events import BooksRestored, CallbacksRestored
from ctid.domain.ledger import day_bounds
from ctid.domain.types import CallbackState, Rule
from ctid.domain.world import REMEMBERED_SECONDS, World

#: How long the database is waited for by what is asked again soon, in seconds.
_PATIENCE = 30.0


async def read_books(
    engine: Engine, settings: Settings, world: World, *, now: float, seen_at: float | None
) -> BooksRestored:
    """The roster, and the books as the last run left them. Raises ``DatabaseFault``.

    ``seen_at`` is up to when they are whole, ``None`` where nobody knows; both by the PBX's clock.
    """
    agents, calls, pbx = Agents(engine), Calls(engine), settings.ami.pbx
    async with faults(engine):
        await agents.sync_lines(pbx, settings.domain_lines())
        roster = await agents.roster()
        statuses = await agents.statuses(pbx)
        unfinished = [c for c in await calls.unfinished() if c.pbx == pbx]
        recent = await calls.load(since=(seen_at or now) - REMEMBERED_SECONDS)
        midnight, _ = day_bounds(now, world.zone)
        talks = await calls.talks_since(pbx, midnight)
        in_vain = await calls.in_vain(pbx, midnight)
        stays = await calls.stays(pbx, now - 2 * HOUR)
        shares = world.policy.fairness is Rule.TALK_SHARE
        presences = await agents.presences_since(pbx, midnight) if shares else []
    recent = [c for c in recent if c.pbx == pbx and c.ended_at is not None]
    return BooksRestored(
        at=now,
        last_seen_at=seen_at if seen_at is not None else now,
        statuses=statuses,
        calls=(*recent, *unfinished),
        talks=tuple(talks),
        waits=tuple(from_books(stays, now)),
        presences=tuple(presences),
        in_vain=tuple(in_vain),
        agents=roster,
    )


async def read_callbacks(engine: Engine, *, pbx: str, at: float) -> CallbacksRestored:
    """What was promised while another daemon, or an earlier run of this one, acted. Raises ``DatabaseFault``."""
    async with faults(engine, patience=_PATIENCE):
        owed = await Callbacks(engine).open(pbx)
        tried = [(pbx, one.attempt) for one in owed if one.state is CallbackState.CALLING and one.attempt is not None]
        calls = await Calls(engine).some(tried)
    return CallbacksRestored(at=at, callbacks=owed, calls=tuple(calls))
