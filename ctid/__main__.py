"""``python -m ctid`` is ``ctid``."""

from ctid.cli import main

main()
