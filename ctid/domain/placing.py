"""Where a supervisor puts a caller who waits: before all others, behind them, or on another line.

Law: only who waits, and rings at nobody's phone, is put anywhere. Put at the end they stand as if they had called just now: the
line's longest wait counts on, and nobody starves. On another line they keep their place by arrival. Each is in the books.
"""

from __future__ import annotations

from ctid.domain import events as ev
from ctid.domain import leaving, serving
from ctid.domain.actions import ReplyOnCall
from ctid.domain.call import Call
from ctid.domain.leaving import LINE_PREFIX
from ctid.domain.opening import is_open
from ctid.domain.said import Code, Said, say
from ctid.domain.types import END, FRONT, CallId, Diversion
from ctid.domain.world import World


def on_prioritise(world: World, event: ev.PrioritiseAsked) -> None:
    """The caller comes before all who wait, and before those who come later; several of them among themselves as ever."""
    call = _waiting(world, event.call_id)
    if isinstance(call, Call) and not call.prioritised:
        _note(call, FRONT, event.by, event.at)
        call.prioritised, call.stands_since = True, None
        _changed(world, call)
    _answer(world, event.call_id, event.id, call)


def on_move(world: World, event: ev.MoveAsked) -> None:
    call = _waiting(world, event.call_id)
    if isinstance(call, Call) and event.line is None:
        _note(call, END, event.by, event.at)
        call.prioritised, call.stands_since = False, event.at
        _changed(world, call)
    elif isinstance(call, Call) and event.line != call.line_name:
        call = _to_line(world, call, event) or call
    _answer(world, event.call_id, event.id, call)


def _to_line(world: World, call: Call, event: ev.MoveAsked) -> Said | None:
    """Why the line does not take the caller; nothing where it did."""
    line = world.line_by_name.get(event.line or "")
    if line is None:
        return say(Code.NO_LINE, line=event.line or "")
    if not is_open(line, event.at, world.zone):
        return say(Code.LINE_CLOSED, line=line.name)
    _note(call, LINE_PREFIX + line.name, event.by, event.at)
    call.been_on.discard(line.name)
    call.line, call.line_name = line, line.name
    leaving.wait_from(world, call, event.at)
    serving.hold(world, call, event.at)
    _changed(world, call)
    return None


# -- within ------------------------------------------------------------------------------------------------------------


def _waiting(world: World, call_id: CallId) -> Call | Said:
    """The call whose caller waits, or why there is none."""
    call = world.call(call_id)
    if call is None:
        return say(Code.NO_CALL)
    if not call.waiting:
        return say(Code.CALL_NOT_WAITING if call.live else Code.CALL_OVER)
    return call


def _note(call: Call, to: str, by: str | None, at: float) -> None:
    call.diversions.append(Diversion(at=at, line=call.line_name, reason=None, to=to, by=by))


def _changed(world: World, call: Call) -> None:
    world.serve = True
    world.touch(call)


def _answer(world: World, call_id: CallId, id_: str, found: Call | Said) -> None:
    world.do(ReplyOnCall(call_id=call_id, id=id_, error=found if isinstance(found, Said) else None))
