"""A whole call centre on one machine: Asterisk, broker, database, ctid, phones. Tests, demo and benchmarks stand on it.

Law: ctid is run as its users run it, as processes with a configuration file; what is known of it comes from outside: from SIP,
from a subscriber of its own to the broker, from the command line and from files.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiomqtt

from lab.asterisk import Asterisk
from lab.clock import Clock
from lab.mosquitto import Mosquitto
from lab.process import Process, answers, free_port, until
from lab.sipp import Behaviour, SippAgent, SippCall, place_call

CTID = Path(sys.executable).parent / "ctid"
#: The number callers dial.
SERVICE = "4001"


@dataclass(frozen=True, slots=True)
class Heard:
    """One MQTT message as a subscriber of its own received it; ``order`` counts from 0."""

    order: int
    topic: str
    payload: dict[str, Any]


class Listener:
    """A subscriber to everything below ``ctid/v1``, and a way to send agents' commands, apart from ctid's own client.

    ``prefix`` is what stands before that, as in ``[mqtt]``; what is heard is told without it.
    """

    def __init__(self, port: int, prefix: str | None = None) -> None:
        self._port = port
        self._before = f"{prefix}/" if prefix is not None else ""
        self.heard: list[Heard] = []
        self._client: aiomqtt.Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._number = 0

    async def __aenter__(self) -> Self:
        ready = asyncio.Event()
        self._task = asyncio.create_task(self._listen(ready))
        await asyncio.wait({self._task, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self, ready: asyncio.Event) -> None:
        async with aiomqtt.Client("127.0.0.1", self._port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            self._client = client
            await client.subscribe(f"{self._before}ctid/v1/#", qos=1)
            ready.set()
            async for message in client.messages:
                if isinstance(message.payload, bytes) and message.payload:
                    payload = json.loads(message.payload)
                    topic = str(message.topic).removeprefix(self._before)
                    self.heard.append(Heard(len(self.heard), topic, payload))

    def pops(self, agent: str | None = None, call: str | None = None) -> list[dict[str, Any]]:
        """The pops shown so far (to this agent, of this call), each with its agent as ``agent``."""
        return [
            {**h.payload, "agent": h.topic.split("/")[3]}
            for h in self.heard
            if h.topic.endswith("/pop")
            and agent in (None, h.topic.split("/")[3])
            and call in (None, h.payload["call_id"])
        ]

    def state(self, agent: str) -> dict[str, Any] | None:
        """The agent's newest published state."""
        topic = f"ctid/v1/agents/{agent}/state"
        return next((h.payload for h in reversed(self.heard) if h.topic == topic), None)

    async def command(self, agent: str, command: str, **more: object) -> dict[str, Any]:
        """Send a command as the agent's desktop does; the answer."""
        assert self._client is not None
        self._number += 1
        request = f"lab-{self._number}"
        payload = json.dumps({"id": request, "command": command, **more})
        await self._client.publish(f"{self._before}ctid/v1/agents/{agent}/command", payload, qos=1)
        topic = f"ctid/v1/agents/{agent}/result"

        def answer() -> dict[str, Any] | None:
            return next((h.payload for h in self.heard if h.topic == topic and h.payload["id"] == request), None)

        return await until(answer, f"an answer to {command} of {agent}")

    async def becomes(self, agent: str, state: str, limit: float = 10.0) -> dict[str, Any]:
        """Wait until the agent's newest state is this one."""

        def look() -> dict[str, Any] | None:
            now = self.state(agent)
            return now if now is not None and now["state"] == state else None

        return await until(look, f"{agent} becomes {state}", limit=limit)

    async def popped(self, agent: str, state: str, call: str | None = None, limit: float = 10.0) -> dict[str, Any]:
        """Wait for a pop of this state on the agent's screen."""

        def look() -> dict[str, Any] | None:
            return next((p for p in self.pops(agent, call) if p["state"] == state), None)

        return await until(look, f"{agent}'s screen shows {state}", limit=limit)


