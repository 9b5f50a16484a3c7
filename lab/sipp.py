"""Phones and callers: real SIP over UDP with sound, each an own SIPp process with an own scenario.

Law: what happened is read from the SIP messages that SIPp itself logged, with their times; never guessed.
"""

import asyncio
import contextlib
import itertools
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote
from xml.sax.saxutils import escape

from lab import tones
from lab.asterisk import Asterisk
from lab.process import LabError, Process, free_port, tool, udp_taken, until
from lab.voice import EVENTS, Voice

SCENARIOS = Path(__file__).parent / "scenarios"
FOR_EVER_MS = 86_400_000

#: How often a phone tries to get its ports.
BINDS = 5
Behaviour = Literal["answer", "never", "busy", "reject", "unavailable", "gone", "failing", "forward"]
STATUS = {
    "busy": "486 Busy Here",
    "reject": "603 Decline",
    "unavailable": "480 Temporarily Unavailable",
    "gone": "404 Not Found",
    "failing": "503 Service Unavailable",
    "forward": "302 Moved Temporarily",
}
REFUSALS = (401, 403, 404, 408, 480, 484, 486, 487, 488, 500, 503, 603)

_numbers = itertools.count(1)
_MESSAGE = re.compile(
    r"^-{20,} (?P<at>\d{4}-\d\d-\d\d[ \t]\d\d:\d\d:\d\d\.\d+)[^\n]*\n\w+ message (?P<way>sent|received)[^\n]*\n\n",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SipMessage:
    """One SIP message as SIPp saw it. `at` is in epoch seconds, `start` its first line, headers by lower-case name."""

    at: float
    sent: bool
    start: str
    headers: dict[str, str]
    body: str = ""

    @property
    def user(self) -> str:
        """The user part of From: in a phone's INVITE the caller's number."""
        found = re.search(r"sips?:([^@;>]*)@", self.headers.get("from", ""))
        return found.group(1) if found else ""

    @property
    def call_id(self) -> str:
        return self.headers.get("call-id", "")

    @property
    def audio_port(self) -> int:
        """Where the sender of this message's SDP wants to hear."""
        found = re.search(r"^m=audio (\d+)", self.body, re.MULTILINE)
        if found is None:
            raise LabError(f"{self.start} has no SDP")
        return int(found.group(1))


def read_messages(path: Path) -> list[SipMessage]:
    """All messages in a SIPp message log, in order; one that SIPp is still writing is none yet."""
    if not path.exists():
        return []
    text = path.read_bytes().decode("utf-8", "replace")
    heads = list(_MESSAGE.finditer(text))
    messages = []
    for head, after in itertools.zip_longest(heads, heads[1:]):
        said, ended, body = text[head.end() : after.start() if after else len(text)].partition("\r\n\r\n")
        start, *lines = said.split("\r\n")
        pairs = (line.partition(":") for line in lines if ":" in line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        octets = body.encode()
        if not ended or len(octets) < (length := int(headers.get("content-length") or 0)):
            continue
        messages.append(
            SipMessage(
                at=datetime.fromisoformat(head["at"].replace("\t", " ")).replace(tzinfo=UTC).timestamp(),
                sent=head["way"] == "sent",
                start=start,
                headers=headers,
                body=octets[:length].decode("utf-8", "replace"),
            )
        )
    return messages


class _Sipp:
    """A SIPp process in a folder: its scenario, its message log, its end."""

    def __init__(self, folder: Path, name: str, port: int) -> None:
        self.port = port
        self.name = f"{name}-{next(_numbers)}"
        self._folder = folder.resolve()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._log = self._folder / f"{self.name}.messages"
        self._process: Process | None = None
        self._requests = itertools.count(100)  # CSeq of what a phone sends in mid-call

    def run(self, scenario: str, *more: str) -> Process:
        """Starts SIPp with this scenario's text and more options."""
        path = self._folder / f"{self.name}.xml"
        path.write_text(scenario, encoding="utf-8")
        place = ("-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", str(self.port), "-mp", str(free_port()))
        quiet = ("-nostdin", "-nd", "-aa", "-timeout", "3600")
        logs = ("-trace_msg", "-message_file", str(self._log), "-trace_err", "-error_file", f"{path}.errors")
        self._process = Process(
            [tool("sipp"), *more, "-sf", str(path), *place, *quiet, *logs, "-message_overwrite", "false"],
            folder=self._folder,
            name=self.name,
            env={"TERM": "dumb"},
        )
        return self._process

    @property
    def messages(self) -> list[SipMessage]:
        return read_messages(self._log)

    def tone(self, hertz: int) -> Path:
        path = self._folder / f"tone-{hertz}.ul"
        return path if path.exists() else tones.write_tone(path, hertz)

    async def _key(self, word: str, call_id: str, method: str, *headers: str) -> None:
        """Has the phone send a request of its own in this call; returns when the PBX has agreed."""
        number = next(self._requests)
        await self._tell(word, call_id, lambda m: _agreed(m, f"{number} {method}"), f"X-Number: {number}", *headers)

    async def _hold(self, call_id: str) -> None:
        await self._key("HOLD", call_id, "INVITE")

    async def _unhold(self, call_id: str) -> None:
        await self._key("UNHOLD", call_id, "INVITE")

    async def _transfer(self, call_id: str, to: str) -> None:
        await self._key("TRANSFER", call_id, "REFER", f"Refer-To: <{to}>")

    async def _press(self, call_id: str, digits: str) -> None:
        for digit in digits:
            await self._key("PRESS", call_id, "INFO", f"X-Digit: {digit}")

    async def _tell_to_hang_up(self, call_id: str) -> None:
        await self._tell("HANGUP", call_id, lambda m: m.start.startswith(("BYE ", "CANCEL ")))

    async def _tell(self, word: str, call_id: str, done: Callable[[SipMessage], bool], *headers: str) -> None:
        """Says the word until a message of this call shows that it is done: SIPp drops one that it does not yet wait for."""

        def over() -> bool:
            return any(m.call_id == call_id and done(m) for m in self.messages)

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(1, 41):
                if over():
                    return
                lines = (
                    f"{word} sip:lab SIP/2.0",
                    f"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK-lab-{number}",
                    "From: <sip:lab@lab>;tag=1",
                    "To: <sip:lab@lab>",
                    f"Call-ID: {call_id}",
                    f"CSeq: {number} {word}",
                    *headers,
                    "Content-Length: 0",
                )
                sender.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), ("127.0.0.1", self.port))
                with contextlib.suppress(LabError):
                    await until(over, f"{self.name} does it", limit=0.5)
        raise LabError(f"{self.name} does not do what it was told: {word}")

    async def kill(self) -> None:
        """Vanishes from the net: no BYE, no answer any more."""
        if self._process is not None:
            await self._process.kill()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()


