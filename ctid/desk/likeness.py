"""Which names may mean the same person or firm: the rule behind the duplicate check.

Law: a name is compared by its key: letters and digits only, width, case and accents undone, what is no name taken away (of a
firm the legal form, of a person the form of address). Equal keys are the same name. Two different keys are *very like* when

* the same words stand in another order (``Wei Li``, ``Li Wei``), or
* one holds the other, which has at least four letters (three Chinese ones of a person) and is half of it or more, or
* a person's Chinese name stands as a word in the other (``陈小明``, ``Chen Xiaoming 陈小明``), or
* of a firm: the pairs of neighbouring letters are at least three quarters the same, or one slip (a letter more, less, other or
  two exchanged) lies between keys of five letters or more, or
* of a person: one slip lies between Chinese names of three letters or more that begin alike (陈小明, 陈晓明), or Latin ones of
  five or more.

Both ways round the answer is the same. A name that is all signs has an empty key, which is like nothing.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from functools import lru_cache
from typing import Final

#: Letters of a key; what is longer is compared by its beginning.
LONGEST_KEY: Final = 64
PAIRS_ALIKE: Final = 0.75

_FORMS_AT_END = (
    *("股份有限公司", "有限责任公司", "有限公司", "股份公司", "集团公司", "总公司", "公司", "集团"),
    *("有限責任公司", "集團", "株式会社", "有限会社", "合同会社", "주식회사"),
)
_FORMS_AT_BEGIN = ("株式会社", "有限会社", "合同会社", "주식회사")
_BRANCHES = ("分公司", "子公司")  # a part of a firm is a file of its own
_LATIN_FORMS = frozenset(
    (
        *("ab", "ag", "aps", "as", "bv", "co", "company", "corp", "corporation", "ev", "gmbh", "inc", "incorporated"),
        *("kft", "kg", "kk", "lda", "limited", "llc", "llp", "lp", "ltd", "ltda", "nv", "oy", "oyj", "plc", "pte"),
        *("pty", "pvt", "sa", "sarl", "sas", "sl", "spa", "srl", "sro"),
    )
)
_ADDRESS_AT_END = ("先生", "女士", "小姐", "太太", "さん", "様", "씨", "님")
_LATIN_ADDRESS = frozenset(["dr", "frau", "herr", "mr", "mrs", "ms", "miss", "prof"])
_WORD = re.compile(r"[^\W_]+")
_ACCENTS = re.compile("[\u0300-\u036f]")
_INITIALS = re.compile(r"\b(?:\w\.){2,}")  # S.A. is one word


class Like(StrEnum):
    """How two names are like each other, the strongest first."""

    SAME = "same"
    VERY_LIKE = "very_like"


def firm_key(name: str) -> str:
    """What a firm's name is compared by."""
    return "".join(_firm_words(name))[:LONGEST_KEY]


def person_key(name: str) -> str:
    """What a person's name is compared by."""
    return "".join(_person_words(name))[:LONGEST_KEY]


def firms_like(one: str, other: str) -> Like | None:
    """How the names of two firms are like each other."""
    return _like(one, other, person=False)


def persons_like(one: str, other: str) -> Like | None:
    """How the names of two people are like each other."""
    return _like(one, other, person=True)


def pairs(key: str) -> frozenset[str]:
    """The neighbouring letters of a key, by which names that may be like it are found; a single letter is its own."""
    return frozenset(key[at : at + 2] for at in range(max(len(key) - 1, 1))) if key else frozenset()


def _like(one: str, other: str, *, person: bool) -> Like | None:
    words = _person_words if person else _firm_words
    mine, theirs = words(one), words(other)
    key, their_key = ("".join(some)[:LONGEST_KEY] for some in (mine, theirs))
    if not key or not their_key:
        return None
    if key == their_key:
        return Like.SAME
    if sorted(mine) == sorted(theirs) or _holds(key, their_key, person=person):
        return Like.VERY_LIKE
    if person and ((_is_chinese(key) and key in theirs) or (_is_chinese(their_key) and their_key in mine)):
        return Like.VERY_LIKE
    near = _person_slip(key, their_key) if person else _firm_near(key, their_key)
    return Like.VERY_LIKE if near else None


def _holds(one: str, other: str, *, person: bool) -> bool:
    shorter, longer = sorted((one, other), key=len)
    least = 3 if person and _is_chinese(shorter) else 4
    return len(shorter) >= least and 2 * len(shorter) >= len(longer) and shorter in longer


def _firm_near(one: str, other: str) -> bool:
    mine, theirs = pairs(one), pairs(other)
    if 2 * len(mine & theirs) >= PAIRS_ALIKE * (len(mine) + len(theirs)):
        return True
    return min(len(one), len(other)) >= 5 and _one_slip(one, other)


def _person_slip(one: str, other: str) -> bool:
    if _is_chinese(one) and _is_chinese(other):
        return min(len(one), len(other)) >= 3 and one[0] == other[0] and _one_slip(one, other)
    return min(len(one), len(other)) >= 5 and _one_slip(one, other)


def _one_slip(one: str, other: str) -> bool:
    """Whether one letter more, less or other, or two neighbours exchanged, makes one of the other."""
    shorter, longer = sorted((one, other), key=len)
    if len(longer) - len(shorter) > 1:
        return False
    at = next((at for at, letter in enumerate(shorter) if letter != longer[at]), len(shorter))
    if len(shorter) < len(longer):
        return shorter[at:] == longer[at + 1 :]
    if shorter[at + 1 :] == longer[at + 1 :]:
        return True
    return shorter[at : at + 2] == longer[at : at + 2][::-1] and shorter[at + 2 :] == longer[at + 2 :]


def _is_chinese(key: str) -> bool:
    return all("\u3400" <= letter <= "\u9fff" or "\U00020000" <= letter <= "\U0003ffff" for letter in key)


@lru_cache(4096)
def _firm_words(name: str) -> tuple[str, ...]:
    words = _words(name)
    kept = [word for word in words if word not in _LATIN_FORMS] or words
    return tuple(bare for word in kept if (bare := _without_form(word))) or tuple(kept)


@lru_cache(4096)
def _person_words(name: str) -> tuple[str, ...]:
    words = _words(name)
    kept = [word for word in words if word not in _LATIN_ADDRESS] or words
    return tuple(bare for word in kept if (bare := _cut_end(word, _ADDRESS_AT_END))) or tuple(kept)


def _words(name: str) -> list[str]:
    # Accents come apart and fall away; letters of other scripts are put together again.
    apart = unicodedata.normalize("NFKD", name[:1000]).casefold()
    plain = unicodedata.normalize("NFKC", _ACCENTS.sub("", apart))
    return _WORD.findall(_INITIALS.sub(lambda initials: initials[0].replace(".", ""), plain))


def _without_form(word: str) -> str:
    begin = next((form for form in _FORMS_AT_BEGIN if word.startswith(form)), "")
    return _cut_end(word.removeprefix(begin), _FORMS_AT_END)


def _cut_end(word: str, ends: tuple[str, ...]) -> str:
    while not word.endswith(_BRANCHES) and (end := next((end for end in ends if word.endswith(end)), None)):
        word = word.removesuffix(end)
    return word
