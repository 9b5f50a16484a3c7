"""``user``: the people of the web and the tokens of the API.

Law: a password is typed twice or comes from stdin, never from an argument that others on the machine can read; a token is
shown once.
"""
# ruff: noqa: PLC0415 - a command imports what it needs

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

import typer

from ctid.cli.books import whoever_types, with_books
from ctid.cli.faults import Fault
from ctid.cli.lists import AsJson
from ctid.cli.options import ConfigFile, read_settings
from ctid.cli.showing import moment, say, say_json, table

if TYPE_CHECKING:
    from ctid.db.session import Engine
    from ctid.db.users import ApiToken, User

user = typer.Typer(help="People and API tokens of the web.")
token = typer.Typer(help="API tokens.")
user.add_typer(token, name="token")

Name = Annotated[str, typer.Argument(metavar="NAME")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")]


@user.callback()
def people(*, config: ConfigFile = None) -> None:
    """People and API tokens of the web."""


@token.callback()
def tokens(*, config: ConfigFile = None) -> None:
    """API tokens."""


@user.command()
def add(
    name: Name,
    *,
    role: Annotated[Literal["agent", "supervisor", "administrator"], typer.Option()] = "agent",
    agent: Annotated[str | None, typer.Option(metavar="ID", help="The agent whose screen it is.")] = None,
    password_stdin: FromStdin = False,
    config: ConfigFile = None,
) -> None:
    """Add a user."""
    if role == "agent" and agent is None:
        raise typer.BadParameter("an agent's user needs --agent ID: whose screen it is")
    settings = read_settings(config)
    from ctid.db.users import Role, Users

    password = _password(from_stdin=password_stdin)

    async def added(engine: Engine) -> User:
        return await Users(engine).create(
            name, password, Role(role), agent_id=agent, at=time.time(), by=whoever_types()
        )

    say(f"user {with_books(settings, added).name} added")


@user.command()
def passwd(name: Name, *, password_stdin: FromStdin = False, config: ConfigFile = None) -> None:
    """Change a user's password; ends the user's sessions."""
    settings = read_settings(config)
    from ctid.db.users import Users

    password = _password(from_stdin=password_stdin)

    async def changed(engine: Engine) -> None:
        await Users(engine).set_password(name, password, by=whoever_types())

    with_books(settings, changed)
    say("password changed; sessions ended")


@user.command("set")
def change(
    name: Name,
    *,
    role: Annotated[Literal["agent", "supervisor", "administrator"] | None, typer.Option()] = None,
    agent: Annotated[str | None, typer.Option(metavar="ID", help="The agent whose screen it is.")] = None,
    no_agent: Annotated[bool, typer.Option("--no-agent", help="The user is no agent any more.")] = False,
    config: ConfigFile = None,
) -> None:
    """Give a user another role, or another agent's screen; what is not named stays."""
    if role is None and agent is None and not no_agent:
        raise typer.BadParameter("name what to change: --role, --agent ID or --no-agent")
    if agent is not None and no_agent:
        raise typer.BadParameter("--agent and --no-agent exclude each other")
    settings = read_settings(config)
    from ctid.db.users import Role, UserFault, Users

    async def changed(engine: Engine) -> User:
        store = Users(engine)
        before = await store.named(name)
        wanted = Role(role) if role else before.role
        agent_id = None if no_agent else agent or before.agent_id
        if wanted is Role.AGENT and agent_id is None:
            raise UserFault("an agent's user needs --agent ID: whose screen it is")
        return await store.change(name, role=wanted, agent_id=agent_id, by=whoever_types())

    now = with_books(settings, changed)
    say(f"user {now.name}: {now.role.value}{f', agent {now.agent_id}' if now.agent_id else ''}")


@user.command()
def remove(name: Name, *, config: ConfigFile = None) -> None:
    """Take a user away for good, sessions and tokens included; the audit keeps the name. To lock one out: disable."""
    settings = read_settings(config)
    from ctid.db.users import Users

    async def removed(engine: Engine) -> None:
        await Users(engine).remove(name, by=whoever_types())

    with_books(settings, removed)
    say(f"user {name} removed")


@user.command()
def disable(name: Name, *, config: ConfigFile = None) -> None:
    """Lock a user out at once, sessions and tokens included."""
    _set_disabled(name, config, disabled=True)


@user.command()
def enable(name: Name, *, config: ConfigFile = None) -> None:
    """Let a user in again."""
    _set_disabled(name, config, disabled=False)


@user.command("list")
def list_users(*, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """List the users."""
    from ctid.db.users import Users

    async def read(engine: Engine) -> list[User]:
        return await Users(engine).all()

    rows = [
        {"name": one.name, "role": one.role.value, "agent": one.agent_id, "disabled": one.disabled}
        for one in with_books(read_settings(config), read)
    ]
    if as_json:
        say_json(rows)
        return
    table(
        *("name", "role", "agent", "disabled"),
        rows=[(row["name"], row["role"], row["agent"], "disabled" if row["disabled"] else None) for row in rows],
    )


@token.command("add")
def add_token(
    name: Name,
    token_name: Annotated[str, typer.Argument(metavar="TOKEN-NAME", help="To know it by when it is revoked.")],
    *,
    config: ConfigFile = None,
) -> None:
    """Make a token that acts as the user, and print it this once."""
    from ctid.db.users import Users

    async def made(engine: Engine) -> str:
        return await Users(engine).create_token(name, token_name, at=time.time(), by=whoever_types())

    say(with_books(read_settings(config), made))


@token.command("revoke")
def revoke_token(
    name: Name, token_name: Annotated[str, typer.Argument(metavar="TOKEN-NAME")], *, config: ConfigFile = None
) -> None:
    """End a token at once."""
    from ctid.db.users import Users

    async def revoked(engine: Engine) -> None:
        await Users(engine).revoke_token(name, token_name, at=time.time(), by=whoever_types())

    with_books(read_settings(config), revoked)
    say("token revoked")


@token.command("list")
def list_tokens(*, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """List the tokens, revoked ones included; never the tokens themselves."""
    settings = read_settings(config)
    from ctid.calljson import iso
    from ctid.db.users import Users

    async def read(engine: Engine) -> list[ApiToken]:
        return await Users(engine).tokens()

    found = with_books(settings, read)
    if as_json:
        say_json(
            {
                "user": one.user,
                "name": one.name,
                "created_at": iso(one.created_at),
                "revoked_at": iso(one.revoked_at),
            }
            for one in found
        )
        return
    zone = ZoneInfo(settings.routing.timezone)
    table(
        *("user", "token", "created", "revoked"),
        rows=[(one.user, one.name, moment(one.created_at, zone), moment(one.revoked_at, zone)) for one in found],
    )


def _set_disabled(name: str, config: Path | None, *, disabled: bool) -> None:
    from ctid.db.users import Users

    async def changed(engine: Engine) -> None:
        await Users(engine).set_disabled(name, disabled=disabled, by=whoever_types())

    with_books(read_settings(config), changed)
    say(f"user {name} {'disabled' if disabled else 'enabled'}")


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        try:
            return sys.stdin.buffer.read(1 << 16).decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise Fault("the password on stdin is not UTF-8; write it as UTF-8") from None
    if not sys.stdin.isatty():
        raise Fault("no terminal to ask for the password; give it on stdin with --password-stdin")
    typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return typed
