"""The core's actions as AMI.

Law: a route is one TCP write of two actions, ``Setvar`` (the commit) and ``PlayDTMF`` (the doorbell). It quotes the
daemon's epoch and the channel's sequence number, so that the dialplan refuses what is late or was sent by a daemon of
before. What is past its deadline is not sent; nothing is sent twice. ``RouteRefused`` says that the PBX certainly did
not take the route: of a route whose answer never came that is not known, and the reservation's own time-out decides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

import structlog

from ctid.asterisk.client import AmiError, AmiLink, AmiRefused
from ctid.asterisk.sending import Action, NotSent, send, told_nobody
from ctid.domain.actions import (
    Announce,
    EndTransfer,
    MuteRecording,
    OfferCallback,
    Overflow,
    PlayMusic,
    RenewRecording,
    Ring,
    Say,
    StopRinging,
    TellConsent,
    Transfer,
)
from ctid.domain.events import RecordingMuted, RouteRefused, TransferAnswered
from ctid.domain.types import Gap

log = structlog.get_logger(__name__)

# The dialplan filters the argument to these characters: another name would dial somebody else.
_WORD: Final = re.compile(r"[A-Za-z0-9_+-]{1,80}")
_GONE: Final = ("No such channel", "Channel not found")
#: One digit that no phone has: what is played into a channel as if it had been pressed there.
_BELL: Final = "D"


#: What becomes a route of the dialplan.
Route = Ring | Overflow | PlayMusic | Announce | TellConsent | Say
#: What is carried out as of the event that led to it.
Command = Route | StopRinging | RenewRecording | MuteRecording | OfferCallback | Transfer | EndTransfer


class Commands:
    """Carries out the core's actions on one PBX.

    ``epoch`` names this run of the daemon. ``now`` is the clock of the core's events, Unix seconds: decisions are
    judged late by it. ``on_refused`` is called, at once or later, with what the core must know; it should only
    append.
    """

    def __init__(
        self,
        link: AmiLink,
        *,
        epoch: str,
        now: Callable[[], float],
        on_refused: Callable[[RouteRefused | TransferAnswered | RecordingMuted], None],
    ) -> None:
        self._link = link
        self._epoch = epoch
        self._now = now
        self._on_refused = on_refused

    def carry_out(self, action: Command, *, decided_at: float) -> None:
        """Send the action now, or drop it with a line in the log; never raises, never waits.

        ``decided_at`` is the time of the event that led to it, by the clock ``now``.
        """
        match action:
            case Ring() | PlayMusic() | Announce() | TellConsent() | Overflow() | Say():
                self._route(action, *_worded(action), decided_at)
            case StopRinging():
                self._stop_ringing(action)
            case RenewRecording():
                self._renew(action, decided_at)
            case MuteRecording():
                self._mute(action, decided_at)
            case Transfer() | EndTransfer():
                self._transfer(action, decided_at)
            case OfferCallback():
                self._offer_callback(action, decided_at)

    def _route(self, action: Route, verb: str, word: str, decided_at: float) -> None:
        channel, seq = action.channel, action.seq
        call = None if isinstance(action, Say) else action.call_id

        def refuse(reason: str) -> None:
            log.warning("route.refused", call=call, channel=channel, seq=seq, route=verb, reason=reason)
            if call is not None and not isinstance(action, PlayMusic | Announce):  # heard or not, the caller waits on
                self._on_refused(RouteRefused(at=self._now(), call_id=call, seq=seq, reason=reason))

        def on_reply(error: AmiError | None) -> None:
            if error is None:
                return
            if isinstance(error, NotSent):
                refuse(str(error))
            elif not isinstance(error, AmiRefused):
                log.warning("route.unanswered", call=call, channel=channel, seq=seq, route=verb, error=str(error))
            elif error.action == "Setvar" or error.reason in _GONE:
                refuse(str(error))
            else:  # committed, only the doorbell failed: the dialplan finds the route one tick later
                log.warning("route.doorbell_failed", call=call, channel=channel, seq=seq, error=str(error))

        if not _WORD.fullmatch(word):
            refuse(f"{word!r} must be letters, digits, _, - and +: the dialplan takes no other name")
            return
        route = {"Channel": channel, "Variable": "CTID_ROUTE", "Value": f"{self._epoch}:{seq}:{verb}"}
        self._send(("Setvar", route), _doorbell(channel), decided_at=decided_at, on_reply=on_reply)

    def _renew(self, action: RenewRecording, decided_at: float) -> None:
        """Ring in mid-call: the dialplan's feature answers. A recording not renewed is whole, but may lack a voice."""

        def on_reply(error: AmiError | None) -> None:
            if error is not None and not (isinstance(error, AmiRefused) and error.reason in _GONE):
                log.warning("recording.not_renewed", call=action.call_id, channel=action.channel, reason=str(error))

        word = {"Channel": action.channel, "Variable": "CTID_VOICES", "Value": "yes"}
        self._send(("Setvar", word), _doorbell(action.channel), decided_at=decided_at, on_reply=on_reply)

    def _mute(self, action: MuteRecording, decided_at: float) -> None:
        """Have the recording write silence, or sound, and leave word of it on the channel for whoever comes after this run."""

        def on_reply(error: AmiError | None) -> None:
            if error is not None:
                log.warning("recording.not_muted", call=action.call_id, channels=action.channels, error=str(error))
            self._on_refused(
                RecordingMuted(
                    at=self._now(),
                    call_id=action.call_id,
                    gap=action.gap,
                    request=action.request,
                    error=error.reason if isinstance(error, AmiRefused) else str(error) if error is not None else None,
                    refused=isinstance(error, AmiRefused),
                )
            )

        stepped = self._link.clock.stepped
        told = (word for channel in action.channels for word in _mute_actions(channel, action.gap, stepped))
        self._send(*told, decided_at=decided_at, on_reply=on_reply)

    def wake(self, channel: str) -> None:
        """Ring a held caller's doorbell without a route: they look at the clock anew, and wait on by it."""
        send(self._link, _doorbell(channel), on_reply=told_nobody)  # a lost link ends what they wait for in any case

    def _stop_ringing(self, action: StopRinging) -> None:
        def on_reply(error: AmiError | None) -> None:
            if error is not None:
                log.warning("ringing.not_stopped", call=action.call_id, channel=action.channel, error=str(error))

        log.warning("ringing.stopped", call=action.call_id, channel=action.channel)
        # 19, "no answer": so Dial reports it, as if its own time had run out.
        send(self._link, ("Hangup", {"Channel": action.channel, "Cause": "19"}), on_reply=on_reply)

    def _transfer(self, action: Transfer | EndTransfer, decided_at: float) -> None:
        """Ask the PBX, once, and say what it answered. ``Atxfer`` and ``CancelAtxfer`` press the agent's keys for them."""

        def on_reply(error: AmiError | None) -> None:
            if error is not None:
                log.warning("transfer.refused", call=action.call_id, channel=action.channel, error=str(error))
            reason = error.reason if isinstance(error, AmiRefused) else str(error) if error is not None else None
            self._on_refused(
                TransferAnswered(
                    at=self._now(),
                    request=action.request,
                    call_id=action.call_id,
                    began=isinstance(action, Transfer),
                    error=reason,
                )
            )

        if isinstance(action, Transfer) and not _WORD.fullmatch(action.endpoint):
            on_reply(NotSent(f"{action.endpoint!r} must be letters, digits, _ and -"))
            return
        self._send(*_transfer_actions(action), decided_at=decided_at, on_reply=on_reply)

    def _offer_callback(self, action: OfferCallback, decided_at: float) -> None:
        """Digit 1 works from now on; an offer that does not arrive is one that was not made."""

        def on_reply(error: AmiError | None) -> None:
            if error is not None:
                log.warning("callback.not_offered", call=action.call_id, error=str(error))

        offer = {"Channel": action.channel, "Variable": "CTID_OFFER", "Value": "1"}
        send(self._link, ("Setvar", offer), on_reply=on_reply)
        if action.sound is not None:
            say = Say(channel=action.channel, seq=action.seq, word=action.sound)
            self._route(say, f"say:{action.sound}:", action.sound, decided_at)

    def _send(self, *actions: Action, decided_at: float, on_reply: Callable[[AmiError | None], None]) -> None:
        send(self._link, *actions, on_reply=on_reply, late=self._now() - decided_at)


