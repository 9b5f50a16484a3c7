"""Which language a text is said in: English as it stands in the code, others from catalogues in ``ctid/locale``.

Law: a text is chosen when it is said, not when a module is read: whoever speaks to a person sets the language around it
(``speaking``), and all that is said within is said in it. A text without a translation is said in English.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ENGLISH: Final = "en"
CHINESE: Final = "zh-Hans"
#: As pages name them in ``lang``, each with its own name for itself.
LANGUAGES: Final = {ENGLISH: "English", CHINESE: "简体中文"}

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


def _(text: str) -> str:
    """The text in the language of the moment."""
    return catalogue(_spoken.get()).gettext(text)


def ngettext(one: str, many: str, number: int) -> str:
    """The form for that number in the language of the moment."""
    return catalogue(_spoken.get()).ngettext(one, many, number)


def say_later(text: str) -> str:
    """Marks a text that is said elsewhere, by ``_``: for tables made when a module is read."""
    return text


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
