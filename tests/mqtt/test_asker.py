"""The web asks, the daemon answers, over a real mosquitto between them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ctid.domain.events import Event, PauseAsked, ResumeAsked
from ctid.domain.said import Code, Said, say
from ctid.mqtt import asker as asker_module
from ctid.mqtt.asker import RESULTS, Asker
from ctid.mqtt.subscriber import Subscriber
from lab.mosquitto import Mosquitto
from lab.process import until
from tests.mqtt.conftest import Door, Listener, settings_for


@dataclass
class Web:
    """The web's side: its ``asker``, and whether it has heard of an acting daemon."""

    asker: Asker
    subscriber: Subscriber
    acting: bool = True


@pytest.fixture
async def web(broker: Mosquitto, tmp_path: Path) -> AsyncIterator[Web]:
    def hear(topic: str, payload: bytes, *, kept: bool) -> None:
        made.asker.take(topic, payload)

    subscriber = Subscriber(settings_for(tmp_path, broker.url).mqtt, RESULTS, hear)
    made = Web(Asker(subscriber.publish, lambda: made.acting), subscriber)
    listening = asyncio.create_task(subscriber.run())
    await until(lambda: subscriber.connected, "the web reaches the broker")
    yield made
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def asked(door: Door, number: int = 1) -> list[Event]:
    await until(lambda: len(door.asked) >= number, "the daemon is asked")
    return door.asked


def answered(door: Door, event: Event, error: Said | None = None) -> None:
    assert isinstance(event, PauseAsked | ResumeAsked)
    door.door.reply(event.request, error)


async def test_what_the_daemon_did_is_answered_with_nothing(door: Door, web: Web) -> None:
    asking = asyncio.create_task(web.asker.ask("7", "pause", reason="午饭"))
    [event] = await asked(door)
    assert isinstance(event, PauseAsked)
    assert (event.request.agent, event.reason) == ("7", "午饭")
    answered(door, event)
    assert await asking is None


async def test_what_the_daemon_refused_is_answered_with_its_line(door: Door, web: Web) -> None:
    assert "reason" in (await web.asker.ask("7", "pause") or "")
    asking = asyncio.create_task(web.asker.ask("7", "resume"))
    [event] = await asked(door)
    answered(door, event, say(Code.AGENT_BUSY, agent="Zoë %(x)s"))
    assert await asking == "Zoë %(x)s is busy; try again later, or choose another colleague."


async def test_an_answer_whose_code_nobody_knows_is_shown_as_the_daemon_said_it(
    door: Door, web: Web, listener: Listener
) -> None:
    for odd in ({"code": "new"}, {"code": "agent_busy", "fields": {}}, {"code": "agent_busy", "fields": {"agent": 7}}):
        asking = asyncio.create_task(web.asker.ask("7", "resume"))
        await until(lambda: door.asked, "the daemon is asked")
        event = door.asked.pop()
        assert isinstance(event, ResumeAsked)
        await listener.says("agents/7/result", {"id": event.request.id, "ok": False, "error": "7 is busy", **odd})
        assert (await asking or "").startswith("7 is busy")


async def test_two_at_once_each_get_their_own_answer(door: Door, web: Web) -> None:
    first = asyncio.create_task(web.asker.ask("7", "pause", reason="one"))
    second = asyncio.create_task(web.asker.ask("7", "pause", reason="two"))
    events = {event.reason: event for event in await asked(door, 2) if isinstance(event, PauseAsked)}
    answered(door, events["two"], say(Code.NO_WRAP_UP))
    answered(door, events["one"])
    done, refused = await asyncio.gather(first, second)
    assert done is None
    assert "not in wrap-up" in (refused or "")


async def test_an_answer_that_does_not_come_is_said_and_the_command_is_not_sent_again(
    web: Web, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asker_module, "ANSWER_SECONDS", 0.3)
    assert "did not answer" in (await web.asker.ask("7", "resume") or "")
    sent = await listener.hears("agents/7/command")
    assert sent.expiry is not None
    assert sent.expiry <= 1, "a daemon that comes later is not told any more"
    assert "did not answer" in (await web.asker.ask("8", "resume") or "")
    await listener.hears("agents/8/command")
    assert len(listener.on("agents/7/command")) == 1


async def test_without_a_daemon_or_a_broker_nothing_is_sent(web: Web, broker: Mosquitto, listener: Listener) -> None:
    web.acting = False
    assert "not routing calls" in (await web.asker.ask("7", "resume") or "")
    assert listener.on("agents/7/command") == []
    web.acting = True
    await broker.stop()
    await until(lambda: not web.subscriber.connected, "the web notices")
    assert "broker cannot be reached" in (await web.asker.ask("7", "resume") or "")


async def test_too_many_questions_at_once_are_not_asked(door: Door, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asker_module, "MOST", 1)
    first = asyncio.create_task(web.asker.ask("7", "resume"))
    [event] = await asked(door)
    assert "Too much" in (await web.asker.ask("7", "resume") or "")
    answered(door, event)
    assert await first is None


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"{}", b'{"id": 7, "ok": true}', b"[" * 100_000])
async def test_what_is_no_answer_is_dropped(payload: bytes, door: Door, web: Web, listener: Listener) -> None:
    asking = asyncio.create_task(web.asker.ask("7", "resume"))
    [event] = await asked(door)
    await listener.says("agents/7/result", payload)
    assert isinstance(event, ResumeAsked)
    stolen = json.dumps({"id": event.request.id, "ok": False, "error": "no"}).encode()
    await listener.says("agents/8/result", stolen)  # another agent's topic answers for nobody else
    await listener.hears("agents/8/result")
    answered(door, event)
    assert await asking is None


async def test_an_agent_whose_id_is_no_topic_level_is_not_asked_for(web: Web) -> None:
    with pytest.raises(ValueError, match="cannot be part"):
        await web.asker.ask("a/b", "resume")
