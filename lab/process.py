"""Programs, ports and waiting: what every server of the lab is made of.

Law: a child dies with its parent (PR_SET_PDEATHSIG, by util-linux' setpriv), and nothing is waited for by a fixed
sleep: `until` asks again and again and, past its limit, says what did not happen.
"""

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, overload

TOP = Path(__file__).resolve().parents[1]
LAB = TOP / ".lab"

T = TypeVar("T")
#: Seconds of one stop and go of a slowed program: what comes in while it stands still is that old when it is read.
_TURN = 1.5


class LabError(Exception):
    """A server did not start, or something awaited did not happen; the text says which and shows its last output."""


def tool(name: str) -> str:
    """The launcher that `make setup` made for a program, such as sipp or postgres."""
    path = LAB / "bin" / name
    if not path.exists():
        raise LabError(f"{name} is not set up: run 'make setup'")
    return str(path)


@overload
async def until(
    condition: Callable[[], Coroutine[object, object, T | None]], what: str, *, limit: float = ..., every: float = ...
) -> T: ...
@overload
async def until(condition: Callable[[], T | None], what: str, *, limit: float = ..., every: float = ...) -> T: ...
async def until(condition: Callable[[], object], what: str, *, limit: float = 10.0, every: float = 0.02) -> object:
    """The first truthy value of `condition` (sync or async), asked each `every` seconds; LabError after `limit`."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if isinstance(value, Coroutine):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"not within {limit:g} s: {what}")
        await asyncio.sleep(every)


#: Given of late: a port chosen for a program that has not opened it yet looks free.
_given: deque[int] = deque(maxlen=500)
# Test workers that run side by side choose from ranges of their own: between choice and use a port can be lost.
_worker, _workers = (
    int(os.environ.get(name, default).removeprefix("gw"))
    for name, default in (("PYTEST_XDIST_WORKER", "gw0"), ("PYTEST_XDIST_WORKER_COUNT", "1"))
)
_EACH = 22_000 // _workers
_PORTS = 10_000 + _EACH * _worker, 10_000 + _EACH * (_worker + 1)


def free_port() -> int:
    """A port of 127.0.0.1 that is free for UDP and TCP, below the range the kernel hands out, and not given of late."""
    while True:
        port = random.randrange(*_PORTS, 4)  # SIPp takes the next but one, too, for video
        if port in _given:
            continue
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        _given.append(port)
        return port


class Process:
    """One running program, in a folder, with its output in NAME.out there or in the folder `output`.

    `uid` and `gid`, where given, are what it runs as. The program is the leader of its own process group.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        folder: Path,
        name: str,
        env: Mapping[str, str] | None = None,
        uid: int | None = None,
        gid: int | None = None,
        output: Path | None = None,
    ) -> None:
        self.name = name
        self.output = (output or folder) / f"{name}.out"
        become = ["setpriv", "--pdeathsig", "KILL"]
        if uid is not None and gid is not None:
            become += [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
        with self.output.open("ab") as sink:
            self._child = subprocess.Popen(
                [*become, "--", *argv],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TZ": "UTC", **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._child.poll()

    def send(self, number: signal.Signals) -> None:
        if self.exit_status is None:
            self._child.send_signal(number)

    async def ended(self, limit: float = 10.0) -> int:
        """Waits for the end; gives the exit status."""
        await until(lambda: self.exit_status is not None, f"{self.name} ends", limit=limit)
        return self._child.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM, limit: float = 10.0) -> None:
        """Asks it to end, and kills its group when it has not within `limit` seconds."""
        self.send(number)
        try:
            await self.ended(limit)
        except LabError:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL for it and its children."""
        if self.exit_status is None:
            os.killpg(self.pid, signal.SIGKILL)
            await self.ended()

    async def ready(self, condition: Callable[[], object], what: str, limit: float = 20.0) -> None:
        """Waits for `condition`; a program that ended before, or is too slow, is a LabError with its last output."""

        def look() -> object:
            if self.exit_status is not None:
                raise LabError(f"{self.name} ended with status {self.exit_status}:\n{self.tail()}")
            return condition()

        try:
            await until(look, f"{self.name}: {what}", limit=limit)
        except LabError as error:
            raise LabError(f"{error}\n{self.tail()}") from None

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-lines:])


@contextlib.asynccontextmanager
async def slowed(process: Process, share: float) -> AsyncIterator[None]:
    """Within it the program runs for this share of the time only, as on a machine that bears less."""

    async def stop_and_go() -> None:
        while True:
            process.send(signal.SIGSTOP)
            await asyncio.sleep(_TURN * (1 - share))
            process.send(signal.SIGCONT)
            await asyncio.sleep(_TURN * share)

    task = asyncio.create_task(stop_and_go())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        process.send(signal.SIGCONT)


def answers(port: int) -> bool:
    """Whether something accepts TCP connections at this port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def udp_taken(port: int) -> bool:
    """Whether something listens for UDP at this port of 127.0.0.1."""
    wanted = f"0100007F:{port:04X}"
    return any(line.split()[1] == wanted for line in Path("/proc/net/udp").read_text().splitlines()[1:])
