"""What systemd is told: ready, alive, status, stopping; nothing where systemd did not start the process.

Law: one datagram each, never blocking and never raising: a lost word to systemd must not cost a call.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from structlog import get_logger

_log = get_logger(__name__)


class Notifier:
    """The way to the service manager that ``env`` names; without one each call does nothing."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        path = env.get("NOTIFY_SOCKET", "")
        # "@" stands for the NUL that begins a name in Linux's abstract namespace.
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._watchdog = _watchdog(env)

    @property
    def watchdog_seconds(self) -> float | None:
        """How often ``alive`` should be called, half of what systemd waits; ``None`` if it does not."""
        return self._watchdog

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def status(self, status: str) -> None:
        self._send(f"STATUS={_one_line(status)}")

    def stopping(self, status: str) -> None:
        self._send(f"STOPPING=1\nSTATUS={_one_line(status)}")

    def _send(self, words: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as way:
                way.sendto(words.encode(), self._address)
        except OSError as error:
            _log.warning("systemd did not take a notification", error=str(error))


def _watchdog(env: Mapping[str, str]) -> float | None:
    try:
        meant = int(env.get("WATCHDOG_PID", str(os.getpid()))) == os.getpid()
        wait = int(env.get("WATCHDOG_USEC", "0")) / 1_000_000
    except ValueError:
        return None
    return wait / 2 if meant and wait > 0 else None


def _one_line(text: str) -> str:
    """A line break would begin another assignment."""
    return " ".join(text.split())
