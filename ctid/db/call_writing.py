"""How the books take a call: every row of it, or of a call they have already what changed.

Law: written again, a call is the same. What others added stays: ticket links are united, a measured recording stays measured;
and what was erased stays erased, however old the record is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, case, func, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from ctid.db import audits
from ctid.db.call_rows import TICKETS_OF_CALLS, by_key, diversion_row
from ctid.db.session import insert_for, insert_new, instant, maybe_instant, upsert_all
from ctid.db.tables import (
    call_tickets,
    calls,
    decisions,
    legs,
    recording_gaps,
    recording_tickets,
    recordings,
    talks,
    tickets,
)
from ctid.desk.scrubbing import GONE
from ctid.domain.types import CallRecord, RecordingState

#: What the audit calls a pause of a recording.
_PAUSE = "recording_paused"

T = TypeVar("T")

# Made once: making a statement costs more than SQLite takes to carry it out.
_NO_LEGS, _NO_DECISIONS = (
    table.delete().where(tuple_(table.c.pbx, table.c.call_id).in_(bindparam("calls", expanding=True)))
    for table in (legs, decisions)
)
_OF_ERASED, _GONE = (
    select(*key).where(tuple_(*key[:2]).in_(bindparam("calls", expanding=True)), erased)
    for key, erased in (
        ((calls.c.pbx, calls.c.id), calls.c.erased),
        ((legs.c.pbx, legs.c.call_id, legs.c.id), legs.c.party == GONE),
    )
)
_KNOWN_TICKETS = select(tickets.c.id).where(tickets.c.id.in_(bindparam("ids", expanding=True)))


def save(connection: Connection, changes: Sequence[tuple[CallRecord, CallRecord | None]]) -> None:
    """Write the records, each beside what the books have of it by this store's doing."""
    changes = [(record, before if before is not None and _grew(record, before) else None) for record, before in changes]
    connection.execute(_upsert_calls(connection.dialect.name), [_call_row(record) for record, _ in changes])
    changes = _without_erased(connection, changes)  # an erasure waits for these calls' rows now
    whole = [(record.pbx, record.id) for record, before in changes if before is None]
    if whole:
        connection.execute(_NO_LEGS, {"calls": whole})  # they take their talks along
        connection.execute(_NO_DECISIONS, {"calls": whole})
    for table, rows_of in ((legs, _leg_rows), (talks, _talk_rows), (decisions, _decision_rows)):
        if rows := [row for record, before in changes for row in rows_of(record, before)]:
            connection.execute(upsert_all(connection, table), rows)
    linked = [
        record
        for record, before in changes
        if before is None or (before.ticket_ids, before.recordings) != (record.ticket_ids, record.recordings)
    ]
    if any(record.ticket_ids or record.recordings for record in linked):
        _put_recordings(connection, linked)
        _unite_links(connection, linked)


@cache
def _upsert_calls(dialect: str) -> postgresql.Insert | sqlite.Insert:
    statement = insert_for(dialect, calls)
    kept = (calls.c.contact_id, calls.c.caller, calls.c.caller_name, calls.c.dialled)
    changed = {
        column.name: case((calls.c.erased, column), else_=statement.excluded[column.name])
        if column in kept
        else statement.excluded[column.name]
        for column in calls.columns
        if not column.primary_key and column is not calls.c.erased
    }
    return statement.on_conflict_do_update(index_elements=[calls.c.pbx, calls.c.id], set_=changed)


def _without_erased(
    connection: Connection, changes: Sequence[tuple[CallRecord, CallRecord | None]]
) -> Sequence[tuple[CallRecord, CallRecord | None]]:
    """The changes without the numbers that were erased: those rung in a call of theirs, and theirs in any other."""
    rung = [(record.pbx, record.id) for record, _ in changes if any(leg.agent is None for leg in record.legs)]
    if not rung:
        return changes
    theirs = {tuple(row) for row in connection.execute(_OF_ERASED, {"calls": rung})}
    gone = {tuple(row) for row in connection.execute(_GONE, {"calls": rung})}
    if not theirs and not gone:
        return changes

    def scrubbed(record: CallRecord) -> CallRecord:
        key = (record.pbx, record.id)
        return replace(
            record,
            legs=tuple(
                replace(leg, party=GONE) if leg.agent is None and (key in theirs or (*key, leg.id) in gone) else leg
                for leg in record.legs
            ),
        )

    return [(scrubbed(record), before) for record, before in changes]


