"""``python -m lab.soak``: the load, its table, build/soak/results.json, exit status 1 for a broken promise."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from lab.process import TOP
from lab.soak.running import Plan, run

RESULTS = TOP / "build" / "soak" / "results.json"


def _asked() -> argparse.Namespace:
    usual = Plan()
    parser = argparse.ArgumentParser(prog="python -m lab.soak", description="A long load, watched and counted.")
    parser.add_argument("--minutes", type=float, default=usual.minutes, help="how long, default %(default)g")
    parser.add_argument("--rate", type=float, default=usual.rate, help="calls a second, default %(default)g")
    parser.add_argument("--talk", type=float, default=usual.talk, help="seconds of each call, default %(default)g")
    parser.add_argument("--agents", type=int, default=usual.agents, help="default %(default)d")
    parser.add_argument(
        "--burst", type=int, default=usual.burst, help="calls hung up at once at the end, default %(default)d; 0: none"
    )
    parser.add_argument("--one-way", action="store_true", help="agents are silent: half of the packets for the PBX")
    parser.add_argument("--folder", type=Path, help="keep everything here; default: a temporary folder, deleted")
    return parser.parse_args()


def _machine() -> dict[str, str]:
    return {"cores": str(os.cpu_count()), "load before": f"{os.getloadavg()[0]:.2f}", "kernel": platform.release()}


def main() -> None:
    asked = _asked()
    plan = Plan(
        minutes=asked.minutes,
        rate=asked.rate,
        talk=asked.talk,
        agents=asked.agents,
        burst=asked.burst,
        one_way=asked.one_way,
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ctid-soak-") as place:
        outcome = asyncio.run(run(asked.folder or Path(place), plan, _machine()))
    print(outcome.told())
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(outcome.as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{RESULTS}  ({(time.monotonic() - began) / 60:.1f} minutes)")
    sys.exit(0 if outcome.kept else 1)


if __name__ == "__main__":
    main()
