"""The call centre of the load: a site whose agents' phones are one SIPp process, with room for thousands of channels.

Law: ctid is what a user runs, with the configuration a user writes; the lab's own ears (its AMI session with all events, its
subscriber to every topic) are closed before the load, for they would take its processor time and keep all they hear.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from ctid.db.callers import HISTORY
from lab.ami import Ami
from lab.asterisk import Asterisk
from lab.process import until
from lab.site import Site

SIGN_IN_TOGETHER = 10
#: Regular customers, each with an open ticket of somebody's: every second caller is the next of them. They have had as many
#: tickets as ctid shows of anybody from the start, or memory would grow with their files for most of an hour.
REGULARS = 2_000
#: On hold there is silence: 800 callers' music alone would take one and a half cores, and show nothing of ctid. It ends with
#: Asterisk, by the pipe between them.
_SILENCE = "[default]\nmode = custom\napplication = /usr/bin/tail -f /dev/null\n"
#: Ports of the sound: two for each channel, above those the lab's servers choose from.
_RTP = 32768, 48999


def names(agents: int) -> list[str]:
    """Ids of so many agents, which are their phones' names too and sort as numbers do."""
    return [f"agent{number:05d}" for number in range(agents)]


def site(folder: Path, *, agents: int, lines: str = "", routing: str = "") -> Site:
    """A site for a load, not started; ``lines`` and ``routing`` as of ``Site``."""
    people = names(agents)
    made = Site(folder=folder, agents=people, csv=_known(people), lines=lines, routing=routing, rtp_timeout=0)
    at_one_port(made)
    etc = made.asterisk.folder / "etc"
    (etc / "musiconhold.conf").write_text(_SILENCE, encoding="utf-8")
    # As manager.conf.sample has it for large sites: of 800 who wait, these events alone make Asterisk refuse new callers.
    manager = (etc / "manager.conf").read_text(encoding="utf-8")
    spared = "timestampevents = yes\ndisabledevents = Newexten,VarSet,RTCPSent,RTCPReceived\n"
    (etc / "manager.conf").write_text(manager.replace("timestampevents = yes\n", spared, 1), encoding="utf-8")
    rtp = etc / "rtp.conf"
    rtp.write_text(f"[general]\nrtpstart = {_RTP[0]}\nrtpend = {_RTP[1]}\nicesupport = no\n", encoding="utf-8")
    return made


def at_one_port(site: Site) -> int:
    """Have all phones of a site that is not started yet be one SIPp process; its port."""
    file = site.asterisk.folder / "etc" / "pjsip.conf"
    one = next(iter(site.asterisk.phones.values()))
    phones = file.read_text(encoding="utf-8")
    for port in site.asterisk.phones.values():
        phones = phones.replace(f"@127.0.0.1:{port}\n", f"@127.0.0.1:{one}\n")
    file.write_text(phones, encoding="utf-8")
    return one


def numbers(calls: int, *, first: int = 0) -> Iterator[str]:
    """Who calls: every second caller a regular customer, the others each a number of their own."""
    for call in range(first, first + calls):
        yield _regular(call // 2 % REGULARS) if call % 2 else f"139{call:08d}"


async def sign_in_all(site: Site) -> None:
    """Every agent signs in; then the lab's own ears are closed."""
    for first in range(0, len(site.agents), SIGN_IN_TOGETHER):
        await asyncio.gather(*map(site.sign_in, site.agents[first : first + SIGN_IN_TOGETHER]))
    await site.listener.__aexit__()
    await site.asterisk.ami.close()


class Gauge:
    """The metrics page of a daemon, read now and then."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"

    async def read(self) -> dict[str, float]:
        """Every series by its name with labels, as the page writes it."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> dict[str, float]:
        with urllib.request.urlopen(self._url, timeout=10) as page:
            lines = page.read().decode().splitlines()
        return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines if not x.startswith("#"))}


class Console:
    """Asterisk's command line, over a session that hears no events."""

    def __init__(self, asterisk: Asterisk) -> None:
        self._ami: Ami = asterisk.session()

    async def open(self) -> None:
        await self._ami.connect()
        await self._ami.action("Events", EventMask="off")

    async def ask(self, command: str) -> str:
        """What the command prints."""
        answer = await self._ami.action("Command", limit=20, Command=command)
        self._ami.messages.clear()
        return answer.get("Output", "")

    async def close(self) -> None:
        await self._ami.close()


def books(site: Site) -> Path:
    return site.state / "ctid.db"


def count(site: Site, query: str, *values: object) -> int:
    """A number that the books hold, read beside the daemon."""
    with closing(sqlite3.connect(f"file:{books(site)}?mode=ro", uri=True, timeout=30)) as connection:
        (found,) = connection.execute(query, values).fetchone()
    return int(found or 0)


async def all_in_the_books(site: Site, calls: int, *, limit: float) -> None:
    """Wait until so many calls are over in the books and no recording is still to be measured. Raises ``LabError``."""

    def look() -> bool:
        over = count(site, "SELECT count(*) FROM calls WHERE ended_at IS NOT NULL")
        return over >= calls and not count(site, "SELECT count(*) FROM recordings WHERE state = 'recording'")

    await until(look, f"{calls} calls are over in the books, and their recordings measured", limit=limit, every=0.5)


def log_lines(site: Site, *levels: str) -> Iterator[dict[str, object]]:
    """What the daemon logged at these levels."""
    for line in (site.folder / "run.out").read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            told = json.loads(line)
        except json.JSONDecodeError:
            told = {"level": "not JSON", "event": line}
        if told.get("level") in levels:
            yield told


def _regular(number: int) -> str:
    return f"138{number:08d}"


def _known(agents: Sequence[str]) -> dict[str, str]:
    contacts = ["id,customer_id,name,department,title,level,numbers,notes"]
    tickets = ["id,customer_id,contact_id,owner,subject,category,severity,status,created_at,resolved_at"]
    for n in range(REGULARS):
        contacts.append(f"P{n},,Caller {n},,,{n % 5 + 1},{_regular(n)},")
        owner = agents[n % len(agents)]
        tickets += [
            f"I{n}-{old},,P{n},{owner},It stopped again,fault,3,resolved,2026-02-{old:02} 09:30,2026-02-{old:02} 10:30"
            for old in range(1, HISTORY)
        ]
        tickets.append(f"I{n},,P{n},{owner},It stopped again,fault,3,open,2026-03-02 09:30,")
    return {"contacts": "\n".join(contacts) + "\n", "tickets": "\n".join(tickets) + "\n"}
