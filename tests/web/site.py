"""A site with people, calls, tickets and a recording, for the web to show: written by the project's own stores."""

from __future__ import annotations

import math
import struct
import time
import wave
from dataclasses import dataclass, replace
from datetime import datetime
from datetime import time as dt_time
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from ctid.db import session
from ctid.db.agents import Agents
from ctid.db.callbacks import Callbacks
from ctid.db.calls import Calls
from ctid.db.customers import keep_pairs
from ctid.db.tables import agents, contact_numbers, contacts, customers, ticket_attempts, tickets
from ctid.db.users import Role, Users
from ctid.domain.types import (
    AgentState,
    AgentStatus,
    CallbackRecord,
    CallbackState,
    CallRecord,
    Candidate,
    Decision,
    Direction,
    LegRecord,
    LegResult,
    Outcome,
    RecordingRecord,
    RecordingState,
    Rule,
    Skip,
    Talk,
    Via,
)
from tests.schema import schema

ZONE = ZoneInfo("Asia/Shanghai")
PASSWORD = "a long password"
HOSTILE = '<script>alert("x")</script>{{7*7}}\u202e'
LONG = "😀" * 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """What was put in. ``now`` is the start of the newest call."""

    now: float
    sound: bytes
    call: CallRecord
    token: str
    agent_token: str


async def seed(url: str, root: Path) -> Seeded:
    """Fill the database at ``url`` and put the recording below ``root``."""
    await schema(url)
    engine = session.engine(url)
    now = max(round(time.time()), _midnight() + 120)  # all calls are of today
    await _people(engine, now)
    sound = _sound(root / "2026" / "call-1.wav", seconds=8)
    (root.parent / "outside.wav").write_bytes(b"not below the root")
    (root / "link.wav").symlink_to(root.parent / "outside.wav")
    call = _call(now)
    await Calls(engine).save([call, *_more(now)])
    await Callbacks(engine).save(_callbacks(now))
    await Agents(engine).save(
        "pbx",
        [
            AgentStatus(agent="7", state=AgentState.IDLE, since=now - 300, phone="agent7", talk_seconds_today=750),
            AgentStatus(agent="8", state=AgentState.TALKING, since=now - 60, phone="agent8", talk_seconds_today=902),
        ],
    )
    users = Users(engine)
    await users.create("boss", PASSWORD, Role.SUPERVISOR, at=now)
    await users.create("liwei", PASSWORD, Role.AGENT, agent_id="7", at=now)
    await users.create("zhang", PASSWORD, Role.AGENT, agent_id="8", at=now)
    token = await users.create_token("boss", "test", at=now)
    agent_token = await users.create_token("zhang", "test", at=now)
    await engine.dispose()
    return Seeded(now=now, sound=sound, call=call, token=token, agent_token=agent_token)


def _midnight() -> int:
    return int(datetime.combine(datetime.now(ZONE).date(), dt_time(), ZONE).timestamp())


async def _people(engine: AsyncEngine, now: float) -> None:
    async with session.writing(engine) as connection:
        await connection.execute(
            insert(agents),
            [
                {"id": "7", "name": "Li Wei", "phone": "agent7", "level": 2},
                {"id": "8", "name": "Zhang San", "phone": "agent8", "level": 1},
                {"id": "9", "name": "Wang Wu", "phone": "agent9", "level": 3},
                {"id": "evil", "name": HOSTILE, "phone": None, "level": 1},
                {"id": "long", "name": LONG, "phone": None, "level": 1},
            ],
        )
        await connection.execute(
            insert(customers),
            [
                {"id": "C1", "name": "华东精密机械有限公司", "level": 4, "notes": "VIP"},
                {"id": "C2", "name": HOSTILE, "level": 1, "notes": None},
            ],
        )
        await connection.run_sync(keep_pairs, [("C1", "华东精密机械有限公司"), ("C2", HOSTILE)])
        await connection.execute(
            insert(contacts),
            [
                {
                    "id": "P1",
                    "customer_id": "C1",
                    "name": "陈小明",
                    "department": "采购部",
                    "title": "经理",
                    "level": None,
                },
                {
                    "id": "P2",
                    "customer_id": "C2",
                    "name": HOSTILE,
                    "department": HOSTILE,
                    "title": HOSTILE,
                    "level": 5,
                },
                {"id": "P3", "customer_id": "C2", "name": LONG, "department": None, "title": None, "level": 1},
            ],
        )
        await connection.execute(
            insert(contact_numbers),
            [
                {"contact_id": "P1", "number": "+8613800138000", "given": "138 0013 8000", "position": 0},
                {"contact_id": "P1", "number": "+862161234567", "given": "021-61234567", "position": 1},
            ],
        )
        ticket = {"customer_id": "C1", "contact_id": "P1", "category": None, "opened_by": None}
        created = session.instant(now - 86400)
        await connection.execute(
            insert(tickets),
            [
                {
                    **ticket,
                    "id": "T12",
                    "owner": "7",
                    "subject": "Spindle stops after an hour",
                    "severity": 4,
                    "status": "open",
                    "created_at": created,
                },
                {
                    **ticket,
                    "id": "T9",
                    "owner": "8",
                    "subject": "Invoice 2231 twice",
                    "severity": 2,
                    "status": "closed",
                    "created_at": session.instant(now - 9 * 86400),
                },
                {
                    **ticket,
                    "id": "T3",
                    "owner": None,
                    "subject": HOSTILE,
                    "severity": 1,
                    "status": "pending",
                    "created_at": session.instant(now - 20 * 86400),
                },
            ],
        )
        await connection.execute(
            insert(ticket_attempts),
            [
                {
                    "ticket_id": "T12",
                    "agent": "7",
                    "at": created,
                    "what": "Asked for the drive's error log",
                    "result": "waits for it",
                }
            ],
        )


