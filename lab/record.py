"""``python -m lab.record [NAME ...]``: real SIP calls on the project's own Asterisk, the AMI stream of each kept for replay.

Law: a stream is what ctid's own AMI user was sent, byte for byte. What is known of its calls (who called, which phone rang and
what came of it, how long it was connected) is read from SIPp's side and kept beside it as JSON; ctid has no part in either.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

from lab.asterisk import Asterisk
from lab.process import TOP
from lab.scenes import SCENES
from lab.stage import Facts, Stage

AGENTS = ("agent1", "agent2", "agent3")
RECORDED = TOP / "tests" / "streams" / "recorded"
RING_BOTH = "[both]\nstrategy = ringall\nmember => PJSIP/agent1\nmember => PJSIP/agent2\n"


async def record(name: str, folder: Path, into: Path) -> Facts:
    """Play one scene and keep its stream and facts as NAME.ami and NAME.json."""
    stream = into / f"{name}.ami"
    stream.unlink(missing_ok=True)
    queue = "CTID_QUEUE = both" if name == "fallback-two-ring" else ""
    pbx = Asterisk(folder, agents=AGENTS, failsafe=AGENTS, globals_=queue)
    with (folder / "etc" / "queues.conf").open("a") as queues:
        queues.write(RING_BOTH)
    async with (
        pbx,
        pbx.tap(stream),
        AsyncExitStack() as stack,
    ):
        facts = await SCENES[name](Stage(pbx, stack))
        await pbx.ami.action("Ping")
        if complaints := pbx.complaints():
            print(f"{name}: Asterisk complained: {complaints}")
    text = json.dumps(asdict(facts), indent=1, ensure_ascii=False)
    (into / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return facts


async def main(names: list[str], into: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="ctid-record-") as place:
        for name in names or list(SCENES):
            facts = await record(name, Path(place) / name, into)
            print(f"{name}: {facts.title}, {(into / f'{name}.ami').stat().st_size} bytes", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m lab.record")
    parser.add_argument("names", nargs="*", choices=[*SCENES, []], help="the scenes to play; default: all")
    parser.add_argument("--into", type=Path, default=RECORDED, help="folder for the streams")
    asked = parser.parse_args()
    asked.into.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(asked.names, asked.into))
