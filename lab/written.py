"""What Asterisk itself wrote of its calls: channels and who was in conversation out of CEL, records out of CDR.

Law: read here by the lab's own few lines, not by ctid's, so that the two can be held against each other. A channel of which no
end was written is one that died with the PBX.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

Span = tuple[float, float]


@dataclass(slots=True, kw_only=True)
class Channel:
    """One channel as CEL tells it: ``call`` is the first linkedid it had, ``talks`` when it was bridged with others.

    ``said`` is what the dialplan wrote for it (CtidStart and others), each with its words.
    """

    uniqueid: str
    call: str
    name: str
    caller: str
    began_at: float
    ended_at: float | None = None
    answered: bool = False
    talks: list[Span] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)

    @property
    def party(self) -> str:
        """Its endpoint."""
        return self.name.partition("/")[2].rpartition("-")[0]

    @property
    def technology(self) -> str:
        return self.name.partition("/")[0]

    @property
    def talked(self) -> float:
        return sum(end - begin for begin, end in self.talks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One CDR record: two channels, from start to end, and whether the one who was dialled answered."""

    call: str
    channel: str
    dialled: str
    began_at: float
    ended_at: float
    answered: bool


def read_cel(file: Path, cuts: Iterable[Span] = ()) -> dict[str, Channel]:
    """Every channel by its uniqueid. At the begin of each of ``cuts`` the PBX died: what it did not end then ended."""
    channels: dict[str, Channel] = {}
    bridges: defaultdict[str, set[str]] = defaultdict(set)
    since: dict[str, float] = {}
    deaths = sorted(cuts)

    def settle(bridge: str, at: float) -> None:
        together = len(bridges[bridge]) > 1
        for uniqueid in bridges[bridge]:
            if together:
                since.setdefault(uniqueid, at)
            else:
                stop(uniqueid, at)

    def stop(uniqueid: str, at: float) -> None:
        began = since.pop(uniqueid, None)
        if began is not None and uniqueid in channels:
            channels[uniqueid].talks.append((began, at))

    for row in csv.reader(_lines(file)):
        kind, at, uniqueid, linkedid, name, _, _, _, extra, caller, *_ = row
        moment = float(at)
        while deaths and moment > deaths[0][1]:
            death = deaths.pop(0)[0]
            for talking in list(since):
                stop(talking, death)
            bridges.clear()
        if kind == "CHAN_START":
            channels[uniqueid] = Channel(uniqueid=uniqueid, call=linkedid, name=name, caller=caller, began_at=moment)
        channel = channels.get(uniqueid)
        if channel is None:
            continue
        told = json.loads(extra) if extra else {}
        bridge = str(told.get("bridge_id", ""))
        if kind == "ANSWER":
            channel.answered = True
        elif kind == "BRIDGE_ENTER":
            bridges[bridge].add(uniqueid)
            settle(bridge, moment)
        elif kind == "BRIDGE_EXIT":
            bridges[bridge].discard(uniqueid)
            stop(uniqueid, moment)
            settle(bridge, moment)
        elif kind == "CHAN_END":
            stop(uniqueid, moment)
            channel.ended_at = moment
        elif kind.startswith("Ctid"):
            channel.said[kind] = str(told.get("extra", ""))
    for death, _ in deaths[:1]:
        for talking in list(since):
            stop(talking, death)
    return channels


def covered(spans: Iterable[Span]) -> float:
    """Seconds that the spans cover, overlaps once."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def read_cdr(file: Path) -> list[Record]:
    """Every record, in the order they were written."""
    return [
        Record(
            call=row[0],
            channel=row[1],
            dialled=row[3],
            began_at=float(row[4]),
            ended_at=float(row[6]),
            answered=bool(row[3]) and row[8] == "ANSWERED",
        )
        for row in csv.reader(_lines(file))
    ]


def _lines(file: Path) -> Iterable[str]:
    if file.exists():
        with file.open(encoding="utf-8", errors="replace") as lines:
            yield from lines
