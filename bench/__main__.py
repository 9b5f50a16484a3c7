"""``python -m bench [PART ...]``: measures, prints the table, writes build/bench/results.json."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from bench import chain, deciding, desktops, memory, reading, starting, streams, takeover
from bench.figures import Figure, table
from bench.machine import describe
from lab.process import TOP

PARTS = ("reading", "deciding", "memory", "starting", "desktops", "takeover", "chain", "held")
RESULTS = TOP / "build" / "bench" / "results.json"
PAGE = TOP / "docs" / "benchmarks.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def measure(parts: list[str], folder: Path, plan: chain.Plan) -> list[Figure]:
    """The figures of these parts, in the order of ``PARTS``."""
    figures: list[Figure] = []
    if {"reading", "memory"} & set(parts):
        _tell("recording a call on a real Asterisk")
        lean, full = asyncio.run(streams.record(folder / "record"))
    for part in (name for name in PARTS if name in parts):
        match part:
            case "reading":
                _tell(part)
                figures += reading.measure(lean, full)
            case "deciding":
                _tell(part)
                figures += deciding.measure()
            case "memory":
                _tell(part)
                figures += memory.measure(lean)
            case "starting":
                _tell(part)
                figures += starting.measure()
            case "desktops":
                _tell(part)
                figures += asyncio.run(desktops.measure(folder / "desktops"))
            case "takeover":
                _tell(part)
                figures += asyncio.run(takeover.measure(folder / "takeover"))
    calls = [part for part in ("chain", "held") if part in parts]
    if calls:
        _tell(" and ".join(calls))
        wanted = plan if "chain" in parts else None
        figures += asyncio.run(chain.measure(folder / "chain", wanted, held="held" in parts))
    return figures


def _tell(what: str) -> None:
    print(f"bench: {what} ...", file=sys.stderr, flush=True)


def page(text: str, machine: dict[str, str], figures: list[Figure]) -> str:
    """The page with these figures in the place of those it has."""
    before, rest = text.split(BEGIN)
    told = ", ".join(f"{name} {value}" for name, value in machine.items())
    return f"{before}{BEGIN}Machine: {told}.\n\n{table(figures)}\n{END}{rest.split(END)[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure ctid; a table and JSON at the end.")
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"{', '.join(PARTS)}; default: all"
    )
    parser.add_argument("--rates", default="5,20,50", help="chain: calls a second, default 5,20,50")
    parser.add_argument("--runs", type=int, default=3, help="chain: runs at each rate, default 3")
    parser.add_argument("--seconds", type=int, default=10, help="chain: seconds of calls in a run, default 10")
    parser.add_argument("--write", action="store_true", help=f"write the figures into {PAGE.relative_to(TOP)}, too")
    asked = parser.parse_args()
    rates = tuple(int(rate) for rate in asked.rates.split(","))
    plan = chain.Plan(rates=rates, runs=asked.runs, seconds=asked.seconds)
    machine = describe()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ctid-bench-") as place:
        figures = measure(asked.parts or list(PARTS), Path(place), plan)
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print()
    print(table(figures))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine, "figures": [figure.as_json() for figure in figures]}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if asked.write:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), machine, figures), encoding="utf-8")
    print(f"\n{RESULTS}  ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
