"""The desk's lists: what is in each, in which order, and how they go on, on both databases."""

import random
from dataclasses import replace

import pytest
from sqlalchemy import select, text

from ctid.db import search, session
from ctid.db.lists import ANY, COUNTED, Asked, Lists, View, _conditions, _sorted, place
from ctid.db.search import Kind
from ctid.db.tables import tickets
from tests.db.site import NOON, add_agents, add_contact, add_customer, add_ticket

DAY = 86_400
EVENING = NOON + DAY / 2


def asked(view: View, **more) -> Asked:
    return Asked(view=view, now=NOON, until=EVENING, **more)


async def put(engine, key: str, **columns) -> None:
    """A ticket as a writer leaves it: indexed."""
    promised = columns.pop("promised", None)
    at = None if promised is None else session.instant(promised)
    await add_ticket(engine, key, promised_at=at, **columns)
    await session.write(engine, lambda connection: search.index(connection, Kind.TICKET, key))


@pytest.fixture
async def desk(engine):
    """Two agents, a great customer and a small one, and a ticket of each sort."""
    await add_agents(engine, "7", "8")
    await add_customer(engine, "great", level=5)
    await add_customer(engine, "small", level=1)
    await add_contact(engine, "boss", customer="small", level=4)
    await put(engine, "mine", owner="7", customer_id="small")
    await put(engine, "lent", owner="7", with_agent="8", customer_id="great", promised=NOON - 3600)
    await put(engine, "borrowed", owner="8", with_agent="7", severity=5, promised=NOON + 3600)
    await put(engine, "theirs", owner="8", contact_id="boss", customer_id="small", category="pump", promised=NOON - 60)
    await put(engine, "tomorrow", owner="8", promised=NOON + DAY)
    await put(engine, "free", at=NOON - 9 * DAY, severity=1)
    await put(engine, "solved", owner="7", status="resolved", promised=NOON - DAY)
    await put(engine, "gone", owner="7", status="closed", promised=NOON - DAY, category="pump")
    return Lists(engine)


async def ids(lists: Lists, view: View, **more) -> list[str]:
    return [ticket.id for ticket in await lists.tickets(asked(view, **more), limit=50)]


SHOWN = [
    (View.MINE, ["lent", "mine", "solved"]),
    (View.TURN, ["borrowed", "mine", "solved"]),
    (View.OVERDUE, ["lent", "theirs"]),
    (View.TODAY, ["borrowed"]),
    (View.NOBODYS, ["free"]),
    (View.OLDEST, ["free", "borrowed", "lent", "mine", "theirs", "tomorrow"]),
    (View.ALL, ["borrowed", "lent", "theirs", "mine", "tomorrow", "free"]),
]


async def test_each_list_shows_its_tickets_the_weightiest_first(desk):
    counts = await desk.counts(asked(View.ALL, who="7"))
    for view, shown in SHOWN:
        assert await ids(desk, view, who="7") == shown, view
        assert counts[view] == len(shown)


async def test_filters_combine(desk):
    assert await ids(desk, View.ALL, status=ANY, category="pump") == ["theirs", "gone"]
    assert await ids(desk, View.ALL, status=ANY, category="pump", owner="7") == ["gone"]
    assert await ids(desk, View.ALL, status="closed", severity=3) == ["gone"]
    assert await ids(desk, View.ALL, customer_id="small", owner="8") == ["theirs"]
    assert await ids(desk, View.OVERDUE, status=ANY) == ["lent", "theirs", "gone", "solved"]


async def test_the_open_tickets_are_counted_by_customer_and_by_category(desk):
    shares = await desk.by_customer(now=NOON, limit=10)
    assert [(one.key, one.level, one.count, one.severity, one.overdue) for one in shares] == [
        (None, 1, 3, 5, 0),
        ("great", 5, 1, 3, 1),
        ("small", 4, 2, 3, 1),
    ]
    assert [one.name for one in shares] == [None, "Customer great", "Customer small"]
    shares = await desk.by_category(now=NOON, limit=10)
    assert [(one.key, one.count, one.overdue) for one in shares] == [(None, 5, 1), ("pump", 1, 1)]
    assert await desk.categories() == ["pump"]


async def test_the_severest_stand_first_then_the_highest_level_then_who_waits_longest(engine):
    await add_customer(engine, "c1", level=1)
    pick = random.Random(3)
    for n in range(5):
        await add_contact(engine, f"p{n}", customer="c1", level=n + 1)
    for n in range(60):
        at = NOON - pick.randrange(4) * 60
        await put(engine, f"t{n:02}", at=at, severity=pick.randint(1, 5), contact_id=f"p{pick.randrange(5)}")
    shown = await Lists(engine).tickets(asked(View.ALL), limit=100)
    assert len({(one.severity, one.level) for one in shown}) > 10
    assert shown == sorted(shown, key=lambda one: (-one.severity, -one.level, one.created_at, one.id))


