"""``run`` and ``web``: the two daemons."""
# ruff: noqa: PLC0415 - each daemon imports its own rooms

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ctid.cli.faults import told
from ctid.cli.options import ConfigFile, read_settings

if TYPE_CHECKING:
    from ctid.config import Settings


def run(
    *,
    config: ConfigFile = None,
    upgrade: Annotated[
        bool, typer.Option("--upgrade/--no-upgrade", help="Bring the database's schema to the newest first.")
    ] = True,
) -> None:
    """Route calls until stopped by SIGTERM or Ctrl-C."""
    settings = read_settings(config, pbx=True)
    from ctid.daemon.collecting import one_heap
    from ctid.daemon.run import run as route

    one_heap()
    with _logged(settings), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(route(settings, upgrade=upgrade, config=config))


def web(*, config: ConfigFile = None) -> None:
    """Serve pages and API until stopped by SIGTERM or Ctrl-C."""
    settings = read_settings(config)
    from ctid.web.serve import run as serve

    with _logged(settings):
        asyncio.run(serve(settings))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The faster event loop where the extra ``speed`` is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@contextmanager
def _logged(settings: Settings) -> Iterator[None]:
    """Nobody watches a daemon: a fault of its own leaves a traceback in the log."""
    import structlog

    from ctid import log

    log.setup(settings.log.level, settings.log.format, secrets=settings.secrets)
    try:
        yield
    except Exception as error:
        if not told(error):
            structlog.get_logger(__name__).exception("daemon.failed")
        raise
