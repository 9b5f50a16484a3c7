"""A bare AMI client, independent of ctid's own: for routing by hand, for looking from outside, and for fixtures.

Law: nothing is filtered or decoded before it is stored; `AmiTap` writes the bytes as the PBX sent them.
"""

import asyncio
import itertools
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.process import LabError, until

Message = dict[str, str]


def parse(raw: bytes) -> Message:
    """One AMI message as headers; of repeated headers the last one counts, but `Output` lines are joined."""
    message: Message = {}
    for line in raw.decode("utf-8", "surrogateescape").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            value = value.removeprefix(" ")
            message[name] = f"{message[name]}\n{value}" if name == "Output" and name in message else value
    return message


class Ami:
    """One AMI session: `messages` holds all that came, in order, from FullyBooted on; `action` asks and waits."""

    def __init__(self, port: int, username: str, secret: str, *, tap: Path | None = None) -> None:
        self._port, self._username, self._secret, self._tap = port, username, secret, tap
        self._ids = itertools.count(1)
        self._reader: asyncio.Task[None] | None = None
        self.messages: list[Message] = []

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Logs in; LabError when refused. The banner and the login's reply are not kept."""
        stream, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        await stream.readline()
        self._write({"Action": "Login", "Username": self._username, "Secret": self._secret})
        reply = parse(await stream.readuntil(b"\r\n\r\n"))
        if reply.get("Response") != "Success":
            raise LabError(f"AMI refused {self._username}: {reply.get('Message')}")
        self._reader = asyncio.create_task(self._read(stream))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        sink = self._tap.open("ab", buffering=0) if self._tap else None
        rest = b""
        try:
            while chunk := await stream.read(65536):
                if sink:
                    sink.write(chunk)
                *whole, rest = (rest + chunk).split(b"\r\n\r\n")
                self.messages += [parse(raw) for raw in whole]
        except ConnectionError:
            pass
        finally:
            if sink:
                sink.close()

    @property
    def closed(self) -> bool:
        """Whether the PBX has ended this session."""
        return self._reader is not None and self._reader.done()

    def _write(self, *messages: Message) -> None:
        text = "".join("".join(f"{name}: {value}\r\n" for name, value in each.items()) + "\r\n" for each in messages)
        self._writer.write(text.encode("utf-8", "surrogateescape"))

    def send(self, *messages: Message) -> None:
        """Writes actions in one piece, without waiting for their answers."""
        self._write(*messages)

    async def action(self, name: str, limit: float = 5.0, **headers: str) -> Message:
        """Sends one action and gives its response, success or not."""
        mark = f"lab-{next(self._ids)}"
        self._write({"Action": name, "ActionID": mark, **headers})
        return await until(
            lambda: next((m for m in self.messages if m.get("ActionID") == mark and "Response" in m), None),
            f"the answer to {name}",
            limit=limit,
            every=0.005,
        )

    def events(self, name: str, **headers: str) -> list[Message]:
        """The events of this name so far (for UserEvents too: CtidWait) with these header values."""
        return [
            message
            for message in list(self.messages)
            if name in (message.get("Event"), message.get("UserEvent"))
            and all(message.get(header) == value for header, value in headers.items())
        ]

    async def event(self, name: str, limit: float = 10.0, **headers: str) -> Message:
        """The first such event, waited for."""
        found = await until(lambda: self.events(name, **headers), f"event {name} {headers}", limit=limit, every=0.005)
        return found[0]

    def route(self, channel: str, route: str) -> None:
        """Commits a route on a waiting channel and rings the doorbell, in one write, as ctid does."""
        self.send(
            {"Action": "Setvar", "Channel": channel, "Variable": "CTID_ROUTE", "Value": route},
            {"Action": "PlayDTMF", "Channel": channel, "Digit": "D", "Receive": "true"},
        )

    async def beat(self, epoch: str = "lab") -> None:
        """Makes the dialplan believe that ctid lives, for the next lease (3 s): one heartbeat."""
        self.send(
            {"Action": "Setvar", "Variable": "CTID_EPOCH", "Value": epoch},
            {"Action": "Setvar", "Variable": "CTID_HEARTBEAT", "Value": str(int(time.time()))},
        )
        await self.action("Ping")

    async def close(self) -> None:
        self._writer.close()
        if self._reader:
            await self._reader


class AmiTap(Ami):
    """Stores what the PBX sends one AMI user into a file, byte for byte, for replay.

    The file starts with the first byte after the login's reply (so with FullyBooted, where the user may read it) and
    has no banner. Tapping as ctid's own user, one gets just what ctid gets, but for answers to its actions.
    """

    def __init__(self, port: int, username: str, secret: str, file: Path) -> None:
        super().__init__(port, username, secret, tap=file)
        self.file = file
