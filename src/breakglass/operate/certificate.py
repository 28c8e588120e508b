"""A TLS certificate of a process's own, known to others by its SHA-256: no authority, no DNS."""

from __future__ import annotations

import hashlib
import ipaddress
import os
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CERTIFICATE = "certificate.pem"
CERTIFICATE_KEY = "certificate.key"
# Callers compare the pin and look at nothing else; a date would only be a way to fail at night.
_VALID_FOR = timedelta(days=36500)


def make_certificate(folder: Path, host: str, now: datetime) -> str:
    """Make ``certificate.pem`` and ``certificate.key`` (0600) in ``folder``, if there are none.

    Args:
        folder: a process folder.
        host: an IP address.
        now: the beginning of its validity.

    Returns:
        the pin: hex SHA-256 of the certificate's DER.
    """
    path = folder / CERTIFICATE
    if not (path.exists() and (folder / CERTIFICATE_KEY).exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "breakglass")])
        address = x509.IPAddress(ipaddress.ip_address(host))
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + _VALID_FOR)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .sign(key, hashes.SHA256())
        )
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        # The key first: a crash in between leaves no certificate, and both are made again.
        _write(folder / CERTIFICATE_KEY, secret)
        _write(path, made.public_bytes(serialization.Encoding.PEM))
    return pin_of(path)


def pin_of(path: Path) -> str:
    """Return the pin of a PEM file's first certificate."""
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def ends_at(path: Path) -> datetime:
    """Return when a PEM file's first certificate ends, in UTC."""
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


def _write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
