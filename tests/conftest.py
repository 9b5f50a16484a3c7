"""Which tests run first, what passwords cost in them, and which inputs properties are tried on.

Law: the modules on whole centres are few and long, those of the rules many and short. xdist would begin with the file of the
most tests and leave the long ones to the end, one worker alone with the last. `--no-loadscope-reorder` keeps this order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import settings

from ctid.db import secrets

# A run that failed fails again: the same inputs each time. New ones are for whoever hunts: `--hypothesis-profile=hunt`.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("hunt", deadline=None, print_blob=True)
settings.load_profile("suite")

_HERE = Path(__file__).parent
#: The dearest first; what is not named comes last, in its own order.
_DEAR = ("chain", "browser", "lab", "web", "ops", "cli")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folder = item.path.relative_to(_HERE).parts[0]
    return _DEAR.index(folder) if folder in _DEAR else len(_DEAR)


@pytest.fixture(autouse=True, scope="session")
def cheap_passwords() -> Iterator[None]:
    """In this process alone: the real cost is a sixth of a second of a core for each user of each test."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "_PASSWORDS", cheap)
        patch.setattr(secrets, "_PINS", cheap)
        yield
