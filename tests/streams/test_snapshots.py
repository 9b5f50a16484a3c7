"""A link that breaks in mid-call: the state of the PBX, told as events, and the rest of the stream end the same books."""

import pytest

from ctid.asterisk.client import Snapshot
from ctid.asterisk.snapshots import told_as_events
from ctid.asterisk.tracker import Tracker
from ctid.asterisk.wire import Message
from ctid.domain.events import LinkLost
from tests.streams.books import NAMES, Desk, messages, stream

_CONTEXT_AFTER = {"CtidWait": "ctid-wait", "CtidFailsafe": "ctid-failsafe"}
_DIAL = {"Queue": "Dial", "AppQueue": "AppDial"}


class Pbx:
    """What the lists of AMI would show after some messages, put together from those messages alone."""

    def __init__(self) -> None:
        self.channels: dict[str, dict[str, str]] = {}
        self.variables: dict[str, dict[str, str]] = {}
        self.bridges: dict[str, list[str]] = {}

    def take(self, message: Message) -> None:
        headers, uid = message.headers, message.headers.get("Uniqueid", "")
        if message.name in ("Newchannel", "Newstate", "UserEvent", "DialBegin") and uid:
            kept = (
                "Channel",
                "Uniqueid",
                "Linkedid",
                "ChannelStateDesc",
                "CallerIDNum",
                "CallerIDName",
                "Exten",
                "Context",
            )
            self.channels.setdefault(uid, {}).update({key: headers[key] for key in kept if key in headers})
        match message.name:
            case "Hangup":
                self.channels.pop(uid, None)
            case "BridgeEnter":
                members = self.bridges.setdefault(headers["BridgeUniqueid"], [])
                members.append(uid)
                for member in members:  # a new party is heard, whoever was held before
                    self.variables.get(member, {}).pop("CHANNEL(onhold)", None)
            case "BridgeLeave":
                self.bridges[headers["BridgeUniqueid"]].remove(uid)
            case "Hold" | "Unhold":
                for members in (m for m in self.bridges.values() if uid in m):
                    for other in (o for o in members if o != uid):
                        self.variables.setdefault(other, {})["CHANNEL(onhold)"] = str(int(message.name == "Hold"))
            case "DialBegin":
                queue = self.channels.get(uid, {}).get("Context") == "ctid-failsafe"
                for dialling, application in ((uid, "Queue"), (headers["DestUniqueid"], "AppQueue")):
                    if dialling in self.channels:
                        self.channels[dialling]["Application"] = application if queue else _DIAL[application]
            case "UserEvent":
                self._said(headers, uid)

    def _said(self, headers: dict[str, str], uid: str) -> None:
        known = self.variables.setdefault(uid, {})
        names = {"Call": "CTID_CALL", "Seq": "CTID_SEQ", "Did": "CTID_DID"}
        known |= {variable: headers[key] for key, variable in names.items() if headers.get(key)}
        if headers["UserEvent"] == "CtidStart":
            if "File" in headers:  # the first of a call an agent makes has none
                known["CTID_FILE"] = headers["File"]
            self.channels[uid]["Context"] = "ctid-out" if headers["Direction"] == "outbound" else "ctid-start"
        if context := _CONTEXT_AFTER.get(headers["UserEvent"]):
            self.channels[uid]["Context"] = context

    def snapshot(self) -> Snapshot:
        inside = {uid: bridge for bridge, members in self.bridges.items() for uid in members}
        return Snapshot(
            at=0.0,
            status=tuple(
                Message(
                    "Status",
                    {"Uniqueid": uid},
                    repeated=tuple(("Variable", f"{k}={v}") for k, v in self.variables.get(uid, {}).items()),
                )
                for uid in self.channels
            ),
            channels=tuple(
                Message("CoreShowChannel", {**headers, "BridgeId": inside.get(uid, "")})
                for uid, headers in self.channels.items()
            ),
            devices=(),
            core=None,
        )


