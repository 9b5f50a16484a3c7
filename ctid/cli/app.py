"""Every command of ``ctid`` and where it stands.

Law: this page lists them all; what a command does is in its group's file.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ctid import __version__
from ctid.cli import comparing, daemons, database, doctor, erasing, lists, recording, retention, sounds, telling, users
from ctid.cli.options import ConfigFile

app = typer.Typer(
    name="ctid",
    help="Routes the calls of an Asterisk call centre and keeps the books on them.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"ctid {__version__}")
        raise typer.Exit


@app.callback()
def ctid(
    *,
    config: ConfigFile = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Routes the calls of an Asterisk call centre and keeps the books on them."""


for _command in (daemons.run, daemons.web, doctor.check, doctor.doctor):
    app.command()(_command)
app.add_typer(database.db, name="db")
app.command("import")(database.import_list)
app.command("export")(database.export_list)
for _command in (lists.agents, lists.calls, lists.callbacks, lists.tickets):
    app.command()(_command)
app.add_typer(telling.report, name="report")
app.command()(comparing.compare)
app.command()(retention.retention)
app.add_typer(erasing.erase, name="erase")
app.add_typer(sounds.recordings, name="recordings")
app.command()(telling.explain)
app.command()(telling.replay)
app.command()(recording.record)
app.add_typer(users.user, name="user")
