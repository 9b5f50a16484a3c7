"""What an address asks for: ids, filters and where a list goes on.

Law: text from an address is bounded, and holds nothing no database takes before one is asked.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import HTTPException, Query

from ctid.languages import _

#: Rows of a list on one page.
ROWS = 50

#: A filter as it stands in an address.
Text = Annotated[str, Query(max_length=200)]


def plain(text: str) -> str:
    """The text without what no database takes."""
    return "".join(letter for letter in text if letter.isprintable())


def known(key: str, said: str) -> str:
    """The id if it can be one, else 404 with what is said: a database is not asked for control characters."""
    if not key.isprintable() or len(key) > 200:
        raise HTTPException(404, said)
    return key


def path_of(*parts: str) -> str:
    """The path to what ``parts`` name, each quoted whole: an id may hold a slash."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def address(path: str, query: dict[str, str]) -> str:
    """The path with what is asked of it."""
    return f"{path}?{urlencode(query)}" if query else path


def a_day(text: str, today: date) -> date:
    """The day as it is written in an address, today without one; 400 for none."""
    try:
        on = date.fromisoformat(text) if text else today
    except ValueError:
        raise HTTPException(400, _("The day is no date; write it as 2026-01-31.")) from None
    if not 1971 <= on.year <= 9000:
        raise HTTPException(400, _("The day is out of range."))
    return on
