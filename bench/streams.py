"""AMI streams for measuring: one real call, recorded twice at once, and multiplied.

Law: the bytes are Asterisk's own; a copy differs in ids, channel names, times and agent alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from lab.asterisk import Asterisk
from lab.process import until
from lab.sipp import SippAgent, place_call

END = b"\r\n\r\n"
#: About what one read of a busy AMI socket brings.
CHUNK = 2048
SERVICE = "4001"

_TOKENS = re.compile(
    rb"(?<=Timestamp: )(?P<at>\d+\.\d+)"
    rb"|(?<![\d.])(?P<uid>\d{10}\.\d{1,5})(?!\d)"
    rb"|(?P<bridge>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    rb"|-(?P<channel>[0-9a-f]{8})(?=[\r;])"
    rb"|\b(?P<agent>agent1)\b"
)
#: Apart from the whole of a call, what it is until somebody hangs up.
_OVER = (b"Event: Hangup", b"Event: BridgeLeave", b"Event: HangupRequest", b"Event: SoftHangupRequest")


class Template:
    """One recorded call, to be copied."""

    def __init__(self, recorded: bytes) -> None:
        self.messages = [part for part in recorded.split(END) if part and not part.startswith(b"Event: FullyBooted")]

    def copy(self, number: int, *, seat: int, later: float) -> list[bytes]:
        """The call's messages as those of call ``number``, of agent ``seat``, ``later`` seconds after the recorded one."""

        def replaced(found: re.Match[bytes]) -> bytes:
            if found["at"]:
                return b"%.6f" % (float(found["at"]) + later)
            if found["uid"]:
                second, _, count = found["uid"].partition(b".")
                return b"%d.%s" % (int(second) + 1000 * number, count)
            if found["bridge"]:
                return b"%08x" % number + found["bridge"][8:]
            if found["channel"]:
                return b"-%08x" % (16 * number + int(found["channel"], 16))
            return agent(seat).encode()

        return [_TOKENS.sub(replaced, message) for message in self.messages]

    def until_talking(self) -> Template:
        """The same call, not yet over."""
        cut = Template(b"")
        over = next((n for n, m in enumerate(self.messages) if m.startswith(_OVER)), len(self.messages))
        cut.messages = self.messages[:over]
        return cut


def agent(seat: int) -> str:
    """An agent's id, which is the phone's name too; ids sort as numbers do."""
    return f"agent{seat:05d}"


def interleaved(template: Template, *, calls: int, together: int) -> bytes:
    """A stream of so many calls, ``together`` at a time side by side, each with an agent of its own."""
    messages: list[bytes] = []
    for first in range(0, calls, together):
        copies = [
            template.copy(n, seat=n - first, later=first / together * 60)
            for n in range(first, min(first + together, calls))
        ]
        messages += [message for row in zip_longest(*copies) for message in row if message is not None]
    return END.join(messages) + END


def chunks(stream: bytes) -> Sequence[bytes]:
    """The stream in pieces as a socket gives them."""
    return list(_cut(stream))


def _cut(stream: bytes) -> Iterator[bytes]:
    for at in range(0, len(stream), CHUNK):
        yield stream[at : at + CHUNK]


async def record(folder: Path) -> tuple[Template, Template]:
    """A real call, waiting, routed, answered and hung up: as ctid's user hears it, and as ``read=all`` does."""
    lean, full = folder / "lean.ami", folder / "full.ami"
    async with (
        Asterisk(folder / "asterisk", agents=("agent1",)) as pbx,
        SippAgent(folder / "sipp", "agent1", pbx.phones["agent1"], talk=2.0),
        pbx.tap(lean),
        pbx.tap(full, as_ctid=False),
    ):
        await pbx.ami.beat("lab")
        call = place_call(pbx, "13800138000", SERVICE)
        waiting = await pbx.ami.event("CtidWait")
        pbx.ami.route(waiting["Channel"], "lab:1:dial:agent1:20")
        await call.ended()
        await pbx.ami.event("CtidEnd")

        async def look() -> bool:
            return "0 active channels" in await pbx.cli("core show channels count")

        await until(look, "the call is over", every=0.1)
        await pbx.ami.action("Ping")
    return Template(lean.read_bytes()), Template(full.read_bytes())
