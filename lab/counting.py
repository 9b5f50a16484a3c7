"""The counting oracle: what SIPp, Asterisk's CDR and CEL, ctid's books, its metrics and the recordings say of the same calls.

Law: pure. Each source is read apart (``lab.evidence``) and none is believed: what does not agree is a broken promise, told in a
line that names the call. In the lab an agent's id is the name of their phone, and each caller from outside has an own number.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf, isclose
from pathlib import Path
from typing import Any

from lab.dialogs import Dialog
from lab.evidence import Book, Evidence
from lab.written import Channel, Record, Span, covered

#: "To the second": so much may the seconds of one call differ between two sources.
TOLERANCE = 1.0
#: A phone may have rung for one call this long before ctid could know of it, when it is offered another.
RACE = 0.25


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was counted; ``broken`` are the promises that were not kept, a line each.

    ``offered`` are callers from outside; each of them is in just one of answered, given_up (they hung up), overflowed, cut
    (the PBX died under them, or took no calls) and lost. ``queued`` were with the fallback queue for a while. Drifts are the
    greatest differences, in seconds.
    """

    offered: int = 0
    answered: int = 0
    given_up: int = 0
    overflowed: int = 0
    cut: int = 0
    lost: int = 0
    queued: int = 0
    others: int = 0
    recordings: int = 0
    talk_seconds: float = 0.0
    cel_drift: float = 0.0
    sip_drift: float = 0.0
    recording_drift: float = 0.0
    certainties: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    @property
    def ledger_drift(self) -> float:
        return max(self.cel_drift, self.sip_drift)

    def figures(self) -> dict[str, Any]:
        """The numbers alone, to be printed or kept as JSON."""
        counted = ("offered", "answered", "given_up", "overflowed", "cut", "lost", "queued", "others", "recordings")
        drifts = ("talk_seconds", "cel_drift", "sip_drift", "recording_drift")
        return {
            **{name: getattr(self, name) for name in counted},
            **{name: round(getattr(self, name), 3) for name in drifts},
            **{name: self.certainties[name] for name in ("exact", "backfilled", "estimated")},
            "broken": len(self.broken),
        }


def judge(
    evidence: Evidence,
    *,
    since: float = 0.0,
    patience: float = inf,
    may_say: Iterable[str] = (),
    files: bool = True,
) -> Tally:
    """Count, and hold every source against the others.

    Only calls that began at ``since`` (epoch seconds) or later are counted one by one; sums are of everything. A caller who
    gave up after more than ``patience`` seconds unanswered counts as lost. ``may_say`` are events of the log, and oddities,
    that are errors and may be there.
    """
    tally = Tally()
    court = _Court(evidence, tally, since)
    court.callers(patience)
    court.calls()
    court.legs()
    court.agents()
    court.offers()
    if files:
        court.recordings()
    court.rest(frozenset(may_say))
    return tally