def _grew(record: CallRecord, before: CallRecord) -> bool:
    """Whether nothing that was there is gone."""
    legs_now = {leg.id for leg in record.legs}
    return len(before.decisions) <= len(record.decisions) and all(leg.id in legs_now for leg in before.legs)


def _put_recordings(connection: Connection, records: Sequence[CallRecord]) -> None:
    rows = [
        {
            "pbx": record.pbx,
            "id": recording.id,
            "call_id": record.id,
            "path": recording.path,
            "state": recording.state.value,
            "seconds": recording.seconds,
            "sha256": recording.sha256,
        }
        for record in records
        for recording in record.recordings
    ]
    if rows:
        connection.execute(_upsert_recordings(connection.dialect.name), rows)
    gaps = [
        {
            "pbx": record.pbx,
            "recording_id": recording.id,
            "position": position,
            "started_at": instant(gap.started_at),
            "until": instant(gap.until),
            "ended_at": maybe_instant(gap.ended_at),
            "agent": gap.agent,
            "by_name": gap.by,
            "ended": gap.ended.value if gap.ended is not None else None,
            "cut": gap.cut,
        }
        for record in records
        for recording in record.recordings
        for position, gap in enumerate(recording.gaps)
    ]
    if gaps:
        _tell_audit(connection, records)
        connection.execute(upsert_all(connection, recording_gaps), gaps)


def _tell_audit(connection: Connection, records: Sequence[CallRecord]) -> None:
    """A row for each pause that the books do not have yet: what is not recorded was somebody's doing."""
    paused = [(record, recording) for record in records for recording in record.recordings if recording.gaps]
    keys = [(record.pbx, recording.id) for record, recording in paused]
    had = {
        (row.pbx, row.recording_id, row.position)
        for row in connection.execute(
            select(recording_gaps).where(tuple_(recording_gaps.c.pbx, recording_gaps.c.recording_id).in_(keys))
        )
    }
    for record, recording in paused:
        for position, gap in enumerate(recording.gaps):
            if (record.pbx, recording.id, position) not in had:
                audits.note(
                    connection,
                    _PAUSE,
                    recording.id,
                    audits.Actor(at=gap.started_at, user_name=gap.by or gap.agent, agent=gap.agent),
                    {"agent": (None, gap.agent)} if gap.agent is not None else None,
                    context={"pbx": record.pbx, "call": record.id, "tickets": list(record.ticket_ids)},
                )


@cache
def _upsert_recordings(dialect: str) -> postgresql.Insert | sqlite.Insert:
    statement = insert_for(dialect, recordings)
    new = statement.excluded
    # A measured file is a fact: a record from before the measurement changes nothing but whose the recording is. What was
    # erased stays so, whatever an older record says.
    began = or_(new.state == RecordingState.RECORDING.value, recordings.c.state == RecordingState.ERASED.value)
    return statement.on_conflict_do_update(
        index_elements=[recordings.c.pbx, recordings.c.id],
        set_={
            "call_id": new.call_id,
            "path": case((began, recordings.c.path), else_=new.path),
            "state": case((began, recordings.c.state), else_=new.state),
            "seconds": func.coalesce(new.seconds, recordings.c.seconds),
            "sha256": func.coalesce(new.sha256, recordings.c.sha256),
        },
    )


