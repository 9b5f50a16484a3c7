"""What goes wrong is one line that says what to do, with the exit status of whose fault it is."""

import asyncio
import fcntl
import importlib
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from ctid.cli import faults
from ctid.db.session import DatabaseFault
from lab.process import until
from tests.cli.conftest import CTID, Ended, Site, run


def says(ended: Ended, *words: str, status: int = 2) -> None:
    """One line on stderr with all the words in it, nothing on stdout."""
    assert ended.status == status, ended
    lines = ended.err.splitlines()
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("ctid: ")
    assert all(word in lines[0] for word in words), lines[0]
    assert ended.out == ""


@pytest.mark.parametrize("command", [["run"], ["web"], ["check"], ["doctor"], ["calls"], ["db", "upgrade"]])
def test_a_configuration_that_is_not_there_is_named(command: list[str], tmp_path: Path) -> None:
    says(run(*command, config=tmp_path / "none.toml"), "none.toml", "--config")


def test_the_configuration_may_be_named_before_or_after_the_command_and_the_last_one_counts(site: Site) -> None:
    wrong = str(site.folder / "none.toml")
    right = str(site.config)
    assert run("calls", "--json", "--config", right).json == []
    assert run("--config", wrong, "calls", "--json", "--config", right).json == []
    assert run("user", "--config", right, "list", "--json").json == []
    says(run("--config", right, "calls", "--config", wrong), "none.toml")


def test_every_fault_of_the_configuration_is_told_at_once_a_line_each(bare: Site) -> None:
    bare.config.write_text('[routing]\ntimezone = "Asia/Shangai"\nring_seconds = 0\n[database]\nurl = "mysql://x"\n')
    ended = bare.ctid("check")
    assert ended.status == 2
    assert sorted(line.split()[1].rstrip(":") for line in ended.err.splitlines()) == [
        "ami.secret",
        "database.url",
        "routing.ring_seconds",
        "routing.timezone",
    ]
    assert "did you mean Asia/Shanghai" in ended.err
    assert ended.out == ""


def test_a_right_configuration_is_told_so_with_its_warnings(bare: Site) -> None:
    assert bare.ctid("check").status == 0
    ended = bare.ctid("check", CTID_LINES="[]")
    assert (ended.status, ended.err.count("warning")) == (0, 1)


def test_a_time_zone_that_is_none_is_told_with_the_nearest(site: Site) -> None:
    says(site.ctid("calls", CTID_ROUTING__TIMEZONE="Europe/Berln"), "Europe/Berlin")


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all/ctid.db", "postgresql://u:hidden-word@127.0.0.1:9/ctid"])
@pytest.mark.parametrize("command", [["run"], ["calls"], ["db", "upgrade"], ["user", "list"]])
def test_a_database_that_is_not_there_is_one_line_without_its_password(
    bare: Site, command: list[str], url: str
) -> None:
    ended = bare.ctid(*command, CTID_DATABASE__URL=url)
    says(ended, "nowhere" if "nowhere" in url else "127.0.0.1:9")
    assert "hidden-word" not in ended.err


def test_reading_makes_no_database_where_there_is_none(bare: Site) -> None:
    says(bare.ctid("calls"), "ctid db upgrade")
    assert not (bare.folder / "ctid.db").exists()


def test_run_that_must_not_upgrade_says_how_to(bare: Site) -> None:
    ended = bare.ctid("run", "--no-upgrade")
    assert (ended.status, "ctid db upgrade" in ended.err.splitlines()[-1]) == (2, True)


def test_a_port_in_use_is_named(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = site.ctid("run", CTID_METRICS__LISTEN=address)
        assert ended.status == 2
        assert ended.err.splitlines()[-1].startswith(f"ctid: metrics.listen: cannot listen on {address}")
        ended = site.ctid("web", CTID_WEB__LISTEN=address)
        assert ended.status == 2
        assert ended.err.splitlines()[-1].startswith(f"ctid: web.listen: cannot listen on {address}")
        assert "Traceback" not in ended.err


@pytest.mark.parametrize("asked", [[], ["cals"], ["calls", "--sinc", "x"], ["import", "people", "x.csv"], ["explain"]])
def test_a_command_that_is_none_is_one_line_that_points_to_the_help(asked: list[str]) -> None:
    says(run(*asked), "--help")


def test_a_fault_of_ctids_own_is_status_1_and_shows_where_only_when_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CTID_DEBUG", raising=False)
    with pytest.raises(SystemExit) as ended, faults.ended():
        raise ExceptionGroup("tasks", [ZeroDivisionError("by nought\x1b[2J")])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said == "ctid: internal error: ZeroDivisionError: by nought\\x1b[2J; CTID_DEBUG=1 shows where\n"
    monkeypatch.setenv("CTID_DEBUG", "1")
    with pytest.raises(ZeroDivisionError), faults.ended():
        raise ZeroDivisionError


def test_a_group_of_faults_that_the_user_can_mend_is_the_users() -> None:
    assert faults.told(ExceptionGroup("tasks", [DatabaseFault("mend it")])) == ("mend it",)
    assert faults.told(ExceptionGroup("tasks", [DatabaseFault("mend it"), ValueError("a bug")])) == ()


@pytest.mark.parametrize(("module", "name"), faults.MENDABLE)
def test_each_mendable_fault_is_where_it_is_looked_for(module: str, name: str) -> None:
    error = getattr(importlib.import_module(module), name)
    assert faults.told(error("mend it")) == ("mend it",)


def test_a_reader_who_has_had_enough_is_no_fault(site: Site) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*CTID, "--config", str(site.config), "report", "day"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode in (1, faults.PIPE_CLOSED)


def test_ctrl_c_ends_a_command_without_a_word(site: Site) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        # Whoever started the tests may ignore SIGINT, and that is inherited.
        ["env", "--default-signal=INT", *CTID, "--config", str(site.config), "replay", "-"],
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    # It has read the first bytes when the pipe is empty again; then it waits for more.
    os.write(writing, b"Event: ")
    waiting = struct.Struct("i")
    asyncio.run(
        until(lambda: waiting.unpack(fcntl.ioctl(reading, termios.FIONREAD, bytes(4))) == (0,), "it reads", limit=20)
    )
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    os.close(writing)
    os.close(reading)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_the_help_is_quick_because_it_imports_no_room() -> None:
    heavy = "{'fastapi', 'sqlalchemy', 'pydantic', 'panoramisk', 'aiomqtt', 'rich.table'}"
    program = f"import sys; from ctid.cli.app import app; print(sorted({heavy} & sys.modules.keys()))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"
    assert run("--help").status == 0
    assert run("--version").out.startswith("ctid ")


def test_a_list_imports_neither_the_web_nor_the_doors(site: Site) -> None:
    program = (
        "import sys; from ctid.cli.app import app\n"
        f"app(['calls', '--json', '--config', {str(site.config)!r}], standalone_mode=False)\n"
        "print(sorted({'fastapi', 'panoramisk', 'aiomqtt', 'uvicorn'} & sys.modules.keys()))"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split() == ["[]", "[]"]
