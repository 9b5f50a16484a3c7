"""The day's figures come out of the same rows, cut at local midnight."""

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from ctid.db.agents import Agents
from ctid.db.calls import Calls
from ctid.db.reports import AgentDay, bounds, day, talked
from ctid.domain.types import AgentState, AgentStatus, CallRecord, Direction, LegRecord, LegResult, Talk
from tests.db.site import PBX, add_agents, add_ticket

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = date(2026, 3, 2)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=SHANGHAI).timestamp()
NEXT = MIDNIGHT + 86400
TEN = MIDNIGHT + 10 * 3600


def leg(agent: str = "a", at: float = TEN, *, result: LegResult | None = None, **fields: object) -> LegRecord:
    answered = at + 5 if result is LegResult.ANSWERED else None
    return LegRecord(
        id=f"{agent}{at}", agent=agent, party=agent, offered_at=at, answered_at=answered, result=result, **fields
    )


def call(key: str, *legs: LegRecord, direction: Direction = Direction.INBOUND) -> CallRecord:
    return CallRecord(
        id=key, pbx=PBX, direction=direction, caller=None, dialled=None, line=None, started_at=TEN, legs=legs
    )


async def report(engine, on: date = DAY, *, now: float = NEXT, zone: ZoneInfo = SHANGHAI) -> dict[str, AgentDay]:
    return {row.agent: row for row in await day(engine, on=on, timezone=zone, now=now)}


async def test_offers_are_answered_missed_or_given_up(engine):
    await add_agents(engine, "a", "b")
    await Calls(engine).save(
        [
            call("1", leg(result=LegResult.ANSWERED, hold_seconds=7), leg("b", result=LegResult.NO_ANSWER)),
            call("2", leg(result=LegResult.BUSY), leg("b", result=LegResult.CANCELLED)),
            call("3", leg(result=LegResult.REJECTED), leg("b", at=NEXT, result=LegResult.NO_ANSWER)),
            call("4", leg(result=LegResult.ANSWERED), direction=Direction.OUTBOUND),
        ]
    )
    figures = await report(engine)
    assert figures["a"] == AgentDay(agent="a", name="Agent a", offered=3, answered=1, missed=2, hold_seconds=7)
    assert figures["b"] == AgentDay(agent="b", name="Agent b", offered=2, missed=1)


async def test_talk_is_cut_at_local_midnight_and_counts_up_to_now_while_it_lasts(engine):
    await add_agents(engine, "a")
    over_midnight = Talk(started_at=MIDNIGHT - 100, ended_at=MIDNIGHT + 50)
    colleagues = Talk(started_at=TEN, ended_at=TEN + 999, customer=False)
    lasting = Talk(started_at=NEXT - 30)
    await Calls(engine).save([call("1", leg(talks=(over_midnight, colleagues, lasting)))])
    assert (await report(engine, now=NEXT - 10))["a"].talk_seconds == 50 + 20
    assert (await report(engine, now=NEXT + 500))["a"].talk_seconds == 50 + 30
    assert (await report(engine, date(2026, 3, 1)))["a"].talk_seconds == 100
    assert (await report(engine, date(2026, 3, 3), now=NEXT + 500))["a"].talk_seconds == 500
    assert (await report(engine, date(2026, 3, 5), now=NEXT + 500))["a"].talk_seconds == 0


async def test_who_is_in_two_conversations_at_once_talks_once_as_in_the_ledger(engine):
    await add_agents(engine, "a")
    first = leg(talks=(Talk(started_at=TEN, ended_at=TEN + 60),))
    transferred = leg(at=TEN + 30, talks=(Talk(started_at=TEN + 30, ended_at=TEN + 90),))
    await Calls(engine).save([call("1", first), call("2", transferred)])
    assert (await report(engine))["a"].talk_seconds == 90


async def test_what_was_talked_on_one_pbx_is_told_apart_and_the_day_has_all(engine):
    await add_agents(engine, "a")
    there = call("1", leg(at=TEN + 100, talks=(Talk(started_at=TEN + 100, ended_at=TEN + 130),)))
    await Calls(engine).save(
        [call("1", leg(talks=(Talk(started_at=TEN, ended_at=TEN + 60),))), replace(there, pbx="north")]
    )
    on = {"on": DAY, "timezone": SHANGHAI, "now": TEN + 200}
    assert [await talked(engine, pbx, **on) for pbx in (PBX, "north", "none")] == [{"a": 60.0}, {"a": 30.0}, {}]
    assert (await report(engine))["a"].talk_seconds == 90


async def test_wrap_up_and_pauses_come_from_the_log_of_states(engine):
    await add_agents(engine, "a")
    spent = [
        (AgentState.PAUSED, MIDNIGHT - 60),
        (AgentState.IDLE, MIDNIGHT + 60),
        (AgentState.WRAP_UP, TEN),
        (AgentState.IDLE, TEN + 30),
        (AgentState.WRAP_UP, NEXT - 15),
    ]
    await Agents(engine).save(PBX, [AgentStatus(agent="a", state=state, since=since) for state, since in spent])
    row = (await report(engine, now=NEXT - 5))["a"]
    assert (row.wrap_up_seconds, row.pause_seconds) == (30 + 10, 60)


async def test_tickets_count_for_who_opened_and_solved_them_and_imported_ones_for_their_owner(engine):
    await add_agents(engine, "a", "b")
    solved = {"status": "resolved", "resolved_at": datetime.fromtimestamp(TEN + 60, UTC)}
    await add_ticket(engine, "T1", at=TEN, opened_by="a", owner="b", resolved_by="a", **solved)
    await add_ticket(engine, "T2", at=TEN, owner="b", **solved)
    await add_ticket(engine, "T3", at=MIDNIGHT - 1, opened_by="a", owner="a")
    figures = await report(engine)
    assert (figures["a"].tickets_opened, figures["a"].tickets_solved) == (1, 1)
    assert (figures["b"].tickets_opened, figures["b"].tickets_solved) == (1, 1)


async def test_someone_who_has_left_shows_only_where_they_worked(engine):
    await add_agents(engine, "left", enabled=False)
    await Calls(engine).save([call("1", leg("left", result=LegResult.ANSWERED), leg("stranger"))])
    assert set(await report(engine)) == {"left", "stranger"}
    assert await report(engine, date(2026, 3, 3)) == {}


async def test_a_day_has_25_hours_where_the_clocks_go_back(engine):
    berlin = ZoneInfo("Europe/Berlin")
    autumn = date(2026, 10, 25)
    start, end = bounds(autumn, berlin)
    assert end.timestamp() - start.timestamp() == 25 * 3600
    await add_agents(engine, "a")
    whole = Talk(started_at=start.timestamp() - 5, ended_at=end.timestamp() + 5)
    await Calls(engine).save([call("1", leg(talks=(whole,)))])
    assert (await report(engine, autumn, zone=berlin))["a"].talk_seconds == 25 * 3600
