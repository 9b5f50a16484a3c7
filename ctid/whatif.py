"""A day's routing in figures, so that two ways to route it can be put side by side.

Law: pure; one measure for what happened and for what would have happened, out of the same records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from ctid.domain.types import AgentId, CallRecord, LegResult, Outcome

_MISSED = (LegResult.NO_ANSWER, LegResult.BUSY, LegResult.REJECTED, LegResult.UNREACHABLE, LegResult.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Waits are from the caller's coming to the first answer, or to the end without one; all durations in seconds.

    ``fairness`` is Jain's index of the agents' talk: 1 where all talked the same, 1/n where one of n had it all.
    ``owner_calls`` counts calls whose caller had an owner when they came, ``owner_hits`` those the owner answered.
    """

    calls: int
    answered: int
    abandoned: int
    sent_on: int
    wait_mean: float
    wait_median: float
    wait_p90: float
    wait_longest: float
    offers: int
    missed: int
    agents: int
    talk_least: float
    talk_median: float
    talk_most: float
    fairness: float
    owner_calls: int
    owner_hits: int


def figures(
    calls: Sequence[CallRecord], agents: Sequence[AgentId], owners: Mapping[str, AgentId] | None = None
) -> Figures:
    """The figures of these calls; ``agents`` are all who were there, ``owners`` those of callers by ticket."""
    waits = sorted(_wait(call) for call in calls)
    talks = sorted(_talk(calls, agents))
    legs = [leg for call in calls for leg in call.legs if leg.agent is not None and _offer(call, leg.offered_at)]
    had, hits = _owners(calls, dict(owners or {}))
    answered = sum(call.answered_at is not None for call in calls)
    abandoned = sum(call.answered_at is None and call.outcome is Outcome.ABANDONED for call in calls)
    return Figures(
        calls=len(calls),
        answered=answered,
        abandoned=abandoned,
        sent_on=len(calls) - answered - abandoned,
        wait_mean=round(sum(waits) / len(waits), 3) if waits else 0.0,
        wait_median=_rank(waits, 0.5),
        wait_p90=_rank(waits, 0.9),
        wait_longest=_rank(waits, 1.0),
        offers=len(legs),
        missed=sum(leg.result in _MISSED for leg in legs),
        agents=len(talks),
        talk_least=_rank(talks, 0.0),
        talk_median=_rank(talks, 0.5),
        talk_most=_rank(talks, 1.0),
        fairness=jain(talks),
        owner_calls=had,
        owner_hits=hits,
    )


def jain(values: Sequence[float]) -> float:
    """Jain's fairness index of the values; 1 for none and for nothing but zeros."""
    squares = sum(value * value for value in values)
    return round(sum(values) ** 2 / (len(values) * squares), 4) if squares else 1.0


def _wait(call: CallRecord) -> float:
    until = call.answered_at if call.answered_at is not None else call.ended_at
    return max(0.0, (until if until is not None else call.started_at) - call.started_at)


def _offer(call: CallRecord, offered_at: float) -> bool:
    """Not a transfer or a consultation of a call that was answered."""
    return call.answered_at is None or offered_at <= call.answered_at


def _talk(calls: Iterable[CallRecord], agents: Sequence[AgentId]) -> list[float]:
    total = dict.fromkeys(agents, 0.0)
    for call in calls:
        for leg in call.legs:
            if leg.agent is not None:
                total[leg.agent] = total.get(leg.agent, 0.0) + leg.talk_seconds
    return [round(seconds, 3) for seconds in total.values()]


def _owners(calls: Iterable[CallRecord], owners: dict[str, AgentId]) -> tuple[int, int]:
    """Calls whose caller had an owner, by ticket or by who first answered them that day, and those the owner answered."""
    had = hits = 0
    answers = sorted((call for call in calls if call.answered_at is not None), key=lambda call: call.answered_at or 0.0)
    first: dict[str, tuple[float, AgentId]] = {}
    for call in answers:
        if call.caller is not None and (agent := _answerer(call)) is not None and call.answered_at is not None:
            first.setdefault(call.caller, (call.answered_at, agent))
    for call in calls:
        since, owner = first.get(call.caller or "", (0.0, None))
        owner = owners.get(call.caller or "") or (owner if since <= call.started_at else None)
        if owner is not None:
            had += 1
            hits += _answerer(call) == owner
    return had, hits


def _answerer(call: CallRecord) -> AgentId | None:
    answered = [leg for leg in call.legs if leg.agent is not None and leg.answered_at is not None]
    return min(answered, key=lambda leg: leg.answered_at or 0.0).agent if answered else None


def _rank(ordered: Sequence[float], share: float) -> float:
    """The value below which ``share`` of them lie, by nearest rank."""
    return round(ordered[max(0, ceil(share * len(ordered)) - 1)], 3) if ordered else 0.0
