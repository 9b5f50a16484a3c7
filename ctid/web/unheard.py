"""Pops the web did not hear, asked for: its own restart in mid-call, or a broker that was away, must not hide a caller.

Law: for an agent whose screen is looked at and whose state tells of a call that no pop was heard of; asked once of each call,
and again only where it could not be asked. At most one question of an agent is under way.
"""

from __future__ import annotations

import asyncio

from ctid.domain.types import AgentId, CallId
from ctid.mqtt.asker import Asker
from ctid.web.board import Board

#: How long after a question that came to nothing it is asked again, in seconds.
AGAIN_SECONDS = 5.0


class Unheard:
    def __init__(self, board: Board, asker: Asker) -> None:
        self._board = board
        self._asker = asker
        self._asked: dict[AgentId, CallId] = {}
        self._questions: dict[AgentId, asyncio.Task[None]] = {}

    def look(self, agent: AgentId) -> None:
        """Have the daemon show this agent's call once more, if its pop is not known and was not asked for."""
        call_id = self._board.unheard(agent)
        if call_id is None or self._asked.get(agent) == call_id or agent in self._questions:
            return
        question = asyncio.create_task(self._ask(agent, call_id), name=f"unheard {agent}")
        self._questions[agent] = question
        question.add_done_callback(lambda _: self._questions.pop(agent, None))

    async def _ask(self, agent: AgentId, call_id: CallId) -> None:
        while self._board.unheard(agent) == call_id:
            if await self._asker.ask(agent, "show") is None:
                self._asked[agent] = call_id
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def close(self) -> None:
        for question in tuple(self._questions.values()):
            question.cancel()
        await asyncio.gather(*self._questions.values(), return_exceptions=True)
