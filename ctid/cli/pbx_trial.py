"""What ``ctid doctor`` finds at the PBX: login, rights, dialplan, clock, phones, and whether a ctid acts there.

Law: nothing that a caller could notice is done; the one variable that is set is unset again.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from ctid.asterisk.client import (
    AmiDown,
    AmiError,
    AmiLink,
    AmiRefused,
    AmiSettings,
    Snapshot,
    WrongSecretError,
)
from ctid.asterisk.dialplan import loaded_version, mismatch
from ctid.asterisk.fallback import NoQueueError, read_queue, try_rights
from ctid.cli.findings import Finding, fail, ok, warn
from ctid.cli.pbx_files import pbx_files, stamps_events, variable
from ctid.cli.showing import counted
from ctid.domain.types import Agent

if TYPE_CHECKING:
    from ctid.config import Settings

_CONTEXTS = (
    "ctid-inbound",
    "ctid-outbound",
    "ctid-wait",
    "ctid-dial",
    "ctid-overflow",
    "ctid-failsafe",
    "ctid-hangup",
)
_WRITTEN_FOR = (18, 20, 22)
#: Seconds after which the dialplan takes a ctid for dead, where the site sets none.
_LEASE = 3
_NAMED = 5


class _SeenError(Exception):
    """Everything was tried; ends the link's one session."""


class _Trial(AmiLink):
    """A link that is made once: what ``run`` would try again, and log, is raised."""

    async def once(self) -> None:
        await self._live()


async def try_pbx(ami: AmiSettings, settings: Settings, roster: Sequence[Agent]) -> list[Finding]:
    """What was found, in the order tried; never raises for what a PBX may do."""
    found: list[Finding] = []
    where = f"{ami.host}:{ami.port}"

    async def look(link: AmiLink) -> None:
        found.append(ok("PBX", f"{where} lets user {ami.username!r} in"))
        try:
            async for finding in _tried(link, settings, roster):
                found.append(finding)  # noqa: PERF401 - what was found before a failure counts
        except AmiError as error:
            found.append(fail("PBX", f"{error}; see the PBX's log, then run this again"))
        raise _SeenError

    link = _Trial(ami, on_messages=lambda _: None, on_up=look, on_down=lambda: None)
    try:
        await link.once()
    except _SeenError:
        pass
    except (WrongSecretError, AmiDown) as error:
        found.append(fail("PBX", str(error)))
    except (AmiError, OSError) as error:
        found.append(
            fail("PBX", f"{where} cannot be reached ({error}); is Asterisk running, and [ami] host and port right?")
        )
    return found


async def try_originating(settings: AmiSettings) -> Finding:
    """Whether the user that makes calls is let in, and may do no more than that; no call is made."""
    found: list[Finding] = []

    async def look(link: AmiLink) -> None:
        found.append(await _only_originates(link, settings.username))
        raise _SeenError

    link = _Trial(settings, on_messages=lambda _: None, on_up=look, on_down=lambda: None)
    try:
        await link.once()
    except _SeenError:
        pass
    except WrongSecretError as error:
        found.append(fail("callbacks", str(error)))
    except (AmiError, OSError) as error:
        found.append(fail("callbacks", f"the user that makes calls cannot log in: {error}"))
    return found[0]


async def _only_originates(link: AmiLink, username: str) -> Finding:
    try:
        # No channel is named, so none is made: the PBX says so, or that the user may not.
        await link.call("Originate", {"Channel": "", "Context": "ctid-callback", "Exten": "s", "Priority": "1"})
    except AmiRefused as error:
        if error.denied:
            return fail("callbacks", f"user {username!r} may not make calls; give it write=originate in manager.conf")
    try:
        await link.call("Setvar", {"Variable": "CTID_DOCTOR", "Value": ""})
    except AmiRefused as error:
        if error.denied:
            return ok("callbacks", f"user {username!r} may make calls, and nothing else")
    return warn("callbacks", f"user {username!r} may do more than make calls; leave it write=originate alone")


async def _tried(link: AmiLink, settings: Settings, roster: Sequence[Agent]) -> AsyncIterator[Finding]:
    yield await _routes(link)
    try:
        snapshot = await link.snapshot()
    except AmiRefused as error:
        yield fail("PBX state", f"{error}; ctid needs write=call,reporting there")
        return
    yield ok("PBX state", f"channels, bridges and {len(snapshot.devices)} device states can be read")
    yield await _version(link)
    yield await _dialplan(link)
    yield await _queue(link)
    yield _phones(snapshot, roster)
    yield await _acting(link)
    yield await _events(link)
    async for finding in pbx_files(link, settings):
        yield finding


