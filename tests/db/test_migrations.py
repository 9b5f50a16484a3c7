"""The schema comes up, goes down and is what the tables say; a database that is not ours stays as it is."""

import asyncio
import shutil

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from ctid.db import migrations, session
from ctid.db.session import DatabaseFault
from ctid.db.tables import made_by_hand, metadata

NOON = "'2026-03-02 12:00:00+00'"


async def tables_of(engine) -> set[str]:
    async with session.reading(engine) as connection:
        names = await connection.run_sync(lambda c: inspect(c).get_table_names())
    return {name for name in names if not made_by_hand(name)}


def configured(connection) -> MigrationContext:
    return MigrationContext.configure(
        connection, opts={"include_name": lambda name, _kind, _parents: not made_by_hand(name)}
    )


async def test_migrations_and_tables_agree(engine):
    async with session.reading(engine) as connection:
        differences = await connection.run_sync(lambda c: compare_metadata(configured(c), metadata))
    assert differences == []


async def test_the_way_down_leaves_nothing_and_the_way_up_works_again(engine):
    await migrations.downgrade(engine)
    assert await tables_of(engine) == {"alembic_version"}
    await migrations.upgrade(engine)
    assert await tables_of(engine) == {"alembic_version", *metadata.tables}
    await migrations.check(engine)


async def test_a_migration_that_makes_a_table_anew_loses_nothing_that_points_to_it(empty):
    await migrations.upgrade(empty, "0001")
    rows = f"""
        INSERT INTO agents (id, name) VALUES ('an', 'An');
        INSERT INTO agent_lines (agent_id, line) VALUES ('an', 'support');
        INSERT INTO users (id, name, password_hash, role, agent_id, created_at) VALUES (1, 'an', 'x', 'agent', 'an', {NOON});
        INSERT INTO tickets (id, owner, subject, created_at) VALUES ('T1', 'an', 'Printer', {NOON});
        INSERT INTO calls (pbx, id, direction, started_at, via) VALUES ('pbx', '1.1', 'inbound', {NOON}, 'ctid');
        INSERT INTO legs (pbx, call_id, id, position, party, offered_at, hold_seconds, certainty)
            VALUES ('pbx', '1.1', '1.2', 0, 'phone1', {NOON}, 0, 'exact');
        INSERT INTO lines (name, numbers, configured) VALUES ('support', '["4001"]', true);
        INSERT INTO agent_states (agent, state, since, phone, talk_seconds_today) VALUES ('an', 'idle', {NOON}, 'phone1', 7);
        INSERT INTO agent_state_changes (id, agent, state, since) VALUES (1, 'an', 'idle', {NOON});
    """
    async with session.writing(empty) as connection:
        for row in rows.split(";")[:-1]:
            await connection.execute(text(row))
    everything = text(
        "SELECT t.owner, u.agent_id, l.line, legs.id, s.talk_seconds_today, log.state"
        " FROM tickets t JOIN users u ON u.agent_id = t.owner"
        " JOIN agent_lines l ON l.agent_id = t.owner JOIN legs ON legs.call_id = '1.1'"
        " JOIN lines ON lines.name = l.line JOIN agent_states s ON s.agent = t.owner"
        " JOIN agent_state_changes log ON log.agent = s.agent"
    )
    for revision in ("head", "0001"):
        await (migrations.upgrade if revision == "head" else migrations.downgrade)(empty, revision)
        async with session.reading(empty) as connection:
            assert (await connection.execute(everything)).all() == [("an", "an", "support", "1.2", 7, "idle")]


async def test_calls_of_who_was_erased_before_are_marked_too(empty):
    await migrations.upgrade(empty, "0017")
    call = "INSERT INTO calls (pbx, id, direction, started_at, via) VALUES"
    rows = f"""
        {call} ('a/b', '1.1', 'inbound', {NOON}, 'ctid');
        {call} ('a', 'b/1.1', 'inbound', {NOON}, 'ctid');
        INSERT INTO erasures (contact_id, asked_at, stage, report) VALUES ('P1', {NOON}, 'done', '{{"calls": ["a/b/1.1"]}}');
        INSERT INTO erasures (contact_id, asked_at, stage, report) VALUES ('P2', {NOON}, 'asked', NULL);
    """
    async with session.writing(empty) as connection:
        for row in rows.split(";")[:-1]:
            await connection.exec_driver_sql(row)
    await migrations.upgrade(empty)
    async with session.reading(empty) as connection:
        found = await connection.execute(text("SELECT pbx FROM calls WHERE erased"))
        assert found.scalars().all() == ["a/b"]


async def test_foreign_keys_hold_again_after_an_upgrade(engine):
    with pytest.raises(IntegrityError):
        async with session.writing(engine) as connection:
            await connection.execute(text("INSERT INTO agent_lines (agent_id, line) VALUES ('nobody', 'support')"))


async def test_two_processes_that_upgrade_at_once_take_turns(url):
    engines = [session.engine(url) for _ in range(3)]
    await asyncio.gather(*(migrations.upgrade(engine) for engine in engines))
    await migrations.check(engines[0])
    for engine in engines:
        await engine.dispose()


async def test_an_empty_database_is_said_to_need_the_upgrade(empty):
    with pytest.raises(DatabaseFault, match="run: ctid db upgrade"):
        await migrations.check(empty)


async def test_a_database_of_a_newer_ctid_is_refused_and_untouched(engine):
    async with session.writing(engine) as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for attempt in (migrations.upgrade, migrations.downgrade, migrations.check):
        with pytest.raises(DatabaseFault, match=r"^[^\n]*'9999' is unknown to this ctid[^\n]*$"):
            await attempt(engine)
    assert await tables_of(engine) == {"alembic_version", *metadata.tables}


async def test_a_database_with_somebody_elses_tables_is_refused(empty):
    async with session.writing(empty) as connection:
        await connection.execute(text("CREATE TABLE calls (mine integer)"))
    with pytest.raises(DatabaseFault, match="a database of its own"):
        await migrations.upgrade(empty)
    assert await tables_of(empty) == {"calls"}


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(empty, monkeypatch, tmp_path):
    broken = tmp_path / "sql"
    shutil.copytree(migrations.folder(), broken)
    newest = max(file.name for file in (broken / "versions").glob("*.py"))[:4]
    (broken / "versions" / "9999_breaks.py").write_text(
        f"from alembic import op\nrevision = '9999'\ndown_revision = '{newest}'\n"
        "def upgrade():\n    op.execute('CREATE TABLE half (x integer)')\n    op.execute('nonsense')\n"
        "def downgrade():\n    pass\n"
    )
    monkeypatch.setattr(migrations, "folder", lambda: broken)
    with pytest.raises(DatabaseFault, match="nonsense"):
        await migrations.upgrade(empty)
    assert await tables_of(empty) == set()
