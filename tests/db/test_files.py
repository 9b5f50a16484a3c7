"""Customers' and contacts' files in the database: versions, posts, numbers, merges, the line of time, and lists in and out."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from ctid.db import session
from ctid.db.audits import Actor
from ctid.db.callers import Callers
from ctid.db.contacts import ContactDraft, Contacts, Move, NewCustomer, NothingToLeave, Number, TooManyNumbers
from ctid.db.csvfile import defused, lines, plain
from ctid.db.customers import CustomerDraft, Customers, VisitDraft
from ctid.db.exporting import export
from ctid.db.files import FileKind, LooksAlike, NoSuchFile, StaleFile, Why
from ctid.db.importing import Kind, import_bytes
from ctid.db.merging import MergeFault, Merging
from ctid.db.tables import audit, calls, contact_numbers, contacts, customers, posts
from ctid.db.timelines import Timelines, What, place_of
from tests.db.site import NOON, PBX, add_agents, add_ticket
from tests.db.test_importing import SITE

BY = Actor(at=NOON, user_id=1, user_name="liwei")
DAY = 86_400.0


@pytest.fixture
async def firms(engine) -> Customers:
    await session.write(
        engine,
        lambda c: c.execute(
            text(
                "INSERT INTO users (id, name, password_hash, role, created_at) VALUES (1, 'liwei', 'x', 'agent', :at)"
            ),
            {"at": session.instant(NOON)} if c.dialect.name == "postgresql" else {"at": "2026-03-02 12:00:00"},
        ),
    )
    return Customers(engine)


@pytest.fixture
def people(engine, firms) -> Contacts:
    return Contacts(engine)


def number(written: str) -> Number:
    return Number(number=f"+86{written}", given=written)


async def call(engine, key: str, at: float, **columns: object) -> None:
    row = {"pbx": PBX, "id": key, "direction": "inbound", "via": "ctid", "started_at": session.instant(at), **columns}
    await session.write(engine, lambda c: c.execute(calls.insert().values(row)))


async def test_each_write_has_its_row_in_the_audit(engine, firms, people):
    made = await firms.add(CustomerDraft(name="Acme"), BY)
    await firms.change(made.id, 1, CustomerDraft(name="Acme", notes="x"), BY)
    one = await people.add(ContactDraft(name="Ann", customer=made.id), [number("13800138000")], BY)
    await people.remove_number(one.id, "+8613800138000", BY)
    await people.remove_number(one.id, "+8613800138000", BY)
    async with session.reading(engine) as connection:
        rows = (await connection.execute(select(audit.c.action, audit.c.subject).order_by(audit.c.id))).all()
    assert rows == [
        ("customer_added", made.id),
        ("customer_changed", made.id),
        ("contact_added", one.id),
        ("number_removed", one.id),
    ]


async def test_of_two_who_change_a_file_at_once_one_is_refused(firms):
    made = await firms.add(CustomerDraft(name="Acme"), BY)
    tries = (firms.change(made.id, 1, CustomerDraft(name="Acme", notes=notes), BY) for notes in ("one", "other"))
    came = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(one).__name__ for one in came) == ["Customer", "StaleFile"]
    assert (await firms.one(made.id)).version == 2


async def test_a_level_that_a_form_does_not_say_stays(firms):
    made = await firms.add(CustomerDraft(name="Acme", level=4), BY)
    assert (await firms.change(made.id, 1, CustomerDraft(name="Acme"), BY)).level == 4


async def test_names_that_are_alike_are_found_among_many(firms):
    for at in range(30):
        await firms.add(CustomerDraft(name=f"上海{at}号机械厂"), BY, anyway=True)
    made = await firms.add(CustomerDraft(name="华东精密机械有限公司"), BY)
    with pytest.raises(LooksAlike) as alike:
        await firms.add(CustomerDraft(name="上海华东精密机械"), BY)
    assert [(match.id, match.why) for match in alike.value.matches] == [(made.id, Why.LIKE)]
    assert (await firms.like("华东精密机械(集团)"))[0].why is Why.NAME
    assert [match.id for match in await firms.suggest("精密")] == [made.id]


async def test_a_moved_person_is_known_by_their_new_post_and_the_old_tickets_stay(engine, firms, people):
    old = await firms.add(CustomerDraft(name="Acme", level=4), BY)
    one = await people.add(ContactDraft(name="Ann", customer=old.id, title="Buyer"), [number("13800138000")], BY)
    await add_ticket(engine, "T1", contact_id=one.id, customer_id=old.id)
    move = Move(
        left_at=NOON - DAY, customer=NewCustomer(name="Borg", kind="lead"), department=None, title="Head", notes="x"
    )
    moved = await people.move(one.id, 1, move, BY)
    assert [(post.customer, post.title, post.since, post.until) for post in moved.posts] == [
        ("Borg", "Head", NOON - DAY, None),
        ("Acme", "Buyer", None, NOON - DAY),
    ]
    file = await Callers(engine, country="CN").identify("13800138000")
    assert file.contact is not None
    assert (file.contact.customer, file.contact.title, file.level) == ("Borg", "Head", 1)
    lead = (await firms.listed(kind="lead", limit=10))[0]
    assert (lead.name, lead.came, lead.came_from) == ("Borg", "Ann", "Acme")
    assert [(gone.name, gone.now) for gone in await people.formerly_at(old.id)] == [("Ann", (lead.id, "Borg"))]
    line = await Timelines(engine).of(FileKind.CUSTOMER, old.id, limit=10)
    assert [moment.what for moment in line] == [What.TICKET, What.LEFT]
    with pytest.raises(NothingToLeave):
        await people.move(
            one.id, 2, Move(left_at=NOON - 9 * DAY, customer=None, department=None, title=None, notes=None), BY
        )
    with pytest.raises(StaleFile):
        await people.move(one.id, 1, move, BY)


async def test_a_contact_has_so_many_numbers_and_no_more_and_may_share_them(people):
    one = await people.add(ContactDraft(name="Ann"), [number(f"138001380{at:02}") for at in range(20)], BY)
    with pytest.raises(TooManyNumbers):
        await people.add_number(one.id, number("13900000000"), BY)
    other = await people.add(ContactDraft(name="Bea"), [], BY)
    await people.add_number(other.id, number("13800138000"), BY)
    assert (await people.one(other.id)).numbers[0].others == ((one.id, "Ann"),)
    with pytest.raises(NoSuchFile):
        await people.add_number("none", number("13900000000"), BY)


async def test_a_merge_moves_all_and_keeps_the_old_file_as_a_redirect(engine, firms, people):
    firm, twin = [await firms.add(CustomerDraft(name=name), BY) for name in ("Acme", "Zenith")]
    kept = await people.add(ContactDraft(name="Ann", customer=firm.id), [number("13800138000")], BY)
    gone = await people.add(
        ContactDraft(name="Ann B", customer=firm.id, email="a@b", notes="n", title="Head"),
        [number("13800138000"), number("13900139000")],
        BY,
        anyway=True,
    )
    await add_ticket(engine, "T1", contact_id=gone.id, customer_id=firm.id)
    await call(engine, "1.1", NOON - 10, contact_id=gone.id, customer_id=firm.id)
    merging = Merging(engine)
    left, right = await merging.preview(FileKind.CONTACT, gone.id, kept.id)
    assert dict(left.moves) == {"numbers": 2, "tickets": 1, "posts": 1}
    await merging.merge(FileKind.CONTACT, gone.id, kept.id, (left.version, right.version), BY)
    file = await people.one(kept.id)
    assert [one.given for one in file.numbers] == ["13800138000", "13900139000"]
    assert (file.email, file.notes, file.title, len(file.posts)) == ("a@b", "n", "Head", 1)
    assert (await people.one(gone.id)).merged_into == kept.id
    line = await Timelines(engine).of(FileKind.CONTACT, kept.id, limit=10)
    assert [(moment.what, moment.id) for moment in line] == [(What.TICKET, "T1"), (What.CALL, "1.1")]
    assert (await Callers(engine, country="CN").identify("13900139000")).contact.id == kept.id
    versions = ((await firms.one(twin.id)).version, (await firms.one(firm.id)).version)
    await merging.merge(FileKind.CUSTOMER, firm.id, twin.id, versions[::-1], BY)
    assert (await people.one(kept.id)).customer == "Zenith"
    assert await firms.suggest("Acme") == []
    # A later write to the old file goes to the living one.
    added = await people.add(ContactDraft(name="Cleo", customer=firm.id), [], BY)
    assert added.customer_id == twin.id
    await people.add_number(gone.id, number("13700137000"), BY)
    assert "13700137000" in [one.given for one in (await people.one(kept.id)).numbers]


async def test_merges_make_no_circle_also_when_two_are_asked_for_at_once(engine, firms):
    made = [await firms.add(CustomerDraft(name=name), BY) for name in ("Alpha", "Bravo", "Cesar")]
    a, b, c = (one.id for one in made)
    merging = Merging(engine)
    both = (merging.merge(FileKind.CUSTOMER, *two, (1, 1), BY) for two in ((a, b), (b, a)))
    came = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(one).__name__ for one in came) == ["MergeFault", "NoneType"]
    living = a if (await firms.one(a)).merged_into is None else b
    with pytest.raises(MergeFault):
        await merging.preview(FileKind.CUSTOMER, living, living)
    await merging.merge(FileKind.CUSTOMER, living, c, ((await firms.one(living)).version, 1), BY)
    assert {(await firms.one(key)).merged_into for key in (a, b)} == {c}
    with pytest.raises(MergeFault):
        await merging.preview(FileKind.CUSTOMER, c, a)


async def test_suspects_are_told_until_somebody_says_they_are_two(engine, firms, people):
    merging = Merging(engine)
    a, b = [
        (await firms.add(CustomerDraft(name=name), BY, anyway=True)).id for name in ("华东机械", "华东机械有限公司")
    ]
    p, q = [(await people.add(ContactDraft(name="陈小明", customer=a), [], BY, anyway=True)).id for _ in range(2)]
    pairs, last = await merging.suspects()
    assert [(pair.one.id, pair.other.id) for pair in pairs] == [(p, q), (a, b)]
    assert last is None
    await merging.keep_apart(FileKind.CONTACT, q, p, BY)
    await merging.keep_apart(FileKind.CUSTOMER, a, b, BY)
    assert await merging.suspects() == ([], None)


async def test_the_line_of_time_is_in_one_order_and_its_pages_meet_without_a_gap(engine, firms, people):
    await add_agents(engine, "a")
    firm = await firms.add(CustomerDraft(name="Acme"), BY)
    one = await people.add(ContactDraft(name="Ann", customer=firm.id), [], BY)
    for at in range(8):  # four kinds at the same moments
        await call(engine, f"{at}.1", NOON + at // 2, contact_id=one.id, customer_id=firm.id)
        await add_ticket(engine, f"T{at}", at=NOON + at // 2, customer_id=firm.id, contact_id=one.id)
        visit = VisitDraft(kind="on_site", at=NOON + at // 2, agent="a", person=None, ticket_id=None, notes=None)
        await firms.add_visit(firm.id, visit, BY)
    await people.move(one.id, 1, Move(left_at=NOON + 2, customer=None, department=None, title=None, notes=None), BY)
    lines = Timelines(engine)
    whole = await lines.of(FileKind.CUSTOMER, firm.id, limit=100)
    assert len(whole) == 25
    assert [moment.at for moment in whole] == sorted((moment.at for moment in whole), reverse=True)
    for size in (1, 2, 3, 7):
        pieces, after = [], None
        while page := await lines.of(FileKind.CUSTOMER, firm.id, limit=size, after=after):
            pieces += page
            after = place_of(page[-1])
        assert pieces == whole
    assert {moment.what for moment in await lines.of(FileKind.CUSTOMER, firm.id, limit=9, only=[What.CALL])} == {
        What.CALL
    }


async def test_an_import_moves_a_person_leaves_merged_files_alone_and_follows_redirects(engine, firms, people):
    a, b = [(await firms.add(CustomerDraft(name=name), BY)).id for name in ("Alpha", "Bravo")]
    one = await people.add(ContactDraft(name="Ann", customer=a), [], BY)
    brought = await import_bytes(engine, Kind.CONTACTS, "f", f"id,name,customer_id\n{one.id},Ann,{b}\n".encode(), SITE)
    assert brought.updated == 1
    file = await people.one(one.id)
    assert [(post.customer_id, post.until is None) for post in file.posts] == [(b, True), (a, False)]
    assert file.version == 2
    await Merging(engine).merge(FileKind.CUSTOMER, b, a, (1, 1), BY)
    again = await import_bytes(engine, Kind.CUSTOMERS, "f", f"id,name\n{b},Other\n".encode(), SITE)
    assert (again.added, again.updated) == (0, 0)
    assert "was merged into" in again.warnings[0]
    await import_bytes(engine, Kind.CONTACTS, "f", f"id,name,customer_id\nx,Xu,{b}\n".encode(), SITE)
    assert (await people.one("x")).customer_id == a


CELL = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20).map(str.strip)


def test_no_list_has_a_cell_that_begins_a_formula_not_even_in_full_width() -> None:
    assert lines([["=1+1", "\uff1d1", "a,b", "-3"]]) == "'=1+1,'\uff1d1,\"a,b\",'-3\r\n"


@given(st.text(max_size=10) | CELL.map(lambda cell: "=" + cell) | st.sampled_from(["'", "''=", "'+1", "-", "@x"]))
def test_a_defused_cell_begins_no_formula_and_is_undone_exactly(cell: str) -> None:
    assert plain(defused(cell)) == cell
    assert not defused(cell).startswith(("=", "+", "-", "@", "\t", "\r"))


ROWS = st.lists(st.tuples(CELL.filter(bool), CELL, st.integers(1, 5)), min_size=1, max_size=4)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, st.sampled_from(["'", "=1+1", "+86", "-x", '"a","b"', "a\nb", "\uff1b;"]))
async def test_what_is_exported_and_imported_again_is_the_same(engine, rows, hard):
    new = [
        {"id": f"c{at}", "name": name, "notes": f"{hard}{notes}".strip(), "level": level}
        for at, (name, notes, level) in enumerate(rows)
    ]
    person = {"id": "p", "name": rows[0][0], "customer_id": "c0", "department": hard.replace("\n", ""), "level": None}
    phone = {"contact_id": "p", "number": "+8613800138000", "given": "+86 138 0013 8000", "position": 0}
    tables = (contact_numbers, posts, contacts, customers)

    async def everything() -> list[list[object]]:
        async with session.reading(engine) as connection:
            return [
                [tuple(row) for row in await connection.execute(select(table).order_by(*table.primary_key.columns))]
                for table in (customers, contacts, contact_numbers)
            ]

    async with session.writing(engine) as connection:
        for table in tables:
            await connection.execute(table.delete())
        await connection.execute(customers.insert(), new)
        await connection.execute(contacts.insert().values(person))
        await connection.execute(contact_numbers.insert().values(phone))
    before = await everything()
    for kind in (Kind.CUSTOMERS, Kind.CONTACTS):
        content = b"".join([piece async for piece in export(engine, kind)])
        came = await import_bytes(engine, kind, "list.csv", content, SITE)
        assert came.bad == ()
        assert came.added == 0
    assert await everything() == before
