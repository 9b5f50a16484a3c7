"""The scenes of the recorded streams: real SIP calls, and what they were as SIPp's side knows it.

Law: ctid has no part in a scene; what became of each call is read from SIP alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from lab.sipp import Behaviour, SipMessage, SippAgent, SippCall
from lab.stage import CALLER, Call, Facts, Leg, Stage, answered_at, inbound, over_at, seconds

OTHER = "13800138009"


async def answered(stage: Stage) -> Facts:
    await stage.ctid_lives()
    phone = await stage.phone("agent1")
    call, _ = await stage.routed(phone, "agent1", 1.5)
    await call.hang_up()
    await stage.quiet()
    leg = Leg(party="agent1", result="answered", seconds=seconds(phone))
    return Facts(title="A caller waits, is sent to an agent, talks and hangs up", calls=[inbound("answered", leg)])


def then_next(behaviour: Behaviour, result: str, title: str) -> Callable[[Stage], Awaitable[Facts]]:
    async def scene(stage: Stage) -> Facts:
        await stage.ctid_lives()
        await stage.phone("agent1", behaviour)
        second = await stage.phone("agent2")
        await stage.call()
        await stage.send_to("agent1", seconds=1)
        await stage.send_to("agent2", seq=2)
        invite = await stage.connected(second)
        await asyncio.sleep(0.7)
        await second.hang_up(invite)
        await stage.quiet()
        legs = Leg(party="agent1", result=result), Leg(party="agent2", result="answered", seconds=seconds(second))
        return Facts(title=title, calls=[inbound("answered", *legs)])

    return scene


async def gives_up_waiting(stage: Stage) -> Facts:
    await stage.ctid_lives()
    call = await stage.call()
    await stage.held()
    await call.hang_up()
    await stage.quiet()
    return Facts(title="A caller gives up while waiting", calls=[inbound("abandoned")])


async def gives_up_ringing(stage: Stage) -> Facts:
    await stage.ctid_lives()
    phone = await stage.phone("agent1", "never")
    call = await stage.call()
    await stage.send_to("agent1")
    await phone.rings()
    await call.hang_up()
    await stage.quiet()
    return Facts(
        title="A caller gives up while a phone rings",
        calls=[inbound("abandoned", Leg(party="agent1", result="cancelled"))],
    )


async def overflow(stage: Stage) -> Facts:
    await stage.ctid_lives()
    call = await stage.call()
    waiting = await stage.held()
    stage.pbx.ami.route(waiting["Channel"], "lab:1:overflow:hangup:0")
    await call.ended()
    await stage.quiet()
    return Facts(title="A caller is sent to the overflow", calls=[inbound("overflow")])


async def fallback(stage: Stage) -> Facts:
    await stage.phone("agent1", "busy")
    phone = await stage.phone("agent2")
    call = await stage.call()
    await stage.connected(phone)
    await asyncio.sleep(0.8)
    await call.hang_up()
    await stage.quiet()
    legs = Leg(party="agent1", result="busy"), Leg(party="agent2", result="answered", seconds=seconds(phone))
    return Facts(
        title="ctid is dead; the fallback queue rings one phone after the other",
        calls=[inbound("answered", *legs, via="failsafe")],
    )


async def fallback_two_ring(stage: Stage) -> Facts:
    slow, quick = await stage.phone("agent1", "never"), await stage.phone("agent2", ring=0.5)
    call = await stage.call()
    await slow.rings()
    await stage.connected(quick)
    await asyncio.sleep(0.8)
    await call.hang_up()
    await stage.quiet()
    legs = (
        Leg(party="agent1", result="cancelled"),
        Leg(party="agent2", result="answered", seconds=seconds(quick)),
    )
    return Facts(
        title="ctid is dead; two phones ring at once in the fallback queue, one answers",
        calls=[inbound("answered", *legs, via="failsafe")],
    )


async def blind_transfer(stage: Stage) -> Facts:
    await stage.ctid_lives()
    first, second = await stage.phone("agent1"), await stage.phone("agent2")
    call, invite = await stage.routed(first, "agent1", 1.0)
    await first.transfer(invite, f"sip:agent2@127.0.0.1:{stage.pbx.sip_port}")
    await stage.connected(second)
    await asyncio.sleep(1.2)
    await call.hang_up()
    await stage.quiet()
    legs = (
        Leg(party="agent1", result="answered", seconds=seconds(first)),
        Leg(party="agent2", result="answered", seconds=seconds(second)),
    )
    return Facts(title="An agent sends the caller on by REFER", calls=[inbound("answered", *legs)])


async def _consults(stage: Stage, first: SippAgent, number: str = "882") -> tuple[SippCall, SipMessage]:
    """The agent has a caller, and presses the keys of an attended transfer to this number."""
    call, invite = await stage.routed(first, "agent1", 0.8)
    await first.press(invite, "*2")
    await asyncio.sleep(0.3)  # the PBX begins to listen for the number
    await first.press(invite, number)
    return call, invite


def _both_talked(first: SippAgent, second: SippAgent) -> tuple[Leg, Leg]:
    """Consultation and its ringing are within the customer's call: talk is all the time the phone was connected."""
    return (
        Leg(party="agent1", result="answered", seconds=seconds(first), hold=None),
        Leg(party="agent2", result="answered", seconds=seconds(second), hold=None),
    )


