"""What may stand in one cell of an imported list: text from outside becomes a value or a ``BadCell``.

Law: every reason names its column and what is allowed. An empty cell is ``None`` unless it is needed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

Cells = Mapping[str, str]

_TOPIC_KEY = re.compile(r"\w[\w.@-]{0,63}")  # the same as config's AGENT_ID: MQTT takes no other
_TECHNOLOGY = re.compile(r"^(?:PJSIP|SIP|IAX2)/", re.IGNORECASE)
_ENDPOINT = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what the dialplan lets through to Dial()
_CODE = re.compile(r"[0-9]{1,16}")
_PIN = re.compile(r"[0-9]{4,16}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class BadCell(ValueError):  # noqa: N818 - it is an answer
    """Why a cell cannot be imported, beginning with its column."""


def shown(given: str) -> str:
    """The text as a message shows it: quoted, cut, harmless to a terminal."""
    return ascii_safe(given if len(given) <= 40 else given[:39] + "…")


def ascii_safe(given: str) -> str:
    return "'" + "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in given) + "'"


def text(cell: Cells, column: str, *, needed: bool = False, longest: int = 200) -> str | None:
    """Free text; line breaks are kept in long texts only."""
    given = cell[column]
    if not given:
        if needed:
            raise BadCell(f"{column}: is empty")
        return None
    if len(given) > longest:
        raise BadCell(f"{column}: is longer than {longest} characters")
    if any(_is_control(letter) and not (letter in "\r\n\t" and longest > 1000) for letter in given):
        raise BadCell(f"{column}: holds a control character: {shown(given)}")
    return given


def _is_control(letter: str) -> bool:
    """Controls and halves of surrogate pairs; marks that join letters or turn their direction are text."""
    return unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")


def key(cell: Cells, column: str) -> str:
    """The site's own key of a row."""
    given = text(cell, column, needed=True, longest=64)
    assert given is not None
    return given


def topic_key(cell: Cells, column: str) -> str:
    """A key that can stand in an MQTT topic and be keyed into a URL."""
    given = key(cell, column)
    if not _TOPIC_KEY.fullmatch(given):
        raise BadCell(f"{column}: {shown(given)} may hold letters, digits and . _ - @ only, the first no sign")
    return given


def reference(cell: Cells, column: str, ids: Collection[str], what: str) -> str | None:
    """The key of a row that exists."""
    given = cell[column]
    if not given:
        return None
    if given not in ids:
        raise BadCell(f"{column}: there is no {what} {shown(given)}; import it first")
    return given


def whole(cell: Cells, column: str, least: int, most: int) -> int | None:
    given = cell[column]
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 10 and least <= int(given) <= most):
        raise BadCell(f"{column}: {shown(given)} is not a number from {least} to {most}")
    return int(given)


def one_of(cell: Cells, column: str, words: Collection[str]) -> str | None:
    given = cell[column].lower()
    if not given:
        return None
    if given not in words:
        raise BadCell(f"{column}: {shown(cell[column])} is none of {', '.join(words)}")
    return given


def several(cell: Cells, column: str) -> list[str]:
    """A list inside the cell, cut at ``;`` (also the full-width one)."""
    items = [item.strip() for item in cell[column].replace("\uff1b", ";").split(";")]
    for item in items:
        if len(item) > 100 or not all(letter.isprintable() for letter in item):
            raise BadCell(f"{column}: {shown(item)} is too long or holds a control character")
    return [item for item in items if item]


def endpoint(cell: Cells, column: str) -> str | None:
    """A PBX endpoint's name without its technology: it is dialled as it stands."""
    given = _TECHNOLOGY.sub("", cell[column])
    if not given:
        return None
    if not _ENDPOINT.fullmatch(given):
        raise BadCell(
            f"{column}: {shown(given)} is no endpoint's name that ctid can dial (letters, digits, _ and - only)"
        )
    return given


def pin(cell: Cells, column: str) -> str | None:
    given = cell[column]
    if not given:
        return None
    if not _PIN.fullmatch(given):
        raise BadCell(f"{column}: is not 4 to 16 digits")
    return given


def code(cell: Cells, column: str) -> str | None:
    given = cell[column]
    if not given:
        return None
    if not _CODE.fullmatch(given):
        raise BadCell(f"{column}: {shown(given)} cannot be keyed in at a phone; give 1 to 16 digits")
    return given


def email(cell: Cells, column: str) -> str | None:
    given = text(cell, column)
    if given is not None and not _EMAIL.fullmatch(given):
        raise BadCell(f"{column}: {shown(given)} is not an e-mail address")
    return given


def instant(cell: Cells, column: str, timezone: ZoneInfo) -> datetime | None:
    """A time in UTC from ISO 8601 or ``YYYY-MM-DD HH:MM[:SS]`` (``/`` too); without a zone it is the site's local time."""
    given = cell[column]
    if not given:
        return None
    try:
        date, *rest = re.split(r"[T ]+", given, maxsplit=1)
        year, month, day = re.split("[-/]", date)
        clock = re.sub(r"^(\d):", r"0\1:", rest[0]) if rest else "00:00"
        at = datetime.fromisoformat(f"{year}-{month:0>2}-{day:0>2}T{clock}")
        return (at if at.tzinfo else at.replace(tzinfo=timezone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadCell(f"{column}: {shown(given)} is not a time like 2026-11-22 09:30 or 2026-11-22T09:30:00Z") from None
