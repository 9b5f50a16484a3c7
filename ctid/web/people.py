"""The users' pages, for administrators: who may sign in, as what, and whose screen it is.

Law: nobody changes their own role or locks themselves out here, and the last administrator stays one; each change is in the
audit.
"""

from __future__ import annotations

import time

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ctid.db.users import BadName, LastAdministrator, NameTaken, NoSuchAgent, Role, User
from ctid.languages import _
from ctid.web.forms import Fields
from ctid.web.identity import OwnForm, SignedIn, actor, allowed
from ctid.web.me import new_password
from ctid.web.roles import May
from ctid.web.room import Room, room
from ctid.web.shown import page
from ctid.web.texts import word

router = APIRouter(include_in_schema=False, dependencies=[Depends(allowed(May.KEEP_USERS))])


@router.get("/users")
async def users(request: Request) -> Response:
    """Everybody who has or had a way in."""
    return page(request, "users.html", people=await room(request).users.people(at=time.time()))


@router.get("/users/new")
async def blank(request: Request) -> Response:
    return await _new(request, Fields.showing({"role": Role.AGENT.value}, room(request).zone))


@router.post("/users/new")
async def add(request: Request, user: SignedIn, form: OwnForm) -> Response:
    """Add a user with a first password."""
    of, by = room(request), actor(request, user)
    fields = Fields(form, of.zone)
    name = fields.text("name", most=100, required=True)
    role, agent_id = _role(fields)
    password = new_password(fields, "password", "again")
    if name is None or role is None or password is None or not fields.fine:
        return await _new(request, fields)
    try:
        made = await of.users.create(name, password, role, agent_id=agent_id, at=by.at, by=by)
    except NameTaken:
        fields.refuse("name", _("There is a user of this name."))
    except BadName:
        fields.refuse("name", _("A user's name is one word, without spaces."))
    except NoSuchAgent:
        fields.refuse("agent", _("There is no such agent."))
    else:
        return RedirectResponse(f"/users/{made.id}?done=added", 303)
    return await _new(request, fields)


@router.get("/users/{user_id}")
async def one(request: Request, user: SignedIn, user_id: int) -> Response:
    return await _one(request, user, await _existing(room(request), user_id))


@router.post("/users/{user_id}")
async def change(request: Request, user: SignedIn, user_id: int, form: OwnForm) -> Response:
    """Another role, or another agent's screen."""
    of = room(request)
    found = await _existing(of, user_id)
    fields = Fields(form, of.zone)
    role, agent_id = _role(fields)
    if role is not None and found.id == user.id and role is not found.role:
        fields.refuse("role", _("You cannot change your own role; another administrator can."))
    if form.get("version") != _version(found):
        fields.refuse("role", _("Somebody else changed this user meanwhile. Look again at what stands here now."))
    if role is None or not fields.fine:
        return await _one(request, user, found, change=fields)
    try:
        await of.users.change(found.name, role=role, agent_id=agent_id, by=actor(request, user))
    except NoSuchAgent:
        fields.refuse("agent", _("There is no such agent."))
    except LastAdministrator:
        fields.refuse("role", _last())
    else:
        of.sockets.look_again(found.id)
        return RedirectResponse(f"/users/{found.id}?done=changed", 303)
    return await _one(request, user, found, change=fields)


@router.post("/users/{user_id}/password")
async def set_password(request: Request, user: SignedIn, user_id: int, form: OwnForm) -> Response:
    """A new password for somebody who has lost theirs; ends their sessions."""
    of = room(request)
    found = await _existing(of, user_id)
    fields = Fields(form, of.zone, name="password")
    password = new_password(fields, "password", "again")
    if found.id == user.id:
        fields.refuse("password", _("Your own password is changed in your settings."))
    if password is None or not fields.fine:
        return await _one(request, user, found, password=fields)
    await of.users.set_password(found.name, password, by=actor(request, user))
    of.sockets.look_again(found.id)
    return RedirectResponse(f"/users/{found.id}?done=password", 303)


