"""What the ticket pages say: why not, what happened, what is next.

Law: the desk's rules speak in codes; here each has its sentence, said in the reader's language when it is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from ctid.desk.changes import Refusal
from ctid.desk.promises import Due, due
from ctid.desk.ticket import Status, Step, StepKind, TicketRecord
from ctid.domain.types import AgentId
from ctid.languages import _, dated, ngettext, say_later

_REFUSALS: Mapping[Refusal, str] = {
    Refusal.NOT_SERVING: say_later("Only agents and supervisors write on tickets."),
    Refusal.NO_AGENT: say_later("You are no agent; hand it over to one instead."),
    Refusal.OWNED: say_later("Somebody owns this ticket already."),
    Refusal.NOT_OWNER: say_later("That is for the ticket's owner or a supervisor."),
    Refusal.UNOWNED: say_later("Nobody owns this ticket; take it first."),
    Refusal.NOT_YOUR_TURN: say_later("That is for the owner, whom it is with now, or a supervisor."),
    Refusal.WRONG_STATUS: say_later("The ticket's status does not allow that."),
    Refusal.SAME_AGENT: say_later("It is with them already; choose somebody else."),
    Refusal.NO_REASON: say_later("Say why: the reason stays with the ticket."),
    Refusal.PROMISED_PAST: say_later("A promise lies ahead; write a later time."),
    Refusal.PROMISED_FAR: say_later("That is more than a year ahead; write an earlier time."),
    Refusal.NO_SUCH_AGENT: say_later("There is no such agent, or they have left."),
    Refusal.NO_SUCH_CUSTOMER: say_later("There is no such customer."),
    Refusal.NO_SUCH_CONTACT: say_later("There is no such contact."),
    Refusal.UNDER_HOLD: say_later(
        "Calls of this ticket are under legal hold: who it is about can be changed once a supervisor has lifted the hold."
    ),
}

_STEPS: Mapping[StepKind, str] = {
    StepKind.OPENED: say_later("Raised"),
    StepKind.CALLED: say_later("Called about it"),
    StepKind.TAKEN: say_later("Taken"),
    StepKind.HANDED_OVER: say_later("Handed over"),
    StepKind.PASSED_ON: say_later("Passed on"),
    StepKind.CHANGED: say_later("Changed"),
    StepKind.PROMISED: say_later("Promised"),
    StepKind.ATTEMPT: say_later("Attempt"),
    StepKind.STATUS: say_later("Status"),
    StepKind.RESOLVED: say_later("Resolved"),
    StepKind.FOLLOWED_UP: say_later("Followed up"),
    StepKind.CONFIRMED: say_later("Confirmed by the customer"),
    StepKind.REOPENED: say_later("Reopened"),
    StepKind.CLOSED: say_later("Closed"),
    StepKind.RELINKED: say_later("Call moved"),
}

_FIELDS: Mapping[str, str] = {
    "subject": say_later("Subject"),
    "category": say_later("Category"),
    "severity": say_later("Severity"),
    "asked": say_later("What was asked"),
    "next_step": say_later("Next step"),
    "department": say_later("Department"),
    "customer_id": say_later("Customer"),
    "contact_id": say_later("Person"),
    "status": say_later("Status"),
    "owner": say_later("Owner"),
    "with_agent": say_later("With"),
    "promised_at": say_later("Promised"),
    "confirmed_at": say_later("Confirmed"),
    "satisfaction": say_later("Satisfaction"),
    "call_id": say_later("Call"),
}

_QUICK: Mapping[str, str] = {
    "one_hour": say_later("In 1 h"),
    "four_hours": say_later("In 4 h"),
    "today_evening": say_later("Today 18:00"),
    "tomorrow_noon": say_later("Tomorrow noon"),
    "tomorrow_evening": say_later("Tomorrow 18:00"),
    "in_two_days": say_later("In two days, noon"),
}


LONGEST_NAME = 60


def cut_names(names: Mapping[AgentId, str]) -> dict[AgentId, str]:
    """Agents' names, none so long that a page is nothing else."""
    return {key: name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…" for key, name in names.items()}


def refused(refusal: Refusal) -> str:
    return _(_REFUSALS[refusal])


def step_name(kind: StepKind) -> str:
    return _(_STEPS[kind])


def field_name(name: str) -> str:
    return _(_FIELDS[name]) if name in _FIELDS else name


def quick_name(name: str) -> str:
    return _(_QUICK[name])


def rough(seconds: float) -> str:
    """A length of time as people say it: minutes, hours, days."""
    minutes = max(1, round(abs(seconds) / 60))
    if minutes < 100:
        return ngettext("%(num)s min", "%(num)s min", minutes) % {"num": minutes}
    hours = round(minutes / 60)
    if hours < 48:
        return ngettext("%(num)s h", "%(num)s h", hours) % {"num": hours}
    days = round(hours / 24)
    return ngettext("%(num)s day", "%(num)s days", days) % {"num": days}


class Clock(Protocol):
    """Says a time by the site's zone: of today the hour alone."""

    def __call__(self, at: float | None) -> str: ...


def clock_of(now: float, zone: ZoneInfo) -> Clock:
    today = datetime.fromtimestamp(now, zone).date()

    def clock(at: float | None) -> str:
        if at is None:
            return ""
        local = datetime.fromtimestamp(at, zone)
        clock = local.strftime("%H:%M")
        return clock if local.date() == today else f"{dated(local)} {clock}"

    return clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What is next, for the top of the page: how pressing (``bad``, ``wait``, ``calm``, ``good``) and the sentences."""

    tone: str
    said: tuple[str, ...]


def with_since(ticket: TicketRecord, steps: Sequence[Step]) -> float:
    """Since when it is the turn of whose turn it is now."""
    since = [step.at for step in steps if step.to_agent is not None and step.to_agent == ticket.turn]
    return since[-1] if since else ticket.created_at


def what_is_next(
    ticket: TicketRecord,
    steps: Sequence[Step],
    names: Mapping[AgentId, str],
    *,
    now: float,
    zone: ZoneInfo,
    clock: Clock,
) -> Next:
    """One line of next action."""
    if ticket.status == Status.CLOSED:
        return Next(
            tone="calm",
            said=(_("Closed %(at)s.") % {"at": clock(ticket.closed_at)} if ticket.closed_at else _("Closed."),),
        )
    if ticket.status == Status.RESOLVED:
        return Next(tone="good", said=(_after_solution(ticket),))
    standing = due(ticket, now, zone)
    said: list[str] = []
    if standing is Due.OVERDUE and ticket.promised_at is not None:
        said.append(_("Overdue by %(time)s.") % {"time": rough(now - ticket.promised_at)})
    elif standing is Due.TODAY and ticket.promised_at is not None:
        said.append(_("Reply promised today, %(at)s.") % {"at": clock(ticket.promised_at)})
    elif standing is Due.LATER and ticket.promised_at is not None:
        said.append(_("Reply promised %(at)s.") % {"at": clock(ticket.promised_at)})
    else:
        said.append(_("No reply is promised."))
    turn = ticket.turn
    if turn is None:
        said.append(_("Nobody owns it: take it."))
    else:
        who = {"name": names.get(turn, turn), "at": clock(with_since(ticket, steps))}
        said.append(_("With %(name)s since %(at)s.") % who)
    if ticket.status == Status.PENDING:
        said.append(_("Waits for somebody else."))
    tone = "bad" if standing is Due.OVERDUE else "wait" if standing is Due.TODAY or turn is None else "calm"
    return Next(tone=tone, said=tuple(said))


def _after_solution(ticket: TicketRecord) -> str:
    if ticket.confirmed_at is not None:
        return _("Confirmed by the customer: close it.")
    if ticket.followed_up_at is not None:
        return _("Followed up: write down who confirmed it, then close it.")
    return _("Resolved: ask the customer whether it is.")


def meanwhile(steps: Iterable[Step], names: Mapping[AgentId, str], clock: Clock) -> list[str]:
    """What others did since a form was opened, a line each."""
    lines: list[str] = []
    for step in steps:
        who = names.get(step.agent or "", step.agent) or step.user_name or _("Somebody")
        what = ", ".join(field_name(name) for name, _before, _now in step.changes) or step_name(step.kind)
        lines.append(_("%(who)s, %(at)s: %(what)s") % {"who": who, "at": clock(step.at), "what": what})
    return lines
