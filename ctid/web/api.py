"""The REST API: the books as JSON, for those with a bearer token.

Law: reads only; every list is bounded and goes on by a cursor; an error is one line in ``error``. A token acts as its
user: who may not see a thing by the pages does not see it here. No path on a disk is ever part of an answer.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Path, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ctid.calljson import attempt_json, call_json, iso, seconds, step_json, ticket_json
from ctid.db.audits import Actor
from ctid.db.books import Mark
from ctid.db.calls import NoSuchCall, SeveralCalls
from ctid.db.tickets import NoSuchTicket
from ctid.db.users import User
from ctid.domain.types import AgentState, CallRecord
from ctid.web import api_models as models
from ctid.web import cursors, hearing
from ctid.web.identity import address_of
from ctid.web.room import Room, room
from ctid.web.shown import may_see_all

MOST = 200
USUAL = 50
#: Calls that may share one start to the microsecond and still be paged through.
_SAME_START = 50
_NO_TEXT = r"^[^\x00-\x1f\x7f]+$"

_bearer = HTTPBearer(auto_error=False, description="A token of: ctid user token")


async def token_user(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> User:
    """Whom the token acts for; 401 without a good one, 429 after many that were not. A good one is always heard."""
    of = room(request)
    user = await of.users.by_token(given.credentials) if given else None
    if user is None and given:
        await _wrong_token(of, address_of(request) or "unknown")
    if user is None:
        said = "This token is not valid." if given else "Send a token: Authorization: Bearer TOKEN."
        raise HTTPException(401, said, headers={"www-authenticate": "Bearer"})
    return user


async def _wrong_token(of: Room, address: str) -> None:
    """Count it; raises 429 where its address has sent too many."""
    now = time.time()
    if (wait := of.failures.token_wait_seconds(address, now)) > 0:
        said = "Too many wrong tokens came from this address; send a good one, or wait."
        raise HTTPException(429, said, headers={"retry-after": str(round(wait) + 1)})
    of.failures.token_failed(address, now)
    if of.failures.token_wait_seconds(address, now) > 0:
        await of.audits.add("tokens_stopped", address, Actor(at=now, user_name="API", address=address))


TokenUser = Annotated[User, Depends(token_user)]
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=400, description="The `next` of the page before.")]
Id = Annotated[str, Path(max_length=200, pattern=_NO_TEXT)]
Looked = Annotated[
    str | None,
    Query(max_length=200, description="Search, as the pages do; the best first, at most `limit`, without a `next`."),
]
Word = Annotated[str | None, Query(max_length=200, pattern=_NO_TEXT)]

_FAULTS: dict[int | str, dict[str, Any]] = {
    401: {"model": models.Fault, "description": "No token, or one that is not valid."},
    429: {"model": models.Fault, "description": "One more token that is not valid, after many from this address."},
    422: {"model": models.Fault, "description": "A value that cannot be."},
    503: {"model": models.Fault, "description": "The database does not answer."},
}
_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": models.Fault, "description": "Not there, or not for you."}}

router = APIRouter(prefix="/api/v1", dependencies=[Depends(token_user)], responses=_FAULTS)


@router.get("/calls", responses={200: {"model": models.Calls}})
async def calls(
    request: Request,
    *,
    since: Annotated[datetime | None, Query(description="Started at or after; without an offset, UTC.")] = None,
    until: Annotated[datetime | None, Query(description="Started before; without an offset, UTC.")] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Response:
    """Calls, the newest first."""
    found = await _calls(room(request), _unix(since), _unix(until), limit + 1, cursors.read(cursor) if cursor else None)
    shown = found[:limit]
    more = len(found) > limit
    last = cursors.write(Mark(at=shown[-1].started_at, id=shown[-1].id)) if more else None
    return _json({"calls": [call_json(call) for call in shown], "next": last})


@router.get("/calls/{call_id}", responses={200: {"model": models.Call}, **_MISSING})
async def call(
    request: Request,
    call_id: Id,
    *,
    pbx: Annotated[
        str | None, Query(max_length=200, pattern=_NO_TEXT, description="Where several PBXes have the id.")
    ] = None,
) -> Response:
    """One call; 409 where calls of several PBXes have the id and none is named."""
    try:
        found = await room(request).calls.one(call_id if pbx is None else f"{pbx}/{call_id}")
    except SeveralCalls as several:
        if all(one.id == call_id for one in several.calls):
            raise HTTPException(409, f"{several} with ?pbx=.") from None
        found = None
    except NoSuchCall:
        found = None
    if found is None or found.id != call_id:
        raise HTTPException(404, f"There is no call {call_id}.")
    return _json(call_json(found))


@router.get("/agents", responses={200: {"model": models.Agents}})
async def agents(request: Request, user: TokenUser) -> Response:
    """The agents with their present states; to an agent's token that agent alone."""
    of = room(request)
    saved = {status.agent: status for status in await of.agents.statuses(of.settings.ami.pbx)}
    listed = []
    for agent in await of.agents.roster():
        if not may_see_all(user) and agent.id != user.agent_id:
            continue
        view, status = of.board.views.get(agent.id), saved.get(agent.id)
        live = view.state if view else None
        now = live or status
        listed.append(
            {
                "id": agent.id,
                "name": agent.name,
                "phone": agent.phone,
                "level": agent.level,
                "lines": list(agent.lines),
                "enabled": agent.enabled,
                "state": (now.state if now else AgentState.OFFLINE).value,
                "since": live.since if live else iso(status.since) if status else None,
                "reason": now.reason if now else None,
                "talk_seconds_today": seconds(now.talk_seconds_today if now else 0.0),
                "call_id": now.call_id if now else None,
            }
        )
    return _json({"agents": listed})


