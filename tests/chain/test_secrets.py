"""A day's round with every secret marked, failures of each kind included: no mark stands where somebody could read it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from lab.mosquitto import Mosquitto
from lab.process import Process, free_port, until
from lab.site import CTID, Site
from tests.web.conftest import form_token, sign_in

#: Each may be known to two: who gave it and who checks it.
MARKS = {
    name: f"Mark-{name}-kE9xq"
    for name in (
        "ami",
        "originate",
        "mqtt",
        "database",
        "password",
        "wrong-ami",
        "wrong-mqtt",
        "wrong-password",
        "wrong-token",
    )
} | {"pin": "7391508264917350", "wrong-pin": "8264917350739150"}
AGENT = "agent1"


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(folder=tmp_path, agents=(AGENT,))
    made.broker = Mosquitto(tmp_path / "mosquitto", users={"ctid": MARKS["mqtt"]}, settings="allow_anonymous true")
    made.listener._port = made.broker.port
    pbx = made.asterisk
    manager = pbx.folder / "etc" / "manager.conf"
    text = made.config.read_text()
    for name, secret in (("ami", pbx.ami_secret), ("originate", pbx.originate_secret)):
        manager.write_text(manager.read_text().replace(secret, MARKS[name]))
        text = text.replace(secret, MARKS[name])
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "mqtt").write_text(MARKS["mqtt"] + "\n")
    (tmp_path / "secrets" / "mqtt").chmod(0o600)
    text = re.sub(r'\[mqtt\]\nurl = ".*"', f'[mqtt]\nurl = "{made.broker.url}"\nusername = "ctid"', text)
    text = text.replace('username = "ctid"\n\n', f'username = "ctid"\npassword_file = "{tmp_path}/secrets/mqtt"\n\n')
    made.config.write_text(text.replace('level = "info"', 'level = "debug"'))
    made.csv["agents"] = f"id,name,phone,level,pin,code\n{AGENT},One,{AGENT},2,{MARKS['pin']},7002\n"
    async with made:
        yield made


@pytest.mark.timeout(400)  # a dozen commands are started
async def test_no_secret_stands_in_a_log_an_error_a_message_a_metric_or_in_ps(site: Site) -> None:
    said: dict[str, str] = {}

    async def told(name: str, *argv: str, config: Path | None = None, given: str = "", **env: str) -> None:
        """Everything a command says, and whether it ended itself."""
        file = site.folder / "given"
        file.write_text(given)
        argv = ("sh", "-c", f'exec "$0" "$@" < {file}', str(CTID), *argv, "--config", str(config or site.config))
        command = Process(argv, folder=site.folder, name=f"told-{name}", env=env)
        seen(command.pid)
        if name.startswith("run"):
            await until(lambda: b"wrong_secret" in command.output.read_bytes(), f"{name} complains", limit=60)
            await command.stop()
        else:
            await command.ended(60)
        said[name] = command.output.read_text()
        file.unlink()

    def seen(*pids: int) -> None:
        """What ps shows of these processes and their children."""
        for pid in {*pids, *(child for one in pids for child in children(one))}:
            for part in ("cmdline", "environ"):
                try:
                    said[f"{part} of {pid}"] = Path(f"/proc/{pid}/{part}").read_bytes().decode(errors="replace")
                except OSError:  # it has ended
                    continue

    await told(
        "add", *["user", "add", "root", "--role", "administrator", "--password-stdin"], given=MARKS["password"] + "\n"
    )
    await told("passwd", *["user", "passwd", "root", "--password-stdin"], given=MARKS["password"] + "\n")
    await told("token", *["user", "token", "add", "root", "scripts"])
    token = said.pop("token").strip()
    (site.folder / "told-token.out").unlink()  # where it is shown this once, to who asked for it
    assert len(token) > 40
    await site.start_web()

    # At the phone: a wrong PIN, then the right one.
    for pin in (MARKS["wrong-pin"], MARKS["pin"]):
        async with site.call(AGENT, "*11", digits=[(0.3, "7002#"), (0.3, pin + "#")]) as call:
            await call.ended(limit=30)

    # In the browser and by the API: wrong ones, then right ones, and a page that isn't there.
    async with httpx.AsyncClient(base_url=site.web_url, headers={"origin": site.web_url}) as browser:
        for password in (MARKS["wrong-password"], MARKS["password"]):
            answer = await sign_in(browser, "root", password)
            said[f"answer to {password}"] = answer.text + str(answer.headers)
        session = browser.cookies["ctid_session"]
        said.pop(f"answer to {MARKS['password']}")  # the cookie is theirs
        said["audit"] = (await browser.get("/audit")).text
        said["nowhere"] = (await browser.get("/nowhere")).text
        form_token((await browser.get("/me")).text)
    async with httpx.AsyncClient(base_url=site.web_url) as program:
        for bearer in (MARKS["wrong-token"], token):
            answer = await program.get("/api/v1/agents", headers={"authorization": f"Bearer {bearer}"})
            said[f"api {bearer}"[:8]] = answer.text + str(answer.headers)
        said["metrics"] = (await program.get(f"http://127.0.0.1:{site.metrics_port}/metrics")).text

    # What goes wrong: each secret wrong, TLS where there is none, a database that is not there, and a fault of ctid's own.
    right = site.config.read_text()
    assert site.daemon is not None
    assert site.web is not None
    seen(site.daemon.pid, site.web.pid)
    wrong = right.replace(MARKS["ami"], MARKS["wrong-ami"])
    wrong = re.sub(r'password_file = ".*"', f'password = "{MARKS["wrong-mqtt"]}"', wrong)
    away = f'url = "postgresql://ctid:{MARKS["database"]}@127.0.0.1:{free_port()}/ctid"'
    broken = {
        "doctor-wrong": wrong,
        "doctor-tls": right.replace("mqtt://", "mqtts://").replace("[ami]", "[ami]\ntls = true"),
        "check-half": right.replace('pbx = "lab"', 'pbx = "no/pbx"') + f'[nowhere]\nsecret = "{MARKS["ami"]}"\n',
        "check-cut": right + f'secret = "{MARKS["ami"]}\n',
        "calls-away": re.sub(r'url = "sqlite.*"', away, right),
        "run-wrong": re.sub(r'listen = "127.0.0.1:\d+"', 'listen = "127.0.0.1:0"', wrong),
    }
    for name, text in broken.items():
        config = site.folder / f"{name}.toml"
        config.write_text(text)
        await told(name, name.partition("-")[0], config=config, CTID_DEBUG="1")
    assert "Traceback" in said["calls-away"]
    await site.stop_daemon()
    await site.web.stop()

    said |= {f"heard {heard.topic}": str(heard.payload) for heard in site.listener.heard}
    for file in site.folder.rglob("*"):
        config = (site.asterisk.folder, site.folder / "mosquitto", site.folder / "secrets", site.folder / "sipp")
        if (
            file.is_file()
            and not any(file.is_relative_to(own) for own in config)
            and file.suffix not in (".toml", ".csv")
        ):
            said[str(file.relative_to(site.folder))] = file.read_bytes().decode(errors="replace")
    assert {"run.out", "web.out", "state/ctid.db"} <= set(said)
    found = [
        (where, name)
        for name, secret in {**MARKS, "token": token, "session": session}.items()
        for where, text in said.items()
        if secret in text
    ]
    assert found == []
    assert "wrong_secret" in said["run-wrong"]
    assert "does not authorise ctid" in said["doctor-wrong"]


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []
