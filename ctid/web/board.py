"""The board: each agent's present state and screen-pop, and the daemons', as last heard over MQTT.

Law: what is heard is hostile until it has its type; past that each agent has one view, whole and newest, and those who
watch are told *that* it changed, not what: a slow screen skips what it missed and never sees an old pop over a new one.
A pop lasts until it is ended or withdrawn; one whose end went unheard ends with the state the broker kept.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from structlog import get_logger

from ctid.domain.types import AgentId, AgentState, PopState
from ctid.mqtt.topics import ID, PREFIX

TOPICS = (f"{PREFIX}/agents/+/state", f"{PREFIX}/agents/+/pop", f"{PREFIX}/nodes/+/status")
#: Past it, agents and nodes never heard of before are not taken in: the broker's word alone must not fill the memory.
MOST_AGENTS = 5000
MOST_NODES = 100

_log = get_logger(__name__)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's state as published; times are ISO 8601 texts and shown, not reckoned with."""

    state: AgentState
    since: str | None = None
    reason: str | None = None
    talk_seconds_today: float = 0.0
    call_id: str | None = None
    phone: str | None = None


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    department: str | None = None
    title: str | None = None
    level: int | None = None
    customer: str | None = None


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    subject: str
    status: str | None = None
    severity: int | None = None
    owner: str | None = None


class Pop(msgspec.Struct, frozen=True, kw_only=True):
    """A screen-pop as published; ``decision`` stays raw for those who explain it."""

    call_id: str
    state: PopState
    caller: str | None = None
    dialled: str | None = None
    contact: Contact | None = None
    matches: tuple[Contact, ...] = ()
    ticket: Ticket | None = None
    history: tuple[Ticket, ...] = ()
    decision: msgspec.Raw = msgspec.Raw(b"null")
    notices: tuple[str, ...] = ()
    at: str | None = None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    up: bool
    acting: bool = False
    pbx_connected: bool = False
    version: str | None = None


@dataclass(slots=True, kw_only=True)
class View:
    """What is known of one agent now. ``pop`` is under way; ``gone`` the last one that ended or was withdrawn."""

    state: State | None = None
    pop: Pop | None = None
    gone: Pop | None = None


class Watch:
    """One screen's way to the changes: the agents whose view is newer than what the screen was sent.

    ``of`` is the agents it may see, ``None`` for all. Bounded by itself: an agent stands in it once.
    """

    def __init__(self, of: frozenset[AgentId] | None) -> None:
        self._of = of
        self._changed: OrderedDict[AgentId, None] = OrderedDict()
        self._some = asyncio.Event()

    def note(self, agents: Iterable[AgentId]) -> None:
        for agent in agents:
            if self._of is None or agent in self._of:
                self._changed[agent] = None
                self._some.set()

    async def next(self) -> AgentId:
        """The agent whose change has waited longest."""
        await self._some.wait()
        agent, _ = self._changed.popitem(last=False)
        if not self._changed:
            self._some.clear()
        return agent


@dataclass(slots=True)
class Board:
    views: dict[AgentId, View] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    _watches: set[Watch] = field(default_factory=set)

    def take(self, topic: str, payload: bytes, *, kept: bool) -> None:
        """One message from the broker; ``kept`` when it is what the broker had retained. Never raises."""
        kind, _, rest = topic.removeprefix(f"{PREFIX}/").partition("/")
        subject, _, tail = rest.partition("/")
        if not ID.fullmatch(subject):
            return
        try:
            match kind, tail:
                case "agents", "state":
                    self._state(subject, msgspec.json.decode(payload, type=State), kept=kept)
                case "agents", "pop":
                    self._pop(subject, msgspec.json.decode(payload, type=Pop))
                case "nodes", "status" if subject in self.nodes or len(self.nodes) < MOST_NODES:
                    self.nodes[subject] = msgspec.json.decode(payload, type=Node)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            _log.warning("a message that is not ctid's was dropped", topic=topic, error=str(error))

    def watch(self, of: frozenset[AgentId] | None) -> Watch:
        """A watch that has all present views to tell, the agents named even if never heard of; end it by ``leave``."""
        watch = Watch(of)
        watch.note(self.views if of is None else of)
        self._watches.add(watch)
        return watch

    def leave(self, watch: Watch) -> None:
        self._watches.discard(watch)

    @property
    def watched(self) -> int:
        """How many screens listen."""
        return len(self._watches)

    def routing(self) -> Node | None:
        """The daemon that acts and is up, if one said so."""
        return next((node for node in self.nodes.values() if node.up and node.acting), None)

    def _state(self, agent: AgentId, state: State, *, kept: bool) -> None:
        view = self._view(agent)
        if view is None:
            return
        view.state = state
        # A kept state comes with a new connection: what was said while there was none is lost, the pop's end included.
        if kept and view.pop is not None and view.pop.call_id != state.call_id:
            view.pop = None
        self._tell(agent)

    def _pop(self, agent: AgentId, pop: Pop) -> None:
        view = self._view(agent)
        if view is None:
            return
        if pop.state in (PopState.RINGING, PopState.ANSWERED):
            view.pop = pop
        else:
            view.gone = pop
            if view.pop is not None and view.pop.call_id == pop.call_id:
                view.pop = None
        self._tell(agent)

    def _view(self, agent: AgentId) -> View | None:
        if agent not in self.views and len(self.views) >= MOST_AGENTS:
            return None
        return self.views.setdefault(agent, View())

    def _tell(self, agent: AgentId) -> None:
        for watch in self._watches:
            watch.note((agent,))
