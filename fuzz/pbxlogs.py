"""Asterisk's own CEL and CDR files, once callers have written into them by line breaks and quotes in their names.

Law: a line is read whole or counted as bad; no line raises, and what comes of a file is told in the order of its times.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ctid.asterisk import cel, pbx_day
from fuzz.books import Books

SAYS = "CEL and CDR files"
CEL = (
    '"CHAN_START","1000.5","1.1","1.1","PJSIP/caller-01","","4001","ctid-inbound","","13800138000","Chen"\n'
    '"CtidStart","1000.6","1.1","1.1","PJSIP/caller-01","","s","ctid-start","{""extra"":""inbound|4001|2026/1.1.wav""}","1",""\n'
    '"CHAN_START","1001.0","1.2","1.1","PJSIP/agent1-02","","s","","","agent1",""\n'
    '"ANSWER","1002.0","1.2","1.1","PJSIP/agent1-02","","s","","","",""\n'
    '"BRIDGE_ENTER","1002.1","1.2","1.1","PJSIP/agent1-02","","s","","{""bridge_id"":""b1""}","",""\n'
    '"BRIDGE_ENTER","1002.2","1.1","1.1","PJSIP/caller-01","","s","","{""bridge_id"":""b1""}","",""\n'
    '"BRIDGE_EXIT","1009.0","1.1","1.1","PJSIP/caller-01","","s","","{""bridge_id"":""b1""}","",""\n'
    '"HANGUP","1009.1","1.1","1.1","PJSIP/caller-01","","s","","{""hangupcause"":16}","",""\n'
    '"CHAN_END","1009.2","1.1","1.1","PJSIP/caller-01","","s","","","",""\n'
    '"CtidOverflow","1010.2","1.1","1.1","PJSIP/caller-01","","s","","{""extra"":""hangup""}","",""\n'
)
CDR = '"1.1","1.1","138","4001","PJSIP/caller-01","PJSIP/agent1-02","1000.5","1002.0","1009.1","8","ANSWERED","16"\n'
_FILE = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"ctid-fuzz-{os.getpid()}.csv"


def seeds() -> Iterator[bytes]:
    yield CEL.encode()
    yield CDR.encode()
    yield (CEL + CDR + CEL).encode()
    yield CEL.replace("Chen", 'Ch\nen","x"').encode()
    yield CEL.encode("utf-16")


def one(data: bytes) -> None:
    _FILE.write_bytes(data)
    try:
        rows = list(cel.rows(_FILE, 0.0))
        assert len(rows) <= data.count(b"\n") + len(data) // 65536 + 1
        books = Books()
        for event in cel.told_as_events(rows, 900.0, 1e10):
            books.tell(event)
        books.sound()
        for start, end in ((0.0, 2000.0), (1001.0, 1005.0)):
            for leg in pbx_day.from_cel(_FILE, start, end).legs.values():
                assert all(start <= begin <= finish <= end for begin, finish in leg.talks), leg
            for record in pbx_day.from_cdr(_FILE, start, end).records:
                assert record.began < end
    finally:
        _FILE.unlink()
