"""Telephone numbers as ctid compares them: E.164 after the PBX's own habits are undone.

Law: normalising twice changes nothing. A number nobody can vouch for stays its own digits; no number at all is ``None``.
"""

from __future__ import annotations

import re
import unicodedata

import phonenumbers
from phonenumbers import (
    NumberParseException,
    PhoneMetadata,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberType,
    ValidationResult,
)
from phonenumbers.shortnumberinfo import is_valid_short_number

LONGEST_SHORT = 6  # digits: internal extensions and service numbers like 110 and 10086
LONGEST = 32
SHORTEST = 3  # digits of what can be called
#: What may be called back: numbers that cost what a call costs. No premium rate, no shared cost, no satellite.
_ORDINARY = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.VOIP,
    }
)
#: What may be called abroad.
_ABROAD = _ORDINARY | {PhoneNumberType.TOLL_FREE, PhoneNumberType.UAN}
#: Country codes of satellites and networks of no country, by the minute dearer than any.
_NETWORKS = frozenset({870, 878, 881, 882, 883, 979})
_SCHEME = re.compile(r"^(?:tel|sips?):", re.IGNORECASE)
_AFTER_THE_NUMBER = re.compile(r"(?:@|;|(?:ext\.?|extension|x|#|转|轉|分机|分機)[\s:.]*\d*$).*", re.IGNORECASE)
_BETWEEN_DIGITS = re.compile(r"[\s\u200b-\u200f\u202a-\u202e\u2060\ufeff/().\-\u2010-\u2015_]+")


def normalise(raw: str | None, country: str | None, outside_prefix: str | None = None) -> str | None:
    """The number in E.164 (``+8613800138000``), short numbers as dialled (``10086``), ``None`` for no number.

    ``country`` is the site's ISO code (``CN``), without which only numbers with + are public; ``outside_prefix`` the
    digits its phones dial for an outside line.
    A number that is neither short nor valid keeps its digits, so that it still equals itself.
    """
    if raw is None or len(raw) > 200:
        return None
    text = _AFTER_THE_NUMBER.sub("", _SCHEME.sub("", unicodedata.normalize("NFKC", raw).strip()))
    # +44 (0)20: the zero is for callers at home.
    written = _BETWEEN_DIGITS.sub("", text.replace("(0)", "") if "+" in text else text)
    international = written.startswith("+")
    digits = written.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > LONGEST:
        return None
    region = country.upper() if country is not None else "ZZ"  # "ZZ": no region, to phonenumbers
    return _international(digits) if international else _national(digits, region, outside_prefix)


def dial_back(number: str | None, country: str | None, *, international: bool = False) -> str | None:
    """How a trunk dials ``number`` (as ``normalise`` gives it) to call it back; ``None`` for one that must not be.

    Anyone can claim any number: only ordinary ones that are valid in the site's own country are called. National digits
    (``13800138000``, ``02155640000``), or E.164 with ``international``; made anew, never what the caller sent.
    """
    if country is None or number is None or not number.startswith("+"):
        return None
    parsed = _parsed(number, None)
    if parsed is None or not phonenumbers.is_valid_number_for_region(parsed, country.upper()):
        return None
    if phonenumbers.number_type(parsed) not in _ORDINARY:
        return None
    if international:
        return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    return re.sub(r"\D", "", phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL))


