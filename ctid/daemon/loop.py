"""The routing loop: takes what happened out of the inbox, asks the core, has its actions carried out.

Law: nothing here waits but for the inbox. The heartbeat that keeps the lease is one of the core's actions, so that a loop that
is stuck loses the lease and the dialplan's fallback takes the callers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any

import structlog

from ctid import metrics
from ctid.asterisk.commands import Commands, Route
from ctid.asterisk.fallback import Fallback
from ctid.asterisk.messages import parse
from ctid.asterisk.originating import Originator
from ctid.asterisk.snapshots import told_as_events
from ctid.asterisk.tracker import Tracker
from ctid.asterisk.wire import Message
from ctid.daemon.answers import Answers
from ctid.daemon.inbox import Inbox, Resync
from ctid.daemon.writer import Writer
from ctid.domain import actions as act
from ctid.domain.acd import Acd
from ctid.domain.events import Event, LinkLost, LinkOpened, TimePassed
from ctid.mqtt.client import MqttDoor

log = structlog.get_logger(__name__)


class RoutingLoop:
    """``now`` gives the PBX's clock in Unix seconds; ``on_tick`` is called with each second the loop has handled."""

    def __init__(
        self,
        *,
        acd: Acd,
        inbox: Inbox,
        commands: Commands,
        fallback: Fallback,
        originator: Originator,
        mqtt: MqttDoor,
        writer: Writer,
        answers: Answers,
        now: Callable[[], float],
        on_tick: Callable[[float], None],
    ) -> None:
        self._acd = acd
        self._inbox = inbox
        self._commands = commands
        self._fallback = fallback
        self._originator = originator
        self._mqtt = mqtt
        self._writer = writer
        self._now = now
        self._on_tick = on_tick
        self._tracker = Tracker()
        self._linked = False
        self._decided_at = 0.0
        self._do: MappingProxyType[type[act.Action], Callable[[Any], None]] = MappingProxyType(
            {
                act.Ring: self._command,
                act.Overflow: self._command,
                act.PlayMusic: self._command,
                act.Announce: self._command,
                act.Say: self._command,
                act.KeepMember: fallback.keep,
                act.OfferCallback: self._command,
                act.Originate: self._originate,
                act.Transfer: self._command,
                act.EndTransfer: self._command,
                act.Beat: lambda a: commands.carry_out(a, decided_at=a.at),
                act.LookUpCaller: answers.look_up,
                act.CheckPin: answers.check_pin,
                act.RenewRecording: self._command,
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
            if isinstance(item, list):
                self._hear(item)
            elif isinstance(item, Resync):
                self._resync(item)
            else:
                self.handle(item)

    def handle(self, event: Event) -> None:
        """Give one event to the core and carry out what it answers."""
        if isinstance(event, LinkLost):
            self._linked = False
            self._fallback.lost()
        self._decided_at = event.at
        for action in self._acd.handle(event):
            self._do[type(action)](action)
        if isinstance(event, TimePassed):
            self._on_tick(event.at)

    def _hear(self, messages: Iterable[Message]) -> None:
        if not self._linked:  # a batch of a link that is gone: the next snapshot tells
            return
        for message in messages:
            metrics.count_ami_event(message.name)
            told = parse(message, self._commands.epoch)
            if told is not None:
                for event in self._tracker.feed(told):
                    self.handle(event)

    def _resync(self, resync: Resync) -> None:
        """Fill the gap from CEL, then read the PBX's state as events; what it no longer has has ended meanwhile."""
        if self._linked:
            self.handle(LinkLost(at=resync.at))
        self._tracker = Tracker()
        self._linked = True
        for event in resync.gap or ():
            self.handle(event)
        for event in told_as_events(self._tracker, resync.snapshot, resync.at):
            self.handle(event)
        self.handle(LinkOpened(at=resync.at, gap_told=resync.gap is not None))
        self._fallback.opened()
        log.info(
            "pbx.resynced",
            channels=len(resync.snapshot.channels),
            bridges=len(resync.snapshot.bridges),
            backfilled=len(resync.gap or ()),
        )

    # -- actions that are more than one call -----------------------------------------------------------------------

    def _command(self, action: Route | act.RenewRecording | act.OfferCallback | act.Transfer | act.EndTransfer) -> None:
        self._commands.carry_out(action, decided_at=self._decided_at)

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
