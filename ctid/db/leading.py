"""Who acts on a PBX, where several daemons share one PostgreSQL: an office that one of them holds.

Law: a lock of a session (``pg_try_advisory_lock``) says who may take the office, a row of ``leaders`` who holds it: elected
anew, its ``epoch`` changes. What a holder writes is fenced: each of its transactions that write reads that row in a way that
excludes an election, so that none of an ousted holder's is committed after one. This module knows no time but the server's,
and of that shows only how old something is: who judges whether a holder still lives uses a clock nobody sets.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import asyncpg  # type: ignore[import-untyped]  # ships no types
from sqlalchemy import Connection, event

from ctid.db.session import DatabaseFault, Engine, connecting, faults

T = TypeVar("T")

#: Seconds after which the server's answer is not waited for any more.
PATIENCE: Final = 1.0

_ROW: Final = "epoch, node, term, session, beat, released, written_until, stepped"
_SEE: Final = f"SELECT {_ROW} FROM leaders WHERE pbx = $1"  # noqa: S608 - constants
_ELECT: Final = """
    INSERT INTO leaders (pbx, epoch, node, term, session, beat, beat_at, released, written_until)
    VALUES ($1, $2, $3, 1, $4, 0, now(), false, NULL)
    ON CONFLICT (pbx) DO UPDATE SET epoch = excluded.epoch, node = excluded.node, term = leaders.term + 1,
        session = excluded.session, beat = 0, beat_at = now(), released = false
    RETURNING term
"""
_RENEW: Final = """
    UPDATE leaders SET beat = beat + 1, beat_at = now(), written_until = coalesce($3, written_until),
        stepped = coalesce($4, stepped)
    WHERE pbx = $1 AND epoch = $2
    RETURNING coalesce(now() - standby_at BETWEEN interval '-1.4 seconds' AND interval '1.4 seconds', false) AS relieved
"""
_RELEASE: Final = """
    UPDATE leaders SET released = true, written_until = coalesce($3, written_until), stepped = coalesce($4, stepped)
    WHERE pbx = $1 AND epoch = $2
"""
_STAND_BY: Final = "UPDATE leaders SET standby = $2, standby_at = now() WHERE pbx = $1"
_END: Final = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = ANY($1::text[]) AND pid <> pg_backend_pid()
"""


class Ousted(Exception):  # noqa: N818 - reads as what happened
    """Another daemon holds the office; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The row: who holds the office, or held it last.

    ``session`` names its connections to the database, ``beat`` counts up while it lives, ``written_until`` is up to when, by
    the PBX's clock, all it saw was written, and ``stepped`` how many seconds that clock is ahead of the steady time the books
    are kept by: somebody set it.
    """

    epoch: str
    node: str
    term: int
    session: str
    beat: int
    released: bool
    written_until: float | None
    stepped: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """An office taken: its number, and who held it before."""

    number: int
    predecessor: Holder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """Who acts on a PBX, as others are told; ``age`` is that of its last sign of life in seconds, by the server's clock."""

    pbx: str
    node: str
    term: int
    age: float
    released: bool
    standby: str | None


