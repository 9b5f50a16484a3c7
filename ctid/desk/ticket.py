"""A ticket as the desk's rules see it: the values of its row, who acts on it, and what is kept of each step.

Law: values only. Times are Unix seconds, agents are named by their ids.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

from ctid.domain.types import AgentId, CallId

#: How the subject of a ticket begins that a call opened; until somebody says what it is about.
CALL_FROM: Final = "Call from "
CALL_TO: Final = "Call to "
LONGEST_SUBJECT: Final = 200


class Status(StrEnum):
    OPEN = "open"
    PENDING = "pending"
    RESOLVED = "resolved"
    CLOSED = "closed"


#: Somebody still has to do something.
UNSOLVED: Final = frozenset({Status.OPEN, Status.PENDING})


class StepKind(StrEnum):
    """What happened to a ticket, as its history names it."""

    OPENED = "opened"
    CALLED = "called"
    TAKEN = "taken"
    HANDED_OVER = "handed_over"
    PASSED_ON = "passed_on"
    CHANGED = "changed"
    PROMISED = "promised"
    ATTEMPT = "attempt"
    STATUS = "status"
    RESOLVED = "resolved"
    FOLLOWED_UP = "followed_up"
    CONFIRMED = "confirmed"
    REOPENED = "reopened"
    CLOSED = "closed"
    RELINKED = "relinked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What people write on a ticket, as a whole: what a form shows and what it gives back."""

    subject: str
    category: str | None
    severity: int
    asked: str | None
    next_step: str | None
    department: str | None
    customer_id: str | None
    contact_id: str | None


WRITTEN: Final = tuple(field.name for field in fields(Written))


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRecord:
    """A ticket with everything its own row holds; times in Unix seconds."""

    id: str
    subject: str
    created_at: float
    status: str = Status.OPEN
    severity: int = 3
    category: str | None = None
    asked: str | None = None
    next_step: str | None = None
    department: str | None = None
    customer_id: str | None = None
    contact_id: str | None = None
    owner: AgentId | None = None
    with_agent: AgentId | None = None
    promised_at: float | None = None
    resolved_at: float | None = None
    resolved_by: AgentId | None = None
    followed_up_at: float | None = None
    followed_up_by: AgentId | None = None
    confirmed_at: float | None = None
    confirmed_by: str | None = None
    satisfaction: int | None = None
    closed_at: float | None = None
    changed_at: float | None = None
    opened_by: AgentId | None = None
    pbx: str | None = None
    call_id: CallId | None = None
    version: int = 1

    @property
    def unsolved(self) -> bool:
        return self.status in UNSOLVED

    @property
    def turn(self) -> AgentId | None:
        """Whose turn it is now: whom it was passed to, else the owner."""
        return self.with_agent or self.owner

    @property
    def written(self) -> Written:
        return Written(
            subject=self.subject,
            category=self.category,
            severity=self.severity,
            asked=self.asked,
            next_step=self.next_step,
            department=self.department,
            customer_id=self.customer_id,
            contact_id=self.contact_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: the agent they are, if they are one, the name they signed in by, and whether they supervise."""

    agent: AgentId | None
    user_name: str | None
    supervisor: bool = False


#: What a field of a ticket was before a step and after it.
Before = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of a ticket's history. ``changes`` are fields with what they were before and after."""

    kind: StepKind
    at: float
    agent: AgentId | None = None
    user_name: str | None = None
    from_agent: AgentId | None = None
    to_agent: AgentId | None = None
    reason: str | None = None
    changes: tuple[tuple[str, Before, Before], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at solving a ticket, and the call it was made in; written once and never changed."""

    at: float
    agent: AgentId | None
    what: str
    result: str | None = None
    pbx: str | None = None
    call_id: CallId | None = None
