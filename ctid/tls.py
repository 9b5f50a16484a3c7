"""TLS as ctid speaks it: whom it trusts, what it shows of itself, and why a handshake failed, in words.

Law: TLS 1.2 at least; a server's certificate is always checked, its name included, and nobody falls back to plain text. The
files are read anew for each connection, so that what was renewed on disk counts from the next one on.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ISSUER: Final = {2, 7, 18, 19, 20, 21, 24}
_NOT_YET, _EXPIRED, _NAMES = 9, 10, {62, 64}


#: PostgreSQL's own names for them, in a URL.
_IN_DATABASE_URL: Final = {"ca_file": "sslrootcert", "cert_file": "sslcert", "key_file": "sslkey"}


class TlsFault(OSError):  # noqa: N818 - a fault to mend
    """A certificate or key that cannot do, in one line that names its key of the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How ctid meets one server. ``section`` is that of the configuration, for whoever must mend it.

    ``ca_file`` holds the authorities that may have signed the server's certificate, ``None`` for the system's own.
    ``cert_file`` and ``key_file`` (``None`` where the one file holds both) are what ctid shows to a server that asks. Without
    ``check_name``, any name will do that those authorities vouch for.
    """

    section: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    check_name: bool = True

    def context(self) -> ssl.SSLContext:
        """What a connection is made with. Raises ``TlsFault``."""
        try:
            made = ssl.create_default_context(cafile=self.ca_file)
        except ssl.SSLError:
            raise TlsFault(
                f"{_key(self.section, 'ca_file')}: holds no certificate; name the authority's, in PEM"
            ) from None
        except OSError as error:
            raise TlsFault(
                f"{_key(self.section, 'ca_file')}: cannot be read ({error.strerror}); name a file that ctid's user may read"
            ) from None
        made.check_hostname = self.check_name
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert_file is not None:
            _show(made, self.section, self.cert_file, self.key_file)
        return made


def wrong(error: BaseException | None, host: str, section: str) -> str | None:
    """What is wrong with the TLS of ``host`` and what to do, in one line; ``None`` where TLS is not the matter."""
    while error is not None:
        if isinstance(error, TlsFault):
            return str(error)
        if isinstance(error, ssl.SSLError):
            return _said(error, host, section)
        error = error.__cause__ or error.__context__
    return None


class ServerTls:
    """How others' connections are taken, with ``context``. Raises ``TlsFault`` for files that cannot do."""

    def __init__(self, section: str, cert_file: Path, key_file: Path | None) -> None:
        self._files = section, cert_file, key_file
        self._seen = self._marks()
        self.context = self._made()

    def look(self) -> bool:
        """Take up what was renewed on disk; whether anything was. Raises ``TlsFault``: what was shown before still is."""
        marks = self._marks()
        if marks == self._seen:
            return False
        self._made()  # apart: of two files one may be renewed already, and what does not fit must not touch what is in use
        _show(self.context, *self._files)
        self._seen = marks
        return True

    def _made(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.set_alpn_protocols(["http/1.1"])
        _show(made, *self._files)
        return made

    def _marks(self) -> list[tuple[int, int, int] | None]:
        """By what a file that was written anew is known."""
        marks: list[tuple[int, int, int] | None] = []
        for file in self._files[1:]:
            try:
                marks.append(
                    (found.st_ino, found.st_mtime_ns, found.st_size) if file and (found := file.stat()) else None
                )
            except OSError:
                marks.append(None)
        return marks


def _show(context: ssl.SSLContext, section: str, cert_file: Path, key_file: Path | None) -> None:
    """Have the context show the certificate; the files are looked at one by one, so that the fault names the one."""
    key = "cert_file" if key_file is None else "key_file"
    for name, file in (("cert_file", cert_file), (key, key_file or cert_file)):
        try:
            file.read_bytes()
        except OSError as error:
            raise TlsFault(
                f"{_key(section, name)}: cannot be read ({error.strerror}); name a file that ctid's user may read"
            ) from None
    try:
        context.load_cert_chain(cert_file, key_file, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsFault(
                f"{_key(section, key)}: is not the key of the certificate; name the two that belong together"
            ) from None
        raise TlsFault(
            f"{_key(section, 'cert_file')}: does not give a certificate and its key; write both in PEM, the key unlocked"
        ) from None


def _key(section: str, name: str) -> str:
    return f"database.url's {_IN_DATABASE_URL[name]}" if section == "database" else f"{section}.{name}"


def _no_password() -> str:
    # Left out, OpenSSL would ask whoever sits at the terminal.
    return ""


def _said(error: ssl.SSLError, host: str, section: str) -> str:
    match error:
        case ssl.SSLCertVerificationError(verify_code=code, verify_message=said):
            if code in _ISSUER:
                return (
                    f"nobody ctid trusts has signed the certificate of {host} ({said}); name its authority's certificate as"
                    f" {_key(section, 'ca_file')}"
                )
            if code == _EXPIRED:
                return f"the certificate of {host} has expired; renew it there"
            if code == _NOT_YET:
                return f"the certificate of {host} is not valid yet; see whether the clocks of both hosts are right"
            if code in _NAMES:
                return (
                    f"the certificate of {host} is another name's ({said.rstrip('.')}); connect by the name that stands in"
                    f" it, or have one made for {host}"
                )
            return f"the certificate of {host} will not do ({said}); have a new one made"
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "RECORD_LAYER_FAILURE" | "HTTP_REQUEST"):
            return f"{host} speaks no TLS at this port; name its TLS port"
        case ssl.SSLError(reason="TLSV1_ALERT_PROTOCOL_VERSION" | "UNSUPPORTED_PROTOCOL"):
            return f"{host} speaks no TLS 1.2 or newer; turn that on there"
        case ssl.SSLError(reason=str(reason)) if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason:
            words = reason.lower().replace("_", " ")
            return (
                f"{host} does not take ctid's certificate ({words}); set {_key(section, 'cert_file')} to one it takes"
            )
        case _:
            return f"there is no TLS with {host} ({error.reason or error}); see its log"
