"""Which language a text is said in: English as it stands in the code, others from catalogues in ``ctid/locale``.

Law: a text is chosen when it is said, not when a module is read: whoever speaks to a person sets the language around it
(``speaking``, or ``speak`` for the rest of a task), and all that is said within is said in it. A text without a
translation is said in English.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Final, Literal

from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ENGLISH: Final = "en"
CHINESE: Final = "zh-Hans"
#: As pages name them in ``lang``, each with its own name for itself.
LANGUAGES: Final = {ENGLISH: "English", CHINESE: "简体中文"}

#: What stands between two sentences, and between the items of a list.
_SENTENCES: Final = {ENGLISH: " ", CHINESE: ""}
_ITEMS: Final = {ENGLISH: ", ", CHINESE: "、"}

#: By the first part of a browser's language: whoever reads Chinese of any kind reads this better than English.
_OF_BROWSERS: Final = {"en": ENGLISH, "zh": CHINESE}
_MOST_ASKED = 20

_CATALOGUES = Path(__file__).parent / "locale"
_spoken: ContextVar[str] = ContextVar("language", default=ENGLISH)


def spoken() -> str:
    """The language of the moment, a key of ``LANGUAGES``."""
    return _spoken.get()


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Within it, texts are said in that language; raises ``KeyError`` for one that is not in ``LANGUAGES``."""
    catalogue(language)
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def speak(language: str) -> None:
    """From here to the end of the task, texts are said in that language; raises ``KeyError`` as ``speaking`` does."""
    catalogue(language)
    _spoken.set(language)


def preferred(accepted: str) -> str | None:
    """The language a browser likes best by its ``Accept-Language``; ``None`` where it names none that is spoken here."""
    wishes: list[tuple[float, str]] = []
    for part in accepted[:1000].split(",")[:_MOST_ASKED]:
        name, _separator, quality = part.partition(";")
        spoken_here = _OF_BROWSERS.get(name.strip().lower().partition("-")[0])
        liked = _quality(quality)
        if spoken_here is not None and liked > 0:
            wishes.append((liked, spoken_here))
    # The first of those liked equally: max() keeps it.
    return max(wishes, key=lambda wish: wish[0])[1] if wishes else None


def _(text: str) -> str:
    """The text in the language of the moment."""
    return catalogue(_spoken.get()).gettext(text)


def ngettext(one: str, many: str, number: int) -> str:
    """The form for that number in the language of the moment."""
    return catalogue(_spoken.get()).ngettext(one, many, number)


def pgettext(context: str, text: str) -> str:
    """The text in the language of the moment, where one English word has several meanings and ``context`` says which."""
    return catalogue(_spoken.get()).pgettext(context, text)


def say_later(text: str) -> str:
    """Marks a text that is said elsewhere, by ``_``: for tables made when a module is read."""
    return text


def sentences(said: Iterable[str]) -> str:
    """Whole sentences behind each other, as the language of the moment writes them."""
    return _SENTENCES[_spoken.get()].join(said)


def listed(items: Iterable[str]) -> str:
    """Items of a list in one line, as the language of the moment writes them."""
    return _ITEMS[_spoken.get()].join(items)


def dated(day: date, form: Literal["medium", "long"] = "medium") -> str:
    """The day as the language of the moment writes it."""
    return format_date(day, form, _spoken.get().replace("-", "_"))


@cache
def catalogue(language: str) -> NullTranslations:
    """The language's translations; raises ``KeyError`` for one that is not in ``LANGUAGES``."""
    LANGUAGES[language]
    file = _CATALOGUES / f"{language}.po"
    if language == ENGLISH or not file.exists():
        return NullTranslations()
    compiled = BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source))
    compiled.seek(0)
    return GNUTranslations(compiled)


def _quality(written: str) -> float:
    """``q=0.8`` as 0.8; 1 where none is written, 0 where it is no number from 0 to 1."""
    name, _separator, value = written.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        read = float(value)
    except ValueError:
        return 0.0
    return read if 0.0 <= read <= 1.0 else 0.0
