"""Strangers' words in every field of what the core decides: nothing but its own actions reaches the PBX."""

from __future__ import annotations

from dataclasses import replace

from scripted_pbx import ScriptedPbx
from structlog.testing import capture_logs
from test_commands import CHANNEL, Rig, running
from test_originating import CALL

from ctid.asterisk.originating import Originator
from ctid.asterisk.sayable import said
from ctid.domain import actions as act
from tests.test_sayable import HOSTILE, IN_THE_DIALPLAN


async def test_whatever_the_core_decides_by_strangers_words_nothing_but_its_own_actions_reaches_the_pbx() -> None:
    """Each action with hostile words in each field: it is sent as it is meant, or refused, and nothing else is sent."""
    plain = [
        act.Ring(call_id="9.1", channel=CHANNEL, seq=3, endpoint="agent7", seconds=20, music="waltz"),
        act.Overflow(call_id="9.1", channel=CHANNEL, seq=3, to="number-138"),
        act.PlayMusic(call_id="9.1", channel=CHANNEL, seq=3, music="waltz"),
        act.Say(channel=CHANNEL, seq=3, word="ok"),
        act.RenewRecording(call_id="9.1", channel=CHANNEL),
        act.OfferCallback(call_id="9.1", channel=CHANNEL, seq=3, sound="offer"),
    ]
    async with ScriptedPbx() as pbx, running(Rig(pbx.port)) as rig:
        began = len(pbx.actions)
        with capture_logs():
            for action in plain:
                fields = [
                    name for name in action.__slots__ if isinstance(getattr(action, name), str) and name != "call_id"
                ]
                for name in fields:
                    for word in (*HOSTILE, *IN_THE_DIALPLAN):
                        rig.commands.carry_out(replace(action, **{name: word}), decided_at=rig.now)
            originator = Originator(rig.link, now=lambda: rig.now, on_refused=lambda _: None)
            for name in ("call_id", "endpoint", "number", "caller", "title"):
                for word in (*HOSTILE, *IN_THE_DIALPLAN):
                    originator.carry_out(replace(CALL, **{name: word}), decided_at=rig.now)
            await rig.link.call("CoreStatus")
        for sent in pbx.actions[began:]:
            assert sent["Action"] in {"Setvar", "PlayDTMF", "Originate", "CoreStatus", "Ping"}
            assert sent.get("Variable", "CTID_ROUTE").split("=")[0] in {
                "CTID_ROUTE",
                "CTID_VOICES",
                "CTID_OFFER",
                "CTID_FROM",
            }
            said(list(sent.items()))
