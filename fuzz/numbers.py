"""Telephone numbers as callers claim them and people write them.

Law: what is dialled is digits and none that the rules forbid; normalising twice changes nothing; a number that is none
is ``None``.
"""

from __future__ import annotations

from collections.abc import Iterator

from ctid.asterisk.channels import endpoint_of, number_dialled
from ctid.asterisk.messages import party
from ctid.config.values import bare_number
from ctid.db.numbers import LONGEST, dial_back, dialled, normalise, written
from fuzz.drawing import Drawn

SAYS = "telephone numbers: normalise, dial, dial back"
COUNTRIES = ("CN", "DE", "US", "IT", "GB", "AR", "MX", "BR", "HK", None)
PREFIXES = (None, "9", "0", "1", "00", "11")


def seeds() -> Iterator[bytes]:
    for number in (
        *(
            "13800138000",
            "+86 138 0013 8000",
            "021-55690000",
            "+44 (0)20 7946 0000",
            "tel:+4930123456;ext=9",
            "sip:1@h",
        ),
        *(
            "10086",
            "0013800138000@trunk",
            "PJSIP/trunk",
            "\uff11\uff13\uff18\uff10\uff10138000",
            "+882161234567",
            "9001862155690000",
            "转12",
            "*8",
        ),
    ):
        yield b"\0\0\0" + number.encode()


def one(data: bytes) -> None:
    drawn = Drawn(data)
    country, prefix, international = drawn.pick(COUNTRIES), drawn.pick(PREFIXES), drawn.whole(1) == 1
    text = data[3:].decode("utf-8", "surrogateescape")
    number = normalise(text, country, prefix)
    if number is not None:
        digits = number.removeprefix("+")
        assert digits.isascii(), number
        assert digits.isdigit(), number
        assert len(digits) <= LONGEST + 3, number
        assert normalise(number, country, prefix) == number
        assert all(form.removeprefix("+").isdigit() for form in written(number))
    back = dial_back(number, country, international=international)
    asked = dialled(text, country, prefix, international=international)
    for called in (back, asked):
        if called is not None:
            assert called.isascii(), called
            assert called.removeprefix("+").isdigit(), called
            assert len(called) >= 3, called
    if asked is not None and asked.startswith("00") and country in ("CN", "DE"):
        assert normalise(text, country, prefix).startswith("+"), asked  # type: ignore[union-attr]
    found = number_dialled(f"PJSIP/{text[:20]}-1", text)
    assert found is None or set(found) <= set("+*#0123456789")
    claimed = party(text)
    if claimed is not None:
        claimed.encode()
    endpoint_of(text)
    bare_number(text)
