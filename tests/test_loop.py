"""The routing loop decides by all it was told so far, not by the first of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ctid.asterisk.claiming import Claim
from ctid.asterisk.client import AmiLink, AmiSettings, Snapshot
from ctid.asterisk.commands import Commands
from ctid.asterisk.fallback import Fallback
from ctid.asterisk.originating import Originator
from ctid.asterisk.wire import Message
from ctid.daemon.inbox import Inbox, Resync
from ctid.daemon.loop import RoutingLoop
from ctid.daemon.pace import Pace
from ctid.domain.events import CallerLookupFailed, Event, RouteRefused
from tests.domain.desk import MORNING, Centre

AT = MORNING + 60


class Deaf:
    """A door behind which nobody is."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def told(name: str, at: float, **fields: str) -> Message:
    return Message(name, fields, at)


def begun(id_: str, channel: str, at: float, *, call: str = "", exten: str = "4001") -> Message:
    return told(
        "Newchannel",
        at,
        Channel=channel,
        Uniqueid=id_,
        Linkedid=call or id_,
        ChannelStateDesc="Ring",
        CallerIDNum="1",
        Exten=exten,
        Context="ctid-inbound",
    )


def said(what: str, id_: str, channel: str, at: float, **fields: str) -> Message:
    return told(
        "UserEvent", at, UserEvent=what, Epoch="e", Call=id_, Channel=channel, Uniqueid=id_, Linkedid=id_, **fields
    )


def arrived(id_: str, channel: str) -> list[Message]:
    start = said("CtidStart", id_, channel, AT, Direction="inbound", Did="4001", File="x.wav", Renew="no")
    wait = said("CtidWait", id_, channel, AT, Seq="1", Did="4001", Why="", Cause="", Waited="0")
    return [begun(id_, channel, AT), start, wait]


def routing(refused: list[Event]) -> RoutingLoop:
    """At a PBX whose link is down: each route that is sent comes back as refused."""

    async def nothing(_: AmiLink) -> None: ...

    link = AmiLink(
        AmiSettings(host="127.0.0.1", username="u", secret="s"),
        on_messages=lambda _: None,
        on_up=nothing,
        on_down=lambda: None,
    )
    deaf: Any = Deaf()
    loop = RoutingLoop(
        acd=Centre("ann").acd,
        inbox=Inbox(),
        claim=Claim(link, epoch="e", now=lambda: AT + 2.8),
        commands=Commands(link, epoch="e", now=lambda: AT + 2.8, on_refused=refused.append),
        fallback=Fallback(link),
        originator=Originator(link, now=lambda: AT + 2.8, on_refused=refused.append),
        mqtt=deaf,
        writer=deaf,
        answers=deaf,
        pace=Pace(lambda _: None),
        now=lambda: AT + 2.8,
        on_tick=lambda _: None,
        epochs=lambda: frozenset({"e"}),
        acting=nothing,  # type: ignore[arg-type]
        on_resynced=lambda: None,
        memory=None,
    )
    idle = told("DeviceStateChange", AT - 10, Device="PJSIP/ann", State="NOT_INUSE")
    snapshot = Snapshot(at=AT - 10, status=(), channels=(), devices=(idle,), core=told("CoreStatus", AT - 10))
    loop._resync(Resync(at=AT - 10, snapshot=snapshot, gap=None))
    return loop


async def test_an_agent_who_became_free_and_was_rung_by_the_queue_in_one_backlog_is_not_offered_a_second_call() -> None:
    refused: list[Event] = []
    loop = routing(refused)
    loop._hear(
        [begun("9.1", "PJSIP/ann-1", AT, exten="333"), *arrived("1.1", "PJSIP/t-1"), *arrived("1.2", "PJSIP/t-2")]
    )
    for call in ("1.1", "1.2"):
        loop.handle(CallerLookupFailed(at=AT, call_id=call))
    assert refused == []
    over = told("Hangup", AT + 1, Channel="PJSIP/ann-1", Uniqueid="9.1", Linkedid="9.1", Cause="16")
    to_queue = said("CtidFailsafe", "1.2", "PJSIP/t-2", AT + 2.2, Seq="1")
    rings = begun("9.9", "PJSIP/ann-2", AT + 2.4, call="1.2")
    loop._hear([over, to_queue, rings])
    assert refused == []
    loop._hear([told("Hangup", AT + 2.7, Channel="PJSIP/ann-2", Uniqueid="9.9", Linkedid="1.2", Cause="16")])
    [route] = refused
    assert isinstance(route, RouteRefused)
    assert route.call_id == "1.1"
