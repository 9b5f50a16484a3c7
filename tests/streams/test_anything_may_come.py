"""Whatever becomes of a stream on its way, tracker and core neither raise nor count wrongly."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctid.asterisk.wire import Message
from tests.streams.books import NAMES, Desk, messages, replayed, stream

RUNS = settings(max_examples=120, suppress_health_check=list(HealthCheck))
HEARD = {name: messages(stream(name)) for name in NAMES}
WHOLE = {name: replayed(stream(name)) for name in NAMES}


def sound(desk: Desk) -> None:
    """What must be true of the books after any stream at all."""
    world = desk.acd.world
    assert len(desk.ended) == len(set(desk.ended)), "a call ended twice"
    assert all(phone.channels >= 0 for phone in world.phones.values())
    assert all(count > 0 for count in desk.tracker._in_use.values())
    assert all(count > 0 for count in desk.tracker._size.values())
    assert sum(desk.tracker._size.values()) == len(desk.tracker._graph.channels)
    for call in desk.calls:
        assert (call.ended_at is None) == (call.outcome is None)
        for leg in call.legs:
            assert leg.talk_seconds >= 0
            assert leg.hold_seconds >= 0
            assert all(talk.ended_at is None or talk.ended_at >= talk.started_at for talk in leg.talks)
    for agent in world.desks:
        assert world.ledger.today(agent, 2e9) >= 0


def play(heard: list[Message]) -> Desk:
    desk = Desk()
    for message in heard:
        desk.hear(message)
    return desk


@RUNS
@given(st.data())
def test_borders_of_chunks_change_nothing(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    raw = stream(name)
    borders = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=30)))
    pieces = [raw[a:b] for a, b in zip([0, *borders], [*borders, len(raw)], strict=True)]
    assert replayed(*pieces) == WHOLE[name]


@RUNS
@given(st.data())
def test_lost_messages_break_nothing(data: st.DataObject) -> None:
    heard = HEARD[data.draw(st.sampled_from(NAMES))]
    lost = data.draw(st.sets(st.integers(0, len(heard) - 1), max_size=len(heard) // 2))
    sound(play([message for at, message in enumerate(heard) if at not in lost]))


@RUNS
@given(st.data())
def test_messages_told_twice_change_nothing_in_the_end(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    twice = data.draw(st.sets(st.integers(0, len(HEARD[name]) - 1)))
    told = [m for at, message in enumerate(HEARD[name]) for m in [message] * (1 + (at in twice))]
    desk, once = play(told), play(HEARD[name])
    sound(desk)
    assert [(c.id, c.outcome, [(x.party, x.result) for x in c.legs]) for c in desk.calls] == [
        (c.id, c.outcome, [(x.party, x.result) for x in c.legs]) for c in once.calls
    ]


@RUNS
@given(st.data())
def test_any_order_at_all_breaks_nothing(data: st.DataObject) -> None:
    heard = HEARD[data.draw(st.sampled_from(NAMES))]
    swaps = data.draw(st.lists(st.integers(0, len(heard) - 2), max_size=40))
    shuffled = list(heard)
    for at in swaps:
        shuffled[at], shuffled[at + 1] = shuffled[at + 1], shuffled[at]
    sound(play(shuffled))


@RUNS
@given(st.data())
def test_streams_of_several_calls_at_once_keep_them_apart(data: st.DataObject) -> None:
    """Two recordings interleaved, each in its order: the books have what each has alone."""
    one, two = (data.draw(st.sampled_from(NAMES)) for _ in range(2))
    if one == two:
        return
    # Names of channels are unique on one PBX; these were two.
    second = messages(stream(two).replace(b"-0000000", b"-1000000"))
    pending, mixed = [list(HEARD[one]), second], []
    turns = data.draw(st.randoms(use_true_random=False))
    while pending[0] or pending[1]:
        source = pending[turns.random() < 0.5]
        if source:
            mixed.append(source.pop(0))
    desk = play(mixed)
    sound(desk)
    expected = {c.id: (c.outcome, c.agent) for name in (one, two) for c in play(HEARD[name]).calls}
    assert {c.id: (c.outcome, c.agent) for c in desk.calls} == expected