async def _routes(link: AmiLink) -> Finding:
    try:
        await link.call("Setvar", {"Variable": "CTID_DOCTOR", "Value": "1"})
        await link.call("Setvar", {"Variable": "CTID_DOCTOR", "Value": ""})
    except AmiRefused as error:
        return fail("PBX rights", f"{error}; without write=call no call can be routed")
    return ok("PBX rights", "ctid may set variables, as it does to route a call")


async def _version(link: AmiLink) -> Finding:
    settings = await link.call("CoreSettings")
    version = settings.get("AsteriskVersion") or "unknown"
    number = re.match(r"(?:certified[/-])?(\d+)\.", version)
    if number is None or int(number[1]) not in _WRITTEN_FOR:
        return warn("Asterisk", f"version {version}: ctid is written for 18, 20 and 22; try each kind of call once")
    return ok("Asterisk", f"version {version}")


async def _events(link: AmiLink) -> Finding:
    if not link.events["FullyBooted"]:
        return fail("events", "none came after login; set read=call,user,system for this user in manager.conf")
    if link.lag is not None:
        return ok("events", f"come with Timestamps; the newest was {link.lag * 1000:.0f} ms old")
    # Asterisk's greeting never has a Timestamp, and no action that ctid has the right to makes another event.
    if link.events.total() == link.events["FullyBooted"] and await stamps_events(link):
        return ok("events", "come; manager.conf asks for their Timestamps")
    return fail("events", "come without Timestamp; set timestampevents = yes in [general] of manager.conf")


async def _dialplan(link: AmiLink) -> Finding:
    missing = []
    for context in _CONTEXTS:
        try:
            await link.list("ShowDialPlan", {"Context": context})
        except AmiRefused as error:
            if error.denied:
                return warn("dialplan", f"cannot be looked at: {error}")
            missing.append(context)
    if missing:
        return fail(
            "dialplan",
            f"has no {', '.join(missing)}; include ctid.conf from extensions.conf, then: asterisk -rx 'dialplan reload'",
        )
    if (wrong := mismatch(await loaded_version(link))) is not None:
        return fail("dialplan", wrong)
    return ok("dialplan", f"all {len(_CONTEXTS)} contexts of ctid.conf are loaded, the version is this ctid's own")


async def _queue(link: AmiLink) -> Finding:
    try:
        queue = await read_queue(link)
        await try_rights(link, queue)
    except NoQueueError as error:
        return fail("fallback", str(error))
    except AmiRefused as error:
        if error.denied:
            return fail("fallback", "the queue cannot follow sign-ins; give ctid's user write=agent in manager.conf")
        return warn("fallback", f"{error}")
    if not queue.members:
        return warn(
            "fallback",
            f"queue {queue.name} has no members: nobody is signed in, and nobody is rung while ctid is away; sign in, or"
            " add a member => line for a phone of last resort",
        )
    return ok("fallback", f"queue {queue.name} has {counted(len(queue.members), 'member')}, and ctid may change them")


def _phones(snapshot: Snapshot, roster: Sequence[Agent]) -> Finding:
    states: dict[str, str] = {}
    for device in snapshot.devices:
        technology, _, endpoint = (device.get("Device") or "").partition("/")
        if endpoint and technology not in ("Local", "Queue"):
            states[endpoint] = (device.get("State") or "").upper()
    phones = {agent.phone: agent.id for agent in roster if agent.enabled and agent.phone}
    unknown = [f"{phone} ({agent})" for phone, agent in phones.items() if phone not in states]
    away = [f"{phone} ({agent})" for phone, agent in phones.items() if states.get(phone) in ("UNAVAILABLE", "INVALID")]
    if unknown:
        return warn(
            "phones", f"the PBX knows no {_some(unknown)}; mend the phone in the list of agents, or the endpoint"
        )
    if away:
        return warn("phones", f"not registered: {_some(away)}; their agents get no calls until they are")
    return ok("phones", f"the PBX knows all {len(phones)} phones of the agents")


async def _acting(link: AmiLink) -> Finding:
    beat = await variable(link, "CTID_HEARTBEAT")
    # By the PBX's clock, as the dialplan compares it.
    age = link.clock.shown() - float(beat) if re.fullmatch(r"\d{1,12}", beat) else None
    if age is None or abs(age) > _LEASE + 1:
        return warn("ctid run", "does not act on this PBX now, so callers go to the fallback queue; start it")
    return ok("ctid run", "acts on this PBX")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
