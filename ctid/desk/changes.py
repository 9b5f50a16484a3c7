"""What may be done with a ticket, by whom and in which status, and what comes of it.

Law: one table (``RULES``) says who may do what, when, and where it leads; ``carry_out`` is the only way from one state of a
ticket to the next, and everything it changes stands in the steps it gives. The ticket's owner, who took it, owns its closing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from ctid.desk.promises import FURTHEST_SECONDS, PROMISE_HOURS, following, given
from ctid.desk.ticket import (
    CALL_FROM,
    CALL_TO,
    LONGEST_SUBJECT,
    WRITTEN,
    Actor,
    Attempt,
    Before,
    Status,
    Step,
    StepKind,
    TicketRecord,
    Written,
)
from ctid.domain.types import AgentId, CallId

# -- what can be asked for ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Own a ticket nobody owns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """Give the ticket, and its closing, to another agent."""

    to: AgentId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PassOn:
    """Say whose turn it is now; the owner stays. To the owner it comes back."""

    to: AgentId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """Write down an attempt at a solution, and the call it was made in."""

    what: str
    result: str | None = None
    pbx: str | None = None
    call_id: CallId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Put what people write on the ticket in place of what stands there; of it only these fields."""

    written: Written
    only: tuple[str, ...] = WRITTEN

    def over(self, now: Written) -> Written:
        """What then stands there, on top of what stands there now."""
        return replace(now, **{name: getattr(self.written, name) for name in self.only})


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Promise a reply by then; to move what somebody has promised needs a reason."""

    at: float
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """It is somebody else's turn: the customer's, a supplier's."""

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoOn:
    """What was waited for has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """It is solved, by this agent; ``None`` for whoever says so."""

    by: AgentId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """The customer was asked afterwards; ``note`` is what they said."""

    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Somebody at the customer's says that it is solved, and how content they are, 1 to 5."""

    person: str
    satisfaction: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopen:
    """It is not solved after all."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Nothing is left to do; without a solution it needs a reason."""

    reason: str | None = None


Change = Take | HandOver | PassOn | Try | Write | Promise | Wait | GoOn | Resolve | FollowUp | Confirm | Reopen | Close

# -- the table ---------------------------------------------------------------------------------------------------------


class By(StrEnum):
    """Who may: every agent and supervisor, who owns it, whose turn it is, or an agent where nobody owns it.

    What the owner may, and whose turn it is may, a supervisor may as well.
    """

    SERVING = "serving"
    OWNER = "owner"
    TURN = "turn"
    TAKER = "taker"


class Refusal(StrEnum):
    """Why not."""

    NOT_SERVING = "not_serving"
    NO_AGENT = "no_agent"
    OWNED = "owned"
    NOT_OWNER = "not_owner"
    UNOWNED = "unowned"
    NOT_YOUR_TURN = "not_your_turn"
    WRONG_STATUS = "wrong_status"
    SAME_AGENT = "same_agent"
    NO_REASON = "no_reason"
    PROMISED_PAST = "promised_past"
    PROMISED_FAR = "promised_far"
    NO_SUCH_AGENT = "no_such_agent"
    NO_SUCH_CUSTOMER = "no_such_customer"
    NO_SUCH_CONTACT = "no_such_contact"
    UNDER_HOLD = "under_hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who may, in which status, and to which it leads; ``to`` is ``None`` where the status stays."""

    by: By
    of: frozenset[Status]
    to: Status | None = None


_O, _P, _R, _C = Status.OPEN, Status.PENDING, Status.RESOLVED, Status.CLOSED

RULES: Final[Mapping[type[Change], Rule]] = MappingProxyType(
    {
        Take: Rule(by=By.TAKER, of=frozenset({_O, _P, _R})),
        HandOver: Rule(by=By.OWNER, of=frozenset({_O, _P, _R})),
        PassOn: Rule(by=By.TURN, of=frozenset({_O, _P})),
        Try: Rule(by=By.SERVING, of=frozenset({_O, _P, _R, _C})),
        Write: Rule(by=By.SERVING, of=frozenset({_O, _P, _R})),
        Promise: Rule(by=By.SERVING, of=frozenset({_O, _P})),
        Wait: Rule(by=By.SERVING, of=frozenset({_O}), to=_P),
        GoOn: Rule(by=By.SERVING, of=frozenset({_P}), to=_O),
        Resolve: Rule(by=By.OWNER, of=frozenset({_O, _P}), to=_R),
        FollowUp: Rule(by=By.SERVING, of=frozenset({_R, _C})),
        Confirm: Rule(by=By.OWNER, of=frozenset({_R, _C})),
        Reopen: Rule(by=By.SERVING, of=frozenset({_R, _C}), to=_O),
        Close: Rule(by=By.OWNER, of=frozenset({_O, _P, _R}), to=_C),
    }
)

