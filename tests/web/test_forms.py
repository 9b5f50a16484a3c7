"""What people type: read into values, refused with a message beside the field, never lost."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.web.forms import KEY, Fields, local_moment, options

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")


def fields(**given: str) -> Fields:
    return Fields(given, SHANGHAI)


def test_a_line_of_text_is_one_line_whatever_was_pasted_into_it() -> None:
    assert fields(name="  陈小明\r\n\x00 \t经理 ").text("name") == "陈小明 经理"


def test_a_version_that_no_database_could_count_on_from_is_none() -> None:
    assert fields(version="7").version() == 7
    for wrong in ("", "0", "-1", "x", str(2**31 - 1), str(2**31)):
        form = fields(version=wrong)
        assert form.version() is None
        assert not form.fine


def test_several_lines_keep_their_breaks_and_lose_control_characters() -> None:
    assert fields(what="first\r\nsecond\x1b[31m\rthird\n\n").lines("what") == "first\nsecond [31m\nthird"


def test_text_that_is_too_long_is_refused_by_how_much_and_kept_whole() -> None:
    form = fields(name="😀" * 203)
    assert form.text("name") is None
    assert form.faults == {"name": "Too long by 3 characters: at most 200."}
    assert form.typed["name"] == "😀" * 203


@pytest.mark.parametrize("empty", ["", "   ", "\x00", "\r\n"])
def test_an_empty_field_is_nothing_and_a_required_one_is_refused(empty: str) -> None:
    form = fields(name=empty)
    assert form.text("name") is None
    assert form.fine
    assert form.text("name", required=True) is None
    assert form.faults == {"name": "This must be filled in."}


@pytest.mark.parametrize("typed", ["0", "6", "-1", "3.5", "1e1", "x", "9" * 5000, "²"])
def test_a_number_out_of_range_or_none_at_all_is_refused(typed: str) -> None:
    form = fields(severity=typed)
    assert form.whole("severity", least=1, most=5) is None
    assert form.faults == {"severity": "Write a whole number from 1 to 5."}


def test_numbers_are_read_as_people_write_them() -> None:
    assert fields(severity=" 4 ").whole("severity", least=1, most=5) == 4
    assert fields(severity="٤").whole("severity", least=1, most=5) == 4


def test_a_word_that_was_not_offered_is_refused() -> None:
    form = fields(status="deleted", level="4")
    assert form.choice("status", ("open", "closed")) is None
    assert form.faults == {"status": "Choose one of those offered."}
    assert form.choice("level", ("4", "5")) == "4"


def test_a_moment_is_local_to_the_site() -> None:
    assert fields(at="2026-11-22T10:20").moment("at") == 1795314000
    assert local_moment(1795314000, SHANGHAI) == "2026-11-22T10:20"
    assert Fields({"at": "2026-11-22T10:20:30"}, BERLIN).moment("at") == 1795339230


@pytest.mark.parametrize("typed", ["tomorrow", "2026-11-31T10:00", "0001-01-01T00:00", "9999-12-31T23:59", "1e9"])
def test_a_moment_no_calendar_has_is_refused(typed: str) -> None:
    form = fields(at=typed)
    assert form.moment("at") is None
    assert not form.fine


def test_an_hour_the_clocks_skip_is_refused_and_of_one_that_comes_twice_the_first_is_meant() -> None:
    skipped = Fields({"at": "2026-03-29T02:30"}, BERLIN)
    assert skipped.moment("at") is None
    assert skipped.faults == {"at": "The clocks skip that hour; write another."}
    assert Fields({"at": "2026-10-25T02:30"}, BERLIN).moment("at") == 1792888200


@pytest.mark.parametrize("typed", ["A\n1", "x" * (KEY + 1), "\x00"])
def test_an_id_that_can_be_none_is_refused(typed: str) -> None:
    form = fields(contact=typed)
    assert form.key("contact") is None
    assert not form.fine


def test_the_first_message_beside_a_field_stays() -> None:
    form = fields(to="")
    form.refuse("to", "first")
    form.refuse("to", "second")
    assert form.faults == {"to": "first"}


def test_what_is_offered_no_more_stays_where_it_stands_now() -> None:
    assert options(["Fault"], "Old") == [("Old", "Old"), ("Fault", "Fault")]
    assert options(["Fault"], "Fault") == options(["Fault"]) == [("Fault", "Fault")]


@given(st.dictionaries(st.sampled_from("abc"), st.text()))
def test_whatever_is_typed_is_read_or_refused_and_stays_as_typed(given: dict[str, str]) -> None:
    form = Fields(given, SHANGHAI)
    for name in "abc":
        line, several = form.text(name), form.lines(name)
        assert line is None or (line.strip() == line != "" and all(letter >= " " for letter in line))
        assert several is None or not {"\r", "\x00"} & set(several)
        form.whole(name, least=0, most=9)
        form.moment(name)
        form.key(name)
    assert form.typed == given
