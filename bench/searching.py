"""Search and lists over 200,000 tickets, on SQLite and on PostgreSQL: how long to ask, how large, what a write costs.

`python -m bench.searching [TICKETS]` prints the figures; the databases are made anew each time.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from ctid.db import migrations, search, session
from ctid.db.search import Kind
from ctid.db.session import Engine
from ctid.db.tables import agents, contact_numbers, contacts, customers, tickets
from ctid.desk import bigrams
from lab.postgres import Postgres

NOW = 1_795_000_000.0
ROUNDS = 40
SIGNS = [chr(code) for code in range(0x4E00, 0x4E00 + 2500)]
ENGLISH = (
    "spindle",
    "drive",
    "invoice",
    "printer",
    "error",
    "pump",
    "valve",
    "axis",
    "motor",
    "coolant",
    "alarm",
    "report",
)
QUERIES = (
    ("two signs, common", lambda words, _: words[0]),
    ("two signs, rare", lambda words, _: words[-1]),
    ("four signs", lambda words, _: words[3] + words[4]),
    ("one sign", lambda words, _: words[1][0]),
    ("a word's beginning", lambda _w, _r: "spind"),
    ("two letters", lambda _w, _r: "sp"),
    ("signs and a word", lambda words, _: f"{words[2]} pump"),
    ("a ticket's id", lambda _w, pick: f"T{pick.randrange(1, 100_000)}"),
    ("last four digits", lambda _w, pick: f"{pick.randrange(10_000):04d}"),
    ("a number in groups", lambda _w, pick: f"138 {pick.randrange(10_000):04d} {pick.randrange(10_000):04d}"),
    ("nothing fits", lambda _w, _r: "鑫龘"),
)


def seed(connection: Connection, count: int, words: Sequence[str]) -> None:
    pick = random.Random(7)
    weights = [1 / (at + 1) for at in range(len(words))]

    def said(longest: int) -> str:
        parts = pick.choices(words, weights, k=pick.randint(3, longest))
        return "".join(parts) + " " + " ".join(pick.choices(ENGLISH, k=2))

    connection.execute(agents.insert(), [{"id": f"a{n}", "name": f"Agent {n}"} for n in range(300)])
    connection.execute(
        customers.insert(),
        [{"id": f"c{n}", "name": said(5), "level": pick.choice((1, 1, 1, 2, 3, 4, 5))} for n in range(10_000)],
    )
    connection.execute(
        contacts.insert(),
        [
            {"id": f"p{n}", "name": "".join(pick.choices(words, weights, k=2))[:3], "customer_id": f"c{n % 10_000}"}
            for n in range(30_000)
        ],
    )
    numbers = [f"138{pick.randrange(10**8):08d}" for _ in range(30_000)]
    connection.execute(
        contact_numbers.insert(),
        [{"contact_id": f"p{n}", "number": f"+86{one}", "given": one, "position": 0} for n, one in enumerate(numbers)],
    )
    for first in range(0, count, 10_000):
        connection.execute(tickets.insert(), [_ticket(n, pick, said) for n in range(first, min(first + 10_000, count))])


def _ticket(n: int, pick: random.Random, said: Callable[[int], str]) -> dict[str, Any]:
    created = NOW - (200_000 - n) * 600
    status = pick.choices(("open", "pending", "resolved", "closed"), (4, 2, 4, 90))[0]
    return {
        "id": f"T{n}",
        "subject": said(6),
        "asked": said(30),
        "next_step": said(8) if n % 3 == 0 else None,
        "category": pick.choice(("hardware", "software", "invoice", "其他")),
        "severity": pick.choices((1, 2, 3, 4, 5), (5, 20, 50, 20, 5))[0],
        "status": status,
        "owner": f"a{pick.randrange(300)}" if pick.random() < 0.97 else None,
        "contact_id": f"p{n % 30_000}",
        "customer_id": f"c{n % 10_000}",
        "created_at": session.instant(created),
        "promised_at": session.instant(created + 86_400 * pick.randint(1, 30))
        if status in ("open", "pending")
        else None,
    }


async def timed(engine: Engine, work: Callable[[Connection], Any]) -> float:
    began = time.perf_counter()
    await session.read(engine, work)
    return (time.perf_counter() - began) * 1000


async def size(engine: Engine, words: str) -> str:
    if engine.url.get_backend_name() == "sqlite":
        ask = f"SELECT name, sum(pgsize) FROM dbstat WHERE name LIKE '{words}%' GROUP BY name"
        whole = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    else:
        ask = (
            f"SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relname IN ('{words}', 'ix_{words}_fts')"
        )
        whole = "SELECT pg_database_size(current_database())"
    async with session.reading(engine) as connection:
        parts = [f"{name} {taken / 1e6:.0f}" for name, taken in await connection.execute(text(ask))]
        everything = (await connection.execute(text(whole))).scalar_one()
    return f"{', '.join(parts)}; the whole database {everything / 1e6:.0f} MB"


async def measure(url: str, count: int) -> None:
    engine = session.engine(url)
    await migrations.upgrade(engine)
    pick = random.Random(11)
    words = ["".join(random.Random(n).choices(SIGNS, k=2)) for n in range(1500)]
    began = time.perf_counter()
    await session.write(engine, lambda connection: seed(connection, count, words))
    filled = time.perf_counter()
    print(f"  {count} tickets put in: {filled - began:.0f} s", flush=True)
    await session.write(engine, search.index_all)
    print(f"  all indexed: {time.perf_counter() - filled:.0f} s; {await size(engine, 'ticket_words')}", flush=True)
    if engine.url.get_backend_name() != "sqlite":
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM ANALYZE"))
    for name, made in QUERIES:
        for kind in (Kind.TICKET, Kind.CONTACT):
            spent, found = [], 0
            for _ in range(ROUNDS):
                terms = bigrams.terms(made(words, pick))
                ask = search.fits(engine.dialect.name, kind, terms)
                rows: list[Any] = []
                spent.append(await timed(engine, lambda c, ask=ask, rows=rows: rows.extend(c.execute(ask).all())))
                found = max(found, len(rows))
            spent.sort()
            print(
                f"  {name:22} {kind:8} p50 {statistics.median(spent):6.1f} ms  p99 {spent[-1]:6.1f} ms  {found} rows",
                flush=True,
            )
    spent = []
    for n in range(100):

        def write(connection: Connection, n: int = n) -> None:
            connection.execute(tickets.update().where(tickets.c.id == f"T{n}").values(asked=f"{words[n]} changed"))
            began = time.perf_counter()
            search.index(connection, Kind.TICKET, f"T{n}")
            spent.append((time.perf_counter() - began) * 1000)

        await session.write(engine, write)
    spent.sort()
    print(f"  indexing one changed ticket: p50 {statistics.median(spent):.2f} ms, p99 {spent[-2]:.2f} ms", flush=True)
    await engine.dispose()


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        print("SQLite", flush=True)
        await measure(f"sqlite:///{folder}/ctid.db", count)
        async with Postgres(Path(folder) / "postgres") as server:
            print("PostgreSQL", flush=True)
            await measure(await server.database("searching"), count)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000))
