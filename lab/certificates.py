"""An authority and the certificates it signs, for servers of the lab that speak TLS.

Law: made anew for each test, keys and all; trusted by nobody who is not given the authority's file.
"""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = ("127.0.0.1", "localhost")


class Pair(NamedTuple):
    """A certificate and its key, as PEM files."""

    cert: Path
    key: Path


class Authority:
    """Who signs; `file` is what those are given who shall trust it."""

    def __init__(self, folder: Path, name: str = "Lab Authority") -> None:
        self._folder = folder.resolve()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = self._folder / "ca.pem"
        made = (
            _begun(self._name, self._name, self._key, timedelta(days=-1), timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        )
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *hosts: str, begins: float = -1, ends: float = 30, into: Pair | None = None) -> Pair:
        """A certificate for these hosts (this machine, if none is named), from so many days from now to so many.

        `into` are the files it replaces, as a renewal does; else they are named by `name`.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        begun = _begun(_named(name), self._name, key, timedelta(days=begins), timedelta(days=ends))
        names = x509.SubjectAlternativeName([_host(host) for host in hosts or HERE])
        signed = begun.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        pair = into or Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        _write(pair, signed, key)
        return pair


def self_signed(folder: Path, name: str = "self") -> Pair:
    """A certificate for this machine that nobody but itself has signed."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([_host(host) for host in HERE])
    begun = _begun(_named(name), _named(name), key, timedelta(days=-1), timedelta(days=30))
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    _write(pair, begun.add_extension(names, critical=False).sign(key, hashes.SHA256()), key)
    return pair


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begins: timedelta, ends: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
    )


def _write(pair: Pair, signed: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    pair.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    pair.key.chmod(0o600)
    pair.cert.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
