"""Lists that were uploaded and wait for somebody to say yes: in memory, few, and not for long.

Law: a list is its uploader's alone. Past the bound the oldest goes, as does all that is too old: it is uploaded again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from secrets import token_urlsafe

from ctid.db.importing import Kind

MOST = 8
SECONDS = 15 * 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    user_id: int
    kind: Kind
    name: str
    content: bytes
    at: float


class Uploads:
    def __init__(self) -> None:
        self._kept: OrderedDict[str, Upload] = OrderedDict()

    def keep(self, upload: Upload) -> str:
        """The key by which it is taken."""
        self._sweep(upload.at)
        while len(self._kept) >= MOST:
            self._kept.popitem(last=False)
        key = token_urlsafe(16)
        self._kept[key] = upload
        return key

    def take(self, key: str, *, user_id: int, kind: Kind, at: float) -> Upload | None:
        """The upload, which is kept no longer; ``None`` where there is none of this user's and kind."""
        self._sweep(at)
        found = self._kept.get(key)
        if found is None or found.user_id != user_id or found.kind is not kind:
            return None
        return self._kept.pop(key)

    def _sweep(self, at: float) -> None:
        for key in [key for key, upload in self._kept.items() if at - upload.at > SECONDS]:
            del self._kept[key]
