"""How what was decided is sent to the PBX: at once, or not at all.

Law: what was decided too long ago is not sent, nothing is sent twice, and whoever asked hears once what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ctid.asterisk.client import AmiError, AmiLink

#: Seconds from the decision after which a command is not sent any more, and from sending after which no answer counts.
DEADLINE: Final = 3.0

#: Its name and its headers.
Action = tuple[str, Mapping[str, str]]


class NotSent(AmiError):  # noqa: N818 - reads as what happened
    """The PBX certainly was not asked."""


def send(link: AmiLink, *actions: Action, on_reply: Callable[[AmiError | None], None], late: float = 0.0) -> None:
    """Send these in one write, without waiting; ``late`` seconds after they were decided.

    ``on_reply`` is called once, now or later: with ``None`` when all were done, with the first one's error that failed, with
    ``NotSent`` if none of them was sent.
    """
    if late > DEADLINE:
        on_reply(NotSent(f"decided {late:.1f} s ago, too late to be sent"))
        return
    try:
        link.send_now(*actions, on_reply=on_reply, deadline=DEADLINE)
    except (AmiError, ValueError) as error:
        on_reply(NotSent(str(error)))


def told_nobody(_: AmiError | None) -> None:
    """For what is asked again soon, or needs no answer."""
