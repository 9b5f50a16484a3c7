"""What is taken out of a text with a person, and what stays."""

import pytest

from ctid.desk.scrubbing import Scrubber

SCRUBBER = Scrubber(
    ["陈小明", "Ann Lee", "Bo", "李"], ["+8613800138000", "13800138000", "8001", ""], ["ann@example.com", ""]
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("请找陈小明先生", "请找[erased]先生"),
        ("ann  lee rang, and ANN\nLEE again", "[erased] rang, and [erased] again"),
        ("Joann Leeds and Bob stay", "Joann Leeds and Bob stay"),
        ("call 138-0013 8000 or +86 (138) 0013-8000", "call [erased] or [erased]"),
        ("order 9138001380007", "order 9138001380007"),  # more digits are another number
        ("write to Ann@Example.COM", "write to [erased]"),
        ("extension 8001 is the department's", "extension 8001 is the department's"),
        ("李 is too many people's", "李 is too many people's"),
        ("", ""),
    ],
)
def test_a_person_is_taken_out_of_a_text_and_nothing_else_is(text: str, left: str) -> None:
    assert SCRUBBER.text(text) == left


def test_names_that_may_be_anothers_stay_where_that_is_asked() -> None:
    assert SCRUBBER.text("陈小明 13800138000", names=False) == "陈小明 [erased]"
    assert SCRUBBER.names_in("nach Ann Lee")
    assert not SCRUBBER.names_in("nobody")


def test_json_is_gone_through_whole() -> None:
    value = {"subject": ["陈小明", {"at": 5, "of": ["13800138000", None]}]}
    assert SCRUBBER.value(value) == {"subject": ["[erased]", {"at": 5, "of": ["[erased]", None]}]}


def test_nobody_is_taken_out_of_nothing() -> None:
    assert Scrubber([], []).text("all stays 13800138000") == "all stays 13800138000"
