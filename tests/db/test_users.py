"""Who may come into the web, and that going is at once."""

import asyncio
import subprocess
import sys

import pytest
from sqlalchemy import select

from ctid.db import session
from ctid.db.audits import Actor, Audits
from ctid.db.tables import api_tokens, audit, sessions, users
from ctid.db.users import LastAdministrator, NoSuchAgent, Role, UserFault, Users
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
    audits = Audits(engine)
    await audits.add("listen", "r1", Actor(at=NOON, user_id=user.id, user_name=user.name, address="127.0.0.1"))
    await audits.add("sign_in_refused", None, Actor(at=NOON + 1, user_name="mallory\0"))
    async with session.reading(engine) as connection:
        rows = (await connection.execute(select(audit).order_by(audit.c.at))).all()
    assert [(r.user_name, r.action, r.subject) for r in rows] == [
        ("anna", "listen", "r1"),
        ("mallory\ufffd", "sign_in_refused", None),
    ]


async def test_the_last_administrator_cannot_be_taken_away_by_any_way(people):
    await people.create("root", PASSWORD, Role.ADMINISTRATOR, at=NOON)
    for taken_away in (
        people.change("root", role=Role.SUPERVISOR, agent_id=None),
        people.set_disabled("root", disabled=True),
        people.remove("root"),
    ):
        with pytest.raises(LastAdministrator):
            await taken_away
    await people.create("other", PASSWORD, Role.ADMINISTRATOR, at=NOON)
    await people.set_disabled("other", disabled=True)
    with pytest.raises(LastAdministrator):
        await people.remove("root")
    await people.remove("other")
    await people.create("other", PASSWORD, Role.ADMINISTRATOR, at=NOON)
    assert (await people.change("root", role=Role.SUPERVISOR, agent_id=None)).role is Role.SUPERVISOR


async def test_two_administrators_who_take_each_other_away_at_once_leave_one(people):
    for name in ("root", "other"):
        await people.create(name, PASSWORD, Role.ADMINISTRATOR, at=NOON)
    ended = await asyncio.gather(people.remove("root"), people.remove("other"), return_exceptions=True)
    assert sum(isinstance(one, LastAdministrator) for one in ended) == 1
    assert sum(user.role is Role.ADMINISTRATOR for user in await people.all()) == 1


async def test_a_user_gets_another_role_and_agent_and_the_audit_says_from_what(engine, people):
    by = Actor(at=NOON, user_name="root")
    changed = await people.change("anna", role=Role.SUPERVISOR, agent_id=None, by=by)
    assert (changed.role, changed.agent_id) == (Role.SUPERVISOR, None)
    with pytest.raises(NoSuchAgent):
        await people.change("anna", role=Role.AGENT, agent_id="nobody", by=by)
    (deed,) = await Audits(engine).deeds(limit=9)
    assert (deed.action, deed.subject) == ("user_changed", "anna")
    assert deed.changes == {"role": ("agent", "supervisor"), "agent": ("a", None)}


async def test_a_removed_user_is_out_and_the_audit_keeps_the_name(engine, people):
    user = await people.verify("anna", PASSWORD)
    session_token = await people.open_session(user, at=NOON, seconds=60)
    token = await people.create_token("anna", "wall", at=NOON)
    await Audits(engine).add("sign_in", None, Actor(at=NOON, user_id=user.id, user_name=user.name))
    await people.remove("anna", by=Actor(at=NOON, user_name="root"))
    assert await people.by_session(session_token, at=NOON) is None
    assert await people.by_token(token) is None
    assert [(deed.action, deed.user_name) for deed in await Audits(engine).deeds(limit=9)] == [
        ("user_removed", "root"),
        ("sign_in", "anna"),
    ]


async def test_a_changed_password_keeps_the_session_it_was_changed_in(people):
    user = await people.verify("anna", PASSWORD)
    here, there = [await people.open_session(user, at=NOON, seconds=60) for _ in range(2)]
    await people.set_password("anna", "another horse", keep=here)
    assert await people.by_session(here, at=NOON) == user
    assert await people.by_session(there, at=NOON) is None


async def test_sessions_are_listed_without_their_secret_and_ended_one_by_one(people):
    user = await people.verify("anna", PASSWORD)
    here = await people.open_session(user, at=NOON, seconds=60, address="10.0.0.1")
    there = await people.open_session(user, at=NOON + 1, seconds=60, address="10.0.0.2")
    listed = await people.sessions(user, at=NOON + 2, token=here)
    assert [(one.address, one.own) for one in listed] == [("10.0.0.2", False), ("10.0.0.1", True)]
    assert not any(secret in str(listed) for secret in (here, there))
    other = await people.create("bert", PASSWORD, Role.SUPERVISOR, at=NOON)
    await people.end_session(other, listed[0].key)
    assert await people.by_session(there, at=NOON + 2) is not None
    await people.end_session(user, listed[0].key)
    assert await people.by_session(there, at=NOON + 2) is None
    assert [person.sessions for person in await people.people(at=NOON + 2)] == [1, 0]
    await people.end_sessions(user)
    assert await people.by_session(here, at=NOON + 2) is None


async def test_a_user_keeps_a_language_and_a_theme(people):
    user = await people.verify("anna", PASSWORD)
    assert (user.language, user.theme) == (None, None)
    await people.set_taste(user.id, language="zh-Hans", theme="dark")
    user = await people.one(user.id)
    assert (user.language, user.theme) == ("zh-Hans", "dark")


def test_a_password_costs_a_thief_64_mebibytes_and_three_rounds_a_guess() -> None:
    hashing = "import asyncio; from ctid.db.secrets import hash_password; print(asyncio.run(hash_password('x')))"
    made = subprocess.run([sys.executable, "-c", hashing], check=True, capture_output=True, text=True).stdout
    assert made.startswith("$argon2id$v=19$m=65536,t=3,")
