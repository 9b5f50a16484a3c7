"""Who gets the caller, and who waits how long: the rules, as functions.

Law: a choice is a value that holds its own reason. Nothing is changed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from ctid.domain.agent import Desk
from ctid.domain.types import AgentId, CallerFile, Candidate, Decision, Line, Rule, Skip

#: A decision lists no more candidates than this.
CONSIDERED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One agent as the rules see them: why they can't be rung (``None`` when idle), their talk today, idle since when."""

    desk: Desk
    skip: Skip | None
    talk_seconds: float

    def candidate(self) -> Candidate:
        return Candidate(agent=self.desk.id, talk_seconds=round(self.talk_seconds, 3), idle_since=self.desk.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class NobodyFree:
    """No agent can be rung. ``all_tried`` tells that some are idle, but each was rung in this round."""

    all_tried: bool
    skipped: tuple[tuple[Skip, int], ...]


def barred(desk: Desk, line: Line, caller: CallerFile) -> Skip | None:
    """Why this agent may never take this caller on this line, whatever they are doing now."""
    if not desk.agent.enabled:
        return Skip.DISABLED
    if line.level_gate and desk.agent.level < caller.level:
        return Skip.LEVEL
    return None


def serves(desk: Desk, line: Line) -> bool:
    """Whether the agent belongs to the line: named by the line, by the roster, or the line takes everyone."""
    return line.agents is None or desk.id in line.agents or line.name in desk.agent.lines


def choose(
    *,
    at: float,
    line: Line,
    caller: CallerFile,
    tried: Collection[AgentId],
    standings: Iterable[Standing],
    owner: Standing | None,
) -> Decision | NobodyFree:
    """The agent for this caller now: the idle owner of the caller's last ticket, else the idle agent with least talk today.

    ``standings`` are all agents of the roster; ``owner`` is the standing of ``caller.owner`` where the roster knows them.
    Ties in talk go to the longest idle, then to the smaller id.
    """
    owner_id, owner_skipped = _owner(line, caller, tried, owner)
    if owner is not None and owner_id is not None and owner_skipped is None:
        return Decision(
            at=at,
            rule=Rule.TICKET_OWNER,
            chosen=owner_id,
            owner=owner_id,
            considered=(owner.candidate(),),
        )
    candidates: list[Standing] = []
    skipped: Counter[Skip] = Counter()
    for standing in standings:
        reason = barred(standing.desk, line, caller) or standing.skip
        if not serves(standing.desk, line):
            reason = Skip.NOT_ON_LINE
        elif reason is None and standing.desk.id in tried:
            reason = Skip.TRIED
        if reason is None:
            candidates.append(standing)
        else:
            skipped[reason] += 1
    counts = tuple(sorted(skipped.items()))
    if not candidates:
        return NobodyFree(all_tried=skipped[Skip.TRIED] > 0 or owner_skipped is Skip.TRIED, skipped=counts)
    candidates.sort(key=lambda s: (s.talk_seconds, s.desk.since, s.desk.id))
    return Decision(
        at=at,
        rule=Rule.LEAST_TALK,
        chosen=candidates[0].desk.id,
        owner=owner_id,
        owner_skipped=owner_skipped,
        considered=tuple(s.candidate() for s in candidates[:CONSIDERED]),
        skipped=counts,
    )


def _owner(
    line: Line, caller: CallerFile, tried: Collection[AgentId], owner: Standing | None
) -> tuple[AgentId | None, Skip | None]:
    """The owner's id and why they can't be rung. One who has left or may never take this caller is no owner (RULES)."""
    if caller.owner is None:
        return None, None
    if owner is None:
        return None, Skip.UNKNOWN
    bar = barred(owner.desk, line, caller)
    if bar is not None:
        return None, bar
    if not line.owner_from_outside and not serves(owner.desk, line):
        return owner.desk.id, Skip.NOT_ON_LINE
    if owner.skip is None and owner.desk.id in tried:
        return owner.desk.id, Skip.TRIED
    return owner.desk.id, owner.skip


def waiting_order(
    caller: CallerFile, arrived_at: float, now: float, ageing_seconds: float
) -> tuple[float, float, float]:
    """Sort key of a waiting caller, the first to be served the smallest.

    Customer level, then severity of the open ticket, then arrival. Each ``ageing_seconds`` of waiting raise level and
    severity by one, so that nobody starves.
    """
    aged = max(0.0, now - arrived_at) // ageing_seconds
    return -(caller.level + aged), -(caller.severity + aged), arrived_at


def is_open(line: Line, at: float, zone: ZoneInfo) -> bool:
    """Whether the line's hours hold ``at``; a line without hours never closes."""
    if not line.hours:
        return True
    local = datetime.fromtimestamp(at, zone)
    minute = local.hour * 60 + local.minute
    return any(local.weekday() in h.weekdays and h.opens <= minute < h.closes for h in line.hours)
