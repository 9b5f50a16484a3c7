"""How this daemon connects, as the configuration has it: to the PBX, by each of its two users, and under which name to others.

Law: whoever tries or records what the daemon does (``doctor``, ``record``) takes its settings from here, and so tries the same.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from pydantic import SecretStr

from ctid.asterisk.client import AmiLink, AmiSettings
from ctid.asterisk.messages import WANTED
from ctid.config import Ami, Settings


def node_name(settings: Settings) -> str:
    """This daemon's name among those that share a broker: as configured, else its PBX and its host."""
    return settings.mqtt.node or f"{settings.ami.pbx}.{socket.gethostname()}"


def ami_settings(settings: Settings) -> AmiSettings:
    """How the link is made; raises ``ValueError`` without a secret."""
    ami = settings.ami
    if ami.secret is None:
        raise ValueError("ami.secret: is missing; set it, or ami.secret_file, to the secret in manager.conf")
    return _ami_settings(ami, ami.username, ami.secret, WANTED, "username and secret")


def originate_settings(settings: Settings) -> AmiSettings:
    """How the link is made that makes calls; without its secret, nobody can log in by it."""
    ami = settings.ami
    secret = ami.originate_secret or SecretStr("")
    return _ami_settings(ami, ami.originate_username, secret, frozenset(), "originate_username and originate_secret")


def _ami_settings(ami: Ami, username: str, secret: SecretStr, wanted: frozenset[bytes], keys: str) -> AmiSettings:
    return AmiSettings(
        host=ami.host,
        port=ami.port,
        username=username,
        secret=secret.get_secret_value(),
        tls=ami.secured,
        wanted=wanted,
        keys=keys,
    )


def originate_link(settings: Settings, acts: Callable[[], bool]) -> AmiLink:
    async def nothing_to_read(_: AmiLink) -> None:
        """It hears nothing: what it makes, the other link tells of."""

    return AmiLink(
        originate_settings(settings), on_messages=lambda _: None, on_up=nothing_to_read, on_down=lambda: None, acts=acts
    )