class _Court:
    """The sources side by side; each method holds some against others and writes into the tally."""

    def __init__(self, evidence: Evidence, tally: Tally, since: float) -> None:
        self.e, self.tally, self.since = evidence, tally, since
        self.calls_by_id = {call["id"]: call for call in evidence.books}
        self.channels_of: defaultdict[str, list[Channel]] = defaultdict(list)
        for channel in evidence.channels.values():
            self.channels_of[self.survivor(channel.call)].append(channel)
        self.unspoken: set[str] = set()
        self.taken: defaultdict[str, list[Dialog]] = defaultdict(list)
        for dialog in evidence.dialogs:
            if not dialog.placed:
                self.taken[dialog.user].append(dialog)

    def break_(self, line: str) -> None:
        self.tally.broken.append(line)

    def survivor(self, call: str) -> str:
        for _ in self.calls_by_id:
            into = self.calls_by_id.get(call, {}).get("merged_into")
            if into is None:
                break
            call = into
        return call

    def died(self, began: float, ended: float | None) -> bool:
        """Whether the PBX was not there at any time between these moments."""
        return any(
            began <= until_ and since <= (inf if ended is None else ended + TOLERANCE) for since, until_ in self.e.cuts
        )

    def refused(self, dialog: Dialog) -> bool:
        """Whether the PBX, about to end in good order, took this call no more."""
        return (dialog.status or 0) >= 400 and any(
            since <= dialog.invited_at <= until_ for since, until_ in self.e.refusals
        )

    def died_under(self, call: str) -> bool:
        """Whether the PBX died under a channel of this call."""
        return any(self.died(channel.began_at, channel.ended_at) for channel in self.channels_of[call])

    # -- callers: SIPp's word against CEL and books ----------------------------------------------------------------

    def callers(self, patience: float) -> None:
        """Nobody is lost, and each has just one call in the books, which says the same of them."""
        by_caller: defaultdict[str | None, list[Book]] = defaultdict(list)
        for booked in self.e.books:
            by_caller[booked["caller"]].append(booked)
        for dialog in self.e.dialogs:
            if not dialog.placed or dialog.invited_at < self.since or dialog.to.startswith("*"):
                continue
            call = _nearest(by_caller[None if dialog.user == "anonymous" else dialog.user], dialog)
            if dialog.user in self.e.agents:
                self.tally.others += 1
                if call is None and not self.died(dialog.invited_at, dialog.left_at) and not self.refused(dialog):
                    self.break_(f"{dialog.user}'s call to {dialog.to} is not in the books")
                continue
            self._caller(dialog, call, patience)

    def _caller(self, dialog: Dialog, call: Book | None, patience: float) -> None:
        tally, name = self.tally, f"caller {dialog.user} ({dialog.call_id})"
        tally.offered += 1
        cut = self.died(dialog.invited_at, dialog.left_at)
        waited = (dialog.left_at or inf) - dialog.invited_at
        if call is None:
            if dialog.status is None and dialog.hung_up_here and waited <= patience:
                tally.given_up += 1  # before the PBX had a word with them
            elif cut or self.refused(dialog):
                tally.cut += 1
            else:
                tally.lost += 1
                self.break_(f"{name} has no call in the books, and is lost")
            return
        channels = self.channels_of[self.survivor(call["id"])]
        said = {what for channel in channels for what in channel.said}
        tally.queued += "CtidFailsafe" in said
        answered = any(channel.talked for channel in channels)
        # A phone's 200 may cross the caller's hanging up: then nobody was there any more, however late its BYE comes.
        gone = dialog.left_at or inf
        by_sip = any(min(d.connected, gone - (d.answered_at or gone)) > RACE for d in self.taken[dialog.user])
        if by_sip and not answered and dialog.user != "anonymous":
            self.break_(f"{name} was answered by SIP, and in conversation with nobody by CEL")
        if answered:
            tally.answered += 1
        elif cut:
            tally.cut += 1
        elif "CtidOverflow" in said:
            tally.overflowed += 1
        elif dialog.hung_up_here and waited <= patience:
            tally.given_up += 1
        else:
            tally.lost += 1
            how = f"waited {waited:.0f} s in vain" if dialog.hung_up_here else f"was let go with {dialog.status}"
            self.break_(f"{name}, call {call['id']}, is lost: {how}")
        if answered != (call["answered_at"] is not None) and not cut:
            self.break_(f"call {call['id']}: CEL says answered={answered}, the books answered_at={call['answered_at']}")

    # -- calls: the books against CEL and CDR ----------------------------------------------------------------------

    def calls(self) -> None:
        """Each call that the PBX had is in the books, with its begin and end, and no other is."""
        first: dict[str, Channel] = {}
        last: defaultdict[str, list[float | None]] = defaultdict(list)
        for channel in self.e.channels.values():
            first.setdefault(channel.call, channel)
            last[channel.call].append(channel.ended_at)
        records: defaultdict[str, list[Record]] = defaultdict(list)
        for record in self.e.records:
            records[record.call].append(record)
        for call_id, channel in first.items():
            if channel.began_at >= self.since and call_id not in self.calls_by_id:
                self.break_(f"call {call_id} of {channel.caller} is in CEL and not in the books")
        for call in self.e.books:
            if _epoch(call["started_at"]) < self.since - TOLERANCE:
                continue
            call_id, began = call["id"], first.get(call["id"])
            if began is None:
                self.break_(f"call {call_id} is in the books and not in CEL")
                continue
            if abs(_epoch(call["started_at"]) - began.began_at) > TOLERANCE:
                self.break_(f"call {call_id} began at {call['started_at']} in the books, at {began.began_at} in CEL")
            if call["outcome"] is None:
                self.break_(f"call {call_id} is under way in the books for ever")
                continue
            ends = [at for at in last[call_id] if at is not None]
            if call["merged_into"] is not None or self.died_under(call_id):
                continue
            if len(ends) < len(last[call_id]):
                self.break_(f"call {call_id} has a channel without an end in CEL, and the PBX did not die")
            elif abs(_epoch(call["ended_at"]) - max(ends)) > TOLERANCE:
                self.break_(
                    f"call {call_id} ended at {_epoch(call['ended_at']):.3f} in the books, at {max(ends)} in CEL"
                )
            self._billed(call, records[call_id])

    def _billed(self, call: Book, records: Sequence[Record]) -> None:
        talked = [leg for leg in call["legs"] if leg["agent"] and leg["talk_seconds"] > TOLERANCE]
        answered = [record for record in records if record.answered]
        if not records:
            self.break_(f"call {call['id']} has no CDR")
        elif talked and not answered:
            self.break_(f"call {call['id']} was talked on in the books, and has no answered CDR")
        elif answered and not any(leg["answered_at"] for leg in call["legs"]):
            self.break_(f"call {call['id']} has an answered CDR, and no answered leg in the books")
        elif talked and len(answered) == 1 and len(talked) == 1:
            ended = _epoch(talked[0]["ended_at"])
            if abs(ended - answered[0].ended_at) > TOLERANCE:
                self.break_(
                    f"call {call['id']}: talk ended at {ended:.3f} in the books, at {answered[0].ended_at} in CDR"
                )

    # -- legs and talk ---------------------------------------------------------------------------------------------

    def legs(self) -> None:
        """Talk is CEL's to the second, per call and agent, and no leg is estimated but where the PBX died."""
        booked: defaultdict[tuple[str, str], float] = defaultdict(float)
        doubtful: set[tuple[str, str]] = set()
        for call in self.e.books:
            recent = _epoch(call["started_at"]) >= self.since - TOLERANCE
            for leg in call["legs"]:
                if leg["agent"] is None:
                    continue
                key = self.survivor(call["id"]), leg["agent"]
                booked[key] += leg["talk_seconds"]
                if leg["certainty"] == "estimated":
                    doubtful.add(key)
                if recent:
                    self.tally.talk_seconds += leg["talk_seconds"]
                    self.tally.certainties[leg["certainty"]] += 1
                    if leg["certainty"] == "estimated" and not self.died_under(key[0]):
                        self.break_(f"call {call['id']}: {leg['agent']}'s leg is estimated, and CEL was there to tell")
        told: defaultdict[tuple[str, str], float] = defaultdict(float)
        for call_id, channels in self.channels_of.items():
            for channel in channels:
                if channel.party in self.e.agents and channel.technology == "PJSIP":
                    told[call_id, channel.party] += channel.talked
        for key in {*booked, *told}:
            if key[0] in self.calls_by_id and _epoch(self.calls_by_id[key[0]]["started_at"]) < self.since - TOLERANCE:
                continue
            drift = abs(booked[key] - told[key])
            if key not in doubtful:
                self.tally.cel_drift = max(self.tally.cel_drift, drift)
            if drift > TOLERANCE:
                self.break_(
                    f"call {key[0]}: {key[1]} talked {booked[key]:.1f} s in the books, {told[key]:.1f} s in CEL"
                )
        self._talk_by_sip(doubtful)

    def _talk_by_sip(self, doubtful: set[tuple[str, str]]) -> None:
        """A caller's talk is what the phones were connected with them, where each phone's call is one leg."""
        by_caller: defaultdict[str, list[Book]] = defaultdict(list)
        for call in self.e.books:
            if call["caller"] is not None and _epoch(call["started_at"]) >= self.since - TOLERANCE:
                by_caller[call["caller"]].append(call)
        for caller, calls in by_caller.items():
            legs = [(c["id"], leg) for c in calls for leg in c["legs"] if leg["agent"] and leg["answered_at"]]
            phones = [d for d in self.taken[caller] if d.answered_at is not None and d.to in self.e.agents]
            if caller in self.e.agents or any((call_id, leg["agent"]) in doubtful for call_id, leg in legs):
                continue
            if any(d.left_at is None or self.died(d.invited_at, d.left_at) for d in phones):
                continue  # no BYE came, or only long after the PBX's death
            connected = sum(d.connected for d in phones)
            talk = sum(leg["talk_seconds"] for _, leg in legs)
            drift = abs(connected - talk)
            self.tally.sip_drift = max(self.tally.sip_drift, drift)
            if drift > TOLERANCE:
                self.break_(
                    f"caller {caller}: phones were connected {connected:.1f} s, the books have {talk:.1f} s of talk"
                )

    # -- agents ----------------------------------------------------------------------------------------------------

    def agents(self) -> None:
        """The day's report is the sum of the books, and the books' answers are the phones' own, but for a late 200 (`RACE`)."""
        offered, answered, legs_talk = Counter[str](), Counter[str](), defaultdict[str, float](float)
        for call in self.e.books:
            for leg in call["legs"]:
                if leg["agent"] is None:
                    continue
                if call["direction"] == "inbound":
                    offered[leg["agent"]] += 1
                    answered[leg["agent"]] += leg["answered_at"] is not None
                if call["direction"] != "internal":
                    legs_talk[leg["agent"]] += leg["talk_seconds"]
        talked: defaultdict[str, list[Span]] = defaultdict(list)
        for call_id, channels in self.channels_of.items():
            if self.calls_by_id.get(call_id, {}).get("direction") != "internal":
                for channel in channels:
                    talked[channel.party] += channel.talks
        for agent, row in self.e.report.items():
            if (row["offered"], row["answered"]) != (offered[agent], answered[agent]):
                self.break_(
                    f"report day: {agent} {row['offered']} offered, {row['answered']} answered; in the books"
                    f" {offered[agent]} and {answered[agent]}"
                )
            # Who is in two conversations at once, transferred to while busy, talks once: less than the legs' sum.
            at_once = sum(end - begin for begin, end in talked[agent]) - covered(talked[agent])
            talk = legs_talk[agent] - at_once
            if not isclose(row["talk_seconds"], talk, abs_tol=TOLERANCE):
                self.break_(f"report day: {agent} talked {row['talk_seconds']} s, by legs and CEL {talk:.3f} s")
        by_phone = Counter(
            d.to
            for d in self.e.dialogs
            if not d.placed and d.to in self.e.agents and d.user not in self.e.agents and d.connected > RACE
            if d.invited_at >= self.since and not self.died(d.invited_at, d.left_at)
        )
        for agent in self.e.agents:
            legs = sum(
                leg["agent"] == agent and leg["talk_seconds"] > RACE
                for call in self.e.books
                if call["direction"] == "inbound" and _epoch(call["started_at"]) >= self.since - TOLERANCE
                for leg in call["legs"]
            )
            if legs < by_phone[agent]:
                self.break_(f"{agent}'s phone answered {by_phone[agent]} callers, the books have {legs}")

    def offers(self) -> None:
        """No phone rings for a caller while it is in another call."""
        sent_on = {(to, d.user) for d in self.e.dialogs for _, to in d.refers}
        busy: defaultdict[str, list[Dialog]] = defaultdict(list)
        for d in self.e.dialogs:
            party = d.user if d.placed else d.to
            if party in self.e.agents and not d.to.startswith("*"):
                busy[party].append(d)
        for agent, dialogs in busy.items():
            for number, later in enumerate(dialogs):
                offer = not later.placed and later.user not in self.e.agents and (agent, later.user) not in sent_on
                if not offer or later.invited_at < self.since:
                    continue
                for earlier in dialogs[:number]:
                    # A phone that was ended in mid-call, or whose PBX was, has no end of it; the same caller comes back to it.
                    until_ = earlier.left_at
                    if until_ is None or until_ <= later.invited_at or earlier.user == later.user:
                        continue
                    both = not earlier.placed and earlier.user not in self.e.agents
                    if both or later.invited_at - earlier.invited_at > RACE:
                        self.break_(
                            f"{agent} was offered {later.user} at {later.invited_at:.3f} while in a call with"
                            f" {earlier.to if earlier.placed else earlier.user} ({earlier.invited_at:.3f} to {until_:.3f})"
                        )

    # -- recordings, and the rest ----------------------------------------------------------------------------------

    def recordings(self) -> None:
        """Each call that was talked on and came through ctid has its sound, as long as its party's conversation, and hashed."""
        kept: set[str] = set()
        for call in self.e.books:
            kept |= {recording["path"] for recording in call["recordings"]}
            if _epoch(call["started_at"]) >= self.since - TOLERANCE:
                self._recordings_of(call)
        for path, (seconds, _) in self.e.heard.items():
            channel = self.e.channels.get(Path(path).stem)
            recent = channel is not None and channel.began_at >= self.since
            if seconds > TOLERANCE and path not in kept and recent:
                self.break_(f"recording {path}, {seconds:.1f} s, is on the disk and not in the books")

    def _recordings_of(self, call: Book) -> None:
        for recording in call["recordings"]:
            path, channel = recording["path"], self.e.channels.get(Path(recording["path"]).stem)
            self.tally.recordings += 1
            if channel is not None and self.died(channel.began_at, channel.ended_at):
                continue
            if channel is not None and recording["state"] != "complete" and self._could_not_record(channel):
                self.unspoken.add(call["id"])
                if recording["state"] == "missing" and path in self.e.heard:
                    self.break_(f"recording {path} of call {call['id']} is on the disk, and missing in the books")
                continue
            if path not in self.e.heard:
                self.break_(f"recording {path} of call {call['id']} is {recording['state']}, and not on the disk")
                continue
            seconds, sha256 = self.e.heard[path]
            talked = channel.talked if channel is not None else 0.0
            if talked < RACE and not seconds:
                self.unspoken.add(call["id"])  # over before a frame of sound came: ctid calls such a file damaged
                continue
            drift = max(abs(seconds - talked), abs((recording["seconds"] or 0.0) - seconds))
            self.tally.recording_drift = max(self.tally.recording_drift, drift)
            if recording["state"] != "complete" or drift > TOLERANCE:
                self.break_(
                    f"recording {path} of call {call['id']} is {recording['state']}: {recording['seconds']} s in the books,"
                    f" {seconds:.2f} s on the disk, {talked:.2f} s of conversation"
                )
            elif recording["sha256"] != sha256:
                self.break_(f"recording {path} of call {call['id']} has another SHA-256 on the disk than in the books")
        if call["merged_into"] is None and not call["recordings"]:
            for channel in self.channels_of[call["id"]]:
                if (
                    "CtidStart" in channel.said
                    and channel.talked > TOLERANCE
                    and not self.died(channel.began_at, channel.ended_at)
                ):
                    self.break_(
                        f"call {call['id']} was talked on for {channel.talked:.1f} s and has no recording in the books"
                    )

    def _could_not_record(self, channel: Channel) -> bool:
        """Whether its file was to be begun, or renewed, while that could not be."""
        return any(
            began - TOLERANCE <= until_ and since <= ended + TOLERANCE
            for began, ended in channel.talks
            for since, until_ in self.e.unrecorded
        )

    def rest(self, may_say: frozenset[str]) -> None:
        """`ctid compare`, the metrics page and the log have nothing to say against it."""
        knowing: set[str] = set()  # whose sum of the day differs, too, for a call that is known to
        for one in sorted(self.e.compared["differences"], key=lambda d: d["call"] is None):
            if one["call"] is not None and self._known(one):
                knowing |= {leg["agent"] for leg in self.calls_by_id[one["call"]]["legs"] if leg["agent"] is not None}
            elif one["call"] is not None or one["agent"] not in knowing:
                self.break_(f"ctid compare: {one['says']}")
        if self.e.compared["bad_lines"]:
            self.break_(f"ctid compare: {self.e.compared['bad_lines']} lines of CEL or CDR could not be read")
        for name in ("ctid_db_pending_writes", "ctid_calls_waiting"):
            if self.e.metrics.get(name, 0.0):
                self.break_(f"metrics: {name} is {self.e.metrics[name]:g}")
        if self.e.metrics.get("ctid_ledger_drift_seconds", 0.0) > TOLERANCE:
            self.break_(f"metrics: ctid_ledger_drift_seconds is {self.e.metrics['ctid_ledger_drift_seconds']:g}")
        if self.e.unsettled:
            self.break_(f"not settled long after the last call: {self.e.unsettled}")
        self._log(may_say)

    def _known(self, difference: Book) -> bool:
        """Of a call before all this, of one the PBX died under, over before a frame of sound came, or not to be recorded."""
        call = self.calls_by_id.get(difference["call"])
        if call is None:
            return False
        began, ended = _epoch(call["started_at"]), _epoch(call["ended_at"] or call["started_at"])
        unspoken = difference["what"] == "recording" and call["id"] in self.unspoken
        return began < self.since - TOLERANCE or self.died(began, ended) or unspoken

    def _log(self, may_say: frozenset[str]) -> None:
        oddities = 0
        for line in self.e.log:
            try:
                told = json.loads(line)
            except ValueError:
                self.break_(f"the log has a line that is no event: {line}")
                continue
            event, level = told.get("event"), told.get("level")
            oddities += event == "oddity"
            wrong = event == "oddity" or "exception" in told or level in ("error", "critical")
            if wrong and not may_say & {event, told.get("what")}:
                self.break_(f"the log has: {line}")
        counted = self.e.metrics.get("ctid_oddities_total", 0.0)
        if counted > oddities:
            self.break_(f"metrics: ctid_oddities_total is {counted:g}, the log has {oddities}")


def _nearest(calls: list[Book], dialog: Dialog) -> Book | None:
    """Take out of the list the call that began when this dialog did: from its INVITE until it was answered or over."""
    latest = dialog.answered_at or dialog.left_at or dialog.invited_at + 40
    for number, call in enumerate(calls):
        if dialog.invited_at - TOLERANCE <= _epoch(call["started_at"]) <= latest + TOLERANCE:
            return calls.pop(number)
    return None


def _epoch(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()