class Office:
    """One daemon's way to the office of one PBX: a connection of its own, whose end is the end of the lock.

    ``node`` is this daemon's name for people, ``epoch`` its secret name to the dialplan, ``session`` the one its connections
    bear. Every method raises ``DatabaseFault``, and then the connection is gone.
    """

    def __init__(self, engine: Engine, *, pbx: str, node: str, epoch: str, session: str) -> None:
        self._engine = engine
        self._pbx = pbx
        self._node = node
        self._epoch = epoch
        self._session = session
        self._key = int.from_bytes(hashlib.sha256(f"ctid {pbx}".encode()).digest()[:8], "big", signed=True)
        self._connection: Any = None
        self._locked: Any = None  # the connection that took the lock
        self._one_by_one = asyncio.Lock()

    @property
    def connected(self) -> bool:
        """Whether there is a session, as far as this process has heard."""
        return self._connection is not None and not self._connection.is_closed()

    async def see(self) -> Holder | None:
        """The holder, or the last one; ``None`` where nobody ever was."""
        return _holder(await self._ask(lambda link: link.fetchrow(_SEE, self._pbx)))

    async def lock(self) -> bool:
        """Take the lock if it is free. Whoever has it may ``elect`` itself, and lets it go with the connection."""

        async def take(link: Any) -> bool:
            taken: bool = await link.fetchval("SELECT pg_try_advisory_lock($1)", self._key)
            self._locked = link if taken else None
            return taken

        return await self._ask(take)

    async def unlock(self) -> None:
        self._locked = None
        await self._ask(lambda link: link.execute("SELECT pg_advisory_unlock($1)", self._key))

    async def elect(self) -> Term:
        """Take the office, with the lock in hand: whatever its last holder has not committed by now never will be.

        The lock must be in hand still: a connection made anew since has none, and another may have been elected.
        """

        async def take(link: Any) -> Term:
            before = _holder(await link.fetchrow(_SEE, self._pbx))
            if before is not None and before.session != self._session:
                await link.execute(_END, [before.session, _own(before.session)])
            async with link.transaction():
                await link.execute("SELECT 1 FROM leaders WHERE pbx = $1 FOR UPDATE", self._pbx)
                number = await link.fetchval(_ELECT, self._pbx, self._epoch, self._node, self._session)
            return Term(number=number, predecessor=before)

        return await self._ask(take, locked=True)

    async def renew(self, written_until: float | None, stepped: float | None = None) -> bool:
        """Say that this holder lives; whether another daemon stands by that could take over. Raises ``Ousted``.

        ``None`` leaves what the row says.
        """

        async def say(link: Any) -> bool:
            row = await link.fetchrow(_RENEW, self._pbx, self._epoch, written_until, stepped)
            if row is None:
                raise Ousted(_whose(_holder(await link.fetchrow(_SEE, self._pbx))))
            relieved: bool = row["relieved"]
            return relieved

        return await self._ask(say, locked=True)

    async def resume(self) -> bool:
        """After a lost connection: whether the lock is this holder's again, in the same term. Raises ``Ousted``.

        A connection of its own that the server still believes in has it until it is ended.
        """

        async def look(link: Any) -> None:
            holder = _holder(await link.fetchrow(_SEE, self._pbx))
            if holder is None or holder.epoch != self._epoch or holder.released:
                raise Ousted(_whose(holder))
            await link.execute(_END, [_own(self._session)])

        await self._ask(look)
        if not await self.lock():
            return False
        await self.renew(None)
        return True

    async def release(self, written_until: float | None, stepped: float | None = None) -> None:
        """Give the office up in good order: all is written, and who takes it need not wait."""

        async def let_go(link: Any) -> None:
            await link.execute(_RELEASE, self._pbx, self._epoch, written_until, stepped)
            await link.execute("SELECT pg_advisory_unlock($1)", self._key)

        await self._ask(let_go)
        self.close()

    async def stand_by(self) -> None:
        """Say that this daemon could take over at once."""
        await self._ask(lambda link: link.execute(_STAND_BY, self._pbx, self._node))

    async def oust(self, holder: Holder) -> None:
        """End every connection of a holder that gives no sign of life: a stopped process keeps its lock and its rows."""
        await self._ask(lambda link: link.execute(_END, [holder.session, _own(holder.session)]))

    def close(self) -> None:
        """Let the connection go, and the lock with it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _ask(self, work: Callable[[Any], Awaitable[T]], *, locked: bool = False) -> T:
        """What ``work`` makes of the connection, which is made where there is none; one at a time.

        What is only for who has the lock is asked on the connection that took it, or not at all.
        Whatever fails ends the connection: half an answer is none. It is not cancelled, which would ask the server once more,
        but closed.
        """
        async with self._one_by_one:
            try:
                async with faults(self._engine):
                    if locked and not (self.connected and self._locked is self._connection):
                        raise ConnectionError("the connection that had the lock is gone")
                    if not self.connected:
                        self._connection = await self._connect()
                    asking = asyncio.ensure_future(work(self._connection))
                    # Heard in any case: it may fail in the moment in which whoever waits here is cancelled.
                    asking.add_done_callback(lambda done: done.cancelled() or done.exception())
                    try:
                        await asyncio.wait({asking}, timeout=PATIENCE)
                    finally:
                        if not asking.done():
                            self.close()
                    if not asking.done():
                        raise ConnectionError(f"no answer within {PATIENCE:g} s")
                    return asking.result()
            except DatabaseFault:
                self.close()
                raise

    async def _connect(self) -> Any:
        return await asyncpg.connect(
            **connecting(self._engine),
            timeout=2 * PATIENCE,
            server_settings={"application_name": _own(self._session), "lock_timeout": str(int(PATIENCE * 1000))},
        )


def fence(engine: Engine, *, pbx: str, epoch: str) -> None:
    """From now on, each transaction of this engine that writes proves first that the office is this holder's.

    One that cannot raises ``Ousted``. An election waits for those under way, or ends them.
    """

    def prove(connection: Connection) -> None:
        if not connection.get_execution_options().get("ctid_writes", False):
            return
        held = connection.exec_driver_sql(
            "SELECT 1 FROM leaders WHERE pbx = $1 AND epoch = $2 FOR KEY SHARE", (pbx, epoch)
        ).first()
        if held is None:
            raise Ousted("another daemon holds the office")

    event.listen(engine.sync_engine, "begin", prove)


async def who_acts(engine: Engine) -> list[Acting]:
    """The daemons that act or acted last, one for each PBX. Raises ``DatabaseFault``."""
    async with faults(engine), engine.connect() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT pbx, node, term, extract(epoch FROM now() - beat_at)::float AS age, released,"
            " CASE WHEN now() - standby_at < interval '3 seconds' THEN standby END AS standby FROM leaders ORDER BY pbx"
        )
        return [Acting(**row) for row in rows.mappings()]


def _whose(holder: Holder | None) -> str:
    return "nobody holds the office" if holder is None else f"{holder.node} holds the office, term {holder.term}"


def _own(session: str) -> str:
    """The name of the connection that has the lock; the daemon's others bear the session's."""
    return f"{session} leads"


def _holder(row: Any) -> Holder | None:
    return None if row is None else Holder(**dict(row))
