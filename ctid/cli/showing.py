"""What a terminal is shown: text from outside made harmless, the site's times, tables, JSON.

Law: no text from outside is obeyed, neither by the terminal nor by rich's markup. People read the site's time zone, machines
read UTC and plain ASCII.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from math import isnan
from typing import Any


def plain(text: str) -> str:
    """The text on one line, with nothing in it that a terminal obeys."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def complain(line: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(f"ctid: {plain(line)}\n")


def say(line: str) -> None:
    """Write one line to stdout."""
    sys.stdout.write(f"{plain(line)}\n")


def say_json(rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON array, escaped to ASCII: a name may hold what a terminal obeys or no encoding has."""
    json.dump(list(rows), sys.stdout, indent=2)
    sys.stdout.write("\n")


def table(*columns: str, rows: Sequence[Sequence[object]]) -> None:
    """Write a table, ``None`` as nothing and numbers to the right; cut to the width of a terminal, but never of a pipe.

    Where there are no rows, one line on stderr says so.
    """
    from rich import box  # noqa: PLC0415 - slow
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for position, name in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[position], int | float) for row in rows)
        made.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text("" if cell is None else plain(str(cell))) for cell in row))
    if not rows:
        sys.stderr.write("there are none\n")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    console.print(made)


def counted(number: int, what: str) -> str:
    """``1 line``, ``2 lines``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def moment(at: float | None, timezone: tzinfo) -> str | None:
    """Unix seconds as local ``2026-11-22 10:02:03``; ``None`` and ``nan`` as ``None``."""
    if at is None or isnan(at):
        return None
    return datetime.fromtimestamp(at, timezone).strftime("%Y-%m-%d %H:%M:%S")
