"""The books on calls: saved whole, as often as they change, and read back as the same values.

Law: saving is idempotent and takes nothing away that others added: ticket links are united, a closed recording stays
closed. Nor does it bring back what was erased, however old the record is: whose a call was, the numbers rung in it, its
recordings. Only the daemon saves; everyone reads. Of a call under way that this store has saved before, only what changed
since is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ctid.db import audits
from ctid.db.session import (
    CHUNK,
    Engine,
    insert_for,
    insert_new,
    instant,
    maybe_instant,
    maybe_seconds,
    reading,
    seconds,
    upsert_all,
    write,
)
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
from ctid.domain.announcing import Stay
from ctid.domain.types import (
    AgentId,
    CallId,
    CallRecord,
    Candidate,
    Certainty,
    Consent,
    Decision,
    Direction,
    Diversion,
    Gap,
    GapEnd,
    LegId,
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

#: What the audit calls a pause of a recording.
PAUSE = "recording_paused"

T = TypeVar("T")
#: A call's pbx and id.
_Key = tuple[str, CallId]


class NoSuchCall(LookupError):  # noqa: N818 - it is an answer
    """One line that says which call was not found, or which several were."""


class SeveralCalls(NoSuchCall):
    """More than one call is meant; ``calls`` holds the newest of them."""

    def __init__(self, said: str, found: Sequence[CallRecord]) -> None:
        self.calls = tuple(found)
        several = ", ".join(f"{call.pbx}/{call.id}" for call in found)
        super().__init__(f"several calls begin with {said}: {several}; name one of them")


class Calls:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._saved: dict[_Key, CallRecord] = {}  # calls under way, as the books have them by this store's doing

    async def save(self, records: Iterable[CallRecord]) -> None:
        """Write the calls whole, in transactions of at most ``CHUNK``; of one call's records the last counts."""
        newest = list({(record.pbx, record.id): record for record in records}.values())
        for start in range(0, len(newest), CHUNK):
            records_of_chunk = newest[start : start + CHUNK]
            changes = [(record, self._saved.pop((record.pbx, record.id), None)) for record in records_of_chunk]
            # Should it fail, they are forgotten: the next try then writes them whole.
            await write(self._engine, partial(_save, changes=changes))
            self._saved.update({(r.pbx, r.id): r for r in records_of_chunk if r.ended_at is None})

    async def load(
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        agent: AgentId | None = None,
        contact_id: str | None = None,
        customer_id: str | None = None,
        ticket_id: str | None = None,
        limit: int | None = None,
    ) -> list[CallRecord]:
        """Calls that started in [since, until) (Unix seconds) and fit, the oldest first; with ``limit`` the newest ones."""
        query = select(calls).order_by(calls.c.started_at.desc(), calls.c.id.desc()).limit(limit)
        if since is not None:
            query = query.where(calls.c.started_at >= instant(since))
        if until is not None:
            query = query.where(calls.c.started_at < instant(until))
        if agent is not None:
            query = query.where(calls.c.agent == agent)
        if contact_id is not None:
            query = query.where(calls.c.contact_id == contact_id)
        if customer_id is not None:
            query = query.where(calls.c.customer_id == customer_id)
        if ticket_id is not None:
            query = query.where(
                select(call_tickets.c.ticket_id)
                .where(
                    call_tickets.c.pbx == calls.c.pbx,
                    call_tickets.c.call_id == calls.c.id,
                    call_tickets.c.ticket_id == ticket_id,
                    call_tickets.c.removed_at.is_(None),
                )
                .exists()
            )
        return (await self._read(query))[::-1]

    async def some(self, keys: Iterable[tuple[str, CallId]]) -> list[CallRecord]:
        """The calls of these PBXes and ids that the books know, the oldest first."""
        wanted = sorted(set(keys))
        found: list[CallRecord] = []
        for start in range(0, len(wanted), CHUNK):
            of_these = tuple_(calls.c.pbx, calls.c.id).in_(wanted[start : start + CHUNK])
            found += await self._read(select(calls).where(of_these))
        return sorted(found, key=lambda call: (call.started_at, call.id))

    async def unfinished(self) -> list[CallRecord]:
        """The calls that have not ended as far as the books know, the oldest first."""
        return await self._read(
            select(calls).where(calls.c.ended_at.is_(None)).order_by(calls.c.started_at, calls.c.id)
        )

    async def one(self, id_or_prefix: str) -> CallRecord:
        """The call of that id, or the only one whose id begins so; ``PBX/ID`` where several PBXes share the books.

        Raises ``SeveralCalls`` and ``NoSuchCall``.
        """
        pbx, named, key = id_or_prefix.rpartition("/")
        query = select(calls).order_by(calls.c.started_at.desc(), calls.c.pbx).limit(5)
        if named:
            query = query.where(calls.c.pbx == pbx)
        found = await self._read(query.where(calls.c.id == key))
        found = found or await self._read(query.where(calls.c.id.startswith(key, autoescape=True)))
        if not found:
            raise NoSuchCall(f"there is no call {id_or_prefix}; see: ctid calls")
        if len(found) > 1:
            raise SeveralCalls(id_or_prefix, found)
        return found[0]

    async def talks_since(self, pbx: str, since: float) -> list[tuple[AgentId, LegId, float, float]]:
        """Customer talk of ended calls there that reaches past ``since``: (agent, leg, started_at, ended_at)."""
        query = (
            select(talks.c.agent, talks.c.leg_id, talks.c.started_at, talks.c.ended_at)
            .join(calls, and_(calls.c.pbx == talks.c.pbx, calls.c.id == talks.c.call_id))
            .where(
                talks.c.pbx == pbx,
                talks.c.ended_at > instant(since),
                talks.c.customer,
                talks.c.agent.is_not(None),
                calls.c.ended_at.is_not(None),
            )
            .order_by(talks.c.started_at)
        )
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [(row.agent, row.leg_id, seconds(row.started_at), seconds(row.ended_at)) for row in rows]

    async def stays(self, pbx: str, since: float) -> list[Stay]:
        """The callers whose calls began at ``since`` or later and came to a line of this PBX while ctid routed."""
        first = (
            select(decisions.c.at)
            .where(decisions.c.pbx == calls.c.pbx, decisions.c.call_id == calls.c.id)
            .order_by(decisions.c.position)
            .limit(1)
            .scalar_subquery()
        )
        query = select(calls, first.label("offered_at")).where(
            calls.c.pbx == pbx,
            calls.c.started_at >= instant(since),
            calls.c.line.is_not(None),
            calls.c.via == Via.CTID.value,
        )
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [_stay(row) for row in rows]

    async def in_vain(self, pbx: str, since: float) -> list[tuple[str, int]]:
        """Who rang in vain since then (Unix seconds), and how often: the contact's id, else the number as the PBX gave it."""
        caller = func.coalesce(calls.c.contact_id, calls.c.caller)
        query = (
            select(caller, func.count())
            .where(
                calls.c.pbx == pbx,
                calls.c.started_at >= instant(since),
                calls.c.direction == Direction.INBOUND.value,
                calls.c.via != Via.DIRECT.value,
                calls.c.answered_at.is_(None),
                calls.c.ended_at.is_not(None),
                calls.c.outcome != Outcome.MERGED.value,
                calls.c.callback.is_(None),
                caller.is_not(None),
            )
            .group_by(caller)
        )
        async with reading(self._engine) as connection:
            return [(row[0], row[1]) for row in await connection.execute(query)]

    async def unread(self, pbx: str, since: float, *, limit: int) -> list[CallRecord]:
        """Calls that are over and began since then (Unix seconds) with a recording nobody could read, the newest first."""
        nobody_read = (
            select(recordings.c.id)
            .where(recordings.c.pbx == calls.c.pbx, recordings.c.call_id == calls.c.id, _UNREAD)
            .exists()
        )
        query = (
            select(calls)
            .where(calls.c.pbx == pbx, calls.c.started_at >= instant(since), calls.c.ended_at.is_not(None), nobody_read)
            .order_by(calls.c.started_at.desc(), calls.c.id.desc())
            .limit(limit)
        )
        return await self._read(query)

    async def has_recordings(self, pbx: str) -> bool:
        """Whether any file of that PBX has ever been measured that is to be there still."""
        there = (
            recordings.c.pbx == pbx,
            recordings.c.sha256.is_not(None),
            recordings.c.state != RecordingState.ERASED.value,
        )
        async with reading(self._engine) as connection:
            return await connection.scalar(select(recordings.c.id).where(*there).limit(1)) is not None

    async def found(self, pbx: str, recording: RecordingRecord) -> None:
        """What a file says that nobody could read before; of one that was read or erased meanwhile nothing changes."""

        def work(connection: Connection) -> None:
            connection.execute(
                update(recordings)
                .where(recordings.c.pbx == pbx, recordings.c.id == recording.id, _UNREAD)
                .values(state=recording.state.value, seconds=recording.seconds, sha256=recording.sha256)
            )

        await write(self._engine, work)

    async def _read(self, query: Select[Any]) -> list[CallRecord]:
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
            read: list[CallRecord] = []
            for start in range(0, len(rows), CHUNK):
                read += await _whole(connection, rows[start : start + CHUNK])
            return read


