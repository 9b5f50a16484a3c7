"""``replay --policy``: a recorded day beside the same day under another policy."""
# ruff: noqa: PLC0415 - a command imports what it needs

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ctid.cli.showing import complain, say, say_json, table

if TYPE_CHECKING:
    from ctid.asterisk.recorded_day import RecordedDay
    from ctid.config import Settings
    from ctid.domain.types import Agent, CallerFile, Line
    from ctid.whatif import Figures

RECORDED, OWN, POLICY = "recorded", "own_policy", "policy"
_TITLES = {RECORDED: "as it went", OWN: "own policy, rerun", POLICY: "{policy}, rerun"}
_NOTE = """\
Compare the two reruns: callers, patience, talk and phones are the same in both, and only the routing differs. What stands \
"as it went" shows how near the rerun of the own policy comes to the day itself.
Wait: to the first answer, or to giving up. Talk: of these calls. Fairness is Jain's index of it: 1 where all agents talked \
the same, 1/n where one of n had it all. Owner: who first answered the caller that day, or owns their ticket."""


def show(
    chunks: Iterable[bytes], policy: Path, site: Settings | None, lists: Mapping[str, Path], *, as_json: bool
) -> None:
    """Rerun the day under the site's policy and under that of the file, and show both beside the day as it went.

    ``lists`` are CSV files as ``ctid import`` reads them, by the list's name.
    """
    from ctid.asterisk.recorded_day import read
    from ctid.config import load_policy
    from ctid.domain.rerun import rerun
    from ctid.domain.types import Policy
    from ctid.whatif import figures

    other = load_policy(policy, site)
    lines = site.domain_lines() if site else ()
    people = _People(site or other, lists)
    found = read(chunks, lines=lines, roster=people.roster)
    found, owners = people.known_to(found)
    _complain_of_strangers(policy.name, other.domain_lines(), found.day.agents)
    agents = [agent.id for agent in found.day.agents]
    columns = {
        RECORDED: figures(found.calls, agents, owners),
        OWN: figures(rerun(found.day, site.policy() if site else Policy(), lines), agents, owners),
        POLICY: figures(rerun(found.day, other.policy(), other.domain_lines()), agents, owners),
    }
    if as_json:
        say_json({"day": name, **asdict(column)} for name, column in columns.items())
        return
    titles = [title.format(policy=policy.name) for title in _TITLES.values()]
    table("", *titles, rows=[(name, *cells) for name, *cells in _rows(list(columns.values()))])
    if site is not None:
        say(f"{policy.name} {_differs(site, other)}")
    else:
        say("The own policy is ctid's default: name the site's with --config.")
    for line in _NOTE.splitlines():
        say(line)


def _differs(site: Settings, other: Settings) -> str:
    """What the policy has otherwise than the site; what it leaves out is the site's own."""
    own = dict(site.routing)
    keys = [f"{key} = {_value(value)}, not {_value(own[key])}" for key, value in other.routing if value != own[key]]
    if other.lines != site.lines:
        keys.append("lines")
    return f"differs from the site's own policy in: {'; '.join(keys)}." if keys else "is the site's own policy."


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _rows(columns: list[Figures]) -> list[tuple[str, ...]]:
    from ctid.explaining import duration

    counts = {
        "calls": "calls",
        "answered": "answered",
        "gave up": "abandoned",
        "sent on, or closed": "sent_on",
        "offers": "offers",
        "offers not taken": "missed",
    }
    times = {
        "wait, mean": "wait_mean",
        "wait, median": "wait_median",
        "wait, 90 of 100 below": "wait_p90",
        "wait, longest": "wait_longest",
        "talk, least of an agent": "talk_least",
        "talk, median": "talk_median",
        "talk, most": "talk_most",
    }
    return [
        *((title, *(str(getattr(column, name)) for column in columns)) for title, name in counts.items()),
        *((title, *(duration(getattr(column, name)) for column in columns)) for title, name in times.items()),
        ("agents", *(str(column.agents) for column in columns)),
        ("fairness of talk", *(f"{column.fairness:.3f}" for column in columns)),
        ("reached their owner", *(f"{column.owner_hits} of {column.owner_calls}" for column in columns)),
    ]


def _complain_of_strangers(name: str, lines: Iterable[Line], agents: Iterable[Agent]) -> None:
    known = {agent.id for agent in agents}
    for line in lines:
        if line.agents is not None and not known & set(line.agents):
            complain(
                f"warning: {name}: none of the agents of line {line.name} is in the stream, where agents are known by"
                " their phones; give the list of agents with --agents"
            )


class _People:
    """Who agents and callers are, by lists that are imported into a database made for it and thrown away."""

    def __init__(self, site: Settings, lists: Mapping[str, Path]) -> None:
        self._site = site
        self._lists = lists
        self.roster: tuple[Agent, ...] = ()
        self._files: dict[str, CallerFile] = {}
        if "agents" in lists:
            self.roster, _ = asyncio.run(self._looked_up(()))

    def known_to(self, found: RecordedDay) -> tuple[RecordedDay, dict[str, str]]:
        """The day with its callers known, and the owners of those who have a ticket."""
        if not self._lists:
            return found, {}
        callers = {arrival.caller for arrival in found.day.arrivals if arrival.caller is not None}
        _, files = asyncio.run(self._looked_up(sorted(callers)))
        arrivals = tuple(
            replace(arrival, file=files.get(arrival.caller or "", arrival.file)) for arrival in found.day.arrivals
        )
        owners = {caller: file.owner for caller, file in files.items() if file.owner is not None}
        return replace(found, day=replace(found.day, arrivals=arrivals)), owners

    async def _looked_up(self, callers: Iterable[str]) -> tuple[tuple[Agent, ...], dict[str, CallerFile]]:
        from ctid.db import migrations
        from ctid.db.agents import Agents
        from ctid.db.callers import Callers
        from ctid.db.importing import Kind, Site, import_csv
        from ctid.db.session import engine

        routing = self._site.routing
        how = Site(country=routing.country, timezone=ZoneInfo(routing.timezone), outside_prefix=routing.outside_prefix)
        with tempfile.TemporaryDirectory(prefix="ctid-") as folder:
            database = engine(f"sqlite:///{folder}/lists.db")
            try:
                await migrations.upgrade(database)
                for kind in Kind:
                    if (file := self._lists.get(kind.value)) is not None:
                        done = await import_csv(database, kind, file, how)
                        for line in done.bad:
                            complain(f"{file.name}: line {line.line}: {line.reason}")
                callers_of = Callers(database, country=routing.country, outside_prefix=routing.outside_prefix)
                files = {caller: await callers_of.identify(caller) for caller in callers}
                return await Agents(database).roster(), files
            finally:
                await database.dispose()
