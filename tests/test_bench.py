"""The benchmarks' arithmetic: what they say is what they measured."""

from __future__ import annotations

import json

import pytest

from bench import chain, deciding, desktops, reading, streams
from bench.__main__ import BEGIN, END, PAGE, page
from bench.figures import Figure, alternate, differences, percentile, ratios, shown, table
from bench.floor import floor
from ctid.asterisk.messages import parse
from ctid.asterisk.wire import Framer
from lab.process import TOP
from lab.sipp import SipMessage

RECORDED = TOP / "tests" / "streams" / "recorded" / "answered.ami"


def _recorded_call() -> streams.Template:
    return streams.Template(RECORDED.read_bytes())


def _sip(at: float, start: str, user: str, *, sent: bool) -> SipMessage:
    return SipMessage(at=at, sent=sent, start=start, headers={"from": f"<sip:{user}@127.0.0.1>", "call-id": user})


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 201)]
    assert percentile(values, 50) == 100
    assert percentile(values, 99) == 198
    assert percentile([3.0], 99) == 3
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_comparison_is_made_run_by_run() -> None:
    assert ratios([4.0, 9.0], [2.0, 3.0]) == (2.0, 3.0)
    assert differences([4.0, 9.0], [2.0, 3.0]) == (2.0, 6.0)
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_works_take_turns_and_the_first_turn_does_not_count() -> None:
    done: list[str] = []
    took = alternate(2, {"a": lambda: done.append("a"), "b": lambda: done.append("b")})
    assert done == ["a", "b", "a", "b", "a", "b"]
    assert {name: len(seconds) for name, seconds in took.items()} == {"a": 2, "b": 2}


def test_the_table_shows_the_median_with_the_least_and_the_greatest() -> None:
    figure = Figure(part="deciding", name="one decision", unit="ms", values=(0.2, 0.1, 1234.5), target="<= 2")
    head, rule, line = table([figure]).splitlines()
    assert len(head) == len(rule) == len(line)
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "deciding", "one decision", "0.2", "0.1 .. 1,234", "3", "ms", "<= 2",
    ]  # fmt: skip
    assert shown(0.12345) == "0.123"
    assert json.loads(json.dumps(figure.as_json()))["median"] == 0.2


def test_copies_of_a_call_share_no_id_and_no_agent() -> None:
    template = _recorded_call()
    first, second = (template.copy(n, seat=n, later=60.0 * n) for n in (1, 2))
    assert len(first) == len(second) == len(template.messages)
    for name in (b"Uniqueid: ", b"Linkedid: ", b"BridgeUniqueid: ", b"Channel: "):
        values = [{v for m in copy for v in m.split(b"\r\n") if v.startswith(name)} for copy in (first, second)]
        assert values[0]
        assert not values[0] & values[1], name
    assert b"agent00001" in b"".join(first)
    assert b"agent00002" not in b"".join(first)


def test_a_copy_is_later_than_the_recorded_call() -> None:
    template = _recorded_call()
    times = [
        [message.at for message in Framer().feed(streams.END.join(copy) + streams.END) if message.at is not None]
        for copy in (template.messages, template.copy(1, seat=1, later=60.0))
    ]
    assert times[0]
    assert [round(b - a, 3) for a, b in zip(*times, strict=True)] == [60.0] * len(times[0])


def test_every_multiplied_call_is_decided_once() -> None:
    stream = streams.chunks(
        streams.interleaved(_recorded_call(), calls=2 * reading.TOGETHER, together=reading.TOGETHER)
    )
    assert reading.decide(stream) == 2 * reading.TOGETHER


def test_panoramisk_is_fed_the_same_events() -> None:
    template = _recorded_call()
    stream = streams.chunks(streams.interleaved(template, calls=3, together=2))
    assert reading.panoramisk(stream) == 3 * len(template.messages)
    assert reading.frame(stream) <= 3 * len(template.messages)


def test_a_call_cut_short_is_still_under_way() -> None:
    messages = Framer().feed(streams.END.join(_recorded_call().until_talking().messages) + streams.END)
    names = [message.name for message in messages if parse(message) is not None]
    assert names.count("BridgeEnter") == 2
    assert "Hangup" not in names


def test_of_ten_agents_on_a_busy_day_six_are_idle() -> None:
    day = deciding.Day(100)
    states = {state.value: count for state, count in day.acd.agents_by_state().items() if count}
    assert states == {"idle": 60, "talking": 20, "paused": 10, "offline": 10}
    assert {state.value: count for state, count in floor(3).agents_by_state().items() if count} == {"idle": 3}


def test_a_day_goes_on_call_by_call_while_it_is_measured() -> None:
    day = deciding.Day(20)
    assert all(took > 0 for took in day.calls(5))
    assert day.acd.agents_by_state()["idle"] == 12


def test_a_crowd_stays_as_large_as_it_was() -> None:
    crowd = deciding.Crowd(30)
    assert all(took > 0 for took in crowd.seconds(5))
    assert crowd.acd.waiting() == 30


def test_a_wait_ends_with_the_first_phone_that_is_rung() -> None:
    offered = [
        _sip(10.25, "INVITE sip:agent1", "1381", sent=False),
        _sip(19.0, "INVITE sip:agent2", "1381", sent=False),
    ]
    assert chain.waits({"1381": 10.0, "1382": 10.0}, offered) == ((250.0,), 1)


def test_a_pop_is_timed_from_the_first_ringing() -> None:
    messages = [
        _sip(10.0, "SIP/2.0 180 Ringing", "1381", sent=True),
        _sip(11.0, "SIP/2.0 180 Ringing", "1381", sent=True),
        _sip(10.0, "SIP/2.0 180 Ringing", "1382", sent=True),
    ]
    assert chain.lags(messages, {"1381": 10.5, "1383": 9.0}, ["1381", "1382", "1383"]) == (500.0,)


def test_the_page_keeps_its_words_and_gets_the_new_figures() -> None:
    old = f"What is measured.\n{BEGIN}Machine: old.\n\n| a |\n{END}What it says.\n"
    figure = Figure(part="held", name="calls held", unit="calls/s", values=(40.0,))
    new = page(old, {"cpu": "fast", "cores": "2"}, [figure])
    assert new == f"What is measured.\n{BEGIN}Machine: cpu fast, cores 2.\n\n{table([figure])}\n{END}What it says.\n"
    assert page(PAGE.read_text(encoding="utf-8"), {"cpu": "fast"}, [figure]).count("Machine:") == 1


def test_a_caller_is_shown_when_their_name_was_first_painted_and_one_who_never_was_is_left_out() -> None:
    rang = [_sip(at, "SIP/2.0 180 Ringing", number, sent=True) for at, number in ((10.0, "1"), (20.0, "2"))]
    painted = [("Caller", 9_000.0), ("Caller 1", 10_040.0), ("Caller 1", 10_900.0)]
    assert desktops.paints(rang, painted, ["1", "2"]) == pytest.approx((40.0,))
