"""Who is idle, line by line, in the order in which the rule takes them; and why the others are not.

Law: it says what a look at every desk would say, and costs no such look. It is kept by what is ``watched``: desks, phones and
the ledger note whose facts changed, and only those agents are looked at again, before anything is read.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain

from ctid.domain.agent import Desk, Phone
from ctid.domain.ledger import Ledger
from ctid.domain.types import Agent, AgentId, Candidate, Endpoint, Line, Skip

#: An idle agent's place in the order: talk today, idle since, id. It stands still while the agent is idle.
Key = tuple[float, float, AgentId]


class Pool:
    """The agents of one line by level: the idle in order, the others counted by reason."""

    __slots__ = ("idle", "size", "skipped")

    def __init__(self) -> None:
        self.size = 0
        self.idle: dict[int, list[Key]] = {}
        self.skipped: Counter[tuple[int, Skip]] = Counter()

    def add(self, place: Place) -> None:
        self.size += 1
        if place.skip is None:
            insort(self.idle.setdefault(place.agent.level, []), place.key)
        else:
            self.skipped[place.agent.level, place.skip] += 1

    def remove(self, place: Place) -> None:
        self.size -= 1
        if place.skip is None:
            keys = self.idle[place.agent.level]
            del keys[bisect_left(keys, place.key)]
        else:
            self.skipped[place.agent.level, place.skip] -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One agent as last looked at. ``skip`` is why they can't be rung, ``None`` when idle; ``key`` their place in the order."""

    agent: Agent
    phone: Endpoint | None
    pools: tuple[Pool, ...]
    skip: Skip | None
    key: Key


