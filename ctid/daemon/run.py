"""The life of the daemon: every part made, every task named, on one page.

Law: a door handles its own expected failures; anything else ends the process, and systemd starts it again. Stopping hands the
callers to nobody: they stay held, and a daemon that is back within the lease takes them over.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
import socket
import ssl
import time
from contextlib import suppress
from datetime import datetime
from functools import partial
from math import nan
from pathlib import Path

import structlog
from pydantic import SecretStr

from ctid import metrics
from ctid.asterisk import cel
from ctid.asterisk.client import AmiDown, AmiError, AmiLink, AmiSettings, LinkState
from ctid.asterisk.commands import Commands
from ctid.asterisk.dialplan import loaded_version, mismatch
from ctid.asterisk.fallback import Fallback
from ctid.asterisk.messages import WANTED
from ctid.asterisk.originating import Originator
from ctid.asterisk.recordings import disk_free
from ctid.config import Ami, Settings
from ctid.daemon.answers import Answers
from ctid.daemon.inbox import Inbox, Resync
from ctid.daemon.loop import RoutingLoop
from ctid.daemon.nightly import Nights
from ctid.daemon.writer import Writer
from ctid.db import migrations, reports
from ctid.db.agents import Agents
from ctid.db.callbacks import Callbacks
from ctid.db.callers import Callers
from ctid.db.calls import Calls, NoSuchCall
from ctid.db.numbers import dial_back, dialled, normalise
from ctid.db.session import DatabaseFault, Engine, engine, faults
from ctid.domain.acd import Acd
from ctid.domain.announcing import HOUR, from_books
from ctid.domain.events import BooksRestored, CallbacksRestored, Event, LinkLost, RosterLoaded, TimePassed
from ctid.domain.ledger import day_bounds
from ctid.domain.types import Agent, CallbackState, CallRecord, Rule
from ctid.domain.world import REMEMBERED_SECONDS
from ctid.mqtt.client import MqttDoor
from ctid.notify import Notifier

log = structlog.get_logger(__name__)

_TICK = 1.0
_ROSTER_EVERY = 2.0
_COUNT_EVERY = 60.0
#: How long a stop waits for the last writes.
_DRAIN = 5.0
#: The dialplan's CTID_LEASE: a heartbeat later than this lets the fallback take the callers.
_LEASE = 3.0


class Stopped(Exception):  # noqa: N818 - ends the task group, reads as what happened
    """The daemon was asked to stop."""


async def run(settings: Settings, *, upgrade: bool = True, config: Path | None = None) -> None:
    """Route calls until SIGTERM or SIGINT.

    Raises ``DatabaseFault`` where the database can't be used at start, ``AddressTakenError`` where the metrics' port is in use.
    ``upgrade`` brings the schema to the newest first; ``config`` is the file the settings come from, ``None`` the usual one.
    """
    database = engine(settings.database.url.get_secret_value())
    page = None
    try:
        if upgrade:
            await migrations.upgrade(database)
        else:
            await migrations.check(database)
        page = metrics.serve(settings.metrics.listen)
        daemon = _Daemon(settings, database, Nights(settings, config))
        await daemon.restore()
        await daemon.live()
    finally:
        if page is not None:
            page.close()
        await database.dispose()


class _Daemon:
    def __init__(self, settings: Settings, database: Engine, nights: Nights) -> None:
        self._settings = settings
        self._nights = nights
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
            ami_settings(settings), on_messages=self._inbox.put, on_up=self._resync, on_down=self._on_down
        )
        self._epoch_file = settings.state.directory / "epoch"
        self._predecessor = _text(self._epoch_file)
        # Names this run, and is a secret of dialplan and daemon: what quotes it was not written by a caller.
        self._commands = Commands(
            self._link, epoch=secrets.token_hex(16), now=self._link.pbx_now, on_refused=self._inbox.put
        )
        self._fallback = Fallback(self._link)
        self._originate_link = _originate_link(settings)
        self._originator = Originator(self._originate_link, now=self._link.pbx_now, on_refused=self._inbox.put)
        self._mqtt = MqttDoor(settings, node_name(settings), self._inbox.put)
        self._writer = Writer(database, self._inbox, settings.ami.pbx, self._link.pbx_now, settings.desk.promise_hours)
        self._notifier = Notifier()
        self._last_seen = settings.state.directory / "last-seen"
        self._roster: tuple[Agent, ...] = ()
        self._seen_at: float | None = None  # the PBX's clock when it was last heard and all of it was handled
        self._ticked_at: float | None = None
        self._acts = False  # since it began to act on this PBX, nobody else has

    async def restore(self) -> None:
        """Give the core the roster, and the books as the last run left them."""
        now = time.time()
        agents, calls = Agents(self._database), Calls(self._database)
        async with faults(self._database):
            await agents.sync_lines(self._settings.domain_lines())
            self._roster = await agents.roster()
            statuses = await agents.statuses()
            unfinished = [c for c in await calls.unfinished() if c.pbx == self._settings.ami.pbx]
            self._seen_at = _mtime(self._last_seen)
            recent = await calls.load(since=(self._seen_at or now) - REMEMBERED_SECONDS)
            midnight, _ = day_bounds(now, self._acd.world.zone)
            talks = await calls.talks_since(midnight)
            in_vain = await calls.in_vain(self._settings.ami.pbx, midnight)
            stays = await calls.stays(self._settings.ami.pbx, now - 2 * HOUR)
            shares = self._acd.world.policy.fairness is Rule.TALK_SHARE
            presences = await agents.presences_since(midnight) if shares else []
        recent = [c for c in recent if c.pbx == self._settings.ami.pbx and c.ended_at is not None]
        self._inbox.put(
            BooksRestored(
                at=now,
                last_seen_at=self._seen_at if self._seen_at is not None else now,
                statuses=statuses,
                calls=(*recent, *unfinished),
                talks=tuple(talks),
                waits=tuple(from_books(stays, now)),
                presences=tuple(presences),
                in_vain=tuple(in_vain),
                agents=self._roster,
            )
        )
        if not self._settings.recordings.root.is_dir():
            log.warning(
                "recordings.no_folder",
                root=str(self._settings.recordings.root),
                mend="set [recordings] root; ctid doctor",
            )
        log.info("books.restored", agents=len(self._roster), calls_under_way=len(unfinished))

    async def live(self) -> None:
        """Run every task until one of them fails or the daemon is asked to stop."""
        metrics.UP.set(1)
        try:
            async with asyncio.TaskGroup() as tasks:
                answers = Answers(
                    engine=self._database,
                    callers=Callers(
                        self._database,
                        country=self._settings.routing.country,
                        outside_prefix=self._settings.routing.outside_prefix,
                    ),
                    root=self._settings.recordings.root,
                    inbox=self._inbox,
                    now=self._link.pbx_now,
                    dial_back=self._dial_back,
                    tasks=tasks,
                )
                loop = RoutingLoop(
                    acd=self._acd,
                    inbox=self._inbox,
                    commands=self._commands,
                    fallback=self._fallback,
                    originator=self._originator,
                    mqtt=self._mqtt,
                    writer=self._writer,
                    answers=answers,
                    now=self._link.pbx_now,
                    on_tick=self._on_tick,
                )
                tasks.create_task(loop.run(), name="routing loop")
                tasks.create_task(self._link.run(), name="link to the PBX")
                tasks.create_task(self._fallback.run(), name="fallback queue")
                if self._settings.originates:
                    tasks.create_task(self._originate_link.run(), name="link that makes calls")
                tasks.create_task(self._mqtt.run(), name="link to the broker")
                tasks.create_task(self._writer.run(), name="writer")
                tasks.create_task(self._tick(), name="clock")
                tasks.create_task(self._read_roster(), name="roster")
                tasks.create_task(self._count(), name="gauges")
                tasks.create_task(self._nights.run(), name="nightly comparison")
                tasks.create_task(self._stop_on_signal(), name="signals")
                gc.collect()
                gc.freeze()  # what start-up made stays: no collection in mid-call walks through it
                self._notifier.ready("routing")
        except* Stopped:
            log.info("daemon.stopped")
        finally:
            metrics.UP.set(0)

    # -- tasks -----------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Tell the core that time passed: each second, and when one of its deadlines is due."""
        running = asyncio.get_running_loop()
        beat_at = running.time()
        while True:
            # Paced by this host's own seconds: the PBX's clock may stand elsewhere, and may be set.
            now, moment = self._link.pbx_now(), running.time()
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
            try:
                async with faults(self._database):
                    roster = await agents.roster()
            except DatabaseFault as fault:
                log.warning("roster.not_read", error=str(fault))
                continue
            if roster != self._roster:
                self._roster = roster
                self._inbox.put(RosterLoaded(at=self._link.pbx_now(), agents=roster))
                log.info("roster.changed", agents=len(roster))

    async def _count(self) -> None:
        """Measure what can't be counted as it happens."""
        while True:
            try:
                async with faults(self._database):
                    metrics.UNLINKED_RECORDINGS.set(await reports.unlinked_recordings(self._database))
                    metrics.LEDGER_DRIFT.set(max(await self._drift(), self._nights.drift_seconds))
            except DatabaseFault as fault:
                log.warning("gauges.not_read", error=str(fault))
            try:
                metrics.RECORDINGS_FREE.set(disk_free(self._settings.recordings.root))
            except OSError:  # ctid does not see the folder: how full it is, is not known
                metrics.RECORDINGS_FREE.set(nan)
            await asyncio.sleep(_COUNT_EVERY)

    async def _drift(self) -> float:
        """The greatest difference between an agent's talk today in memory and in the database, in seconds."""
        now = self._link.pbx_now()
        today = datetime.fromtimestamp(now, self._acd.world.zone).date()
        rows = await reports.day(self._database, on=today, timezone=self._acd.world.zone, now=now)
        if self._writer.pending:  # the database is about to be told
            return 0.0
        ledger = self._acd.world.ledger
        return max((abs(row.talk_seconds - ledger.today(row.agent, now)) for row in rows), default=0.0)

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
        raise Stopped

    # -- doors -----------------------------------------------------------------------------------------------------

    async def _resync(self, link: AmiLink) -> None:
        other = await self._commands.rival(self._predecessor, lease=_LEASE)
        if other is not None:
            self._acts = False
            self._mqtt.publish_node(acting=False, pbx_connected=True)
            raise AmiDown("another ctid acts on this PBX; standing by until its heartbeat stops")
        # The epoch first: what the dialplan says from now on quotes it, what it said before the snapshot shows.
        await self._commands.claim()
        self._predecessor = self._commands.epoch
        self._keep_epoch()
        at = link.pbx_now()
        snapshot = await link.snapshot()
        gap = await asyncio.to_thread(self._read_gap, self._scene(), at)
        if not self._acts:
            await self._read_callbacks(at)
            self._acts = True
        self._inbox.put(Resync(at=at, snapshot=snapshot, gap=gap))
        metrics.AMI_CONNECTED.set(1)
        self._mqtt.publish_node(acting=True, pbx_connected=True)
        with suppress(AmiError):  # it may not be looked at, or the link is gone, which it says itself
            if (wrong := mismatch(await loaded_version(link))) is not None:
                log.error("dialplan.differs", mend=wrong)

    async def _read_callbacks(self, at: float) -> None:
        """What was promised while another daemon, or an earlier run of this one, acted."""
        calls: list[CallRecord] = []
        try:
            async with faults(self._database):
                owed = await Callbacks(self._database).open(self._settings.ami.pbx)
                for callback in owed:
                    if callback.state is CallbackState.CALLING and callback.attempt is not None:
                        with suppress(NoSuchCall):
                            calls.append(await Calls(self._database).one(callback.attempt))
        except DatabaseFault as fault:
            raise AmiDown(f"the callbacks cannot be read: {fault}") from fault
        self._inbox.put(CallbacksRestored(at=at, callbacks=owed, calls=tuple(calls)))

    def _dial_back(self, number: str | None) -> str | None:
        if not self._settings.calls_back:
            return None
        routing = self._settings.routing
        return dial_back(number, routing.country, international=routing.callback_dial == "e164")

    def _keep_epoch(self) -> None:
        """Leave the epoch to the next run of this daemon, which may then take over at once."""
        try:
            self._epoch_file.touch(mode=0o600)
            self._epoch_file.write_text(self._commands.epoch)
        except OSError as error:
            log.warning("state.not_marked", file=str(self._epoch_file), error=error.strerror)

    def _scene(self) -> float:
        """Since when CEL is to be read for the calls that were under way when the PBX was last heard."""
        seen = self._seen_at or 0.0
        began = [call.started_at for call in self._acd.world.calls.values() if call.live]
        return max(min([seen, *began]) - 2 * cel.SLACK, seen - cel.LONGEST_CALL)

    def _read_gap(self, scene: float, until: float) -> list[Event] | None:
        file, since = self._settings.cel.file, self._seen_at
        if file is None or since is None:
            return None
        try:
            return cel.told_as_events(cel.rows(file, scene), since - cel.SLACK, until)
        except OSError as error:
            log.warning("cel.not_read", file=str(file), error=error.strerror)
            return None

    def _on_down(self) -> None:
        metrics.AMI_CONNECTED.set(0)
        self._ticked_at = None
        # A dead link is noticed late: what came after the last second that was handled may have been missed.
        self._inbox.put(LinkLost(at=self._seen_at or self._link.pbx_now()))
        self._mqtt.publish_node(acting=True, pbx_connected=False)

    def _on_tick(self, ticked_at: float) -> None:
        """The loop is alive: tell systemd, leave a mark for the next start, refresh the gauges.

        ``ticked_at`` is when the tick was put into the inbox: what came before it was handled, what came since may not be.
        """
        self._notifier.alive()
        now = self._link.pbx_now()
        if self._link.state is LinkState.UP and self._link.whole:
            self._mark_seen(now, ticked_at)
            self._commands.check_claim()
            metrics.AMI_LAG.set(self._link.lag or 0.0)
        metrics.CALLS_WAITING.set(self._acd.waiting())
        metrics.CALLBACKS_WAITING.set(self._acd.callbacks_waiting())
        metrics.LONGEST_WAIT.set(self._acd.longest_wait(now))
        for state, count in self._acd.agents_by_state().items():
            metrics.AGENTS.labels(state=state.value).set(count)

    def _mark_seen(self, now: float, ticked_at: float) -> None:
        if self._ticked_at is not None and now - self._ticked_at > _LEASE:
            metrics.LEASE_MISSED.inc()
            log.warning("lease.missed", seconds=round(now - self._ticked_at, 1))
        self._ticked_at = now
        heard = self._link.heard_at
        if heard is None:
            return
        heard = self._seen_at = min(heard, ticked_at)
        # The next start reads from CEL what came after the mark: what is not yet written must come after it.
        mark = self._writer.all_written_at(heard)
        try:
            self._last_seen.touch()
            os.utime(self._last_seen, (mark, mark))
        except OSError as error:
            log.warning("state.not_marked", file=str(self._last_seen), error=error.strerror)


