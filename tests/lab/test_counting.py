"""The counting oracle agrees with a day that went well, and takes offence at each thing that is then made wrong."""

import copy
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
import pytest_asyncio

from lab.counting import judge
from lab.dialogs import read_dialogs
from lab.evidence import Evidence, gather
from lab.process import until
from lab.sipp import SippAgent, read_messages
from lab.site import Site
from tests.chain.centre import opened, sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, SECOND, IMPATIENT, CUSTOMER = "02155600001", "02155600002", "02155600003", "13900139000"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def day(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Evidence]:
    """A transfer, one who gave up while it rang, one without a number, one call out, one among colleagues."""
    site = Site(folder=tmp_path_factory.mktemp("site"), ring_seconds=3)
    async with opened(site), SippAgent(site.folder / "sipp", "customer", site.asterisk.trunk_port):
        async with site.call(FIRST) as call:
            await until(lambda: any(p.invites for p in site.phones.values()), "a phone rings")
            first, phone = next((a, p) for a, p in site.phones.items() if p.invites)
            await site.listener.popped(first, "answered")
            second = next(a for a in site.phones if a != first)
            await phone.transfer(phone.invites[-1], f"sip:{second}@127.0.0.1:{site.asterisk.sip_port}")
            await site.phones[second].rings(FIRST)
            await until(lambda: len(site.listener.pops(second)) > 1, f"{second} answers")
            await call.hang_up()
        async with site.call(SECOND, talk=1.5) as call, site.call("anonymous", talk=1.5) as hidden:
            await call.ended()
            await hidden.ended()
        async with site.call(IMPATIENT, talk=0.01) as call:
            await call.ended()
        for dialled in ("9" + CUSTOMER, "agent1"):
            async with site.call("agent3", dialled) as call:
                await call.answered()
                await sound(0.5)
                await call.hang_up()
        yield await gather(site)


async def test_every_source_of_an_ordinary_day_agrees(day: Evidence) -> None:
    tally = judge(day)
    assert not tally.broken, "\n".join(tally.broken)
    assert (tally.offered, tally.answered, tally.given_up, tally.lost) == (4, 3, 1, 0)
    assert (tally.others, tally.recordings) == (2, 4)
    assert tally.ledger_drift < 0.3
    assert tally.certainties.keys() == {"exact"}


def _books(change: Callable[[list[dict]], None]) -> Callable[[Evidence], Evidence]:
    def tampered(day: Evidence) -> Evidence:
        books = copy.deepcopy(list(day.books))
        change(books)  # type: ignore[arg-type]
        return replace(day, books=books)

    return tampered


def _of(books: list[dict], caller: str) -> dict:
    return next(call for call in books if call["caller"] == caller)


def _longer(books: list[dict]) -> None:
    _of(books, SECOND)["legs"][-1]["talk_seconds"] += 1.5


def _estimated(books: list[dict]) -> None:
    _of(books, SECOND)["legs"][-1]["certainty"] = "estimated"


def _later(books: list[dict]) -> None:
    _of(books, IMPATIENT)["ended_at"] = "2031-01-01T00:00:00.000Z"


def _unended(books: list[dict]) -> None:
    _of(books, SECOND)["outcome"] = None


def _unanswered(books: list[dict]) -> None:
    _of(books, SECOND)["answered_at"] = None


def _damaged(books: list[dict]) -> None:
    _of(books, SECOND)["recordings"][0]["state"] = "damaged"


def _unrecorded(books: list[dict]) -> None:
    _of(books, SECOND)["recordings"] = []


def _other_sound(books: list[dict]) -> None:
    _of(books, SECOND)["recordings"][0]["sha256"] = "0" * 64


def _reported_more(day: Evidence) -> Evidence:
    agent, row = next((a, r) for a, r in day.report.items() if r["talk_seconds"])
    return replace(day, report={**day.report, agent: {**row, "talk_seconds": row["talk_seconds"] + 2}})


def _let_go(day: Evidence) -> Evidence:
    """The PBX hung up on the one who gave up."""
    return replace(day, dialogs=[replace(d, hung_up_here=d.user != IMPATIENT) for d in day.dialogs])


def _at_once(day: Evidence) -> Evidence:
    """Every caller rings at the phone that the first caller had, while they talk there."""
    first = next(d for d in day.dialogs if not d.placed and d.user == FIRST)
    moved = [
        replace(d, to=first.to, invited_at=first.invited_at + 0.1, left_at=first.invited_at + 1)
        if not d.placed and d.user == SECOND
        else d
        for d in day.dialogs
    ]
    return replace(day, dialogs=sorted(moved, key=lambda d: d.invited_at))