async def attended_transfer(stage: Stage) -> Facts:
    await stage.ctid_lives()
    first, second = await stage.phone("agent1"), await stage.phone("agent2")
    call, invite = await _consults(stage, first)
    await stage.connected(second)
    await asyncio.sleep(0.8)
    await first.hang_up(invite)
    await asyncio.sleep(1.0)
    await call.hang_up()
    await stage.quiet()
    return Facts(
        title="An agent consults another by feature code and hands the caller over",
        calls=[inbound("answered", *_both_talked(first, second))],
    )


async def blonde_transfer(stage: Stage) -> Facts:
    await stage.ctid_lives()
    first, second = await stage.phone("agent1"), await stage.phone("agent2", ring=1.0)
    call, invite = await _consults(stage, first)
    await second.rings()
    await asyncio.sleep(0.3)
    await first.hang_up(invite)
    await stage.connected(second)
    await asyncio.sleep(1.0)
    await call.hang_up()
    await stage.quiet()
    return Facts(
        title="An agent hands the caller over while the other's phone still rings",
        calls=[inbound("answered", *_both_talked(first, second))],
    )


async def attended_aborted(stage: Stage) -> Facts:
    await stage.ctid_lives()
    first, second = await stage.phone("agent1"), await stage.phone("agent2")
    call, invite = await _consults(stage, first)
    await stage.connected(second)
    await asyncio.sleep(0.8)
    await first.press(invite, "*1")
    await asyncio.sleep(0.8)
    await call.hang_up()
    await stage.quiet()
    return Facts(
        title="An agent consults another by feature code and goes back to the caller",
        calls=[inbound("answered", *_both_talked(first, second), agent="agent1")],
    )


async def attended_busy(stage: Stage) -> Facts:
    await stage.ctid_lives()
    first = await stage.phone("agent1")
    await stage.phone("agent2", "busy")
    call, _ = await _consults(stage, first)
    await asyncio.sleep(2.5)  # the PBX says so, and gives the caller back
    await call.hang_up()
    await stage.quiet()
    legs = (
        Leg(party="agent1", result="answered", seconds=seconds(first), hold=None),
        Leg(party="agent2", result="busy"),
    )
    return Facts(
        title="An agent wants to consult another, who is busy", calls=[inbound("answered", *legs, agent="agent1")]
    )


