"""The configuration file and the environment, as people get them wrong.

Law: what is read is ``Settings`` or a list of faults, each one printable line, none with a secret in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ctid.config import ConfigurationFaults, load

SAYS = "configuration: TOML and environment"
SECRET: Final = "hunter2-is-secret"
_EXAMPLE = Path(__file__).parent.parent / "config" / "ctid.toml"
_FILE = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"ctid-fuzz-{os.getpid()}.toml"
_ENV = (
    "CTID_AMI__PORT",
    "CTID_LINES",
    "CTID_ROUTING__COUNTRY",
    "CTID_DATABASE__URL",
    "CTID_WEB__LISTEN",
    "CTID_X__Y",
    "CTID_AMI_PORT",
)


def seeds() -> Iterator[bytes]:
    text = _EXAMPLE.read_text()
    yield text.encode()
    for part in text.split("\n\n"):
        yield part.encode()
        yield part.replace("# ", "").encode()
    yield f'[ami]\nsecret = "{SECRET}"\nport = "x"\n[mqtt]\nurl = "mqtt://u:{SECRET}@h"\n[database]\nurl = "x://u:{SECRET}@h/x"\n'.encode()
    line = '[[lines]]\nname = "a"\nnumbers = ["4001"]\noverflow = "line-b"\n'
    yield f'{line}hours = "mon-fri 08:00-18:00"\nholidays = ["2026-12-24"]\n'.encode()
    yield b"\0CTID_LINES=[{}]"


def one(data: bytes) -> None:
    environment = {}
    if data[:1] == b"\0":
        name, _, value = data[1:].partition(b"=")
        environment = {name.decode("utf-8", "replace"): value.decode("utf-8", "surrogateescape")}
        environment |= {_ENV[len(data) % len(_ENV)]: value.decode("utf-8", "surrogateescape")}
        data = b""
    _FILE.write_bytes(data)
    try:
        settings = load(_FILE, environment, pbx=True)
    except ConfigurationFaults as faults:
        assert faults.faults
        for fault in faults.faults:
            assert fault.isprintable(), fault
            assert SECRET not in fault, fault
            assert len(fault) < 1000, fault
    else:
        assert SECRET not in repr(settings)
    finally:
        _FILE.unlink()
