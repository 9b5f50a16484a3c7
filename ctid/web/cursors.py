"""Where a list goes on: a mark the next page begins after, as text that goes into an address and comes back from anywhere.

Law: what comes back is checked whole; a cursor that is none is the asker's fault and says so.
"""

from __future__ import annotations

import base64
import binascii
import math

from ctid.db.books import Mark
from ctid.languages import _


class BadCursor(ValueError):  # noqa: N818 - the asker's to mend
    """A cursor this site never gave."""

    def __init__(self) -> None:
        super().__init__(_("cursor is none of ours; leave it out to begin with the newest"))


def write(mark: Mark) -> str:
    return base64.urlsafe_b64encode(f"{mark.at!r} {mark.id}".encode()).decode().rstrip("=")


def read(text: str) -> Mark:
    """The mark; raises ``BadCursor``."""
    try:
        at, _space, key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
        begun = float(at)
    except (ValueError, binascii.Error):
        raise BadCursor from None
    # Within what a date can say, years 1970 to 9999.
    if not key.isprintable() or not key or not math.isfinite(begun) or not 0 <= begun < 253_000_000_000:
        raise BadCursor
    return Mark(at=begun, id=key)