# -- writing -----------------------------------------------------------------------------------------------------------


# Made once: making a statement costs more than SQLite takes to carry it out.
_NO_LEGS, _NO_DECISIONS = (
    table.delete().where(tuple_(table.c.pbx, table.c.call_id).in_(bindparam("calls", expanding=True)))
    for table in (legs, decisions)
)
#: Recordings that were not there, or could not be opened: of every other the digest is known.
_UNREAD = and_(
    recordings.c.state.in_((RecordingState.MISSING.value, RecordingState.DAMAGED.value)), recordings.c.sha256.is_(None)
)
_OF_ERASED, _GONE = (
    select(*key).where(tuple_(*key[:2]).in_(bindparam("calls", expanding=True)), erased)
    for key, erased in (
        ((calls.c.pbx, calls.c.id), calls.c.erased),
        ((legs.c.pbx, legs.c.call_id, legs.c.id), legs.c.party == GONE),
    )
)
_KNOWN_TICKETS = select(tickets.c.id).where(tickets.c.id.in_(bindparam("ids", expanding=True)))


def _save(connection: Connection, changes: Sequence[tuple[CallRecord, CallRecord | None]]) -> None:
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
                    PAUSE,
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
    of_calls = _by_key(connection.execute(_TICKETS_OF_CALLS, {"keys": recorded}))
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
        "diversions": [_diversion_row(d) for d in record.diversions],
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


