"""Where a list goes on: a mark the next page begins after, as text that goes into an address and comes back from anywhere.

Law: what comes back is checked whole; a cursor that is none is the asker's fault and says so.
"""

from __future__ import annotations

import base64
import binascii

from ctid.db.books import Mark
from ctid.db.lists import Place
from ctid.languages import _


class BadCursor(ValueError):  # noqa: N818 - the asker's to mend
    """A cursor this site never gave."""

    def __init__(self) -> None:
        super().__init__(_("cursor is none of ours; leave it out to begin with the newest"))


def write(mark: Mark) -> str:
    return _packed(f"{mark.at!r} {mark.id}")


def read(text: str) -> Mark:
    """The mark; raises ``BadCursor``."""
    (at,), key = _unpacked(text, 1)
    return Mark(at=_instant(at), id=key)


def write_place(place: Place) -> str:
    return _packed(f"{place.severity} {place.level} {place.at!r} {place.id}")


def read_place(text: str) -> Place:
    """The place; raises ``BadCursor``."""
    (severity, level, at), key = _unpacked(text, 3)
    if not (0 <= severity <= 9 and 0 <= level <= 9):
        raise BadCursor
    return Place(severity=int(severity), level=int(level), at=_instant(at), id=key)


def _packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unpacked(text: str, count: int) -> tuple[list[float], str]:
    """So many numbers, and the id behind them."""
    try:
        *parts, key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split(" ", count)
        numbers = [float(part) for part in parts]
    except (ValueError, binascii.Error):
        raise BadCursor from None
    if len(numbers) != count or not key or not key.isprintable():
        raise BadCursor
    return numbers, key


def _instant(at: float) -> float:
    """Within what a date can say, years 1970 to 9999."""
    if not 0 <= at < 253_000_000_000:  # nor is "not a number"
        raise BadCursor
    return at
