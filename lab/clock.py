"""A wall clock that tests set: of ctid's host, of the PBX's, or of both.

Law: only the wall clock moves (libfaketime). What measures seconds, CLOCK_MONOTONIC, stays real, as it does when somebody
sets the clock of a machine.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from lab.process import LAB, LabError


class Clock:
    """Begins at ``at`` (Unix seconds), or now; ``set_by`` moves it under the programs that run with ``env``."""

    def __init__(self, file: Path, *, at: float | None = None) -> None:
        self._library = LAB / "libfaketimeMT.so.1"
        if not self._library.exists():
            raise LabError("libfaketime is not set up: run 'make setup'")
        self._file = file
        self._ahead = 0.0 if at is None else at - time.time()
        self._keep()

    @property
    def env(self) -> Mapping[str, str]:
        """What a program needs to live by this clock; files keep their real times, which Asterisk's STAT tells nobody."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "FAKETIME_DONT_RESET": "1",
        }

    def now(self) -> float:
        return time.time() + self._ahead

    def set_by(self, seconds: float) -> None:
        """Set it this many seconds forward, or back."""
        self._ahead += seconds
        self._keep()

    def _keep(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._ahead:+.3f}")
        new.replace(self._file)  # a reader never sees half of it
