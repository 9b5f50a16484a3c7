"""Names and texts of people, in any writing and in none: search, likeness, lists, logs, pages.

Law: any text can be sought, compared, shown and written down; what goes into a list's cell comes out of it again and
begins no formula.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from ctid import log
from ctid.cli.showing import plain as on_a_terminal
from ctid.config.wording import plain, shown
from ctid.db import cells, csvfile
from ctid.desk import bigrams, likeness
from ctid.web.addresses import path_of
from ctid.web.forms import Fields

SAYS = "names and texts: search, likeness, lists, terminals, forms"
LONGEST: Final = 10_000
SECRET: Final = "hunter2-is-secret"
SHANGHAI: Final = ZoneInfo("Asia/Shanghai")


def seeds() -> Iterator[bytes]:
    for name in (
        *(
            "Chen Jie",
            "华东精密机械有限公司",
            "Müller-Lüdenscheidt",
            "\u202eevil\u2066",
            "O'Brien & Söhne",
            "=1+1",
            "'=x",
            "ﷺ",
            "👩‍👩‍👧",
        ),
        *("a\0b", "\ufeffx", "İstanbul", "ｶﾞ", "x" * 300, SECRET, "100%_", '"<b>', "2026-11-22T10:00"),
    ):
        yield name.encode()


def one(data: bytes) -> None:
    text = data[:LONGEST].decode("utf-8", "surrogateescape")
    _sought(text)
    for said in (on_a_terminal(text), plain(text), shown(text), cells.shown(text)):
        assert said.isprintable(), said
    said_of = log._harmless([SECRET])(None, "info", {"event": text, "caller": [text, {text: text}], "exception": text})
    assert json.dumps(said_of["caller"], ensure_ascii=False).isprintable()
    for part in str(said_of["exception"]).split("\n  | "):
        assert part.isprintable(), part
        assert SECRET not in part, part
    stored = text.encode("utf-8", "replace").decode()
    defused = csvfile.defused(stored)
    assert csvfile.plain(defused) == stored
    assert not defused.startswith(("=", "+", "-", "@", "\t", "\r")), defused
    fields = Fields({"a": text, "b": stored}, SHANGHAI)
    for name in "ab":
        line = fields.text(name)
        assert line is None or ("\n" not in line and "\0" not in line)
        fields.lines(name), fields.key(name), fields.moment(name), fields.version(name), fields.choice(name, ("x",))
    assert path_of(stored).count("/") == 1
    json.dumps(fields.faults)


def _sought(text: str) -> None:
    folded = bigrams.fold(text[:200])
    assert bigrams.fold(folded) == folded
    bigrams.grams(text, None, "x")
    pieces = bigrams.marked(text, bigrams.terms(text[:80]))
    assert sum(len(piece.text) for piece in pieces) <= 200
    for like in (likeness.firms_like, likeness.persons_like):
        like(text, "Huaxin Machine Tools"), like(text, text)
    likeness.pairs(likeness.firm_key(text)), likeness.pairs(likeness.person_key(text))