#: The fields each change was decided by: where somebody else has changed one of them meanwhile, it is asked again.
DECIDED_BY: Final[Mapping[type[Change], frozenset[str]]] = MappingProxyType(
    {
        Take: frozenset({"owner", "status"}),
        HandOver: frozenset({"owner", "status"}),
        PassOn: frozenset({"owner", "with_agent", "status"}),
        Try: frozenset(),
        Write: frozenset(),  # field by field, by ``merging``
        Promise: frozenset({"promised_at", "status"}),
        Wait: frozenset({"status"}),
        GoOn: frozenset({"status"}),
        Resolve: frozenset({"status", "owner"}),
        FollowUp: frozenset({"status"}),
        Confirm: frozenset({"status", "owner", "confirmed_at"}),
        Reopen: frozenset({"status"}),
        Close: frozenset({"status", "owner"}),
    }
)


def why_not(change: type[Change], ticket: TicketRecord, by: Actor) -> Refusal | None:
    """Why this person may not do that with the ticket as it is, or ``None`` where they may."""
    rule = RULES[change]
    if by.agent is None and not by.supervisor:
        return Refusal.NOT_SERVING
    if ticket.status not in rule.of:
        return Refusal.WRONG_STATUS
    match rule.by:
        case By.TAKER if ticket.owner is not None:
            return Refusal.OWNED
        case By.TAKER if by.agent is None:
            return Refusal.NO_AGENT
        case By.OWNER if not by.supervisor and ticket.owner is None:
            return Refusal.UNOWNED
        case By.OWNER if not by.supervisor and by.agent != ticket.owner:
            return Refusal.NOT_OWNER
        case By.TURN if not by.supervisor and ticket.turn is None:
            return Refusal.UNOWNED
        case By.TURN if not by.supervisor and by.agent not in (ticket.owner, ticket.with_agent):
            return Refusal.NOT_YOUR_TURN
        case _:
            return None


# -- what comes of it --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The ticket as it then is, the steps that led there, and the attempts written down."""

    ticket: TicketRecord
    steps: tuple[Step, ...] = ()
    attempts: tuple[Attempt, ...] = ()


def carry_out(
    ticket: TicketRecord,
    changes: Sequence[Change],
    *,
    by: Actor,
    at: float,
    promise_hours: Sequence[float] = PROMISE_HOURS,
) -> Done | Refusal:
    """All of the changes in their order, or the first refusal and nothing. What changes nothing leaves no step."""
    now, steps, attempts = ticket, list[Step](), list[Attempt]()
    for change in changes:
        refusal = why_not(type(change), now, by) or _unfit(change, now, at, promise_hours)
        if refusal is not None:
            return refusal
        then = _after(now, change, by, at, promise_hours)
        if isinstance(change, Try):
            attempts.append(
                Attempt(
                    at=at,
                    agent=by.agent,
                    what=change.what,
                    result=change.result,
                    pbx=change.pbx,
                    call_id=change.call_id,
                )
            )
        if then != now or isinstance(change, Try):
            steps.append(_step(change, now, then, by, at))
        now = then
    if now != ticket:
        now = replace(now, version=ticket.version + 1, changed_at=at)
    return Done(ticket=now, steps=tuple(steps), attempts=tuple(attempts))


def _unfit(change: Change, ticket: TicketRecord, at: float, hours: Sequence[float]) -> Refusal | None:
    """What is wrong with the change itself."""
    match change:
        case HandOver(to=to) if to == ticket.owner:
            return Refusal.SAME_AGENT
        case PassOn(to=to) if to == ticket.turn:
            return Refusal.SAME_AGENT
        case HandOver(reason=reason) | PassOn(reason=reason) | Reopen(reason=reason) if not reason.strip():
            return Refusal.NO_REASON
        case Close(reason=None) if ticket.unsolved:
            return Refusal.NO_REASON
        case Promise(at=then) if then == ticket.promised_at:
            return None
        case Promise(at=then) if then <= at:
            return Refusal.PROMISED_PAST
        case Promise(at=then) if then > at + FURTHEST_SECONDS:
            return Refusal.PROMISED_FAR
        case Promise(reason=None) if given(ticket, hours):
            return Refusal.NO_REASON
        case _:
            return None


