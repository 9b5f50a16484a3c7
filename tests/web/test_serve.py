"""``ctid web`` as a process: it says when it is ready, ends when asked, and tells a taken port in one line."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from ctid.config import Address
from ctid.db.session import DatabaseFault
from ctid.metrics import AddressTakenError
from ctid.web import serve
from lab.mosquitto import Mosquitto
from lab.process import TOP, Process, answers, free_port
from tests.schema import schema
from tests.web.conftest import settings

RUN = """
import asyncio
import sys
from pathlib import Path
from ctid import log
from ctid.config import load
from ctid.web.serve import run
settings = load(Path(sys.argv[1]), {})
log.setup("info", "json")
asyncio.run(run(settings))
"""


@pytest.fixture
async def site(tmp_path: Path, broker: Mosquitto) -> Path:
    """A folder with a configuration and an empty database."""
    own = settings(tmp_path, broker)
    await schema(own.database.url.get_secret_value())
    return tmp_path


async def test_it_tells_systemd_and_ends_politely_with_screens_open(site: Path) -> None:
    port = free_port()
    file = site / "ctid.toml"
    file.write_text(file.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(site / "notify"))
        systemd.setblocking(False)
        env = {"NOTIFY_SOCKET": str(site / "notify"), "WATCHDOG_USEC": "200000", "PYTHONPATH": str(TOP)}
        process = Process([sys.executable, "-c", RUN, str(file)], folder=site, name="web", env=env)
        await process.ready(lambda: answers(port), "serves")
        loop = asyncio.get_running_loop()
        said = set()
        while not {"READY=1", "WATCHDOG=1"} <= said:
            said.add((await asyncio.wait_for(loop.sock_recv(systemd, 1000), 10)).decode().splitlines()[0])
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/?text=secret-search")).status_code == 303
        async with connect(url.replace("http", "ws") + "/live", origin=url) as screen:
            process.send(signal.SIGTERM)
            async with asyncio.timeout(10):
                await screen.wait_closed()
        assert await process.ended() == 0
    log = process.output.read_text()
    assert '"path":"/"' in log
    assert "secret-search" not in log
    assert "Traceback" not in log


async def test_a_port_in_use_is_one_line(site: Path, broker: Mosquitto) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        own = settings(site, broker)
        own = own.model_copy(
            update={"web": own.web.model_copy(update={"listen": Address(host="127.0.0.1", port=port)})}
        )
        with pytest.raises(AddressTakenError) as told:
            await serve.run(own)
    assert str(told.value) == (
        f"web.listen: cannot listen on 127.0.0.1:{port} (Address already in use);"
        " stop what uses it or set another address"
    )


async def test_a_database_without_a_schema_is_one_line(tmp_path: Path, broker: Mosquitto) -> None:
    with pytest.raises(DatabaseFault, match="ctid db upgrade"):
        await serve.run(settings(tmp_path, broker))


def test_a_host_that_is_not_ours_is_one_line() -> None:
    with (
        pytest.raises(AddressTakenError, match=r"web.listen: cannot listen on nowhere\.invalid:80"),
        serve.listen(Address(host="nowhere.invalid", port=80)),
    ):
        pass
