"""Who is calling, and who owns them."""

import pytest

from ctid.db import session
from ctid.db.callers import Callers
from ctid.db.tables import contacts
from ctid.domain.types import CallerFile
from tests.db.site import NOON, add_agents, add_contact, add_customer, add_ticket

NUMBER = "+8613800138000"


@pytest.fixture
def callers(engine) -> Callers:
    return Callers(engine, country="CN", outside_prefix="9")


async def test_an_anonymous_caller_has_no_file(callers):
    assert await callers.identify(None) == await callers.identify("anonymous") == CallerFile()


async def test_an_unknown_caller_has_a_number_and_waits_at_level_one(callers):
    assert await callers.identify("9013800138000") == CallerFile(number=NUMBER, level=1)


async def test_a_number_leads_to_its_contact_and_customer(engine, callers):
    await add_customer(engine, "c1", level=4)
    await add_contact(engine, "p1", "138 0013 8000", "8001", customer="c1")
    for written in ("013800138000", "8001"):
        file = await callers.identify(written)
        assert file.contact is not None
        assert (file.contact.id, file.contact.customer, file.customer_id, file.level) == ("p1", "Customer c1", "c1", 4)


async def test_a_contacts_own_level_goes_before_the_customers(engine, callers):
    await add_customer(engine, "c1", level=4)
    await add_contact(engine, "p1", NUMBER, customer="c1", level=2)
    assert (await callers.identify(NUMBER)).level == 2


async def test_the_owner_is_that_of_the_newest_ticket_open_or_closed(engine, callers):
    await add_agents(engine, "a", "b")
    await add_contact(engine, "p1", NUMBER)
    await add_ticket(engine, "T1", at=NOON, contact_id="p1", owner="a", severity=5)
    await add_ticket(engine, "T2", at=NOON + 1, contact_id="p1", owner="b", status="closed")
    file = await callers.identify(NUMBER)
    assert file.owner == "b"
    assert [ticket.id for ticket in file.history] == ["T2", "T1"]
    assert file.severity == 5  # of the newest open one


async def test_a_newest_ticket_without_owner_means_no_owner(engine, callers):
    await add_agents(engine, "a")
    await add_contact(engine, "p1", NUMBER)
    await add_ticket(engine, "T1", at=NOON, contact_id="p1", owner="a")
    await add_ticket(engine, "T2", at=NOON + 1, contact_id="p1")
    assert (await callers.identify(NUMBER)).owner is None


async def test_the_customers_tickets_count_only_for_a_contact_without_any(engine, callers):
    await add_agents(engine, "a", "b")
    await add_customer(engine, "c1")
    await add_contact(engine, "p1", NUMBER, customer="c1")
    await add_contact(engine, "p2", customer="c1")
    await add_ticket(engine, "T1", at=NOON + 9, contact_id="p2", customer_id="c1", owner="b")
    assert (await callers.identify(NUMBER)).owner == "b"
    await add_ticket(engine, "T2", at=NOON, contact_id="p1", customer_id="c1", owner="a", status="closed")
    file = await callers.identify(NUMBER)
    assert (file.owner, file.severity) == ("a", 0)


async def test_the_history_is_the_ten_newest_and_an_older_open_ticket_still_gives_the_severity(engine, callers):
    await add_contact(engine, "p1", NUMBER)
    await add_ticket(engine, "old", at=NOON - 1, contact_id="p1", severity=4)
    for number in range(12):
        await add_ticket(engine, f"T{number:02}", at=NOON + number, contact_id="p1", status="closed")
    file = await callers.identify(NUMBER)
    assert [ticket.id for ticket in file.history] == [f"T{number:02}" for number in range(11, 1, -1)]
    assert file.severity == 4


async def test_a_number_shared_within_one_customer_is_nobody_but_the_customers_tickets_count(engine, callers):
    await add_agents(engine, "a")
    await add_customer(engine, "c1", level=3)
    for key in ("p1", "p2"):
        await add_contact(engine, key, NUMBER, customer="c1")
    await add_ticket(engine, "T1", contact_id="p2", customer_id="c1", owner="a", severity=2)
    file = await callers.identify(NUMBER)
    assert (file.contact, file.customer_id, file.owner, file.level, file.severity) == (None, "c1", "a", 3, 2)


async def test_a_number_shared_across_customers_is_neither_and_lists_the_matches(engine, callers):
    await add_agents(engine, "a")
    for customer, contact in (("c1", "p1"), ("c2", "p2")):
        await add_customer(engine, customer, level=5)
        await add_contact(engine, contact, NUMBER, customer=customer)
        await add_ticket(engine, f"T-{contact}", contact_id=contact, customer_id=customer, owner="a")
    file = await callers.identify(NUMBER)
    assert (file.contact, file.customer_id, file.owner, file.history, file.level) == (None, None, None, (), 1)
    assert [contact.id for contact in file.matches] == ["p1", "p2"]


async def test_people_without_a_customer_who_share_a_number_are_matches_too(engine, callers):
    for key in ("p1", "p2"):
        await add_contact(engine, key, NUMBER)
    file = await callers.identify(NUMBER)
    assert (file.contact, file.customer_id, len(file.matches)) == (None, None, 2)


async def test_a_contact_who_was_merged_is_the_one_that_took_them_up(engine, callers):
    await add_contact(engine, "old")
    await add_contact(engine, "new", NUMBER)
    await add_ticket(engine, "t1", contact_id="new")
    async with session.writing(engine) as connection:
        await connection.execute(contacts.update().where(contacts.c.id == "old").values(merged_into="new"))
    file = await callers.identify(NUMBER, contact_id="old")
    assert file.contact is not None
    assert file.contact.id == "new"
    assert [one.id for one in file.history] == ["t1"]
