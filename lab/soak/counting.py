"""What became of every call: SIPp's words, Asterisk's CDR and CEL and ctid's books, held against each other.

Law: each source is read as a stream and by itself; a call is found in another by the caller's number and the order of
that caller's calls, or by the PBX's own id. Nobody's seconds are corrected by somebody else's.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path

from lab.soak.crowd import Word

#: Seconds two sources may differ about one call.
SECOND = 1.0


@dataclass(slots=True, kw_only=True)
class Sipped:
    """One call as SIPp's two sides saw it, in epoch seconds.

    ``taken`` is the PBX's own answer, ``offers`` the phones it rang.
    """

    caller: str
    called: float
    taken: float | None = None
    left: float | None = None
    refused: bool = False
    offers: list[str] = field(default_factory=list)
    phone: str | None = None
    answered: float | None = None
    over: float | None = None

    @property
    def talk(self) -> float | None:
        """Seconds the phone was answered; ``None`` where none was, or where it still is."""
        return None if self.answered is None or self.over is None else self.over - self.answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """One call as ctid's books have it; ``talk`` is the ledger's seconds of all its legs with an agent."""

    id: str
    caller: str
    started: float
    outcome: str | None
    via: str
    agent: str | None
    legs: int
    talk: float
    exact: bool
    estimated: bool
    recording: str | None
    hashed: bool


@dataclass(slots=True)
class Gap:
    """The differences of talk between two sources, in seconds."""

    calls: int = 0
    worst: float = 0.0
    total: float = 0.0
    over: list[str] = field(default_factory=list)

    def add(self, call: str, seconds: float) -> None:
        self.calls += 1
        self.total += seconds
        self.worst = max(self.worst, abs(seconds))
        if abs(seconds) > SECOND:
            self.over.append(f"{call}: {seconds:+.2f} s")


@dataclass(slots=True, kw_only=True)
class Count:
    """All of it. What is listed names calls; each list is empty where nothing is wrong.

    ``unbridged`` calls were hung up between the phone's answer and the bridge: nobody talked, and nobody is said to have.
    """

    offered: int = 0
    answered: int = 0
    given_up: int = 0
    lost: list[str] = field(default_factory=list)
    failsafe: int = 0
    unbridged: int = 0
    unbooked: list[str] = field(default_factory=list)
    booked: int = 0
    legs: int = 0
    wrong_agent: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    inexact: list[str] = field(default_factory=list)
    estimated: list[str] = field(default_factory=list)
    unhashed: list[str] = field(default_factory=list)
    recordings: dict[str, int] = field(default_factory=dict)
    talk: float = 0.0
    sip: Gap = field(default_factory=Gap)
    cel: Gap = field(default_factory=Gap)
    cdr: Gap = field(default_factory=Gap)
    waits: list[float] = field(default_factory=list)


def count(
    words: Iterable[Word],
    booked: Iterable[Booked],
    *,
    cel: Path,
    cdr: Path,
) -> Count:
    """Hold all sources of one run against each other; ``words`` are those of phones and callers, in any order."""
    told = sorted(words, key=lambda word: word.at)
    sipped = calls_of(told)
    found = Count(offered=len(sipped), twice=offered_twice(told))
    by_caller: dict[str, list[Booked]] = defaultdict(list)
    for one in booked:
        found.booked += 1
        found.legs += one.legs
        found.failsafe += one.via == "failsafe"
        state = one.recording or "none"
        found.recordings[state] = found.recordings.get(state, 0) + 1
        by_caller[one.caller].append(one)
    bridged, billed = talk_of_cel(cel), ends_of_cdr(cdr)
    for caller, calls in _by_caller(sipped).items():
        ours = sorted(by_caller.pop(caller, ()), key=lambda one: one.started)
        for number, call in enumerate(calls):
            name = f"{caller} #{number}"
            if number >= len(ours):
                found.unbooked.append(name)
            else:
                _hold(found, f"{name} ({ours[number].id})", call, ours[number], bridged, billed)
            _sum_up(found, name, call)
    found.unbooked += [f"{one.id}: in the books, and nobody called" for calls in by_caller.values() for one in calls]
    return found


def calls_of(words: Iterable[Word]) -> list[Sipped]:
    """Each caller's calls, with what their phone said of them, in the order they began."""
    calls: list[Sipped] = []
    now: dict[str, Sipped] = {}
    for word in words:
        if word.what == "called":
            now[word.caller] = Sipped(caller=word.caller, called=word.at)
            calls.append(now[word.caller])
        elif (call := now.get(word.caller)) is not None:
            _note(call, word)
    return calls


def _note(call: Sipped, word: Word) -> None:
    match word.what, word.phone:
        case "answered", None:
            call.taken = word.at
        case "left", None:
            call.left = word.at
        case "refused", None:
            call.refused = True
        case "invited", phone if phone is not None:
            call.offers.append(phone)
        case "answered", phone:
            call.phone, call.answered = phone, word.at
        case (("left" | "hung_up"), _):
            call.over = word.at


def offered_twice(words: Iterable[Word]) -> list[str]:
    """Where a phone was rung while it had another call."""
    busy: dict[str, str] = {}
    found = []
    for word in words:
        if word.phone is None:
            continue
        if word.what == "invited":
            if word.phone in busy:
                found.append(f"{word.phone} rung for {word.caller} while with {busy[word.phone]}")
            busy[word.phone] = word.caller
        elif word.what != "answered":
            busy.pop(word.phone, None)
    return found


