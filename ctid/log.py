"""One log for ctid and its libraries: a line per event, for people (console) or machines (json).

Law: what came from outside cannot forge a line or steer a terminal, and no secret is ever written. Ids of the
call and the agent at hand are bound by ``about`` and stand on each line logged within. A line that cannot be written is lost,
and nothing else: a full disk stops no call. ctid's own lines go past ``logging``, which takes three times as long.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_NAMES_OF_SECRETS = frozenset({"secret", "password", "pin", "token", "authorization", "cookie"})
#: A shorter secret would blot out half of the log.
_SHORTEST_SECRET = 4


def setup(
    level: Literal["debug", "info", "warning", "error"] = "info",
    format: Literal["console", "json"] = "console",  # noqa: A002 - named as the key of [log]
    *,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Send everything that is logged, by ctid or a library, to ``stream`` (default: standard error).

    ``secrets`` are texts that are struck out wherever they appear, tracebacks included.
    """
    stream = stream or sys.stderr
    strike = sorted((s for s in secrets if len(s) >= _SHORTEST_SECRET), key=len, reverse=True)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _harmless(strike),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(serializer=lambda line, **_: msgspec.json.encode(line).decode())
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty(), sort_keys=False)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=partial(_Written, stream),
        cache_logger_on_first_use=False,
    )
    way = logging.StreamHandler(stream)
    way.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared[:-2]],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *shared[-2:],
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(way)
    root.setLevel(level.upper())
    for name in ("asyncio", "panoramisk", "aiosqlite", "sqlalchemy.engine", "alembic", "uvicorn.access"):
        # Chatty below warning, and what they say there is the traffic itself, with names and numbers in it.
        logging.getLogger(name).setLevel(logging.WARNING)
    # A line for each message of a flood would make the log the flood's way in.
    logging.getLogger("mqtt").setLevel(logging.ERROR)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def about(*, call: str | None = None, agent: str | None = None) -> AbstractContextManager[Any]:
    """Within it, every line carries the ids given as ``call`` and ``agent``."""
    ids = {name: value for name, value in (("call", call), ("agent", agent)) if value is not None}
    return structlog.contextvars.bound_contextvars(**ids)


class _Written:
    """Where ctid's own lines end: written to ``stream`` as they are."""

    def __init__(self, stream: TextIO, name: str = "ctid") -> None:
        self.name = name
        self._stream = stream

    def info(self, line: str) -> None:
        with suppress(OSError, ValueError):  # the disk is full, the reader is gone, the stream is closed
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = warning = error = critical = info


def _harmless(secrets: list[str]) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def harmless(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
        return {_clean(name, secrets): _value(name, value, secrets) for name, value in line.items()}

    return harmless


def _value(name: str, value: object, secrets: list[str]) -> object:
    if name.lower() in _NAMES_OF_SECRETS:
        return "***"
    if name == "exception" and isinstance(value, str):
        # A traceback has lines of its own; the bar keeps a message in it from looking like a new log line.
        return "\n  | ".join(_clean(part, secrets) for part in value.splitlines())
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping | MutableMapping):
        return {_clean(str(key), secrets): _value(str(key), item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_value(name, item, secrets) for item in value]
    return _clean(value if isinstance(value, str) else str(value), secrets)


def _clean(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
