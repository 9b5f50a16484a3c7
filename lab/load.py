"""Many callers from one SIPp process, so many a second, for load and benchmarks.

Law: each caller has a number of their own, so that what became of each call is found again in the phones' message log.
"""

from collections.abc import Sequence
from pathlib import Path

from lab.asterisk import Asterisk
from lab.process import free_port
from lab.sipp import SippCall, calling


class SippLoad(SippCall):
    """Callers who ring one after the other, with sound from the first packet after the answer; none hangs up first."""

    @property
    def invited(self) -> dict[str, float]:
        """When each caller's INVITE was first sent, in epoch seconds, by the caller's number."""
        times: dict[str, float] = {}
        for message in self.messages:
            if message.sent and message.start.startswith("INVITE "):
                times.setdefault(message.user, message.at)
        return times


def place_calls(
    asterisk: Asterisk, numbers: Sequence[str], dialled: str, *, per_second: float, folder: Path, tone: int = 440
) -> SippLoad:
    """A call from each of `numbers` to `dialled`, evenly `per_second`; it lasts until the PBX hangs up (`ended`)."""
    load = SippLoad(folder, "load", free_port())
    callers = folder.resolve() / f"{load.name}.csv"
    callers.write_text("SEQUENTIAL\n" + "".join(f"{number}\n" for number in numbers), encoding="utf-8")
    scenario = calling(load, "<sip:[field0]@127.0.0.1>", "[field0]", tone=tone)
    place = (f"127.0.0.1:{asterisk.sip_port}", "-s", dialled, "-inf", str(callers))
    load.run(scenario, *place, "-m", str(len(numbers)), "-r", f"{per_second:g}", "-l", str(len(numbers)))
    return load
