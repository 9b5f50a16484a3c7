"""Whatever a stranger sends, each door keeps its law: the targets of ``fuzz`` on what hypothesis makes of good bytes."""

from __future__ import annotations

from importlib import import_module

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.under_atheris import TARGETS

#: Inputs of each target; ``make fuzz`` runs them by the million.
INPUTS = 400
#: A request to the whole application takes some ten milliseconds.
OF_HTTP = 100
RUNS = settings(suppress_health_check=list(HealthCheck))
NASTY = (
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b'"',
        b"'",
        b",",
        b";",
        b"=1+1",
        b"../",
        b"%00",
        b"\x1b[31m",
    ),
    *(
        "\u202e\u2066".encode(),
        b"9" * 400,
        b"-1",
        b"1e999",
        b"NaN",
        b"[" * 600,
        b"{",
        b"Event: Hangup\r\n",
        b"x" * 10_000,
    ),
)


@st.composite
def bent(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A good input with a few pieces of it gone, doubled, moved, or nasty."""
    octets = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        at, length = draw(st.integers(0, len(octets))), draw(st.integers(0, 40))
        match draw(st.integers(0, 4)):
            case 0:
                del octets[at : at + length]
            case 1:
                octets[at:at] = octets[at : at + length]
            case 2:
                octets[at:at] = draw(st.sampled_from(NASTY))
            case 3:
                octets[at : at + length] = draw(st.binary(max_size=20))
            case _:
                octets[at:] = draw(st.sampled_from(seeds))[at:]
    return bytes(octets)


@pytest.mark.parametrize("target", TARGETS)
def test_whatever_comes_in_at_a_door_its_law_holds(target: str) -> None:
    door = import_module(f"fuzz.{target}")
    good = list(door.seeds())

    @settings(RUNS, max_examples=OF_HTTP if target == "http" else INPUTS)
    @given(st.one_of(bent(good), bent(good), st.binary(max_size=400)))
    def holds(octets: bytes) -> None:
        door.one(octets)

    for octets in good:
        door.one(octets)
    holds()


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_door_sees_on_a_good_day_is_more_than_noise(target: str) -> None:
    """Seeds that a door throws away at once would have the fuzzer begin from nothing."""
    good = list(import_module(f"fuzz.{target}").seeds())
    assert len(good) >= 4
    assert len(set(good)) == len(good)