def _unknowable(heard: list[Message], cut: int) -> bool:
    """Some milliseconds in which no list of AMI tells why a phone was not answered, or what it was half of."""
    if heard[cut - 1].name == "BridgeLeave" and heard[cut].name == "BridgeEnter":
        return True
    halves: dict[str, list[bool]] = {
        m.headers["Channel"][:-2]: [] for m in heard if m.name == "Hangup" and ";" in m.headers["Channel"]
    }
    for at, message in enumerate(heard):
        if message.name == "Hangup" and message.headers["Channel"][:-2] in halves:
            halves[message.headers["Channel"][:-2]].append(at < cut)
    if any(len(set(gone)) > 1 for gone in halves.values()):
        return True
    left = {m.headers["Channel"] for m in heard[:cut] if m.name == "BridgeLeave" and ";" in m.headers["Channel"]}
    if left & {m.headers["Channel"] for m in heard[cut:] if m.name == "Hangup"}:
        return True
    failed = {
        m.headers["DestUniqueid"] for m in heard[:cut] if m.name == "DialEnd" and m.headers["DialStatus"] != "ANSWER"
    }
    return bool(failed & {m.headers["Uniqueid"] for m in heard[cut:] if m.name == "Hangup"})


def summary(desk: Desk) -> list[object]:
    return [
        (c.id, c.direction, c.via, c.outcome, c.merged_into, sorted((x.party, x.result) for x in c.legs))
        for c in desk.calls
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_link_that_breaks_at_any_moment_and_is_back_at_once_changes_no_book(name: str) -> None:
    heard = messages(stream(name))
    whole = Desk().play(stream(name))
    legs = {leg.id: leg for call in whole.calls for leg in call.legs}
    for cut in range(1, len(heard)):
        if _unknowable(heard, cut):
            continue
        desk, pbx = Desk(), Pbx()
        for message in heard[:cut]:
            desk.hear(message)
            pbx.take(message)
        at = heard[cut - 1].at or 0.0
        desk.tell(LinkLost(at=at))
        desk.tracker = Tracker()
        for event in told_as_events(desk.tracker, pbx.snapshot(), at):
            desk.tell(event)
        for message in heard[cut:]:
            desk.hear(message)
        before = f"{name}, before {cut}: {heard[cut].name} {heard[cut].headers.get('Channel')}"
        assert summary(desk) == summary(whole), before
        for call in desk.calls:
            for leg in call.legs:
                assert leg.talk_seconds == pytest.approx(legs[leg.id].talk_seconds, abs=0.05), before
                assert leg.hold_seconds == pytest.approx(legs[leg.id].hold_seconds, abs=0.05), before


def test_a_hold_that_ended_in_an_outage_counts_as_far_as_it_was_seen() -> None:
    heard = messages(stream("hold"))
    held, unheld = (next(i for i, m in enumerate(heard) if m.name == name) for name in ("Hold", "Unhold"))
    desk, pbx = Desk(), Pbx()
    for message in heard[: held + 1]:
        desk.hear(message)
    for message in heard[: unheld + 1]:
        pbx.take(message)
    lost = (heard[held].at or 0.0) + 0.3
    desk.tell(LinkLost(at=lost))
    desk.tracker = Tracker()
    for event in told_as_events(desk.tracker, pbx.snapshot(), heard[unheld].at or 0.0):
        desk.tell(event)
    for message in heard[unheld + 1 :]:
        desk.hear(message)
    [leg] = [leg for call in desk.calls for leg in call.legs]
    assert leg.hold_seconds == pytest.approx(0.3, abs=0.01)


def test_a_hold_that_began_in_an_outage_counts_from_its_end() -> None:
    heard = messages(stream("hold"))
    held, unheld = (next(i for i, m in enumerate(heard) if m.name == name) for name in ("Hold", "Unhold"))
    desk, pbx = Desk(), Pbx()
    for message in heard[: held + 1]:
        pbx.take(message)
    for message in heard[:held]:
        desk.hear(message)
    desk.tell(LinkLost(at=heard[held - 1].at or 0.0))
    desk.tracker = Tracker()
    back = (heard[unheld].at or 0.0) - 0.4
    for event in told_as_events(desk.tracker, pbx.snapshot(), back):
        desk.tell(event)
    for message in heard[unheld:]:
        desk.hear(message)
    [leg] = [leg for call in desk.calls for leg in call.legs]
    assert leg.hold_seconds == pytest.approx(0.4, abs=0.01)
