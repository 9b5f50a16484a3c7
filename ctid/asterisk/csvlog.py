"""The CSV files Asterisk writes by itself (``cel_custom``, ``cdr_custom``), every cell quoted; as a stream, from a time on.

Law: a file may hold months, and be written to meanwhile: the place to begin is found by halving, what follows is read line by
line. Nothing in a line can raise: what is no whole row of the right width is ``None``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 18
#: No row that Asterisk writes is longer; what is has no end of line.
_LONGEST_LINE = 1 << 16
_CELL = r'"(?:[^"]|"")*"'


def cells(file: Path, columns: int, since: float, *, time_column: int) -> Iterator[list[str] | None]:
    """The cells of each row from ``since`` (Unix seconds) on, of a few older ones before; ``None`` for a line that is no row.

    Rows are taken to stand in order of ``time_column``. Older files are ``FILE.1``, ``FILE.2`` and so on. Raises ``OSError``.
    """
    older = file
    files = [file]
    while _begins(older, columns, time_column) > since:
        older = file.with_name(f"{file.name}.{len(files)}")
        if not older.exists():
            break
        files.append(older)
    for one in reversed(files):
        with one.open("rb") as stream:
            _seek(stream, columns, since, time_column)
            while line := stream.readline(_LONGEST_LINE):
                yield _cells(line, columns)


def _begins(file: Path, columns: int, time_column: int) -> float:
    """The time of the file's first row; for one without any, later than all."""
    with file.open("rb") as stream:
        return _first(stream, columns, time_column)


def _seek(stream: BinaryIO, columns: int, since: float, time_column: int) -> None:
    """Stand at the beginning of a line before which every row is older than ``since``."""
    low, high = 0, stream.seek(0, 2)
    while high - low > _BLOCK:
        middle = (low + high) // 2
        stream.seek(middle)
        stream.readline(_LONGEST_LINE)  # the rest of a line
        if _first(stream, columns, time_column) < since:
            low = middle
        else:
            high = middle
    stream.seek(low)
    if low:
        stream.readline(_LONGEST_LINE)


def _first(stream: BinaryIO, columns: int, time_column: int) -> float:
    read = 0
    while read < _BLOCK and (line := stream.readline(_LONGEST_LINE)):
        read += len(line)
        row = _cells(line, columns)
        if row is not None:
            try:
                return float(row[time_column])
            except ValueError:
                continue
    return float("inf")


def _cells(line: bytes, columns: int) -> list[str] | None:
    # Only a whole row of quoted cells: a line break in a caller's number leaves halves, and what stands between them.
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if not line.endswith(b"\n") or _whole(columns).fullmatch(text) is None:
        return None
    try:
        return next(csv.reader([text]))
    except csv.Error:
        return None


@lru_cache
def _whole(columns: int) -> re.Pattern[str]:
    return re.compile(rf"{_CELL}(?:,{_CELL}){{{columns - 1}}}")
