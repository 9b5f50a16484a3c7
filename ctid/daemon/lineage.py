"""Which runs of this daemon the PBX obeyed and the database elected, by their epochs: what the next run may go on with.

Law: the journal is taken up by a run before whom no other daemon has acted since it was written, and put aside by any other.
Who is about to be elected writes down first, the lock in hand, which of the two it will be: then the next run knows it,
wherever this one falls, and whether or not the answer to its election ever came.
"""

from __future__ import annotations

from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_NOBODY = "-"


class Lineage:
    """``file`` holds what is left to the next run, ``epoch`` names this one.

    ``obeyed`` is the last run whom the PBX obeyed, ``ours`` whether the journal is this one's to take up.
    """

    def __init__(self, file: Path, *, epoch: str) -> None:
        self._file = file
        self._epoch = epoch
        lines = _lines(file)
        self.obeyed = lines[0] if lines else None
        self._heirs = {line for line in lines[1:] if line is not None}
        self.ours = True

    def electing(self, holder: str | None) -> None:
        """This run is about to be elected after ``holder``, ``None`` where nobody ever was."""
        self.ours = holder is None or holder in self._heirs
        self._heirs = {heir for heir in (holder, self._epoch) if heir is not None} if self.ours else set()
        self._save()

    def obeys(self) -> None:
        """The PBX obeys this run."""
        self.obeyed = self._epoch
        self._save()

    def inherited(self) -> None:
        """The journal of before was taken up, or put aside: what is in it from now on is this run's."""
        self._heirs = {self._epoch}
        self._save()

    def _save(self) -> None:
        length = len(self._epoch)
        heirs = [*sorted(self._heirs), _NOBODY, _NOBODY][:2]
        text = "\n".join((name or _NOBODY).ljust(length, _NOBODY) for name in (self.obeyed, *heirs))
        try:
            self._file.touch(mode=0o600)
            with self._file.open("r+") as file:  # over the one before, of the same length: a full disk takes it
                file.write(text)
        except OSError as error:
            log.warning("state.not_marked", file=str(self._file), error=error.strerror)


def _lines(file: Path) -> list[str | None]:
    try:
        return [line.rstrip(_NOBODY) or None for line in file.read_text().split()]
    except (OSError, UnicodeDecodeError):
        return []
