"""The live feed: a WebSocket per screen that is told each agent's present view, whole, whenever it changed.

Law: nothing is sent before Origin, session and role were checked, and the session is asked again while the socket lives.
What the browser gets is ready to show: words made here, as text; the browser inserts text and decides nothing.
Close codes: 4401 sign in again, 4403 not for you.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from structlog import get_logger

from ctid import explaining
from ctid.db import session
from ctid.db.session import DatabaseFault
from ctid.db.users import User
from ctid.domain.types import AgentId, Candidate, Decision, Rule, Skip
from ctid.saying import told
from ctid.web.board import Contact, Pop, State, Ticket, View
from ctid.web.guards import same_origin
from ctid.web.identity import cookie_name, user_of
from ctid.web.room import Room, room
from ctid.web.shown import may_see_all
from ctid.web.texts import word

SIGN_IN = 4401
FORBIDDEN = 4403
TRY_AGAIN = 1013
CHECK_SECONDS = 30.0

router = APIRouter()
_log = get_logger(__name__)


@router.websocket("/live")
async def live(socket: WebSocket, agent: AgentId | None = None) -> None:
    """The views of one agent, or of all; nothing the browser sends is read."""
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
    await _first_done(
        _tell(socket, of, None if agent is None else frozenset((agent,))), _hear(socket), _session_ends(socket, of)
    )


def may_watch(user: User, agent: AgentId | None) -> bool:
    """Whether the user may see this agent's screen; ``None`` stands for all agents."""
    return may_see_all(user) or (agent is not None and agent == user.agent_id)


async def _tell(socket: WebSocket, of: Room, agents: frozenset[AgentId] | None) -> None:
    watch = of.board.watch(agents)
    try:
        while True:
            agent = await watch.next()
            view = of.board.views.get(agent, View())
            await socket.send_text(message(agent, view, await of.names()).decode())
    except (WebSocketDisconnect, RuntimeError):
        return  # the screen went away between two messages
    finally:
        of.board.leave(watch)


async def _hear(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _session_ends(socket: WebSocket, of: Room) -> None:
    token = socket.cookies.get(cookie_name(of), "")
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        if await of.users.by_session(token, at=time.time()) is None:
            break
    await socket.close(SIGN_IN)


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


# -- a view as the browser shows it ------------------------------------------------------------------------------------


def message(agent: AgentId, view: View, names: Mapping[AgentId, str]) -> bytes:
    """An agent's view as JSON of ready texts; a key without a value is null."""
    return msgspec.json.encode(
        {
            "agent": agent,
            "name": names.get(agent, agent),
            "state": _state(view.state) if view.state else None,
            "pop": _pop(view.pop, names) if view.pop else None,
            "gone": _gone(view.gone) if view.gone else None,
        }
    )


def _state(state: State) -> dict[str, str | None]:
    return {
        "code": state.state.value,
        "word": word(state.state.value),
        "since": state.since,
        "reason": state.reason,
        "talk": explaining.duration(state.talk_seconds_today),
        "phone": state.phone,
        "call_id": state.call_id,
        "wrap_up_until": state.wrap_up_until,
    }


def _gone(pop: Pop) -> dict[str, str]:
    return {"call_id": pop.call_id, "state": pop.state.value, "word": word(pop.state.value)}


def _pop(pop: Pop, names: Mapping[AgentId, str]) -> dict[str, Any]:
    decision = _decision(pop.decision)
    return {
        **_gone(pop),
        "caller": pop.caller,
        "dialled": pop.dialled,
        "contact": _contact(pop.contact) if pop.contact else None,
        "matches": [_contact(contact) for contact in pop.matches],
        "ticket": _ticket(pop.ticket, names) if pop.ticket else None,
        "history": [_ticket(one, names) for one in pop.history if pop.ticket is None or one.id != pop.ticket.id],
        "why": explaining.why(decision, names) if decision else None,
        "notices": _notices(pop),
    }


def _notices(pop: Pop) -> list[str]:
    """Each in the language of the moment; as the daemon said it, where no sentence of ours is known."""
    if len(pop.notes) != len(pop.notices):
        return list(pop.notices)
    return [told(note.code, note.fields) or said for note, said in zip(pop.notes, pop.notices, strict=True)]


def _contact(contact: Contact) -> dict[str, Any]:
    return {
        "name": contact.name,
        "role": ", ".join(part for part in (contact.title, contact.department) if part) or None,
        "customer": contact.customer,
        "level": contact.level,
    }


def _ticket(ticket: Ticket, names: Mapping[AgentId, str]) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "subject": ticket.subject,
        "status": word(ticket.status),
        "severity": ticket.severity,
        "owner": names.get(ticket.owner, ticket.owner) if ticket.owner else None,
    }


class _Considered(msgspec.Struct, frozen=True, kw_only=True):
    agent: AgentId
    talk_seconds: float | None = None
    talk_share: float | None = None


class _Decided(msgspec.Struct, frozen=True, kw_only=True):
    rule: Rule
    chosen: AgentId
    owner: AgentId | None = None
    owner_ticket: str | None = None
    owner_skipped: Skip | None = None
    considered: tuple[_Considered, ...] = ()
    skipped: dict[Skip, int] = msgspec.field(default_factory=dict)


def _decision(raw: msgspec.Raw) -> Decision | None:
    """The decision of a pop; ``None`` where there is none that can be told in words."""
    try:
        decided = msgspec.json.decode(raw, type=_Decided | None)
    except (msgspec.DecodeError, RecursionError):
        return None
    if decided is None:
        return None
    nan = float("nan")
    considered = tuple(
        Candidate(
            agent=one.agent,
            talk_seconds=nan if one.talk_seconds is None else one.talk_seconds,
            idle_since=nan,
            talk_share=one.talk_share,
        )
        for one in decided.considered
    )
    return Decision(
        at=nan,
        rule=decided.rule,
        chosen=decided.chosen,
        owner=decided.owner,
        owner_ticket=decided.owner_ticket,
        owner_skipped=decided.owner_skipped,
        considered=considered,
        skipped=tuple(decided.skipped.items()),
    )
