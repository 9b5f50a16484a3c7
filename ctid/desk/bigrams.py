"""Text as search sees it: what is written becomes grams, what is looked for becomes terms of grams.

Law: one pair of functions decides what finds what, on every database: a text that holds a run of Chinese, Japanese or Korean
signs is found by any part of it, a word by its beginning, digits by their beginning or, from four on, by their end, however
they are grouped. Whatever comes in, a gram is letters, digits and signs alone (and ``←`` before digits read backwards): no
quote, no operator, no space ever reaches a database's query language.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

#: Changes with what ``grams`` makes of a text: what is kept is then made anew.
RULE: Final = 1
#: Letters of a query that are looked at, and terms made of them; the rest is not looked for.
LONGEST_QUERY: Final = 200
MOST_TERMS: Final = 12
#: Letters of the grams kept of one ticket, contact or customer: PostgreSQL's limit is a megabyte.
LONGEST_GRAMS: Final = 150_000
LONGEST_WORD: Final = 64
#: Digits that are read as one number across the spaces, dots and dashes between them.
LONGEST_NUMBER: Final = 20
#: Digits that find what ends on them.
SHORTEST_END: Final = 4

_BACKWARDS: Final = "←"
_NUMBER = re.compile(r"[0-9]+(?:[\s().\-/\u2010-\u2015]{1,3}[0-9]+)+")
_EDGE = re.compile(r"(?<=[0-9])(?=[^0-9])|(?<=[^0-9])(?=[0-9])")
_CJK: Final = (
    (0x1100, 0x11FF),  # Hangul letters
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3031, 0x30FF),  # kana
    (0x3105, 0x318F),
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),  # Hangul
    (0xF900, 0xFAFF),
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFF),  # the further planes of Chinese signs
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to find a term: every gram of ``whole``, and one that begins with ``begun``.

    ``together``: the whole ones must stand one after the other, as the signs of a run do.
    """

    whole: tuple[str, ...] = ()
    begun: str | None = None
    together: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One part of what is looked for: any of the ways finds it. ``text`` is it as it was folded, for marking."""

    text: str
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of a shown text; ``hit`` where it is what was looked for."""

    text: str
    hit: bool


def fold(text: str) -> str:
    """The text without differences nobody means: width, case, invisible signs."""
    # First of all the invisible: what they stand between may be one letter without them.
    seen = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())


def grams(*texts: str | None) -> str:
    """The grams of all the texts in their order, with one space between two; '' where there is nothing to be found by."""
    made: list[str] = []
    length = 0
    for text in texts:
        for gram in _grams(fold(text[:LONGEST_GRAMS])) if text else ():
            length += len(gram) + 1
            if length > LONGEST_GRAMS:
                return " ".join(made)
            made.append(gram)
    return " ".join(made)


def terms(query: str) -> tuple[Term, ...]:
    """What must be found for the query, each of it; none where the query holds no letter, digit or sign."""
    folded = fold(query[:LONGEST_QUERY])
    found: list[Term] = []
    at = 0
    for number in _NUMBER.finditer(folded):
        found += _of_runs(folded[at : number.start()])
        found.append(_number(number[0]))
        at = number.end()
    found += _of_runs(folded[at:])
    return tuple(dict.fromkeys(found))[:MOST_TERMS]


def marked(text: str, query: tuple[Term, ...], *, longest: int = 120) -> tuple[Piece, ...]:
    """The text, cut to ``longest`` letters around the first hit, in pieces of which the hits are marked."""
    line = " ".join(text[:LONGEST_GRAMS].split())
    hits = _hits(line, query)
    first = hits[0][0] if hits else 0
    start = 0 if first < longest * 2 // 3 else first - longest // 4
    end = start + longest
    pieces: list[Piece] = []
    at = start
    if start:
        pieces.append(Piece(text="… ", hit=False))
    for begin, stop in hits:
        if begin >= end:
            break
        if begin < at:
            continue
        if begin > at:
            pieces.append(Piece(text=line[at:begin], hit=False))
        pieces.append(Piece(text=line[begin : min(stop, end)], hit=True))
        at = min(stop, end)
    if at < min(end, len(line)):
        pieces.append(Piece(text=line[at:end], hit=False))
    if end < len(line):
        pieces.append(Piece(text=" …", hit=False))
    return tuple(pieces)


