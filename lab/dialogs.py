"""What SIPp itself knows of its calls: each dialog out of the message logs, read as a stream.

Law: only what a log says counts. A log of an hour's load is as long as it is; of each dialog a few facts are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

_HEAD = re.compile(r"-{20,} (\d{4}-\d\d-\d\d[ \t]\d\d:\d\d:\d\d\.\d+)")
_WAY = re.compile(r"\w+ message (sent|received)")
_USER = re.compile(r"sips?:([^@;>]*)@")


@dataclass(slots=True, kw_only=True)
class Dialog:
    """One SIP call as one SIPp saw it; times in epoch seconds.

    ``placed`` tells calls that SIPp made from those it got. ``user`` is who called (the user of From:), ``to`` whom (that of
    the request's address: a phone's name). ``status`` is the final answer to the INVITE, ``answered_at`` when it was 200.
    ``left_at`` is when its party left the conversation: BYE, CANCEL or refusal, or the PBX's taking on to transfer it.
    ``hung_up_here`` says that this side did it. ``refers`` are those whom this side sent the other to, with the time.
    """

    call_id: str
    placed: bool
    user: str
    to: str
    invited_at: float
    status: int | None = None
    answered_at: float | None = None
    left_at: float | None = None
    hung_up_here: bool = False
    refers: list[tuple[float, str]] = field(default_factory=list)

    @property
    def connected(self) -> float:
        """Seconds from the answer to this party's leaving; 0 where it did not answer or its end is not known."""
        return 0.0 if self.answered_at is None or self.left_at is None else max(0.0, self.left_at - self.answered_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    at: float
    sent: bool
    start: str
    headers: dict[str, str]


def read_dialogs(logs: Iterable[Path]) -> list[Dialog]:
    """Every dialog in these message logs, by the time of its INVITE."""
    found: list[Dialog] = []
    for log in logs:
        known: dict[str, Dialog] = {}
        for message in _messages(log):
            _take(known, message)
        found += known.values()
    return sorted(found, key=lambda d: d.invited_at)


def _take(known: dict[str, Dialog], message: _Message) -> None:
    call_id, start = message.headers.get("call-id", ""), message.start
    dialog = known.get(call_id)
    if dialog is None:
        if start.startswith("INVITE "):
            caller, callee = _USER.search(message.headers.get("from", "")), _USER.search(start)
            known[call_id] = Dialog(
                call_id=call_id,
                placed=message.sent,
                user=caller[1] if caller else "",
                to=callee[1] if callee else "",
                invited_at=message.at,
            )
        return
    if start.startswith("SIP/2.0 "):
        _take_answer(dialog, message, int(start[8:11]))
    elif start.startswith(("BYE ", "CANCEL ")):
        if dialog.left_at is None:
            dialog.left_at, dialog.hung_up_here = message.at, message.sent
    elif start.startswith("REFER ") and message.sent:
        target = _USER.search(message.headers.get("refer-to", ""))
        dialog.refers.append((message.at, target[1] if target else ""))


def _take_answer(dialog: Dialog, message: _Message, status: int) -> None:
    method = message.headers.get("cseq", "").rpartition(" ")[2]
    if method == "INVITE" and status >= 200 and dialog.status is None and message.sent != dialog.placed:
        dialog.status = status
        if status < 300:
            dialog.answered_at = message.at
        elif dialog.left_at is None:
            dialog.left_at = message.at
    elif method == "REFER" and status == 202 and dialog.left_at is None:
        dialog.left_at = message.at


def _messages(log: Path) -> Iterator[_Message]:
    at, sent, start, headers = 0.0, False, "", dict[str, str]()
    # Where in an entry we are: its way is to come, its first line, its headers, or nothing that matters any more.
    state = "over"
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            text = line.rstrip("\r\n")
            if (head := _HEAD.match(text)) is not None:
                if state == "headers":
                    yield _Message(at=at, sent=sent, start=start, headers=headers)
                at = datetime.fromisoformat(head[1].replace("\t", " ")).replace(tzinfo=UTC).timestamp()
                state = "way"
            elif state == "way":
                way = _WAY.match(text)
                sent, state = way is not None and way[1] == "sent", "start" if way is not None else "over"
            elif state == "start":
                if text:
                    start, headers, state = text, {}, "headers"
            elif state == "headers":
                if not text:
                    yield _Message(at=at, sent=sent, start=start, headers=headers)
                    state = "over"
                    continue
                name, _, value = text.partition(":")
                headers.setdefault(name.strip().lower(), value.strip())
        if state == "headers":
            yield _Message(at=at, sent=sent, start=start, headers=headers)