async def three_way(stage: Stage) -> Facts:
    await stage.ctid_lives()
    first, second = await stage.phone("agent1"), await stage.phone("agent2")
    call, invite = await _consults(stage, first)
    await stage.connected(second)
    await asyncio.sleep(0.6)
    await first.press(invite, "*3")
    await asyncio.sleep(0.8)
    await first.hang_up(invite)
    await asyncio.sleep(0.8)
    await call.hang_up()
    await stage.quiet()
    return Facts(
        title="Three talk together, then the first agent leaves",
        calls=[inbound("answered", *_both_talked(first, second))],
    )


async def blind_by_keys(stage: Stage) -> Facts:
    await stage.ctid_lives()
    first, second = await stage.phone("agent1"), await stage.phone("agent2")
    call, invite = await stage.routed(first, "agent1", 0.8)
    await first.press(invite, "*1")
    await asyncio.sleep(0.3)
    await first.press(invite, "882")
    await stage.connected(second)
    await asyncio.sleep(0.8)
    await call.hang_up()
    await stage.quiet()
    return Facts(
        title="An agent sends the caller on by feature code",
        calls=[inbound("answered", *_both_talked(first, second))],
    )


async def consultation_merges(stage: Stage) -> Facts:
    """The agent's phone makes a call of its own to the colleague, then joins both by REFER with Replaces."""
    await stage.ctid_lives()
    first, second = await stage.phone("agent1"), await stage.phone("agent2")
    call, invite = await stage.routed(first, "agent1", 0.8)
    await first.hold(invite)
    consult = await stage.call("agent1", "agent2")
    await stage.connected(second)
    await asyncio.sleep(0.8)
    reply = await consult.answered()
    await first.transfer(invite, f"sip:agent2@127.0.0.1:{stage.pbx.sip_port}?{await consult.replaces()}")
    await consult.ended()
    await asyncio.sleep(1.0)
    await call.hang_up()
    await stage.quiet()
    held = over_at(first.messages, invite.call_id) or 0.0
    began = next(m.at for m in first.messages if m.start.startswith("INVITE ") and m.sent)
    consulted = (over_at(consult.messages, reply.call_id) or 0.0) - reply.at
    legs = (
        Leg(party="agent1", result="answered", seconds=seconds(first), hold=round(held - began, 3)),
        Leg(party="agent1", result="answered", seconds=round(consulted, 3)),
        Leg(party="agent2", result="answered", seconds=seconds(second)),
    )
    merged = Call(
        caller="agent1",
        dialled="agent2",
        direction="internal",
        outcome="merged",
        via="direct",
        agent="agent2",
        merged_into=0,
    )
    return Facts(
        title="An agent's phone calls a colleague and joins the two calls by REFER with Replaces",
        calls=[inbound("answered", *legs), merged],
    )


async def internal(stage: Stage) -> Facts:
    phone = await stage.phone("agent2")
    call = await stage.call("agent1", "agent2")
    await stage.connected(phone)
    await asyncio.sleep(0.8)
    await call.hang_up()
    await stage.quiet()
    return Facts(title="An agent calls a colleague", calls=[_colleagues("agent2", "agent2", seconds(phone))])


def _colleagues(dialled: str, agent: str, talked: float) -> Call:
    legs = [Leg(party=name, result="answered", seconds=talked) for name in ("agent1", agent)]
    return Call(
        caller="agent1", dialled=dialled, direction="internal", outcome="answered", via="direct", agent=agent, legs=legs
    )


async def outbound(stage: Stage) -> Facts:
    customer = await stage.phone("customer")
    call = await stage.call("agent1", f"9{OTHER}")
    await stage.connected(customer)
    await asyncio.sleep(0.8)
    await call.hang_up()
    await stage.quiet()
    talked = seconds(customer)
    legs = [Leg(party=name, result="answered", seconds=talked) for name in ("agent1", OTHER)]
    return Facts(
        title="An agent calls a customer through ctid-outbound",
        calls=[
            Call(
                caller="agent1",
                dialled=OTHER,
                direction="outbound",
                outcome="answered",
                via="direct",
                agent="agent1",
                legs=legs,
            )
        ],
    )


