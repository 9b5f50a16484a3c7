"""Calls that nobody answered: no ticket, and a notice to the owner of the caller's newest one.

Law: told once, when the call is over and it is known who called; the books keep the owner, so that a screen which was closed
finds the call all the same.
"""

from __future__ import annotations

from ctid.domain.actions import ShowPop
from ctid.domain.call import Call
from ctid.domain.said import Code, say
from ctid.domain.types import AgentId, Direction, Outcome, Pop, PopState
from ctid.domain.world import World


def owner_of(world: World, call: Call) -> AgentId | None:
    """The owner of the caller's newest ticket, if they are still there."""
    desk = world.desks.get(call.file.owner) if call.file.owner is not None else None
    return desk.id if desk is not None and desk.agent.enabled else None


def note(world: World, call: Call, at: float) -> None:
    """Count a call that is over and that nobody answered, and tell the owner; whoever asked for a callback was served."""
    if call.live or call.file_due or call.missed or not call.entered or call.direction is not Direction.INBOUND:
        return
    if call.answered_at is not None or call.outcome is Outcome.MERGED or call.callback is not None:
        return
    call.missed = True
    world.in_vain.count(call, call.started_at)
    if call.owner is None:
        return
    rang = world.local(call.started_at).strftime("%H:%M")
    waited = round((call.ended_at or at) - call.started_at)
    world.do(
        ShowPop(
            pop=Pop(
                agent=call.owner,
                call_id=call.id,
                state=PopState.ENDED,
                at=at,
                caller=call.file.number or call.caller,
                dialled=call.dialled,
                file=call.file,
                ticket=next(iter(call.file.history), None),
                notices=(say(Code.MISSED_CALL, at=rang, waited=f"{waited // 60}:{waited % 60:02}"),),
            )
        )
    )
