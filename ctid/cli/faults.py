"""How a command ends: every fault as one line with its exit status.

Law: what the user can mend is exit status 2; anything else is ctid's own fault and 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from ctid.cli.showing import complain

USERS_FAULT = 2
OWN_FAULT = 1
INTERRUPTED = 130
#: As a process that SIGPIPE ended: who reads the output has had enough.
PIPE_CLOSED = 141


#: What the rooms raise for the user to mend, by module, so that no room is imported for it.
MENDABLE = (
    ("ctid.asterisk.pbx_day", "PbxFileError"),
    ("ctid.asterisk.recorded_day", "NoDayError"),
    ("ctid.asterisk.tape", "TapeError"),
    ("ctid.asterisk.wire", "WireError"),
    ("ctid.db.calls", "NoSuchCall"),
    ("ctid.db.csvfile", "CsvFault"),
    ("ctid.db.erasure", "ErasureRefused"),
    ("ctid.db.session", "DatabaseFault"),
    ("ctid.db.users", "UserFault"),
    ("ctid.metrics", "AddressTakenError"),
    ("ctid.tls", "TlsFault"),
    ("ctid.web.serve", "AddressTakenError"),
)


class Fault(Exception):  # noqa: N818 - the user's to mend
    """One line that says what is wrong and what to do."""


@contextmanager
def ended() -> Iterator[None]:
    """Turn whatever leaves the command within into an exit status, and a line that says why."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end: into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(PIPE_CLOSED) from None
    except (KeyboardInterrupt, typer.Abort):
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        if os.environ.get("CTID_DEBUG") == "1":
            raise
        lines = told(error)
        for line in lines or (_own(error),):
            complain(line)
        raise SystemExit(USERS_FAULT if lines else OWN_FAULT) from None


def _own(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"internal error: {type(error).__name__}: {error}; CTID_DEBUG=1 shows where"


def told(error: Exception) -> tuple[str, ...]:
    """What the user can mend, a line each; empty for a fault of ctid's own."""
    if isinstance(error, ExceptionGroup):
        parts = [told(one) for one in error.exceptions]
        return tuple(line for lines in parts for line in lines) if all(parts) else ()
    # The parser's errors have no public base class; this is what all of them have.
    if callable(say := getattr(error, "format_message", None)):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "ctid"
        return (f"{say().rstrip('.')}; see: {command} --help",)
    if isinstance(faults := getattr(error, "faults", None), tuple):  # ConfigurationFaults
        return faults
    return (str(error),) if isinstance(error, (Fault, *_mendable())) else ()


def _mendable() -> Iterator[type[Exception]]:
    """The mendable faults of the rooms that were imported: no other can have come up."""
    for module, name in MENDABLE:
        if module in sys.modules:
            yield getattr(sys.modules[module], name)
