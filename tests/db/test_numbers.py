"""Numbers written in every habit of a PBX compare equal, and normalising twice changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.db.numbers import dial_back, dialled, normalise

MOBILE = "+8613800138000"


@pytest.mark.parametrize(
    "written",
    [
        *(
            "13800138000",
            "013800138000",
            "+86 138 0013 8000",
            "008613800138000",
            "86-138-0013-8000",
            "(+86)13800138000",
            "\u202d+8613800138000",
        ),
        *(
            "+86 (0)13800138000",
            "138/0013/8000",
            "138.0013.8000",
            "\uff11\uff13\uff18\uff10\uff10\uff11\uff13\uff18\uff10\uff10\uff10",
            "13800138000 ext. 12",
        ),
        *("13800138000转801", "13800138000#9", "sip:+8613800138000@192.0.2.1;user=phone", "tel:+86-138-0013-8000"),
        *("\u200e13800138000\u200e", " 13800138000\t", "9013800138000", "913800138000", "9008613800138000"),
    ],
)
def test_every_way_to_write_a_mobile_number_is_the_same_number(written):
    assert normalise(written, "CN", "9") == MOBILE


@pytest.mark.parametrize(
    "written",
    [None, "", " ", "*", "*61", "+", "anonymous", "Anonymous", "asterisk", "withheld", "Unavailable", "未知", "-"],
)
def test_no_number_is_none(written):
    assert normalise(written, "CN") is None


@pytest.mark.parametrize("short", ["110", "10086", "95588", "8001", "123456", "0"])
def test_short_numbers_stay_as_they_are(short):
    assert normalise(short, "CN") == short


def test_the_outside_prefix_is_taken_from_a_service_number_but_not_from_an_extension():
    assert normalise("910086", "CN", "9") == "10086"
    assert normalise("0013800138000", "CN", "0") == MOBILE
    assert normalise("9755", "CN", "9") == "9755"


def test_a_fixed_line_with_its_area_code_is_an_outside_number_and_without_it_stays_as_dialled():
    assert normalise("(010) 6234-5678", "CN") == "+861062345678"
    assert normalise("6234 5678", "CN") == "62345678"


def test_other_countries_have_other_habits():
    assert normalise("(212) 555-2368", "US") == "+12125552368"
    assert normalise("1-212-555-2368", "us") == "+12125552368"
    assert normalise("011 86 138 0013 8000", "US") == MOBILE
    assert normalise("030 901820", "DE") == "+4930901820"
    assert normalise("02 1234 5678", "IT") == "+390212345678"


@pytest.mark.parametrize(
    "hostile", ["9" * 33, "1" * 10_000, "x" * 10_000, "1\x002", "'; DROP TABLE calls; --", "١٢٣٤٥٦٧"]
)
def test_what_is_no_number_does_no_harm(hostile):
    assert normalise(hostile, "CN") is None


def test_an_unknown_country_leaves_digits_alone():
    assert normalise("13800138000", "ZZ") == "13800138000"
    assert normalise("+8613800138000", "ZZ") == MOBILE


WRITTEN = st.one_of(
    st.text(alphabet="0123456789+()-/ .x#;@*", max_size=24), st.from_regex(r"(\+|00|0|9|90)?[0-9]{2,14}"), st.text()
)


@given(
    written=WRITTEN,
    country=st.sampled_from(["CN", "US", "DE", "IT", "GB", "AR", "MX", "BR", "HK", "ZZ"]),
    prefix=st.sampled_from([None, "9", "0", "1", "00", "11"]),
)
def test_normalising_twice_changes_nothing(written, country, prefix):
    once = normalise(written, country, prefix)
    assert normalise(once, country, prefix) == once


@pytest.mark.parametrize(
    ("number", "country", "dialled"),
    [
        ("+8613800138000", "CN", "13800138000"),
        ("+862155640001", "CN", "02155640001"),
        ("+493012345678", "DE", "03012345678"),
        ("+12125550123", "US", "2125550123"),
    ],
)
def test_a_number_is_called_back_as_its_country_dials_it(number, country, dialled):
    assert dial_back(number, country) == dialled
    assert dial_back(number, country, international=True) == number


@pytest.mark.parametrize(
    ("number", "country"),
    [
        (None, "CN"),  # withheld
        ("8001", "CN"),  # an extension
        ("10086", "CN"),
        ("110", "CN"),
        ("4008001234", "CN"),  # not an outside number
        ("+4930123456", "CN"),  # another country's
        ("+18765551234", "US"),  # Jamaica, behind the same +1
        ("+499001234567", "DE"),  # premium rate
        ("+8616812345678", "CN"),  # premium rate
        ("+881612345678", "CN"),  # satellite
        ("+8613800", "CN"),  # no valid number
        ("+8613800138000", None),
        ("+86138001380001234", "CN"),
    ],
)
def test_what_could_cost_or_harm_someone_is_never_called_back(number, country):
    assert dial_back(number, country) is None


@given(st.text(), st.sampled_from(["CN", "DE", "US"]))
def test_what_is_dialled_back_is_digits_whatever_came(text, country):
    dialled = dial_back(normalise(text, country), country)
    assert dialled is None or (dialled.isascii() and dialled.isdigit())


@pytest.mark.parametrize(
    ("written", "country", "national", "e164"),
    [
        ("138 0013-8000", "CN", "13800138000", "+8613800138000"),
        ("9 13800138000", "CN", "13800138000", "+8613800138000"),  # with the outside line's prefix
        ("+86 21 5564 0000", "CN", "02155640000", "+862155640000"),
        ("\uff10\uff12\uff11 55640000", "CN", "02155640000", "+862155640000"),
        ("+49 30 123456", "CN", "004930123456", "+4930123456"),  # another country's, by the way out of this one
        ("10086", "CN", "10086", "10086"),
        ("110", "CN", "110", "110"),
        ("8001", "CN", "8001", "8001"),
        ("13800138000", None, "13800138000", "13800138000"),
        ("+8613800138000", None, "+8613800138000", "+8613800138000"),
    ],
)
def test_a_number_a_person_wrote_is_called_as_the_trunk_dials_it(written, country, national, e164):
    assert dialled(written, country, "9") == national
    assert dialled(written, country, "9", international=True) == e164


@pytest.mark.parametrize("written", ["", "abc", "12", "+", "1" * 40, "+499001234567", "PJSIP/trunk"])
def test_nonsense_and_premium_rates_are_not_called(written):
    assert dialled(written, "CN", "9") is None


@pytest.mark.parametrize(
    "written",
    [
        *(
            "+881621234567",
            "00 881 6212 34567",
            "+88216123456",
            "+88351000000",
            "+8701234567890",
        ),  # satellites, networks
        *("+979 1 2345 6789", "+4990012345678", "+37190012345"),  # premium rates, of all countries and of one
        *("+2529012345678", "0025290123456", "009799"),  # in no plan, and abroad as its digits
        *("*8", "**8001", "#21#", "8*", "*21*13800138000#"),  # the PBX's feature codes
        *("110,trunk", "13800138000,,r", "${EVIL}", "13800138000&PJSIP/trunk", "13800138000|1", "1380013\r\nAction: x"),
    ],
)
def test_what_could_cost_the_site_dear_or_reach_into_the_pbx_is_not_called(written):
    assert dialled(written, "CN", "9") is None
    assert dialled(written, "CN", "9", international=True) is None


@pytest.mark.parametrize("written", ["+860019761234", "+86000000000", "0000000000", "000 1 976 1234"])
def test_nobody_leaves_the_country_behind_its_own_code(written):
    assert not (dialled(written, "CN", "9") or "").startswith("00")


def test_the_way_out_of_the_country_is_known_by_the_countrys_plan():
    assert dialled("011 252 90123456", "US") is None
    assert dialled("011 44 20 7946 0000", "US") == "011442079460000"


@given(st.text(), st.sampled_from(["CN", "DE", "US", None]), st.booleans())
def test_what_is_called_is_digits_whatever_was_written(text, country, international):
    number = dialled(text, country, "9", international=international)
    assert number is None or (number.isascii() and number.removeprefix("+").isdigit() and len(number) >= 3)
