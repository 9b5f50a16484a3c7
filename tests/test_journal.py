"""What waits for the database is read from the disk as it was put there, whatever happened to the disk meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Never

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ctid import metrics
from ctid.daemon.journal import Journal, Key, Record, _Header, _line, set_aside, waiting_bytes
from ctid.domain.actions import OpenTicket
from ctid.domain.types import (
    AgentState,
    AgentStatus,
    CallbackRecord,
    CallRecord,
    Decision,
    Direction,
    Diversion,
    LegRecord,
    LegResult,
    Outcome,
    RecordingRecord,
    RecordingState,
    Rule,
    Skip,
    Talk,
)
from lab.small_disk import SmallDisk
from tests.db.site import NOON, PBX

MIB = 1 << 20
CALL = CallRecord(
    id="1700000000.1",
    pbx=PBX,
    direction=Direction.INBOUND,
    caller="021 陈\u0000\n",
    dialled="4001",
    line=None,
    started_at=NOON + 0.123456,
    legs=(
        LegRecord(
            id="l",
            agent="a",
            party="p",
            offered_at=NOON + 1,
            result=LegResult.ANSWERED,
            talks=(Talk(started_at=NOON + 2, ended_at=NOON + 9.5), Talk(started_at=NOON + 10)),
        ),
    ),
    recordings=(RecordingRecord(id="r", path="2026/r.wav", state=RecordingState.RECORDING, ticket_ids=("T1",)),),
    decisions=(Decision(at=NOON + 1, rule=Rule.LEAST_TALK, chosen="a", skipped=((Skip.PAUSED, 2),)),),
    diversions=(Diversion(at=NOON, line="sales", reason=Outcome.CLOSED, to="line-late"),),
)
STATE = AgentStatus(agent="a", state=AgentState.PAUSED, since=NOON, reason="lunch", wrap_up_until=NOON + 1)
TICKET = OpenTicket(call_id=CALL.id, agent="a", contact_id=None, customer_id="C1", caller="1", at=NOON + 5)
CALLBACK = CallbackRecord(
    id=CALL.id,
    pbx=PBX,
    number="+861",
    dial="1",
    called=None,
    line="support",
    level=1,
    severity=0,
    arrived_at=NOON,
    asked_at=NOON,
    due_at=NOON,
)
EACH: dict[Key, Record] = {
    ("call", CALL.id): CALL,
    ("callback", CALL.id): CALLBACK,
    ("agent", 1): STATE,
    ("agent", 2): replace(STATE, state=AgentState.IDLE, since=NOON + 60, reason=None),
    ("ticket", CALL.id): TICKET,
}


def journal(file: Path, *, most: int = MIB, pbx: str = PBX) -> Journal:
    return Journal(file, pbx=pbx, most=most)


def calls(count: int, *, ended: bool = True) -> dict[Key, Record]:
    """Calls of some 600 bytes each, begun and ended one after the other."""
    made = (
        replace(CALL, id=f"{n:05}", started_at=NOON + n, ended_at=NOON + n + 1 if ended else None) for n in range(count)
    )
    return {("call", call.id): call for call in made}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_what_waits_is_read_as_it_was_put_there_the_newest_of_each(file: Path) -> None:
    kept = journal(file)
    kept.read()
    assert kept.keep(EACH) == ()
    newer = replace(CALL, ended_at=NOON + 20)
    assert kept.keep(EACH | {("call", CALL.id): newer}) == ()
    found = journal(file).read()
    assert found[("call", CALL.id)] == newer
    assert sorted(map(repr, found.values())) == sorted(map(repr, (EACH | {("call", CALL.id): newer}).values()))
    states = [record for record in found.values() if isinstance(record, AgentStatus)]
    assert [state.state for state in states] == [AgentState.PAUSED, AgentState.IDLE]


def test_a_caller_whose_name_is_no_text_is_kept_as_the_database_keeps_them(file: Path) -> None:
    kept = journal(file)
    kept.read()
    assert kept.keep(EACH | {("call", CALL.id): replace(CALL, caller_name="Ren\udce9", dialled="陈\ud800")}) == ()
    assert journal(file).read()[("call", CALL.id)] == replace(CALL, caller_name="Ren\ufffd", dialled="陈\ufffd")


def test_nothing_is_written_twice_and_nothing_is_left_once_the_database_has_it(file: Path) -> None:
    kept = journal(file)
    kept.read()
    kept.keep(EACH)
    size = waiting_bytes(file)
    kept.keep(EACH)
    assert (waiting_bytes(file), kept.used) == (size, True)
    kept.clear()
    assert (waiting_bytes(file), kept.used, journal(file).read()) == (0, False, {})
    assert not file.read_bytes().strip(b"\0")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_line_that_was_being_written_when_the_machine_fell_is_left_out_and_the_journal_goes_on(file: Path) -> None:
    kept = journal(file)
    kept.read()
    kept.keep({("call", CALL.id): CALL})
    first = waiting_bytes(file)
    kept.keep(EACH)
    whole = file.read_bytes()
    second = first + whole[first:].index(b"\n") + 1
    for cut in (*range(first, second, 11), second - 1):
        for rest in (b"", bytes(1000)):
            file.write_bytes(whole[:cut] + rest)
            again = journal(file)
            assert again.read() == {("call", CALL.id): CALL}
        assert again.keep(EACH) == ()
        assert len(journal(file).read()) == len(EACH)
    assert not set_aside(file)


def test_damaged_lines_are_kept_aside_and_the_others_are_read(file: Path) -> None:
    kept = journal(file)
    kept.read()
    kept.keep(calls(20))
    held = bytearray(file.read_bytes())
    held[len(held[: waiting_bytes(file)]) // 2] ^= 1
    file.write_bytes(held)
    with capture_logs() as lines:
        found = journal(file).read()
    assert len(found) == 19
    [said] = lines
    assert (said["event"], said["lines"]) == ("journal.damaged", 1)
    assert [aside.read_bytes() for aside in set_aside(file)] == [bytes(held)]


def test_a_file_of_another_version_another_pbx_or_another_program_is_kept_aside(file: Path) -> None:
    made = journal(file)
    made.read()
    made.keep(EACH)
    ours = file.read_bytes()
    later = _line("journal", _Header(version=2, pbx=PBX)) + ours[ours.index(b"\n") + 1 :]
    for held, pbx, why in (
        (later, PBX, "version 2"),
        (ours, "hq", "another PBX"),
        (b"127.0.0.1 x\n", PBX, "no journal"),
    ):
        file.write_bytes(held)
        with capture_logs() as lines:
            again = journal(file, pbx=pbx)
            assert again.read() == {}
        [said] = lines
        assert said["event"] == "journal.set_aside"
        assert why in said["why"]
        [aside] = set_aside(file)
        assert aside.read_bytes() == held
        aside.unlink()
        assert again.keep(EACH) == ()
        assert len(journal(file, pbx=pbx).read()) == len(EACH)
        file.unlink()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(held=st.binary(max_size=300), cut=st.integers(0, 4000), where=st.integers(0, 4000), byte=st.integers(0, 255))
def test_whatever_the_file_holds_reading_it_raises_nothing(
    tmp_path: Path, held: bytes, cut: int, where: int, byte: int
) -> None:
    file = tmp_path / "any"
    file.write_bytes(held)
    journal(file).read()
    file.unlink(missing_ok=True)
    kept = journal(file)
    kept.read()
    kept.keep(EACH)
    ours = bytearray(file.read_bytes()[:cut])
    if where < len(ours):
        ours[where] = byte
    file.write_bytes(ours)
    for record in journal(file).read().values():
        assert record in EACH.values()
    for aside in set_aside(file):
        aside.unlink()
    file.unlink(missing_ok=True)


def test_a_folder_that_cannot_be_written_to_is_told_once_and_everything_stays_in_memory(tmp_path: Path) -> None:
    for file in (tmp_path / "away" / "journal", tmp_path):
        with capture_logs() as lines:
            kept = journal(file)
            assert kept.read() == {}
            assert kept.keep(EACH) == tuple(EACH.values())
            assert kept.keep(EACH) == tuple(EACH.values())
            kept.clear()
        assert [line["event"] for line in lines] == ["journal.not_written"]
    (tmp_path / "away").mkdir()
    kept = journal(tmp_path / "away" / "journal")
    assert kept.keep(EACH) == ()


def test_at_the_bound_the_calls_that_cel_tells_of_leave_it_the_oldest_first(file: Path) -> None:
    most = 256 << 10
    kept = journal(file, most=most)
    kept.read()
    before = metrics.REGISTRY.get_sample_value("ctid_journal_dropped_total") or 0.0
    live = {("call", "live"): replace(CALL, id="live")}
    waiting = {**live, ("ticket", "00000"): replace(TICKET, call_id="00000"), ("agent", 1): STATE}
    missing: tuple[Record, ...] = ()
    with capture_logs() as lines:
        more = list(calls(1000).items())
        for start in range(0, 1000, 10):
            waiting |= dict(more[start : start + 10])
            missing = kept.keep(waiting)
            assert waiting_bytes(file) <= most
    gone = {record.id for record in missing if isinstance(record, CallRecord)}
    assert gone == {f"{n:05}" for n in range(len(gone))}
    assert [r for r in missing if not isinstance(r, CallRecord)] == [waiting["ticket", "00000"]]
    assert (metrics.REGISTRY.get_sample_value("ctid_journal_dropped_total") or 0.0) - before == len(missing)
    assert 1 < sum(line["event"] == "journal.full" for line in lines) < 20
    found = journal(file, most=most).read()
    assert sorted(map(repr, found.values())) == sorted(repr(r) for r in waiting.values() if r not in missing)


def test_a_journal_full_of_what_is_no_longer_so_is_made_anew_and_loses_nothing(file: Path) -> None:
    kept = journal(file, most=64 << 10)
    kept.read()
    for second in range(300):
        newest = replace(CALL, answered_at=NOON + second)
        assert kept.keep({("call", CALL.id): newest}) == ()
        assert waiting_bytes(file) <= 64 << 10
    assert journal(file).read() == {("call", CALL.id): newest}


def test_a_full_disk_still_has_the_room_that_was_kept_and_takes_the_rest_once_it_is_freed(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", 4 * MIB) as disk:
        kept = journal(disk.folder / "journal", most=2 * MIB)
        kept.read()
        disk.fill()
        few, many = calls(100), calls(1200)
        assert kept.keep(few) == ()
        with capture_logs() as lines:
            missing = kept.keep(many)
            assert set(kept.keep(many)) == set(missing)
        assert [line["event"] for line in lines] == ["journal.not_written"]
        assert "space" in lines[0]["error"]
        assert 0 < len(missing) < 1100
        assert len(journal(disk.folder / "journal", most=2 * MIB).read()) == 1200 - len(missing)
        disk.free()
        assert kept.keep(many) == ()
        assert journal(disk.folder / "journal", most=2 * MIB).read() == many
        kept.clear()
        disk.fill()
        assert kept.keep(few) == ()


def test_a_journal_that_somebody_deletes_in_the_outage_is_written_whole_again(file: Path) -> None:
    kept = journal(file)
    kept.read()
    kept.keep(EACH)
    file.unlink()
    assert kept.keep(EACH | calls(3)) == ()
    assert journal(file).read() == EACH | calls(3)


def test_of_a_long_outage_only_what_is_new_is_looked_at(file: Path) -> None:
    class Outage(dict[Key, Record]):
        """What all of it is looked through for costs the calls of the moment."""

        def __iter__(self) -> Iterator[Key]:
            raise AssertionError("all of it is looked through")

        def items(self) -> Never:  # type: ignore[override]
            raise AssertionError("all of it is looked through")

    kept = journal(file)
    kept.read()
    old, new = calls(3), {("call", "9"): replace(CALL, id="9"), ("agent", 1): STATE}
    kept.keep(old)
    gone = next(iter(old))
    waiting = Outage({key: record for key, record in (old | new).items() if key != gone})
    assert kept.keep(waiting, [gone, *new]) == ()
    assert journal(file).read() == old | new
    assert not kept.ahead_of({}, [gone])
    assert kept.ahead_of(old, new)


def test_what_found_no_room_is_tried_again_though_nothing_is_new(file: Path) -> None:
    kept = journal(file)
    kept.read()
    file.unlink()
    file.mkdir()
    assert kept.keep(EACH, EACH) == tuple(EACH.values())
    file.rmdir()
    assert kept.keep(EACH, ()) == ()
    assert journal(file).read() == EACH
