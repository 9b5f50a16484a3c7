"""What finds what: by tables of what people write and look for, and for any text whatever part of it one types."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctid.desk import bigrams
from ctid.desk.bigrams import LONGEST_GRAMS, LONGEST_QUERY, LONGEST_WORD, MOST_TERMS, Piece, Way

SIGNS = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=2, max_size=30)
ANYTHING = st.text(st.characters(exclude_categories=("Cs",)), max_size=80)


def finds(query: str, *texts: str) -> bool:
    """As a database answers: every term, by any of its ways."""
    kept = bigrams.grams(*texts)
    have = kept.split(" ")

    def way(one: Way) -> bool:
        if one.together and f" {' '.join(one.whole)}" not in f" {kept}":
            return False
        begun = one.begun is None or any(gram.startswith(one.begun) for gram in have)
        return begun and all(gram in have for gram in one.whole)

    terms = bigrams.terms(query)
    return bool(terms) and all(any(way(one) for one in term.ways) for term in terms)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("客户", "华东客户服务中心"),
        ("\u30ac", "\uff76\u202e\uff9e"),  # one letter, written as two with an invisible sign between
        ("户", "客户"),
        ("客", "客户"),
        ("东客户服", "华东客户服务中心"),
        ("华东 中心", "华东客户服务中心"),
        ("ab", "The ABB drive"),
        ("spind", "Spindle stops after an hour"),
        ("SPINDLE hour", "Spindle stops after an hour"),
        ("".join(chr(ord(letter) + 0xFEE0) for letter in "ABB"), "abb"),  # typed in full width
        ("a4纸", "打印机的A4纸用完"),
        ("T12", "T12"),
        ("12", "T12"),
        ("straße", "STRASSE 7"),
        ("ひらがな", "これはひらがなです"),
        ("한국", "대한국인"),
        ("приве", "Привет мир"),
        ("inv-2231", "Invoice INV_2231"),
    ],
)
def test_a_text_is_found_by_what_people_type(query, text):
    assert finds(query, text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("客服", "客户服务"),  # its signs are there, not side by side
        ("东户", "华东客户"),
        ("户客户", "客户 户客"),
        ("pindle", "Spindle"),
        ("客户 spindle", "客户"),
        ("", "anything"),
        ("😀 - \"*'", "anything 😀"),
    ],
)
def test_a_text_is_not_found_by_what_it_does_not_say(query, text):
    assert not finds(query, text)


@pytest.mark.parametrize(
    "query",
    [
        *("13800138001", "138 0013 8001", "138-0013-8001", "+86 138 0013 8001", "+8613800138001", "0086 138 0013 8001"),
        *(
            "008613800138001",
            "(+86) 138.0013.8001",
            "8001",
            "138001",
            "38001",
            "1380013",
            "138 0013",
            "+86138",
            "".join(chr(ord(digit) + 0xFEE0) for digit in "13800138001"),
        ),
        "013800138001",
    ],
)
def test_a_number_is_found_in_any_notation_by_its_beginning_and_by_its_last_four_digits(query):
    assert finds(query, "王芳", "138 0013 8001", "+8613800138001", "13800138001")


@pytest.mark.parametrize("query", ["13800138002", "001", "8002", "139 0013 8001", "0013"])
def test_another_number_is_not_found(query):
    assert not finds(query, "王芳", "13800138001", "+8613800138001")


@given(SIGNS, st.data())
def test_whatever_part_of_a_run_of_signs_finds_it(signs, data):
    text = unicodedata.normalize("NFKC", signs)
    start = data.draw(st.integers(0, len(text) - 2))
    stop = data.draw(st.integers(start + 2, len(text)))
    assert finds(text[start:stop], f"before {text} after")


@given(st.text(st.sampled_from("abcdefghiklmnopqrstuvwxyzäöéñжд"), min_size=1, max_size=40), st.data())
def test_whatever_beginning_of_a_word_finds_it(word, data):
    stop = data.draw(st.integers(1, len(word)))
    assert finds(word[:stop], f"客户 {word.upper()}, after")


@given(st.text(st.sampled_from("0123456789"), min_size=5, max_size=20), st.data())
def test_whatever_end_of_four_digits_or_more_finds_a_number(number, data):
    assert finds(number[-data.draw(st.integers(4, len(number))) :], f"Tel. {number}")


@settings(max_examples=300)
@given(ANYTHING)
def test_a_gram_holds_nothing_a_query_language_could_read(text):
    for term in bigrams.terms(text):
        for way in term.ways:
            for gram in (*way.whole, *([way.begun] if way.begun is not None else [])):
                assert gram.removeprefix("←")
                assert all(unicodedata.category(letter)[0] in "LNM" for letter in gram.removeprefix("←"))
    assert bigrams.grams(text).replace(" ", "").replace("←", "").isprintable()


@given(ANYTHING, ANYTHING)
def test_marking_keeps_the_text_as_it_is(text, query):
    pieces = bigrams.marked(text, bigrams.terms(query), longest=1000)
    assert "".join(piece.text for piece in pieces) == " ".join(text.split())


def test_texts_and_queries_without_end_are_cut():
    assert len(bigrams.grams("客户" * 100_000)) <= LONGEST_GRAMS
    assert len(bigrams.grams("x" * 300)) == LONGEST_WORD
    assert len(bigrams.terms("客" * 10_000)[0].text) == LONGEST_QUERY
    assert len(bigrams.terms(" ".join(f"w{n}" for n in range(60)))) == MOST_TERMS
    assert finds("x" * 90, "x" * 300)


def test_hits_are_marked_where_they_stand():
    def shown(text: str, query: str) -> str:
        return "".join(
            f"[{piece.text}]" if piece.hit else piece.text for piece in bigrams.marked(text, bigrams.terms(query))
        )

    assert shown("华东客户服务", "客户") == "华东[客户]服务"
    assert shown("Call 138 0013 8001 now", "8001") == "Call 138 0013 [8001] now"
    assert shown("Call 138 0013 8001 now", "13800138001") == "Call [138 0013 8001] now"
    assert shown("Spindle and spin", "SPIN") == "[Spin]dle and [spin]"
    assert shown("respin", "spin") == "respin"
    assert shown("<b>客户</b>", "客户 b") == "<[b]>[客户]</[b]>"


def test_a_long_text_is_cut_around_the_first_hit():
    pieces = bigrams.marked("x " * 500 + "客户 " + "y " * 500, bigrams.terms("客户"))
    assert Piece(text="客户", hit=True) in pieces
    assert pieces[0].text == "… "
    assert pieces[-1].text == " …"
    assert sum(len(piece.text) for piece in pieces) <= 124
