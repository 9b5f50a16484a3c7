"""Sound that a test can recognise: raw u-law tones for SIPp to play, and Goertzel's filter to find them again.

Law: standard library only; 8,000 samples a second throughout.
"""

import math
import struct
from pathlib import Path

RATE = 8000
BLOCK = 400  # 50 ms: 20 Hz wide, so that 440 and 1000 Hz are far apart


def _ulaw(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + 132
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> (exponent + 3) & 0x0F) & 0xFF


def write_tone(path: Path, hertz: int, *, seconds: float = 1.0, amplitude: int = 8000) -> Path:
    """Writes a raw u-law tone; whole hertz and whole seconds loop without a click."""
    path.write_bytes(
        bytes(_ulaw(round(amplitude * math.sin(2 * math.pi * hertz * n / RATE))) for n in range(round(RATE * seconds)))
    )
    return path


def samples(path: Path) -> list[int]:
    """The samples of a mono 16-bit PCM WAV file of 8 kHz, whatever its header says about its length."""
    raw = path.read_bytes()
    if raw[:4] != b"RIFF" or raw[8:12] != b"WAVE":
        raise ValueError(f"{path} is no WAV file")
    start = raw.index(b"data") + 8
    body = raw[start : start + (len(raw) - start) // 2 * 2]
    return [value for (value,) in struct.iter_unpack("<h", body)]


def seconds(path: Path) -> float:
    """How long the sound in a WAV file is."""
    return len(samples(path)) / RATE


def _power(block: list[int], hertz: int) -> float:
    turn = 2 * math.cos(2 * math.pi * hertz / RATE)
    before = last = 0.0
    for sample in block:
        before, last = last, sample + turn * last - before
    return (before * before + last * last - turn * before * last) / (len(block) / 2) ** 2


def seconds_of(
    path: Path, hertz: int, *, amplitude: float = 1000.0, since: float = 0.0, until: float | None = None
) -> float:
    """For how many seconds a tone of this pitch and at least this amplitude is in a WAV file, between two of its seconds."""
    sound = samples(path)[round(since * RATE) : None if until is None else round(until * RATE)]
    blocks = (sound[at : at + BLOCK] for at in range(0, len(sound) - BLOCK + 1, BLOCK))
    return sum(_power(block, hertz) >= amplitude**2 for block in blocks) * BLOCK / RATE
