"""``make chaos``: rounds of calls and faults by a seed, a table at the end, exit status 1 for any broken promise."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lab.chaos.faults import FAULTS
from lab.chaos.rounds import round_of
from lab.process import LabError

_COLUMNS = ("offered", "answered", "given_up", "cut", "lost", "queued", "exact", "backfilled", "estimated")
_DRIFTS = ("cel_drift", "sip_drift", "recording_drift")


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, help="how many; default: every fault once")
    parser.add_argument("--seed", help="of the calls and of what a fault does when; default: a new one, which is told")
    parser.add_argument("--only", metavar="NAME", help="faults whose name has this in it")
    parser.add_argument("--list", action="store_true", help="the names of all faults, and nothing else")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the figures, too")
    return parser.parse_args()


async def _main() -> int:
    told = _parsed()
    names = [name for name in FAULTS if told.only is None or told.only in name]
    if told.list or not names:
        print("\n".join(FAULTS if told.list else [f"no fault is called like {told.only!r}; see --list"]))
        return 0 if told.list else 2
    seed = told.seed or secrets.token_hex(4)
    rounds = told.rounds or len(names)
    plan = [names[number % len(names)] for number in range(rounds)]
    random.Random(seed).shuffle(plan)
    place = Path(tempfile.mkdtemp(prefix="ctid-chaos-"))
    print(f"seed {seed}: {rounds} rounds in {place}\n")
    print(f"{'fault':42}" + "".join(f"{name:>11}" for name in _COLUMNS) + "".join(f"{n[:-6]:>11}" for n in _DRIFTS))
    results = [await _round(name, f"{seed}/{number}", place / f"{number:03}") for number, name in enumerate(plan)]
    if told.json is not None:
        told.json.write_text(json.dumps({"seed": seed, "rounds": results}, indent=1) + "\n")
    broken = sum(len(result["broken"]) for result in results)
    offered, lost = (sum(result.get(name, 0) for result in results) for name in ("offered", "lost"))
    print(f"\n{offered} calls offered, {lost} lost, {broken} promises broken; repeat with --seed {seed}")
    if not broken:
        shutil.rmtree(place)
    return 1 if broken else 0


async def _round(name: str, seed: str, folder: Path) -> dict[str, Any]:
    began = time.monotonic()
    try:
        tally = await round_of(name, seed, folder)
    except (LabError, OSError, TimeoutError, AssertionError) as error:
        print(f"{name:42} came to nothing: {error}", flush=True)
        return {"fault": name, "broken": [f"the round came to nothing: {error}"]}
    figures = tally.figures()
    row = "".join(f"{figures[column]:>11}" for column in (*_COLUMNS, *_DRIFTS))
    print(f"{name:42}{row}   {time.monotonic() - began:.0f} s", flush=True)
    for line in tally.broken:
        print(f"    BROKEN {line}", flush=True)
    if not tally.broken:
        shutil.rmtree(folder)
    return {"fault": name, **figures, "broken": tally.broken}


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
