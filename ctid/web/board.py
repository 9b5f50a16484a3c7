"""The board: each agent's present state and screen-pop, who waits, and the daemons, as last heard over MQTT.

Law: what is heard is hostile until it has its type; past that each agent has one view, whole and newest, and those who
watch are told *that* it changed, not what: a slow screen skips what it missed and never sees an old pop over a new one.
What a screen watches for itself it is told at once; how the others are and who waits, gathered, twice a second at most.
A pop lasts until it is ended or withdrawn; one whose end went unheard ends with the state the broker kept. A caller waits
until their call says otherwise, or nothing was heard of it for longer than the dialplan is silent about those it holds.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

import msgspec
from structlog import get_logger

from ctid.domain.types import AGEING_SECONDS, AgentId, AgentState, CallId, PopState
from ctid.domain.waiting import PRIORITISED, Order, waiting_order
from ctid.mqtt.topics import ID, PREFIX

TOPICS = (
    f"{PREFIX}/agents/+/state",
    f"{PREFIX}/agents/+/pop",
    f"{PREFIX}/calls/+",
    f"{PREFIX}/nodes/+/status",
)
#: Past it, agents and nodes never heard of before are not taken in: the broker's word alone must not fill the memory.
MOST_AGENTS = 5000
MOST_NODES = 100
#: Past it, a list to pick up from helps nobody.
MOST_WAITING = 200
#: The dialplan tells of each caller it holds every 15 seconds: one not heard of for so long holds no more.
SILENT_SECONDS = 40.0
#: What stands in place of an agent when the list of those who wait has changed; no agent's id is empty.
WAITING: AgentId = ""
#: How long the changes of others are gathered before a screen is told.
GATHER_SECONDS = 0.5
#: So many screens are told of it together, and the next so much later.
TOLD_TOGETHER = 20
BETWEEN_SECONDS = 0.01

#: A customer level or a ticket's severity; 0 is none.
Rank = Annotated[int, msgspec.Meta(ge=0, le=5)]

_log = get_logger(__name__)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's state as published; times are ISO 8601 texts and shown, not reckoned with."""

    state: AgentState
    since: str | None = None
    reason: str | None = None
    talk_seconds_today: float = 0.0
    call_id: str | None = None
    phone: str | None = None
    wrap_up_until: str | None = None
    consults: str | None = None
    recording_paused_until: str | None = None


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    department: str | None = None
    title: str | None = None
    level: Rank | None = None
    customer: str | None = None


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A notice by its code and fields, for ``saying.told``."""

    code: str
    fields: dict[str, str | int] = {}


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    subject: str
    status: str | None = None
    severity: Rank | None = None
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
    notes: tuple[Note, ...] = ()
    at: str | None = None


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Why a caller stands where they stand among those who wait, and who they are."""

    since: str | None = None
    level: Rank = 1
    severity: Rank = 0
    contact: str | None = None
    customer: str | None = None
    prioritised: bool = False
    stands_since: str | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A caller who waits and may be picked up; ``id`` is the call's."""

    id: CallId
    waiting: Waits
    caller: str | None = None
    line: str | None = None


