"""The life of the daemon: every part made, every task named, on one page.

Law: a door handles its own expected failures; anything else ends the process, and systemd starts it again. Stopping hands the
callers to nobody: they stay held, and a daemon that is back within the lease takes them over. Where several daemons share a
PostgreSQL, each begins as a standby, and one that is ousted begins again: nothing of its office outlives it.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from ctid import metrics
from ctid.asterisk.claiming import Claim
from ctid.asterisk.client import AmiDown, AmiError, AmiLink, LinkState
from ctid.asterisk.commands import Commands
from ctid.asterisk.dialplan import loaded_version, mismatch
from ctid.asterisk.fallback import Fallback
from ctid.asterisk.originating import Originator
from ctid.calljson import iso
from ctid.config import Settings
from ctid.daemon.answers import Answers
from ctid.daemon.collecting import collect, settle, unsettle
from ctid.daemon.erasing import Erasing
from ctid.daemon.folder import Folder
from ctid.daemon.gauges import Gauges
from ctid.daemon.inbox import Follow, Inbox, Resync
from ctid.daemon.journal import Journal
from ctid.daemon.leading import Leading
from ctid.daemon.lineage import Lineage
from ctid.daemon.links import ami_settings, node_name, originate_link
from ctid.daemon.loop import RoutingLoop
from ctid.daemon.memory import Memory
from ctid.daemon.nightly import Nights
from ctid.daemon.pace import LEASE, Change, Pace
from ctid.daemon.restoring import read_books, read_callbacks
from ctid.daemon.seen import Seen
from ctid.daemon.writer import Writer
from ctid.db import migrations
from ctid.db.agents import Agents
from ctid.db.callers import Callers
from ctid.db.leading import Holder, Office, Ousted, fence
from ctid.db.numbers import arrivals, dial_back, dialled, normalise
from ctid.db.session import DatabaseFault, Engine, engine, faults
from ctid.domain.acd import Acd
from ctid.domain.events import (
    BooksRestored,
    LinkLost,
    RosterLoaded,
    TimePassed,
)
from ctid.domain.types import Agent, Shed
from ctid.mqtt.client import MqttDoor
from ctid.notify import Notifier

log = structlog.get_logger(__name__)

_TICK = 1.0
_ROSTER_EVERY = 2.0
#: How long the database is waited for by what is asked again soon, in seconds.
_PATIENCE = 30.0
#: How long a stop waits for the last writes.
_DRAIN = 5.0
_DISPOSE = 2.0


class Stopped(Exception):  # noqa: N818 - ends the task group, reads as what happened
    """The daemon was asked to stop."""


async def run(settings: Settings, *, upgrade: bool = True, config: Path | None = None) -> None:
    """Route calls until SIGTERM or SIGINT.

    Raises ``DatabaseFault`` where the database can't be used at start, ``AddressTakenError`` where the metrics' port is in use.
    ``upgrade`` brings the schema to the newest first; ``config`` is the file the settings come from, ``None`` the usual one.
    """
    asyncio.get_running_loop().set_exception_handler(_on_unawaited)
    await _prepare(settings, upgrade=upgrade)
    page = metrics.serve(settings.metrics.listen)
    try:
        while await _one_life(settings, config):
            unsettle()
    finally:
        page.close()


def _on_unawaited(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody awaits any more is told, but for asyncpg's own: the end of a connection whose query was given up before."""
    future = context.get("future")
    if isinstance(context.get("exception"), ConnectionError) and not isinstance(future, asyncio.Task | None):
        log.debug("database.given_up", error=str(context["exception"]))
    else:
        loop.default_exception_handler(context)


async def _prepare(settings: Settings, *, upgrade: bool) -> None:
    database = engine(settings.database.url.get_secret_value())
    try:
        await (migrations.upgrade(database) if upgrade else migrations.check(database))
    finally:
        await database.dispose()


