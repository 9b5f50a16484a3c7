"""The live feed: a WebSocket per screen that is told each agent's present view, whole, whenever it changed.

Law: nothing is sent before Origin, session and role were checked, and the session is asked again while the socket lives.
What the browser gets is whole and ready to show (``views``).
Close codes: 4401 sign in again, 4403 not for you.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from math import inf
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from structlog import get_logger

from ctid.calljson import iso
from ctid.db import session
from ctid.db.session import DatabaseFault
from ctid.db.users import User
from ctid.domain.types import AgentId
from ctid.web.board import View
from ctid.web.identity import cookie_name, user_of
from ctid.web.origins import same_origin
from ctid.web.room import Room, room
from ctid.web.shown import may_see_all, trouble
from ctid.web.views import of_agent, of_link, of_others, of_waiting

SIGN_IN = 4401
FORBIDDEN = 4403
TRY_AGAIN = 1013
TOO_MUCH = 1008
MOST_HEARD = 100
CHECK_SECONDS = 30.0
BEAT_SECONDS = 10.0
#: How soon a screen hears what is wrong.
LOOK_SECONDS = 1.0

router = APIRouter()
_log = get_logger(__name__)


@router.websocket("/live")
async def live(socket: WebSocket, agent: AgentId | None = None) -> None:
    """One agent's view and how the others are, or the views of all; nothing the browser sends is read."""
    of = room(socket)
    if not same_origin(socket, of.settings.web.url):
        await socket.close()  # before accept: the handshake is refused with 403
        return
    try:
        async with session.faults(of.engine):
            await _serve(socket, of, agent)
    except DatabaseFault as error:
        _log.error("a screen lost its feed: the database does not answer", error=str(error))
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.close(TRY_AGAIN)


async def _serve(socket: WebSocket, of: Room, agent: AgentId | None) -> None:
    user = await user_of(socket)
    await socket.accept()
    if user is None:
        await socket.close(SIGN_IN)
        return
    if not may_watch(user, agent):
        await socket.close(FORBIDDEN)
        return
    with of.sockets.held(user.id) as room_left:
        if not room_left:
            await socket.close(TRY_AGAIN)
            return
        await _first_done(
            _tell(socket, of, agent), _beat(socket, of), _hear(socket), _session_ends(socket, of, user.id, agent)
        )


def may_watch(user: User, agent: AgentId | None) -> bool:
    """Whether the user may see this agent's screen; ``None`` stands for all agents."""
    return may_see_all(user) or (agent is not None and agent == user.agent_id)


async def _tell(socket: WebSocket, of: Room, agent: AgentId | None) -> None:
    watch = of.board.watch(None if agent is None else frozenset((agent,)), others=agent is not None)
    views = of.board.views
    try:
        while True:
            news = await watch.next()
            names = await of.names()
            if agent is not None and agent in news.agents:
                of.unheard.look(agent)
            for one in news.agents:
                await socket.send_text(of_agent(one, views.get(one) or View(), names))
            if news.others:
                await socket.send_text(of_others(news.others, views, names))
            if news.waiting:
                await socket.send_text(of_waiting(of.board.waiting))
    except (WebSocketDisconnect, RuntimeError):
        return  # the screen went away between two messages
    finally:
        of.board.leave(watch)


async def _beat(socket: WebSocket, of: Room) -> None:
    """Say again and again that the line stands: a browser does not notice by itself that it broke. What is wrong, at once."""
    said: str | None = None
    said_at = -inf
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            wrong, now = trouble(of), time.monotonic()
            if wrong != said or now - said_at >= BEAT_SECONDS:
                await socket.send_text(of_link(now=iso(time.time()) or "", trouble=wrong))
                said, said_at = wrong, now
            await asyncio.sleep(LOOK_SECONDS)


async def _hear(socket: WebSocket) -> None:
    """Nothing is said by a browser but its going; who says much all the same is let go."""
    for _ in range(MOST_HEARD):
        if (await socket.receive())["type"] == "websocket.disconnect":
            return
    await socket.close(TOO_MUCH)


async def _session_ends(socket: WebSocket, of: Room, user_id: int, agent: AgentId | None) -> None:
    """Close the feed of who has signed out, or may not see that screen any more: at once where this web changed it."""
    token = socket.cookies.get(cookie_name(of), "")
    with of.sockets.looking(user_id) as again:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await again.wait()
            again.clear()
            try:
                async with session.faults(of.engine):
                    user = await of.users.by_session(token, at=time.time())
            except DatabaseFault:
                continue  # calls go on while the database is away, and so do the screens
            if user is None or not may_watch(user, agent):
                break
    await socket.close(SIGN_IN if user is None else FORBIDDEN)


async def _first_done(*works: Any) -> None:
    """Run until one of them ends, end the others, and raise what any of them raised."""
    tasks = [asyncio.create_task(work, name=f"live {work.__name__}") for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for result in ended:
        if isinstance(result, Exception):
            raise result