def _after(ticket: TicketRecord, change: Change, by: Actor, at: float, hours: Sequence[float]) -> TicketRecord:
    match change:
        case Take() | HandOver() | PassOn():
            return _turned(ticket, change, by)
        case Write():
            return _rewritten(ticket, change, hours)
        case Promise(at=then):
            return replace(ticket, promised_at=then)
        case FollowUp():
            return replace(ticket, followed_up_at=at, followed_up_by=by.agent)
        case Confirm(person=person, satisfaction=satisfaction):
            return replace(ticket, confirmed_at=at, confirmed_by=person, satisfaction=satisfaction)
        case Try():
            return ticket
        case _:
            return _moved(ticket, change, by, at)


def _turned(ticket: TicketRecord, change: Take | HandOver | PassOn, by: Actor) -> TicketRecord:
    match change:
        case Take():
            return replace(ticket, owner=by.agent, with_agent=None)
        case HandOver(to=to):
            return replace(ticket, owner=to, with_agent=None)
        case PassOn(to=to):
            return replace(ticket, with_agent=None if to == ticket.owner else to)


def _moved(ticket: TicketRecord, change: Wait | GoOn | Resolve | Reopen | Close, by: Actor, at: float) -> TicketRecord:
    now = replace(ticket, status=RULES[type(change)].to or ticket.status)
    match change:
        case Resolve(by=solver):
            return replace(now, resolved_at=at, resolved_by=solver or by.agent, with_agent=None)
        case Close():
            return replace(now, closed_at=at, with_agent=None)
        case Reopen():
            return replace(
                now,
                resolved_at=None,
                resolved_by=None,
                followed_up_at=None,
                followed_up_by=None,
                confirmed_at=None,
                confirmed_by=None,
                satisfaction=None,
                closed_at=None,
            )
        case _:
            return now


def _rewritten(ticket: TicketRecord, change: Write, hours: Sequence[float]) -> TicketRecord:
    written = change.over(ticket.written)
    subject = written.subject
    if written.asked and subject == ticket.subject and subject.startswith((CALL_FROM, CALL_TO)):
        subject = first_line(written.asked)
    return replace(
        ticket,
        subject=subject,
        category=written.category,
        severity=written.severity,
        asked=written.asked,
        next_step=written.next_step,
        department=written.department,
        customer_id=written.customer_id,
        contact_id=written.contact_id,
        promised_at=following(ticket, written.severity, hours) if ticket.unsolved else ticket.promised_at,
    )


def first_line(text: str) -> str:
    """What a ticket is about, from what was asked."""
    line = text.strip().partition("\n")[0].strip()
    return line if len(line) <= LONGEST_SUBJECT else line[: LONGEST_SUBJECT - 1] + "…"


_KINDS: Mapping[type[Change], StepKind] = {
    Take: StepKind.TAKEN,
    HandOver: StepKind.HANDED_OVER,
    PassOn: StepKind.PASSED_ON,
    Try: StepKind.ATTEMPT,
    Write: StepKind.CHANGED,
    Promise: StepKind.PROMISED,
    Wait: StepKind.STATUS,
    GoOn: StepKind.STATUS,
    Resolve: StepKind.RESOLVED,
    FollowUp: StepKind.FOLLOWED_UP,
    Confirm: StepKind.CONFIRMED,
    Reopen: StepKind.REOPENED,
    Close: StepKind.CLOSED,
}


def _step(change: Change, before: TicketRecord, after: TicketRecord, by: Actor, at: float) -> Step:
    from_agent: AgentId | None = None
    to_agent: AgentId | None = None
    reason: str | None = None
    match change:
        case Take():
            to_agent = after.owner
        case HandOver(reason=said):
            from_agent, to_agent, reason = before.owner, after.owner, said
        case PassOn(to=to, reason=said):
            from_agent, to_agent, reason = before.turn, to, said
        case Promise(reason=said) | Wait(reason=said) | Close(reason=said) | FollowUp(note=said):
            reason = said
        case Reopen(reason=said):
            reason = said
        case _:
            pass
    return Step(
        kind=_KINDS[type(change)],
        at=at,
        agent=by.agent,
        user_name=by.user_name,
        from_agent=from_agent,
        to_agent=to_agent,
        reason=reason,
        changes=differences(before, after),
    )


_KEPT_ELSEWHERE = frozenset({"version", "changed_at"})


def differences(before: TicketRecord, after: TicketRecord) -> tuple[tuple[str, Before, Before], ...]:
    """Each field that is not the same, with what it was and is."""
    return tuple(
        (field.name, getattr(before, field.name), getattr(after, field.name))
        for field in fields(TicketRecord)
        if field.name not in _KEPT_ELSEWHERE and getattr(before, field.name) != getattr(after, field.name)
    )
