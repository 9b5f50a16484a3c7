"""A daemon that runs for months: what is over is forgotten, whatever kind of call it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

import pytest

from bench.floor import handle
from bench.streams import END, Template
from ctid.asterisk.messages import WANTED, parse
from ctid.asterisk.tracker import Tracker
from ctid.asterisk.wire import Framer
from ctid.domain.acd import Acd
from ctid.domain.actions import Action, CheckPin
from ctid.domain.events import LinkOpened, PhoneReached, PinChecked, Request, RosterLoaded, SignInAsked, TimePassed
from ctid.domain.types import Agent, Line, Policy
from ctid.domain.world import REMEMBERED_SECONDS
from lab.process import TOP

RECORDED = sorted((TOP / "tests" / "streams" / "recorded").glob("*.ami"))
AGENTS = ("agent1", "agent2", "agent3")
_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


def kept(*roots: object) -> int:
    """How many objects these hold on to, code left out."""
    seen: set[int] = set()
    found: list[object] = list(roots)
    while found:
        one = found.pop()
        if id(one) in seen or isinstance(one, _CODE):
            continue
        seen.add(id(one))
        found += gc.get_referents(one)
    return len(seen)


def rounds(file: Path) -> Iterator[int]:
    """The same calls over and over, each time an hour later under other ids; what is kept when all of it is long over."""
    template = Template(file.read_bytes())
    line = Line(name="service", numbers=("4001",), longest_wait_seconds=60, announce_seconds=20)
    acd, tracker, framer = Acd(Policy(wrap_up_seconds=0, missed_in_a_row=0), (line,), "lab"), Tracker(), Framer(WANTED)
    began = float(template.messages[0].partition(b"Timestamp: ")[2].split(b"\r")[0])
    acd.handle(RosterLoaded(at=began, agents=tuple(Agent(id=i, name=i, phone=i) for i in AGENTS)))
    for agent in AGENTS:
        acd.handle(PhoneReached(at=began, endpoint=agent, reachable=True))
        acd.handle(SignInAsked(at=began, request=Request(agent=agent), phone=agent))
    acd.handle(LinkOpened(at=began))
    number = 0
    while True:
        number += 1
        at = began
        for message in framer.feed(END.join(template.copy(number, seat=1, later=3600.0 * number)) + END):
            if (told := parse(message)) is not None:
                for event in tracker.feed(told):
                    at = event.at
                    _answered(acd, handle(acd, event), at)
        for later in range(0, round(3 * REMEMBERED_SECONDS), 30):
            handle(acd, TimePassed(at=at + later))
        yield kept(acd, tracker)


def _answered(acd: Acd, actions: Sequence[Action], at: float) -> None:
    for action in actions:
        if isinstance(action, CheckPin):
            acd.handle(PinChecked(at=at, request=action.request, ok=True))


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_nothing_is_left_of_calls_that_are_long_over(file: Path) -> None:
    held = rounds(file)
    _warm, before, after = (next(held) for _ in range(3))
    assert after <= before
