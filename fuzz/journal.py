"""The journal on disk, after whatever a full or failing disk, a crash or a stranger has made of it.

Law: reading raises nothing; what was read can be kept again, and is read again as it was.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import msgspec

from ctid.daemon.journal import Journal, Record, waiting_bytes
from ctid.domain.actions import OpenTicket
from ctid.domain.types import AgentState, AgentStatus, CallbackRecord, CallRecord, Direction, LegRecord, Talk

SAYS = "the journal of what the database did not take"
_PLACE = Path(tempfile.mkdtemp(prefix="ctid-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
atexit.register(shutil.rmtree, _PLACE, ignore_errors=True)
MOST = 64 * 1024
HEADER = b'journal {"version":1,"pbx":"pbx"}'


def seeds() -> Iterator[bytes]:
    talk = Talk(started_at=2.0, ended_at=3.0)
    leg = LegRecord(id="1.2", agent="7", party="agent1", offered_at=1.0, talks=(talk,))
    call = CallRecord(
        id="1.1",
        pbx="pbx",
        direction=Direction.INBOUND,
        caller="138",
        dialled="4001",
        line=None,
        started_at=1.0,
        legs=(leg,),
    )
    records: tuple[tuple[str, Record], ...] = (
        ("call", call),
        ("agent", AgentStatus(agent="7", state=AgentState.IDLE, since=1.0, talk_seconds_today=7.5)),
        ("ticket", OpenTicket(call_id="1.1", agent="7", contact_id=None, customer_id=None, caller="138", at=2.0)),
        ("callback", _callback()),
    )
    lines = [kind.encode() + b" " + msgspec.json.encode(record) for kind, record in records]
    for line in lines:
        yield b"\0" + HEADER + b"\n" + line + b"\n"
    yield b"\0" + b"\n".join([HEADER, *lines, lines[0], lines[1]]) + b"\n\0\0\0\0"
    yield b"\0" + HEADER.replace(b"1", b"2") + b"\n"
    yield b"\1" + b"00000000 " + HEADER + b"\n"


def _callback() -> CallbackRecord:
    return CallbackRecord(
        id="1.1",
        pbx="pbx",
        number="+8613800138000",
        dial="13800138000",
        called="4001",
        line="service",
        level=4,
        severity=2,
        arrived_at=1.0,
        asked_at=2.0,
        due_at=3.0,
    )


def one(data: bytes) -> None:
    octets = data[1:]
    if data[:1] != b"\1":  # else what a fuzzer changed would be known by its checksum alone
        octets = b"\n".join(b"%08x %b" % (crc32(line), line) if line else b"" for line in octets.split(b"\n"))
    file = _PLACE / f"{os.getpid()}.journal"
    try:
        file.write_bytes(octets)
        assert waiting_bytes(file) <= len(octets)
        journal = Journal(file, pbx="pbx", most=MOST)
        found = journal.read()
        again = Journal(file, pbx="pbx", most=MOST).read()
        assert again == found, (found, again)
        journal.clear()
        assert not waiting_bytes(file)
        missing = journal.keep(found)
        kept = [record for record in found.values() if not any(record is one for one in missing)]
        assert missing == () or len(octets) > MOST // 4, missing
        assert list(Journal(file, pbx="pbx", most=MOST).read().values()) == kept
    finally:
        for path in _PLACE.glob(f"{os.getpid()}.*"):
            path.unlink()