async def hold(stage: Stage) -> Facts:
    await stage.ctid_lives()
    phone = await stage.phone("agent1")
    call, invite = await stage.routed(phone, "agent1", 0.6)
    await phone.hold(invite)
    await asyncio.sleep(1.0)
    await phone.unhold(invite)
    await asyncio.sleep(0.5)
    await call.hang_up()
    await stage.quiet()
    sent = [m.at for m in phone.messages if m.sent and m.start.startswith("INVITE ")]
    leg = Leg(party="agent1", result="answered", seconds=seconds(phone), hold=round(max(sent) - min(sent), 3))
    return Facts(title="An agent puts the caller on hold and takes them back", calls=[inbound("answered", leg)])


async def feature_code(stage: Stage) -> Facts:
    await stage.ctid_lives()
    call = await stage.call("agent1", "*11", digits=((0.3, "1001#"), (0.3, "4242#")))
    asked = await stage.pbx.ami.event("CtidAgent", limit=20)
    stage.pbx.ami.route(asked["Channel"], "lab:1:say:ok:0")
    await call.ended()
    await stage.quiet()
    leg = Leg(party="agent1", result="answered")
    calls = [Call(caller="agent1", dialled="*11", direction="internal", outcome="answered", via="direct", legs=[leg])]
    return Facts(title="An agent signs in with id and PIN", calls=calls)


def through_local(dialled: str, title: str) -> Callable[[Stage], Awaitable[Facts]]:
    async def scene(stage: Stage) -> Facts:
        phone = await stage.phone("agent2")
        call = await stage.call("agent1", dialled)
        await stage.connected(phone)
        await asyncio.sleep(0.8)
        await call.hang_up()
        await stage.quiet()
        return Facts(title=title, calls=[_colleagues(dialled, "agent2", seconds(phone))])

    return scene


async def two_ring(stage: Stage) -> Facts:
    slow, quick = await stage.phone("agent3", "never"), await stage.phone("agent2", ring=0.5)
    call = await stage.call("agent1", "803")
    await slow.rings()
    await stage.connected(quick)
    await asyncio.sleep(0.6)
    await call.hang_up()
    await stage.quiet()
    talked = seconds(quick)
    legs = [
        Leg(party="agent1", result="answered", seconds=talked),
        Leg(party="agent2", result="answered", seconds=talked),
        Leg(party="agent3", result="cancelled"),
    ]
    call_ = Call(
        caller="agent1",
        dialled="803",
        direction="internal",
        outcome="answered",
        via="direct",
        agent="agent2",
        legs=legs,
    )
    return Facts(title="Two phones ring at once, one answers", calls=[call_])


def direct(dialled: str, outcome: str, *legs: Leg, agent: str | None = None) -> Call:
    """A customer's call that ctid's dialplan never saw."""
    return Call(
        caller=CALLER,
        dialled=dialled,
        direction="inbound",
        outcome=outcome,
        via="direct",
        agent=agent,
        legs=list(legs),
    )


def merged(dialled: str) -> Call:
    """What an agent keyed to come to the call before."""
    return Call(
        caller="agent2",
        dialled=dialled,
        direction="internal",
        outcome="merged",
        via="direct",
        agent="agent2",
        merged_into=0,
    )


def lasted(call: SippCall) -> float:
    """How long a placed call was connected."""
    return round((over_at(call.messages, call.call_id) or 0.0) - (answered_at(call.messages, call.call_id) or 0.0), 3)


async def own_number(stage: Stage) -> Facts:
    phone = await stage.phone("agent1")
    call = await stage.call(dialled="8801")
    await stage.connected(phone)
    await asyncio.sleep(0.7)
    await call.hang_up()
    await stage.quiet()
    leg = Leg(party="agent1", result="answered", seconds=seconds(phone))
    return Facts(
        title="A customer dials an agent's own number", calls=[direct("8801", "answered", leg, agent="agent1")]
    )


