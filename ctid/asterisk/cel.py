"""What AMI did not show, from the CEL file Asterisk writes by itself (``cel_custom``, shipped in ``dialplan/``).

Law: rows become the same typed events that AMI's messages become, and go through a tracker of their own; only what happened
within the gap comes out, marked as backfilled. A row that can't be read is left out; a file that can't be read is said once.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from ctid.asterisk import messages as pbx
from ctid.asterisk.tracker import Tracker
from ctid.domain.events import Event
from ctid.domain.types import Certainty

#: No more of the file's end than this is looked at: some 100,000 calls.
MOST_BYTES = 128 * 1024 * 1024
#: A call that began longer ago, in seconds, is not pieced together.
LONGEST_CALL = 4 * 3600.0
COLUMNS = 11
_BLOCK = 1024 * 1024
_CELL = r'"(?:[^"]|"")*"'
_ROW = re.compile(rf"{_CELL}(?:,{_CELL}){{{COLUMNS - 1}}}\r?")


class CelRow(msgspec.Struct, frozen=True, gc=False):
    """One row, in the order of ``cel_custom.conf.sample``; ``at`` in Unix seconds by the PBX's clock."""

    kind: str
    at: float
    uniqueid: str
    linkedid: str
    channel: str
    peer: str
    exten: str
    context: str
    extra: str
    caller: str
    caller_name: str


def read(file: Path, since: float) -> list[CelRow]:
    """The rows of every call that was alive at ``since`` or later, whole as far as the file has them, in its order.

    Raises ``OSError`` for a file that can't be read.
    """
    rows = [row for line in _tail(file, since - LONGEST_CALL) if (row := _row(line)) is not None]
    rotated = file.with_name(f"{file.name}.1")
    if (not rows or rows[0].at > since) and rotated.exists():  # moved away meanwhile, as logrotate does
        rows = [row for line in _tail(rotated, since - LONGEST_CALL) if (row := _row(line)) is not None] + rows
    alive = {row.linkedid for row in rows if row.at >= since}
    return [row for row in rows if row.linkedid in alive]


def told_as_events(rows: Iterable[CelRow], since: float, until: float) -> list[Event]:
    """What happened after ``since`` and up to ``until``; what came before only sets the scene."""
    tracker = Tracker()
    out: list[Event] = []
    causes: dict[str, int] = {}
    for row in rows:
        if row.at > until:
            break
        if row.kind == "HANGUP":
            cause = _extra(row).get("hangupcause")
            causes[row.uniqueid] = cause if isinstance(cause, int) else 0
        for told in _told(row, causes):
            happened = tracker.feed(told)
            if row.at > since:
                out += [replace(event, certainty=Certainty.BACKFILLED) for event in happened]
    return out


def _told(row: CelRow, causes: dict[str, int]) -> Iterator[pbx.PbxEvent]:
    match row.kind:
        case "CHAN_START":
            yield pbx.ChannelSeen(
                at=row.at,
                channel=row.channel,
                uniqueid=row.uniqueid,
                linkedid=row.linkedid,
                state="Down",
                caller=pbx.party(row.caller or None),
                caller_name=pbx.party(row.caller_name or None),
                exten=row.exten or None,
            )
        case "ANSWER":
            yield pbx.ChannelStateChanged(at=row.at, uniqueid=row.uniqueid, linkedid=row.linkedid, state="Up")
        case "BRIDGE_ENTER" if bridge := _bridge(row):
            yield pbx.BridgeEntered(at=row.at, bridge=bridge, uniqueid=row.uniqueid)
        case "BRIDGE_EXIT" if bridge := _bridge(row):
            yield pbx.BridgeLeft(at=row.at, bridge=bridge, uniqueid=row.uniqueid)
        case "CHAN_END":
            yield pbx.ChannelHungUp(at=row.at, uniqueid=row.uniqueid, cause=causes.pop(row.uniqueid, 0))
        case "CtidStart":
            direction, dialled, file = [*str(_extra(row).get("extra", "")).split("|"), "", ""][:3]
            yield pbx.CallEnteredCtid(
                at=row.at,
                uniqueid=row.uniqueid,
                outbound=direction == "outbound",
                dialled=dialled or None,
                file=file or None,
            )
        case "CtidFailsafe":
            yield pbx.CallerInFailsafe(at=row.at, uniqueid=row.uniqueid)


def _tail(file: Path, since: float) -> list[str]:
    """The file's last lines, from one before ``since`` on; read from the end, for the file may hold months."""
    with file.open("rb") as stream:
        position = stream.seek(0, 2)
        oldest = max(0, position - MOST_BYTES)
        text = b""
        while position > oldest:
            step = min(_BLOCK, position - oldest)
            position -= step
            stream.seek(position)
            text = stream.read(step) + text
            first = _row(text[text.find(b"\n") + 1 :].split(b"\n", 1)[0].decode("utf-8", "replace"))
            if first is not None and first.at < since:
                break
    lines = text.decode("utf-8", "replace").split("\n")
    return lines[1:] if position else lines  # the first is cut


def _row(line: str) -> CelRow | None:
    # Only a whole row of quoted cells: a line break in a caller's number leaves halves, and what stands between them.
    if _ROW.fullmatch(line) is None:
        return None
    try:
        cells = next(csv.reader([line]))
    except csv.Error:
        return None
    kind, at, *rest = cells
    try:
        return CelRow(kind, float(at), *rest)
    except ValueError:
        return None


def _bridge(row: CelRow) -> str | None:
    bridge = _extra(row).get("bridge_id")
    return bridge if isinstance(bridge, str) else None


def _extra(row: CelRow) -> dict[str, object]:
    try:
        extra = json.loads(row.extra)
    except ValueError:
        return {}
    return extra if isinstance(extra, dict) else {}
