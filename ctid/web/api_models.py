"""What the API answers with, for its OpenAPI description.

Law: descriptions, not a second way: the answers come from ``calljson`` and the books, and a test holds them against these.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ctid.desk.ticket import Status, StepKind
from ctid.domain.types import (
    AgentState,
    Certainty,
    Consent,
    Direction,
    GapEnd,
    LegResult,
    Outcome,
    RecordingState,
    Rule,
    Skip,
    Via,
)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Fault(_Model):
    """What was wrong with the request, in one line."""

    error: str


class Leg(_Model):
    agent: str | None
    party: str
    offered_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    talk_seconds: float | None
    result: LegResult | None
    certainty: Certainty


class Gap(_Model):
    """A pause: ``kind`` is silence, or cut where the file is shorter by it; the seconds are those of the file."""

    started_at: datetime
    ended_at: datetime | None
    agent: str | None
    by: str | None
    ended: GapEnd | None
    kind: Literal["silence", "cut"]
    begins_seconds: float | None
    ends_seconds: float | None


class Recording(_Model):
    id: str
    seconds: float | None
    sha256: str | None
    ticket_ids: list[str]
    state: RecordingState
    gaps: list[Gap]


class Considered(_Model):
    agent: str
    talk_seconds: float | None
    idle_since: datetime | None
    talk_share: float | None


class Decision(_Model):
    at: datetime | None
    rule: Rule
    chosen: str
    owner: str | None
    owner_ticket: str | None
    owner_skipped: Skip | None
    considered: list[Considered]
    skipped: dict[Skip, int]


class Diversion(_Model):
    at: datetime | None
    line: str | None
    reason: Outcome | None
    to: str
    by: str | None


class Call(_Model):
    id: str
    pbx: str
    direction: Direction
    caller: str | None
    dialled: str | None
    line: str | None
    contact_id: str | None
    customer_id: str | None
    started_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    outcome: Outcome | None
    via: Via
    merged_into: str | None
    ticket_ids: list[str]
    agent: str | None
    owner: str | None
    legs: list[Leg]
    recordings: list[Recording]
    decisions: list[Decision]
    diversions: list[Diversion]
    consent: Consent | None
    callback: str | None


class Agent(_Model):
    id: str
    name: str
    phone: str | None
    level: int
    lines: list[str]
    enabled: bool
    state: AgentState
    since: datetime | None
    reason: str | None
    talk_seconds_today: float | None
    call_id: str | None


class Contact(_Model):
    id: str
    customer_id: str | None
    name: str
    department: str | None
    title: str | None
    level: int | None
    numbers: list[str]
    email: str | None
    notes: str | None
    merged_into: str | None


class Customer(_Model):
    id: str
    name: str
    kind: str
    level: int
    address: str | None
    notes: str | None
    merged_into: str | None


class Ticket(_Model):
    """``with_agent``: whose turn it is, null while it is the owner's. ``pbx`` and ``call_id``: the call that opened it."""

    id: str
    subject: str
    created_at: datetime
    status: Status
    severity: int
    category: str | None
    asked: str | None
    next_step: str | None
    department: str | None
    customer_id: str | None
    contact_id: str | None
    owner: str | None
    with_agent: str | None
    promised_at: datetime | None
    resolved_at: datetime | None
    resolved_by: str | None
    followed_up_at: datetime | None
    followed_up_by: str | None
    confirmed_at: datetime | None
    confirmed_by: str | None
    satisfaction: int | None
    closed_at: datetime | None
    changed_at: datetime | None
    opened_by: str | None
    pbx: str | None
    call_id: str | None
    version: int


class Step(_Model):
    """``user`` is who was signed in; ``changes`` are fields with what they were before and after."""

    at: datetime
    kind: StepKind
    agent: str | None
    user: str | None
    from_agent: str | None
    to_agent: str | None
    reason: str | None
    changes: dict[str, tuple[str | int | float | None, str | int | float | None]]


class Attempt(_Model):
    """``pbx`` and ``call_id``: the call it was made in."""

    at: datetime
    agent: str | None
    what: str
    result: str | None
    pbx: str | None
    call_id: str | None


class TicketStory(Ticket):
    steps: list[Step]
    attempts: list[Attempt]


class Calls(_Model):
    """``next`` is the cursor of the page after this one, null on the last."""

    calls: list[Call]
    next: str | None


class Agents(_Model):
    agents: list[Agent]


class Contacts(_Model):
    contacts: list[Contact]
    next: str | None


class Customers(_Model):
    customers: list[Customer]
    next: str | None


class Tickets(_Model):
    tickets: list[Ticket]
    next: str | None
