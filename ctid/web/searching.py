"""Search: the page with what fits, in groups, and what is suggested while one types.

Law: what was typed is text; where it stands in a shown text is marked by the template, piece by piece.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from ctid.desk.bigrams import LONGEST_QUERY, Piece, Term, marked
from ctid.web.addresses import plain
from ctid.web.identity import signed_in
from ctid.web.room import room
from ctid.web.shown import page

SHOWN = 20
SUGGESTED = 4

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])


@router.get("/search")
async def search(request: Request, q: str = "") -> Response:
    """Customers, contacts, tickets and calls that fit."""
    return await _found(request, "search.html", q, SHOWN)


@router.get("/search/suggest")
async def suggest(request: Request, q: str = "") -> Response:
    """The first of them, as options of the search box."""
    return await _found(request, "_suggestions.html", q, SUGGESTED)


async def _found(request: Request, template: str, typed: str, limit: int) -> Response:
    query = plain(typed[:LONGEST_QUERY]).strip()
    found = await room(request).finder.find(query, limit=limit)
    return page(request, template, q=query, found=found, shown=SHOWN, marked=marked, snippet=snippet)


def snippet(said: tuple[str, ...], terms: tuple[Term, ...]) -> tuple[Piece, ...]:
    """Of the texts the first that holds a hit, cut around it; nothing where none does."""
    for text in said:
        pieces = marked(text, terms)
        if any(piece.hit for piece in pieces):
            return pieces
    return ()
