"""Saves what the core wants kept, behind the calls and never in their way.

Law: asking never waits. Saves of one call coalesce to the newest, states of an agent are kept in order, a ticket is opened
after its call was saved; none of them is dropped. What the database has not taken within a second is in the journal, too, and
is tried again; but a wish to move a call, whose asker waits, is refused. While the journal is used, it is told first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import structlog

from ctid import metrics
from ctid.daemon.inbox import Inbox
from ctid.daemon.journal import Journal, Key, Record
from ctid.db.agents import Agents
from ctid.db.callbacks import Callbacks
from ctid.db.calls import Calls, NoSuchCall
from ctid.db.holds import CallUnderHold
from ctid.db.relinking import NoSuchContact, NotTheirCall, Relinking
from ctid.db.session import CHUNK, DatabaseFault, Engine, Refused, faults
from ctid.db.tickets import NoSuchTicket, Tickets
from ctid.desk.promises import PROMISE_HOURS
from ctid.domain.actions import OpenTicket, Relink
from ctid.domain.events import CallbackKept, CallRelinked, TicketLinked
from ctid.domain.said import Code, Said, say
from ctid.domain.types import AgentStatus, CallbackRecord, CallerFile, CallRecord, Ticket

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

#: A ticket comes after its call.
_IN_ORDER = ("call", "callback", "agent", "ticket")
#: States of agents written by one transaction.
_BATCH = 500
#: A call changes some ten times while it is set up, and again when it is answered: gathered this long, in seconds, that is
#: one write. What a killed daemon had gathered, the next one reads from CEL.
_GATHER = 0.25
_FIRST_RETRY = 0.25
_LAST_RETRY = 5.0
#: How old what waits may be before it is put by, and how often that is looked at, in seconds.
_LATE, _LOOK = 0.6, 0.2
#: How long a server may take over one round of writes, in seconds.
_PATIENCE = 15.0


class Writer:
    """One task that writes; ``pbx`` names the PBX whose calls these are, ``now`` gives its clock.

    ``promise_hours`` are those a new ticket is promised in, by severity 1 to 5.
    """

    def __init__(
        self,
        engine: Engine,
        inbox: Inbox,
        *,
        pbx: str,
        now: Callable[[], float],
        journal: Journal,
        promise_hours: Sequence[float] = PROMISE_HOURS,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._putting_by = asyncio.Lock()
        self._now = now
        self._store = Calls(engine)
        self._agents_store = Agents(engine)
        self._tickets_store = Tickets(engine, promise_hours=promise_hours)
        self._callbacks_store = Callbacks(engine)
        self._relinking = Relinking(engine, promise_hours=promise_hours)
        self._inbox = inbox
        self._pbx = pbx
        self._waiting: dict[Key, Record] = {}  # the newest of each; agents' states by the order they came in
        self._changed: dict[Key, None] = {}  # what of it is new or gone since the journal was last told, in order
        self._last_status = 0
        self._relinks: list[Relink] = []
        self._took_up = False  # whether the journal of the run before was read
        self._unsure = False  # whether a write that failed may have been done all the same
        self._waits_since: float | None = None  # by the loop's clock
        self._kept_until: float | None = None  # by the PBX's clock
        self._written_until: float | None = None
        self._missing = 0  # what waits and is on no disk
        self._missing_since: float | None = None  # since when calls began that the journal has no room for
        self._news = asyncio.Event()
        self._idle = asyncio.Event()

    def save_call(self, record: CallRecord) -> None:
        self._waiting.pop(("call", record.id), None)
        self._put(("call", record.id), record)

    def save_agent(self, status: AgentStatus) -> None:
        self._last_status += 1
        self._put(("agent", self._last_status), status)

    def open_ticket(self, action: OpenTicket) -> None:
        self._put(("ticket", action.call_id), action)

    def relink(self, action: Relink) -> None:
        self._relinks.append(action)
        self._wake()

    def save_callback(self, record: CallbackRecord) -> None:
        self._put(("callback", record.id), record)

    @property
    def pending(self) -> int:
        return len(self._waiting) + len(self._relinks)

    def all_kept_at(self, now: float) -> float:
        """Up to when, by the PBX's clock, all that was asked for is in database or journal; ``now`` if nothing waits.

        ``now`` is up to when the PBX was heard: a round that was written since knows nothing of what is unheard yet.
        """
        if not self.pending or self._kept_until is None:
            self._kept_until = now
            self._missing_since = None
        return min(now, self._kept_until, now if self._missing_since is None else self._missing_since)

    def all_written_at(self, now: float) -> float:
        """The same of the database alone, which is what another daemon has to go by."""
        if not self.pending or self._written_until is None:
            self._written_until = now
        return min(now, self._written_until)

    async def disown(self, why: str) -> None:
        """Put aside what the run before could not write: another daemon has written since, and has seen the same."""
        await self._on_disk(self._journal.disown, why)

    async def take_up(self) -> None:
        """Write what the run before could not, ahead of everything else. Raises ``DatabaseFault``; asked again, it goes on."""
        if not self._took_up:
            await self._read_journal()
            self._took_up = True
        if self._journal.used:
            records = self.pending
            self._unsure = True
            await self._round()
            log.info("journal.written", records=records)

    async def _read_journal(self) -> None:
        found = await self._on_disk(self._journal.read)
        calls = {record.id: record for record in found.values() if isinstance(record, CallRecord)}
        async with faults(self._engine):
            for known in await self._store.some([(self._pbx, call) for call in calls]):
                if known.ended_at is not None and calls[known.id].ended_at is None:
                    del calls[known.id]  # somebody saw how it ended
        for key, record in found.items():
            match record:
                case CallRecord(id=id_) if id_ not in calls:
                    continue
                case AgentStatus():
                    self._last_status = int(key[1])
            self._waiting[key] = record

    async def run(self) -> None:
        """Write for ever; a database that fails is waited for."""
        retry = _FIRST_RETRY
        while True:
            await self._news.wait()
            await asyncio.sleep(_GATHER)
            self._news.clear()
            try:
                await self._round()
            except DatabaseFault as fault:
                self._unsure = True
                self._refuse_relinks()
                log.warning("db.write_failed", error=str(fault), pending=self.pending, retry_in=retry)
                await asyncio.sleep(retry)
                retry = min(retry * 2, _LAST_RETRY)
                self._news.set()
            else:
                retry = _FIRST_RETRY
            metrics.DB_PENDING_WRITES.set(self.pending)
            if not self.pending:
                self._idle.set()

    async def keep(self) -> None:
        """Have on disk, for ever, what has waited for the database almost a second."""
        while True:
            await asyncio.sleep(_LOOK)
            if self._waits_since is not None and asyncio.get_running_loop().time() - self._waits_since > _LATE:
                await self._put_by()

    async def _put_by(self) -> dict[Key, Record]:
        """All that waits, which the journal has now, if the disk has room."""
        async with self._putting_by:
            waiting, changed, began = self._waiting.copy(), self._changed, self._now()
            self._changed = {}
            missing = await self._on_disk(self._journal.keep, waiting, changed)
            starts = [record.started_at for record in missing if isinstance(record, CallRecord)]
            self._missing_since = min(starts, default=None)
            self._missing = len(missing)
            if not missing:
                self._kept_up_to(began)
        return waiting

    def _put(self, key: Key, record: Record) -> None:
        self._waiting[key] = record
        self._changed[key] = None
        self._wake()

    def _forget(self, key: Key) -> None:
        del self._waiting[key]
        if self._journal.used:
            self._changed[key] = None
        else:
            self._changed.pop(key, None)

    def _written(self, key: Key, record: Record) -> bool:
        """It is in the database; whether it was still the newest: another may have come meanwhile, and waits."""
        newest = self._waiting.get(key) is record
        if newest:
            self._forget(key)
        return newest

    def _kept_up_to(self, at: float) -> None:
        if self._kept_until is not None:
            self._kept_until = max(self._kept_until, at)

    async def _on_disk(self, work: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        """On a thread of its own: no call waits for the disk."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *args)

    def _refuse_relinks(self) -> None:
        """Who asks waits for the answer: unlike what happened, what is wished for is not kept for later."""
        for action in self._relinks:
            self._answer(action, error=say(Code.NO_DATABASE))
        self._relinks.clear()

    async def _relink(self, action: Relink) -> None:
        try:
            done = await self._relinking.relink(
                pbx=self._pbx,
                call_id=action.call_id,
                agent=action.request.agent,
                ticket_id=action.ticket_id,
                new=action.new,
                contact_id=action.contact_id,
                at=action.at,
            )
        except NoSuchCall:
            self._answer(action, error=say(Code.NO_CALL))
        except NotTheirCall:
            self._answer(action, error=say(Code.NOT_YOUR_CALL))
        except CallUnderHold:
            self._answer(action, error=say(Code.UNDER_HOLD))
        except NoSuchTicket:
            self._answer(action, error=say(Code.NO_TICKET, ticket=action.ticket_id or ""))
        except NoSuchContact:
            self._answer(action, error=say(Code.NO_CONTACT, contact=action.contact_id or ""))
        else:
            self._answer(action, call=done.call, ticket=done.ticket, file=done.file)

    def _answer(
        self,
        action: Relink,
        *,
        error: Said | None = None,
        call: CallRecord | None = None,
        ticket: Ticket | None = None,
        file: CallerFile | None = None,
    ) -> None:
        self._inbox.put(
            CallRelinked(
                at=self._now(),
                request=action.request,
                call_id=action.call_id,
                error=error,
                call=call,
                ticket=ticket,
                file=file,
            )
        )

    async def drain(self, seconds: float) -> None:
        """Wait until all is written, at most ``seconds``; put by and say what was not."""
        try:
            async with asyncio.timeout(seconds):
                while self.pending:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            await self._put_by()
            log.warning("db.not_written", pending=self.pending, in_journal=not self._missing)

    def _wake(self) -> None:
        if self._waits_since is None:
            self._waits_since = asyncio.get_running_loop().time()
        self._news.set()

    async def _round(self) -> None:
        """Write all that waits at this moment."""
        began, began_at = self._now(), asyncio.get_running_loop().time()
        # While the journal is used, nothing newer may be in the database: it may be read by the next start.
        waiting = await self._put_by() if self._journal.used else self._waiting.copy()
        try:
            async with faults(self._engine, patience=_PATIENCE):
                await self._write(waiting)
        except (Refused, ValueError, OverflowError):
            await self._write_each(waiting)
        async with faults(self._engine, patience=_PATIENCE):
            for relink in [r for r in self._relinks if ("call", r.call_id) not in self._waiting]:
                await self._relink(relink)
                self._relinks.remove(relink)
        self._unsure = False
        self._waits_since = began_at if self.pending else None  # what came meanwhile is the next round's
        self._kept_up_to(began)
        if self._written_until is not None:
            self._written_until = max(self._written_until, began)
        async with self._putting_by:
            # Under load some call always changes meanwhile: what of it is only in memory yet keeps no journal in use.
            if self._journal.used and not self._journal.ahead_of(waiting, self._waiting):
                await self._on_disk(self._journal.clear)

    async def _write(self, waiting: Mapping[Key, Record]) -> None:
        await self._save_calls([record for record in waiting.values() if isinstance(record, CallRecord)])
        await self._save_callbacks([record for record in waiting.values() if isinstance(record, CallbackRecord)])
        await self._save_agents([(key, record) for key, record in waiting.items() if isinstance(record, AgentStatus)])
        for action in [record for record in waiting.values() if isinstance(record, OpenTicket)]:
            if ("call", action.call_id) not in self._waiting:
                await self._open_ticket(action)

    async def _write_each(self, waiting: Mapping[Key, Record]) -> None:
        """What the database refuses must hold up nothing else, nor the next start: it is given up, and kept aside."""
        self._unsure = True
        for key, record in sorted(waiting.items(), key=lambda item: _IN_ORDER.index(item[0][0])):
            if self._waiting.get(key) is not record:
                continue
            try:
                async with faults(self._engine, patience=_PATIENCE):
                    await self._write({key: record})
            except (Refused, ValueError, OverflowError) as fault:
                await self._give_up(key, record, str(fault))

    async def _give_up(self, key: Key, record: Record, why: str) -> None:
        self._forget(key)
        aside = await self._on_disk(self._journal.put_aside, record)
        mend = "it is not in the books; please report it"
        log.error("db.refused", what=key[0], id=key[1], error=why, file=str(aside), mend=mend)

    async def _save_calls(self, calls: Sequence[CallRecord]) -> None:
        for start in range(0, len(calls), CHUNK):
            chunk = calls[start : start + CHUNK]
            await self._store.save(chunk)
            for record in chunk:  # what is written stays written, should the next fail
                self._written(("call", record.id), record)

    async def _save_callbacks(self, callbacks: Sequence[CallbackRecord]) -> None:
        if not callbacks:
            return
        await self._callbacks_store.save(callbacks)
        for callback in callbacks:
            if self._written(("callback", callback.id), callback):
                self._inbox.put(CallbackKept(at=self._now(), callback=callback))

    async def _save_agents(self, statuses: Sequence[tuple[Key, AgentStatus]]) -> None:
        for start in range(0, len(statuses), _BATCH):
            batch = statuses[start : start + _BATCH]
            states = [status for _, status in batch]
            await self._agents_store.save(self._pbx, states, perhaps_again=self._unsure)
            for key, _ in batch:
                self._forget(key)

    async def _open_ticket(self, action: OpenTicket) -> None:
        ticket, opened = await self._tickets_store.open_for_call(
            pbx=self._pbx,
            call_id=action.call_id,
            agent=action.agent,
            contact_id=action.contact_id,
            customer_id=action.customer_id,
            caller=action.caller,
            at=action.at,
            outbound=action.outbound,
            ticket_id=action.ticket_id,
        )
        self._forget(("ticket", action.call_id))
        self._inbox.put(
            TicketLinked(at=action.at, call_id=action.call_id, agent=action.agent, ticket=ticket, opened=opened)
        )