# -- reading -----------------------------------------------------------------------------------------------------------


async def _whole(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[CallRecord]:
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
    tickets_of_files = _by_key(await connection.execute(_TICKETS_OF_RECORDINGS, {"keys": file_keys}))
    gaps_of: dict[tuple[str, str], list[Gap]] = defaultdict(list)
    of_files = tuple_(recording_gaps.c.pbx, recording_gaps.c.recording_id).in_(file_keys)
    for row in await connection.execute(select(recording_gaps).where(of_files).order_by(recording_gaps.c.position)):
        gaps_of[row.pbx, row.recording_id].append(_gap(row))
    recordings_of: dict[tuple[str, str], list[RecordingRecord]] = defaultdict(list)
    for row in files:
        key = row.pbx, row.id
        recordings_of[row.pbx, row.call_id].append(_recording(row, tickets_of_files[key], gaps_of[key]))
    tickets_of = _by_key(await connection.execute(_TICKETS_OF_CALLS, {"keys": keys}))
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


def _diversion_row(diversion: Diversion) -> list[Any]:
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


_TICKETS_OF_CALLS = _links_of(call_tickets, "call_id")
_TICKETS_OF_RECORDINGS = _links_of(recording_tickets, "recording_id")


def _by_key(rows: Iterable[Any]) -> dict[tuple[str, str], list[str]]:
    """The ticket ids of each (pbx, call or recording), in the order they were linked."""
    of: dict[tuple[str, str], list[str]] = defaultdict(list)
    for pbx, key, ticket in rows:
        of[pbx, key].append(ticket)
    return of


def _stay(row: Row[Any]) -> Stay:
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
