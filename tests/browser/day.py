"""A full day at the site, written straight into its books: what pages look like in the afternoon, not on the first morning."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import update

from ctid.db import session
from ctid.db.calls import Calls
from ctid.db.tables import tickets
from ctid.domain.types import (
    CallRecord,
    Candidate,
    Decision,
    Direction,
    LegRecord,
    LegResult,
    Outcome,
    Rule,
    Talk,
    Via,
)
from lab.site import SERVICE, Site
from tests.browser.people import AGENTS, NUMBERS

CALLS = 120
_SUBJECTS = (
    ("主轴异响且加工精度下降", "Fault", 4),
    ("Invoice 2231 was charged twice", "Complaint", 2),
    ("换刀机构卡死", "Fault", 5),
    ("Password of the portal expired", "Question", 1),
    ("送货地址变更", "Installation", 1),
    ("Conveyor stops each night at three", "Fault", 4),
    ("保养计划咨询", "Question", 2),
    ("Label printer skips every second label", "Fault", 3),
    ("伺服电机备件报价", "Order", 3),
    ("Training for two new operators", "Installation", 2),
)


async def a_full_day(site: Site) -> None:
    """Calls since the morning, and tickets of the last days with their promises, some of them broken."""
    now = time.time()
    rows = "".join(
        f"12{n:02d},C{1 + n % 3},P{1 + n % 3},agent{1 + n % 3},{subject},{category},{severity},open,"
        f"{datetime.fromtimestamp(now - 86400 * (n % 5 + 0.2), ZoneInfo('Asia/Shanghai')):%Y-%m-%d %H:%M},\n"
        for n, (subject, category, severity) in enumerate(_SUBJECTS)
    )
    file = site.folder / "more-tickets.csv"
    header = "id,customer_id,contact_id,owner,subject,category,severity,status,created_at,resolved_at\n"
    file.write_text(header + rows, encoding="utf-8")
    await site.ctid("import", "tickets", str(file))
    engine = session.engine(f"sqlite:///{site.state / 'ctid.db'}")
    try:
        async with session.writing(engine) as connection:
            for n in range(len(_SUBJECTS)):
                promise = session.instant(now + 3600 * (n - 3))
                await connection.execute(
                    update(tickets).where(tickets.c.id == f"12{n:02d}").values(promised_at=promise)
                )
        await Calls(engine).save(list(_calls(now)))
    finally:
        await engine.dispose()


def _calls(now: float) -> Iterator[CallRecord]:
    chance = random.Random(8)
    midnight = datetime.fromtimestamp(now, ZoneInfo("Asia/Shanghai")).replace(hour=0, minute=0, second=0).timestamp()
    since = max(midnight + 60, now - 8 * 3600)
    callers: list[tuple[str, str | None, str | None]] = [(n, f"W{i}", "C3") for i, n in enumerate(NUMBERS.values())]
    callers += [(f"1370000{n:04d}", None, None) for n in range(8)]
    for n in range(CALLS):
        at = since + (now - since - 60) * n / CALLS
        number, contact, customer = chance.choice(callers)
        agent = chance.choice(tuple(AGENTS))
        call = CallRecord(
            id=f"{at:.0f}.{n}",
            pbx="lab",
            direction=Direction.INBOUND,
            caller=number,
            dialled=SERVICE,
            line="service",
            contact_id=contact,
            customer_id=customer,
            started_at=at,
            ended_at=at + chance.uniform(8, 40),
            outcome=Outcome.ABANDONED,
            via=Via.CTID,
        )
        if n % 9 == 0:
            yield replace(call, owner=agent)
            continue
        answered, ended = at + chance.uniform(3, 15), at + chance.uniform(60, 400)
        leg = LegRecord(
            id=f"{at:.0f}.{n}0",
            agent=agent,
            party=agent,
            offered_at=at + 2,
            answered_at=answered,
            ended_at=ended,
            result=LegResult.ANSWERED,
            talks=(Talk(started_at=answered, ended_at=ended),),
        )
        choice = Decision(
            at=at + 1,
            rule=Rule.LEAST_TALK,
            chosen=agent,
            considered=(Candidate(agent=agent, talk_seconds=chance.uniform(0, 4000), idle_since=at - 30),),
        )
        outbound = {"direction": Direction.OUTBOUND, "line": None} if n % 14 == 5 else {}
        yield replace(
            call,
            **outbound,
            answered_at=answered,
            ended_at=ended,
            outcome=Outcome.ANSWERED,
            agent=agent,
            legs=(leg,),
            decisions=() if outbound else (choice,),
        )
