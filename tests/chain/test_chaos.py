"""Rounds of `make chaos` in short: things break under a stream of calls, everything is counted at the end."""

from pathlib import Path

import pytest

from lab.chaos.faults import FAULTS
from lab.chaos.rounds import opened, play


@pytest.mark.parametrize(
    "names",
    [
        ["AMI slow", "ctid killed, a call ringing", "AMI cut", "ctid stopped with a route half-sent"],
        ["SQLite locked", "Asterisk killed"],
    ],
    ids=" and ".join,
)
async def test_what_breaks_under_calls_costs_nobody_their_call_and_no_second(names: list[str], tmp_path: Path) -> None:
    async with opened(tmp_path, "tests") as scene:
        tally = await play(scene, [FAULTS[name] for name in names], lasting=1.5)
    assert not tally.broken, "\n".join(tally.broken)
    assert tally.lost == 0
    assert tally.answered > len(names)
