"""What AMI did not show, from the CEL file Asterisk writes by itself (``cel_custom``, shipped in ``dialplan/``).

Law: rows become the same typed events that AMI's messages become, and go through a tracker of their own; only what happened
within the gap comes out, marked as backfilled. A row that can't be read is left out; a file that can't be read is said once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from math import inf
from pathlib import Path

import msgspec
from msgspec.structs import replace as replace_row

from ctid.asterisk import messages as pbx
from ctid.asterisk.csvlog import cells
from ctid.asterisk.tracker import Tracker
from ctid.domain.events import CallEnded, CallEntered, Event, LegAnswered, LegEnded
from ctid.domain.types import CallId, Certainty, Consent, LegResult

#: A call that began longer ago, in seconds, is not pieced together.
LONGEST_CALL = 4 * 3600.0
#: CEL's times and AMI's differ by what Asterisk and the network take; telling something again changes nothing.
SLACK = 1.0
#: The cause of a leg that Asterisk itself took back, and how near to it, in seconds, the reason for that stands.
_TAKEN_BACK, _NEAR = 0, 1.0
_COLUMNS = 11
#: So long, in seconds, an end is waited for that CEL may not have written yet, and so often looked for.
_LATE, _AGAIN = 0.4, 0.1
_ENDS = frozenset(["BRIDGE_EXIT", "HANGUP", "CHAN_END"])


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


def rows(file: Path, since: float, *, stepped: float = 0.0) -> Iterator[CelRow | None]:
    """The rows from ``since`` on, a few older ones before them, ``None`` for each line that can't be read.

    The PBX's clock was set ``stepped`` seconds forward before they were written, which is taken off again. Goes back
    through ``FILE.1``, ``FILE.2`` and so on, as logrotate names them, as far as it must. Raises ``OSError``.
    """
    for cell in cells(file, _COLUMNS, since + stepped, time_column=1):
        row = _row(cell) if cell is not None else None
        yield replace_row(row, at=row.at - stepped) if row is not None and stepped else row


async def happened(
    file: Path,
    *,
    scene: float,
    since: float,
    until: float,
    there: AbstractSet[str],
    now: Callable[[], float],
    stepped: float = 0.0,
) -> list[Event]:
    """What `told_as_events` tells of the time from ``since`` to ``until``, when the PBX had the channels ``there``.

    Read from ``scene`` on, in a thread; ``now`` is the PBX's clock, ``stepped`` as for `rows`. CEL is written a moment late,
    later under load: a channel that is there no more has an end to come, which is waited for. Not for long: the PBX may have
    died under it. Raises ``OSError``.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LATE
    while True:
        going: set[str] = set()
        read = _going(rows(file, scene, stepped=stepped), until, going)
        events = await asyncio.to_thread(told_as_events, read, since, until, ends_until=now())
        if going <= there or loop.time() >= deadline:
            return events
        await asyncio.sleep(_AGAIN)


def _going(rows: Iterable[CelRow | None], until: float, going: set[str]) -> Iterator[CelRow | None]:
    """The rows; in the end ``going`` has the channels that began up to ``until`` and have no end."""
    for row in rows:
        if row is not None and row.kind == "CHAN_START" and row.at <= until:
            going.add(row.uniqueid)
        elif row is not None and row.kind == "CHAN_END":
            going.discard(row.uniqueid)
        yield row


def told_as_events(rows: Iterable[CelRow | None], since: float, until: float, ends_until: float = 0.0) -> list[Event]:
    """What happened after ``since`` and up to ``until``; what came before only sets the scene.

    But how calls under way came in is told again: the books lack the file of one that nobody had answered yet. Ends are told up
    to ``ends_until``, where that is later: CEL writes things down some milliseconds after they happened, and what a snapshot of
    ``until`` no longer has must not end as unseen.
    """
    tracker = Tracker()
    out: list[Event] = []
    causes: dict[str, int] = {}
    entered: dict[CallId, CallEntered] = {}
    for row in rows:
        if row is None or row.at > (max(until, ends_until) if row.kind in _ENDS else until):
            continue
        for told in told_by(row, causes):
            happened = tracker.feed(told)
            if row.at > since:
                out += [replace(event, certainty=Certainty.BACKFILLED) for event in happened]
            else:
                _set(entered, happened)
    return [*(replace(event, certainty=Certainty.BACKFILLED) for event in entered.values()), *_unanswered(out)]


def _set(entered: dict[CallId, CallEntered], happened: Iterable[Event]) -> None:
    """Remember how the calls under way came in."""
    for event in happened:
        match event:
            case CallEntered(call_id=call):
                entered[call] = event
            case CallEnded(call_id=call):
                entered.pop(call, None)


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
        case "CtidConsent" if said in tuple(Consent):
            yield pbx.ConsentSaid(at=row.at, uniqueid=row.uniqueid, consent=Consent(said))
        case "CtidPause":
            yield pbx.PauseSeen(at=row.at, uniqueid=row.uniqueid, since=row.at, cut=True)
        case "CtidResume":
            yield pbx.PauseSeen(at=row.at, uniqueid=row.uniqueid)
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
