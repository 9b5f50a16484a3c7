"""A view as the browser shows it: JSON of ready texts, made once for all screens that show it in one language.

Law: words are made here, as text; the browser inserts text and decides nothing. A key without a value is null.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ctid import explaining
from ctid.domain.said import Code
from ctid.domain.types import AgentId, AgentState, Candidate, Decision, Rule, Skip
from ctid.languages import spoken
from ctid.saying import told
from ctid.web.board import Contact, Pop, State, Ticket, View, Waiting
from ctid.web.texts import level, severity, word

Names = Mapping[AgentId, str]

#: Callers a desk shows; who wants to see more has the list of calls.
MOST_WAITING = 20


def of_agent(agent: AgentId, view: View, names: Names) -> str:
    """An agent's whole view."""
    key = ("agent", spoken(), names.get(agent))
    if key not in view.said:
        view.said[key] = _json(
            {
                "kind": "agent",
                "agent": agent,
                "name": names.get(agent, agent),
                "state": _state(view.state, names) if view.state else None,
                "pop": _pop(view.pop, names) if view.pop else None,
                "gone": _gone(view.gone) if view.gone else None,
            }
        )
    return view.said[key]


def of_others(agents: Iterable[AgentId], views: Mapping[AgentId, View], names: Names) -> str:
    """How these agents are, by name and state and no more."""
    return '{"kind":"others","agents":[' + ",".join(_other(agent, views[agent], names) for agent in agents) + "]}"


def of_waiting(waiting: Sequence[Waiting]) -> str:
    """Who waits, in the order in which they are served: the first of them, and how many more."""
    first = [
        {
            "id": one.id,
            "who": one.waiting.contact or one.waiting.customer or one.caller,
            "customer": one.waiting.customer if one.waiting.contact else None,
            "level": _rank(level(one.waiting.level), one.waiting.level),
            "line": one.line,
            "since": one.waiting.since,
        }
        for one in waiting[:MOST_WAITING]
    ]
    return _json({"kind": "waiting", "callers": first, "more": max(0, len(waiting) - MOST_WAITING)})


def of_link(*, now: str, trouble: str | None) -> str:
    """That the line stands: the server's time and what is wrong beyond it."""
    return _json({"kind": "link", "now": now, "trouble": trouble})


def _other(agent: AgentId, view: View, names: Names) -> str:
    key = ("other", spoken(), names.get(agent))
    if key not in view.said:
        state = (view.state.state if view.state else AgentState.OFFLINE).value
        view.said[key] = _json({"id": agent, "name": names.get(agent, agent), "code": state, "word": word(state)})
    return view.said[key]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _state(state: State, names: Names) -> dict[str, str | None]:
    return {
        "code": state.state.value,
        "word": word(state.state.value),
        "since": state.since,
        "reason": state.reason,
        "talk": explaining.duration(state.talk_seconds_today),
        "phone": state.phone,
        "call_id": state.call_id,
        "wrap_up_until": state.wrap_up_until,
        "recording_paused_until": state.recording_paused_until,
        "consults": names.get(state.consults, state.consults) if state.consults else None,
    }


def _gone(pop: Pop) -> dict[str, str]:
    return {"call_id": pop.call_id, "state": pop.state.value, "word": word(pop.state.value)}


def _pop(pop: Pop, names: Names) -> dict[str, Any]:
    decision = _decision(pop.decision)
    return {
        **_gone(pop),
        "caller": pop.caller,
        "dialled": pop.dialled,
        "contact": _contact(pop.contact) if pop.contact else None,
        "matches": [_contact(contact) for contact in pop.matches],
        "ticket": _ticket(pop.ticket, names) if pop.ticket else None,
        "history": [_ticket(one, names) for one in pop.history if pop.ticket is None or one.id != pop.ticket.id],
        "why": explaining.why(decision, names) if decision else None,
        "notices": _notices(pop),
        "recorded": all(note.code != Code.UNRECORDED for note in pop.notes),
    }


def _notices(pop: Pop) -> list[str]:
    """Each in the language of the moment; as the daemon said it, where no sentence of ours is known."""
    if len(pop.notes) != len(pop.notices):
        return list(pop.notices)
    return [told(note.code, note.fields) or said for note, said in zip(pop.notes, pop.notices, strict=True)]


def _contact(contact: Contact) -> dict[str, Any]:
    return {
        "id": contact.id,
        "name": contact.name,
        "role": ", ".join(part for part in (contact.title, contact.department) if part) or None,
        "customer": contact.customer,
        "level": _rank(level(contact.level), contact.level) if contact.level else None,
    }


def _rank(words: str, number: int) -> dict[str, Any]:
    return {"number": number, "words": words}


def _ticket(ticket: Ticket, names: Names) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "subject": ticket.subject,
        "status": word(ticket.status),
        "severity": _rank(severity(ticket.severity), ticket.severity) if ticket.severity else None,
        "owner": names.get(ticket.owner, ticket.owner) if ticket.owner else None,
    }


class _Considered(msgspec.Struct, frozen=True, kw_only=True):
    agent: AgentId
    talk_seconds: float | None = None
    talk_share: float | None = None


class _Decided(msgspec.Struct, frozen=True, kw_only=True):
    rule: Rule
    chosen: AgentId
    owner: AgentId | None = None
    owner_ticket: str | None = None
    owner_skipped: Skip | None = None
    considered: tuple[_Considered, ...] = ()
    skipped: dict[Skip, int] = msgspec.field(default_factory=dict)


def _decision(raw: msgspec.Raw) -> Decision | None:
    """The decision of a pop; ``None`` where there is none that can be told in words."""
    try:
        decided = msgspec.json.decode(raw, type=_Decided | None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if decided is None:
        return None
    nan = float("nan")
    considered = tuple(
        Candidate(
            agent=one.agent,
            talk_seconds=nan if one.talk_seconds is None else one.talk_seconds,
            idle_since=nan,
            talk_share=one.talk_share,
        )
        for one in decided.considered
    )
    return Decision(
        at=nan,
        rule=decided.rule,
        chosen=decided.chosen,
        owner=decided.owner,
        owner_ticket=decided.owner_ticket,
        owner_skipped=decided.owner_skipped,
        considered=considered,
        skipped=tuple(decided.skipped.items()),
    )
