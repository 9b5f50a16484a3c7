"""What comes first, wherever tickets stand in a row: the higher severity, then the higher level of the customer.

Law: one rule for every list, search and file; the databases say the same in SQL (``ctid.db.lists``), and a test holds the two
together. Within one severity and level a list goes on as its name says: by the time promised, by age, by what is newest.
"""

from __future__ import annotations

from typing import Protocol


class Weighed(Protocol):
    """What a ticket is weighed by."""

    @property
    def severity(self) -> int: ...
    @property
    def level(self) -> int: ...
    @property
    def created_at(self) -> float: ...
    @property
    def id(self) -> str: ...


def weight(ticket: Weighed) -> tuple[int, int]:
    """Sorted ascending, the weightier ticket stands first."""
    return -ticket.severity, -ticket.level


def first_come(ticket: Weighed) -> tuple[int, int, float, str]:
    """The order of work: weight, then who has waited longest."""
    return *weight(ticket), ticket.created_at, ticket.id


def newest(ticket: Weighed) -> tuple[int, int, float, str]:
    """The order of a search: weight, then what is newest."""
    return *weight(ticket), -ticket.created_at, ticket.id
