"""``ctid`` as people start it: a process with a configuration file, and a real SQLite file."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.schema import schema

CTID = (sys.executable, "-m", "ctid")


@dataclass(kw_only=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


@dataclass(kw_only=True)
class Site:
    """A folder with a configuration; ``ctid`` runs a command on it."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "ctid.toml"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/ctid.db"

    def ctid(self, *arguments: str, stdin: str = "", **environment: str) -> Ended:
        return run(*arguments, stdin=stdin, config=self.config, **environment)

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)


def run(*arguments: str, stdin: str | bytes = "", config: Path | None = None, **environment: str) -> Ended:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CTID_")}
    before = ("--config", str(config)) if config else ()
    done = subprocess.run(
        [*CTID, *before, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env={**kept, "COLUMNS": "60", **environment},
        timeout=60,
        check=False,
    )
    return Ended(status=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


@pytest.fixture
def bare(tmp_path: Path) -> Site:
    """A configuration that is right, and no database yet."""
    site = Site(folder=tmp_path)
    site.config.write_text(
        f"""
[ami]
port = 9
secret = "a-secret-of-the-pbx"
[state]
directory = "{tmp_path}"
[mqtt]
url = "mqtt://127.0.0.1:9"
[routing]
country = "CN"
timezone = "Asia/Shanghai"
[recordings]
root = "{tmp_path}"
[metrics]
listen = "127.0.0.1:0"
[web]
listen = "127.0.0.1:0"
[[lines]]
name = "sales"
numbers = ["4001"]
""",
        encoding="utf-8",
    )
    site.config.chmod(0o600)
    return site


@pytest.fixture
def site(bare: Site) -> Site:
    """The same with a database of the newest schema."""
    asyncio.run(schema(bare.url))
    return bare
