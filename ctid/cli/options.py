"""What every command takes: ``--config FILE``, before the command's name or after it; the last one counts.

Law: a configuration is read whole before a command does anything, and its warnings go to stderr.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctid.cli.showing import complain

if TYPE_CHECKING:
    from ctid.config import Settings

_META = "ctid.config"


def _last_given(context: typer.Context, given: Path | None) -> Path | None:
    known = context.find_root().meta
    if given is not None:
        known[_META] = given
    return known.get(_META)


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        callback=_last_given,
        help="The configuration. Default: /etc/ctid/ctid.toml",
    ),
]


def read_settings(config: Path | None, *, pbx: bool = False) -> Settings:
    """The settings of ``--config``; raises ``ConfigurationFaults``. ``pbx`` also asks for the AMI secret."""
    from ctid.config import DEFAULT_PATH, load  # noqa: PLC0415 - slow

    settings = load(config or DEFAULT_PATH, pbx=pbx)
    for warning in settings.warnings:
        complain(f"warning: {warning}")
    return settings
