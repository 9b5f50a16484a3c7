"""Part ``reading``: bytes of AMI to what they mean, ctid beside panoramisk as shipped, on the same bytes.

Law: panoramisk gets callbacks that only count: one for every event, which is the least that a user of it can do, and beside it
one for each event that ctid wants, which is what somebody would write who wants those. Timed is processor time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager

from bench.figures import Figure, alternate, ratios
from bench.floor import floor, handle
from bench.streams import Template, chunks, interleaved
from ctid.asterisk.messages import WANTED, parse
from ctid.asterisk.tracker import Tracker
from ctid.asterisk.wire import Framer
from ctid.domain.actions import Ring

RUNS = 5
CALLS = 300
TOGETHER = 20


def frame(stream: Sequence[bytes]) -> int:
    """Messages that ctid's framer lets through."""
    framer = Framer(WANTED)
    return sum(len(framer.feed(chunk)) for chunk in stream)


def understand(stream: Sequence[bytes]) -> int:
    """Domain events that ctid makes of the stream."""
    framer, tracker, count = Framer(WANTED), Tracker(), 0
    for chunk in stream:
        for message in framer.feed(chunk):
            if (told := parse(message)) is not None:
                count += len(tracker.feed(told))
    return count


def decide(stream: Sequence[bytes]) -> int:
    """Routing decisions that the core makes on the stream, with all its books kept."""
    framer, tracker, acd, count = Framer(WANTED), Tracker(), floor(TOGETHER), 0
    for chunk in stream:
        for message in framer.feed(chunk):
            if (told := parse(message)) is not None:
                for event in tracker.feed(told):
                    count += sum(isinstance(action, Ring) for action in handle(acd, event))
    return count


def panoramisk(stream: Sequence[bytes], patterns: Iterable[str] = ("*",)) -> int:
    """Events that panoramisk hands to a callback for each of ``patterns``."""
    loop = asyncio.new_event_loop()
    heard: list[None] = []
    manager = Manager(loop=loop, encoding="utf8")
    for pattern in patterns:
        manager.register_event(pattern, lambda _manager, _event: heard.append(None))
    protocol = AMIProtocol()
    protocol.connection_made(None)
    protocol.factory, protocol.encoding = manager, "utf8"
    for chunk in stream:
        protocol.data_received(chunk)
    loop.close()
    return len(heard)


def measure(lean: Template, full: Template) -> list[Figure]:
    """``lean`` is a call as ctid's AMI user hears it, ``full`` the same call with ``read=all``."""
    figures = []
    for name, template in (("ctid's user", lean), ("read=all", full)):
        stream = chunks(interleaved(template, calls=CALLS, together=TOGETHER))
        events = CALLS * len(template.messages)
        decided = decide(stream)
        if decided != CALLS:
            raise RuntimeError(f"the core decided {decided} of {CALLS} calls: the stream does not say what it should")
        if panoramisk(stream) != events:
            raise RuntimeError("panoramisk did not hand over every event")
        took = alternate(
            RUNS,
            {
                "panoramisk": lambda s=stream: panoramisk(s),  # type: ignore[misc]
                "by name": lambda s=stream: panoramisk(s, [name.decode() for name in WANTED]),  # type: ignore[misc]
                "frame": lambda s=stream: frame(s),  # type: ignore[misc]
                "understand": lambda s=stream: understand(s),  # type: ignore[misc]
                "decide": lambda s=stream: decide(s),  # type: ignore[misc]
            },
        )

        def line(title: str, unit: str, values: Sequence[float], of: str = name) -> Figure:
            return Figure(part="reading", name=f"{of}: {title}", unit=unit, values=tuple(values))

        figures.append(line("events of one call", "events", [len(template.messages)]))
        figures.append(line("panoramisk parses and dispatches", "events/s", [events / s for s in took["panoramisk"]]))
        figures.append(
            line(
                f"panoramisk, a callback for each of {len(WANTED)} events",
                "events/s",
                [events / s for s in took["by name"]],
            )
        )
        for work, title in (
            ("frame", "ctid frames"),
            ("understand", "ctid, bytes to domain events"),
            ("decide", "ctid, bytes to decisions and books"),
        ):
            figures.append(line(title, "events/s", [events / s for s in took[work]]))
            figures.append(line(f"{title} / panoramisk", "times as fast", ratios(took["panoramisk"], took[work])))
        by_name = ratios(took["by name"], took["decide"])
        figures.append(line("ctid, bytes to decisions and books / panoramisk by name", "times as fast", by_name))
    return figures
