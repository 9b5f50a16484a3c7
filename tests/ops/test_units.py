"""The shipped systemd files, judged by systemd itself in a root folder of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.process import LAB, TOP

UNITS = ("ctid.service", "ctid-web.service")


def program(name: str) -> str:
    """The host's own, or the one `make setup` unpacked."""
    found = shutil.which(name, path=f"{LAB / 'bin'}:/usr/bin:/bin")
    assert found, f"{name} is not here: it comes with Debian's package systemd"
    return found


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, text=True, capture_output=True, check=False, timeout=60)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root folder with systemd's own units, ours and the command they start."""
    own = next(p for p in (Path("/usr/lib/systemd/system"), Path("/lib/systemd/system")) if p.is_dir())
    shutil.copytree(own, tmp_path / "usr/lib/systemd/system", symlinks=True)
    ours = tmp_path / "etc/systemd/system"
    ours.mkdir(parents=True)
    for unit in UNITS:
        shutil.copy(TOP / "systemd" / unit, ours)
    command = tmp_path / "opt/ctid/bin/ctid"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_no_fault_in_the_unit(root: Path, unit: str) -> None:
    verified = run(program("systemd-analyze"), "verify", "--man=no", f"--root={root}", unit)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_runs_with_the_least_rights(root: Path, unit: str) -> None:
    judged = run(program("systemd-analyze"), "security", "--offline=true", "--threshold=20", f"--root={root}", unit)
    assert judged.returncode == 0, judged.stdout


def test_the_users_the_units_run_as_are_made_by_the_sysusers_file(root: Path) -> None:
    made = run(
        program("systemd-sysusers"),
        f"--root={root}",
        "--replace=/etc/sysusers.d/ctid.conf",
        str(TOP / "systemd/ctid.sysusers.conf"),
    )
    assert made.returncode == 0, made.stderr
    users = (root / "etc/passwd").read_text()
    for unit in UNITS:
        user = next(line for line in (TOP / "systemd" / unit).read_text().splitlines() if line.startswith("User="))
        assert f"\n{user.removeprefix('User=')}:" in f"\n{users}"


def test_the_webs_unit_never_sees_the_pbxs_secret() -> None:
    lines = (TOP / "systemd/ctid-web.service").read_text().splitlines()
    assert not [line for line in lines if re.search(r"ami[-_]", line.lower())]
