"""Log lines: nothing from outside forges one, no secret stands in one."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog

from ctid import log

HOSTILE = "Bob\r\n2026-01-01T00:00:00Z [error] forged \x1b[2J\x9b1m\u2028\u202e"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def written(way: Literal["console", "json"], level: Literal["debug", "info"] = "info") -> io.StringIO:
    stream = io.StringIO()
    log.setup(level, way, secrets=["hunter-2", "x"], stream=stream)
    return stream


def fail(text: str) -> None:
    raise ValueError(text)


def as_json(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("way", ["console", "json"])
def test_hostile_text_stays_on_its_line(way: Literal["console", "json"]) -> None:
    stream = written(way)
    structlog.get_logger("ctid").info(HOSTILE, caller=HOSTILE, **{"k\n": [HOSTILE, {"a\r": HOSTILE}]})
    logging.getLogger("library").warning("says %s", HOSTILE)
    lines = stream.getvalue().split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("way", ["console", "json"])
def test_a_hostile_exception_cannot_look_like_a_line_of_the_log(way: Literal["console", "json"]) -> None:
    stream = written(way)
    try:
        fail(HOSTILE)
    except ValueError:
        structlog.get_logger("ctid").exception("went wrong")
    assert not [line for line in stream.getvalue().split("\n") if line.startswith("2026-01-01") or "\x1b" in line]


def test_call_and_agent_stand_on_each_line_within_and_on_none_after() -> None:
    stream = written("json")
    with log.about(call="1.2", agent="7"):
        structlog.get_logger("ctid").info("inside")
        logging.getLogger("library").warning("inside too")
    structlog.get_logger("ctid").info("outside")
    inside, library, outside = as_json(stream)
    assert (inside["call"], inside["agent"], library["call"]) == ("1.2", "7", "1.2")
    assert "call" not in outside


def test_secrets_are_struck_out_by_name_and_by_value() -> None:
    stream = written("json")
    structlog.get_logger("ctid").info("login hunter-2", password="p", nested={"Secret": "s", "url": "u:hunter-2@h"})
    logging.getLogger("library").error("failed for %s", "hunter-2")
    try:
        fail("hunter-2")
    except ValueError:
        logging.getLogger("library").exception("x marks the spot")
    line, *_ = as_json(stream)
    assert line["nested"] == {"Secret": "***", "url": "u:***@h"}
    assert line["password"] == "***"
    assert "hunter-2" not in stream.getvalue()
    assert "x marks" in stream.getvalue()


def test_lines_below_the_level_are_not_written_and_a_second_setup_does_not_double_them() -> None:
    first = written("json")
    second = written("json")
    structlog.get_logger("ctid").debug("quiet")
    structlog.get_logger("ctid").info("loud")
    assert first.getvalue() == ""
    assert [line["event"] for line in as_json(second)] == ["loud"]


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    log.setup("info", "json", stream=Full())
    structlog.get_logger("ctid").warning("the disk is full")


def test_each_line_says_who_wrote_it_and_how_serious_it_is() -> None:
    stream = written("json")
    structlog.get_logger("ctid.daemon").warning("late", seconds=1.5)
    logging.getLogger("library").error("lost %d", 3)
    own, library = as_json(stream)
    assert (own["logger"], own["level"], own["event"], own["seconds"]) == ("ctid.daemon", "warning", "late", 1.5)
    assert (library["logger"], library["level"], library["event"]) == ("library", "error", "lost 3")
    assert own["timestamp"].endswith("Z")