async def _one_life(settings: Settings, config: Path | None) -> bool:
    """From standby, or start, to the stop; whether another is to follow, because this one was ousted."""
    session = f"ctid {secrets.token_hex(8)}"  # no secret: who looks at the database's connections sees it
    database = engine(settings.database.url.get_secret_value(), session=session)
    try:
        daemon = _Daemon(settings, database, config, session)
        return await daemon.live()
    finally:
        with suppress(TimeoutError):  # a database that cannot be reached is not waited for
            async with asyncio.timeout(_DISPOSE):
                await database.dispose()


class _Daemon:
    def __init__(self, settings: Settings, database: Engine, config: Path | None, session: str) -> None:
        self._settings = settings
        self._nights = Nights(settings, config)
        self._erasing = Erasing(settings, database, config, self._acts_alone)
        self._database = database
        self._inbox = Inbox()
        self._acd = Acd(
            settings.policy(),
            settings.domain_lines(),
            settings.ami.pbx,
            normalise=partial(
                normalise, country=settings.routing.country, outside_prefix=settings.routing.outside_prefix
            ),
            dialled=partial(
                dialled,
                country=settings.routing.country,
                outside_prefix=settings.routing.outside_prefix,
                international=settings.routing.callback_dial == "e164",
            ),
        )
        self._link = AmiLink(
            ami_settings(settings),
            on_messages=self._inbox.put,
            on_up=self._resync,
            on_down=self._on_down,
            acts=self._may_act,
        )
        # Names this run, and is a secret of dialplan and daemon: what quotes it was not written by a caller.
        epoch = secrets.token_hex(16)
        self._lineage = Lineage(settings.state.directory / "epoch", epoch=epoch)
        self._claim = Claim(
            self._link,
            epoch=epoch,
            now=self._link.pbx_now,
            lines=settings.domain_lines(),
            arrivals=partial(
                arrivals, country=settings.routing.country, outside_prefix=settings.routing.outside_prefix
            ),
        )
        self._commands = Commands(self._link, epoch=epoch, now=self._link.pbx_now, on_refused=self._inbox.put)
        self._fallback = Fallback(self._link)
        self._originate_link = originate_link(settings, self._may_act)
        self._originator = Originator(self._originate_link, now=self._link.pbx_now, on_refused=self._inbox.put)
        self._mqtt = MqttDoor(settings, node_name(settings), self._inbox.put, self._may_act, now=self._link.pbx_now)
        self._writer = Writer(
            database,
            self._inbox,
            pbx=settings.ami.pbx,
            now=self._link.pbx_now,
            journal=Journal(settings.journal, pbx=settings.ami.pbx, most=settings.database.journal_mib << 20),
            promise_hours=settings.desk.promise_hours,
        )
        self._pace = Pace(self._on_pace)
        self._notifier = Notifier()
        self._seen = Seen(
            settings,
            link=self._link,
            commands=self._commands,
            acd=self._acd,
            inbox=self._inbox,
            writer=self._writer,
            pace=self._pace,
        )
        self._gauges = Gauges(
            database,
            pbx=settings.ami.pbx,
            acd=self._acd,
            writer=self._writer,
            nights=self._nights,
            pace=self._pace,
            now=self._link.pbx_now,
        )
        self._folder = Folder(settings, database, self._inbox, acts=self._acts_alone, now=self._link.pbx_now)
        self._roster: tuple[Agent, ...] = ()
        self._acts = False  # since it began to act on this PBX, nobody else has
        self._memory = Memory()
        self._elected = asyncio.Event()
        self._leading: Leading | None = None
        if database.threads is None:
            pbx = settings.ami.pbx
            office = Office(database, pbx=pbx, node=node_name(settings), epoch=epoch, session=session)
            self._leading = Leading(
                office=office,
                link=self._link,
                claim=self._claim,
                predecessor=self._lineage.obeyed,
                written_until=self._seen.written_until,
                on_counted=self._count_alike,
                on_electing=lambda holder: self._lineage.electing(None if holder is None else holder.epoch),
                on_elected=self._on_elected,
            )
            fence(database, pbx=pbx, epoch=epoch)

    def _may_act(self) -> bool:
        """The one gate of all that leaves this daemon and changes something."""
        return self._leading is None or self._leading.acts

    def _acts_alone(self) -> bool:
        """Whether this daemon is the one that acts on this PBX."""
        return self._acts and self._may_act()

    async def _acting(self) -> None:
        while not self._may_act():
            self._notifier.alive()  # it waits, and is not stuck
            if self._leading is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TICK):
                        await self._leading.acting()

    def _count_alike(self, stepped: float) -> None:
        """Standing by, count seconds as the one who acts does, who took the PBX's clock over, or has not yet."""
        if by := self._link.clock.align(stepped):
            log.info("clock.aligned", seconds=round(by, 1))
            self._memory.lose()
            self._link.read_anew()

    async def _on_elected(self, before: Holder | None) -> None:
        """The PBX obeys this daemon: bring the books and, as soon as it may act, the PBX's state."""
        self._lineage.obeys()
        if before is None or self._lineage.ours:
            await self._writer.take_up()
        else:
            await self._writer.disown(f"{before.node} has acted since")
        self._lineage.inherited()
        books = await self._read_books(before.written_until if before is not None else None)
        await self._acting()
        self._restore(books)
        self._elected.set()
        self._link.read_anew()

    async def _read_books(self, written_until: float | None) -> BooksRestored:
        self._seen.restore(written_until)
        now, seen_at = self._link.pbx_now(), self._seen.at
        return await read_books(self._database, self._settings, self._acd.world, now=now, seen_at=seen_at)

    def _restore(self, books: BooksRestored) -> None:
        """Give the core the books."""
        self._roster = books.agents or ()
        self._inbox.put(replace(books, at=self._link.pbx_now()))
        under_way = sum(call.ended_at is None for call in books.calls)
        log.info("books.restored", agents=len(self._roster), calls_under_way=under_way)

    async def live(self) -> bool:
        """Run every task until one of them fails, the daemon is asked to stop, or it is ousted: then ``True``."""
        metrics.UP.set(1)
        again = False
        try:
            if self._leading is None:
                await self._writer.take_up()
                self._restore(await self._read_books(None))
                self._elected.set()
            async with asyncio.TaskGroup() as tasks:
                answers = Answers(
                    engine=self._database,
                    callers=Callers(
                        self._database,
                        country=self._settings.routing.country,
                        outside_prefix=self._settings.routing.outside_prefix,
                    ),
                    recordings=self._settings.recordings,
                    inbox=self._inbox,
                    now=self._link.pbx_now,
                    dial_back=self._dial_back,
                    on_unread=self._folder.look_again_soon,
                    tasks=tasks,
                )
                loop = RoutingLoop(
                    acd=self._acd,
                    inbox=self._inbox,
                    claim=self._claim,
                    commands=self._commands,
                    fallback=self._fallback,
                    originator=self._originator,
                    mqtt=self._mqtt,
                    writer=self._writer,
                    answers=answers,
                    pace=self._pace,
                    now=self._link.pbx_now,
                    on_tick=self._on_tick,
                    epochs=self._epochs,
                    acting=self._acting,
                    on_resynced=lambda: self._mqtt.publish_node(acting=True, pbx_connected=True),
                    memory=None if self._leading is None else self._memory,
                )
                if self._leading is not None:
                    tasks.create_task(self._leading.turn(), name="turning")
                    tasks.create_task(self._leading.watch_pbx(), name="whom the PBX obeys")
                    tasks.create_task(self._leading.run(), name="office")
                tasks.create_task(loop.run(), name="routing loop")
                tasks.create_task(self._link.run(), name="link to the PBX")
                tasks.create_task(self._fallback.run(), name="fallback queue")
                if self._settings.originates:
                    tasks.create_task(self._originate_link.run(), name="link that makes calls")
                tasks.create_task(self._mqtt.run(), name="link to the broker")
                tasks.create_task(self._writer.run(), name="writer")
                tasks.create_task(self._writer.keep(), name="journal")
                tasks.create_task(self._tick(), name="clock")
                tasks.create_task(self._once_elected(self._read_roster), name="roster")
                tasks.create_task(self._once_elected(self._gauges.run), name="gauges")
                tasks.create_task(self._once_elected(self._nights.run), name="nightly comparison")
                tasks.create_task(self._once_elected(self._erasing.run), name="erasing")
                tasks.create_task(self._once_elected(self._folder.run), name="recordings folder")
                tasks.create_task(self._stop_on_signal(), name="signals")
                tasks.create_task(collect(lambda: self._acd.quiet), name="memory")
                settle()
                self._notifier.ready("routing" if self._leading is None else "following the PBX")
        except* Stopped:
            log.info("daemon.stopped")
        except* Ousted as ousted:
            again = True
            log.warning("leading.ousted", error=_innermost(ousted), dropped_writes=self._writer.pending)
        finally:
            metrics.UP.set(0)
            metrics.ACTING.set(0)
            if self._leading is not None:
                self._leading.close()
        return again

    # -- tasks -----------------------------------------------------------------------------------------------------

    async def _once_elected(self, task: Callable[[], Awaitable[None]]) -> None:
        await self._elected.wait()
        await task()

    async def _tick(self) -> None:
        """Tell the core that time passed: each second, and when one of its deadlines is due."""
        running = asyncio.get_running_loop()
        beat_at = running.time()
        while True:
            # Paced by this host's own seconds: the PBX's clock may stand elsewhere, and may be set.
            now, moment = self._link.pbx_now(), running.time()
            metrics.ACTING.set(self._elected.is_set() and self._may_act())
            deadline = self._acd.next_deadline
            if moment >= beat_at or (deadline is not None and now >= deadline):
                beat_at = max(beat_at + _TICK, moment) if moment >= beat_at else beat_at
                self._inbox.put(TimePassed(at=now))
                self._watch_inbox()
            wait = beat_at - running.time()
            if deadline is not None:
                wait = min(wait, max(deadline - now, 0.005))
            await asyncio.sleep(min(max(wait, 0.0), 0.05))

    def _watch_inbox(self) -> None:
        if self._inbox.overrun:
            dropped = self._inbox.drop_messages()
            log.error("inbox.overrun", dropped_batches=dropped)
            if self._link.protocol is not None:
                self._link.protocol.drop("its events came faster than they could be handled")

    async def _read_roster(self) -> None:
        """Follow what is imported and edited while the daemon runs."""
        agents = Agents(self._database)
        while True:
            await asyncio.sleep(_ROSTER_EVERY)
            if self._pace.sheds(Shed.ROSTER):
                continue
            try:
                async with faults(self._database, patience=_PATIENCE):
                    roster = await agents.roster()
            except DatabaseFault as fault:
                log.warning("roster.not_read", error=str(fault))
                continue
            if roster != self._roster:
                self._roster = roster
                self._inbox.put(RosterLoaded(at=self._link.pbx_now(), agents=roster))
                log.info("roster.changed", agents=len(roster))

    async def _stop_on_signal(self) -> None:
        asked = asyncio.Event()
        running = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, asked.set)
        running.add_signal_handler(
            signal.SIGHUP, lambda: log.warning("signal.hangup", mend="restart ctid to read the configuration again")
        )
        await asked.wait()
        self._notifier.stopping("writing the books")
        await self._writer.drain(_DRAIN)
        if self._leading is not None:
            await self._leading.step_down()
        raise Stopped

    # -- doors -----------------------------------------------------------------------------------------------------

    async def _resync(self, link: AmiLink) -> None:
        if not self._elected.is_set():
            await self._follow(link)
            return
        await self._have_it_obey()
        seen_at, snapshot = self._seen.at, await link.snapshot()
        at = snapshot.at
        # Only one that stood by until now has seen what happened: one that acted has not, while its link was lost.
        remembered = not self._acts and seen_at is not None and self._memory.reaches(seen_at)
        gap = None if remembered else await self._seen.gap(snapshot)
        if not self._acts:
            try:
                self._inbox.put(await read_callbacks(self._database, pbx=self._settings.ami.pbx, at=at))
            except DatabaseFault as fault:
                raise AmiDown(f"the callbacks cannot be read: {fault}") from fault
            self._acts = True
        self._inbox.put(Resync(at=at, snapshot=snapshot, gap=gap, seen_at=seen_at))
        metrics.AMI_CONNECTED.set(1)
        with suppress(AmiError):  # it may not be looked at, or the link is gone, which it says itself
            if (wrong := mismatch(await loaded_version(link))) is not None:
                log.error("dialplan.differs", mend=wrong)

    async def _have_it_obey(self) -> None:
        """Have the PBX obey this daemon.

        Before its state is read: what the dialplan says from now on quotes the epoch, what it said before the snapshot shows.
        """
        if self._leading is None:
            other = await self._claim.rival(self._lineage.obeyed, lease=LEASE)
            if other is not None:
                self._acts = False
                self._mqtt.publish_node(acting=False, pbx_connected=True)
                raise AmiDown("another ctid acts on this PBX; standing by until its heartbeat stops")
        elif not self._leading.sure:
            if await self._claim.claimed_by() != self._claim.epoch:
                raise AmiDown(
                    "the PBX obeys nobody or another, and the database that says who is to act is not reached"
                )
            return
        if self._leading is not None:
            await self._leading.claim()
        else:
            await self._claim.make()
        self._lineage.obeys()

    async def _follow(self, link: AmiLink) -> None:
        """Stand by: know the PBX as well as the one who acts."""
        snapshot = await link.snapshot()
        self._inbox.put(Follow(at=snapshot.at, snapshot=snapshot))
        metrics.AMI_CONNECTED.set(1)
        self._mqtt.publish_node(acting=False, pbx_connected=True)

    def _dial_back(self, number: str | None) -> str | None:
        if not self._settings.calls_back:
            return None
        routing = self._settings.routing
        return dial_back(number, routing.country, international=routing.callback_dial == "e164")

    def _on_down(self) -> None:
        metrics.AMI_CONNECTED.set(0)
        self._inbox.put(LinkLost(at=self._seen.lose()))
        self._mqtt.publish_node(acting=self._elected.is_set(), pbx_connected=False)

    def _on_pace(self, change: Change) -> None:
        """More is left undone than before, or less: say so, wherever somebody may look."""
        for what in Shed:
            metrics.SHEDDING.labels(what=what.value).set(what in change.what)
        self._mqtt.shed(calls=Shed.CALLS in change.what, what=tuple(what.value for what in change.what))
        (log.warning if change.more else log.info)(
            "shedding" if change.what else "shedding.over",
            what=[what.value for what in change.what],
            behind_seconds=round(change.behind, 2),
            since=iso(change.since),
        )

    def _on_tick(self, ticked_at: float) -> None:
        """The loop is alive: tell systemd, leave a mark for the next start, refresh the gauges.

        ``ticked_at`` is when the tick was put into the inbox: what came before it was handled, what came since may not be.
        """
        self._notifier.alive()
        now = self._link.pbx_now()
        metrics.AMI_LAG.set(self._link.lag or 0.0)
        if not self._elected.is_set():
            return
        if self._link.state is LinkState.UP and self._link.whole:
            self._seen.tick(ticked_at)
            if self._leading is None:
                self._claim.check()
        metrics.LOOP_LAG.set(self._pace.behind)
        metrics.INBOX.set(len(self._inbox))
        metrics.TASKS.set(len(asyncio.all_tasks()))
        metrics.CALLS_WAITING.set(self._acd.waiting())
        metrics.CALLBACKS_WAITING.set(self._acd.callbacks_waiting())
        metrics.LONGEST_WAIT.set(self._acd.longest_wait(now))
        for state, count in self._acd.agents_by_state().items():
            metrics.AGENTS.labels(state=state.value).set(count)

    def _epochs(self) -> frozenset[str]:
        return frozenset({self._claim.epoch}) if self._leading is None else self._leading.epochs


def _innermost(error: BaseException) -> str:
    """What an exception within groups says."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)