@router.get("/contacts", responses={200: {"model": models.Contacts}})
async def contacts(
    request: Request,
    *,
    customer_id: Word = None,
    number: Annotated[Word, Query(description="As ctid writes it: E.164, such as +8613800138000.")] = None,
    q: Looked = None,
    limit: Limit = USUAL,
    cursor: Word = None,
) -> Response:
    """Contacts with their numbers, by id; with `q` those that fit."""
    books = room(request).books
    if q is not None:
        keys = [one.id for one in await room(request).finder.contacts(q, limit=limit)]
        return _json({"contacts": await books.contacts(limit=limit, ids=keys), "next": None})
    found = await books.contacts(limit=limit + 1, after=cursor, customer_id=customer_id, number=number)
    return _json({"contacts": found[:limit], "next": found[limit - 1]["id"] if len(found) > limit else None})


@router.get("/customers", responses={200: {"model": models.Customers}})
async def customers(request: Request, q: Looked = None, limit: Limit = USUAL, cursor: Word = None) -> Response:
    """Customers, by id; with `q` those that fit."""
    if q is not None:
        keys = [one.id for one in await room(request).finder.customers(q, limit=limit)]
        return _json({"customers": await room(request).books.customers(limit=limit, ids=keys), "next": None})
    found = await room(request).books.customers(limit=limit + 1, after=cursor)
    return _json({"customers": found[:limit], "next": found[limit - 1]["id"] if len(found) > limit else None})


@router.get("/tickets", responses={200: {"model": models.Tickets}})
async def tickets(
    request: Request,
    *,
    status: Literal["open", "pending", "resolved", "closed"] | None = None,
    owner: Word = None,
    q: Looked = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Response:
    """Tickets, the newest first; with `q` those that fit, by severity and level, without a look at the other filters."""
    if q is not None:
        keys = [one.ticket.id for one in await room(request).finder.tickets(q, limit=limit)]
        return _json({"tickets": [ticket_json(one) for one in await room(request).tickets.some(keys)], "next": None})
    after = cursors.read(cursor) if cursor else None
    found = await room(request).tickets.load(limit=limit + 1, status=status, owner=owner, after=after)
    shown = found[:limit]
    last = cursors.write(Mark(at=shown[-1].created_at, id=shown[-1].id)) if len(found) > limit else None
    return _json({"tickets": [ticket_json(ticket) for ticket in shown], "next": last})


@router.get("/tickets/{ticket_id}", responses={200: {"model": models.TicketStory}, **_MISSING})
async def ticket(request: Request, ticket_id: Id) -> Response:
    """One ticket with its steps and attempts, each in the order of their times."""
    try:
        story = await room(request).ticket_desk.story(ticket_id)
    except NoSuchTicket:
        raise HTTPException(404, f"There is no ticket {ticket_id}.") from None
    steps, attempts = map(step_json, story.steps), map(attempt_json, story.attempts)
    return _json({**ticket_json(story.ticket), "steps": list(steps), "attempts": list(attempts)})


@router.get(
    "/recordings/{recording_id}/audio",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"audio/wav": {}}, "description": "The whole recording."},
        206: {"content": {"audio/wav": {}}, "description": "The bytes that Range asked for."},
        416: {"description": "There are no such bytes."},
        **_MISSING,
    },
)
async def recording(request: Request, user: TokenUser, recording_id: Id) -> Response:
    """A recording's sound; knows byte ranges."""
    return await hearing.audio(request, user, recording_id)


async def _calls(
    of: Room, since: float | None, until: float | None, limit: int, after: Mark | None
) -> list[CallRecord]:
    """The newest ``limit`` calls that started in [since, until) and come after the mark, the newest first."""
    if after is None:
        return (await of.calls.load(since=since, until=until, limit=limit))[::-1]
    # The store cuts at a start; the mark stands within those that share one.
    before = after.at + 0.000_002
    loaded = await of.calls.load(
        since=since, until=before if until is None else min(before, until), limit=limit + _SAME_START
    )
    older = [call for call in loaded[::-1] if (round(call.started_at, 6), call.id) < (round(after.at, 6), after.id)]
    return older[:limit]


def _unix(at: datetime | None) -> float | None:
    if at is None:
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    try:
        return min(max(aware.timestamp(), 0.0), 253_000_000_000.0)
    except (OverflowError, ValueError):
        return 0.0


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