def refused(behaviour: Behaviour, outcome: str, result: str, title: str) -> Callable[[Stage], Awaitable[Facts]]:
    async def scene(stage: Stage) -> Facts:
        await stage.phone("agent1", behaviour)
        call = await stage.call(dialled="8801")
        await call.ended()
        await stage.quiet()
        return Facts(title=title, calls=[direct("8801", outcome, Leg(party="agent1", result=result))])

    return scene


async def given_up(stage: Stage) -> Facts:
    phone = await stage.phone("agent1", "never")
    call = await stage.call(dialled="8801")
    await phone.rings()
    await call.give_up()
    await stage.quiet()
    leg = Leg(party="agent1", result="cancelled")
    return Facts(title="A customer gives up at an agent's own number", calls=[direct("8801", "abandoned", leg)])


async def menu(stage: Stage) -> Facts:
    call = await stage.call(dialled="8820")
    await call.ended()
    await stage.quiet()
    return Facts(title="A menu answers, and nobody else", calls=[direct("8820", "answered")])


async def plain_queue(stage: Stage) -> Facts:
    await stage.phone("agent3", "busy")
    slow, quick = await stage.phone("agent2", "never"), await stage.phone("agent1", ring=0.5)
    call = await stage.call(dialled="8811")
    await slow.rings()
    await stage.connected(quick)
    await asyncio.sleep(0.6)
    await call.hang_up()
    await stage.quiet()
    legs = (
        Leg(party="agent1", result="answered", seconds=seconds(quick)),
        Leg(party="agent2", result="cancelled"),
        Leg(party="agent3", result="busy"),
    )
    return Facts(title="A queue of the site's own rings all", calls=[direct("8811", "answered", *legs, agent="agent1")])


async def forwarded(stage: Stage) -> Facts:
    await stage.ctid_lives()
    first, second = await stage.phone("agent1"), await stage.phone("agent2")
    await first.behave("forward", forward_to=f"sip:agent2@127.0.0.1:{stage.pbx.sip_port}")
    call = await stage.call()
    await stage.send_to("agent1")
    await stage.connected(second)
    await asyncio.sleep(0.7)
    await call.hang_up()
    await stage.quiet()
    legs = Leg(party="agent1", result="cancelled"), Leg(party="agent2", result="answered", seconds=seconds(second))
    return Facts(title="A phone forwards the caller to a colleague's (302)", calls=[inbound("answered", *legs)])


def picked_up(keys: str, title: str) -> Callable[[Stage], Awaitable[Facts]]:
    async def scene(stage: Stage) -> Facts:
        await stage.ctid_lives()
        phone = await stage.phone("agent1", "never")
        call = await stage.call()
        await stage.send_to("agent1")
        await phone.rings()
        taker = await stage.call("agent2", keys)
        await taker.answered()
        await asyncio.sleep(0.8)
        await call.hang_up()
        await taker.ended()
        await stage.quiet()
        legs = Leg(party="agent1", result="cancelled"), Leg(party="agent2", result="answered", seconds=lasted(taker))
        return Facts(title=title, calls=[inbound("answered", *legs), merged(keys)])

    return scene


async def parked(stage: Stage) -> Facts:
    await stage.ctid_lives()
    phone = await stage.phone("agent1")
    call, invite = await stage.routed(phone, "agent1", 0.7)
    await phone.transfer(invite, f"sip:700@127.0.0.1:{stage.pbx.sip_port}")
    await stage.pbx.ami.event("ParkedCall")
    await asyncio.sleep(0.5)
    taker = await stage.call("agent2", "701")
    await taker.answered()
    await asyncio.sleep(0.8)
    await call.hang_up()
    await taker.ended()
    await stage.quiet()
    legs = (
        Leg(party="agent1", result="answered", seconds=seconds(phone)),
        Leg(party="agent2", result="answered", seconds=lasted(taker)),
    )
    return Facts(
        title="An agent parks the caller, a colleague fetches them", calls=[inbound("answered", *legs), merged("701")]
    )


