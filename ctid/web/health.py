"""For those who watch the process: up at all, and able to work.

Law: open to everybody, so nothing here tells more than a reason: no address, no name, no version.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse

from ctid.db import session
from ctid.db.session import DatabaseFault
from ctid.web.room import Room, room

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def up() -> dict[str, bool]:
    return {"up": True}


@router.get("/readyz")
async def ready(request: Request) -> JSONResponse:
    """200 when the pages show the truth, 503 with the reasons when not."""
    why_not = await reasons(room(request))
    return JSONResponse({"ready": not why_not, "reasons": why_not}, 503 if why_not else 200)


async def reasons(of: Room) -> list[str]:
    """Why ``ctid web`` cannot do its work, one line each; empty when it can."""
    found: list[str] = []
    try:
        await session.ping(of.engine)
    except DatabaseFault:
        found.append("database: it does not answer")
    if not of.subscriber.connected:
        return [*found, "broker: not connected, so live states are old"]
    node = of.board.routing()
    if node is None:
        found.append("daemon: no ctid run is acting")
    elif not node.pbx_connected:
        found.append("pbx: the daemon has no link to it")
    return found