def _unite_links(connection: Connection, records: Sequence[CallRecord]) -> None:
    named = {ticket for record in records for ticket in record.ticket_ids}
    named |= {ticket for record in records for recording in record.recordings for ticket in recording.ticket_ids}
    known = set(connection.scalars(_KNOWN_TICKETS, {"ids": list(named)})) if named else set[str]()
    links = [
        {"pbx": record.pbx, "call_id": record.id, "ticket_id": ticket, "linked_at": instant(record.started_at)}
        for record in records
        for ticket in record.ticket_ids
        if ticket in known
    ]
    if links:
        connection.execute(insert_new(connection, call_tickets), links)
    recorded = [(record.pbx, record.id) for record in records if record.recordings]
    if not recorded:
        return
    # What the call is linked to, its recordings are: the link may have come before the recording.
    of_calls = by_key(connection.execute(TICKETS_OF_CALLS, {"keys": recorded}))
    links = [
        {"pbx": record.pbx, "recording_id": recording.id, "ticket_id": ticket, "linked_at": instant(record.started_at)}
        for record in records
        for recording in record.recordings
        for ticket in {*(known & set(recording.ticket_ids)), *of_calls[record.pbx, record.id]}
    ]
    if links:
        connection.execute(insert_new(connection, recording_tickets), links)


def _call_row(record: CallRecord) -> dict[str, Any]:
    return {
        "pbx": record.pbx,
        "id": record.id,
        "direction": record.direction.value,
        "caller": record.caller,
        "caller_name": record.caller_name,
        "dialled": record.dialled,
        "line": record.line,
        "contact_id": record.contact_id,
        "customer_id": record.customer_id,
        "started_at": instant(record.started_at),
        "answered_at": maybe_instant(record.answered_at),
        "ended_at": maybe_instant(record.ended_at),
        "outcome": record.outcome.value if record.outcome else None,
        "via": record.via.value,
        "merged_into": record.merged_into,
        "agent": record.agent,
        "owner": record.owner,
        "callback": record.callback,
        "consent": record.consent.value if record.consent is not None else None,
        "diversions": [diversion_row(d) for d in record.diversions],
    }


def _leg_rows(record: CallRecord, before: CallRecord | None) -> list[dict[str, Any]]:
    return [
        {
            "pbx": record.pbx,
            "call_id": record.id,
            "id": leg.id,
            "position": position,
            "agent": leg.agent,
            "party": leg.party,
            "offered_at": instant(leg.offered_at),
            "answered_at": maybe_instant(leg.answered_at),
            "ended_at": maybe_instant(leg.ended_at),
            "hold_seconds": leg.hold_seconds,
            "result": leg.result.value if leg.result else None,
            "certainty": leg.certainty.value,
        }
        for position, leg in _changed(record.legs, before.legs if before else ())
    ]


def _talk_rows(record: CallRecord, before: CallRecord | None) -> list[dict[str, Any]]:
    return [
        {
            "pbx": record.pbx,
            "call_id": record.id,
            "leg_id": leg.id,
            "position": position,
            "agent": leg.agent,
            "started_at": instant(talk.started_at),
            "ended_at": maybe_instant(talk.ended_at),
            "customer": talk.customer,
            "certainty": talk.certainty.value,
        }
        for _, leg in _changed(record.legs, before.legs if before else ())
        for position, talk in enumerate(leg.talks)
    ]


def _decision_rows(record: CallRecord, before: CallRecord | None) -> list[dict[str, Any]]:
    return [
        {
            "pbx": record.pbx,
            "call_id": record.id,
            "position": position,
            "at": instant(decision.at),
            "rule": decision.rule.value,
            "chosen": decision.chosen,
            "owner": decision.owner,
            "owner_ticket": decision.owner_ticket,
            "owner_skipped": decision.owner_skipped.value if decision.owner_skipped else None,
            "considered": [[c.agent, c.talk_seconds, c.idle_since, c.talk_share] for c in decision.considered],
            "skipped": [[reason.value, count] for reason, count in decision.skipped],
        }
        for position, decision in _changed(record.decisions, before.decisions if before else ())
    ]


def _changed(now: Sequence[T], before: Sequence[T]) -> Iterator[tuple[int, T]]:
    """What of ``now`` is not the same in the same place of ``before``, each with its place."""
    for place, one in enumerate(now):
        if place >= len(before) or before[place] != one:
            yield place, one