def dialled(
    text: str, country: str | None, outside_prefix: str | None = None, *, international: bool = False
) -> str | None:
    """How a trunk dials a number that a person wrote to call it; ``None`` for what cannot be called, and for premium rates.

    Short numbers and those no plan knows go out as their digits, unless these would lead abroad; public ones national
    (``13800138000``, abroad with the way out of the country before them), or in E.164 with ``international``. Abroad it must be
    an ordinary number of its country's plan: who earns by calls has numbers that no plan knows, or networks of no country.
    """
    number = normalise(text, country, outside_prefix)
    if number is None:
        return None
    parsed = _parsed(number, None) if number.startswith("+") else None
    if parsed is None or not phonenumbers.is_possible_number(parsed):
        inland = number.isdigit() and len(number) >= SHORTEST and not _leaves(number, country)
        return number if inland else None
    here = country is not None and parsed.country_code == phonenumbers.country_code_for_region(country.upper())
    kind = phonenumbers.number_type(parsed)
    if kind is PhoneNumberType.PREMIUM_RATE or not (here or kind in _ABROAD) or parsed.country_code in _NETWORKS:
        return None
    if international or country is None:
        return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    made = re.sub(r"\D", "", phonenumbers.format_out_of_country_calling_number(parsed, country.upper()))
    return None if len(made) < SHORTEST or (here and _leaves(made, country)) else made


def _leaves(digits: str, country: str | None) -> bool:
    """Whether who dials these digits leaves the country: ``00``, and whatever else the country has for it."""
    plan = PhoneMetadata.metadata_for_region(country.upper()) if country is not None else None
    way = plan.international_prefix if plan is not None else None
    return digits.startswith("00") or (way is not None and re.match(way, digits) is not None)


def written(number: str) -> tuple[str, ...]:
    """The ways a number as ``normalise`` gives it is written: itself, and as it is dialled and said in its own country."""
    parsed = _parsed(number, None) if number.startswith("+") else None
    if parsed is None:
        return (number,)
    dialled = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
    return number, re.sub(r"\D", "", dialled), phonenumbers.national_significant_number(parsed)


def arrivals(raw: str, country: str | None, outside_prefix: str | None = None) -> tuple[str, ...]:
    """How a trunk may write a number of the site's own: ``raw`` itself first, and whatever else ``normalise`` takes for it."""
    meant = normalise(raw, country, outside_prefix)
    if meant is None:
        return (raw,)
    ways = (*written(meant), "00" + meant.removeprefix("+"))
    return tuple(dict.fromkeys((raw, *(way for way in ways if normalise(way, country, outside_prefix) == meant))))


def _international(digits: str) -> str:
    number = _parsed("+" + digits, None)
    if number is not None and phonenumbers.is_possible_number(number):
        formatted = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        again = _parsed(formatted, None)
        if again is not None and phonenumbers.format_number(again, PhoneNumberFormat.E164) == formatted:
            return formatted
    return "+" + digits


def _national(digits: str, region: str, outside_prefix: str | None) -> str:
    without_prefix = digits.removeprefix(outside_prefix) if outside_prefix else digits
    if len(digits) <= LONGEST_SHORT:
        # Only a known service number shows that the first digits were the outside line's: 9 10086, but extension 9123.
        return _short(digits, region, outside_prefix)
    for dialled in dict.fromkeys((digits, without_prefix)):
        if (valid := _valid(dialled, region)) is not None:
            return valid
    if without_prefix != digits and _is_service(without_prefix, region):
        return _short(without_prefix, region, outside_prefix)
    if digits.startswith("0"):
        # Numbering plans grow: what is dialled like an outside number and has a possible length is one.
        number = _parsed(digits, region)
        if number is not None and (phonenumbers.is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE):
            return _international(str(number.country_code) + phonenumbers.national_significant_number(number))
    return digits


def _short(digits: str, region: str, outside_prefix: str | None) -> str:
    while outside_prefix and digits.startswith(outside_prefix):
        rest = digits.removeprefix(outside_prefix)
        if not _is_service(rest, region):
            break
        digits = rest
    return digits


def _is_service(digits: str, region: str) -> bool:
    if len(digits) > LONGEST_SHORT:
        return False
    number = _parsed(digits, region)
    return number is not None and is_valid_short_number(number)


def _valid(digits: str, region: str) -> str | None:
    for written in (digits, "+" + digits[2:] if digits.startswith("00") else digits):
        number = _parsed(written, region)
        if number is not None and phonenumbers.is_valid_number(number):
            return _international(str(number.country_code) + phonenumbers.national_significant_number(number))
    return None


def _parsed(written: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(written, region)
    except NumberParseException:
        return None
