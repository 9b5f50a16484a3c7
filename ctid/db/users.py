"""The web's people: accounts, sessions, API tokens, and what they were seen doing.

Law: no password and no token is stored, only hashes; disabling a user or changing a password ends every session at once.
The last administrator who is not disabled stays one. Names are compared in lower case. Times are Unix seconds. A change made
by somebody (``by``) has its row in the audit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ctid.db import secrets
from ctid.db.audits import Actor, Changes, note
from ctid.db.session import instant, maybe_seconds, reading, seconds, writing
from ctid.db.tables import agents, api_tokens, sessions, users
from ctid.domain.types import AgentId

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024
_KEY_LETTERS = 16


class Role(StrEnum):
    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"


class UserFault(ValueError):  # noqa: N818 - a fault to mend, not a bug
    """One line that says what was wrong with what was asked."""


class NoSuchUser(UserFault):
    """There is no user of that name."""


class NameTaken(UserFault):
    """There is a user of that name."""


class BadName(UserFault):
    """Not a name a user can have."""


class BadPassword(UserFault):
    """Too short or too long."""


class NoSuchAgent(UserFault):
    """The agent whose screen it should be is not there."""


class TokenNameTaken(UserFault):
    """The user has had a token of that name."""


class LastAdministrator(UserFault):
    """Without this one, nobody could keep users."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is the last administrator; make another one first")


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
class Person:
    """A user as a list shows them: with their agent's name and how many sessions are open."""

    user: User
    agent_name: str | None
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An open session without its secret; ``key`` names it, ``own`` is the one it was asked from."""

    key: str
    created_at: float
    expires_at: float
    address: str | None
    own: bool


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

    async def create(
        self,
        name: str,
        password: str,
        role: Role,
        *,
        agent_id: AgentId | None = None,
        at: float,
        by: Actor | None = None,
    ) -> User:
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
                await _noted(
                    connection, "user_added", name, by, {"role": (None, role.value), "agent": (None, agent_id)}
                )
        except IntegrityError:
            raise NameTaken(f"there is already a user {name}; change the password with: ctid user passwd") from None
        return User(id=key, name=name, role=role, agent_id=agent_id, disabled=False)

    async def set_password(self, name: str, password: str, *, keep: str | None = None, by: Actor | None = None) -> None:
        """Change the password and end the user's sessions, but the one whose token is to ``keep``. Raises ``UserFault``."""
        _check_password(password)
        hashed = await secrets.hash_password(password)
        async with writing(self._engine) as connection:
            user = await _existing(connection, name)
            await connection.execute(update(users).where(users.c.id == user.id).values(password_hash=hashed))
            ended = delete(sessions).where(sessions.c.user_id == user.id)
            if keep is not None:
                ended = ended.where(sessions.c.token_hash != secrets.token_hash(keep))
            await connection.execute(ended)
            await _noted(connection, "password_changed", user.name, by)

    async def change(self, name: str, *, role: Role, agent_id: AgentId | None, by: Actor | None = None) -> User:
        """Give the user a role and an agent's screen. Raises ``UserFault``."""
        async with writing(self._engine) as connection:
            user = await _existing(connection, name)
            await _check_agent(connection, agent_id)
            if role is not Role.ADMINISTRATOR:
                await _check_last(connection, user)
            values = {"role": role.value, "agent_id": agent_id}
            await connection.execute(update(users).where(users.c.id == user.id).values(values))
            changes = {"role": (user.role.value, role.value), "agent": (user.agent_id, agent_id)}
            changes = {field: both for field, both in changes.items() if both[0] != both[1]}
            if changes:
                await _noted(connection, "user_changed", user.name, by, changes)
        return replace(user, role=role, agent_id=agent_id)

    async def remove(self, name: str, *, by: Actor | None = None) -> None:
        """Take a user away with sessions and tokens; the audit keeps the name. Raises ``UserFault``."""
        async with writing(self._engine) as connection:
            user = await _existing(connection, name)
            await _check_last(connection, user)
            await connection.execute(delete(users).where(users.c.id == user.id))
            await _noted(connection, "user_removed", user.name, by)

    async def set_disabled(self, name: str, *, disabled: bool, by: Actor | None = None) -> None:
        """Lock a user out, sessions and tokens included, or let them in again. Raises ``UserFault``."""
        async with writing(self._engine) as connection:
            user = await _existing(connection, name)
            if disabled:
                await _check_last(connection, user)
                await connection.execute(delete(sessions).where(sessions.c.user_id == user.id))
            await connection.execute(update(users).where(users.c.id == user.id).values(disabled=disabled))
            await _noted(connection, "user_disabled" if disabled else "user_enabled", user.name, by)

    async def set_taste(self, user_id: int, *, language: str | None, theme: str | None) -> None:
        """How this user wants the pages: both as in ``User``."""
        async with writing(self._engine) as connection:
            await connection.execute(update(users).where(users.c.id == user_id).values(language=language, theme=theme))

    async def all(self) -> list[User]:
        """Every user by name."""
        async with reading(self._engine) as connection:
            return [_user(row) for row in await connection.execute(select(users).order_by(users.c.name))]

    async def named(self, name: str) -> User:
        """Raises ``NoSuchUser``."""
        async with reading(self._engine) as connection:
            return await _existing(connection, name)

    async def one(self, user_id: int) -> User | None:
        return await self._one(select(users).where(users.c.id == user_id))

    async def people(self, *, at: float) -> list[Person]:
        """Every user by name, the disabled ones last, with the sessions open at that time."""
        opened = (
            select(func.count())
            .where(sessions.c.user_id == users.c.id, sessions.c.expires_at > instant(at))
            .scalar_subquery()
        )
        query = (
            select(users, agents.c.name.label("agent_name"), opened.label("opened"))
            .join(agents, agents.c.id == users.c.agent_id, isouter=True)
            .order_by(users.c.disabled, users.c.name)
        )
        async with reading(self._engine) as connection:
            return [
                Person(user=_user(row), agent_name=row.agent_name, sessions=row.opened)
                for row in await connection.execute(query)
            ]

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

    async def sessions(self, user: User, *, at: float, token: str | None = None) -> list[Session]:
        """The user's open sessions, the newest first; ``token`` is that of the one who asks."""
        own = secrets.token_hash(token) if token else None
        query = (
            select(sessions)
            .where(sessions.c.user_id == user.id, sessions.c.expires_at > instant(at))
            .order_by(sessions.c.created_at.desc(), sessions.c.token_hash)
        )
        async with reading(self._engine) as connection:
            return [
                Session(
                    key=row.token_hash[:_KEY_LETTERS],
                    created_at=seconds(row.created_at),
                    expires_at=seconds(row.expires_at),
                    address=row.address,
                    own=row.token_hash == own,
                )
                for row in await connection.execute(query)
            ]

    async def end_session(self, user: User, key: str, *, by: Actor | None = None) -> None:
        """End that one of the user's sessions, if it is still open."""
        async with writing(self._engine) as connection:
            named = func.substr(sessions.c.token_hash, 1, _KEY_LETTERS) == key
            ended = delete(sessions).where(sessions.c.user_id == user.id, named).returning(sessions.c.user_id)
            if (await connection.execute(ended)).first() is not None:
                await _noted(connection, "session_ended", user.name, by)

    async def end_sessions(self, user: User, *, by: Actor | None = None) -> None:
        """End all of the user's sessions."""
        async with writing(self._engine) as connection:
            await connection.execute(delete(sessions).where(sessions.c.user_id == user.id))
            await _noted(connection, "sessions_ended", user.name, by)

    # -- API tokens

    async def create_token(self, user_name: str, token_name: str, *, at: float, by: Actor | None = None) -> str:
        """A new token that acts as the user; it is told this once. Raises ``UserFault``."""
        token = secrets.new_token()
        name = token_name.strip()
        if not name:
            raise UserFault("the token needs a name, to know it by when it is revoked")
        async with writing(self._engine) as connection:
            user = await _existing(connection, user_name)
            taken = select(api_tokens.c.id).where(api_tokens.c.user_id == user.id, api_tokens.c.name == name)
            if (await connection.execute(taken)).scalar() is not None:
                raise TokenNameTaken(f"{user.name} has already had a token {name}; give it another name")
            row = {
                "user_id": user.id,
                "name": name,
                "token_hash": secrets.token_hash(token),
                "created_at": instant(at),
            }
            await connection.execute(insert(api_tokens).values(row))
            await _noted(connection, "token_added", name, by)
        return token

    async def tokens(self, user: User | None = None) -> list[ApiToken]:
        """Every token, or the user's, revoked ones included, by user and name."""
        query = (
            select(users.c.name.label("user"), api_tokens.c.name, api_tokens.c.created_at, api_tokens.c.revoked_at)
            .join(users, users.c.id == api_tokens.c.user_id)
            .order_by(users.c.name, api_tokens.c.name)
        )
        if user is not None:
            query = query.where(users.c.id == user.id)
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

    async def revoke_token(self, user_name: str, token_name: str, *, at: float, by: Actor | None = None) -> None:
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
            await _noted(connection, "token_revoked", token_name.strip(), by)

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
        raise BadName("a user's name is one word of at most 100 characters")
    return name


