"""Who may come into the web, and that going is at once."""

import asyncio

import pytest
from sqlalchemy import select

from ctid.db import session
from ctid.db.tables import api_tokens, audit, sessions, users
from ctid.db.users import Role, UserFault, Users
from tests.db.site import NOON, add_agents

PASSWORD = "correct horse"


@pytest.fixture
async def people(engine) -> Users:
    await add_agents(engine, "a")
    store = Users(engine)
    await store.create("Anna", PASSWORD, Role.AGENT, agent_id="a", at=NOON)
    return store


async def test_a_user_signs_in_with_the_password_whatever_the_case_of_the_name(people):
    user = await people.verify(" ANNA ", PASSWORD)
    assert user is not None
    assert (user.name, user.role, user.agent_id) == ("anna", Role.AGENT, "a")


async def test_a_wrong_password_an_unknown_name_and_a_disabled_user_stay_outside(people):
    assert await people.verify("anna", "wrong horse") is None
    assert await people.verify("nobody", PASSWORD) is None
    await people.set_disabled("anna", disabled=True)
    assert await people.verify("anna", PASSWORD) is None


@pytest.mark.parametrize(
    ("name", "password", "agent", "says"),
    [
        ("anna", PASSWORD, None, "already a user anna"),
        ("", PASSWORD, None, "one word"),
        ("two words", PASSWORD, None, "one word"),
        ("new", "short", None, "8 to 1024"),
        ("new", "x" * 2000, None, "8 to 1024"),
        ("new", PASSWORD, "nobody", "no agent nobody"),
    ],
)
async def test_what_cannot_be_a_user_is_one_line(people, name, password, agent, says):
    with pytest.raises(UserFault, match=says):
        await people.create(name, password, Role.AGENT, agent_id=agent, at=NOON)


async def test_two_who_create_the_same_user_at_once_make_one(people):
    made = await asyncio.gather(
        *(people.create("bert", PASSWORD, Role.SUPERVISOR, at=NOON) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(one, UserFault) for one in made) == 3


async def test_no_secret_is_stored(engine, people):
    user = await people.verify("anna", PASSWORD)
    secrets = [
        await people.open_session(user, at=NOON, seconds=60),
        await people.create_token("anna", "wall", at=NOON),
        PASSWORD,
    ]
    async with session.reading(engine) as connection:
        stored = str([(await connection.execute(select(table))).all() for table in (users, sessions, api_tokens)])
    assert not [secret for secret in secrets if secret in stored]


async def test_a_session_lasts_until_it_runs_out_or_is_closed(people):
    user = await people.verify("anna", PASSWORD)
    token = await people.open_session(user, at=NOON, seconds=60)
    assert await people.by_session(token, at=NOON + 59) == user
    assert await people.by_session(token, at=NOON + 60) is None
    assert await people.by_session("guess", at=NOON) is None
    await people.close_session(token)
    assert await people.by_session(token, at=NOON) is None


@pytest.mark.parametrize("change", ["password", "disabled"])
async def test_a_new_password_or_being_disabled_ends_every_session(people, change):
    user = await people.verify("anna", PASSWORD)
    token = await people.open_session(user, at=NOON, seconds=60)
    if change == "password":
        await people.set_password("anna", "another horse")
        assert await people.verify("anna", "another horse") == user
    else:
        await people.set_disabled("anna", disabled=True)
        await people.set_disabled("anna", disabled=False)
    assert await people.by_session(token, at=NOON + 1) is None


async def test_a_token_acts_for_its_user_until_revoked(people):
    token = await people.create_token("anna", "wall board", at=NOON)
    assert (await people.by_token(token)).name == "anna"
    assert await people.by_token("guess") is None
    with pytest.raises(UserFault, match="another name"):
        await people.create_token("anna", "wall board", at=NOON)
    await people.revoke_token("anna", "wall board", at=NOON + 5)
    assert await people.by_token(token) is None
    assert [(t.user, t.name, t.created_at, t.revoked_at) for t in await people.tokens()] == [
        ("anna", "wall board", NOON, NOON + 5)
    ]
    with pytest.raises(UserFault, match="no token"):
        await people.revoke_token("anna", "wall board", at=NOON + 6)


async def test_a_disabled_users_token_opens_nothing(people):
    token = await people.create_token("anna", "x", at=NOON)
    await people.set_disabled("anna", disabled=True)
    assert await people.by_token(token) is None


@pytest.mark.parametrize("what", ["set_password", "create_token", "revoke_token", "set_disabled"])
async def test_whatever_is_asked_of_nobody_is_one_line(people, what):
    asked = {
        "set_password": lambda: people.set_password("nobody", PASSWORD),
        "create_token": lambda: people.create_token("nobody", "x", at=NOON),
        "revoke_token": lambda: people.revoke_token("nobody", "x", at=NOON),
        "set_disabled": lambda: people.set_disabled("nobody", disabled=True),
    }
    with pytest.raises(UserFault, match="there is no user nobody; add one with: ctid user add"):
        await asked[what]()


async def test_who_listened_is_kept(engine, people):
    user = await people.verify("anna", PASSWORD)
    await people.note("listen", at=NOON, user=user, subject="r1", address="127.0.0.1")
    await people.note("sign_in_refused", at=NOON + 1, user_name="mallory\0")
    async with session.reading(engine) as connection:
        rows = (await connection.execute(select(audit).order_by(audit.c.at))).all()
    assert [(r.user_name, r.action, r.subject) for r in rows] == [
        ("anna", "listen", "r1"),
        ("mallory\ufffd", "sign_in_refused", None),
    ]
