"""The host key: what the SSH door proves to be itself with.

The rule: a key is made once and never overwritten, for people are asked whether they know it, and
warned when it is another one. What is wrong with one shows before the server starts.
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
from chatroom.server.settings import SettingError, reason

#: More, in bytes, is no key.
FILE_BYTES: Final = 64 * 1024

#: RSA keys have at least so many bits (NIST SP 800-57 part 1, table 2: 128 bits of security).
MIN_RSA_BITS: Final = 3072

#: The curves of ECDSA keys (RFC 5656, section 10.1).
CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


def read(path: str) -> Key:
    """The key in the file *path*, in OpenSSH's format or PEM.

    Raises SettingError, which names the file and what is wrong with it.
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
        # As OpenSSH has it: whoever has read it can be the server.
        raise SettingError(f"{where} can be read by everybody; chmod 600 is for its owner alone")
    return Key(_accepted(_loaded(data, where), where))


def _loaded(data: bytes, where: str) -> Any:
    """The key that *data* holds, of any kind; *where* begins the message of a SettingError."""
    openssh = b"OPENSSH PRIVATE KEY-----" in data
    load: Any = (
        serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    )
    try:
        return load(data, None)
    except TypeError:
        raise SettingError(f"{where} is encrypted; the server has no passphrase") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        if "password" in str(error).lower():
            raise SettingError(f"{where} is encrypted; the server has no passphrase") from None
        raise SettingError(f"{where} cannot be read") from None


def _accepted(key: Any, where: str) -> Any:
    """*key* itself if its kind and size will do. Raises SettingError if not."""
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
            raise SettingError(f"{where} is neither Ed25519 nor ECDSA nor RSA")


def made() -> Key:
    """A new key, which nobody keeps."""
    return Key(ed25519.Ed25519PrivateKey.generate())


def kept(folder: str, owner: tuple[int, int] | None = None) -> Key:
    """The key that is kept in *folder*, made if there is none.

    owner: the user and group ids that the server will run as when that is not who starts it. Raises
    SettingError.
    """
    path = Path(folder) / HOST_KEY
    if not os.path.lexists(path):
        try:
            _write(path, owner)
        except OSError as error:
            raise SettingError(f"ssh: cannot write {path}: {reason(error)}") from None
    return read(str(path))


def _write(path: Path, owner: tuple[int, int] | None) -> None:
    """Put a new key at *path*, whole or not at all, where nothing is yet."""
    key = ed25519.Ed25519PrivateKey.generate()
    data = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    # Made for its owner alone, mode 0600.
    file, name = tempfile.mkstemp(prefix=f".{HOST_KEY}.", dir=path.parent)
    try:
        with os.fdopen(file, "wb") as written:
            if owner is not None:
                os.fchown(file, *owner)
            written.write(data)
            written.flush()
            os.fsync(file)
        # It fails if somebody was faster; then theirs is the key.
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)


def fingerprint(key: Key) -> str:
    """What people compare: 'SHA256:...' and the kind of key, as `ssh-keygen -l` prints them."""
    digest = key.fingerprint(FingerprintFormats.SHA256_BASE64).rstrip("=")
    kind = "ECDSA" if key.type() == "EC" else key.type().upper()
    return f"SHA256:{digest} ({kind})"