class Seating:
    """The index that decisions are read from.

    ``changed_agents`` and ``changed_phones`` are where desks, phones and ``ledger`` note what to look at; ``presence`` counts
    the seconds signed in today.
    """

    def __init__(
        self,
        *,
        lines: Iterable[Line],
        desks: Mapping[AgentId, Desk],
        phones: Mapping[Endpoint, Phone],
        ledger: Ledger,
        presence: Ledger,
        changed_agents: set[AgentId],
        changed_phones: set[Endpoint],
    ) -> None:
        self._desks, self._phones = desks, phones
        self._ledger, self._presence = ledger, presence
        self._changed_agents, self._changed_phones = changed_agents, changed_phones
        self._named = {line.name: (frozenset(line.agents), Pool()) for line in lines if line.agents is not None}
        self._everyone = Pool()
        self._places: dict[AgentId, Place] = {}
        self._sitting: defaultdict[Endpoint, set[AgentId]] = defaultdict(set)
        #: Every idle agent, whatever lines they serve.
        self.idle: set[AgentId] = set()

    def refresh(self, at: float) -> None:
        """Look again at those whose facts changed; ``at`` says which day it is."""
        self._ledger.roll(at)
        for endpoint in self._changed_phones:
            self._changed_agents |= self._sitting.get(endpoint, set())
        self._changed_phones.clear()
        for agent_id in self._changed_agents:
            if (desk := self._desks.get(agent_id)) is not None:
                self._look(desk, at)
        self._changed_agents.clear()

    # -- what decisions ask ----------------------------------------------------------------------------------------

    def place(self, agent_id: AgentId) -> Place | None:
        """The agent's place, ``None`` for one the roster does not know."""
        return self._places.get(agent_id)

    def serves(self, place: Place, line: Line) -> bool:
        """Whether the agent belongs to the line: named by the line, by the roster, or the line takes everyone."""
        return self._pool(line) in place.pools

    def share(self, one: Line, other: Line) -> bool:
        """Whether some agent serves both lines."""
        pools = self._pool(one), self._pool(other)
        return any(
            pools[0] in place.pools and pools[1] in place.pools and place.skip is not Skip.DISABLED
            for place in self._places.values()
        )

    def anyone(self, line: Line, least_level: int) -> bool:
        """Whether an idle agent of at least that level serves the line."""
        return any(keys and level >= least_level for level, keys in self._pool(line).idle.items())

    def passed_over(self, line: Line, least_level: int, tried: Collection[AgentId]) -> Counter[Skip]:
        """Every agent who can't be rung for a caller of the line, counted by reason."""
        pool = self._pool(line)
        counts = Counter({Skip.NOT_ON_LINE: len(self._places) - pool.size, Skip.TRIED: len(tried)})
        for (level, skip), count in pool.skipped.items():
            counts[skip if level >= least_level or skip is Skip.DISABLED else Skip.LEVEL] += count
        counts[Skip.LEVEL] += sum(len(keys) for level, keys in pool.idle.items() if level < least_level)
        return +counts

    def tried(self, line: Line, least_level: int, agents: Iterable[AgentId]) -> frozenset[AgentId]:
        """Those of ``agents`` who could be rung for a caller of the line, had they not been tried."""
        pool = self._pool(line)
        return frozenset(
            agent_id
            for agent_id in agents
            if (place := self._places.get(agent_id)) is not None
            and place.skip is None
            and place.agent.level >= least_level
            and pool in place.pools
        )

    def least_talk(self, line: Line, least_level: int, tried: Collection[AgentId], most: int) -> tuple[Candidate, ...]:
        """The first ``most`` candidates by least talk today; ties by longest idle, then id."""
        enough = most + len(tried)
        levels = [keys[:enough] for level, keys in self._pool(line).idle.items() if level >= least_level]
        keys = [key for key in sorted(chain.from_iterable(levels)) if key[2] not in tried]
        return tuple(_candidate(key) for key in keys[:most])

    def talk_share(
        self, line: Line, least_level: int, tried: Collection[AgentId], most: int, at: float
    ) -> tuple[Candidate, ...]:
        """The first ``most`` candidates by talk today for each second signed in today; ties by longest idle, then id.

        Shares move with time, each at a pace of its own: every idle agent of the line is looked at.
        """
        levels = [keys for level, keys in self._pool(line).idle.items() if level >= least_level]
        shares = (
            (talk / max(1.0, self._presence.today(agent_id, at)), since, agent_id, talk)
            for talk, since, agent_id in chain.from_iterable(levels)
            if agent_id not in tried
        )
        return tuple(
            _candidate((talk, since, agent_id), share) for share, since, agent_id, talk in nsmallest(most, shares)
        )

    def candidate(self, place: Place) -> Candidate:
        return _candidate(place.key)

    # -- within ----------------------------------------------------------------------------------------------------

    def _pool(self, line: Line) -> Pool:
        return self._everyone if line.agents is None else self._named[line.name][1]

    def _look(self, desk: Desk, at: float) -> None:
        phone = self._phones.get(desk.phone) if desk.phone is not None else None
        old, skip = self._places.get(desk.id), desk.why_not_idle(phone)
        key = (self._ledger.today(desk.id, at), desk.since, desk.id)
        if old is not None:
            same = old.agent is desk.agent and old.phone == desk.phone and old.skip is skip
            if same and (skip is not None or old.key == key):
                return
            for pool in old.pools:
                pool.remove(old)
            if old.phone is not None:
                self._sitting[old.phone].discard(desk.id)
        if desk.phone is not None:
            self._sitting[desk.phone].add(desk.id)
        pools = old.pools if old is not None and old.agent is desk.agent else self._pools_of(desk.agent)
        place = self._places[desk.id] = Place(agent=desk.agent, phone=desk.phone, pools=pools, skip=skip, key=key)
        for pool in pools:
            pool.add(place)
        if skip is None:
            self.idle.add(desk.id)
        else:
            self.idle.discard(desk.id)

    def _pools_of(self, agent: Agent) -> tuple[Pool, ...]:
        named = (pool for name, (agents, pool) in self._named.items() if agent.id in agents or name in agent.lines)
        return (self._everyone, *named)


def _candidate(key: Key, share: float | None = None) -> Candidate:
    talk, since, agent_id = key
    return Candidate(
        agent=agent_id,
        talk_seconds=round(talk, 3),
        idle_since=since,
        talk_share=None if share is None else round(share, 6),
    )
