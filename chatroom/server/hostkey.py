"""The SSH host key, by which clients recognise the server.

A key is made once and never overwritten, because SSH clients warn their users of a changed key.
Faulty keys are found before the server starts.
"""

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from twisted.conch.ssh.keys import FingerprintFormats, Key

from chatroom.backends.sqlite.directory import HOST_KEY
from chatroom.server import files
from chatroom.server.files import reason
from chatroom.server.settings import SettingError

#: How much of a file is read, more than any key has.
FILE_BYTES: Final = 64 * 1024

#: The least size of RSA keys (NIST SP 800-57 part 1, table 2: 128 bits of security).
MIN_RSA_BITS: Final = 3072

#: The curves of ECDSA keys (RFC 5656, section 10.1).
CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


def read(path: str) -> Key:
    """Return the key in the file *path*, in OpenSSH's format or PEM.

    Raises SettingError, which says what is wrong with the file.
    """
    try:
        with files.opened(path) as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(FILE_BYTES)
    except OSError as error:
        raise SettingError(f"ssh-host-key: cannot read {path}: {reason(error)}") from None
    where = f"ssh-host-key: the key in {path}"
    if b"PRIVATE KEY-----" not in data:
        raise SettingError(f"ssh-host-key: {path} has no private key")
    if mode & stat.S_IRWXO:
        # As OpenSSH does: a user who has read the key can impersonate the server.
        raise SettingError(f"{where} can be read by everybody; protect it with chmod 600")
    return Key(_accepted(_loaded(data, where), where))


def _loaded(data: bytes, where: str) -> Any:
    """Return the private key in *data*. Raises SettingError, which begins with *where*."""
    openssh = b"OPENSSH PRIVATE KEY-----" in data
    load: Any = (
        serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    )
    try:
        return load(data, None)
    except TypeError:
        raise SettingError(f"{where} is encrypted; store it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        if "password" in str(error).lower():
            raise SettingError(f"{where} is encrypted; store it without a passphrase") from None
        raise SettingError(f"{where} cannot be read") from None


def _accepted(key: Any, where: str) -> Any:
    """Return *key* if its kind and size are accepted. Raises SettingError if not."""
    match key:
        case ed25519.Ed25519PrivateKey():
            return key
        case ec.EllipticCurvePrivateKey() if isinstance(key.curve, CURVES):
            return key
        case rsa.RSAPrivateKey() if key.key_size >= MIN_RSA_BITS:
            return key
        case rsa.RSAPrivateKey():
            raise SettingError(f"{where} has {key.key_size} bits; RSA needs {MIN_RSA_BITS:,}")
        case _:
            raise SettingError(f"{where} is neither Ed25519 nor ECDSA nor RSA; use one of these")


def generate() -> Key:
    """Return a new key, which is not stored."""
    return Key(ed25519.Ed25519PrivateKey.generate())


def load_or_generate(folder: str, owner: tuple[int, int] | None = None) -> Key:
    """Return the key that is stored in *folder*; generate and store one if there is none.

    owner: the user id and group id that the server will have, None for those of this process.

    Raises SettingError.
    """
    path = Path(folder) / HOST_KEY
    if not os.path.lexists(path):
        try:
            _write(path, owner)
        except OSError as error:
            raise SettingError(f"ssh: cannot write {path}: {reason(error)}") from None
    return read(str(path))


def _write(path: Path, owner: tuple[int, int] | None) -> None:
    """Write a new key to *path*, atomically, unless there is a file already."""
    key = ed25519.Ed25519PrivateKey.generate()
    data = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    # mkstemp makes the file with mode 0600.
    file, name = tempfile.mkstemp(prefix=f".{HOST_KEY}.", dir=path.parent)
    try:
        with os.fdopen(file, "wb") as written:
            if owner is not None:
                os.fchown(file, *owner)
            written.write(data)
            written.flush()
            os.fsync(file)
        # This fails if another process was faster; its key is used then.
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)


def fingerprint(key: Key) -> str:
    """Return the fingerprint and the kind of *key*, as `ssh-keygen -l` prints them."""
    digest = key.fingerprint(FingerprintFormats.SHA256_BASE64).rstrip("=")
    kind = "ECDSA" if key.type() == "EC" else key.type().upper()
    return f"SHA256:{digest} ({kind})"