def _worded(action: Route) -> tuple[str, str]:
    """The route in the dialplan's words, and what in it must be a name."""
    match action:
        case Ring(endpoint=endpoint, seconds=seconds, music=music):
            heard = f":{music}" if music is not None else ""
            return f"dial:{endpoint}:{math.ceil(seconds)}{heard}", endpoint
        case PlayMusic(music=music):
            return f"music:{music}:", music
        case Announce(place=place, wait=wait, number=number):
            word = f"{place}-{wait.minutes if wait else 0}-{'more' if wait and wait.more_than else 'about'}"
            return f"announce:{word}:{number}", word
        case TellConsent(sound=sound, asked=asked):
            return f"{'ask' if asked else 'consent'}:{sound}:", sound
        case Overflow(to=to):
            return f"overflow:{to}:", to
        case Say(word=word):
            return f"say:{word}:", word


def _transfer_actions(action: Transfer | EndTransfer) -> tuple[tuple[str, dict[str, str]], ...]:
    channel = action.channel
    if isinstance(action, EndTransfer):
        return (("Hangup" if action.complete else "CancelAtxfer", {"Channel": channel}),)
    to = f"{math.ceil(action.seconds)}_{action.endpoint}"
    if not action.attended:
        return (("BlindTransfer", {"Channel": channel, "Context": "ctid-transfer", "Exten": f"to_{to}"}),)
    # Its number is pressed as keys: where it leads is said beforehand.
    return (
        ("Setvar", {"Channel": channel, "Variable": "__CTID_TO", "Value": to}),
        ("Atxfer", {"Channel": channel, "Context": "ctid-consult", "Exten": "1"}),
    )


def _mute_actions(channel: str, gap: Gap, stepped: float) -> tuple[tuple[str, dict[str, str]], ...]:
    """The channel keeps times as the PBX's clock shows them, ``stepped`` seconds more than the core's."""
    paused = (
        f"{gap.started_at + stepped:.3f}:{gap.until + stepped:.3f}:{gap.agent or ''}:{'cut' if gap.cut else 'mute'}"
    )
    word = ("Setvar", {"Channel": channel, "Variable": "CTID_PAUSED", "Value": paused if gap.ended is None else ""})
    if not gap.cut:
        state = "1" if gap.ended is None else "0"
        return word, ("MixMonitorMute", {"Channel": channel, "Direction": "both", "State": state})
    if gap.ended is None:  # it stands still already, only its time runs anew
        return (word,)
    return word, ("Setvar", {"Channel": channel, "Variable": "CTID_VOICES", "Value": "yes"}), _doorbell(channel)


def _doorbell(channel: str) -> tuple[str, dict[str, str]]:
    return "PlayDTMF", {"Channel": channel, "Digit": _BELL, "Receive": "true"}