def _epoch(text: str | None, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except (ValueError, OverflowError):
        return otherwise


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    """Of a call as published, what tells whether its caller waits."""

    waiting: Waits | None = None
    caller: str | None = None
    line: str | None = None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    up: bool
    acting: bool = False
    pbx_connected: bool = False
    version: str | None = None
    shedding: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class View:
    """What is known of one agent now. ``pop`` is under way; ``gone`` the last one that ended or was withdrawn.

    ``said`` keeps how it was put into words since it last changed, for the other screens that show it.
    """

    state: State | None = None
    pop: Pop | None = None
    gone: Pop | None = None
    said: dict[Hashable, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Whose views are newer than what the screen was sent: of the agents it is about, and of the others; and who waits."""

    agents: tuple[AgentId, ...] = ()
    others: tuple[AgentId, ...] = ()
    waiting: bool = False


class Watch:
    """One screen's way to the changes.

    ``of`` is the agents it is about, ``None`` for all; ``others`` says whether it shows how the others are and who waits, too.
    Bounded by itself: an agent stands in it once.
    """

    def __init__(self, of: frozenset[AgentId] | None, *, others: bool = False) -> None:
        self.others = others
        self._of = of
        self._changed: OrderedDict[AgentId, None] = OrderedDict()
        self._others_changed: OrderedDict[AgentId, None] = OrderedDict()
        self._some = asyncio.Event()

    def note(self, agents: Iterable[AgentId]) -> None:
        """These changed: to be told at once, if the screen is about them."""
        for agent in agents:
            if agent != WAITING and (self._of is None or agent in self._of):
                self._changed[agent] = None
                self._some.set()

    def note_others(self, agents: Iterable[AgentId]) -> None:
        """These changed, or who waits did: to be told beside what the screen is about."""
        for agent in agents:
            if self._of is None or agent not in self._of:
                self._others_changed[agent] = None
                self._some.set()

    async def next(self) -> News:
        """What changed since the last time, as soon as there is any."""
        while not self._changed and not self._others_changed:
            self._some.clear()
            await self._some.wait()
        if self._changed:
            news = News(agents=tuple(self._changed))
            self._changed.clear()
        else:
            others = tuple(agent for agent in self._others_changed if agent != WAITING)
            news = News(others=others, waiting=WAITING in self._others_changed)
            self._others_changed.clear()
        return news


@dataclass(slots=True)
class Board:
    """``priorities`` are those of the lines by name, which with levels and ageing decide who is served first."""

    priorities: Mapping[str, int] = field(default_factory=dict)
    views: dict[AgentId, View] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    _waiting: dict[CallId, tuple[float, Waiting]] = field(default_factory=dict)  # heard when, by the monotonic clock
    _watches: set[Watch] = field(default_factory=set)
    _gathered: dict[AgentId, None] = field(default_factory=dict)
    _telling: asyncio.TimerHandle | None = None

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
                case "calls", "":
                    self._call(subject, msgspec.json.decode(payload, type=_Call))
                case "nodes", "status" if subject in self.nodes or len(self.nodes) < MOST_NODES:
                    self.nodes[subject] = msgspec.json.decode(payload, type=Node)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            _log.warning("a message that is not ctid's was dropped", topic=topic, error=str(error))

    def watch(self, of: frozenset[AgentId] | None, *, others: bool = False) -> Watch:
        """A watch that has all present views to tell, the agents named even if never heard of; end it by ``leave``."""
        watch = Watch(of, others=others)
        watch.note((*(of or ()), *self.views))
        if others:
            watch.note_others((*self.views, WAITING))
        self._watches.add(watch)
        return watch

    def leave(self, watch: Watch) -> None:
        self._watches.discard(watch)

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """The callers who wait and may be picked up, in the order in which routing serves them."""
        heard_since, now = time.monotonic() - SILENT_SECONDS, time.time()
        here = [waiting for heard, waiting in self._waiting.values() if heard >= heard_since]
        return tuple(sorted(here, key=lambda caller: (self._order(caller, now), caller.id)))

    def _order(self, caller: Waiting, now: float) -> Order:
        of = caller.waiting
        return waiting_order(
            level=of.level,
            severity=of.severity,
            priority=self.priorities.get(caller.line or "", 0) + (PRIORITISED if of.prioritised else 0),
            arrived_at=_epoch(of.stands_since or of.since, now),
            now=now,
            ageing_seconds=AGEING_SECONDS,
        )

    @property
    def watched(self) -> int:
        """How many screens listen."""
        return len(self._watches)

    def unheard(self, agent: AgentId) -> CallId | None:
        """The call that rings at the agent or that they are in, if no pop told of it as far as that."""
        view = self.views.get(agent)
        if view is None or view.state is None or view.state.state not in (AgentState.RINGING, AgentState.TALKING):
            return None
        call_id, pop = view.state.call_id, view.pop
        if pop is not None and pop.call_id == call_id:
            old = pop.state is PopState.RINGING and view.state.state is AgentState.TALKING
            return call_id if old else None
        # What is over is told before the state that follows from it.
        return None if view.gone is not None and view.gone.call_id == call_id else call_id

    def showed(self, agent: AgentId, call_id: CallId) -> bool:
        """Whether the agent's screen shows this call, or showed it last."""
        view = self.views.get(agent)
        return view is not None and any(pop is not None and pop.call_id == call_id for pop in (view.pop, view.gone))

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

    def _call(self, call_id: CallId, call: _Call) -> None:
        _, before = self._waiting.pop(call_id, (0.0, None))
        now = None
        if call.waiting is not None:
            now = Waiting(id=call_id, waiting=call.waiting, caller=call.caller, line=call.line)
            heard = time.monotonic()
            for silent in [id_ for id_, (at, _) in self._waiting.items() if at < heard - SILENT_SECONDS]:
                del self._waiting[silent]
            if len(self._waiting) < MOST_WAITING:
                self._waiting[call_id] = heard, now
        if now != before:
            self._tell(WAITING)

    def _view(self, agent: AgentId) -> View | None:
        if agent not in self.views and len(self.views) >= MOST_AGENTS:
            return None
        return self.views.setdefault(agent, View())

    def _tell(self, agent: AgentId) -> None:
        if (view := self.views.get(agent)) is not None:
            view.said.clear()
        beside = False
        for watch in self._watches:
            watch.note((agent,))
            beside = beside or watch.others
        if beside:
            self._gathered[agent] = None
            if self._telling is None:
                self._telling = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._tell_others)

    def _tell_others(self) -> None:
        gathered = tuple(self._gathered)
        self._gathered.clear()
        self._tell_next(gathered, [watch for watch in self._watches if watch.others])

    def _tell_next(self, gathered: tuple[AgentId, ...], screens: Sequence[Watch]) -> None:
        """Tell some screens now and the rest a moment later: a caller who rings meanwhile must not wait for all of them."""
        for watch in screens[:TOLD_TOGETHER]:
            watch.note_others(gathered)
        loop = asyncio.get_running_loop()
        if rest := screens[TOLD_TOGETHER:]:
            self._telling = loop.call_later(BETWEEN_SECONDS, self._tell_next, gathered, rest)
        else:
            self._telling = loop.call_later(GATHER_SECONDS, self._tell_others) if self._gathered else None
