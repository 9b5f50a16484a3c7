"""``python -m fuzz.under_atheris TARGET [libFuzzer's arguments]``: one target in this process, until it breaks.

Law: the code of ctid is instrumented as it is imported, so that nothing of it may be imported before.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

TARGETS: Final = (
    "ami",
    "calls",
    "commands",
    "numbers",
    "names",
    "lists",
    "pbxlogs",
    "wav",
    "settings",
    "journal",
    "http",
)


def main() -> None:
    import atheris  # noqa: PLC0415 - on other machines there is none, and the list of targets is read all the same
    import structlog  # noqa: PLC0415

    target, *limits = sys.argv[1:]
    with atheris.instrument_imports(include=["ctid"]):
        module = import_module(f"fuzz.{target}")
    structlog.configure(
        processors=[lambda *_: (_ for _ in ()).throw(structlog.DropEvent)]
    )  # what is logged is not read
    atheris.Setup([sys.argv[0], *limits], module.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
