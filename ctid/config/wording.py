"""The words of faults: outside text made harmless, and the nearest known name.

Law: what comes out is one line that a terminal shows and does not obey, however hostile what went in.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(word: str, known: Iterable[str]) -> str | None:
    by_folded = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_folded, 1, 0.7)
    return by_folded[found[0]] if found else None


def plain(text: str) -> str:
    """The text on one line, nothing in it that a terminal obeys."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)[:200]


def shown(value: object) -> str:
    return repr(value if len(str(value)) <= 40 else str(value)[:40] + "…")