def _check_password(password: str) -> None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadPassword(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")


async def _check_agent(connection: AsyncConnection, agent_id: AgentId | None) -> None:
    if agent_id is None:
        return
    if (await connection.execute(select(agents.c.id).where(agents.c.id == agent_id))).scalar() is None:
        raise NoSuchAgent(f"there is no agent {agent_id}; import the agents first: ctid import agents FILE.csv")


async def _existing(connection: AsyncConnection, name: str) -> User:
    row = (await connection.execute(select(users).where(users.c.name == name.strip().lower()))).one_or_none()
    if row is None:
        raise NoSuchUser(f"there is no user {name.strip().lower()}; add one with: ctid user add")
    return _user(row)


async def _check_last(connection: AsyncConnection, user: User) -> None:
    """Raises ``LastAdministrator`` where no other could stand in."""
    if user.role is not Role.ADMINISTRATOR or user.disabled:
        return
    # Locked, and in one order, so that two who take each other away at once do not both succeed.
    present = select(users.c.id).where(users.c.role == Role.ADMINISTRATOR.value, ~users.c.disabled).order_by(users.c.id)
    if set(await connection.scalars(present.with_for_update())) <= {user.id}:
        raise LastAdministrator(user.name)


async def _noted(
    connection: AsyncConnection, action: str, subject: str, by: Actor | None, changes: Changes | None = None
) -> None:
    if by is not None:
        await connection.run_sync(note, action, subject, by, changes)
