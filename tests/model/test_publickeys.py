"""Public keys: which are taken, and that they are called as ssh-keygen calls them."""

from __future__ import annotations

import shutil
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.model import publickeys
from chatroom.model.publickeys import MAX_COMMENT, KeyRefused, PublicKey, decode, parse

#: A key of each type, and its fingerprint by `ssh-keygen -l` (OpenSSH 9.2).
KNOWN = {
    "ssh-ed25519": (
        "AAAAC3NzaC1lZDI1NTE5AAAAID50glL4A83S8KNEvcsxQ8fdEySeXsv8AnkGoR8g4QxF",
        "SHA256:AZNl/zsYmaF/MoJj2xTHpOrrEf0p7Jvc1oohXdS8TVQ",
    ),
    "ecdsa-sha2-nistp256": (
        "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBK4iOlBAY6VhhTHHofHBhSXW"
        "cLhottf1MHAajj92ZmqMJzVyuu6BumtmE4dFg9QVWZkgnec2MljOWTx8o47ujms=",
        "SHA256:XFdcz5eOddTpPRAwQbG62UBTdCj08u4ZOfu4uDwvTro",
    ),
    "ecdsa-sha2-nistp384": (
        "AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBIjltte/eSA0kY7houNvBPlS"
        "JGbkCGlWB1W29isbwRvmRZ9a+3weDtqK3q0bYTHqq6kXIFfzvLg8IAb+0797RqvFr3pW4TUsG+4w"
        "l7pMZ/2Ey/kwn8Hc6EDY2GdDCHu+Xg==",
        "SHA256:iwXLiiFUfJvIu0KQYHq3OKn4vxX3/hTwYDgkLHdlSdE",
    ),
    "ecdsa-sha2-nistp521": (
        "AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBADMo0egqISk0D0UFAnppuwa"
        "voiHUhZPkQWSkKjR2odVDrH5avOHEVu4cVxHEH+IvD/Oo3AOLSBOuD0jLslbSyyIMAB1pW69Ase3"
        "CCKwwZKpiyBkebNvLJjmtn2zUaqdTaov3zk4IWgG3AbpRJZrBPrdBzoZoeJh9/ypM9zusK21k2ms"
        "Gw==",
        "SHA256:NlhYf4o8G4Rj0IUWXRduFIoGOyFgZQWGtKkistFJhvg",
    ),
    "ssh-rsa": (
        "AAAAB3NzaC1yc2EAAAADAQABAAABAQDBe6Qg4izsOIkh4QM8ovm11cDSdE1rqP3LDAvJEDFgk8XT"
        "ufDD1gEqTNT7J9zfazMGlmAsE3ZKs63LBjKfGSAzQPhrUmIP0JiKrpeUdkojuMaFgxtIhGDvw0vY"
        "rUphpS+4cwuNCFiJKAIuBgtTmUULOoVh/oD04tJcJNn+GBeJ6ouElCsSHmZylSk81GOrZ2nftgDu"
        "CSb4GTngLjQ/WVEyZxDWAlbohPRLfCUO2joJ6bk1+7uANzXrO1AvIYc51U+gPpogqfA4e+InKleE"
        "+oGWHbozn307ZcHnDaC9OGsit2+PuQ6QPzRAUxBCn+qrVwxMK0byZwbihc1cQ3YVmvyV",
        "SHA256:ffu8SD8bFKc2AEH1aTi+2Rw/sKu+z04tmC2phENe0w0",
    ),
    "sk-ssh-ed25519@openssh.com": (
        "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAID50glL4A83S8KNEvcsxQ8fdEySeXsv8"
        "AnkGoR8g4QxFAAAABHNzaDo=",
        "SHA256:5UZXfZ46CEsEpTOQYKLvCEZlDJdTAKPAXn/g4g+HUNc",
    ),
    "sk-ecdsa-sha2-nistp256@openssh.com": (
        "AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAAAIbmlzdHAyNTYAAABBBK4i"
        "OlBAY6VhhTHHofHBhSXWcLhottf1MHAajj92ZmqMJzVyuu6BumtmE4dFg9QVWZkgnec2MljOWTx8"
        "o47ujmsAAAAEc3NoOg==",
        "SHA256:uyicxT9/9QgyL1q+5JK4y00Rm2By3QmZAJaE4dx6UqM",
    ),
}
DAMAGED = "That key is cut short or damaged."