def node_name(settings: Settings) -> str:
    """This daemon's name among those that share a broker: as configured, else its PBX and its host."""
    return settings.mqtt.node or f"{settings.ami.pbx}.{socket.gethostname()}"


def ami_settings(settings: Settings) -> AmiSettings:
    """How the link is made; raises ``ValueError`` without a secret."""
    ami = settings.ami
    if ami.secret is None:
        raise ValueError("ami.secret: is missing; set it, or ami.secret_file, to the secret in manager.conf")
    return _ami_settings(ami, ami.username, ami.secret, WANTED, "username and secret")


def originate_settings(settings: Settings) -> AmiSettings:
    """How the link is made that makes calls; without its secret, nobody can log in by it."""
    ami = settings.ami
    secret = ami.originate_secret or SecretStr("")
    return _ami_settings(ami, ami.originate_username, secret, frozenset(), "originate_username and originate_secret")


def _ami_settings(ami: Ami, username: str, secret: SecretStr, wanted: frozenset[bytes], keys: str) -> AmiSettings:
    return AmiSettings(
        host=ami.host,
        port=ami.port,
        username=username,
        secret=secret.get_secret_value(),
        tls=ssl.create_default_context(cafile=ami.ca_file) if ami.tls else None,
        wanted=wanted,
        keys=keys,
    )


def _originate_link(settings: Settings) -> AmiLink:
    async def nothing_to_read(_: AmiLink) -> None:
        """It hears nothing: what it makes, the other link tells of."""

    return AmiLink(
        originate_settings(settings), on_messages=lambda _: None, on_up=nothing_to_read, on_down=lambda: None
    )


def _text(file: Path) -> str | None:
    try:
        return file.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _mtime(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None
