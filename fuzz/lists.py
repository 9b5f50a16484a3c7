"""CSV files that someone imports: encodings, NULs, quotes, columns without end, formulas.

Law: a file is its good lines and, for each bad one, its number and reason in one line, or it is refused in one line;
each cell that comes out is a value its table takes; what ctid writes, it reads again as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from ctid.db import csvfile
from ctid.db.csvfile import CsvFault
from ctid.db.importing import _REQUIRED, COLUMNS, Kind, Site, _judge, _Known

SAYS = "CSV files: customers, contacts, agents, tickets"
KINDS = tuple(Kind)
SITE = Site(country="CN", timezone=ZoneInfo("Asia/Shanghai"), outside_prefix="9")
GOOD = {
    Kind.CUSTOMERS: "id,name,level,notes\nC1,华东精密,4,x\nC2,Lotus,2,\n",
    Kind.CONTACTS: "id;customer_id;name;numbers;level\nP1;C1;Chen;'+86 138 0013 8000;3\n",
    Kind.AGENTS: "id\tname\tphone\tcode\tlevel\tpin\tlines\temail\n7\tLi\tagent7\t1007\t2\t1234\ta;b\ta@b.c\n",
    Kind.TICKETS: 'id,subject,created_at,status,owner,severity\nT1,"a ""b""\nc",2026-11-22 9:30,open,7,3\nT2,x,2026/1/2,,,\n',
}


def seeds() -> Iterator[bytes]:
    for number, kind in enumerate(KINDS):
        for encoding in ("utf-8-sig", "gb18030", "utf-16"):
            yield bytes([number]) + GOOD[kind].encode(encoding)
    yield b'\x00id,name\n=1+1,@SUM(A1)\n-1,"\'=x"\n'
    yield b"\x00" + b"," * 2000 + b"\n"
    yield b'\x00id,name\n"1,2\n'


def one(data: bytes) -> None:
    kind = KINDS[data[0] % len(KINDS)] if data else KINDS[0]
    try:
        content = csvfile.lines_in("list.csv", data[1:], known=COLUMNS[kind], required=_REQUIRED[kind])
    except CsvFault as fault:
        assert "\n" not in str(fault), fault
        assert len(str(fault)) < 400, fault
        return
    known = _Known()
    for kinds in KINDS:
        known.ids[kinds] = {"C1", "P1", "7"}
    rows, bad, _ = _judge(kind, content, SITE, known)
    for line in bad:
        assert line.line >= 1
        assert line.reason.isprintable(), line.reason
        assert len(line.reason) < 400, line.reason
    for row in rows:
        for value in row.values.values():
            if isinstance(value, str):
                value.encode()
                assert "\0" not in value
    # A line of blanks alone is none: so is one whose every word stands in a column that is not read.
    written = [cells for line in content.lines if any(cells := [*line.cells.values()])]
    again = csvfile.lines([COLUMNS[kind], *written]).encode()
    if written:
        read = csvfile.lines_in("again.csv", again, known=COLUMNS[kind], required=_REQUIRED[kind])
        kept = {name for line in content.lines for name in line.cells}
        if len(kept) == len(COLUMNS[kind]):
            assert [[*line.cells.values()] for line in read.lines] == written
