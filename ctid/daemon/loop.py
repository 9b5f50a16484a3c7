"""The routing loop: takes what happened out of the inbox, asks the core, has its actions carried out.

Law: nothing here waits but for the inbox, and for the right to act: without it the core hears nothing, and so decides nothing.
The heartbeat that keeps the lease is one of the core's actions, so that a loop that is stuck loses the lease and the dialplan's
fallback takes the callers. A daemon that stands by follows the PBX with its tracker alone, and remembers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from types import MappingProxyType
from typing import Any

import structlog

from ctid import metrics
from ctid.asterisk.claiming import Claim
from ctid.asterisk.commands import Command, Commands
from ctid.asterisk.fallback import Fallback
from ctid.asterisk.messages import CallerWaits, parse
from ctid.asterisk.originating import Originator
from ctid.asterisk.snapshots import told_as_events
from ctid.asterisk.tracker import Tracker
from ctid.asterisk.wire import Message
from ctid.daemon.answers import Answers
from ctid.daemon.inbox import Follow, Inbox, Item, Resync
from ctid.daemon.memory import Memory
from ctid.daemon.pace import Pace
from ctid.daemon.writer import Writer
from ctid.domain import actions as act
from ctid.domain.acd import Acd
from ctid.domain.events import ClockTakenOver, Event, LinkLost, LinkOpened, TimePassed
from ctid.domain.types import Shed
from ctid.mqtt.client import MqttDoor

log = structlog.get_logger(__name__)


class RoutingLoop:
    """``now`` gives the PBX's clock in Unix seconds; ``on_tick`` is called with each second the loop has handled.

    ``epochs`` are those whose words are believed. ``acting`` is awaited before the core hears of anything, ``on_resynced``
    called when it knows the PBX's state. ``memory`` is that of a daemon that stands by until it is told a ``Resync``; ``None``
    for one that need not.
    ``pace`` is told how far behind the loop is, and says what it leaves undone.
    """

    def __init__(
        self,
        *,
        acd: Acd,
        inbox: Inbox,
        claim: Claim,
        commands: Commands,
        fallback: Fallback,
        originator: Originator,
        mqtt: MqttDoor,
        writer: Writer,
        answers: Answers,
        pace: Pace,
        now: Callable[[], float],
        on_tick: Callable[[float], None],
        epochs: Callable[[], frozenset[str]],
        acting: Callable[[], Awaitable[None]],
        on_resynced: Callable[[], None],
        memory: Memory | None,
    ) -> None:
        self._acd = acd
        self._inbox = inbox
        self._claim = claim
        self._commands = commands
        self._fallback = fallback
        self._originator = originator
        self._mqtt = mqtt
        self._writer = writer
        self._pace = pace
        self._now = now
        self._on_tick = on_tick
        self._epochs = epochs
        self._acting = acting
        self._on_resynced = on_resynced
        self._memory = memory
        self._tracker = Tracker()
        self._linked = False
        self._decided_at = 0.0
        self._late = 0.0  # how old the oldest was that was handled in this second
        self._paced_at = 0.0
        self._live_since = 0.0  # what is older waited for a resync: that it is late says nothing of the pace
        self._read_at = 0.0  # when the PBX's state was read that the tracker goes on from
        self._do: MappingProxyType[type[act.Action], Callable[[Any], None]] = MappingProxyType(
            {
                act.Ring: self._command,
                act.Overflow: self._command,
                act.PlayMusic: self._command,
                act.Announce: self._announce,
                act.TellConsent: self._command,
                act.Say: self._command,
                act.KeepMember: fallback.keep,
                act.OfferCallback: self._command,
                act.Originate: self._originate,
                act.Transfer: self._command,
                act.EndTransfer: self._command,
                act.Beat: self._beat,
                act.LookUpCaller: answers.look_up,
                act.CheckPin: answers.check_pin,
                act.NotePinsStopped: answers.note_pins_stopped,
                act.RenewRecording: self._command,
                act.StopRinging: self._command,
                act.MuteRecording: self._command,
                act.MeasureRecording: answers.measure,
                act.KeepCallback: self._keep_callback,
                act.OpenTicket: writer.open_ticket,
                act.Relink: writer.relink,
                act.SaveCall: lambda a: writer.save_call(a.call),
                act.SaveAgent: lambda a: writer.save_agent(a.status),
                act.ShowPop: self._show_pop,
                act.ShowAgent: lambda a: mqtt.publish_agent(a.status),
                act.ShowCall: lambda a: mqtt.publish_call(a.call, a.waiting),
                act.Reply: lambda a: mqtt.reply(a.request, a.error),
                act.ReplyOnCall: lambda a: mqtt.reply_on_call(a.call_id, a.id, a.error),
                act.NoteDecision: self._note_decision,
                act.NoteCallEnded: self._note_ended,
                act.NoteAgent: self._note_agent,
                act.NoteOddity: self._note_oddity,
            }
        )

    async def run(self) -> None:
        """Handle what comes, for ever."""
        while True:
            item = await self._inbox.take()
            if self._memory is not None and self._follow(item, self._memory):
                continue
            await self._acting()
            if isinstance(item, list):
                self._hear(item)
            elif isinstance(item, Resync):
                self._resync(item)
            elif not isinstance(item, Follow):
                self.handle(item)

    def _follow(self, item: Item, memory: Memory) -> bool:
        """Take in what a daemon that stands by takes in; what is the core's business is not."""
        match item:
            case list():
                for event in self._told(item):
                    memory.keep(event)
            case Follow(at=at, snapshot=snapshot):
                self._tracker = Tracker()
                self._linked = True
                self._read_at = at
                told_as_events(self._tracker, snapshot, at)
                memory.begin(at)
                log.info("pbx.followed", channels=len(snapshot.channels))
            case LinkLost():
                self._linked = False
                memory.lose()
            case TimePassed(at=at):
                self._on_tick(at)
            case _:
                return False
        return True

    def handle(self, event: Event) -> None:
        """Give one event to the core and carry out what it answers."""
        if isinstance(event, LinkLost):
            self._linked = False
            self._fallback.lost()
        if isinstance(event, TimePassed):
            self._keep_pace(event.at)
        elif isinstance(event, ClockTakenOver):
            self._read_at += event.by
            self._live_since += event.by
            self._paced_at += event.by
        self._carry_out(event.at, self._acd.handle(event))
        if isinstance(event, TimePassed):
            self._on_tick(event.at)

    def _hear(self, messages: Sequence[Message]) -> None:
        if self._linked:
            self._note_age(messages[0].at)
        at = None
        for event in self._told(messages):
            at = event.at
            self._carry_out(at, self._acd.take_in(event))
        if at is not None:  # by all that came together: in a backlog, an agent who became free may be busy again
            self._carry_out(at, self._acd.decide(at))
        if self._linked:
            self._note_age(messages[-1].at)

    def _carry_out(self, at: float, actions: Iterable[act.Action]) -> None:
        self._decided_at = at
        for action in actions:
            self._do[type(action)](action)

    def _note_age(self, at: float | None) -> None:
        if at is not None and at >= self._live_since:
            self._late = max(self._late, self._now() - at)

    def _keep_pace(self, ticked_at: float) -> None:
        """Once a second; a core's deadline makes it tick between."""
        self._late = max(self._late, self._now() - ticked_at)
        if not 0 <= ticked_at - self._paced_at < 1.0:
            self._pace.note(self._late, ticked_at)
            self._late, self._paced_at = 0.0, ticked_at

    def _told(self, messages: Iterable[Message]) -> Iterator[Event]:
        if not self._linked:  # a batch of a link that is gone: the next snapshot tells
            return
        epochs = self._epochs()
        for message in messages:
            metrics.count_ami_event(message.name)
            told = parse(message, epochs)
            # A wait announced before the state was read may be over, and its caller talking: the state says who waits.
            if isinstance(told, CallerWaits) and told.at is not None and told.at < self._read_at:
                continue
            if told is not None:
                yield from self._tracker.feed(told)

    def _resync(self, resync: Resync) -> None:
        """Fill the gap, then read the PBX's state as events; what it no longer has has ended meanwhile."""
        gap, memory = resync.gap, self._memory
        if memory is not None:  # it has stood by until now: what the books lack, it has seen
            self._memory = None
            if resync.seen_at is not None and memory.reaches(resync.seen_at):
                gap = memory.after(resync.seen_at)
        elif self._linked:
            self.handle(LinkLost(at=resync.at))
        self._tracker = Tracker()
        self._linked = True
        self._read_at = resync.at
        for event in gap or ():
            self.handle(event)
        for event in told_as_events(self._tracker, resync.snapshot, resync.at):
            self.handle(event)
        self.handle(LinkOpened(at=resync.at, gap_told=gap is not None, told_at=self._now()))
        self._fallback.opened()
        self._live_since = self._now()
        self._on_resynced()
        log.info(
            "pbx.resynced",
            channels=len(resync.snapshot.channels),
            bridges=len(resync.snapshot.bridges),
            backfilled=len(gap or ()),
        )

    # -- actions that are more than one call -----------------------------------------------------------------------

    def _command(self, action: Command) -> None:
        self._commands.carry_out(action, decided_at=self._decided_at)

    def _announce(self, action: act.Announce) -> None:
        if not self._pace.sheds(Shed.ANNOUNCEMENTS):
            self._command(action)

    def _beat(self, action: act.Beat) -> None:
        if self._pace.sheds(Shed.LEASE):
            self._claim.renounce()
        else:
            self._claim.beat(action.at)

    def _originate(self, action: act.Originate) -> None:
        self._originator.carry_out(action, decided_at=self._decided_at)

    def _keep_callback(self, action: act.KeepCallback) -> None:
        kept = action.callback
        self._writer.save_callback(kept)
        if kept.state.final:
            metrics.CALLBACKS.labels(outcome=kept.state.value).inc()
        log.info("callback", call=kept.id, state=kept.state.value, agent=kept.agent, tries=kept.tries, why=kept.why)

    def _show_pop(self, action: act.ShowPop) -> None:
        pop = action.pop
        self._mqtt.publish_pop(pop)
        log.info("pop", call=pop.call_id, agent=pop.agent, state=pop.state.value)

    def _note_decision(self, action: act.NoteDecision) -> None:
        decision = action.decision
        metrics.DECISIONS.labels(rule=decision.rule.value).inc()
        metrics.DECISION_SECONDS.observe(max(0.0, self._now() - decision.at))
        log.info(
            "decision",
            call=action.call_id,
            agent=decision.chosen,
            rule=decision.rule.value,
            owner=decision.owner,
            owner_skipped=decision.owner_skipped.value if decision.owner_skipped else None,
            considered=len(decision.considered),
            skipped={reason.value: count for reason, count in decision.skipped},
        )

    def _note_ended(self, action: act.NoteCallEnded) -> None:
        call = action.call
        assert call.outcome is not None
        metrics.CALLS.labels(direction=call.direction.value, outcome=call.outcome.value).inc()
        log.info("call.ended", call=call.id, agent=call.agent, outcome=call.outcome.value, via=call.via.value)

    def _note_agent(self, action: act.NoteAgent) -> None:
        log.info("agent.changed", agent=action.agent, now=action.news.value, phone=action.phone, reason=action.reason)

    def _note_oddity(self, action: act.NoteOddity) -> None:
        metrics.ODDITIES.inc()
        log.warning("oddity", what=action.what, call=action.call_id, agent=action.agent)