@dataclass(kw_only=True)
class Site:
    """``agents`` and ``registering`` are both the agents' ids and their phones' names.

    ``database`` is a URL, a SQLite file by default. ``pbx_clock`` and ``own_clock`` are the wall
    clocks of the PBX's host and of ctid's, the real one by default. A site ``beside`` another has a PBX of its own and the
    other's broker, where each has a ``prefix``.
    """

    folder: Path
    agents: Sequence[str] = ("agent1", "agent2", "agent3")
    database: str | None = None
    ring_seconds: float = 5
    wrap_up_seconds: float = 0
    longest_wait_seconds: float = 600
    routing: str = ""
    lines: str = ""
    pbx: str = "lab"
    recordings: str = ""
    qualify: int = 0
    registering: Sequence[str] = ()
    rtp_timeout: int = 30
    pbx_clock: Clock | None = None
    own_clock: Clock | None = None
    beside: Self | None = None
    prefix: str | None = None
    csv: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.asterisk = Asterisk(
            self.folder / "asterisk",
            agents=self.agents,
            registering=self.registering,
            qualify=self.qualify,
            rtp_timeout=self.rtp_timeout,
            clock=self.pbx_clock,
        )
        self.broker: Mosquitto = self.beside.broker if self.beside is not None else Mosquitto(self.folder / "mosquitto")
        self.listener = Listener(self.broker.port, self.prefix)
        self.phones: dict[str, SippAgent] = {}
        self.metrics_port, self.web_port = free_port(), free_port()
        self.password = secrets.token_urlsafe(12)
        self.config = self.folder / "ctid.toml"
        self.state = self.folder / "state"
        self.state.mkdir(exist_ok=True)
        self.daemon: Process | None = None
        self.web: Process | None = None
        self._write_config()

    def _write_config(self) -> None:
        url = self.database or f"sqlite:///{self.state / 'ctid.db'}"
        lines = self.lines or (
            f'[[lines]]\nname = "service"\nnumbers = ["{SERVICE}"]\nagents = "all"\n'
            f"longest_wait_seconds = {self.longest_wait_seconds}\n"
        )
        self.config.write_text(
            f"""\
[ami]
host = "127.0.0.1"
port = {self.asterisk.ami_port}
username = "{self.asterisk.ami_username}"
secret = "{self.asterisk.ami_secret}"
originate_username = "{self.asterisk.originate_username}"
originate_secret = "{self.asterisk.originate_secret}"
pbx = "{self.pbx}"

[state]
directory = "{self.state}"

[database]
url = "{url}"

[mqtt]
url = "{self.broker.url}"
{f'prefix = "{self.prefix}"' if self.prefix is not None else ""}

[web]
listen = "127.0.0.1:{self.web_port}"
url = "http://127.0.0.1:{self.web_port}"

[routing]
ring_seconds = {self.ring_seconds}
wrap_up_seconds = {self.wrap_up_seconds}
timezone = "Asia/Shanghai"
country = "CN"
{self.routing}

{lines}
[recordings]
root = "{self.asterisk.monitor_dir}"
{self.recordings}

[cel]
file = "{self.asterisk.cel_file}"

[cdr]
file = "{self.asterisk.cdr_file}"

[metrics]
listen = "127.0.0.1:{self.metrics_port}"

[log]
level = "info"
format = "json"
""",
            encoding="utf-8",
        )
        self.config.chmod(0o600)

    # -- life ------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Everything up, the lists imported, ctid routing; nobody is signed in yet."""
        await self.open()
        await self.start_daemon()

    async def open(self) -> None:
        """Everything up but ctid itself, the lists imported."""
        if self.beside is None:
            await self.broker.start()
        await self.asterisk.start()
        await self.ctid("db", "upgrade")
        lists = {"agents": self._agents_csv(), **self.csv}
        for kind in ("agents", "customers", "contacts", "tickets"):
            if kind in lists:
                file = self.folder / f"{kind}.csv"
                file.write_text(lists[kind], encoding="utf-8")
                await self.ctid("import", kind, str(file))
        await self.listener.__aenter__()

    async def stop(self) -> None:
        """Everything down, in an order that loses nothing."""
        await asyncio.gather(*(phone.kill() for phone in self.phones.values()))
        for process in (self.web, self.daemon):
            if process is not None:
                await process.stop()
        await self.listener.__aexit__()
        await self.asterisk.stop()
        if self.beside is None:
            await self.broker.stop()

    def _agents_csv(self) -> str:
        both = (*self.agents, *self.registering)
        rows = [f"{a},{a.title()},{a},2,{1000 + n},,{a}@example.com" for n, a in enumerate(both, 1)]
        return "\n".join(["id,name,phone,level,pin,lines,email", *rows]) + "\n"

    async def start_daemon(self, *, wait: bool = True) -> None:
        """Start ``ctid run``; return when it routes."""
        log = self.folder / "run.out"
        known = log.stat().st_size if log.exists() else 0
        env = self.own_clock.env if self.own_clock is not None else None
        self.daemon = Process([str(CTID), "run", "--config", str(self.config)], folder=self.folder, name="run", env=env)
        if wait:
            await self.daemon.ready(lambda: b'"pbx.resynced"' in log.read_bytes()[known:], "routes calls")

    async def stop_daemon(self) -> None:
        assert self.daemon is not None
        await self.daemon.stop(signal.SIGTERM)

    async def kill_daemon(self) -> None:
        assert self.daemon is not None
        await self.daemon.kill()

    @contextmanager
    def database_locked(self) -> Iterator[None]:
        """Within it somebody else has the SQLite file locked: ctid can neither read nor write it."""
        with closing(sqlite3.connect(self.state / "ctid.db", isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            yield

    async def start_web(self) -> None:
        """Start ``ctid web``; return when it listens."""
        self.web = Process([str(CTID), "web", "--config", str(self.config)], folder=self.folder, name="web")
        await self.web.ready(lambda: answers(self.web_port), "listens")

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    # -- people and calls ------------------------------------------------------------------------------------------

    async def phone(
        self, agent: str, behaviour: Behaviour = "answer", *, sign_in: bool = True, **more: Any
    ) -> SippAgent:
        """Put a phone on the agent's desk and, unless told not to, sign the agent in."""
        phone = SippAgent(
            self.folder / "sipp",
            agent,
            self.asterisk.phones[agent],
            behaviour,
            **more,
        )
        await phone.start()
        self.phones[agent] = phone
        if sign_in:
            await self.sign_in(agent)
        return phone

    async def user(self, name: str, *, role: str = "agent", agent: str | None = None) -> None:
        """Someone who signs in at the web with ``password``."""
        screen = () if agent is None else ("--agent", agent)
        await self.ctid("user", "add", name, "--role", role, *screen, "--password-stdin", given=f"{self.password}\n")

    async def sign_in(self, agent: str) -> None:
        answer = await self.listener.command(agent, "sign_in", phone=agent)
        assert answer["ok"], answer
        await self.listener.becomes(agent, "idle")

    def call(self, caller: str, dialled: str = SERVICE, **more: Any) -> SippCall:
        """A caller rings the service number."""
        return place_call(self.asterisk, caller, dialled, folder=self.folder / "sipp", **more)

    # -- what ctid says --------------------------------------------------------------------------------------------

    async def ctid(self, *argv: str, check: bool = True, given: str = "") -> str:
        """What a ``ctid`` command prints; with ``check``, a failing one is an error that shows its words."""
        status, out, err = await self.ctid_full(*argv, given=given)
        if check and status:
            raise AssertionError(f"ctid {' '.join(argv)} ended with {status}: {err or out}")
        return out

    async def ctid_full(self, *argv: str, given: str = "") -> tuple[int, str, str]:
        """Exit status, output and error output of a ``ctid`` command, which reads what is ``given`` from stdin."""
        child = await asyncio.create_subprocess_exec(
            str(CTID),
            *argv,
            "--config",
            str(self.config),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "COLUMNS": "200"},
        )
        out, err = await child.communicate(given.encode())
        assert child.returncode is not None
        return child.returncode, out.decode(), err.decode()

    async def calls(self, caller: str | None = None) -> list[dict[str, Any]]:
        """The books: ``ctid calls --json``, the oldest first (of this caller)."""
        found: list[dict[str, Any]] = json.loads(await self.ctid("calls", "--json"))
        found.sort(key=lambda c: str(c["started_at"]))
        return [c for c in found if caller in (None, c["caller"])]

    async def ended(self, caller: str, *, recorded: bool = True, limit: float = 15.0) -> dict[str, Any]:
        """Wait until the caller's newest call has ended in the books, and its recording is measured."""

        async def look() -> dict[str, Any] | None:
            calls = await self.calls(caller)
            if not calls or calls[-1]["outcome"] is None:
                return None
            under_way = any(r["state"] == "recording" for r in calls[-1]["recordings"])
            return None if recorded and under_way else calls[-1]

        return await until(look, f"the call of {caller} is in the books", limit=limit, every=0.2)
