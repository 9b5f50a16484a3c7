"""Choices from bytes: how a target that needs more than raw text makes its events, topics and requests.

Law: the same bytes give the same choices; where they end, the first of everything is chosen. So a fuzzer that turns one
bit changes one choice, and who cuts the bytes short cuts the story short.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Drawn:
    """What is left of the bytes to choose by."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def whole(self, most: int) -> int:
        """A number from 0 to ``most``, by as few bytes as it takes."""
        number = 0
        for _ in range((most.bit_length() + 7) // 8):
            number = number << 8 | self._byte()
        return number % (most + 1)

    def pick(self, among: Sequence[T]) -> T:
        """One of these."""
        return among[self.whole(len(among) - 1)]

    def octets(self, most: int) -> bytes:
        """So many bytes at most, as they are."""
        length = min(self.whole(most), self.left)
        begin, self._at = self._at, self._at + length
        return self._data[begin : self._at]

    def text(self, most: int) -> str:
        """Any text at all, lone halves of surrogate pairs included, as a stranger's bytes become it."""
        return self.octets(most).decode("utf-8", "surrogateescape")

    def _byte(self) -> int:
        if not self.left:
            return 0
        self._at += 1
        return self._data[self._at - 1]
