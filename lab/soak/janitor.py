"""Takes recordings away once ctid has hashed them, as a site's archive would, so that the disk of an hour's run stays empty.

Law: a file goes when the books have it as measured, and its digest is taken here once more before; what differs stays
and is told.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from lab.site import Site
from lab.soak.centre import books

_TOGETHER = 500
#: What a recording's id begins with: the PBX's name in the configuration of a `Site`.
PBX = "lab"


@dataclass(slots=True)
class Janitor:
    """``agreed`` counts the files whose digest is the books', ``differing`` names those whose is not."""

    site: Site
    agreed: int = 0
    differing: list[str] = field(default_factory=list)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(5)
            with suppress(sqlite3.OperationalError):  # locked for a moment
                await asyncio.to_thread(self.sweep)

    def sweep(self) -> None:
        """Look at every file there is, once."""
        root = self.site.asterisk.monitor_dir
        found = [str(file.relative_to(root)) for file in root.rglob("*.wav")]
        with closing(sqlite3.connect(f"file:{books(self.site)}?mode=ro", uri=True, timeout=30)) as connection:
            for at in range(0, len(found), _TOGETHER):
                for path, digest in _hashed(connection, found[at : at + _TOGETHER]):
                    self._take(root / path, path, digest)

    def left(self) -> list[str]:
        """The files still there."""
        root = self.site.asterisk.monitor_dir
        return sorted(str(file.relative_to(root)) for file in root.rglob("*.wav"))

    def _take(self, file: Path, path: str, digest: str) -> None:
        if path in self.differing:
            return
        if hashlib.sha256(file.read_bytes()).hexdigest() == digest:
            self.agreed += 1
            file.unlink()
        else:
            self.differing.append(path)


def _hashed(connection: sqlite3.Connection, paths: Sequence[str]) -> list[tuple[str, str]]:
    """Of these files, those that ctid has measured, with their digests."""
    marks = ",".join("?" * len(paths))
    ids = [f"{PBX}-{Path(path).stem}" for path in paths]
    query = f"SELECT path, sha256 FROM recordings WHERE id IN ({marks}) AND state <> 'recording' AND sha256 IS NOT NULL"
    return [(str(path), str(digest)) for path, digest in connection.execute(query, ids)]
