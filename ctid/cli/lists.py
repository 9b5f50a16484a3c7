"""``agents``, ``calls``, ``callbacks``, ``tickets``, ``recordings``: what the books hold, as tables or as JSON."""
# ruff: noqa: PLC0415 - a command imports what it needs

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

import typer

from ctid.cli.books import with_books
from ctid.cli.faults import Fault
from ctid.cli.options import ConfigFile, read_settings
from ctid.cli.showing import moment, say_json, table

if TYPE_CHECKING:
    from ctid.db.session import Engine
    from ctid.domain.types import CallbackRecord, CallRecord

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON array, times in UTC.")]
Since = Annotated[str | None, typer.Option(metavar="ISO", help="Started then or later; local time without an offset.")]
Until = Annotated[str | None, typer.Option(metavar="ISO", help="Started before then.")]


def agents(*, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """List the agents with their present states."""
    settings = read_settings(config)
    from ctid.calljson import iso, seconds
    from ctid.db import reports
    from ctid.db.agents import Agents
    from ctid.domain.types import AgentState
    from ctid.explaining import duration

    zone = ZoneInfo(settings.routing.timezone)

    async def read(engine: Engine) -> list[dict[str, Any]]:
        now = time.time()
        agents = Agents(engine)
        roster, saved = await agents.roster(), await agents.statuses(settings.ami.pbx)
        statuses = {one.agent: one for one in saved}
        today = await reports.day(engine, on=datetime.fromtimestamp(now, zone).date(), timezone=zone, now=now)
        talked = {one.agent: one.talk_seconds for one in today}
        rows: list[dict[str, Any]] = []
        for agent in roster:
            status = statuses.get(agent.id)
            rows.append(
                {
                    "id": agent.id,
                    "name": agent.name,
                    "phone": (status.phone if status else None) or agent.phone,
                    "level": agent.level,
                    "lines": list(agent.lines),
                    "enabled": agent.enabled,
                    "state": (status.state if status else AgentState.OFFLINE).value,
                    "since": status.since if status else None,
                    "reason": status.reason if status else None,
                    "call_id": status.call_id if status else None,
                    "talk_seconds_today": talked.get(agent.id, 0.0),
                }
            )
        return rows

    rows = with_books(settings, read)
    if as_json:
        say_json(
            {**row, "since": iso(row["since"]), "talk_seconds_today": seconds(row["talk_seconds_today"])}
            for row in rows
        )
        return
    table(
        *("id", "name", "phone", "level", "lines", "state", "since", "reason", "talk today", "call"),
        rows=[
            (
                *(row["id"], row["name"], row["phone"], row["level"], " ".join(row["lines"])),
                row["state"] if row["enabled"] else "disabled",
                *(moment(row["since"], zone), row["reason"], duration(row["talk_seconds_today"]), row["call_id"]),
            )
            for row in rows
        ],
    )


def calls(*, since: Since = None, until: Until = None, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """List the calls, the oldest first."""
    zone, found = _calls(config, since, until)
    from ctid.calljson import call_json
    from ctid.explaining import duration

    if as_json:
        say_json(call_json(call, paths=True) for call in found)
        return
    table(
        *("id", "started", "direction", "caller", "dialled", "line", "outcome", "via", "agent", "talk", "tickets"),
        rows=[
            (
                *(call.id, moment(call.started_at, zone), call.direction, call.caller, call.dialled, call.line),
                *(call.outcome or "under way", call.via, call.agent),
                duration(sum(leg.talk_seconds for leg in call.legs if leg.agent is not None)),
                " ".join(call.ticket_ids),
            )
            for call in found
        ],
    )


def callbacks(
    *,
    since: Since = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those not yet over.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """List who asked to be called back, the oldest first."""
    settings = read_settings(config)
    from ctid.calljson import callback_json
    from ctid.db.callbacks import Callbacks

    zone = ZoneInfo(settings.routing.timezone)
    first = _instant("--since", since, zone)

    async def read(engine: Engine) -> list[tuple[CallbackRecord, list[str]]]:
        store = Callbacks(engine)
        found = await store.load(since=first, only_open=only_open)
        made = await store.attempts((one.pbx, one.id) for one in found)
        return [(one, made.get((one.pbx, one.id), [])) for one in found]

    found = with_books(settings, read)
    if as_json:
        say_json(callback_json(one, made) for one, made in found)
        return
    table(
        *("call", "asked", "number", "line", "state", "tries", "due", "ended", "agent", "calls", "why"),
        rows=[
            (
                *(one.id, moment(one.asked_at, zone), one.number, one.line, one.state.value, one.tries),
                moment(None if one.state.final else one.due_at, zone),
                *(moment(one.ended_at, zone), one.agent, " ".join(made), one.why),
            )
            for one, made in found
        ],
    )


def recordings(*, since: Since = None, until: Until = None, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """List the recordings; paths are relative to [recordings] root."""
    zone, found = _calls(config, since, until)
    from ctid.calljson import call_json, iso
    from ctid.explaining import duration

    if as_json:
        say_json(
            {"call_id": call.id, "pbx": call.pbx, "started_at": iso(call.started_at), **recording}
            for call in found
            for recording in call_json(call, paths=True)["recordings"]
        )
        return
    table(
        *("id", "call", "started", "state", "length", "tickets", "path"),
        rows=[
            (
                *(recording.id, call.id, moment(call.started_at, zone), recording.state),
                *(duration(recording.seconds), " ".join(recording.ticket_ids), recording.path),
            )
            for call in found
            for recording in call.recordings
        ],
    )


def tickets(
    *,
    status: Annotated[Literal["open", "pending", "resolved", "closed"] | None, typer.Option()] = None,
    owner: Annotated[str | None, typer.Option(metavar="AGENT")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 1_000_000,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """List the tickets, the newest first."""
    settings = read_settings(config)
    from ctid.calljson import ticket_json
    from ctid.db.tickets import Tickets
    from ctid.desk.ticket import TicketRecord

    async def read(engine: Engine) -> list[TicketRecord]:
        return await Tickets(engine).load(status=status, owner=owner, limit=limit)

    found = with_books(settings, read)
    if as_json:
        say_json(ticket_json(one) for one in found)
        return
    zone = ZoneInfo(settings.routing.timezone)
    table(
        *("id", "created", "status", "severity", "owner", "customer", "contact", "subject"),
        rows=[
            (
                *(one.id, moment(one.created_at, zone), one.status, one.severity),
                *(one.owner, one.customer_id, one.contact_id, one.subject),
            )
            for one in found
        ],
    )


def _calls(config: Path | None, since: str | None, until: str | None) -> tuple[ZoneInfo, list[CallRecord]]:
    settings = read_settings(config)
    from ctid.db.calls import Calls

    zone = ZoneInfo(settings.routing.timezone)
    first, last = _instant("--since", since, zone), _instant("--until", until, zone)

    async def read(engine: Engine) -> list[CallRecord]:
        return await Calls(engine).load(since=first, until=last)

    return zone, with_books(settings, read)


def _instant(option: str, given: str | None, zone: ZoneInfo) -> float | None:
    if given is None:
        return None
    try:
        at = datetime.fromisoformat(given)
        return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        raise Fault(f"{option}: {given!r} is no time; write 2026-11-22T08:00 or 2026-11-22T08:00:00Z") from None
