"""Whether a file system can be written to by anybody, as the kernel's table of mounts has it.

Law: a unit that may not write somewhere sees every mount there as read-only, so a process cannot ask by its own rights: the
file system's own word counts.
"""

from __future__ import annotations

import re
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")


def read_only(folder: Path, table: Path = _TABLE) -> bool:
    """Whether the file system that ``folder`` lies on takes writes from nobody. ``False`` where the table cannot be read.

    Raises ``OSError`` for a folder that is not there.
    """
    place = folder.resolve(strict=True)
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    deepest, found = -1, False
    for line in lines:
        mount, _, file_system = line.partition(" - ")
        point = Path(_unescaped(mount.split(" ")[4]))
        depth = len(point.parts)
        if depth >= deepest and place.is_relative_to(point):  # of several at one place the last covers the others
            deepest, found = depth, "ro" in file_system.split(" ")[2].split(",")
    return found


def _unescaped(name: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), name)
