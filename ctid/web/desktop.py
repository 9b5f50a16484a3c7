"""The agent's desktop: the page people work at all day, what it asks of the daemon, and the same page to look at.

Law: whoever signed in acts for their own agent and for no other; supervisors look at the others' desks. What happens on the
telephone is the daemon's: it is asked, and what it answers is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Depends, HTTPException
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from ctid.db.lists import Asked, Listed, View
from ctid.db.reports import bounds
from ctid.db.users import User
from ctid.domain.types import AgentId, AgentState
from ctid.languages import _
from ctid.web import dispositions
from ctid.web.addresses import Text, known, plain
from ctid.web.forms import options
from ctid.web.identity import OwnForm, SignedIn, signed_in
from ctid.web.live import may_watch
from ctid.web.room import Room, room
from ctid.web.shown import may_see_all, page
from ctid.web.texts import severity, word

LATEST_CALLS = 20
MISSED_CALLS = 10
MISSED_DAYS = 7
FIRST_TICKETS = 5
FOUND_TICKETS = 8
EXTENSION_SECONDS = 30.0
UNSAID_SECONDS = 600.0
#: By how much a state may begin later than its call ended.
WRAP_UP_LATE = 5.0
LONGEST_FIELD = 200

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """An agent in the list: who they are and how they are now."""

    id: AgentId
    name: str
    state: AgentState
    reason: str | None
    talk_seconds_today: float
    phone: str | None


@router.get("/desk")
async def desk(request: Request, user: SignedIn) -> Response:
    """The user's own desk."""
    if user.agent_id is None and may_see_all(user):
        return RedirectResponse("/agents", 303)
    return await _desk(request, _own_agent(user), mine=True)


@router.get("/agents")
async def agents(request: Request, user: SignedIn) -> Response:
    """Every agent's state, live; for supervisors."""
    if not may_see_all(user):
        raise HTTPException(403, _("Only supervisors see all agents."))
    return page(request, "agents.html", screens=await _screens(room(request)))


@router.get("/agents/{agent_id}")
async def agent(request: Request, user: SignedIn, agent_id: str) -> Response:
    """One agent's desk, to look at."""
    return await _desk(request, _visible(user, agent_id), mine=False)


@router.get("/agents/{agent_id}/lists")
async def lists(request: Request, user: SignedIn, agent_id: str) -> Response:
    """What stands beside the caller: missed calls, the latest, the day's figures, open tickets."""
    visible = _visible(user, agent_id)
    return page(request, "_desk_lists.html", mine=user.agent_id == visible, **await _lists(room(request), visible))


@router.get("/agents/{agent_id}/home")
async def home(request: Request, user: SignedIn, agent_id: str) -> Response:
    """What stands on a desk without a call: the day's figures, the open tickets that come first."""
    return page(request, "_desk_home.html", **await _home(room(request), _visible(user, agent_id)))


@router.get("/desk/tickets")
async def tickets(request: Request, user: SignedIn, call: Text = "", q: Text = "") -> Response:
    """Tickets a call may be moved to: those of its caller, or those that hold what is typed."""
    _own_agent(user)
    of, words = room(request), plain(q).strip()
    if words:
        found = [one.ticket for one in await of.finder.tickets(words, limit=FOUND_TICKETS)]
    else:
        found = await of.desks.of_caller(plain(call), limit=FOUND_TICKETS)
    told = [{"id": one.id, "subject": one.subject, "detail": _detail(one)} for one in found]
    return JSONResponse({"tickets": told})


@router.post("/desk/command")
async def command(request: Request, user: SignedIn, form: OwnForm) -> Response:
    """Ask the daemon for one thing on behalf of the user's agent; what it refuses comes back as one line."""
    agent_id = _own_agent(user)
    asked = _field(form, "command")
    read = _FIELDS.get(asked)
    if read is None:
        raise HTTPException(422, _("There is no such command."))
    said = await room(request).asker.ask(agent_id, asked, **read(form))
    return JSONResponse({"error": said}, 200 if said is None else 409)


@router.post("/desk/missed")
async def done_with(request: Request, user: SignedIn, form: OwnForm) -> Response:
    """Tick off a missed call; the lists without it."""
    agent_id = _own_agent(user)
    of, now = room(request), time.time()
    pbx, call_id = _field(form, "pbx"), _field(form, "call")
    since = now - MISSED_DAYS * 86400
    if not await of.desks.done_with(agent_id, pbx=pbx, call_id=call_id, since=since, at=now):
        raise HTTPException(404, _("There is no such missed call."))
    return page(request, "_desk_lists.html", mine=True, **await _lists(of, agent_id))


def _visible(user: User, agent_id: str) -> AgentId:
    if not may_watch(user, agent_id):
        raise HTTPException(403, _("This is another agent's screen."))
    return known(agent_id, _("There is no such agent."))


def _own_agent(user: User) -> AgentId:
    if user.agent_id is None:
        raise HTTPException(403, _("Your name belongs to no agent; an administrator can say to which."))
    return user.agent_id


