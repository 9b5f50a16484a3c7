"""Searching and keeping in step, on both databases: what people type finds what is written, and nothing is left behind."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text

from ctid.db import migrations, search, session
from ctid.db.calls import Calls
from ctid.db.finding import Finder
from ctid.db.importing import Kind as List
from ctid.db.importing import Site, import_csv
from ctid.db.search import Kind
from ctid.db.tables import contact_words, contacts, customers, ticket_attempts, ticket_words, tickets
from ctid.db.tickets import Tickets
from ctid.desk import bigrams
from ctid.domain.types import CallRecord, Direction, Via
from tests.db.site import NOON, PBX, add_agents, add_contact, add_customer, add_ticket

HOSTILE = [
    *(
        "'",
        '"',
        '"x" OR 1=1',
        "a & !b | (c)",
        "x:*",
        "NEAR(a b)",
        "a*",
        "-a",
        "^a",
        "col:a",
        "\\",
        "%",
        "_",
        "a\0b",
        "😀" * 3000,
    ),
    *("客" * 10_000, "(" * 500, "'; DROP TABLE tickets; --", "\ud800 x", "\u202e客户", ": :", "<->", "←"),
]


@pytest.fixture
async def desk(engine):
    """A site with a few people and tickets, indexed as its writers do."""
    await add_agents(engine, "7")
    await add_customer(engine, "c1", level=5)
    await add_customer(engine, "c2")
    await add_contact(engine, "p1", "138 0013 8001", "021-6123 4567", customer="c1")
    await add_contact(engine, "p2", "13912345678", customer="c2")
    async with session.writing(engine) as connection:
        await connection.execute(customers.update().where(customers.c.id == "c1").values(name="华东精密机械有限公司"))
        await connection.execute(
            contacts.update().where(contacts.c.id == "p1").values(name="王客户", notes="likes tea")
        )
    await add_ticket(engine, "T1", customer_id="c1", asked="主轴一小时后停机", severity=3)
    await add_ticket(engine, "T2", customer_id="c2", subject="Spindle stops", severity=4)
    await add_ticket(engine, "T12", customer_id="c2", subject="Spindle noise", severity=3)
    await add_ticket(engine, "T3", customer_id="c1", subject="Spindle drawing", severity=3)
    await add_ticket(engine, "T4", subject="甲乙 乙丙", severity=1)
    await session.write(engine, search.index_all)
    return Finder(engine, country="CN", outside_prefix="9")


async def found(finder, query: str) -> dict[str, list[str]]:
    said = await finder.find(query, limit=20)
    return {
        "customers": [one.id for one in said.customers],
        "contacts": [one.id for one in said.contacts],
        "tickets": [one.ticket.id for one in said.tickets],
        "calls": [one.id for one in said.calls],
    }


FINDS = [
    ("客户", "contacts", ["p1"]),
    ("精密机械", "customers", ["c1"]),
    ("精", "customers", ["c1"]),
    ("机密", "customers", []),
    ("停机", "tickets", ["T1"]),
    ("乙丙", "tickets", ["T4"]),
    ("甲乙丙", "tickets", []),  # both pairs are there, but not side by side
    ("tea", "contacts", ["p1"]),
    ("spind", "tickets", ["T2", "T3", "T12"]),  # severity, then the customer's level
    ("spindle draw", "tickets", ["T3"]),
    ("1", "tickets", ["T1", "T12"]),
    ("t12", "tickets", ["T12"]),
    ("12", "tickets", ["T12"]),
    *(
        (number, "contacts", ["p1"])
        for number in ("138 0013 8001", "+86138", "8001", "0086-138-0013-8001", "913800138001")
    ),
    *(
        (number, "contacts", ["p1"])
        for number in ("02161234567", "6123 4567", "4567", "+86 21 6123 4567", "(021) 61234567")
    ),
    ("5678", "contacts", ["p2"]),
]


async def test_what_people_type_finds_what_they_mean(desk):
    for query, group, ids in FINDS:
        assert (await found(desk, query))[group] == ids, query


async def test_who_has_the_very_number_stands_before_who_only_mentions_it(engine, desk):
    await add_contact(engine, "p0", customer="c1", level=5)
    async with session.writing(engine) as connection:
        await connection.execute(contacts.update().where(contacts.c.id == "p0").values(notes="ask 139 1234 5678"))
    await session.write(engine, search.index_all)
    assert (await found(desk, "139 1234 5678"))["contacts"] == ["p2", "p0"]


async def test_whatever_is_typed_is_text(desk):
    for query in HOSTILE:
        assert set(await found(desk, query)) == {"customers", "contacts", "tickets", "calls"}
    assert (await found(desk, "spindle"))["tickets"]


async def test_calls_are_found_by_id_by_number_in_any_notation_and_by_who_called(engine, desk):
    common = {
        "pbx": PBX,
        "direction": Direction.INBOUND,
        "dialled": "4001",
        "line": None,
        "via": Via.CTID,
        "started_at": NOON,
    }
    await Calls(engine).save(
        [
            CallRecord(**common, id="1.1", caller="013912345678"),
            CallRecord(**common, id="1.2", caller="+8613912345678"),
            CallRecord(**common, id="1.3", caller="10086"),
            CallRecord(**common, id="1.4", caller=None, contact_id="p1"),
        ]
    )
    assert (await found(desk, "139 1234 5678"))["calls"] == ["1.1", "1.2"]
    assert (await found(desk, "10086"))["calls"] == ["1.3"]
    assert (await found(desk, "1.3"))["calls"][0] == "1.3"
    assert (await found(desk, "王客户"))["calls"] == ["1.4"]
    assert len((await found(desk, "4001"))["calls"]) == 4


async def test_more_than_fits_is_said(desk):
    said = await desk.find("spindle", limit=2)
    assert [one.ticket.id for one in said.tickets] == ["T2", "T3"]
    assert said.more == {"tickets"}


async def test_who_was_merged_away_is_not_found(engine, desk):
    async with session.writing(engine) as connection:
        await connection.execute(contacts.update().where(contacts.c.id == "p1").values(merged_into="p2"))
    assert (await found(desk, "客户"))["contacts"] == []


async def test_a_ticket_is_found_by_what_was_tried(engine, desk):
    async with session.writing(engine) as connection:
        row = {"ticket_id": "T1", "at": session.instant(NOON), "what": "更换了编码器", "result": "encoder fine"}
        await connection.execute(ticket_attempts.insert().values(row))
        assert await connection.run_sync(search.index, Kind.TICKET, "T1") == 1
        assert await connection.run_sync(search.index, Kind.TICKET, "T1") == 0
    assert (await found(desk, "编码器"))["tickets"] == ["T1"]
    assert (await found(desk, "encod"))["tickets"] == ["T1"]


async def test_what_is_changed_or_deleted_is_no_longer_found(engine, desk):
    async with session.writing(engine) as connection:
        await connection.execute(tickets.update().where(tickets.c.id == "T2").values(subject="Pump"))
        await connection.run_sync(search.index, Kind.TICKET, "T2")
        await connection.execute(delete(tickets).where(tickets.c.id == "T3"))
    assert (await found(desk, "spindle"))["tickets"] == ["T12"]
    assert (await found(desk, "pump"))["tickets"] == ["T2"]
    async with session.reading(engine) as connection:
        assert sorted(await connection.scalars(select(ticket_words.c.of))) == ["T1", "T12", "T2", "T4"]


async def test_a_failed_transaction_leaves_the_index_as_it_was(engine, desk):
    def fail(connection) -> None:
        connection.execute(tickets.update().where(tickets.c.id == "T2").values(subject="Pump"))
        search.index(connection, Kind.TICKET, "T2")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await session.write(engine, fail)
    assert "T2" in (await found(desk, "spindle"))["tickets"]
    assert (await found(desk, "pump"))["tickets"] == []


async def test_the_daemon_and_an_import_leave_nothing_out_of_step(engine, tmp_path):
    site = Site(country="CN", timezone=None)
    for name, kind in (
        ("id,name,level\nc1,华东精密,4\n", List.CUSTOMERS),
        ("id,customer_id,name,numbers\np1,c1,王芳,13800138001\n", List.CONTACTS),
    ):
        file = tmp_path / f"{kind}.csv"
        file.write_text(name)
        await import_csv(engine, kind, file, site)
    await add_agents(engine, "7")
    opened, _new = await Tickets(engine).open_for_call(
        pbx=PBX, call_id="1.1", agent="7", contact_id="p1", customer_id="c1", caller=None, at=NOON
    )
    finder = Finder(engine, country="CN")
    assert (await found(finder, "8001"))["contacts"] == ["p1"]
    assert (await found(finder, "王芳"))["tickets"] == [opened.id]
    assert (await finder.tickets("王芳", limit=1))[0].ticket.level == 4
    assert await session.write(engine, search.index_all) == 0


async def test_an_upgrade_makes_the_grams_anew_when_their_rule_has_changed(engine, desk, monkeypatch):
    async with session.writing(engine) as connection:
        await connection.execute(delete(contact_words))
    await migrations.upgrade(engine)
    assert (await found(desk, "客户"))["contacts"] == []
    monkeypatch.setattr(bigrams, "RULE", bigrams.RULE + 1)
    await migrations.upgrade(engine)
    assert (await found(desk, "客户"))["contacts"] == ["p1"]


async def test_an_upgrade_indexes_what_was_there_before(empty):
    await migrations.upgrade(empty, "0006")
    async with session.writing(empty) as connection:
        await connection.execute(text("INSERT INTO customers (id, name) VALUES ('c1', '华东精密')"))
    await migrations.upgrade(empty)
    assert (await found(Finder(empty, country="CN"), "东精"))["customers"] == ["c1"]


SIGNS = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x4E20), min_size=2, max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=SIGNS, other=SIGNS, data=st.data())
async def test_a_database_finds_a_text_by_any_part_of_it_and_by_nothing_else(engine, said, other, data):
    start = data.draw(st.integers(0, len(said) - 2))
    part = said[start : data.draw(st.integers(start + 2, len(said)))]
    async with session.writing(engine) as connection:
        await connection.execute(delete(tickets))
        for key, subject in (("T1", f"vor {said}后x"), ("T2", other)):
            row = {"id": key, "subject": subject, "created_at": session.instant(NOON)}
            await connection.execute(tickets.insert().values(row))
        await connection.run_sync(search.index, Kind.TICKET, "T1", "T2")
    wanted = {"T1"} | ({"T2"} if part in other else set())
    assert {one.ticket.id for one in await Finder(engine, country="CN").tickets(part, limit=9)} == wanted
