"""TLS: the files of a certificate, and connections while they change."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.endpoints import clientFromString, serverFromString, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol, ServerFactory
from twisted.internet.ssl import CertificateOptions, TLSVersion

from chatroom.chat.chat import Chat
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.server.settings import SettingError
from chatroom.server.tls import CHECK_SECONDS, Certificate, secured
from tests.support.certificates import issued
from tests.support.reactor import clock, on_reactor, reactor, turns, until
from tests.support.sockets import Client, connect
from tests.support.wire import UNLIMITED


class Files:
    """The files of a certificate, and a clock that moves when a test says so."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "own.pem"
        self.key = folder / "key.pem"
        self.now = 0.0
        self.issue("first")

    def issue(self, name: str, days: int = 1) -> None:
        """New ones, each put in its place at once."""
        key, own = issued(name, days)
        replace(self.key, key)
        replace(self.certificate, own)

    def read(self) -> Certificate:
        return Certificate(str(self.certificate), str(self.key), lambda: self.now)

    def later(self) -> None:
        self.now += CHECK_SECONDS


def replace(path: Path, data: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(data)
    os.replace(new, path)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# Files


def fault(certificate: Path, key: Path | str = "") -> str:
    with pytest.raises(SettingError) as refused:
        Certificate(str(certificate), str(key))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_key_may_be_in_the_file_of_the_certificate(files: Files, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    own, key = files.certificate.read_bytes(), files.key.read_bytes()
    for data in (own + key, key + own, b"A comment\n" + key + b"\n\n" + own + issued("x")[1]):
        both.write_bytes(data)
        assert Certificate(str(both)).concern == ""


def test_files_that_are_not_there(files: Files, tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    reason = f"cannot read {missing}: no such file or directory"
    assert fault(missing, files.key) == f"certificate: {reason}"
    assert fault(files.certificate, missing) == f"key: {reason}"
    assert fault(tmp_path) == f"certificate: cannot read {tmp_path}: is a directory"


def test_files_without_what_they_should_have(files: Files, tmp_path: Path) -> None:
    own, key = files.certificate, files.key
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    assert fault(empty, key) == f"certificate: {empty} has no certificate in PEM format"
    assert fault(key, own) == f"certificate: {key} has no certificate in PEM format"
    assert fault(own) == f"certificate: {own} has no key; name its file with --key"
    assert fault(own, empty) == f"key: {empty} has no key in PEM format"
    empty.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert fault(own, empty) == f"key: the key in {empty} cannot be read"
    empty.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert fault(empty, key) == f"certificate: {empty} has no certificate in PEM format"


def test_a_key_of_another_certificate(files: Files, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(issued("other")[0])
    assert fault(files.certificate, other) == (
        f"key: the key in {other} is not that of the first certificate in {files.certificate}"
    )


def test_a_key_that_openssl_does_not_want(tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(issued("weak", weak=True)))
    assert fault(both) == f"certificate: {both} cannot be used: ee key too small"


def test_an_encrypted_key(files: Files) -> None:
    key: Any = serialization.load_pem_private_key(files.key.read_bytes(), None)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert fault(files.certificate, files.key) == (
        f"key: the key in {files.key} is encrypted; store it without a passphrase"
    )


def test_an_expired_certificate_is_taken_and_said(files: Files) -> None:
    files.issue("old", -1)
    assert files.read().concern.startswith(f"The certificate in {files.certificate} has expired (")


# Changes


def connection_of(certificate: Certificate) -> SSL.Connection:
    """What somebody who connects gets."""
    factory: Any = secured(ServerFactory(), certificate, clock)
    return certificate.serverConnectionForTLS(factory.protocol(factory, Protocol()))


def shown_by(certificate: Certificate) -> str:
    """Whom the certificate that somebody would be shown now is for."""
    own = connection_of(certificate).get_certificate(as_cryptography=True)
    assert own is not None
    (name,) = own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def test_files_that_changed_are_read_again_after_a_while(files: Files, logged: list[str]) -> None:
    certificate = files.read()
    files.issue("second")
    assert shown_by(certificate) == "first"
    files.later()
    assert shown_by(certificate) == "second"
    assert len(logged) == 1
    files.later()
    assert shown_by(certificate) == "second"
    assert len(logged) == 1


def test_files_that_are_written_in_place_are_seen_as_well(files: Files) -> None:
    certificate = files.read()
    key, own = issued("a longer name than the first")
    files.key.write_bytes(key)
    files.certificate.write_bytes(own)
    files.later()
    assert shown_by(certificate) == "a longer name than the first"


def test_what_is_broken_changes_nothing_and_is_said_once(files: Files, logged: list[str]) -> None:
    certificate = files.read()
    whole = files.certificate.read_bytes()
    replace(files.certificate, b"broken")
    for _ in range(3):
        files.later()
        assert shown_by(certificate) == "first"
    assert logged == [
        "The certificate was not read again, the former one stays in use: "
        f"certificate: {files.certificate} has no certificate in PEM format"
    ]
    replace(files.certificate, b"broken in another way")
    files.later()
    assert shown_by(certificate) == "first"
    assert len(logged) == 1
    files.certificate.unlink()
    for _ in range(3):
        files.later()
        assert shown_by(certificate) == "first"
    assert len(logged) == 2
    # One file came, the other is still to come.
    replace(files.certificate, issued("second")[1])
    files.later()
    assert shown_by(certificate) == "first"
    assert "is not that of" in logged[2]
    files.issue("third")
    files.later()
    assert shown_by(certificate) == "third"
    assert len(logged) == 4
    # The same fault is said again when it was cured meanwhile.
    replace(files.certificate, whole)
    files.later()
    assert shown_by(certificate) == "third"
    assert len(logged) == 5


def test_reading_them_again_at_once_names_the_fault_and_changes_nothing(
    files: Files, logged: list[str]
) -> None:
    certificate = files.read()
    replace(files.certificate, b"broken")
    with pytest.raises(SettingError, match="has no certificate in PEM format"):
        certificate.reload()
    assert shown_by(certificate) == "first"
    files.issue("second", -1)
    certificate.reload()
    assert shown_by(certificate) == "second"
    assert "has expired" in logged[-1]
    files.later()
    assert shown_by(certificate) == "second"
    assert len(logged) == 2


# Connections


class Door:
    """A line door over TLS."""

    def __init__(self, files: Files, chat: Chat, door: ChatFactory, port: int) -> None:
        self.files = files
        self.chat = chat
        self.door = door
        self.port = port
        self.clients: list[Client] = []

    async def connects(self, **how: Any) -> Client:
        plain: Any = clientFromString(reactor, f"tcp:127.0.0.1:{self.port}")
        endpoint: Any = wrapClientTLS(CertificateOptions(**how), plain)
        client: Client = await endpoint.connect(Factory.forProtocol(Client))
        self.clients.append(client)
        return client

    async def comes(self, **how: Any) -> tuple[Client, str]:
        """A new client that was greeted, and whose certificate it was shown."""
        client = await self.connects(**how)
        await client.reads(b"/quit leaves.\r\n")
        peer: x509.Certificate = client.transport.getPeerCertificate().to_cryptography()
        (name,) = peer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return client, str(name.value)


@asynccontextmanager
async def door(files: Files) -> AsyncIterator[Door]:
    chat = Chat(clock, None, UNLIMITED)
    line = ChatFactory(chat)
    factory = secured(line, files.read(), clock)
    port: Any = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(factory)
    opened = Door(files, chat, line, port.getHost().port)
    try:
        yield opened
    finally:
        await port.stopListening()
        for client in opened.clients:
            await client.leaves()
        await until(lambda: not line.clients)
        await turns()
        await chat.close()
        await turns()


@on_reactor
async def test_a_certificate_that_is_swapped_is_for_those_who_come_then(files: Files) -> None:
    async with door(files) as opened:
        alice, shown = await opened.comes()
        assert shown == "first"
        files.issue("second")
        files.later()
        bob, shown = await opened.comes()
        assert shown == "second"
        replace(files.key, b"broken")
        files.later()
        carol, shown = await opened.comes()
        assert shown == "second"
        alice.sends(b"still here\n")
        for client in (bob, carol):
            await client.reads(b"still here\r\n")
        assert all(client.encrypted for client in opened.door.clients)


@pytest.mark.parametrize(
    ("version", "name"), [(TLSVersion.TLSv1_2, "TLSv1.2"), (TLSVersion.TLSv1_3, "TLSv1.3")]
)
def test_the_versions_of_today_are_spoken(version: Any, name: str, files: Files) -> Any:
    @on_reactor
    async def run() -> None:
        async with door(files) as opened:
            client, _ = await opened.comes(
                insecurelyLowerMinimumTo=version, lowerMaximumSecurityTo=version
            )
            assert client.transport.getHandle().get_protocol_version_name() == name

    return run()


def test_older_ones_are_not(files: Files) -> None:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    # OpenSSL would not even ask for them otherwise.
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    context.set_min_proto_version(SSL.TLS1_1_VERSION)
    context.set_max_proto_version(SSL.TLS1_1_VERSION)
    client = SSL.Connection(context, None)
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    server = connection_of(files.read())
    server.set_accept_state()
    server.bio_write(client.bio_read(4096))
    with pytest.raises(SSL.Error, match="unsupported protocol"):
        server.do_handshake()


def test_no_cipher_without_forward_secrecy_is_offered(files: Files) -> None:
    ciphers = connection_of(files.read()).get_cipher_list()
    assert ciphers
    assert all(each.startswith(("TLS_", "ECDHE-")) for each in ciphers)


@on_reactor
async def test_who_ends_before_tls_is_agreed_on_is_gone(files: Files) -> None:
    async with door(files) as opened:
        client = await connect(clientFromString(reactor, f"tcp:127.0.0.1:{opened.port}"))
        opened.clients.append(client)
        await until(lambda: opened.chat.limiter.connected)
        client.half_closes()
        assert await client.reads_to_the_end() == b""
        await until(lambda: not opened.chat.limiter.connected)


@on_reactor
async def test_who_leaves_without_a_word_of_tls_is_gone_at_once(files: Files) -> None:
    async with door(files) as opened:
        client = await connect(clientFromString(reactor, f"tcp:127.0.0.1:{opened.port}"))
        opened.clients.append(client)
        tls = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        tls.set_connect_state()
        agreed = False
        while not agreed:
            try:
                tls.do_handshake()
                agreed = True
            except SSL.WantReadError:
                client.sends(tls.bio_read(65536))
                await until(lambda: client.data)
                tls.bio_write(client.data)
                client.data = b""
        tls.send(b"/quit\n")
        client.sends(tls.bio_read(65536))
        await until(lambda: opened.door.clients)
        await until(lambda: not opened.chat.connections)
        assert opened.door.clients
        client.transport.loseConnection()
        await until(lambda: not opened.door.clients)
