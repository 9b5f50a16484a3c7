"""The rules by a look at every desk and every caller: slow, plain, and what the indices must agree with.

``agrees`` asks the indices and the plain way the same questions about the world as it stands. Which ones depends on the world,
so that many worlds ask many, and the same one the same again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from zlib import crc32

from ctid.domain.agent import Desk
from ctid.domain.routing import CONSIDERED, NobodyFree, choose
from ctid.domain.types import AgentId, CallerFile, Candidate, Decision, Line, Rule, Skip, Ticket
from ctid.domain.waiting import PRIORITISED
from ctid.domain.world import World


def skip(world: World, desk: Desk) -> Skip | None:
    return desk.why_not_idle(world.phones.get(desk.phone) if desk.phone is not None else None)


def serves(desk: Desk, line: Line) -> bool:
    return line.agents is None or desk.id in line.agents or line.name in desk.agent.lines


def barred(desk: Desk, line: Line, caller: CallerFile) -> Skip | None:
    if not desk.agent.enabled:
        return Skip.DISABLED
    if line.level_gate and desk.agent.level < caller.level and desk.agent.level < 3:
        return Skip.LEVEL
    return None


def choice(
    world: World, at: float, line: Line, caller: CallerFile, tried: Collection[AgentId], fairness: Rule
) -> Decision | NobodyFree:
    """What ``routing.choose`` must choose."""
    owner = world.desks.get(caller.owner) if caller.owner is not None else None
    owner_id: AgentId | None = None
    owner_skipped: Skip | None = None
    if owner is not None:
        owner_skipped = barred(owner, line, caller)
        if owner_skipped is None:
            owner_id = owner.id
            if not line.owner_from_outside and not serves(owner, line):
                owner_skipped = Skip.NOT_ON_LINE
            else:
                owner_skipped = skip(world, owner)
                if owner_skipped is None and owner.id in tried:
                    owner_skipped = Skip.TRIED
    elif caller.owner is not None:
        owner_skipped = Skip.UNKNOWN
    owner_ticket = caller.history[0].id if owner_id is not None else None
    if owner is not None and owner_id is not None and owner_skipped is None:
        return Decision(
            at=at,
            rule=Rule.TICKET_OWNER,
            chosen=owner_id,
            owner=owner_id,
            owner_ticket=owner_ticket,
            considered=(_candidate(world, at, owner, Rule.TICKET_OWNER),),
        )
    idle: list[Desk] = []
    skipped: Counter[Skip] = Counter()
    for desk in world.desks.values():
        if not serves(desk, line):
            reason: Skip | None = Skip.NOT_ON_LINE
        else:
            reason = barred(desk, line, caller) or skip(world, desk)
            if reason is None and desk.id in tried:
                reason = Skip.TRIED
        if reason is None:
            idle.append(desk)
        else:
            skipped[reason] += 1
    counts = tuple(sorted(skipped.items()))
    if not idle:
        return NobodyFree(all_tried=skipped[Skip.TRIED] > 0 or owner_skipped is Skip.TRIED, skipped=counts)
    idle.sort(key=lambda desk: (_measure(world, at, desk, fairness), desk.since, desk.id))
    return Decision(
        at=at,
        rule=fairness,
        chosen=idle[0].id,
        owner=owner_id,
        owner_ticket=owner_ticket,
        owner_skipped=owner_skipped,
        considered=tuple(_candidate(world, at, desk, fairness) for desk in idle[:CONSIDERED]),
        skipped=counts,
    )


def order(world: World, at: float) -> list[str]:
    """The callers who are ready to be offered, the first to be served first."""

    def key(call_id: str) -> tuple[float, float, float, str]:
        call = world.calls[call_id]
        assert call.place_since is not None
        assert call.line is not None
        aged = max(0.0, at - call.place_since) // world.policy.ageing_seconds
        level = call.file.level + call.line.priority + aged + (PRIORITISED if call.prioritised else 0)
        return -level, -(call.file.severity + aged), call.place_since, call_id

    return sorted((call.id for call in world.calls.values() if call.waiting), key=key)


def agrees(world: World, at: float) -> None:
    """Fail where the indices say anything else than the plain way."""
    turn = crc32(f"{at} {sorted(world.seating(at).idle)} {[call.phase for call in world.calls.values()]}".encode())
    ids = sorted(world.desks)
    seating = world.seating(at)
    assert seating.idle == {desk.id for desk in world.desks.values() if skip(world, desk) is None}
    fairness = (Rule.LEAST_TALK, Rule.LEAST_TALK, Rule.TALK_SHARE)[turn % 3]
    for line in (*world.lines, Line(name="", numbers=())):
        turn = turn * 31 % 1_000_003 + 7
        owner = [None, "gone", *ids][turn % (len(ids) + 2)]
        ticket = Ticket(id="T1", subject="s", status="open", severity=1, owner=owner, created_at=1.0)
        caller = CallerFile(owner=owner, level=1 + turn % 5, history=(ticket,) if owner else ())
        tried = {agent for n, agent in enumerate(ids) if turn >> n & 8}
        asked = {"at": at, "line": line, "caller": caller, "tried": tried, "fairness": fairness}
        assert choose(seating=seating, **asked) == choice(world, **asked), asked
    _agrees_on_callers(world, at, turn)


def _agrees_on_callers(world: World, at: float, turn: int) -> None:
    expected = order(world, at)
    ageing, room = world.policy.ageing_seconds, world.room()
    assert len(room) == len(expected)
    assert [c.id for c in room.in_order(at, ageing, served=lambda *_: True, idle=(), also=())] == expected
    served = {line.name for n, line in enumerate(world.lines) if turn >> n & 1}
    idle = {agent for n, agent in enumerate(sorted(world.desks)) if turn >> n & 2}
    told = [c.id for c in room.in_order(at, ageing, served=lambda line, _: line.name in served, idle=idle, also=())]
    calls = world.calls
    assert list(dict.fromkeys(told)) == [
        i for i in expected if ((line := calls[i].line) and line.name in served) or calls[i].file.owner in idle
    ]


def _measure(world: World, at: float, desk: Desk, fairness: Rule) -> float:
    talk = world.ledger.today(desk.id, at)
    return talk / max(1.0, world.presence.today(desk.id, at)) if fairness is Rule.TALK_SHARE else talk


def _candidate(world: World, at: float, desk: Desk, fairness: Rule) -> Candidate:
    return Candidate(
        agent=desk.id,
        talk_seconds=round(world.ledger.today(desk.id, at), 3),
        idle_since=desk.since,
        talk_share=round(_measure(world, at, desk, fairness), 6) if fairness is Rule.TALK_SHARE else None,
    )
