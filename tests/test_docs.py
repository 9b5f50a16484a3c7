"""The documents name tests as their proof: each of them exists, or the document promises what nobody checks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_TOP = Path(__file__).parents[1]
_NAMED = re.compile(r"`(?:(?:[\w./]*/)?(test_\w+\.py)::)?(test_\w+)(?:\[[^\]]*\])?`")
_FILE = re.compile(r"`((?:\w+/)*test_\w+\.py)(?:::\w+)?`")


@pytest.mark.parametrize("page", sorted(p.name for p in (_TOP / "docs").glob("*.md")))
def test_every_test_a_document_names_exists(page: str) -> None:
    text = (_TOP / "docs" / page).read_text(encoding="utf-8")
    files: dict[str, str] = {}
    for path in (_TOP / "tests").rglob("test_*.py"):
        files[path.name] = files.get(path.name, "") + path.read_text(encoding="utf-8")
    lost = [name for name in _FILE.findall(text) if name.rsplit("/", 1)[-1] not in files]
    for file, name in _NAMED.findall(text):
        where = [files.get(file, "")] if file else files.values()
        if not any(re.search(rf"^ *(?:async )?def {name}\b", code, re.MULTILINE) for code in where):
            lost.append(f"{file}::{name}" if file else name)
    assert not lost
