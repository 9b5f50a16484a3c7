"""What systemd hears, on a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctid.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    name = f"@ctid-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.bind(f"\0{name[1:]}" if name.startswith("@") else name)
    one.settimeout(5)
    yield one, name
    one.close()


def test_systemd_hears_ready_alive_status_and_stopping(ear: tuple[socket.socket, str]) -> None:
    heard, name = ear
    told = Notifier({"NOTIFY_SOCKET": name})
    told.ready("routing")
    told.alive()
    told.status("two\nlines\nMAINPID=1")
    told.stopping("bye")
    assert [heard.recv(4096).decode() for _ in range(4)] == [
        "READY=1\nSTATUS=routing",
        "WATCHDOG=1",
        "STATUS=two lines MAINPID=1",
        "STOPPING=1\nSTATUS=bye",
    ]


def test_outside_systemd_nothing_is_said() -> None:
    told = Notifier({})
    told.ready("routing")
    assert told.watchdog_seconds is None


def test_a_systemd_that_does_not_listen_costs_no_call(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).alive()


@pytest.mark.parametrize(
    ("env", "seconds"),
    [
        ({"WATCHDOG_USEC": "10000000"}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_systemd_asks(env: dict[str, str], seconds: float | None) -> None:
    assert Notifier(env).watchdog_seconds == seconds
