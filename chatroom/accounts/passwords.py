"""Check, hash and compare passwords.

`make` and `matches` take a quarter of a second and 32 MiB, so they must run in a thread, not in the
reactor's. No exception contains the password in its message.
"""

import base64
import hashlib
import hmac
import os
import re
import unicodedata
from typing import Final

#: The length of a password, in characters (NIST SP 800-63B, section 5.1.1.2, demands at least 8).
MIN_LENGTH: Final = 8
MAX_LENGTH: Final = 128

#: The parameters of scrypt (RFC 7914, section 2): the binary logarithm of N, r, and p. They are one
#: of the equally strong choices of OWASP's Password Storage Cheat Sheet.
LOG_N = 15
BLOCK_SIZE: Final = 8
PASSES: Final = 3

_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32

#: The most memory that scrypt may use, whatever parameters a stored hash has.
_MAX_MEMORY_BYTES: Final = 256 * 1024 * 1024

# The PHC string format: $scrypt$ln=15,r=8,p=3$salt$key, with unpadded Base64.
_STORED = re.compile(
    r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)

# Passwords that attackers try first; `check` refuses some others of the kind as well.
_COMMON = frozenset(
    {
        *("password", "passw0rd", "password1", "password12", "password123", "passwort"),
        *("12345678", "123456789", "1234567890", "87654321", "qwertyui", "qwertyuiop", "qwerty123"),
        *("iloveyou", "sunshine", "princess", "football", "baseball", "superman", "trustno1"),
        *("letmein1", "abcd1234", "1q2w3e4r", "1qaz2wsx", "changeme", "whatever", "computer"),
    }
)


class PasswordRefused(ValueError):
    """A password was refused; the message is a sentence for the user."""


def normal(password: str) -> str:
    """Return *password* in NFC, the form that is compared (RFC 8265, section 4.2)."""
    return unicodedata.normalize("NFC", password)


def check(password: str, name: str) -> None:
    """Raise PasswordRefused if the account *name* may not have this password."""
    password = normal(password)
    if "\ufffd" in password:
        raise PasswordRefused("The password arrived damaged, or has control characters in it.")
    if re.search(r"\s", password):
        raise PasswordRefused("A password has no blanks in it.")
    if len(password) < MIN_LENGTH:
        raise PasswordRefused(f"A password has at least {MIN_LENGTH} characters.")
    if len(password) > MAX_LENGTH:
        raise PasswordRefused(f"A password has at most {MAX_LENGTH} characters.")
    bare = password.casefold()
    if bare in _COMMON or len(set(bare)) < 3 or name.casefold() in (bare, bare[::-1]):
        raise PasswordRefused("That password is among the first that anybody would try.")


def make(password: str) -> str:
    """Return the hash to store for *password*, with a new salt, in the PHC string format."""
    salt = os.urandom(_SALT_BYTES)
    key = _scrypt(password, salt, LOG_N, BLOCK_SIZE, PASSES, _KEY_BYTES)
    return f"$scrypt$ln={LOG_N},r={BLOCK_SIZE},p={PASSES}${_base64(salt)}${_base64(key)}"


def matches(password: str, stored: str) -> bool:
    """Return whether *stored* is the hash of *password*.

    Returns False if *stored* is not in the format of `make`.
    """
    match = _STORED.fullmatch(stored)
    if match is None:
        return False
    log_n, block_size, passes = (int(match[group]) for group in (1, 2, 3))
    try:
        salt, key = (base64.b64decode(match[group] + "==") for group in (4, 5))
        made = _scrypt(password, salt, log_n, block_size, passes, len(key))
    except (ValueError, MemoryError):
        return False
    return hmac.compare_digest(made, key)


def _scrypt(
    password: str, salt: bytes, log_n: int, block_size: int, passes: int, length: int
) -> bytes:
    # A surrogate cannot be encoded, and the exception would contain the password.
    secret = normal(password).encode(errors="replace")
    return hashlib.scrypt(
        secret,
        salt=salt,
        n=2**log_n,
        r=block_size,
        p=passes,
        maxmem=_MAX_MEMORY_BYTES,
        dklen=length,
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")
