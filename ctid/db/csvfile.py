"""A CSV file as sites really write them, cut into lines with names to their cells.

Law: UTF-8 with or without BOM, else GB18030; comma, semicolon or tab, told by the header. A file that is something else is
refused in one line; a line that is broken is set aside by its number.
"""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LARGEST = 64 << 20
#: Spreadsheets go this far to the right.
MOST_COLUMNS = 1000
#: What a spreadsheet may take for the beginning of a formula; the apostrophe itself, so that defusing can be undone.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")
_NOT_CSV = {
    b"PK\x03\x04": "an Excel or ZIP file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"%PDF": "a PDF",
    b"\xff\xfe": "in UTF-16",
    b"\xfe\xff": "in UTF-16",
}


class CsvFault(ValueError):  # noqa: N818 - a fault to mend, not a bug
    """One line that says what is wrong with the whole file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One record: ``number`` is the file's line it begins on, ``cells`` the stripped text of each known column."""

    number: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvLines:
    """A file's good lines, its broken ones (line, reason), and the columns nobody knows."""

    lines: tuple[Line, ...]
    broken: tuple[tuple[int, str], ...]
    unknown_columns: tuple[str, ...]


def read_lines(file: Path, *, known: Sequence[str], required: Sequence[str]) -> CsvLines:
    """The file's lines; empty ones are passed over. Raises ``CsvFault``."""
    return lines_in(str(file), _content(file), known=known, required=required)


def lines_in(file: str, content: bytes, *, known: Sequence[str], required: Sequence[str]) -> CsvLines:
    """The same of a file's bytes; ``file`` is what messages call it."""
    _check(file, content)
    text = _decoded(file, content)
    delimiter = _delimiter(text, known)
    records = _records(text, delimiter)
    header, columns, unknown = _columns(file, records, known, required)
    lines: list[Line] = []
    broken: list[tuple[int, str]] = []
    for number, record in records:
        if isinstance(record, str):
            broken.append((number, record))
        elif len(record) > header and any(cell.strip() for cell in record[header:]):
            broken.append(
                (number, f"{len(record)} cells where the header has {header}; quote a cell with {delimiter!r}")
            )
        elif any(cell.strip() for cell in record):
            cells = {name: plain(record[at].strip()) if at < len(record) else "" for name, at in columns.items()}
            lines.append(Line(number=number, cells=cells))
    return CsvLines(lines=tuple(lines), broken=tuple(broken), unknown_columns=unknown)


def defused(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula: ``plain`` undoes it."""
    return "'" + text if text.startswith(_FORMULA) else text


#: By this at its begin a spreadsheet reads a file as UTF-8.
MARK = "\ufeff"


def lines(rows: Iterable[Iterable[str]]) -> str:
    """The rows as CSV, each cell ``defused``."""
    text = io.StringIO()
    csv.writer(text).writerows([defused(cell) for cell in row] for row in rows)
    return text.getvalue()


def plain(cell: str) -> str:
    """The cell's text without the apostrophe by which it was ``defused``."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def _content(file: Path) -> bytes:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise CsvFault(f"{file}: is no file but a device or a pipe; save it first")
        if status.st_size > LARGEST:
            raise CsvFault(f"{file}: is larger than 64 MiB; split it")
        return file.read_bytes()
    except FileNotFoundError:
        raise CsvFault(f"{file}: there is no such file") from None
    except OSError as error:
        raise CsvFault(f"{file}: cannot be read: {error.strerror}") from None


def _check(file: str, content: bytes) -> None:
    for beginning, what in _NOT_CSV.items():
        if content.startswith(beginning):
            raise CsvFault(f"{file}: is {what}, not CSV; save it as CSV UTF-8")
    if (at := content.find(b"\0")) >= 0:
        line = content.count(b"\n", 0, at) + 1
        raise CsvFault(f"{file}: holds a NUL byte on line {line}, so it is not text; save it as CSV UTF-8")
    if not content.strip():
        raise CsvFault(f"{file}: is empty; the first line names the columns")


def _decoded(file: str, content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise CsvFault(f"{file}: is neither UTF-8 nor GB18030; save it as CSV UTF-8")


def _delimiter(text: str, known: Sequence[str]) -> str:
    header = text.lstrip("\r\n").partition("\n")[0]

    def found(delimiter: str) -> int:
        return sum(cell.strip(' \t\r"').lower() in known for cell in header.split(delimiter))

    return max((",", ";", "\t"), key=found)


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Each record with the line it begins on; a broken one as the reason."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            yield begins, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "end of data" in str(error):
                yield begins, "a quote is opened and never closed"
                return
            yield begins, "is not CSV: " + str(error).replace("\t", "tab")


def _columns(
    file: str, records: Iterator[tuple[int, list[str] | str]], known: Sequence[str], required: Sequence[str]
) -> tuple[int, dict[str, int], tuple[str, ...]]:
    """How many columns there are, where the known ones are, and the names of the others."""
    header: list[str] = []
    for number, record in records:
        if isinstance(record, str):
            raise CsvFault(f"{file}: line {number}: {record}")
        header = [cell.strip().lower() for cell in record]
        if any(header):
            break
    names = [name for name in header if name]
    if len(header) > MOST_COLUMNS:
        raise CsvFault(f"{file}: the header has {len(header)} columns; at most {MOST_COLUMNS} are read")
    for name in names:
        if names.count(name) > 1:
            raise CsvFault(f"{file}: the header names the column {name[:100]!r} twice")
    if missing := [name for name in required if name not in names]:
        raise CsvFault(
            f"{file}: the header lacks {', '.join(missing)}; the first line must name the columns: {','.join(known)}"
        )
    return (
        len(header),
        {name: at for at, name in enumerate(header) if name in known},
        tuple(name for name in names if name not in known),
    )
