"""What ``ctid doctor`` finds in the PBX's own configuration files: features, music, CEL, CDR.

Law: they are read as the PBX reads them, through AMI; only what ctid.toml makes use of is asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from ctid.asterisk.client import AmiLink, AmiRefused
from ctid.asterisk.wire import UnsendableError
from ctid.cli.findings import Finding, ok, warn

if TYPE_CHECKING:
    from ctid.config import Settings

#: What the backfill after an outage and the nightly comparison are made of.
_CEL_EVENTS: Final = (
    *("CHAN_START", "CHAN_END", "ANSWER", "HANGUP", "BRIDGE_ENTER", "BRIDGE_EXIT", "BLINDTRANSFER"),
    *("ATTENDEDTRANSFER", "PICKUP", "LOCAL_OPTIMIZE", "LINKEDID_END", "USER_DEFINED"),
)
_RELOAD: Final = "then: asterisk -rx 'core reload'"
#: Debian's builds, whose recordings must begin anew when the voices change, bear it in their version.
_DEBIAN: Final = "dfsg"
#: What Asterisk takes for true.
_YES: Final = ("yes", "true", "y", "t", "1", "on")


async def pbx_files(link: AmiLink, settings: Settings) -> AsyncIterator[Finding]:
    """A finding for each file that the settings make use of. Raises ``AmiError``."""
    if not await _set(link, "manager.conf", "general", "enabled"):
        yield warn("PBX files", "cannot be looked at; load func_config, which ctid.conf needs, in modules.conf")
        return
    yield await _features(link)
    yield await _transfers(link)
    yield await _pauses(link)
    for finding in (await _music(link, settings), await _cel(link, settings), await _cdr(link, settings)):
        if finding is not None:
            yield finding


async def stamps_events(link: AmiLink) -> bool:
    """Whether manager.conf asks for Timestamps. Raises ``AmiError``."""
    return (await _set(link, "manager.conf", "general", "timestampevents")).lower() in _YES


async def _features(link: AmiLink) -> Finding:
    there = await _set(link, "features.conf", "applicationmap", "ctid-renew")
    if _DEBIAN not in await variable(link, "VERSION()"):
        return ok("features", "this build of Asterisk needs no ctid-renew")
    if not there:
        return warn(
            "features",
            "features.conf has no ctid-renew: after a transfer or a hold, recordings lack voices; take [applicationmap] of"
            f" features.conf.sample, {_RELOAD}",
        )
    if await variable(link, "CTID_RENEW") == "no" and not await _set(link, "extensions.conf", "globals", "CTID_RENEW"):
        return warn(
            "features",
            "ctid-renew came after the first call, and is not used yet; asterisk -rx 'dialplan set global CTID_RENEW yes'",
        )
    return ok("features", "features.conf has ctid-renew, for all voices in the recordings")


async def _transfers(link: AmiLink) -> Finding:
    """Asterisk asks a colleague for the agent by pressing the agent's keys, and knows those that features.conf gives."""
    if await _set(link, "features.conf", "featuremap", "atxfer"):
        return ok("transfers", "features.conf has the keys by which a colleague is asked first")
    return warn(
        "transfers",
        "features.conf has no atxfer: no colleague can be asked before a caller is given over; take [featuremap] of"
        f" features.conf.sample, {_RELOAD}",
    )


async def _pauses(link: AmiLink) -> Finding:
    """The key by which an agent pauses the recording from their phone."""
    if not await _set(link, "features.conf", "applicationmap", "ctid-pause"):
        return warn(
            "pauses",
            "features.conf has no ctid-pause: agents can pause a recording from their desks alone; take [applicationmap] of"
            f" features.conf.sample, {_RELOAD}",
        )
    if await variable(link, "CTID_MUTE") == "no":
        return warn(
            "pauses",
            "ctid-pause came after the first call, and is not used yet; asterisk -rx 'dialplan set global CTID_MUTE yes'",
        )
    return ok("pauses", "features.conf has the key that pauses a recording")


async def _music(link: AmiLink, settings: Settings) -> Finding | None:
    classes = sorted({line.music for line in settings.lines if line.music is not None})
    missing = [name for name in classes if not await _set(link, "musiconhold.conf", name, "mode")]
    if missing:
        return warn(
            "music",
            f"musiconhold.conf has no {', '.join(missing)}: callers wait in silence; add the class, or mend music of"
            " [[lines]]",
        )
    return ok("music", f"musiconhold.conf has {', '.join(classes)}") if classes else None


async def _cel(link: AmiLink, settings: Settings) -> Finding | None:
    if settings.cel.file is None:
        return None
    if (await _set(link, "cel.conf", "general", "enable")).lower() not in _YES:
        return warn("CEL events", f"CEL is off; set enable = yes in cel.conf as in cel.conf.sample, {_RELOAD}")
    written = {word.strip().upper() for word in (await _set(link, "cel.conf", "general", "events")).split(",")}
    lacking = [] if "ALL" in written else [event for event in _CEL_EVENTS if event not in written]
    if lacking:
        return warn(
            "CEL events",
            f"cel.conf leaves out {', '.join(lacking)}: what an outage hid is pieced together wrongly; take events = of"
            f" cel.conf.sample, {_RELOAD}",
        )
    name = settings.cel.file.name
    if not await _set(link, "cel_custom.conf", "mappings", name):
        return warn("CEL events", f"cel_custom.conf does not write {name}; take cel_custom.conf.sample, {_RELOAD}")
    return ok("CEL events", f"all {len(_CEL_EVENTS)} that ctid reads are written to {name}")


async def _cdr(link: AmiLink, settings: Settings) -> Finding | None:
    if settings.cdr.file is None:
        return None
    # Where cdr.conf says nothing, CDR is on.
    if (await _set(link, "cdr.conf", "general", "enable") or "yes").lower() not in _YES:
        return warn("CDR records", f"CDR is off; set enable = yes in cdr.conf, {_RELOAD}")
    name = settings.cdr.file.name
    if not await _set(link, "cdr_custom.conf", "mappings", name):
        return warn("CDR records", f"cdr_custom.conf does not write {name}; take cdr_custom.conf.sample, {_RELOAD}")
    return ok("CDR records", f"are written to {name}")


async def _set(link: AmiLink, file: str, section: str, key: str) -> str:
    """What the file sets; empty for nothing."""
    return await variable(link, f"AST_CONFIG({file},{section},{key})")


async def variable(link: AmiLink, name: str) -> str:
    """A global's or a function's value; empty for none. Raises ``AmiError`` where the link fails."""
    try:
        answer = await link.call("Getvar", {"Variable": name})
    except (AmiRefused, UnsendableError):  # it has none of that name, or can have none
        return ""
    return answer.get("Value") or ""
