"""Certificates that nobody else has signed."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


@functools.cache
def certificate(folder: Path) -> Path:
    """A file with a key and a certificate for it that nobody else has signed."""
    path = folder / "server.pem"
    path.write_bytes(b"".join(issued("localhost")))
    return path


def issued(name: str, days: int = 1, weak: bool = False) -> tuple[bytes, bytes]:
    """A key and a certificate for *name* that ends in so many *days*, both in PEM.

    weak: its key is one that OpenSSL does not want.
    """
    key: Any = ec.generate_private_key(ec.SECP256R1())
    if weak:
        key = rsa.generate_private_key(65537, 1024)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, signed.public_bytes(serialization.Encoding.PEM)
