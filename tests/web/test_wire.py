"""What a connection may cost: heads, bodies, silence and readers that do not read, on the real server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from ctid.web import limits, live, wire
from ctid.web.wire import Door
from lab.process import until
from tests.web.conftest import Web

GET = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"


@asynccontextmanager
async def line(web: Web) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = web.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer(web: Web, *said: bytes) -> bytes:
    """What the server says until it closes, or stays silent after a whole answer."""
    async with line(web) as (reader, writer):
        for part in said:
            writer.write(part)
        async with asyncio.timeout(20):
            return await reader.read(65536)


async def test_a_request_is_answered_as_ever(web: Web) -> None:
    assert (await answer(web, GET, b"\r\n")).startswith(b"HTTP/1.1 200 OK")
    assert (await answer(web, GET + b"x: " + b"y" * 8000 + b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (GET + b"x: " + b"y" * 30_000 + b"\r\n\r\n", 431),
        (GET + b"x: " + b"y" * 300_000, 431),  # and never an end
        (GET + b"".join(b"x%d: y\r\n" % n for n in range(200)) + b"\r\n", 431),
        (GET + b"cookie: " + b"; ".join(b"c%d=%d" % (n, n) for n in range(5000)) + b"\r\n\r\n", 431),
        (b"GET /?" + b"x" * 9000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: -5\r\n\r\n", 400),
        (b"POST /sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\n\r\n", 413),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"nonsense\r\n\r\n", 400),
    ],
)
async def test_a_head_that_is_too_large_or_none_is_refused(web: Web, said: bytes, status: int) -> None:
    assert (await answer(web, said)).startswith(b"HTTP/1.1 %d " % status)


async def test_a_head_too_large_opens_no_socket_either(web: Web) -> None:
    said = (
        b"GET /live HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nx: " + b"y" * 30_000 + b"\r\n\r\n"
    )
    assert (await answer(web, said)).startswith(b"HTTP/1.1 431 ")
    await until(lambda: web.door.inside == 0, "the place is given back")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HT",
        b"\r\n",
        GET + b"x: ",
        b"POST /sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\nname=",
        b"POST /sign-in HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
    ],
)
async def test_what_does_not_come_to_an_end_in_time_is_not_waited_for(
    web: Web, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(wire, "BODY_SECONDS", 0.2)
    assert (await answer(web, said)).startswith(b"HTTP/1.1 408 ")
    await until(lambda: web.door.inside == 0, "the place is given back")


async def test_a_head_that_drips_is_not_waited_for(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.3)
    async with line(web) as (reader, writer):

        async def drip() -> None:
            while not writer.is_closing():
                writer.write(b"x: y\r\n")
                await asyncio.sleep(0.02)

        writer.write(GET)
        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(20):
            assert (await reader.read(100)).startswith(b"HTTP/1.1 408 ")
        dripping.cancel()


async def test_who_does_not_read_is_cut_off(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "STALL_SECONDS", 0.3)
    client = await web.signed_in("boss")
    file = web.room.settings.recordings.root / "2026/call-1.wav"
    file.write_bytes(bytes(40_000_000))
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    async with line(web) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = web.door.inside
        writer.write(
            f"GET /recordings/pbx-call-1/audio HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\n\r\n".encode()
        )
        await until(lambda: web.door.inside < before, "the server has let go")


async def test_an_address_that_keeps_silent_gets_no_more_lines_than_its_share(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MOST_SILENT", 5)
    lines = [await asyncio.open_connection(*web.url.removeprefix("http://").split(":")) for _ in range(5)]
    assert (await answer(web)).startswith(b"HTTP/1.1 503 ")
    for reader, writer in lines:
        writer.write(GET + b"\r\n")
        assert (await reader.read(100)).startswith(b"HTTP/1.1 200 ")
    assert (await answer(web, GET + b"\r\n")).startswith(b"HTTP/1.1 200 ")  # those that asked are silent no more
    for _, writer in lines:
        writer.close()
    await until(lambda: web.door.inside == 0, "all have gone")


def test_a_full_house_takes_nobody_until_somebody_leaves() -> None:
    door = Door()
    door._most = 2
    assert [door.enter("a"), door.enter("b"), door.enter("c")] == [True, True, False]
    door.leave()
    assert door.enter("c")
    assert door.inside == 2


async def test_a_user_has_no_more_screens_than_tabs_can_be(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SOCKETS_PER_USER", 3)
    client = await web.signed_in("liwei")
    headers = {"cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
    address = web.socket_url + "?agent=7"
    screens = [await connect(address, origin=web.url, additional_headers=headers) for _ in range(3)]
    for screen in screens:
        await screen.recv()
    async with connect(address, origin=web.url, additional_headers=headers) as more:
        with pytest.raises(ConnectionClosed):
            await more.recv()
        assert more.close_code == live.TRY_AGAIN
    await screens.pop().close()
    await until(lambda: web.room.sockets._open.total() == 2, "the place is free")
    async with connect(address, origin=web.url, additional_headers=headers) as again:
        assert await again.recv()
    for screen in screens:
        await screen.close()


async def test_who_talks_much_to_the_feed_is_let_go(web: Web) -> None:
    client = await web.signed_in("liwei")
    headers = {"cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
    async with connect(web.socket_url + "?agent=7", origin=web.url, additional_headers=headers) as screen:
        with suppress(ConnectionClosed):
            for _ in range(10 * live.MOST_HEARD):
                await screen.send("x")
        async with asyncio.timeout(20):
            await screen.wait_closed()
        assert screen.close_code == live.TOO_MUCH
    await until(lambda: web.door.inside <= 1, "its place is free")
