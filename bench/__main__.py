"""``python -m bench [PART ...]``: measures, prints the table, writes build/bench/results.json."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from bench import chain, deciding, memory, reading, starting, streams
from bench.figures import Figure, table
from bench.machine import describe
from lab.process import TOP

PARTS = ("reading", "deciding", "memory", "starting", "chain")
RESULTS = TOP / "build" / "bench" / "results.json"


def measure(parts: list[str], folder: Path) -> list[Figure]:
    """The figures of these parts, in the order of ``PARTS``."""
    figures: list[Figure] = []
    if {"reading", "memory"} & set(parts):
        _tell("recording a call on a real Asterisk")
        lean, full = asyncio.run(streams.record(folder / "record"))
    for part in (name for name in PARTS if name in parts):
        _tell(part)
        match part:
            case "reading":
                figures += reading.measure(lean, full)
            case "deciding":
                figures += deciding.measure()
            case "memory":
                figures += memory.measure(lean)
            case "starting":
                figures += starting.measure()
            case "chain":
                figures += asyncio.run(chain.measure(folder / "chain"))
    return figures


def _tell(what: str) -> None:
    print(f"bench: {what} ...", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure ctid; a table and JSON at the end.")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure; default: all")
    parts = parser.parse_args().parts or list(PARTS)
    machine = describe()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ctid-bench-") as place:
        figures = measure(parts, Path(place))
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print()
    print(table(figures))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine, "figures": [figure.as_json() for figure in figures]}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{RESULTS}  ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
