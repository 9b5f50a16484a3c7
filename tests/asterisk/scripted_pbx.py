"""A TCP peer that speaks AMI by script: for what a real Asterisk will not do on demand (split, hang, lie, go silent)."""

import asyncio
import time
from collections.abc import Callable
from typing import Self

Action = dict[str, str]


def message(**headers: str) -> bytes:
    """A message; an event gets its second line, as every event of Asterisk has it: a live one's Privilege, or an ActionID."""
    if "Event" in headers and not headers.keys() & {"Privilege", "ActionID"}:
        headers = {"Event": headers.pop("Event"), "Privilege": "call,all", **headers}
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"


def ok(action: Action, **headers: str) -> bytes:
    return message(Response="Success", ActionID=action["ActionID"], **headers)


def error(action: Action, text: str) -> bytes:
    return message(Response="Error", ActionID=action["ActionID"], Message=text)


class ScriptedPbx:
    """Answers Login and Ping as Asterisk does, anything else with Success, or by ``script[action name]``."""

    def __init__(self, *, secret: str = "s3cret", greeting: bytes = b"Asterisk Call Manager/11.0.0\r\n") -> None:
        self.secret = secret
        self.greeting = greeting
        self.actions: list[Action] = []
        self.reads: list[bytes] = []
        self.connections = 0
        self.clock = time.time
        self.script: dict[str, Callable[[Action], bytes]] = {}
        self.greets = message(Event="FullyBooted", Privilege="system,all", Status="Fully Booted")
        self.silent = False
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        self.drop()

    def named(self, name: str) -> list[Action]:
        return [action for action in self.actions if action["Action"] == name]

    def say(self, octets: bytes) -> None:
        self._writers[-1].write(octets)

    async def say_slowly(self, octets: bytes, step: int = 1) -> None:
        """Each ``step`` bytes in a TCP segment of their own."""
        for at in range(0, len(octets), step):
            self.say(octets[at : at + step])
            await self._writers[-1].drain()
            await asyncio.sleep(0)

    def drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        writer.write(self.greeting)
        rest = b""
        while data := await reader.read(65536):
            self.reads.append(data)
            *whole, rest = (rest + data).split(b"\r\n\r\n")
            for raw in whole:
                action = dict(line.split(": ", 1) for line in raw.decode("utf-8", "surrogateescape").split("\r\n"))
                self.actions.append(action)
                if not self.silent:
                    writer.write(self._answer(action))

    def _answer(self, action: Action) -> bytes:
        name = action["Action"]
        if name in self.script:
            return self.script[name](action)
        if name == "Login":
            if action["Secret"] != self.secret:
                return error(action, "Authentication failed")
            return ok(action, Message="Authentication accepted") + self.greets
        if name == "Ping":
            return ok(action, Ping="Pong", Timestamp=f"{self.clock():.6f}")
        return ok(action)


async def until(condition: Callable[[], object], limit: float = 5.0) -> None:
    """Wait until ``condition()`` holds; the limit only ends a test that has failed."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - any condition, of any object
            await asyncio.sleep(0.005)
