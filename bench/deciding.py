"""Part ``deciding``: what a decision costs among many agents, against among few.

Law: timed is the one event that makes the core choose (``CallerHeld``), from the call to the actions with the ``Ring`` in it.
"""

from __future__ import annotations

import statistics
import time

from bench.figures import Figure, ratios
from bench.floor import START, floor, handle
from bench.streams import SERVICE, agent
from ctid.domain import events as ev
from ctid.domain.acd import Acd
from ctid.domain.actions import Ring

RUNS = 5
DECISIONS = 12
FEW, MANY = 100, 10_000


def mixed(agents: int) -> Acd:
    """A floor where, of ten agents, two are paused and three signed out."""
    acd = floor(agents)
    for seat in range(agents):
        request = ev.Request(agent=agent(seat))
        if seat % 10 in (1, 2):
            acd.handle(ev.PauseAsked(at=START + 1, request=request, reason="lunch"))
        elif seat % 10 in (3, 4, 5):
            acd.handle(ev.SignOutAsked(at=START + 1, request=request))
    return acd


def decision_seconds(acd: Acd, number: int) -> float:
    """Seconds of processor time the core takes to choose for one new caller; the caller hangs up afterwards."""
    at, call = START + 10 + number, f"call-{number}"
    handle(acd, ev.CallStarted(at=at, call_id=call, caller="13800138000", dialled=SERVICE, endpoint="trunk"))
    held = ev.CallerHeld(at=at, call_id=call, channel=f"PJSIP/trunk-{number:08x}", seq=1, dialled=SERVICE)
    began = time.process_time()
    actions = acd.handle(held)
    took = time.process_time() - began
    if not any(isinstance(action, Ring) for action in actions):
        raise RuntimeError("the core chose nobody")
    handle(acd, ev.CallEnded(at=at, call_id=call))
    return took


def measure() -> list[Figure]:
    figures = []
    for name, made in (("all idle", floor), ("half of them idle", mixed)):
        cores = {agents: made(agents) for agents in (FEW, MANY)}
        took: dict[int, list[float]] = {agents: [] for agents in cores}
        for run in range(-1, RUNS):
            for agents, acd in cores.items():
                numbers = range((run + 1) * DECISIONS, (run + 2) * DECISIONS)
                median = statistics.median(decision_seconds(acd, n) for n in numbers)
                if run >= 0:
                    took[agents].append(median)
        for agents in cores:
            values = tuple(s * 1000 for s in took[agents])
            figures.append(
                Figure(part="deciding", name=f"{name}: one decision among {agents:,}", unit="ms", values=values)
            )
        figures.append(
            Figure(
                part="deciding",
                name=f"{name}: among {MANY:,} / among {FEW}",
                unit="times as long",
                values=ratios(took[MANY], took[FEW]),
                target="<= 2",
            )
        )
    return figures
