"""Callers are told that they are recorded, or asked, before anybody talks with them.

Law: nobody waits, is rung for or sent on before it was played through; whoever did not hear it, or gave no leave, is not
recorded, and served like everyone else. Told once, a caller is not told again, whatever line they come to.
"""

from __future__ import annotations

from ctid.domain import events as ev
from ctid.domain.actions import NoteOddity, TellConsent
from ctid.domain.call import Call
from ctid.domain.types import Consent
from ctid.domain.world import World


def tell(world: World, call: Call) -> bool:
    """Have the held caller told, where their line wants it; whether that is still to end."""
    line, held = call.line, call.hold
    if line is None or line.consent is None or call.consent is not None or held is None:
        call.consent_told_at = None
        return False
    if call.consent_told_at != held.seq:
        call.consent_told_at = held.seq
        world.do(
            TellConsent(
                call_id=call.id, channel=held.channel, seq=held.seq, sound=line.consent, asked=line.consent_asked
            )
        )
    return True


def on_told(world: World, event: ev.ConsentTold) -> None:
    call = world.call(event.call_id)
    if call is None or call.consent is event.consent:
        return
    call.consent = event.consent
    if not event.consent.recorded:
        call.recorded = None
    if event.consent is Consent.FAILED:
        what = "the sound that tells of the recording could not be played, and the call is not recorded"
        world.do(NoteOddity(what=what, call_id=call.id))
    world.touch(call)
