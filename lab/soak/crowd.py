"""Hundreds of phones, or thousands of callers, in one SIPp process each.

Law: what happened to a call is a few lines that SIPp itself logged, with their times; whole messages of thousands of
calls would fill the disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import tones
from lab.asterisk import Asterisk
from lab.process import LabError, Process, free_port, tool, udp_taken
from lab.sipp import FOR_EVER_MS, REFUSALS, filled

#: Calls at once that one process may have; the lab's own limit, far above what a machine of two cores bears.
MOST_AT_ONCE = 5_000
_WORD = re.compile(
    r"\s(?P<at>\d+\.\d+) (?P<what>called|invited|answered|left|hung_up|cancelled|refused)"
    r" (?P<phone>\S+) (?P<caller>\S+) (?P<call>\d+)$"
)


@dataclass(frozen=True, slots=True)
class Word:
    """One line of a crowd's log: ``phone`` is ``None`` where a caller says it; ``call`` numbers the calls of this process."""

    at: float
    what: str
    phone: str | None
    caller: str
    call: int


class Crowd:
    """One SIPp process that plays many parties of one kind; made by ``phones`` and ``callers``."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / f"{name}.log"
        self.process: Process | None = None

    def run(self, scenario: str, *more: str, seconds: float) -> Process:
        """Start SIPp with this scenario's text; it ends by itself after ``seconds`` at the latest."""
        path = self.folder / f"{self.name}.xml"
        path.write_text(scenario, encoding="utf-8")
        place = ("-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", str(self.port), "-mp", str(free_port()))
        # SIPp's watchdog would end it where the machine is busy, and take the callers with it.
        quiet = (
            "-nostdin",
            "-nd",
            "-aa",
            "-timeout",
            str(round(seconds)),
            "-l",
            str(MOST_AT_ONCE),
            "-watchdog_interval",
            "0",
        )
        logs = ("-trace_logs", "-log_file", str(self.log), "-trace_err", "-error_file", f"{path}.errors")
        self.process = Process(
            [tool("sipp"), *more, "-sf", str(path), *place, *quiet, *logs],
            folder=self.folder,
            name=self.name,
            env={"TERM": "dumb"},
        )
        return self.process

    async def kill(self) -> None:
        if self.process is not None:
            await self.process.kill()

    def words(self) -> Iterator[Word]:
        """All that was logged so far, in order."""
        return read(self.log)


def read(log: Path) -> Iterator[Word]:
    """The words of a crowd's log; a line still being written is left out. Raises ``LabError`` for one that is not theirs."""
    if not log.exists():
        return
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not line.endswith("\n"):
                return
            if (said := _WORD.search(line)) is None:
                raise LabError(f"{log}: {line!r} is none of a crowd's lines")
            phone = said["phone"] if said["phone"] != "-" else None
            yield Word(float(said["at"]), said["what"], phone, said["caller"], int(said["call"]))


async def phones(folder: Path, port: int, *, ring: float, talk: float | None, sound: bool, seconds: float) -> Crowd:
    """All phones at one port: each rings ``ring`` seconds and hangs up after ``talk`` (``None``: the other side does)."""
    crowd = Crowd(folder, "phones")
    crowd.port = port
    scenario = filled(
        "soak-phone",
        ring_ms=round(ring * 1000),
        talk_ms=FOR_EVER_MS if talk is None else round(talk * 1000),
        sound=_sound(folder, 1000) if sound else "",
    )
    await crowd.run(scenario, seconds=seconds).ready(lambda: udp_taken(port), f"listens at {port}")
    return crowd


def callers(
    folder: Path, name: str, asterisk: Asterisk, numbers: Sequence[str], dialled: str, *, per_second: float, sound: bool
) -> Crowd:
    """A call from each of ``numbers`` to ``dialled``, evenly; each stays until the PBX hangs up."""
    crowd = Crowd(folder, name)
    file = crowd.folder / f"{name}.csv"
    file.write_text("SEQUENTIAL\n" + "".join(f"{number}\n" for number in numbers), encoding="utf-8")
    scenario = filled(
        "soak-caller",
        sound=_sound(folder, 440) if sound else "",
        refusals="\n".join(f'  <recv response="{n}" optional="true" next="refused"/>' for n in REFUSALS),
    )
    place = (f"127.0.0.1:{asterisk.sip_port}", "-s", dialled, "-inf", str(file))
    often = ("-m", str(len(numbers)), "-r", f"{per_second:g}")
    crowd.run(scenario, *place, *often, seconds=len(numbers) / per_second + 600)
    return crowd


def _sound(folder: Path, hertz: int) -> str:
    tone = folder.resolve() / f"tone-{hertz}.ul"
    if not tone.exists():
        tones.write_tone(tone, hertz)
    return f'  <nop><action><exec rtp_stream="{tone},-1,0"/></action></nop>\n'
