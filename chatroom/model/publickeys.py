"""SSH public keys: parsing, checks and fingerprints.

All functions are pure. Nothing here verifies a signature; the SSH door does.
"""

import binascii
import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from chatroom.text import names

#: The bounds of the modulus of an RSA key; the upper one is OpenSSH's.
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 16384

#: The greatest length of a key; the longest of RSA has a little more than 2,048 bytes.
MAX_KEY_BYTES: Final = 4096

#: The greatest length of a comment, in characters; the rest is cut.
MAX_COMMENT: Final = 100

#: The greatest length of the application of a key on a security token, mostly "ssh:".
MAX_APPLICATION_BYTES: Final = 255

HINT: Final = "A public key looks like this: ssh-ed25519 AAAA... comment"

DAMAGED: Final = "That key is cut short or damaged."


class KeyRefused(ValueError):
    """A public key is not accepted; the message is sentences for the user who gave it."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key that `parse` or `decode` has checked.

    type: the algorithm by its name in SSH, see TYPES.
    blob: the key as SSH sends it, which begins with its type (RFC 4253, section 6.6).
    comment: the text after the key in its file, cleaned; it makes no difference for equality.
    """

    type: str
    blob: bytes = field(repr=False)
    comment: str = field(default="", compare=False)

    @property
    def fingerprint(self) -> str:
        """The fingerprint as `ssh-keygen -l` prints it: 'SHA256:' and unpadded Base64."""
        digest = b64encode(hashlib.sha256(self.blob).digest())
        return f"SHA256:{digest.decode().rstrip('=')}"


def parse(line: str) -> PublicKey:
    """Return the key in *line*, a line of an `authorized_keys` or `.pub` file without options.

    Raises KeyRefused.
    """
    line = line.strip()
    if "PRIVATE KEY" in line:
        raise KeyRefused(
            "That is a private key, which nobody but you may see. "
            "The public one is in the file whose name ends in .pub."
        )
    type, _, rest = line.partition(" ")
    encoded, _, comment = rest.strip().partition(" ")
    if type not in TYPES:
        raise KeyRefused(_why_not(type, rest))
    if not encoded:
        raise KeyRefused(HINT)
    if len(encoded) > 4 * MAX_KEY_BYTES // 3 + 4:
        raise KeyRefused("That key is too long.")
    try:
        blob = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise KeyRefused(DAMAGED) from None
    key = decode(blob, comment)
    if key.type != type:
        raise KeyRefused(f"That key says that it is {type}, and is {key.type}.")
    return key


def _why_not(type: str, rest: str) -> str:
    """Return why a line that begins with the word *type* is not accepted."""
    if "-cert-v0" in type:
        return "Certificates are not accepted. Paste the public key itself."
    if any(word in TYPES for word in rest.split()):
        return "Options before the type of a key are not accepted. Paste the key without them."
    if re.fullmatch(r"(?:sk-|ssh-|ecdsa-)[\w@.-]{1,60}", type):
        return f"Keys of the type {type} are not accepted. These are: {', '.join(TYPES)}"
    return HINT


def decode(blob: bytes, comment: str = "") -> PublicKey:
    """Return the key that SSH sends as *blob*. Raises KeyRefused."""
    if len(blob) > MAX_KEY_BYTES:
        raise KeyRefused("That key is too long.")
    fields = _Fields(blob)
    try:
        type = fields.string().decode("ascii")
    except UnicodeDecodeError:
        raise KeyRefused(DAMAGED) from None
    look = TYPES.get(type)
    if look is None:
        raise KeyRefused(_why_not(type, ""))
    look(fields)
    if fields.rest:
        raise KeyRefused(DAMAGED)
    return PublicKey(type, blob, names.cut(names.clean(comment).strip(), MAX_COMMENT))


class _Fields:
    """The fields of a key, one after another (RFC 4251, section 5)."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def string(self) -> bytes:
        """Return the next `string`: a length in four bytes, then that many bytes."""
        length = int.from_bytes(self.rest[:4])
        if len(self.rest) < 4 + length:
            raise KeyRefused(DAMAGED)
        found, self.rest = self.rest[4 : 4 + length], self.rest[4 + length :]
        return found

    def positive(self) -> int:
        """Return the next `mpint`, which must be positive and have no superfluous bytes."""
        data = self.string()
        number = int.from_bytes(data, signed=True)
        # Other encodings of the number would give the same key another fingerprint.
        if number <= 0 or len(data) != number.bit_length() // 8 + 1:
            raise KeyRefused(DAMAGED)
        return number


def _ed25519(fields: _Fields) -> None:
    """Check the fields of an Ed25519 key: 32 bytes (RFC 8709, section 4)."""
    if len(fields.string()) != 32:
        raise KeyRefused(DAMAGED)


def _ecdsa(curve: str, size: int) -> Callable[[_Fields], None]:
    def look(fields: _Fields) -> None:
        """Check the fields of an ECDSA key: the curve's name, a point (RFC 5656, section 3.1)."""
        if fields.string() != curve.encode():
            raise KeyRefused(DAMAGED)
        point = fields.string()
        # An uncompressed point is 4, then two coordinates (SEC 1, section 2.3.4).
        if len(point) != 1 + 2 * size or point[0] != 4:
            raise KeyRefused(DAMAGED)

    return look


def _rsa(fields: _Fields) -> None:
    """Check the fields of an RSA key: the exponent, the modulus (RFC 4253, section 6.6)."""
    exponent, modulus = fields.positive(), fields.positive()
    bits = modulus.bit_length()
    if bits < MIN_RSA_BITS:
        raise KeyRefused(f"An RSA key has at least {MIN_RSA_BITS:,} bits; this one has {bits:,}.")
    if bits > MAX_RSA_BITS:
        raise KeyRefused(f"An RSA key has at most {MAX_RSA_BITS:,} bits; this one has {bits:,}.")
    # The exponent is 65537 or small in practice; a large one makes verifying signatures slow.
    if not modulus % 2 or not exponent % 2 or not 3 <= exponent < 2**32:
        raise KeyRefused(DAMAGED)


def _on_token(look: Callable[[_Fields], None]) -> Callable[[_Fields], None]:
    def look_on(fields: _Fields) -> None:
        """Check a key on a token: its fields, the application (OpenSSH's PROTOCOL.u2f)."""
        look(fields)
        if not 0 < len(fields.string()) <= MAX_APPLICATION_BYTES:
            raise KeyRefused(DAMAGED)

    return look_on


#: The accepted types of keys, each with the function that checks the fields after the type.
TYPES: Final[dict[str, Callable[[_Fields], None]]] = {
    "ssh-ed25519": _ed25519,
    "ecdsa-sha2-nistp256": _ecdsa("nistp256", 32),
    "ecdsa-sha2-nistp384": _ecdsa("nistp384", 48),
    "ecdsa-sha2-nistp521": _ecdsa("nistp521", 66),
    "ssh-rsa": _rsa,
    "sk-ssh-ed25519@openssh.com": _on_token(_ed25519),
    "sk-ecdsa-sha2-nistp256@openssh.com": _on_token(_ecdsa("nistp256", 32)),
}