def _grams(folded: str) -> Iterator[str]:
    numbers = {match.end(): match[0] for match in _NUMBER.finditer(folded)}
    for run, end in _runs(folded):
        if _is_cjk(run[0]):
            yield from (run[at : at + 2] for at in range(len(run)))  # the last is one sign, so that each begins a gram
        else:
            for word in _tails(run):
                yield word[:LONGEST_WORD]
                if word.isdigit() and SHORTEST_END <= len(word) <= LONGEST_WORD:
                    yield _BACKWARDS + word[::-1]
        if (number := numbers.get(end)) is not None and len(joined := _digits(number)) <= LONGEST_NUMBER:
            yield joined
            yield _BACKWARDS + joined[::-1]


def _of_runs(folded: str) -> Iterator[Term]:
    for run, _ in _runs(folded):
        if not _is_cjk(run[0]):
            yield Term(text=run, ways=(Way(begun=run[:LONGEST_WORD]), *_by_end(run)))
        elif len(run) == 1:
            yield Term(text=run, ways=(Way(begun=run),))
        else:
            pairs = tuple(run[at : at + 2] for at in range(len(run) - 1))
            yield Term(text=run, ways=(Way(whole=pairs, together=len(pairs) > 1),))


def _number(written: str) -> Term:
    """Digits in groups: those very groups, or all of them as one number."""
    groups = tuple(group[:LONGEST_WORD] for group in re.findall(r"[0-9]+", written))
    joined = _digits(written)
    whole = (Way(begun=joined[:LONGEST_WORD]), *_by_end(joined))
    return Term(text=written, ways=(Way(whole=groups[:-1], begun=groups[-1]), *whole))


def _by_end(word: str) -> tuple[Way, ...]:
    """As the end of a number, with the zeros of an outside or foreign call and without."""
    if not word.isdigit():
        return ()
    ends = dict.fromkeys(end for end in (word, word.lstrip("0")) if SHORTEST_END <= len(end) <= LONGEST_WORD)
    return tuple(Way(begun=_BACKWARDS + end[::-1]) for end in ends)


def _tails(word: str) -> Iterator[str]:
    """The word, and what of it begins where letters and digits meet: T12 is found by 12."""
    yield word
    if not word.isascii() or word.isalpha() or word.isdigit():
        return
    for count, edge in enumerate(_EDGE.finditer(word)):
        if count == 8:
            return
        yield word[edge.start() :]


def _runs(folded: str) -> Iterator[tuple[str, int]]:
    """Each run of signs or of a word's letters, and where it ends."""
    start, kind = 0, 0
    for at, letter in enumerate(folded):
        now = _kind(letter)
        if now != kind:
            if kind:
                yield folded[start:at], at
            start, kind = at, now
    if kind:
        yield folded[start:], len(folded)


@lru_cache(maxsize=8192)
def _kind(letter: str) -> int:
    """0 stands between words, 1 in a word, 2 is a sign of Chinese, Japanese or Korean."""
    category = unicodedata.category(letter)
    if category[0] not in "LNM":
        return 0
    return 2 if _is_cjk(letter) else 1


def _is_cjk(letter: str) -> bool:
    code = ord(letter)
    return code >= 0x1100 and any(first <= code <= last for first, last in _CJK)


def _digits(written: str) -> str:
    return "".join(letter for letter in written if letter in "0123456789")


def _hits(line: str, query: tuple[Term, ...]) -> list[tuple[int, int]]:
    """Where in the line the terms stand, in order."""
    folded: list[str] = []
    origin: list[int] = []
    for at, letter in enumerate(line):
        for part in fold(letter):
            folded.append(part)
            origin.append(at)
    whole = "".join(folded)
    hits: list[tuple[int, int]] = []
    for term in query:
        digits = _digits(term.text)
        if digits and _kind(term.text[0]) == 1 and not re.search(r"[^\d\s().\-/\u2010-\u2015]", term.text):
            pattern = r"[\s().\-/\u2010-\u2015]{0,3}".join(re.escape(digit) for digit in digits)
        else:
            pattern = re.escape(term.text)
        hits += [
            (origin[match.start()], origin[match.end() - 1] + 1)
            for match in re.finditer(pattern, whole)
            if _begins(whole, match.start(), match.end(), whole_number=bool(digits))
        ]
    return sorted(hits)


def _begins(whole: str, start: int, end: int, *, whole_number: bool) -> bool:
    """Whether a hit stands where one may: anywhere in signs, at a word's beginning, at a number's end."""
    if start == 0 or _is_cjk(whole[start]):
        return True
    before, first = whole[start - 1], whole[start]
    if _kind(before) != 1 or before.isdigit() != first.isdigit():
        return True
    return whole_number and not (end < len(whole) and whole[end].isdigit())
