"""What waits for the broker: the newest, the most urgent first, within bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctid.mqtt.outbox import Item, Kind, Outbox
from ctid.mqtt.topics import Message


def item(kind: Kind, key: object, text: str = "", expires_at: float | None = None, due_at: float = 0.0) -> Item:
    message = Message(topic=str(key), payload=text.encode())
    return Item(kind=kind, key=str(key), make=lambda: message, expires_at=expires_at, due_at=due_at)


def texts(taken: list[Item]) -> list[str]:
    return [one.make().payload.decode() for one in taken]


def test_a_pop_overtakes_everything_but_the_nodes_own_status() -> None:
    outbox = Outbox()
    for kind in reversed(Kind):
        outbox.put(item(kind, 1, kind.name))
    assert texts(outbox.take(10, 0.0)) == ["NODE", "POP", "RESULT", "STATE", "CALL"]


def test_a_newer_one_takes_the_older_ones_place_in_the_line() -> None:
    outbox = Outbox()
    outbox.put(item(Kind.POP, "a", "ringing"))
    outbox.put(item(Kind.POP, "b", "other"))
    outbox.put(item(Kind.POP, "a", "answered"))
    assert texts(outbox.take(10, 0.0)) == ["answered", "other"]


def test_an_expired_pop_is_not_shown_late() -> None:
    outbox = Outbox()
    outbox.put(item(Kind.POP, "a", "late", expires_at=5.0))
    outbox.put(item(Kind.POP, "b", "in time", expires_at=6.0))
    assert texts(outbox.take(10, 5.0)) == ["in time"]


def test_what_could_not_be_published_comes_first_again_unless_overtaken() -> None:
    outbox = Outbox()
    for key in "abc":
        outbox.put(item(Kind.STATE, key, key))
    taken = outbox.take(2, 0.0)
    outbox.put(item(Kind.STATE, "a", "newer a"))
    outbox.put_back(taken)
    assert texts(outbox.take(10, 0.0)) == ["b", "c", "newer a"]


def test_states_are_never_given_up_and_calls_lose_their_oldest() -> None:
    outbox = Outbox()
    for number in range(3000):
        outbox.put(item(Kind.STATE, number, str(number)))
        outbox.put(item(Kind.CALL, number, str(number)))
    assert len(texts(outbox.take(3000, 0.0))) == 3000
    assert texts(outbox.take(1, 0.0)) == ["1000"]


def test_what_is_not_due_waits_for_a_newer_one_but_no_longer_than_the_first_would_have() -> None:
    outbox = Outbox()
    outbox.put(item(Kind.CALL, "a", "held", due_at=5.0))
    outbox.put(item(Kind.CALL, "b", "held", due_at=6.0))
    assert (texts(outbox.take(10, 4.0)), outbox.next_due) == ([], 5.0)
    outbox.put(item(Kind.CALL, "a", "talking", due_at=9.0))
    assert texts(outbox.take(10, 5.0)) == ["talking"]
    assert outbox.next_due == 6.0
    assert texts(outbox.take(10, 5.0, early=True)) == ["held"]
    assert outbox.next_due is None
    outbox.put(item(Kind.CALL, "a", "ended", due_at=12.0))
    assert texts(outbox.take(10, 11.0)) == []


@given(st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 5), st.text(max_size=3)), max_size=60))
def test_each_key_is_published_once_with_what_was_said_last(puts: list[tuple[Kind, int, str]]) -> None:
    outbox = Outbox()
    for kind, key, text in puts:
        outbox.put(item(kind, key, text))
    taken = outbox.take(1000, 0.0)
    assert {(one.kind, one.key): one.make().payload.decode() for one in taken} == {(k, str(n)): t for k, n, t in puts}
    assert len(taken) == len({(kind, key) for kind, key, _ in puts})
    assert len(outbox) == 0


def test_what_is_held_waits_with_its_newest_and_goes_when_it_is_held_no_more() -> None:
    outbox = Outbox()
    outbox.hold(frozenset({Kind.CALL}))
    for text in ("ringing", "ended"):
        outbox.put(item(Kind.CALL, "1.9", text))
    outbox.put(item(Kind.POP, "a", "pop"))
    assert texts(outbox.take(10, 0.0)) == ["pop"]
    assert outbox.next_due is None
    outbox.hold(frozenset())
    assert outbox.next_due == 0.0
    assert texts(outbox.take(10, 0.0)) == ["ended"]


def test_a_goodbye_takes_what_is_held_along() -> None:
    outbox = Outbox()
    outbox.hold(frozenset({Kind.CALL}))
    outbox.put(item(Kind.CALL, "1.9", "ended"))
    assert texts(outbox.take(10, 0.0, early=True)) == ["ended"]
