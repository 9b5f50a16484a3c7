"""The PBX's state after a login, as the events that lead to it.

Law: told to a tracker just made, it leaves tracker and core where the live events would have left them.
"""

from __future__ import annotations

from ctid.asterisk import messages as pbx
from ctid.asterisk.client import Snapshot
from ctid.asterisk.tracker import Tracker
from ctid.domain.events import Event
from ctid.domain.types import Consent

_ON_HOLD = "CHANNEL(onhold)"
_WAIT, _FAILSAFE = "ctid-wait", "ctid-failsafe"


def told_as_events(tracker: Tracker, snapshot: Snapshot, at: float) -> list[Event]:
    """What the snapshot means; ``at`` is its time by the PBX's clock. Channels that lack a name or id are left out."""
    channels: list[tuple[pbx.ChannelSeen, str | None]] = []
    dialplan: dict[str, list[pbx.PbxEvent]] = {}
    variables = {m.get("Uniqueid"): m.variables() for m in snapshot.status}
    for message in snapshot.channels:
        if "Channel" not in message.headers or "Uniqueid" not in message.headers:
            continue
        seen = pbx.channel_seen(message)
        of_ctid = variables.get(seen.uniqueid, {})
        channels.append((seen, of_ctid.get("CTID_CALL")))
        dialplan[seen.uniqueid] = _from_dialplan(seen, of_ctid, message.get("Context"), at, snapshot.stepped)
    channels.sort(key=lambda c: _age(c[0].uniqueid))
    return tracker.snapshot(
        at=at,
        channels=channels,
        bridges=snapshot.bridges.items(),
        devices=[pbx.device_changed(m) for m in snapshot.devices if "Device" in m.headers and "State" in m.headers],
        dialplan=dialplan,
        held=frozenset(uid for uid, of in variables.items() if uid is not None and of.get(_ON_HOLD) == "1"),
    )


def _from_dialplan(
    seen: pbx.ChannelSeen, of_ctid: dict[str, str], context: str | None, at: float, stepped: float
) -> list[pbx.PbxEvent]:
    """What the dialplan said of a channel while nobody listened: that it came in, that it waits, that the fallback has it.

    ``CTID_FILE`` stands on the recorded channel alone: it is not inherited. The PBX's clock shows ``at + stepped``.
    """
    said: list[pbx.PbxEvent] = []
    if (file := of_ctid.get("CTID_FILE")) is not None:
        did = of_ctid.get("CTID_DID")
        said.append(
            pbx.CallEnteredCtid(
                uniqueid=seen.uniqueid,
                outbound="CTID_SEQ" not in of_ctid,
                dialled=did,
                file=file,
                renews=of_ctid.get("CTID_RENEW") == "yes",
            )
        )
        if (consent := of_ctid.get("CTID_CONSENTED")) in tuple(Consent):
            said.append(pbx.ConsentSaid(uniqueid=seen.uniqueid, consent=Consent(consent)))
        said.append(pbx.pause_seen(seen.uniqueid, of_ctid.get("CTID_PAUSED"), stepped))
        seq = of_ctid.get("CTID_SEQ", "")
        if context == _WAIT and seq.isdecimal():
            since = of_ctid.get("CTID_T0", "")
            said.append(
                pbx.CallerWaits(
                    uniqueid=seen.uniqueid,
                    channel=seen.channel,
                    seq=int(seq),
                    dialled=did,
                    why=None,
                    waited=max(0, int(at + stepped) - int(since)) if since.isdecimal() else 0,
                )
            )
        elif context == _FAILSAFE:
            said.append(pbx.CallerInFailsafe(uniqueid=seen.uniqueid))
    return said


def _age(uniqueid: str) -> tuple[float, int]:
    """Uniqueids are ``[name-]seconds.number``: the older sorts first."""
    seconds, _, number = uniqueid.rpartition("-")[2].partition(".")
    return float(seconds) if seconds.isdecimal() else 0.0, int(number) if number.isdecimal() else 0
