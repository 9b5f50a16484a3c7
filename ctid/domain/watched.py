"""Facts that an index rests on.

Law: an index is never told of a change, so nobody can forget to tell it. What it rests on notes by itself, at each assignment,
whose facts changed; whoever reads the index has those looked at first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar


class Watched:
    """Base of what is watched: an assignment to one of ``facts`` puts ``id`` into ``changed``.

    Watched facts are values (a mapping is replaced, not written into), and ``changed`` and ``id`` are set before them.
    """

    __slots__ = ()
    facts: ClassVar[frozenset[str]]

    if TYPE_CHECKING:  # a declared ``__setattr__`` would let mypy accept assignments to attributes that do not exist
        changed: set[str]

        @property
        def id(self) -> str: ...

    else:

        def __setattr__(self, name: str, value: object) -> None:
            object.__setattr__(self, name, value)
            if name in self.facts:
                self.changed.add(self.id)
