"""How the books give a call back: rows of eight tables as one value.

Law: what was saved is what is read, and whatever older versions wrote is read too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, bindparam, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ctid.db.session import maybe_seconds, seconds
from ctid.db.tables import call_tickets, decisions, legs, recording_gaps, recording_tickets, recordings, talks
from ctid.domain.announcing import Stay
from ctid.domain.types import (
    CallRecord,
    Candidate,
    Certainty,
    Consent,
    Decision,
    Direction,
    Diversion,
    Gap,
    GapEnd,
    LegRecord,
    LegResult,
    Outcome,
    RecordingRecord,
    RecordingState,
    Rule,
    Skip,
    Talk,
    Via,
)


async def whole(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[CallRecord]:
    """The calls of these rows of ``calls``, at most ``CHUNK``, in their order, with all that belongs to them."""
    keys = [(row.pbx, row.id) for row in rows]

    async def parts(table: Table, *order: ColumnElement[Any]) -> list[Row[Any]]:
        of_calls = tuple_(table.c.pbx, table.c.call_id).in_(keys)
        return list((await connection.execute(select(table).where(of_calls).order_by(*order))).all())

    talks_of: dict[tuple[str, str, str], list[Talk]] = defaultdict(list)
    for row in await parts(talks, talks.c.position):
        talks_of[row.pbx, row.call_id, row.leg_id].append(_talk(row))
    legs_of: dict[tuple[str, str], list[LegRecord]] = defaultdict(list)
    for row in await parts(legs, legs.c.position):
        legs_of[row.pbx, row.call_id].append(_leg(row, talks_of[row.pbx, row.call_id, row.id]))
    decisions_of: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    for row in await parts(decisions, decisions.c.position):
        decisions_of[row.pbx, row.call_id].append(_decision(row))
    files = await parts(recordings, recordings.c.id)
    file_keys = [(row.pbx, row.id) for row in files]
    tickets_of_files = by_key(await connection.execute(_TICKETS_OF_RECORDINGS, {"keys": file_keys}))
    gaps_of: dict[tuple[str, str], list[Gap]] = defaultdict(list)
    of_files = tuple_(recording_gaps.c.pbx, recording_gaps.c.recording_id).in_(file_keys)
    for row in await connection.execute(select(recording_gaps).where(of_files).order_by(recording_gaps.c.position)):
        gaps_of[row.pbx, row.recording_id].append(_gap(row))
    recordings_of: dict[tuple[str, str], list[RecordingRecord]] = defaultdict(list)
    for row in files:
        key = row.pbx, row.id
        recordings_of[row.pbx, row.call_id].append(_recording(row, tickets_of_files[key], gaps_of[key]))
    tickets_of = by_key(await connection.execute(TICKETS_OF_CALLS, {"keys": keys}))
    return [
        CallRecord(
            id=row.id,
            pbx=row.pbx,
            direction=Direction(row.direction),
            caller=row.caller,
            caller_name=row.caller_name,
            dialled=row.dialled,
            line=row.line,
            contact_id=row.contact_id,
            customer_id=row.customer_id,
            started_at=seconds(row.started_at),
            answered_at=maybe_seconds(row.answered_at),
            ended_at=maybe_seconds(row.ended_at),
            outcome=Outcome(row.outcome) if row.outcome else None,
            via=Via(row.via),
            merged_into=row.merged_into,
            agent=row.agent,
            owner=row.owner,
            callback=row.callback,
            consent=Consent(row.consent) if row.consent else None,
            ticket_ids=tuple(tickets_of[key]),
            legs=tuple(legs_of[key]),
            recordings=tuple(recordings_of[key]),
            decisions=tuple(decisions_of[key]),
            diversions=tuple(_diversion(written) for written in row.diversions),
        )
        for row, key in zip(rows, keys, strict=True)
    ]


def diversion_row(diversion: Diversion) -> list[Any]:
    """Four values, as ever; where a supervisor did it a fifth, by whom."""
    if diversion.reason is not None:
        return [diversion.at, diversion.line, diversion.reason.value, diversion.to]
    return [diversion.at, diversion.line, None, diversion.to, diversion.by]


def _diversion(written: Sequence[Any]) -> Diversion:
    at, line, reason, to, *by = written
    return Diversion(at=at, line=line, reason=Outcome(reason) if reason else None, to=to, by=by[0] if by else None)


def _links_of(links: Table, key: str) -> Select[Any]:
    of = tuple_(links.c.pbx, links.c[key]).in_(bindparam("keys", expanding=True))
    return (
        select(links.c.pbx, links.c[key], links.c.ticket_id)
        .where(of, links.c.removed_at.is_(None))
        .order_by(links.c.linked_at, links.c.ticket_id)
    )


TICKETS_OF_CALLS = _links_of(call_tickets, "call_id")
_TICKETS_OF_RECORDINGS = _links_of(recording_tickets, "recording_id")


def by_key(rows: Iterable[Any]) -> dict[tuple[str, str], list[str]]:
    """The ticket ids of each (pbx, call or recording), in the order they were linked."""
    of: dict[tuple[str, str], list[str]] = defaultdict(list)
    for pbx, key, ticket in rows:
        of[pbx, key].append(ticket)
    return of


def stay(row: Row[Any]) -> Stay:
    """On the line they are, or were last, on. What an overflow answered was no agent's answer."""
    came = max(
        [seconds(row.started_at), *(d.at for d in map(_diversion, row.diversions) if d.to == f"line-{row.line}")]
    )
    by_agent = row.agent is not None and row.outcome not in (Outcome.OVERFLOW.value, Outcome.CLOSED.value)
    return Stay(
        line=row.line,
        arrived_at=came,
        offered_at=maybe_seconds(row.offered_at),
        answered_at=maybe_seconds(row.answered_at) if by_agent else None,
        ended_at=maybe_seconds(row.ended_at),
    )


