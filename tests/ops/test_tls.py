"""TLS to real servers and of the web's own: who is right is taken, whoever is not is refused in a line that says what to do."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from ctid.asterisk.client import AmiDown, AmiLink, AmiSettings, LinkState
from ctid.config import Mqtt, load
from ctid.db import session
from ctid.db.session import DatabaseFault
from ctid.mqtt.trial import BrokerFault, try_broker
from ctid.tls import Tls
from lab.asterisk import Asterisk
from lab.certificates import Authority, Pair, self_signed
from lab.mosquitto import Mosquitto
from lab.postgres import Postgres
from lab.process import Process, answers, free_port, until
from lab.site import CTID

NOBODY = "nobody ctid trusts has signed the certificate of 127.0.0.1"
#: What is wrong with a server's certificate, and what is said of it.
WRONG = {
    "a stranger's authority": NOBODY,
    "self-signed": NOBODY,
    "expired": "the certificate of 127.0.0.1 has expired; renew it there",
    "not yet valid": "the certificate of 127.0.0.1 is not valid yet; see whether the clocks",
    "another name's": "the certificate of 127.0.0.1 is another name's",
}


@pytest.fixture
def trusted(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "trusted")


def presented(what: str, trusted: Authority, folder: Path) -> Pair:
    """A certificate and key of which this is wrong."""
    match what:
        case "a stranger's authority":
            return Authority(folder / "stranger", "Stranger").issue("server")
        case "self-signed":
            return self_signed(folder / "self")
        case "expired":
            return trusted.issue("expired", begins=-9, ends=-1)
        case "not yet valid":
            return trusted.issue("early", begins=1, ends=9)
        case _:
            return trusted.issue("elsewhere", "pbx.example", "192.0.2.1")


# -- the PBX -----------------------------------------------------------------------------------------------------------


def link_to(pbx: Asterisk, ca_file: Path, *, port: int | None = None) -> AmiLink:
    async def up(_: AmiLink) -> None:
        """Nothing is read."""

    settings = AmiSettings(
        host="127.0.0.1",
        port=port or pbx.ami_tls_port,
        username=pbx.ami_username,
        secret=pbx.ami_secret,
        tls=Tls(section="ami", ca_file=ca_file),
        first_retry_seconds=0.02,
        last_retry_seconds=0.1,
    )
    return AmiLink(settings, on_messages=lambda _: None, on_up=up, on_down=lambda: None)


@asynccontextmanager
async def running(link: AmiLink) -> AsyncIterator[AmiLink]:
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_ami_is_spoken_by_tls_and_each_wrong_certificate_of_the_pbx_is_refused(
    tmp_path: Path, trusted: Authority
) -> None:
    pair = trusted.issue("pbx")
    async with Asterisk(tmp_path / "asterisk", agents=(), tls=pair) as pbx:
        async with running(link_to(pbx, trusted.file)) as link:
            await until(lambda: link.state is LinkState.UP, "the link is up")
            assert link.protocol is not None
            spoken = link.protocol.transport.get_extra_info("ssl_object")
            assert spoken.version() in ("TLSv1.2", "TLSv1.3")
        with pytest.raises(AmiDown, match="speaks no TLS at this port; name its TLS port"):
            await link_to(pbx, trusted.file, port=pbx.ami_port).connect()
        configured = pbx.folder / "etc" / "manager.conf"
        for what, said in WRONG.items():
            wrong = presented(what, trusted, tmp_path)
            pair.cert.write_bytes(wrong.cert.read_bytes())
            pair.key.write_bytes(wrong.key.read_bytes())
            configured.write_text(configured.read_text() + "\n")  # of an unchanged file it would read nothing
            await pbx.cli("manager reload")
            with pytest.raises(AmiDown, match=said) as told:
                await link_to(pbx, trusted.file).connect()
            assert "\n" not in str(told.value)


async def test_a_renewed_authority_on_disk_counts_from_the_next_connection_on(
    tmp_path: Path, trusted: Authority
) -> None:
    stranger = Authority(tmp_path / "stranger")
    known = tmp_path / "known.pem"
    known.write_bytes(stranger.file.read_bytes())
    async with Asterisk(tmp_path / "asterisk", agents=(), tls=trusted.issue("pbx")) as pbx:
        with capture_logs() as logs:
            async with running(link_to(pbx, known)) as link:
                await until(lambda: any(NOBODY in line.get("error", "") for line in logs), "the certificate is refused")
                known.write_bytes(trusted.file.read_bytes())
                await until(lambda: link.state is LinkState.UP, "the link is up")


# -- the broker --------------------------------------------------------------------------------------------------------


async def test_the_broker_is_spoken_to_by_tls_and_each_wrong_certificate_of_it_is_refused(
    tmp_path: Path, trusted: Authority
) -> None:
    async with Mosquitto(tmp_path / "right", tls=trusted.issue("broker")) as broker:
        await try_broker(mqtt(broker, tmp_path, ca_file=trusted.file))
    for number, (what, said) in enumerate(WRONG.items()):
        async with Mosquitto(tmp_path / f"wrong{number}", tls=presented(what, trusted, tmp_path)) as broker:
            with pytest.raises(BrokerFault, match=said):
                await try_broker(mqtt(broker, tmp_path, ca_file=trusted.file))
    async with Mosquitto(tmp_path / "plain") as broker:
        plain = load_mqtt(tmp_path, url=f"mqtts://127.0.0.1:{broker.port}", ca_file=trusted.file)
        with pytest.raises(BrokerFault, match=r"cannot be reached .* mqtt.url right"):
            await try_broker(plain)


async def test_a_broker_that_wants_to_see_a_certificate_is_shown_ctids(tmp_path: Path, trusted: Authority) -> None:
    ours, theirs = trusted.issue("ctid"), Authority(tmp_path / "stranger").issue("ctid")
    async with Mosquitto(tmp_path / "broker", tls=trusted.issue("broker"), clients=trusted.file) as broker:
        await try_broker(mqtt(broker, tmp_path, ca_file=trusted.file, cert_file=ours.cert, key_file=ours.key))
        with pytest.raises(BrokerFault, match=r"where it asks for a certificate, set mqtt.cert_file"):
            await try_broker(mqtt(broker, tmp_path, ca_file=trusted.file, cert_file=theirs.cert, key_file=theirs.key))


def mqtt(broker: Mosquitto, folder: Path, **files: Path) -> Mqtt:
    return load_mqtt(folder, url=broker.url, **files)


def load_mqtt(folder: Path, **given: object) -> Mqtt:
    (folder / "ctid.toml").write_text("")
    return load(folder / "ctid.toml", {f"CTID_MQTT__{key.upper()}": str(value) for key, value in given.items()}).mqtt


# -- the database ------------------------------------------------------------------------------------------------------


async def test_postgresql_is_asked_by_tls_and_each_wrong_certificate_of_it_is_refused(
    tmp_path: Path, trusted: Authority
) -> None:
    async with Postgres(tmp_path / "right", tls=trusted.issue("books")) as books:
        await asked(f"{books.url()}?sslmode=verify-full&sslrootcert={trusted.file}")
        stranger = Authority(tmp_path / "stranger").file
        with pytest.raises(DatabaseFault, match=rf"{NOBODY}.*database.url's sslrootcert"):
            await asked(f"{books.url()}?sslmode=verify-full&sslrootcert={stranger}")
        with pytest.raises(DatabaseFault, match=r"database.url's sslrootcert: cannot be read"):
            await asked(f"{books.url()}?sslmode=verify-full&sslrootcert={tmp_path}/none")
    async with Postgres(tmp_path / "elsewhere", tls=presented("another name's", trusted, tmp_path)) as books:
        await asked(f"{books.url()}?sslmode=verify-ca&sslrootcert={trusted.file}")
        with pytest.raises(DatabaseFault, match=WRONG["another name's"]):
            await asked(f"{books.url()}?sslmode=verify-full&sslrootcert={trusted.file}")
    async with Postgres(tmp_path / "plain") as books:
        with pytest.raises(DatabaseFault, match="rejected SSL upgrade; turn on ssl"):
            await asked(f"{books.url()}?sslmode=verify-full&sslrootcert={trusted.file}")


def test_certificates_nobody_would_look_at_are_refused_in_the_databases_url() -> None:
    with pytest.raises(DatabaseFault, match="add sslmode=verify-full"):
        session.engine("postgresql://u@h/x?sslrootcert=/etc/ssl/ca.pem")


async def asked(url: str) -> None:
    engine = session.engine(url)
    try:
        await session.ping(engine)
    finally:
        await engine.dispose()


# -- the web -----------------------------------------------------------------------------------------------------------


async def test_the_web_speaks_tls_alone_and_takes_up_a_renewed_certificate(tmp_path: Path, trusted: Authority) -> None:
    pair, port = trusted.issue("desk"), free_port()
    config = tmp_path / "ctid.toml"
    config.write_text(
        f'[state]\ndirectory = "{tmp_path}"\n[database]\nurl = "sqlite:///{tmp_path}/ctid.db"\n'
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{free_port()}"\n[log]\nformat = "json"\n'
        f'[web]\nlisten = "127.0.0.1:{port}"\nurl = "https://127.0.0.1:{port}"\n'
        f'cert_file = "{pair.cert}"\nkey_file = "{pair.key}"\n'
    )
    upgraded = await asyncio.create_subprocess_exec(CTID, "db", "upgrade", "--config", config)
    assert await upgraded.wait() == 0
    web = Process([str(CTID), "web", "--config", str(config)], folder=tmp_path, name="web")
    try:
        await web.ready(lambda: answers(port), "listens")
        knows = ssl.create_default_context(cafile=trusted.file)
        async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=knows) as browser:
            page = await browser.get("/sign-in")
            assert page.headers["strict-transport-security"] == "max-age=31536000"
            assert all("; secure" in cookie.lower() for cookie in page.headers.get_list("set-cookie"))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as browser:
            with pytest.raises(httpx.HTTPError):
                await browser.get("/sign-in")
        old = ssl.create_default_context(cafile=trusted.file)
        old.minimum_version = old.maximum_version = ssl.TLSVersion(0x0302)  # TLS 1.1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=old)

        first = await number(port, knows)
        pair.cert.write_bytes(trusted.issue("half").cert.read_bytes())
        web.send(signal.SIGHUP)
        await until(lambda: "web.key_file: is not the key" in web.output.read_text(), "half a renewal is told")
        assert await number(port, knows) == first
        trusted.issue("desk", into=pair)
        web.send(signal.SIGHUP)
        await until(lambda: "web.certificate_renewed" in web.output.read_text(), "the renewal is told")
        assert await number(port, knows) != first
    finally:
        await web.stop()
    assert "Traceback" not in web.output.read_text()


async def number(port: int, knows: ssl.SSLContext) -> str:
    """The serial number of the certificate that is shown."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=knows)
    shown = writer.get_extra_info("peercert")
    writer.close()
    return str(shown["serialNumber"])
