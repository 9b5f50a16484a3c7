"""The shipped dialplan is the one that the daemon beside it was written with, and another is noticed."""

import re

from ctid.asterisk.dialplan import VERSION, mismatch
from lab.asterisk import DIALPLAN


def test_the_shipped_dialplan_says_the_daemons_own_version() -> None:
    said = re.search(
        r"^\[ctid-version\]\n(?:;.*\n)*exten => (\d+),", (DIALPLAN / "ctid.conf").read_text(), re.MULTILINE
    )
    assert said is not None
    assert mismatch(int(said[1])) is None


def test_an_older_a_newer_and_a_dialplan_without_version_are_told_with_the_mend() -> None:
    assert "without a version" in (mismatch(0) or "")
    assert "is older" in (mismatch(VERSION - 1) or "")
    assert "is newer" in (mismatch(VERSION + 1) or "")
