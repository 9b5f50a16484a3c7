"""Higher severity and customer level come first, in every list."""

from dataclasses import dataclass

from ctid.desk import order


@dataclass(frozen=True)
class Ticket:
    id: str
    severity: int
    level: int
    created_at: float


TICKETS = [
    Ticket("b", 3, 1, 10),
    Ticket("a", 3, 1, 10),
    Ticket("c", 3, 5, 30),
    Ticket("d", 5, 1, 40),
    Ticket("e", 3, 5, 20),
]


def test_severity_beats_level_and_level_beats_waiting():
    assert [ticket.id for ticket in sorted(TICKETS, key=order.first_come)] == ["d", "e", "c", "a", "b"]


def test_a_search_has_the_newest_first_within_one_weight():
    assert [ticket.id for ticket in sorted(TICKETS, key=order.newest)] == ["d", "c", "e", "a", "b"]
