"""What waits for a database that is away, on disk, so that a daemon killed meanwhile loses none of it.

Law: it is empty while the database takes what it is told, and while it is not, nothing newer is in the database than in here:
whatever is read from it may be written again. A line is whole or nothing, which its checksum says. What cannot be read is
kept aside, what finds no room stays in memory; either is said in one line, and neither stops a call.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from zlib import crc32

import msgspec
import structlog

from ctid import metrics
from ctid.domain.actions import OpenTicket
from ctid.domain.types import AgentStatus, CallbackRecord, CallRecord

log = structlog.get_logger(__name__)

Record = CallRecord | CallbackRecord | AgentStatus | OpenTicket
#: What a record is the newest of: its kind, and the call's id, or a state's number in the order they came.
Key = tuple[str, str | int]

_VERSION = 1
_HEADER = "journal"
_KINDS: MappingProxyType[str, type[Record]] = MappingProxyType(
    {"call": CallRecord, "callback": CallbackRecord, "agent": AgentStatus, "ticket": OpenTicket}
)
#: Bytes written at once; a longer line than the second is none of ours.
_SLICE, _LONGEST = 1 << 16, 1 << 23
#: Kept free on the disk from the start, so that a full one still has room: a quarter of the bound, this at most.
_RESERVE = 16 << 20
#: What to do with a file that was put aside.
_LOOK = "look at it; delete it once the books are right"


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    pbx: str


class _Foreign(Exception):  # noqa: N818 - it says what the file is
    """The file is no journal of this PBX that this version can read."""


class Journal:
    """The journal of the daemon of ``pbx``: ``most`` bytes at most in ``file``. One thread at a time uses it."""

    def __init__(self, file: Path, *, pbx: str, most: int) -> None:
        self._file = file
        self._pbx = pbx
        self._most = most
        self._reserve = min(most // 4, _RESERVE)
        self._end = 0  # where the next line goes; 0: it is empty
        self._kept: dict[Key, Record] = {}  # what waits and is in the file, the newest of each
        self._shed: dict[Key, Record] = {}  # what waits and had to leave it
        self._missing: dict[Key, Record] = {}  # what waits and is not in it, for whatever reason
        self._faulty = False

    @property
    def used(self) -> bool:
        """Whether there is anything in it."""
        return self._end > 0

    def ahead_of(self, written: Mapping[Key, Record], waiting: Iterable[Key]) -> bool:
        """Whether it has anything newer of what waits than what was ``written`` into the database."""
        return any(key in self._kept and self._kept[key] is not written.get(key) for key in waiting)

    # -- at start ---------------------------------------------------------------------------------------------------

    def read(self) -> dict[Key, Record]:
        """What the run before could not write, the newest of each, in order; what can't be read is kept aside and told.

        Afterwards the reserve is there, if the disk has room for it.
        """
        found: dict[Key, Record] = {}
        try:
            if self._file.exists():
                found = self._read()
        except _Foreign as why:
            self._set_aside(str(why))
        except OSError as error:
            self._say(error)
        self._kept = dict(found)
        self._keep_room()
        return found

    def disown(self, why: str) -> None:
        """Put the file aside unread, if it holds anything, and begin anew."""
        try:
            if waiting_bytes(self._file):
                aside = self._aside("unread")
                self._file.replace(aside)
                log.warning("journal.disowned", file=str(aside), why=why, mend=_LOOK)
        except OSError as error:
            self._say(error)
        self._keep_room()

    def _read(self) -> dict[Key, Record]:
        found: dict[Key, Record] = {}
        damaged = number = 0
        with self._opened() as descriptor, os.fdopen(os.dup(descriptor), "rb") as stream:
            stream.seek(0)
            first = _whole(stream.readline(_LONGEST))
            if first is None:
                return found
            self._check(_opened_line(first))
            end = len(first)
            while line := _whole(stream.readline(_LONGEST)):
                end += len(line)
                record = _record(_opened_line(line))
                if record is None:
                    damaged += 1
                    continue
                number += isinstance(record, AgentStatus)
                key = _key(record, number)
                found.pop(key, None)
                found[key] = record
            if damaged:
                self._copy_aside(damaged)
            self._end = end
            os.ftruncate(descriptor, end)  # of a last line that was being written nothing is left
        metrics.JOURNAL_BYTES.set(self._end)
        return found

    def _check(self, opened: tuple[str, bytes] | None) -> None:
        """Raise ``_Foreign`` unless this is the header of a journal of this PBX and version."""
        if opened is None or opened[0] != _HEADER:
            raise _Foreign("it is no journal of ctid")
        try:
            header = msgspec.json.decode(opened[1], type=_Header)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _Foreign("its first line cannot be read") from None
        if header.version != _VERSION:
            raise _Foreign(f"it is of version {header.version}, this ctid reads {_VERSION}")
        if header.pbx != self._pbx:
            raise _Foreign(f"it is of another PBX, {header.pbx!r}")

    def _set_aside(self, why: str) -> None:
        aside = self._aside("unread")
        try:
            self._file.replace(aside)
        except OSError as error:
            self._say(error)
        else:
            log.error("journal.set_aside", file=str(aside), why=why, mend=_LOOK)

    def _copy_aside(self, lines: int) -> None:
        aside = self._aside("damaged")
        try:
            shutil.copyfile(self._file, aside)
            aside.chmod(0o600)
        except OSError as error:
            self._say(error)
        log.error(
            "journal.damaged", lines=lines, file=str(aside), mend="these lines are not in the books; look at the disk"
        )

    def _aside(self, what: str) -> Path:
        """Told apart by the time the journal was last written, so that one that is read again is kept once."""
        return self._file.with_name(f"{self._file.name}.{what}-{int(self._file.stat().st_mtime)}")

    # -- while the database is away ---------------------------------------------------------------------------------

    def keep(self, waiting: Mapping[Key, Record], changed: Iterable[Key] | None = None) -> tuple[Record, ...]:
        """Have on disk all that waits; what is not, in the end. Of what no longer waits nothing is kept in mind.

        ``changed`` is what waits since the last time, or waits no more, in order; ``None``: any of it may. All that waits may
        be a whole outage: it is not looked through each time.
        """
        if changed is None:
            changed = (*self._kept, *waiting)
        if self._taken_away():
            self._end, self._kept, changed = 0, {}, waiting
        self._shed = {key: record for key, record in self._shed.items() if waiting.get(key) is record}
        looked_at = dict.fromkeys((*self._missing, *changed))
        for key in looked_at:
            if key not in waiting:
                self._kept.pop(key, None)
        new = {
            key: waiting[key]
            for key in looked_at
            if key in waiting and self._kept.get(key) is not waiting[key] and self._shed.get(key) is not waiting[key]
        }
        try:
            if new:
                self._write(new, waiting)
        except OSError as error:
            self._say(error)
        else:
            self._faulty = False
        missing = {
            key: waiting[key]
            for key in (*looked_at, *self._shed)
            if key in waiting and self._kept.get(key) is not waiting[key]
        }
        metrics.JOURNAL_DROPPED.inc(sum(self._missing.get(key) is not record for key, record in missing.items()))
        metrics.JOURNAL_BYTES.set(self._end)
        self._missing = missing
        return tuple(missing.values())

    def _taken_away(self) -> bool:
        try:
            return self._end > 0 and self._file.stat().st_size < self._end
        except FileNotFoundError:
            return True
        except OSError:
            return False  # the next write says why

    def clear(self) -> None:
        """All of it is in the database."""
        self._kept, self._shed = {}, {}
        if not self._end:
            return
        try:
            with self._opened() as descriptor:
                os.pwrite(descriptor, bytes(_SLICE), 0)  # without its header it is empty, whatever becomes of the rest
                os.fsync(descriptor)
                os.ftruncate(descriptor, 0)
        except OSError as error:  # it is read again at the next start, and changes nothing
            self._say(error)
            return
        log.info("journal.emptied", bytes=self._end)
        self._end = 0
        self._faulty = False
        metrics.JOURNAL_BYTES.set(0)
        self._keep_room()

    def put_aside(self, record: Record) -> Path:
        """Keep in a file of its own what the database refuses, for who looks into it; where."""
        aside = self._file.with_name(f"{self._file.name}.unread-refused")
        kind = next(kind for kind, type_ in _KINDS.items() if isinstance(record, type_))
        try:
            with _regular(aside) as descriptor, os.fdopen(os.dup(descriptor), "ab") as stream:
                stream.write(_line(kind, record))
        except (OSError, ValueError):  # the log has it, too
            log.warning("journal.not_put_aside", file=str(aside))
        return aside

    def _write(self, new: Mapping[Key, Record], waiting: Mapping[Key, Record]) -> None:
        with self._opened() as descriptor:
            if not self._end:
                log.info("journal.begun", file=str(self._file), records=len(new))
                self._put(descriptor, _line(_HEADER, _Header(version=_VERSION, pbx=self._pbx)), {})
            slice_, keys = bytearray(), dict[Key, Record]()
            for key, record in new.items():
                slice_ += _line(key[0], record)
                keys[key] = record
                if self._end + len(slice_) > self._most:
                    break
                if len(slice_) >= _SLICE:
                    self._put(descriptor, slice_, keys)
                    slice_, keys = bytearray(), {}
            else:
                self._put(descriptor, slice_, keys)
                os.fdatasync(descriptor)
                return
        self._rewrite(waiting)

    def _put(self, descriptor: int, lines: bytes | bytearray, keys: Mapping[Key, Record]) -> None:
        """Append whole lines, or none of them."""
        done = 0
        try:
            while done < len(lines):
                done += os.pwrite(descriptor, memoryview(lines)[done:], self._end + done)
        except OSError:
            os.ftruncate(descriptor, self._end)
            raise
        self._end += len(lines)
        self._kept |= keys

    def _rewrite(self, waiting: Mapping[Key, Record]) -> None:
        """Make the file anew with the newest of each alone; where that is still too much, without what CEL tells of."""
        lines = {key: _line(key[0], record) for key, record in waiting.items()}
        self._shed = {key: waiting[key] for key in _to_shed(waiting, lines, self._most)}
        kept = {key: record for key, record in waiting.items() if key not in self._shed}
        body = [_line(_HEADER, _Header(version=_VERSION, pbx=self._pbx)), *(lines[key] for key in kept)]
        fresh = self._file.with_name(f"{self._file.name}.new")
        fresh.unlink(missing_ok=True)
        try:
            with _regular(fresh) as descriptor, os.fdopen(os.dup(descriptor), "wb") as stream:
                os.posix_fallocate(descriptor, 0, self._reserve)
                stream.writelines(body)
                stream.flush()
                os.fsync(descriptor)
            fresh.replace(self._file)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        self._end = sum(map(len, body))
        self._kept = kept
        if self._shed:
            log.error(
                "journal.full",
                left_out=len(self._shed),
                mend="mend the database, or raise [database] journal_mib; do not restart ctid: it still has them, and"
                " without it CEL must tell of these calls",
            )

    # -- the file ---------------------------------------------------------------------------------------------------

    def _keep_room(self) -> None:
        try:
            with self._opened() as descriptor:
                os.posix_fallocate(descriptor, 0, self._reserve)
        except OSError as error:
            self._say(error)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with _regular(self._file) as descriptor:
            yield descriptor

    def _say(self, error: OSError) -> None:
        """Once, until it works again."""
        if not self._faulty:
            log.error(
                "journal.not_written",
                file=str(self._file),
                error=error.strerror,
                mend="make room there, and let ctid write to it; until then what waits for the database is in memory alone",
            )
        self._faulty = True


def waiting_bytes(file: Path) -> int:
    """How much of the file holds what is to be written yet. Raises ``OSError``; 0 where there is none."""
    if not file.exists():
        return 0
    with file.open("rb") as stream:
        held = 0
        while line := _whole(stream.readline(_LONGEST)):
            held += len(line)
    return held


def set_aside(file: Path) -> tuple[Path, ...]:
    """The files beside the journal that ctid could not read, or not whole."""
    return tuple(sorted([*file.parent.glob(f"{file.name}.unread-*"), *file.parent.glob(f"{file.name}.damaged-*")]))


@contextmanager
def _regular(file: Path) -> Iterator[int]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileExistsError(0, "it is no plain file")
        yield descriptor
    finally:
        os.close(descriptor)


def _line(kind: str, value: Record | _Header) -> bytes:
    said = kind.encode() + b" " + _encoded(value)
    return b"%08x %s\n" % (crc32(said), said)


def _encoded(value: Record | _Header) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # a caller whose name is no text: the database has U+FFFD in its place, too
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _whole(line: bytes) -> bytes | None:
    """The line; ``None`` at the end of what was written, which room kept free may follow, or half a line."""
    return line if line.endswith(b"\n") and b"\0" not in line else None


def _opened_line(line: bytes) -> tuple[str, bytes] | None:
    """Its kind and value, ``None`` where the checksum does not fit."""
    sum_, _, said = line[:-1].partition(b" ")
    kind, _, value = said.partition(b" ")
    if sum_ != b"%08x" % crc32(said) or not kind.isascii():
        return None
    return kind.decode(), value


def _record(opened: tuple[str, bytes] | None) -> Record | None:
    if opened is None or opened[0] not in _KINDS:
        return None
    try:
        return msgspec.json.decode(opened[1], type=_KINDS[opened[0]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _key(record: Record, number: int) -> Key:
    match record:
        case CallRecord(id=id_):
            return "call", id_
        case CallbackRecord(id=id_):
            return "callback", id_
        case OpenTicket(call_id=id_):
            return "ticket", id_
        case AgentStatus():
            return "agent", number


def _to_shed(waiting: Mapping[Key, Record], lines: Mapping[Key, bytes], most: int) -> set[Key]:
    """What leaves a journal that is too full: ended calls with their tickets, the oldest first, then agents' earlier states.

    Too full is more than three quarters of ``most``, and then it is brought down to a half, so that it is seldom made anew.
    """
    size = sum(map(len, lines.values()))
    shed: set[Key] = set()
    if size <= most * 3 // 4:
        return shed
    ended = [r for r in waiting.values() if isinstance(r, CallRecord) and r.ended_at is not None]
    last = {r.agent: key for key, r in waiting.items() if isinstance(r, AgentStatus)}
    earlier = [key for key, r in waiting.items() if isinstance(r, AgentStatus) and last[r.agent] != key]
    calls: list[Key] = [
        key for r in sorted(ended, key=lambda r: r.ended_at or 0.0) for key in (("call", r.id), ("ticket", r.id))
    ]
    for key in calls + earlier:
        if size <= most // 2:
            break
        if key in lines:
            shed.add(key)
            size -= len(lines[key])
    return shed
