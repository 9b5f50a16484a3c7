"""What counts as one listen: a browser's player asks for a file in many pieces.

Law: a request for the beginning is always a listen; one for the middle is part of the listen before it, if there was one.
"""

from __future__ import annotations

from collections import OrderedDict

#: A player asks for a file in many pieces; pieces from its middle within this time belong to one listen.
LISTEN_SECONDS = 600.0
_REMEMBERED = 10_000


class Listens:
    """When each user last began to listen to a recording; bounded, the longest ago is forgotten."""

    def __init__(self) -> None:
        self._at: OrderedDict[tuple[int, str], float] = OrderedDict()

    def is_new(self, user_id: int, recording_id: str, *, from_start: bool, now: float) -> bool:
        """Whether this request begins a listen."""
        key = user_id, recording_id
        if not from_start and now - self._at.get(key, -LISTEN_SECONDS) < LISTEN_SECONDS:
            return False
        self._at[key] = now
        self._at.move_to_end(key)
        if len(self._at) > _REMEMBERED:
            self._at.popitem(last=False)
        return True
