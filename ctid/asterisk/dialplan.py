"""Whether the PBX has loaded the ``ctid.conf`` that this daemon was written with.

Law: a daemon beside another dialplan goes on routing what both know; that they differ is said, with the mend.
"""

from __future__ import annotations

from typing import Final

from ctid.asterisk.client import AmiLink, AmiRefused

#: What ``[ctid-version]`` of ``dialplan/ctid.conf`` says: both are raised with each change that the daemon needs.
VERSION: Final = 6
_CONTEXT: Final = "ctid-version"


async def loaded_version(link: AmiLink) -> int:
    """The version that the PBX has loaded; 0 for one that does not say so, or none. Raises ``AmiError``."""
    try:
        told = await link.list("ShowDialPlan", {"Context": _CONTEXT})
    except AmiRefused as error:
        if error.denied:
            raise
        return 0
    found = (event.get("Extension") or "" for event in told)
    return max((int(one) for one in found if one.isdecimal()), default=0)


def mismatch(loaded: int) -> str | None:
    """What is wrong with that version, and the mend, in one line; ``None`` where it is this daemon's own."""
    if loaded == VERSION:
        return None
    if loaded > VERSION:
        return f"ctid.conf is newer (version {loaded}) than this ctid ({VERSION}); install the ctid it came with"
    age = f"version {loaded}" if loaded else "without a version"
    return (
        f"ctid.conf is older ({age}) than this ctid ({VERSION}); copy dialplan/ctid.conf of this ctid over it, compare the"
        " samples beside it, then: asterisk -rx 'core reload'"
    )