def line(type: str, comment: str = "") -> str:
    return f"{type} {KNOWN[type][0]} {comment}".rstrip()


def blob(type: str) -> bytes:
    return b64decode(KNOWN[type][0])


def made(*fields: bytes) -> bytes:
    return b"".join(len(field).to_bytes(4) + field for field in fields)


def mpint(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1)


def rsa(exponent: int, modulus: int) -> bytes:
    return made(b"ssh-rsa", mpint(exponent), mpint(modulus))


def refusal(given: str | bytes) -> str:
    """Why it is not taken; a whole sentence."""
    with pytest.raises(KeyRefused) as caught:
        parse(given) if isinstance(given, str) else decode(given)
    assert str(caught.value)[0].isupper()
    return str(caught.value)


def test_there_is_a_key_of_each_type() -> None:
    assert KNOWN.keys() == publickeys.TYPES.keys()


@pytest.mark.parametrize("type", KNOWN)
def test_a_key_is_taken_and_its_fingerprint_is_that_of_ssh_keygen(type: str) -> None:
    key = parse(f"  {line(type, 'me@here')}\n")
    assert (key.type, key.blob, key.comment) == (type, blob(type), "me@here")
    assert key.fingerprint == KNOWN[type][1]
    assert decode(key.blob) == key


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen")
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_key_that_ssh_keygen_makes_is_called_as_it_says(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    bits = ["-b", "2048"] if kind == "rsa" else []
    make = ["ssh-keygen", "-q", "-t", kind, *bits, "-N", "", "-C", "a b", "-f", str(path)]
    subprocess.run(make, check=True)
    key = parse(path.with_suffix(".pub").read_text())
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(path)], check=True, capture_output=True, text=True
    )
    assert listed.stdout.split()[1] == key.fingerprint
    assert key.comment == "a b"
    # The other file is nobody's to see, and its first line is told from all else.
    assert "private key" in refusal(path.read_text().splitlines()[0])


def test_what_a_key_is_called_does_not_make_another_of_it() -> None:
    key = parse(line("ssh-ed25519", "one"))
    assert key == parse(line("ssh-ed25519", "two"))
    assert len({key, parse(line("ssh-ed25519"))}) == 1
    assert key != parse(line("ssh-rsa", "one"))
    assert KNOWN["ssh-ed25519"][0] not in repr(key)


OPTIONS_REFUSED = "Options before the type of a key are not accepted. Paste the key without them."


def test_a_comment_is_made_safe_and_short() -> None:
    assert parse(line("ssh-ed25519", "\x1b[2J a\tb")).comment == "\ufffd[2J a b"
    assert len(parse(line("ssh-ed25519", "x" * 1000)).comment) == MAX_COMMENT


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", publickeys.HINT),
        ("hello", publickeys.HINT),
        ("ssh-ed25519", publickeys.HINT),
        (KNOWN["ssh-ed25519"][0], publickeys.HINT),
        ("ssh-ed25519 !!!!", DAMAGED),
        ("ssh-ed25519 A", DAMAGED),
        ("ssh-ed25519 \u212a", DAMAGED),
        ("ssh-ed25519 AAAA", DAMAGED),
        (line("ssh-ed25519")[:-4], DAMAGED),
        (f"ssh-ed25519 {'A' * 10_000}", "That key is too long."),
        (
            f"ssh-rsa {KNOWN['ssh-ed25519'][0]}",
            "That key says that it is ssh-rsa, and is ssh-ed25519.",
        ),
        (f"no-pty {line('ssh-ed25519')}", OPTIONS_REFUSED),
        (
            f'command="ssh-rsa x",no-pty {line("ssh-rsa")}',
            OPTIONS_REFUSED,
        ),
        (
            "ssh-ed25519-cert-v01@openssh.com AAAA",
            "Certificates are not accepted. Paste the public key itself.",
        ),
    ],
)
def test_what_is_not_taken_is_said_why(given: str, why: str) -> None:
    assert refusal(given) == why


