"""The roster as people keep it: each agent's name, phone, code, level, lines, address and PIN.

Law: a change says which state it was made from (``version``), and is refused where that is no longer so. An agent is
disabled, never deleted: calls and tickets name them. Each change has its row in the audit. The daemon reads the roster again
by itself.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from ctid.db import secrets
from ctid.db.audits import Actor, changed, note
from ctid.db.session import Engine, read, write
from ctid.db.tables import agent_lines, agents, lines
from ctid.domain.types import AgentId

#: What the audit shows of a PIN.
_HIDDEN = "••••"


class NoSuchAgent(LookupError):  # noqa: N818 - it is an answer
    """There is no agent of that id."""


class StaleAgent(Exception):  # noqa: N818 - it is an answer
    """Somebody else changed the agent meanwhile."""


class IdTaken(Exception):  # noqa: N818 - it is an answer
    """There is an agent of that id."""


class CodeTaken(Exception):  # noqa: N818 - it is an answer
    """Another agent (``agent``) keys in that code."""

    def __init__(self, agent: AgentId) -> None:
        super().__init__(agent)
        self.agent = agent


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFile:
    """One agent as the roster has them; the PIN itself is nowhere."""

    id: AgentId
    name: str
    phone: str | None
    code: str | None
    level: int
    lines: tuple[str, ...]
    email: str | None
    enabled: bool
    has_pin: bool

    @property
    def version(self) -> str:
        """Changes with anything in the file but a PIN that replaces another."""
        return hashlib.sha256(repr(self).encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Roster:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def all(self) -> list[AgentFile]:
        """Every agent by name, the disabled ones last."""
        found = await read(self._engine, lambda connection: _files(connection, None))
        return sorted(found, key=lambda file: (not file.enabled, file.name, file.id))

    async def one(self, agent: AgentId) -> AgentFile:
        """Raises ``NoSuchAgent``."""
        return await read(self._engine, lambda connection: _one(connection, agent))

    async def lines(self) -> list[str]:
        """The lines of the configuration of every PBX, by name."""
        query = select(lines.c.name).where(lines.c.configured).distinct().order_by(lines.c.name)
        return await read(self._engine, lambda connection: list(connection.scalars(query)))

    async def add(self, file: AgentFile, *, pin: str | None, by: Actor) -> None:
        """A new agent. Raises ``IdTaken`` or ``CodeTaken``."""
        hashed = await secrets.hash_pin(pin) if pin else None

        def work(connection: Connection) -> None:
            if connection.scalar(select(agents.c.id).where(agents.c.id == file.id)) is not None:
                raise IdTaken
            _check_code(connection, file)
            connection.execute(insert(agents).values(id=file.id, pin_hash=hashed, **_columns(file)))
            _put_lines(connection, file)
            note(connection, "agent_added", file.id, by, {"name": (None, file.name)})

        await write(self._engine, work)

    async def change(self, file: AgentFile, *, pin: str | None, seen: str, by: Actor) -> None:
        """Make the agent what the file says, if they still are as ``seen``.

        ``pin`` is a new one; without it the old one stays, unless the file has none. Raises ``NoSuchAgent``, ``StaleAgent`` or
        ``CodeTaken``.
        """
        hashed = await secrets.hash_pin(pin) if pin else None

        def work(connection: Connection) -> None:
            before = _one(connection, file.id)
            if before.version != seen:
                raise StaleAgent
            _check_code(connection, file)
            values = _columns(file)
            if hashed is not None or not file.has_pin:
                values["pin_hash"] = hashed
            connection.execute(update(agents).where(agents.c.id == file.id).values(values))
            _put_lines(connection, file)
            changes = changed(_told(before), _told(file))
            if hashed is not None:
                changes["pin"] = (_HIDDEN if before.has_pin else None, _HIDDEN)
            if changes:
                note(connection, "agent_changed", file.id, by, changes)

        await write(self._engine, work)


def _told(file: AgentFile) -> dict[str, Any]:
    """The file as the audit tells it."""
    told = asdict(file)
    told["lines"] = ", ".join(file.lines) or None
    told["pin"] = _HIDDEN if told.pop("has_pin") else None
    return told


def _columns(file: AgentFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "phone": file.phone,
        "code": file.code,
        "level": file.level,
        "email": file.email,
        "enabled": file.enabled,
    }


def _check_code(connection: Connection, file: AgentFile) -> None:
    if file.code is None:
        return
    other = connection.scalar(select(agents.c.id).where(agents.c.code == file.code, agents.c.id != file.id))
    if other is not None:
        raise CodeTaken(other)


def _put_lines(connection: Connection, file: AgentFile) -> None:
    connection.execute(delete(agent_lines).where(agent_lines.c.agent_id == file.id))
    if file.lines:
        connection.execute(agent_lines.insert(), [{"agent_id": file.id, "line": line} for line in file.lines])


def _one(connection: Connection, agent: AgentId) -> AgentFile:
    found = _files(connection, agent)
    if not found:
        raise NoSuchAgent(agent)
    return found[0]


def _files(connection: Connection, agent: AgentId | None) -> list[AgentFile]:
    people, serving = select(agents), select(agent_lines).order_by(agent_lines.c.line)
    if agent is not None:
        people, serving = people.where(agents.c.id == agent), serving.where(agent_lines.c.agent_id == agent)
    lines_of: dict[AgentId, list[str]] = defaultdict(list)
    for row in connection.execute(serving):
        lines_of[row.agent_id].append(row.line)
    return [_file(row, lines_of.get(row.id, ())) for row in connection.execute(people)]


def _file(row: Row[Any], serving: Iterable[str]) -> AgentFile:
    return AgentFile(
        id=row.id,
        name=row.name,
        phone=row.phone,
        code=row.code,
        level=row.level,
        lines=tuple(serving),
        email=row.email,
        enabled=row.enabled,
        has_pin=row.pin_hash is not None,
    )
