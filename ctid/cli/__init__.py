"""SAYS AND ASKS: the command line, one file per group of commands.

Law: what goes wrong is one line on stderr that says what to do, never a traceback (but with CTID_DEBUG=1). Exit status 0 is
done, 2 the user's fault, 1 ctid's, 130 Ctrl-C. A command imports what it needs when it runs, so that the help is quick.
"""

from __future__ import annotations

from ctid.cli.faults import ended


def main() -> None:
    """The entry point of ``ctid``."""
    with ended():
        from ctid.cli.app import app  # noqa: PLC0415 - within, so that Ctrl-C while importing is quiet too

        # Without its standalone mode typer hands back the status of typer.Exit.
        raise SystemExit(app(standalone_mode=False))
