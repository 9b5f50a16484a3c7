"""The roster's pages, for supervisors: who the agents are, which lines they serve, and how they sign in at a phone.

Law: what a form was made from goes with it, and a change by somebody else meanwhile is shown, never overwritten. The daemon
follows within seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ctid.db import cells
from ctid.db.cells import BadCell
from ctid.db.roster import AgentFile, CodeTaken, IdTaken, NoSuchAgent, StaleAgent
from ctid.languages import _
from ctid.web.addresses import known, path_of
from ctid.web.forms import Fields
from ctid.web.identity import OwnForm, SignedIn, actor, allowed
from ctid.web.roles import May
from ctid.web.room import Room, room
from ctid.web.shown import page

LEVELS = (1, 3)

router = APIRouter(include_in_schema=False, dependencies=[Depends(allowed(May.KEEP_AGENTS))])


@router.get("/roster")
async def roster(request: Request) -> Response:
    """Every agent as the roster has them."""
    return page(request, "roster.html", files=await room(request).roster.all())


@router.get("/roster/new")
async def blank(request: Request) -> Response:
    fields = Fields.showing({"level": 1, "enabled": "1"}, room(request).zone)
    return await _form(request, fields, None)


@router.post("/roster/new")
async def add(request: Request, user: SignedIn, form: OwnForm) -> Response:
    """A new agent."""
    of = room(request)
    fields = Fields(form, of.zone)
    key = fields.key("id", required=True)
    if key is not None:
        key = _cell(fields, "id", cells.topic_key, _("Letters, digits and . _ - @ only; the first is no sign."))
    file, pin = _read(fields, key or "", has_pin=False, lines=await of.roster.lines())
    if file is None:
        return await _form(request, fields, None)
    try:
        await of.roster.add(file, pin=pin, by=actor(request, user))
    except IdTaken:
        fields.refuse("id", _("There is an agent of this id."))
    except CodeTaken as taken:
        fields.refuse("code", _code_taken(taken))
    else:
        return RedirectResponse(f"{path_of('roster', file.id)}?done=added", 303)
    return await _form(request, fields, None)


@router.get("/roster/{agent_id}")
async def one(request: Request, agent_id: str) -> Response:
    file = await _existing(room(request), agent_id)
    return await _form(request, _shown(file, room(request)), file)


@router.post("/roster/{agent_id}")
async def change(request: Request, user: SignedIn, agent_id: str, form: OwnForm) -> Response:
    """What the agent is from now on."""
    of = room(request)
    now = await _existing(of, agent_id)
    fields = Fields(form, of.zone)
    file, pin = _read(fields, now.id, has_pin=now.has_pin, lines=(*await of.roster.lines(), *now.lines))
    if file is None:
        return await _form(request, fields, now)
    try:
        await of.roster.change(file, pin=pin, seen=str(form.get("version", "")), by=actor(request, user))
    except StaleAgent:
        return await _form(request, fields, await _existing(of, agent_id), stale=True)
    except CodeTaken as taken:
        fields.refuse("code", _code_taken(taken))
        return await _form(request, fields, now)
    return RedirectResponse(f"{path_of('roster', file.id)}?done=changed", 303)


def _read(fields: Fields, key: str, *, has_pin: bool, lines: Iterable[str]) -> tuple[AgentFile | None, str | None]:
    """The agent as typed and the PIN, or ``None`` with what is wrong beside the fields."""
    name = fields.text("name", required=True)
    phone = _cell(fields, "phone", cells.endpoint, _("The name of an endpoint has letters, digits, _ and - only."))
    code = _cell(fields, "code", cells.code, _("A code has 1 to 16 digits."))
    email = _cell(fields, "email", cells.email, _("This is no e-mail address."))
    pin = _cell(fields, "pin", cells.pin, _("A PIN has 4 to 16 digits."))
    level = fields.whole("level", least=LEVELS[0], most=LEVELS[1], required=True)
    if name is None or level is None or not fields.fine:
        return None, None
    file = AgentFile(
        id=key,
        name=name,
        phone=phone,
        code=code,
        level=level,
        lines=tuple(sorted({line for line in lines if fields.ticked(f"line-{line}")})),
        email=email,
        enabled=fields.ticked("enabled"),
        has_pin=pin is not None or (has_pin and not fields.ticked("no_pin")),
    )
    return file, pin


def _cell(fields: Fields, name: str, read: Callable[[Mapping[str, str], str], str | None], said: str) -> str | None:
    """One field by the rule of the imported list; ``said`` stands beside it where it breaks the rule."""
    try:
        return read({name: fields.typed.get(name, "").strip()}, name)
    except BadCell:
        fields.refuse(name, said)
        return None


def _shown(file: AgentFile, of: Room) -> Fields:
    values: dict[str, str | float | None] = {
        "name": file.name,
        "phone": file.phone,
        "code": file.code,
        "level": file.level,
        "email": file.email,
        "enabled": "1" if file.enabled else None,
    }
    return Fields.showing(values | {f"line-{line}": "1" for line in file.lines}, of.zone)


async def _existing(of: Room, agent_id: str) -> AgentFile:
    said = _("There is no such agent.")
    try:
        return await of.roster.one(known(agent_id, said))
    except NoSuchAgent:
        raise HTTPException(404, said) from None


async def _form(request: Request, fields: Fields, file: AgentFile | None, *, stale: bool = False) -> Response:
    of = room(request)
    said = {"added": _("The agent is added."), "changed": _("The change is saved.")}
    serving = file.lines if file else ()
    return page(
        request,
        "roster_agent.html",
        status=409 if stale else 200 if fields.fine else 422,
        done=said.get(request.query_params.get("done", "")) if request.method == "GET" else None,
        fields=fields,
        file=file,
        stale=stale,
        lines=sorted({*await of.roster.lines(), *serving}),
        levels=[(level, level) for level in range(LEVELS[0], LEVELS[1] + 1)],
    )


def _code_taken(taken: CodeTaken) -> str:
    return _("This is the code of the agent %(agent)s.") % {"agent": taken.agent}