def _talk(row: Row[Any]) -> Talk:
    return Talk(
        started_at=seconds(row.started_at),
        ended_at=maybe_seconds(row.ended_at),
        customer=row.customer,
        certainty=Certainty(row.certainty),
    )


def _leg(row: Row[Any], of_leg: list[Talk]) -> LegRecord:
    return LegRecord(
        id=row.id,
        agent=row.agent,
        party=row.party,
        offered_at=seconds(row.offered_at),
        answered_at=maybe_seconds(row.answered_at),
        ended_at=maybe_seconds(row.ended_at),
        hold_seconds=row.hold_seconds,
        result=LegResult(row.result) if row.result else None,
        talks=tuple(of_leg),
        certainty=Certainty(row.certainty),
    )


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        at=seconds(row.at),
        rule=Rule(row.rule),
        chosen=row.chosen,
        owner=row.owner,
        owner_ticket=row.owner_ticket,
        owner_skipped=Skip(row.owner_skipped) if row.owner_skipped else None,
        considered=tuple(
            Candidate(agent=agent, talk_seconds=talk_seconds, idle_since=idle_since, talk_share=next(iter(share), None))
            for agent, talk_seconds, idle_since, *share in row.considered  # those of ctid 0.1 have no share
        ),
        skipped=tuple((Skip(reason), count) for reason, count in row.skipped),
    )


def _gap(row: Row[Any]) -> Gap:
    return Gap(
        started_at=seconds(row.started_at),
        until=seconds(row.until),
        ended_at=maybe_seconds(row.ended_at),
        agent=row.agent,
        by=row.by_name,
        ended=GapEnd(row.ended) if row.ended else None,
        cut=row.cut,
    )


def _recording(row: Row[Any], ticket_ids: list[str], gaps: list[Gap]) -> RecordingRecord:
    return RecordingRecord(
        id=row.id,
        path=row.path,
        state=RecordingState(row.state),
        seconds=row.seconds,
        sha256=row.sha256,
        ticket_ids=tuple(ticket_ids),
        gaps=tuple(gaps),
    )
