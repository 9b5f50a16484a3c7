"""The web's people: accounts, sessions, API tokens, and what they were seen doing.

Law: no password and no token is stored, only hashes; disabling a user or changing a password ends every session at once.
Names are compared in lower case. Times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ctid.db import secrets
from ctid.db.session import instant, maybe_seconds, reading, seconds, writing
from ctid.db.tables import agents, api_tokens, audit, sessions, users
from ctid.domain.types import AgentId

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024


class Role(StrEnum):
    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"


class UserFault(ValueError):  # noqa: N818 - a fault to mend, not a bug
    """One line that says what was wrong with what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    id: int
    name: str
    role: Role
    agent_id: AgentId | None
    disabled: bool
    #: A key of ``languages.LANGUAGES``, or ``None`` for what the browser asks for.
    language: str | None = None
    #: ``light`` or ``dark``, or ``None`` for what the system asks for.
    theme: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token without its secret."""

    user: str
    name: str
    created_at: float
    revoked_at: float | None


class Users:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    # -- accounts

    async def create(self, name: str, password: str, role: Role, *, agent_id: AgentId | None = None, at: float) -> User:
        """Add a user; raises ``UserFault`` for a name taken, a password too short or an unknown agent."""
        name = _name(name)
        _check_password(password)
        hashed = await secrets.hash_password(password)
        try:
            async with writing(self._engine) as connection:
                await _check_agent(connection, agent_id)
                row = {
                    "name": name,
                    "password_hash": hashed,
                    "role": role.value,
                    "agent_id": agent_id,
                    "created_at": instant(at),
                }
                key = (await connection.execute(insert(users).values(row).returning(users.c.id))).scalar_one()
        except IntegrityError:
            raise UserFault(f"there is already a user {name}; change the password with: ctid user passwd") from None
        return User(id=key, name=name, role=role, agent_id=agent_id, disabled=False)

    async def set_password(self, name: str, password: str) -> None:
        """Change the password and end the user's sessions. Raises ``UserFault``."""
        _check_password(password)
        hashed = await secrets.hash_password(password)
        async with writing(self._engine) as connection:
            user = await _existing(connection, name)
            await connection.execute(update(users).where(users.c.id == user.id).values(password_hash=hashed))
            await connection.execute(delete(sessions).where(sessions.c.user_id == user.id))

    async def set_disabled(self, name: str, *, disabled: bool) -> None:
        """Lock a user out, sessions and tokens included, or let them in again. Raises ``UserFault``."""
        async with writing(self._engine) as connection:
            user = await _existing(connection, name)
            await connection.execute(update(users).where(users.c.id == user.id).values(disabled=disabled))
            if disabled:
                await connection.execute(delete(sessions).where(sessions.c.user_id == user.id))

    async def set_taste(self, user_id: int, *, language: str | None, theme: str | None) -> None:
        """How this user wants the pages: both as in ``User``."""
        async with writing(self._engine) as connection:
            await connection.execute(update(users).where(users.c.id == user_id).values(language=language, theme=theme))

    async def all(self) -> list[User]:
        """Every user by name."""
        async with reading(self._engine) as connection:
            return [_user(row) for row in await connection.execute(select(users).order_by(users.c.name))]

    async def verify(self, name: str, password: str) -> User | None:
        """The user whose name and password these are. Nobody, a wrong password and a disabled user take equally long."""
        query = select(users).where(users.c.name == name.strip().lower(), ~users.c.disabled)
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        fits = await secrets.password_fits(row.password_hash if row else None, password[:LONGEST_PASSWORD])
        return _user(row) if row is not None and fits else None

    # -- sessions

    async def open_session(self, user: User, *, at: float, seconds: float, address: str | None = None) -> str:
        """A new session's token, good for ``seconds``; sessions that ran out are swept."""
        token = secrets.new_token()
        async with writing(self._engine) as connection:
            await connection.execute(delete(sessions).where(sessions.c.expires_at <= instant(at)))
            row = {
                "token_hash": secrets.token_hash(token),
                "user_id": user.id,
                "created_at": instant(at),
                "expires_at": instant(at + seconds),
                "address": address,
            }
            await connection.execute(insert(sessions).values(row))
        return token

    async def by_session(self, token: str, *, at: float) -> User | None:
        """Whose session the token opens at that time."""
        query = (
            select(users)
            .join(sessions, sessions.c.user_id == users.c.id)
            .where(
                sessions.c.token_hash == secrets.token_hash(token),
                sessions.c.expires_at > instant(at),
                ~users.c.disabled,
            )
        )
        return await self._one(query)

    async def close_session(self, token: str) -> None:
        async with writing(self._engine) as connection:
            await connection.execute(delete(sessions).where(sessions.c.token_hash == secrets.token_hash(token)))

    # -- API tokens

    async def create_token(self, user_name: str, token_name: str, *, at: float) -> str:
        """A new token that acts as the user; it is told this once. Raises ``UserFault``."""
        token = secrets.new_token()
        name = token_name.strip()
        if not name:
            raise UserFault("the token needs a name, to know it by when it is revoked")
        async with writing(self._engine) as connection:
            user = await _existing(connection, user_name)
            taken = select(api_tokens.c.id).where(api_tokens.c.user_id == user.id, api_tokens.c.name == name)
            if (await connection.execute(taken)).scalar() is not None:
                raise UserFault(f"{user.name} has already had a token {name}; give it another name")
            row = {
                "user_id": user.id,
                "name": name,
                "token_hash": secrets.token_hash(token),
                "created_at": instant(at),
            }
            await connection.execute(insert(api_tokens).values(row))
        return token

    async def tokens(self) -> list[ApiToken]:
        """Every token, revoked ones included, by user and name."""
        query = (
            select(users.c.name.label("user"), api_tokens.c.name, api_tokens.c.created_at, api_tokens.c.revoked_at)
            .join(users, users.c.id == api_tokens.c.user_id)
            .order_by(users.c.name, api_tokens.c.name)
        )
        async with reading(self._engine) as connection:
            return [
                ApiToken(
                    user=row.user,
                    name=row.name,
                    created_at=seconds(row.created_at),
                    revoked_at=maybe_seconds(row.revoked_at),
                )
                for row in await connection.execute(query)
            ]

    async def revoke_token(self, user_name: str, token_name: str, *, at: float) -> None:
        """End a token at once. Raises ``UserFault``."""
        async with writing(self._engine) as connection:
            user = await _existing(connection, user_name)
            change = (
                update(api_tokens)
                .where(
                    api_tokens.c.user_id == user.id,
                    api_tokens.c.name == token_name.strip(),
                    api_tokens.c.revoked_at.is_(None),
                )
                .values(revoked_at=instant(at))
                .returning(api_tokens.c.id)
            )
            if (await connection.execute(change)).scalar() is None:
                raise UserFault(f"{user.name} has no token {token_name}; see: ctid user token list")

    async def by_token(self, token: str) -> User | None:
        """Whom an API token acts for."""
        query = (
            select(users)
            .join(api_tokens, api_tokens.c.user_id == users.c.id)
            .where(
                api_tokens.c.token_hash == secrets.token_hash(token),
                api_tokens.c.revoked_at.is_(None),
                ~users.c.disabled,
            )
        )
        return await self._one(query)

    # -- audit

    async def note(
        self,
        action: str,
        *,
        at: float,
        user: User | None = None,
        user_name: str | None = None,
        subject: str | None = None,
        address: str | None = None,
    ) -> None:
        """Keep who did what, like ``sign_in``, ``sign_in_refused`` or ``listen`` with the recording as ``subject``."""
        row = {
            "at": instant(at),
            "user_id": user.id if user else None,
            "user_name": user.name if user else user_name,
            "action": action,
            "subject": subject,
            "address": address,
        }
        async with writing(self._engine) as connection:
            await connection.execute(insert(audit).values(row))

    async def _one(self, query: Select[Any]) -> User | None:
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _user(row)


def _user(row: Row[Any]) -> User:
    return User(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        agent_id=row.agent_id,
        disabled=row.disabled,
        language=row.language,
        theme=row.theme,
    )


def _name(given: str) -> str:
    name = given.strip().lower()
    if not name or len(name) > 100 or not name.isprintable() or " " in name:
        raise UserFault("a user's name is one word of at most 100 characters")
    return name


def _check_password(password: str) -> None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UserFault(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")


async def _check_agent(connection: AsyncConnection, agent_id: AgentId | None) -> None:
    if agent_id is None:
        return
    if (await connection.execute(select(agents.c.id).where(agents.c.id == agent_id))).scalar() is None:
        raise UserFault(f"there is no agent {agent_id}; import the agents first: ctid import agents FILE.csv")


async def _existing(connection: AsyncConnection, name: str) -> User:
    row = (await connection.execute(select(users).where(users.c.name == name.strip().lower()))).one_or_none()
    if row is None:
        raise UserFault(f"there is no user {name.strip().lower()}; add one with: ctid user add")
    return _user(row)