def _unbridged(day: Evidence) -> Evidence:
    """CEL knows of no conversation in the second caller's call."""
    call = _of(list(day.books), SECOND)["id"]  # type: ignore[arg-type]
    channels = {key: replace(c, talks=[]) if c.call == call else c for key, c in day.channels.items()}
    return replace(day, channels=channels)


def _says(**told: object) -> Callable[[Evidence], Evidence]:
    return lambda day: replace(day, log=[*day.log, json.dumps({"level": "info", **told})])


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (_books(lambda books: books.remove(_of(books, SECOND))), "lost"),
        (_books(lambda books: books.remove(_of(books, "agent3"))), "not in the books"),
        (_books(lambda books: books.append({**_of(books, SECOND), "id": "1.1"})), "not in CEL"),
        (_books(_longer), "of talk"),
        (_books(_estimated), "estimated"),
        (_books(_later), "ended at"),
        (_books(_unended), "under way"),
        (_books(_unanswered), "answered_at=None"),
        (_books(_damaged), "damaged"),
        (_books(_unrecorded), "no recording"),
        (_books(_other_sound), "SHA-256"),
        (_reported_more, "report day"),
        (_let_go, "was let go"),
        (_at_once, "while in a call"),
        (_unbridged, "in conversation with nobody"),
        (lambda day: replace(day, records=[]), "no CDR"),
        (lambda day: replace(day, heard={}), "not on the disk"),
        (
            lambda day: replace(
                day, compared={**day.compared, "differences": [{"what": "call_talk", "call": "1.1", "says": "no"}]}
            ),
            "ctid compare",
        ),
        (lambda day: replace(day, metrics={**day.metrics, "ctid_oddities_total": 1.0}), "ctid_oddities_total"),
        (lambda day: replace(day, unsettled="2 writes wait for the database"), "not settled"),
        (lambda day: replace(day, log=[*day.log, "Traceback (most recent call last):"]), "no event"),
        (_says(event="oddity", level="warning"), "oddity"),
        (_says(event="inbox.overrun", level="error"), "inbox.overrun"),
    ],
)
async def test_what_does_not_agree_is_a_broken_promise(
    day: Evidence, tamper: Callable[[Evidence], Evidence], told: str
) -> None:
    assert any(told in line for line in judge(tamper(day)).broken)


async def test_who_waited_longer_than_they_should_have_is_lost_though_they_hung_up(day: Evidence) -> None:
    assert judge(day, patience=0).lost == 1


async def test_who_hangs_up_while_the_phone_answers_was_in_no_conversation_however_late_its_bye_comes(
    day: Evidence,
) -> None:
    left = next(d.left_at for d in day.dialogs if d.placed and d.user == SECOND)
    assert left is not None
    crossing = [
        replace(d, answered_at=left - 0.1, left_at=left + 1) if not d.placed and d.user == SECOND else d
        for d in day.dialogs
    ]
    broken = judge(replace(_unbridged(day), dialogs=crossing)).broken
    assert not any("in conversation with nobody" in line for line in broken)


async def test_calls_of_a_pbx_that_died_are_cut_and_not_lost(day: Evidence) -> None:
    impatient = next(d for d in day.dialogs if d.placed and d.user == IMPATIENT)
    died = replace(_let_go(day), cuts=[(impatient.invited_at, impatient.invited_at)])
    tally = judge(died)
    assert (tally.cut, tally.lost) == (1, 0)


async def test_only_who_was_turned_away_by_a_pbx_about_to_end_may_have_no_call_in_the_books(day: Evidence) -> None:
    second = next(d for d in day.dialogs if d.placed and d.user == SECOND)
    refusals = [(second.invited_at, second.invited_at)]
    lacking = replace(_books(lambda books: books.remove(_of(books, SECOND)))(day), refusals=refusals)
    turned_away = replace(lacking, dialogs=[replace(d, status=503) if d is second else d for d in day.dialogs])
    assert (judge(lacking).cut, judge(lacking).lost) == (0, 1)
    assert (judge(turned_away).cut, judge(turned_away).lost) == (1, 0)


async def test_only_calls_since_a_moment_are_counted(day: Evidence) -> None:
    assert judge(day, since=time.time()).offered == 0


async def test_a_log_read_as_a_stream_has_the_calls_that_it_has_read_at_once(tmp_path_factory: object) -> None:
    folder = tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    logs = sorted(folder.rglob("*.messages"))
    assert logs
    for log in logs:
        invites = {m.call_id for m in read_messages(log) if m.start.startswith("INVITE ")}
        assert {dialog.call_id for dialog in read_dialogs([log])} == invites