def _call(now: float) -> CallRecord:
    return CallRecord(
        id="1795000000.7",
        pbx="pbx",
        direction=Direction.INBOUND,
        caller="+8613800138000",
        caller_name="CHEN",
        dialled="4001",
        line="support",
        contact_id="P1",
        customer_id="C1",
        started_at=now - 40,
        answered_at=now - 28,
        ended_at=now - 20,
        outcome=Outcome.ANSWERED,
        via=Via.CTID,
        ticket_ids=("T12",),
        agent="7",
        legs=(
            LegRecord(
                id="1795000000.8",
                agent="9",
                party="agent9",
                offered_at=now - 39,
                ended_at=now - 33,
                result=LegResult.NO_ANSWER,
            ),
            LegRecord(
                id="1795000000.9",
                agent="7",
                party="agent7",
                offered_at=now - 32,
                answered_at=now - 28,
                ended_at=now - 20,
                result=LegResult.ANSWERED,
                talks=(Talk(started_at=now - 28, ended_at=now - 20),),
            ),
        ),
        recordings=(
            RecordingRecord(
                id="pbx-call-1",
                path="2026/call-1.wav",
                state=RecordingState.COMPLETE,
                seconds=8.0,
                sha256="ab" * 32,
                ticket_ids=("T12",),
            ),
        ),
        decisions=(
            Decision(
                at=now - 39.5,
                rule=Rule.TALK_SHARE,
                chosen="9",
                owner="8",
                owner_ticket="T12",
                owner_skipped=Skip.TALKING,
                considered=(
                    Candidate(agent="9", talk_seconds=120, idle_since=now - 900, talk_share=0.1),
                    Candidate(agent="7", talk_seconds=750, idle_since=now - 300, talk_share=0.25),
                ),
                skipped=((Skip.OFFLINE, 3), (Skip.PAUSED, 1)),
            ),
            Decision(
                at=now - 32.5,
                rule=Rule.LEAST_TALK,
                chosen="7",
                owner="8",
                owner_skipped=Skip.TALKING,
                considered=(Candidate(agent="7", talk_seconds=750, idle_since=now - 300),),
                skipped=((Skip.OFFLINE, 3), (Skip.PAUSED, 1), (Skip.TRIED, 1)),
            ),
        ),
    )


def _more(now: float) -> list[CallRecord]:
    common = {
        "pbx": "pbx",
        "direction": Direction.INBOUND,
        "dialled": "4001",
        "line": "support",
        "started_at": now - 60,
        "via": Via.CTID,
    }
    recorded = {"state": RecordingState.COMPLETE, "seconds": 3.0}
    return [
        CallRecord(**common, id="1795000000.1", caller=None, ended_at=now - 50, outcome=Outcome.ABANDONED),
        CallRecord(
            **common,
            id="1795000000.4",
            caller="+8613800138000",
            contact_id="P1",
            customer_id="C1",
            ended_at=now - 28,
            outcome=Outcome.ABANDONED,
            owner="8",
        ),
        CallRecord(
            **common,
            id="1795000000.5",
            caller="+862161234567",
            contact_id="P1",
            customer_id="C1",
            ended_at=now - 50,
            outcome=Outcome.OVERFLOW,
            owner="8",
            callback="1795000000.5",
        ),
        CallRecord(
            **(common | {"direction": Direction.OUTBOUND}),
            id="callback1-1795000000.5",
            caller="4001",
            ended_at=now - 30,
            outcome=Outcome.BUSY,
            callback="1795000000.5",
        ),
        CallRecord(**common, id="1795000000.2", caller="+8613900000000", caller_name=HOSTILE, contact_id="P2"),
        CallRecord(
            **common,
            id="1795000000.3",
            caller="10086",
            contact_id="P3",
            customer_id="C2",
            ended_at=now - 30,
            outcome=Outcome.OVERFLOW,
            recordings=(
                RecordingRecord(id="pbx-climbs", path="../outside.wav", **recorded),
                RecordingRecord(id="pbx-links", path="link.wav", **recorded),
                RecordingRecord(id="pbx-missing", path="2026/none.wav", state=RecordingState.MISSING),
            ),
        ),
    ]


def _callbacks(now: float) -> list[CallbackRecord]:
    asked = CallbackRecord(
        id="1795000000.5",
        pbx="pbx",
        number="+862161234567",
        dial="02161234567",
        called="4001",
        line="support",
        level=4,
        severity=2,
        arrived_at=now - 60,
        asked_at=now - 50,
        due_at=now + 270,
        tries=1,
        agent="7",
        attempt="callback1-1795000000.5",
    )
    calling = replace(asked, id="1795000000.51", number="+8613900000051", state=CallbackState.CALLING, tries=0)
    over = {"ended_at": now - 20, "due_at": now - 40}
    done = replace(asked, id="1795000000.52", number="+8613900000052", state=CallbackState.DONE, **over)
    failed = replace(
        asked,
        id="1795000000.53",
        number="+8613900000053",
        state=CallbackState.FAILED,
        why=HOSTILE,
        line=HOSTILE,
        **over,
    )
    return [asked, calling, done, failed]


def _sound(path: Path, *, seconds: int) -> bytes:
    """A tone of 440 Hz; the file's bytes."""
    path.parent.mkdir(parents=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        samples = (int(9000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(8000 * seconds))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return path.read_bytes()
