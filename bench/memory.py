"""Part ``memory``: what the routing half of a process holds with many agents in many conversations.

Law: a fresh process each run, its resident memory as the kernel counts it; the calls are a recorded one, multiplied.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figures import Figure
from bench.machine import resident_megabytes
from bench.streams import Template

RUNS = 3
AGENTS = CALLS = 1_000

_PROBE = "import sys; from bench.memory import probe; probe(sys.argv[1])"


def probe(recorded: str) -> None:
    """Print, as JSON, the memory with nothing loaded, with ctid's parts imported, and with all calls under way."""
    empty = resident_megabytes(os.getpid())
    from bench.floor import floor, handle  # noqa: PLC0415
    from bench.streams import END  # noqa: PLC0415
    from ctid.asterisk.messages import WANTED, parse  # noqa: PLC0415 - what the import costs is measured
    from ctid.asterisk.tracker import Tracker  # noqa: PLC0415
    from ctid.asterisk.wire import Framer  # noqa: PLC0415
    from ctid.daemon import run  # noqa: F401, PLC0415 - all that the daemon loads

    loaded = resident_megabytes(os.getpid())
    template = Template(Path(recorded).read_bytes()).until_talking()
    acd, framer, tracker = floor(AGENTS), Framer(WANTED), Tracker()
    for number in range(CALLS):
        # One after the other and of one time, so that the core chooses the very agent whom the recording rings.
        for message in framer.feed(END.join(template.copy(number, seat=number, later=0.0)) + END):
            if (told := parse(message)) is not None:
                for event in tracker.feed(told):
                    handle(acd, event)
    talking = sum(desk.state.value == "talking" for desk in acd.world.desks.values())
    print(json.dumps({"empty": empty, "loaded": loaded, "full": resident_megabytes(os.getpid()), "talking": talking}))


def measure(lean: Template) -> list[Figure]:
    """``lean`` is a recorded call as ctid's AMI user hears it."""
    seen = []
    with tempfile.NamedTemporaryFile(suffix=".ami") as file:
        Path(file.name).write_bytes(b"\r\n\r\n".join(lean.messages) + b"\r\n\r\n")
        for _ in range(RUNS):
            done = subprocess.run([sys.executable, "-c", _PROBE, file.name], capture_output=True, text=True, check=True)
            seen.append(json.loads(done.stdout))
    if any(each["talking"] != CALLS for each in seen):
        raise RuntimeError(f"not every call is under way: {seen}")

    def line(name: str, values: list[float], target: str = "") -> Figure:
        return Figure(part="memory", name=name, unit="MB resident", values=tuple(values), target=target)

    return [
        line("the daemon's code, imported", [each["loaded"] for each in seen]),
        line(f"{AGENTS:,} agents and {CALLS:,} calls under way", [each["full"] for each in seen], "<= 150"),
        line("of which agents and calls", [each["full"] - each["loaded"] for each in seen]),
    ]
