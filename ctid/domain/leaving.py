"""Callers whom a line keeps no longer: it is closed, or they have waited as long as it lets anyone wait.

Law: a caller goes on to another line at most once to each, with their place by arrival; a circle of lines, or a line that takes
nobody, ends where it ends, and the books say how they went.
"""

from __future__ import annotations

from ctid.domain.actions import Overflow
from ctid.domain.call import Call, Phase
from ctid.domain.opening import is_open
from ctid.domain.types import Diversion, Line, Outcome
from ctid.domain.world import World

#: An overflow that takes nobody is tried this often before the caller is let go.
OVERFLOW_TRIES = 5
#: Another line is this and its name.
LINE_PREFIX = "line-"


def why(world: World, call: Call, at: float) -> Outcome | None:
    """Why the line keeps this held caller no longer, ``None`` while it does."""
    line, since = call.line, call.on_line_since
    if line is None or since is None:
        return None
    if not is_open(line, at, world.zone):
        return Outcome.CLOSED
    return Outcome.OVERFLOW if at >= since + line.longest_wait_seconds else None


def to_another_line(world: World, call: Call, reason: Outcome, at: float) -> bool:
    """Let the caller go on waiting on the line that this one overflows to; false where it overflows to something else."""
    assert call.line is not None
    to = _destination(call.line, reason)
    following = world.line_by_name.get(to.removeprefix(LINE_PREFIX)) if to.startswith(LINE_PREFIX) else None
    if following is None or following.name in call.been_on:
        return False
    _note(call, reason, to, at)
    call.been_on.add(call.line.name)
    call.line, call.line_name = following, following.name
    wait_from(world, call, at)
    world.touch(call)
    return True


def send_away(world: World, call: Call, reason: Outcome, at: float) -> None:
    """Send the caller where the line sends those it can't keep; a line that can't be gone on to is nowhere."""
    assert call.line is not None
    to = _destination(call.line, reason)
    if to.startswith(LINE_PREFIX) or call.overflows >= OVERFLOW_TRIES:
        to = "hangup"
    _note(call, reason, to, at)
    send(world, call, reason, to, at)


def send(world: World, call: Call, reason: Outcome, to: str, at: float) -> None:
    """Have the dialplan take the caller out of the line; what it does not confirm is sent again."""
    assert call.hold is not None
    call.outcome = reason
    world.do(Overflow(call_id=call.id, channel=call.hold.channel, seq=call.hold.seq, to=to))
    world.timers.set(("overflow", call.id), at + world.policy.reservation_slack_seconds)
    world.move(call, Phase.LEFT)
    world.touch(call)


def wait_from(world: World, call: Call, since: float) -> None:
    """The line's longest wait counts from ``since``, and whom the caller met before does not."""
    assert call.line is not None
    call.on_line_since = since
    call.announces = False
    call.stood_behind = None
    call.tried.clear()
    call.round_resumes_at = None
    world.timers.clear(("round", call.id))
    world.timers.clear(("announce", call.id))
    world.timers.set(("wait", call.id), since + call.line.longest_wait_seconds)


def watch_the_clock(world: World, call: Call, at: float) -> None:
    """Look again each minute, by whose end lines open and close."""
    assert call.line is not None
    if call.line.hours or call.line.holidays or call.line.special_hours:
        world.timers.set(("closing", call.id), (at // 60 + 1) * 60)


def _destination(line: Line, reason: Outcome) -> str:
    return line.closed if reason is Outcome.CLOSED and line.closed is not None else line.overflow


def _note(call: Call, reason: Outcome, to: str, at: float) -> None:
    """Tried again, it is in the books once."""
    last = call.diversions[-1] if call.diversions else None
    if last is None or (last.line, last.reason, last.to) != (call.line_name, reason, to):
        call.diversions.append(Diversion(at=at, line=call.line_name, reason=reason, to=to))
