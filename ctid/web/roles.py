"""Who may do what: one table of the three roles.

Law: a page asks here and nowhere else what a role may. What depends on whose a thing is (an agent's own screen, a recording of
their own call) stands with that thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from ctid.db.users import Role, User


class May(Enum):
    SEE_ALL_AGENTS = auto()  # their screens and states
    HEAR_ALL = auto()  # every recording
    KEEP_AGENTS = auto()  # the roster: names, phones, PINs, lines
    READ_AUDIT = auto()
    KEEP_USERS = auto()
    SET_LEVELS = auto()  # of customers and contacts: who is served first
    MERGE_FILES = auto()  # two customers or contacts into one
    MOVE_LISTS = auto()  # all customers and contacts out as CSV, or in
    ERASE = auto()  # a person, for good
    PLACE_CALLERS = auto()  # among those who wait: first, last, on another line
    HOLD = auto()  # legal holds, and how long a customer's recordings are kept


_SUPERVISOR = frozenset(
    {
        May.SEE_ALL_AGENTS,
        May.HEAR_ALL,
        May.KEEP_AGENTS,
        May.READ_AUDIT,
        May.SET_LEVELS,
        May.MERGE_FILES,
        May.MOVE_LISTS,
        May.PLACE_CALLERS,
        May.HOLD,
    }
)

_ROLES: Mapping[Role, frozenset[May]] = {
    Role.AGENT: frozenset(),
    Role.SUPERVISOR: _SUPERVISOR,
    Role.ADMINISTRATOR: _SUPERVISOR | {May.KEEP_USERS, May.ERASE},
}


def may(user: User, what: May) -> bool:
    """Whether the user's role allows it."""
    return what in _ROLES[user.role]
