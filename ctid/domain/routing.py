"""Who gets the caller: the rules, as functions.

Law: a choice is a value that holds its own reason. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ctid.domain.seating import Place, Seating
from ctid.domain.types import Agent, AgentId, CallerFile, Decision, Line, Rule, Skip

#: A decision lists no more candidates than this.
CONSIDERED = 20
#: An agent of this level may serve every customer: their levels go on to 5.
HIGHEST_AGENT_LEVEL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NobodyFree:
    """No agent can be rung. ``all_tried`` tells that some are idle, but each was rung in this round."""

    all_tried: bool
    skipped: tuple[tuple[Skip, int], ...]


def least_level(line: Line, level: int) -> int:
    """The level an agent needs for a caller of that ``level``, 0 where the line does not ask."""
    return min(level, HIGHEST_AGENT_LEVEL) if line.level_gate else 0


def barred(agent: Agent, line: Line, caller: CallerFile) -> Skip | None:
    """Why this agent may never take this caller on this line, whatever they are doing now."""
    if not agent.enabled:
        return Skip.DISABLED
    if agent.level < least_level(line, caller.level):
        return Skip.LEVEL
    return None


def choose(
    *,
    at: float,
    line: Line,
    caller: CallerFile,
    tried: Collection[AgentId],
    seating: Seating,
    fairness: Rule,
) -> Decision | NobodyFree:
    """The agent for this caller now: the idle owner of the caller's last ticket, else the first by ``fairness``.

    ``tried`` are those who were rung in this round. Ties go to the longest idle, then to the smaller id.
    """
    owner = seating.place(caller.owner) if caller.owner is not None else None
    owner_id, owner_skipped = _owner(line, caller, tried, seating, owner)
    owner_ticket = caller.history[0].id if owner_id is not None and caller.history else None
    if owner is not None and owner_id is not None and owner_skipped is None:
        return Decision(
            at=at,
            rule=Rule.TICKET_OWNER,
            chosen=owner_id,
            owner=owner_id,
            owner_ticket=owner_ticket,
            considered=(seating.candidate(owner),),
        )
    least = least_level(line, caller.level)
    rung = seating.tried(line, least, tried)
    if fairness is Rule.TALK_SHARE:
        considered = seating.talk_share(line, least, rung, CONSIDERED, at)
    else:
        considered = seating.least_talk(line, least, rung, CONSIDERED)
    skipped = tuple(sorted(seating.passed_over(line, least, rung).items()))
    if not considered:
        return NobodyFree(all_tried=bool(rung) or owner_skipped is Skip.TRIED, skipped=skipped)
    return Decision(
        at=at,
        rule=fairness,
        chosen=considered[0].agent,
        owner=owner_id,
        owner_ticket=owner_ticket,
        owner_skipped=owner_skipped,
        considered=considered,
        skipped=skipped,
    )


def _owner(
    line: Line, caller: CallerFile, tried: Collection[AgentId], seating: Seating, owner: Place | None
) -> tuple[AgentId | None, Skip | None]:
    """The owner's id and why they can't be rung. One who has left or may never take this caller is no owner (RULES)."""
    if caller.owner is None:
        return None, None
    if owner is None:
        return None, Skip.UNKNOWN
    bar = barred(owner.agent, line, caller)
    if bar is not None:
        return None, bar
    if not line.owner_from_outside and not seating.serves(owner, line):
        return owner.agent.id, Skip.NOT_ON_LINE
    if owner.skip is None and owner.agent.id in tried:
        return owner.agent.id, Skip.TRIED
    return owner.agent.id, owner.skip
