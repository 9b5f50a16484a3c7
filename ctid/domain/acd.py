"""The core: one event in, actions out.

Law: ``handle`` never waits, never reads a clock and never fails on what the world may send; the table below is the whole of
what ctid reacts to. The shell feeds it every second and at ``next_deadline``.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from ctid.domain import (
    callbacks,
    choosing,
    consenting,
    keeping,
    legs,
    lingering,
    link,
    pausing,
    placing,
    serving,
    staff,
    transfers,
    visits,
)
from ctid.domain import events as ev
from ctid.domain.actions import Action, Beat
from ctid.domain.types import AgentState, CallbackState, Line, Policy
from ctid.domain.world import World, as_it_is, as_written

_ON: MappingProxyType[type[ev.Event], Callable[[World, Any], None]] = MappingProxyType(
    {
        ev.CallStarted: visits.on_call_started,
        ev.CallEntered: visits.on_call_entered,
        ev.CallerHeld: visits.on_caller_held,
        ev.ConsentTold: consenting.on_told,
        ev.CallLeftToFailsafe: visits.on_left_to_failsafe,
        ev.CallOverflowed: visits.on_overflowed,
        ev.CallerIdentified: visits.on_identified,
        ev.CallerLookupFailed: visits.on_lookup_failed,
        ev.LegOffered: legs.on_leg_offered,
        ev.LegRang: legs.on_leg_rang,
        ev.LegAnswered: legs.on_leg_answered,
        ev.TalkStarted: legs.on_talk_started,
        ev.TalkStopped: legs.on_talk_stopped,
        ev.VoicesChanged: keeping.on_voices_changed,
        ev.LegHeld: legs.on_leg_held,
        ev.LegUnheld: legs.on_leg_unheld,
        ev.LegEnded: legs.on_leg_ended,
        ev.CallsMerged: visits.on_calls_merged,
        ev.CallEnded: visits.on_call_ended,
        ev.CallbackAsked: callbacks.on_asked,
        ev.CallbackKept: callbacks.on_kept,
        ev.CallNotMade: callbacks.on_not_made,
        ev.CallbacksRestored: callbacks.on_restored,
        ev.TicketLinked: keeping.on_ticket_linked,
        ev.RecordingClosed: keeping.on_recording_closed,
        ev.RecordingMeasured: keeping.on_recording_measured,
        ev.RecordingPauseAsked: pausing.on_pause,
        ev.RecordingResumeAsked: pausing.on_resume,
        ev.PauseKeyed: pausing.on_key,
        ev.RecordingMuted: pausing.on_muted,
        ev.RecordingRenewed: pausing.on_renewed,
        ev.PauseFound: pausing.on_found,
        ev.RouteRefused: link.on_route_refused,
        ev.PhoneUsed: link.on_phone_used,
        ev.PhoneReached: link.on_phone_reached,
        ev.BooksRestored: link.on_books_restored,
        ev.LinkOpened: link.on_link_opened,
        ev.LinkLost: link.on_link_lost,
        ev.ClockTakenOver: link.on_clock_taken_over,
        ev.RosterLoaded: staff.on_roster,
        ev.SignInAsked: staff.on_sign_in,
        ev.SignOutAsked: staff.on_sign_out,
        ev.PauseAsked: staff.on_pause,
        ev.ResumeAsked: staff.on_resume,
        ev.WrapUpEndAsked: staff.on_wrap_up_end,
        ev.WrapUpExtensionAsked: staff.on_wrap_up_extension,
        ev.ShowAsked: staff.on_show,
        ev.PickupAsked: choosing.on_pickup,
        ev.PrioritiseAsked: placing.on_prioritise,
        ev.MoveAsked: placing.on_move,
        ev.DialAsked: choosing.on_dial,
        ev.TransferAsked: transfers.on_transfer,
        ev.TransferAnswered: transfers.on_answer,
        ev.RelinkAsked: keeping.on_relink,
        ev.CallRelinked: keeping.on_relinked,
        ev.CodeDialled: staff.on_code,
        ev.CodeObeyed: staff.on_code_obeyed,
        ev.PinChecked: staff.on_pin_checked,
    }
)

#: What falls due, by the first word of its key.
_DUE: MappingProxyType[str, Callable[[World, str, float], None]] = MappingProxyType(
    {
        "wrap_up": staff.on_wrap_up_over,
        "cool": serving.on_cooled_down,
        "owner": serving.on_patience_over,
        "offer": serving.on_offer_expired,
        "round": serving.on_round_over,
        "wait": serving.on_wait_over,
        "overflow": serving.on_overflow_unheard,
        "overflow_again": serving.on_overflow_again,
        "closing": serving.on_wait_over,
        "announce": lingering.on_announcement_due,
        "lookup": visits.on_lookup_late,
        "callback_offer": callbacks.on_offer_due,
        "callback_keep": callbacks.on_keep_late,
        "callback_due": callbacks.on_due,
        "callback_round": callbacks.on_round_over,
        "callback_expires": callbacks.on_expired,
        "transfer": transfers.on_late,
        "pause": pausing.on_time_up,
        "forget": visits.on_forgotten,
    }
)


class Acd:
    """Automatic call distribution as a state machine.

    ``normalise`` gives a number as the site means it, so that one number written in two ways is one line's; ``dialled`` how the
    trunk dials one that a person wrote, ``None`` for what is no number to be called.
    """

    def __init__(
        self,
        policy: Policy,
        lines: tuple[Line, ...],
        pbx: str,
        *,
        normalise: Callable[[str], str | None] = as_written,
        dialled: Callable[[str], str | None] = as_it_is,
    ) -> None:
        self.world = World(policy=policy, lines=lines, pbx=pbx, normalise=normalise, dialled=dialled)

    @property
    def next_deadline(self) -> float | None:
        """When, by the events' clock, ``TimePassed`` should come at the latest."""
        return self.world.timers.next_at

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way whose length is being measured: no call, no wrap-up."""
        world = self.world
        return not any(call.live for call in world.under_way.values()) and all(
            desk.wrap_up_until is None for desk in world.desks.values()
        )

    def handle(self, event: ev.Event) -> list[Action]:
        """Take one event in and say what is to be done, in order."""
        return self.take_in(event) + self.decide(event.at)

    def take_in(self, event: ev.Event) -> list[Action]:
        """The same, but that nobody is served yet: what is known to have happened since may speak against it."""
        world = self.world
        if isinstance(event, ev.TimePassed):
            self._pass_time(event.at)
        else:
            _ON[type(event)](world, event)
        return world.settle(event.at)

    def decide(self, at: float) -> list[Action]:
        """Serve the callers whom somebody may serve by now."""
        world = self.world
        if not world.serve:
            return []
        serving.serve(world, at)
        if world.kept and world.linked:
            lingering.linger(world, at)
        return world.settle(at)

    def waiting(self) -> int:
        """How many callers are held and not offered."""
        return len(self.world.waiting)

    def held(self) -> list[str]:
        """The channels of the callers who are held, not offered, and not just being asked whether they may be recorded."""
        calls = (self.world.calls[call_id] for call_id in self.world.waiting)
        return [call.hold.channel for call in calls if call.hold is not None and call.consent_told_at is None]

    def callbacks_waiting(self) -> int:
        """How many callers are to be called back and are not being called now."""
        return sum(c.record.state is CallbackState.WAITING for c in self.world.callbacks.values())

    def longest_wait(self, now: float) -> float:
        """Seconds the caller who waits longest has waited, 0 without one."""
        calls = (self.world.calls[call_id] for call_id in self.world.waiting)
        return max((now - call.arrived_at for call in calls if call.arrived_at is not None), default=0.0)

    def agents_by_state(self) -> dict[AgentState, int]:
        """How many agents of the roster are in each state."""
        counts = dict.fromkeys(AgentState, 0)
        for desk in self.world.desks.values():
            counts[desk.state] += 1
        return counts

    def _pass_time(self, now: float) -> None:
        world = self.world
        for what, who in world.timers.due(now):
            _DUE[what](world, who, now)
        if world.linked:
            world.do(Beat(at=now))
