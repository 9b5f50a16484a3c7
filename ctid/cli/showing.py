"""What a terminal is shown: text from outside made harmless, times of the site, one complaint a line.

Law: no text from outside is obeyed, neither by the terminal nor by rich's markup. People read the site's time zone, machines
read UTC.
"""

from __future__ import annotations

import sys


def plain(text: str) -> str:
    """The text on one line, with nothing in it that a terminal obeys."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def complain(line: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(f"ctid: {plain(line)}\n")
