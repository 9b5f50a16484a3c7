"""What SIPp, Asterisk's CDR and CEL, ctid's books, its metrics and the recordings say of the same calls, each read apart.

Law: nothing is judged here, that is ``lab.counting``'s. Nothing is read before all is settled, or that was waited for in vain.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from lab import tones
from lab.dialogs import Dialog, read_dialogs
from lab.process import LabError, until
from lab.site import Site
from lab.written import Channel, Record, Span, read_cdr, read_cel

#: A recording without a second of sound: its header alone.
EMPTY = 44

Book = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What each source says.

    ``agents`` are the phones' names, ``cuts`` the times, from and until, when the PBX was dead, ``refusals`` those when it took
    no new calls, ``unrecorded`` those when it could not write a file; ``unsettled`` is what was still to come when nobody
    waited any longer.
    ``heard`` are seconds of sound and SHA-256 by a recording's path, ``metrics`` the page's samples by name with labels.
    """

    agents: frozenset[str]
    dialogs: Sequence[Dialog]
    channels: Mapping[str, Channel]
    records: Sequence[Record]
    books: Sequence[Book]
    report: Mapping[str, Book]
    compared: Book
    metrics: Mapping[str, float]
    log: Sequence[str]
    heard: Mapping[str, tuple[float, str]]
    cuts: Sequence[Span] = ()
    refusals: Sequence[Span] = ()
    unrecorded: Sequence[Span] = ()
    unsettled: str = ""


async def gather(
    site: Site,
    *,
    cuts: Sequence[Span] = (),
    refusals: Sequence[Span] = (),
    unrecorded: Sequence[Span] = (),
    metrics_port: int | None = None,
    logs: Sequence[Path] = (),
    zone: str = "Asia/Shanghai",
    limit: float = 40.0,
    files: bool = True,
) -> Evidence:
    """Ask every source, once nothing is under way any more: ``limit`` is how many seconds that is waited for.

    Without ``files`` the recordings are not looked at: of a run that deletes them. ``metrics_port`` and ``logs`` are those of
    who acts, and of all its daemons, where the site has not the one of its own.
    """
    port = metrics_port or site.metrics_port
    unsettled = ""

    async def settled() -> bool:
        nonlocal unsettled
        unsettled = await _unsettled(site, port)
        return not unsettled

    with contextlib.suppress(LabError):  # `judge` tells it
        await until(settled, "the books are settled", limit=limit, every=0.5)
    day = datetime.now(ZoneInfo(zone)).date().isoformat()
    books = json.loads(await site.ctid("calls", "--json"))
    report = json.loads(await site.ctid("report", "day", "--json"))
    _, compared, said = await site.ctid_full("compare", "--date", day, "--json")
    if not compared:
        raise LabError(f"ctid compare says nothing: {said}")
    root = site.asterisk.monitor_dir
    return Evidence(
        agents=frozenset((*site.agents, *site.registering)),
        dialogs=await asyncio.to_thread(read_dialogs, sorted((site.folder / "sipp").glob("*.messages"))),
        channels=await asyncio.to_thread(read_cel, site.asterisk.cel_file, cuts),
        records=read_cdr(site.asterisk.cdr_file),
        books=books,
        report={row["agent"]: row for row in report},
        compared=json.loads(compared)[0],
        metrics=await asyncio.to_thread(read_metrics, port),
        log=[
            line
            for file in logs or (site.folder / "run.out",)
            for line in file.read_text(errors="replace").splitlines()
        ],
        heard=await asyncio.to_thread(_hear, root) if files else {},
        cuts=cuts,
        refusals=refusals,
        unrecorded=unrecorded,
        unsettled=unsettled,
    )


def read_metrics(port: int) -> dict[str, float]:
    """The samples of a metrics page of this machine, by their names with labels as they stand there."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


async def _unsettled(site: Site, port: int) -> str:
    """What is still to come; nothing where all is over and in the books."""
    metrics = await asyncio.to_thread(read_metrics, port)
    if not metrics.get("ctid_ami_connected"):
        return "ctid is not connected to the PBX"
    if metrics.get("ctid_db_pending_writes"):
        return f"{metrics['ctid_db_pending_writes']:g} writes wait for the database"
    channels = await site.asterisk.cli("core show channels count")
    if "0 active channels" not in channels:
        return f"the PBX has {channels.partition(chr(10))[0]}"
    calls = json.loads(await site.ctid("calls", "--json"))
    if under_way := [call["id"] for call in calls if call["outcome"] is None]:
        return f"under way in the books: {', '.join(under_way)}"
    root = site.asterisk.monitor_dir
    unread = [
        r["path"]
        for call in calls
        for r in call["recordings"]
        if r["state"] == "recording" or (r["state"] == "missing" and (root / r["path"]).exists())
    ]
    return f"recordings not looked at: {', '.join(unread)}" if unread else ""


def _hear(root: Path) -> dict[str, tuple[float, str]]:
    return {
        str(path.relative_to(root)): (
            max(0, path.stat().st_size - EMPTY) / (2 * tones.RATE),
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in root.rglob("*.wav")
    }
