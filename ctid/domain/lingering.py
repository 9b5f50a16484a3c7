"""Callers who have to wait: what they hear meanwhile.

Law: a caller who is served at once is told nothing. Announcements and music leave the sequence number as it is, so that a route
cuts them short; and what a line plays never decides who is served.
"""

from __future__ import annotations

from ctid.domain import callbacks
from ctid.domain.actions import Announce, PlayMusic
from ctid.domain.announcing import Wait, expected
from ctid.domain.call import Call
from ctid.domain.world import World


def linger(world: World, at: float) -> None:
    """Those whom nobody was free for: their line's music, and announcements from now on."""
    kept, world.kept = world.kept, {}
    for call_id in kept:
        call = world.calls.get(call_id)
        if call is None or not call.waiting or call.line is None or call.hold is None:
            continue
        if call.line.music is not None and call.line.music != call.music:
            call.music = call.line.music
            world.do(PlayMusic(call_id=call.id, channel=call.hold.channel, seq=call.hold.seq, music=call.music))
        if call.line.announce_seconds and not call.announces:
            call.announces = True
            world.timers.set(("announce", call.id), at + call.line.announce_seconds)
            if call.stood_behind is None:
                call.stood_behind = place(world, call, at) - 1


def on_announcement_due(world: World, call_id: str, at: float) -> None:
    call = world.calls.get(call_id)
    if call is None:
        return
    call.announces = False
    if not call.waiting or call.line is None or call.hold is None or call.on_line_since is None:
        return
    mine = place(world, call, at)
    waits = world.last_hour.of(call.line.name, at)
    call.announced += 1
    world.do(
        Announce(
            call_id=call.id,
            channel=call.hold.channel,
            seq=call.hold.seq,
            place=mine,
            wait=expected(waits, ahead=mine - 1, waited=at - call.on_line_since),
            number=call.announced,
        )
    )
    call.announces = True
    world.timers.set(("announce", call.id), at + call.line.announce_seconds)


def note_answer(world: World, call: Call, at: float) -> None:
    """An agent answered: if the caller had to wait, the line's last hour has one wait more."""
    if call.stood_behind is not None and call.line is not None and call.on_line_since is not None:
        seconds = at - call.on_line_since
        world.last_hour.note(Wait(line=call.line.name, answered_at=at, seconds=seconds, ahead=call.stood_behind))
        call.stood_behind = None


def place(world: World, call: Call, at: float) -> int:
    """1 for the caller who stands first, in the true waiting order, among all whom some agent of this line may take."""
    assert call.line is not None

    seating, also = world.seating(at), callbacks.ready(world, at)
    before = list(world.room().ahead_of(call, at, world.policy.ageing_seconds, also=also))
    beside = {line.name: line is call.line or seating.share(call.line, line) for line, count in before if count}
    return 1 + sum(count for line, count in before if count and beside[line.name])
