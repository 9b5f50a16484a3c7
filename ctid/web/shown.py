"""From values to pages: the templates, their filters, and the addresses of static files.

Law: autoescape is on for everything; no template says ``safe``.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime, tzinfo
from functools import cache
from math import isnan
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from ctid import __version__, explaining, languages
from ctid.calljson import iso
from ctid.db.users import User
from ctid.domain.spans import places
from ctid.languages import _
from ctid.web.identity import form_token, known
from ctid.web.roles import May, may
from ctid.web.room import Room, room
from ctid.web.sounds import playable
from ctid.web.texts import due, late, level, severity, word

THEME_COOKIE = "ctid_theme"
THEMES = ("light", "dark")
#: How times are shown: with the day before them, as the language writes days, or alone.
_CLOCKS = {"clock": "%H:%M:%S", "short": "%H:%M", "moment": "%H:%M", "exact": "%H:%M:%S"}
_DATED = ("moment", "exact")
HERE = Path(__file__).parent
STATIC = HERE / "static"


def page(request: Request, template: str, /, *, status: int = 200, **values: object) -> HTMLResponse:
    """The template as a response; ``values`` are what it shows beside the frame."""
    of = room(request)
    user = known(request)
    frame = {
        "user": user,
        "form_token": form_token(request),
        "path": request.url.path,
        "language": languages.spoken(),
        "languages": languages.LANGUAGES,
        "theme": theme(request, user),
        "trouble": trouble(of),
        "timezone": of.settings.routing.timezone,
    }
    text = _environment(of.settings.routing.timezone, of.zone).get_template(template).render(frame | values)
    return HTMLResponse(text, status)


def by_htmx(request: Request) -> bool:
    """Whether htmx asks, which wants a piece of the page."""
    return request.headers.get("hx-request") == "true"


def theme(request: Request, user: User | None) -> str | None:
    """Light or dark where somebody chose it; ``None`` leaves it to the system."""
    chosen = user.theme if user else request.cookies.get(THEME_COOKIE)
    return chosen if chosen in THEMES else None


def trouble(of: Room) -> str | None:
    """Why live states may be old or nobody routes, in one line."""
    if not of.subscriber.connected:
        return _("The MQTT broker cannot be reached: live states may be old.")
    if of.board.routing() is None:
        return _("No ctid daemon is routing: the PBX's fallback queue takes the calls.")
    return None


def may_see_all(user: User) -> bool:
    """Supervisors and administrators see every agent; an agent sees their own screen."""
    return may(user, May.SEE_ALL_AGENTS)


@cache
def static(name: str) -> str:
    """The address of a static file; it changes with the content, so that browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


_environments: dict[str, Environment] = {}


def _environment(name: str, zone: tzinfo) -> Environment:
    if name not in _environments:
        _environments[name] = _make(zone)
    return _environments[name]


def _make(zone: tzinfo) -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_callables(  # type: ignore[attr-defined]  # the extension's own method
        languages._, languages.ngettext, newstyle=True, pgettext=languages.pgettext
    )
    made.globals.update({"due": due, "late": late})
    made.globals.update({"places": places, "paused": explaining.paused})
    made.globals.update({"static": static, "version": __version__, "may_see_all": may_see_all, "may": may, "May": May})

    def local(at: float | None, form: str = "clock") -> str:
        if at is None or isnan(at):
            return ""
        read = datetime.fromtimestamp(at, zone)
        if form == "date":
            return languages.dated(read)
        pattern = _CLOCKS.get(form, form)
        clock = read.strftime(pattern)
        return f"{languages.dated(read)} {clock}" if form in _DATED else clock

    def day(on: date) -> str:
        return languages.dated(on, "long")

    filters: dict[str, Any] = {
        "local": local,
        "day": day,
        "duration": explaining.duration,
        "share": explaining.share,
        "iso": iso,
        "word": word,
        "playable": playable,
        "level": level,
        "severity": severity,
        "said": languages._,  # of a text the site has written, which may be one of ours
    }
    made.filters.update(filters)
    return made
