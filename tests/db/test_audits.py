"""Who did what: found by who, what, whom and when, a page at a time."""

import pytest
from sqlalchemy import Connection

from ctid.db.audits import Actor, Audits, changed, note
from ctid.db.books import Mark
from ctid.db.session import write
from tests.db.site import NOON


@pytest.fixture
async def audits(engine) -> Audits:
    def noted(connection: Connection) -> None:
        for number in range(12):
            # Four rows share each moment.
            by = Actor(at=NOON + number // 4, user_name="anna" if number % 3 else "bert", address="10.0.0.1")
            note(connection, "listen" if number % 2 else "sign_in", f"r{number % 4}", by)

    await write(engine, noted)
    return Audits(engine)


async def test_rows_are_told_the_newest_first_and_paged_through_without_a_gap(audits):
    seen, after = [], None
    while found := await audits.deeds(limit=5, after=after):
        seen += found
        after = Mark(at=found[-1].at, id=str(found[-1].id))
    assert [deed.id for deed in seen] == sorted((deed.id for deed in seen), reverse=True)
    assert len(seen) == 12


async def test_rows_are_found_by_user_action_subject_and_time(audits):
    assert {deed.user_name for deed in await audits.deeds(limit=20, user="bert")} == {"bert"}
    assert len(await audits.deeds(limit=20, action="listen")) == 6
    assert len(await audits.deeds(limit=20, subject="r1")) == 3
    assert len(await audits.deeds(limit=20, since=NOON + 1, until=NOON + 2)) == 4
    assert await audits.deeds(limit=20, user="nobody") == []


def test_only_what_is_not_as_it_was_is_told_as_changed():
    assert changed({"a": 1, "b": None, "c": "x"}, {"a": 1, "b": 2, "c": None}) == {"b": (None, 2), "c": ("x", None)}