async def _desk(request: Request, agent_id: AgentId, *, mine: bool) -> Response:
    of = room(request)
    screen = next((one for one in await _screens(of) if one.id == agent_id), None)
    if screen is None:
        raise HTTPException(404, _("There is no such agent."))
    return page(
        request,
        "desk.html",
        screen=screen,
        pbx=of.settings.ami.pbx,
        mine=mine,
        phones=await _phones(of) if mine else (),
        pause_reasons=options(of.settings.desk.pause_reasons),
        last_phone=await of.desks.last_phone(agent_id, of.settings.ami.pbx) if mine else None,
        **(await _over(of, agent_id) if mine else {"over": None}),
        **(await _lists(of, agent_id) | await _home(of, agent_id)),
    )


async def _over(of: Room, agent_id: AgentId) -> dict[str, Any]:
    """The call that is just over and whose disposition is still to be said: a reload must not lose it."""
    since = time.time() - UNSAID_SECONDS
    view = of.board.views.get(agent_id)
    if view is not None and view.state is not None and view.state.state is AgentState.WRAP_UP and view.state.since:
        with suppress(ValueError):
            since = min(since, datetime.fromisoformat(view.state.since).timestamp() - WRAP_UP_LATE)
    over = await of.desks.unsaid(agent_id, since=since)
    if over is None:
        return {"over": None}
    return {"over": over, "disposition": await dispositions.asked(of, over.pbx, over.call_id)}


def _detail(ticket: Listed) -> str:
    parts = (ticket.customer, word(ticket.status), severity(ticket.severity), ticket.owner_name)
    return " · ".join(part for part in parts if part)


async def _lists(of: Room, agent_id: AgentId) -> dict[str, Any]:
    now = time.time()
    since, until = (at.timestamp() for at in bounds(of.today(), of.zone))
    missed = await of.desks.missed(agent_id, since=now - MISSED_DAYS * 86400, limit=MISSED_CALLS)
    told = {one.call_id for one in missed}
    latest = await of.books.calls(agent=agent_id, since=since, until=until, limit=LATEST_CALLS)
    return {"now": now, "missed": missed, "latest": [call for call in latest if call.id not in told]}


async def _home(of: Room, agent_id: AgentId) -> dict[str, Any]:
    now = time.time()
    since, until = (at.timestamp() for at in bounds(of.today(), of.zone))
    mine = Asked(view=View.TURN, now=now, until=until, who=agent_id)
    late = Asked(view=View.OVERDUE, now=now, until=until, owner=agent_id)
    # The overdue first; each list has the weightiest on top.
    found = [*await of.lists.tickets(late, limit=FIRST_TICKETS), *await of.lists.tickets(mine, limit=FIRST_TICKETS + 1)]
    tickets = list({one.id: one for one in found}.values())
    return {
        "now": now,
        "figures": await of.desks.figures(agent_id, since=since, until=until),
        "tickets": tickets[:FIRST_TICKETS],
        "more_tickets": len(tickets) > FIRST_TICKETS,
    }


async def _phones(of: Room) -> list[tuple[str, str | None]]:
    """The phones of the roster, each with the name of who sits there now."""
    names = await of.names()
    sitting = {
        view.state.phone: names.get(one, one) for one, view in of.board.views.items() if view.state and view.state.phone
    }
    known = {agent.phone for agent in await of.agents.roster() if agent.phone} | sitting.keys()
    return [(phone, sitting.get(phone)) for phone in sorted(known)]


async def _screens(of: Room) -> list[Screen]:
    """The enabled agents by name: as the board has them, else as the books last had them."""
    saved = {status.agent: status for status in await of.agents.statuses(of.settings.ami.pbx)}
    screens: list[Screen] = []
    for one in await of.agents.roster():
        if not one.enabled:
            continue
        view = of.board.views.get(one.id)
        now = view.state if view and view.state else saved.get(one.id)
        screens.append(
            Screen(
                id=one.id,
                name=one.name,
                state=now.state if now else AgentState.OFFLINE,
                reason=now.reason if now else None,
                talk_seconds_today=now.talk_seconds_today if now else 0.0,
                phone=(now.phone if now else None) or one.phone,
            )
        )
    return sorted(screens, key=lambda screen: (screen.name, screen.id))


def _field(form: FormData, name: str) -> str:
    value = form.get(name)
    return plain(value[:LONGEST_FIELD]).strip() if isinstance(value, str) else ""


def _given(*names: str) -> Callable[[FormData], dict[str, object]]:
    """Reads those of the named fields that were filled in."""
    return lambda form: {name: value for name in names if (value := _field(form, name))}


#: Each command an agent may give, and what is read of its form.
_FIELDS: Mapping[str, Callable[[FormData], dict[str, object]]] = {
    "sign_in": _given("phone"),
    "sign_out": _given(),
    "pause": _given("reason"),
    "resume": _given(),
    "wrap_up_done": _given(),
    "wrap_up_extend": lambda _form: {"seconds": EXTENSION_SECONDS},
    "pickup": _given("call_id"),
    "dial": _given("number", "ticket_id", "contact_id"),
    "transfer": _given("kind", "to"),
    "record_pause": _given(),
    "record_resume": _given(),
    "relink": lambda form: (
        _given("call_id", "ticket_id", "contact_id")(form) | ({"new": True} if _field(form, "new") else {})
    ),
}
