"""One line of ``ctid doctor``: what was tried, how it went, and the mend."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``what`` names the thing tried; ``says`` is one line, with what to do unless the level is OK."""

    level: Level
    what: str
    says: str


def ok(what: str, says: str) -> Finding:
    return Finding(level=Level.OK, what=what, says=says)


def warn(what: str, says: str) -> Finding:
    return Finding(level=Level.WARN, what=what, says=says)


def fail(what: str, says: str) -> Finding:
    return Finding(level=Level.FAIL, what=what, says=says)
