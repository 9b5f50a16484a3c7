"""Calls that ctid itself makes, over a link of their own whose user may do nothing else.

Law: each call is asked for once, under an id of ctid's own; one that was certainly not asked for is said to the core at once,
and of one whose answer never came the call itself tells, or its reservation's time-out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

import structlog

from ctid.asterisk.client import AmiError, AmiLink, AmiRefused
from ctid.asterisk.sending import NotSent, send
from ctid.domain.actions import Originate
from ctid.domain.events import CallNotMade

log = structlog.get_logger(__name__)

# What stands in an Originate is read by Asterisk as dialplan: nothing but these gets there.
_ENDPOINT: Final = re.compile(r"[A-Za-z0-9_+-]{1,80}")
_NUMBER: Final = re.compile(r"\+?[0-9]{3,32}")


class Originator:
    """Makes the calls of callbacks and of agents.

    ``now`` is the clock of the core's events, ``on_refused`` should only append.
    """

    def __init__(self, link: AmiLink, *, now: Callable[[], float], on_refused: Callable[[CallNotMade], None]) -> None:
        self._link = link
        self._now = now
        self._on_refused = on_refused

    def carry_out(self, action: Originate, *, decided_at: float) -> None:
        """Ask for the call now; never raises, never waits."""

        def refuse(reason: str) -> None:
            log.warning("originate.refused", call=action.call_id, endpoint=action.endpoint, reason=reason)
            self._on_refused(CallNotMade(at=self._now(), call_id=action.call_id))

        def on_reply(error: AmiError | None) -> None:
            if isinstance(error, AmiRefused | NotSent):
                refuse(str(error))
            elif error is not None:
                log.warning("originate.unanswered", call=action.call_id, error=str(error))

        if not _ENDPOINT.fullmatch(action.endpoint) or not _NUMBER.fullmatch(action.number):
            refuse(f"{action.endpoint!r} must be letters, digits, _, - and +, {action.number!r} digits")
            return
        late = self._now() - decided_at
        send(self._link, ("Originate", self._fields(action)), on_reply=on_reply, late=late)

    def _fields(self, action: Originate) -> dict[str, str]:
        caller = re.sub(r"[^+0-9]", "", action.caller or "")[:32]
        unrecorded = f",__CTID_CONSENTED={action.consent}" if action.consent is not None else ""
        return {
            "Channel": f"PJSIP/{action.endpoint}",
            "ChannelId": action.call_id,
            "Context": "ctid-callback",
            "Exten": action.number,
            "Priority": "1",
            "Timeout": str(math.ceil(action.seconds * 1000)),
            "CallerID": f"{action.title} <{action.number}>",
            "Variable": f"CTID_FROM={caller},CTID_SECONDS={math.ceil(action.customer_seconds)}{unrecorded}",
            "Async": "true",
        }
