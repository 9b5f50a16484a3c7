"""Bytes that are no HTTP, or nearly: on the real server, which goes on serving whatever came."""

from __future__ import annotations

import asyncio
import logging
import random
import socket

import pytest
from structlog.testing import capture_logs

from lab.process import until
from tests.web.conftest import Web

INPUTS = 300
LOCAL = b"host: localhost\r\n"
GOOD = (
    b"GET / HTTP/1.1\r\n" + LOCAL + b"accept-language: zh\r\n\r\n",
    b"GET /calls?q=x&after=y HTTP/1.1\r\n" + LOCAL + b"cookie: ctid_session=x; ctid_form=y\r\nrange: bytes=0-5\r\n\r\n",
    b"POST /sign-in HTTP/1.1\r\n" + LOCAL + b"content-length: 11\r\n\r\nname=a&b=c%",
    b"POST /sign-in HTTP/1.1\r\n" + LOCAL + b"transfer-encoding: chunked\r\n\r\n5\r\nname=\r\n0\r\nx: y\r\n\r\n",
    b"POST /contacts/import HTTP/1.1\r\n"
    + LOCAL
    + b"content-type: multipart/form-data; boundary=b\r\ncontent-length: 70\r\n\r\n"
    + b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--',
    b"GET /live HTTP/1.1\r\n"
    + LOCAL
    + b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\norigin: http://localhost\r\n"
    + b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\x81\x05hello",
    b"GET /api/v1/calls HTTP/1.1\r\n"
    + LOCAL
    + b"authorization: Bearer x\r\n\r\nGET /healthz HTTP/1.1\r\n"
    + LOCAL
    + b"\r\n",
)
NASTY = (
    *(
        b"\r\n",
        b"\n",
        b"\0",
        b"\xff",
        b"\r\n\r\n",
        b"%00",
        b"%ff",
        b"..%2f",
        b"//",
        b":",
        b" ",
        b"\t",
        b";" * 50,
        b"9" * 40,
    ),
    *(
        b"content-length: 5\r\n",
        b"transfer-encoding: chunked\r\n",
        b"host: evil\r\n",
        b"\x16\x03\x01",
        b"PRI * HTTP/2.0\r\n",
    ),
    *(
        b"expect: 100-continue\r\n",
        b"connection: close\r\n",
        b"x" * 3000,
        b"\x88\x7f\xff\xff",
        b"upgrade: h2c\r\n",
        b"-1",
    ),
)


def bent(chance: random.Random) -> bytes:
    """A good request with some pieces of it gone, doubled, changed or nasty."""
    octets = bytearray(chance.choice(GOOD))
    for _ in range(chance.randint(0, 5)):
        at, length = chance.randint(0, len(octets)), chance.randint(0, 30)
        match chance.randint(0, 3):
            case 0:
                del octets[at : at + length]
            case 1:
                octets[at:at] = octets[at : at + length]
            case 2:
                octets[at:at] = chance.choice(NASTY)
            case _:
                octets[at : at + length] = chance.randbytes(length)
    return bytes(octets)


async def answered(web: Web, octets: bytes) -> bytes:
    host, _, port = web.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(octets)
    writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
    try:
        async with asyncio.timeout(20):
            return await reader.read(1 << 20)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_whatever_bytes_come_over_a_connection_the_server_goes_on(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    chance, answers = random.Random(5), 0
    with capture_logs() as lines, caplog.at_level(logging.WARNING):
        for _ in range(INPUTS):
            octets = bent(chance)
            said = await answered(web, octets)
            answers += bool(said)
            assert not said or said.startswith(b"HTTP/1.1 "), octets
            assert not said.startswith(b"HTTP/1.1 5"), (octets, said[:300])
            assert b"Traceback" not in said
        assert (await web.client().get("/healthz")).status_code == 200
    assert answers > INPUTS // 2
    assert not [line for line in lines if line["log_level"] == "error"]
    assert not [record.getMessage() for record in caplog.records if record.exc_info]
    for client in web.clients:
        await client.aclose()
    await until(lambda: web.door.inside == 0, "every place is given back")
