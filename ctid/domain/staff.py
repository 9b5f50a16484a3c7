"""Agents at work: the roster, signing in and out, pauses, wrap-up.

Law: every request is answered once, with one line that says what to do when it can't be granted.
"""

from __future__ import annotations

from dataclasses import replace

from ctid.domain import events as ev
from ctid.domain.actions import AgentNews, CheckPin, NoteAgent, NoteOddity, NotePinsStopped, Reply, Say, ShowPop
from ctid.domain.agent import Desk
from ctid.domain.said import Code, Said, say
from ctid.domain.types import Agent, AgentId, AgentState, AgentStatus, Direction, Endpoint
from ctid.domain.world import SESSION, World

#: Wrap-up can't be extended past this many seconds from now.
LONGEST_WRAP_UP = 3600.0
MISSED_CALLS = "missed calls"
FEATURE_CODE = "feature code"
#: This many wrong PINs at one phone, or for one agent, are checked within this many seconds: four digits are soon guessed.
WRONG_PINS = 5
PIN_LOCK_SECONDS = 300.0


def on_roster(world: World, event: ev.RosterLoaded) -> None:
    present = {agent.id for agent in event.agents}
    for agent in event.agents:
        desk = world.desk(agent, event.at)
        desk.agent = agent
        world.touch_desk(desk)
        if not agent.enabled:
            _leave(world, desk)
    for agent_id, desk in world.desks.items():
        if agent_id not in present and desk.agent.enabled:
            desk.agent = replace(desk.agent, enabled=False)
            _leave(world, desk)
            world.touch_desk(desk)
    world.roster_phones = frozenset(a.phone for a in event.agents if a.phone)
    world.serve = True


def restore(world: World, status: AgentStatus, at: float) -> None:
    """Seat the agent where the books say they sat, in wrap-up or on a pause as they were."""
    desk = world.desks.get(status.agent)
    if desk is None or not desk.agent.enabled or status.phone is None:
        return
    desk.phone, desk.signed_in_at = status.phone, status.signed_in_at or status.since
    world.seats[status.phone] = desk.id
    desk.pause_reason = status.reason
    desk.since = status.since
    if status.state is AgentState.WRAP_UP:
        _wrap_up_until(world, desk, status.wrap_up_until or status.since + world.policy.wrap_up_seconds)
    state = desk.derived(None)
    desk.state = state
    world.presence.began(desk.id, SESSION, status.since)
    if status.state is not state:
        desk.since = at


def wrap_up(world: World, desk: Desk, since: float) -> None:
    """Give the agent the site's time to write up a conversation that ended at ``since``."""
    if world.policy.wrap_up_seconds > 0 and desk.phone is not None:
        _wrap_up_until(world, desk, since + world.policy.wrap_up_seconds)


def _wrap_up_until(world: World, desk: Desk, until: float) -> None:
    desk.wrap_up_until = until
    world.timers.set(("wrap_up", desk.id), until)


def on_wrap_up_over(world: World, agent_id: str, _at: float) -> None:
    end_wrap_up(world, world.desks[agent_id])


def missed(world: World, desk: Desk) -> None:
    """Count a missed call; too many in a row pause the agent, or every caller would ring an empty chair first."""
    desk.missed_in_a_row += 1
    if 0 < world.policy.missed_in_a_row <= desk.missed_in_a_row and desk.pause_reason is None:
        desk.pause_reason = MISSED_CALLS
        _note(world, desk, AgentNews.PAUSED)
    world.touch_desk(desk)


# -- requests ----------------------------------------------------------------------------------------------------------


def on_sign_in(world: World, event: ev.SignInAsked) -> None:
    desk = known(world, event.request)
    if desk is None:
        return
    phone = event.phone or desk.phone or desk.agent.phone
    if phone is None:
        answer(world, event.request, say(Code.NO_PHONE))
        return
    if phone != desk.phone and _in_customers_call(world, phone):
        answer(world, event.request, say(Code.PHONE_IN_CALL, phone=phone))
        return
    _sit(world, desk, phone, event.at)
    world.touch_desk(desk)
    answer(world, event.request)


def on_sign_out(world: World, event: ev.SignOutAsked) -> None:
    desk = known(world, event.request)
    if desk is None:
        return
    _leave(world, desk)
    world.touch_desk(desk)
    answer(world, event.request)


def on_pause(world: World, event: ev.PauseAsked) -> None:
    desk = signed_in(world, event.request)
    if desk is None:
        return
    desk.pause_reason = event.reason
    _note(world, desk, AgentNews.PAUSED)
    world.touch_desk(desk)
    answer(world, event.request)


def on_resume(world: World, event: ev.ResumeAsked) -> None:
    desk = signed_in(world, event.request)
    if desk is None:
        return
    if desk.pause_reason is not None:
        _note(world, desk, AgentNews.RESUMED)
    desk.pause_reason = None
    desk.missed_in_a_row = 0
    world.touch_desk(desk)
    answer(world, event.request)


