"""A stop that aiomqtt loses.

Law: whoever awaits aiomqtt heeds a cancellation after it, before anything else is awaited. Its ``asyncio.wait_for``, until
Python 3.12, loses one that meets the end of what is waited for (https://github.com/python/cpython/issues/86296).
"""

from __future__ import annotations

import asyncio


def heed_cancellation() -> None:
    """End the task if it was cancelled."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
