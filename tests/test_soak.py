"""The load's arithmetic: what its table says is what happened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.process import LabError
from lab.soak.counting import Booked, Count, calls_of, count, offered_twice
from lab.soak.crowd import Word, read
from lab.soak.verdict import Outcome
from lab.soak.watching import Sample, Usage, slope

CALLER = "13900000001"


def words(*, phone: str = "a1", at: float = 100.0, talk: float = 8.0) -> list[Word]:
    return [
        Word(at, "called", None, CALLER, 1),
        Word(at + 0.1, "answered", None, CALLER, 1),
        Word(at + 0.2, "invited", phone, CALLER, 1),
        Word(at + 0.4, "answered", phone, CALLER, 1),
        Word(at + 0.4 + talk, "hung_up", phone, CALLER, 1),
        Word(at + 0.4 + talk, "left", None, CALLER, 1),
    ]


def booked(*, talk: float = 8.0, agent: str | None = "a1", **more: object) -> Booked:
    usual: dict[str, object] = {
        "id": "1.1", "caller": CALLER, "started": 100.05, "outcome": "answered", "via": "ctid", "agent": agent,
        "legs": 1, "talk": talk, "exact": True, "estimated": False, "recording": "complete", "hashed": True,
    }  # fmt: skip
    return Booked(**{**usual, **more})  # type: ignore[arg-type]


def counted(tmp_path: Path, told: list[Word], books: list[Booked], *, bridged: float = 8.0) -> Count:
    cel, cdr = tmp_path / "cel.csv", tmp_path / "cdr.csv"
    row = '"{kind}","{at}","1.1","1.1","PJSIP/caller-1","","s","c","{{}}","1",""\n'
    cel.write_text(row.format(kind="BRIDGE_ENTER", at=100.4) + row.format(kind="BRIDGE_EXIT", at=100.4 + bridged))
    cdr.write_text(
        f'"1.1","1.1","PJSIP/caller-1","PJSIP/a1-2","100.05","100.1","{100.4 + bridged}","8","ANSWERED","Dial","1","s"\n'
    )
    return count(told, books, cel=cel, cdr=cdr)


def test_a_call_on_which_all_agree_breaks_no_promise(tmp_path: Path) -> None:
    found = counted(tmp_path, words(), [booked()])
    assert (found.offered, found.answered, found.talk) == (1, 1, 8.0)
    assert [found.cel.worst, found.cdr.worst, found.sip.worst] == pytest.approx([0, 0, 0], abs=0.01)
    outcome = Outcome(minutes=1, rate=1, talk=8, agents=1, machine={}, counted=found, hashed=1)
    assert outcome.kept, [promise for promise in outcome.promises() if promise.kept is False]


@pytest.mark.parametrize(
    ("books", "broken"),
    [
        ([], "every call in the books, with the agent whose phone it was"),
        ([booked(agent="a2")], "every call in the books, with the agent whose phone it was"),
        ([booked(), booked(id="1.2", caller="110")], "every call in the books, with the agent whose phone it was"),
        ([booked(talk=9.5)], "ledger = CEL, to the second"),
        ([booked(talk=9.5)], "ledger = CDR, to the second"),
        ([booked(talk=9.5)], "ledger = SIP, to the second"),
        ([booked(exact=False)], "every interval exact"),
        ([booked(hashed=False)], "every file hashed, as it is on the disk, and none left over"),
        ([booked(recording="damaged")], "every file hashed, as it is on the disk, and none left over"),
    ],
)
def test_what_the_books_have_wrong_is_a_broken_promise(tmp_path: Path, books: list[Booked], broken: str) -> None:
    found = counted(tmp_path, words(), books)
    outcome = Outcome(minutes=1, rate=1, talk=8, agents=1, machine={}, counted=found, hashed=1)
    assert not outcome.kept
    assert broken in {promise.says for promise in outcome.promises() if promise.kept is False}
    assert "BROKEN" in outcome.told()


def test_a_caller_who_was_rung_for_twice_has_two_cdrs_that_are_one_call(tmp_path: Path) -> None:
    cel, cdr = tmp_path / "cel.csv", tmp_path / "cdr.csv"
    cel.write_text("")
    row = '"1.1","1.1","PJSIP/caller-1","PJSIP/{phone}-2","100","{answer}","{end}","8","{how}","Dial","1","s"\n'
    cdr.write_text(
        row.format(phone="a2", answer=100.1, end=130.0, how="NO ANSWER")
        + row.format(phone="a1", answer=130.0, end=138.4, how="ANSWERED")
    )
    told = [replace(word, at=word.at + 30) if index > 1 else word for index, word in enumerate(words())]
    assert count(told, [booked()], cel=cel, cdr=cdr).cdr.worst == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("oddities", "kept"), [(48, True), (49, False)])
def test_in_a_burst_a_look_up_may_be_late_and_nothing_else_may_be_odd(oddities: int, kept: bool) -> None:
    outcome = Outcome(
        minutes=1, rate=1, talk=8, agents=1, machine={}, burst=Count(), burst_calls=1000,
        burst_said={"oddity the database did not say in time who is calling": 48},
        metrics={"ctid_oddities_total": 0.0}, metrics_after={"ctid_oddities_total": float(oddities)},
    )  # fmt: skip
    [unhandled] = [promise for promise in outcome.promises() if promise.says.endswith("at once: no event unhandled")]
    assert unhandled.kept is kept
    assert "48 callers" in unhandled.found


def test_a_caller_whom_nobody_took_is_lost_and_one_who_hung_up_before_is_not(tmp_path: Path) -> None:
    gone = [*words()[:2], Word(130.0, "left", None, CALLER, 1)]
    found = counted(tmp_path, gone, [booked(outcome="abandoned", agent=None, talk=0.0)])
    assert (found.lost, found.given_up, found.wrong_agent) == ([], 1, [])
    found = counted(tmp_path, [*words()[:1], Word(100.1, "refused", None, CALLER, 1)], [])
    assert len(found.lost) == 1


def test_one_caller_who_rings_twice_is_two_calls_in_their_order() -> None:
    calls = calls_of(words() + words(phone="a2", at=200.0, talk=3.0))
    assert [(call.phone, call.talk) for call in calls] == [("a1", 8.0), ("a2", 3.0)]


def test_a_phone_that_rings_while_it_talks_is_told() -> None:
    second = Word(103.0, "invited", "a1", "13900000002", 2)
    assert offered_twice([*words()[:4], second]) == [f"a1 rung for 13900000002 while with {CALLER}"]
    assert offered_twice([*words()[:4], Word(101.0, "hung_up", "a1", CALLER, 1), second]) == []


def test_sipps_own_lines_are_read_and_the_one_still_being_written_is_not(tmp_path: Path) -> None:
    log = tmp_path / "phones.log"
    log.write_text("2026-11-22\t15:01:07.527524\t1795359667.527524 invited a1 139 1\n2026-11-22\t15:01:0")
    assert list(read(log)) == [Word(1795359667.527524, "invited", "a1", "139", 1)]
    log.write_text("Segmentation fault\n")
    with pytest.raises(LabError, match="none of a crowd's lines"):
        list(read(log))


def _samples(*mib: float) -> list[Sample]:
    return [
        Sample(
            after=n * 600.0, usage={"ctid run": Usage(cpu=0.2, mib=m, files=20)}, decisions=1, decision_p99=0.01, calls=n,
            waiting=0, inbox=0, behind=0.0, ami_lag=0.0, pending_writes=0, tasks=9, collections=1, shedding=False,
            channels=2, deepest=3,
        )
        for n, m in enumerate(mib)
    ]  # fmt: skip


def test_what_a_start_needs_is_no_leak_and_what_grows_on_is() -> None:
    flat, leak = _samples(100, 200, 250, 250, 250, 250, 250, 250), _samples(100, 110, 120, 130, 140, 150, 160, 170)
    assert slope(flat, "ctid run") == pytest.approx(0)
    assert slope(leak, "ctid run") == pytest.approx(60)
    for samples, kept in ((flat, True), (leak, False)):
        assert Outcome(minutes=70, rate=1, talk=8, agents=1, machine={}, samples=samples).kept is kept
    assert Outcome(minutes=5, rate=1, talk=8, agents=1, machine={}, samples=leak).kept, "too short a run to tell"
