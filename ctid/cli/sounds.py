"""``recordings``: the list of them, one opened into a file, those sealed that lie there plain, a look for those missing."""
# ruff: noqa: PLC0415 - a command imports what it needs

from __future__ import annotations

import os
import shutil
import stat
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from ctid.cli import lists
from ctid.cli.books import whoever_types, with_books
from ctid.cli.faults import Fault
from ctid.cli.lists import AsJson, Since, Until
from ctid.cli.options import ConfigFile, read_settings
from ctid.cli.retention import refuse_away
from ctid.cli.showing import complain, counted, say, say_json

if TYPE_CHECKING:
    from ctid.db.recordings import Heard
    from ctid.db.session import Engine

#: A file that was written to within these seconds may be written to still.
_AT_REST = 600.0

recordings = typer.Typer(help="Recordings: without a command, the list of them.")


@recordings.callback(invoke_without_command=True)
def listed(
    context: typer.Context,
    *,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """List the recordings of the calls, the oldest first."""
    if context.invoked_subcommand is None:
        lists.recordings(since=since, until=until, as_json=as_json, config=config)


@recordings.command()
def decrypt(
    recording_id: Annotated[str, typer.Argument(metavar="ID")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to; - for stdout.")],
    config: ConfigFile = None,
) -> None:
    """Write a recording's plain sound to a file (0600), whether it is sealed or not; the listen stands in the audit."""
    settings = read_settings(config)
    from ctid.asterisk.recordings import confined, opened
    from ctid.asterisk.sealing import keys_of
    from ctid.db.audits import Audits
    from ctid.db.recordings import Recordings

    async def found(engine: Engine) -> Heard | None:
        heard = await Recordings(engine).one(recording_id)
        if heard is not None:
            await Audits(engine).add("download", heard.id, whoever_types())
        return heard

    heard = with_books(settings, found)
    if heard is None:
        raise Fault(f"there is no recording {recording_id}; see: ctid recordings")
    root = settings.recordings.root
    relative = confined(root, heard.path)
    try:
        stream = None if relative is None else opened(root / relative, root, keys_of(settings.recordings.keys))
    except FileNotFoundError:
        stream = None
    except OSError as error:
        raise Fault(f"{heard.path}: cannot be opened: {error.strerror}") from None
    if stream is None:
        raise Fault(f"recording {recording_id} is {heard.state}: there is no file {heard.path} in {root}")
    try:
        with stream, _target(output) as out:
            shutil.copyfileobj(stream, out)
    except OSError as error:
        raise Fault(f"{output}: not written whole: {error.strerror}") from None


@recordings.command()
def seal(*, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Seal what lies in the recordings folder plain, by the books; the daemon does it each night."""
    settings = read_settings(config)
    if not settings.recordings.encrypt:
        raise Fault("recordings.encrypt: is not set; nothing is sealed")
    os.nice(10)
    from ctid.asterisk import sealing
    from ctid.asterisk.recordings import confined
    from ctid.db.recordings import Recordings

    root, keys = settings.recordings.root, sealing.keys_of(settings.recordings.keys)
    refuse_away(root)
    done, faults = 0, []
    for path in with_books(settings, lambda engine: Recordings(engine).paths(settings.ami.pbx, time.time())):
        relative = confined(root, path)
        file = root / (relative or "")
        try:
            if relative is None or not file.is_file() or file.is_symlink():
                continue
            if time.time() - file.stat().st_mtime > _AT_REST:
                sealing.seal(file, keys)
                done += 1
        except OSError as error:
            faults.append(f"{path}: cannot be sealed: {error.strerror}")
    for fault in faults[:20]:
        complain(fault)
    if as_json:
        say_json([{"sealed": done, "failed": len(faults)}])
    else:
        say(f"{counted(done, 'recording')} sealed, {len(faults)} could not be")


@recordings.command()
def recheck(*, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Look again for recordings of the last 30 days that were missing or could not be read; the daemon does it each hour."""
    settings = read_settings(config)
    os.nice(10)
    from ctid import log
    from ctid.asterisk.recordings import folder_fault
    from ctid.daemon.folder import recheck as look_again

    log.setup("warning", secrets=settings.secrets)
    root = settings.recordings.root
    if (fault := folder_fault(root, used=True)) is not None and not root.is_dir():
        raise Fault(fault)
    done = with_books(settings, lambda engine: look_again(engine, settings.ami.pbx, settings.recordings))
    if as_json:
        say_json([{"found": done.found, "left": done.left}])
    else:
        say(f"{counted(done.found, 'recording')} found, {done.left} are still not there or cannot be read")


def _target(output: Path) -> AbstractContextManager[BinaryIO]:
    if str(output) == "-":
        return nullcontext(sys.stdout.buffer)
    return open(output, "wb", opener=_for_us_alone)


def _for_us_alone(path: str, flags: int) -> int:
    """Also where a file of that name was there, open to others; what is no file, as /dev/null, stays as it is."""
    descriptor = os.open(path, flags, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        try:
            os.fchmod(descriptor, 0o600)
        except OSError:
            os.close(descriptor)
            raise
    return descriptor
