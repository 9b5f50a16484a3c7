"""Encryption at rest from the command line: the key's place, sealing what lies there plain, opening one into a file."""

from __future__ import annotations

import base64
import os
import time
from pathlib import Path

import pytest

from ctid.config import ConfigurationFaults, load
from tests.cli.conftest import Site
from tests.cli.test_retention import files, one_line, save

KEY, OTHER = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


@pytest.fixture
def locked(site: Site) -> Site:
    """Two recordings, one of them still being written to, and a key file."""
    site.write("key", f"{KEY}\n")
    (site.folder / "key").chmod(0o600)
    more = f'encrypt = true\nkey_file = "{site.folder}/key"'
    text = site.config.read_text()
    site.config.write_text(text.replace(f'root = "{site.folder}"', f'root = "{site.folder}/monitor"\n{more}'))
    (site.folder / "monitor").mkdir()
    save(site, {"old": 3, "fresh": 2})
    for name, age in (("old", 3600), ("fresh", 0)):
        os.utime(site.folder / "monitor" / f"{name}.wav", (time.time() - age,) * 2)
    return site


def test_what_lies_there_plain_is_sealed_and_opened_into_a_file_by_the_key_alone(locked: Site) -> None:
    assert locked.ctid("recordings", "seal", "--json").json == [{"sealed": 1, "failed": 0}]
    assert files(locked) == {"old.wav", "fresh"}
    out = locked.folder / "out.wav"
    out.write_bytes(b"of before")
    out.chmod(0o644)
    assert locked.ctid("recordings", "decrypt", "old", "-o", str(out)).status == 0
    assert (out.read_bytes(), out.stat().st_mode & 0o777) == (b"sound", 0o600)
    assert locked.ctid("recordings", "decrypt", "fresh", "-o", "-").out == "sound"
    assert [row["id"] for row in locked.ctid("recordings", "--json").json] == ["old", "fresh"]
    locked.write("key", f"{OTHER}\n")
    one_line(locked.ctid("recordings", "decrypt", "old", "-o", str(out)), "is sealed with the key", "put that key back")
    locked.write("key", f"{OTHER}\n{KEY}\n")
    assert locked.ctid("recordings", "decrypt", "old", "-o", str(out)).status == 0
    one_line(locked.ctid("recordings", "decrypt", "none", "-o", str(out)), "there is no recording none")


def test_doctor_tries_the_key(locked: Site) -> None:
    found = [line for line in locked.ctid("doctor").out.splitlines() if "encryption" in line]
    assert len(found) == 1
    assert found[0].startswith("OK")
    assert "1 key open" in found[0]
    assert KEY not in found[0]


@pytest.mark.parametrize("wrong", ["", "short", "bm90IDMyIGJ5dGVz", f"{KEY}\nrubbish"])
def test_a_key_that_is_none_is_one_line_that_does_not_show_it(locked: Site, wrong: str) -> None:
    locked.write("key", wrong)
    with pytest.raises(ConfigurationFaults) as told:
        load(locked.config, {})
    assert len(told.value.faults) == 1
    assert "recordings.key" in told.value.faults[0]
    assert KEY not in told.value.faults[0]
    assert not wrong.strip() or wrong not in told.value.faults[0]


def test_the_key_comes_by_systemds_credentials_and_encryption_without_one_is_a_fault(
    locked: Site, tmp_path: Path
) -> None:
    locked.config.write_text(locked.config.read_text().replace(f'key_file = "{locked.folder}/key"', ""))
    with pytest.raises(ConfigurationFaults, match=r"recordings\.encrypt: needs a key"):
        load(locked.config, {})
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "recordings-key").write_text(KEY)
    settings = load(locked.config, {"CREDENTIALS_DIRECTORY": str(credentials)})
    assert settings.recordings.keys == [KEY]
    assert KEY in settings.secrets
    assert KEY not in repr(settings)
