"""A real Asterisk for each test: it starts in a quarter of a second."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lab.asterisk import Asterisk


@pytest.fixture
async def pbx(tmp_path: Path) -> AsyncIterator[Asterisk]:
    async with Asterisk(tmp_path / "pbx", failsafe=("agent1", "agent2")) as running:
        yield running
        assert running.complaints() == []


@asynccontextmanager
async def ctid_seems_alive(pbx: Asterisk) -> AsyncIterator[None]:
    """Heartbeats, each second, as a living daemon writes them."""

    async def beating() -> None:
        while True:
            await pbx.ami.beat()
            await asyncio.sleep(1)

    await pbx.ami.beat()
    task = asyncio.create_task(beating())
    try:
        yield
    finally:
        task.cancel()
