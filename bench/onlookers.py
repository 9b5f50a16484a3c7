"""Desks without a browser: ``python -m bench.onlookers FILE`` opens the live feed of each agent in the file and listens.

Law: what a desk's browser would be sent is read whole and thrown away; ``ready`` is printed once every line stands, and a
count of what came each second.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from websockets.asyncio.client import connect

TOGETHER = 20


class Onlookers:
    """``origin`` is the site's address, ``seats`` its agents' sessions."""

    def __init__(self, origin: str, seats: dict[str, str]) -> None:
        self._origin = origin
        self._seats = seats
        self._door = asyncio.Semaphore(TOGETHER)
        self._missing = len(seats)
        self._all_stand = asyncio.Event()
        self.messages = 0

    async def listen(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for agent, session in self._seats.items():
                tasks.create_task(self._one(agent, session))
            tasks.create_task(self._tell())

    async def _one(self, agent: str, session: str) -> None:
        address = f"{self._origin.replace('http:', 'ws:')}/live?agent={agent}"
        async with self._door:
            line = await connect(
                address,
                additional_headers={"Cookie": f"ctid_session={session}", "Origin": self._origin},
                compression=None,
                max_size=None,
            )
            await line.recv()
        self._missing -= 1
        if not self._missing:
            self._all_stand.set()
        async with line:
            async for _ in line:
                self.messages += 1

    async def _tell(self) -> None:
        await self._all_stand.wait()
        print("ready", flush=True)
        while True:
            await asyncio.sleep(1)
            print(self.messages, flush=True)


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    asyncio.run(Onlookers(told["origin"], told["seats"]).listen())