@pytest.mark.parametrize("view", [View.ALL, View.OLDEST, View.OVERDUE])
async def test_paging_leaves_nobody_out_and_shows_nobody_twice_while_tickets_come_and_go(engine, view):
    lists = Lists(engine)
    for n in range(12):
        await put(engine, f"t{n:02}", at=NOON - n // 3, severity=n % 3 + 1, promised=NOON - 60 - n // 4)
    whole = [one.id for one in await lists.tickets(asked(view), limit=50)]
    seen: list[str] = []
    after = None
    while rows := await lists.tickets(asked(view), limit=5, after=after):
        seen += [row.id for row in rows]
        after = place(rows[-1], view)
        # Between two pages one comes at the front, and one that was shown goes.
        await put(engine, f"new{len(seen)}", at=NOON - DAY, severity=5, promised=NOON - DAY)
        async with session.writing(engine) as connection:
            await connection.execute(tickets.update().where(tickets.c.id == seen[0]).values(status="closed"))
    assert seen == whole


async def test_a_level_that_changes_moves_the_tickets(engine):
    await add_customer(engine, "c1", level=1)
    await add_customer(engine, "c2", level=3)
    await put(engine, "a", customer_id="c2")
    await put(engine, "b", customer_id="c1")
    lists = Lists(engine)
    assert await ids(lists, View.ALL) == ["a", "b"]
    async with session.writing(engine) as connection:
        await connection.execute(text("UPDATE customers SET level = 5 WHERE id = 'c1'"))
        await connection.run_sync(search.index, Kind.CUSTOMER, "c1")
    assert [(one.id, one.level) for one in await lists.tickets(asked(View.ALL), limit=9)] == [("b", 5), ("a", 3)]


async def test_a_tab_counts_no_further_than_its_bound(engine):
    async with session.writing(engine) as connection:
        row = {"subject": "s", "created_at": session.instant(NOON)}
        await connection.execute(tickets.insert(), [{**row, "id": f"t{n}"} for n in range(COUNTED + 5)])
    assert (await Lists(engine).counts(asked(View.ALL)))[View.ALL] == COUNTED


READ_FROM = [
    (asked(View.ALL), "ix_tickets_open_weight"),
    (asked(View.ALL, status=ANY), "ix_tickets_weight"),
    (asked(View.OLDEST), "ix_tickets_open_age"),
    (asked(View.OVERDUE), "ix_tickets_open_promise"),
    (asked(View.TODAY), "ix_tickets_open_promise"),
    (asked(View.MINE, who="7"), "ix_tickets_owner_status"),
    (asked(View.ALL, customer_id="c7"), "ix_tickets_"),
]


async def test_a_list_is_read_from_an_index(engine):
    """Among many tickets, as the database itself says how it would go about it."""
    await add_agents(engine, *(str(n) for n in range(40)))
    rows = [
        {
            "id": f"t{n}",
            "subject": "s",
            "created_at": session.instant(NOON - n),
            "promised_at": session.instant(NOON - 100 + n) if n % 9 == 0 else None,
            "severity": n % 5 + 1,
            "status": "closed" if n % 9 else "open",
            "owner": str(n % 40),
        }
        for n in range(20_000)
    ]
    async with session.writing(engine) as connection:
        await connection.execute(tickets.insert(), rows)
        await connection.execute(text("ANALYZE tickets"))
    for question, index in READ_FROM:
        said = await _plan(engine, question)
        assert index in said, said
        assert "SCAN tickets\n" not in said, said


async def _plan(engine, question: Asked) -> str:
    plans: list[str] = []

    def explain(connection) -> None:
        query = _sorted(select(tickets.c.id).where(*_conditions(question)), question.view, None).limit(50)
        compiled = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        way = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        plans.extend(str(row[-1]) for row in connection.exec_driver_sql(way + str(compiled)))

    await session.read(engine, explain)
    return "\n".join(plans) + "\n"


async def test_a_place_holds_what_the_list_was_sorted_by(desk):
    (first, *_) = await desk.tickets(asked(View.OVERDUE), limit=1)
    assert place(first, View.OVERDUE).at == NOON - 3600
    assert place(replace(first, promised_at=None), View.ALL).at == NOON