def on_wrap_up_end(world: World, event: ev.WrapUpEndAsked) -> None:
    desk = signed_in(world, event.request)
    if desk is None:
        return
    end_wrap_up(world, desk)
    answer(world, event.request)


def on_wrap_up_extension(world: World, event: ev.WrapUpExtensionAsked) -> None:
    desk = signed_in(world, event.request)
    if desk is None:
        return
    if desk.wrap_up_until is None:
        answer(world, event.request, say(Code.NO_WRAP_UP))
        return
    _wrap_up_until(world, desk, min(desk.wrap_up_until + event.seconds, event.at + LONGEST_WRAP_UP))
    world.touch_desk(desk)
    answer(world, event.request)


def on_show(world: World, event: ev.ShowAsked) -> None:
    """Show once more what the agent's screen shows of calls under way: the one they talk in last, for it stays."""
    desk = known(world, event.request)
    if desk is None:
        return
    for leg_id, (call_id, _) in sorted(desk.legs.items(), key=lambda one: one[1][1]):
        call = world.call(call_id)
        leg = call.legs.get(leg_id) if call is not None else None
        if leg is not None and leg.pop is not None:
            world.do(ShowPop(pop=leg.pop))
    answer(world, event.request)


def on_code(world: World, event: ev.CodeDialled) -> None:
    """A feature code: signing in asks for id and PIN, the rest is done by whoever sits at the phone."""
    if event.call_id is not None and (call := world.call(event.call_id)) is not None:
        call.direction = Direction.INTERNAL  # whoever's phone it is, no customer calls
    if event.command == "sign_in":
        agent = _keyed(world, event.agent)
        if agent is None or event.pin is None or not _may_try(world, event.endpoint, agent, event.at):
            world.do(Say(channel=event.channel, seq=event.seq, word="denied"))
            return
        request = ev.Request(agent=agent, channel=event.channel, seq=event.seq)
        world.pin_checks[request] = event.endpoint
        world.do(CheckPin(request=request, pin=event.pin))
        return
    agent = world.agent_at(event.endpoint)
    if agent is None:
        world.do(Say(channel=event.channel, seq=event.seq, word="unknown"))
        return
    request = ev.Request(agent=agent, channel=event.channel, seq=event.seq)
    match event.command:
        case "sign_out":
            on_sign_out(world, ev.SignOutAsked(at=event.at, request=request))
        case "pause":
            on_pause(world, ev.PauseAsked(at=event.at, request=request, reason=FEATURE_CODE))
        case "resume":
            on_resume(world, ev.ResumeAsked(at=event.at, request=request))
        case _:
            world.do(NoteOddity(what=f"feature code {event.command!r} is not known", agent=agent))
            world.do(Say(channel=event.channel, seq=event.seq, word="unknown"))


def on_code_obeyed(world: World, event: ev.CodeObeyed) -> None:
    """The dialplan let a phone leave or pause in the fallback queue: whoever sits there has signed out or paused."""
    agent = world.agent_at(event.endpoint)
    if agent is None or event.at < (desk := world.desks[agent]).since:
        return  # nobody's phone, or told again by CEL: the books have what came after it
    match event.command:
        case "sign_out":
            _leave(world, desk)
        case "pause":
            desk.pause_reason = FEATURE_CODE
            _note(world, desk, AgentNews.PAUSED)
        case "resume":
            desk.pause_reason = None
            _note(world, desk, AgentNews.RESUMED)
        case _:
            world.do(NoteOddity(what=f"feature code {event.command!r} is not known", agent=agent))
    world.touch_desk(desk)


def on_pin_checked(world: World, event: ev.PinChecked) -> None:
    endpoint = world.pin_checks.pop(event.request, None)
    if endpoint is None:
        return
    if event.ok is not False:  # no guess: the try is given back
        for key in (("phone", endpoint), ("agent", event.request.agent)):
            since, tries = world.pin_tries.get(key, (event.at, 1))
            world.pin_tries[key] = since, tries - 1
    if event.ok is None:
        answer(world, event.request, say(Code.PIN_UNCHECKED))
    elif event.ok:
        on_sign_in(world, ev.SignInAsked(at=event.at, request=event.request, phone=endpoint))
    else:
        world.do(NoteOddity(what=f"wrong PIN at {endpoint}", agent=event.request.agent))
        _tell_stopped(world, endpoint, event.request.agent, event.at)
        answer(world, event.request, say(Code.WRONG_PIN))


# -- within ------------------------------------------------------------------------------------------------------------


def _keyed(world: World, keyed: str | None) -> AgentId | None:
    """Whose id or code was keyed in: an id before a code. What is neither's is checked like an id, and as slowly refused."""
    if keyed is None or keyed in world.desks:
        return keyed
    return next((desk.id for desk in world.desks.values() if desk.agent.code == keyed), keyed)


