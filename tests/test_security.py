"""SECURITY.md promises nothing that no test proves: the table of promises is walked, row by row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

_TOP = Path(__file__).parents[1]
_TEXT = (_TOP / "SECURITY.md").read_text(encoding="utf-8")
_PROOF = re.compile(r"`([\w/]+\.py)::(\w+)`")


def promises() -> dict[str, tuple[str, str]]:
    """The promise and its proof, by number."""
    table = _TEXT.partition("\n## Promises\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]
    found = {row[0]: (row[1], row[2]) for row in rows[2:] if row[0]}
    assert len(found) == len([row for row in rows[2:] if row[0]]), "a number stands twice"
    return found


@pytest.mark.parametrize("number", promises())
def test_each_promise_names_a_test_that_exists_and_runs(number: str) -> None:
    promise, proof = promises()[number]
    assert promise.endswith("."), promise
    proofs = _PROOF.findall(proof)
    assert proofs, f"{number} is proved by nothing"
    assert _PROOF.sub("", proof).strip(" ,") == "", f"{number} has a proof that is none: {proof}"
    for file, name in proofs:
        path = _TOP / "tests" / file
        assert path.exists(), f"{number}: tests/{file} is gone"
        tests = {
            node.name: [ast.unparse(mark) for mark in node.decorator_list]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name.startswith("test_"), f"{number}: {name} is no test"
        assert name in tests, f"{number}: {file} has no {name} any more"
        assert not any("skip" in mark or "xfail" in mark for mark in tests[name]), f"{number}: {name} does not run"


def test_the_operators_page_leaves_promises_and_their_tests_to_security_md() -> None:
    page = (_TOP / "docs/security.md").read_text(encoding="utf-8")
    assert "::test_" not in page, "write the promise and its test into the table of SECURITY.md instead"
    assert "../SECURITY.md" in page


def test_security_md_says_how_to_report_and_whom_it_thinks_of() -> None:
    for heading in ("Report a hole", "Whom we think of", "Promises", "Not promised"):
        assert f"\n## {heading}\n" in _TEXT