@router.post("/users/{user_id}/lock")
async def lock(request: Request, user: SignedIn, user_id: int, form: OwnForm) -> Response:
    """Lock a user out at once, or let them in again."""
    of = room(request)
    found = await _existing(of, user_id)
    disabled = form.get("disabled") == "1"
    fields = Fields(form, of.zone, name="lock")
    if found.id == user.id:
        fields.refuse("disabled", _("You cannot lock yourself out."))
        return await _one(request, user, found, lock=fields)
    try:
        await of.users.set_disabled(found.name, disabled=disabled, by=actor(request, user))
    except LastAdministrator:
        fields.refuse("disabled", _last())
        return await _one(request, user, found, lock=fields)
    of.sockets.look_again(found.id)
    return RedirectResponse(f"/users/{found.id}?done={'locked' if disabled else 'unlocked'}", 303)


@router.post("/users/{user_id}/sessions")
async def end_sessions(request: Request, user: SignedIn, user_id: int, form: OwnForm) -> Response:  # noqa: ARG001 - checked
    """Sign a user out wherever they are."""
    of = room(request)
    found = await _existing(of, user_id)
    await of.users.end_sessions(found, by=actor(request, user))
    of.sockets.look_again(found.id)
    return RedirectResponse(f"/users/{found.id}?done=sessions", 303)


@router.post("/users/{user_id}/failures")
async def forgive(request: Request, user: SignedIn, user_id: int, form: OwnForm) -> Response:  # noqa: ARG001 - checked
    """Let a user try again at once whose failed sign-ins have stopped them."""
    of = room(request)
    found = await _existing(of, user_id)
    of.failures.forgive(found.name)
    await of.audits.add("sign_in_allowed", found.name, actor(request, user))
    return RedirectResponse(f"/users/{found.id}?done=allowed", 303)


def _role(fields: Fields) -> tuple[Role | None, str | None]:
    """The role and the agent asked for; an agent's user needs one."""
    asked = fields.choice("role", tuple(Role), required=True)
    agent_id = fields.key("agent")
    if asked == Role.AGENT and agent_id is None:
        fields.refuse("agent", _("An agent's user needs the agent whose desk it is."))
    return (Role(asked) if asked else None), agent_id


async def _existing(of: Room, user_id: int) -> User:
    found = await of.users.one(user_id) if 0 < user_id < 2**31 else None
    if found is None:
        raise HTTPException(404, _("There is no such user."))
    return found


async def _new(request: Request, fields: Fields) -> Response:
    choices = await _choices(room(request))
    return page(request, "user_new.html", status=200 if fields.fine else 422, fields=fields, **choices)


async def _one(request: Request, user: User, found: User, **forms: Fields) -> Response:
    of = room(request)
    shown = {
        "change": Fields.showing({"role": found.role.value, "agent": found.agent_id}, of.zone),
        "password": Fields({}, of.zone, name="password"),
        "lock": Fields({}, of.zone, name="lock"),
        **forms,
    }
    said = {
        "added": _("The user is added."),
        "changed": _("The change is saved."),
        "password": _("The password is changed, and the user's sessions are ended."),
        "locked": _("The user is locked out, and their sessions are ended."),
        "unlocked": _("The user may sign in again."),
        "sessions": _("The user's sessions are ended."),
        "allowed": _("The user may try again at once."),
    }
    return page(
        request,
        "user.html",
        status=200 if all(fields.fine for fields in shown.values()) else 422,
        done=said.get(request.query_params.get("done", "")) if request.method == "GET" else None,
        found=found,
        version=_version(found),
        oneself=found.id == user.id,
        stopped=of.failures.user_wait_seconds(found.name, time.time()) > 0,
        sessions=await of.users.sessions(found, at=time.time()),
        **shown,
        **await _choices(of),
    )


async def _choices(of: Room) -> dict[str, list[tuple[str, str]]]:
    names = sorted((await of.names()).items(), key=lambda item: (item[1], item[0]))
    return {
        "roles": [(role.value, word(role.value)) for role in Role],
        "agents": [(key, f"{name[:60]} ({key})") for key, name in names],
    }


def _version(user: User) -> str:
    """What a form of this user was made from."""
    return f"{user.role.value} {user.agent_id or ''}"


def _last() -> str:
    return _("This is the last administrator; make another one first.")
