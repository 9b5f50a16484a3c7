"""The core's actions as AMI.

Law: a route is one TCP write of two actions, ``Setvar`` (the commit) and ``PlayDTMF`` (the doorbell). It quotes the
daemon's epoch and the channel's sequence number, so that the dialplan refuses what is late or was sent by a daemon of
before. What is past its deadline is not sent; nothing is sent twice. ``RouteRefused`` says that the PBX certainly did
not take the route: of a route whose answer never came that is not known, and the reservation's own time-out decides.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from ctid.asterisk.client import AmiDown, AmiError, AmiLink, AmiRefused
from ctid.asterisk.wire import Message
from ctid.domain.actions import (
    Announce,
    Beat,
    EndTransfer,
    OfferCallback,
    Overflow,
    PlayMusic,
    RenewRecording,
    Ring,
    Say,
    Transfer,
)
from ctid.domain.events import RouteRefused, TransferAnswered

log = structlog.get_logger(__name__)

#: Seconds from the decision after which a command is not sent any more, and from sending after which no answer counts.
DEADLINE: Final = 3.0

# The dialplan filters the argument to these characters: another name would dial somebody else.
_WORD: Final = re.compile(r"[A-Za-z0-9_+-]{1,80}")
_EPOCH: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_GONE: Final = ("No such channel", "Channel not found")
#: One digit that no phone has: what is played into a channel as if it had been pressed there.
_BELL: Final = "D"


#: What becomes a route of the dialplan.
Route = Ring | Overflow | PlayMusic | Announce | Say


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
        on_refused: Callable[[RouteRefused | TransferAnswered], None],
    ) -> None:
        if not _EPOCH.fullmatch(epoch):
            raise ValueError(f"epoch {epoch!r} must be letters, digits, _ and -")
        self._link = link
        self._checking: asyncio.Future[Message] | None = None
        self.epoch = epoch
        self._now = now
        self._on_refused = on_refused

    async def claim(self) -> None:
        """Make this daemon the acting one: older routes die, and the lease begins. Raises ``AmiError``.

        To be called at the end of each resync: a PBX that was started anew has lost both globals.
        """
        await self._link.call("Setvar", {"Variable": "CTID_EPOCH", "Value": self.epoch})
        await self._link.call("Setvar", {"Variable": "CTID_HEARTBEAT", "Value": self._heartbeat(self._now())})

    async def rival(self, predecessor: str | None, *, lease: float) -> str | None:
        """The epoch of another daemon that acts on this PBX; ``None`` when nobody does, or this one's ``predecessor`` did.

        ``lease`` is how many seconds old a heartbeat may be. Raises ``AmiError``.
        """
        epoch = (await self._link.call("Getvar", {"Variable": "CTID_EPOCH"})).get("Value")
        if epoch is None or epoch in {self.epoch, predecessor}:
            return None
        beat = (await self._link.call("Getvar", {"Variable": "CTID_HEARTBEAT"})).get("Value") or ""
        fresh = beat.isdecimal() and abs(self._link.pbx_now() - int(beat)) <= lease
        return epoch if fresh else None

    def check_claim(self) -> None:
        """Give the PBX up when another daemon has claimed it: two must never act. Never waits; called each second."""

        def on_reply(future: asyncio.Future[Message]) -> None:
            if future.cancelled() or future.exception() is not None:
                return  # the link says so itself
            epoch = future.result().get("Value")
            if epoch != self.epoch and self._link.protocol is not None:
                log.error("claim.lost", mend="run one ctid per PBX; this one stands by")
                self._link.protocol.drop("another ctid has claimed this PBX")

        if self._checking is None or self._checking.done():
            self._checking = asyncio.ensure_future(self._link.call("Getvar", {"Variable": "CTID_EPOCH"}))
            self._checking.add_done_callback(on_reply)

    def carry_out(
        self, action: Route | RenewRecording | OfferCallback | Transfer | EndTransfer | Beat, *, decided_at: float
    ) -> None:
        """Send the action now, or drop it with a line in the log; never raises, never waits.

        ``decided_at`` is the time of the event that led to it, by the clock ``now``.
        """
        match action:
            case Beat():
                self._beat(action)
            case Ring(endpoint=endpoint, seconds=seconds, music=music):
                heard = f":{music}" if music is not None else ""
                self._route(action, f"dial:{endpoint}:{math.ceil(seconds)}{heard}", endpoint, decided_at)
            case PlayMusic(music=music):
                self._route(action, f"music:{music}:", music, decided_at)
            case Announce(place=place, wait=wait, number=number):
                word = f"{place}-{wait.minutes if wait else 0}-{'more' if wait and wait.more_than else 'about'}"
                self._route(action, f"announce:{word}:{number}", word, decided_at)
            case Overflow(to=to):
                self._route(action, f"overflow:{to}:", to, decided_at)
            case Say(word=word):
                self._route(action, f"say:{word}:", word, decided_at)
            case RenewRecording():
                self._renew(action, decided_at)
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
            if not isinstance(error, AmiRefused):
                log.warning("route.unanswered", call=call, channel=channel, seq=seq, route=verb, error=str(error))
            elif error.action == "Setvar" or error.reason in _GONE:
                refuse(str(error))
            else:  # committed, only the doorbell failed: the dialplan finds the route one tick later
                log.warning("route.doorbell_failed", call=call, channel=channel, seq=seq, error=str(error))

        late = self._now() - decided_at
        if not _WORD.fullmatch(word):
            refuse(f"{word!r} must be letters, digits, _, - and +: the dialplan takes no other name")
        elif late > DEADLINE:
            refuse(f"decided {late:.1f} s ago, too late to be sent")
        else:
            route = f"{self.epoch}:{seq}:{verb}"
            try:
                self._link.send_now(
                    ("Setvar", {"Channel": channel, "Variable": "CTID_ROUTE", "Value": route}),
                    _doorbell(channel),
                    on_reply=on_reply,
                    deadline=DEADLINE,
                )
            except (AmiError, ValueError) as error:
                refuse(str(error))

    def _renew(self, action: RenewRecording, decided_at: float) -> None:
        """Ring in mid-call: the dialplan's feature answers. A recording not renewed is whole, but may lack a voice."""

        def failed(reason: str) -> None:
            log.warning("recording.not_renewed", call=action.call_id, channel=action.channel, reason=reason)

        def on_reply(error: AmiError | None) -> None:
            if error is not None and not (isinstance(error, AmiRefused) and error.reason in _GONE):
                failed(str(error))

        if self._now() - decided_at > DEADLINE:
            failed("too late to be sent")
            return
        try:
            self._link.send_now(
                ("Setvar", {"Channel": action.channel, "Variable": "CTID_VOICES", "Value": "yes"}),
                _doorbell(action.channel),
                on_reply=on_reply,
                deadline=DEADLINE,
            )
        except (AmiError, ValueError) as error:
            failed(str(error))

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

        if self._now() - decided_at > DEADLINE:
            on_reply(AmiError("too late to be sent"))
            return
        try:
            self._link.send_now(*_transfer_actions(action), on_reply=on_reply, deadline=DEADLINE)
        except (AmiError, ValueError) as error:
            on_reply(AmiError(str(error)))

    def _offer_callback(self, action: OfferCallback, decided_at: float) -> None:
        """Digit 1 works from now on; an offer that does not arrive is one that was not made."""

        def on_reply(error: AmiError | None) -> None:
            if error is not None:
                log.warning("callback.not_offered", call=action.call_id, error=str(error))

        offer = {"Channel": action.channel, "Variable": "CTID_OFFER", "Value": "1"}
        try:
            self._link.send_now(("Setvar", offer), on_reply=on_reply, deadline=DEADLINE)
        except (AmiError, ValueError) as error:
            on_reply(AmiError(str(error)))
            return
        if action.sound is not None:
            say = Say(channel=action.channel, seq=action.seq, word=action.sound)
            self._route(say, f"say:{action.sound}:", action.sound, decided_at)

    def _beat(self, action: Beat) -> None:
        """Renew the lease as of the core's own time: a core that lags behind loses it, however promptly it is sent."""

        def on_reply(error: AmiError | None) -> None:
            if error is not None and not isinstance(error, AmiDown):
                log.warning("beat.failed", error=str(error))

        late = self._now() - action.at
        if late > DEADLINE:
            log.warning("beat.dropped", late_seconds=round(late, 1))
            return
        beat = {"Variable": "CTID_HEARTBEAT", "Value": self._heartbeat(action.at)}
        with suppress(AmiDown):  # the link says so itself; a lost lease is what the fallback is for
            self._link.send_now(("Setvar", beat), on_reply=on_reply, deadline=DEADLINE)

    def _heartbeat(self, at: float) -> str:
        """``at`` by the PBX's clock, in whole seconds as its ``EPOCH`` counts.

        The offset between the two clocks comes from the link, which learns the PBX's from the Timestamp of each
        answered ping: hosts that differ by more than the lease would otherwise count ctid as dead.
        """
        return str(math.floor(at + self._link.pbx_now() - self._now()))


def _transfer_actions(action: Transfer | EndTransfer) -> tuple[tuple[str, dict[str, str]], ...]:
    channel = action.channel
    if isinstance(action, EndTransfer):
        return (("Hangup" if action.complete else "CancelAtxfer", {"Channel": channel}),)
    if not _WORD.fullmatch(action.endpoint):
        raise ValueError(f"{action.endpoint!r} must be letters, digits, _ and -")
    to = f"{math.ceil(action.seconds)}_{action.endpoint}"
    if not action.attended:
        return (("BlindTransfer", {"Channel": channel, "Context": "ctid-transfer", "Exten": f"to_{to}"}),)
    # Its number is pressed as keys: where it leads is said beforehand.
    return (
        ("Setvar", {"Channel": channel, "Variable": "__CTID_TO", "Value": to}),
        ("Atxfer", {"Channel": channel, "Context": "ctid-consult", "Exten": "1"}),
    )


def _doorbell(channel: str) -> tuple[str, dict[str, str]]:
    return "PlayDTMF", {"Channel": channel, "Digit": _BELL, "Receive": "true"}