def filled(name: str, **values: object) -> str:
    """A scenario's text with these values for its {{names}}. Raises ``LabError`` for one that is left."""
    text = (SCENARIOS / f"{name}.xml").read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", str(value))
    if left := re.findall(r"\{\{\w+\}\}", text):
        raise LabError(f"{name}.xml is not filled: {' '.join(left)}")
    return text


def _keys(mine: str, theirs: str, audio: str) -> dict[str, str]:
    """What a phone can do in mid-call, between these two headers."""
    return {"pressing": filled("pressing"), "keys": filled("keys", mine=mine, theirs=theirs, audio=audio)}


def _audio(voice: Voice | None) -> str:
    """The audio line of an SDP, with what belongs to it: SIPp's own sound, or a voice that can press keys in it."""
    if voice is None:
        lines: tuple[str, ...] = ("m=audio [rtpstream_audio_port] RTP/AVP 0", "a=rtpmap:0 PCMU/8000")
    else:
        lines = (
            f"m=audio {voice.port} RTP/AVP 0 {EVENTS}",
            "a=rtpmap:0 PCMU/8000",
            f"a=rtpmap:{EVENTS} telephone-event/8000",
            f"a=fmtp:{EVENTS} 0-15",
        )
    return "\n      ".join(lines)


class SippAgent(_Sipp):
    """A phone (an agent's, or a customer's at the trunk) which treats every call the same way.

    behaviour: answer (after `ring` seconds, plays `tone` hertz, hangs up after `talk` seconds or never), never
    (rings until cancelled), busy (486), reject (603), unavailable (480), gone (404), failing (503), forward (302 to
    the SIP address `forward_to`).
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        port: int,
        behaviour: Behaviour = "answer",
        *,
        ring: float = 0.2,
        talk: float | None = None,
        tone: int = 1000,
        forward_to: str = "",
    ) -> None:
        super().__init__(folder, name, port)
        self.behaviour, self.ring, self.talk, self.pitch = behaviour, ring, talk, tone
        self.forward_to = forward_to

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def start(self) -> None:
        """Listens; returns when its port is taken."""
        if self.behaviour == "answer":
            scenario = filled(
                "answer",
                ring_ms=round(self.ring * 1000),
                talk_ms=FOR_EVER_MS if self.talk is None else round(self.talk * 1000),
                tone=self.tone(self.pitch),
                **_keys("From:[$to];tag=[pid]-[call_number]", "To:[$from]", _audio(None)),
            )
        elif self.behaviour == "never":
            scenario = filled("never")
        else:
            scenario = filled(
                "refuse",
                status=STATUS[self.behaviour],
                contact=f"Contact: <{self.forward_to}>\n      " if self.behaviour == "forward" else "",
            )
        for left in reversed(range(BINDS)):
            try:
                await self.run(scenario).ready(lambda: udp_taken(self.port), f"listens at {self.port}")
            except LabError:  # a port just let go, or one that some other program took for a moment
                if not left:
                    raise
                await asyncio.sleep(0.2)
            else:
                return

    async def register(self, asterisk: Asterisk, name: str, *, seconds: int = 300) -> None:
        """Tells the PBX, as endpoint `name`, where this phone is, for so long; 0 takes it back. Returns when it is agreed."""
        teller = _Sipp(self._folder, f"register-{name}", free_port())
        scenario = filled("register", user=name, port=self.port, seconds=seconds)
        registering = teller.run(scenario, f"127.0.0.1:{asterisk.sip_port}", "-m", "1")
        await registering.ended(10)
        if not any(m.start.startswith("SIP/2.0 200") for m in teller.messages):
            raise LabError(f"{name} could not register")

    async def behave(
        self, behaviour: Behaviour, *, ring: float | None = None, talk: float | None = None, forward_to: str = ""
    ) -> None:
        """Treats later calls in another way; its present calls are left without a word."""
        await self.kill()
        self.behaviour, self.talk, self.forward_to = behaviour, talk, forward_to
        self.ring = self.ring if ring is None else ring
        await self.start()

    @property
    def invites(self) -> list[SipMessage]:
        """The calls offered to this phone, in order, retransmissions left out; `.user` is who called."""
        seen: set[str] = set()
        found = []
        for message in self.messages:
            fresh = not message.sent and message.start.startswith("INVITE ") and "tag=" not in message.headers["to"]
            if fresh and message.call_id not in seen:
                seen.add(message.call_id)
                found.append(message)
        return found

    async def hang_up(self, invite: SipMessage) -> None:
        """Hangs up the answered call that came with this INVITE; returns when BYE is sent."""
        await self._tell_to_hang_up(invite.call_id)

    async def hold(self, invite: SipMessage) -> None:
        """Puts the other side on hold; returns when the PBX has agreed."""
        await self._hold(invite.call_id)

    async def unhold(self, invite: SipMessage) -> None:
        """Takes the other side back; returns when the PBX has agreed."""
        await self._unhold(invite.call_id)

    async def transfer(self, invite: SipMessage, to: str) -> None:
        """Sends REFER to this SIP URI; returns when the PBX has taken it on."""
        await self._transfer(invite.call_id, to)

    async def press(self, invite: SipMessage, digits: str) -> None:
        """Presses keys in mid-call, by SIP INFO; returns when the PBX has taken the last."""
        await self._press(invite.call_id, digits)

    async def rings(self, caller: str | None = None, limit: float = 10.0) -> SipMessage:
        """Waits until this phone was offered a call (of this caller's number)."""
        return await until(
            lambda: next((m for m in self.invites if caller in (None, m.user)), None),
            f"{self.name} rings for {caller or 'anyone'}",
            limit=limit,
        )


class SippCall(_Sipp):
    """One call placed into the PBX; made by `place_call`."""

    voice: Voice | None = None

    def _answer(self) -> SipMessage | None:
        return next((m for m in self.messages if not m.sent and _is_final(m)), None)

    async def answered(self, limit: float = 10.0) -> SipMessage:
        """Waits for the PBX's final answer to the INVITE (200, or why not)."""
        return await until(self._answer, f"{self.name} gets a final answer", limit=limit)

    async def ended(self, limit: float = 30.0) -> None:
        """Waits for the call's end, whoever hung up."""
        assert self._process is not None
        await self._process.ended(limit)

    @property
    def live(self) -> bool:
        return self._process is not None and self._process.exit_status is None

    async def hang_up(self) -> None:
        """Hangs up now; returns when the PBX has agreed. The call must be answered (ctid-inbound answers at once)."""
        await self._tell_to_hang_up((await self.answered()).call_id)
        await self.ended()

    async def hold(self) -> None:
        """Puts the other side on hold; returns when the PBX has agreed. So do the following."""
        await self._hold((await self.answered()).call_id)

    async def unhold(self) -> None:
        await self._unhold((await self.answered()).call_id)

    async def transfer(self, to: str) -> None:
        await self._transfer((await self.answered()).call_id, to)

    async def press(self, digits: str) -> None:
        """Presses keys in mid-call: in the sound where the call has a voice, else by SIP INFO."""
        answer = await self.answered()
        if self.voice is None:
            await self._press(answer.call_id, digits)
        else:
            self.voice.speak_to(answer.audio_port)
            await self.voice.press(digits)

    async def kill(self) -> None:
        if self.voice is not None:
            await self.voice.close()
        await super().kill()

    async def replaces(self) -> str:
        """What a REFER of another call must say behind ``?`` to join that call's other side with this one's."""
        reply = await self.answered()
        theirs, mine = (reply.headers[name].rpartition("tag=")[2] for name in ("to", "from"))
        return "Replaces=" + quote(f"{reply.call_id};to-tag={theirs};from-tag={mine}", safe="")

    @property
    def call_id(self) -> str:
        return self.messages[0].call_id

    async def give_up(self) -> None:
        """Hangs up before anyone answered; returns when the PBX has agreed."""
        await until(lambda: self.messages, f"{self.name} calls")
        await self._tell_to_hang_up(self.call_id)
        await self.ended()

    @property
    def hung_up_by_pbx(self) -> bool:
        return any(not m.sent and m.start.startswith("BYE ") for m in self.messages)

    async def __aenter__(self) -> Self:
        return self


def _agreed(message: SipMessage, cseq: str) -> bool:
    return not message.sent and message.start.startswith("SIP/2.0 2") and message.headers["cseq"] == cseq


def _is_final(message: SipMessage) -> bool:
    status = re.match(r"SIP/2.0 ([2-6])", message.start)
    return bool(status) and message.headers.get("cseq", "").endswith("INVITE")


def calling(
    call: SippCall,
    sender: str,
    user: str,
    *,
    tone: int,
    talk: float | None = None,
    presses: Sequence[tuple[float, str]] = (),
) -> str:
    """The scenario of a caller, as `place_call` tells it; `sender` is the From header, `user` the Contact's."""
    audio = _audio(call.voice)
    own_sound = f'  <nop><action><exec rtp_stream="{call.tone(tone)},-1,0"/></action></nop>\n'
    return filled(
        "call",
        **{"from": sender},
        user=user,
        audio=audio,
        sound="" if call.voice is not None else own_sound,
        talk_ms=FOR_EVER_MS if talk is None else round(talk * 1000),
        **_keys(f"From: {sender};tag=[pid]-[call_number]", "To:[$to]", audio),
        refusals="\n".join(f'  <recv response="{n}" optional="true" next="refused"/>' for n in REFUSALS),
        digits="".join(
            filled("digit", **{"from": sender}, wait_ms=round(wait * 1000), number=number, digit=escape(digit))
            for number, (wait, digit) in enumerate(presses, 2)
        ),
    )


def place_call(
    asterisk: Asterisk,
    caller: str,
    dialled: str,
    *,
    name: str = "",
    talk: float | None = None,
    tone: int = 440,
    digits: Sequence[tuple[float, str]] = (),
    keys_in_sound: bool = False,
    folder: Path | None = None,
) -> SippCall:
    """A call from `caller` (a number, an agent's endpoint name, or `anonymous`) to `dialled` ("" for no number), with sound.

    It hangs up `talk` seconds after the PBX answered (and after the digits), or when told to (`hang_up`), or when the
    PBX does. `digits` are pressed in turn: (seconds to wait before the first, digits), as SIP INFO. With `keys_in_sound` the
    call offers telephone-event, and what `press` presses goes there (RFC 4733); its tone begins with the first key.
    """
    call = SippCall(folder or asterisk.folder / "sipp", f"call-{re.sub('[^A-Za-z0-9]', '', caller)}", free_port())
    host = "anonymous.invalid" if caller == "anonymous" else "127.0.0.1"
    sender = f'"{name}" <sip:{caller}@{host}>' if name else f"<sip:{caller}@{host}>"
    if keys_in_sound:
        call.voice = Voice(call.tone(tone))
    presses = [(wait if first else 0.15, digit) for wait, run in digits for first, digit in _marked(run)]
    scenario = calling(call, sender, caller, tone=tone, talk=talk, presses=presses)
    if not dialled:
        scenario = scenario.replace("[service]@", "")
    call.run(scenario, f"127.0.0.1:{asterisk.sip_port}", "-s", dialled or "nobody", "-m", "1")
    return call


def _marked(run: str) -> list[tuple[bool, str]]:
    return [(index == 0, digit) for index, digit in enumerate(run)]
