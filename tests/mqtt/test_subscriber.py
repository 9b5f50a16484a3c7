"""The web's door to the broker, on a real mosquitto."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ctid.mqtt.subscriber import Subscriber
from lab.mosquitto import Mosquitto
from tests.mqtt.conftest import settings_for

MOMENTS = 300
#: Between one stop and the next, in seconds: some two milliseconds are enough to connect and subscribe.
APART = 0.00001


async def test_a_stop_is_heeded_at_whatever_moment_of_connecting_it_comes(broker: Mosquitto, tmp_path: Path) -> None:
    # An aiomqtt that is stopped while it connects leaves futures behind whose exceptions nobody fetches.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    mqtt = settings_for(tmp_path, broker.url).mqtt
    for moment in range(MOMENTS):
        listening = asyncio.create_task(Subscriber(mqtt, ("ctid/v1/none",), lambda *_a, **_k: None).run())
        await asyncio.sleep(moment * APART)
        listening.cancel()
        done, _ = await asyncio.wait([listening], timeout=10)
        assert done, f"stopped after {moment * APART * 1000:.2f} ms, it goes on"
