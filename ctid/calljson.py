"""Calls and tickets as the outside sees them: the JSON of the command line, of the web's API and of MQTT.

Law: pure; one form for every reader. Times are UTC in ISO 8601 with ``Z``, seconds have three decimals; a time the
stream did not tell (``nan``) is null. Paths of recordings are for the command line only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from math import isnan
from typing import Any

from ctid.desk.ticket import Attempt, Step, TicketRecord
from ctid.domain.spans import places
from ctid.domain.types import CallbackRecord, CallId, CallRecord, Decision, Diversion, Gap, LegRecord, RecordingRecord


def call_json(call: CallRecord, *, paths: bool = False) -> dict[str, Any]:
    """The call as a JSON object; ``paths`` adds each recording's path relative to the recordings root."""
    return {
        "id": call.id,
        "pbx": call.pbx,
        "direction": call.direction.value,
        "caller": call.caller,
        "dialled": call.dialled,
        "line": call.line,
        "contact_id": call.contact_id,
        "customer_id": call.customer_id,
        "started_at": iso(call.started_at),
        "answered_at": iso(call.answered_at),
        "ended_at": iso(call.ended_at),
        "outcome": call.outcome.value if call.outcome else None,
        "via": call.via.value,
        "merged_into": call.merged_into,
        "ticket_ids": list(call.ticket_ids),
        "agent": call.agent,
        "owner": call.owner,
        "legs": [_leg(leg) for leg in call.legs],
        "recordings": [_recording(call, recording, paths=paths) for recording in call.recordings],
        "decisions": [decision_json(decision) for decision in call.decisions],
        "diversions": [_diversion(diversion) for diversion in call.diversions],
        "consent": call.consent.value if call.consent is not None else None,
        "callback": call.callback,
    }


def callback_json(callback: CallbackRecord, calls: Sequence[CallId]) -> dict[str, Any]:
    """A promise to call back as a JSON object; ``calls`` are those made for it."""
    return {
        "id": callback.id,
        "pbx": callback.pbx,
        "number": callback.number,
        "line": callback.line,
        "level": callback.level,
        "severity": callback.severity,
        "arrived_at": iso(callback.arrived_at),
        "asked_at": iso(callback.asked_at),
        "due_at": None if callback.state.final else iso(callback.due_at),
        "ended_at": iso(callback.ended_at),
        "state": callback.state.value,
        "why": callback.why,
        "tries": callback.tries,
        "agent": callback.agent,
        "calls": list(calls),
    }


def ticket_json(ticket: TicketRecord) -> dict[str, Any]:
    """A ticket as a JSON object: every field of its own."""
    return {name: _value(name, value) for name, value in asdict(ticket).items()}


def step_json(step: Step) -> dict[str, Any]:
    """A line of a ticket's history; ``changes`` are fields with what they were before and after."""
    return {
        "at": iso(step.at),
        "kind": step.kind.value,
        "agent": step.agent,
        "user": step.user_name,
        "from_agent": step.from_agent,
        "to_agent": step.to_agent,
        "reason": step.reason,
        "changes": {name: [_value(name, before), _value(name, after)] for name, before, after in step.changes},
    }


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """A try at solving a ticket, with the call it was made in."""
    return asdict(attempt) | {"at": iso(attempt.at)}


def decision_json(decision: Decision) -> dict[str, Any]:
    """One routing decision as a JSON object; ``considered`` keeps the rule's order."""
    return {
        "at": iso(decision.at),
        "rule": decision.rule.value,
        "chosen": decision.chosen,
        "owner": decision.owner,
        "owner_ticket": decision.owner_ticket,
        "owner_skipped": decision.owner_skipped.value if decision.owner_skipped else None,
        "considered": [
            {
                "agent": candidate.agent,
                "talk_seconds": seconds(candidate.talk_seconds),
                "idle_since": iso(candidate.idle_since),
                "talk_share": candidate.talk_share,
            }
            for candidate in decision.considered
        ],
        "skipped": {reason.value: count for reason, count in decision.skipped},
    }


def _diversion(diversion: Diversion) -> dict[str, Any]:
    return {
        "at": iso(diversion.at),
        "line": diversion.line,
        "reason": diversion.reason.value if diversion.reason is not None else None,
        "to": diversion.to,
        "by": diversion.by,
    }


@lru_cache(maxsize=8192)  # a call is told many times, and each time with the times of twenty candidates
def iso(at: float | None) -> str | None:
    """Unix seconds as ``2026-11-22T00:21:03.123Z``; ``None`` and ``nan`` as ``None``."""
    if at is None or isnan(at):
        return None
    return datetime.fromtimestamp(round(at, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(duration: float | None) -> float | None:
    """A duration to the millisecond; ``None`` and ``nan`` as ``None``."""
    return None if duration is None or isnan(duration) else round(duration, 3)


def _value(name: str, value: Any) -> Any:
    """A ticket's value as JSON has it; what is named ``…_at`` is a time."""
    return iso(value) if name.endswith("_at") and isinstance(value, int | float) else value


def _leg(leg: LegRecord) -> dict[str, Any]:
    return {
        "agent": leg.agent,
        "party": leg.party,
        "offered_at": iso(leg.offered_at),
        "answered_at": iso(leg.answered_at),
        "ended_at": iso(leg.ended_at),
        "talk_seconds": seconds(leg.talk_seconds),
        "result": leg.result.value if leg.result else None,
        "certainty": leg.certainty.value,
    }


def _recording(call: CallRecord, recording: RecordingRecord, *, paths: bool) -> dict[str, Any]:
    placed = {gap.started_at: (begins, ends) for gap, begins, ends in places(call, recording)}
    return {
        "id": recording.id,
        **({"path": recording.path} if paths else {}),
        "seconds": seconds(recording.seconds),
        "sha256": recording.sha256,
        "ticket_ids": list(recording.ticket_ids),
        "state": recording.state.value,
        "gaps": [_gap(gap, *placed.get(gap.started_at, (None, None))) for gap in recording.gaps],
    }


def _gap(gap: Gap, begins: float | None, ends: float | None) -> dict[str, Any]:
    return {
        "started_at": iso(gap.started_at),
        "ended_at": iso(gap.ended_at),
        "agent": gap.agent,
        "by": gap.by,
        "ended": gap.ended.value if gap.ended is not None else None,
        "kind": "cut" if gap.cut else "silence",
        "begins_seconds": seconds(begins),
        "ends_seconds": seconds(ends),
    }
