"""What AMI did not show, from the CEL file Asterisk writes by itself (``cel_custom``, shipped in ``dialplan/``).

Law: rows become the same typed events that AMI's messages become, and go through a tracker of their own; only what happened
within the gap comes out, marked as backfilled. A row that can't be read is left out; a file that can't be read is said once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import inf
from pathlib import Path

import msgspec

from ctid.asterisk import messages as pbx
from ctid.asterisk.csvlog import cells
from ctid.asterisk.tracker import Tracker
from ctid.domain.events import CallEnded, Event, LegAnswered, LegEnded
from ctid.domain.types import CallId, Certainty, LegResult

#: A call that began longer ago, in seconds, is not pieced together.
LONGEST_CALL = 4 * 3600.0
#: CEL's times and AMI's differ by what Asterisk and the network take; telling something again changes nothing.
SLACK = 1.0
#: The cause of a leg that Asterisk itself took back, and how near to it, in seconds, the reason for that stands.
_TAKEN_BACK, _NEAR = 0, 1.0
_COLUMNS = 11


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


def rows(file: Path, since: float) -> Iterator[CelRow | None]:
    """The rows from ``since`` on, a few older ones before them, ``None`` for each line that can't be read.

    Goes back through ``FILE.1``, ``FILE.2`` and so on, as logrotate names them, as far as it must. Raises ``OSError``.
    """
    for row in cells(file, _COLUMNS, since, time_column=1):
        yield _row(row) if row is not None else None


def told_as_events(rows: Iterable[CelRow | None], since: float, until: float) -> list[Event]:
    """What happened after ``since`` and up to ``until``; what came before only sets the scene."""
    tracker = Tracker()
    out: list[Event] = []
    causes: dict[str, int] = {}
    for row in rows:
        if row is None or row.at > until:
            continue
        for told in told_by(row, causes):
            happened = tracker.feed(told)
            if row.at > since:
                out += [replace(event, certainty=Certainty.BACKFILLED) for event in happened]
    return list(_unanswered(out))


def _unanswered(events: list[Event]) -> Iterator[Event]:
    """CEL does not tell a phone that rang too long from one that was let go because the caller, or a colleague, ended it."""
    ended_by: dict[CallId, list[float]] = {}
    for event in events:
        if isinstance(event, LegAnswered | CallEnded):
            ended_by.setdefault(event.call_id, []).append(event.at)
    for event in events:
        if isinstance(event, LegEnded) and event.result is LegResult.CANCELLED:
            near = (abs(at - event.at) < _NEAR for at in ended_by.get(event.call_id, ()))
            yield event if any(near) else replace(event, result=LegResult.NO_ANSWER)
        else:
            yield event


def told_by(row: CelRow, causes: dict[str, int]) -> Iterator[pbx.PbxEvent]:
    """The row as AMI would have told it; ``causes`` keeps each hangup's cause until the channel ends."""
    match row.kind:
        case "HANGUP":
            cause = _extra(row).get("hangupcause")
            causes[row.uniqueid] = cause if isinstance(cause, int) else _TAKEN_BACK
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
            yield pbx.ChannelHungUp(at=row.at, uniqueid=row.uniqueid, cause=causes.pop(row.uniqueid, _TAKEN_BACK))
        case _:
            yield from _said_by_dialplan(row)


def _said_by_dialplan(row: CelRow) -> Iterator[pbx.PbxEvent]:
    said = str(_extra(row).get("extra", ""))
    match row.kind:
        case "CtidStart":
            direction, dialled, file = [*said.split("|"), "", ""][:3]
            yield pbx.CallEnteredCtid(
                at=row.at,
                uniqueid=row.uniqueid,
                outbound=direction == "outbound",
                dialled=dialled or None,
                file=file or None,
            )
            if direction == "outbound" and dialled:  # CEL shows no dial: the party is the number, not the trunk
                yield pbx.DialBegan(at=row.at, caller_id=None, dest_id=row.uniqueid, dial_string=f"{dialled}@")
        case "CtidOverflow":
            yield pbx.CallerOverflowed(at=row.at, uniqueid=row.uniqueid, to=said or None)
        case "CtidFailsafe":
            yield pbx.CallerInFailsafe(at=row.at, uniqueid=row.uniqueid)
        case "CtidAlone":
            yield pbx.CodeObeyed(at=row.at, channel=row.channel, command=str(_extra(row).get("extra", "")))


def _row(cells: list[str]) -> CelRow | None:
    kind, at, *rest = cells
    try:
        row = CelRow(kind, float(at), *rest)
    except ValueError:
        return None
    return row if 0 < row.at < inf else None


def _bridge(row: CelRow) -> str | None:
    bridge = _extra(row).get("bridge_id")
    return bridge if isinstance(bridge, str) else None


def _extra(row: CelRow) -> dict[str, object]:
    try:
        extra = json.loads(row.extra)
    except ValueError:
        return {}
    return extra if isinstance(extra, dict) else {}
