"""The nightly comparison: whatever goes wrong with it, the daemon goes on."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from ctid.config import load
from ctid.daemon.nightly import Nights, folder


async def test_a_night_whose_process_cannot_be_started_leaves_the_daemon_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cel.csv").touch()
    config = tmp_path / "ctid.toml"
    config.write_text(f'[state]\ndirectory = "{tmp_path}"\n[cel]\nfile = "{tmp_path}/cel.csv"\n')
    old = {"day": "2026-01-01", "drift_seconds": 0, "differences": []}
    folder(tmp_path).mkdir()
    (folder(tmp_path) / "2026-01-01.json").write_text(json.dumps(old))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "replaced-by-an-upgrade"))
    nights = asyncio.create_task(Nights(load(config, {}), config).run())
    done, _ = await asyncio.wait({nights}, timeout=0.5)
    assert not done, "it waits to try again"
    nights.cancel()
    assert "ledger.not_compared" in "".join(capfd.readouterr())
