"""Which names may mean the same person or firm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.desk.likeness import LONGEST_KEY, Like, firm_key, firms_like, pairs, person_key, persons_like

NAMES = st.text(max_size=40) | st.text(alphabet="华东精密机械有限公司分集团 abLtd.,()", max_size=20)


@pytest.mark.parametrize(
    ("one", "other", "like"),
    [
        ("华东精密机械有限公司", "华东精密机械 (集团) 股份有限公司", Like.SAME),
        ("Acme Precision Co., Ltd.", "ACME  precision limited", Like.SAME),
        ("Müller GmbH", "Muller", Like.SAME),
        ("株式会社トヨタ", "トヨタ", Like.SAME),
        ("华东精密机械", "上海华东精密机械有限公司", Like.VERY_LIKE),
        ("Acme Precison Ltd", "Acme Precision", Like.VERY_LIKE),
        ("Precision Acme", "Acme Precision", Like.VERY_LIKE),
        ("华东机械有限公司", "华东机械上海分公司", None),
        ("中国石化", "中国石油", None),
        ("北方泵业", "华东精密机械", None),
        ("😀😀", "😀😀", None),
    ],
)
def test_firms_are_like_each_other_whatever_their_legal_form(one: str, other: str, like: Like | None) -> None:
    assert firms_like(one, other) is like


@pytest.mark.parametrize(
    ("one", "other", "like"),
    [
        ("陈小明", "陈小明先生", Like.SAME),
        ("Mr. John Smith", "john smith", Like.SAME),
        ("Li Wei", "Wei Li", Like.VERY_LIKE),
        ("陈小明", "陈晓明", Like.VERY_LIKE),
        ("陈小明", "Chen Xiaoming 陈小明", Like.VERY_LIKE),
        ("John Smith", "Jon Smith", Like.VERY_LIKE),
        ("王伟", "王芳", None),
        ("陈小明", "李小明", None),
    ],
)
def test_people_are_like_each_other_by_a_slip_or_another_order(one: str, other: str, like: Like | None) -> None:
    assert persons_like(one, other) is like


@given(NAMES, NAMES)
def test_likeness_is_the_same_both_ways_round(one: str, other: str) -> None:
    assert firms_like(one, other) is firms_like(other, one)
    assert persons_like(one, other) is persons_like(other, one)


@given(NAMES)
def test_a_name_is_the_same_as_itself_and_its_key_is_its_own_key(name: str) -> None:
    for key, like in ((firm_key, firms_like), (person_key, persons_like)):
        made = key(name)
        assert len(made) <= LONGEST_KEY
        assert like(name, name) is (Like.SAME if made else None)
        assert made.isalnum() or not made


@given(NAMES, NAMES)
def test_names_are_the_same_exactly_when_their_keys_are(one: str, other: str) -> None:
    same = firm_key(one) == firm_key(other) != ""
    assert (firms_like(one, other) is Like.SAME) is same


@given(NAMES)
def test_the_pairs_of_a_key_are_its_neighbouring_letters(name: str) -> None:
    key = firm_key(name)
    assert all(pair in key and len(pair) <= 2 for pair in pairs(key))
    assert bool(pairs(key)) is bool(key)


def test_a_firm_without_anything_but_its_legal_form_keeps_it() -> None:
    assert firm_key("Ltd") == "ltd"
    assert firm_key("有限公司") == "有限公司"
