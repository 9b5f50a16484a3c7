"""One agent at work: what is known of them, and the state that follows from it.

Law: the state is derived from facts (signed in, legs, reservation, wrap-up, pause), never set; ``MOVES`` lists the moves
that make sense, so that any other is noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from ctid.domain.types import Agent, AgentId, AgentState, AgentStatus, CallId, Endpoint, LegId, Skip
from ctid.domain.watched import Watched

_S = AgentState

#: From each state, the states an agent may move to. Signing in anew and restarts begin at ``offline``.
MOVES = MappingProxyType(
    {
        _S.OFFLINE: frozenset({_S.IDLE, _S.PAUSED, _S.WRAP_UP, _S.RINGING, _S.TALKING}),
        _S.IDLE: frozenset({_S.OFFLINE, _S.RESERVED, _S.RINGING, _S.TALKING, _S.PAUSED}),
        _S.RESERVED: frozenset({_S.OFFLINE, _S.RINGING, _S.TALKING, _S.IDLE, _S.PAUSED}),
        _S.RINGING: frozenset({_S.OFFLINE, _S.TALKING, _S.IDLE, _S.RESERVED, _S.PAUSED, _S.WRAP_UP}),
        _S.TALKING: frozenset({_S.OFFLINE, _S.WRAP_UP, _S.IDLE, _S.PAUSED, _S.RINGING, _S.RESERVED}),
        _S.WRAP_UP: frozenset({_S.OFFLINE, _S.IDLE, _S.PAUSED, _S.RESERVED, _S.RINGING, _S.TALKING}),
        _S.PAUSED: frozenset({_S.OFFLINE, _S.IDLE, _S.RESERVED, _S.RINGING, _S.TALKING, _S.WRAP_UP}),
    }
)

_SKIP_BY_STATE = MappingProxyType(
    {
        _S.OFFLINE: Skip.OFFLINE,
        _S.RESERVED: Skip.RESERVED,
        _S.RINGING: Skip.RINGING,
        _S.TALKING: Skip.TALKING,
        _S.WRAP_UP: Skip.WRAP_UP,
        _S.PAUSED: Skip.PAUSED,
    }
)


@dataclass(slots=True)
class Phone(Watched):
    """What the PBX says of one endpoint. ``reachable`` is ``None`` until it says anything: unknown is not idle."""

    facts: ClassVar = frozenset({"channels", "reachable", "cooling", "reserved_for"})

    changed: set[Endpoint] = field(repr=False, compare=False)
    id: Endpoint
    channels: int = 0
    reachable: bool | None = None
    cooling: bool = False  # unreachable or busy a moment ago, and left alone until its timer falls due
    reserved_for: CallId | None = None  # a caller is on the way to this phone, whoever sits there by now


@dataclass(slots=True)
class Desk(Watched):
    """One agent's working facts. ``legs`` maps each live leg of the agent to the call, and to whether it was answered."""

    facts: ClassVar = frozenset(
        {"agent", "phone", "pause_reason", "reserved_for", "legs", "wrap_up_until", "state", "since"}
    )

    changed: set[AgentId] = field(repr=False, compare=False)
    agent: Agent
    phone: Endpoint | None = None
    signed_in_at: float | None = None
    pause_reason: str | None = None
    reserved_for: CallId | None = None
    legs: Mapping[LegId, tuple[CallId, bool]] = field(default_factory=dict)
    wrap_up_until: float | None = None
    consults: AgentId | None = None  # the colleague asked about the caller under way
    missed_in_a_row: int = 0
    # what was last shown
    state: AgentState = AgentState.OFFLINE
    since: float = 0.0

    @property
    def id(self) -> AgentId:
        return self.agent.id

    def derived(self, phone: Phone | None) -> AgentState:
        """The state that follows from the facts; a signed-out agent is offline even while a last call goes on.

        A phone in use by a call that is not this agent's (they sat down at it a moment ago) counts as talking.
        """
        if self.phone is None:
            return _S.OFFLINE
        if any(answered for _, answered in self.legs.values()):
            return _S.TALKING
        if self.legs:
            return _S.RINGING
        if self.reserved_for is not None:
            return _S.RESERVED
        if self.wrap_up_until is not None:
            return _S.WRAP_UP
        if self.pause_reason is not None:
            return _S.PAUSED
        return _S.TALKING if phone is not None and phone.channels else _S.IDLE

    def call_id(self) -> CallId | None:
        """The call the agent is in, an answered one before a ringing one, or is reserved for."""
        for call_id, answered in self.legs.values():
            if answered:
                return call_id
        return next((call_id for call_id, _ in self.legs.values()), self.reserved_for)

    def status(self, talk_seconds: float, paused_until: float | None) -> AgentStatus:
        """The state as published; ``talk_seconds`` is today's, from the ledger, ``paused_until`` of their call's recording."""
        return AgentStatus(
            agent=self.id,
            state=self.state,
            since=self.since,
            phone=self.phone,
            reason=self.pause_reason,
            call_id=self.call_id(),
            talk_seconds_today=round(talk_seconds, 3),
            signed_in_at=self.signed_in_at,
            consults=self.consults,
            wrap_up_until=self.wrap_up_until if self.state is _S.WRAP_UP else None,
            paused_until=paused_until,
        )

    def why_not_idle(self, phone: Phone | None) -> Skip | None:
        """Why this agent can't be rung, ``None`` when they are idle. ``phone`` is where they sit."""
        if not self.agent.enabled:
            return Skip.DISABLED
        state = self.derived(None)
        if state is not _S.IDLE:
            return _SKIP_BY_STATE[state]
        if phone is None or phone.reachable is None:
            return Skip.PHONE_UNKNOWN
        if not phone.reachable:
            return Skip.PHONE_UNREACHABLE
        if phone.channels:
            return Skip.PHONE_BUSY
        if phone.reserved_for is not None:
            return Skip.RESERVED
        if phone.cooling:
            return Skip.COOLING_DOWN
        return None
