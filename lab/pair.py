"""Two ctid run for one PBX on one PostgreSQL: each with a name, a state directory, a metrics page and wires of its own.

Law: as with a site, what is known of them comes from outside: their log, their metrics, the database's row, the broker.
"""

from __future__ import annotations

import json
import signal
from types import TracebackType
from typing import Any, Self

from sqlalchemy import make_url

from lab.evidence import read_metrics
from lab.process import Process, free_port, until
from lab.site import CTID, Site
from lab.wire import Wire


class Node:
    """One ``ctid run`` beside others of its site; ``ami`` and ``database`` are its own wires to PBX and database."""

    def __init__(self, site: Site, name: str) -> None:
        assert site.database is not None
        url = make_url(site.database)
        assert url.port is not None
        self.site, self.name = site, name
        self.ami, self.database = Wire(site.asterisk.ami_port), Wire(url.port)
        self.folder = site.folder / name
        self.state = self.folder / "state"
        self.state.mkdir(parents=True, exist_ok=True)
        self.metrics_port = free_port()
        self.config = self.folder / "ctid.toml"
        self.output = self.folder / "run.out"
        self._process: Process | None = None
        text = site.config.read_text(encoding="utf-8")
        for old, new in (
            (f'directory = "{site.state}"', f'directory = "{self.state}"'),
            (f'listen = "127.0.0.1:{site.metrics_port}"', f'listen = "127.0.0.1:{self.metrics_port}"'),
            (f'url = "{site.broker.url}"', f'url = "{site.broker.url}"\nnode = "{name}"'),
            (f"port = {site.asterisk.ami_port}", f"port = {self.ami.port}"),
            (f'url = "{site.database}"', f'url = "{url.set(port=self.database.port)}"'),
        ):
            assert old in text, old
            text = text.replace(old, new, 1)
        self.config.write_text(text, encoding="utf-8")
        self.config.chmod(0o600)

    async def start(self, *, until_says: str | None = "pbx.followed") -> None:
        """Start it; return when its log says so, by default that it follows the PBX."""
        await self.ami.mend()
        await self.database.mend()
        known = self.count(until_says or "")
        self._process = Process([str(CTID), "run", "--config", str(self.config)], folder=self.folder, name="run")
        if until_says is not None:
            await self._process.ready(lambda: self.count(until_says) > known, f"{self.name} says {until_says}", 30)

    async def stop(self) -> None:
        if self._process is not None:
            self.thaw()
            await self._process.stop()
        await self.ami.cut()
        await self.database.cut()

    async def kill(self) -> None:
        assert self._process is not None
        await self._process.kill()

    def freeze(self) -> None:
        """SIGSTOP: it does nothing any more, and nobody is told."""
        assert self._process is not None
        self._process.send(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send(signal.SIGCONT)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.exit_status is None

    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def metric(self, name: str) -> float | None:
        """A number of its metrics page; ``None`` where there is no such, or no page."""
        try:
            return read_metrics(self.metrics_port).get(name)
        except OSError:
            return None

    def count(self, event: str) -> int:
        """How often its log says this."""
        return sum(line.get("event") == event for line in self.lines())


class Pair:
    """A site, its database a PostgreSQL, with two nodes in the place of its own daemon."""

    def __init__(self, site: Site, *nodes: Node) -> None:
        self.site = site
        self.nodes = nodes

    async def __aenter__(self) -> Self:
        try:
            await self.site.open()
            for node in self.nodes:
                await node.start()
            await self.acting()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes:
            await node.stop()
        await self.site.stop()

    def claims(self) -> list[str]:
        """Who routed, in order: a name for each time a node had read the PBX's state and began to act."""
        begun = [
            (line["timestamp"], n.name) for n in self.nodes for line in n.lines() if line["event"] == "pbx.resynced"
        ]
        return [name for _, name in sorted(begun)]

    async def acting(self, *, but: Node | None = None, limit: float = 20.0) -> Node:
        """The node whose retained status says that it acts, once there is one, and it is not this one."""

        def look() -> Node | None:
            return next((n for n in self.nodes if n is not but and n.runs and self.status(n).get("acting")), None)

        return await until(look, "a node acts", limit=limit, every=0.02)

    def other(self, node: Node) -> Node:
        return next(n for n in self.nodes if n is not node)

    def status(self, node: Node) -> dict[str, Any]:
        """What the broker says of a node."""
        topic = f"ctid/v1/nodes/{node.name}/status"
        return next((h.payload for h in reversed(self.site.listener.heard) if h.topic == topic), {})
