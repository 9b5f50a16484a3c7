"""The pages: calls, a call's story, callbacks, agents and their screens.

Law: each reads, and says 404 for what is not there; nothing is written here but the audit of listening.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import partial

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from ctid import explaining
from ctid.db.books import Mark
from ctid.db.calls import NoSuchCall, SeveralCalls
from ctid.db.reports import bounds
from ctid.domain.types import AgentId, AgentState, CallbackState, Outcome
from ctid.languages import _
from ctid.web import cursors, hearing
from ctid.web.addresses import ROWS, Text, address, known, plain
from ctid.web.identity import SignedIn, signed_in
from ctid.web.live import may_watch
from ctid.web.roles import May, may
from ctid.web.room import Room, room
from ctid.web.shown import may_see_all, page

LIVE = "live"
LATEST_CALLS = 20
LISTENS = 20

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


@router.get("/")
async def calls(
    request: Request,
    *,
    day: Text = "",
    outcome: Text = "",
    agent: Text = "",
    text: Text = "",
    after: Text = "",
) -> Response:
    """A day's calls, the newest first; to htmx only the table."""
    of = room(request)
    on = _day(day, of)
    since, until = bounds(on, of.zone)
    rows = await of.books.calls(
        since=since.timestamp(),
        until=until.timestamp(),
        limit=ROWS + 1,
        outcome=Outcome(outcome) if outcome in tuple(Outcome) else None,
        live=outcome == LIVE,
        agent=plain(agent) or None,
        text=plain(text.strip()) or None,
        after=cursors.read(after) if after else None,
    )
    shown = rows[:ROWS]
    filters = {"day": day, "outcome": outcome, "agent": agent, "text": text}
    chosen = {name: value for name, value in filters.items() if value}
    last = Mark(at=shown[-1].started_at, id=shown[-1].id) if len(rows) > ROWS else None
    return page(
        request,
        "_calls.html" if request.headers.get("hx-request") == "true" else "calls.html",
        calls=shown,
        on=on,
        is_today=on == of.today(),
        filters=filters,
        filtered=bool(chosen.keys() - {"day"}),
        outcomes=[LIVE, *Outcome],
        names=await of.names(),
        here=address("/", chosen | ({"after": after} if after else {})),
        first=address("/", chosen) if after else None,
        older=address("/", chosen | {"after": cursors.write(last)}) if last else None,
    )


@router.get("/calls/{call_id}")
@router.get("/calls/{pbx}/{call_id}")
async def call(request: Request, user: SignedIn, call_id: str, pbx: str | None = None) -> Response:
    """A call's whole story; where calls of two PBXes have one id, the choice."""
    of = room(request)
    try:
        found = await of.calls.one(known(call_id if pbx is None else f"{pbx}/{call_id}", _("There is no such call.")))
    except SeveralCalls as several:
        if any(one.id != call_id for one in several.calls):
            raise HTTPException(404, _("There is no such call.")) from None
        return page(request, "several.html", calls=several.calls)
    except NoSuchCall:
        raise HTTPException(404, _("There is no such call.")) from None
    if found.id != call_id:
        raise HTTPException(404, _("There is no such call."))
    names = await of.names()
    return page(
        request,
        "call.html",
        call=found,
        names=names,
        story=explaining.story(found, names),
        passed_over=explaining.passed_over,
        contact=await of.books.contact(found.contact_id),
        customer=await of.books.customer(found.customer_id),
        audible=await hearing.audible(of, user, found.recordings),
        listens=await of.recordings.listens([one.id for one in found.recordings], limit=LISTENS + 1)
        if may(user, May.HEAR_ALL)
        else None,
        listens_shown=LISTENS,
    )


@router.get("/callbacks")
async def callbacks(request: Request, state: Text = "", after: Text = "") -> Response:
    """Who asked to be called back, the newest first; to htmx only the table."""
    wanted = CallbackState(state) if state in tuple(CallbackState) else None
    rows = await room(request).books.callbacks(
        limit=ROWS + 1, state=wanted, after=cursors.read(after) if after else None
    )
    shown = rows[:ROWS]
    last = Mark(at=shown[-1].asked_at, id=shown[-1].id) if len(rows) > ROWS else None
    chosen = {"state": wanted.value} if wanted else {}
    return page(
        request,
        "_callbacks.html" if request.headers.get("hx-request") == "true" else "callbacks.html",
        callbacks=shown,
        states=tuple(CallbackState),
        wanted=wanted,
        here=address("/callbacks", chosen | ({"after": after} if after else {})),
        first=address("/callbacks", chosen) if after else None,
        older=address("/callbacks", chosen | {"after": cursors.write(last)}) if last else None,
    )


@router.get("/agents")
async def agents(request: Request, user: SignedIn) -> Response:
    """Every agent's state, live; for supervisors."""
    if not may_see_all(user):
        raise HTTPException(403, _("Only supervisors see all agents."))
    return page(request, "agents.html", screens=await _screens(room(request)))


@router.get("/agents/{agent_id}")
async def agent(request: Request, user: SignedIn, agent_id: str) -> Response:
    """One agent's live screen, with the pop."""
    if not may_watch(user, agent_id):
        raise HTTPException(403, _("This is another agent's screen."))
    of = room(request)
    screen = next((one for one in await _screens(of) if one.id == agent_id), None)
    if screen is None:
        raise HTTPException(404, _("There is no such agent."))
    since, until = bounds(of.today(), of.zone)
    today = partial(of.books.calls, since=since.timestamp(), until=until.timestamp(), limit=LATEST_CALLS)
    latest, missed = await today(agent=screen.id), await today(missed_by=screen.id)
    template = "_latest.html" if request.headers.get("hx-request") == "true" else "agent.html"
    return page(request, template, screen=screen, calls=latest, missed=missed)


@router.api_route("/recordings/{recording_id}/audio", methods=["GET", "HEAD"])
async def recording(request: Request, user: SignedIn, recording_id: str, download: Text = "") -> FileResponse:
    return await hearing.audio(request, user, recording_id, download=bool(download))


@router.get("/recordings/{recording_id}/peaks")
async def peaks(request: Request, user: SignedIn, recording_id: str) -> Response:
    return await hearing.waveform(request, user, recording_id)


async def _screens(of: Room) -> list[Screen]:
    """The enabled agents by name: as the board has them, else as the books last had them."""
    saved = {status.agent: status for status in await of.agents.statuses()}
    screens: list[Screen] = []
    for agent in await of.agents.roster():
        if not agent.enabled:
            continue
        view = of.board.views.get(agent.id)
        now = view.state if view and view.state else saved.get(agent.id)
        screens.append(
            Screen(
                id=agent.id,
                name=agent.name,
                state=now.state if now else AgentState.OFFLINE,
                reason=now.reason if now else None,
                talk_seconds_today=now.talk_seconds_today if now else 0.0,
                phone=(now.phone if now else None) or agent.phone,
            )
        )
    return sorted(screens, key=lambda screen: (screen.name, screen.id))


def _day(text: str, of: Room) -> date:
    try:
        on = date.fromisoformat(text) if text else of.today()
    except ValueError:
        raise HTTPException(400, _("The day is no date; write it as 2026-01-31.")) from None
    if not 1971 <= on.year <= 9000:
        raise HTTPException(400, _("The day is out of range."))
    return on
