"""What two people write on one ticket at once: put together field by field, and asked again only where they differ.

Law: nobody's writing is lost unseen. A field that only one of the two has changed takes that change; where both have changed
it to something else, the later one is told and decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from ctid.desk.ticket import WRITTEN, Step, Written


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What both have written, and the fields where they differ: there it is what the later one wrote."""

    written: Written
    differ: tuple[str, ...]


def before_steps(now: Written, steps: Iterable[Step]) -> Written:
    """What stood there before these steps, the oldest first."""
    first: dict[str, object] = {}
    for step in steps:
        for name, before, _ in step.changes:
            if name in WRITTEN:
                first.setdefault(name, before)
    return replace(now, **first)  # type: ignore[arg-type]  # each value came out of that very field


def merge(base: Written, now: Written, mine: Written, only: Collection[str] = WRITTEN) -> Merged:
    """``mine``, written on top of ``base``, put together with what stands there ``now``; of ``mine`` only these fields."""
    values: dict[str, object] = {}
    differ: list[str] = []
    for name in WRITTEN:
        was, theirs, own = getattr(base, name), getattr(now, name), getattr(mine, name)
        if own == was or name not in only:
            values[name] = theirs
            continue
        values[name] = own
        if theirs not in (was, own):
            differ.append(name)
    return Merged(written=Written(**values), differ=tuple(differ))  # type: ignore[arg-type]  # as above
