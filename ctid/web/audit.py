"""The audit's page, for supervisors and administrators: who signed in, listened, and changed what.

Law: reads only; a page and a file are bounded. In the file no cell begins a formula.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ctid.calljson import iso
from ctid.db.audits import Changes, Deed
from ctid.db.books import Mark
from ctid.db.csvfile import MARK, lines
from ctid.db.reports import bounds
from ctid.languages import _, listed
from ctid.web import cursors
from ctid.web.addresses import ROWS, Text, address, plain
from ctid.web.identity import allowed
from ctid.web.roles import May
from ctid.web.room import Room, room
from ctid.web.shown import page
from ctid.web.sparing import spare
from ctid.web.texts import ACTIONS, FIELDS, word

#: Rows of one file.
MOST_IN_FILE = 50_000
#: Of them read at once.
BATCH = 500

router = APIRouter(include_in_schema=False, dependencies=[Depends(allowed(May.READ_AUDIT))])


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The rows asked for by an address."""

    user: str
    action: str
    subject: str
    day: str

    def chosen(self) -> dict[str, str]:
        values = {"user": self.user, "action": self.action, "subject": self.subject, "day": self.day}
        return {name: value for name, value in values.items() if value}

    def query(self, of: Room) -> dict[str, Any]:
        """For ``Audits.deeds``. Raises 400 for a day that is none."""
        found: dict[str, Any] = {
            "user": plain(self.user.strip().lower()) or None,
            "action": plain(self.action) or None,
            "subject": plain(self.subject.strip()) or None,
        }
        if self.day:
            try:
                since, until = bounds(date.fromisoformat(self.day), of.zone)
            except (ValueError, OverflowError):
                raise HTTPException(400, _("The day is no date; write it as 2026-01-31.")) from None
            found |= {"since": since.timestamp(), "until": until.timestamp()}
        return found


def asked(user: Text = "", action: Text = "", subject: Text = "", day: Text = "") -> Asked:
    return Asked(user=user, action=action, subject=subject, day=day)


Wanted = Annotated[Asked, Depends(asked)]


@router.get("/audit")
async def audit(request: Request, wanted: Wanted, after: Text = "") -> Response:
    """What was done, the newest first."""
    of = room(request)
    rows = await of.audits.deeds(limit=ROWS + 1, after=_mark(after), **wanted.query(of))
    shown = rows[:ROWS]
    last = Mark(at=shown[-1].at, id=str(shown[-1].id)) if len(rows) > ROWS else None
    chosen = wanted.chosen()
    return page(
        request,
        "audit.html",
        deeds=shown,
        wanted=wanted,
        actions=sorted(((action, _(said)) for action, said in ACTIONS.items()), key=lambda pair: pair[1]),
        told=told,
        action_word=action_word,
        file=address("/audit.csv", chosen),
        first=address("/audit", chosen) if after else None,
        older=address("/audit", chosen | {"after": cursors.write(last)}) if last else None,
    )


@router.get("/audit.csv", dependencies=[Depends(spare)])
async def as_file(request: Request, wanted: Wanted) -> Response:
    """The same rows as a file for a spreadsheet, the newest ``MOST_IN_FILE``."""
    of = room(request)
    headers = {"content-disposition": 'attachment; filename="audit.csv"'}
    return StreamingResponse(_file(of, wanted.query(of)), media_type="text/csv; charset=utf-8", headers=headers)


async def _file(of: Room, query: dict[str, Any]) -> AsyncIterator[str]:
    yield MARK + lines([("at", "user", "action", "subject", "changes", "address")])
    after = None
    for _batch in range(MOST_IN_FILE // BATCH):
        rows = await of.audits.deeds(limit=BATCH, after=after, **query)
        yield lines(map(_cells, rows))
        if len(rows) < BATCH:
            return
        after = Mark(at=rows[-1].at, id=str(rows[-1].id))


def action_word(deed: Deed) -> str:
    """What an action is called; one without a name is shown as it is."""
    return _(ACTIONS[deed.action]) if deed.action in ACTIONS else deed.action


def told(changes: Changes) -> str:
    """What changed, in one line."""
    said = _("%(field)s: %(before)s → %(after)s")
    return listed(
        said % {"field": _(FIELDS[name]) if name in FIELDS else name, "before": _value(old), "after": _value(new)}
        for name, (old, new) in changes.items()
    )


def _value(value: object) -> str:
    match value:
        case None | "":
            return _("none")
        case True:
            return _("yes")
        case False:
            return _("no")
        case str():
            return word(value)
    return str(value)


def _cells(deed: Deed) -> list[str]:
    changes = "; ".join(f"{name}: {_plainly(old)} > {_plainly(new)}" for name, (old, new) in deed.changes.items())
    return [cell or "" for cell in (iso(deed.at), deed.user_name, deed.action, deed.subject, changes, deed.address)]


def _plainly(value: object) -> str:
    return "" if value is None else str(value)


def _mark(after: str) -> Mark | None:
    mark = cursors.read(after) if after else None
    if mark is not None and not (mark.id.isascii() and mark.id.isdigit() and len(mark.id) < 19):
        raise cursors.BadCursor
    return mark