def booked_in(file: Path) -> Iterator[Booked]:
    """The calls of a SQLite database, the oldest first."""
    query = """
        SELECT c.id, c.caller, c.started_at, c.outcome, c.via, c.agent,
          (SELECT count(*) FROM legs l WHERE l.pbx = c.pbx AND l.call_id = c.id AND l.agent IS NOT NULL),
          (SELECT json_group_array(json_array(t.started_at, t.ended_at)) FROM talks t
             WHERE t.pbx = c.pbx AND t.call_id = c.id AND t.agent IS NOT NULL AND t.customer),
          (SELECT count(*) FROM legs l WHERE l.pbx = c.pbx AND l.call_id = c.id AND l.certainty <> 'exact'),
          (SELECT count(*) FROM legs l WHERE l.pbx = c.pbx AND l.call_id = c.id AND l.certainty = 'estimated'),
          (SELECT r.state FROM recordings r WHERE r.pbx = c.pbx AND r.call_id = c.id),
          (SELECT r.sha256 FROM recordings r WHERE r.pbx = c.pbx AND r.call_id = c.id)
        FROM calls c WHERE c.direction = 'inbound' ORDER BY c.started_at"""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as connection:
        for id_, caller, started, outcome, via, agent, legs, talks, other, guessed, state, digest in connection.execute(
            query
        ):
            spans = [(_seconds(a), _seconds(b)) for a, b in json.loads(talks) if b is not None]
            yield Booked(
                id=id_,
                caller=caller or "",
                started=_seconds(started),
                outcome=outcome,
                via=via,
                agent=agent,
                legs=legs,
                talk=sum(end - start for start, end in spans),
                exact=not other,
                estimated=bool(guessed),
                recording=state,
                hashed=digest is not None,
            )


def talk_of_cel(file: Path) -> dict[str, float]:
    """Seconds that each call's own channel was in a bridge, by the call's id, which is that channel's (without transfers)."""
    since: dict[str, float] = {}
    total: dict[str, float] = defaultdict(float)
    for kind, at, unique, linked, *_ in _rows(file, 11):
        if unique != linked:
            continue
        if kind == "BRIDGE_ENTER":
            since[unique] = float(at)
        elif kind == "BRIDGE_EXIT" and unique in since:
            total[unique] += float(at) - since.pop(unique)
    return total


def ends_of_cdr(file: Path) -> dict[str, tuple[float, float]]:
    """For each call that reached a phone: when it was answered (by the PBX itself) and over, as its CDRs have it.

    Where a second phone was rung, there is a record of each, the one beginning where the other ended.
    """
    spans: dict[str, tuple[float, float]] = {}
    reached: set[str] = set()
    for linked, _, _, dialled, _, answer, end, _, disposition, *_ in _rows(file, 12):
        if answer and end:
            first, last = spans.get(linked, (inf, 0.0))
            spans[linked] = min(first, float(answer)), max(last, float(end))
            if dialled and disposition == "ANSWERED":
                reached.add(linked)
    return {linked: spans[linked] for linked in reached}


def _hold(
    found: Count,
    name: str,
    call: Sipped,
    booked: Booked,
    bridged: Mapping[str, float],
    billed: Mapping[str, tuple[float, float]],
) -> None:
    """One call in all of its sources."""
    found.talk += booked.talk
    if call.answered is not None and booked.outcome != "answered" and booked.id not in bridged:
        found.unbridged += 1
        return
    if (booked.outcome == "answered") != (call.answered is not None) or booked.agent != call.phone:
        found.wrong_agent.append(f"{name}: {booked.outcome} by {booked.agent} in the books, {call.phone} in SIP")
    if not booked.exact:
        found.inexact.append(name)
    if booked.estimated:
        found.estimated.append(name)
    if call.answered is None:
        return
    if not booked.hashed or booked.recording != "complete":
        found.unhashed.append(f"{name}: {booked.recording}")
    found.waits.append(call.answered - call.called)
    if call.talk is not None:
        found.sip.add(name, booked.talk - call.talk)
    found.cel.add(name, booked.talk - bridged.get(booked.id, 0.0))
    answer, end = billed.get(booked.id, (0.0, 0.0))
    if call.taken is not None:  # the CDR's time is with the wait and the ringing, which SIPp knows
        found.cdr.add(name, booked.talk - (end - answer - (call.answered - call.taken)))


def _sum_up(found: Count, name: str, call: Sipped) -> None:
    if call.answered is not None:
        found.answered += 1
    elif call.refused or call.taken is None:
        found.lost.append(f"{name}: refused" if call.refused else f"{name}: never taken")
    elif call.left is None:
        found.lost.append(f"{name}: still there")
    else:
        found.given_up += 1


def _by_caller(calls: Iterable[Sipped]) -> dict[str, list[Sipped]]:
    grouped: dict[str, list[Sipped]] = defaultdict(list)
    for call in calls:
        grouped[call.caller].append(call)
    return grouped


def _rows(file: Path, columns: int) -> Iterator[list[str]]:
    with file.open(encoding="utf-8", errors="replace", newline="") as lines:
        yield from (row for row in csv.reader(lines) if len(row) >= columns)


def _seconds(stored: str) -> float:
    """A time as the database keeps it."""
    return datetime.fromisoformat(stored).replace(tzinfo=UTC).timestamp()
