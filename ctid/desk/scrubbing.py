"""Takes a person's name, numbers and addresses out of texts that others wrote.

Law: what is taken out is replaced by ``GONE``, and nothing else of a text changes. A number is found in whatever notation it
was written; a name of letters only as whole words, of Chinese signs wherever it stands. What is too short to be anybody's
is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

GONE = "[erased]"
#: Signs of a name, and digits of a number, that are somebody's.
_SHORTEST_NAME, _SHORTEST_NUMBER = 2, 5
_BETWEEN = r"[\s().\-/\u00a0\u2010-\u2015]{0,3}"


class Scrubber:
    """``names`` and ``addresses`` (e-mail) as they were written, ``numbers`` in each way they are dialled or said."""

    def __init__(self, names: Iterable[str], numbers: Iterable[str], addresses: Iterable[str] = ()) -> None:
        self._names = _any(map(_name, names), re.IGNORECASE)
        self._rest = _any([*map(_number, numbers), *(re.escape(one) for one in addresses if one)], re.IGNORECASE)

    def names_in(self, text: str) -> bool:
        """Whether a name stands in the text: that of somebody else, too, who bears the same."""
        return self._names is not None and self._names.search(text) is not None

    def text(self, text: str, *, names: bool = True) -> str:
        """The text without numbers and addresses, and without the names unless they may be somebody else's."""
        for pattern in (self._rest, self._names if names else None):
            if pattern is not None:
                text = pattern.sub(GONE, text)
        return text

    def value(self, value: Any, *, names: bool = True) -> Any:
        """The same for whatever JSON holds."""
        match value:
            case str():
                return self.text(value, names=names)
            case list():
                return [self.value(one, names=names) for one in value]
            case dict():
                return {name: self.value(one, names=names) for name, one in value.items()}
        return value


def _any(patterns: Iterable[str], flags: int) -> re.Pattern[str] | None:
    """The longest first, so that of a name within a longer one nothing is left over."""
    wanted = sorted({one for one in patterns if one}, key=len, reverse=True)
    return re.compile("|".join(wanted), flags) if wanted else None


def _name(name: str) -> str:
    words = name.split()
    if len("".join(words)) < _SHORTEST_NAME:
        return ""
    made = r"\s+".join(map(re.escape, words))
    return rf"\b{made}\b" if name.isascii() else made


def _number(number: str) -> str:
    digits = re.sub(r"\D", "", number)
    if len(digits) < _SHORTEST_NUMBER:
        return ""
    plus = r"\+?" if number.lstrip().startswith("+") else ""
    return rf"(?<!\d){plus}{_BETWEEN.join(digits)}(?!\d)"
