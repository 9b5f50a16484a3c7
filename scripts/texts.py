"""``make texts``: bring ``ctid/locale/*.po`` in step with the texts in code and templates.

New texts come in without a translation, those that are gone go; ``--check`` changes nothing and says what is not in step, is
not translated, or has other placeholders than the English.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "ctid"
LOCALE = SOURCE / "locale"

_METHODS = [("**.py", "python"), ("web/templates/**.html", "jinja2.ext.babel_extract")]
_OPTIONS = {"web/templates/**.html": {"extensions": "jinja2.ext.i18n", "newstyle_gettext": "true", "trimmed": "false"}}
_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2), "say_later": None}
_PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]|%%")


def extracted() -> Catalog:
    """Every text that code and templates say."""
    found = Catalog()
    for file, _line, text, _comments, context in extract_from_dir(
        str(SOURCE), method_map=_METHODS, options_map=_OPTIONS, keywords=_KEYWORDS
    ):
        # Without line numbers: a change of code would else be a change of the catalogue.
        found.add(text, locations=[(f"ctid/{file}", 0)], context=context)
    return found


def translated(file: Path) -> Catalog:
    with file.open("rb") as source:
        return read_po(source)


def faults(file: Path) -> list[str]:
    """What is wrong with a catalogue, a line each."""
    texts, known = extracted(), translated(file)
    found = [
        f"{_shown(one)}: no such text any more" for one in known if one.id and (one.context, one.id) not in _keys(texts)
    ]
    found += [f"{_shown(one)}: marked to be looked at" for one in known if one.id and one.fuzzy]
    for text in texts:
        if not text.id:
            continue
        said = known.get(_first(text), text.context)
        if said is None or said.id != text.id:
            found.append(f"{_shown(text)}: not in the catalogue; run: make texts")
            continue
        forms = said.string if isinstance(said.string, (tuple, list)) else (said.string,)
        if not all(forms):
            found.append(f"{_shown(text)}: not translated")
        elif any(_placeholders(form) != _placeholders(_last(text)) for form in forms):
            found.append(f"{_shown(text)}: other placeholders than the English")
    return found


def update(file: Path) -> None:
    """Bring the file in step; what is translated stays."""
    texts, known = extracted(), translated(file)
    for text in texts:
        said = known.get(_first(text), text.context) if text.id else None
        if said is not None and said.id == text.id:
            text.string = said.string
            text.user_comments = said.user_comments
        text.flags.discard("python-format")
    texts.locale = known.locale
    texts.header_comment = known.header_comment
    texts.fuzzy = False
    with file.open("wb") as out:
        write_po(out, texts, width=120, sort_output=True, omit_header=True, no_location=True)
    body = file.read_text(encoding="utf-8")
    file.write_text(_HEAD.format(language=known.locale) + body, encoding="utf-8")


_HEAD = """# Texts of ctid's pages in another language; the terms are those of docs/glossary.md. Kept in step by: make texts
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Language: {language}\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"

"""


def _keys(catalogue: Catalog) -> set[tuple[str | None, object]]:
    return {(one.context, one.id) for one in catalogue}


def _first(text: Message) -> str:
    return text.id[0] if isinstance(text.id, (tuple, list)) else text.id


def _last(text: Message) -> str:
    return text.id[-1] if isinstance(text.id, (tuple, list)) else text.id


def _shown(text: Message) -> str:
    return repr(_first(text))


def _placeholders(text: str) -> list[str]:
    return sorted(_PLACEHOLDER.findall(text))


def main() -> int:
    wrong: list[str] = []
    for file in sorted(LOCALE.glob("*.po")):
        if "--check" not in sys.argv:
            update(file)
        wrong += [f"{file.name}: {fault}" for fault in faults(file)]
    sys.stdout.write("".join(f"{line}\n" for line in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
