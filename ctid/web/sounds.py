"""Which sound files a browser plays, by the ending Asterisk gives them.

Law: case counts, as it does for Asterisk: ``.wav`` is PCM, ``.WAV`` is GSM, which no browser plays.
"""

from __future__ import annotations

from pathlib import PurePath

TYPES = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".webm": "audio/webm",
    ".flac": "audio/flac",
}
OTHER = "application/octet-stream"


def media_type(path: str) -> str:
    return TYPES.get(PurePath(path).suffix, OTHER)


def playable(path: str) -> bool:
    """Whether a browser plays the file of that name."""
    return media_type(path) != OTHER
