"""The shipped ACL on a real broker: each may do their part and nobody else's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiomqtt

from lab.mosquitto import Mosquitto
from lab.process import TOP, until

USERS = {"ctid": "pw-ctid", "ctid-web": "pw-web", "7": "pw-7", "8": "pw-8"}


def signed_in(broker: Mosquitto, user: str) -> aiomqtt.Client:
    return aiomqtt.Client(
        "127.0.0.1", broker.port, username=user, password=USERS[user], protocol=aiomqtt.ProtocolVersion.V5
    )


async def test_agents_reach_their_own_topics_and_nobody_elses(tmp_path: Path) -> None:
    acl = (TOP / "config/mosquitto.acl").read_text()
    async with (
        Mosquitto(tmp_path, users=USERS, acl=acl) as broker,
        signed_in(broker, "ctid") as daemon,
        signed_in(broker, "ctid-web") as web,
        signed_in(broker, "7") as seven,
        signed_in(broker, "8") as eight,
    ):
        heard: dict[str, list[str]] = {"daemon": [], "seven": [], "eight": [], "web": []}

        async def read(name: str, client: aiomqtt.Client) -> None:
            async for message in client.messages:
                heard[name].append(str(message.topic))

        clients = {"daemon": daemon, "seven": seven, "eight": eight, "web": web}
        for topic in ("ctid/v1/agents/+/command", "ctid/v1/calls/+/command"):
            await daemon.subscribe(topic, qos=1)
        for client in (seven, eight, web):
            await client.subscribe("ctid/v1/#", qos=1)
        reading = [asyncio.create_task(read(name, client)) for name, client in clients.items()]

        await seven.publish("ctid/v1/agents/8/command", b"{}", qos=1)  # as somebody else
        await seven.publish("ctid/v1/agents/7/state", b"{}", qos=1)  # what only ctid may say
        await seven.publish("ctid/v1/agents/7/command", b"{}", qos=1)
        await web.publish("ctid/v1/agents/8/command", b"{}", qos=1)
        await until(lambda: len(heard["daemon"]) >= 2, "the daemon hears both commands that are allowed")
        for agent in ("7", "8"):
            for kind in ("pop", "state", "result"):
                await daemon.publish(f"ctid/v1/agents/{agent}/{kind}", b"{}", qos=1)
        await daemon.publish("ctid/v1/calls/1.1", b"{}", qos=1)
        await daemon.publish("ctid/v1/nodes/n1/status", b"{}", qos=1)
        await until(lambda: "ctid/v1/nodes/n1/status" in heard["web"], "the web hears the last message")
        await until(lambda: len(heard["seven"]) >= 3 and len(heard["eight"]) >= 3, "both agents hear theirs")
        for task in reading:
            task.cancel()

    assert sorted(heard["daemon"]) == ["ctid/v1/agents/7/command", "ctid/v1/agents/8/command"]
    assert sorted(heard["seven"]) == [f"ctid/v1/agents/7/{kind}" for kind in ("pop", "result", "state")]
    assert sorted(heard["eight"]) == [f"ctid/v1/agents/8/{kind}" for kind in ("pop", "result", "state")]
