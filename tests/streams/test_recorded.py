"""Streams recorded from the project's own Asterisk, against what SIP knew of their calls."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.streams.books import AGENTS, NAMES, Desk, facts, replayed, stream, untimed

#: SIP's clock and AMI's see the same answer and BYE some hundredths apart; phones ring before a consultation is heard.
TOLERANCE = 0.15


def without_times(value: Any) -> Any:
    """The same JSON, every instant and duration reduced to whether there is one."""
    if isinstance(value, dict):
        return {
            key: None if key.endswith("_at") or key in ("at", "talk_seconds", "seconds") else without_times(each)
            for key, each in value.items()
        }
    return [without_times(each) for each in value] if isinstance(value, list) else value


def result(call: dict[str, Any], ids: list[str]) -> dict[str, Any]:
    return {
        "caller": call["caller"],
        "dialled": call["dialled"],
        "direction": call["direction"],
        "outcome": call["outcome"],
        "via": call["via"],
        "merged_into": ids.index(call["merged_into"]) if call["merged_into"] else None,
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_books_say_what_sip_knew(name: str) -> None:
    known = facts(name)["calls"]
    calls = Desk().play(stream(name)).calls
    ids = [call.id for call in calls]
    assert len(calls) == len(known)
    for call, fact in zip(calls, known, strict=True):
        assert (call.caller, call.dialled) == (fact["caller"], fact["dialled"])
        assert (call.direction, call.via, call.outcome) == (fact["direction"], fact["via"], fact["outcome"])
        if call.direction != "internal":  # between colleagues neither talked last
            assert call.agent == fact["agent"]
        assert (ids.index(call.merged_into) if call.merged_into else None) == fact["merged_into"]
        legs = sorted(call.legs, key=lambda leg: leg.party)
        known_legs = sorted(fact["legs"], key=lambda leg: leg["party"])
        assert [(leg.party, leg.result) for leg in legs] == [(leg["party"], leg["result"]) for leg in known_legs]
        for leg, known_leg in zip(legs, known_legs, strict=True):
            assert leg.talk_seconds == pytest.approx(known_leg["seconds"], abs=TOLERANCE), leg.party
            if known_leg["hold"] is not None:
                assert leg.hold_seconds == pytest.approx(known_leg["hold"], abs=TOLERANCE), leg.party
            assert leg.agent == (leg.party if leg.party.startswith("agent") else None)


def test_a_consultation_within_a_customers_call_counts_as_talk_with_them() -> None:
    [call] = Desk().play(stream("attended-transfer")).calls
    assert all(talk.customer for leg in call.legs for talk in leg.talks)


def test_talk_between_colleagues_does_not_count_as_talk_with_a_customer() -> None:
    for name in ("internal", "local-stays", "two-ring"):
        desk = Desk().play(stream(name))
        assert not any(talk.customer for call in desk.calls for leg in call.legs for talk in leg.talks)
        assert {desk.acd.world.ledger.today(agent, call.ended_at or 0) for agent in AGENTS for call in desk.calls} == {
            0
        }


def test_the_ledger_has_an_agents_two_phones_calls_once() -> None:
    desk = Desk().play(stream("consultation-merges"))
    customer = next(call for call in desk.calls if call.merged_into is None)
    first = next(leg for leg in customer.legs if leg.id == min(leg.id for leg in customer.legs))
    assert desk.acd.world.ledger.today("agent1", customer.ended_at or 0) == pytest.approx(first.talk_seconds, abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_each_call_ends_once(name: str) -> None:
    desk = Desk().play(stream(name))
    assert sorted(desk.ended) == sorted(call.id for call in desk.calls)
    assert all(call.ended_at is not None and call.outcome is not None for call in desk.calls)
    assert all(leg.ended_at is not None and leg.result is not None for call in desk.calls for leg in call.legs)


@pytest.mark.parametrize("name", NAMES)
def test_when_all_is_over_everyone_is_idle_again(name: str) -> None:
    world = Desk().play(stream(name)).acd.world
    assert {desk.state for desk in world.desks.values()} == {"idle"}
    assert {phone.channels for phone in world.phones.values()} <= {0}
    assert not world.waiting


@pytest.mark.parametrize("name", NAMES)
def test_replay_without_roster_takes_the_streams_phones_for_agents(name: str) -> None:
    known = facts(name)["calls"]
    calls = replayed(stream(name))
    ids = [call["id"] for call in calls]
    assert len(calls) == len(known)
    for call, fact in zip(calls, known, strict=True):
        expected = {key: fact[key] for key in ("caller", "dialled", "direction", "outcome", "via", "merged_into")}
        assert result(call, ids) == expected
        legs = sorted((leg["party"], leg["result"], leg["agent"] or "") for leg in call["legs"])
        assert legs == sorted(
            (leg["party"], leg["result"], leg["party"] if leg["party"].startswith("agent") else "")
            for leg in fact["legs"]
        )


def _through(technology: str, trunk: bytes) -> Callable[[bytes], bytes]:
    """Names of channels and devices, and how a trunk is dialled, as another technology has them."""

    def written(raw: bytes) -> bytes:
        raw = re.sub(rb"DialString: ([0-9]+)@trunk", b"DialString: " + trunk, raw)
        return raw.replace(b"PJSIP/", technology.encode() + b"/")

    return written


#: The same stream, as a PBX with other phones would have sent it.
AS_ANOTHER_PBX: dict[str, Callable[[bytes], bytes]] = {
    "SIP": _through("SIP", rb"trunk/\1"),
    "IAX2": _through("IAX2", rb"me:secret@trunk/\1"),
    "PJSIP by contact": lambda raw: re.sub(
        rb"DialString: (agent[0-9])\r", rb"DialString: \1/sip:\1@127.0.0.1:5060\r", raw
    ),
}


@pytest.mark.parametrize("pbx", AS_ANOTHER_PBX)
@pytest.mark.parametrize("name", NAMES)
def test_the_technology_of_the_phones_does_not_matter(name: str, pbx: str) -> None:
    other = AS_ANOTHER_PBX[pbx](stream(name))
    assert replayed(other) == replayed(stream(name))
    assert Desk().play(other).calls == Desk().play(stream(name)).calls


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_without_timestamps_has_the_same_calls_and_no_times(name: str) -> None:
    timed, bare = replayed(stream(name)), replayed(untimed(stream(name)))
    assert without_times(bare) == without_times(timed)
    for call in bare:
        assert call["started_at"] is None
        assert call["ended_at"] is None
        assert all(leg["offered_at"] is None for leg in call["legs"])
        assert all(leg["talk_seconds"] in (None, 0.0) for leg in call["legs"])


@pytest.mark.parametrize("name", NAMES)
def test_line_ends_do_not_matter(name: str) -> None:
    assert replayed(stream(name).replace(b"\r\n", b"\n")) == replayed(stream(name))


@pytest.mark.parametrize("name", NAMES)
def test_chunks_do_not_matter(name: str) -> None:
    raw = stream(name)
    assert replayed(*(raw[at : at + 1] for at in range(len(raw)))) == replayed(raw)
    assert replayed(*(raw[at : at + 1460] for at in range(0, len(raw), 1460))) == replayed(raw)
