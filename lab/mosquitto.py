"""A real MQTT broker in a folder.

Law: it listens on one free loopback port; it lets everybody in unless users are given.
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.certificates import Pair
from lab.process import Process, answers, free_port, tool


class Mosquitto:
    """One broker. `users` (name → password) closes it to everybody else; `acl` is the text of an ACL file.

    With `tls`, a certificate and its key, it speaks nothing but TLS; with `clients`, an authority's file, it lets only those in
    who show a certificate of that authority. `settings` are more lines of its configuration.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        acl: str = "",
        tls: Pair | None = None,
        clients: Path | None = None,
        settings: str = "",
    ) -> None:
        self._folder = folder.resolve()
        self._folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._process: Process | None = None
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {'false' if users else 'true'}"]
        lines += ["persistence false", "set_tcp_nodelay true"]
        if users:
            passwords = self._folder / "passwords"
            passwords.write_text("".join(f"{name}:{_hashed(secret)}\n" for name, secret in users.items()))
            lines.append(f"password_file {passwords}")
        if acl:
            (self._folder / "acl").write_text(acl)
            lines.append(f"acl_file {self._folder / 'acl'}")
        self._tls = tls is not None
        if tls is not None:
            lines += [f"certfile {tls.cert}", f"keyfile {tls.key}"]
        if clients is not None:
            lines += [f"cafile {clients}", "require_certificate true"]
        if os.getuid() == 0:
            lines.append("user root")
        lines += settings.splitlines()
        (self._folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    @property
    def url(self) -> str:
        return f"mqtt{'s' * self._tls}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "mosquitto is not started"
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts it, on the same port as before; returns when it accepts connections."""
        argv = [tool("mosquitto"), "-c", str(self._folder / "mosquitto.conf")]
        self._process = Process(argv, folder=self._folder, name="mosquitto")
        await self._process.ready(lambda: answers(self.port), "listens")

    async def stop(self) -> None:
        if self._process is not None:
            await self._process.stop()

    async def kill(self) -> None:
        """SIGKILL: every client's last will is lost too."""
        if self._process is not None:
            await self._process.kill()


def _hashed(secret: str) -> str:
    """A password as mosquitto_passwd writes it (PBKDF2-SHA512)."""
    salt = os.urandom(12)
    key = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, 101)
    return f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"
