"""Which names the web answers to, and whose forms and sockets are its own."""

from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection

from ctid.web import origins
from ctid.web.origins import ours, same_origin
from tests.web.conftest import Web, form_token

PUBLIC = "https://ctid.example.com"
DEFAULT = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    "host",
    [
        "ctid.example.com",
        "CTID.example.com",
        "ctid.example.com:8080",
        "127.0.0.1:8080",
        "localhost",
        "10.1.2.3",
        "[::1]:8080",
        "[fd00::1]",
    ],
)
def test_its_own_name_and_addresses_are_ours(host: str) -> None:
    assert ours(host, PUBLIC)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "ctid.example.com.evil.example",
        "evilctid.example.com",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example@ctid.example.com",
        "ctid.example.com/evil",
        "ctid.example.com:port",
        "ctid.example.com#",
        "0x7f.1",
        "[::1",
        " ",
    ],
)
def test_a_strangers_name_is_not_ours(host: str) -> None:
    assert not ours(host, PUBLIC)


def asked(origin: str | None, *, host: str = "ctid.example.com", server: tuple[str, int] = ("10.0.0.5", 8080)):
    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin is not None else [])
    return HTTPConnection({"type": "http", "headers": headers, "server": server})


@pytest.mark.parametrize("origin", ["https://ctid.example.com", "https://CTID.example.com:443"])
def test_forms_of_the_public_address_are_ours(origin: str) -> None:
    assert same_origin(asked(origin), PUBLIC)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "http://ctid.example.com",
        "https://ctid.example.com:444",
        "https://ctid.example.com.evil.example",
        "https://evil.example",
        "http://10.0.0.5:8080",
        "http://127.0.0.1:8080",
        "https://ctid.example.com/",
        "https://x@ctid.example.com",
        "https://ctid.example.com https://evil.example",
        "file://",
    ],
)
def test_no_others_are_where_it_is_known_how_people_come_here(origin: str | None) -> None:
    host = (origin or "").rpartition("/")[2]
    assert not same_origin(asked(origin, host=host), PUBLIC)  # whatever Host says


@pytest.mark.parametrize(
    ("origin", "server", "fine"),
    [
        ("http://127.0.0.1:8080", ("127.0.0.1", 8080), True),
        ("http://localhost:9999", ("127.0.0.1", 9999), True),
        ("http://[::1]:9999", ("::1", 9999), True),
        ("http://10.0.0.5:9999", ("10.0.0.5", 9999), True),
        ("http://10.0.0.5:9999", ("::ffff:10.0.0.5", 9999), True),
        ("http://127.0.0.1:9999", ("10.0.0.5", 9999), False),  # a page of the reader's own machine
        ("http://10.0.0.5:9998", ("10.0.0.5", 9999), False),
        ("https://10.0.0.5:9999", ("10.0.0.5", 9999), False),
        ("http://evil.example:9999", ("10.0.0.5", 9999), False),
    ],
)
def test_where_no_public_address_was_set_the_one_that_is_listened_on_counts(
    origin: str, server: tuple[str, int], fine: bool
) -> None:
    assert same_origin(asked(origin, server=server), DEFAULT) is fine


async def test_a_name_that_is_not_ours_is_refused_before_any_page_and_named_in_the_log_once(
    web: Web, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origins, "_told", set())
    client = await web.signed_in("boss")
    for address in ("/", "/tickets", "/static/ctid.css", "/api/v1/calls", "/sign-in"):
        refused = await client.get(address, headers={"host": "rebound.example"})
        assert (refused.status_code, refused.text) == (421, "This is not the address of this site.\n")
        assert "content-security-policy" in refused.headers
    assert (await client.get("/healthz", headers={"host": "rebound.example"})).status_code == 200
    told = [line for line in capsys.readouterr().out.splitlines() if "web.strange_host" in line]
    assert len(told) == 1
    assert "rebound.example" in told[0]
    assert "[web] url" in told[0]


async def test_a_page_of_a_rebound_name_can_send_no_form(web: Web) -> None:
    client = await web.signed_in("boss")
    token = form_token((await client.get("/")).text)
    for host in ("rebound.example", web.url.removeprefix("http://")):
        sent = await client.post(
            "/sign-out",
            data={"form_token": token},
            headers={"origin": "http://rebound.example", "host": host},
        )
        assert sent.status_code in (421, 403)
    assert (await client.get("/")).status_code == 200
