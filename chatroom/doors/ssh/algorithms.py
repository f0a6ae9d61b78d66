"""The algorithms of SSH that the server takes part in.

They are all that is not broken of what Conch has, best first.
"""

from typing import Final

from twisted.conch.ssh.keys import Key

#: Said by both ends, it closes the Terrapin attack: numbers of packets begin anew with the keys,
#: and nothing but the exchange comes before them (OpenSSH, PROTOCOL, section 1.10).
STRICT_CLIENT: Final = b"kex-strict-c-v00@openssh.com"
STRICT_SERVER: Final = b"kex-strict-s-v00@openssh.com"

#: What clients may sign with to prove that they have a key (RFC 8308, section 3.1). An RSA key
#: signs with SHA-2 only (RFC 8332).
SIGNATURES: Final = (
    b"ssh-ed25519",
    b"sk-ssh-ed25519@openssh.com",
    b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521",
    b"sk-ecdsa-sha2-nistp256@openssh.com",
    b"rsa-sha2-512",
    b"rsa-sha2-256",
)

#: Those over NIST's curves and over groups of primes are left out: ssh-audit warns of them, and
#: clients have had these for ten years.
KEY_EXCHANGES: Final = (
    b"mlkem768x25519-sha256",
    b"curve25519-sha256",
    b"curve25519-sha256@libssh.org",
)

#: Of what conch has (neither an AEAD nor MACs over what is encrypted) all that is not broken.
CIPHERS: Final = [b"aes256-ctr", b"aes192-ctr", b"aes128-ctr"]
MACS: Final = [b"hmac-sha2-512", b"hmac-sha2-256"]

#: Nothing that a few bytes could become megabytes of.
COMPRESSIONS: Final = [b"none"]


def signatures_of(key: Key) -> list[bytes]:
    """Return the algorithms by which a host key signs, best first: never with SHA-1."""
    return [name for name in key.supportedSignatureAlgorithms() if name != b"ssh-rsa"]
