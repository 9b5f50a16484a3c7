"""A figure and its arithmetic: medians, percentiles, ratios, alternating runs, the table at the end.

Law: a figure keeps the value of every run; what is printed is their median with the least and the greatest.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. ``values`` holds one value per run; ``target`` says what was aimed at, where anything was."""

    part: str
    name: str
    unit: str
    values: tuple[float, ...]
    target: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "median": self.median, "min": min(self.values), "max": max(self.values)}


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least ``percent`` of all values do not exceed (nearest rank)."""
    if not values:
        raise ValueError("no values to take a percentile of")
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


def ratios(over: Sequence[float], under: Sequence[float]) -> tuple[float, ...]:
    """Run by run, how many times ``under`` goes into ``over``."""
    return tuple(a / b for a, b in zip(over, under, strict=True))


def differences(of: Sequence[float], less: Sequence[float]) -> tuple[float, ...]:
    """Run by run, ``of`` minus ``less``."""
    return tuple(a - b for a, b in zip(of, less, strict=True))


def alternate(
    runs: int, works: Mapping[str, Callable[[], object]], *, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Seconds each work took by ``clock``, run by run, all of them in turn: A B A B. One unmeasured turn goes before.

    The default clock counts this process's own processor time, which other work on the machine disturbs least.
    """
    took: dict[str, list[float]] = {name: [] for name in works}
    for run in range(-1, runs):
        for name, work in works.items():
            began = clock()
            work()
            if run >= 0:
                took[name].append(clock() - began)
    return took


def table(figures: Sequence[Figure]) -> str:
    """All figures as a Markdown table."""
    rows = [("part", "figure", "median", "min .. max", "runs", "unit", "target")]
    rows += [
        (
            f.part,
            f.name,
            shown(f.median),
            f"{shown(min(f.values))} .. {shown(max(f.values))}",
            str(len(f.values)),
            f.unit,
            f.target,
        )
        for f in figures
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def shown(value: float) -> str:
    """Three digits that count; whole numbers from a hundred on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
