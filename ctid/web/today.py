"""A day in figures: calls by the half hour, and what each agent talked.

Law: who sees all agents sees the whole day; an agent sees their own. The page holds the figures as tables; its charts are
drawn from the same, asked for as JSON.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, timedelta

import msgspec
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from ctid.db import reports
from ctid.db.reports import AgentDay, HalfHour
from ctid.db.users import User
from ctid.web.addresses import Text, a_day
from ctid.web.identity import SignedIn, signed_in
from ctid.web.room import Room, room
from ctid.web.shown import by_htmx, may_see_all, page

#: Agents a chart has bars for; the table has all.
BARS = 30

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A day's; of one agent alone where ``own``."""

    on: date
    own: bool
    half_hours: list[HalfHour]
    agents: list[AgentDay]


@router.get("/today")
async def today(request: Request, user: SignedIn, day: Text = "") -> Response:
    """A day's figures; to htmx only the tables."""
    of = room(request)
    found = await _figures(of, user, a_day(day, of.today()))
    busy = [one for one in found.half_hours if one.answered or one.lost]
    return page(
        request,
        "_today.html" if by_htmx(request) else "today.html",
        figures=found,
        busy=busy,
        answered=sum(one.answered for one in busy),
        lost=sum(one.lost for one in busy),
        is_today=found.on == of.today(),
        before=found.on - timedelta(days=1),
        after=found.on + timedelta(days=1),
    )


@router.get("/today/figures")
async def figures(request: Request, user: SignedIn, day: Text = "") -> Response:
    """What the charts are drawn from: half hours as seconds since midnight, talk in minutes, the most first."""
    of = room(request)
    found = await _figures(of, user, a_day(day, of.today()))
    first = found.half_hours[0].at
    talked = sorted((one for one in found.agents if one.talk_seconds), key=lambda one: (-one.talk_seconds, one.agent))
    made = {
        "half_hours": [
            {"label": of.clock(one.at), "since": one.at - first, "answered": one.answered, "lost": one.lost}
            for one in found.half_hours
        ],
        "agents": [{"name": one.name[:40], "talk_minutes": round(one.talk_seconds / 60, 1)} for one in talked[:BARS]],
    }
    return Response(msgspec.json.encode(made), media_type="application/json")


async def _figures(of: Room, user: User, on: date) -> Figures:
    own = not may_see_all(user)
    everybody = await reports.day(of.engine, on=on, timezone=of.zone, now=time.time())
    agents = [one for one in everybody if not own or one.agent == user.agent_id]
    # Who is no agent and sees not all has no figures: no agent has the empty id.
    mine = (user.agent_id or "") if own else None
    half_hours = await reports.half_hours(of.engine, on=on, timezone=of.zone, agent=mine)
    return Figures(on=on, own=own, half_hours=half_hours, agents=agents)
