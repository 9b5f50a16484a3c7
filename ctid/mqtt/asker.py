"""How the web asks the daemon: one command of one agent, or on one call, out, its one answer in.

Law: nothing is asked twice. A command is for the daemon that acts now: the broker drops it after the time the asker waits, and
an answer that comes later is nobody's. What is asked at once is bounded.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from structlog import get_logger

from ctid.domain.types import AgentId, CallId
from ctid.languages import _
from ctid.mqtt import topics
from ctid.mqtt.topics import PREFIX, Message
from ctid.saying import told

#: What the asker must be told of.
RESULTS = (f"{PREFIX}/agents/+/result", f"{PREFIX}/calls/+/result")
#: How long an answer is waited for, in seconds.
ANSWER_SECONDS = 5.0
#: Questions under way at once.
MOST = 1000

_log = get_logger(__name__)


class Publish(Protocol):
    """Sends a message that the broker drops after ``expires`` seconds; raises ``OSError`` where it cannot be sent."""

    def __call__(self, message: Message, *, expires: float) -> Awaitable[None]: ...


class _Result(msgspec.Struct, frozen=True, kw_only=True):
    id: str | None
    ok: bool
    error: str | None = None
    code: str | None = None
    fields: dict[str, str | int] = {}


class Asker:
    """``acting`` tells whether a daemon acts, as last heard."""

    def __init__(self, publish: Publish, acting: Callable[[], bool]) -> None:
        self._publish = publish
        self._acting = acting
        self._asked: dict[tuple[str, str], asyncio.Future[_Result]] = {}

    async def ask(self, agent: AgentId, command: str, **fields: object) -> str | None:
        """Have the daemon carry out a command of this agent: ``None`` once it did, else one line that says why not.

        The line is in the language of the moment. Raises ``ValueError`` for an agent whose id is no topic level.
        """
        id_ = secrets.token_hex(16)
        message = topics.command_message(agent, id_, command, fields)
        return await self._ask(message, f"{PREFIX}/agents/{agent}/result", id_)

    async def ask_of_call(self, call: CallId, command: str, **fields: object) -> str | None:
        """The same of a command on a call."""
        id_ = secrets.token_hex(16)
        message = topics.call_command_message(call, id_, command, fields)
        return await self._ask(message, f"{PREFIX}/calls/{call}/result", id_)

    async def _ask(self, message: Message, answered_on: str, id_: str) -> str | None:
        if len(self._asked) >= MOST:
            return _("Too much is being asked at this moment; try again.")
        if not self._acting():
            return _("ctid is not routing calls now; try again in a moment.")
        answer = self._asked[answered_on, id_] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._publish(message, expires=ANSWER_SECONDS)
                result = await answer
        except OSError as error:
            if not isinstance(error, TimeoutError):
                return _("The message broker cannot be reached; try again in a moment.")
            _log.warning("a command was not answered", topic=message.topic)
            return _("ctid did not answer; look whether it was done before you try again.")
        finally:
            del self._asked[answered_on, id_]
        if result.ok:
            return None
        return told(result.code or "", result.fields) or result.error or _("ctid refused without a reason.")

    def take(self, topic: str, payload: bytes) -> None:
        """One message from a topic of ``RESULTS``. Never raises; what is no answer, or nobody waits for, is dropped."""
        try:
            result = msgspec.json.decode(payload, type=_Result)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        waiting = self._asked.get((topic, result.id or ""))
        if waiting is not None and not waiting.done():
            waiting.set_result(result)
