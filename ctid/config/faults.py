"""What pydantic found wrong, said as one line each: ``section.key: what is wrong; what to do``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctid.config.sections import SECRETS, SECTIONS
from ctid.config.wording import near, plain

ENV_PREFIX = "CTID_"


class ConfigurationFaults(Exception):  # noqa: N818 - many faults, not one error
    """Everything that is wrong with a configuration; ``faults`` holds one line each."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


_WRITE = {
    "int": "write a whole number",
    "float": "write a number",
    "finite": "write a number",
    "bool": "write true or false",
    "string": "write it in quotes",
    "tuple": "write a list in brackets",
    "model": "write it as a section in brackets",
    "path": "write a path in quotes",
}


def fault(error: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    loc: tuple[int | str, ...] = error["loc"]
    kind: str = error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "value_error":
        text = str(context["error"])
    elif kind == "extra_forbidden":
        text = _unknown(loc)
    elif kind == "missing":
        text = "is missing; add it"
    elif kind == "literal_error":
        text = f"is none of the words known here; write {context['expected']}"
    elif kind.startswith(("greater_than", "less_than")):
        least, most = context.get("ge"), context.get("le")
        text = f"is too small; write at least {least}" if least is not None else f"is too big; write at most {most}"
    elif kind == "string_too_short":
        text = "is empty; write it or leave the key out"
    elif kind == "string_too_long":
        text = f"is too long; write at most {context['max_length']} characters"
    elif kind == "string_pattern_mismatch":
        text = "holds characters that are not allowed there; write letters and digits"
    else:
        mend = _WRITE.get(kind.split("_", maxsplit=1)[0], "see the example configuration")
        text = f"is of the wrong kind; {mend}"
    return f"{_place(loc, given)}: {text}"


def _place(loc: tuple[int | str, ...], given: Mapping[str, Any]) -> str:
    """``section.key``, list items counted from 1, with the variable's name where the value came from one."""
    text = ""
    for part in loc:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{plain(part)}" if text else plain(part)
    if len(loc) > 1 and isinstance(given.get(str(loc[0])), dict) and loc[1] in given[str(loc[0])]:
        text += f" ({variable(str(loc[0]), str(loc[1]))})"
    return text


def variable(section: str, key: str) -> str:
    return f"{ENV_PREFIX}{plain(section)}__{plain(key)}".upper()


def _unknown(loc: tuple[int | str, ...]) -> str:
    if len(loc) == 1:
        known: tuple[str, ...] = tuple(SECTIONS)
        what = "is no section of the configuration"
    else:
        known = keys(str(loc[0]))
        what = f"is no key of [{loc[0]}]"
    guess = near(str(loc[-1]), known)
    return f"{what}; did you mean {guess}" if guess else f"{what}; known are {', '.join(known)}"


def keys(section: str) -> tuple[str, ...]:
    extra = tuple(f"{key}_file" for owner, key in SECRETS if owner == section)
    return tuple(SECTIONS[section].model_fields) + extra
