"""Which language is spoken, and what is said in it."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path

import pytest

from ctid import explaining, languages
from ctid.domain.types import Decision, Rule
from ctid.languages import CHINESE, ENGLISH, preferred, speaking
from ctid.web.texts import ACTIONS
from scripts.texts import LOCALE, SOURCE, faults


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", CHINESE),
        ("en-GB,en;q=0.9,zh;q=0.8", ENGLISH),
        ("en;q=0.3, zh-Hans-CN;q=0.7", CHINESE),
        ("fr-FR,fr;q=0.9,zh-TW;q=0.2", CHINESE),
        ("en,zh", ENGLISH),
        ("zh;q=0, en;q=0.1", ENGLISH),
        ("de-DE", None),
        ("", None),
        ("*", None),
        ("zh;q=high", None),
        ("zh;q=nan", None),
        ("zh;q=9", None),
        (";;;,,,;q=,q==", None),
        ("x," * 100_000 + "zh", None),
    ],
)
def test_a_browser_is_answered_in_the_language_it_likes_best(accepted: str, language: str | None) -> None:
    assert preferred(accepted) == language


def test_a_text_is_said_in_the_language_of_the_moment_and_else_in_english() -> None:
    assert languages._("Sign in") == "Sign in"
    with speaking(CHINESE):
        assert languages._("Sign in") == "登录"
        assert languages._("nobody wrote this down") == "nobody wrote this down"
        assert languages.sentences(("一。", "二。")) == "一。二。"
        assert languages.listed(("一", "二")) == "一、二"
    assert languages.spoken() == ENGLISH
    assert languages.sentences(("One.", "Two.")) == "One. Two."


def test_a_language_that_is_not_there_is_refused_and_nothing_changes() -> None:
    with pytest.raises(KeyError), speaking("tlh"):
        pass
    assert languages.spoken() == ENGLISH


def test_the_reason_of_a_decision_is_told_in_chinese() -> None:
    made = Decision(at=1.0, rule=Rule.TICKET_OWNER, chosen="7", owner="7", owner_ticket="T12")
    with speaking(CHINESE):
        assert explaining.why(made, {"7": "李伟"}) == "已呼叫 李伟，此人负责工单 T12。"  # noqa: RUF001 - Chinese


async def test_two_who_are_served_at_once_are_each_spoken_to_in_their_own_language() -> None:
    met = asyncio.Barrier(2)

    async def serve(language: str) -> str:
        languages.speak(language)
        await met.wait()
        return languages._("Sign in")

    assert await asyncio.gather(serve(CHINESE), serve(ENGLISH)) == ["登录", "Sign in"]


def test_every_text_is_said_in_chinese_with_the_same_placeholders_and_none_is_left_over() -> None:
    assert faults(LOCALE / f"{CHINESE}.po") == []


def test_a_text_that_is_missing_stale_or_lost_a_placeholder_is_found(tmp_path: Path) -> None:
    whole = (LOCALE / f"{CHINESE}.po").read_text(encoding="utf-8")
    file = tmp_path / "zh-Hans.po"
    broken = whole.replace('msgid "Sign in"', 'msgid "Sign in here"').replace(
        'msgstr "工单 %(ticket)s"', 'msgstr "工单"'
    )
    file.write_text(broken, encoding="utf-8")
    said = sorted(faults(file))
    assert said == [
        "'Sign in here': no such text any more",
        "'Sign in': not in the catalogue; run: make texts",
        "'ticket %(ticket)s': other placeholders than the English",
    ]


def test_every_text_that_is_said_by_way_of_another_is_known_to_the_catalogue() -> None:
    # The reader of the texts does not look into what it has just read: within ``_(…)`` a ``say_later`` is not found.
    hidden = [
        f"{file.name}:{inner.lineno}"
        for file in sorted(SOURCE.rglob("*.py"))
        for outer in ast.walk(ast.parse(file.read_text()))
        if isinstance(outer, ast.Call) and ast.unparse(outer.func) == "_"
        for inner in ast.walk(outer)
        if isinstance(inner, ast.Call) and ast.unparse(inner.func) == "say_later"
    ]
    assert hidden == []


def test_every_action_that_the_audit_keeps_has_words() -> None:
    noted = re.compile(r'(?:note\(\s*connection,|udits(?:\(engine\))?\.add\()\s*f?"([^"]+)"')
    kept = {action for file in SOURCE.rglob("*.py") for action in noted.findall(file.read_text())}
    assert {"hold_placed", "list_exported", "download", "{kind}_merged"} <= kept
    said = {action.replace("{kind}", kind) for action in kept for kind in ("contact", "customer")}
    assert said - set(ACTIONS) == set()
