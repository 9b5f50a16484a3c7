"""``python -m fuzz [TARGET ...] [--seconds 60]``: each target under atheris, its figures as a table and as JSON.

Law: a target runs as a process of its own, so that one that hangs, eats its memory or breaks ends none of the others;
the bytes that broke it stay in build/fuzz/found. The corpus is kept in build/fuzz/corpus: a later run goes on where
this one ended.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from fuzz.under_atheris import TARGETS

BUILD: Final = Path(__file__).parent.parent / "build" / "fuzz"
#: Of one input: seconds, megabytes, bytes.
LONGEST_SECONDS, MOST_MEMORY, LONGEST_INPUT = 20, 2048, 16 * 1024
_RUNS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_COVERED = re.compile(r"\bcov: (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What came of one target. ``edges`` of ctid's own code were reached; ``found`` is the file of bytes that broke the law."""

    target: str
    says: str
    inputs: int
    seconds: float
    edges: int
    found: str | None


def run(target: str, seconds: int) -> Run:
    """Look for bytes that break this target's law, for so many seconds or until there are some."""
    module = import_module(f"fuzz.{target}")
    corpus, seeds, found = (BUILD / kind / target for kind in ("corpus", "seeds", "found"))
    for folder in (corpus, seeds, found):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(module.seeds()):
        (seeds / f"{number:03}").write_bytes(seed)
    known = set(found.iterdir())
    limits = (
        *(f"-max_total_time={seconds}", f"-timeout={LONGEST_SECONDS}", f"-rss_limit_mb={MOST_MEMORY}"),
        *(f"-max_len={LONGEST_INPUT}", f"-artifact_prefix={found}/", "-print_final_stats=1"),
    )
    began = time.monotonic()
    command = [sys.executable, "-m", "fuzz.under_atheris", target, *limits, str(corpus), str(seeds)]
    told = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    took = time.monotonic() - began
    (BUILD / f"{target}.log").write_text(told.stdout + told.stderr)
    new = sorted(path for path in found.iterdir() if path not in known)
    if told.returncode and not new:
        raise SystemExit(f"fuzz: {target} ended with {told.returncode}: {told.stderr.strip().splitlines()[-1:]}")
    runs, covered = _RUNS.findall(told.stderr), _COVERED.findall(told.stderr)
    return Run(
        target=target,
        says=module.SAYS,
        inputs=int(runs[-1]) if runs else 0,
        seconds=round(took, 1),
        edges=int(covered[-1]) if covered else 0,
        found=str(new[-1].relative_to(BUILD.parent.parent)) if new else None,
    )


def table(runs: list[Run]) -> str:
    rows = [("target", "inputs", "seconds", "a second", "edges", "found", "what is fuzzed")]
    for one in runs:
        rate = f"{one.inputs / one.seconds:,.0f}"
        rows.append(
            (
                one.target,
                f"{one.inputs:,}",
                f"{one.seconds:.0f}",
                rate,
                f"{one.edges:,}",
                one.found or "nothing",
                one.says,
            )
        )
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Give every door of ctid any bytes at all.")
    parser.add_argument(
        "targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET", help=f"{', '.join(TARGETS)}; default: all"
    )
    parser.add_argument("--seconds", type=int, default=60, help="of each target; default 60")
    asked = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print(
            "fuzz: atheris is not here: it runs on Linux on x86-64 only; tests/fuzz runs the same targets without it",
            file=sys.stderr,
        )
        return 2
    runs = []
    for target in asked.targets or TARGETS:
        print(f"fuzz: {target} ...", file=sys.stderr, flush=True)
        runs.append(run(target, asked.seconds))
    print(table(runs))
    results = BUILD / "results.json"
    results.write_text(json.dumps([asdict(one) for one in runs], indent=1) + "\n", encoding="utf-8")
    print(f"\n{results}")
    return 1 if any(one.found for one in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
