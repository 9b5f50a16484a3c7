"""The people of the web: passwords that nobody sees, tokens that are shown once."""

import asyncio

from ctid.db import session
from ctid.db.users import Users
from tests.cli.conftest import Site


def signs_in(site: Site, name: str, password: str) -> bool:
    async def asked() -> bool:
        engine = session.engine(site.url)
        user = await Users(engine).verify(name, password)
        await engine.dispose()
        return user is not None

    return asyncio.run(asked())


def test_a_user_is_added_with_the_password_from_stdin(site: Site) -> None:
    ended = site.ctid("user", "add", "Ada", "--role", "supervisor", "--password-stdin", stdin="a long secret\n")
    assert ended.out == "user ada added\n"
    assert signs_in(site, "ada", "a long secret")
    assert site.ctid("user", "list", "--json").json == [
        {"name": "ada", "role": "supervisor", "agent": None, "disabled": False}
    ]
    again = site.ctid("user", "add", "ada", "--role", "supervisor", "--password-stdin", stdin="another secret")
    assert (again.status, again.err.count("\n")) == (2, 1)
    short = site.ctid("user", "passwd", "ada", "--password-stdin", stdin="short")
    assert (short.status, short.err.count("\n")) == (2, 1)


def test_without_a_terminal_a_password_is_not_waited_for(site: Site) -> None:
    ended = site.ctid("user", "add", "ada", "--role", "supervisor")
    assert (ended.status, "--password-stdin" in ended.err, ended.err.count("\n")) == (2, True, 1)


def test_a_changed_password_and_a_locked_user(site: Site) -> None:
    site.ctid("user", "add", "ada", "--role", "supervisor", "--password-stdin", stdin="a long secret")
    assert site.ctid("user", "passwd", "ada", "--password-stdin", stdin="another secret").status == 0
    assert not signs_in(site, "ada", "a long secret")
    assert signs_in(site, "ada", "another secret")
    assert site.ctid("user", "disable", "ada").status == 0
    assert not signs_in(site, "ada", "another secret")
    assert site.ctid("user", "enable", "ada").status == 0
    assert signs_in(site, "ada", "another secret")
    assert site.ctid("user", "disable", "nobody").status == 2


def test_a_token_is_printed_once_and_revoked_by_its_name(site: Site) -> None:
    site.ctid("user", "add", "ada", "--role", "supervisor", "--password-stdin", stdin="a long secret")
    token = site.ctid("user", "token", "add", "ada", "ci").out.strip()
    assert len(token) > 30
    listed = site.ctid("user", "token", "list", "--json")
    assert [(one["user"], one["name"], one["revoked_at"]) for one in listed.json] == [("ada", "ci", None)]
    assert token not in listed.out
    assert site.ctid("user", "token", "revoke", "ada", "ci").status == 0
    assert site.ctid("user", "token", "list", "--json").json[0]["revoked_at"] is not None
    assert site.ctid("user", "token", "revoke", "ada", "other").status == 2


def test_an_agents_user_without_the_agent_is_refused_before_anything_is_written(site: Site) -> None:
    ended = site.ctid("user", "add", "ada", "--password-stdin", stdin="a long secret")
    assert ended.status == 2
    assert "--agent" in ended.err
    assert site.ctid("user", "list").out.count("ada") == 0
