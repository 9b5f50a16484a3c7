"""What every page works with: the stores, the board of live states, the site's time zone.

Law: made once per application and closed with it; nothing else is global.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime
from functools import partial
from zoneinfo import ZoneInfo

from starlette.requests import HTTPConnection, Request

from ctid.asterisk.sealing import keys_of
from ctid.config import Settings
from ctid.db import session
from ctid.db.agents import Agents
from ctid.db.audits import Audits
from ctid.db.books import Books
from ctid.db.call_notes import CallNotes
from ctid.db.calls import Calls
from ctid.db.contacts import Contacts
from ctid.db.customers import Customers
from ctid.db.desks import Desks
from ctid.db.erasure import Erasures
from ctid.db.finding import Finder
from ctid.db.holds import Holds
from ctid.db.lists import Lists
from ctid.db.merging import Merging
from ctid.db.numbers import normalise
from ctid.db.recordings import Recordings
from ctid.db.retention import Kept
from ctid.db.roster import Roster
from ctid.db.session import DatabaseFault
from ctid.db.ticket_writing import TicketDesk
from ctid.db.tickets import Tickets
from ctid.db.timelines import Timelines
from ctid.db.users import Users
from ctid.domain.types import AgentId
from ctid.mqtt.asker import RESULTS, Asker
from ctid.mqtt.subscriber import Subscriber
from ctid.web.board import TOPICS, Board
from ctid.web.limits import SIGN_INS, Failures, Sockets
from ctid.web.listens import Listens
from ctid.web.unheard import Unheard
from ctid.web.uploads import Uploads
from ctid.web.waveforms import Waveforms

#: How long a page waits for one statement before it says that the database does not answer, in seconds.
PATIENCE = 20.0
NAMES_SECONDS = 10.0
#: Where the names are wanted by feeds, which go on with those they have.
NAMES_PATIENCE = 1.0


class Room:
    """Raises ``DatabaseFault`` for a database URL that cannot do."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = session.engine(settings.database.url.get_secret_value(), patience=PATIENCE)
        self.users = Users(self.engine)
        self.audits = Audits(self.engine)
        self.roster = Roster(self.engine)
        self.calls = Calls(self.engine)
        self.tickets = Tickets(self.engine, promise_hours=settings.desk.promise_hours)
        self.ticket_desk = TicketDesk(self.engine, promise_hours=settings.desk.promise_hours)
        self.call_notes = CallNotes(self.engine)
        self.agents = Agents(self.engine)
        self.books = Books(self.engine)
        self.customers = Customers(self.engine)
        self.contacts = Contacts(self.engine)
        self.holds = Holds(self.engine)
        routing = settings.routing
        self.erasures = Erasures(
            self.engine, partial(normalise, country=routing.country, outside_prefix=routing.outside_prefix)
        )
        self.uploads = Uploads()
        self.timelines = Timelines(self.engine)
        self.merging = Merging(
            self.engine, Kept(days=settings.recordings.retention_days, lines=settings.line_retention)
        )
        self.recordings = Recordings(self.engine)
        self.desks = Desks(self.engine)
        self.lists = Lists(self.engine)
        self.finder = Finder(
            self.engine, country=settings.routing.country, outside_prefix=settings.routing.outside_prefix
        )
        self.board = Board(priorities={line.name: line.priority for line in settings.lines})
        self.subscriber = Subscriber(settings.mqtt, (*TOPICS, *RESULTS), self._hear)
        self.asker = Asker(self.subscriber.publish, lambda: self.board.routing() is not None)
        self.unheard = Unheard(self.board, self.asker)
        self.failures = Failures()
        self.sockets = Sockets()
        self.sign_ins = asyncio.Semaphore(SIGN_INS)
        self.listens = Listens()
        self.keys = keys_of(settings.recordings.keys)
        self.waveforms = Waveforms(settings.state.directory, self.keys)
        self.zone = ZoneInfo(settings.routing.timezone)
        self._names: Mapping[AgentId, str] = {}
        self._colleagues: Mapping[AgentId, str] = {}
        self._names_at = -NAMES_SECONDS
        self._naming = asyncio.Lock()  # five hundred screens ask at once

    def _hear(self, topic: str, payload: bytes, *, kept: bool) -> None:
        if topic.endswith("/result"):
            self.asker.take(topic, payload)
        else:
            self.board.take(topic, payload, kept=kept)

    async def names(self) -> Mapping[AgentId, str]:
        """Agents' names by id, at most ten seconds old, or as they were last known while the database is away."""
        old = time.monotonic() - self._names_at >= NAMES_SECONDS
        if old and not (self._names and self._naming.locked()):  # one asks, the others go on with what is known
            async with self._naming:
                if time.monotonic() - self._names_at >= NAMES_SECONDS:
                    try:
                        async with session.faults(self.engine, patience=NAMES_PATIENCE):
                            roster = await self.agents.roster()
                        self._names = {agent.id: agent.name for agent in roster}
                        self._colleagues = {agent.id: agent.name for agent in roster if agent.enabled}
                    except DatabaseFault:
                        if not self._names:
                            raise
                    self._names_at = time.monotonic()
        return self._names

    async def colleagues(self) -> Mapping[AgentId, str]:
        """The names, by id, of those agents who may be chosen for something: not the disabled ones."""
        await self.names()
        return self._colleagues

    def today(self) -> date:
        return datetime.now(self.zone).date()

    def clock(self, at: float) -> str:
        """The site's time of day, as 09:30."""
        return datetime.fromtimestamp(at, self.zone).strftime("%H:%M")

    async def close(self) -> None:
        await self.unheard.close()
        await self.engine.dispose()


def room(connection: HTTPConnection) -> Room:
    """The room of the application that serves this request."""
    found = connection.app.state.room
    assert isinstance(found, Room)
    return found


async def stored(request: Request) -> AsyncIterator[None]:
    """Within it, a database that fails is a ``DatabaseFault``, whichever store was asked."""
    async with session.faults(room(request).engine):
        yield
