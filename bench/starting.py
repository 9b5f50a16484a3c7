"""Part ``starting``: how long the command takes to say its help, beside a bare Python.

Law: whole processes, from the fork to the end.
"""

from __future__ import annotations

import subprocess
import sys
import time

from bench.figures import Figure, alternate, ratios
from lab.site import CTID

RUNS = 5


def measure() -> list[Figure]:
    def run(*argv: str) -> None:
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)

    took = alternate(
        RUNS,
        {"help": lambda: run(str(CTID), "--help"), "python": lambda: run(sys.executable, "-c", "pass")},
        clock=time.perf_counter,
    )
    return [
        Figure(part="starting", name="ctid --help", unit="s", values=tuple(took["help"])),
        Figure(part="starting", name="python -c pass", unit="s", values=tuple(took["python"])),
        Figure(
            part="starting",
            name="ctid --help / python -c pass",
            unit="times as long",
            values=ratios(took["help"], took["python"]),
        ),
    ]
