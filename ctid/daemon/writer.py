"""Saves what the core wants kept, behind the calls and never in their way.

Law: asking never waits. Saves of one call coalesce to the newest, states of an agent are kept in order, a ticket is opened
after its call was saved; none of them is dropped. While the database is away they wait in memory and are tried again; but a
wish to move a call, whose asker waits, is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from ctid import metrics
from ctid.daemon.inbox import Inbox
from ctid.db.agents import Agents
from ctid.db.callbacks import Callbacks
from ctid.db.calls import Calls, NoSuchCall
from ctid.db.relinking import NoSuchContact, NotTheirCall, Relinking
from ctid.db.session import DatabaseFault, Engine, faults
from ctid.db.tickets import NoSuchTicket, Tickets
from ctid.desk.promises import PROMISE_HOURS
from ctid.domain.actions import OpenTicket, Relink
from ctid.domain.events import CallbackKept, CallRelinked, TicketLinked
from ctid.domain.said import Code, Said, say
from ctid.domain.types import AgentStatus, CallbackRecord, CallerFile, CallId, CallRecord, Ticket

log = structlog.get_logger(__name__)

#: States of agents written by one transaction.
_BATCH = 500
#: A call changes some ten times while it is set up, and again when it is answered: gathered this long, in seconds, that is
#: one write. What a killed daemon had gathered, the next one reads from CEL.
_GATHER = 0.25
_FIRST_RETRY = 0.25
_LAST_RETRY = 5.0


class Writer:
    """One task that writes; ``pbx`` names the PBX whose calls these are, ``now`` gives its clock.

    ``promise_hours`` are those a new ticket is promised in, by severity 1 to 5.
    """

    def __init__(
        self,
        engine: Engine,
        inbox: Inbox,
        pbx: str,
        now: Callable[[], float],
        promise_hours: Sequence[float] = PROMISE_HOURS,
    ) -> None:
        self._engine = engine
        self._now = now
        self._store = Calls(engine)
        self._agents_store = Agents(engine)
        self._tickets_store = Tickets(engine, promise_hours=promise_hours)
        self._callbacks_store = Callbacks(engine)
        self._relinking = Relinking(engine, promise_hours=promise_hours)
        self._inbox = inbox
        self._pbx = pbx
        self._calls: dict[CallId, CallRecord] = {}
        self._statuses: list[AgentStatus] = []
        self._tickets: dict[CallId, OpenTicket] = {}
        self._callbacks: dict[CallId, CallbackRecord] = {}
        self._relinks: list[Relink] = []
        self._written_until: float | None = None
        self._news = asyncio.Event()
        self._idle = asyncio.Event()

    def save_call(self, record: CallRecord) -> None:
        self._calls.pop(record.id, None)
        self._calls[record.id] = record
        self._wake()

    def save_agent(self, status: AgentStatus) -> None:
        self._statuses.append(status)
        self._wake()

    def open_ticket(self, action: OpenTicket) -> None:
        self._tickets[action.call_id] = action
        self._wake()

    def relink(self, action: Relink) -> None:
        self._relinks.append(action)
        self._wake()

    def save_callback(self, record: CallbackRecord) -> None:
        self._callbacks[record.id] = record
        self._wake()

    @property
    def pending(self) -> int:
        return len(self._calls) + len(self._statuses) + len(self._tickets) + len(self._callbacks) + len(self._relinks)

    def all_written_at(self, now: float) -> float:
        """Up to when, by the PBX's clock, all that was asked for is written; ``now`` when nothing waits."""
        if not self.pending or self._written_until is None:
            self._written_until = now
        return self._written_until

    async def run(self) -> None:
        """Write for ever; a database that fails is waited for."""
        retry = _FIRST_RETRY
        while True:
            await self._news.wait()
            await asyncio.sleep(_GATHER)
            self._news.clear()
            began = self._now()
            try:
                await self._write()
            except DatabaseFault as fault:
                self._refuse_relinks()
                log.warning("db.write_failed", error=str(fault), pending=self.pending, retry_in=retry)
                await asyncio.sleep(retry)
                retry = min(retry * 2, _LAST_RETRY)
                self._news.set()
            else:
                retry = _FIRST_RETRY
                if self._written_until is not None:  # what came meanwhile is the next round's
                    self._written_until = max(self._written_until, began)
            metrics.DB_PENDING_WRITES.set(self.pending)
            if not self.pending:
                self._idle.set()

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
        """Wait until all is written, at most ``seconds``; say what was not."""
        try:
            async with asyncio.timeout(seconds):
                while self.pending:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            log.warning("db.not_written", pending=self.pending)

    def _wake(self) -> None:
        self._news.set()

    async def _write(self) -> None:
        """Write all that waits at this moment."""
        calls, statuses = list(self._calls.values()), len(self._statuses)
        async with faults(self._engine):
            if calls:
                await self._store.save(calls)
                for record in calls:  # a newer one may have come meanwhile
                    if self._calls.get(record.id) is record:
                        del self._calls[record.id]
            if self._callbacks:
                kept = list(self._callbacks.values())
                await self._callbacks_store.save(kept)
                for callback in kept:
                    if self._callbacks.get(callback.id) is callback:
                        del self._callbacks[callback.id]
                        self._inbox.put(CallbackKept(at=self._now(), callback=callback))
            while statuses > 0:
                batch = self._statuses[: min(statuses, _BATCH)]
                await self._agents_store.save(batch)
                del self._statuses[: len(batch)]
                statuses -= len(batch)
            for action in [a for a in self._tickets.values() if a.call_id not in self._calls]:
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
                self._tickets.pop(action.call_id, None)
                self._inbox.put(
                    TicketLinked(at=action.at, call_id=action.call_id, agent=action.agent, ticket=ticket, opened=opened)
                )
            for relink in [r for r in self._relinks if r.call_id not in self._calls]:
                await self._relink(relink)
                self._relinks.remove(relink)
