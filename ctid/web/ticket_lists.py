"""The lists of tickets, and each as a CSV file.

Law: an agent sees their own desk and everybody's tickets; whose turn another's tickets are, only who sees all agents may ask.
A file holds what the list shows, all of it, and nothing a spreadsheet would take for a formula.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ctid.calljson import iso
from ctid.db.csvfile import MARK, lines
from ctid.db.lists import ANY, COUNTED, OWN, STATUSES, Asked, Listed, Lists, View, place
from ctid.db.reports import bounds
from ctid.db.users import User
from ctid.languages import _, say_later
from ctid.web import cursors
from ctid.web.addresses import ROWS, Text, address, plain
from ctid.web.identity import SignedIn, actor, signed_in
from ctid.web.room import Room, room
from ctid.web.shown import by_htmx, may_see_all, page
from ctid.web.sparing import spare

TABS: Final[Mapping[str, str]] = {
    View.MINE: say_later("Mine"),
    View.TURN: say_later("With me now"),
    View.OVERDUE: say_later("Overdue"),
    View.TODAY: say_later("Due today"),
    View.NOBODYS: say_later("Nobody's"),
    View.OLDEST: say_later("Oldest open"),
    View.ALL: say_later("All"),
    "customers": say_later("By customer"),
    "categories": say_later("By category"),
}
NOBODY: Final = "none"
#: Rows of a file that are read at once.
BATCH = 500
_COLUMNS = (
    *("id", "subject", "status", "severity", "level", "category", "owner", "owner_name", "with_agent", "with_name"),
    *("customer_id", "customer", "contact_id", "contact", "created_at", "promised_at", "resolved_at"),
)

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What an address asks of a list, as it was written."""

    view: Text = ""
    status: Text = ""
    category: Text = ""
    owner: Text = ""
    customer: Text = ""
    severity: Text = ""

    def given(self) -> dict[str, str]:
        pairs = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in pairs.items() if value}


@router.get("/tickets")
async def tickets(
    request: Request,
    user: SignedIn,
    chosen: Annotated[Filters, Depends()],
    after: Text = "",
) -> Response:
    """A list of tickets; to htmx only the table."""
    of = room(request)
    view = _view(chosen, user)
    now = time.time()
    asked = _asked(chosen, user, of, now)
    common: dict[str, Any] = {
        "view": view,
        "tabs": TABS,
        "own": OWN,
        "counts": await of.lists.counts(asked),
        "counted": COUNTED,
        "chosen": chosen,
        "statuses": STATUSES,
        "names": await of.names(),
        "whose": (await of.names()).get(asked.who or "") if asked.who != user.agent_id else None,
        "asked": asked,
        "now": now,
    }
    if view in ("customers", "categories"):
        return await _grouped(request, of.lists, common, after)
    rows = await of.lists.tickets(asked, limit=ROWS + 1, after=cursors.read_place(after) if after else None)
    shown = rows[:ROWS]
    query = chosen.given() | {"view": view}
    last = cursors.write_place(place(shown[-1], asked.view)) if len(rows) > ROWS else None
    return page(
        request,
        "_tickets.html" if by_htmx(request) else "tickets.html",
        tickets=shown,
        categories=await of.lists.categories(),
        customer=await of.books.customer(asked.customer_id),
        filtered=bool(chosen.given().keys() - {"view"}),
        here=address("/tickets", query | ({"after": after} if after else {})),
        first=address("/tickets", query) if after else None,
        older=address("/tickets", query | {"after": last}) if last else None,
        file=address("/tickets.csv", query),
        **common,
    )


@router.get("/tickets.csv", dependencies=[Depends(spare)])
async def as_file(
    request: Request,
    user: SignedIn,
    chosen: Annotated[Filters, Depends()],
) -> Response:
    """The whole list, line by line as it is read."""
    of = room(request)
    now = time.time()
    asked = _asked(chosen, user, of, now)
    await of.audits.add("list_exported", f"tickets: {asked.view}", actor(request, user))
    headers = {"content-disposition": f'attachment; filename="tickets-{asked.view}-{of.today().isoformat()}.csv"'}
    return StreamingResponse(_file(of.lists, asked), media_type="text/csv; charset=utf-8", headers=headers)


async def _grouped(request: Request, lists: Lists, common: dict[str, Any], after: str) -> Response:
    skip = int(after) if after.isascii() and after.isdigit() and len(after) < 7 else 0
    by_customer = common["view"] == "customers"
    shares = await (lists.by_customer if by_customer else lists.by_category)(now=time.time(), limit=ROWS + 1, skip=skip)
    here = {"view": common["view"]}
    return page(
        request,
        "ticket_groups.html",
        shares=shares[:ROWS],
        by_customer=by_customer,
        first=address("/tickets", here) if skip else None,
        older=address("/tickets", here | {"after": str(skip + ROWS)}) if len(shares) > ROWS else None,
        **common,
    )


def _view(chosen: Filters, user: User) -> str:
    """The tab asked for; without one an agent's own desk, or what the filters ask of all tickets."""
    if chosen.view in TABS:
        return chosen.view
    return View.MINE if user.agent_id and not chosen.given() else View.ALL


def _asked(chosen: Filters, user: User, of: Room, now: float) -> Asked:
    view = View(found) if (found := _view(chosen, user)) in tuple(View) else View.ALL
    owner = plain(chosen.owner) or None
    if owner not in (None, user.agent_id) and not may_see_all(user):
        raise HTTPException(403, _("Only supervisors see other agents' lists."))
    who = owner if owner is not None and view in OWN else user.agent_id
    if view in OWN and who is None:
        view = View.ALL  # someone who is no agent has no desk
    _start, end = bounds(of.today(), of.zone)
    severity = chosen.severity if chosen.severity in ("1", "2", "3", "4", "5") else None
    return Asked(
        view=view,
        now=now,
        until=end.timestamp(),
        who=who,
        status=chosen.status if chosen.status in (*STATUSES, ANY) else None,
        category=plain(chosen.category) or None,
        owner=None if view in OWN else owner,
        customer_id=plain(chosen.customer) or None,
        severity=int(severity) if severity else None,
    )


async def _file(lists: Lists, asked: Asked) -> AsyncIterator[str]:
    yield MARK + lines([_COLUMNS])
    after = None
    while rows := await lists.tickets(asked, limit=BATCH, after=after):
        yield lines(_cells(row) for row in rows)
        after = place(rows[-1], asked.view)


def _cells(ticket: Listed) -> Sequence[str]:
    def cell(name: str) -> str:
        value = getattr(ticket, name)
        if value is None:
            return ""
        return iso(value) or "" if name.endswith("_at") else str(value)

    return [cell(name) for name in _COLUMNS]
