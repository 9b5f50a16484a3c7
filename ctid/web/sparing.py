"""What pages leave undone while ``ctid run`` does not keep pace with its PBX: the two share the machine.

Law: only what can be asked for again a minute later, and reads much for one person: waveforms, and whole lists as files.
"""

from __future__ import annotations

from fastapi import HTTPException
from starlette.requests import Request

from ctid.domain.types import Shed
from ctid.languages import _
from ctid.web.room import room

_AGAIN_SECONDS = 30


def spare(request: Request) -> None:
    """To be depended on. Raises 503 while the acting daemon leaves pages undone."""
    node = room(request).board.routing()
    if node is not None and Shed.PAGES in node.shedding:
        raise HTTPException(
            503,
            _("Calls go before everything else, and there are very many now: ask again in a minute."),
            {"retry-after": str(_AGAIN_SECONDS)},
        )
