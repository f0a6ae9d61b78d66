"""The host key: which ones are taken, and the one that is made."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat

from chatroom import server
from chatroom.backends.sqlite.directory import HOST_KEY
from chatroom.server import hostkey
from chatroom.server.options import Options
from chatroom.server.settings import SettingError


def written(path: Path, key: Any, format: PrivateFormat, password: bytes = b"") -> str:
    """The name of a file with *key* in it."""
    encryption: Any = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    path.write_bytes(key.private_bytes(Encoding.PEM, format, encryption))
    path.chmod(0o600)
    return str(path)


def fault(path: Path | str) -> str:
    with pytest.raises(SettingError) as refused:
        hostkey.read(str(path))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = hostkey.load_or_generate(str(tmp_path))
    (file,) = tmp_path.iterdir()
    assert file.name == "ssh_host_ed25519_key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    assert b"OPENSSH PRIVATE KEY" in before
    assert hostkey.load_or_generate(str(tmp_path)) == first
    assert file.read_bytes() == before


def test_whatever_is_there_in_place_of_a_key_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "ssh_host_ed25519_key"
    file.write_bytes(b"")
    with pytest.raises(SettingError, match="has no private key"):
        hostkey.load_or_generate(str(tmp_path))
    assert file.read_bytes() == b""
    with pytest.raises(SettingError, match=r"^ssh: cannot write .*: no such file"):
        hostkey.load_or_generate(str(tmp_path / "none"))


@pytest.mark.skipif(which("ssh-keygen") is None, reason="ssh-keygen is not here")
def test_the_fingerprint_is_that_of_ssh_keygen(tmp_path: Path) -> None:
    hostkey.load_or_generate(str(tmp_path))
    ecdsa = ec.generate_private_key(ec.SECP256R1())
    for path in (tmp_path / HOST_KEY, written(tmp_path / "other", ecdsa, PrivateFormat.OpenSSH)):
        command = ["ssh-keygen", "-l", "-f", str(path)]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert hostkey.fingerprint(hostkey.read(str(path))).split() == [shown[1], shown[-1]]


@pytest.mark.parametrize("format", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8])
@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 3072),
    ],
    ids=["ed25519", "ecdsa", "rsa"],
)
def test_keys_that_are_taken(tmp_path: Path, key: Any, format: PrivateFormat) -> None:
    assert hostkey.read(written(tmp_path / "key", key, format))._keyObject is not None


def test_keys_that_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert fault(path) == f"ssh-host-key: cannot read {path}: no such file or directory"
    os.mkfifo(path)
    assert fault(path) == f"ssh-host-key: cannot read {path}: it is no regular file"
    path.unlink()
    path.write_bytes(b"ssh-ed25519 AAAA comment\n")
    path.chmod(0o600)
    assert fault(path) == f"ssh-host-key: {path} has no private key"
    path.write_bytes(
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"
    )
    assert fault(path) == f"ssh-host-key: the key in {path} cannot be read"
    why = f"ssh-host-key: the key in {path}"
    own = ed25519.Ed25519PrivateKey.generate()
    for format in (PrivateFormat.OpenSSH, PrivateFormat.PKCS8):
        written(path, own, format, b"secret")
        assert fault(path) == f"{why} is encrypted; store it without a passphrase"
    written(path, own, PrivateFormat.OpenSSH)
    path.chmod(0o644)
    assert fault(path).startswith(f"{why} can be read by everybody; protect it with chmod 600")
    written(path, rsa.generate_private_key(65537, 2048), PrivateFormat.PKCS8)
    assert fault(path) == f"{why} has 2048 bits; RSA needs 3,072"
    written(path, dsa.generate_private_key(2048), PrivateFormat.PKCS8)
    assert fault(path) == f"{why} is neither Ed25519 nor ECDSA nor RSA; use one of these"
    written(path, ec.generate_private_key(ec.SECP256K1()), PrivateFormat.PKCS8)
    assert fault(path) == f"{why} is neither Ed25519 nor ECDSA nor RSA; use one of these"


# Options


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(["--port", "0", "--interface", "127.0.0.1", *arguments])
    return options


SSH = ("--ssh", "tcp:0:interface=127.0.0.1")


def test_without_a_place_for_it_the_key_is_of_this_run_only() -> None:
    options = parsed(*SSH)
    assert options.host_key is not None
    assert options.host_key_is_temporary
    assert parsed().host_key is None


def test_the_key_is_kept_with_the_data(tmp_path: Path) -> None:
    options = parsed(*SSH, "--data", str(tmp_path / "data"))
    assert options.folder is not None
    options.folder.close()
    again = parsed(*SSH, "--data", str(tmp_path / "data"))
    assert again.folder is not None
    again.folder.close()
    assert options.host_key == again.host_key
    assert not again.host_key_is_temporary


def test_a_check_makes_nothing_and_says_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed(*SSH, "--data", str(tmp_path), "--check")
    assert not list(tmp_path.iterdir())
    shown = capsys.readouterr().out
    assert (
        "#   ssh -p PORT 127.0.0.1\n# The SSH host key is made when the server starts.\n" in shown
    )
    hostkey.load_or_generate(str(tmp_path))
    with pytest.raises(SystemExit):
        parsed(*SSH, "--data", str(tmp_path), "--check")
    assert re.search(
        r"\n# The SSH host key is SHA256:\S{43} \(ED25519\)\.\n", capsys.readouterr().out
    )


def test_what_is_wrong_ends_the_start_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=r"ssh-host-key goes with ssh, such as --ssh tcp:2222$"):
        parsed("--ssh-host-key", "key")
    with pytest.raises(SystemExit, match=r"ssh-host-key: cannot read .*/none: no such file"):
        parsed(*SSH, "--ssh-host-key", str(tmp_path / "none"))
    with pytest.raises(SystemExit, match="say with --proxy-from"):
        parsed("--ssh", "proxy:tcp:0")
    monkeypatch.setitem(sys.modules, "chatroom.server.hostkey", None)
    monkeypatch.delattr(server, "hostkey")
    with pytest.raises(SystemExit, match=r"pip install 'chatroom\[ssh\]'$"):
        parsed(*SSH)