def test_a_type_that_is_not_taken_is_said_with_those_that_are() -> None:
    why = refusal("ssh-dss AAAAB3NzaC1kc3M=")
    assert why.startswith("Keys of the type ssh-dss are not accepted. These are: ssh-ed25519, ")
    assert refusal(made(b"ssh-dss", b"x")) == why
    # What could be anything is not said again.
    assert refusal("ssh-\x1b[2J AAAA") == publickeys.HINT
    assert refusal(made(b"\x1b[2J", b"x")) == publickeys.HINT


@pytest.mark.parametrize("type", KNOWN)
def test_a_key_that_is_cut_anywhere_or_goes_on_is_damaged(type: str) -> None:
    whole = blob(type)
    for length in range(len(whole)):
        with pytest.raises(KeyRefused):
            decode(whole[:length])
    assert refusal(whole + b"x") == DAMAGED
    assert refusal(whole + made(b"")) == DAMAGED


@pytest.mark.parametrize(
    "fields",
    [
        (b"ssh-ed25519", bytes(31)),
        (b"ssh-ed25519", bytes(33)),
        (b"ecdsa-sha2-nistp256", b"nistp384", b"\4" + bytes(64)),
        (b"ecdsa-sha2-nistp256", b"nistp256", b"\4" + bytes(96)),
        # A compressed point, which OpenSSH does not take either.
        (b"ecdsa-sha2-nistp256", b"nistp256", b"\2" + bytes(32)),
        (b"ecdsa-sha2-nistp256", b"nistp256", b"\2" + bytes(64)),
        (b"ecdsa-sha2-nistp256", b"nistp256", b""),
        (b"sk-ssh-ed25519@openssh.com", bytes(32), b""),
        (b"sk-ssh-ed25519@openssh.com", bytes(32), bytes(256)),
        (b"sk-ssh-ed25519@openssh.com", bytes(32)),
        (b"ssh-rsa", b"", mpint(2**2048 - 1)),
        (b"ssh-rsa", mpint(3), b""),
        # Negative, and with a byte too many.
        (b"ssh-rsa", mpint(3), b"\xff" * 256),
        (b"ssh-rsa", mpint(3), b"\0" + mpint(2**2048 - 1)),
        (b"ssh-rsa", b"\0\3", mpint(2**2048 - 1)),
        (b"\xff", b""),
    ],
)
def test_what_no_key_can_be_is_damaged(fields: tuple[bytes, ...]) -> None:
    assert refusal(made(*fields)) == DAMAGED


def test_rsa_has_2048_bits_to_16384_and_an_exponent_that_can_be_used() -> None:
    for bits in (2048, 2049, 16384):
        assert decode(rsa(65537, 2**bits - 1)).type == "ssh-rsa"
    assert refusal(rsa(65537, 2**2047 - 1)) == (
        "An RSA key has at least 2,048 bits; this one has 2,047."
    )
    assert refusal(rsa(65537, 2**16384 + 1)) == (
        "An RSA key has at most 16,384 bits; this one has 16,385."
    )
    for exponent in (1, 2, 65536, 2**32 + 1):
        assert refusal(rsa(exponent, 2**2048 - 1)) == DAMAGED
    assert refusal(rsa(3, 2**2048 - 2)) == DAMAGED
    assert refusal(bytes(5000)) == "That key is too long."


@given(st.one_of(st.binary(max_size=200), st.sampled_from([*KNOWN]).map(blob)), st.data())
def test_whatever_comes_is_a_key_or_refused(given: bytes, data: st.DataObject) -> None:
    changed = bytearray(given)
    for _ in range(data.draw(st.integers(0, 3)) if changed else 0):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] = data.draw(st.integers(0, 255))
    try:
        key = decode(bytes(changed))
    except KeyRefused:
        return
    assert isinstance(key, PublicKey)
    again = parse(f"{key.type} {b64encode(key.blob).decode()}")
    assert again == key


@given(st.text(max_size=200))
def test_whatever_is_typed_is_a_key_or_refused(text: str) -> None:
    assert refusal(text)
    assert refusal(f"ssh-rsa {text}")