async def local_alone(stage: Stage) -> Facts:
    call = await stage.call(dialled="8830")
    await call.answered()
    await asyncio.sleep(0.7)
    await call.hang_up()
    await stage.quiet()
    leg = Leg(party="agent3", result="answered", seconds=lasted(call))
    return Facts(
        title="A customer reaches an agent who is behind a Local channel",
        calls=[direct("8830", "answered", leg, agent="agent3")],
    )


async def past_ctid(stage: Stage) -> Facts:
    customer = await stage.phone("customer")
    call = await stage.call("agent1", f"6{OTHER}")
    await stage.connected(customer)
    await asyncio.sleep(0.7)
    await call.hang_up()
    await stage.quiet()
    legs = [Leg(party=name, result="answered", seconds=seconds(customer)) for name in ("agent1", OTHER)]
    made = Call(
        caller="agent1",
        dialled=f"6{OTHER}",
        direction="outbound",
        outcome="answered",
        via="direct",
        agent="agent1",
        legs=legs,
    )
    return Facts(title="An agent calls a customer straight through the trunk", calls=[made])


async def customer_busy(stage: Stage) -> Facts:
    await stage.phone("customer", "busy")
    call = await stage.call("agent1", f"9{OTHER}")
    await call.ended()
    await stage.quiet()
    legs = [Leg(party=name, result="busy") for name in ("agent1", OTHER)]
    made = Call(caller="agent1", dialled=OTHER, direction="outbound", outcome="busy", via="direct", legs=legs)
    return Facts(title="An agent calls a customer who is busy", calls=[made])


SCENES: dict[str, Callable[[Stage], Awaitable[Facts]]] = {
    "answered": answered,
    "no-answer-then-next": then_next("never", "no_answer", "An agent does not answer, the next one does"),
    "busy-then-next": then_next("busy", "busy", "An agent's phone is busy (486), the next one answers"),
    "rejected-then-next": then_next("reject", "rejected", "An agent rejects the call (603), the next one answers"),
    "unavailable-then-next": then_next(
        "unavailable", "no_answer", "A phone is unavailable (480), the next one answers"
    ),
    "gives-up-waiting": gives_up_waiting,
    "gives-up-ringing": gives_up_ringing,
    "overflow": overflow,
    "fallback": fallback,
    "fallback-two-ring": fallback_two_ring,
    "blind-transfer": blind_transfer,
    "attended-transfer": attended_transfer,
    "blonde-transfer": blonde_transfer,
    "attended-aborted": attended_aborted,
    "attended-busy": attended_busy,
    "three-way": three_way,
    "blind-by-keys": blind_by_keys,
    "consultation-merges": consultation_merges,
    "internal": internal,
    "outbound": outbound,
    "hold": hold,
    "feature-code": feature_code,
    "local-stays": through_local("801", "A phone is dialled through a Local channel that stays"),
    "local-optimized": through_local("802", "A phone is dialled through a Local channel that is optimized away"),
    "local-to-local": through_local("805", "A phone is dialled through two Local channels, one behind the other"),
    "two-ring": two_ring,
    "own-number": own_number,
    "own-number-gone": refused(
        "gone", "failed", "unreachable", "A customer dials an agent whose phone is not there (404)"
    ),
    "own-number-given-up": given_up,
    "menu": menu,
    "plain-queue": plain_queue,
    "forwarded": forwarded,
    "picked-up": picked_up("*8", "A colleague takes the ringing call of the group"),
    "picked-up-by-name": picked_up("*81", "A colleague takes the ringing call of one phone"),
    "parked": parked,
    "local-alone": local_alone,
    "past-ctid": past_ctid,
    "customer-busy": customer_busy,
}
