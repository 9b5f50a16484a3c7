"""The people of the web: passwords that nobody sees, tokens that are shown once."""

import asyncio

from ctid.db import session
from ctid.db.audits import Audits
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


def deeds(site: Site) -> list[tuple[str, str | None]]:
    """What the audit has, the oldest first, and that the command line is named."""

    async def asked() -> list[tuple[str, str | None]]:
        engine = session.engine(site.url)
        found = await Audits(engine).deeds(limit=50)
        await engine.dispose()
        assert all((deed.user_name or "").startswith("command line (") for deed in found)
        return [(deed.action, deed.subject) for deed in reversed(found)]

    return asyncio.run(asked())


def test_a_user_gets_another_role_and_the_audit_says_so(site: Site) -> None:
    site.write("agents.csv", "id,name\n7,Li Wei\n")
    assert site.ctid("import", "agents", str(site.folder / "agents.csv")).status == 0
    site.ctid("user", "add", "ada", "--role", "supervisor", "--password-stdin", stdin="a long secret")
    assert site.ctid("user", "set", "ada", "--role", "agent", "--agent", "7").out == "user ada: agent, agent 7\n"
    assert site.ctid("user", "set", "Ada", "--role", "administrator").out == "user ada: administrator, agent 7\n"
    assert site.ctid("user", "set", "ada", "--no-agent").out == "user ada: administrator\n"
    assert deeds(site) == [("user_added", "ada"), *[("user_changed", "ada")] * 3]


def test_what_cannot_be_set_is_one_line_and_changes_nothing(site: Site) -> None:
    site.ctid("user", "add", "ada", "--role", "administrator", "--password-stdin", stdin="a long secret")
    for arguments, said in (
        (("ada",), "--role"),
        (("ada", "--agent", "7", "--no-agent"), "exclude"),
        (("ada", "--agent", "7"), "no agent 7"),
        (("ada", "--role", "agent"), "--agent"),
        (("ada", "--role", "supervisor"), "last administrator"),
        (("nobody", "--role", "supervisor"), "no user nobody"),
    ):
        ended = site.ctid("user", "set", *arguments)
        assert ended.status == 2, arguments
        assert said in ended.err, ended.err
    assert site.ctid("user", "list", "--json").json[0]["role"] == "administrator"


def test_a_user_is_removed_for_good_but_for_the_last_administrator(site: Site) -> None:
    for name, role in (("ada", "administrator"), ("bob", "supervisor")):
        site.ctid("user", "add", name, "--role", role, "--password-stdin", stdin="a long secret")
    assert site.ctid("user", "remove", "bob").out == "user bob removed\n"
    assert not signs_in(site, "bob", "a long secret")
    kept = site.ctid("user", "remove", "ada")
    assert (kept.status, kept.err.count("\n")) == (2, 1)
    assert site.ctid("user", "remove", "bob").status == 2
    assert deeds(site)[-1] == ("user_removed", "bob")
