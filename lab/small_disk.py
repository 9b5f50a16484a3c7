"""A disk of a few megabytes that can be filled: a tmpfs of its own, which root may mount.

Law: it is really full, for everybody: no write is told to fail.
"""

import errno
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.process import LabError


class SmallDisk:
    """Mounted at ``folder`` within the ``with``; ``size`` in bytes."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self._size = size
        self._ballast = folder / "ballast"
        self._away = False

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        options = f"size={self._size},mode=0755"
        _run("mount", "-t", "tmpfs", "-o", options, "ctid-lab", str(self.folder))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._away:
            self.mount()
        _run("umount", "--lazy", str(self.folder))

    def fill(self) -> None:
        """Take what room there is, to the last byte."""
        with self._ballast.open("ab", buffering=0) as file:
            for piece in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(piece))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)

    def read_only(self, yes: bool) -> None:  # noqa: FBT001 - the answer is the sentence
        """Let nobody write there, or everybody again; nobody may be writing just then."""
        _run("mount", "-o", "remount,ro" if yes else "remount,rw", str(self.folder))

    def unmount(self) -> None:
        """In its place there is an empty folder that nobody can write to; who has a file open goes on writing it."""
        _run("mount", "-t", "tmpfs", "-o", "size=4k,ro", "ctid-lab", str(self.folder))
        self._away = True

    def mount(self) -> None:
        """It is back as it was left."""
        _run("umount", "--lazy", str(self.folder))
        self._away = False

    @property
    def room(self) -> int:
        """What can still be written, in bytes."""
        left = os.statvfs(self.folder)
        return left.f_bavail * left.f_frsize


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise LabError(f"a small disk cannot be mounted or unmounted, be root: {done.stderr.decode().strip()}")