def _may_try(world: World, phone: Endpoint, agent: AgentId, at: float) -> bool:
    """Count a PIN before it is checked, for the phone and for the agent; too many within a while are not looked at."""
    keys = (("phone", phone), ("agent", agent))
    for key in keys:
        since, tries = world.pin_tries.get(key, (at, 0))
        if at - since >= PIN_LOCK_SECONDS:
            since, tries = at, 0
            world.pins_stopped.discard(key)
        if tries >= WRONG_PINS:
            world.do(NoteOddity(what=f"{key[0]} {key[1]} locked after {tries} wrong PINs", agent=agent))
            return False
        world.pin_tries[key] = since, tries
    for key in keys:
        since, tries = world.pin_tries[key]
        world.pin_tries[key] = since, tries + 1
    return True


def _tell_stopped(world: World, phone: Endpoint, agent: AgentId, at: float) -> None:
    """Whom the PIN that has just turned out wrong was one too many for: once, however many are refused from here on."""
    for key in (("phone", phone), ("agent", agent)):
        _, tries = world.pin_tries.get(key, (at, 0))
        if tries >= WRONG_PINS and key not in world.pins_stopped:
            world.pins_stopped.add(key)
            world.do(NotePinsStopped(at=at, whom=key[1], phone=phone, agent=agent))


def _in_customers_call(world: World, phone: Endpoint) -> bool:
    """Whether a customer is on the way to this phone or in conversation there: nobody else sits down in the midst of it.

    The call by which a feature code is dialled is no customer's.
    """
    if world.phone(phone).reserved_for is not None:
        return True
    return any(
        leg.live and leg.endpoint == phone and call.direction is not Direction.INTERNAL
        for call in world.calls.values()
        if call.live
        for leg in call.legs.values()
    )


def _sit(world: World, desk: Desk, phone: Endpoint, at: float) -> None:
    """Seat the agent; whoever sat there is signed out, and the agent's former phone is free."""
    former = world.agent_at(phone)
    if former is not None and former != desk.id:
        _leave(world, world.desks[former])
        world.touch_desk(world.desks[former])
    if desk.phone is None:
        desk.signed_in_at = at
        desk.missed_in_a_row = 0
    elif desk.phone != phone:
        world.seats.pop(desk.phone, None)
    moved, desk.phone = desk.phone != phone, phone
    if moved:
        _note(world, desk, AgentNews.SIGNED_IN)
    world.seats[phone] = desk.id
    world.serve = True


def _leave(world: World, desk: Desk) -> None:
    if desk.phone is not None:
        world.seats.pop(desk.phone, None)
        _note(world, desk, AgentNews.SIGNED_OUT)
    world.timers.clear(("wrap_up", desk.id))
    desk.phone = desk.signed_in_at = desk.pause_reason = desk.wrap_up_until = None


def _note(world: World, desk: Desk, news: AgentNews) -> None:
    world.do(NoteAgent(agent=desk.id, news=news, phone=desk.phone, reason=desk.pause_reason))


def known(world: World, request: ev.Request) -> Desk | None:
    """The desk of who asks; one whom the roster does not have is told so."""
    desk = world.desks.get(request.agent)
    if desk is None or not desk.agent.enabled:
        answer(world, request, say(Code.NO_AGENT, agent=request.agent))
        return None
    return desk


def signed_in(world: World, request: ev.Request) -> Desk | None:
    """The desk of who asks; one who is not signed in is told so."""
    desk = known(world, request)
    if desk is not None and desk.phone is None:
        answer(world, request, say(Code.NOT_SIGNED_IN))
        return None
    return desk


def answer(world: World, request: ev.Request, error: Said | None = None) -> None:
    """Answer a request once: granted, or why not."""
    if request.channel is not None and request.seq is not None:
        world.do(Say(channel=request.channel, seq=request.seq, word="ok" if error is None else "denied"))
    else:
        world.do(Reply(request=request, error=error))


def why_not_free(world: World, desk: Desk) -> Said | None:
    """Why this agent, who is signed in, can't take up a call of their own choice; a pause or a wrap-up is theirs to end."""
    if not world.linked:
        return say(Code.NO_LINK)
    phone = world.phone(desk.phone or "")
    if desk.legs or phone.channels:
        return say(Code.ON_THE_PHONE)
    if desk.reserved_for is not None or phone.reserved_for is not None:
        return say(Code.CALLER_COMING)
    if not phone.reachable:
        return say(Code.PHONE_UNREACHABLE, phone=phone.id)
    return None


def name(world: World, agent: AgentId) -> str:
    """What the agent is called."""
    desk = world.desks.get(agent)
    return desk.agent.name if desk is not None else agent


def end_wrap_up(world: World, desk: Desk) -> None:
    """The agent's wrap-up, if they are in one, is over."""
    world.timers.clear(("wrap_up", desk.id))
    desk.wrap_up_until = None
    world.touch_desk(desk)


def unlisted(agent_id: AgentId) -> Agent:
    """An agent whom no roster names: someone who left in mid-call."""
    return Agent(id=agent_id, name=agent_id, enabled=False)
