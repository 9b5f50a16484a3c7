"""What the core says to agents has a sentence, in each language, for whatever code and fields come."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.domain import said as said_module
from ctid.domain.said import Code, say
from ctid.saying import _SENTENCES, sentence, told


def fields_of(code: Code) -> set[str]:
    """The fields that the code's comment promises."""
    source = Path(said_module.__file__).read_text(encoding="utf-8")
    [line] = [line for line in source.splitlines() if line.strip().startswith(f"{code.name} = ")]
    _, _, comment = line.partition("#")
    return {name.strip() for name in comment.split(",") if name.strip()}


@pytest.mark.parametrize("code", list(Code))
def test_each_code_has_one_sentence_with_the_fields_it_comes_with(code: Code) -> None:
    forms = " ".join(_SENTENCES[code](number) for number in (1, 2))
    assert set(re.findall(r"%\((\w+)\)s", forms)) == fields_of(code)
    for number in (1, 2):
        line = sentence(say(code, **dict.fromkeys(fields_of(code), number)))
        assert line.isprintable()
        assert line.endswith(".")


def test_a_name_that_looks_like_a_template_is_said_as_it_is() -> None:
    assert told("agent_busy", {"agent": "%(x)s %s <b>"}) == (
        "%(x)s %s <b> is busy; try again later, or choose another colleague."
    )


@given(st.sampled_from([*Code, "", "zoe"]), st.dictionaries(st.text(), st.text() | st.integers()))
def test_whatever_the_broker_brings_is_a_sentence_or_none(code: str, fields: dict[str, str | int]) -> None:
    assert told(code, fields) is None or isinstance(told(code, fields), str)
